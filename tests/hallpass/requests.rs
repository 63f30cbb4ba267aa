//! What a token request may have beside its parameters: other headers, other claims, a certificate.

use std::collections::BTreeSet;

use base64::Engine as _;
use serde_json::Value;

use crate::machine::{CLIENT_ID, Machine, Ran, SECRET, numbered_tokens};
use crate::material::{Form, Material, PASSPHRASE};
use crate::server::{Reply, Request, Server};

fn login(machine: &Machine, server: &Server, more: &[&str]) -> Ran {
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let url = server.url("/token");
    let mut arguments = vec!["login", "p", "--token-url", &url, "--client-id", CLIENT_ID];
    arguments.extend(["--secret-file", secret.to_str().expect("UTF-8")]);
    arguments.extend(more);
    machine.run(&arguments)
}

/// The claims and the header of a request's assertion.
pub(crate) fn assertion(request: &Request) -> (Value, Value) {
    let form = request.form();
    let found = form.iter().find(|(name, _)| name == "client_assertion");
    let (_, assertion) = found.expect("an assertion");
    let mut parts = assertion.split('.').map(|part| {
        let part = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part);
        serde_json::from_slice(&part.expect("base64")).unwrap_or_default()
    });
    let header = parts.next().expect("a header");
    (parts.next().expect("claims"), header)
}

#[test]
fn headers_are_sent_with_each_request_and_each_has_its_own_uuid() {
    let tokens = numbered_tokens();
    let server = Server::start(move |request| match request.target.as_str() {
        "/revoke" => Reply::new(200),
        _ => tokens(request),
    });
    let machine = Machine::new();
    let revoke = server.url("/revoke");
    let more = [
        "--header",
        "X-Api-Key=k 1=2",
        "--header",
        "x-request-id=id-{uuid}",
        "--header",
        "accept=application/vnd.example+json",
        "--revocation-url",
        &revoke,
    ];
    login(&machine, &server, &more).success();
    machine.run(&["token", "--refresh"]).success();
    machine.run(&["logout"]).success();
    let requests = server.requests();
    assert_eq!(requests.len(), 3, "a login, a token, a revocation");
    let mut ids = BTreeSet::new();
    for request in &requests {
        assert_eq!(request.header("x-api-key"), Some("k 1=2"));
        assert_eq!(
            request.header("accept"),
            Some("application/vnd.example+json")
        );
        let id = request.header("x-request-id").expect("an id");
        let parts: Vec<_> = id.trim_start_matches("id-").split('-').collect();
        let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert!(
            parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']),
            "{id}"
        );
        assert!(ids.insert(id.to_owned()), "{id}");
    }
}

#[test]
fn a_header_is_kept_until_it_is_removed_and_makes_another_token() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    login(&machine, &server, &["--header", "x-tenant=one"]).success();
    machine.run(&["login", "p", "--scope", "a"]).success();
    let last = server.requests().pop().expect("a request");
    assert_eq!(last.header("x-tenant"), Some("one"));
    machine
        .run(&["login", "p", "--header", "X-Tenant="])
        .success();
    let last = server.requests().pop().expect("a request");
    assert_eq!(last.header("x-tenant"), None);

    // An edit makes another request: its token is not the cached one.
    let changed = ["--header", "x-tenant=one", "--scope", ""];
    login(&machine, &server, &changed).success();
    let token = machine.run(&["token"]).token();
    let path = machine.config().join("p.json");
    let profile = std::fs::read_to_string(&path).expect("a profile");
    std::fs::write(&path, profile.replace("\"one\"", "\"two\"")).expect("an edit");
    assert_ne!(machine.run(&["token"]).token(), token);
}

