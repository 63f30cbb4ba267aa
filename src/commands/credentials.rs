//! What a request of a profile presents besides the client's credential.

use crate::error::Result;
use crate::oauth::{self, OtherCredentials};
use crate::profile::identity::IdentitySource;
use crate::profile::{Profile, ProfileName};
use crate::secrets::{self, WaitLimit};
use crate::types::identity_token::IdentityToken;
use crate::types::secret::ClientSecret;

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
        proof_key: secrets::proof_key(name, profile, wait)?,
        nonce: None,
        secret_headers: secrets::headers(name, profile, wait)?,
        other_secrets: Vec::new(),
    })
}

/// The client secrets of a stored profile that a request of `used` does not send: during a rotation there
/// are two. They are only removed from what the server says, so one that cannot be read is left out.
pub(super) fn other_secrets(
    name: &ProfileName,
    stored: &Profile,
    used: &Profile,
    wait: WaitLimit,
) -> Vec<ClientSecret> {
    let kept = stored.with_kept_secret();
    let all = [Some(stored), kept.as_ref()].into_iter().flatten();
    let others = all.filter(|it| it.secret_generation() != used.secret_generation());
    others
        .filter_map(|profile| {
            let content = secrets::content(name, profile, wait).ok()?;
            ClientSecret::parse(&content).ok()
        })
        .collect()
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
