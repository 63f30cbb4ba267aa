//! Which of two secrets a server accepts, while a profile has both.
//!
//! A refused secret may count against the client, so one caller tries the new one, and the others use
//! what it found. Losing the record costs one more try.

use std::time::{Duration, Instant};

use super::Cache;
use crate::platform::Trust;
use crate::platform::disk::{self, Durability, Found, LockFile};

/// How long the previous secret is used before the new one is tried again.
const PAUSE: Duration = Duration::from_secs(60 * 60);

const RECORD: &str = "rotation";
const LOCK: &str = "rotation.lock";

/// What the server said about the two secrets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Accepted {
    /// The new one.
    Current,
    /// The previous one, and not the new one yet.
    Previous,
    /// Not the previous one any more: it is not tried again.
    NotPrevious,
}

impl Accepted {
    const ALL: [Self; 3] = [Self::Current, Self::Previous, Self::NotPrevious];

    fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
            Self::NotPrevious => "not-previous",
        }
    }
}

impl Cache {
    /// What is known of the secrets of this rotation. None if the new secret must be tried.
    pub(crate) fn accepted_secret(&self, generation: &str) -> Option<Accepted> {
        let path = self.directory.join(RECORD);
        let Ok(Found::Content(content)) = disk::read(&path, 1024, Trust::Private) else {
            return None;
        };
        let record = |known: &Accepted| content == record_of(generation, *known).as_bytes();
        let known = Accepted::ALL.into_iter().find(|known| record(known))?;
        let is_old = || !matches!(disk::age(&path), Ok(Some(age)) if age < PAUSE);
        (known != Accepted::Previous || !is_old()).then_some(known)
    }

    /// Records it for other callers, if that can be written.
    pub(crate) fn record_accepted(&self, generation: &str, known: Accepted) {
        let content = record_of(generation, known);
        let path = self.directory.join(RECORD);
        let _ = disk::replace(&path, content.as_bytes(), Durability::Cache);
    }

    /// Waits until no other caller tries the new secret. None if it takes too long, or cannot be locked:
    /// then this caller tries it as well.
    pub(crate) fn lock_rotation(&self, limit: Duration) -> Option<LockFile> {
        let mut lock = LockFile::open(&self.directory.join(LOCK)).ok()?;
        let deadline = Instant::now() + limit;
        loop {
            if lock.try_exclusive().ok()? {
                return Some(lock);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            lock.wait_until_free(left).ok()?;
        }
    }
}

fn record_of(generation: &str, known: Accepted) -> String {
    format!("{generation} {}\n", known.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{age, cache, directory};
    use super::*;

    #[test]
    fn what_a_server_accepts_is_known_of_this_rotation_only() {
        let directory = directory();
        let cache = cache(&directory);
        assert_eq!(cache.accepted_secret("1"), None);
        for known in Accepted::ALL {
            cache.record_accepted("1", known);
            assert_eq!(cache.accepted_secret("1"), Some(known));
            assert_eq!(cache.accepted_secret("2"), None);
        }
    }

    #[test]
    fn the_new_secret_is_tried_again_after_an_hour() {
        let directory = directory();
        let cache = cache(&directory);
        for known in Accepted::ALL {
            for (minutes, is_known) in [(59, true), (60, known != Accepted::Previous)] {
                cache.record_accepted("1", known);
                let since = Duration::from_secs(minutes * 60);
                age(&cache.directory.join(RECORD), since);
                assert_eq!(cache.accepted_secret("1"), is_known.then_some(known));
            }
        }
    }

    #[test]
    fn one_caller_at_a_time_tries_the_new_secret() {
        let directory = directory();
        let cache = cache(&directory);
        let held = cache.lock_rotation(Duration::ZERO).expect("it is free");
        assert!(cache.lock_rotation(Duration::ZERO).is_none());
        let limit = Duration::from_secs(60);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| cache.lock_rotation(limit).is_some());
            drop(held);
            assert!(waiting.join().expect("it waits"));
        });
    }
}