#[test]
fn a_header_that_hallpass_sets_is_refused_also_in_an_edited_profile() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    for name in [
        "Authorization",
        "authorization",
        "Host",
        "Content-Type",
        "content-encoding",
        "Cookie",
        "Connection",
        "Transfer-Encoding",
        "Accept-Encoding",
        "Proxy-Authorization",
        "Upgrade",
    ] {
        let given = format!("{name}=hidden-value");
        let ran = login(&machine, &server, &["--header", &given]).failure(2);
        assert!(!ran.stderr.contains("hidden-value"), "{ran:?}");
    }
    for given in [
        "x-a",
        "=b",
        "x a=b",
        "x-a=b\r\nHost: c",
        "x-a= b",
        "x-a=\u{e4}",
    ] {
        login(&machine, &server, &["--header", given]).failure(2);
    }
    assert_eq!(server.requests().len(), 0);
    login(&machine, &server, &["--header", "x-a=hidden-value"]).success();
    let path = machine.config().join("p.json");
    let profile = std::fs::read_to_string(&path).expect("a profile");
    for name in ["authorization", "host", "content-length"] {
        let edited = profile.replace("\"x-a\"", &format!("\"{name}\""));
        std::fs::write(&path, edited).expect("an edit");
        let ran = machine.run(&["token", "--refresh"]).failure(2);
        assert!(ran.stderr.contains(name), "{ran:?}");
        assert!(!ran.stderr.contains("hidden-value"), "{ran:?}");
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn the_value_of_a_header_is_shown_nowhere() {
    let server = Server::start(|request| {
        let key = request.header("x-api-key").unwrap_or_default();
        let text = format!("the key {key} is unknown");
        let body = serde_json::json!({ "error": "invalid_client", "error_description": text });
        Reply::json(401, body.to_string())
    });
    let machine = Machine::new();
    let more = ["--header", "x-api-key=t0p-hidden", "--no-verify"];
    let ran = login(&machine, &server, &more).success();
    assert!(!ran.stderr.contains("t0p-hidden"), "{ran:?}");
    for arguments in [
        &["token"][..],
        &["status"],
        &["status", "--json"],
        &["status", "p"],
    ] {
        let ran = machine.run(arguments);
        assert!(!ran.stderr.contains("t0p-hidden"), "{ran:?}");
        assert!(!ran.stdout.contains("t0p-hidden"), "{ran:?}");
    }
    let ran = machine.run(&["token"]).failure(4);
    assert!(
        ran.stderr.contains("the key [secret] is unknown"),
        "{ran:?}"
    );
    let ran = machine.run(&["status", "p"]).success();
    assert!(ran.stdout.contains("x-api-key"), "{ran:?}");
}

#[test]
fn other_claims_are_added_and_cannot_replace_those_that_hallpass_sets() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let method = ["--auth", "client_secret_jwt"];
    let claims = ["--jwt-claim", "tenant_id=t1", "--jwt-claim", "scope=a b=c"];
    login(&machine, &server, &method).success();
    login(&machine, &server, &[&method[..], &claims].concat()).success();
    let requests = server.requests();
    let (plain, _) = assertion(&requests[0]);
    let (with_claims, _) = assertion(&requests[1]);
    assert!(plain.get("tenant_id").is_none(), "{plain}");
    assert_eq!(with_claims["tenant_id"], "t1");
    assert_eq!(with_claims["scope"], "a b=c");
    assert_eq!(with_claims["iss"], CLIENT_ID);
    for name in ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"] {
        let given = format!("{name}=x");
        let more = [&method[..], &["--jwt-claim", &given]].concat();
        let ran = login(&machine, &server, &more).failure(2);
        assert!(ran.stderr.contains(name), "{ran:?}");
    }
    // A claim goes when it is given without a value.
    machine
        .run(&["login", "p", "--jwt-claim", "scope="])
        .success();
    let (left, _) = assertion(&server.requests()[2]);
    assert_eq!(
        (&left["tenant_id"], left.get("scope")),
        (&"t1".into(), None)
    );
    let path = machine.config().join("p.json");
    let profile = std::fs::read_to_string(&path).expect("a profile");
    std::fs::write(&path, profile.replace("tenant_id", "sub")).expect("an edit");
    let ran = machine.run(&["token"]).failure(2);
    assert!(ran.stderr.contains("`sub` as an extra claim"), "{ran:?}");
}

#[test]
fn a_secret_signs_with_the_algorithm_that_is_named_or_listed() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    for (more, expected) in [
        (&[][..], "HS256"),
        (&["--jwt-alg", "HS384"], "HS384"),
        (&["--jwt-alg", "HS512"], "HS512"),
    ] {
        let more = [&["--auth", "client_secret_jwt"], more].concat();
        login(&machine, &server, &more).success();
        let (_, header) = assertion(&server.requests().pop().expect("a request"));
        assert_eq!(header["alg"], expected);
        let more = [&more[..], &["--no-verify"]].concat();
        login(&machine, &server, &more).success();
        machine.run(&["token"]).success();
        let (_, header) = assertion(&server.requests().pop().expect("a request"));
        assert_eq!(header["alg"], expected, "without a request at login, too");
    }
    let more = ["--auth", "client_secret_jwt", "--jwt-alg", "RS256"];
    let ran = login(&machine, &server, &more).failure(2);
    assert!(
        ran.stderr.contains("RS256 does not fit client_secret_jwt"),
        "{ran:?}"
    );
}

#[test]
fn an_option_without_effect_is_refused() {
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let [certificate, key, jwt_key] =
        ["tls.crt", "tls.pem", "p256.pem"].map(|name| material.argument(name));
    let encrypted = material.argument(&material.convert("tls", Form::Encrypted(&[])));
    let rows: [(&[&str], &str); 9] = [
        (
            &["--jwt-alg", "PS256"],
            "--jwt-alg has no effect with client_secret_basic",
        ),
        (&["--jwt-kid", "a"], "--jwt-kid has no effect"),
        (&["--jwt-claim", "a=b"], "--jwt-claim has no effect"),
        (&["--jwt-cert", &certificate], "--jwt-cert has no effect"),
        (
            &["--auth", "client_secret_post", "--basic-encoding", "raw"],
            "--basic-encoding",
        ),
        (
            &["--auth", "client_secret_basic", "--key", &key],
            "--key needs --cert",
        ),
        (
            &["--auth", "client_secret_post", "--cert", &certificate],
            "--cert needs --key",
        ),
        (
            &["--jwt-key", &jwt_key, "--cert", &certificate],
            "--cert needs --key",
        ),
        (
            &[
                "--auth",
                "client_secret_basic",
                "--cert",
                &certificate,
                "--key",
                &encrypted,
            ],
            "is encrypted",
        ),
    ];
    for (more, message) in rows {
        let ran = login(&machine, &server, more);
        assert!(
            ran.code == 2 || message == "is encrypted" && ran.code == 6,
            "{ran:?}"
        );
        assert!(ran.stderr.contains(message), "{message}: {ran:?}");
        assert!(!ran.stderr.contains(PASSPHRASE));
    }
    assert_eq!(server.requests().len(), 0);
}
