//! The authorization server of the README's demonstration: one client, opaque tokens, loopback only.
//!
//! `POST /oauth/token` answers the way the Blooma API documents it, `POST /oauth/revoke` is RFC 7009,
//! `GET /api/hello` wants a token, and `GET /requests` says how many token requests were made.

#[path = "hallpass/server.rs"]
mod server;

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::{fs, thread};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use clap::Parser;
use serde_json::Value;

use server::{Reply, Request, Server};

/// An OAuth 2.0 authorization server on loopback, for demonstrations
#[derive(Parser)]
struct Args {
    /// The port of 127.0.0.1 to listen on (0: any that is free)
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The one client that it knows
    #[arg(long, default_value = "demo-client")]
    client_id: String,
    /// A file that holds the client's secret, instead of `demo-secret-for-loopback-only`
    #[arg(long)]
    client_secret_file: Option<PathBuf>,
    /// End when standard input ends, so that a script that dies takes the server along
    #[arg(long)]
    until_stdin_closes: bool,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let client_secret = match args.client_secret_file {
        Some(file) => fs::read_to_string(file)?
            .trim_end_matches(['\r', '\n'])
            .to_owned(),
        None => "demo-secret-for-loopback-only".to_owned(),
    };
    let authority = Authority {
        client_id: args.client_id,
        client_secret,
        state: Mutex::default(),
    };
    let server = Server::start_on(args.port, move |request| authority.answer(request));
    let mut stdout = io::stdout();
    writeln!(stdout, "{}", server.url("/oauth/token"))?;
    stdout.flush()?;
    if args.until_stdin_closes {
        io::copy(&mut io::stdin(), &mut io::sink())?;
        return Ok(());
    }
    loop {
        thread::park();
    }
}

struct Authority {
    client_id: String,
    client_secret: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tokens: HashSet<String>,
    token_requests: usize,
}

impl Authority {
    fn answer(&self, request: &Request) -> Reply {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match (request.method.as_str(), request.target.as_str()) {
            ("POST", "/oauth/token") => {
                state.token_requests += 1;
                self.issue(request, &mut state)
            }
            ("POST", "/oauth/revoke") => self.revoke(request, &mut state),
            ("GET", "/api/hello") => hello(request, &state),
            ("GET", "/requests") => Reply::new(200)
                .header("Content-Type", "text/plain")
                .body(format!("{}\n", state.token_requests)),
            _ => Reply::json(404, r#"{"error":"not_found"}"#),
        }
    }

    fn issue(&self, request: &Request, state: &mut State) -> Reply {
        let Some(parameters) = Parameters::read(request) else {
            return refusal(
                400,
                "invalid_request",
                "the body is neither a form nor a JSON object of strings",
            );
        };
        if parameters.value("grant_type") != Some("client_credentials") {
            return refusal(
                400,
                "unsupported_grant_type",
                "the only grant is client_credentials",
            );
        }
        if !self.is_our_client(request, &parameters) {
            return refusal(401, "access_denied", "Unauthorized");
        }
        let token = new_token();
        state.tokens.insert(token.clone());
        Reply::token(&token, 86400)
    }

    /// RFC 7009: a token that is not known is revoked already.
    fn revoke(&self, request: &Request, state: &mut State) -> Reply {
        let Some(parameters) = Parameters::read(request) else {
            return refusal(
                400,
                "invalid_request",
                "the body is neither a form nor a JSON object of strings",
            );
        };
        if !self.is_our_client(request, &parameters) {
            return refusal(401, "invalid_client", "Unauthorized");
        }
        let Some(token) = parameters.value("token") else {
            return refusal(400, "invalid_request", "the parameter token is missing");
        };
        state.tokens.remove(token);
        Reply::new(200)
    }

    fn is_our_client(&self, request: &Request, parameters: &Parameters) -> bool {
        let in_body = || {
            let text = |name| parameters.value(name).map(str::to_owned);
            Some((text("client_id")?, text("client_secret")?))
        };
        let credentials = request.basic_credentials().or_else(in_body);
        credentials.is_some_and(|(id, secret)| id == self.client_id && secret == self.client_secret)
    }
}

fn hello(request: &Request, state: &State) -> Reply {
    let token = request
        .header("Authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    match token {
        Some(token) if state.tokens.contains(token) => Reply::json(200, r#"{"hello":"world"}"#),
        Some(_) => {
            let challenge = r#"Bearer realm="demo", error="invalid_token""#;
            refusal(401, "invalid_token", "Unauthorized").header("WWW-Authenticate", challenge)
        }
        None => refusal(401, "unauthorized", "Unauthorized")
            .header("WWW-Authenticate", r#"Bearer realm="demo""#),
    }
}

fn refusal(status: u16, error: &str, description: &str) -> Reply {
    Reply::json(
        status,
        format!(r#"{{"error":"{error}","error_description":"{description}"}}"#),
    )
}

fn new_token() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the random numbers of the operating system");
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The parameters of a request's body, each of which may stand there once (RFC 6749, 3.2).
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn read(request: &Request) -> Option<Parameters> {
        let content_type = request.header("Content-Type").unwrap_or_default();
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/x-www-form-urlencoded" => Some(Parameters(request.form())),
            "application/json" => {
                let object: serde_json::Map<String, Value> =
                    serde_json::from_slice(&request.body).ok()?;
                let text =
                    |(name, value): (String, Value)| Some((name, value.as_str()?.to_owned()));
                object
                    .into_iter()
                    .map(text)
                    .collect::<Option<_>>()
                    .map(Parameters)
            }
            _ => None,
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        let mut values = self
            .0
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none())
    }
}
