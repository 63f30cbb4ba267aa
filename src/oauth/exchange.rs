//! Requests and their responses within one deadline, with notes for a person who waits.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, sleep, timeout};

use super::http::Http;
use super::request::Message;
use super::response::HttpResponse;
use super::transport_error::TransportError;
use crate::error::{Error, Result};
use crate::message::{self, Waiting, WaitingFor};
use crate::profile::TokenEndpoint;
use crate::types::duration;

/// Prints a note if a request takes long.
pub(super) async fn noting<T>(url: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut waiting = Waiting::begin(WaitingFor::Other);
    if let Ok(done) = timeout(waiting.quiet(Duration::MAX), &mut work).await {
        return done;
    }
    waiting.note_if_due(|| format!("waiting for {url}"));
    work.await
}

/// Waits before another attempt, as long as the server asked for.
pub(super) async fn wait(url: &str, pause: Duration) {
    // Rounded up: a wait of half a second is not `0 s`.
    let seconds = pause.as_millis().div_ceil(1000).try_into();
    let pause_in_words = duration::in_words(Duration::from_secs(seconds.unwrap_or(u64::MAX)));
    message::step(|| format!("request: again in {pause_in_words}"));
    if Waiting::is_noted(pause) {
        message::note(&format!("waiting {pause_in_words}, as requested by {url}"));
    }
    sleep(pause).await;
}

/// Runs requests on this thread, up to a deadline. What does not end in time is left behind: a name
/// server that does not respond keeps a thread busy.
pub(super) fn within<T, F: Future<Output = T>>(
    limit: Duration,
    requests: impl FnOnce(Instant) -> F,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::broken("cannot start the network").because(error))?;
    let result = runtime.block_on(async { requests(Instant::now() + limit).await });
    runtime.shutdown_background();
    Ok(result)
}

/// Sends a request, and reads the response.
pub(super) async fn post(
    http: &Http,
    endpoint: &TokenEndpoint,
    message: &Message,
) -> std::result::Result<HttpResponse, TransportError> {
    http.exchange(|client| {
        let mut post = client
            .post(endpoint.as_str())
            .header("accept", "application/json")
            .header("accept-encoding", "identity")
            .header("content-type", message.content_type);
        if let Some(authorization) = message.authorization.clone().and_then(secret_value) {
            post = post.header("authorization", authorization);
        }
        // These replace what hallpass sets of the same name.
        let mut headers = HeaderMap::new();
        for (name, value) in &message.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            // A profile has no others.
            if let (Ok(name), Some(value)) = (name, secret_value(value.clone())) {
                headers.insert(name, value);
            }
        }
        post = post.headers(headers);
        post.body(message.body.clone())
    })
    .await
}

/// A header that uses the memory of its text. None if that cannot be a header.
fn secret_value(text: Bytes) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
