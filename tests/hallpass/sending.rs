//! What goes over the wire to the token endpoint, byte for byte, and what is refused before it gets that far.

mod destinations;
mod requests;
mod revocation;
mod secret_commands;
mod secret_headers;
mod secrets;

use std::path::PathBuf;

use crate::machine::{CLIENT_ID, Machine, Ran, SECRET, numbered_tokens};
use crate::server::{Request, Server};

const NO_FILES: [PathBuf; 0] = [];

/// `SECRET`, percent-encoded by hand, and Basic credentials made of it and `CLIENT_ID`.
const ENCODED: &str = "s3cr%25t%2Bw%3Ath%2Fa%20%22quote%22%20%26%20%3D%20%C3%BC";

const BASIC: &str = "Basic Y2xpZW50JTNBb25lOnMzY3IlMjV0JTJCdyUzQXRoJTJGYSUyMCUyMnF1b3RlJTIyJTIwJTI2JTIwJTNEJTIwJUMzJUJD";

/// The request of a login with these arguments more.
#[track_caller]
fn sent(more: &[&str]) -> Request {
    let server = Server::start(numbered_tokens());
    Machine::new().login("default", &server, more);
    let mut requests = server.requests();
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

fn login_at(machine: &Machine, url: &str, more: &[&str]) -> Ran {
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let login = [
        "login",
        "--token-url",
        url,
        "--client-id",
        CLIENT_ID,
        "--secret-file",
        secret.to_str().expect("a path"),
    ];
    machine.run(&[&login[..], more].concat())
}
