//! Access tokens and time: what was issued, and until when it can be used.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::types::dpop::ProofKey;
use crate::types::duration;
use crate::types::secret::AccessToken;

/// How far a clock may have gone back before a token that it dates into the future is distrusted.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);

/// The longest margin before the end of a token's life in which it is due for renewal.
const LONGEST_MARGIN: Duration = Duration::from_secs(60);

/// A moment of the wall clock, in milliseconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Timestamp(pub(crate) u64);

impl Timestamp {
    pub(crate) fn now() -> Self {
        // A clock before 1970 reads as 1970: then every cached token is from the future, and distrusted.
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }

    /// None if the number is no date that people use: before 1970, or after 9999.
    pub(crate) fn from_seconds(seconds: f64) -> Option<Self> {
        const END: f64 = 253_402_300_800.0;
        if !(0.0..END).contains(&seconds) {
            return None;
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the number is in range"
        )]
        Some(Self((seconds * 1000.0) as u64))
    }

    pub(crate) fn plus(self, duration: Duration) -> Self {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(milliseconds))
    }

    pub(crate) fn minus(self, duration: Duration) -> Self {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(milliseconds))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since 1970.
    pub(crate) fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// For people: `2026-11-28 02:16 UTC`.
    pub(crate) fn date(self) -> String {
        let date = self.rfc3339().replacen('T', " ", 1);
        format!("{} UTC", date.get(..16).unwrap_or(&date))
    }

    /// For people, of something that expires at this moment.
    pub(crate) fn as_expiry(self, now: Self) -> String {
        if self > now {
            let left = duration::in_words(self.since(now));
            format!("valid for {left} (until {})", self.date())
        } else {
            let past = duration::in_words(now.since(self));
            format!("expired {past} ago ({})", self.date())
        }
    }

    /// RFC 3339, in UTC, to the second.
    pub(crate) fn rfc3339(self) -> String {
        let seconds = i64::try_from(self.0 / 1000).unwrap_or(i64::MAX);
        OffsetDateTime::from_unix_timestamp(seconds)
            .ok()
            .and_then(|moment| moment.format(&Rfc3339).ok())
            .unwrap_or_else(|| "9999-12-31T23:59:59Z".to_owned())
    }
}

/// An access token as it was issued.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CachedToken {
    pub(crate) access_token: AccessToken,
    /// RFC 6749 §7.1: `Bearer`, in the server's upper and lower case.
    pub(crate) token_type: String,
    /// What was granted, where the server says so (RFC 6749 §5.1).
    pub(crate) scope: Option<String>,
    /// Other members of the response that callers need: `instance_url`, `api_url`.
    pub(crate) members: BTreeMap<String, String>,
    /// Just before the request was sent, because the lifetime cannot begin earlier.
    pub(crate) requested_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// The key that the token is bound to (RFC 9449): without a proof of it, no server accepts the token.
    pub(crate) proof_key: Option<Box<ProofKey>>,
    /// What the user should know when it is issued. It is not cached.
    pub(crate) warning: Option<String>,
}

impl CachedToken {
    /// For people: how long the token is valid from this moment, and its end.
    pub(crate) fn validity(&self, from: Timestamp) -> String {
        format!(
            "valid for {} (until {})",
            duration::in_words(self.expires_at.since(from)),
            self.expires_at.date()
        )
    }

    /// Whether to hand this token out, rather than request another.
    ///
    /// It must last for `min_ttl`, and for the margin in which it is due: 60 s, or a quarter of a
    /// life that is shorter than four minutes.
    pub(crate) fn is_valid_for(&self, now: Timestamp, min_ttl: Duration) -> bool {
        self.is_unexpired(now) && self.expires_at.since(now) >= self.margin().max(min_ttl)
    }

    /// Whether to renew this token already, if nobody else does: in the half margin before it is due.
    pub(crate) fn is_in_early_refresh(&self, now: Timestamp) -> bool {
        self.expires_at.since(now) < self.margin() * 3 / 2
    }

    /// When to ask again, for clients that keep a token themselves: the end less the margin.
    pub(crate) fn refresh_at(&self) -> Timestamp {
        self.expires_at.minus(self.margin())
    }

    /// How long before its end the token is due for renewal.
    pub(crate) fn margin(&self) -> Duration {
        LONGEST_MARGIN.min(self.expires_at.since(self.requested_at) / 4)
    }

    /// Whether it serves for more than one use.
    pub(crate) fn lasts(&self) -> bool {
        self.expires_at > self.requested_at
    }

