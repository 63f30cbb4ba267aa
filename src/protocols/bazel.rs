//! Bazel, and others of its credential helper protocol: a URI in, headers out, both as JSON.
//!
//! A helper without a scope is called for every host that Bazel connects to. For a host that is not
//! bound, the answer has no headers.

use std::borrow::Cow;
use std::collections::BTreeMap;

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
struct Response<'a> {
    expires: String,
    headers: BTreeMap<&'a str, [String; 1]>,
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
    let (name, value) = super::header(selected.binding.as_ref(), &token.access_token);
    Ok(Answer::line(&Response {
        expires: token.refresh_at().rfc3339(),
        headers: BTreeMap::from([(name, [value])]),
    }))
}

/// Bazel writes gRPC over TLS as `grpcs`, which is bound as https.
fn url(uri: &str) -> Option<WebUrl> {
    let https = uri
        .strip_prefix("grpcs://")
        .map(|rest| format!("https://{rest}"));
    WebUrl::parse(https.as_deref().unwrap_or(uri)).ok()
}
