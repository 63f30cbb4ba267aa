//! Changes of profiles: one login or logout at a time.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use super::{PROFILE_LIMIT, Profiles};
use crate::error::{Error, Kind, Result};
use crate::message::{Waiting, WaitingFor};
use crate::platform::Trust;
use crate::platform::disk::{self, Durability, Found, LockFile};
use crate::policy;
use crate::profile::{Item, Profile, ProfileName};

/// How long a login or logout waits for another one.
const EDIT_LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// What a policy may switch off.
pub(crate) const OWN_PROFILES: &str = "profiles of users";

impl Profiles {
    /// Takes the right to change profiles: one login or logout at a time, so that none removes a
    /// keychain item that another one is about to need.
    ///
    /// # Errors
    /// `Broken` when the directory cannot be written to, `Unavailable` when another one takes too long.
    pub(crate) fn edit(&self) -> Result<Editor<'_>> {
        self.check_directory()?;
        let path = self.directory.join("lock");
        let cannot_lock =
            |error| Error::broken(format!("cannot lock {}", path.display())).because(error);
        disk::settings_directory(&self.directory).map_err(cannot_lock)?;
        let mut lock = LockFile::open(&path).map_err(cannot_lock)?;
        let deadline = Instant::now() + EDIT_LOCK_TIMEOUT;
        let mut waiting = Waiting::begin(WaitingFor::Other);
        let free = loop {
            match lock.try_exclusive() {
                Ok(false) => {}
                // A file system without locks: two logins at once are then up to the person.
                Ok(true) | Err(_) => break true,
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break false;
            }
            waiting.note_if_due(|| "waiting for another hallpass login or logout".to_owned());
            // Many may wait: it was free, and yet another one may have taken it first.
            lock.wait_until_free(waiting.quiet(left))
                .map_err(cannot_lock)?;
        };
        if !free {
            return Err(
                Error::unavailable("another hallpass login or logout is running")
                    .hint("finish it (it may wait for the keychain), then try again"),
            );
        }
        for directory in [&self.directory, &self.urls()] {
            disk::sweep(directory).map_err(|error| {
                Error::broken(format!("cannot clean up {}", directory.display())).because(error)
            })?;
        }
        let editor = Editor {
            profiles: self,
            _lock: lock,
        };
        editor.sweep_renames()?;
        Ok(editor)
    }
}

/// The right to change profiles, held until it is dropped.
///
/// Each profile has a list of its items in the stores, next to its file. It is written before an item
/// is: after an interruption, the next login or logout finds each secret that was left.
#[derive(Debug)]
pub(crate) struct Editor<'a> {
    pub(super) profiles: &'a Profiles,
    _lock: LockFile,
}

impl Editor<'_> {
    pub(crate) fn save(&self, name: &ProfileName, profile: &Profile) -> Result<()> {
        let policy = policy::current()?;
        policy.check_user_profiles(OWN_PROFILES)?;
        policy.check(profile)?;
        // Where the old one cannot be read, the lists keep too much, which does no harm.
        let before = self.profiles.load(name).map(|before| before.bindings);
        let before = before.unwrap_or_default();
        self.profiles
            .check_bindings(name, &before, &profile.bindings)?;
        self.list_urls(name, &profile.bindings)?;
        let mut content = serde_json::to_vec_pretty(profile).map_err(cannot_write)?;
        content.push(b'\n');
        disk::replace(&self.profiles.file(name), &content, Durability::Settings)
            .map_err(cannot_write)?;
        self.unlist_urls(name, &before, &profile.bindings)
    }

    /// Removes a profile's file, which is still in the lists of URLs. Returns what was in it, where it
    /// could be read, for [`Editor::restore`].
    pub(crate) fn remove(&self, name: &ProfileName) -> Result<Option<Vec<u8>>> {
        let path = self.profiles.file(name);
        let content = match disk::read(&path, PROFILE_LIMIT, Trust::Settings) {
            Ok(Found::Content(content)) => Some(content),
            _ => None,
        };
        disk::remove_settings(&path).map_err(cannot_remove)?;
        Ok(content)
    }

    /// Puts a profile back that was removed.
    pub(crate) fn restore(&self, name: &ProfileName, content: &[u8]) -> Result<()> {
        let path = self.profiles.file(name);
        disk::replace(&path, content, Durability::Settings).map_err(cannot_write)
    }

    /// All items that may hold a secret of this profile.
    pub(crate) fn items(&self, name: &ProfileName) -> Result<BTreeSet<Item>> {
        let path = self.profiles.items_file(name);
        let unreadable = |reason: &str| {
            Error::broken(format!("the list of keychain items {} {reason}", path.display()))
                .hint("delete it, and delete the unused items of the service `hallpass` from the keychain")
        };
        let mut items = match disk::read(&path, PROFILE_LIMIT, Trust::Settings) {
            Ok(Found::Nothing) => BTreeSet::new(),
            Ok(Found::Content(content)) => {
                serde_json::from_slice(&content).map_err(|_| unreadable("is damaged"))?
            }
            Ok(Found::Distrusted(reason)) => return Err(unreadable(reason)),
            Err(error) => return Err(unreadable("cannot be read").because(error)),
        };
        // A list that was lost is no reason to forget the items that the profile itself names.
        match self.profiles.load(name) {
            Ok(profile) => items.extend(profile.items()),
            // There is none, or a damaged one.
            Err(error) if [Kind::NotFound, Kind::Usage].contains(&error.kind) => {}
            Err(error) => return Err(error),
        }
        // A copy of a profile file names the item of the other profile, which needs it.
        items.retain(|item| {
            let owner = item.account.split_once(':').map(|(owner, _)| owner);
            owner == Some(name.as_str())
        });
        Ok(items)
    }

    pub(crate) fn save_items(&self, name: &ProfileName, items: &BTreeSet<Item>) -> Result<()> {
        let path = self.profiles.items_file(name);
        if items.is_empty() {
            return disk::remove_settings(&path).map_err(cannot_remove);
        }
        let content = serde_json::to_vec(items).map_err(cannot_write)?;
        disk::replace(&path, &content, Durability::Settings).map_err(cannot_write)
    }
}

pub(super) fn cannot_write(error: impl Into<io::Error>) -> Error {
    Error::broken("cannot write the settings").because(error.into())
}

pub(super) fn cannot_remove(error: io::Error) -> Error {
    Error::broken("cannot remove the settings").because(error)
}
