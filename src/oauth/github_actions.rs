//! The identity token of a GitHub Actions job, which GitHub issues to the job itself.

use std::time::Duration;

use tokio::time::timeout_at;

use super::exchange::{noting, within};
use super::http::Http;
use super::json::{Json, in_utf8};
use super::transport_error::TransportError;
use crate::error::{Error, Result};
use crate::profile::TokenEndpoint;
use crate::types::identity_token::IdentityToken;
use crate::types::web_url::encode_all_reserved;

/// Where a job requests its token. Set only in a job with the permission `id-token: write`.
const REQUEST_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
/// What the job authenticates with; it is different in each job.
pub(crate) const REQUEST_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// Requests an identity token for this audience.
///
/// # Errors
/// `Usage` outside such a job, `Refused` or `Unavailable` when GitHub issues none.
pub(crate) fn identity_token(audience: &str, limit: Duration) -> Result<IdentityToken> {
    let (Some(url), Some(token)) = (variable(REQUEST_URL), variable(REQUEST_TOKEN)) else {
        let missing = if variable(REQUEST_URL).is_none() {
            REQUEST_URL
        } else {
            REQUEST_TOKEN
        };
        return Err(Error::usage(format!(
            "no identity from GitHub Actions: {missing} is not set"
        ))
        .hint("add to the job: permissions: id-token: write"));
    };
    let endpoint = TokenEndpoint::parse(&url)
        .map_err(|fault| Error::usage(format!("{REQUEST_URL} {fault}")))?;
    let separator = if url.contains('?') { '&' } else { '?' };
    let location = format!("{url}{separator}audience={}", encode_all_reserved(audience));
    let http = Http::to_issuer(&endpoint, None)?;
    let origin = endpoint.origin();
    within(limit, async |deadline| {
        let exchange = http.exchange(|client| {
            client
                .get(&location)
                .bearer_auth(&token)
                .header("accept", "application/json")
                .header("accept-encoding", "identity")
        });
        let sent = noting(origin, timeout_at(deadline, exchange)).await;
        let response = sent
            .unwrap_or(Err(TransportError::TooLate))
            .map_err(|error| error.error(origin, limit, None))?;
        let failed = |kind: fn(String) -> Error, what: String| {
            kind(format!("no identity from GitHub Actions: {origin} {what}"))
        };
        match response.status {
            200 => {}
            status @ 400..=499 => {
                return Err(failed(Error::refused, format!("answered {status}"))
                    .hint("add to the job: permissions: id-token: write"));
            }
            status => {
                return Err(failed(Error::unavailable, format!("answered {status}"))
                    .hint("try again later"));
            }
        }
        let body = in_utf8(&response.body);
        let members = Json::document(&body).and_then(Json::members);
        let value = members.and_then(|members| members.get("value").and_then(Json::text));
        value
            .and_then(|value| IdentityToken::parse(value.as_bytes()))
            .ok_or_else(|| {
                failed(
                    Error::unavailable,
                    "answered without an identity token".to_owned(),
                )
            })
    })?
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
