//! Removes stale entries, such as the expired token of a scope that is no longer requested. A caller
//! that has just stored a token does this.
//!
//! Best effort: after an error, the next sweep or a logout removes the rest. The cost is bounded, however
//! many files the directory has.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::format::{ENTRY_LIMIT, EntryContent, is_of_another_version, parse_plain};
use super::sealed;
use crate::platform::Trust;
use crate::platform::disk::{self, Found, LockFile};
use crate::profile::CacheMode;
use crate::types::token::Timestamp;
use crate::types::token_failure::MAX_RETRY_AFTER;

/// The most names to read; one key has up to four. Later names are reached once these are gone
/// (lock files stay on Windows).
const NAME_LIMIT: usize = 1000;
/// The most keys and temporary files to check in one sweep.
const CANDIDATE_LIMIT: usize = 16;

/// The process that wrote a temporary file of this age was killed: no write takes so long.
const LONGEST_WRITE: Duration = Duration::from_secs(3600);

/// A token that an API refused so long ago has expired in the shared cache, too, unless the profile keeps
/// tokens for longer than by default.
const REJECTED: Duration = Duration::from_secs(24 * 3600);

/// Checks some of the keys in a profile's directory, but not `own`, and removes stale ones.
///
/// `start` selects the first one. It differs in each call, so that all are checked in time.
pub(super) fn sweep(directory: &Path, own: &str, start: u64, mode: CacheMode) {
    let names = disk::some_names(directory, NAME_LIMIT).unwrap_or_default();
    let candidates = names.iter().filter_map(|name| candidate(name));
    let candidates: BTreeSet<_> = candidates.filter(|candidate| *candidate != own).collect();
    if candidates.is_empty() {
        return;
    }
    // The remainder fits in 32 bits, `start` may not.
    let start = usize::try_from(start % candidates.len() as u64).unwrap_or(0);
    let ring = candidates.iter().cycle().skip(start);
    for candidate in ring.take(candidates.len().min(CANDIDATE_LIMIT)) {
        let _ = if disk::is_temporary(candidate) {
            disk::remove_if_older(&directory.join(candidate), LONGEST_WRITE)
        } else {
            remove_if_stale(directory, candidate, mode)
        };
    }
}

/// The key that a file belongs to, or the name of a temporary file. None for files of others.
fn candidate(name: &str) -> Option<&str> {
    if disk::is_temporary(name) {
        return Some(name);
    }
    let (key, kind) = name.rsplit_once('.')?;
    let kinds: &[_] = if LockFile::CAN_BE_REMOVED {
        &["json", "failure", "rejected", "lock"]
    } else {
        &["json", "failure", "rejected"]
    };
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (key.len() == 64 && key.bytes().all(digit) && kinds.contains(&kind)).then_some(key)
}

/// Removes the files of one key, if they are stale.
fn remove_if_stale(directory: &Path, key: &str, mode: CacheMode) -> io::Result<()> {
    let path = |kind| directory.join([key, kind].concat());
    let (entry, failure, rejected) = (path(".json"), path(".failure"), path(".rejected"));
    let is_stale = || is_stale(&entry, &failure, &rejected, key, mode);
    // Checked without the lock first, because locking would delay callers that renew a working token.
    if !is_stale()? {
        return Ok(());
    }
    let mut lock = LockFile::open(&path(".lock"))?;
    // Another caller may have come meanwhile, and even have stored a token.
    if !lock.try_exclusive()? || !is_stale()? {
        return Ok(());
    }
    disk::remove(&entry)?;
    disk::remove(&failure)?;
    disk::remove(&rejected)?;
    // Last, and while it is locked: until then, no other caller can get the lock.
    lock.remove()
}

