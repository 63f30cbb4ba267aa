//! Bazel, and others of its credential helper protocol: a URI in, headers out, both as JSON.
//!
//! A helper without a scope is asked for every host that Bazel talks to: no headers are an answer.

use serde::Deserialize;
use serde_json::json;

use super::{Answer, Call, Protocol, read_to_end};
use crate::error::{Error, Result};
use crate::types::web_url::WebUrl;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "bazel-credential",
    link: Some("bazel-credential-hallpass"),
    about: "Bazel: a credential helper (--credential_helper)",
    converse,
};

#[derive(Deserialize)]
struct Request {
    uri: String,
}

fn converse(call: &mut Call<'_>) -> Result<Answer> {
    if call.arguments != ["get"] {
        return Err(Error::usage("which command? Bazel runs get"));
    }
    let request = read_to_end(call.input)?;
    let request = std::str::from_utf8(&request).unwrap_or_default();
    let request: Request = serde_json::from_str(request)
        .map_err(|_| Error::usage("the request is no JSON object with a `uri`"))?;
    let who = match url(&request.uri) {
        Some(url) => call.desk.bound(&url)?,
        None => None,
    };
    let Some(mut who) = who else {
        return Ok(Answer::line(&json!({ "headers": {} })));
    };
    let token = (call.desk.token)(&mut who, None)?;
    Ok(Answer::line(&json!({
        "headers": { "Authorization": [super::header(&who, &token)] },
        "expires": token.due_at().rfc3339(),
    })))
}

/// gRPC over TLS has a scheme of its own here.
fn url(uri: &str) -> Option<WebUrl> {
    let https = uri
        .strip_prefix("grpcs://")
        .map(|rest| format!("https://{rest}"));
    WebUrl::parse(https.as_deref().unwrap_or(uri)).ok()
}
