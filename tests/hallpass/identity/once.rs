//! Servers that accept an identity token only once, as they should (RFC 7523 §3): each request presents another one,
//! and a refusal reads no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Workload, client_assertion, jwt};
use crate::machine::Machine;
use crate::material::Material;
use crate::real_servers::{AUTHLIB, RealServer};
use crate::server::{Reply, Request, Server};

/// Answers the first request so, after it took its token, and accepts no token twice.
fn only_once(first: &Reply) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let (first, seen) = (first.clone(), Mutex::new(BTreeSet::new()));
    move |request| {
        let mut seen = seen.lock().expect("the tokens so far");
        if !seen.insert(client_assertion(request)) {
            let refusal =
                r#"{"error":"invalid_client","error_description":"Token reuse detected"}"#;
            return Reply::json(401, refusal);
        }
        match seen.len() {
            1 => first.clone(),
            number => Reply::token(&format!("token-{number}"), 3600),
        }
    }
}

/// A command that gives a new identity token each time, and the file with a line for each.
fn new_tokens(workload: &Workload) -> (String, PathBuf) {
    let root = workload.machine.root();
    for number in 1..=9 {
        let subject = format!("run-{number}");
        fs::write(root.join(&subject), jwt(&subject)).expect("a file");
    }
    let directory = root.display();
    let script = format!("cd '{directory}'; echo x >> reads; cat run-$(grep -c x reads)");
    (format!("command:!{script}"), root.join("reads"))
}

#[test]
fn a_request_that_is_sent_again_presents_another_identity_token() {
    for first in [Reply::new(503), Reply::hang_up()] {
        let mut workload = Workload::new();
        let (command, _) = new_tokens(&workload);
        let count = AtomicUsize::new(0);
        let github = Server::start(move |_| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            Reply::json(
                200,
                format!(r#"{{"value":"{}"}}"#, jwt(&number.to_string())),
            )
        });
        let url = github.url("/id?x=y");
        workload.machine.set("ACTIONS_ID_TOKEN_REQUEST_URL", &url);
        for source in [&command, "github:audience"] {
            let server = Server::start(only_once(&first));
            workload
                .login(&server, source, &["--client-id", "c"])
                .success();
            assert_eq!(workload.machine.run(&["token"]).token(), "token-2");
            let server = Server::start(only_once(&first));
            let more = ["--client-id", "c", "--no-verify"];
            workload.login(&server, source, &more).success();
            assert_eq!(workload.machine.run(&["token"]).token(), "token-2");
            assert_eq!(server.requests().len(), 2, "{source}");
        }
        // A variable has only one.
        let server = Server::start(only_once(&first));
        let ran = workload.login(&server, "env:ID_TOKEN", &["--client-id", "c"]);
        let ran = ran.failure(4);
        assert!(
            ran.stderr.contains("accepts an identity token only once"),
            "{ran:?}"
        );
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn a_refused_identity_token_is_not_replaced_within_the_call() {
    // As servers say it.
    for (text, is_reuse) in [
        ("Token reuse detected", true),
        ("JWT ID is used before.", true),
        ("client assertion tokens must only be used once", true),
        ("The jti has already been used", true),
        ("assertion replay detected", true),
        ("no matching credential", false),
        ("Missing JWT ID.", false),
    ] {
        let workload = Workload::new();
        let (command, reads) = new_tokens(&workload);
        let refusal = format!(r#"{{"error":"invalid_client","error_description":"{text}"}}"#);
        let server = Server::start(move |_| Reply::json(401, refusal.clone()));
        let more = ["--client-id", "c", "--no-verify"];
        workload.login(&server, &command, &more).success();
        for call in 1..=2 {
            let ran = workload.machine.run(&["token", "--refresh"]).failure(4);
            let hint = "the server accepts an identity token only once";
            assert_eq!(ran.stderr.contains(hint), is_reuse, "{ran:?}");
            let has_claims = ran
                .stderr
                .contains("compare this with what the server trusts");
            assert_eq!(has_claims, !is_reuse, "{ran:?}");
            let reads = fs::read_to_string(&reads).expect("a file");
            assert_eq!(
                (reads.lines().count(), server.requests().len()),
                (call, call)
            );
        }
    }
}

#[test]
fn a_real_server_accepts_an_identity_token_once() {
    let material = Material::new();
    let server = RealServer::start(&AUTHLIB, "http", &material);
    let issuer = server.issuer().expect("an issuer");
    let machine = Machine::new();
    // A JWT that fits this server: an assertion that another one got.
    let other = Server::start(|_| Reply::token("t", 3600));
    let (key, url) = (material.argument("p256.pem"), other.url("/token"));
    let login = [
        "login",
        "other",
        "--token-url",
        &url,
        "--client-id",
        "es256-client",
    ];
    let more = ["--jwt-key", &key, "--jwt-aud", &issuer];
    machine.run(&[&login[..], &more].concat()).success();
    let assertion = client_assertion(&other.requests()[0]);
    let file = machine.private_file("identity", assertion.as_bytes());
    let source = format!("file:{}", file.display());
    let login = ["login", "p", "--issuer", &issuer, "--identity", &source];
    machine.run(&login).success();
    let token = machine.run(&["token", "p"]).token();
    let posts = server.requests();
    let ran = machine.run(&["token", "p", "--refresh"]).failure(4);
    for text in [
        "invalid_client (JWT ID is used before.)",
        "the server accepts an identity token only once",
    ] {
        assert!(ran.stderr.contains(text), "{ran:?}");
    }
    assert_eq!(server.requests(), posts + 1);
    assert_eq!(machine.run(&["token", "p"]).token(), token);
}
