//! Hostile metadata: no byte of the secret leaves for a server that was not confirmed.

use serde_json::{Value, json};

use super::{Site, assert_says};
use crate::machine::{CLIENT_ID, Machine};
use crate::secret_service::SecretService;
use crate::server::Reply;
use crate::terminal::Terminal;

/// Hostile metadata, how the login ends, and what its message has to say.
struct Case {
    name: &'static str,
    set_up: fn(&Site),
    code: i32,
    says: &'static [&'static str],
}

fn with(document: &Value, name: &str, value: Value) -> Value {
    let mut document = document.clone();
    document[name] = value;
    document
}

const CASES: &[Case] = &[
    Case {
        name: "metadata at another server",
        set_up: |site| {
            let evil = format!(r#"Bearer resource_metadata="{}""#, site.evil.url("/m"));
            site.challenge(&evil, site.resource());
        },
        code: 4,
        says: &["metadata at another server"],
    },
    Case {
        name: "metadata at another server, in the second of two challenges",
        set_up: |site| {
            let evil = site.evil.url("/m");
            let both =
                format!(r#"Basic realm="x, Bearer", Bearer resource_metadata={evil}, scope=a"#);
            site.challenge(&both, site.resource());
        },
        code: 4,
        says: &["metadata at another server"],
    },
    Case {
        name: "metadata at a URL with a user name",
        set_up: |site| {
            let url = site.mcp.server.url("/m").replace("http://", "http://a:b@");
            let challenge = format!(r#"Bearer resource_metadata="{url}""#);
            site.challenge(&challenge, site.resource());
        },
        code: 4,
        says: &["user name or password"],
    },
    Case {
        name: "metadata in a file",
        set_up: |site| {
            site.challenge(
                r#"Bearer resource_metadata="file:///etc/passwd""#,
                site.resource(),
            );
        },
        code: 4,
        says: &["file:///etc/passwd"],
    },
    Case {
        name: "another resource",
        set_up: |site| {
            let document = with(
                &site.resource(),
                "resource",
                json!("https://bank.example/mcp"),
            );
            site.challenge(&site.bearer(), document);
        },
        code: 4,
        says: &["another resource: https://bank.example/mcp", "/public/mcp"],
    },
    Case {
        name: "another path of the same server",
        set_up: |site| {
            let document = with(
                &site.resource(),
                "resource",
                json!(site.mcp.server.url("/pub")),
            );
            site.challenge(&site.bearer(), document);
        },
        code: 4,
        says: &["another resource"],
    },
    Case {
        name: "no resource",
        set_up: |site| {
            let document = with(&site.resource(), "resource", Value::Null);
            site.challenge(&site.bearer(), document);
        },
        code: 4,
        says: &["no resource"],
    },
    Case {
        name: "another authorization server than the one that was confirmed",
        set_up: |site| {
            let evil = json!([site.evil.url("")]);
            let document = with(&site.resource(), "authorization_servers", evil);
            site.challenge(&site.bearer(), document);
        },
        code: 2,
        says: &["does not trust", "it trusts"],
    },
    Case {
        name: "no authorization server",
        set_up: |site| {
            let document = with(&site.resource(), "authorization_servers", json!("x"));
            site.challenge(&site.bearer(), document);
        },
        code: 2,
        says: &["does not trust"],
    },
    Case {
        name: "an issuer with another name",
        set_up: |site| {
            site.issue(with(
                &site.metadata(),
                "issuer",
                json!("https://bank.example"),
            ));
        },
        code: 4,
        says: &["another issuer: https://bank.example"],
    },
    Case {
        name: "a token endpoint without TLS",
        set_up: |site| {
            let url = json!("http://as.example/token");
            site.issue(with(&site.metadata(), "token_endpoint", url));
        },
        code: 5,
        says: &["token_endpoint", "https"],
    },
    Case {
        name: "a token endpoint at another server",
        set_up: |site| {
            let url = json!(site.evil.url("/token"));
            site.issue(with(&site.metadata(), "token_endpoint", url));
        },
        code: 2,
        says: &["token endpoint", "at another server", "--token-url"],
    },
    Case {
        name: "a token endpoint with a user name",
        set_up: |site| {
            let url = site
                .evil
                .url("/token")
                .replace("http://", "http://127.0.0.1:80@");
            site.issue(with(&site.metadata(), "token_endpoint", json!(url)));
        },
        code: 5,
        says: &["user name or password"],
    },
    Case {
        name: "no grant that hallpass can use",
        set_up: |site| {
            let grants = json!(["authorization_code", "refresh_token"]);
            site.issue(with(&site.metadata(), "grant_types_supported", grants));
        },
        code: 4,
        says: &["client_credentials", "authorization_code, refresh_token"],
    },
    Case {
        name: "no method that hallpass can use",
        set_up: |site| {
            let methods = json!(["none"]);
            let name = "token_endpoint_auth_methods_supported";
            site.issue(with(&site.metadata(), name, methods));
        },
        code: 4,
        says: &["client_secret_basic", "it offers none"],
    },
    Case {
        name: "control characters in the scope",
        set_up: |site| {
            let url = site.mcp.server.url("/metadata.json");
            let challenge = format!("Bearer resource_metadata=\"{url}\", scope=\"a\u{9}\u{e9}b\"");
            site.challenge(&challenge, site.resource());
        },
        code: 4,
        says: &["scope", "--scope"],
    },
    Case {
        name: "control characters in the list of scopes",
        set_up: |site| {
            let url = site.mcp.server.url("/metadata.json");
            let scopes = json!(["a\u{1b}[2J", "b\n"]);
            let document = with(&site.resource(), "scopes_supported", scopes);
            site.challenge(&format!("Bearer resource_metadata=\"{url}\""), document);
        },
        code: 4,
        says: &["scope", "--scope"],
    },
    Case {
        name: "control characters in the resource",
        set_up: |site| {
            let resource = json!(site.url() + "\r\nhallpass: logged in\u{1b}[8m");
            site.challenge(&site.bearer(), with(&site.resource(), "resource", resource));
        },
        code: 4,
        says: &["another resource"],
    },
    Case {
        name: "huge metadata of the MCP server",
        set_up: |site| {
            let filler = json!("x".repeat(65 * 1024));
            site.challenge(&site.bearer(), with(&site.resource(), "filler", filler));
        },
        code: 5,
        says: &["larger than 64 KiB"],
    },
    Case {
        name: "huge metadata of the authorization server",
        set_up: |site| {
            let filler = json!("x".repeat(65 * 1024));
            site.issue(with(&site.metadata(), "filler", filler));
        },
        code: 5,
        says: &["larger than 64 KiB"],
    },
    Case {
        name: "garbage",
        set_up: |site| {
            let challenge = site.bearer();
            site.mcp.set(move |request| match request.method.as_str() {
                "POST" => Reply::json(401, "").header("WWW-Authenticate", &challenge),
                _ => Reply::json(200, b"<html>\xff\0{\"resource\":".to_vec()),
            });
        },
        code: 5,
        says: &["without a JSON object"],
    },
    Case {
        name: "metadata that is nested without end",
        set_up: |site| {
            let challenge = site.bearer();
            site.mcp.set(move |request| match request.method.as_str() {
                "POST" => Reply::json(401, "").header("WWW-Authenticate", &challenge),
                _ => Reply::json(200, "[".repeat(60_000)),
            });
        },
        code: 5,
        says: &["without a JSON object"],
    },
    Case {
        name: "a redirect of the first request",
        set_up: |site| {
            let evil = site.evil.url("/mcp");
            site.mcp
                .set(move |_| Reply::new(307).header("Location", &evil));
        },
        code: 5,
        says: &["redirects are not followed"],
    },
    Case {
        name: "a redirect of the metadata",
        set_up: |site| {
            let (evil, challenge) = (site.evil.url("/m"), site.bearer());
            site.mcp.set(move |request| match request.method.as_str() {
                "POST" => Reply::json(401, "").header("WWW-Authenticate", &challenge),
                _ => Reply::new(302).header("Location", &evil),
            });
        },
        code: 5,
        says: &["redirects are not followed"],
    },
    Case {
        name: "a redirect of the authorization server's metadata",
        set_up: |site| {
            let evil = site.evil.url("/m");
            let redirect = move |_: &_| Reply::new(301).header("Location", &evil);
            site.authorization.set(redirect);
        },
        code: 5,
        says: &["301"],
    },
    Case {
        name: "a redirect of the token request",
        set_up: |site| {
            let (evil, metadata) = (site.evil.url("/token"), site.metadata());
            site.authorization
                .set(move |request| match request.method.as_str() {
                    "POST" => Reply::new(307).header("Location", &evil),
                    _ => Reply::json(200, metadata.to_string()),
                });
        },
        code: 5,
        says: &["307"],
    },
    Case {
        name: "no metadata at all",
        set_up: |site| site.mcp.set(|_| Reply::json(404, "{}")),
        code: 5,
        says: &["no metadata", "404", "--issuer"],
    },
];

#[test]
fn hostile_metadata_send_no_byte_of_the_secret_to_another_server() {
    for case in CASES {
        let site = Site::new();
        (case.set_up)(&site);
        let issuer = site.issuer();
        let ran = site.login(&["--issuer", &issuer]);
        assert_eq!(ran.code, case.code, "{}: {ran:?}", case.name);
        assert_says(&ran, case.says);
        assert!(!ran.stderr.contains('\u{1b}'), "{}: {ran:?}", case.name);
        for line in ran.stderr.lines() {
            assert!(line.starts_with("hallpass: "), "{}: {ran:?}", case.name);
        }
        site.is_safe();
        let is_sent = case.name == "a redirect of the token request";
        assert_eq!(
            site.token_requests().len(),
            usize::from(is_sent),
            "{}",
            case.name
        );
        assert!(
            !site.machine.config().join("linear.json").exists(),
            "{}",
            case.name
        );
    }
}

#[test]
fn of_several_authorization_servers_one_has_to_be_named() {
    let site = Site::new();
    let (issuer, evil) = (site.issuer(), site.evil.url(""));
    let both = json!([evil, issuer, format!("{issuer}/")]);
    site.challenge(
        &site.bearer(),
        with(&site.resource(), "authorization_servers", both),
    );
    let ran = site.login(&[]).failure(2);
    let [first, second] = [&evil, &issuer].map(|url| format!("--issuer {url} "));
    assert_says(&ran, &["several authorization servers", &first, &second]);
    assert_eq!(ran.stderr.matches("hint: ").count(), 2, "{ran:?}");
    assert_eq!(site.authorization.server.connections(), 0);
    site.login(&["--issuer", &issuer]).success();
    site.is_safe();
}

#[test]
fn a_token_endpoint_at_another_server_is_named_in_the_question() {
    let keychain = SecretService::start();
    let mut site = Site::new();
    site.machine = Machine::new().with_environment(keychain.environment());
    let endpoint = site.evil.url("/token");
    site.issue(with(&site.metadata(), "token_endpoint", json!(endpoint)));
    let (url, issuer) = (site.url(), site.issuer());
    // Also if the issuer is named: it is not where the secret goes.
    for more in [&[][..], &["--issuer", &issuer]] {
        let login = ["login", "linear", "--mcp", &url, "--client-id", CLIENT_ID];
        let login = [&login, more].concat();
        let mut terminal = Terminal::run(&site.machine.hallpass(&login));
        terminal.expect(&format!("(token endpoint {endpoint})\r\n"));
        let evil = site.evil.url("");
        terminal.expect(&format!(
            "Send the secret to {evil}, which is not {issuer}? [y/N]: "
        ));
        terminal.send("\r");
        assert_eq!(terminal.end().exit, Some(2));
    }
    site.is_safe();
    // Named as well, it is confirmed.
    site.machine.private_file("secret", b"s3cret");
    site.login(&["--issuer", &issuer, "--token-url", &endpoint])
        .success();
    assert_eq!(site.token_requests().len(), 0);
    assert_eq!(site.evil.requests().len(), 1);
}

#[test]
fn a_server_that_changes_after_the_login_gets_nothing() {
    let site = Site::new();
    let issuer = site.issuer();
    site.login(&["--issuer", &issuer]).success();
    let (seen, before) = (site.mcp.server.connections(), site.token_requests().len());

    // From now on, all metadata lead elsewhere, and the MCP server challenges every request.
    let evil = site.evil.url("");
    let metadata = json!({"issuer": evil, "token_endpoint": site.evil.url("/token")});
    site.issue(metadata);
    let document = with(&site.resource(), "authorization_servers", json!([evil]));
    site.challenge(&site.bearer(), document);
    for _ in 0..3 {
        let token = site.machine.run(&["token", "linear", "--refresh"]);
        assert_eq!(token.token(), "token-1");
    }
    assert_eq!(site.mcp.server.connections(), seen);
    assert_eq!(site.token_requests().len(), before + 3);

    // A new login sees it, and sends nothing: neither unattended nor with the issuer of the first login.
    let url = site.url();
    let login = ["login", "linear", "--mcp", &url];
    let ran = site.machine.run(&login).failure(2);
    assert_says(&ran, &[&evil, "has to be confirmed"]);
    let login = [&login[..], &["--issuer", &issuer]].concat();
    let ran = site.machine.run(&login).failure(2);
    assert_says(&ran, &["does not trust", &evil]);
    assert_eq!(site.token_requests().len(), before + 3);
    site.is_safe();
    assert_eq!(site.machine.run(&["token", "linear"]).token(), "token-1");
}

#[test]
fn the_issuers_metadata_do_not_move_the_endpoint_at_a_later_login() {
    let site = Site::new();
    let issuer = site.issuer();
    site.login(&["--issuer", &issuer]).success();
    let before = site.token_requests().len();
    let metadata = with(
        &site.metadata(),
        "token_endpoint",
        json!(site.evil.url("/token")),
    );
    site.issue(metadata);
    // Without --mcp, the endpoint that was confirmed is kept.
    site.machine.run(&["login", "linear"]).success();
    assert_eq!(site.token_requests().len(), before + 1);
    site.is_safe();
}

#[test]
fn tokens_are_revoked_only_at_the_server_that_was_confirmed() {
    let site = Site::new();
    let issuer = site.issuer();
    let mut metadata = with(
        &site.metadata(),
        "revocation_endpoint",
        json!(site.evil.url("/r")),
    );
    metadata["mtls_endpoint_aliases"] = json!({"token_endpoint": site.evil.url("/t")});
    site.issue(metadata);
    let ran = site.login(&["--issuer", &issuer]).success();
    assert_says(&ran, &["hallpass: warning: ", "not revoked"]);
    site.machine.run(&["logout", "linear"]).success();
    site.is_safe();
}
