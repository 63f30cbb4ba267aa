//! The bytes of a token request: encodings, headers and parameters.

use std::fs;

use super::{BASIC, ENCODED, NO_FILES, login_at, sent};
use crate::machine::{Machine, numbered_tokens};
use crate::server::{Reply, Request, Server};

// The proof of the client, once.

#[test]
fn basic_credentials_are_percent_encoded_and_then_base64() {
    for arguments in [
        &[][..],
        &["--auth", "client_secret_basic"],
        &["--body", "form"],
    ] {
        let request = sent(arguments);
        assert_eq!(request.header("authorization"), Some(BASIC));
        assert_eq!(request.text(), "grant_type=client_credentials");
        assert_eq!(
            request.header("content-type"),
            Some("application/x-www-form-urlencoded")
        );
    }
}

#[test]
fn the_secret_in_a_form_is_percent_encoded() {
    let request = sent(&["--auth", "client_secret_post"]);
    assert_eq!(request.header("authorization"), None);
    assert_eq!(
        request.text(),
        format!("grant_type=client_credentials&client_id=client%3Aone&client_secret={ENCODED}")
    );
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
}

#[test]
fn a_json_body_holds_the_secret_unless_basic_does() {
    let request = sent(&["--body", "json"]);
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(
        request.text(),
        r#"{"client_id":"client:one","client_secret":"s3cr%t+w:th/a \"quote\" & = ü","grant_type":"client_credentials"}"#
    );
    let request = sent(&["--body", "json", "--auth", "client_secret_basic"]);
    assert_eq!(request.header("authorization"), Some(BASIC));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.text(), r#"{"grant_type":"client_credentials"}"#);
}

#[test]
fn the_request_has_these_headers_and_no_others() {
    let server = Server::start(numbered_tokens());
    Machine::new().login("default", &server, &["--auth", "client_secret_post"]);
    let [request] = &server.requests()[..] else {
        panic!("one request is expected")
    };
    assert_eq!(
        (&*request.method, &*request.target),
        ("POST", "/oauth/token")
    );
    let mut headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    headers.sort();
    let expected = [
        ("accept", "application/json".to_owned()),
        ("accept-encoding", "identity".to_owned()),
        ("content-length", request.body.len().to_string()),
        (
            "content-type",
            "application/x-www-form-urlencoded".to_owned(),
        ),
        ("host", format!("127.0.0.1:{}", server.port())),
        (
            "user-agent",
            format!("hallpass/{}", env!("CARGO_PKG_VERSION")),
        ),
    ];
    assert_eq!(
        headers,
        expected.map(|(name, value)| (name.to_owned(), value))
    );
}

#[test]
fn the_url_is_requested_as_it_was_given() {
    for (path, target) in [
        ("", "/"),
        ("/t?tenant=a%20b&x", "/t?tenant=a%20b&x"),
        ("/a//b;c=d/%2F/~", "/a//b;c=d/%2F/~"),
        ("?q=1", "/?q=1"),
    ] {
        let server = Server::start(numbered_tokens());
        let machine = Machine::new();
        login_at(&machine, &server.url(path), &[]).success();
        assert_eq!(server.requests()[0].target, target);
    }
}

// The parameters.

