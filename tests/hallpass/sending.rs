//! What goes over the wire to the token endpoint, byte for byte, and what is refused before it gets that far.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use crate::secret_service::SecretService;
use crate::server::{Gate, Reply, Request, Server};
use crate::support::{CLIENT_ID, Machine, Ran, SECRET, end_of, numbered_tokens};
use crate::tls::Authority;

const NO_FILES: [PathBuf; 0] = [];

/// `SECRET`, percent-encoded by hand, and Basic credentials made of it and `CLIENT_ID`.
const ENCODED: &str = "s3cr%25t%2Bw%3Ath%2Fa%20%22quote%22%20%26%20%3D%20%C3%BC";
const BASIC: &str = "Basic Y2xpZW50JTNBb25lOnMzY3IlMjV0JTJCdyUzQXRoJTJGYSUyMCUyMnF1b3RlJTIyJTIwJTI2JTIwJTNEJTIwJUMzJUJD";

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
fn the_url_is_asked_for_as_it_was_given() {
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
        let machine = Machine::new();
        let ran = login_at(&machine, &server.url("/"), &["--param", argument]).failure(2);
        assert!(
            ran.stderr.contains("--param") && !ran.stderr.contains("s3cretvalue"),
            "{ran:?}"
        );
        assert_eq!(machine.files(), NO_FILES);
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
        let machine = Machine::new();
        let ran = login_at(&machine, &server.url("/"), &["--resource", resource]).failure(2);
        assert!(
            ran.stderr.contains("--resource") && !ran.stderr.contains("s3cretvalue"),
            "{ran:?}"
        );
        assert_eq!(machine.files(), NO_FILES);
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

// Proxies.

#[test]
fn a_request_on_this_machine_passes_no_proxy() {
    let proxy = Server::start(numbered_tokens());
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "HTTPS_PROXY",
        "https_proxy",
    ] {
        machine.set(name, &proxy.url(""));
    }
    let revocation = server.url("/revoke");
    machine.login("default", &server, &["--revocation-url", &revocation]);
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
    let url = format!("http://localhost:{}/", server.port());
    login_at(&machine, &url, &["--timeout", "20s", "--replace"]).success();
    machine.run(&["logout", "default"]).success();
    assert_eq!(proxy.connections(), 0);
    assert!(server.requests().len() >= 3);
}

#[test]
fn a_revocation_on_this_machine_passes_no_proxy_wherever_the_tokens_came_from() {
    let authority = Authority::new();
    let tokens = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    let revocations = Server::start(|_| Reply::new(200));
    let proxy = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    for name in ["HTTP_PROXY", "http_proxy"] {
        machine.set(name, &proxy.url(""));
    }
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    let revocation = revocations.url("/revoke");
    machine.login(
        "default",
        &tokens,
        &[
            "--revocation-url",
            &revocation,
            "--ca-file",
            ca.to_str().expect("a path"),
        ],
    );
    let ran = machine.run(&["logout"]).success();
    assert_eq!(proxy.connections(), 0, "{ran:?}");
    assert_eq!(revocations.requests().len(), 1, "{ran:?}");
}

