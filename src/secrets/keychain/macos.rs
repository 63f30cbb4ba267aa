//! The macOS Keychain: the login keychain of the user.

use std::error::Error as StdError;

use apple_native_keyring_store::keychain::Store;
use keyring_core::Entry;
use keyring_core::api::CredentialStoreApi as _;
use security_framework::os::macos::keychain::SecKeychain;
use zeroize::Zeroizing;

use super::SERVICE;
use super::keychain_error::{KeychainError, text};

pub(super) const NAME: &str = "macOS Keychain";

pub(super) const START: &str = "";

pub(super) const UNLOCK: &str = "unlock it with `security unlock-keychain`, then try again";

/// Unchanged: this keychain keeps bytes as they are, and encoded ones would reach its size limit
/// sooner.
pub(super) fn encode(secret: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(secret.to_vec())
}

pub(super) fn decode(stored: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    stored
}

/// An item whose name is `hallpass`, with the account as its second key.
pub(super) fn entry(account: &str, _label: &str) -> Result<Entry, KeychainError> {
    Ok(Store::new()?.build(SERVICE, account, None)?)
}

/// From now on, a read fails where it would show a dialog.
#[expect(clippy::unnecessary_wraps, reason = "other platforms can fail")]
pub(super) fn check_unlocked(_account: &str) -> Result<(), KeychainError> {
    // Until this process ends. If it cannot be set, the system asks as it does for `hallpass token`.
    if let Ok(lock) = SecKeychain::disable_user_interaction() {
        std::mem::forget(lock);
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "other platforms can fail")]
pub(super) fn describe(_entry: &Entry, _profile: &str, _label: &str) -> keyring_core::Result<()> {
    Ok(())
}

/// None for a failure without a hint of its own.
pub(super) fn classify(error: &(dyn StdError + Send + Sync + 'static)) -> Option<KeychainError> {
    let code = error
        .downcast_ref::<security_framework::base::Error>()?
        .code();
    Some(match code {
        // errSecNotAvailable, errSecNoSuchKeychain, errSecInvalidKeychain, errSecNoDefaultKeychain
        -25291 | -25294 | -25295 | -25307 => KeychainError::Missing,
        // errSecUserCanceled
        -128 => KeychainError::Locked("the unlock dialog was dismissed"),
        // errSecAuthFailed
        -25293 => KeychainError::Locked(
            "its password was not given, or this program is not allowed to read the item",
        ),
        // errSecInteractionNotAllowed, errSecInteractionRequired
        -25308 | -25315 => KeychainError::Locked("no dialog can be shown here"),
        _ => return None,
    })
}

/// The system's text for people.
pub(super) fn explain(error: &(dyn StdError + Send + Sync + 'static)) -> String {
    text(error)
}
