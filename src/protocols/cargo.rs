//! Cargo's credential providers: lines of JSON, and the provider speaks first.
//!
//! The arguments that a person configured come with the request, so the profile may, too.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, Call, Protocol, read_line, take_profile};
use crate::error::{Kind, Result};
use crate::profile::selected::SelectedProfile;
use crate::types::token::CachedToken;
use crate::types::web_url::WebUrl;

pub(super) const PROTOCOL: Protocol = Protocol {
    // Whatever the program is called: cargo passes nothing else.
    name: "--cargo-plugin",
    link: None,
    about: "Cargo: a credential provider (credential-provider = [\"hallpass\"])",
    converse,
};

#[derive(Deserialize)]
struct Request {
    registry: Registry,
    kind: String,
    #[serde(default)]
    args: Vec<String>,
}

#[derive(Deserialize)]
struct Registry {
    #[serde(rename = "index-url")]
    index_url: String,
}

fn converse(call: &mut Call<'_>) -> Result<Answer> {
    (call.say)("{\"v\":[1]}\n")?;
    let line = read_line(call.input)?;
    let line = std::str::from_utf8(&line).unwrap_or_default();
    let answer = match serde_json::from_str::<Request>(line) {
        Ok(request) if request.kind == "get" => match get(call, &request) {
            Ok(Some((who, token))) => return Ok(granted(&who, &token)),
            Ok(None) => refused("url-not-supported"),
            Err(error) if error.kind == Kind::NotFound => refused("not-found"),
            Err(error) => {
                json!({ "Err": {
                    "kind": "other",
                    "message": format!("hallpass: {error}"),
                    "caused-by": error.hints,
                } })
            }
        },
        // `cargo login` and `cargo logout` keep tokens of their own.
        _ => refused("operation-not-supported"),
    };
    Ok(Answer::line(&answer))
}

fn refused(kind: &str) -> Value {
    json!({ "Err": { "kind": kind } })
}

fn get(call: &mut Call<'_>, request: &Request) -> Result<Option<(SelectedProfile, CachedToken)>> {
    let Some(url) = url(&request.registry.index_url) else {
        return Ok(None);
    };
    let (_, named) = take_profile(request.args.clone())?;
    let Some(mut who) = (call.desk.bound_by)(&url, named.as_deref())? else {
        return Ok(None);
    };
    let token = (call.desk.token)(&mut who, None)?;
    Ok(Some((who, token)))
}

/// Cargo reads a `Result`: `{"Ok":{...}}`.
#[derive(Serialize)]
struct Granted {
    kind: &'static str,
    token: String,
    cache: &'static str,
    expiration: u64,
    operation_independent: bool,
}

fn granted(who: &SelectedProfile, token: &CachedToken) -> Answer {
    let granted = Granted {
        kind: "get",
        token: super::header(who, token),
        cache: "expires",
        expiration: token.due_at().seconds(),
        operation_independent: true,
    };
    Answer::line(&Ok::<_, ()>(granted))
}

/// A sparse index has a scheme of its own.
fn url(index: &str) -> Option<WebUrl> {
    WebUrl::parse(index.strip_prefix("sparse+").unwrap_or(index)).ok()
}
