//! One entry: its token, and the record of the last failure.

use std::io;
use std::path::PathBuf;
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::format::{read_entry, serialize};
use crate::error::{Error, Result};
use crate::platform::Trust;
use crate::platform::disk::{self, Durability, Found};
use crate::profile::CacheMode;
use crate::profile::token_request::Overrides;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::token_failure::TokenFailure;

const FAILURE_LIMIT: u64 = 64 * 1024;

/// The cached token of one request.
#[derive(Debug)]
pub(crate) struct CacheEntry {
    /// The directory of all caches.
    pub(super) root: PathBuf,
    /// `KEY.json`.
    pub(super) path: PathBuf,
    pub(super) key: String,
    pub(super) login: String,
    pub(super) overrides: Overrides,
    pub(super) mode: CacheMode,
}

/// What an entry contained when it was read.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) token: Option<CachedToken>,
    pub(super) failure: Option<FailureRecord>,
}

impl Snapshot {
    /// The recorded failure, if it still applies to a new caller.
    pub(crate) fn failure(&self, now: Timestamp, force_refresh: bool) -> Option<TokenFailure> {
        let failure = self.failure.as_ref()?.failure.as_ref()?;
        failure.applies(now, force_refresh).then(|| failure.clone())
    }
}

impl CacheEntry {
    pub(super) fn lock_path(&self) -> PathBuf {
        self.path.with_extension("lock")
    }

    pub(super) fn failure_path(&self) -> PathBuf {
        self.path.with_extension("failure")
    }

    /// The token, if the entry can be read and trusted. A damaged entry counts as missing.
    pub(crate) fn token(&self) -> Option<CachedToken> {
        read_entry(&self.path, &self.key, &self.login, self.mode, |entry| {
            entry.into_token()
        })
    }

    /// The state before a request, to recognise later changes: see [`CacheEntry::lock`].
    pub(crate) fn snapshot(&self, token: Option<CachedToken>) -> Snapshot {
        Snapshot {
            token,
            failure: self.read_failure(),
        }
    }

    /// Whether others can use this token: it lasts, and may be on disk.
    pub(super) fn keeps(&self, token: &CachedToken) -> bool {
        token.lasts() && self.mode != CacheMode::None
    }

    /// Stores a token without the lock, if the token has a lifetime. Only for a login, whose keys are
    /// new.
    ///
    /// # Errors
    /// `Broken` if it cannot be written.
    pub(crate) fn store(&self, token: &CachedToken) -> Result<()> {
        self.write(token).map_err(|error| self.cannot_write(error))
    }

    pub(super) fn write(&self, token: &CachedToken) -> io::Result<()> {
        if !self.keeps(token) {
            return Ok(());
        }
        if !self.mode.allows_plain() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "it cannot be encrypted here",
            ));
        }
        disk::private_directory(&self.root)?;
        let content = serialize(token, &self.key, &self.login, &self.overrides)?;
        disk::replace(&self.path, &content, Durability::Cache)
    }

    pub(super) fn cannot_write(&self, error: io::Error) -> Error {
        Error::broken(format!("cannot write the cache in {}", self.root.display())).because(error)
    }

    /// Removes the token, because a server rejected it.
    pub(crate) fn discard_token(&self) {
        // If it cannot be removed, the server will reject it again.
        let _ = disk::remove(&self.path);
    }

    /// Removes the entry and its lock file, for a login that was replaced: see [`Cache::clear`].
    pub(crate) fn remove(&self) {
        // Best effort: no caller reads the entries of a replaced login.
        for file in [&self.path, &self.failure_path(), &self.lock_path()] {
            let _ = disk::remove(file);
        }
        if let Some(directory) = self.path.parent() {
            let _ = disk::remove_empty_directory(directory);
        }
    }

    pub(super) fn read_failure(&self) -> Option<FailureRecord> {
        match disk::read(&self.failure_path(), FAILURE_LIMIT, Trust::Private) {
            Ok(Found::Content(content)) => serde_json::from_slice(&content).ok(),
            _ => None,
        }
    }

    pub(super) fn write_failure(&self, failure: Option<TokenFailure>) -> io::Result<()> {
        disk::private_directory(&self.root)?;
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let id = format!("{}-{}", process::id(), since_epoch.as_nanos());
        let record = serde_json::to_vec(&FailureRecord { id, failure })?;
        disk::replace(&self.failure_path(), &record, Durability::Cache)
    }
}

/// Why the last request left no token that others can use.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct FailureRecord {
    /// Unique, so that two equal failures differ.
    id: String,
    /// None if the token has no lifetime.
    pub(super) failure: Option<TokenFailure>,
}
