//! The session of the server (MCP 2025-11-25, "Session Management"), and another one after the server has
//! ended it.
//!
//! A client that starts a program knows of no session, so it cannot begin another one. The bridge does:
//! it repeats the client's own `initialize`. Other bridges do the same, as clients do not recover from an
//! error here.

use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::bridge::{Bridge, ENDED};
use super::dispatch::{Post, Role};
use super::headers::{self, PROTOCOL_VERSION, SESSION_ID};
use super::jsonrpc::Id;
use super::order::INITIALIZE_LIMIT;
use super::pending::{Kind, Request};
use crate::message;

const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// What requests of a session have in common.
#[derive(Clone, Default)]
pub(super) struct Session {
    /// Counts the sessions.
    pub(super) number: u64,
    pub(super) id: Option<HeaderValue>,
    /// The version of MCP that client and server agreed on.
    version: Option<HeaderValue>,
}

impl Session {
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        for (name, value) in [(SESSION_ID, &self.id), (PROTOCOL_VERSION, &self.version)] {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
    }
}

/// The session, and what begins another.
#[derive(Default)]
pub(super) struct Sessions {
    state: Mutex<State>,
    /// Held while another session begins. No message of the client is sent meanwhile.
    renewal: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    session: Session,
    /// The client's message.
    initialize: Option<Bytes>,
    is_initialized: bool,
    listener: Option<AbortHandle>,
}

impl Sessions {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn current(&self) -> Session {
        self.state().session.clone()
    }

    /// The session, once no other one is beginning.
    pub(super) async fn settled(&self) -> Session {
        let _renewal = self.renewal.lock().await;
        self.current()
    }

    /// The client begins a session. Returns the one before.
    pub(super) fn begin(&self, initialize: Bytes) -> Session {
        self.stop_listener();
        let mut state = self.state();
        state.initialize = Some(initialize);
        state.is_initialized = false;
        let next = Session {
            number: state.session.number + 1,
            ..Session::default()
        };
        mem::replace(&mut state.session, next)
    }

    /// The server has named the session, or has none.
    pub(super) fn open(&self, id: Option<&HeaderValue>) {
        let mut state = self.state();
        let mut id = id.cloned();
        if let Some(id) = &mut id {
            id.set_sensitive(true);
        }
        state.session = Session {
            number: state.session.number + 1,
            id,
            version: None,
        };
    }

    /// Reads the result of `initialize`, and returns the version.
    pub(super) fn set_version(&self, result: &str) -> Option<String> {
        let result: Map<String, Value> = serde_json::from_str(result).ok()?;
        let version = result.get("protocolVersion")?.as_str()?;
        self.state().session.version = HeaderValue::from_str(version).ok();
        Some(version.to_owned())
    }

    /// The client has begun the session.
    pub(super) fn set_initialized(&self) -> Session {
        let mut state = self.state();
        state.is_initialized = true;
        state.session.clone()
    }

    /// Replaces the task that listens for messages of the server.
    pub(super) fn set_listener(&self, listener: AbortHandle) {
        if let Some(previous) = self.state().listener.replace(listener) {
            previous.abort();
        }
    }

    pub(super) fn stop_listener(&self) {
        if let Some(listener) = self.state().listener.take() {
            listener.abort();
        }
    }

    /// Returns to a session from this one.
    fn restore(&self, session: Session) -> Session {
        mem::replace(&mut self.state().session, session)
    }
}

impl Bridge {
    /// Begins another session, if nobody has done that since this one.
    ///
    /// # Errors
    /// Why that failed. The next request tries it again.
    pub(super) async fn renewed_session(self: &Arc<Self>, lost: u64) -> Result<Session, String> {
        // In its own task, which goes on if the request is cancelled.
        let renewal = tokio::spawn(Arc::clone(self).renew_session(lost));
        let renewed = renewal.await.unwrap_or_else(|_| Err(ENDED.to_owned()));
        let url = self.shown_url();
        renewed
            .map_err(|text| format!("{url} ended the session, and no other one can begin: {text}"))
    }

    /// A type without the types of its parts, because those contain it.
    fn renew_session(
        self: Arc<Self>,
        lost: u64,
    ) -> Pin<Box<dyn Future<Output = Result<Session, String>> + Send>> {
        Box::pin(async move {
            let _renewal = self.sessions.renewal.lock().await;
            let (session, initialize, is_initialized) = {
                let state = self.sessions.state();
                (
                    state.session.clone(),
                    state.initialize.clone(),
                    state.is_initialized,
                )
            };
            if session.number != lost {
                return Ok(session);
            }
            // No id of the client, whose other requests go on.
            let id = Id::from(format!("hallpass-session-{}", session.number));
            let initialize = initialize.unwrap_or_default();
            let handshake = self.repeat_handshake(&session, &id, &initialize, is_initialized);
            // All other messages wait for it.
            let renewed = timeout(INITIALIZE_LIMIT, handshake).await;
            self.pending.cancel(&id);
            let limit = INITIALIZE_LIMIT.as_secs();
            let late = |_| Err(format!("no response within {limit} s"));
            let renewed = renewed.unwrap_or_else(late);
            if renewed.is_ok() {
                let url = self.shown_url();
                message::note(&format!("{url} ended the session; began another one"));
            } else {
                // The next request is sent in the old session, and refused again.
                let unusable = self.sessions.restore(session.clone());
                if unusable.number != session.number {
                    self.spawn_end(unusable);
                }
            }
            renewed
        })
    }

    async fn repeat_handshake(
        self: &Arc<Self>,
        session: &Session,
        id: &Id,
        initialize: &[u8],
        is_initialized: bool,
    ) -> Result<Session, String> {
        let (sender, renewed) = oneshot::channel();
        let mut message: Map<String, Value> =
            serde_json::from_slice(initialize).unwrap_or_default();
        message.insert("id".to_owned(), json!(id));
        let request = Request {
            kind: Kind::Renewal(sender),
            is_cancelled_by_closing: false,
            exchange: None,
        };
        self.pending.insert(id.clone(), request);
        let body = Value::Object(message).to_string().into();
        self.exchange_and_fail(&Post::new(body, vec![id.clone()], Role::Initialize))
            .await;
        let version = renewed
            .await
            .unwrap_or_else(|_| Err("no response".to_owned()))?;
        let new = self.sessions.current();
        if session
            .version
            .as_ref()
            .is_some_and(|agreed| agreed != version.as_str())
        {
            let text = "the server now speaks another version of MCP; restart the client";
            return Err(text.to_owned());
        }
        if is_initialized {
            let mut headers = headers::with_message();
            new.add_to(&mut headers);
            let body = Bytes::from_static(INITIALIZED);
            let answer = self.request(Method::POST, headers, Some(body)).await?;
            let status = answer.response.status();
            if !status.is_success() {
                return Err(format!("the server answered {}", status.as_u16()));
            }
            self.listen(new.clone());
        }
        Ok(new)
    }
}
