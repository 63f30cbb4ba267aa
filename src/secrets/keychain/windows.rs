//! The Windows Credential Manager.

use std::collections::HashMap;
use std::error::Error as StdError;

use keyring_core::Entry;
use keyring_core::api::CredentialStoreApi as _;
use windows_native_keyring_store::Store;
use zeroize::Zeroizing;

use super::keychain_error::{KeychainError, text};

pub(super) const NAME: &str = "Windows Credential Manager";

pub(super) const START: &str = "";

pub(super) const UNLOCK: &str =
    "log on to this machine directly; network logons cannot use the Credential Manager";

/// Unchanged: this keychain keeps bytes as they are, and encoded ones would reach its size limit
/// sooner.
pub(super) fn encode(secret: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(secret.to_vec())
}

pub(super) fn decode(stored: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    stored
}

/// An item whose target is `hallpass:ACCOUNT`, and whose user is the account.
pub(super) fn entry(account: &str, _label: &str) -> Result<Entry, KeychainError> {
    let naming = [("prefix", "hallpass:"), ("divider", ""), ("suffix", "")];
    let store = Store::new_with_configuration(&HashMap::from(naming))?;
    // Else the secret roams with the user's profile.
    let modifiers = HashMap::from([("persistence", "Local")]);
    Ok(store.build("", account, Some(&modifiers))?)
}

/// It is unlocked while its user is logged on.
#[expect(clippy::unnecessary_wraps, reason = "other platforms can fail")]
pub(super) fn check_unlocked(_account: &str) -> Result<(), KeychainError> {
    Ok(())
}

/// Gives the item the comment that `cmdkey` and other tools show.
pub(super) fn describe(entry: &Entry, _profile: &str, label: &str) -> keyring_core::Result<()> {
    entry.update_attributes(&HashMap::from([("comment", label)]))
}

/// None for a failure without a hint of its own.
pub(super) fn classify(error: &(dyn StdError + Send + Sync + 'static)) -> Option<KeychainError> {
    // The library's type has no public name.
    let network_logon = text(error).contains("ERROR_NO_SUCH_LOGON_SESSION");
    network_logon.then_some(KeychainError::Locked("this is a network logon"))
}

/// The system's text for people.
pub(super) fn explain(error: &(dyn StdError + Send + Sync + 'static)) -> String {
    text(error)
}
