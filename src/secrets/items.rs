//! Items of the stores that hallpass manages: the keychain and the kernel keyring.

use std::time::Duration;

use zeroize::Zeroizing;

use super::keychain::Unwritten;
use super::{WaitLimit, kernel, keychain};
use crate::error::{Error, Result};
use crate::profile::{Item, Profile, ProfileName, Store};

/// Reads an item of a store that hallpass manages.
pub(super) fn read_item(
    name: &ProfileName,
    item: &Item,
    limit: Duration,
) -> Result<Zeroizing<Vec<u8>>> {
    match item.store {
        Store::Keychain => keychain::read(name, &item.account, limit),
        Store::Kernel => kernel::read(name, &item.account),
    }
}

/// Saves a secret in a store that hallpass manages.
pub(crate) fn write(
    name: &ProfileName,
    item: &Item,
    secret: &Zeroizing<Vec<u8>>,
    wait: WaitLimit,
) -> std::result::Result<(), Unwritten> {
    match item.store {
        Store::Keychain => {
            let limit = wait.limit().map_err(Unwritten::nothing)?;
            keychain::write(name, &item.account, secret, limit)
        }
        Store::Kernel => kernel::write(name, &item.account, secret),
    }
}

/// Removes a secret from a store that hallpass manages. A missing one is not an error.
pub(crate) fn delete(name: &ProfileName, item: &Item, wait: WaitLimit) -> Result<()> {
    match item.store {
        Store::Keychain => keychain::delete(name, &item.account, wait.limit()?),
        Store::Kernel => kernel::delete(name, &item.account),
    }
}

/// Checks that what hallpass stores is still tied to the settings of the login, which decide where it is
/// sent.
///
/// # Errors
/// `Refused` when the profile was edited after its login.
pub(crate) fn check_unchanged(name: &ProfileName, profile: &Profile) -> Result<()> {
    let secret = profile.item().map(|item| item.account);
    let headers = profile.secret_headers.as_ref();
    let headers = headers.map(|headers| headers.item.account.clone());
    let is_it = |account: Option<String>, expected: String| {
        account.is_none_or(|account| account == expected)
    };
    if is_it(secret, profile.item_account(name)) && is_it(headers, profile.headers_account(name)) {
        Ok(())
    } else {
        Err(changed(name))
    }
}

/// The secret is sent only with the settings that a login confirmed.
pub(super) fn changed(name: &ProfileName) -> Error {
    Error::refused(format!(
        "profile {name} was edited after login; its secret may be used only with the settings from that login"
    ))
    .hint(format!("to accept the change: hallpass login {name}"))
}

/// Checks, without showing a dialog, that the keychain can be read: it responds, and is not locked.
///
/// # Errors
/// `Locked`, with what a person has to do.
pub(crate) fn check_keychain(name: &ProfileName, account: &str, wait: WaitLimit) -> Result<()> {
    keychain::check(name, account, wait.limit()?)
}
