//! The one decision: reuse a token, wait for another caller who requests one, or request one.
//!
//! What is shared with other callers is a token, and what the server said. A failure of this process
//! is its own: whoever waits then sends a request in turn.

use std::time::Duration;

use crate::cache::{CacheEntry, EntryLock, LockOutcome, Snapshot};
use crate::error::{Error, Result};
use crate::types::cached_failure::CachedFailure;
use crate::types::token::{CachedToken, Timestamp};

/// What the caller wants of a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReusePolicy {
    pub(crate) min_ttl: Duration,
    /// A new one, whatever is cached.
    pub(crate) refresh: bool,
    /// How long another caller may take who requests a token, before we stop waiting for it.
    pub(crate) wait_limit: Duration,
}

/// What the decision touches of the world, opened only when it comes to that.
pub(crate) struct TokenSource<'a, S> {
    pub(crate) now: &'a dyn Fn() -> Timestamp,
    pub(crate) secret: &'a dyn Fn() -> Result<S>,
    pub(crate) request: &'a dyn Fn(&S) -> std::result::Result<CachedToken, CachedFailure>,
    /// Whether the login that we act for is still the one on this machine. An error says that the
    /// profile could not be read, which is no reason to believe that it changed.
    pub(crate) is_current: &'a dyn Fn() -> Result<bool>,
}

/// How the decision came out.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// From the cache: asked for earlier, or by another caller while we waited.
    Reused(CachedToken),
    /// Asked for by us. It may not have been possible to cache it.
    Fresh {
        token: CachedToken,
        not_cached: Option<Error>,
    },
    /// It still works, but should have been renewed, and could not be.
    Stale {
        token: CachedToken,
        refusal: CachedFailure,
    },
    /// Somebody logged in anew, or out, meanwhile: what we know no longer counts.
    LoginChanged,
}

/// Gets a token for the request whose place this is.
///
/// A hit reads one file: no lock, no secret, no request, no write. On a miss, one caller requests a
/// token, and all who wait share it, or the server's refusal. Of those who find a token that is due
/// soon, one renews it and nobody waits.
///
/// # Errors
/// Why there is none: the secret's, the token endpoint's, or the profile's, if it cannot be read again.
pub(crate) fn obtain<S>(
    place: &CacheEntry,
    wish: ReusePolicy,
    doors: &TokenSource<'_, S>,
) -> Result<Outcome> {
    let now = (doors.now)();
    let cached = match place.token() {
        Some(token) if !wish.refresh && token.usable_for(now, wish.min_ttl) => {
            return if token.is_in_early_refresh(now) {
                renew_early(place, token, wish, doors)
            } else {
                Ok(Outcome::Reused(token))
            };
        }
        cached => cached,
    };
    let seen = place.seen(cached);
    if let Some(refusal) = seen.refusal((doors.now)(), wish.refresh) {
        return fall_back(seen, wish, doors, refusal);
    }
    let turn = place.turn(&seen, wish.wait_limit);
    take(place, turn, seen, wish, doors)
}

/// Renews a token that is due soon, unless another caller is at it, or was just refused. Nobody is
/// worse off without a new one yet, so a failure is not reported.
fn renew_early<S>(
    place: &CacheEntry,
    token: CachedToken,
    wish: ReusePolicy,
    doors: &TokenSource<'_, S>,
) -> Result<Outcome> {
    let seen = place.seen(Some(token.clone()));
    if seen.refusal((doors.now)(), false).is_some() {
        return Ok(Outcome::Reused(token));
    }
    let Some(turn) = place.try_lock(&seen) else {
        return Ok(Outcome::Reused(token));
    };
    match take(place, turn, seen, wish, doors) {
        Ok(Outcome::Stale { token, .. }) => Ok(Outcome::Reused(token)),
        outcome => outcome,
    }
}

/// Does what this caller's turn is for.
fn take<S>(
    place: &CacheEntry,
    turn: LockOutcome<'_>,
    seen: Snapshot,
    wish: ReusePolicy,
    doors: &TokenSource<'_, S>,
) -> Result<Outcome> {
    // Whoever logged in or out while we waited did not mean what others still bring.
    match (doors.is_current)() {
        Ok(true) => {}
        Ok(false) => {
            place.remove();
            return Ok(Outcome::LoginChanged);
        }
        Err(error) => return fall_back_from(seen, wish, doors, &error),
    }
    match turn {
        LockOutcome::Token(token) if token.still_works((doors.now)()) => Ok(Outcome::Reused(token)),
        LockOutcome::Token(_) => Err(expired()),
        LockOutcome::Refused(refusal) => fall_back(seen, wish, doors, refusal),
        LockOutcome::Mine(slot) => ask(place, slot, seen, wish, doors),
    }
}

