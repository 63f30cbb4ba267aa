//! Other systems: looks at the clock twice a minute, because their timers do not count a suspend.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

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

    /// Waits until this moment, or until [`Alarm::ring`].
    pub(crate) fn wait_until(&self, moment: Timestamp) -> io::Result<()> {
        let mut is_rung = self.is_rung.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = moment.since(Timestamp::now());
            if *is_rung || left.is_zero() {
                *is_rung = false;
                return Ok(());
            }
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
