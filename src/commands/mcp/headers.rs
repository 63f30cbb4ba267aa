//! The headers of requests to an MCP server.
//!
//! From version 2026-07-28 on, they repeat parts of the message, and servers compare both (MCP, Streamable
//! HTTP, "Request Metadata").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};

use super::jsonrpc::{Message, Params};

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const EVENT_STREAM: &str = "text/event-stream";
const HALLPASS: HeaderValue =
    HeaderValue::from_static(concat!("hallpass/", env!("CARGO_PKG_VERSION")));

/// For a request without a body.
pub(super) fn without_body() -> HeaderMap {
    HeaderMap::from_iter([(USER_AGENT, HALLPASS), (ACCEPT_ENCODING, IDENTITY)])
}

/// For a request with a message.
pub(super) fn with_message() -> HeaderMap {
    let accept = HeaderValue::from_static("application/json, text/event-stream");
    let mut headers = without_body();
    headers.extend([(ACCEPT, accept), (CONTENT_TYPE, JSON)]);
    headers
}

/// The parts of a message that headers repeat.
pub(super) fn of_message(version: &str, message: &Message<'_>, params: &Params<'_>) -> HeaderMap {
    let method = message.method.as_deref().unwrap_or_default();
    let name = match method {
        "tools/call" | "prompts/get" => params.name(),
        "resources/read" => params.uri(),
        _ => None,
    };
    let values = [
        (PROTOCOL_VERSION, Some(version)),
        (METHOD, Some(method)),
        (NAME, name.as_deref()),
    ];
    let values = values
        .into_iter()
        .filter_map(|(header, text)| Some((header, encode(text?)?)));
    values.collect()
}

/// A text as the value of a header: as it is, or in Base64 if it has other characters than a header.
pub(super) fn encode(text: &str) -> Option<HeaderValue> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    let looks_encoded = text.starts_with("=?base64?") && text.ends_with("?=");
    if is_plain && !looks_encoded && text.trim() == text {
        return HeaderValue::from_str(text).ok();
    }
    let encoded = STANDARD.encode(text);
    HeaderValue::try_from(format!("=?base64?{encoded}?=")).ok()
}

#[cfg(test)]
mod tests {
    use super::encode;

    /// The examples of MCP 2026-07-28, "Value Encoding".
    #[test]
    fn values_that_no_header_can_have_are_encoded() {
        for (text, value) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            let encoded = encode(text).expect("a value");
            assert_eq!(encoded, value);
        }
    }
}
