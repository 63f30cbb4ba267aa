//! Why there is no token, and whether other callers share the failure.
//!
//! What the server said is shared with every caller who waits, and with those who come a moment
//! later. Any other failure (no network, no descriptor left, a secret that cannot be read) may be this
//! process's own, and another process may do better.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
use crate::types::token::Timestamp;

/// How long callers who come later are told the same, so that a client that runs its helper in a
/// loop does not hammer the server, or lock the account.
pub(crate) const FAILURE_TTL: Duration = Duration::from_secs(2);

/// The longest time that a server may keep us away (`Retry-After`).
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// What a failure says about proofs of possession (RFC 9449).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AboutProofs {
    /// The server requires one, and none was sent.
    Required,
    /// The server wants a nonce in it.
    NeedNonce,
    /// The server issued a token that is not bound to the key of the proof.
    Ignored,
}

/// Why there is no token, in a form that the next process can read.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct TokenFailure {
    kind: Kind,
    message: String,
    hints: Vec<String>,
    /// Milliseconds since 1970: `not_before` is distrusted when this is in the future.
    recorded_at: u64,
    not_before: u64,
    /// The server itself named the time (RFC 9110 §10.2.3).
    is_retry_after: bool,
    /// The credential was refused, whatever was requested with it.
    #[serde(default)]
    refuses_client: bool,
    /// Only a login reads it.
    #[serde(skip)]
    about_proofs: Option<AboutProofs>,
}

impl TokenFailure {
    /// Not by the token endpoint: it says nothing about other callers, or a later call.
    pub(crate) fn local(error: &Error, now: Timestamp) -> Self {
        Self::until(error, now, Duration::ZERO, false)
    }

    /// By the token endpoint, in an HTTP response. No new request is sent for a moment.
    pub(crate) fn from_response(error: &Error, now: Timestamp) -> Self {
        Self::until(error, now, FAILURE_TTL, false)
    }

    /// By the token endpoint, which said when to come back.
    pub(crate) fn retry_after(error: &Error, now: Timestamp, pause: Duration) -> Self {
        Self::until(error, now, pause.clamp(FAILURE_TTL, MAX_RETRY_AFTER), true)
    }

    fn until(error: &Error, now: Timestamp, pause: Duration, is_retry_after: bool) -> Self {
        Self {
            kind: error.kind,
            message: error.to_string(),
            hints: error.hints.clone(),
            recorded_at: now.0,
            not_before: now.plus(pause).0,
            is_retry_after,
            refuses_client: false,
            about_proofs: None,
        }
    }

    /// The same failure, recorded now, for a time that another machine measured.
    pub(crate) fn recorded_now(mut self, now: Timestamp, left: Duration) -> Self {
        self.recorded_at = now.0;
        self.not_before = now.plus(left.min(MAX_RETRY_AFTER)).0;
        self
    }

    /// Whether the token endpoint said so, and would say so to every caller.
    pub(crate) fn is_from_server(&self) -> bool {
        self.not_before > self.recorded_at
    }

    /// Whether a caller gets this failure now, without a new request. A caller that requires a new token
    /// gets it only if the server set the time (`Retry-After`).
    pub(crate) fn applies(&self, now: Timestamp, force_refresh: bool) -> bool {
        (self.recorded_at..self.not_before).contains(&now.0)
            && (self.is_retry_after || !force_refresh)
    }

    /// The same failure, if the server refused the credential (`invalid_client`).
    pub(crate) fn refusing_client(mut self, refuses_client: bool) -> Self {
        self.refuses_client = refuses_client;
        self
    }

    /// Whether the server refused the credential, so that another one may be accepted.
    pub(crate) fn refuses_client(&self) -> bool {
        self.refuses_client
    }

    pub(crate) fn about_proofs(mut self, what: Option<AboutProofs>) -> Self {
        self.about_proofs = what;
        self
    }

    /// Whether the server requires proofs of possession, and got none.
    pub(crate) fn requires_proofs(&self) -> bool {
        self.about_proofs == Some(AboutProofs::Required)
    }

    /// Whether the server issued a token that is not bound to the key of the proof.
    pub(crate) fn ignores_proofs(&self) -> bool {
        self.about_proofs == Some(AboutProofs::Ignored)
    }

    /// Until when the token endpoint wants no request.
    pub(crate) fn not_before(&self) -> Timestamp {
        Timestamp(self.not_before)
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
        let refusal = TokenFailure::from_response(&Error::refused("no"), NOW);
        assert!(refusal.applies(later(1), false));
        assert!(!refusal.applies(later(2), false));
        assert!(!refusal.applies(later(1), true));
        assert!(
            !refusal.applies(Timestamp(NOW.0 - 1), false),
            "the clock went back"
        );
    }

    #[test]
    fn retry_after_is_obeyed_up_to_an_hour() {
        let after = |seconds| {
            TokenFailure::retry_after(
                &Error::unavailable("busy"),
                NOW,
                Duration::from_secs(seconds),
            )
        };
        assert!(after(120).applies(later(119), true));
        assert!(!after(120).applies(later(120), false));
        assert!(!after(u64::MAX).applies(later(3600), false));
    }

    #[test]
    fn a_failure_of_this_process_is_neither_shared_nor_remembered() {
        let locked = TokenFailure::local(&Error::locked("locked"), NOW);
        assert!(!locked.is_from_server() && !locked.applies(NOW, false));
        assert!(TokenFailure::from_response(&Error::refused("no"), NOW).is_from_server());
    }
}
