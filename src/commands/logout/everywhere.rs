//! `logout --everywhere`: the tokens that a profile has in its shared cache.

use crate::cache::Cache;
use crate::commands::obtain::sharing::{share_of, with_entry};
use crate::error::{Error, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::policy;
use crate::profile::token_request::{Overrides, TokenRequest, login_of};
use crate::profile::{CacheMode, Profile, ProfileName};
use crate::secrets::{self, WaitLimit};
use crate::share::SharedEntry;

/// Removes the profile's own entry at the server, and those of other scopes that this machine has cached.
///
/// # Errors
/// Why it could not be removed. Nothing else was removed then.
pub(super) fn remove(
    directories: &Directories,
    name: &ProfileName,
    profile: &Profile,
) -> Result<()> {
    let mut profile = profile.clone();
    if let Some(share) = policy::current()?.share() {
        share.apply(&mut profile);
    }
    let profile = &profile;
    if share_of(profile).is_none() {
        message::warning(&format!(
            "profile {name} uses no shared cache; --everywhere has no effect"
        ));
        return Ok(());
    }
    let credential = secrets::read(name, profile, WaitLimit::Person)?;
    let headers = secrets::headers(name, profile, WaitLimit::Person)?;
    let cached = Cache::of(directories, name).tokens(&login_of(profile), CacheMode::Auto);
    let cached = cached.into_iter().map(|(_, overrides, _)| overrides);
    for overrides in cached.chain([Overrides::default()]) {
        let (scope, audience) = (overrides.scope.as_ref(), overrides.audience.as_deref());
        let request = TokenRequest::new(name, profile, scope, audience, None);
        let subject = (name, profile, &request);
        #[allow(
            clippy::redundant_closure_for_method_calls,
            reason = "the method is for one lifetime"
        )]
        let removed = with_entry(
            directories,
            subject,
            (&credential, &headers),
            WaitLimit::Person,
            |entry: &SharedEntry<'_>| entry.remove(),
        );
        if let Some(Err(problem)) = removed {
            return Err(Error::unavailable(format!(
                "cannot remove the token from the shared cache: {problem}"
            ))
            .hint(format!(
                "to leave it there until it expires: hallpass logout {name}"
            )));
        }
    }
    Ok(())
}
