//! Which headers are passed on.

use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, Entry, HOST, HeaderMap,
    HeaderName, HeaderValue, ORIGIN, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, REFERER, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{Method, Version};

use crate::commands::upstream::proofs::DPOP;
use crate::types::web_url::encode_non_ascii;

/// What belongs to one connection (RFC 9110 §7.6.1).
const OF_CONNECTION: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What hallpass sets itself, and the credentials of the client. Cookies of 127.0.0.1 are shared by all
/// its ports: they are those of other programs. An origin and a referer name this address and its key.
const OF_REQUEST: [HeaderName; 8] = [
    HOST,
    CONTENT_LENGTH,
    EXPECT,
    AUTHORIZATION,
    DPOP,
    COOKIE,
    ORIGIN,
    REFERER,
];

/// What a server says about itself to browsers: it is not true of this address.
const OF_RESPONSE: [HeaderName; 4] = [
    CONTENT_LENGTH,
    SET_COOKIE,
    STRICT_TRANSPORT_SECURITY,
    HeaderName::from_static("alt-svc"),
];

/// The headers of a client's request that are sent on. `token` is the header that carries the token.
pub(super) fn of_request(client: &HeaderMap, token: &HeaderName, upgrade: bool) -> HeaderMap {
    let mut headers = passed_on(client, |name| {
        OF_REQUEST.contains(name) || name == token || names_another_url(name.as_str())
    });
    if upgrade {
        add_upgrade(&mut headers, client);
    }
    // Without one, the library sends its own.
    headers
        .entry(ACCEPT)
        .or_insert(HeaderValue::from_static("*/*"));
    headers
}

/// Headers from which some servers take the URL instead of from the request line: it could leave the
/// bound one.
fn names_another_url(name: &str) -> bool {
    let others = [
        "forwarded",
        "x-host",
        "x-http-host-override",
        "x-original-host",
        "x-original-uri",
        "x-original-url",
        "x-rewrite-url",
    ];
    others.contains(&name) || name.starts_with("x-forwarded-")
}

/// The headers of a response that a client gets. A response without a body has the length of another.
pub(super) fn of_response(server: &HeaderMap, has_no_body: bool, upgrade: bool) -> HeaderMap {
    let mut headers = passed_on(server, |name| {
        OF_RESPONSE.contains(name) || name.as_str().starts_with("access-control-")
    });
    if let Some(length) = server.get(CONTENT_LENGTH).filter(|_| has_no_body) {
        headers.insert(CONTENT_LENGTH, length.clone());
    }
    if upgrade {
        add_upgrade(&mut headers, server);
    }
    headers
}

/// Whether a request asks for a WebSocket (RFC 6455 §4.1).
pub(super) fn asks_for_websocket(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    let is_websocket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    *method == Method::GET
        && version == Version::HTTP_11
        && headers.get(UPGRADE).is_some_and(is_websocket)
        && of_this_connection(headers).any(|name| name == UPGRADE)
}

/// Changes each value of a header. What is not ASCII in it is percent-encoded: many servers send URLs so.
pub(super) fn change(
    headers: &mut HeaderMap,
    name: HeaderName,
    change: impl Fn(&str) -> Option<String>,
) {
    if let Entry::Occupied(mut values) = headers.entry(name) {
        for value in values.iter_mut() {
            let changed =
                change(&encode_non_ascii(value.as_bytes())).and_then(|text| text.try_into().ok());
            if let Some(changed) = changed {
                *value = changed;
            }
        }
    }
}

fn add_upgrade(headers: &mut HeaderMap, from: &HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Some(protocol) = from.get(UPGRADE) {
        headers.insert(UPGRADE, protocol.clone());
    }
}

fn passed_on(headers: &HeaderMap, is_dropped: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let named: Vec<_> = of_this_connection(headers).collect();
    let mut kept = HeaderMap::with_capacity(headers.len() + 2);
    for (name, value) in headers {
        if !OF_CONNECTION.contains(name) && !named.contains(name) && !is_dropped(name) {
            kept.append(name, value.clone());
        }
    }
    kept
}

/// The names in `Connection`.
fn of_this_connection(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    let values = headers.get_all(CONNECTION).iter();
    let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
}
