//! Proofs at servers that nobody of this project wrote: npm's `oidc-provider` with nonces, and an API that
//! `oauth4webapi` guards.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Stdio};

use serde_json::Value;

use super::client::{get, open, send};
use super::proof::DpopProof;
use super::{logged_in, strict};
use crate::machine::{Machine, Ran};
use crate::real_servers::{OidcProvider, dpop_api};
use crate::serve::Serving;

struct Api {
    process: Child,
    url: String,
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Api {
    fn start(issuer: &str) -> Self {
        let mut command = dpop_api(issuer);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("node");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut url).expect("a URL");
        assert!(!url.is_empty(), "the API does not start");
        let url = url.trim_end().to_owned();
        Self { process, url }
    }

    fn log(&self) -> Value {
        serde_json::from_str(&get(&format!("{}log", self.url))).expect("JSON")
    }
}

/// A login at `oidc-provider` for tokens for this API.
fn login(machine: &Machine, server: &OidcProvider, api: &Api, more: &[&str]) -> Ran {
    let secret = machine.private_file("secret", b"s3cret");
    let secret = secret.to_str().expect("a path");
    let login = [
        "login",
        "p",
        "--issuer",
        server.issuer(),
        "--client-id",
        "dpop-client",
    ];
    let rest = [
        "--secret-file",
        secret,
        "--resource",
        "https://jwt.example/",
        "--scope",
        "api:read",
    ];
    let bound = ["--for", &api.url];
    machine.run(&[&login[..], &rest, &bound, more].concat())
}

fn logged_in_at(server: &OidcProvider, api: &Api) -> Machine {
    let machine = Machine::new();
    login(&machine, server, api, &["--dpop"]).success();
    machine
}

fn token_requests(server: &OidcProvider) -> usize {
    get(&format!("{}/requests", server.issuer()))
        .parse()
        .expect("a number")
}

#[test]
fn a_real_server_with_nonces_gets_two_requests_cold_and_one_warm() {
    let server = OidcProvider::start();
    let api = Api::start(server.issuer());
    let machine = logged_in_at(&server, &api);
    assert_eq!(token_requests(&server), 2);
    for warm in 1..=2 {
        let json = machine.run(&["token", "p", "--json", "--refresh"]).json();
        assert_eq!(json["token_type"], "DPoP");
        assert_eq!(token_requests(&server), 2 + warm);
    }
    let inspected = machine.run(&["token", "inspect", "p"]).success();
    assert!(inspected.stdout.contains("jkt"), "{inspected:?}");
    // This server does not say what is missing.
    let ran = login(&Machine::new(), &server, &api, &[]).failure(4);
    assert!(
        ran.stderr.contains("(DPoP) for this client: add --dpop"),
        "{ran:?}"
    );
}

#[test]
fn a_real_api_accepts_each_request_of_serve_and_those_with_printed_headers() {
    let server = OidcProvider::start();
    let api = Api::start(server.issuer());
    let machine = logged_in_at(&server, &api);
    let serving = Serving::start(&machine, &["p"]);
    for number in 0..7 {
        let (method, body) = if number % 2 == 0 {
            ("GET", "")
        } else {
            ("POST", "x=1")
        };
        let url = format!("{}a%7Eb/{number}?q=%2F", serving.url);
        // What a client sends of its own is not used.
        let headers = ["DPoP: forged", "Authorization: DPoP forged"];
        let response = send(method, &url, &headers, body);
        let path = url
            .split_once("/a%7Eb")
            .map(|(_, rest)| format!("/a%7Eb{rest}"));
        let expected = format!("{method} {} {body}", path.expect("a path"));
        assert!(response.contains(&expected), "{response}");
    }
    let handshake = ["Connection: Upgrade", "Upgrade: websocket"];
    let mut socket = open("GET", &serving.url, &handshake);
    let mut start = [0; 12];
    socket.read_exact(&mut start).expect("a response");
    assert_eq!(&start, b"HTTP/1.1 101");
    drop(socket);
    let log = api.log();
    assert_eq!(log["refused"], serde_json::json!([]), "{log}");
    assert_eq!(log["accepted"], 8);
    // One for each nonce, none more: the next one comes with the response.
    assert!(
        log["nonces"].as_u64().is_some_and(|count| count <= 1),
        "{log}"
    );
    assert_eq!(token_requests(&server), 2, "a nonce is no refused token");

    let request = format!("GET {}printed", api.url);
    let print = |nonce: &str| {
        let headers = ["token", "p", "--request", &request, "--nonce", nonce];
        let headers = machine.run(&headers).output();
        let headers: Vec<_> = headers.lines().map(str::to_owned).collect();
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        send("GET", &format!("{}printed", api.url), &headers, "")
    };
    let response = print("wrong");
    assert!(response.starts_with("HTTP/1.1 401"), "{response}");
    let nonce = response.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("dpop-nonce: ")
            .map(str::to_owned)
    });
    assert!(print(nonce.expect("a nonce").trim()).contains("GET /printed "));
}

/// RFC 9449 §4.2 and §4.3: what a server compares.
#[test]
fn the_url_of_a_proof_is_the_one_that_other_libraries_send() {
    let urls = [
        "https://api.example",
        "https://api.example/a?b=c",
        "https://API.Example/A",
        "https://api.example:443/",
        "https://api.example:8443/",
        "https://api.example/a%7Eb/%c3%A9",
        "https://api.example/a//b/",
        "https://xn--bcher-kva.example/",
        "http://127.0.0.1:80/x",
        "http://[::1]:8080/x",
        "https://[::ffff:192.0.2.1]/x",
        "https://api.example/a;b=c,d/e:f@g'(h)!$&*+=~",
        "https://api.example/?",
        "https://api.example/[a]?x=https://b.example/%23",
    ];
    let mut command = dpop_api("htu");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut node = command.spawn().expect("node");
    let input = urls.join("\n") + "\n";
    node.stdin
        .take()
        .expect("a pipe")
        .write_all(input.as_bytes())
        .expect("written");
    let expected = node.wait_with_output().expect("node").stdout;
    let expected = String::from_utf8(expected).expect("text");
    let machine = logged_in(strict());
    let hosts = urls.map(|url| {
        let end = url[8..].find('/').map_or(url.len(), |at| at + 8);
        url[..end].to_owned() + "/"
    });
    let bind: Vec<_> = ["bind", "p"]
        .into_iter()
        .chain(hosts.iter().map(String::as_str))
        .collect();
    machine.run(&bind).success();
    let targets: Vec<_> = urls
        .iter()
        .map(|url| {
            let headers = machine
                .run(&["token", "p", "--request", &format!("GET {url}")])
                .output();
            let proof = headers.lines().find_map(|line| line.strip_prefix("DPoP: "));
            let proof = DpopProof::read(proof.expect("a proof"));
            proof.claims["htu"].as_str().expect("a URL").to_owned()
        })
        .collect();
    assert_eq!(targets, expected.lines().collect::<Vec<_>>());
}
