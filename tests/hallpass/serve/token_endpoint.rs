//! `--as-token-endpoint`: a token as an authorization server gives it.

use serde_json::Value;

use super::{Serving, status};
use crate::machine::Machine;
use crate::server::{Reply, Server};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

/// The last path of the URL, which is not a part of the key.
fn post(serving: &Serving, headers: &[&str], body: &str) -> (u16, String, Value) {
    let response = serving.request("POST", "", headers, body);
    let (head, body) = response.split_once("\r\n\r\n").expect("a body");
    let json = serde_json::from_str(body).unwrap_or_default();
    (status(&response), head.to_owned(), json)
}

#[test]
fn a_token_endpoint_answers_as_an_authorization_server_does() {
    let machine = Machine::new();
    machine.login("p", machine.server(), &[]);
    let serving = Serving::start(&machine, &["p", "--as-token-endpoint"]);
    assert!(serving.url.ends_with("/token"), "{}", serving.url);
    let basic = "Authorization: Basic YTpi";
    let with_charset = "content-type: Application/X-WWW-Form-Urlencoded; charset=utf-8";
    for (headers, body) in [
        (
            &[FORM][..],
            "grant_type=client_credentials&client_id=any&client_secret=thing",
        ),
        (
            &[with_charset, basic],
            "scope=x&grant%5Ftype=client%5fcredentials",
        ),
    ] {
        let (status, head, json) = post(&serving, headers, body);
        assert_eq!(status, 200, "{head}");
        assert!(head.contains("cache-control: no-store\r\n"), "{head}");
        assert!(
            head.contains("content-type: application/json\r\n"),
            "{head}"
        );
        assert!(!head.contains("access-control"), "{head}");
        assert_eq!(json["access_token"], "token-1");
        assert_eq!(json["token_type"], "Bearer");
        assert_eq!(json["scope"], "USER");
        assert!(
            json["expires_in"]
                .as_u64()
                .is_some_and(|seconds| (3000..=3600).contains(&seconds))
        );
    }
    let chunked = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\n{FORM}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
        1d\r\ngrant_type=client_credentials\r\n0\r\nA: b\r\n\r\n",
        serving.path(),
        serving.address()
    );
    let response = serving.exchange(chunked.as_bytes());
    assert!(response.contains("token-1"), "{response}");
    assert_eq!(
        machine.server().requests().len(),
        1,
        "the token of the login"
    );
    for (headers, body, error) in [
        (&[FORM][..], "grant_type=password", "unsupported_grant_type"),
        (&[FORM], "a=b", "invalid_request"),
        (
            &[FORM],
            "grant_type=client_credentials&grant_type=x",
            "invalid_request",
        ),
        (&["Content-Type: application/json"], "{}", "invalid_request"),
        (&[], "grant_type=client_credentials", "invalid_request"),
    ] {
        let (status, _, json) = post(&serving, headers, body);
        assert_eq!((status, &json["error"]), (400, &error.into()), "{body}");
    }
    let form = "grant_type=client_credentials";
    let other_site = "Origin: https://evil.example";
    assert_eq!(post(&serving, &[FORM, other_site], form).0, 403);
    assert_eq!(status(&serving.get("")), 405);
    assert_eq!(status(&serving.request("OPTIONS", "", &[], "")), 405);
    for path in ["/", "/x", "x"] {
        let response = serving.request("POST", path, &[FORM], form);
        assert_eq!(status(&response), 404, "{path}");
        assert!(!response.contains("token-1"), "{response}");
    }
    let ran = serving.stop();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn a_token_endpoint_reports_why_there_is_no_token() {
    for (reply, code, error) in [
        (Reply::json(503, "{}"), 503, "temporarily_unavailable"),
        (
            Reply::json(401, r#"{"error":"invalid_client"}"#),
            400,
            "unauthorized_client",
        ),
    ] {
        // Its first tokens last for a moment only.
        let first = std::sync::atomic::AtomicBool::new(true);
        let server = Server::start(move |_| {
            if first.swap(false, std::sync::atomic::Ordering::SeqCst) {
                Reply::token("short", 0)
            } else {
                reply.clone()
            }
        });
        let machine = Machine::new();
        machine.login("p", &server, &["--no-verify"]);
        let serving = Serving::start(&machine, &["p", "--as-token-endpoint"]);
        let (status, _, json) = post(&serving, &[FORM], "grant_type=client_credentials");
        assert_eq!((status, &json["error"]), (code, &error.into()), "{json}");
        assert!(json["error_description"].is_string(), "{json}");
    }
}
