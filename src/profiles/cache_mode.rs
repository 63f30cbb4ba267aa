//! How the tokens of a profile are cached: the environment decides before the profile does, within what
//! the policy allows.

use super::environment::choice;
use crate::error::Result;
use crate::policy;
use crate::profile::{CacheMode, Profile};

pub(crate) const VARIABLE: &str = "HALLPASS_CACHE";

/// How this process caches the tokens of this profile.
///
/// # Errors
/// `Usage` if the variable has no such mode.
pub(crate) fn cache_mode(profile: &Profile) -> Result<CacheMode> {
    let of_variable = choice::<CacheMode>(VARIABLE)?;
    let wanted = of_variable.or(profile.cache).unwrap_or_default();
    Ok(policy::current()?.cache_mode(wanted))
}
