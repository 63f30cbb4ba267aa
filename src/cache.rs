//! Cached tokens and failures on disk, and the lock of each entry.
//!
//! A profile has a directory, and each token request has an entry in it, named by the request's key:
//! `KEY.json` holds the token (with the key that it is bound to, if hallpass made one), encrypted where the
//! system keeps a key for that; `KEY.lock` is locked by the caller that requests a new one, and
//! `KEY.failure` records that the last request brought no token that others can share, and why. `KEY.rejected`
//! has the fingerprint of a token that an API refused. Only `KEY.json` is confidential.

mod entry;
mod format;
mod lock;
mod nonces;
mod protection;
mod rejected;
mod rotation;
mod sealed;
mod sweep;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::platform::disk::{self, Directories, Durability};
use crate::profile::token_request::{Overrides, TokenRequest};
use crate::profile::{CacheMode, ProfileName};
use crate::types::token::CachedToken;

pub(crate) use entry::{CacheEntry, Snapshot};
pub(crate) use lock::{EntryLock, LockOutcome};
pub(crate) use protection::{Form, Protection};
pub(crate) use rotation::Accepted;

/// One profile's tokens.
#[derive(Debug)]
pub(crate) struct Cache {
    /// Contains every profile's directory.
    root: PathBuf,
    directory: PathBuf,
}

impl Cache {
    pub(crate) fn of(directories: &Directories, name: &ProfileName) -> Self {
        Self {
            root: directories.cache.clone(),
            directory: directories.cache.join(name.as_str()),
        }
    }

    /// The caches of all profiles, also of those that no longer exist.
    ///
    /// # Errors
    /// `Broken` if the directory cannot be read.
    pub(crate) fn all(directories: &Directories) -> Result<Vec<Self>> {
        let cache = &directories.cache;
        let names = disk::names(cache).map_err(|error| {
            Error::broken(format!("cannot read the cache in {}", cache.display())).because(error)
        })?;
        let names = names.into_iter();
        let names = names.filter_map(|name| ProfileName::parse(&name).ok());
        let names = names.chain([ProfileName::of_environment()]);
        Ok(names.map(|name| Self::of(directories, &name)).collect())
    }

    /// The entry for this request.
    pub(crate) fn entry(&self, request: &TokenRequest, mode: CacheMode) -> CacheEntry {
        CacheEntry {
            root: self.root.clone(),
            path: self.directory.join([request.key(), ".json"].concat()),
            key: request.key().to_owned(),
            login: request.login().to_owned(),
            overrides: request.overrides.clone(),
            mode,
        }
    }

    /// Every token of this login (see [`login_of`]), with the key of its request and how the request
    /// differs from the profile's own. Entries that cannot be read are left out.
    ///
    /// [`login_of`]: crate::profile::token_request::login_of
    pub(crate) fn tokens(
        &self,
        login: &str,
        mode: CacheMode,
    ) -> Vec<(String, Overrides, CachedToken)> {
        let names = disk::names(&self.directory).unwrap_or_default();
        let keys = names.iter().filter_map(|name| name.strip_suffix(".json"));
        let read = |key: &str| {
            let entry = CacheEntry {
                root: self.root.clone(),
                path: self.directory.join([key, ".json"].concat()),
                key: key.to_owned(),
                login: login.to_owned(),
                overrides: Overrides::default(),
                mode,
            };
            entry.read(|content| {
                let overrides = content.overrides.clone().into_owned();
                Some((key.to_owned(), overrides, content.into_token()?))
            })
        };
        keys.filter_map(read).collect()
    }

    /// Whether something that is done at most once in this time may be done now. Then it is recorded as
    /// done; what cannot be recorded is not done.
    pub(crate) fn is_time_for(&self, what: &str, pause: Duration) -> bool {
        let path = self.directory.join(what);
        match disk::age(&path) {
            Ok(Some(age)) if age < pause => false,
            Ok(_) => disk::replace(&path, b"", Durability::Cache).is_ok(),
            Err(_) => false,
        }
    }

