//! The platform's keychain: Secret Service, macOS Keychain, Windows Credential Manager.
//!
//! keyring waits for ever for a service that is mute or a dialog that nobody answers, and calls
//! most troubles by the same name. Here every call has a deadline, and every trouble says what to do.

use std::collections::HashMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use keyring_core::Entry;
use keyring_core::Error as KeyringError;
use zeroize::Zeroizing;

use super::ELSEWHERE;
use crate::error::{Error, Result};
use crate::message::{self, FOREIGN_TEXT_LIMIT, clean};
use crate::profile::ProfileName;

/// What people here call their keychain.
pub(crate) const NAME: &str = if cfg!(target_os = "macos") {
    "macOS Keychain"
} else if cfg!(windows) {
    "Windows Credential Manager"
} else {
    "Secret Service"
};

/// Every item of ours has it: as the attribute `service`, and as the name that the macOS Keychain shows.
const SERVICE: &str = "hallpass";

/// The largest secret, in bytes, that the Windows Credential Manager takes.
const WINDOWS_LIMIT: usize = 2560;

/// After this long, a person is told what we wait for.
const QUIET: Duration = Duration::from_millis(1500);

pub(crate) fn read(
    name: &ProfileName,
    account: &str,
    limit: Duration,
) -> Result<Zeroizing<Vec<u8>>> {
    let entry = item(name, account);
    let content = with_deadline(limit, move || Ok(Zeroizing::new(entry()?.get_secret()?)));
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
        ))
        .hint(ELSEWHERE);
        return Err(Unwritten {
            error,
            nothing_left: true,
        });
    }
    let entry = item(name, account);
    let given = secret.clone();
    let kept = with_deadline(limit, move || {
        let entry = entry()?;
        entry.set_secret(&given)?;
        Ok(Zeroizing::new(entry.get_secret()?))
    })
    .map_err(|trouble| Unwritten {
        nothing_left: matches!(
            trouble,
            Trouble::Missing(_) | Trouble::NoDefault | Trouble::Locked
        ),
        error: trouble.error(name),
    })?;
    if kept == *secret {
        Ok(())
    } else {
        let error =
            Error::locked("the keychain did not keep the secret as it was given").hint(ELSEWHERE);
        Err(Unwritten {
            error,
            nothing_left: false,
        })
    }
}

/// Why an item could not be written, and whether a part of it may be there all the same.
#[derive(Debug)]
pub(crate) struct Unwritten {
    pub(crate) error: Error,
    pub(crate) nothing_left: bool,
}

/// Removes an item; one that is not there is fine, and so are several that look the same.
pub(crate) fn delete(name: &ProfileName, account: &str, limit: Duration) -> Result<()> {
    let entry = item(name, account);
    let deleted = with_deadline(limit, move || match entry()?.delete_credential() {
        Err(KeyringError::Ambiguous(entries)) => {
            Ok(entries.iter().try_for_each(Entry::delete_credential)?)
        }
        deleted => Ok(deleted?),
    });
    match deleted {
        Ok(()) | Err(Trouble::Absent) => Ok(()),
        Err(trouble) => Err(trouble.error(name)),
    }
}

/// How to find an item: called on the thread that then uses it.
fn item(
    name: &ProfileName,
    account: &str,
) -> impl FnOnce() -> std::result::Result<Entry, Failure> + Send + use<> {
    let account = account.to_owned();
    let label = format!("hallpass client secret ({name})");
    move || {
        // First this: an entry made without a store hides why there is none.
        if let Err(error) = keyring::Entry::store_status() {
            return Err(Failure::NoStore(error));
        }
        let modifiers = if cfg!(windows) {
            // Else the secret roams with the user's profile.
            HashMap::from([("persistence", "Local")])
        } else if cfg!(target_os = "macos") {
            HashMap::new()
        } else {
            HashMap::from([("label", label.as_str())])
        };
        Ok(Entry::new_with_modifiers(SERVICE, &account, &modifiers)?)
    }
}

