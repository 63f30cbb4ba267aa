//! Tokens that are bound to a key in an ssh-agent: a stolen cache is of no use.

use std::fs;
use std::process::Command;

use super::client::{get, send};
use super::proof::DpopProof;
use super::{strict, try_login, url_of, with_nonces};
use crate::agents::programs::{Agent, installed};
use crate::machine::Machine;
use crate::serve::Serving;
use crate::server::{Reply, Server};

/// Adds a new key to an agent.
fn add_key(agent: &Agent, kind: &[&str], comment: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("key");
    let path = path.to_str().expect("a path");
    let mut make = Command::new("ssh-keygen");
    make.args(["-q", "-N", "", "-C", comment, "-f", path])
        .args(kind);
    assert!(make.status().expect("ssh-keygen").success());
    let mut add = Command::new("ssh-add");
    add.args(["-q", path]).env("SSH_AUTH_SOCK", &agent.socket);
    assert!(add.status().expect("ssh-add").success());
}

#[test]
fn a_stolen_cache_holds_no_private_key() {
    if !installed(&["ssh-agent", "ssh-add", "ssh-keygen"]) {
        return;
    }
    let agent = Agent::openssh();
    add_key(&agent, &["-t", "ecdsa", "-b", "256"], "proofs");
    add_key(&agent, &["-t", "ed25519"], "other");
    let mut machine = Machine::new()
        .with_plain_cache()
        .with_server(with_nonces(9));
    machine.set("SSH_AUTH_SOCK", &agent.socket);
    let bound = ["--for", "https://api.example/"];
    let key = ["--dpop-key", "agent:proofs"];
    machine.login("p", machine.server(), &[key, bound].concat());
    let request = [
        "token",
        "p",
        "--request",
        "GET https://api.example/x",
        "--format",
        "headers-json",
    ];
    let proof = || {
        let json = machine.run(&request).json();
        let token = json["Authorization"].as_str().expect("a token").to_owned();
        let proof = DpopProof::read(json["DPoP"].as_str().expect("a proof"));
        proof.verify_with(
            "GET",
            "https://api.example/x",
            token.strip_prefix("DPoP ").expect("DPoP"),
        );
        proof.key().to_string()
    };
    let first = proof();
    machine
        .run(&["token", "p", "--json", "--refresh"])
        .success();
    assert_eq!(proof(), first, "the key is the agent's");
    for path in machine.entries("p") {
        let content = fs::read_to_string(&path).expect("text");
        assert!(!content.contains("private"), "{content}");
        assert_eq!(
            content.contains("thumbprint"),
            path.extension().is_some_and(|it| it == "json")
        );
    }
    // Without the agent, a token is of no use.
    let mut stolen = machine.hallpass(&request);
    stolen.env("SSH_AUTH_SOCK", "/nonexistent");
    let output = stolen.output().expect("hallpass");
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(6), &b""[..])
    );

    // Another key: the token is bound to the old one, so it is not used.
    add_key(&agent, &["-t", "ecdsa", "-b", "256"], "newer");
    machine
        .run(&["profile", "edit", "p", "--dpop-key", "agent:newer"])
        .success();
    assert_ne!(proof(), first);
    // Back to a key in the cache.
    machine
        .run(&["profile", "edit", "p", "--dpop-key", ""])
        .success();
    machine.run(&request).success();
    let entries = machine
        .entries("p")
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    assert!(entries.collect::<String>().contains("private"));
}

#[test]
fn only_a_key_of_the_curve_p_256_signs_proofs() {
    if !installed(&["ssh-agent", "ssh-add", "ssh-keygen"]) {
        return;
    }
    let agent = Agent::openssh();
    add_key(&agent, &["-t", "ed25519"], "edwards");
    let mut machine = Machine::new().with_server(strict());
    machine.set("SSH_AUTH_SOCK", &agent.socket);
    for (key, code, expected) in [
        ("agent:edwards", 2, "P-256"),
        ("agent:nosuch", 6, "nosuch"),
        ("key.pem", 2, "agent:KEY"),
    ] {
        for more in [&[][..], &["--no-verify"]] {
            let ran = try_login(&machine, &[&["--dpop-key", key], more].concat());
            assert!(ran.failure(code).stderr.contains(expected));
        }
    }
    assert!(machine.server().requests().is_empty());
    let listed = machine.run(&["login", "--dpop-key", "agent:"]).success();
    assert!(listed.stdout.contains("edwards"), "{listed:?}");
}

/// From call to call, nobody records which key a profile from the environment means.
#[test]
fn a_token_of_a_replaced_key_is_requested_again() {
    if !installed(&["ssh-agent", "ssh-add", "ssh-keygen"]) {
        return;
    }
    let mut machine = Machine::new().with_server(strict());
    let url = machine.server().url("/token");
    machine
        .set("HALLPASS_TOKEN_URL", &url)
        .set("HALLPASS_CLIENT_ID", "c");
    machine
        .set("HALLPASS_CLIENT_SECRET", "secret")
        .set("HALLPASS_FOR", "https://api.example/");
    machine.set("HALLPASS_DPOP_KEY", "agent:proofs");
    let agents = [Agent::openssh(), Agent::openssh()];
    for (number, agent) in agents.iter().enumerate() {
        add_key(agent, &["-t", "ecdsa", "-b", "256"], "proofs");
        machine.set("SSH_AUTH_SOCK", &agent.socket);
        let ran = machine
            .run(&["token", "--request", "GET https://api.example/"])
            .success();
        let expected = format!("Authorization: DPoP bound-{}\n", number + 1);
        assert!(ran.stdout.starts_with(&expected), "{ran:?}");
    }
}

#[test]
fn serve_lets_the_agent_sign_each_request() {
    if !installed(&["ssh-agent", "ssh-add", "ssh-keygen"]) {
        return;
    }
    let agent = Agent::openssh();
    add_key(&agent, &["-t", "ecdsa", "-b", "256"], "proofs");
    let api = Server::start(|request| {
        let proof = DpopProof::of(request).expect("a proof");
        proof.verify_with("GET", &url_of(request), "bound-1");
        Reply::new(200).body(proof.id())
    });
    let mut machine = Machine::new().with_server(strict());
    machine.set("SSH_AUTH_SOCK", &agent.socket);
    let bound = api.url("/");
    let more = ["--dpop-key", "agent:proofs", "--for", &bound];
    machine.login("p", machine.server(), &more);
    let serving = Serving::start(&machine, &["p"]);
    let [first, second] = [(); 2].map(|()| get(&serving.url));
    assert_ne!(first, second);
    // Without the agent, the client learns why.
    drop(agent);
    let response = send("GET", &serving.url, &[], "");
    assert!(response.starts_with("HTTP/1.1 502"), "{response}");
    assert!(response.contains("ssh-agent"), "{response}");
}
