//! What is sealed in an entry, a refusal and a lease. Times are durations, and moments of the server's clock.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::digest::Digest;
use crate::types::secret::AccessToken;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::token_failure::TokenFailure;

/// How long a lease lasts, unless its holder renews it: what the others wait if the holder dies.
pub(super) const LEASE: Duration = Duration::from_secs(2);

/// How long a refusal of the client is shared at least. Nothing changes it but a person.
const REFUSAL: Duration = Duration::from_secs(5);

/// Names a token without telling it.
pub(crate) fn fingerprint(token: &AccessToken) -> String {
    Digest::of("hallpass share 1 token")
        .field(token.expose())
        .hex()
}

#[derive(Deserialize, Serialize)]
pub(super) struct SharedToken {
    access_token: String,
    token_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    members: BTreeMap<String, String>,
    /// From the request to the end, in milliseconds.
    lifetime: u64,
    /// What was left of it when the token was stored.
    left: u64,
    /// When that was, by the server's clock, in milliseconds.
    at: u64,
}

#[derive(Deserialize, Serialize)]
pub(super) struct SharedFailure {
    failure: TokenFailure,
    left: u64,
    at: u64,
}

#[derive(Deserialize, Serialize)]
pub(super) struct Lease {
    /// Distinguishes the holders.
    owner: [u8; 16],
    at: u64,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What is left: less than the server keeps it, and less than it was when it was stored. An old value that
/// another process stored again has nothing left.
fn left(left: u64, at: u64, now: u64, pttl: i64) -> Option<Duration> {
    // Without an end, this program did not store it.
    let pttl = u64::try_from(pttl).ok().filter(|pttl| *pttl > 0)?;
    let left = left.checked_sub(now.saturating_sub(at))?.min(pttl);
    (left > 0).then(|| Duration::from_millis(left))
}

impl SharedToken {
    /// None if it is of no use to others.
    pub(super) fn of(token: &CachedToken, at: u64) -> Option<(Self, Duration)> {
        let left = token.expires_at.since(Timestamp::now());
        if !token.lasts() || left.is_zero() || token.proof_key.is_some() {
            return None;
        }
        let shared = Self {
            access_token: token.access_token.expose().to_owned(),
            token_type: token.token_type.clone(),
            scope: token.scope.clone(),
            members: token.members.clone(),
            lifetime: millis(token.expires_at.since(token.requested_at)),
            left: millis(left),
            at,
        };
        Some((shared, left))
    }

    /// The token by this machine's clock. `now` and `pttl` are the server's.
    pub(super) fn token(self, now: u64, pttl: i64) -> Option<CachedToken> {
        let left = left(self.left, self.at, now, pttl)?;
        let expires_at = Timestamp::now().plus(left);
        Some(CachedToken {
            access_token: AccessToken::parse(&self.access_token)?,
            token_type: self.token_type,
            scope: self.scope,
            members: self.members,
            requested_at: expires_at.minus(Duration::from_millis(self.lifetime)),
            expires_at,
            proof_key: None,
            warning: None,
        })
    }

    /// When it was stored.
    pub(super) fn at(&self) -> u64 {
        self.at
    }
}

impl SharedFailure {
    /// None if it is of no use to others.
    pub(super) fn of(failure: &TokenFailure, at: u64) -> Option<(Self, Duration)> {
        if !failure.is_from_server() {
            return None;
        }
        let mut left = failure.not_before().since(Timestamp::now());
        if failure.refuses_client() {
            left = left.max(REFUSAL);
        }
        let shared = Self {
            failure: failure.clone(),
            left: millis(left),
            at,
        };
        (!left.is_zero()).then_some((shared, left))
    }

    pub(super) fn failure(self, now: u64, pttl: i64) -> Option<TokenFailure> {
        let left = left(self.left, self.at, now, pttl)?;
        Some(self.failure.recorded_now(Timestamp::now(), left))
    }
}

impl Lease {
    pub(super) fn of(owner: [u8; 16], at: u64) -> Self {
        Self { owner, at }
    }

    /// What is left of it. None if it is over, or another one was stored again.
    pub(super) fn left(&self, now: u64) -> Option<Duration> {
        let age = Duration::from_millis(now.saturating_sub(self.at));
        let is_from_the_future = self.at > now.saturating_add(millis(LEASE));
        LEASE
            .checked_sub(age)
            .filter(|left| !left.is_zero() && !is_from_the_future)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::token::sample;

    #[test]
    fn a_token_lasts_for_what_is_left_by_the_servers_clock() {
        let mut token = sample::token(Duration::from_secs(3600));
        token.requested_at = Timestamp::now();
        token.expires_at = token.requested_at.plus(Duration::from_secs(3600));
        let seconds = |now: u64, pttl: i64| {
            let (shared, left) = SharedToken::of(&token, 1_000_000).expect("shared");
            assert!(left > Duration::from_secs(3590));
            let received = shared.token(now, pttl)?;
            Some(
                received
                    .expires_at
                    .since(Timestamp::now())
                    .as_secs()
                    .div_ceil(10)
                    * 10,
            )
        };
        assert_eq!(seconds(1_000_000, 3_600_000), Some(3600));
        assert_eq!(seconds(1_600_000, 3_600_000), Some(3000));
        assert_eq!(seconds(1_600_000, 60_000), Some(60));
        // Stored again after its end, without an end, or on the way back of the clock.
        assert_eq!(seconds(4_700_000, 3_600_000), None);
        assert_eq!(seconds(1_000_000, -1), None);
        assert_eq!(seconds(400_000, 3_600_000), Some(3600));
    }

    #[test]
    fn a_lease_that_was_stored_again_is_over() {
        let lease = Lease::of([0; 16], 10_000);
        assert_eq!(lease.left(10_000), Some(LEASE));
        assert_eq!(lease.left(11_500), Some(Duration::from_millis(500)));
        assert_eq!(lease.left(12_000), None);
        assert_eq!(lease.left(1_000), None);
    }
}
