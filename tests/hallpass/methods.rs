//! Metadata, presets and settings of a login: which method is used, what is sent, what is refused.

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use serde_json::{Value, json};

use crate::machine::{CLIENT_ID, Machine, Ran, SECRET, numbered_tokens};
use crate::server::{Reply, Request, Server};

/// An authorization server that says about itself what `metadata` makes of its issuer.
fn server_with(metadata: impl Fn(&str) -> Value + Send + Sync + 'static) -> Server {
    let token = numbered_tokens();
    Server::start(move |request| {
        let issuer = format!("http://{}", request.header("host").unwrap_or_default());
        match (request.method.as_str(), request.target.as_str()) {
            ("POST", _) => token(request),
            (_, "/.well-known/oauth-authorization-server") => {
                Reply::json(200, metadata(&issuer).to_string())
            }
            _ => Reply::new(404),
        }
    })
}

fn with_methods(methods: &'static [&'static str]) -> Server {
    server_with(move |issuer| {
        json!({
            "issuer": issuer,
            "token_endpoint": format!("{issuer}/token"),
            "revocation_endpoint": format!("{issuer}/revoke"),
            "token_endpoint_auth_methods_supported": methods,
        })
    })
}

fn posts(server: &Server) -> Vec<Request> {
    let mut requests = server.requests();
    requests.retain(|request| request.method == "POST");
    requests
}

fn login(machine: &Machine, more: &[&str]) -> Ran {
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let mut arguments = vec!["login", "p", "--client-id", CLIENT_ID];
    arguments.extend(["--secret-file", secret.to_str().expect("UTF-8")]);
    arguments.extend(more);
    machine.run(&arguments)
}

fn settings(machine: &Machine) -> Value {
    let text = std::fs::read(machine.config().join("p.json")).expect("a profile");
    serde_json::from_slice(&text).expect("JSON")
}

#[test]
fn the_first_method_of_the_servers_that_fits_is_shown_and_used() {
    for (methods, expected) in [
        (
            &[
                "private_key_jwt",
                "client_secret_post",
                "client_secret_basic",
            ][..],
            "client_secret_post",
        ),
        (
            &["client_secret_basic", "client_secret_post"],
            "client_secret_basic",
        ),
        (&["none", "client_secret_jwt"], "client_secret_jwt"),
        // Nothing that fits, or nothing at all: the default of RFC 8414.
        (&["none"], "client_secret_basic"),
        (&[], "client_secret_basic"),
    ] {
        let server = with_methods(methods);
        let machine = Machine::new();
        let ran = login(&machine, &["--issuer", &server.url("")]).success();
        assert_eq!(settings(&machine)["client_auth"], expected, "{methods:?}");
        let shown = ran.stderr.contains(&format!("using {expected}"));
        assert_eq!(shown, methods.contains(&expected), "{methods:?}: {ran:?}");
        let post = posts(&server).remove(0);
        assert_eq!(post.target, "/token");
        let has = |name: &str| post.form().iter().any(|(known, _)| known == name);
        let proof = [
            post.header("authorization").is_some(),
            has("client_secret"),
            has("client_assertion"),
        ];
        let methods = [
            "client_secret_basic",
            "client_secret_post",
            "client_secret_jwt",
        ];
        assert_eq!(
            proof,
            methods.map(|method| method == expected),
            "one proof: {post:?}"
        );
    }
}

#[test]
fn metadata_are_requested_only_at_login() {
    let server = with_methods(&["client_secret_post"]);
    let machine = Machine::new();
    login(&machine, &["--issuer", &server.url("")]).success();
    let asked = |server: &Server| server.requests().len() - posts(server).len();
    assert_eq!(asked(&server), 1);
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
    assert_eq!(asked(&server), 1);
    let kept = settings(&machine);
    assert_eq!(kept["issuer"], server.url(""));
    assert_eq!(kept["revocation_endpoint"], server.url("/revoke"));
    // A login that keeps the settings asks again.
    machine.run(&["login", "p", "--scope", "a"]).success();
    assert_eq!(asked(&server), 2);
    machine.run(&["logout"]).success();
    assert_eq!(
        posts(&server).last().map(|post| post.target.as_str()),
        Some("/revoke")
    );
    assert_eq!(asked(&server), 2);
}