fn is_stale(
    entry: &Path,
    failure: &Path,
    rejected: &Path,
    key: &str,
    mode: CacheMode,
) -> io::Result<bool> {
    match disk::read(entry, ENTRY_LIMIT, Trust::Private)? {
        Found::Nothing => {}
        Found::Content(content) if sealed::is_sealed(&content) => {
            if !sealed::is_expired(&content, Timestamp::now()) {
                return Ok(false);
            }
        }
        Found::Content(content) if is_of_another_version(&content) => return Ok(false),
        // Of any login, because a profile may be changed back. A damaged entry is stale.
        Found::Content(content) => {
            let token = parse_plain(&content, key).and_then(EntryContent::into_token);
            // What the mode does not allow is of no more use.
            let token = token.filter(|_| mode.allows_plain());
            // The clock is read after the entry: otherwise a token that was stored in between would seem
            // to come from the future.
            if token.is_some_and(|token| token.is_unexpired(Timestamp::now())) {
                return Ok(false);
            }
        }
        // hallpass did not write it like that: only a logout removes it.
        Found::Distrusted(_) => return Ok(false),
    }
    if disk::age(rejected)?.is_some_and(|age| age <= REJECTED) {
        return Ok(false);
    }
    // A younger failure may still apply, or callers that wait may not have read it yet.
    Ok(disk::age(failure)?.is_none_or(|age| age > MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::{Barrier, Mutex};
    use std::thread;

    use tempfile::TempDir;

    use super::super::tests::{age, directory, entry};
    use super::super::{CacheEntry, LockOutcome};
    use super::*;
    use crate::platform::disk::Durability;

    #[test]
    #[cfg_attr(windows, ignore = "lock files are never removed")]
    fn a_removed_lock_file_locks_nothing() {
        let cache = TestCache::new();
        let entry = cache.entry("a");
        // Opened, but not locked yet.
        let mut opened = entry.open_lock().expect("a lock file");
        cache.sweep();
        assert!(!entry.lock_path().exists());
        let snapshot = entry.snapshot(None);
        let outcome = entry.lock(&snapshot, Duration::ZERO);
        assert!(matches!(&outcome, LockOutcome::Acquired(held) if held.lock.is_some()));
        assert!(!opened.try_exclusive().expect("locks"), "it is locked");
        assert!(entry.try_lock(&snapshot).is_none());
        drop(outcome);
        // A process that another test is starting may have a copy of the descriptor for a moment.
        let limit = Duration::from_secs(60);
        let is_free = opened.try_exclusive().expect("locks");
        assert!(is_free || opened.wait_in_line(limit).expect("waits"));
        assert!(
            entry.try_lock(&snapshot).is_none(),
            "both use the same file"
        );
    }

    #[test]
    #[cfg_attr(windows, ignore = "lock files are never removed")]
    fn callers_that_wait_for_a_removed_lock_file_get_the_lock_one_at_a_time() {
        let cache = TestCache::new();
        let entries: Vec<_> = (0..20).map(|_| cache.entry("a")).collect();
        let mut swept = entries[0].open_lock().expect("a lock file");
        assert!(swept.try_exclusive().expect("locks"));
        let exclusive = Mutex::new(());
        let begun = Barrier::new(entries.len() + 1);
        thread::scope(|scope| {
            for entry in &entries {
                let (exclusive, begun) = (&exclusive, &begun);
                scope.spawn(move || {
                    let snapshot = entry.snapshot(None);
                    begun.wait();
                    let outcome = entry.lock(&snapshot, LONGEST_WRITE);
                    let LockOutcome::Acquired(held) = outcome else {
                        panic!("no caller stored a token: {outcome:?}");
                    };
                    assert!(held.lock.is_some());
                    let only = exclusive
                        .try_lock()
                        .expect("no other caller holds the lock");
                    assert!(
                        entry.try_lock(&snapshot).is_none(),
                        "no other caller gets the lock"
                    );
                    drop((only, held));
                });
            }
            begun.wait();
            swept.remove().expect("removed");
        });
    }

    #[test]
    fn a_locked_key_is_not_removed() {
        let cache = TestCache::new();
        let (locked, free) = (cache.stale("locked"), cache.stale("free"));
        let mut held = locked.open_lock().expect("a lock file");
        assert!(held.try_exclusive().expect("locks"));
        free.open_lock().expect("a lock file");
        cache.sweep();
        assert!(locked.path.exists() && !free.path.exists());
        assert_eq!(free.lock_path().exists(), !LockFile::CAN_BE_REMOVED);
    }

    #[test]
    fn the_record_of_a_refused_token_is_removed_after_a_day() {
        let cache = TestCache::new();
        let entry = cache.stale("a");
        entry.record_rejected("fingerprint");
        disk::remove(&entry.path).expect("removed");
        for (hours, is_kept) in [(23, true), (24, false)] {
            age(&entry.rejected_path(), Duration::from_secs(hours * 3600));
            cache.sweep();
            assert_eq!(entry.rejected().is_some(), is_kept, "{hours} h");
        }
        assert_eq!(entry.lock_path().exists(), !LockFile::CAN_BE_REMOVED);
    }

    #[test]
    fn a_failure_is_kept_as_long_as_it_may_apply() {
        let cache = TestCache::new();
        let entry = cache.stale("a");
        entry.write_failure(None).expect("written");
        cache.sweep();
        assert!(entry.failure_path().exists() && entry.path.exists());
        age(&entry.failure_path(), MAX_RETRY_AFTER);
        cache.sweep();
        assert!(!entry.failure_path().exists() && !entry.path.exists());
    }

    #[test]
    fn an_encrypted_token_is_kept_until_it_expires_by_all_sessions() {
        let cache = TestCache::new();
        let entry = cache.entry("a");
        let now = Timestamp::now();
        for (expires_at, is_kept) in [(now.plus(REJECTED), true), (Timestamp(1000), false)] {
            let content = sealed::tests::sealed(1, expires_at.0, b"");
            disk::replace(&entry.path, &content, Durability::Cache).expect("written");
            cache.sweep();
            assert_eq!(entry.path.exists(), is_kept);
        }
    }

    #[test]
    fn a_token_of_another_version_is_kept() {
        let cache = TestCache::new();
        let entry = cache.entry("a");
        for (content, is_kept) in [("hallpass-99 x", true), ("another-99 x", false)] {
            disk::replace(&entry.path, content.as_bytes(), Durability::Cache).expect("written");
            cache.sweep();
            assert_eq!(entry.path.exists(), is_kept, "{content}");
        }
    }

    #[test]
    fn a_sweep_checks_a_bounded_number_of_keys() {
        let cache = TestCache::new();
        let count = 5 * CANDIDATE_LIMIT;
        let entries: Vec<_> = (0..count).map(|n| cache.stale(&n.to_string())).collect();
        let left = || entries.iter().filter(|entry| entry.path.exists()).count();
        assert_eq!(left(), count);
        for sweep in 1..=5 {
            cache.sweep();
            assert_eq!(left(), count - sweep * CANDIDATE_LIMIT);
        }
    }

    #[test]
    fn all_keys_are_checked_in_time() {
        let count = 3 * CANDIDATE_LIMIT;
        for number in (0..count).step_by(11) {
            let cache = TestCache::new();
            let entries: Vec<_> = (0..count).map(|n| cache.stale(&n.to_string())).collect();
            let stale = &entries[number];
            let others = entries.iter().filter(|entry| entry.key != stale.key);
            let _busy: Vec<_> = others
                .map(|entry| {
                    let mut lock = entry.open_lock().expect("a lock file");
                    assert!(lock.try_exclusive().expect("locks"));
                    lock
                })
                .collect();
            // Numbers as they are used: milliseconds.
            let now = Timestamp::now().0;
            for start in now..now + count as u64 {
                sweep(&cache.directory(), "own", start, CacheMode::Plain);
            }
            assert!(!stale.path.exists());
        }
    }

    #[test]
    fn files_of_others_are_not_candidates() {
        let key = "0123456789abcdef".repeat(4);
        for (name, expected) in [
            (format!("{key}.json"), Some(key.as_str())),
            (format!("{key}.failure"), Some(&key)),
            (format!("{key}.rejected"), Some(&key)),
            (".tmp-x".to_owned(), Some(".tmp-x")),
            (key.clone(), None),
            (format!("{key}.txt"), None),
            (format!("{key}.json.json"), None),
            (format!("{}.json", &key[1..]), None),
            (format!("{}.json", key.to_uppercase()), None),
            (format!("../{}.json", &key[3..]), None),
            ("failure".to_owned(), None),
        ] {
            assert_eq!(candidate(&name), expected, "{name}");
        }
    }

    /// A profile's directory.
    struct TestCache(TempDir);

    impl TestCache {
        fn new() -> Self {
            Self(directory())
        }

        fn entry(&self, scope: &str) -> CacheEntry {
            entry(&self.0, scope)
        }

        /// An entry that is damaged, and so stale.
        fn stale(&self, scope: &str) -> CacheEntry {
            let entry = self.entry(scope);
            disk::replace(&entry.path, b"damaged", Durability::Cache).expect("written");
            entry
        }

        fn directory(&self) -> PathBuf {
            self.0.path().join("cache/p")
        }

        fn sweep(&self) {
            sweep(&self.directory(), "own", 0, CacheMode::Plain);
        }
    }
}
