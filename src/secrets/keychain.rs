//! The platform's keychain: Secret Service, macOS Keychain, Windows Credential Manager.
//!
//! The keyring crates wait without limit for a service that does not respond or a dialog without an
//! answer, and report most failures as one error. Here every call has a timeout, and every error has
//! a hint.

mod keychain_error;
#[cfg(not(any(target_os = "macos", windows)))]
mod line;
#[cfg_attr(target_os = "macos", path = "keychain/macos.rs")]
#[cfg_attr(windows, path = "keychain/windows.rs")]
#[cfg_attr(
    not(any(target_os = "macos", windows)),
    path = "keychain/secret_service.rs"
)]
mod platform;

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use keyring_core::Entry;
use keyring_core::Error as KeyringError;
use zeroize::Zeroizing;

use self::keychain_error::KeychainError;
use super::ELSEWHERE;
use crate::error::{Error, Result};
use crate::message::{self, WaitingFor};
use crate::profile::{HEADERS_SUFFIX, ProfileName};

/// The platform's name for its keychain.
pub(crate) const NAME: &str = platform::NAME;

/// The attribute `service` of every item, and its name in the macOS Keychain.
#[cfg(not(windows))]
const SERVICE: &str = "hallpass";

/// The largest secret, in bytes, that the Windows Credential Manager takes.
const WINDOWS_LIMIT: usize = 2560;

/// How many sessions are tried before the failure of one is reported.
const SESSIONS: usize = 4;

pub(crate) fn read(
    name: &ProfileName,
    account: &str,
    limit: Duration,
) -> Result<Zeroizing<Vec<u8>>> {
    let content = call(name, account, limit, |item| {
        Ok(Zeroizing::new(item.get_secret()?))
    });
    let content = content.map(platform::decode);
    content.map_err(|error| error.error(name))
}

/// Checks that the keychain responds and is not locked for this item, which may be missing. No dialog is
/// shown, by this call or a later read.
pub(crate) fn check(name: &ProfileName, account: &str, limit: Duration) -> Result<()> {
    let account = account.to_owned();
    let checked = with_deadline(limit, move || platform::check_unlocked(&account));
    checked.map_err(|error| error.error(name))
}

/// Writes an item and reads it back, so that a keychain that loses it is noticed at the login.
pub(crate) fn write(
    name: &ProfileName,
    account: &str,
    secret: &Zeroizing<Vec<u8>>,
    limit: Duration,
) -> std::result::Result<(), Unwritten> {
    if cfg!(windows) && secret.len() > WINDOWS_LIMIT {
        let error = Error::usage(format!(
            "the client secret is longer than the {WINDOWS_LIMIT} bytes that the {NAME} can keep"
        ));
        return Err(Unwritten::nothing(error.hint(ELSEWHERE)));
    }
    let given = platform::encode(secret);
    let profile = name.to_string();
    let label = label(&profile, account);
    let written = call(name, account, limit, move |item| {
        item.set_secret(&given)?;
        // It only helps people who look for the item, and KeePassXC refuses it: no failure.
        let _ = platform::describe(item, &profile, &label);
        let kept = Zeroizing::new(item.get_secret()?);
        if kept == given {
            Ok(())
        } else {
            Err(KeychainError::NotKept)
        }
    });
    written.map_err(|error| Unwritten {
        nothing_left: matches!(
            error,
            KeychainError::Missing | KeychainError::NoDefault | KeychainError::Locked(_)
        ),
        error: error.error(name),
    })
}

/// Why an item could not be written.
#[derive(Debug)]
pub(crate) struct Unwritten {
    pub(crate) error: Error,
    /// False if a part of the item may have been written.
    pub(crate) nothing_left: bool,
}

impl Unwritten {
    pub(crate) fn nothing(error: Error) -> Self {
        Self {
            error,
            nothing_left: true,
        }
    }
}

/// Removes an item, or several with the same attributes. A missing one is not an error.
pub(crate) fn delete(name: &ProfileName, account: &str, limit: Duration) -> Result<()> {
    let deleted = call(name, account, limit, |item| {
        match item.delete_credential() {
            Err(KeyringError::Ambiguous(items)) => {
                Ok(items.iter().try_for_each(Entry::delete_credential)?)
            }
            deleted => Ok(deleted?),
        }
    });
    match deleted {
        Ok(()) | Err(KeychainError::Absent) => Ok(()),
        Err(error) => Err(error.error(name)),
    }
}

/// The label that keychain programs show for the item.
fn label(profile: &str, account: &str) -> String {
    let what = if account.ends_with(HEADERS_SUFFIX) {
        "secret headers"
    } else {
        "client secret"
    };
    format!("hallpass {what} ({profile})")
}

/// Calls the keychain with an item, within the time limit, and again if the session is broken.
fn call<T: Send + 'static>(
    name: &ProfileName,
    account: &str,
    limit: Duration,
    act: impl Fn(&Entry) -> std::result::Result<T, KeychainError> + Send + 'static,
) -> std::result::Result<T, KeychainError> {
    let label = label(name.as_str(), account);
    let account = account.to_owned();
    with_deadline(limit, move || {
        let attempt = || act(&platform::entry(&account, &label)?);
        let broken = |outcome: &std::result::Result<T, KeychainError>| {
            matches!(
                outcome,
                Err(KeychainError::BrokenSession | KeychainError::NotKept)
            )
        };
        let mut outcome = attempt();
        for _ in 1..SESSIONS {
            if !broken(&outcome) {
                break;
            }
            outcome = attempt();
        }
        outcome
    })
}

/// Runs a call on a thread. One that never returns ends with the process.
fn with_deadline<T: Send + 'static>(
    limit: Duration,
    call: impl FnOnce() -> std::result::Result<T, KeychainError> + Send + 'static,
) -> std::result::Result<T, KeychainError> {
    let (sender, receiver) = mpsc::channel();
    let started = thread::Builder::new().spawn(move || {
        let _ = sender.send(call());
    });
    if started.is_err() {
        return Err(KeychainError::Other(
            "hallpass cannot start a thread".to_owned(),
        ));
    }
    let note = "waiting for the keychain; look for a password dialog";
    let outcome = message::receive(&receiver, limit, WaitingFor::Dialog, note);
    match outcome {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(KeychainError::NotResponding(limit)),
        Err(RecvTimeoutError::Disconnected) => {
            Err(KeychainError::Other("its library failed".to_owned()))
        }
    }
}