enum Failure {
    /// The keychain cannot be reached at all.
    NoStore(&'static KeyringError),
    Call(KeyringError),
}

impl From<KeyringError> for Failure {
    fn from(error: KeyringError) -> Self {
        Self::Call(error)
    }
}

/// What is wrong with the keychain, as a person can act on it.
enum Trouble {
    Absent,
    Missing(String),
    Locked,
    NoDefault,
    Ambiguous(usize),
    Mute(Duration),
    Other(String),
}

/// Runs a call on a thread of its own. One that does not come back ends with the process.
fn with_deadline<T: Send + 'static>(
    limit: Duration,
    call: impl FnOnce() -> std::result::Result<T, Failure> + Send + 'static,
) -> std::result::Result<T, Trouble> {
    let (sender, receiver) = mpsc::channel();
    let started = thread::Builder::new().spawn(move || {
        let _ = sender.send(call());
    });
    if let Err(error) = started {
        return Err(Trouble::Other(error.to_string()));
    }
    let quiet = QUIET.min(limit);
    let answer = receiver.recv_timeout(quiet).or_else(|error| match error {
        RecvTimeoutError::Timeout if limit > quiet => {
            message::note(
                "waiting for the keychain: it may be asking for its password in a window",
            );
            receiver.recv_timeout(limit.saturating_sub(quiet))
        }
        error => Err(error),
    });
    match answer {
        Ok(result) => result.map_err(Trouble::from),
        Err(RecvTimeoutError::Timeout) => Err(Trouble::Mute(limit)),
        Err(RecvTimeoutError::Disconnected) => Err(Trouble::Other("its library failed".to_owned())),
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        // Never an error's `Debug`, and not the `Display` of every one: some carry the secret.
        match failure {
            Failure::NoStore(error) => Self::Missing(platform_text(error)),
            Failure::Call(KeyringError::NoEntry) => Self::Absent,
            Failure::Call(KeyringError::Ambiguous(items)) => Self::Ambiguous(items.len()),
            Failure::Call(error @ KeyringError::NoStorageAccess(_)) => {
                if platform_text(&error).contains("result not returned") {
                    Self::NoDefault
                } else {
                    Self::Locked
                }
            }
            Failure::Call(error @ KeyringError::PlatformFailure(_)) => {
                let text = platform_text(&error);
                let nobody = ["ServiceUnknown", "NameHasNoOwner", "not provided by any"];
                if nobody.iter().any(|word| text.contains(word)) {
                    Self::Missing(text)
                } else {
                    Self::Other(text)
                }
            }
            Failure::Call(_) => {
                Self::Other("it holds something that hallpass did not write".to_owned())
            }
        }
    }
}

fn platform_text(error: &KeyringError) -> String {
    match error {
        KeyringError::PlatformFailure(inner) | KeyringError::NoStorageAccess(inner) => {
            clean(&inner.to_string(), FOREIGN_TEXT_LIMIT)
        }
        _ => "it cannot be used".to_owned(),
    }
}

impl Trouble {
    fn error(self, name: &ProfileName) -> Error {
        match self {
            Self::Absent => Error::not_found(format!("the keychain ({NAME}) has no client secret for `{name}`"))
                .hint(format!(
                    "run `hallpass login {name}` again (or unlock the keychain's database, if it shows nothing while locked)"
                )),
            Self::Missing(text) => Error::locked(format!("there is no keychain ({NAME}) on this machine: {text}")).hint(
                if cfg!(any(target_os = "macos", windows)) {
                    ELSEWHERE.to_owned()
                } else {
                    format!("start one in your session (gnome-keyring, KWallet, KeePassXC), or {ELSEWHERE}")
                },
            ),
            Self::Locked => Error::locked(format!("the keychain ({NAME}) is locked, and was not unlocked"))
                .hint(unlock_hint()),
            Self::NoDefault => Error::locked(format!("the keychain ({NAME}) has no default keyring to put the secret in"))
                .hint(format!("make one (Seahorse: new password keyring, set as default), or {ELSEWHERE}")),
            Self::Ambiguous(count) => Error::locked(format!("the keychain holds {count} secrets for `{name}` that look the same"))
                .hint(format!("run `hallpass login {name}` again: it replaces them")),
            Self::Mute(limit) => Error::locked(format!("the keychain ({NAME}) did not answer within {} s", limit.as_secs())).hint(
                "answer its dialog if there is one, else restart the keychain's service; HALLPASS_KEYCHAIN_TIMEOUT sets the seconds to wait",
            ),
            Self::Other(text) => Error::locked(format!("the keychain ({NAME}) failed: {text}"))
                .hint(format!("restart the keychain's service and try again, or {ELSEWHERE}")),
        }
    }
}

fn unlock_hint() -> &'static str {
    if cfg!(target_os = "macos") {
        "unlock it with `security unlock-keychain`, then try again"
    } else if cfg!(windows) {
        "log on to this machine itself: the Credential Manager is closed to network logons"
    } else {
        "unlock it in your desktop session (or with `gnome-keyring-daemon --unlock`), then try again"
    }
}
