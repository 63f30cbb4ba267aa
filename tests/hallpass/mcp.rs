//! `hallpass login --mcp`: the authorization server of an MCP server is found, shown and confirmed
//! before a secret goes anywhere.

mod bridge;
mod clients;
mod conformance;
mod hostile;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::machine::{CLIENT_ID, Machine, Ran, SECRET};
use crate::secret_service::SecretService;
use crate::server::{Reply, Request, Server};
use crate::terminal::Terminal;
use crate::tls::Authority;
use crate::transport::diverting_proxy;

/// What a server answers, which a test may change while it runs.
type Answer = Box<dyn Fn(&Request) -> Reply + Send>;

/// A server with replaceable answers.
struct Replaceable {
    server: Server,
    answer: Arc<Mutex<Answer>>,
}

impl Replaceable {
    fn start() -> Self {
        let unset: Answer = Box::new(|_| Reply::json(404, "{}"));
        let answer = Arc::new(Mutex::new(unset));
        let shared = Arc::clone(&answer);
        let server = Server::start(move |request| (shared.lock().expect("an answer"))(request));
        Self { server, answer }
    }

    fn set(&self, answer: impl Fn(&Request) -> Reply + Send + 'static) {
        *self.answer.lock().expect("an answer") = Box::new(answer);
    }
}

/// An MCP server, the authorization server that it trusts, and one that nobody should trust.
struct Site {
    machine: Machine,
    mcp: Replaceable,
    authorization: Replaceable,
    evil: Server,
}

impl Site {
    fn new() -> Self {
        let site = Self {
            machine: Machine::new(),
            mcp: Replaceable::start(),
            authorization: Replaceable::start(),
            evil: Server::start(|_| Reply::token("stolen", 3600)),
        };
        site.machine.private_file("secret", SECRET.as_bytes());
        site.challenge(&site.bearer(), site.resource());
        site.issue(site.metadata());
        site
    }

    fn url(&self) -> String {
        self.mcp.server.url("/public/mcp")
    }

    fn issuer(&self) -> String {
        self.authorization.server.url("/tenant")
    }

