//! The lock of an entry: one caller requests a token, the others wait for what it stores.

use std::io;
use std::time::{Duration, Instant};

use super::sweep;
use super::{CacheEntry, Form, Snapshot};
use crate::error::Result;
use crate::message::{self, Waiting, WaitingFor};
use crate::platform::disk::{self, LockFile};
use crate::profile::CacheMode;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::token_failure::TokenFailure;

/// How often a waiting caller checks for a token. A suspended process keeps its lock, and another
/// one may have requested a token meanwhile.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How an attempt to lock an entry ended.
#[derive(Debug)]
pub(crate) enum LockOutcome<'a> {
    /// This caller requests a token. No other caller stored one while it waited.
    Acquired(EntryLock<'a>),
    /// Another caller stored a token.
    Token(CachedToken),
    /// Another caller's request failed, and the failure applies to this caller, too.
    Failed(TokenFailure),
}

impl CacheEntry {
    /// Waits for the lock, or for another caller's token or failure. A failure that does not come from
    /// the server is not shared: the next caller that waits gets the lock.
    ///
    /// - `snapshot` is the state before the wait, so any difference came from another caller.
    /// - `limit` is how long the holder may take before its lock is replaced. After twice the limit this
    ///   caller may request without the lock.
    /// - If the file cannot be locked, every caller may request.
    pub(crate) fn lock(&self, snapshot: &Snapshot, limit: Duration) -> LockOutcome<'_> {
        let Ok(mut lock) = self.open_lock() else {
            return LockOutcome::Acquired(self.entry_lock(None));
        };
        match self.wait_for_lock(&mut lock, snapshot, limit) {
            Ok(Some(outcome)) => outcome,
            Ok(None) => LockOutcome::Acquired(self.entry_lock(Some(lock))),
            Err(_) => LockOutcome::Acquired(self.entry_lock(None)),
        }
    }

    /// Returns what another caller stored, or nothing once we hold the lock.
    ///
    /// # Errors
    /// The lock cannot be had.
    fn wait_for_lock(
        &self,
        lock: &mut LockFile,
        snapshot: &Snapshot,
        limit: Duration,
    ) -> io::Result<Option<LockOutcome<'_>>> {
        let mut wait = Wait::of(limit);
        // After the first wait all callers wake at once, because usually there is a token for all.
        let mut in_line = false;
        let mut waiting = None;
        loop {
            if lock.try_exclusive()? {
                return Ok(self.change_since(snapshot));
            }
            let waiting = waiting.get_or_insert_with(|| {
                message::step(|| format!("lock: held by {}", holder(lock)));
                Waiting::begin(WaitingFor::Other)
            });
            waiting.note_if_due(|| {
                let holder = holder(lock);
                format!("waiting for {holder}, which is requesting this token")
            });
            let left = wait.left();
            if left.is_zero() {
                wait.extend()?;
                *lock = lock.replace()?;
                continue;
            }
            let step = waiting.quiet(left.min(POLL_INTERVAL));
            let is_free = if in_line {
                lock.wait_in_line(step)?
            } else {
                lock.wait_until_free(step)?
            };
            if let Some(outcome) = self.change_since(snapshot) {
                return Ok(Some(outcome));
            }
            if is_free {
                // The holder failed or was killed, and one of those who wait replaces it.
                in_line = true;
                let _ = wait.extend();
            } else if lock.is_removed() {
                *lock = self.open_lock()?;
                let _ = wait.extend();
            }
        }
    }

    /// Locks without waiting. None if another caller holds the lock, or the file cannot be locked.
    pub(crate) fn try_lock(&self, snapshot: &Snapshot) -> Option<LockOutcome<'_>> {
        let mut lock = self.open_lock().ok()?;
        if !lock.try_exclusive().ok()? {
            return None;
        }
        let outcome = self.change_since(snapshot);
        Some(outcome.unwrap_or_else(|| LockOutcome::Acquired(self.entry_lock(Some(lock)))))
    }

    pub(super) fn open_lock(&self) -> io::Result<LockFile> {
        disk::private_directory(&self.root)?;
        LockFile::open(&self.lock_path())
    }

    /// What another caller stored since the snapshot.
    fn change_since(&self, snapshot: &Snapshot) -> Option<LockOutcome<'_>> {
        if let Some(token) = self
            .token()
            .filter(|token| snapshot.token.as_ref() != Some(token))
        {
            return Some(LockOutcome::Token(token));
        }
        let record = self
            .read_failure()
            .filter(|record| snapshot.failure.as_ref() != Some(record))?;
        Some(match record.failure {
            Some(failure) => LockOutcome::Failed(failure),
            // The server's tokens have no lifetime, so every caller needs its own.
            None => LockOutcome::Acquired(self.entry_lock(None)),
        })
    }

    fn entry_lock(&self, lock: Option<LockFile>) -> EntryLock<'_> {
        EntryLock { entry: self, lock }
    }
}

