//! A failure that concerns every caller who waits for the same token.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
use crate::token::Timestamp;

/// How long callers who come later are told the same, so that a client that runs its helper in a
/// loop does not hammer the server, or lock the account.
pub(crate) const HOLD_OFF: Duration = Duration::from_secs(2);

/// The longest time that a server may keep us away (`Retry-After`).
pub(crate) const LONGEST_HOLD_OFF: Duration = Duration::from_secs(3600);

/// Why there is no token, in a form that the next process can read.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Refusal {
    kind: Kind,
    message: String,
    hints: Vec<String>,
    /// Milliseconds since 1970: `not_before` is distrusted when this lies in the future.
    recorded_at: u64,
    not_before: u64,
    /// The server itself named the time (RFC 9110 §10.2.3).
    by_server: bool,
}

impl Refusal {
    /// For those who wait now: a locked keychain says nothing about a later call.
    pub(crate) fn now(error: &Error, now: Timestamp) -> Self {
        Self::until(error, now, Duration::ZERO, false)
    }

    /// By the token endpoint, which is left alone for a moment.
    pub(crate) fn brief(error: &Error, now: Timestamp) -> Self {
        Self::until(error, now, HOLD_OFF, false)
    }

    /// By the token endpoint, which said when to come back.
    pub(crate) fn retry_after(error: &Error, now: Timestamp, pause: Duration) -> Self {
        Self::until(error, now, pause.clamp(HOLD_OFF, LONGEST_HOLD_OFF), true)
    }

    fn until(error: &Error, now: Timestamp, pause: Duration, by_server: bool) -> Self {
        Self {
            kind: error.kind,
            message: error.to_string(),
            hints: error.hints.clone(),
            recorded_at: now.0,
            not_before: now.plus(pause).0,
            by_server,
        }
    }

    /// Whether a caller who comes now is told the same. One who insists on a new token is told so
    /// only where the server asked for it.
    pub(crate) fn holds(&self, now: Timestamp, insists: bool) -> bool {
        (self.recorded_at..self.not_before).contains(&now.0) && (self.by_server || !insists)
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn into_error(self) -> Error {
        let error = Error::new(self.kind, self.message);
        self.hints.into_iter().fold(error, Error::hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);

    fn later(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_refusal_is_remembered_for_a_moment() {
        let refusal = Refusal::brief(&Error::refused("no"), NOW);
        assert!(refusal.holds(later(1), false));
        assert!(!refusal.holds(later(2), false));
        assert!(!refusal.holds(later(1), true));
        assert!(
            !refusal.holds(Timestamp(NOW.0 - 1), false),
            "the clock went back"
        );
    }

    #[test]
    fn a_server_is_left_alone_as_long_as_it_asks_but_not_for_ever() {
        let after = |seconds| {
            Refusal::retry_after(
                &Error::unavailable("busy"),
                NOW,
                Duration::from_secs(seconds),
            )
        };
        assert!(after(120).holds(later(119), true));
        assert!(!after(120).holds(later(120), false));
        assert!(!after(u64::MAX).holds(later(3600), false));
    }

    #[test]
    fn a_locked_keychain_is_not_remembered() {
        assert!(!Refusal::now(&Error::locked("locked"), NOW).holds(NOW, false));
    }
}
