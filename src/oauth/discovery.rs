//! What an authorization server says about itself (RFC 8414, and its elder at `OpenID`).

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout_at;

use super::exchange::{Notes, noting, within};
use super::http::Http;
use super::json::{Json, Members, in_utf8};
use super::response::HttpResponse;
use super::transport_error::TransportError;
use crate::error::{Error, Result};
use crate::message::{self, FOREIGN_TEXT_LIMIT, clean};
use crate::profile::TokenEndpoint;

/// The part of a server's metadata that a client of this grant needs (RFC 8414 §2).
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) token_endpoint: TokenEndpoint,
    pub(crate) revocation_endpoint: Option<TokenEndpoint>,
    /// The same two for clients that prove themselves by TLS (RFC 8705 §5).
    pub(crate) mtls_token_endpoint: Option<TokenEndpoint>,
    pub(crate) mtls_revocation_endpoint: Option<TokenEndpoint>,
    /// In the server's order. A hint, not a refusal: some servers leave out what they can do.
    pub(crate) methods: Vec<String>,
    pub(crate) signing_algorithms: Vec<String>,
}

/// Why a location has no metadata. Of several failures, the most useful one is reported.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Use {
    /// Most servers have one of the locations only.
    Missing,
    /// Something else answered, or nothing did.
    NoMetadata,
    /// Metadata that lack something.
    Incomplete,
    /// The metadata of an issuer with another name.
    OtherIssuer,
}

/// Asks the issuer for its metadata, in the locations where they may be.
///
/// # Errors
/// `Unavailable` when none can be had, `Refused` when they are about another issuer.
pub(crate) fn discover(issuer: &str, ca_file: Option<&Path>, limit: Duration) -> Result<Metadata> {
    let url = TokenEndpoint::parse(issuer)
        .map_err(|fault| Error::usage(format!("the issuer's URL {fault}")))?;
    if url.as_str().contains('?') {
        return Err(Error::usage("the issuer's URL must not have a query (?)"));
    }
    let http = Http::to_issuer(&url, ca_file)?;
    within(limit, async |deadline| {
        let search = async {
            let mut worst: Option<(Use, Error)> = None;
            for location in locations(&url) {
                let sent = timeout_at(deadline, get(&http, &location)).await;
                let (rank, fault) = match sent.unwrap_or(Err(TransportError::TooLate)) {
                    Ok(response) => match read(&response, &location, issuer, &url) {
                        Ok(metadata) => return Ok(metadata),
                        Err(failure) => failure,
                    },
                    // The other locations are behind the same connection.
                    Err(fault) if fault.is_of_connection() => {
                        return Err(fault.error(url.origin(), limit, None));
                    }
                    Err(fault) => (Use::NoMetadata, fault.error(&location, limit, None)),
                };
                if worst.as_ref().is_none_or(|(other, _)| *other < rank) {
                    worst = Some((rank, fault));
                }
            }
            Err(worst.map_or_else(|| Error::unavailable("no metadata"), |(_, fault)| fault))
        };
        noting(Notes::Shown, url.origin(), search).await
    })?
}

/// RFC 8414 §3.1 puts the well-known part before the issuer's path, its elder (`OpenID` Connect Discovery) behind it.
fn locations(issuer: &TokenEndpoint) -> [String; 3] {
    let origin = issuer.origin();
    let path = issuer.as_str()[origin.len()..].trim_end_matches('/');
    [
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}{path}/.well-known/openid-configuration"),
        format!("{origin}/.well-known/openid-configuration{path}"),
    ]
}

async fn get(http: &Http, location: &str) -> std::result::Result<HttpResponse, TransportError> {
    http.exchange(|client| {
        client
            .get(location)
            .header("accept", "application/json")
            .header("accept-encoding", "identity")
    })
    .await
}

