//! Whether a request makes progress, for `--timeout`: a long body may take longer in all, as long as
//! nobody pauses.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// When something of a request was last sent on.
#[derive(Clone)]
pub(super) struct Progress(Arc<Mutex<State>>);

struct State {
    last: Instant,
    client: Client,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Client {
    /// All that it sent was sent on.
    Quiet,
    /// The next part of its body is awaited.
    Awaited,
    /// It paused for too long.
    Late,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            last: Instant::now(),
            client: Client::Quiet,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn last(&self) -> Instant {
        self.state().last
    }

    /// A part of the client's body was passed on, or its end.
    pub(super) fn made(&self) {
        *self.state() = State {
            last: Instant::now(),
            client: Client::Quiet,
        };
    }

    pub(super) fn client_is_awaited(&self) {
        self.state().client = Client::Awaited;
    }

    pub(super) fn client_is_late(&self) {
        self.state().client = Client::Late;
    }

    pub(super) fn is_client_late(&self) -> bool {
        self.state().client == Client::Late
    }

    /// Waits until the server has paused for so long. While the client is awaited, it has not.
    pub(super) async fn server_pauses_for(&self, limit: Duration) {
        loop {
            let end = {
                let state = self.state();
                match state.client {
                    Client::Awaited => Instant::now() + limit,
                    _ => state.last + limit,
                }
            };
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}
