//! Token introspection (RFC 7662): what the server says about a token.

use serde_json::{Map, Value};
use tokio::time::timeout_at;

use super::client_auth::{authenticate, tls_key};
use super::exchange::{noting, post, within};
use super::http::Http;
use super::redact::Redactor;
use super::request::Message;
use super::token_client::OtherCredentials;
use super::transport_error::TransportError;
use crate::error::{Error, Result};
use crate::profile::{Profile, ProfileName, TokenEndpoint};
use crate::types::secret::{AccessToken, Credential};

/// A shorter token is not looked for in the answer.
const SHORTEST_TOKEN: usize = 8;

/// Asks the server about a token. What comes back has neither the token nor the client secret.
///
/// # Errors
/// `Usage` for an endpoint at another server than the token endpoint, which the secret must not reach;
/// `Refused` or `Unavailable` if there is no answer.
pub(crate) fn introspect(
    endpoint: &TokenEndpoint,
    name: &ProfileName,
    profile: &Profile,
    token: &AccessToken,
    credential: &Credential,
    others: &OtherCredentials,
) -> Result<Map<String, Value>> {
    let origin = profile.token_endpoint.origin();
    if endpoint.origin() != origin {
        let what = "the introspection URL is at another server than the token URL";
        return Err(Error::usage(what).hint(format!(
            "the client secret is sent only to {origin}: use a URL there"
        )));
    }
    let certificate_key = others.certificate_key.as_ref();
    let tls_key = tls_key(profile, Some(name), Some(credential), certificate_key)?;
    let headers = others.all_headers(profile);
    let http = Http::to(endpoint, profile, Some(name), tls_key)?;
    let identity = others.identity.as_ref();
    let authentication = authenticate(profile, Some(name), credential, identity)?;
    let message = Message::about_token(&headers, token, authentication)?;
    let limit = profile.timeout();
    let response = within(limit, async |deadline| {
        let sent = timeout_at(deadline, post(&http, endpoint, &message));
        noting(origin, sent).await
    })?;
    let response = response
        .unwrap_or(Err(TransportError::TooLate))
        .map_err(|fault| fault.error(origin, limit, Some(name)))?;
    let failed = |kind: fn(String) -> Error, what: &str| {
        let what = format!("{origin} answered the introspection request {what}");
        kind(what).hint("check the introspection URL, and that this client may introspect tokens")
    };
    let with_status = |kind| failed(kind, &format!("with {}", response.status));
    match response.status {
        200 => {}
        400 | 401 | 403 => return Err(with_status(Error::refused)),
        _ => return Err(with_status(Error::unavailable)),
    }
    let parsed = serde_json::from_slice::<Map<String, Value>>(&response.body).ok();
    // RFC 7662 §2.2: the one member that is required.
    let parsed = parsed.filter(|members| members.get("active").is_some_and(Value::is_boolean));
    let members = parsed.ok_or_else(|| failed(Error::unavailable, "without `active`"))?;
    let redactor = Redactor::of(profile.client_id(), credential)
        .with_other_secrets(&others.other_secrets)
        .with_identity(identity)
        .with_headers(&headers)
        .with_secret_headers(&others.secret_headers);
    let clean = |text: &str| {
        let text = redactor.redact(text);
        // A shorter one may be part of any word.
        if token.expose().len() < SHORTEST_TOKEN {
            return text;
        }
        text.replace(token.expose(), "[token]")
    };
    let members = members.into_iter();
    Ok(members
        .map(|(name, value)| (clean(&name), map_strings(value, &clean)))
        .collect())
}

/// Changes every string in a value.
fn map_strings(value: Value, change: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => change(&text).into(),
        Value::Array(items) => items
            .into_iter()
            .map(|item| map_strings(item, change))
            .collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            members
                .map(|(name, value)| (change(&name), map_strings(value, change)))
                .collect()
        }
        other => other,
    }
}
