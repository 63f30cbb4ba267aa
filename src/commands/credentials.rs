//! What a request of a profile presents besides the client's credential.

use crate::error::Result;
use crate::oauth::{self, OtherCredentials};
use crate::profile::identity::IdentitySource;
use crate::profile::{Profile, ProfileName};
use crate::secrets::{self, WaitLimit};
use crate::types::identity_token::IdentityToken;

/// Reads the identity token, the key of the client certificate and the secret headers.
///
/// # Errors
/// Why one of them cannot be read.
pub(super) fn read_others(
    name: &ProfileName,
    profile: &Profile,
    wait: WaitLimit,
) -> Result<OtherCredentials> {
    Ok(OtherCredentials {
        identity: identity(profile, wait)?,
        certificate_key: secrets::certificate_key(name, profile, wait)?,
        secret_headers: secrets::headers(name, profile, wait)?,
    })
}

/// Reads the identity token that a token request of this profile presents. GitHub issues it over the
/// network, all other sources are local.
///
/// # Errors
/// Why there is none.
pub(super) fn identity(profile: &Profile, wait: WaitLimit) -> Result<Option<IdentityToken>> {
    let Some(identity) = &profile.identity else {
        return Ok(None);
    };
    match &identity.source {
        IdentitySource::Github(audience) => {
            oauth::github_actions::identity_token(audience, profile.timeout()).map(Some)
        }
        source => secrets::identity::read(source, wait).map(Some),
    }
}
