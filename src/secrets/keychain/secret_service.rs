//! The Secret Service of a Linux desktop: gnome-keyring, `KWallet`, `KeePassXC`.

use std::collections::HashMap;
use std::error::Error as StdError;

use keyring_core::Entry;
use keyring_core::api::CredentialStoreApi as _;
use secret_service::blocking::SecretService;
use secret_service::{EncryptionType, Error as ServiceError};
use zbus::DBusError as _;
use zbus_secret_service_keyring_store::Store;

use super::SERVICE;
use super::keychain_error::KeychainError;

pub(super) use super::line::{decode, encode};
use crate::message::clean;

pub(super) const NAME: &str = "Secret Service";

pub(super) const START: &str = "start one in your session (gnome-keyring, KWallet, KeePassXC), or ";

pub(super) const UNLOCK: &str =
    "unlock it in your desktop session (or with `gnome-keyring-daemon --unlock`), then try again";

/// An item, in a session of its own.
pub(super) fn entry(account: &str, label: &str) -> Result<Entry, KeychainError> {
    let store = Store::new().map_err(|error| match KeychainError::from(error) {
        KeychainError::Other(_) => KeychainError::Missing,
        error => error,
    })?;
    let modifiers = HashMap::from([("label", label)]);
    Ok(store.build(SERVICE, account, Some(&modifiers))?)
}

/// Reading an item of a locked collection would show a dialog.
pub(super) fn check_unlocked(account: &str) -> Result<(), KeychainError> {
    let failed = |error: ServiceError| {
        classify(&error).unwrap_or_else(|| KeychainError::Other(explain(&error)))
    };
    // No secret crosses this session.
    let service =
        SecretService::connect(EncryptionType::Plain).map_err(|error| match failed(error) {
            KeychainError::Other(_) => KeychainError::Missing,
            error => error,
        })?;
    let attributes = HashMap::from([("service", SERVICE), ("username", account)]);
    let found = service.search_items(attributes).map_err(failed)?;
    if found.unlocked.is_empty() && !found.locked.is_empty() {
        return Err(KeychainError::Locked("it needs its password"));
    }
    Ok(())
}

/// Adds the attribute that a person searches for: `secret-tool search service hallpass profile NAME`.
pub(super) fn describe(entry: &Entry, profile: &str, _label: &str) -> keyring_core::Result<()> {
    entry.update_attributes(&HashMap::from([("profile", profile)]))
}

/// None for a failure without a hint of its own.
pub(super) fn classify(error: &(dyn StdError + Send + Sync + 'static)) -> Option<KeychainError> {
    let error: &ServiceError = error.downcast_ref()?;
    match error {
        // KWallet takes only keys without a leading zero, and drops its own: one in 128 sessions.
        ServiceError::Crypto(_) => return Some(KeychainError::BrokenSession),
        // A dialog that cannot be shown is reported like one that was dismissed.
        ServiceError::Locked | ServiceError::Prompt => {
            let why = "the unlock dialog was dismissed or could not be shown";
            return Some(KeychainError::Locked(why));
        }
        ServiceError::PromptDisconnected => return Some(KeychainError::Died),
        ServiceError::NoResult => return Some(KeychainError::NoDefault),
        ServiceError::Unavailable => return Some(KeychainError::Missing),
        _ => {}
    }
    match call_error(error)?.as_str() {
        "ServiceUnknown" | "NameHasNoOwner" => Some(KeychainError::Missing),
        "NoReply" | "Disconnected" => Some(KeychainError::Died),
        "IsLocked" => Some(KeychainError::Locked("it was locked again")),
        // The last three mean that the item was removed meanwhile: another session reports that.
        "InvalidArgs" | "NoSession" | "InvalidObjectPath" | "NoSuchObject" | "UnknownObject"
        | "UnknownMethod" => Some(KeychainError::BrokenSession),
        _ => None,
    }
}

/// The text for any other failure: D-Bus's own text is not for users.
pub(super) fn explain(error: &(dyn StdError + Send + Sync + 'static)) -> String {
    let name = error.downcast_ref().and_then(call_error);
    match name.as_deref() {
        Some("AccessDenied") => "the session bus does not allow it".to_owned(),
        Some("LimitsExceeded" | "NoMemory") => "it is out of memory or connections".to_owned(),
        Some(name) => format!("it reported the error {}", clean(name, 60)),
        None => "the connection to it broke".to_owned(),
    }
}

/// The last word of the name of a D-Bus error.
fn call_error(error: &ServiceError) -> Option<String> {
    let name = match error {
        ServiceError::Zbus(zbus::Error::MethodError(name, _, _)) => name.to_string(),
        ServiceError::Zbus(zbus::Error::FDO(error)) => error.name().to_string(),
        ServiceError::ZbusFdo(error) => error.name().to_string(),
        _ => return None,
    };
    let last = name.rsplit('.').next().filter(|last| *last != "ZBus");
    last.map(str::to_owned)
}
