//! How the tokens of a profile are cached: the environment decides before the profile does.

use super::environment::choice;
use crate::error::Result;
use crate::profile::{CacheMode, Profile};

pub(crate) const VARIABLE: &str = "HALLPASS_CACHE";

/// How this process caches the tokens of this profile.
///
/// # Errors
/// `Usage` if the variable has no such mode.
pub(crate) fn cache_mode(profile: &Profile) -> Result<CacheMode> {
    let of_variable = choice::<CacheMode>(VARIABLE)?;
    Ok(of_variable.or(profile.cache).unwrap_or_default())
}
