//! The profiles on this machine, one JSON file each, and which one a call is for.

mod by_url;
mod cache_mode;
mod default;
mod directory_file;
mod editor;
mod environment;
mod managed;
mod selection;
mod url_lists;

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::platform::disk::{self, Directories, Found};
use crate::platform::{Trust, WRITABLE_BY_OTHERS};
use crate::policy::{self, Policy};
use crate::profile::selected::SelectedProfile;
use crate::profile::{FORMAT, Profile, ProfileName};
use crate::types::shell;

pub(crate) use by_url::Bound;
pub(crate) use cache_mode::cache_mode;
pub(crate) use editor::{Editor, OWN_PROFILES};
pub(crate) use environment::{directories, from_environment, is_configured_by_env, variable_of};
pub(crate) use selection::name_given;

const PROFILE_LIMIT: u64 = 256 * 1024;

/// The settings' directory, and the administrator's.
#[derive(Debug)]
pub(crate) struct Profiles {
    directory: PathBuf,
    /// Whether the user's own profiles count.
    has_own: bool,
    /// Whether the administrator's profiles and shared cache count: for every command that changes none.
    has_managed: bool,
}

impl Profiles {
    pub(crate) fn of(directories: &Directories) -> Self {
        // Without a usable policy, only commands run that show profiles.
        let policy = policy::current().ok();
        let policy = policy.as_deref();
        Self {
            directory: directories.config.clone(),
            has_own: policy.is_none_or(Policy::allows_user_profiles),
            has_managed: true,
        }
    }

    /// Only the user's own ones, for commands that change profiles.
    pub(crate) fn own(directories: &Directories) -> Self {
        Self {
            directory: directories.config.clone(),
            has_own: true,
            has_managed: false,
        }
    }

