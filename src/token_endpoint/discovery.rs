//! What an authorization server says about itself (RFC 8414, and its elder at `OpenID`).

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::timeout_at;

use super::fault::Fault;
use super::http::Http;
use super::response::HttpResponse;
use super::within;
use crate::error::{Error, Result};
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::profile::TokenEndpoint;

/// The part of a server's metadata that a client of this grant needs (RFC 8414 §2).
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) issuer: String,
    pub(crate) token_endpoint: TokenEndpoint,
    pub(crate) revocation_endpoint: Option<TokenEndpoint>,
    /// The same two for clients that prove themselves by TLS (RFC 8705 §5).
    pub(crate) mtls_token_endpoint: Option<TokenEndpoint>,
    pub(crate) mtls_revocation_endpoint: Option<TokenEndpoint>,
    /// In the server's order. A hint, not a refusal: some servers leave out what they can do.
    pub(crate) methods: Vec<String>,
    pub(crate) signing_algorithms: Vec<String>,
}

/// Asks the issuer for its metadata, in the two places where it may lie.
///
/// # Errors
/// `Unavailable` when none can be had, `Refused` when it is about another issuer.
pub(crate) fn discover(issuer: &str, ca_file: Option<&Path>, limit: Duration) -> Result<Metadata> {
    let url = TokenEndpoint::parse(issuer)
        .map_err(|fault| Error::usage(format!("the issuer's URL {fault}")))?;
    if url.as_str().contains('?') {
        return Err(Error::usage("the issuer's URL must not have a query (?)"));
    }
    let http = Http::to_issuer(&url, ca_file)?;
    within(limit, async |deadline| {
        let mut fault = None;
        for place in places(&url) {
            let sent = timeout_at(deadline, get(&http, &place)).await;
            match sent.unwrap_or(Err(Fault::TooLate)) {
                Ok(answer) if answer.status == 200 => return read(&answer.body, issuer, &url),
                Ok(answer) => {
                    let text = format!("{place} answered {}", answer.status);
                    fault = fault.or(Some(
                        Error::unavailable(format!("no metadata: {text}"))
                            .hint("check the issuer, or name the endpoint itself with --token-url"),
                    ));
                }
                Err(network) => return Err(network.error(url.origin(), limit)),
            }
        }
        Err(fault.unwrap_or_else(|| Error::unavailable("no metadata")))
    })?
}

/// RFC 8414 §3.1 puts the well-known part before the issuer's path, its elder (`OpenID` Connect Discovery) behind it.
fn places(issuer: &TokenEndpoint) -> [String; 3] {
    let origin = issuer.origin();
    let path = issuer.as_str()[origin.len()..].trim_end_matches('/');
    [
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}{path}/.well-known/openid-configuration"),
        format!("{origin}/.well-known/openid-configuration{path}"),
    ]
}

async fn get(http: &Http, place: &str) -> std::result::Result<HttpResponse, Fault> {
    http.exchange(|client| {
        client
            .get(place)
            .header("accept", "application/json")
            .header("accept-encoding", "identity")
    })
    .await
}

fn read(body: &[u8], asked: &str, url: &TokenEndpoint) -> Result<Metadata> {
    let unusable = |fault: &str| {
        Error::unavailable(format!("{} gives metadata that {fault}", url.origin()))
            .hint("name the endpoint itself with --token-url")
    };
    let members: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| unusable("is no JSON object"))?;
    let issuer = members
        .get("issuer")
        .and_then(Value::as_str)
        .unwrap_or_default();
    // Else one server could speak for another (RFC 8414 §3.3).
    if issuer != asked {
        let issuer = clean(issuer, FOREIGN_TEXT_LIMIT);
        return Err(Error::refused(format!(
            "{} calls itself the issuer `{issuer}`",
            url.origin()
        ))
        .hint("name the issuer exactly so, if that is the one you mean"));
    }
    let endpoint = |members: &Map<String, Value>, name: &str| -> Result<Option<TokenEndpoint>> {
        let Some(text) = members.get(name).and_then(Value::as_str) else {
            return Ok(None);
        };
        let endpoint = TokenEndpoint::parse(text)
            .map_err(|fault| unusable(&format!("names a {name} that {fault}")))?;
        if url.is_https() && !endpoint.is_https() {
            return Err(unusable(&format!("names a {name} without TLS")));
        }
        Ok(Some(endpoint))
    };
    let aliases = members
        .get("mtls_endpoint_aliases")
        .and_then(Value::as_object);
    let alias = |name| aliases.map_or(Ok(None), |aliases| endpoint(aliases, name));
    let list = |name: &str| -> Vec<String> {
        let values = members.get(name).and_then(Value::as_array);
        values
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    Ok(Metadata {
        issuer: issuer.to_owned(),
        token_endpoint: endpoint(&members, "token_endpoint")?
            .ok_or_else(|| unusable("names no token endpoint"))?,
        revocation_endpoint: endpoint(&members, "revocation_endpoint")?,
        mtls_token_endpoint: alias("token_endpoint")?,
        mtls_revocation_endpoint: alias("revocation_endpoint")?,
        methods: list("token_endpoint_auth_methods_supported"),
        signing_algorithms: list("token_endpoint_auth_signing_alg_values_supported"),
    })
}
