//! Responses of hallpass itself. No cache keeps them.

use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, PRAGMA, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::body::ResponseBody;
use super::rejection::Rejection;
use crate::commands::upstream::tokens::Failure;
use crate::error::Kind;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) fn text(status: StatusCode, text: &str) -> Response<ResponseBody> {
    with_body(status, TEXT, format!("hallpass: {text}\n").into())
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<ResponseBody> {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = with_body(status, JSON, body.into());
    // RFC 6749 §5.1
    response
        .headers_mut()
        .insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// After a rejection, nothing more is read from the client.
pub(super) fn refused(rejection: Rejection) -> Response<ResponseBody> {
    let mut response = text(rejection.status(), rejection.text());
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// There is no token for the request.
pub(super) fn no_token(failure: &Failure) -> Response<ResponseBody> {
    if failure.kind != Kind::Unavailable {
        return text(StatusCode::BAD_GATEWAY, &failure.text);
    }
    later(&failure.text)
}

/// The client should send the request again in a moment.
pub(super) fn later(why: &str) -> Response<ResponseBody> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn with_body(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Own(Some(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
