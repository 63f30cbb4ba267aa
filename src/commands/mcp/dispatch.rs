//! What is done with a message of the client.
//!
//! Requests run side by side. A notification and a response are sent before anything after them, because
//! a server refuses requests before `notifications/initialized`; so is `initialize`, whose response has
//! the session.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::HeaderMap;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::bridge::Bridge;
use super::headers;
use super::input::{Input, MESSAGE_LIMIT};
use super::jsonrpc::{Batch, INVALID_REQUEST, Id, Message, NO_RESPONSE, PARSE_ERROR, error};
use super::pending::{Kind, Request};
use crate::message;

/// How long the messages after a notification wait until the server has it.
const ORDER_LIMIT: Duration = Duration::from_secs(10);

/// The same for `initialize`, which may start the server.
const INITIALIZE_LIMIT: Duration = Duration::from_secs(60);

/// What a message is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Initialize,
    /// The notification after it.
    Initialized,
    /// The cancellation of a request.
    Cancel(Id),
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
    pub(super) async fn dispatch(self: &Arc<Self>, input: Input, exchanges: &mut JoinSet<()>) {
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
                return self
                    .refuse(None, code, "the line is not a message of JSON-RPC 2.0")
                    .await;
            }
        };
        let Some(post) = self.post(&line, &batch).await else {
            return;
        };
        let wait = match &post.role {
            Role::Initialize => Some(INITIALIZE_LIMIT),
            _ => Some(ORDER_LIMIT).filter(|_| post.ids.is_empty()),
        };
        let ids = post.ids.clone();
        let (done, ended) = oneshot::channel::<()>();
        let bridge = Arc::clone(self);
        let exchange = exchanges.spawn(async move {
            bridge.exchange_and_fail(&post).await;
            drop(done);
        });
        if let [id] = &ids[..] {
            self.pending.set_exchange(id, exchange);
        }
        if let Some(limit) = wait {
            let _ = timeout(limit, ended).await;
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
        let requests: Vec<_> = batch
            .messages
            .iter()
            .filter_map(|(_, it)| Some((it.request_id()?, it)))
            .collect();
        for (id, message) in &requests {
            let has_twin = self.pending.has(id);
            let refusal = if has_twin {
                Some((
                    INVALID_REQUEST,
                    "a request with the same id has no response yet",
                ))
            } else if self.pending.len() >= self.requests_limit {
                Some((NO_RESPONSE, "too many requests at the same time"))
            } else {
                None
            };
            if let Some((code, text)) = refusal {
                for id in post.ids.drain(..) {
                    self.fail(&id, text).await;
                }
                self.refuse(Some(id), code, text).await;
                return None;
            }
            let request = Request {
                kind: Kind::of(message),
                is_cancelled_by_closing: post.is_stateless,
                exchange: None,
            };
            self.pending.insert(id.clone(), request);
            post.ids.push(id.clone());
        }
        Some(post)
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
                if self.pending.is_cancelled_by_closing(&id)? {
                    self.pending.cancel(&id);
                    return None;
                }
                Role::Cancel(id)
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
