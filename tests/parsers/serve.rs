//! Requests to `hallpass serve`.

use hyper::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Version};

use super::admission::Admission;
use super::framing::Framing;
use super::headers;
use super::rejection::Rejection;
use super::route::{Address, References, Route};
use super::token_endpoint;
use crate::profile::binding::BoundUrl;

const BASE: &str = "https://a.example/api";

/// Everything that a client sends on one connection.
pub(crate) fn request(bytes: &[u8]) {
    let whole = pass(bytes, bytes.len().max(1));
    for piece in [1, 7] {
        // However it arrives, the same is passed on before an error.
        assert_eq!(pass(bytes, piece).1, whole.1);
        assert_eq!(pass(bytes, piece).0, whole.0);
    }
    if let Some(head) = whole.2 {
        check_head(&head);
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = token_endpoint::parameter(&text, "grant_type");
    check_target(&text);
}

/// What is passed on, what the client is refused for, and the first head.
fn pass(bytes: &[u8], piece: usize) -> (Vec<u8>, Option<Rejection>, Option<Vec<u8>>) {
    let mut framing = Framing::Head;
    let (mut passed, mut waiting, mut head) = (Vec::new(), Vec::new(), None);
    for piece in bytes.chunks(piece) {
        waiting.extend_from_slice(piece);
        while !waiting.is_empty() {
            let is_head = framing == Framing::Head;
            match framing.next(&waiting) {
                Ok(0) => break,
                Ok(count) => {
                    if is_head && head.is_none() {
                        head = Some(waiting[..count].to_vec());
                    }
                    passed.extend(waiting.drain(..count));
                }
                Err(rejection) => return (passed, Some(rejection), head),
            }
        }
    }
    (passed, None, head)
}

/// A head that was passed on to hyper.
fn check_head(head: &[u8]) {
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end);
    let line = lines.next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let method = Method::from_bytes(words.next().unwrap_or_default());
    let target = String::from_utf8_lossy(words.next().unwrap_or_default());
    assert!(target.starts_with('/'), "{target:?}");
    let mut client = HeaderMap::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
        let name = HeaderName::from_bytes(&line[..colon]).expect("a name");
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).expect("a value");
        client.append(name, value);
    }
    let token = HeaderName::from_static("x-api-key");
    let method = method.expect("a method");
    let upgrade = headers::asks_for_websocket(&method, Version::HTTP_11, &client);
    let sent = headers::of_request(&client, &token, upgrade);
    for name in [&AUTHORIZATION, &COOKIE, &HOST, &token] {
        assert!(!sent.contains_key(name), "{name}");
    }
    assert!(!sent.contains_key("x-forwarded-host") && !sent.contains_key("transfer-encoding"));
    let _ = headers::of_response(&client, false, upgrade);
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.headers_mut() = client;
    let admission = Admission::of(&["http://127.0.0.1:80".to_owned()]);
    if admission.check(&request).is_ok() {
        let host = request.headers().get(HOST).expect("a host");
        assert!(["127.0.0.1:80", "127.0.0.1"].iter().any(|it| host == it));
    }
    check_target(&target);
}

/// No target leaves the bound URL, and no reference becomes one that does.
fn check_target(target: &str) {
    let route = Route {
        address: Address::new("0123", vec!["http://127.0.0.1:80".to_owned()]),
        base: BoundUrl::parse(BASE).expect("a URL"),
    };
    let rest = route.address.without_key(target).unwrap_or(target);
    if let Ok(url) = route.upstream_url(rest) {
        let other = url::Url::parse(url.as_str()).expect("a URL");
        assert_eq!(other.origin().ascii_serialization(), "https://a.example");
        let path = other.path();
        assert!(
            path == "/api" || path.starts_with("/api/"),
            "{target:?}: {path}"
        );
        assert!(!path.split('/').any(|part| part == ".."), "{path}");
        let references = References {
            route: &route,
            url: &url,
            host: "127.0.0.1:80",
        };
        let _ = (references.location(target), references.links(target));
    }
}
