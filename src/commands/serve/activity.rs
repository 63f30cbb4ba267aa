//! Whether there are connections, for `--idle`.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// When a connection was last open.
pub(super) struct Activity {
    running: AtomicUsize,
    last: Mutex<Instant>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            running: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
        }
    }

    pub(super) fn begin(&self) {
        self.running.fetch_add(1, Relaxed);
    }

    pub(super) fn end(&self) {
        self.running.fetch_sub(1, Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits until no connection has been open for so long.
    pub(super) async fn idle_for(&self, limit: Duration) {
        loop {
            let end = *self.last.lock().unwrap_or_else(PoisonError::into_inner) + limit;
            let is_running = self.running.load(Relaxed) > 0;
            if !is_running && end <= Instant::now() {
                return;
            }
            sleep_until(if is_running {
                Instant::now() + limit
            } else {
                end
            })
            .await;
        }
    }
}
