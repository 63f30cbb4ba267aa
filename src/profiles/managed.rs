//! The profiles of the administrator, for every user of the machine: files as a user's own, in a directory
//! that only the administrator can write to.
//!
//! A user's own profile of the same name goes first, unless the policy allows no profiles of users.

use std::path::PathBuf;

use super::Profiles;
use crate::error::{Error, Kind, Result};
use crate::platform::disk;
use crate::platform::{self, Trust};
use crate::profile::binding::Binding;
use crate::profile::selected::{SelectedProfile, longest};
use crate::profile::{Profile, ProfileName};
use crate::types::web_url::WebUrl;

impl Profiles {
    pub(super) fn managed_file(name: &ProfileName) -> PathBuf {
        managed().join([name.as_str(), ".json"].concat())
    }

    /// Whether the administrator has a profile of this name.
    pub(super) fn is_managed(name: &ProfileName) -> bool {
        disk::exists(&Self::managed_file(name)).unwrap_or(true)
    }

    /// # Errors
    /// As [`Profiles::load`].
    pub(super) fn load_managed(&self, name: &ProfileName) -> Result<Profile> {
        let path = Self::managed_file(name);
        let profile = self.load_file(name, &path, Trust::Managed)?;
        let unusable =
            |reason: &str| unusable(&format!("the profile file {} {reason}", path.display()));
        match disk::managed_fault(&path) {
            Ok(None) => {}
            Ok(Some((directory, reason))) => {
                let directory = directory.display();
                return Err(unusable(&format!("is in {directory}, which {reason}")));
            }
            Err(error) => return Err(disk::unreadable(&path, error)),
        }
        if !profile.items().is_empty() {
            return Err(unusable(
                "names a secret in a keychain, but there is one for each user: use a file, a command, a variable or an agent",
            ));
        }
        Ok(profile)
    }

    /// The names of the administrator's profiles.
    pub(super) fn managed_names(&self) -> Result<Vec<ProfileName>> {
        if !self.has_managed {
            return Ok(Vec::new());
        }
        let directory = managed();
        let files = disk::names(&directory);
        let files = files.map_err(|error| disk::unreadable(&directory, error))?;
        let name = |file: String| ProfileName::from_string(file.strip_suffix(".json")?.to_owned());
        Ok(files.into_iter().filter_map(name).collect())
    }

    /// The administrator's profile that is bound to this URL, by the longest path.
    ///
    /// # Errors
    /// `Usage` if a profile cannot be used, or several are bound alike.
    pub(super) fn managed_bound_to(&self, url: &WebUrl) -> Result<Option<SelectedProfile>> {
        let mut found: Vec<SelectedProfile> = Vec::new();
        for name in self.managed_names()? {
            if self.has_own && self.is_own(&name) {
                continue;
            }
            let profile = match self.load_managed(&name) {
                Err(error) if error.kind == Kind::NotFound => continue,
                loaded => loaded?,
            };
            let Some(binding) = longest(&profile, |binding| binding.url.covers(url)).cloned()
            else {
                continue;
            };
            found.push(SelectedProfile {
                name,
                profile,
                binding: Some(binding),
                url: Some(url.clone()),
            });
        }
        let length = |selected: &SelectedProfile| {
            let url = |binding: &Binding| binding.url.prefix().len();
            selected.binding.as_ref().map_or(0, url)
        };
        let most = found.iter().map(length).max().unwrap_or_default();
        found.retain(|selected| length(selected) == most);
        match found.as_slice() {
            [one, other, ..] => {
                let (one, other) = (&one.name, &other.name);
                let what =
                    format!("several managed profiles are bound to this URL: {one}, {other}");
                Err(unusable(&what).hint("or choose one with --profile NAME"))
            }
            _ => Ok(found.pop()),
        }
    }
}

fn managed() -> PathBuf {
    platform::managed_directory().join("profiles")
}

/// Something that only the administrator can correct.
fn unusable(what: &str) -> Error {
    Error::usage(what).hint("only the administrator can correct it")
}
