//! Streams of messages, and how they go on after their connection was closed (MCP 2025-11-25,
//! "Resumability and Redelivery").

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ACCEPT, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::time::{sleep, timeout};

use super::bridge::Bridge;
use super::dispatch::Post;
use super::events::{EventParser, Position};
use super::exchange::{coding, content_type};
use super::headers::{self, EVENT_STREAM, LAST_EVENT_ID};
use super::input::MESSAGE_LIMIT;
use super::jsonrpc::{Id, is_damaged_response};
use super::session::Session;
use crate::commands::upstream::body::next_frame;
use crate::message;
use crate::oauth::UpstreamBody;
use crate::types::duration;

/// The pause before a stream is opened again, if the server names none. Each failure doubles it.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The shortest pause, whatever the server says.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause that a request waits for.
const LONGEST_RETRY: Duration = Duration::from_secs(600);

/// How often to try to open the stream of a request again, before the request fails.
const RESUME_ATTEMPTS: u32 = 5;

/// How long a stream may go on after the response that it was for.
const REST_LIMIT: Duration = Duration::from_secs(5);

/// Why no more is read from a stream.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum End {
    /// All requests that it was for have their response.
    Answered,
    /// By the server, or a failure of the network.
    Closed,
    TooLong,
    /// The response to the only request was no message.
    Damaged,
}

/// What a server answers to GET.
pub(super) enum Opened {
    Stream(UpstreamBody),
    /// It has no stream, or not for this position.
    Refused(StatusCode),
}

/// How long to wait before a stream is opened again.
pub(super) fn pause(position: &Position, failures: u32) -> Duration {
    match position.retry {
        Some(retry) if failures == 0 => retry.max(SHORTEST_PAUSE),
        retry => {
            let doubled = PAUSE * 2u32.pow(failures.min(5));
            doubled.min(LONGEST_PAUSE).max(retry.unwrap_or_default())
        }
    }
}

impl Bridge {
    /// Reads the stream that answers a message, until each of its requests has a response.
    ///
    /// # Errors
    /// Why that is not possible.
    pub(super) async fn follow(
        self: &Arc<Self>,
        post: &Post,
        mut body: UpstreamBody,
        session: Session,
    ) -> Result<(), String> {
        let mut position = Position::default();
        let mut idle = 0_u32;
        loop {
            let before = position.events;
            match self.read_events(&mut body, &mut position, &post.ids).await {
                End::TooLong => return Err(self.too_long()),
                End::Answered => {
                    self.read_rest(body, position);
                    return Ok(());
                }
                End::Damaged => {
                    let url = self.shown_url();
                    return Err(format!(
                        "the response of {url} is not a message of JSON-RPC 2.0"
                    ));
                }
                End::Closed => {}
            }
            let id = position
                .last_event_id
                .clone()
                .filter(|_| !post.is_stateless);
            let Some(id) = id else {
                let url = self.shown_url();
                return Err(format!("{url} closed the connection before its response"));
            };
            idle = if position.events == before {
                idle.saturating_add(1)
            } else {
                0
            };
            body = self.resume(&session, &position, &id, idle).await?;
        }
    }

    /// Reads to the end, so that the connection can be used again.
    fn read_rest(self: &Arc<Self>, mut body: UpstreamBody, mut position: Position) {
        let bridge = Arc::clone(self);
        tokio::spawn(async move {
            let rest = bridge.read_events(&mut body, &mut position, &[]);
            let _ = timeout(REST_LIMIT, rest).await;
        });
    }

    /// Opens the stream of a request again. `idle` connections before brought nothing.
    async fn resume(
        &self,
        session: &Session,
        position: &Position,
        id: &HeaderValue,
        idle: u32,
    ) -> Result<UpstreamBody, String> {
        let url = self.shown_url();
        if let Some(retry) = position.retry.filter(|retry| *retry > LONGEST_RETRY) {
            let retry = duration::in_words(retry);
            return Err(format!(
                "the stream of its response cannot be resumed: {url} allows that after {retry}"
            ));
        }
        let mut why = String::new();
        for failures in idle..idle.saturating_add(RESUME_ATTEMPTS) {
            sleep(pause(position, failures)).await;
            why = match self.open_stream(session, Some(id)).await {
                Ok(Opened::Stream(body)) => return Ok(body),
                Ok(Opened::Refused(status)) => {
                    let code = status.as_u16();
                    let text = format!(
                        "the stream of its response cannot be resumed: {url} answered {code}"
                    );
                    if status.is_client_error() {
                        return Err(text);
                    }
                    text
                }
                Err(text) => text,
            };
        }
        Err(why)
    }

    /// Opens a stream with GET, at this position or a new one. A position has a meaning in its session only.
    ///
    /// # Errors
    /// There is no token, or no response.
    pub(super) async fn open_stream(
        &self,
        session: &Session,
        id: Option<&HeaderValue>,
    ) -> Result<Opened, String> {
        let mut headers = headers::without_body();
        headers.insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
        session.add_to(&mut headers);
        if let Some(id) = id {
            headers.insert(LAST_EVENT_ID, id.clone());
        }
        let answer = self.request(Method::GET, headers, None).await?;
        let (parts, body) = answer.response.into_parts();
        if !parts.status.is_success() {
            return Ok(Opened::Refused(parts.status));
        }
        if content_type(&parts.headers) != EVENT_STREAM || coding(&parts.headers).is_some() {
            return Ok(Opened::Refused(StatusCode::NOT_ACCEPTABLE));
        }
        Ok(Opened::Stream(body))
    }

    /// Writes the messages of a stream.
    pub(super) async fn read_events(
        &self,
        body: &mut UpstreamBody,
        position: &mut Position,
        ids: &[Id],
    ) -> End {
        let mut parser = EventParser::new(MESSAGE_LIMIT);
        let mut messages = Vec::new();
        while let Some(Ok(frame)) = next_frame(body).await {
            let Some(data) = frame.data_ref() else {
                continue;
            };
            let outcome = parser.read(data, position, &mut messages);
            for message in messages.drain(..) {
                if self.forward(&message, ids).await {
                    continue;
                }
                message::step(|| "dropped an event that is not a message".to_owned());
                if let [id] = ids
                    && is_damaged_response(&message, id)
                {
                    return End::Damaged;
                }
            }
            if outcome.is_err() {
                return End::TooLong;
            }
            if !ids.is_empty() && ids.iter().all(|id| !self.pending.has(id)) {
                return End::Answered;
            }
        }
        End::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_says_when_to_connect_again_and_failures_take_longer() {
        let position = |retry| Position {
            retry,
            ..Position::default()
        };
        let milliseconds = Duration::from_millis;
        for (retry, failures, expected) in [
            (None, 0, 1000),
            (None, 1, 2000),
            (None, 4, 16_000),
            (None, 99, 30_000),
            (Some(0), 0, 10),
            (Some(250), 0, 250),
            (Some(250), 1, 2000),
            (Some(60_000), 0, 60_000),
            (Some(60_000), 9, 60_000),
        ] {
            let pause = pause(&position(retry.map(milliseconds)), failures);
            assert_eq!(pause, milliseconds(expected), "{retry:?} {failures}");
        }
    }
}
