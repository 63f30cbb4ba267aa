//! The stream of messages that belong to no request (MCP 2025-11-25, "Listening for Messages from the
//! Server"). A server may have none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tokio::time::sleep;

use super::bridge::Bridge;
use super::events::Position;
use super::session::Session;
use super::stream::{End, Opened, pause};
use crate::message;

/// A stream that was open for so long is no failure, even without an event.
const LONG: Duration = Duration::from_secs(30);

impl Bridge {
    /// Listens in this session, until the server says that it has no such stream.
    pub(super) fn listen(self: &Arc<Self>, session: Session) {
        let listener = tokio::spawn(Arc::clone(self).run_listener(session));
        self.sessions.set_listener(listener.abort_handle());
    }

    async fn run_listener(self: Arc<Self>, session: Session) {
        let mut position = Position::default();
        let mut was_open = false;
        let mut failures = 0;
        loop {
            match self
                .open_stream(&session, position.last_event_id.as_ref())
                .await
            {
                Ok(Opened::Stream(mut body)) => {
                    was_open = true;
                    let opened = Instant::now();
                    let before = position.events;
                    let end = self.read_events(&mut body, &mut position, &[]).await;
                    if end == End::TooLong {
                        message::warning(&self.too_long());
                    }
                    failures = if position.events != before || opened.elapsed() > LONG {
                        0
                    } else {
                        failures + 1
                    };
                }
                Ok(Opened::Refused(StatusCode::NOT_FOUND)) if was_open && session.id.is_some() => {
                    return self.renew_and_report(session.number);
                }
                Ok(Opened::Refused(status)) if is_final(status, was_open) => {
                    let code = status.as_u16();
                    if was_open {
                        let url = self.shown_url();
                        message::warning(&format!(
                            "{url} sends no more messages of its own: it answered {code}"
                        ));
                    } else {
                        message::step(|| format!("no stream for messages of the server: {code}"));
                    }
                    return;
                }
                Ok(Opened::Refused(_)) | Err(_) => failures += 1,
            }
            sleep(pause(&position, failures)).await;
        }
    }

    /// In another task, because this one ends with the session.
    fn renew_and_report(self: Arc<Self>, session: u64) {
        tokio::spawn(async move {
            if let Err(text) = self.renewed_session(session).await {
                message::warning(&text);
            }
        });
    }
}

/// Whether it is of no use to ask again. A server that had a stream may still hold the connection that broke
/// for the only one, and refuse another for a while.
fn is_final(status: StatusCode, was_open: bool) -> bool {
    if was_open {
        return matches!(
            status,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
        );
    }
    let may_pass = [
        StatusCode::UNAUTHORIZED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    !status.is_server_error() && !may_pass.contains(&status)
}
