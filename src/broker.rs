//! The one decision: reuse a token, wait for somebody who asks for one, or ask.

use std::time::Duration;

use crate::cache::{Place, Seen, Slot, Turn};
use crate::error::{Error, Result};
use crate::refusal::Refusal;
use crate::token::{CachedToken, Timestamp};

/// What the caller wants of a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) min_ttl: Duration,
    /// A new one, whatever is cached.
    pub(crate) refresh: bool,
    /// How long to wait for somebody else who asks.
    pub(crate) patience: Duration,
}

/// What the decision touches of the world, opened only when it comes to that.
pub(crate) struct Doors<'a, S> {
    pub(crate) now: &'a dyn Fn() -> Timestamp,
    pub(crate) secret: &'a dyn Fn() -> Result<S>,
    pub(crate) request: &'a dyn Fn(&S) -> std::result::Result<CachedToken, Refusal>,
    /// Whether the login that we act for is still the one on this machine.
    pub(crate) is_current: &'a dyn Fn() -> bool,
}

/// How the decision came out.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// From the cache: asked for earlier, or by another caller while we waited.
    Reused(CachedToken),
    /// Asked for by us. It may not have been possible to cache it.
    Fresh {
        token: CachedToken,
        not_cached: Option<std::io::Error>,
    },
    /// It still works, but should have been renewed, and could not be.
    Kept {
        token: CachedToken,
        refusal: Refusal,
    },
    /// Somebody logged in anew, or out, meanwhile: what we know no longer counts.
    Superseded,
}

