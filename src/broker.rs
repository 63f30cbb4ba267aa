//! The one decision: reuse a token, wait for somebody who asks for one, or ask.

use std::time::Duration;

use crate::cache::{Place, Seen, Slot, Turn};
use crate::error::{Error, Result};
use crate::refusal::Refusal;
use crate::secret::ClientSecret;
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
pub(crate) struct Doors<'a> {
    pub(crate) now: &'a dyn Fn() -> Timestamp,
    pub(crate) secret: &'a dyn Fn() -> Result<ClientSecret>,
    pub(crate) request: &'a dyn Fn(&ClientSecret) -> std::result::Result<CachedToken, Refusal>,
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
/// all who wait share the outcome, be it a token or a refusal.
///
/// # Errors
/// Why there is none: the secret's, the token endpoint's, or that the wait was too long.
pub(crate) fn obtain(place: &Place, wish: Wish, doors: &Doors<'_>) -> Result<Outcome> {
    let cached = place.token();
    match cached {
        Some(token) if !wish.refresh && token.usable_for((doors.now)(), wish.min_ttl) => {
            return Ok(Outcome::Reused(token));
        }
        _ => {}
    }
    let seen = place.seen(cached);
    if let Some(refusal) = seen.refusal((doors.now)(), wish.refresh) {
        return fall_back(seen, wish, doors, refusal);
    }
    let turn = place.turn(&seen, wish.patience);
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

fn ask(
    place: &Place,
    slot: Slot<'_>,
    seen: Seen,
    wish: Wish,
    doors: &Doors<'_>,
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
fn fall_back(seen: Seen, wish: Wish, doors: &Doors<'_>, refusal: Refusal) -> Result<Outcome> {
    match seen.token {
        Some(token) if !wish.refresh && token.still_works((doors.now)()) => {
            Ok(Outcome::Kept { token, refusal })
        }
        _ => Err(refusal.into_error()),
    }
}
