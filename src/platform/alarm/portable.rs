//! Other systems: looks at the clock twice a minute, because their timers do not count a suspend.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::Woken;
use crate::types::token::Timestamp;

const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// A timer that one thread waits for, and that others can ring early.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    is_rung: Mutex<bool>,
    changed: Condvar,
}

#[expect(clippy::unnecessary_wraps, reason = "Linux has limits of its timers")]
impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self::default())
    }

    /// Waits until this moment, until [`Alarm::ring`], or until the clock is put back.
    pub(crate) fn wait_until(&self, moment: Timestamp) -> io::Result<Woken> {
        let mut is_rung = self.is_rung.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = Timestamp::now();
        loop {
            let now = Timestamp::now();
            if *is_rung || now < before {
                *is_rung = false;
                return Ok(Woken::Early);
            }
            let left = moment.since(now);
            if left.is_zero() {
                return Ok(Woken::InTime);
            }
            before = now;
            let waited = self.changed.wait_timeout(is_rung, left.min(LONGEST_SLEEP));
            is_rung = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends the wait, or the next one if there is none.
    pub(crate) fn ring(&self) -> io::Result<()> {
        *self.is_rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
        Ok(())
    }
}
