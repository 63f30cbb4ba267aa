//! One entry: its token, and the record of the last failure.

use std::io;
use std::path::PathBuf;
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::format::{ENTRY_LIMIT, plain, to_json};
use super::protection::Form;
use super::sealed::{self, SealingKey};
use crate::error::{Error, Result};
use crate::platform::Trust;
use crate::platform::disk::{self, Durability, Found};
use crate::platform::sealing_key::Unavailable;
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
    #[allow(
        clippy::redundant_closure_for_method_calls,
        reason = "the method is for one lifetime, not for all"
    )]
    pub(crate) fn token(&self) -> Option<CachedToken> {
        self.read(|content| content.into_token())
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
        if !self.keeps(token) {
            return Ok(());
        }
        let written = self.write(token);
        written.map(drop).map_err(|error| self.cannot_write(error))
    }

    /// Writes the entry, and returns in which form.
    pub(super) fn write(&self, token: &CachedToken) -> io::Result<Form> {
        disk::private_directory(&self.root)?;
        let json = to_json(token, &self.key, &self.login, &self.overrides)?;
        let (content, form) = match self.sealing_key()? {
            Some(key) => {
                let before = match disk::read(&self.path, ENTRY_LIMIT, Trust::Private) {
                    Ok(Found::Content(content)) => content,
                    _ => Vec::new(),
                };
                let content = sealed::seal(&key, &self.key, json, token.expires_at, &before)?;
                (content, Form::Sealed)
            }
            None => (plain(&json)?, Form::Plain),
        };
        disk::replace(&self.path, &content, Durability::Cache)?;
        Ok(form)
    }

    /// Removes the entry, unless it is encrypted: another session may have the key.
    pub(super) fn remove_plain(&self) -> io::Result<()> {
        match disk::read(&self.path, ENTRY_LIMIT, Trust::Private) {
            Ok(Found::Content(content)) if sealed::is_sealed(&content) => Ok(()),
            _ => disk::remove(&self.path),
        }
    }

    /// What the mode encrypts with; none if the entry is written as it is.
    fn sealing_key(&self) -> io::Result<Option<SealingKey>> {
        if self.mode == CacheMode::Plain {
            return Ok(None);
        }
        match SealingKey::find_or_create(&self.root) {
            Ok(key) => Ok(Some(key)),
            Err(_) if self.mode.allows_plain() => Ok(None),
            Err(unavailable) => Err(io::Error::other(unavailable)),
        }
    }

    pub(super) fn cannot_write(&self, error: io::Error) -> Error {
        if let Some(inner) = error.get_ref()
            && inner.is::<Unavailable>()
        {
            return Error::broken("cannot encrypt the cache").because(error);
        }
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
        for file in [
            &self.path,
            &self.failure_path(),
            &self.rejected_path(),
            &self.lock_path(),
        ] {
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