fn expired() -> Error {
    Error::unavailable("the token had expired before it could be used").hint("try again")
}

fn ask<S>(
    place: &CacheEntry,
    slot: EntryLock<'_>,
    seen: Snapshot,
    wish: ReusePolicy,
    doors: &TokenSource<'_, S>,
) -> Result<Outcome> {
    let response = (doors.secret)()
        .map_err(|error| CachedFailure::local(&error, (doors.now)()))
        .and_then(|secret| (doors.request)(&secret));
    // Written first, checked afterwards: whoever logs in or out changes the profile first and
    // clears the cache afterwards, so one of the two removes a token that came too late.
    let outcome = match response {
        Ok(token) => keep(place, slot, token, doors),
        Err(refusal) => {
            share(slot, &refusal);
            Err(refusal)
        }
    };
    match (doors.is_current)() {
        Ok(true) => match outcome {
            Ok(outcome) => Ok(outcome),
            Err(refusal) => fall_back(seen, wish, doors, refusal),
        },
        Ok(false) => {
            place.remove();
            Ok(Outcome::LoginChanged)
        }
        // What was written stays for those who can read the profile. A failure of our own comes first.
        Err(unreadable) => match outcome {
            Ok(_) => fall_back_from(seen, wish, doors, &unreadable),
            Err(refusal) => fall_back(seen, wish, doors, refusal),
        },
    }
}

/// Caches a new token, unless it comes so late that there is a newer one: a process may be stopped
/// for hours, and another caller takes its place.
fn keep<S>(
    place: &CacheEntry,
    slot: EntryLock<'_>,
    token: CachedToken,
    doors: &TokenSource<'_, S>,
) -> std::result::Result<Outcome, CachedFailure> {
    let now = (doors.now)();
    let is_newer =
        |cached: &CachedToken| cached.still_works(now) && cached.received_at > token.received_at;
    let newer = place.token().filter(is_newer);
    if token.lasts() && !token.still_works(now) {
        let expired = || CachedFailure::local(&expired(), now);
        return newer.map(Outcome::Reused).ok_or_else(expired);
    }
    let not_cached = match newer {
        Some(_) => None,
        None => slot.fill(&token).err(),
    };
    Ok(Outcome::Fresh { token, not_cached })
}

/// Tells those who wait what the server said. Any other failure ends the turn without a word, and
/// the next caller tries.
fn share(slot: EntryLock<'_>, refusal: &CachedFailure) {
    if refusal.is_by_server() {
        // Where it cannot be written, those who wait ask the server themselves.
        let _ = slot.refuse(refusal.clone());
    }
}

/// The same as [`fall_back`], for what is this process's own.
fn fall_back_from<S>(
    seen: Snapshot,
    wish: ReusePolicy,
    doors: &TokenSource<'_, S>,
    error: &Error,
) -> Result<Outcome> {
    let refusal = CachedFailure::local(error, (doors.now)());
    fall_back(seen, wish, doors, refusal)
}

