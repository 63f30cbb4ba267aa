//! What nobody can use any more, such as the token for a scope that nobody asks for again: removed
//! in passing by whoever has just asked for a token.
//!
//! It is a courtesy: what goes wrong here is left to the next one, or to a logout. It costs no more
//! in a directory of a hundred thousand files than in one of a thousand.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::{ENTRY_LIMIT, Entry, checked, is_of_another_version};
use crate::platform::Trust;
use crate::platform::disk::{self, Found, LockFile};
use crate::types::cached_failure::LONGEST_HOLD_OFF;
use crate::types::token::Timestamp;

/// How many names are read: one key has up to three. They make room for the others in time, as no
/// token works for ever (but for lock files on Windows, which stay).
const MOST_NAMES: usize = 1000;
/// How many keys and half-written files are looked at.
const MOST_LOOKS: usize = 16;

/// No writer takes so long: who left a half-written file of this age was killed.
const LONGEST_WRITE: Duration = Duration::from_secs(3600);

/// Looks at some of the keys in a profile's directory, but not at `own`, and removes what is stale.
///
/// `start` is where to begin: another number each time, so that all get their turn.
pub(super) fn sweep(directory: &Path, own: &str, start: u64) {
    let names = disk::some_names(directory, MOST_NAMES).unwrap_or_default();
    let things = names.iter().filter_map(|name| thing(name));
    let things: BTreeSet<_> = things.filter(|thing| *thing != own).collect();
    if things.is_empty() {
        return;
    }
    // The rest fits where the number may not: on a processor of 32 bits.
    let start = usize::try_from(start % things.len() as u64).unwrap_or(0);
    let ring = things.iter().cycle().skip(start);
    for thing in ring.take(things.len().min(MOST_LOOKS)) {
        let _ = if disk::is_temporary(thing) {
            disk::remove_if_older(&directory.join(thing), LONGEST_WRITE)
        } else {
            remove_if_stale(directory, thing)
        };
    }
}

/// The key that a file belongs to, or the name of a half-written one. Other files are not ours.
fn thing(name: &str) -> Option<&str> {
    if disk::is_temporary(name) {
        return Some(name);
    }
    let (key, kind) = name.rsplit_once('.')?;
    let kinds: &[_] = if LockFile::CAN_BE_REMOVED {
        &["json", "note", "lock"]
    } else {
        &["json", "note"]
    };
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (key.len() == 64 && key.bytes().all(digit) && kinds.contains(&kind)).then_some(key)
}

/// Removes all that there is of one key, if it serves nobody.
fn remove_if_stale(directory: &Path, key: &str) -> io::Result<()> {
    let path = |kind| directory.join([key, kind].concat());
    let (entry, note) = (path(".json"), path(".note"));
    // Who is busy with a token that works is not disturbed, not even by a lock.
    if !is_stale(&entry, &note, key)? {
        return Ok(());
    }
    let mut lock = LockFile::open(&path(".lock"))?;
    // Somebody may have come meanwhile, and even have brought a token.
    if !lock.try_exclusive()? || !is_stale(&entry, &note, key)? {
        return Ok(());
    }
    disk::remove(&entry)?;
    disk::remove(&note)?;
    // Last, and while it is held: until then, nobody else has the turn.
    lock.remove()
}

