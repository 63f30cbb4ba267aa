//! When to renew a file.

use std::sync::LazyLock;
use std::time::Duration;

use crate::error::Kind;
use crate::types::token::{CachedToken, Timestamp};

/// After the first failure that a later attempt may not have, and at most. It doubles in between.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The same after a failure that needs a person first.
const FIRST_PAUSE_FOR_A_PERSON: Duration = Duration::from_secs(60);
const LONGEST_PAUSE_FOR_A_PERSON: Duration = Duration::from_secs(600);

/// Between two renewals, however short the tokens' lives are.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// How often the service manager wants to hear from this process (`sd_watchdog_enabled(3)`): twice in
/// the time that it allows.
pub(super) static WATCH: LazyLock<Option<Duration>> = LazyLock::new(|| {
    let is_for_us = |process: String| process == std::process::id().to_string();
    if !std::env::var("WATCHDOG_PID").map_or(true, is_for_us) {
        return None;
    }
    let time = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    Some(Duration::from_micros(time) / 2).filter(|pause| *pause >= Duration::from_millis(1))
});

/// The renewals of one file.
#[derive(Debug)]
pub(super) struct Schedule {
    /// How long a token in the file must be valid.
    min_ttl: Duration,
    due: Timestamp,
    /// The life of the token in the file that must be left; none before there is one.
    lead: Option<Duration>,
    /// Attempts that failed since the last success.
    failures: u32,
}

impl Schedule {
    /// Due at once.
    pub(super) fn new(min_ttl: Duration) -> Self {
        Self {
            min_ttl,
            due: Timestamp(0),
            lead: None,
            failures: 0,
        }
    }

    pub(super) fn due(&self) -> Timestamp {
        self.due
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.due <= now
    }

    pub(super) fn has_token(&self) -> bool {
        self.lead.is_some()
    }

    pub(super) fn now(&mut self) {
        self.due = Timestamp(0);
    }

    /// How long the next token must be valid: more than what is left of the one in the file when that is
    /// due.
    pub(super) fn min_ttl(&self) -> Duration {
        self.lead
            .map_or(self.min_ttl, |lead| lead + Duration::from_millis(1))
    }

    /// The file has this token now.
    pub(super) fn has(&mut self, token: &CachedToken, now: Timestamp) {
        let lead = lead(token, self.min_ttl);
        self.lead = Some(lead);
        self.due = token.expires_at.minus(lead).max(now.plus(SHORTEST_PAUSE));
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The file could not be renewed, and the server wants no request before this moment.
    pub(super) fn failed(&mut self, not_before: Timestamp, kind: Kind, now: Timestamp) {
        let (first, longest) = match kind {
            Kind::Unavailable => (FIRST_PAUSE, LONGEST_PAUSE),
            _ => (FIRST_PAUSE_FOR_A_PERSON, LONGEST_PAUSE_FOR_A_PERSON),
        };
        let doubled = first.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        self.due = now.plus(doubled.min(longest)).max(not_before);
    }
}

/// How long before its end a token is renewed: a little before `hallpass token` would do so, because a
/// reader of the file has no other token. Machines that were started together spread out, by up to a
/// quarter of the margin. Half of the token's life is used in any case.
fn lead(token: &CachedToken, min_ttl: Duration) -> Duration {
    let margin = token.margin();
    // The last digits of a time in milliseconds are as good as random.
    let spread = margin / 4 * u32::try_from(token.requested_at.0 % 1000).unwrap_or(0) / 1000;
    let life = token.expires_at.since(token.requested_at);
    (margin.max(min_ttl) + margin / 4 + spread).min(life / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::token::sample::{self, NOW};

    fn token(life: u64) -> CachedToken {
        sample::token(seconds(life))
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_file_is_renewed_before_its_token_is_in_the_margin_and_not_before_half_of_its_life() {
        for (life, min_ttl, used) in [
            (3600, 0, 3525),
            (300, 0, 225),
            (100, 0, 68),
            (3600, 600, 3600 - 615),
            (3600, 3600, 1800),
            (2, 0, 1),
        ] {
            let mut schedule = Schedule::new(seconds(min_ttl));
            assert!(schedule.is_due(NOW));
            assert_eq!(schedule.min_ttl(), seconds(min_ttl));
            schedule.has(&token(life), NOW);
            let after = schedule.due().since(NOW).as_secs();
            assert_eq!(after, used, "{life} {min_ttl}");
            assert!(!token(life).is_valid_for(schedule.due(), schedule.min_ttl()));
        }
    }

    #[test]
    fn files_of_several_machines_are_not_renewed_together() {
        let mut late = token(3600);
        late.requested_at = Timestamp(NOW.0 + 999);
        late.expires_at = late.requested_at.plus(seconds(3600));
        assert_eq!(lead(&token(3600), Duration::ZERO), seconds(75));
        assert_eq!(lead(&late, Duration::ZERO).as_secs(), 89);
    }

    #[test]
    fn attempts_become_rarer_and_wait_for_the_server() {
        let mut schedule = Schedule::new(Duration::ZERO);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            schedule.failed(Timestamp(0), Kind::Unavailable, NOW);
            pauses.push(schedule.due().since(NOW).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        schedule.failed(NOW.plus(seconds(120)), Kind::Unavailable, NOW);
        assert_eq!(schedule.due().since(NOW), seconds(120));
        schedule.has(&token(3600), NOW);
        schedule.succeeded();
        let mut pauses = Vec::new();
        for _ in 0..5 {
            schedule.failed(Timestamp(0), Kind::Refused, NOW);
            pauses.push(schedule.due().since(NOW).as_secs());
        }
        assert_eq!(pauses, [60, 120, 240, 480, 600]);
    }
}
