//! A message that is sent to the server, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use hyper::http::response::Parts;
use hyper::{Method, Response, StatusCode};
use tokio::time::timeout;

use super::bridge::Bridge;
use super::dispatch::{Post, Role};
use super::headers::{EVENT_STREAM, SESSION_ID};
use super::input::MESSAGE_LIMIT;
use super::jsonrpc::{Batch, Id, error_for};
use super::refusal::ErrorResponse;
use super::session::Session;
use crate::commands::upstream::body::next_frame;
use crate::commands::upstream::proofs::{ApiRequest, refuses_token, wanted_nonce};
use crate::commands::upstream::tokens::Token;
use crate::message;
use crate::oauth::UpstreamBody;

/// The longest body of a refusal that is read, in bytes.
const REFUSAL_LIMIT: usize = 64 * 1024;

/// The code that SDKs use for a session that the server has ended.
const SESSION_NOT_FOUND: i64 = -32001;

/// How long the rest of a response may take that nobody needs. Then its connection is closed.
const REST_LIMIT: Duration = Duration::from_secs(1);

/// How long the server may take for a cancellation.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

/// A response, and the token of its request.
pub(super) struct Answer {
    pub(super) response: Response<UpstreamBody>,
    pub(super) token: Arc<Token>,
}

/// An [`Answer`] to a message, and the session that this was sent in.
struct Sent {
    answer: Answer,
    session: Session,
}

impl Bridge {
    /// Sends a message, and writes what comes back. A request without a response gets an error.
    pub(super) async fn exchange_and_fail(self: &Arc<Self>, post: &Post) {
        let outcome = match &post.role {
            // It is cancelled here in any case.
            Role::Cancel => timeout(CANCEL_LIMIT, self.exchange(post))
                .await
                .unwrap_or(Ok(())),
            _ => self.exchange(post).await,
        };
        match &outcome {
            Err(text) if post.ids.is_empty() => message::warning(text),
            _ => {}
        }
        let url = self.shown_url();
        let text = outcome
            .err()
            .unwrap_or_else(|| format!("{url} sent no response to this request"));
        for id in &post.ids {
            self.fail(id, &text).await;
        }
    }

    /// # Errors
    /// Why there is no response, or not to every request.
    async fn exchange(self: &Arc<Self>, post: &Post) -> Result<(), String> {
        if post.role == Role::Initialize && self.pending.is_of_client(&post.ids) {
            let previous = self.sessions.begin(post.body.clone());
            self.spawn_end(previous);
        }
        let Sent { answer, session } = self.send(post).await?;
        let (parts, body) = answer.response.into_parts();
        if !parts.status.is_success() {
            return self.refused(post, &parts, body, &answer.token).await;
        }
        if post.role == Role::Initialize {
            self.sessions.open(parts.headers.get(SESSION_ID));
        }
        if post.ids.is_empty() {
            let rest = timeout(REST_LIMIT, read(body, REFUSAL_LIMIT));
            if content_type(&parts.headers) == EVENT_STREAM {
                // It has no use here, and may not end.
                drop(rest);
            } else {
                let _ = rest.await;
            }
            if post.role == Role::Initialized {
                let session = self.sessions.set_initialized();
                self.listen(session);
            }
            return Ok(());
        }
        self.read_response(post, &parts, body, session).await
    }

    async fn read_response(
        self: &Arc<Self>,
        post: &Post,
        parts: &Parts,
        body: UpstreamBody,
        session: Session,
    ) -> Result<(), String> {
        let url = self.shown_url();
        let content_type = content_type(&parts.headers);
        if let Some(coding) = coding(&parts.headers) {
            return Err(format!(
                "{url} compressed its response with {coding}, which hallpass does not ask for"
            ));
        }
        if content_type == EVENT_STREAM {
            return self.follow(post, body, session).await;
        }
        if parts.status == StatusCode::ACCEPTED {
            return Err(format!("{url} accepted the request without a response"));
        }
        if !is_json(&content_type) {
            let shown = message::clean(&content_type, message::FOREIGN_TEXT_LIMIT);
            return Err(format!(
                "{url} answered with {shown}, not with JSON or an event stream"
            ));
        }
        let bytes = read(body, MESSAGE_LIMIT)
            .await
            .map_err(|fault| match fault {
                ReadError::TooLong => self.too_long(),
                ReadError::Broken => format!("{url} closed the connection within its response"),
            })?;
        if self.forward(&bytes, &post.ids).await {
            Ok(())
        } else {
            Err(format!(
                "the response of {url} is not a message of JSON-RPC 2.0"
            ))
        }
    }

    pub(super) fn too_long(&self) -> String {
        let limit = MESSAGE_LIMIT >> 20;
        format!(
            "{} sent a message that is longer than {limit} MiB",
            self.shown_url()
        )
    }

