//! The default profile, and the record of a rename: small files beside the profiles.

use std::path::{Path, PathBuf};

use super::editor::{cannot_remove, cannot_write};
use super::{Editor, Profiles};
use crate::error::{Error, Kind, Result};
use crate::platform::disk::{self, Durability, Found};
use crate::platform::{self, Trust};
use crate::profile::{Profile, ProfileName};

/// What follows the new name in the name of a record.
const RENAMED: &str = ".renamed";

/// The most bytes that are read of such a file.
const LIMIT: u64 = 1024;

impl Profiles {
    /// The profile for calls that name none, if the user set one.
    ///
    /// # Errors
    /// `Usage` if the file cannot be believed or understood.
    pub(crate) fn default_name(&self) -> Result<Option<ProfileName>> {
        let own = Self::default_name_in(&self.default_file(), Trust::Settings)?;
        if own.is_some() || !self.has_managed {
            return Ok(own);
        }
        let managed = platform::managed_directory().join("default-profile");
        Self::default_name_in(&managed, Trust::Managed)
    }

    fn default_name_in(path: &Path, trust: Trust) -> Result<Option<ProfileName>> {
        let unusable = |reason: &str| {
            Error::usage(format!("the file {} {reason}", path.display()))
                .hint("set the default again: hallpass profile use NAME")
        };
        match disk::read(path, LIMIT, trust) {
            Ok(Found::Nothing) => Ok(None),
            Ok(Found::Content(content)) => {
                let name = std::str::from_utf8(&content).unwrap_or_default();
                let name = ProfileName::parse(name.trim_end());
                name.map(Some).map_err(|_| unusable("has no profile name"))
            }
            Ok(Found::Distrusted(reason)) => Err(unusable(reason)),
            Err(error) => Err(unusable("cannot be read").because(error)),
        }
    }

    /// Whether one profile is being renamed to the other, or that was interrupted: both have the same login.
    pub(crate) fn is_renamed(&self, from: &ProfileName, to: &ProfileName) -> bool {
        let Ok(Found::Content(record)) = disk::read(&self.rename_file(to), LIMIT, Trust::Settings)
        else {
            return false;
        };
        let is_recorded =
            |profile: &Profile| record == record_of(from, &profile.generation).as_bytes();
        match self.load(to) {
            Ok(profile) => is_recorded(&profile),
            Err(error) if error.kind == Kind::NotFound => {
                self.load(from).is_ok_and(|profile| is_recorded(&profile))
            }
            Err(_) => false,
        }
    }

    fn default_file(&self) -> PathBuf {
        self.directory.join("default-profile")
    }

    fn rename_file(&self, to: &ProfileName) -> PathBuf {
        self.directory.join([to.as_str(), RENAMED].concat())
    }
}

impl Editor<'_> {
    /// Sets or removes the default profile.
    pub(crate) fn set_default(&self, name: Option<&ProfileName>) -> Result<()> {
        let path = self.profiles.default_file();
        match name {
            Some(name) => {
                let content = format!("{name}\n");
                disk::replace(&path, content.as_bytes(), Durability::Settings).map_err(cannot_write)
            }
            None => disk::remove_settings(&path).map_err(cannot_remove),
        }
    }

    /// Records a rename, before the profile has its new name.
    pub(crate) fn begin_rename(
        &self,
        from: &ProfileName,
        to: &ProfileName,
        profile: &Profile,
    ) -> Result<()> {
        let record = record_of(from, &profile.generation);
        let path = self.profiles.rename_file(to);
        disk::replace(&path, record.as_bytes(), Durability::Settings).map_err(cannot_write)
    }

    /// Removes the records of renames that were interrupted before the profile had its new name.
    pub(super) fn sweep_renames(&self) -> Result<()> {
        for name in self.profiles.names_of(&[RENAMED])? {
            if !self.profiles.exists(&name) {
                self.end_rename(&name)?;
            }
        }
        Ok(())
    }

    /// Removes the record: the old name is gone, or the new one.
    pub(crate) fn end_rename(&self, to: &ProfileName) -> Result<()> {
        disk::remove_settings(&self.profiles.rename_file(to)).map_err(cannot_remove)
    }
}

fn record_of(from: &ProfileName, generation: &str) -> String {
    format!("{from} {generation}\n")
}