/// Gets a token for the request whose place this is.
///
/// A hit reads one file: no lock, no secret, no request, no write. On a miss, one caller asks and
/// all who wait share the outcome, be it a token or a refusal. Of those who find a token that is
/// due soon, one renews it and nobody waits.
///
/// # Errors
/// Why there is none: the secret's, the token endpoint's, or that the wait was too long.
pub(crate) fn obtain<S>(place: &Place, wish: Wish, doors: &Doors<'_, S>) -> Result<Outcome> {
    let now = (doors.now)();
    let cached = match place.token() {
        Some(token) if !wish.refresh && token.usable_for(now, wish.min_ttl) => {
            return if token.is_due_soon(now) {
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
    let turn = place.turn(&seen, wish.patience);
    take(place, turn, seen, wish, doors)
}

/// Renews a token that is due soon, unless somebody is at it, or was just refused. Nobody is
/// worse off without a new one yet, so a failure is not told.
fn renew_early<S>(
    place: &Place,
    token: CachedToken,
    wish: Wish,
    doors: &Doors<'_, S>,
) -> Result<Outcome> {
    let seen = place.seen(Some(token.clone()));
    if seen.refusal((doors.now)(), false).is_some() {
        return Ok(Outcome::Reused(token));
    }
    let Some(turn) = place.turn_if_free(&seen) else {
        return Ok(Outcome::Reused(token));
    };
    match take(place, Ok(turn), seen, wish, doors)? {
        Outcome::Kept { token, .. } => Ok(Outcome::Reused(token)),
        outcome => Ok(outcome),
    }
}

/// Does what this caller's turn is for.
fn take<S>(
    place: &Place,
    turn: Result<Turn<'_>>,
    seen: Seen,
    wish: Wish,
    doors: &Doors<'_, S>,
) -> Result<Outcome> {
    // Whoever logged in or out while we waited did not mean what others still bring.
    if !(doors.is_current)() {
        place.abandon();
        return Ok(Outcome::Superseded);
    }
    match turn {
        Ok(Turn::Token(token)) if token.still_works((doors.now)()) => Ok(Outcome::Reused(token)),
        Ok(Turn::Token(_)) => Err(Error::unavailable(
            "the token had expired before it could be used",
        )),
        Ok(Turn::Refused(refusal)) => fall_back(seen, wish, doors, refusal),
        Ok(Turn::Mine(slot)) => ask(place, slot, seen, wish, doors),
        Err(error) => {
            let refusal = Refusal::now(&error, (doors.now)());
            fall_back(seen, wish, doors, refusal)
        }
    }
}

fn ask<S>(
    place: &Place,
    slot: Slot<'_>,
    seen: Seen,
    wish: Wish,
    doors: &Doors<'_, S>,
) -> Result<Outcome> {
    let answer = (doors.secret)()
        .map_err(|error| Refusal::now(&error, (doors.now)()))
        .and_then(|secret| (doors.request)(&secret));
    // Written first, looked at afterwards: whoever logs in or out changes the profile first and
    // clears the cache afterwards, so one of the two removes a token that came too late.
    let outcome = match answer {
        Ok(token) => {
            let not_cached = slot.fill(&token).err();
            Ok(Outcome::Fresh { token, not_cached })
        }
        Err(refusal) => {
            // Those who wait ask for themselves where they cannot be told.
            let _ = slot.refuse(refusal.clone());
            fall_back(seen, wish, doors, refusal)
        }
    };
    if (doors.is_current)() {
        return outcome;
    }
    place.abandon();
    Ok(Outcome::Superseded)
}

/// No new token: the old one, if it still works and nobody insisted on a new one.
fn fall_back<S>(seen: Seen, wish: Wish, doors: &Doors<'_, S>, refusal: Refusal) -> Result<Outcome> {
    match seen.token {
        Some(token) if !wish.refresh && token.still_works((doors.now)()) => {
            Ok(Outcome::Kept { token, refusal })
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
    use crate::disk::{self, Directories};
    use crate::error::Kind;
    use crate::profile::{self, ProfileName};
    use crate::secret::AccessToken;
    use crate::secret::ClientSecret;
    use crate::token::TokenRequest;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    const WISH: Wish = Wish {
        min_ttl: Duration::ZERO,
        refresh: false,
        patience: Duration::ZERO,
    };

    #[test]
    fn a_hit_opens_no_door() {
        let room = Room::new();
        room.place.keep(&token("cached", NOW, HOUR)).expect("kept");
        let before = room.files();
        let doors = Doors {
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
        let doors = Doors {
            now: &|| NOW,
            secret: &secret,
            request: &|_| {
                asked.set(asked.get() + 1);
                Ok(token("fresh", NOW, HOUR))
            },
            is_current: &|| true,
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
        let wish = Wish {
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
        let wish = Wish {
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
        let insists = Wish {
            refresh: true,
            ..WISH
        };
        let asked = obtain(
            &room.place,
            insists,
            &answering(&|_| Ok(token("t", NOW, HOUR))),
        );
        assert!(matches!(asked, Ok(Outcome::Fresh { .. })), "{asked:?}");
    }

    #[test]
    fn a_secret_that_cannot_be_had_is_not_remembered() {
        let room = Room::new();
        let locked = Doors {
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
        let wish = Wish {
            min_ttl: 2 * HOUR,
            ..WISH
        };
        // How far its hour has gone, whether somebody insists, and whether it is handed out.
        for (gone, refresh, kept) in [
            (MINUTE, false, true),
            (Duration::from_millis(3_599_999), false, true),
            (HOUR, false, false),
            (MINUTE, true, false),
        ] {
            let room = Room::new();
            room.place.keep(&token("cached", NOW, HOUR)).expect("kept");
            let now = || NOW.plus(gone);
            let doors = Doors {
                now: &now,
                ..answering(&refuse)
            };
            let outcome = obtain(&room.place, Wish { refresh, ..wish }, &doors);
            let was_kept =
                matches!(&outcome, Ok(Outcome::Kept { token, .. }) if printed(token) == "cached");
            assert_eq!(was_kept, kept, "{gone:?} {refresh} {outcome:?}");
            assert_eq!(outcome.is_err(), !kept);
        }
    }

    #[test]
    fn a_wait_that_is_too_long_is_no_reason_to_withhold_a_token_that_works() {
        let room = Room::new();
        let stopped = room.place.seen(None);
        let turn = room.place.turn(&stopped, Duration::ZERO);
        let turn = turn.expect("a free lock");
        assert!(matches!(turn, Turn::Mine(_)), "{turn:?}");
        let silent = |_: &ClientSecret| unreachable!("it is not our turn");
        let error = obtain(&room.place, WISH, &answering(&silent)).expect_err("nothing");
        assert_eq!(error.kind, Kind::Unavailable);
        room.place.keep(&token("cached", NOW, HOUR)).expect("kept");
        let wish = Wish {
            min_ttl: 2 * HOUR,
            ..WISH
        };
        let outcome = obtain(&room.place, wish, &answering(&silent));
        assert!(matches!(outcome, Ok(Outcome::Kept { .. })), "{outcome:?}");
        drop(turn);
        let outcome = obtain(
            &room.place,
            wish,
            &answering(&|_| Ok(token("t", NOW, HOUR))),
        );
        assert!(matches!(outcome, Ok(Outcome::Fresh { .. })), "{outcome:?}");
    }

    #[test]
    fn a_login_that_no_longer_counts_leaves_nothing() {
        let issued = |_: &ClientSecret| Ok(token("late", NOW, HOUR));
        let issued_once = |_: &ClientSecret| Ok(token("late", NOW, Duration::ZERO));
        let answers: [&Answer; 3] = [&issued, &issued_once, &refuse];
        for answer in answers {
            // It counts when the turn begins, and no longer when the answer is there.
            let looks = Cell::new(0);
            let doors = Doors {
                is_current: &|| looks.replace(1) == 0,
                ..answering(answer)
            };
            let room = Room::new();
            let outcome = obtain(&room.place, WISH, &doors);
            assert!(matches!(outcome, Ok(Outcome::Superseded)), "{outcome:?}");
            assert_eq!(room.files(), [""; 0]);
        }
    }

    #[test]
    fn nobody_asks_for_a_login_that_no_longer_counts() {
        let room = Room::new();
        let doors = Doors {
            secret: &|| unreachable!("another login's secret"),
            is_current: &|| false,
            ..answering(&refuse)
        };
        let outcome = obtain(&room.place, WISH, &doors);
        assert!(matches!(outcome, Ok(Outcome::Superseded)), "{outcome:?}");
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

    type Answer = dyn Fn(&ClientSecret) -> std::result::Result<CachedToken, Refusal>;

    /// It is now, the secret can be had, and the login counts.
    fn answering(request: &Answer) -> Doors<'_, ClientSecret> {
        Doors {
            now: &|| NOW,
            secret: &secret,
            request,
            is_current: &|| true,
        }
    }

    fn refuse(_: &ClientSecret) -> std::result::Result<CachedToken, Refusal> {
        Err(Refusal::brief(&Error::refused("no"), NOW))
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
        place: Place,
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