    /// The same profile as it is now; none if it was logged out.
    ///
    /// # Errors
    /// When it cannot be read, which does not mean that it has changed.
    pub(crate) fn reload(&self, selected: &SelectedProfile) -> Result<Option<Profile>> {
        if selected.name.is_from_environment() {
            return Ok(Some(selected.profile.clone()));
        }
        match self.load(&selected.name) {
            Ok(profile) => Ok(Some(profile)),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Refuses a settings directory that other users can change: they could put one profile in the
    /// place of another.
    ///
    /// This takes a system call or two, so a cached token is given without it.
    ///
    /// # Errors
    /// `Usage`, with the command that closes the directory.
    pub(crate) fn check_directory(&self) -> Result<()> {
        if !self.has_own {
            return Ok(());
        }
        let path = self.directory.display();
        let reason = disk::directory_fault(&self.directory)
            .map_err(|error| Error::broken(format!("cannot read {path}")).because(error))?;
        let Some(reason) = reason else {
            return Ok(());
        };
        let message = format!("the settings directory {path} {reason}");
        Err(match reason {
            WRITABLE_BY_OTHERS => Error::usage(message)
                .hint(format!("run: chmod go-w {}", shell::path(&self.directory))),
            _ => Error::broken(message),
        })
    }

    /// Every profile's name, sorted as people expect it.
    pub(crate) fn names(&self) -> Result<Vec<ProfileName>> {
        self.names_of(&[".json"])
    }

    /// The same in any order: sorting a thousand of them for people takes longer than all else that the
    /// completion of a shell does.
    pub(crate) fn unsorted_names(&self) -> Result<Vec<ProfileName>> {
        self.unsorted_names_of(&[".json"])
    }

    /// The names of the profiles, and of interrupted logins that may have left an item.
    pub(crate) fn names_to_forget(&self) -> Result<Vec<ProfileName>> {
        self.names_of(&[".json", ".items"])
    }

    fn names_of(&self, extensions: &[&str]) -> Result<Vec<ProfileName>> {
        let mut names = self.unsorted_names_of(extensions)?;
        names.sort_by(ProfileName::natural_order);
        names.dedup();
        Ok(names)
    }

    fn unsorted_names_of(&self, extensions: &[&str]) -> Result<Vec<ProfileName>> {
        let mut names = self.managed_names()?;
        if self.has_own {
            names.extend(self.own_names(extensions)?);
        }
        Ok(names)
    }

    fn own_names(&self, extensions: &[&str]) -> Result<Vec<ProfileName>> {
        let files = disk::names(&self.directory);
        let files = files.map_err(|error| disk::unreadable(&self.directory, error))?;
        let name = |mut file: String| {
            let extension = extensions.iter().find(|end| file.ends_with(**end))?;
            file.truncate(file.len() - extension.len());
            ProfileName::from_string(file)
        };
        Ok(files.into_iter().filter_map(name).collect())
    }

    /// Reads a profile.
    ///
    /// # Errors
    /// `NotFound` without such a profile, `Usage` when its file cannot be believed or understood.
    pub(crate) fn load(&self, name: &ProfileName) -> Result<Profile> {
        let own = self
            .has_own
            .then(|| self.load_file(name, &self.file(name), Trust::Settings));
        match own {
            Some(Err(error)) if error.kind == Kind::NotFound && self.has_managed => {}
            Some(loaded) => return loaded,
            None => {}
        }
        self.load_managed(name)
    }

    fn load_file(&self, name: &ProfileName, path: &Path, trust: Trust) -> Result<Profile> {
        let unusable = |reason: &str| {
            let what = format!("the profile file {} {reason}", path.display());
            Error::usage(what).hint(if trust == Trust::Managed {
                "only the administrator can correct it".to_owned()
            } else {
                format!("run `hallpass login {name} --replace --token-url URL ...` with all its settings")
            })
        };
        let content = match disk::read(path, PROFILE_LIMIT, trust) {
            Ok(Found::Content(content)) => content,
            Ok(Found::Nothing) => return Err(self.no_such_profile(name)),
            Ok(Found::Distrusted(WRITABLE_BY_OTHERS)) if trust == Trust::Settings => {
                let what = format!("the profile file {} {WRITABLE_BY_OTHERS}", path.display());
                return Err(
                    Error::usage(what).hint(format!("run: chmod go-w {}", shell::path(path)))
                );
            }
            Ok(Found::Distrusted(reason)) => return Err(unusable(reason)),
            Err(error) if trust == Trust::Managed => {
                return Err(unusable("cannot be read").because(error));
            }
            Err(error) => return Err(disk::unreadable(path, error)),
        };
        let content = std::str::from_utf8(&content)
            .map_err(|_| unusable("is damaged: it is not UTF-8 text"))?;
        match serde_json::from_str::<Profile>(content) {
            Ok(mut profile) if profile.format == FORMAT => {
                // As in `of`.
                if self.has_managed
                    && let Ok(policy) = policy::current()
                {
                    policy.apply_share(&mut profile);
                }
                Ok(profile)
            }
            parsed => Err(match format_of(content) {
                Format::Newer => Error::usage(format!(
                    "the profile file {} was written by a newer version of hallpass",
                    path.display()
                ))
                .hint("update hallpass"),
                Format::Other => unusable("is not a profile of hallpass"),
                Format::Ours => unusable(
                    &parsed
                        .err()
                        .map_or_else(String::new, |error| damage(&error)),
                ),
            }),
        }
    }

    /// Whether the profile has a file, even an unreadable one. True on I/O errors.
    pub(crate) fn exists(&self, name: &ProfileName) -> bool {
        self.has_own && self.is_own(name) || self.has_managed && Self::is_managed(name)
    }

    fn is_own(&self, name: &ProfileName) -> bool {
        disk::exists(&self.file(name)).unwrap_or(true)
    }

    /// The file that a profile is read from: the user's own, or the administrator's.
    pub(crate) fn file_in_use(&self, name: &ProfileName) -> PathBuf {
        if self.has_own && self.is_own(name) {
            self.file(name)
        } else {
            Self::managed_file(name)
        }
    }

    /// The error for a profile that only the administrator can change.
    fn managed_only(&self, name: &ProfileName) -> Option<Error> {
        if self.has_managed || !Self::is_managed(name) {
            return None;
        }
        let file = Self::managed_file(name);
        let what = format!("profile {name} is not yours");
        let hint = format!("only the administrator can change it: {}", file.display());
        Some(Error::not_found(what).hint(hint))
    }

    /// There is no profile of this name, for a command that needs one that is there.
    pub(crate) fn unknown(&self, name: &ProfileName) -> Error {
        if let Some(error) = self.managed_only(name) {
            return error;
        }
        let error = Error::not_found(format!("no profile named {name}"));
        match self.names().unwrap_or_default().as_slice() {
            [] => error,
            others => error.hint(format!("existing profiles: {}", list(others))),
        }
    }

    fn no_such_profile(&self, name: &ProfileName) -> Error {
        if let Some(error) = self.managed_only(name) {
            return error;
        }
        let hint = match self.names().unwrap_or_default().as_slice() {
            [] => format!("run `hallpass login {name}`"),
            others => format!(
                "run `hallpass login {name}`; existing profiles: {}",
                list(others)
            ),
        };
        Error::not_found(format!("no profile named {name}")).hint(hint)
    }

    pub(crate) fn file(&self, name: &ProfileName) -> PathBuf {
        self.directory.join([name.as_str(), ".json"].concat())
    }

    fn items_file(&self, name: &ProfileName) -> PathBuf {
        self.directory.join([name.as_str(), ".items"].concat())
    }
}

/// What is wrong with a profile's file, and in which line.
fn damage(error: &serde_json::Error) -> String {
    let line = error.line();
    if !error.is_data() {
        return format!("is damaged: line {line} is not valid JSON");
    }
    let text = error.to_string();
    let fault = text.split(" at line ").next().unwrap_or_default();
    format!("is damaged in line {line}: {fault}")
}

/// The first names, and the number of the others.
fn list(names: &[ProfileName]) -> String {
    let shown: Vec<_> = names.iter().map(ProfileName::as_str).take(20).collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(20) {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}

/// The format of a profile file that cannot be read.
enum Format {
    Ours,
    Newer,
    Other,
}

fn format_of(content: &str) -> Format {
    match serde_json::from_str::<serde_json::Value>(content) {
        // Such as a file that was cut.
        Err(_) => Format::Ours,
        Ok(file) => match file.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => Format::Ours,
            Some(format) if format > u64::from(FORMAT) => Format::Newer,
            _ => Format::Other,
        },
    }
}

#[cfg(any(test, fuzzing))]
#[path = "../tests/parsers/profiles.rs"]
pub(crate) mod fuzz;