fn read(
    response: &HttpResponse,
    location: &str,
    asked: &str,
    url: &TokenEndpoint,
) -> std::result::Result<Metadata, (Use, Error)> {
    let fault = |rank, text: String| {
        let error = Error::unavailable(text);
        (
            rank,
            error.hint("check the issuer, or use --token-url URL instead of --issuer"),
        )
    };
    if response.status != 200 {
        let rank = match response.status {
            404 | 410 => Use::Missing,
            _ => Use::NoMetadata,
        };
        return Err(fault(
            rank,
            format!("no metadata: {location} answered {}", response.status),
        ));
    }
    let body = in_utf8(&response.body);
    let members = Json::document(&body).and_then(Json::members);
    let members = members.ok_or_else(|| {
        let text = format!("no metadata: {location} answered without a JSON object");
        fault(Use::NoMetadata, text)
    })?;
    let text = |members: &Members<'_>, name: &str| {
        members.get(name).and_then(Json::text).map(Cow::into_owned)
    };
    let unusable = |what: &str| {
        fault(
            Use::Incomplete,
            format!("the metadata at {location} {what}"),
        )
    };
    let Some(issuer) = text(&members, "issuer") else {
        let error = Error::refused(format!("the metadata at {location} has no issuer"));
        return Err((
            Use::Incomplete,
            error.hint("use --token-url URL instead of --issuer"),
        ));
    };
    // Else one server could speak for another (RFC 8414 §3.3).
    if issuer != asked {
        return Err((Use::OtherIssuer, other_issuer(&issuer, location)));
    }
    let endpoint = |members: &Members<'_>, name: &str| -> std::result::Result<_, String> {
        let Some(value) = members.get(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let text = value
            .text()
            .ok_or_else(|| format!("has a {name} that is not a string"))?;
        let endpoint =
            TokenEndpoint::parse(&text).map_err(|fault| format!("has a {name} that {fault}"))?;
        if url.is_https() && !endpoint.is_https() {
            return Err(format!("has a {name} without TLS"));
        }
        Ok(Some(endpoint))
    };
    // An endpoint that may not be needed at all must not get in the way.
    let ignored = |what: &str| {
        message::warning(&format!(
            "the metadata at {location} {what}, which is ignored"
        ));
    };
    let optional = |members: &Members<'_>, name| {
        endpoint(members, name).unwrap_or_else(|what| {
            ignored(&what);
            None
        })
    };
    let aliases = members
        .get("mtls_endpoint_aliases")
        .filter(|aliases| !aliases.is_null());
    let has_aliases = aliases.is_some();
    let aliases = aliases.and_then(Json::members);
    if has_aliases && aliases.is_none() {
        ignored("has mtls_endpoint_aliases that are not an object");
    }
    let alias = |name| {
        endpoint(aliases.as_ref()?, name).unwrap_or_else(|what| {
            ignored(&format!("{what}, in mtls_endpoint_aliases"));
            None
        })
    };
    let list = |name: &str| -> Vec<String> {
        let values = members.get(name).and_then(Json::items).unwrap_or_default();
        let texts = values.into_iter().filter_map(Json::text);
        texts.map(Cow::into_owned).collect()
    };
    Ok(Metadata {
        token_endpoint: endpoint(&members, "token_endpoint")
            .map_err(|what| unusable(&what))?
            .ok_or_else(|| unusable("has no token_endpoint"))?,
        revocation_endpoint: optional(&members, "revocation_endpoint"),
        mtls_token_endpoint: alias("token_endpoint"),
        mtls_revocation_endpoint: alias("revocation_endpoint"),
        methods: list("token_endpoint_auth_methods_supported"),
        signing_algorithms: list("token_endpoint_auth_signing_alg_values_supported"),
    })
}

/// A template such as `https://login.example/{tenant}`, or an internal name, cannot be asked for.
fn other_issuer(issuer: &str, location: &str) -> Error {
    let shown = clean(issuer, FOREIGN_TEXT_LIMIT);
    let error = Error::refused(format!(
        "the metadata at {location} is for another issuer: {shown}"
    ));
    let error = if TokenEndpoint::parse(issuer).is_ok() {
        error.hint(format!("to use that issuer: --issuer {shown}"))
    } else {
        error
    };
    error.hint("use --token-url URL instead of --issuer")
}
