//! The order in which messages of the client are sent.
//!
//! Requests run side by side. A notification is sent before the messages after it, because a server refuses
//! requests before `notifications/initialized`; so is `initialize`, whose response has the session. What
//! the server may wait for meanwhile, a response of the client or a cancellation, waits for nothing.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::bridge::Bridge;
use super::dispatch::{Post, Role};

/// How long the messages after a notification wait until the server has it.
const ORDER_LIMIT: Duration = Duration::from_secs(10);

/// The same for `initialize`, which may start the server.
pub(super) const INITIALIZE_LIMIT: Duration = Duration::from_secs(60);

/// How many messages without a response wait to be sent. Then no more are read.
const WAITING_LIMIT: usize = 64;

/// The messages that are being sent.
pub(super) struct Exchanges {
    tasks: JoinSet<()>,
    /// Ends when the next message can be sent.
    turn: watch::Receiver<()>,
}

impl Exchanges {
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            turn: watch::channel(()).1,
        }
    }

    /// Sends a message when it is its turn.
    pub(super) fn spawn(&mut self, bridge: &Arc<Bridge>, post: Post) -> AbortHandle {
        let limit = match &post.role {
            Role::Initialize => Some(INITIALIZE_LIMIT),
            Role::Respond | Role::Cancel => None,
            _ => Some(ORDER_LIMIT).filter(|_| post.ids.is_empty()),
        };
        let (done, turn) = watch::channel(());
        let mut before = self.turn.clone();
        if limit.is_some() {
            self.turn = turn;
        }
        let bridge = Arc::clone(bridge);
        self.tasks.spawn(async move {
            if !matches!(post.role, Role::Respond | Role::Cancel) {
                // An error is the end.
                let _ = before.changed().await;
            }
            let mut exchange = pin!(bridge.exchange_and_fail(&post));
            let limit = limit.unwrap_or(Duration::MAX);
            if timeout(limit, exchange.as_mut()).await.is_err() {
                drop(done);
                exchange.await;
            }
        })
    }

    /// Waits until another message can be spawned.
    pub(super) async fn below_limit(&mut self, requests_limit: usize) {
        while self.tasks.try_join_next().is_some() {}
        while self.tasks.len() >= requests_limit + WAITING_LIMIT {
            self.tasks.join_next().await;
        }
    }

    /// Waits for the end of all.
    pub(super) async fn end(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}
