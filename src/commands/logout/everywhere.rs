//! `logout --everywhere`: the tokens that a profile has in its shared cache.

use crate::cache::Cache;
use crate::commands::obtain::sharing::{in_effect, shared_entry};
use crate::error::{Error, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::profile::token_request::{Overrides, TokenRequest, login_of};
use crate::profile::{CacheMode, Profile, ProfileName};
use crate::secrets::{self, WaitLimit};

/// Whether other machines use the tokens of the profile.
pub(super) fn is_shared(profile: &Profile) -> bool {
    in_effect(profile).is_ok_and(|profile| profile.shared_cache().is_some())
}

/// Removes the profile's own entry at the server, and those of other scopes that this machine has cached.
///
/// # Errors
/// Why it could not be removed. Nothing else was removed then.
pub(super) fn remove(
    directories: &Directories,
    name: &ProfileName,
    profile: &Profile,
) -> Result<()> {
    let profile = &in_effect(profile)?;
    let Some(share) = profile.shared_cache() else {
        message::warning(&format!(
            "profile {name} uses no shared cache; --everywhere has no effect"
        ));
        return Ok(());
    };
    let credential = secrets::read(name, profile, WaitLimit::Person)?;
    let headers = secrets::headers(name, profile, WaitLimit::Person)?;
    let cached = Cache::of(directories, name).tokens(&login_of(profile), CacheMode::Auto);
    let cached = cached.into_iter().map(|(_, overrides, _)| overrides);
    for overrides in cached.chain([Overrides::default()]) {
        let (scope, audience) = (overrides.scope.as_ref(), overrides.audience.as_deref());
        let request = TokenRequest::new(name, profile, scope, audience, None);
        let subject = (name, profile, &request);
        let presented = (&credential, &headers);
        let entry = shared_entry(directories, subject, presented, WaitLimit::Person);
        if let Some(Err(problem)) = entry.map(|entry| entry.remove()) {
            return Err(Error::unavailable(format!(
                "cannot remove the token from the shared cache {}: {problem}",
                share.url.as_str()
            ))
            .hint(format!(
                "to leave it there until it expires: hallpass logout {name}"
            )));
        }
    }
    message::note(&format!(
        "removed the tokens of {name} from the shared cache {}; machines that have one use it until it expires",
        share.url.as_str()
    ));
    Ok(())
}
