//! What can be wrong with a keychain, and what a person does about it.

use std::error::Error as StdError;
use std::time::Duration;

use keyring_core::Error as KeyringError;

use super::{ELSEWHERE, NAME, platform};
use crate::error::Error;
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::profile::ProfileName;

/// What is wrong with the keychain, as a person can act on it.
#[cfg_attr(
    any(target_os = "macos", windows),
    allow(dead_code, reason = "no platform has all of it")
)]
pub(super) enum Trouble {
    Absent,
    Missing(String),
    /// And why it was not unlocked.
    Locked(&'static str),
    NoDefault,
    Ambiguous(usize),
    Mute(Duration),
    Died,
    /// The two sides do not understand each other: another session may mend it.
    BrokenSession(String),
    NotKept,
    Other(String),
}

impl From<KeyringError> for Trouble {
    fn from(error: KeyringError) -> Self {
        // Never an error's `Debug`, and not the `Display` of every one: some carry the secret.
        match error {
            KeyringError::NoEntry => Self::Absent,
            KeyringError::Ambiguous(items) => Self::Ambiguous(items.len()),
            KeyringError::NoStorageAccess(error) | KeyringError::PlatformFailure(error) => {
                platform::trouble(&*error).unwrap_or_else(|| Self::Other(text(&*error)))
            }
            _ => Self::Other("it holds something that hallpass did not write".to_owned()),
        }
    }
}

/// A platform's own words, fit for a terminal.
pub(super) fn text(error: &dyn StdError) -> String {
    clean(&error.to_string(), FOREIGN_TEXT_LIMIT)
}

impl Trouble {
    pub(super) fn error(self, name: &ProfileName) -> Error {
        match self {
            Self::Absent => Error::not_found(format!("the keychain ({NAME}) has no client secret for `{name}`"))
                .hint(format!(
                    "run `hallpass login {name}` again (or unlock the keychain's database, if it shows nothing while locked)"
                )),
            Self::Missing(text) => {
                Error::locked(format!("there is no keychain ({NAME}) on this machine: {text}"))
                    .hint(format!("{}{ELSEWHERE}", platform::START))
            }
            Self::Locked(why) => {
                Error::locked(format!("the keychain ({NAME}) is locked, and was not unlocked: {why}"))
                    .hint(platform::UNLOCK)
            }
            Self::NoDefault => Error::locked(format!("the keychain ({NAME}) has no default keyring to put the secret in"))
                .hint(format!("make one (Seahorse: new password keyring, set as default), or {ELSEWHERE}")),
            Self::Ambiguous(count) => Error::locked(format!("the keychain holds {count} secrets for `{name}` that look the same"))
                .hint(format!("run `hallpass login {name}` again: it replaces them")),
            Self::Mute(limit) => Error::locked(format!("the keychain ({NAME}) did not answer within {} s", limit.as_secs())).hint(
                "answer its dialog if there is one, else restart the keychain's service; HALLPASS_KEYCHAIN_TIMEOUT sets the seconds to wait",
            ),
            Self::Died => Error::locked(format!("the keychain ({NAME}) ended in the middle of the call"))
                .hint(format!("try again: it may have started anew; if it did not, {ELSEWHERE}")),
            Self::NotKept => Error::locked("the keychain did not keep the secret as it was given").hint(ELSEWHERE),
            Self::BrokenSession(text) | Self::Other(text) => {
                Error::locked(format!("the keychain ({NAME}) failed: {text}"))
                    .hint(format!("restart the keychain's service and try again, or {ELSEWHERE}"))
            }
        }
    }
}
