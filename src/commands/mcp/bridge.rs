//! The bridge as a whole: from the first line of input until all is answered, or a signal.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::headers;
use super::input::{self, Input};
use super::jsonrpc::{Id, NO_RESPONSE, error};
use super::order::Exchanges;
use super::output::Output;
use super::parameters::ToolParameters;
use super::pending::{Kind, Pending};
use super::session::{Session, Sessions};
use crate::commands::upstream::race::{First, first};
use crate::commands::upstream::signals::{signal, stop_signals};
use crate::commands::upstream::tokens::Tokens;
use crate::error::Result;
use crate::message;
use crate::oauth::Upstream;
use crate::platform;
use crate::types::web_url::WebUrl;

/// How many requests are in progress at the same time, if there are enough descriptors. Each may have its
/// own connection.
const REQUESTS_LIMIT: usize = 1024;

/// How many descriptors are left for everything else: files, the keychain, the token endpoint.
const OTHER_DESCRIPTORS: usize = 64;

/// How long requests in progress may take after the end of the input.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// How long the end of the session may take. Clients end this process after two seconds.
const END_LIMIT: Duration = Duration::from_millis(1500);

/// How long the client may take to read what is left.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// The error for a request that is in progress then.
pub(super) const ENDED: &str = "hallpass ended before the response";

/// What all messages use.
pub(super) struct Bridge {
    pub(super) url: WebUrl,
    pub(super) upstream: Upstream,
    pub(super) tokens: Tokens,
    pub(super) sessions: Sessions,
    pub(super) pending: Pending,
    pub(super) tools: ToolParameters,
    pub(super) output: Output,
    pub(super) requests_limit: usize,
}

impl Bridge {
    /// # Errors
    /// It cannot start.
    pub(super) async fn run(url: WebUrl, upstream: Upstream, tokens: Tokens) -> Result<()> {
        let mut signals = stop_signals()?;
        let (output, mut written) = Output::start()?;
        let input = input::start()?;
        let descriptors = platform::descriptor_limit(Some(REQUESTS_LIMIT + OTHER_DESCRIPTORS));
        let free = descriptors.saturating_sub(OTHER_DESCRIPTORS);
        let bridge = Arc::new(Self {
            url,
            upstream,
            tokens,
            sessions: Sessions::default(),
            pending: Pending::default(),
            tools: ToolParameters::default(),
            output,
            requests_limit: REQUESTS_LIMIT.min(free).max(1),
        });
        let stopped = first(signal(&mut signals), &mut written);
        let end = first(bridge.serve(input), stopped).await;
        let is_client_gone = matches!(end, First::Right(First::Right(_)));
        // Meanwhile, because a client that ends may read no more.
        bridge.sessions.stop_listener();
        let session = bridge.spawn_end(bridge.sessions.current());
        let ended = async {
            for id in bridge.pending.ids() {
                bridge.fail(&id, ENDED).await;
            }
            bridge.output.end().await;
            if !is_client_gone {
                let _ = written.await;
            }
        };
        let ended = async {
            let _ = timeout(WRITE_LIMIT, ended).await;
            let _ = session.await;
        };
        // Another signal ends it at once.
        first(ended, signal(&mut signals)).await;
        Ok(())
    }

    /// Sends what the client writes, until its end, and waits for the responses.
    async fn serve(self: &Arc<Self>, mut input: mpsc::Receiver<Input>) {
        let mut exchanges = Exchanges::new();
        while let Some(input) = input.recv().await {
            exchanges.below_limit(self.requests_limit).await;
            self.dispatch(input, &mut exchanges).await;
        }
        for (id, exchange) in self.pending.subscriptions() {
            self.fail(&id, ENDED).await;
            if let Some(exchange) = exchange {
                exchange.abort();
            }
        }
        let _ = timeout(DRAIN_LIMIT, exchanges.end()).await;
    }

    /// Answers a request with an error, if it has no response yet.
    pub(super) async fn fail(&self, id: &Id, text: &str) {
        if !self.pending.has(id) {
            return;
        }
        let permit = self.output.permit().await;
        match self.pending.take(id).map(|request| request.kind) {
            None => {}
            // Its receiver may be gone.
            Some(Kind::Renewal(renewal)) => drop(renewal.send(Err(text.to_owned()))),
            Some(_) => permit.fill(error(Some(id), NO_RESPONSE, text)),
        }
    }

    /// The URL for messages: without its query, which may have a secret.
    pub(super) fn shown_url(&self) -> &str {
        self.url.as_str().split('?').next().unwrap_or_default()
    }

    /// Tells the server that a session is over, in a task of its own.
    pub(super) fn spawn_end(self: &Arc<Self>, session: Session) -> JoinHandle<()> {
        let bridge = Arc::clone(self);
        tokio::spawn(async move { bridge.end_session(&session).await })
    }

    /// MCP 2025-11-25, "Session Management".
    async fn end_session(&self, session: &Session) {
        if session.id.is_none() {
            return;
        }
        let mut headers = headers::without_body();
        session.add_to(&mut headers);
        // The server may have no such method, or be gone.
        let ended = timeout(END_LIMIT, self.request(Method::DELETE, headers, None)).await;
        message::step(|| match ended {
            Ok(Ok(answer)) => format!("end of the session: {}", answer.response.status().as_u16()),
            _ => "end of the session: no response".to_owned(),
        });
    }
}
