//! The main job at an authorization server that nobody of this project wrote.

use serde_json::Value;

use crate::machine::{Machine, Ran};
use crate::real_servers::OidcProvider;

/// A client that the server knows; its secret has what each encoding must get right.
struct Client {
    id: &'static str,
    secret: &'static str,
    method: &'static str,
}

const BASIC: Client = Client {
    id: "basic-client",
    secret: r##"s%cr+t:&=/ "#?~"##,
    method: "client_secret_basic",
};
const POST: Client = Client {
    id: "post-client",
    secret: r##"another-s%cr+t:&=/ "#?~"##,
    method: "client_secret_post",
};

const NO_FILES: [std::path::PathBuf; 0] = [];

#[test]
fn login_token_refresh_and_logout_work_with_a_real_server() {
    let server = OidcProvider::start();
    for client in [BASIC, POST] {
        let machine = Machine::new();
        let revocation = format!("{}/token/revocation", server.issuer());
        login(
            &machine,
            &server,
            &client,
            client.secret,
            &["--scope", "api:read", "--revocation-url", &revocation],
        )
        .success();
        let first = machine.run(&["token"]).token();
        assert_eq!(machine.run(&["token"]).token(), first);
        let introspected = server.introspect(&first);
        assert_eq!(
            (
                &introspected["active"],
                &introspected["client_id"],
                &introspected["scope"]
            ),
            (&true.into(), &client.id.into(), &"api:read".into())
        );

        let second = machine.run(&["token", "--refresh"]).token();
        assert_ne!(second, first);
        assert_eq!(machine.run(&["token"]).token(), second);
        let other = machine.run(&["token", "--scope", "api:write"]).token();
        assert_eq!(server.introspect(&other)["scope"], "api:write");
        let json = machine.run(&["token", "--json"]).success().stdout;
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(
            (&json["access_token"], &json["token_type"]),
            (&second.clone().into(), &"Bearer".into())
        );
        assert!((3500..=3600).contains(&json["expires_in"].as_u64().expect("a number")));

        let ran = machine.run(&["logout"]).success();
        assert_eq!(ran.stderr.lines().count(), 1);
        for token in [second, other] {
            assert_eq!(server.introspect(&token)["active"], false);
        }
    }
}

#[test]
fn a_real_server_issues_tokens_for_a_resource() {
    let server = OidcProvider::start();
    let machine = Machine::new();
    login(
        &machine,
        &server,
        &BASIC,
        BASIC.secret,
        &[
            "--resource",
            "https://api.example/",
            "--scope",
            "api:read",
            "--scope",
            "api:write",
        ],
    )
    .success();
    let introspected = server.introspect(&machine.run(&["token"]).token());
    assert_eq!(
        (&introspected["aud"], &introspected["scope"]),
        (&"https://api.example/".into(), &"api:read api:write".into())
    );
}

#[test]
fn what_a_real_server_refuses_is_reported_and_stores_nothing() {
    let server = OidcProvider::start();
    let rows: [(&Client, &str, &[&str], i32, &str); 6] = [
        (&BASIC, "wrong", &[], 4, "401 invalid_client"),
        (&POST, "wrong", &[], 4, "401 invalid_client"),
        (
            &Client {
                id: "nobody",
                ..BASIC
            },
            BASIC.secret,
            &[],
            4,
            "401 invalid_client",
        ),
        (
            &BASIC,
            BASIC.secret,
            &["--scope", "openid"],
            4,
            "400 invalid_scope",
        ),
        (
            &BASIC,
            BASIC.secret,
            &["--resource", "https://other.example/"],
            4,
            "400 invalid_target",
        ),
        (
            &POST,
            POST.secret,
            &["--body", "json", "--auth", "client_secret_post"],
            4,
            "400 invalid_request",
        ),
    ];
    for (client, secret, more, code, message) in rows {
        let machine = Machine::new();
        let ran = login(&machine, &server, client, secret, more).failure(code);
        assert!(
            ran.stderr.contains(message) && ran.stderr.contains("hallpass: hint: "),
            "{ran:?}"
        );
        assert!(!ran.stderr.contains(secret) || secret == "wrong", "{ran:?}");
        assert_eq!(machine.files(), NO_FILES);
    }
}

#[test]
fn a_secret_that_stops_working_is_refused_by_a_real_server() {
    let server = OidcProvider::start();
    let machine = Machine::new();
    login(&machine, &server, &BASIC, BASIC.secret, &[]).success();
    machine.private_file("its-secret", b"changed");
    let ran = machine.run(&["token"]).failure(4);
    assert!(ran.stderr.contains("401 invalid_client"), "{ran:?}");
    machine.private_file("its-secret", BASIC.secret.as_bytes());
    let token = machine.run(&["token", "--refresh"]).token();
    assert_eq!(server.introspect(&token)["active"], true);
}

fn login(
    machine: &Machine,
    server: &OidcProvider,
    client: &Client,
    secret: &str,
    more: &[&str],
) -> Ran {
    let secret = machine.private_file("its-secret", secret.as_bytes());
    let secret = secret.to_str().expect("a path in UTF-8");
    let url = format!("{}/token", server.issuer());
    let mut arguments = vec![
        "login",
        "--token-url",
        &url,
        "--client-id",
        client.id,
        "--secret-file",
        secret,
    ];
    if !more.contains(&"--auth") {
        arguments.extend(["--auth", client.method]);
    }
    arguments.extend(more);
    machine.run(&arguments)
}
