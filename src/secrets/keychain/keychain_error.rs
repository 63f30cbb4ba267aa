//! Failures of a keychain, and the hints for them.

#[cfg(any(target_os = "macos", windows))]
use std::error::Error as StdError;
use std::time::Duration;

use keyring_core::Error as KeyringError;

use super::{ELSEWHERE, NAME, platform};
use crate::error::Error;
use crate::profile::ProfileName;
use crate::types::duration;

/// The failures that have different hints.
#[cfg_attr(
    any(target_os = "macos", windows),
    allow(dead_code, reason = "no platform has all of them")
)]
pub(super) enum KeychainError {
    /// The item does not exist.
    Absent,
    /// No keychain is running.
    Missing,
    /// With the reason why it was not unlocked.
    Locked(&'static str),
    NoDefault,
    Ambiguous(usize),
    NotResponding(Duration),
    Died,
    /// The encryption of the session failed. Another session may work.
    BrokenSession,
    NotKept,
    Other(String),
}

impl From<KeyringError> for KeychainError {
    fn from(error: KeyringError) -> Self {
        // Never an error's `Debug`, and not the `Display` of every one: some contain the secret.
        match error {
            KeyringError::NoEntry => Self::Absent,
            KeyringError::Ambiguous(items) => Self::Ambiguous(items.len()),
            KeyringError::NoStorageAccess(error) | KeyringError::PlatformFailure(error) => {
                platform::classify(&*error)
                    .unwrap_or_else(|| Self::Other(platform::explain(&*error)))
            }
            _ => Self::Other("the item was not written by hallpass".to_owned()),
        }
    }
}

/// The platform's text, cleaned for a terminal.
#[cfg(any(target_os = "macos", windows))]
pub(super) fn text(error: &dyn StdError) -> String {
    crate::message::clean(&error.to_string(), crate::message::FOREIGN_TEXT_LIMIT)
}

impl KeychainError {
    pub(super) fn error(self, name: &ProfileName) -> Error {
        match self {
            Self::Absent => Error::not_found(format!(
                "the keychain ({NAME}) has no client secret for profile {name}"
            ))
            .hint(format!("run `hallpass login {name}` to store it again"))
            .hint("or unlock the keychain's database, if it hides items while it is locked"),
            Self::Missing => Error::locked(format!(
                "no keychain is running (the {NAME} is not available)"
            ))
            .hint(format!("{}{ELSEWHERE}", platform::START)),
            Self::Locked(why) => Error::locked(format!("the keychain ({NAME}) is locked: {why}"))
                .hint(platform::UNLOCK),
            Self::NoDefault => Error::locked(format!(
                "the keychain ({NAME}) has no default keyring to put the secret in"
            ))
            .hint(format!(
                "create one (Seahorse: new password keyring, set as default), or {ELSEWHERE}"
            )),
            Self::Ambiguous(count) => Error::locked(format!(
                "the keychain has {count} secrets for profile {name} with the same attributes"
            ))
            .hint(format!("run `hallpass login {name}` to replace them")),
            Self::NotResponding(limit) => Error::locked(format!(
                "the keychain ({NAME}) did not answer within {}",
                duration::in_words(limit)
            ))
            .hint("answer its password dialog if there is one, or restart the keychain's service")
            .hint("or set HALLPASS_KEYCHAIN_TIMEOUT to a longer time, such as 5m"),
            Self::Died => Error::locked(format!("the keychain ({NAME}) ended during the call"))
                .hint(format!(
                    "try again; if it does not start again, {ELSEWHERE}"
                )),
            Self::NotKept => {
                Error::locked(format!("the keychain ({NAME}) changed the secret")).hint(ELSEWHERE)
            }
            Self::BrokenSession => {
                failed("it cannot agree with hallpass on how to encrypt the connection")
            }
            Self::Other(why) => failed(&why),
        }
    }
}

fn failed(why: &str) -> Error {
    Error::locked(format!("the keychain ({NAME}) failed: {why}")).hint(format!(
        "restart the keychain's service and try again, or {ELSEWHERE}"
    ))
}
