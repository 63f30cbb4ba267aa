//! The lists of bound URLs, one for each origin, beside the profiles: a lookup reads one of them, not
//! every profile.
//!
//! A list may have too many URLs, as it is written before a profile gains a binding and after it loses
//! one. Only the profile itself decides.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::editor::{cannot_remove, cannot_write};
use super::{Editor, PROFILE_LIMIT, Profiles};
use crate::error::{Error, Kind, Result};
use crate::platform::disk::{self, Durability, Found};
use crate::platform::{Trust, WRITABLE_BY_OTHERS};
use crate::profile::ProfileName;
use crate::profile::binding::{Binding, BoundUrl};
use crate::types::digest::Digest;
use crate::types::shell;

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) url: BoundUrl,
    pub(super) profile: String,
}

impl Profiles {
    pub(super) fn origin_file(&self, origin: &str) -> PathBuf {
        let name = Digest::of("hallpass origin 1").field(origin).hex();
        self.urls().join(name)
    }

    pub(super) fn urls(&self) -> PathBuf {
        self.directory.join("urls")
    }

    pub(super) fn entries(&self, origin: &str) -> Result<Vec<Entry>> {
        read_list(&self.origin_file(origin))
    }

    /// The entries of a list, made again from the profiles where the list is damaged.
    ///
    /// # Errors
    /// Where it cannot be read, or is damaged and a profile cannot be read either.
    pub(super) fn read_or_rebuild(&self, path: &Path) -> Result<Vec<Entry>> {
        match read_list(path) {
            Err(error) if error.kind == Kind::Usage => self.rebuilt(path).map_err(|profile| {
                let what = "the list was not rebuilt, because a profile cannot be read";
                error.hint(format!("{what} ({profile})"))
            }),
            entries => entries,
        }
    }

    /// The content of a list, rebuilt from the profiles, which are authoritative.
    fn rebuilt(&self, path: &Path) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for name in self.names()? {
            let bindings = match self.load(&name) {
                Ok(profile) => profile.bindings,
                Err(error) if error.kind == Kind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let here = bindings
                .into_iter()
                .filter(|binding| self.origin_file(binding.url.origin()) == path);
            entries.extend(here.map(|binding| Entry {
                url: binding.url,
                profile: name.to_string(),
            }));
        }
        Ok(entries)
    }

    /// Whether there may be a profile of this name.
    fn may_exist(&self, name: &str) -> bool {
        ProfileName::parse(name).is_ok_and(|name| self.exists(&name))
    }
}

fn read_list(path: &Path) -> Result<Vec<Entry>> {
    let unusable = |reason: &str| {
        Error::usage(format!("the binding index {} {reason}", path.display()))
            .hint("run `hallpass bind PROFILE URL` again to rebuild it")
    };
    match disk::read(path, PROFILE_LIMIT, Trust::Settings) {
        Ok(Found::Nothing) => Ok(Vec::new()),
        Ok(Found::Content(content)) => {
            let content = std::str::from_utf8(&content).unwrap_or_default();
            serde_json::from_str(content).map_err(|_| unusable("is damaged"))
        }
        Ok(Found::Distrusted(WRITABLE_BY_OTHERS)) => {
            let what = format!("the binding index {} {WRITABLE_BY_OTHERS}", path.display());
            Err(Error::usage(what).hint(format!("run: chmod go-w {}", shell::path(path))))
        }
        Ok(Found::Distrusted(reason)) => Err(unusable(reason)),
        Err(error) => Err(disk::unreadable(path, error)),
    }
}

