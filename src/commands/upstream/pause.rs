//! How often a token that the server refused is replaced.
//!
//! A response 401 may be about the token, or about a permission that no token gives. Each new token costs
//! a request, which some servers limit or bill.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After the first new token that may have been of no use. Each further one doubles it.
const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(300);

/// After a request for a token that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The time until a refused token may be replaced again.
#[derive(Default)]
pub(super) struct Pause(Mutex<Times>);

#[derive(Default)]
struct Times {
    end: Option<Instant>,
    last: Option<Duration>,
}

impl Pause {
    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_over(&self) -> bool {
        self.times().end.is_none_or(|end| end <= Instant::now())
    }

    /// A token was replaced. Whether that was of use is not known yet.
    pub(super) fn replaced(&self) {
        let mut times = self.times();
        let pause = times.last.map_or(FIRST, |last| LONGEST.min(last * 2));
        *times = Times {
            end: Some(Instant::now() + pause),
            last: Some(pause),
        };
    }

    pub(super) fn failed(&self) {
        self.times().end = Some(Instant::now() + AFTER_FAILURE);
    }

    /// The new token was of use.
    pub(super) fn end(&self) {
        *self.times() = Times::default();
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST, LONGEST, Pause};

    #[test]
    fn new_tokens_of_no_use_are_requested_less_and_less_often() {
        let pause = Pause::default();
        assert!(pause.is_over());
        for factor in [1, 2, 4, 8] {
            pause.replaced();
            assert!(!pause.is_over());
            assert_eq!(pause.times().last, Some(FIRST * factor));
        }
        pause.replaced();
        assert_eq!(pause.times().last, Some(LONGEST));
        pause.failed();
        assert!(!pause.is_over());
        pause.end();
        assert!(pause.is_over());
        pause.replaced();
        assert_eq!(pause.times().last, Some(FIRST));
    }
}