#[test]
fn metadata_are_found_at_any_of_three_urls() {
    for place in [
        "/.well-known/oauth-authorization-server/tenant",
        "/tenant/.well-known/openid-configuration",
        "/.well-known/openid-configuration/tenant",
    ] {
        let token = numbered_tokens();
        let server = Server::start(move |request| {
            let issuer = format!(
                "http://{}/tenant",
                request.header("host").unwrap_or_default()
            );
            if request.method == "POST" {
                token(request)
            } else if request.target == place {
                let metadata =
                    json!({ "issuer": issuer, "token_endpoint": format!("{issuer}/token") });
                Reply::json(200, metadata.to_string())
            } else {
                Reply::new(404)
            }
        });
        let machine = Machine::new();
        login(&machine, &["--issuer", &server.url("/tenant")]).success();
        assert_eq!(posts(&server).len(), 1, "{place}");
    }
}

#[test]
fn untrusted_metadata_are_refused_before_the_secret_is_sent() {
    type Metadata = fn(&str) -> Value;
    let rows: [(Metadata, i32, &str); 6] = [
        (
            |_| json!({ "issuer": "https://other.example", "token_endpoint": "https://other.example/t" }),
            4,
            "another issuer",
        ),
        (
            |issuer| json!({ "issuer": format!("{issuer}/"), "token_endpoint": format!("{issuer}/t") }),
            4,
            "another issuer",
        ),
        (
            |issuer| json!({ "token_endpoint": format!("{issuer}/t") }),
            4,
            "has no issuer",
        ),
        (
            |issuer| json!({ "issuer": issuer }),
            5,
            "has no token_endpoint",
        ),
        (
            |issuer| json!({ "issuer": issuer, "token_endpoint": "http://evil.example/t" }),
            5,
            "must use https",
        ),
        (|_| json!([]), 5, "without a JSON object"),
    ];
    for (metadata, code, message) in rows {
        let server = server_with(metadata);
        let machine = Machine::new();
        let ran = login(&machine, &["--issuer", &server.url("")]).failure(code);
        assert!(ran.stderr.contains(message), "{message}: {ran:?}");
        assert!(posts(&server).is_empty(), "{message}");
        assert!(!machine.config().join("p.json").exists());
    }
    let server = Server::start(|_| Reply::new(404));
    let machine = Machine::new();
    let ran = login(&machine, &["--issuer", &server.url("")]).failure(5);
    assert!(ran.stderr.contains("--token-url"), "{ran:?}");
    login(&machine, &["--issuer", "http://issuer.example"]).failure(2);
}

#[test]
fn presets_are_listed_with_their_settings() {
    let ran = Machine::new()
        .run(&["login", "--provider", "help"])
        .success();
    for name in [
        "adobe",
        "auth0",
        "blooma",
        "cognito",
        "entra",
        "keycloak",
        "okta",
        "okta-org",
        "paypal",
        "salesforce",
        "sap",
        "spotify",
        "x",
        "zoom",
    ] {
        assert!(
            ran.stdout
                .lines()
                .any(|line| line.split(' ').next() == Some(name)),
            "{name}: {ran:?}"
        );
    }
    assert!(
        ran.stdout.contains("--set base_url=https://acme.blooma.ai"),
        "{ran:?}"
    );
    let ran = Machine::new()
        .run(&["login", "--provider", "nobody"])
        .failure(2);
    assert!(ran.stderr.contains("--provider help"), "{ran:?}");
}