    /// Sends a message of the client. If the session is over, it is sent again in another one.
    async fn send(self: &Arc<Self>, post: &Post) -> Result<Sent, String> {
        let send = async |session: Session| {
            let mut headers = post.headers.clone();
            session.add_to(&mut headers);
            let answer = self.request(Method::POST, headers, Some(post.body.clone()));
            answer.await.map(|answer| Sent { answer, session })
        };
        if post.role == Role::Initialize || post.is_stateless {
            return send(Session::default()).await;
        }
        let session = match post.role {
            // The server may need it before it begins another session.
            Role::Respond | Role::Cancel => self.sessions.current(),
            _ => self.sessions.settled().await,
        };
        let mut refused = send(session).await?;
        if refused.session.id.is_none() || refused.answer.response.status() != StatusCode::NOT_FOUND
        {
            return Ok(refused);
        }
        let (parts, body) = refused.answer.response.into_parts();
        let body = timeout(REST_LIMIT, read(body, REFUSAL_LIMIT)).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        if is_response(&body, &post.ids) {
            refused.answer.response = Response::from_parts(parts, UpstreamBody::from(body));
            return Ok(refused);
        }
        send(self.renewed_session(refused.session.number).await?).await
    }

    /// Sends a request with a token, and once more if that was refused.
    ///
    /// # Errors
    /// There is no token, or no response.
    pub(super) async fn request(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<Answer, String> {
        let token = self
            .tokens
            .current()
            .await
            .map_err(|failure| failure.text.clone())?;
        let response = self
            .send_with(&token, &method, &headers, body.clone())
            .await?;
        if !refuses_token(&token, &response) {
            return Ok(Answer { response, token });
        }
        let Some(other) = self.tokens.other_than(&token).await else {
            return Ok(Answer { response, token });
        };
        let response = self.send_with(&other, &method, &headers, body).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            self.tokens.replacement_was_accepted();
        }
        Ok(Answer {
            response,
            token: other,
        })
    }

    /// Sends a request, and once more if the server wants its nonce in the proof (RFC 9449 §9).
    async fn send_with(
        &self,
        token: &Token,
        method: &Method,
        headers: &HeaderMap,
        body: Option<Bytes>,
    ) -> Result<Response<UpstreamBody>, String> {
        let send = async |nonce| {
            let request = ApiRequest {
                method,
                url: &self.url,
                headers: headers.clone(),
            };
            let body = body.clone().map(UpstreamBody::from);
            let sent = self
                .tokens
                .send(&self.upstream, token, request, body, nonce);
            let response = sent.await.map_err(|error| error.to_string())?;
            message::step(|| format!("{method}: {}", response.status().as_u16()));
            Ok(response)
        };
        let response = send(self.tokens.nonce()).await?;
        match wanted_nonce(token, &response) {
            Some(nonce) => send(Some(nonce)).await,
            None => Ok(response),
        }
    }

    /// The server refused a message.
    async fn refused(
        &self,
        post: &Post,
        parts: &Parts,
        body: UpstreamBody,
        token: &Token,
    ) -> Result<(), String> {
        let body = timeout(REST_LIMIT, read(body, REFUSAL_LIMIT)).await;
        let mut body = body.ok().and_then(Result::ok).unwrap_or_default();
        if token.is_in(&body) {
            body.clear();
        }
        // Its own error says more. The id is often missing.
        if let [id] = &post.ids[..]
            && let Ok(batch) = Batch::parse(&body)
            && let [(_, message)] = &batch.messages[..]
            && let Some(error) = message.error
            && self.pending.is_of_client(&post.ids)
        {
            let permit = self.output.permit().await;
            if self.pending.take(id).is_some() {
                permit.fill(error_for(id, error));
            }
            return Ok(());
        }
        let refused = ErrorResponse {
            url: self.shown_url(),
            status: parts.status,
            headers: &parts.headers,
            body: &body,
        };
        Err(refused.text(post.role == Role::Initialize, token))
    }
}

/// Whether a body with status 404 is the error of this request, not of its session.
fn is_response(body: &[u8], ids: &[Id]) -> bool {
    let batch = Batch::parse(body).ok();
    let message = batch.as_ref().and_then(|batch| batch.messages.first());
    message.is_some_and(|(_, message)| {
        let is_other = message
            .error_code()
            .is_some_and(|code| code != SESSION_NOT_FOUND);
        is_other && message.id().is_some_and(|id| ids == [id])
    })
}

/// The media type in lower case, without parameters. Empty if there is none.
pub(super) fn content_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = value
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    media_type.trim().to_ascii_lowercase()
}

/// How the body is compressed.
pub(super) fn coding(headers: &HeaderMap) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(CONTENT_ENCODING)?.as_bytes());
    let coding = message::clean(&value, message::FOREIGN_TEXT_LIMIT);
    Some(coding).filter(|coding| !matches!(&coding[..], "" | "identity"))
}

fn is_json(content_type: &str) -> bool {
    content_type.is_empty() || content_type == "application/json" || content_type.ends_with("+json")
}

enum ReadError {
    TooLong,
    Broken,
}

async fn read(mut body: UpstreamBody, limit: usize) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    while let Some(frame) = next_frame(&mut body).await {
        let frame = frame.map_err(|_| ReadError::Broken)?;
        let data = frame.data_ref().map_or(&[][..], |data| &data[..]);
        if bytes.len() + data.len() > limit {
            return Err(ReadError::TooLong);
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}
