//! One token request that shows that a profile works, before it is saved.

use super::credentials;
use super::obtain::warn_of_response;
use crate::error::Result;
use crate::oauth::{self, TokenClient};
use crate::profile::token_request::TokenRequest;
use crate::profile::{Profile, ProfileName};
use crate::secrets::{self, WaitLimit};
use crate::types::secret::Credential;
use crate::types::token::CachedToken;
use crate::types::token_failure::TokenFailure;

/// Requests a token with this credential. The profile is not stored yet; `stored` is.
///
/// # Errors
/// Why there is none.
pub(super) fn request_token(
    name: &ProfileName,
    profile: &Profile,
    stored: &Profile,
    credential: Credential,
) -> Result<(TokenRequest, CachedToken)> {
    let version = secrets::version(profile);
    let request = TokenRequest::new(name, profile, None, None, version.as_deref());
    let others = credentials::read_others(name, profile, WaitLimit::Person)?;
    let client = TokenClient::of(Some(name), profile, credential, others)?;
    let other_secrets = credentials::other_secrets(name, stored, profile, WaitLimit::Person);
    let client = client.hiding(other_secrets);
    let new_identity = || credentials::identity(profile, WaitLimit::Person);
    let token = oauth::request_token(profile, &request, &client, &new_identity);
    let token = token.map_err(TokenFailure::into_error)?;
    warn_of_response(&request, &token);
    Ok((request, token))
}