/// No new token: the old one, if it still works and nobody insisted on a new one.
fn fall_back<S>(
    seen: Snapshot,
    wish: ReusePolicy,
    doors: &TokenSource<'_, S>,
    refusal: CachedFailure,
) -> Result<Outcome> {
    match seen.token {
        Some(token) if !wish.refresh && token.still_works((doors.now)()) => {
            Ok(Outcome::Stale { token, refusal })
        }
        _ => Err(refusal.into_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use tempfile::TempDir;
    use zeroize::Zeroizing;

    use super::*;
    use crate::cache::Cache;
    use crate::error::Kind;
    use crate::platform::disk::{self, Directories};
    use crate::profile::token_request::TokenRequest;
    use crate::profile::{self, ProfileName};
    use crate::types::secret::AccessToken;
    use crate::types::secret::ClientSecret;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    const WISH: ReusePolicy = ReusePolicy {
        min_ttl: Duration::ZERO,
        refresh: false,
        wait_limit: Duration::ZERO,
    };

    #[test]
    fn a_hit_opens_no_door() {
        let room = Room::new();
        room.place.keep(&token("cached", NOW, HOUR)).expect("kept");
        let before = room.files();
        let doors = TokenSource {
            now: &|| NOW.plus(MINUTE),
            secret: &|| unreachable!("a hit must not open the keychain"),
            request: &|_: &ClientSecret| unreachable!("a hit must not ask"),
            is_current: &|| unreachable!("a hit must not read the profile again"),
        };
        let outcome = obtain(&room.place, WISH, &doors).expect("a token");
        assert!(matches!(outcome, Outcome::Reused(token) if printed(&token) == "cached"));
        assert_eq!(room.files(), before, "no lock, no note");
    }

    #[test]
    fn a_miss_asks_once_and_keeps_what_it_got() {
        let room = Room::new();
        let asked = Cell::new(0);
        let doors = TokenSource {
            now: &|| NOW,
            secret: &secret,
            request: &|_| {
                asked.set(asked.get() + 1);
                Ok(token("fresh", NOW, HOUR))
            },
            is_current: &|| Ok(true),
        };
        let first = obtain(&room.place, WISH, &doors).expect("a token");
        let fresh = matches!(&first, Outcome::Fresh { token, not_cached: None } if printed(token) == "fresh");
        assert!(fresh, "{first:?}");
        let second = obtain(&room.place, WISH, &doors).expect("a token");
        assert!(matches!(second, Outcome::Reused(_)), "{second:?}");
        assert_eq!(asked.get(), 1);
    }

    #[test]
    fn who_insists_gets_a_new_token() {
        let room = Room::new();
        room.place.keep(&token("cached", NOW, HOUR)).expect("kept");
        let wish = ReusePolicy {
            refresh: true,
            ..WISH
        };
        let outcome = obtain(
            &room.place,
            wish,
            &answering(&|_| Ok(token("new", NOW, HOUR))),
        );
        assert!(
            matches!(&outcome, Ok(Outcome::Fresh { token, .. }) if printed(token) == "new"),
            "{outcome:?}"
        );
    }

    #[test]
    fn a_token_without_a_life_is_handed_out_and_not_kept() {
        let room = Room::new();
        room.place.keep(&token("due", NOW, MINUTE)).expect("kept");
        let wish = ReusePolicy {
            min_ttl: HOUR,
            ..WISH
        };
        let once = |_: &ClientSecret| Ok(token("once", NOW, Duration::ZERO));
        let outcome = obtain(&room.place, wish, &answering(&once));
        assert!(matches!(outcome, Ok(Outcome::Fresh { .. })), "{outcome:?}");
        assert_eq!(room.place.token(), None);
    }

    #[test]
    fn a_refusal_is_told_again_without_asking() {
        let room = Room::new();
        let refused = obtain(&room.place, WISH, &answering(&refuse)).expect_err("a refusal");
        assert_eq!(
            (refused.kind, refused.message.as_str()),
            (Kind::Refused, "no")
        );
        let silent = |_: &ClientSecret| unreachable!("it was refused a moment ago");
        let again = obtain(&room.place, WISH, &answering(&silent)).expect_err("a refusal");
        assert_eq!((again.kind, again.message.as_str()), (Kind::Refused, "no"));
        let force_refresh = ReusePolicy {
            refresh: true,
            ..WISH
        };
        let asked = obtain(
            &room.place,
            force_refresh,
            &answering(&|_| Ok(token("t", NOW, HOUR))),
        );
        assert!(matches!(asked, Ok(Outcome::Fresh { .. })), "{asked:?}");
    }

    #[test]
    fn a_secret_that_cannot_be_had_is_not_remembered() {
        let room = Room::new();
        let locked = TokenSource {
            secret: &|| Err(Error::locked("locked")),
            ..answering(&|_| unreachable!("nothing to ask with"))
        };
        for _ in 0..2 {
            let error = obtain(&room.place, WISH, &locked).expect_err("no secret");
            assert_eq!(error.kind, Kind::Locked);
        }
        let unlocked = obtain(
            &room.place,
            WISH,
            &answering(&|_| Ok(token("t", NOW, HOUR))),
        );
        assert!(
            matches!(unlocked, Ok(Outcome::Fresh { .. })),
            "{unlocked:?}"
        );
    }

    #[test]
    fn a_token_that_still_works_is_kept_when_there_is_no_new_one() {
        let wish = ReusePolicy {
            min_ttl: 2 * HOUR,
            ..WISH
        };
        // How far its hour has gone, whether a new token is required, and whether it is handed out.
        for (gone, refresh, kept) in [
            (MINUTE, false, true),
            (Duration::from_millis(3_599_999), false, true),
            (HOUR, false, false),
            (MINUTE, true, false),
        ] {
            let room = Room::new();
            room.place.keep(&token("cached", NOW, HOUR)).expect("kept");
            let now = || NOW.plus(gone);
            let doors = TokenSource {
                now: &now,
                ..answering(&refuse)
            };
            let outcome = obtain(&room.place, ReusePolicy { refresh, ..wish }, &doors);
            let was_kept =
                matches!(&outcome, Ok(Outcome::Stale { token, .. }) if printed(token) == "cached");
            assert_eq!(was_kept, kept, "{gone:?} {refresh} {outcome:?}");
            assert_eq!(outcome.is_err(), !kept);
        }
    }

    #[test]
    #[cfg_attr(windows, ignore = "a lock file stays there")]
    fn one_who_has_waited_for_too_long_takes_the_place_of_the_one_it_waited_for() {
        let room = Room::new();
        let stopped = room.place.turn(&room.place.seen(None), Duration::ZERO);
        assert!(matches!(stopped, LockOutcome::Mine(_)), "{stopped:?}");
        let issued = |_: &ClientSecret| Ok(token("t", NOW, HOUR));
        let outcome = obtain(&room.place, WISH, &answering(&issued));
        assert!(matches!(outcome, Ok(Outcome::Fresh { .. })), "{outcome:?}");
        // Nobody else has to wait for it again.
        let seen = room.place.seen(room.place.token());
        let turn = room.place.try_lock(&seen);
        assert!(matches!(turn, Some(LockOutcome::Mine(_))), "{turn:?}");
    }

    #[test]
    fn who_was_stopped_for_long_neither_replaces_a_newer_token_nor_gives_an_expired_one() {
        let room = Room::new();
        for (age, printed_token) in [(60_000, "late"), (3_600_001, "newer")] {
            let request: &Answer<'_> = &|_| {
                let newer = token("newer", NOW, HOUR);
                room.place.keep(&newer).expect("kept");
                Ok(token("late", Timestamp(NOW.0 - age), HOUR))
            };
            let outcome = obtain(&room.place, WISH, &answering(request));
            let Ok(Outcome::Fresh { token, .. } | Outcome::Reused(token)) = &outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!(printed(token), printed_token);
            let cached = room.place.token().expect("a token");
            assert_eq!(printed(&cached), "newer");
            room.place.discard_token();
        }
        let expired = |_: &ClientSecret| Ok(token("late", Timestamp(NOW.0 - 3_600_001), HOUR));
        let error = obtain(&room.place, WISH, &answering(&expired)).expect_err("nothing");
        assert_eq!(error.kind, Kind::Unavailable);
    }

    #[test]
    fn a_failure_of_this_process_is_not_shared() {
        let room = Room::new();
        let cut_off = |_: &ClientSecret| {
            let error = Error::unavailable("no network");
            Err(CachedFailure::local(&error, NOW))
        };
        let error = obtain(&room.place, WISH, &answering(&cut_off)).expect_err("nothing");
        assert_eq!(error.message, "no network");
        let files = room.files();
        assert!(files.iter().all(|name| name.contains(".lock")), "{files:?}");
        let issued = |_: &ClientSecret| Ok(token("t", NOW, HOUR));
        let outcome = obtain(&room.place, WISH, &answering(&issued));
        assert!(matches!(outcome, Ok(Outcome::Fresh { .. })), "{outcome:?}");
    }

    #[test]
    fn a_profile_that_cannot_be_read_again_has_not_changed() {
        let unreadable = || Err(Error::broken("cannot read the profile"));
        let issued = |_: &ClientSecret| Ok(token("new", NOW, HOUR));
        // After how many looks it cannot be read, whether a cached token will do, and what is cached then.
        for (looks, min_ttl, expected) in [
            (0, 2 * HOUR, Some("cached")),
            (1, 2 * HOUR, Some("cached")),
            (0, Duration::ZERO, None),
            (1, Duration::ZERO, None),
        ] {
            let room = Room::new();
            room.place.keep(&token("cached", NOW, HOUR)).expect("kept");
            let left = Cell::new(looks);
            let doors = TokenSource {
                is_current: &|| match left.get() {
                    0 => unreadable(),
                    more => {
                        left.set(more - 1);
                        Ok(true)
                    }
                },
                ..answering(&issued)
            };
            let wish = ReusePolicy {
                min_ttl,
                refresh: min_ttl.is_zero(),
                ..WISH
            };
            let outcome = obtain(&room.place, wish, &doors);
            match (expected, outcome) {
                (Some(text), Ok(Outcome::Stale { token, refusal })) => {
                    assert_eq!(printed(&token), text);
                    assert_eq!(refusal.message(), "cannot read the profile");
                }
                (None, Err(error)) => assert_eq!(error.message, "cannot read the profile"),
                (_, outcome) => panic!("{outcome:?}"),
            }
            assert!(room.place.token().is_some(), "a cached token stays");
        }
    }

    #[test]
    fn a_login_that_no_longer_counts_leaves_nothing() {
        let issued = |_: &ClientSecret| Ok(token("late", NOW, HOUR));
        let issued_once = |_: &ClientSecret| Ok(token("late", NOW, Duration::ZERO));
        let answers: [&Answer<'_>; 3] = [&issued, &issued_once, &refuse];
        for answer in answers {
            // It counts when the turn begins, and no longer when the answer is there.
            let looks = Cell::new(0);
            let doors = TokenSource {
                is_current: &|| Ok(looks.replace(1) == 0),
                ..answering(answer)
            };
            let room = Room::new();
            let outcome = obtain(&room.place, WISH, &doors);
            assert!(matches!(outcome, Ok(Outcome::LoginChanged)), "{outcome:?}");
            assert_eq!(room.files(), [""; 0]);
        }
    }

    #[test]
    fn nobody_asks_for_a_login_that_no_longer_counts() {
        let room = Room::new();
        let doors = TokenSource {
            secret: &|| unreachable!("another login's secret"),
            is_current: &|| Ok(false),
            ..answering(&refuse)
        };
        let outcome = obtain(&room.place, WISH, &doors);
        assert!(matches!(outcome, Ok(Outcome::LoginChanged)), "{outcome:?}");
        assert_eq!(room.files(), [""; 0]);
    }

    #[test]
    fn a_token_that_cannot_be_cached_is_handed_out() {
        let room = Room::new();
        // A file where the profile's directory should be: no lock, no entry, no note.
        std::fs::create_dir(room.directory.path().join("cache")).expect("a directory");
        std::fs::write(room.directory.path().join("cache/p"), "").expect("a file");
        let outcome = obtain(
            &room.place,
            WISH,
            &answering(&|_| Ok(token("t", NOW, HOUR))),
        );
        let told = matches!(&outcome, Ok(Outcome::Fresh { token, not_cached: Some(_) }) if printed(token) == "t");
        assert!(told, "{outcome:?}");
    }

    type Answer<'a> = dyn Fn(&ClientSecret) -> std::result::Result<CachedToken, CachedFailure> + 'a;

    /// It is now, the secret can be had, and the login counts.
    fn answering<'a>(request: &'a Answer<'a>) -> TokenSource<'a, ClientSecret> {
        TokenSource {
            now: &|| NOW,
            secret: &secret,
            request,
            is_current: &|| Ok(true),
        }
    }

    fn refuse(_: &ClientSecret) -> std::result::Result<CachedToken, CachedFailure> {
        Err(CachedFailure::brief(&Error::refused("no"), NOW))
    }

    fn secret() -> Result<ClientSecret> {
        ClientSecret::parse(&Zeroizing::new(b"s3cret".to_vec())).map_err(Error::usage)
    }

    fn token(text: &str, received_at: Timestamp, life: Duration) -> CachedToken {
        CachedToken {
            access_token: AccessToken::parse(text).expect("a token"),
            token_type: "Bearer".to_owned(),
            scope: None,
            members: BTreeMap::new(),
            received_at,
            expires_at: received_at.plus(life),
            warning: None,
        }
    }

    fn printed(token: &CachedToken) -> &str {
        token.access_token.expose()
    }

    /// A place for one request's token, in a directory of its own.
    struct Room {
        directory: TempDir,
        place: CacheEntry,
    }

    impl Room {
        fn new() -> Self {
            let directory = TempDir::with_prefix("hallpass-test-").expect("a directory");
            let directories = Directories {
                config: directory.path().join("config"),
                cache: directory.path().join("cache"),
            };
            let name = ProfileName::parse("p").expect("a good name");
            let request = TokenRequest::new(&name, &profile::example(), None, None, None);
            let place = Cache::of(&directories, &name).place(&request);
            Self { directory, place }
        }

        /// The names of the files in the cache.
        fn files(&self) -> Vec<String> {
            disk::names(&self.directory.path().join("cache/p")).expect("readable")
        }
    }
}
