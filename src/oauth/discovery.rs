//! Finds an issuer's metadata (RFC 8414, and `OpenID` Connect Discovery, which is older).

pub(super) mod metadata;

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout_at;

use super::exchange::{noting, within};
use super::http::Http;
use super::response::HttpResponse;
use super::transport_error::TransportError;
use crate::error::{Error, Result};
use crate::profile::TokenEndpoint;

use metadata::{Failure, read};

pub(crate) use metadata::Metadata;
pub(super) use metadata::texts;

/// The most metadata that is read, in bytes.
const METADATA_LIMIT: usize = 64 * 1024;

/// Requests the issuer's metadata from each location where they may be.
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
            let mut reported: Option<(Failure, Error)> = None;
            for location in locations(&url) {
                let sent = timeout_at(deadline, get(&http, &location)).await;
                let (rank, error) = match sent.unwrap_or(Err(TransportError::TooLate)) {
                    Ok(response) => match read(&response, &location, issuer, &url) {
                        Ok(metadata) => return Ok(metadata),
                        Err(failure) => failure,
                    },
                    // The other locations are behind the same connection.
                    Err(error) if error.is_connect_error() => {
                        return Err(not_received(error, url.origin(), limit));
                    }
                    Err(error) => (Failure::NotMetadata, not_received(error, &location, limit)),
                };
                if reported.as_ref().is_none_or(|(other, _)| *other < rank) {
                    reported = Some((rank, error));
                }
            }
            Err(reported.map_or_else(|| Error::unavailable("no metadata"), |(_, error)| error))
        };
        noting(url.origin(), search).await
    })?
}

/// RFC 8414 §3.1 puts the well-known part before the issuer's path, and `OpenID` Connect Discovery
/// behind it.
fn locations(issuer: &TokenEndpoint) -> [String; 3] {
    let origin = issuer.origin();
    let path = issuer.as_str()[origin.len()..].trim_end_matches('/');
    [
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}{path}/.well-known/openid-configuration"),
        format!("{origin}/.well-known/openid-configuration{path}"),
    ]
}

/// Requests a metadata document.
pub(super) async fn get(
    http: &Http,
    location: &str,
) -> std::result::Result<HttpResponse, TransportError> {
    http.exchange_up_to(METADATA_LIMIT, |client| {
        client
            .get(location)
            .header("accept", "application/json")
            .header("accept-encoding", "identity")
    })
    .await
}

/// Why a metadata document was not received.
pub(super) fn not_received(error: TransportError, location: &str, limit: Duration) -> Error {
    match error {
        TransportError::TooLarge => {
            let size = METADATA_LIMIT / 1024;
            Error::unavailable(format!(
                "the metadata at {location} is larger than {size} KiB"
            ))
            .hint("check the URL: this is not the metadata of an OAuth 2.0 server")
        }
        error => error.error(location, limit, None),
    }
}
