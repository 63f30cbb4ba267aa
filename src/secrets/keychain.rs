//! The platform's keychain: Secret Service, macOS Keychain, Windows Credential Manager.
//!
//! The keyring crates wait without limit for a service that does not respond or a dialog that nobody
//! answers, and report most failures as one error. Here every call has a timeout, and every error has
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
use crate::message;
use crate::profile::ProfileName;

/// What people here call their keychain.
pub(crate) const NAME: &str = platform::NAME;

/// Every item of ours has it: as the attribute `service`, and as the name that the macOS Keychain shows.
#[cfg(not(windows))]
const SERVICE: &str = "hallpass";

/// The largest secret, in bytes, that the Windows Credential Manager takes.
const WINDOWS_LIMIT: usize = 2560;

/// After this long, a person is told what we wait for.
const QUIET: Duration = Duration::from_millis(1500);

/// How many sessions are tried before one that does not work is believed.
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
    content.map_err(|trouble| trouble.error(name))
}

/// Writes an item and reads it back: a keychain that is about to lose it is found out now.
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
    let written = call(name, account, limit, move |item| {
        item.set_secret(&given)?;
        // A help for people, which KeePassXC refuses: no login fails over it.
        let _ = platform::describe(item, &profile, &label(&profile));
        let kept = Zeroizing::new(item.get_secret()?);
        if kept == given {
            Ok(())
        } else {
            Err(KeychainError::NotKept)
        }
    });
    written.map_err(|trouble| Unwritten {
        nothing_left: matches!(
            trouble,
            KeychainError::Missing | KeychainError::NoDefault | KeychainError::Locked(_)
        ),
        error: trouble.error(name),
    })
}

/// Why an item could not be written, and whether a part of it may be there all the same.
#[derive(Debug)]
pub(crate) struct Unwritten {
    pub(crate) error: Error,
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

/// Removes an item; one that is not there is fine, and so are several that look the same.
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
        Err(trouble) => Err(trouble.error(name)),
    }
}

/// The label that keychain programs show for the item.
fn label(profile: &str) -> String {
    format!("hallpass client secret ({profile})")
}

/// Does something with an item, within this time, in as many sessions as it takes.
fn call<T: Send + 'static>(
    name: &ProfileName,
    account: &str,
    limit: Duration,
    act: impl Fn(&Entry) -> std::result::Result<T, KeychainError> + Send + 'static,
) -> std::result::Result<T, KeychainError> {
    let label = label(name.as_str());
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

/// Runs a call on a thread of its own. One that does not come back ends with the process.
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
    let quiet = QUIET.min(limit);
    let answer = receiver.recv_timeout(quiet).or_else(|error| match error {
        RecvTimeoutError::Timeout if limit > quiet => {
            message::note("waiting for the keychain; look for a password dialog");
            receiver.recv_timeout(limit.saturating_sub(quiet))
        }
        error => Err(error),
    });
    match answer {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(KeychainError::Mute(limit)),
        Err(RecvTimeoutError::Disconnected) => {
            Err(KeychainError::Other("its library failed".to_owned()))
        }
    }
}
