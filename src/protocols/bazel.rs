//! Bazel, and others of its credential helper protocol: a URI in, headers out, both as JSON.
//!
//! A helper without a scope is called for every host that Bazel connects to. For a host that is not
//! bound, the answer has no headers.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, Call, Protocol, read_to_end};
use crate::error::{Error, Result};
use crate::types::web_url::WebUrl;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "bazel-credential",
    link: Some("bazel-credential-hallpass"),
    about: "Bazel: a credential helper (--credential_helper)",
    run,
};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    uri: Cow<'a, str>,
}

#[derive(Serialize)]
struct Response {
    expires: String,
    headers: Headers,
}

#[derive(Serialize)]
struct Headers {
    #[serde(rename = "Authorization")]
    authorization: [String; 1],
}

fn run(call: &mut Call<'_>) -> Result<Answer> {
    if call.arguments != ["get"] {
        return Err(Error::usage("unknown command; use get"));
    }
    let request = read_to_end(call.input)?;
    let request = std::str::from_utf8(&request).unwrap_or_default();
    let request: Request<'_> = serde_json::from_str(request)
        .map_err(|_| Error::usage("the request is not a JSON object with a `uri`"))?;
    let selected = match url(&request.uri) {
        Some(url) => call.provider.bound_to(&url)?,
        None => None,
    };
    let Some(mut selected) = selected else {
        return Ok(Answer::line(&json!({ "headers": {} })));
    };
    let token = call.provider.token(&mut selected, None)?;
    Ok(Answer::line(&Response {
        expires: token.due_at().rfc3339(),
        headers: Headers {
            authorization: [super::header(&selected, &token)],
        },
    }))
}

/// Bazel writes gRPC over TLS as `grpcs`, which is bound as https.
fn url(uri: &str) -> Option<WebUrl> {
    let https = uri
        .strip_prefix("grpcs://")
        .map(|rest| format!("https://{rest}"));
    WebUrl::parse(https.as_deref().unwrap_or(uri)).ok()
}