#[test]
fn a_preset_fills_in_what_was_not_given() {
    let server = Server::start(numbered_tokens());
    let url = server.url("/oauth/token");
    let sent = |more: &[&str]| {
        let machine = Machine::new();
        let given = [more, &["--token-url", &url]].concat();
        login(&machine, &given).success();
        posts(&server).pop().expect("a request")
    };
    let zoom = sent(&["--provider", "zoom", "--set", "account_id=7"]);
    assert_eq!(zoom.text(), "grant_type=account_credentials&account_id=7");
    assert!(zoom.header("authorization").is_some());
    let blooma = sent(&[
        "--provider",
        "blooma",
        "--set",
        "base_url=https://acme.blooma.ai/",
    ]);
    let body: Value = serde_json::from_str(&blooma.text()).expect("JSON");
    assert_eq!(body["audience"], "https://acme.blooma.ai/api/");
    assert_eq!(body["client_secret"], SECRET);
    let entra = sent(&[
        "--provider",
        "entra",
        "--set",
        "resource=https://graph.microsoft.com",
    ]);
    assert!(
        entra
            .text()
            .contains("scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&"),
        "{entra:?}"
    );
    let scoped = sent(&["--provider", "entra", "--scope", "mine"]);
    assert!(
        scoped.text().contains("scope=mine&"),
        "what is given wins: {scoped:?}"
    );
}

#[test]
fn a_preset_says_what_it_still_needs() {
    let machine = Machine::new();
    let ran = login(&machine, &["--provider", "auth0"]).failure(2);
    assert!(ran.stderr.contains("--set domain=..."), "{ran:?}");
    let ran = login(&machine, &["--provider", "spotify", "--set", "domain=x"]).failure(2);
    assert!(ran.stderr.contains("has no setting \"domain\""), "{ran:?}");
    let ran = login(
        &machine,
        &[
            "--provider",
            "okta-org",
            "--set",
            "domain=x",
            "--set",
            "scopes=y",
        ],
    )
    .failure(2);
    assert!(ran.stderr.contains("--jwt-key"), "{ran:?}");
    // An answer is no way to another host than the URL shows.
    let ran = login(
        &machine,
        &["--provider", "cognito", "--set", "domain=a@evil.example"],
    )
    .failure(2);
    assert!(ran.stderr.contains("user name"), "{ran:?}");
}