#[test]
fn scope_audience_resources_and_parameters_are_sent_as_given() {
    let request = sent(&[
        "--scope",
        "a,b",
        "--scope",
        "https://x.example/.default c",
        "--audience",
        "https://x.example/?a=b&c=d+e",
        "--resource",
        "urn:a",
        "--resource",
        "https://b.example/c?d=e",
        "--param",
        "x=1=2",
        "--param",
        "odd name=ü&+",
        "--param",
        "account_id=7",
    ]);
    let expected = [
        ("grant_type", "client_credentials"),
        ("scope", "a,b https://x.example/.default c"),
        ("audience", "https://x.example/?a=b&c=d+e"),
        ("resource", "urn:a"),
        ("resource", "https://b.example/c?d=e"),
        ("account_id", "7"),
        ("odd name", "ü&+"),
        ("x", "1=2"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(request.form(), expected);
    assert!(
        !request.text().contains('+') && !request.text().contains(' '),
        "{}",
        request.text()
    );
    assert!(
        request.text().contains("odd%20name=%C3%BC%26%2B"),
        "{}",
        request.text()
    );

    let request = sent(&[
        "--body",
        "json",
        "--auth",
        "client_secret_basic",
        "--resource",
        "urn:a",
        "--resource",
        "urn:b",
        "--param",
        "x=1",
    ]);
    assert_eq!(
        request.text(),
        r#"{"grant_type":"client_credentials","resource":["urn:a","urn:b"],"x":"1"}"#
    );
}

#[test]
fn no_parameter_is_sent_empty() {
    let request = sent(&[
        "--scope",
        "",
        "--audience",
        "",
        "--resource",
        "",
        "--param",
        "x=",
    ]);
    assert_eq!(request.text(), "grant_type=client_credentials");
    let request = sent(&[
        "--scope",
        "",
        "--scope",
        "a",
        "--scope",
        "",
        "--resource",
        "",
        "--resource",
        "urn:a",
    ]);
    assert_eq!(
        request.text(),
        "grant_type=client_credentials&scope=a&resource=urn%3Aa"
    );
}

#[test]
fn an_empty_value_in_a_profile_that_was_edited_is_not_sent() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    machine.login("default", &server, &["--no-verify"]);
    let file = machine.config().join("default.json");
    let profile = fs::read_to_string(&file).expect("the profile");
    let empty =
        r#""scope": "", "audience": "", "resource": [""], "parameters": {"x": ""}, "secret""#;

    fs::write(&file, profile.replace(r#""secret""#, empty)).expect("an edited profile");
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    assert_eq!(server.requests()[0].text(), "grant_type=client_credentials");
}

#[test]
fn an_empty_value_removes_a_setting() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    machine.login(
        "default",
        &server,
        &[
            "--scope",
            "a",
            "--audience",
            "b",
            "--resource",
            "urn:c",
            "--param",
            "d=e",
        ],
    );
    assert_eq!(server.requests()[0].form().len(), 5);
    machine
        .run(&[
            "login",
            "default",
            "--scope",
            "",
            "--audience",
            "",
            "--resource",
            "",
            "--param",
            "d=",
        ])
        .success();
    assert_eq!(server.requests()[1].text(), "grant_type=client_credentials");
}

/// A value that may be a secret in the wrong place: the message names the option only.
#[track_caller]
fn assert_refused_without_its_value(server: &Server, option: &str, value: &str) {
    let machine = Machine::new();
    let ran = login_at(&machine, &server.url("/"), &[option, value]).failure(2);
    assert!(
        ran.stderr.contains(option) && !ran.stderr.contains("s3cretvalue"),
        "{ran:?}"
    );
    assert_eq!(machine.files(), NO_FILES);
}

#[test]
fn a_parameter_may_not_overwrite_a_standard_one() {
    let names = [
        "grant_type",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "scope",
        "audience",
        "resource",
    ];
    let server = Server::start(numbered_tokens());
    for argument in names
        .map(|name| format!("{name}=s3cretvalue"))
        .iter()
        .map(String::as_str)
        .chain([
            "=s3cretvalue",
            "s3cretvalue",
            "x=s3cretvalue\n",
            "x\u{7f}=s3cretvalue",
        ])
    {
        assert_refused_without_its_value(&server, "--param", argument);
    }
    for resource in [
        "no-uri",
        "/relative",
        "https://a.example/#s3cretvalue",
        "a b:s3cretvalue",
        "urn:s3cretvalue\n",
        "1:x",
        "urn:",
    ] {
        assert_refused_without_its_value(&server, "--resource", resource);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_caller_may_ask_for_another_scope_or_audience() {
    let server = Server::start(|request: &Request| {
        let value = |name| {
            request
                .form()
                .into_iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value)
        };
        let granted = format!(
            "{}-{}",
            value("scope").unwrap_or_default(),
            value("audience").unwrap_or_default()
        );
        Reply::json(
            200,
            format!(
                r#"{{"access_token":"{}","expires_in":3600}}"#,
                granted.replace(' ', "_")
            ),
        )
    });
    let machine = Machine::new();
    machine.login(
        "default",
        &server,
        &["--scope", "read", "--audience", "one"],
    );
    let rows: [(&[&str], &str); 6] = [
        (&[], "read-one"),
        (&["--scope", "write"], "write-one"),
        (&["--audience", "two"], "read-two"),
        (
            &["--scope", "write", "--scope", "admin", "--audience", "two"],
            "write_admin-two",
        ),
        (&["--scope", "write,admin"], "write,admin-one"),
        (&["--scope", "", "--audience", ""], "read-one"),
    ];
    // Each is asked for once, and never given to another.
    for _ in 0..2 {
        for (more, token) in rows {
            assert_eq!(machine.run(&[&["token"], more].concat()).token(), token);
        }
    }
    assert_eq!(server.requests().len(), 5);
}

// The reference case.

#[test]
fn the_blooma_api_works_as_documented_in_both_body_formats() {
    const AUDIENCE: &str = "https://acme.blooma.ai/api/";
    let rows: [(&[&str], &str, &str); 2] = [
        (
            &["--auth", "client_secret_post"],
            "application/x-www-form-urlencoded",
            "grant_type=client_credentials&audience=https%3A%2F%2Facme.blooma.ai%2Fapi%2F&client_id=bl00ma&client_secret=s3cret",
        ),
        (
            &["--body", "json"],
            "application/json",
            r#"{"audience":"https://acme.blooma.ai/api/","client_id":"bl00ma","client_secret":"s3cret","grant_type":"client_credentials"}"#,
        ),
    ];
    for (more, content_type, body) in rows {
        let server = Server::start(|_| Reply::token("eyJz93a...k4laUWw", 86_400));
        let machine = Machine::new();
        let secret = machine.private_file("secret", b"s3cret\n");
        let url = server.url("/oauth/token");
        let login = [
            "login",
            "blooma",
            "--token-url",
            &url,
            "--client-id",
            "bl00ma",
            "--audience",
            AUDIENCE,
        ];
        let secret = ["--secret-file", secret.to_str().expect("a path in UTF-8")];
        machine.run(&[&login[..], &secret, more].concat()).success();
        assert_eq!(
            machine.run(&["token", "blooma"]).token(),
            "eyJz93a...k4laUWw"
        );
        let [request] = &server.requests()[..] else {
            panic!("one request is expected")
        };
        assert_eq!(
            (&*request.method, &*request.target),
            ("POST", "/oauth/token")
        );
        assert_eq!(request.header("content-type"), Some(content_type));
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.text(), body);
        let json = machine.run(&["token", "--json"]).success().stdout;
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["access_token"], "eyJz93a...k4laUWw");
        assert_eq!(
            (&json["token_type"], &json["scope"]),
            (&"Bearer".into(), &"USER".into())
        );
        assert!((86_300..=86_400).contains(&json["expires_in"].as_u64().expect("a number")));
    }
}