fn is_stale(entry: &Path, note: &Path, key: &str) -> io::Result<bool> {
    match disk::read(entry, ENTRY_LIMIT, Trust::Private)? {
        Found::Nothing => {}
        Found::Content(content) if is_of_another_version(&content) => return Ok(false),
        // Of whatever login: a profile may be changed back. What is damaged works for nobody.
        Found::Content(content) => {
            let token = checked(&content, key).and_then(Entry::into_token);
            // By a clock that is read after the entry: else a token that came while we were held
            // up would be one from the future.
            if token.is_some_and(|token| token.still_works(Timestamp::now())) {
                return Ok(false);
            }
        }
        // Not as we write it: that goes when the person says so.
        Found::Distrusted(_) => return Ok(false),
    }
    // A younger note may hold, or those whom it is for may not have read it yet.
    Ok(disk::age(note)?.is_none_or(|age| age > LONGEST_HOLD_OFF))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::{Barrier, Mutex};
    use std::thread;

    use tempfile::TempDir;

    use super::super::{Cache, CacheEntry, LockOutcome};
    use super::*;
    use crate::platform::disk::{Directories, Durability};
    use crate::profile::token_request::TokenRequest;
    use crate::profile::{self, ProfileName};

    #[test]
    #[cfg_attr(windows, ignore = "a lock file stays there")]
    fn nobody_has_the_turn_by_a_lock_file_that_was_removed() {
        let room = Room::new();
        let place = room.place("a");
        // Opened, but not locked yet.
        let mut opened = place.open_lock().expect("a lock file");
        room.sweep();
        assert!(!place.lock().exists());
        let seen = place.seen(None);
        let turn = place.turn(&seen, Duration::ZERO);
        assert!(matches!(&turn, LockOutcome::Mine(slot) if slot.lock.is_some()));
        assert!(!opened.try_exclusive().expect("locks"), "it is not free");
        assert!(place.try_lock(&seen).is_none());
        drop(turn);
        assert!(opened.try_exclusive().expect("locks"));
        assert!(place.try_lock(&seen).is_none(), "all mean one file");
    }

    #[test]
    #[cfg_attr(windows, ignore = "a lock file stays there")]
    fn who_waits_for_a_lock_file_that_is_then_removed_has_the_turn_alone() {
        let room = Room::new();
        let places: Vec<_> = (0..20).map(|_| room.place("a")).collect();
        let mut swept = places[0].open_lock().expect("a lock file");
        assert!(swept.try_exclusive().expect("locks"));
        let alone = Mutex::new(());
        let begun = Barrier::new(places.len() + 1);
        thread::scope(|scope| {
            for place in &places {
                let (alone, begun) = (&alone, &begun);
                scope.spawn(move || {
                    let seen = place.seen(None);
                    begun.wait();
                    let turn = place.turn(&seen, LONGEST_WRITE);
                    let LockOutcome::Mine(slot) = turn else {
                        panic!("nobody brought a token: {turn:?}");
                    };
                    assert!(slot.lock.is_some());
                    let only = alone.try_lock().expect("nobody else has the turn");
                    assert!(place.try_lock(&seen).is_none(), "nor gets it");
                    drop((only, slot));
                });
            }
            begun.wait();
            swept.remove().expect("removed");
        });
    }

    #[test]
    fn a_key_that_somebody_is_busy_with_is_left_alone() {
        let room = Room::new();
        let place = room.stale("a");
        let mut held = place.open_lock().expect("a lock file");
        assert!(held.try_exclusive().expect("locks"));
        room.sweep();
        assert!(place.entry.exists());
        drop(held);
        room.sweep();
        assert!(!place.entry.exists());
        assert_eq!(place.lock().exists(), !LockFile::CAN_BE_REMOVED);
    }

    #[test]
    fn a_sweep_looks_at_so_many() {
        let room = Room::new();
        let count = 5 * MOST_LOOKS;
        let places: Vec<_> = (0..count).map(|n| room.stale(&n.to_string())).collect();
        let left = || places.iter().filter(|place| place.entry.exists()).count();
        assert_eq!(left(), count);
        for sweep in 1..=5 {
            room.sweep();
            assert_eq!(left(), count - sweep * MOST_LOOKS);
        }
    }

    #[test]
    fn all_keys_get_their_turn_in_time() {
        let room = Room::new();
        let count = 3 * MOST_LOOKS;
        let places: Vec<_> = (0..count).map(|n| room.stale(&n.to_string())).collect();
        for stale in places.iter().step_by(11) {
            let others = places.iter().filter(|place| place.key != stale.key);
            let busy: Vec<_> = others
                .map(|place| {
                    let mut lock = place.open_lock().expect("a lock file");
                    assert!(lock.try_exclusive().expect("locks"));
                    lock
                })
                .collect();
            // Numbers as they are used: milliseconds.
            let now = Timestamp::now().0;
            for start in now..now + count as u64 {
                sweep(&room.directory(), "own", start);
            }
            assert!(!stale.entry.exists());
            drop(busy);
        }
    }

    #[test]
    fn only_names_of_ours_are_looked_at() {
        let key = "0123456789abcdef".repeat(4);
        for (name, expected) in [
            (format!("{key}.json"), Some(key.as_str())),
            (format!("{key}.note"), Some(&key)),
            (".tmp-x".to_owned(), Some(".tmp-x")),
            (key.clone(), None),
            (format!("{key}.txt"), None),
            (format!("{key}.json.json"), None),
            (format!("{}.json", &key[1..]), None),
            (format!("{}.json", key.to_uppercase()), None),
            (format!("../{}.json", &key[3..]), None),
            ("note".to_owned(), None),
        ] {
            assert_eq!(thing(&name), expected, "{name}");
        }
    }

    /// A profile's directory.
    struct Room(TempDir);

    impl Room {
        fn new() -> Self {
            Self(TempDir::with_prefix("hallpass-test-").expect("a directory"))
        }

        fn place(&self, scope: &str) -> CacheEntry {
            let directories = Directories {
                config: self.0.path().join("config"),
                cache: self.0.path().join("cache"),
            };
            let name = ProfileName::parse("p").expect("a good name");
            let request = TokenRequest::new(&name, &profile::example(), Some(scope), None, None);
            Cache::of(&directories, &name).place(&request)
        }

        /// A place with an entry that works for nobody.
        fn stale(&self, scope: &str) -> CacheEntry {
            let place = self.place(scope);
            disk::replace(&place.entry, b"damaged", Durability::Cache).expect("written");
            place
        }

        fn directory(&self) -> PathBuf {
            self.0.path().join("cache/p")
        }

        fn sweep(&self) {
            sweep(&self.directory(), "own", 0);
        }
    }
}
