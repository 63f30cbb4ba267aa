//! Terraform and `OpenTofu`: a credentials helper, found by its name in their plugin directories.

use serde_json::json;

use super::{Answer, Call, Protocol};
use crate::error::{Error, Result};
use crate::types::web_url::WebUrl;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "terraform-credentials",
    link: Some("terraform-credentials-hallpass"),
    about: "Terraform, OpenTofu: a credentials helper (credentials_helper \"hallpass\")",
    run,
};

fn run(call: &mut Call<'_>) -> Result<Answer> {
    match call.arguments {
        [verb, host] if verb == "get" => get(call, host),
        [verb, _] if verb == "store" || verb == "forget" => Err(Error::usage(
            "hallpass does not store tokens for other programs; to add a client, run `hallpass login`",
        )),
        _ => Err(Error::usage(
            "unknown command; use get, store or forget, with a host",
        )),
    }
}

fn get(call: &Call<'_>, host: &str) -> Result<Answer> {
    let selected = match WebUrl::parse(&["https://", host].concat()) {
        // Only a host is allowed, no path or query.
        Ok(url) if url.path() == "/" && !url.has_query() => call.provider.bound_to(&url)?,
        _ => None,
    };
    Ok(Answer::line(&match selected {
        Some(mut selected) => {
            let token = call.provider.token(&mut selected, None)?;
            json!({ "token": token.access_token.expose() })
        }
        None => json!({}),
    }))
}