impl Editor<'_> {
    /// Lists what a profile is about to be bound to.
    pub(super) fn list_urls(&self, name: &ProfileName, bindings: &[Binding]) -> Result<()> {
        self.change_urls(name, bindings, bindings, false)
    }

    /// Removes from the lists what a profile is no longer bound to.
    pub(super) fn unlist_urls(
        &self,
        name: &ProfileName,
        before: &[Binding],
        now: &[Binding],
    ) -> Result<()> {
        self.change_urls(name, before, now, true)
    }

    fn change_urls(
        &self,
        name: &ProfileName,
        touched: &[Binding],
        now: &[Binding],
        forget_others: bool,
    ) -> Result<()> {
        let origins: BTreeSet<_> = touched.iter().map(|binding| binding.url.origin()).collect();
        for origin in origins {
            let path = self.profiles.origin_file(origin);
            let mut entries = self.profiles.read_or_rebuild(&path)?;
            entries.retain(|entry| entry.profile != name.as_str() || !forget_others);
            for binding in now.iter().filter(|binding| binding.url.origin() == origin) {
                let entry = Entry {
                    url: binding.url.clone(),
                    profile: name.to_string(),
                };
                if !entries.contains(&entry) {
                    entries.push(entry);
                }
            }
            // Also a damaged list is written.
            if !read_list(&path).is_ok_and(|stored| stored == entries) {
                self.write_list(&path, &entries)?;
            }
        }
        Ok(())
    }

    fn write_list(&self, path: &Path, entries: &[Entry]) -> Result<()> {
        if entries.is_empty() {
            disk::remove_settings(path).map_err(cannot_remove)?;
            return disk::remove_empty_directory(&self.profiles.urls()).map_err(cannot_remove);
        }
        let content = serde_json::to_vec(entries).map_err(cannot_write)?;
        if content.len() as u64 > PROFILE_LIMIT {
            // Nobody would read it.
            return Err(Error::usage("too many profiles are bound to this server")
                .hint("unbind some of them: hallpass unbind PROFILE URL"));
        }
        disk::replace(path, &content, Durability::Settings).map_err(cannot_write)
    }

    /// Removes a profile that is gone from the lists of what it was bound to.
    pub(crate) fn unlist(&self, name: &ProfileName, bindings: &[Binding]) -> Result<()> {
        self.unlist_urls(name, bindings, &[])?;
        // An interrupted unbind may have left it in other lists. One that cannot be read is of others.
        let _ = self.unlist_gone();
        Ok(())
    }

    /// Removes the profiles that are gone from every list. A damaged list is rebuilt from the
    /// profiles, if all of them can be read.
    ///
    /// # Errors
    /// The first list that cannot be read, which is left as it is; the others are done.
    pub(crate) fn unlist_gone(&self) -> Result<()> {
        let directory = self.profiles.urls();
        let mut result = Ok(());
        for file in disk::names(&directory).map_err(cannot_remove)? {
            let path = directory.join(&file);
            // Nothing but our own files is touched.
            if file.len() != 64 || !file.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                continue;
            }
            let entries = self.profiles.read_or_rebuild(&path);
            let cleaned = entries.and_then(|mut entries| {
                entries.retain(|entry| self.profiles.may_exist(&entry.profile));
                self.write_list(&path, &entries)
            });
            result = result.and(cleaned);
        }
        result.and(disk::remove_empty_directory(&directory).map_err(cannot_remove))
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::platform::disk::Directories;
    use crate::profile::{self, Profile};

    const ORIGIN: &str = "https://a.example";

    fn directory() -> TempDir {
        TempDir::with_prefix("hallpass-test-").expect("a directory")
    }

    fn profiles(directory: &TempDir) -> Profiles {
        Profiles::of(&Directories::below(directory))
    }

    /// Writes the list of the origin.
    fn write(profiles: &Profiles, content: &[u8]) -> PathBuf {
        let path = profiles.origin_file(ORIGIN);
        disk::replace(&path, content, Durability::Settings).expect("written");
        path
    }

    #[test]
    fn a_damaged_list_is_rebuilt() {
        let directory = directory();
        let profiles = profiles(&directory);
        let url = BoundUrl::parse(ORIGIN).expect("a URL to bind");
        let name = ProfileName::parse("prod").expect("a good name");
        let profile = Profile {
            bindings: vec![Binding::of(url.clone())],
            ..profile::example()
        };
        let editor = profiles.edit().expect("the lock");
        editor.save(&name, &profile).expect("saved");
        let damaged = write(&profiles, b"[{");
        let profile = name.to_string();
        let entries = profiles.read_or_rebuild(&damaged).expect("a list");
        assert_eq!(entries, [Entry { url, profile }]);
    }

    #[test]
    #[cfg_attr(windows, ignore = "a file in place of a directory counts as none")]
    fn a_list_that_cannot_be_read_is_not_rebuilt() {
        let directory = directory();
        let profiles = profiles(&directory);
        let urls = profiles.urls();
        std::fs::create_dir_all(directory.path().join("config")).expect("created");
        std::fs::write(urls, "of a person").expect("a file in place of the directory");
        let list = profiles.origin_file(ORIGIN);
        assert!(profiles.read_or_rebuild(&list).is_err());
    }

    #[test]
    fn only_lists_are_cleaned() {
        let directory = directory();
        let profiles = profiles(&directory);
        let list = write(&profiles, b"[{");
        let urls = profiles.urls();
        let others = [
            "notes".to_owned(),
            "g".repeat(64),
            "0123456789abcdef".to_owned(),
        ];
        for name in &others {
            std::fs::write(urls.join(name), "of a person").expect("written");
        }
        let editor = profiles.edit().expect("the lock");
        editor.unlist_gone().expect("cleaned");
        assert!(!list.exists());
        for name in &others {
            let content = std::fs::read_to_string(urls.join(name)).expect("a file");
            assert_eq!(content, "of a person", "{name}");
        }
    }

    #[test]
    fn a_list_that_could_not_be_read_again_is_not_written() {
        let directory = directory();
        let profiles = profiles(&directory);
        let editor = profiles.edit().expect("the lock");
        let path = profiles.origin_file(ORIGIN);
        let entry = |length| Entry {
            url: BoundUrl::parse(ORIGIN).expect("a URL to bind"),
            profile: "p".repeat(length),
        };
        let size = |entry| serde_json::to_vec(&[entry]).expect("JSON").len();
        let limit = usize::try_from(PROFILE_LIMIT).expect("a small number");
        let most = limit - size(entry(0));
        editor.write_list(&path, &[entry(most)]).expect("written");
        assert_eq!(profiles.entries(ORIGIN).expect("a list").len(), 1);
        assert!(editor.write_list(&path, &[entry(most + 1)]).is_err());
    }
}