#[test]
fn a_logout_forgets_first_and_then_revokes_every_token_that_works() {
    let machine = Arc::new(Machine::new());
    let left = Arc::new(Mutex::new(None));
    let revocations = Server::start({
        let (machine, left) = (Arc::clone(&machine), Arc::clone(&left));
        move |_| {
            *left.lock().expect("the files") = Some(machine.files());
            Reply::new(200)
        }
    });
    let tokens = Server::start(numbered_tokens());
    let url = revocations.url("/revoke");
    let post = ["--auth", "client_secret_post", "--body", "json"];
    machine.login(
        "default",
        &tokens,
        &[&post[..], &["--revocation-url", &url]].concat(),
    );
    machine.run(&["token", "--scope", "another"]).success();
    machine.run(&["logout"]).success();
    let requests = revocations.requests();
    let form = |token: &str| -> Vec<(String, String)> {
        [
            ("token", token),
            ("token_type_hint", "access_token"),
            ("client_id", CLIENT_ID),
            ("client_secret", SECRET),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    };
    let mut sent: Vec<_> = requests.iter().map(Request::form).collect();
    sent.sort();
    assert_eq!(sent, [form("token-1"), form("token-2")]);
    assert_eq!(requests[0].target, "/revoke");
    let left = left.lock().expect("the files").take();
    assert_eq!(left, Some(vec![machine.config().join("lock")]));
}

#[test]
fn a_revocation_endpoint_that_is_mute_keeps_a_logout_for_three_seconds() {
    let machine = Machine::new();
    let gate = Gate::new();
    let mute = Server::start({
        let gate = gate.clone();
        move |_| Reply::new(200).held_by(&gate)
    });
    let tokens = Server::start(numbered_tokens());
    let url = mute.url("/revoke");
    machine.login("default", &tokens, &["--revocation-url", &url]);
    machine.run(&["token", "--scope", "another"]).success();
    let started = Instant::now();
    let ran = machine.run_to_its_end(&["logout"]).success();
    assert!(
        (3..8).contains(&started.elapsed().as_secs()),
        "{:?}",
        started.elapsed()
    );
    assert!(ran.stderr.contains("not revoked"), "{ran:?}");
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn a_token_that_cannot_be_revoked_keeps_no_other() {
    let machine = Machine::new();
    let revocations = Server::start(|_| Reply::new(400));
    let tokens = Server::start(numbered_tokens());
    let url = revocations.url("/revoke");
    machine.login("default", &tokens, &["--revocation-url", &url]);
    machine.run(&["token", "--scope", "another"]).success();
    let ran = machine.run(&["logout"]).success();
    assert!(ran.stderr.contains("not revoked"), "{ran:?}");
    assert_eq!(revocations.requests().len(), 2);
}

#[test]
fn a_token_is_not_revoked_where_it_was_not_issued() {
    let machine = Machine::new();
    let [issuer, other] = [(); 2].map(|()| Server::start(numbered_tokens()));
    machine.login("default", &issuer, &[]);
    let file = machine.config().join("default.json");
    let profile = fs::read_to_string(&file).expect("the profile");
    let elsewhere = format!(
        r#""revocation_endpoint": "{}", "secret""#,
        other.url("/revoke")
    );
    let profile = profile
        .replace(&issuer.url(""), &other.url(""))
        .replace(r#""secret""#, &elsewhere);
    fs::write(&file, profile).expect("an edited profile");
    let shown = machine.run(&["status"]).success().stdout;
    assert!(shown.contains("none cached"), "{shown}");
    machine.run(&["logout"]).success();
    assert_eq!(other.connections(), 0);

    // Nor where a login that was killed before it cleared the cache would have it.
    machine.login("default", &issuer, &[]);
    let entry = machine.entries("default").remove(0);
    let kept = machine.root().join("kept");
    fs::rename(&entry, &kept).expect("the entry");
    machine.login(
        "default",
        &other,
        &["--no-verify", "--revocation-url", &other.url("/revoke")],
    );
    fs::create_dir_all(entry.parent().expect("its directory")).expect("its directory");
    fs::rename(&kept, &entry).expect("the entry once more");
    machine.run(&["logout"]).success();
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_revocation_over_tls_is_verified_wherever_the_tokens_came_from() {
    let authority = Authority::new();
    let tokens = Server::start(numbered_tokens());
    let revocations = Server::start_tls(&authority.identity(&["127.0.0.1"]), |_| Reply::new(200));
    let machine = Machine::new();
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    let revocation = revocations.url("/revoke");
    machine.login(
        "default",
        &tokens,
        &[
            "--revocation-url",
            &revocation,
            "--ca-file",
            ca.to_str().expect("a path"),
        ],
    );
    let ran = machine.run(&["logout"]).success();
    assert_eq!(revocations.requests().len(), 1, "{ran:?}");

    machine.login("default", &tokens, &["--revocation-url", &revocation]);
    let ran = machine.run(&["logout"]).success();
    assert!(ran.stderr.contains("not revoked"), "{ran:?}");
    assert_eq!(revocations.requests().len(), 1, "{ran:?}");
}

#[test]
fn a_proxy_for_https_carries_what_it_cannot_read() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    for (name, method) in [
        ("HTTPS_PROXY", "client_secret_basic"),
        ("https_proxy", "client_secret_post"),
        ("ALL_PROXY", "client_secret_post"),
    ] {
        let proxy = Proxy::start();
        let mut machine = Machine::new();
        machine.set(name, &proxy.url("us3r:pr0xyword"));
        let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
        machine.login(
            "default",
            &server,
            &["--auth", method, "--ca-file", ca.to_str().expect("a path")],
        );
        let connect = format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n", server.port());
        let seen = proxy.seen();
        assert!(seen.starts_with(connect.as_bytes()), "{name}");
        let seen = String::from_utf8_lossy(&seen);
        assert_eq!(seen.matches("CONNECT ").count(), 1, "{name}");
        for readable in [
            SECRET,
            ENCODED,
            BASIC,
            CLIENT_ID,
            "client_secret",
            "grant_type",
            "token-",
        ] {
            assert!(!seen.contains(readable), "{name}: {readable}");
        }
        machine.set("NO_PROXY", "127.0.0.1");
        machine.run(&["token", "--refresh"]).success();
        assert_eq!(proxy.connections(), 1, "{name}: NO_PROXY");
    }
    assert_eq!(server.requests().len(), 6);
}

#[test]
fn a_proxy_that_refuses_is_unavailable_and_its_password_is_not_shown() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    let replies = [
        Reply::new(407).header("Proxy-Authenticate", "Basic realm=\"x\""),
        Reply::new(403),
        Reply::raw("garbage"),
        Reply::hang_up(),
    ];
    for reply in replies {
        let proxy = Server::start(move |_| reply.clone());
        let mut machine = Machine::new();
        machine.set(
            "HTTPS_PROXY",
            &format!("http://us3r:pr0xyword@127.0.0.1:{}", proxy.port()),
        );
        let ran = login_at(&machine, &server.url("/"), &[]).failure(5);
        assert!(
            ran.stderr.contains("HTTPS_PROXY") && !ran.stderr.contains("pr0xyword"),
            "{ran:?}"
        );
        assert!(
            proxy
                .requests()
                .iter()
                .all(|request| request.method == "CONNECT")
        );
        proxy.stop();
        let ran = login_at(&machine, &server.url("/"), &[]).failure(5);
        assert!(
            ran.stderr.contains("HTTPS_PROXY") && !ran.stderr.contains("pr0xyword"),
            "{ran:?}"
        );
    }
    assert_eq!(server.bytes_received(), 0);
}

// Where a secret may be sent at all.

#[test]
fn an_address_that_a_secret_must_not_be_sent_to_is_refused_and_not_repeated() {
    let urls = [
        "http://evil.example/token",
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example/",
        "http://evil.localhost/",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0/",
        "http://128.0.0.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://127.1/",
        "http://017700000001/",
        "http://[::]/",
        "http://localhost./",
        "http://10.0.0.1/",
        "https://evil@a.example/",
        "https://evil:word@a.example/",
        "https://@a.example/",
        "http://127.0.0.1@evil.example/",
        "https://a.example/#evil",
        "https://a.example/t#",
        "https://a.example\t/evil",
        "https://a.exam\nple/evil",
        " https://a.example/evil",
        "https://a.example/evil ",
        "https://a.example\\evil",
        "https://a.example/\\evil",
        "https:\\\\a.example/evil",
        "https:///evil/t",
        "https://",
        "https://?evil",
        "https://#evil",
        "https://:443/evil",
        "https:evil.example",
        "https:/evil.example",
        "//evil.example/",
        "evil.example",
        "",
        "ftp://evil.example/",
        "file:///evil",
        "javascript:evil",
        "HTTPSS://evil.example/",
        "https://a.example:0/evil",
        "https://a.example:65536/evil",
        "https://a.example:/evil",
        "https://a.example:44a/evil",
        "https://a.example:+443/evil",
        "https://a..example/evil",
        "https://.example/evil",
        "https://a.example./evil",
        "https://*.example/evil",
        "https://a%2eexample/evil",
        "https://bücher.example/evil",
        "https://ａ.example/evil",
        "https://a.example/é",
        "https://[::1/evil",
        "https://::1/evil",
        "https://[::1%25eth0]/evil",
        "https://a.example/../evil",
        "https://a.example/%2e%2e/evil",
        "https://a.example/./evil",
        "https://a.example/%zz",
        "https://a.example/%",
        "https://a.example/{evil}",
        "https://a.example/<evil>",
        "https://a.example/\"evil",
        "https://a.example/evil\u{7f}",
        "https://1.2.3.4.5/evil",
    ];
    let server = Server::start(numbered_tokens());
    let good = server.url("/");
    for url in urls {
        let machine = Machine::new();
        let ran = login_at(&machine, url, &[]).failure(2);
        assert!(ran.stderr.contains("--token-url"), "{url:?}: {ran:?}");
        assert!(
            url.is_empty() || !ran.stderr.contains(url) && !ran.stderr.contains("evil"),
            "{url:?}: {ran:?}"
        );
        if url.is_empty() {
            // It removes the setting.
            continue;
        }
        let ran = login_at(&machine, &good, &["--revocation-url", url]).failure(2);
        assert!(ran.stderr.contains("--revocation-url"), "{url:?}: {ran:?}");
        assert!(
            !ran.stderr.contains(url) && !ran.stderr.contains("evil"),
            "{url:?}: {ran:?}"
        );
        assert_eq!(machine.files(), NO_FILES);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_profile_that_was_pointed_elsewhere_by_hand_sends_nothing_there() {
    let keychain = SecretService::start();
    let [server, evil] = [(); 2].map(|()| Server::start(numbered_tokens()));
    let machine = Machine::new().with_environment(keychain.environment());
    let url = server.url("/oauth/token");
    let arguments = [
        "login",
        "--token-url",
        &url,
        "--client-id",
        CLIENT_ID,
        "--secret-stdin",
    ];
    machine
        .run_with_input(&arguments, SECRET.as_bytes())
        .success();
    let profile = machine.config().join("default.json");
    let text = fs::read_to_string(&profile).expect("a profile");
    fs::write(&profile, text.replace(&url, &evil.url("/oauth/token"))).expect("a profile");
    machine.run(&["token", "--refresh"]).failure(4);
    assert_eq!((server.requests().len(), evil.connections()), (1, 0));
}

// The secret on its way in.

/// What a secret may be made of, and what is left of it; one line end is dropped.
fn good_secrets() -> Vec<(Vec<u8>, String)> {
    let same = |text: &str| (text.as_bytes().to_vec(), text.to_owned());
    let mut secrets = vec![
        same("s3cret"),
        (b"s3cret\n".to_vec(), "s3cret".to_owned()),
        (b"s3cret\r\n".to_vec(), "s3cret".to_owned()),
        same(" s3 cret "),
        (b"  \n".to_vec(), "  ".to_owned()),
        same("%+&=?#;:/\\|<>"),
        same("%41%zz+%2B"),
        same("\"'`$(x)\\"),
        same("geheim-äöü-€-\u{1f511}"),
        same("a\u{301}\u{a0}\u{200b}\u{202e}b"),
        same("-----BEGIN"),
        same("null"),
    ];
    for length in [1, 2561, 5000, 65_535, 65_536] {
        secrets.push(same(&"xY9~".repeat(length / 4 + 1)[..length]));
    }
    secrets
}

fn bad_secrets() -> Vec<(Vec<u8>, &'static str)> {
    let utf16: Vec<u8> = "s3cret".encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        (b"".to_vec(), "is empty"),
        (b"\n".to_vec(), "is empty"),
        (b"\r\n".to_vec(), "is empty"),
        (b"s3cret\n\n".to_vec(), "has more than one line"),
        (b"s3cret\r\n\r\n".to_vec(), "has more than one line"),
        (b"s3c\nret".to_vec(), "has more than one line"),
        (b"s3c\rret".to_vec(), "has more than one line"),
        (b"s3cret\r".to_vec(), "has more than one line"),
        (b"s3cret\r\r\n".to_vec(), "has more than one line"),
        (
            b"\xef\xbb\xbfs3cret".to_vec(),
            "begins with a byte order mark",
        ),
        (utf16.clone(), "contains a control character"),
        ([b"\xff\xfe".to_vec(), utf16].concat(), "is not UTF-8 text"),
        (b"s3c\0ret".to_vec(), "contains a control character"),
        (b"s3cret\0".to_vec(), "contains a control character"),
        (b"s3c\x1b[31mret".to_vec(), "contains a control character"),
        (b"s3c\tret".to_vec(), "contains a control character"),
        (b"s3c\x7fret".to_vec(), "contains a control character"),
        (
            "s3c\u{85}ret".as_bytes().to_vec(),
            "contains a control character",
        ),
        (b"s3c\xffret".to_vec(), "is not UTF-8 text"),
        (b"s3c\xc3".to_vec(), "is not UTF-8 text"),
        (vec![b's'; 65_539], "is longer than 64 KiB"),
    ]
}

#[test]
fn a_secret_in_a_file_is_sent_exactly() {
    for (content, secret) in good_secrets() {
        let server = Server::start(numbered_tokens());
        let machine = Machine::new();
        let path = machine.private_file("its-secret", &content);
        let url = server.url("/");
        let login = [
            "login",
            "--token-url",
            &url,
            "--client-id",
            "id",
            "--auth",
            "client_secret_post",
        ];
        machine
            .run(
                &[
                    &login[..],
                    &["--secret-file", path.to_str().expect("a path")],
                ]
                .concat(),
            )
            .success();
        let sent = server.requests()[0].form().pop().expect("a parameter");
        assert!(
            sent == ("client_secret".to_owned(), secret.clone()),
            "{:?}…",
            &secret.chars().take(40).collect::<String>()
        );
    }
}

#[test]
fn a_secret_on_standard_input_is_stored_and_sent_exactly() {
    let keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    for (content, secret) in good_secrets() {
        let server = Server::start(numbered_tokens());
        let url = server.url("/");
        let arguments = [
            "login",
            "--token-url",
            &url,
            "--client-id",
            "id",
            "--replace",
            "--auth",
            "client_secret_post",
            "--secret-stdin",
        ];
        machine.run_with_input(&arguments, &content).success();
        let stored = keychain
            .secret(&[("service", "hallpass")])
            .expect("an item");
        assert!(
            stored == secret.as_bytes(),
            "{} bytes for {}",
            stored.len(),
            secret.len()
        );
        machine.run(&["token", "--refresh"]).success();
        for request in server.requests() {
            assert!(request.form().pop().is_some_and(|(_, sent)| sent == secret));
        }
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn a_secret_that_cannot_be_one_is_refused_before_anything_is_sent() {
    let server = Server::start(numbered_tokens());
    let url = server.url("/");
    let machine = Machine::new();
    for (content, fault) in bad_secrets() {
        let arguments = [
            "login",
            "--token-url",
            &url,
            "--client-id",
            "id",
            "--secret-stdin",
        ];
        let ran = machine.run_with_input(&arguments, &content).failure(2);
        assert!(
            ran.stderr.contains(fault) && !ran.stderr.contains("s3c"),
            "{fault}: {ran:?}"
        );
        let path = machine.private_file("its-secret", &content);
        let path = path.to_str().expect("a path");
        let ran = machine
            .run(&[
                "login",
                "--token-url",
                &url,
                "--client-id",
                "id",
                "--secret-file",
                path,
            ])
            .failure(6);
        // A file that is too large is not read.
        let said = ran.stderr.contains(fault)
            || content.len() > 65_538 && ran.stderr.contains("is too large");
        assert!(
            said && ran.stderr.contains(path) && !ran.stderr.contains("s3c"),
            "{fault}: {ran:?}"
        );
        assert_eq!(machine.files(), NO_FILES);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn an_endless_secret_is_refused() {
    let machine = Machine::new();
    let path = machine.private_file("large", b"");
    let large = File::options().write(true).open(&path).expect("a file");
    large.set_len(200 * 1024 * 1024).expect("200 MB");
    let login = [
        "login",
        "--token-url",
        "http://127.0.0.1:9/",
        "--client-id",
        "id",
    ];
    for input in [path.as_path(), "/dev/zero".as_ref()] {
        let mut command = machine.hallpass(&[&login[..], &["--secret-stdin"]].concat());
        command.stdin(File::open(input).expect("a file"));
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let ran = end_of(child.expect("hallpass starts")).failure(2);
        assert!(ran.stderr.contains("is longer than 64 KiB"), "{ran:?}");
    }
    for (path, fault) in [
        (path.to_str().expect("a path"), "is too large"),
        ("/dev/zero", "is not a regular file"),
        ("/dev/null", "is not a regular file"),
    ] {
        let ran = machine
            .run_to_its_end(&[&login[..], &["--secret-file", path]].concat())
            .failure(6);
        assert!(
            ran.stderr.contains(fault) && ran.stderr.contains(path),
            "{ran:?}"
        );
    }
    let ran = machine
        .run_to_its_end(&[&login[..], &["--secret-stdin"]].concat())
        .failure(2);
    assert!(ran.stderr.contains("is empty"), "{ran:?}");
    assert_eq!(machine.files(), NO_FILES);
}

#[test]
fn a_secret_file_that_others_can_read_is_not_believed() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let url = server.url("/");
    let secret = machine.private_file("its-secret", SECRET.as_bytes());
    let path = secret.to_str().expect("a path");
    let login = [
        "login",
        "--token-url",
        &url,
        "--client-id",
        "id",
        "--secret-file",
        path,
    ];
    let mode = |mode| fs::set_permissions(&secret, Permissions::from_mode(mode)).expect("a mode");
    for good in [0o600, 0o400, 0o700] {
        mode(good);
        machine.run(&login).success();
    }
    let requests = server.requests().len();
    let other = Machine::new();
    for bad in [
        0o640, 0o644, 0o604, 0o620, 0o602, 0o660, 0o666, 0o601, 0o777,
    ] {
        mode(bad);
        for ran in [other.run(&login), machine.run(&["token", "--refresh"])] {
            let ran = ran.failure(6);
            let says =
                ran.stderr.contains(path) && ran.stderr.contains(&format!("chmod 600 {path}"));
            assert!(says, "{bad:o}: {ran:?}");
        }
    }
    fs::remove_file(&secret).expect("a file");
    for ran in [other.run(&login), machine.run(&["token", "--refresh"])] {
        assert!(ran.failure(3).stderr.contains(path));
    }
    fs::create_dir(&secret).expect("a directory");
    for ran in [other.run(&login), machine.run(&["token", "--refresh"])] {
        assert!(ran.failure(6).stderr.contains(path));
    }
    assert_eq!(other.files(), NO_FILES);
    assert_eq!(server.requests().len(), requests);
}

#[test]
fn a_secret_file_is_found_from_every_directory_and_by_a_link() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    machine.private_file("its-secret", SECRET.as_bytes());
    std::os::unix::fs::symlink("its-secret", machine.root().join("link")).expect("a link");
    let url = server.url("/");
    let mut command = machine.hallpass(&[
        "login",
        "--token-url",
        &url,
        "--client-id",
        "id",
        "--secret-file",
        "link",
    ]);
    Ran::from(
        command
            .current_dir(machine.root())
            .output()
            .expect("hallpass starts"),
    )
    .success();
    let mut command = machine.hallpass(&["token", "--refresh"]);
    assert_eq!(
        Ran::from(command.current_dir("/").output().expect("hallpass starts")).token(),
        "token-2"
    );
}

// The secret from a command.

#[test]
fn a_command_prints_the_secret() {
    let mut machine = Machine::new();
    machine.set("A_TEST_VALUE", "from the environment");
    fs::create_dir(machine.root().join("a directory")).expect("a directory");
    let script = machine.private_file("a directory/it's", b"#!/bin/sh\nprintf '%s|' \"$@\"\n");
    fs::set_permissions(&script, Permissions::from_mode(0o700)).expect("a mode");
    let script = script.to_str().expect("a path");
    let quoted = format!("\"{script}\" --x 'a b' \"c'd\" e\\ f '$HOME' ''");
    let rows = [
        ("printf s3cret", "s3cret"),
        ("printf '%s\\n' 's3cr%t+w:th/a \"quote\" & = ü'", SECRET),
        (&quoted, "--x|a b|c'd|e f|$HOME||"),
        ("printf '$(id) `id` ; | > & *'", "$(id) `id` ; | > & *"),
        (
            "!printf %s \"$A_TEST_VALUE\" | tr a-z A-Z",
            "FROM THE ENVIRONMENT",
        ),
        ("!echo 'noise' >&2; echo s3cret", "s3cret"),
        (
            "!head -c 50000 /dev/zero | tr '\\0' x >&2; cat; echo s3cret",
            "s3cret",
        ),
        ("!printf 's3cret\\r\\n'", "s3cret"),
    ];
    for (command, secret) in rows {
        let server = Server::start(numbered_tokens());
        let url = server.url("/");
        let login = [
            "login",
            "--token-url",
            &url,
            "--client-id",
            "id",
            "--replace",
            "--auth",
            "client_secret_post",
            "--secret-command",
            command,
        ];
        let ran = machine.run_to_its_end(&login).success();
        assert!(!ran.stderr.contains("noise"), "{ran:?}");
        assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
        for request in server.requests() {
            assert_eq!(
                request.form().pop(),
                Some(("client_secret".to_owned(), secret.to_owned())),
                "{command}"
            );
        }
    }
}

#[test]
fn a_command_that_brings_no_secret_is_told_so() {
    let mut machine = Machine::new();
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "1");
    let server = Server::start(numbered_tokens());
    let rows: [(&str, i32, &[&str]); 18] = [
        ("", 2, &["--secret-command"]),
        ("  ", 2, &["--secret-command"]),
        ("printf 'not closed", 2, &["--secret-command"]),
        ("/no/such/program", 6, &["cannot be started"]),
        ("/", 6, &["cannot be started"]),
        ("false", 6, &["`false` failed (exit status: 1)\n"]),
        (
            "!printf 'vault \\033[31mis\\n\\tsealed\\342\\200\\256' >&2; exit 3",
            6,
            &["failed (exit status: 3): vault [31mis  sealed\n"],
        ),
        (
            "!head -c 5000 /dev/zero | tr '\\0' x >&2; exit 3",
            6,
            &["xxx…\n"],
        ),
        ("!echo s3cret; exit 1", 6, &["failed (exit status: 1)\n"]),
        (
            "!echo s3cret; kill -9 $$",
            6,
            &["failed (signal: 9 (SIGKILL))\n"],
        ),
        ("true", 6, &["is empty"]),
        ("echo", 6, &["is empty"]),
        (
            "printf 's3cret\\ns3cret\\n'",
            6,
            &["has more than one line"],
        ),
        ("printf 's3cret\\033'", 6, &["contains a control character"]),
        (
            "!head -c 1000000 /dev/zero | tr '\\0' s",
            6,
            &["the secret command `sh` "],
        ),
        ("sleep 1000", 6, &["`sleep` did not finish within 1 s"]),
        (
            "!echo s3cret; exec sleep 1000",
            6,
            &["did not finish within 1 s"],
        ),
        // Its streams are closed, and it stays.
        (
            "!echo s3cret; exec >&- 2>&-; exec sleep 1000",
            6,
            &["did not finish within 1 s"],
        ),
    ];
    for (command, code, says) in rows {
        let url = server.url("/");
        let ran = machine.run_to_its_end(&[
            "login",
            "--token-url",
            &url,
            "--client-id",
            "id",
            "--secret-command",
            command,
        ]);
        let ran = ran.failure(code);
        assert!(
            says.iter().all(|said| ran.stderr.contains(said)),
            "{command}: {ran:?}"
        );
        assert!(
            !ran.stderr.contains("s3cret") && !ran.stderr.contains('\u{1b}'),
            "{command}: {ran:?}"
        );
        assert!(ran.stderr.chars().count() < 700, "{command}: {ran:?}");
        assert_eq!(machine.files(), NO_FILES);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_command_may_leave_something_behind_that_keeps_its_standard_error() {
    let mut machine = Machine::new();
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "5");
    let server = Server::start(numbered_tokens());
    let url = server.url("/");
    // As ssh does with a connection that is to be shared.
    let command = "!sleep 20 >/dev/null & printf s3cret";
    let login = ["login", "--token-url", &url, "--client-id", "id"];
    machine
        .run_to_its_end(&[&login[..], &["--secret-command", command]].concat())
        .success();
}

#[test]
fn a_command_runs_only_when_a_token_must_be_asked_for() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    let calls = machine.root().join("calls");
    let command = format!("!echo >> '{}'; echo s3cret", calls.display());
    let url = server.url("/");
    machine
        .run(&[
            "login",
            "--token-url",
            &url,
            "--client-id",
            "id",
            "--secret-command",
            &command,
        ])
        .success();
    for _ in 0..3 {
        assert_eq!(machine.run(&["token"]).token(), "token-1");
    }
    machine.run(&["token", "--refresh"]).success();
    assert_eq!(fs::read_to_string(calls).expect("calls").lines().count(), 2);
}

#[test]
fn a_time_limit_beyond_all_bounds_is_a_long_one() {
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", &u64::MAX.to_string());
    let url = server.url("/");
    let login = [
        "login",
        "--token-url",
        &url,
        "--client-id",
        "id",
        "--secret-command",
        "echo s3cret",
    ];
    machine
        .run(&[&login[..], &["--timeout", &u64::MAX.to_string()]].concat())
        .success();
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
    for timeout in ["0", "0s", "-1", "1.5s", "soon", "18446744073709551616", ""] {
        let ran = machine
            .run(&[&login[..], &[&*format!("--timeout={timeout}")]].concat())
            .failure(2);
        assert!(ran.stderr.contains("--timeout"), "{ran:?}");
    }
}

/// The request of a login with these arguments more.
#[track_caller]
fn sent(more: &[&str]) -> Request {
    let server = Server::start(numbered_tokens());
    Machine::new().login("default", &server, more);
    let mut requests = server.requests();
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

fn login_at(machine: &Machine, url: &str, more: &[&str]) -> Ran {
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let login = [
        "login",
        "--token-url",
        url,
        "--client-id",
        CLIENT_ID,
        "--secret-file",
        secret.to_str().expect("a path"),
    ];
    machine.run_to_its_end(&[&login[..], more].concat())
}

/// A proxy that knows CONNECT alone, and remembers every byte that clients sent it.
struct Proxy {
    address: SocketAddr,
    connections: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Proxy {
    /// It listens as long as the tests run.
    fn start() -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&connections);
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { continue };
                let log = Arc::clone(&log);
                let number = {
                    let mut log = log.lock().expect("the log");
                    log.push(Vec::new());
                    log.len() - 1
                };
                thread::spawn(move || {
                    tunnel(client, &|bytes| {
                        log.lock().expect("the log")[number].extend_from_slice(bytes);
                    })
                    .ok()
                });
            }
        });
        Proxy {
            address,
            connections,
        }
    }

    fn url(&self, user: &str) -> String {
        format!("http://{user}@{}", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.lock().expect("the log").len()
    }

    fn seen(&self) -> Vec<u8> {
        self.connections.lock().expect("the log").concat()
    }
}

fn tunnel(mut client: TcpStream, log: &dyn Fn(&[u8])) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    log(&head);
    let text = String::from_utf8_lossy(&head);
    let mut words = text.split(' ');
    let (Some("CONNECT"), Some(target)) = (words.next(), words.next()) else {
        return client.write_all(b"HTTP/1.1 405 CONNECT only\r\n\r\n");
    };
    let mut server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 go on\r\n\r\n")?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 4096];
    loop {
        match client.read(&mut buffer)? {
            0 => return server.shutdown(Shutdown::Write),
            count => {
                log(&buffer[..count]);
                server.write_all(&buffer[..count])?;
            }
        }
    }
}
