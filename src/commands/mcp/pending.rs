//! The requests of the client that have no response yet. Each gets exactly one, unless it is cancelled.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::jsonrpc::Id;

/// What is known about a request.
pub(super) struct Request {
    pub(super) kind: Kind,
    /// Whether the end of its connection cancels it (MCP 2026-07-28).
    pub(super) is_cancelled_by_closing: bool,
    /// Its exchange with the server, if that is about no other request.
    pub(super) exchange: Option<AbortHandle>,
}

/// Whose response matters here.
pub(super) enum Kind {
    Initialize,
    /// An `initialize` of the bridge itself. The version that the server chose, or why there is none.
    Renewal(oneshot::Sender<Result<String, String>>),
    ListTools,
    /// A stream of messages without an end (MCP 2026-07-28).
    Subscribe,
    Other,
}

#[derive(Default)]
pub(super) struct Pending(Mutex<HashMap<Id, Request>>);

impl Pending {
    fn requests(&self) -> MutexGuard<'_, HashMap<Id, Request>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.requests().len()
    }

    pub(super) fn has(&self, id: &Id) -> bool {
        self.requests().contains_key(id)
    }

    /// Whether none of these is a request of the bridge itself.
    pub(super) fn is_of_client(&self, ids: &[Id]) -> bool {
        let requests = self.requests();
        let is_own = |request: &Request| matches!(request.kind, Kind::Renewal(_));
        !ids.iter().any(|id| requests.get(id).is_some_and(is_own))
    }

    pub(super) fn insert(&self, id: Id, request: Request) {
        self.requests().insert(id, request);
    }

    /// The exchange of a request has begun.
    pub(super) fn set_exchange(&self, id: &Id, exchange: AbortHandle) {
        if let Some(request) = self.requests().get_mut(id) {
            request.exchange = Some(exchange);
        }
    }

    pub(super) fn is_cancelled_by_closing(&self, id: &Id) -> Option<bool> {
        let requests = self.requests();
        requests
            .get(id)
            .map(|request| request.is_cancelled_by_closing)
    }

    /// Before a response is written. None if the request has one.
    pub(super) fn take(&self, id: &Id) -> Option<Request> {
        self.requests().remove(id)
    }

    /// Drops a request and its exchange. There is no response to it.
    pub(super) fn cancel(&self, id: &Id) {
        if let Some(exchange) = self.take(id).and_then(|request| request.exchange) {
            exchange.abort();
        }
    }

    /// The ids of all that are left.
    pub(super) fn ids(&self) -> Vec<Id> {
        self.requests().keys().cloned().collect()
    }

    /// Those that have no response before the server or the client ends, and their exchanges.
    pub(super) fn subscriptions(&self) -> Vec<(Id, Option<AbortHandle>)> {
        let requests = self.requests();
        let found = requests
            .iter()
            .filter(|(_, request)| matches!(request.kind, Kind::Subscribe));
        found
            .map(|(id, request)| (id.clone(), request.exchange.clone()))
            .collect()
    }
}
