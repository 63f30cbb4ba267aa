//! Proofs of possession (RFC 9449): tokens that are bound to a key, with a proof of it in each request.

mod agent;
mod bridge;
mod client;
mod logins;
mod proof;
mod real;
mod refusals;
mod requests;
mod serving;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::machine::{CLIENT_ID, Machine, Ran, SECRET};
use crate::server::{Reply, Request, Server};
use proof::DpopProof;

/// An authorization server that refuses a request without a good proof, as Okta does. It numbers its
/// tokens.
fn strict() -> Server {
    let issued = AtomicUsize::new(0);
    Server::start(move |request| match DpopProof::of(request) {
        None => missing(),
        Some(proof) => {
            proof.verify("POST", &url_of(request));
            bound_token(issued.fetch_add(1, SeqCst) + 1)
        }
    })
}

/// The same with nonces: each is good for this many requests.
fn with_nonces(uses: usize) -> Server {
    let issued = AtomicUsize::new(0);
    Server::start(move |request| {
        let Some(proof) = DpopProof::of(request) else {
            return missing();
        };
        proof.verify("POST", &url_of(request));
        let number = issued.load(SeqCst);
        let nonce = |number: usize| format!("nonce-{}", number / uses);
        if proof.claims["nonce"] != nonce(number) {
            let body = r#"{"error":"use_dpop_nonce","error_description":"use the nonce"}"#;
            return Reply::json(400, body).header("DPoP-Nonce", &nonce(number));
        }
        issued.fetch_add(1, SeqCst);
        bound_token(number + 1).header("DPoP-Nonce", &nonce(number + 1))
    })
}

fn missing() -> Reply {
    let body = r#"{"error":"invalid_dpop_proof","error_description":"The DPoP proof JWT header is missing."}"#;
    Reply::json(400, body)
}

fn bound_token(number: usize) -> Reply {
    let body =
        format!(r#"{{"access_token":"bound-{number}","token_type":"DPoP","expires_in":3600}}"#);
    Reply::json(200, body)
}

/// The URL of a request as its server knows it.
fn url_of(request: &Request) -> String {
    let host = request.header("host").expect("a host");
    let path = request.target.split('?').next().unwrap_or_default();
    format!("http://{host}{path}")
}

/// Logs in to `p` at this machine's server, which may refuse it.
fn try_login(machine: &Machine, more: &[&str]) -> Ran {
    let url = machine.server().url("/token");
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let secret = secret.to_str().expect("a path");
    let login = ["login", "p", "--token-url", &url, "--client-id", CLIENT_ID];
    machine.run(&[&login[..], &["--secret-file", secret], more].concat())
}

/// A machine with a profile `p` whose tokens are bound to a key, bound to `https://api.example/`.
fn logged_in(server: Server) -> Machine {
    let machine = Machine::new().with_plain_cache().with_server(server);
    let more = ["--dpop", "--for", "https://api.example/"];
    machine.login("p", machine.server(), &more);
    machine
}
