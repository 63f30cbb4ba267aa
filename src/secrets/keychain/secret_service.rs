//! The Secret Service of a Linux desktop: gnome-keyring, `KWallet`, `KeePassXC`.

use std::collections::HashMap;
use std::error::Error as StdError;

use keyring_core::Entry;
use keyring_core::api::CredentialStoreApi as _;
use secret_service::Error as ServiceError;
use zbus_secret_service_keyring_store::Store;

use super::SERVICE;
use super::trouble::{Trouble, text};

pub(super) use super::line::{decode, encode};

pub(super) const NAME: &str = "Secret Service";

pub(super) const START: &str = "start one in your session (gnome-keyring, KWallet, KeePassXC), or ";

pub(super) const UNLOCK: &str =
    "unlock it in your desktop session (or with `gnome-keyring-daemon --unlock`), then try again";

/// An item, in a session of its own.
pub(super) fn entry(account: &str, label: &str) -> Result<Entry, Trouble> {
    let store = Store::new().map_err(|error| match Trouble::from(error) {
        Trouble::Other(text) => Trouble::Missing(text),
        trouble => trouble,
    })?;
    let modifiers = HashMap::from([("label", label)]);
    Ok(store.build(SERVICE, account, Some(&modifiers))?)
}

/// Makes the item one that a person finds: `secret-tool search service hallpass profile NAME`.
pub(super) fn describe(entry: &Entry, profile: &str, _label: &str) -> keyring_core::Result<()> {
    entry.update_attributes(&HashMap::from([("profile", profile)]))
}

pub(super) fn trouble(error: &(dyn StdError + Send + Sync + 'static)) -> Option<Trouble> {
    let said = || text(error);
    let call = match error.downcast_ref()? {
        // KWallet takes only keys without a leading zero, and drops its own: one in 128 sessions.
        ServiceError::Crypto(_) => return Some(Trouble::BrokenSession(said())),
        // A dialog that cannot be shown counts as dismissed as well: nobody tells us which it was.
        ServiceError::Locked | ServiceError::Prompt => {
            let why = "its dialog was dismissed, or could not be shown";
            return Some(Trouble::Locked(why));
        }
        ServiceError::PromptDisconnected => return Some(Trouble::Died),
        ServiceError::NoResult => return Some(Trouble::NoDefault),
        ServiceError::Unavailable => return Some(Trouble::Missing(said())),
        ServiceError::Zbus(zbus::Error::MethodError(name, _, _)) => name,
        _ => return None,
    };
    match call.rsplit('.').next()? {
        "ServiceUnknown" | "NameHasNoOwner" => Some(Trouble::Missing(said())),
        "NoReply" | "Disconnected" => Some(Trouble::Died),
        "IsLocked" => Some(Trouble::Locked("it was locked again")),
        "InvalidArgs" | "NoSession" | "InvalidObjectPath" => Some(Trouble::BrokenSession(said())),
        _ => None,
    }
}