/// The holder of a lock, for messages.
fn holder(lock: &LockFile) -> String {
    match lock.holder() {
        Some(process) => format!("process {process}"),
        None => "another process".to_owned(),
    }
}

/// How long to wait for the lock's holder, and once more for the one that replaces it.
struct Wait {
    limit: Duration,
    deadline: Instant,
    is_extended: bool,
}

impl Wait {
    fn of(limit: Duration) -> Self {
        Self {
            limit,
            deadline: Instant::now() + limit,
            is_extended: false,
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Starts the wait again, but only once: many holders that fail one after another must not keep us
    /// waiting for ever.
    fn extend(&mut self) -> io::Result<()> {
        if self.is_extended {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.is_extended = true;
        self.deadline = Instant::now() + self.limit;
        Ok(())
    }
}

/// The right to request this entry's token. If it is dropped without a result, or the process is
/// killed, another caller gets it.
#[derive(Debug)]
pub(crate) struct EntryLock<'a> {
    entry: &'a CacheEntry,
    /// None if the file could not be locked, or the wait was too long.
    pub(super) lock: Option<LockFile>,
}

impl EntryLock<'_> {
    /// Stores a new token for all callers.
    ///
    /// Also removes some stale entries. After a request that takes little extra time; a hit, a failure
    /// or a caller that waits does not do it.
    ///
    /// # Errors
    /// `Broken` if it cannot be written.
    pub(crate) fn store(self, token: &CachedToken) -> Result<()> {
        let Self { entry, lock } = self;
        let is_kept = entry.keeps(token);
        let written = if is_kept {
            let written = entry.write(token);
            written.and_then(|form| disk::remove(&entry.failure_path()).map(|()| form))
        } else {
            let removed = disk::remove(&entry.path);
            let recorded = removed.and_then(|()| entry.write_failure(None));
            recorded.map(|()| Form::None)
        };
        if written.is_err() && !entry.mode.allows_plain() {
            // If it cannot be encrypted, callers that wait need tokens of their own.
            let _ = entry
                .remove_plain()
                .and_then(|()| entry.write_failure(None));
        }
        let form = written.map_err(|error| entry.cannot_write(error))?;
        message::step(|| match form {
            Form::None if entry.mode == CacheMode::None => {
                "cache: the token is not saved, as the mode is none".to_owned()
            }
            Form::None => "cache: the token is not saved, as it has no lifetime".to_owned(),
            form => {
                let path = entry.path.display();
                format!("cache: saved the token in {path} ({})", form.as_str())
            }
        });
        // Without a lock nothing is removed, because another caller may be about to write it.
        if let (Some(lock), Some(directory)) = (lock, entry.path.parent()) {
            // Callers that wait get the token first.
            drop(lock);
            // The time differs in each call; in a container the process number may not.
            sweep::sweep(directory, &entry.key, Timestamp::now().0, entry.mode);
        }
        Ok(())
    }

    /// Stores a failure for the callers that wait, and for later ones as long as it applies.
    pub(crate) fn store_failure(self, failure: TokenFailure) -> io::Result<()> {
        self.entry.write_failure(Some(failure))
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::ENTRY_LIMIT;
    use super::super::tests::{directory, entry, token};
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_wait_starts_again_only_once() {
        let limit = Duration::from_secs(3600);
        let mut wait = Wait::of(limit);
        wait.deadline -= limit;
        assert!(wait.left().is_zero());
        wait.extend().expect("another time");
        assert!(wait.left() > limit / 2);
        assert!(wait.extend().is_err());
    }

    #[test]
    fn a_long_failure_reaches_the_callers_that_wait() {
        let directory = directory();
        let entry = entry(&directory, "a");
        let error = Error::refused("x".repeat(8 * 1024));
        let failure = TokenFailure::from_response(&error, Timestamp::now());
        let snapshot = entry.snapshot(None);
        let lock = entry.entry_lock(None);
        lock.store_failure(failure).expect("written");
        let LockOutcome::Failed(failure) = entry.lock(&snapshot, Duration::ZERO) else {
            panic!("there is a failure");
        };
        assert_eq!(failure.message().len(), 8 * 1024);
    }

    #[test]
    fn a_token_that_cannot_be_saved_in_plain_text_leaves_no_record_for_others() {
        let directory = directory();
        let entry = entry(&directory, "a");
        let long = "x".repeat(usize::try_from(ENTRY_LIMIT).expect("a small number"));
        let mut token = token();
        token.members.insert("member".to_owned(), long);
        let lock = entry.entry_lock(None);
        assert!(lock.store(&token).is_err());
        assert!(!entry.path.exists() && !entry.failure_path().exists());
    }
}