    /// The challenge of a server that does as the specifications say.
    fn bearer(&self) -> String {
        let url = self.mcp.server.url("/metadata.json");
        format!(r#"Basic realm="a, b", Bearer resource_metadata="{url}", scope="read write""#)
    }

    fn resource(&self) -> Value {
        json!({
            "resource": self.url(),
            "authorization_servers": [self.issuer()],
            "scopes_supported": ["read", "write", "admin"],
        })
    }

    fn metadata(&self) -> Value {
        json!({
            "issuer": self.issuer(),
            "token_endpoint": self.authorization.server.url("/tenant/token"),
            "grant_types_supported": ["authorization_code", "client_credentials"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"],
        })
    }

    /// The MCP server answers with this challenge, and has this document.
    fn challenge(&self, challenge: &str, document: Value) {
        let challenge = challenge.to_owned();
        self.mcp.set(move |request| {
            if request.method == "POST" {
                let reply = Reply::json(401, "{}");
                return reply.header("WWW-Authenticate", &challenge);
            }
            match request.target.as_str() {
                "/metadata.json" => Reply::json(200, document.to_string()),
                _ => Reply::json(404, "{}"),
            }
        });
    }

    /// The MCP server has no challenge, and its document is here.
    fn publish(&self, status: u16, location: &'static str, document: Value) {
        self.mcp.set(move |request| {
            if request.method == "POST" {
                return Reply::json(status, "{}");
            }
            if request.target == location {
                return Reply::json(200, document.to_string());
            }
            Reply::json(404, "{}")
        });
    }

    /// The authorization server has these metadata, and issues `token-1`.
    fn issue(&self, metadata: Value) {
        self.authorization.set(move |request| {
            match (request.method.as_str(), request.target.as_str()) {
                ("GET", "/.well-known/oauth-authorization-server/tenant") => {
                    Reply::json(200, metadata.to_string())
                }
                ("POST", "/tenant/token") => Reply::json(
                    200,
                    r#"{"access_token":"token-1","token_type":"Bearer","expires_in":3600}"#,
                ),
                _ => Reply::json(404, "{}"),
            }
        });
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let secret = self.machine.root().join("secret");
        let secret = secret.to_str().expect("UTF-8");
        let url = self.url();
        let login = ["login", "linear", "--mcp", &url, "--client-id", CLIENT_ID];
        let all = [&login, &["--secret-file", secret][..], more].concat();
        all.into_iter().map(str::to_owned).collect()
    }

    fn login(&self, more: &[&str]) -> Ran {
        let arguments = self.arguments(more);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        self.machine.run(&arguments)
    }

    fn token_requests(&self) -> Vec<Request> {
        let mut requests = self.authorization.server.requests();
        requests.retain(|request| request.method == "POST");
        requests
    }

    /// Nothing went to the server that nobody should trust, and no secret to the MCP server.
    #[track_caller]
    fn is_safe(&self) {
        assert_eq!(self.evil.connections(), 0);
        self.mcp_saw_no_credential();
    }

    #[track_caller]
    fn mcp_saw_no_credential(&self) {
        for request in self.mcp.server.requests() {
            assert_eq!(request.header("authorization"), None, "{request:?}");
            assert!(!request.text().contains("secret"), "{request:?}");
        }
    }
}

#[track_caller]
fn assert_says(ran: &Ran, texts: &[&str]) {
    for text in texts {
        assert!(ran.stderr.contains(text), "{text}: {ran:?}");
    }
}

#[test]
fn a_login_at_an_mcp_server_shows_the_authorization_server_and_asks() {
    let keychain = SecretService::start();
    let mut site = Site::new();
    site.machine = Machine::new().with_environment(keychain.environment());
    let url = site.url();
    let login = ["login", "linear", "--mcp", &url, "--client-id", CLIENT_ID];
    let mut terminal = Terminal::run(&site.machine.hallpass(&login));
    let token_endpoint = site.authorization.server.url("/tenant/token");
    for line in [
        format!("  server     {url}\r\n"),
        format!("  resource   {url}\r\n"),
        format!(
            "  trusts     {}  (token endpoint {token_endpoint})\r\n",
            site.issuer()
        ),
        format!("  client     {CLIENT_ID}  (client_secret_post)\r\n"),
        "  scopes     read write  (from the challenge)\r\n".to_owned(),
        format!(
            "Send the secret to {}? [y/N]: ",
            site.authorization.server.url("")
        ),
    ] {
        terminal.expect(&line);
    }
    assert_eq!(site.token_requests().len(), 0);
    terminal.send("y\r");
    terminal.expect("Client secret: ");
    terminal.send(&format!("{SECRET}\r"));
    let ended = terminal.end();
    assert_eq!(ended.exit, Some(0), "{ended:?}");

    // The whole login takes four requests: the server, its metadata, the issuer's, the token.
    assert_eq!(site.mcp.server.requests().len(), 2);
    assert_eq!(site.authorization.server.requests().len(), 2);
    let initialize: Value =
        serde_json::from_slice(&site.mcp.server.requests()[0].body).expect("JSON");
    assert_eq!(initialize["method"], "initialize");
    let form = site.token_requests()[0].form();
    for (name, value) in [("resource", url.as_str()), ("scope", "read write")] {
        assert!(
            form.contains(&(name.to_owned(), value.to_owned())),
            "{form:?}"
        );
    }
    site.is_safe();
    // The profile is bound to the MCP server.
    let headers = ["token", "linear", "--format", "headers-json"];
    assert!(
        site.machine
            .run(&headers)
            .success()
            .stdout
            .contains("Bearer token-1")
    );
    assert!(
        site.machine
            .run(&["status"])
            .success()
            .stdout
            .contains(&url)
    );
}

#[test]
fn a_login_that_is_not_confirmed_asks_for_no_secret() {
    let keychain = SecretService::start();
    let mut site = Site::new();
    site.machine = Machine::new().with_environment(keychain.environment());
    let url = site.url();
    for answer in ["\r", "n\r"] {
        let login = ["login", "linear", "--mcp", &url, "--client-id", CLIENT_ID];
        let mut terminal = Terminal::run(&site.machine.hallpass(&login));
        terminal.expect("Send the secret to ");
        terminal.send(answer);
        let ended = terminal.end();
        assert_eq!(ended.exit, Some(2), "{ended:?}");
        assert!(
            ended.screen.contains("cancelled: nothing was sent"),
            "{ended:?}"
        );
        assert!(!ended.screen.contains("Client secret"), "{ended:?}");
    }
    assert!(keychain.is_empty());
    assert_eq!(site.token_requests().len(), 0);
    let none: [std::path::PathBuf; 0] = [];
    assert_eq!(site.machine.entries("linear"), none);
}

#[test]
fn without_a_terminal_the_message_has_the_command_that_confirms() {
    let site = Site::new();
    let ran = site.login(&[]).failure(2);
    let issuer = site.issuer();
    assert_says(&ran, &[&issuer, "no terminal to ask at"]);
    assert_eq!(site.authorization.server.connections(), 0);
    let (_, command) = ran
        .stderr
        .split_once("add --issuer: hallpass ")
        .expect("a command");
    let words = shlex::split(command.trim_end()).expect("words");
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    assert!(
        words
            .windows(2)
            .any(|pair| pair == ["--issuer", issuer.as_str()])
    );
    site.machine.run(&words).success();
    assert_eq!(site.machine.run(&["token", "linear"]).token(), "token-1");
    site.is_safe();
}

#[test]
fn metadata_are_found_where_servers_publish_them() {
    for (status, location) in [
        (401, "/.well-known/oauth-protected-resource/public/mcp"),
        (404, "/.well-known/oauth-protected-resource/public/mcp"),
        (405, "/.well-known/oauth-protected-resource"),
        (406, "/.well-known/oauth-protected-resource"),
        (200, "/.well-known/oauth-protected-resource"),
    ] {
        let site = Site::new();
        let mut document = site.resource();
        document["resource"] = json!(site.mcp.server.url("/public"));
        site.publish(status, location, document);
        let issuer = site.issuer();
        site.login(&["--issuer", &issuer]).success();
        let form = site.token_requests()[0].form();
        // All scopes that the server lists, as the challenge has none.
        for (name, value) in [
            ("resource", site.mcp.server.url("/public")),
            ("scope", "read write admin".to_owned()),
        ] {
            assert!(form.contains(&(name.to_owned(), value)), "{form:?}");
        }
    }
}

/// RFC 9728 §2.
#[test]
fn a_server_that_requires_proofs_of_possession_gets_them_from_the_first_request() {
    let site = Site::new();
    let mut document = site.resource();
    document["dpop_bound_access_tokens_required"] = json!(true);
    site.challenge(&site.bearer(), document);
    let metadata = site.metadata();
    site.authorization
        .set(move |request| match request.header("dpop") {
            _ if request.method == "GET" => Reply::json(200, metadata.to_string()),
            Some(_) => Reply::json(
                200,
                r#"{"access_token":"t","token_type":"DPoP","expires_in":60}"#,
            ),
            None => Reply::json(400, r#"{"error":"invalid_dpop_proof"}"#),
        });
    let issuer = site.issuer();
    site.login(&["--issuer", &issuer]).success();
    assert_eq!(site.token_requests().len(), 1);
}

#[test]
fn a_server_that_needs_no_token_at_first_may_answer_with_an_endless_stream() {
    let site = Site::new();
    let document = site.resource();
    site.mcp.set(move |request| {
        if request.method == "POST" {
            // Longer than the body is.
            return Reply::new(200)
                .header("Content-Type", "text/event-stream")
                .header("Content-Length", "1000000")
                .body("data: {}\n\n");
        }
        Reply::json(200, document.to_string())
    });
    let issuer = site.issuer();
    site.login(&["--issuer", &issuer]).success();
}

#[test]
fn options_decide_before_what_the_server_says() {
    let site = Site::new();
    let issuer = site.issuer();
    let more = [
        "--issuer",
        &issuer,
        "--scope",
        "admin",
        "--for",
        "https://api.example/",
    ];
    site.login(&more).success();
    let form = site.token_requests()[0].form();
    assert!(
        form.contains(&("scope".to_owned(), "admin".to_owned())),
        "{form:?}"
    );
    let status = site.machine.run(&["status"]).success().stdout;
    for url in [site.url(), "https://api.example/".to_owned()] {
        assert!(status.contains(&url), "{status}");
    }
    for other in [["--provider", "auth0"], ["--resource", "urn:a"]] {
        let ran = site.login(&other).failure(2);
        assert_says(&ran, &["--mcp", other[0]]);
    }
    let remote = ["login", "--mcp", "http://mcp.example/"];
    assert_says(
        &site.machine.run(&remote).failure(2),
        &["https", "localhost"],
    );
}

#[test]
fn an_identity_token_may_take_the_place_of_the_secret() {
    let site = Site::new();
    let (url, issuer) = (site.url(), site.issuer());
    let identity = site.machine.private_file("identity", b"e30.e30.e30");
    let identity = format!("file:{}", identity.display());
    let login = ["login", "linear", "--mcp", &url, "--client-id", CLIENT_ID];
    let login = [&login[..], &["--identity", &identity]].concat();
    let ran = site.machine.run(&login).failure(2);
    assert_says(&ran, &["--issuer", &format!("--identity {identity}")]);
    let login = [&login[..], &["--issuer", &issuer]].concat();
    site.machine.run(&login).success();
    let form = site.token_requests()[0].form();
    for (name, value) in [("client_assertion", "e30.e30.e30"), ("resource", &url)] {
        assert!(
            form.contains(&(name.to_owned(), value.to_owned())),
            "{form:?}"
        );
    }
    site.is_safe();
}

#[test]
fn a_second_login_keeps_the_profile_and_another_server_does_not_take_it() {
    let site = Site::new();
    let issuer = site.issuer();
    site.login(&["--issuer", &issuer]).success();
    site.machine
        .run(&["bind", "linear", "https://api.example/"])
        .success();
    let url = site.url();
    let again = ["login", "linear", "--mcp", &url, "--issuer", &issuer];
    site.machine.run(&again).success();
    let status = site.machine.run(&["status"]).success().stdout;
    assert!(status.contains("https://api.example/"), "{status}");

    // Another resource of the same authorization server needs a profile of its own.
    let other = Site::new();
    let mut document = other.resource();
    document["authorization_servers"] = json!([issuer]);
    other.challenge(&other.bearer(), document);
    let url = other.url();
    let login = ["login", "linear", "--mcp", &url, "--issuer", &issuer];
    let ran = site.machine.run(&login).failure(2);
    assert_says(&ran, &["profile linear", &url, "--replace"]);
    let login = [&login[..], &["--replace"]].concat();
    site.machine.run(&login).success();
    let status = site.machine.run(&["status"]).success().stdout;
    assert!(
        status.contains(&url) && !status.contains("https://api.example/"),
        "{status}"
    );
}

#[test]
fn a_public_server_does_not_lead_a_login_into_a_private_network() {
    let authority = Authority::new();
    let identity = authority.identity(&["mcp.example"]);
    let prm = |issuer: &str| {
        json!({"resource": "https://mcp.example/mcp", "authorization_servers": [issuer]})
            .to_string()
    };
    for issuer in [
        "https://10.0.0.1",
        "https://[fd00::1]",
        "https://169.254.169.254",
        "https://localhost",
        "http://127.0.0.1:9",
    ] {
        let document = prm(issuer);
        let server = Server::start_tls(&identity, move |_| Reply::json(200, document.clone()));
        let mut machine = Machine::new();
        let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
        machine.set("HTTPS_PROXY", &diverting_proxy(server.port()));
        let ca = ca.to_str().expect("UTF-8");
        let login = [
            "login",
            "x",
            "--mcp",
            "https://mcp.example/mcp",
            "--ca-file",
            ca,
        ];
        let ran = machine.run(&login).failure(4);
        assert_says(&ran, &[issuer, "private network", "--issuer"]);
        // Only the MCP server itself was contacted.
        assert_eq!(server.connections(), 2, "{ran:?}");
    }
}