    /// Removes all entries.
    ///
    /// Lock files can be removed, too: every login has its own keys, so a caller that still uses an old
    /// lock file does not meet callers of the new login.
    ///
    /// # Errors
    /// `Broken` if a file cannot be removed.
    pub(crate) fn clear(&self) -> Result<()> {
        self.remove_all().map_err(|error| {
            let directory = self.directory.display();
            Error::broken(format!("cannot remove the cached tokens in {directory}")).because(error)
        })
    }

    fn remove_all(&self) -> io::Result<()> {
        for name in disk::names(&self.directory)? {
            let path = self.directory.join(name);
            let removed = disk::remove(&path);
            // Windows cannot remove a lock file that is open. It is empty.
            let is_lock = path
                .extension()
                .is_some_and(|extension| extension == "lock");
            if !(cfg!(windows) && is_lock) {
                removed?;
            }
        }
        disk::remove_empty_directory(&self.directory)
    }
}

#[cfg(any(test, fuzzing))]
#[path = "../tests/parsers/cache.rs"]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::path::Path;
    use std::time::SystemTime;

    use tempfile::TempDir;

    use super::*;
    use crate::profile;
    use crate::types::checked_text::Scope;
    use crate::types::dpop::{DPOP, ProofKey};
    use crate::types::secret::AccessToken;
    use crate::types::token::Timestamp;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// The cache of a profile below this directory.
    pub(super) fn cache(directory: &TempDir) -> Cache {
        let directories = Directories::below(directory);
        Cache::of(&directories, &ProfileName::parse("p").expect("a good name"))
    }

    /// An entry of the profile's cache that is not encrypted.
    pub(super) fn entry(directory: &TempDir, scope: &str) -> CacheEntry {
        let name = ProfileName::parse("p").expect("a good name");
        let scope = Scope::parse(scope).expect("a scope");
        let request = TokenRequest::new(&name, &profile::example(), Some(&scope), None, None);
        cache(directory).entry(&request, CacheMode::Plain)
    }

    pub(super) fn token() -> CachedToken {
        CachedToken {
            access_token: AccessToken::parse("eyJz93a-k4laUWw").expect("a token"),
            token_type: DPOP.to_owned(),
            scope: Some("USER".to_owned()),
            members: BTreeMap::from([("instance_url".to_owned(), "https://a.example".to_owned())]),
            requested_at: Timestamp(1_795_000_000_123),
            expires_at: Timestamp(1_795_086_400_123),
            proof_key: Some(Box::new(ProofKey::External("thumbprint".to_owned()))),
            warning: None,
        }
    }

    pub(super) fn directory() -> TempDir {
        TempDir::with_prefix("hallpass-test-").expect("a directory")
    }

    /// Makes a file a second older than this. It is closed then: wine shows a removed file for as long as
    /// it is open.
    pub(super) fn age(path: &Path, limit: Duration) {
        let file = File::options().append(true).open(path).expect("a file");
        let before = SystemTime::now() - limit - Duration::from_secs(1);
        file.set_modified(before).expect("an old file");
    }

    #[test]
    fn what_is_done_once_a_day_is_not_done_again_before() {
        let directory = directory();
        let cache = cache(&directory);
        std::fs::create_dir_all(&cache.directory).expect("created");
        assert!(cache.is_time_for("check", DAY));
        assert!(!cache.is_time_for("check", DAY));
        assert!(cache.is_time_for("another check", DAY));
        age(&cache.directory.join("check"), DAY);
        assert!(cache.is_time_for("check", DAY));
        assert!(!cache.is_time_for("check", DAY));
    }

    #[test]
    fn a_file_that_cannot_be_removed_is_an_error() {
        let directory = directory();
        let cache = cache(&directory);
        for name in ["KEY.json", "KEY.lock"] {
            let path = cache.directory.join(name);
            std::fs::create_dir_all(&path).expect("a directory is no file");
            // Windows cannot remove a lock file that another process has open.
            let is_expected = cfg!(windows) && name == "KEY.lock";
            assert_eq!(cache.clear().is_ok(), is_expected, "{name}");
            std::fs::remove_dir(&path).expect("removed");
        }
        std::fs::write(cache.directory.join("KEY.json"), "").expect("written");
        cache.clear().expect("removed");
        assert!(!cache.directory.exists());
    }
}