#[test]
fn a_lifetime_can_be_set_where_the_server_is_silent_and_cut_where_it_promises_much() {
    let silent = Server::start(|_| Reply::json(200, r#"{"access_token":"t"}"#));
    let generous = Server::start(|_| Reply::token("t", 864_000));
    for (server, option, seconds) in [
        (&silent, &["--default-ttl", "1h"][..], 3600),
        (&silent, &[], 300),
        (&generous, &["--max-ttl", "2h"], 7200),
        (&generous, &[], 86_400),
        (&generous, &["--max-ttl", "5d"], 432_000),
    ] {
        let machine = Machine::new();
        let url = server.url("/token");
        login(&machine, &[&["--token-url", &url], option].concat()).success();
        let ran = machine.run(&["token", "--json"]).success();
        let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let left = answer["expires_in"].as_u64().expect("a number");
        assert!(
            (seconds - 30..=seconds).contains(&left),
            "{option:?}: {left}"
        );
    }
}

#[test]
fn callers_get_what_else_the_server_tells_them_also_from_the_cache() {
    let server = Server::start(|_| {
        Reply::json(
            200,
            r#"{"access_token":"t","instance_url":"https://acme.my.salesforce.com","refresh_token":"r","id_token":"i"}"#,
        )
    });
    let machine = Machine::new();
    login(
        &machine,
        &["--token-url", &server.url("/token"), "--no-verify"],
    )
    .success();
    for _ in ["fresh", "cached"] {
        let ran = machine.run(&["token", "--json"]).success();
        let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(answer["instance_url"], "https://acme.my.salesforce.com");
        assert!(answer.get("refresh_token").is_none() && answer.get("id_token").is_none());
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_key_decides_how_assertions_are_signed_and_the_error_names_what_it_cannot_do() {
    let server = Server::start(numbered_tokens());
    let url = server.url("/token");
    let machine = Machine::new();
    let key = |algorithm| {
        KeyPair::generate_for(algorithm)
            .expect("a key")
            .serialize_pem()
    };
    let ec = machine.private_file("ec.pem", key(&PKCS_ECDSA_P256_SHA256).as_bytes());
    let ed = machine.private_file("ed.pem", key(&PKCS_ED25519).as_bytes());
    let login = |more: &[&str]| {
        let arguments = ["login", "p", "--token-url", &url, "--client-id", CLIENT_ID];
        machine.run(&[&arguments[..], more].concat())
    };
    for (key, algorithm) in [(&ec, "ES256"), (&ed, "EdDSA")] {
        let path = key.to_str().expect("UTF-8");
        login(&["--jwt-key", path]).success();
        let assertion = &settings(&machine)["assertion"];
        assert_eq!(assertion["algorithm"], algorithm);
        assert_eq!(assertion["audience"], url, "no issuer is known");
        assert_eq!(assertion["type"], "client-authentication+jwt");
        let ran = login(&["--jwt-key", path, "--jwt-alg", "RS256"]).failure(2);
        assert!(ran.stderr.contains("cannot sign with RS256"), "{ran:?}");
        let ran = login(&["--jwt-key", path, "--jwt-aud", "issuer"]).failure(2);
        assert!(ran.stderr.contains("--issuer"), "{ran:?}");
        let ran = login(&[
            "--jwt-key",
            path,
            "--auth",
            "client_secret_post",
            "--secret-file",
            path,
        ])
        .failure(2);
        assert!(ran.stderr.contains("takes no private key"), "{ran:?}");
    }
    let first = |method: &str| {
        let arguments = ["login", "q", "--token-url", &url, "--client-id", CLIENT_ID];
        machine.run(&[&arguments[..], &["--auth", method]].concat())
    };
    first("private_key_jwt").failure(2);
    first("tls_client_auth").failure(2);
    let nothing = machine.private_file("nothing.pem", b"nothing");
    login(&["--jwt-key", nothing.to_str().expect("UTF-8")]).failure(6);
}

#[test]
fn a_private_key_is_never_sent_as_a_secret() {
    let server = Server::start(numbered_tokens());
    let url = server.url("/token");
    let machine = Machine::new();
    // In one line, as a secret is.
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let path = machine.private_file("key.jwk", jwk.as_bytes());
    let path = path.to_str().expect("UTF-8");
    machine
        .run(&[
            "login",
            "--token-url",
            &url,
            "--client-id",
            "c",
            "--jwt-key",
            path,
        ])
        .success();
    let ran = machine
        .run(&["login", "--auth", "client_secret_post"])
        .failure(2);
    assert!(
        ran.stderr.contains("the client secret is missing"),
        "{ran:?}"
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_standard_parameter_is_not_overwritten_by_an_edit() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    login(
        &machine,
        &["--token-url", &server.url("/token"), "--param", "x=y"],
    )
    .success();
    let path = machine.config().join("p.json");
    let profile = std::fs::read_to_string(&path).expect("a profile");
    std::fs::write(&path, profile.replace("\"x\"", "\"client_id\"")).expect("an edit");
    let ran = machine.run(&["token"]).failure(2);
    assert!(
        ran.stderr
            .contains("`client_id` cannot be an extra parameter"),
        "{ran:?}"
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_new_key_in_the_same_file_is_another_client_as_far_as_tokens_go() {
    let server = Server::start(numbered_tokens());
    let url = server.url("/token");
    let machine = Machine::new();
    let key = || KeyPair::generate().expect("a key").serialize_pem();
    let path = machine.private_file("key.pem", key().as_bytes());
    let path = path.to_str().expect("UTF-8");
    machine
        .run(&[
            "login",
            "--token-url",
            &url,
            "--client-id",
            "c",
            "--jwt-key",
            path,
        ])
        .success();
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    machine.private_file("key.pem", format!("{}\n", key()).as_bytes());
    assert_eq!(machine.run(&["token"]).token(), "token-2");
    let assertions: Vec<_> = posts(&server)
        .iter()
        .filter_map(|post| {
            post.form()
                .into_iter()
                .find(|(name, _)| name == "client_assertion")
        })
        .collect();
    assert_eq!(assertions.len(), 2);
    assert_ne!(assertions[0], assertions[1]);
}