    /// Whether the server should still take this token. A token from the future is distrusted:
    /// the clock went back, and nobody knows how long ago it was issued.
    pub(crate) fn is_unexpired(&self, now: Timestamp) -> bool {
        self.expires_at > now && self.requested_at <= now.plus(CLOCK_TOLERANCE)
    }
}

/// A token for unit tests.
#[cfg(test)]
pub(crate) mod sample {
    use super::*;

    pub(crate) const NOW: Timestamp = Timestamp(1_795_000_000_000);

    /// A token that was requested now.
    pub(crate) fn token(life: Duration) -> CachedToken {
        CachedToken {
            access_token: AccessToken::parse("token").expect("a token"),
            token_type: "Bearer".to_owned(),
            scope: None,
            members: BTreeMap::new(),
            requested_at: NOW,
            expires_at: NOW.plus(life),
            proof_key: None,
            warning: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sample::{NOW, token};
    use super::*;

    #[test]
    fn a_token_is_due_a_minute_before_its_end() {
        let token = token(Duration::from_secs(3600));
        assert!(token.is_valid_for(NOW.plus(Duration::from_secs(3540)), Duration::ZERO));
        assert!(!token.is_valid_for(NOW.plus(Duration::from_secs(3541)), Duration::ZERO));
        assert!(token.is_unexpired(NOW.plus(Duration::from_secs(3599))));
        assert!(!token.is_unexpired(NOW.plus(Duration::from_secs(3600))));
    }

    #[test]
    fn a_short_token_is_due_in_the_last_quarter_of_its_life() {
        let token = token(Duration::from_secs(2));
        assert!(token.is_valid_for(NOW.plus(Duration::from_millis(1500)), Duration::ZERO));
        assert!(!token.is_valid_for(NOW.plus(Duration::from_millis(1501)), Duration::ZERO));
    }

    #[test]
    fn a_token_is_due_soon_in_the_half_margin_before() {
        for (life, last) in [(3600, 3_510_000), (240, 150_000), (2, 1_250)] {
            let token = token(Duration::from_secs(life));
            assert!(!token.is_in_early_refresh(NOW.plus(Duration::from_millis(last))));
            assert!(token.is_in_early_refresh(NOW.plus(Duration::from_millis(last + 1))));
        }
    }

    #[test]
    fn a_caller_may_ask_for_more_than_the_margin() {
        let token = token(Duration::from_secs(3600));
        let five_minutes = Duration::from_secs(300);
        assert!(token.is_valid_for(NOW.plus(Duration::from_secs(3300)), five_minutes));
        assert!(!token.is_valid_for(NOW.plus(Duration::from_secs(3301)), five_minutes));
        assert!(!token.is_valid_for(NOW, Duration::MAX));
    }

    #[test]
    fn a_token_without_a_life_is_never_usable() {
        assert!(!token(Duration::ZERO).is_valid_for(NOW, Duration::ZERO));
    }

    #[test]
    fn a_token_from_the_future_is_distrusted() {
        let token = token(Duration::from_secs(3600));
        assert!(token.is_unexpired(Timestamp(NOW.0 - 30_000)));
        assert!(!token.is_unexpired(Timestamp(NOW.0 - 30_001)));
        assert!(!token.is_valid_for(Timestamp(0), Duration::ZERO));
    }

    #[test]
    fn an_expiry_is_past_when_its_moment_has_come() {
        assert_eq!(NOW.date(), "2026-11-18 11:06 UTC");
        let hour = Duration::from_secs(3600);
        for (now, expected) in [
            (
                NOW.minus(hour),
                "valid for 1 h (until 2026-11-18 11:06 UTC)",
            ),
            (NOW, "expired 0 s ago (2026-11-18 11:06 UTC)"),
            (NOW.plus(hour), "expired 1 h ago (2026-11-18 11:06 UTC)"),
        ] {
            assert_eq!(NOW.as_expiry(now), expected);
        }
    }

    #[test]
    fn a_number_of_seconds_is_a_moment_until_the_year_9999() {
        for (seconds, expected) in [
            (0.0, Some(0)),
            (1.5, Some(1500)),
            (253_402_300_799.0, Some(253_402_300_799_000)),
            (253_402_300_800.0, None),
            (-1.0, None),
            (f64::NAN, None),
        ] {
            let moment = Timestamp::from_seconds(seconds);
            assert_eq!(moment.map(|moment| moment.0), expected, "{seconds}");
        }
    }

    #[test]
    fn moments_are_written_as_rfc_3339() {
        assert_eq!(
            Timestamp(1_795_445_359_999).rfc3339(),
            "2026-11-23T14:49:19Z"
        );
        assert_eq!(Timestamp(0).rfc3339(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp(u64::MAX).rfc3339(), "9999-12-31T23:59:59Z");
    }
}
