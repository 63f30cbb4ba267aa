//! How long this thread waited for a processor.

use std::time::Duration;

/// The time since the thread started in which it could run, but other threads did. A time limit for another
/// machine leaves it out. Zero if the system does not tell.
#[cfg(target_os = "linux")]
pub(crate) fn waited_for_processor() -> Duration {
    // proc(5): the time on a processor, and the time in its queue, in nanoseconds.
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited = text.split_whitespace().nth(1);
    let waited = waited.and_then(|nanoseconds| nanoseconds.parse().ok());
    Duration::from_nanos(waited.unwrap_or(0))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn waited_for_processor() -> Duration {
    Duration::ZERO
}
