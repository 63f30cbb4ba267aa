//! Waits for a moment of the wall clock, as one that sleeps through a suspend must.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

/// Why a wait ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Woken {
    /// The moment came.
    InTime,
    /// By [`Alarm::ring`], or because the clock was set: what was known about the time may be wrong.
    Early,
}

#[cfg(target_os = "linux")]
pub(crate) use linux::Alarm;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::Alarm;
