//! Keys that another program keeps: ssh-agents, hardware tokens behind them, and commands that sign.

mod commands;
mod errors;
mod fake;
mod handshakes;
mod keys;
pub(crate) mod programs;
mod signatures;

use serde_json::Value;

use crate::machine::{CLIENT_ID, Machine, Ran};
use crate::matrix::verified;
use crate::server::{Request, Server};

/// A login with a key for assertions.
fn login(machine: &Machine, server: &Server, more: &[&str]) -> Ran {
    let url = server.url("/token");
    let arguments = ["login", "p", "--token-url", &url, "--client-id", CLIENT_ID];
    machine.run(&[&arguments[..], more, &["--replace"]].concat())
}

/// The assertion of a request.
fn assertion(request: &Request) -> String {
    let form = request.form();
    let assertion = form.iter().find(|(name, _)| name == "client_assertion");
    assertion.expect("an assertion").1.clone()
}

/// Lets joserfc verify the assertions of these requests with a PEM public key. Returns their headers.
fn verify(requests: &[Request], public: &str, algorithm: &str) -> Vec<Value> {
    let lines = requests.iter().map(assertion);
    let lines = lines.map(|assertion| format!("{public} {algorithm} {assertion}\n"));
    let verified = verified(&lines.collect::<String>());
    assert_eq!(verified.len(), requests.len());
    verified
        .into_iter()
        .map(|it| it["header"].clone())
        .collect()
}
