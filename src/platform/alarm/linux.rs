//! Linux: a timer of the kernel (`timerfd_create(2)`), so that nothing runs before the moment.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::Woken;
use crate::types::token::Timestamp;

/// A timer that one thread waits for, and that others can ring early.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: OwnedFd,
    is_rung: AtomicBool,
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC)?;
        Ok(Self {
            timer,
            is_rung: AtomicBool::new(false),
        })
    }

    /// Waits until this moment, until [`Alarm::ring`], or until the clock is set. A moment that passed
    /// while the machine was suspended ends the wait when it resumes.
    pub(crate) fn wait_until(&self, moment: Timestamp) -> io::Result<Woken> {
        let was_set = self.set(moment)?;
        // It may have been rung before the timer was set.
        if was_set || self.is_rung.swap(false, SeqCst) {
            return Ok(Woken::Early);
        }
        let mut expirations = [0; 8];
        let read = || rustix::io::read(&self.timer, &mut expirations);
        match rustix::io::retry_on_intr(read) {
            Ok(_) if self.is_rung.swap(false, SeqCst) => Ok(Woken::Early),
            Ok(_) => Ok(Woken::InTime),
            Err(Errno::CANCELED) => Ok(Woken::Early),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the wait, or the next one if there is none.
    pub(crate) fn ring(&self) -> io::Result<()> {
        self.is_rung.store(true, SeqCst);
        self.set(Timestamp(1)).map(drop)
    }

    /// Sets the timer. Returns whether the clock was set since the last wait (`TFD_TIMER_CANCEL_ON_SET`).
    fn set(&self, moment: Timestamp) -> io::Result<bool> {
        // Zero would stop the timer.
        let milliseconds = i64::try_from(moment.0.max(1)).unwrap_or(i64::MAX);
        let time = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: milliseconds / 1000,
                tv_nsec: milliseconds % 1000 * 1_000_000,
            },
        };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        match timerfd_settime(&self.timer, flags, &time) {
            Ok(_) => Ok(false),
            Err(Errno::CANCELED) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}
