//! The identity token of a profile: GitHub issues it over the network, all other sources are local.

use crate::error::Result;
use crate::oauth::{self, Notes};
use crate::profile::Profile;
use crate::profile::identity::IdentitySource;
use crate::secrets::{self, WaitLimit};
use crate::types::identity_token::IdentityToken;

/// Reads the identity token that a token request of this profile presents.
///
/// # Errors
/// Why there is none.
pub(super) fn read(
    profile: &Profile,
    wait: WaitLimit,
    notes: Notes,
) -> Result<Option<IdentityToken>> {
    let Some(identity) = &profile.identity else {
        return Ok(None);
    };
    match &identity.source {
        IdentitySource::Github(audience) => {
            oauth::github_actions::identity_token(audience, profile.timeout(), notes).map(Some)
        }
        source => secrets::identity::read(source, wait).map(Some),
    }
}
