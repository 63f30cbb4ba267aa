//! Token revocation (RFC 7009): best effort, in a short time.

use std::time::Duration;

use tokio::time::timeout_at;

use super::client_auth::{authenticate, tls_key};
use super::exchange::{post, within};
use super::http::Http;
use super::request::Message;
use super::token_client::OtherCredentials;
use super::transport_error::TransportError;
use crate::error::{Error, Result};
use crate::profile::{Profile, TokenEndpoint};
use crate::types::secret::{AccessToken, Credential};

/// Short, as a failure is only a warning.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Requests the revocation of tokens (RFC 7009 §2.1).
///
/// # Errors
/// The first failure; the other tokens are revoked nevertheless.
pub(crate) fn revoke(
    endpoint: &TokenEndpoint,
    profile: &Profile,
    tokens: &[AccessToken],
    credential: &Credential,
    others: &OtherCredentials,
) -> Result<()> {
    let certificate_key = others.certificate_key.as_ref();
    let tls_key = tls_key(profile, None, Some(credential), certificate_key)?;
    let headers = others.all_headers(profile);
    let http = Http::to(endpoint, profile, None, tls_key)?;
    within(TIMEOUT, async |deadline| {
        let mut result = Ok(());
        for token in tokens {
            let authentication = authenticate(profile, None, credential, others.identity.as_ref())?;
            let message = Message::about_token(&headers, token, authentication)?;
            let sent = timeout_at(deadline, post(&http, endpoint, &message)).await;
            let revoked = match sent.unwrap_or(Err(TransportError::TooLate)) {
                Ok(response) if (200..300).contains(&response.status) => Ok(()),
                Ok(response) => Err(Error::unavailable(format!(
                    "{} answered {} to the revocation request",
                    endpoint.origin(),
                    response.status
                ))),
                Err(fault) => Err(fault.error(endpoint.origin(), TIMEOUT, None)),
            };
            result = result.and(revoked);
        }
        result
    })?
}
