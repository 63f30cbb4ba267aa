//! What is done with a message of the client.

use std::collections::HashSet;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::HeaderMap;

use super::bridge::Bridge;
use super::headers;
use super::input::{Input, MESSAGE_LIMIT};
use super::jsonrpc::{
    Batch, INVALID_REQUEST, Id, Message, NO_RESPONSE, PARSE_ERROR, error, id_of_request,
};
use super::order::Exchanges;
use super::pending::{Kind, Request};
use crate::message;

/// What a message is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Initialize,
    /// The notification after it.
    Initialized,
    /// The cancellation of a request.
    Cancel,
    /// Nothing but responses to requests of the server.
    Respond,
    Other,
}

/// A message or a batch for the server.
pub(super) struct Post {
    pub(super) body: Bytes,
    /// The requests in it.
    pub(super) ids: Vec<Id>,
    pub(super) role: Role,
    pub(super) headers: HeaderMap,
    /// Whether it is of MCP 2026-07-28 or later: without sessions, and streams that can be resumed.
    pub(super) is_stateless: bool,
}

impl Post {
    pub(super) fn new(body: Bytes, ids: Vec<Id>, role: Role) -> Self {
        Self {
            body,
            ids,
            role,
            headers: headers::with_message(),
            is_stateless: false,
        }
    }
}

impl Bridge {
    /// Sends a message, without waiting for the response.
    pub(super) async fn dispatch(self: &Arc<Self>, input: Input, exchanges: &mut Exchanges) {
        let line = match input {
            Input::Line(line) => line,
            Input::TooLong(id) => {
                let text = format!("the message is longer than {} MiB", MESSAGE_LIMIT >> 20);
                match id {
                    Some(id) => self.refuse(Some(&id), INVALID_REQUEST, &text).await,
                    None => message::warning(&format!("not sent: {text}")),
                }
                return;
            }
        };
        let batch = match Batch::parse(&line) {
            Ok(batch) => batch,
            Err(PARSE_ERROR) => {
                return self.refuse(None, PARSE_ERROR, "the line is not JSON").await;
            }
            Err(code) => {
                let id = id_of_request(&line[..]);
                let text = "the line is not a message of JSON-RPC 2.0";
                return self.refuse(id.as_ref(), code, text).await;
            }
        };
        let Some(post) = self.post(&line, &batch).await else {
            return;
        };
        let ids = post.ids.clone();
        let exchange = exchanges.spawn(self, post);
        if let [id] = &ids[..] {
            self.pending.set_exchange(id, exchange);
        }
    }

    async fn refuse(&self, id: Option<&Id>, code: i32, text: &str) {
        self.output.send(error(id, code, text)).await;
    }

    /// Notes the requests of a line. None if there is nothing to send.
    async fn post(&self, line: &Bytes, batch: &Batch<'_>) -> Option<Post> {
        let mut post = Post::new(line.clone(), Vec::new(), Role::Other);
        if let [(_, message)] = &batch.messages[..] {
            self.describe(message, &mut post)?;
        }
        if batch.messages.iter().all(|(_, it)| it.method.is_none()) {
            post.role = Role::Respond;
        }
        let requests: Vec<_> = batch
            .messages
            .iter()
            .filter_map(|(_, it)| Some((it.request_id()?, it)))
            .collect();
        if let Some((code, text)) = self.refusal(batch, &requests) {
            let mut ids: Vec<_> = requests.iter().map(|(id, _)| Some(id)).collect();
            // Each once.
            let mut seen = HashSet::new();
            ids.retain(|id| seen.insert(*id));
            if ids.is_empty() {
                ids.push(None);
            }
            for id in ids {
                self.refuse(id, code, text).await;
            }
            return None;
        }
        for (id, message) in requests {
            let request = Request {
                kind: Kind::of(message),
                is_cancelled_by_closing: post.is_stateless,
                exchange: None,
            };
            self.pending.insert(id.clone(), request);
            post.ids.push(id);
        }
        Some(post)
    }

    /// Why no message of a line is sent.
    fn refusal(
        &self,
        batch: &Batch<'_>,
        requests: &[(Id, &Message<'_>)],
    ) -> Option<(i32, &'static str)> {
        let ids: HashSet<_> = requests.iter().map(|(id, _)| id).collect();
        let has_twin = ids.len() < requests.len() || ids.iter().any(|id| self.pending.has(id));
        if batch.messages.iter().any(|(_, it)| it.has_null_id()) {
            Some((INVALID_REQUEST, "the id of a request must not be null"))
        } else if has_twin && batch.is_array {
            Some((
                INVALID_REQUEST,
                "the batch was not sent: it has the id of a request that has no response yet",
            ))
        } else if has_twin {
            Some((
                INVALID_REQUEST,
                "a request with the same id has no response yet",
            ))
        } else if self.pending.len() + requests.len() > self.requests_limit {
            Some((NO_RESPONSE, "too many requests at the same time"))
        } else {
            None
        }
    }

    /// Fills in what follows from the only message. None if it is not sent.
    fn describe(&self, message: &Message<'_>, post: &mut Post) -> Option<()> {
        let params = message.params();
        if let Some(version) = params.version() {
            post.is_stateless = true;
            post.headers
                .extend(headers::of_message(&version, message, &params));
            if message.is_method("tools/call") {
                self.tools.add(&params, &mut post.headers);
            }
        }
        post.role = match message.method.as_deref() {
            Some("initialize") if message.id().is_some() => Role::Initialize,
            Some("notifications/initialized") => Role::Initialized,
            Some("notifications/cancelled") => {
                let id = params.request_id()?;
                // It may have its response by now.
                let is_cancelled_by_closing = self.pending.is_cancelled_by_closing(&id)?;
                self.pending.cancel(&id);
                if is_cancelled_by_closing {
                    return None;
                }
                Role::Cancel
            }
            _ => Role::Other,
        };
        Some(())
    }
}

impl Kind {
    fn of(message: &Message<'_>) -> Self {
        match message.method.as_deref() {
            Some("initialize") => Self::Initialize,
            Some("tools/list") => Self::ListTools,
            Some("subscriptions/listen") => Self::Subscribe,
            _ => Self::Other,
        }
    }
}
