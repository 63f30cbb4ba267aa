//! Cargo's credential providers: lines of JSON. The provider sends `{"v":[1]}` before it reads.
//!
//! The arguments from cargo's configuration come with the request, and may contain `--profile`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, Call, Protocol, read_line, take_profile};
use crate::error::{Kind, Result};
use crate::profile::selected::SelectedProfile;
use crate::types::token::CachedToken;
use crate::types::web_url::WebUrl;

pub(super) const PROTOCOL: Protocol = Protocol {
    // The only argument that cargo passes, whatever the program is called.
    name: "--cargo-plugin",
    link: None,
    about: "Cargo: a credential provider (credential-provider = [\"hallpass\"])",
    run,
};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    registry: Registry<'a>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    args: Vec<String>,
}

#[derive(Deserialize)]
struct Registry<'a> {
    #[serde(borrow, rename = "index-url")]
    index_url: Cow<'a, str>,
}

fn run(call: &mut Call<'_>) -> Result<Answer> {
    (call.print)("{\"v\":[1]}\n")?;
    let line = read_line(call.input)?;
    let line = std::str::from_utf8(&line).unwrap_or_default();
    let answer = match serde_json::from_str::<Request<'_>>(line) {
        Ok(request) if request.kind == "get" => match get(call, &request) {
            Ok(Some((selected, token))) => return Ok(success(&selected, &token)),
            Ok(None) => failure("url-not-supported"),
            Err(error) if error.kind == Kind::NotFound => failure("not-found"),
            Err(error) => {
                json!({ "Err": {
                    "kind": "other",
                    "message": format!("hallpass: {error}"),
                    "caused-by": error.hints,
                } })
            }
        },
        // `cargo login` and `cargo logout` store tokens of cargo's own.
        _ => failure("operation-not-supported"),
    };
    Ok(Answer::line(&answer))
}

fn failure(kind: &str) -> Value {
    json!({ "Err": { "kind": kind } })
}

fn get(
    call: &mut Call<'_>,
    request: &Request<'_>,
) -> Result<Option<(SelectedProfile, CachedToken)>> {
    let Some(url) = url(&request.registry.index_url) else {
        return Ok(None);
    };
    let (_, named) = take_profile(request.args.clone())?;
    let Some(mut selected) = call.provider.find_bound(&url, named.as_deref())? else {
        return Ok(None);
    };
    let token = call.provider.token(&mut selected, None)?;
    Ok(Some((selected, token)))
}

/// Cargo reads a `Result`: `{"Ok":{...}}`.
#[derive(Serialize)]
struct Success {
    kind: &'static str,
    token: String,
    cache: &'static str,
    expiration: u64,
    operation_independent: bool,
}

fn success(selected: &SelectedProfile, token: &CachedToken) -> Answer {
    let success = Success {
        kind: "get",
        token: super::authorization(selected.binding.as_ref(), &token.access_token),
        cache: "expires",
        expiration: token.refresh_at().seconds(),
        operation_independent: true,
    };
    Answer::line(&Ok::<_, ()>(success))
}

/// A sparse index has the prefix `sparse+`.
fn url(index: &str) -> Option<WebUrl> {
    WebUrl::parse(index.strip_prefix("sparse+").unwrap_or(index)).ok()
}
