//! The variables of the shared cache.

use std::sync::OnceLock;

use super::variables::{checked, path, variable};
use crate::error::{Error, Result};
use crate::profile::share::{Share, ShareSecret, ShareUrl};

const SHARE: &str = "HALLPASS_SHARE";
const PASSWORD: &str = "HALLPASS_SHARE_PASSWORD";
const PASSWORD_FILE: &str = "HALLPASS_SHARE_PASSWORD_FILE";
const KEY: &str = "HALLPASS_SHARE_KEY";
const KEY_FILE: &str = "HALLPASS_SHARE_KEY_FILE";

static HAS_PASSWORD: OnceLock<bool> = OnceLock::new();
static HAS_KEY: OnceLock<bool> = OnceLock::new();

/// The shared cache, if `HALLPASS_SHARE` is set.
///
/// # Errors
/// `Usage` if a variable cannot be what it says.
pub(super) fn share() -> Result<Option<Box<Share>>> {
    let Some(url) = checked(SHARE, |text: &str| {
        ShareUrl::parse(text).map_err(in_variables)
    })?
    else {
        return Ok(None);
    };
    let share = Share {
        url,
        user: variable("HALLPASS_SHARE_USER")?,
        password: secret(PASSWORD, path(PASSWORD_FILE)?, &HAS_PASSWORD),
        key: secret(KEY, path(KEY_FILE)?, &HAS_KEY),
        ca_file: path("HALLPASS_SHARE_CA_FILE")?,
        certificate: path("HALLPASS_SHARE_CERT")?,
        certificate_key: path("HALLPASS_SHARE_CERT_KEY")?,
    };
    match share.fault() {
        Some(fault) => Err(Error::usage(format!("{SHARE}: the shared cache {fault}"))),
        None => Ok(Some(Box::new(share))),
    }
}

/// A file, or the variable itself. It leaves the environment when it is read, and is still the source then.
fn secret(
    name: &str,
    file: Option<std::path::PathBuf>,
    is_set: &OnceLock<bool>,
) -> Option<ShareSecret> {
    if let Some(path) = file {
        return Some(ShareSecret::File(path));
    }
    let is_set = is_set.get_or_init(|| std::env::var_os(name).is_some_and(|it| !it.is_empty()));
    is_set.then(|| ShareSecret::Env(name.to_owned()))
}

/// The options of a login are variables here.
fn in_variables(fault: &str) -> String {
    fault
        .replace("--share-user", "HALLPASS_SHARE_USER")
        .replace("--share-password", PASSWORD)
}
