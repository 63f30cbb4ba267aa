//! The Linux kernel's keyring, for machines without a Secret Service: a secret is in memory, for
//! every session of the user, until the machine restarts. It is used only if the user
//! chooses it, never as a fallback for a missing keychain.

use zeroize::Zeroizing;

use super::{ELSEWHERE, Unwritten};
use crate::error::{Error, Result};
use crate::profile::ProfileName;

/// The largest secret, in bytes, that a key of the type `user` takes (`add_key(2)`).
#[cfg(target_os = "linux")]
const LIMIT: usize = 32_767;

#[cfg(target_os = "linux")]
mod keyring {
    use linux_keyutils::{Key, KeyError, KeyPermissions, KeyRing, KeyRingIdentifier};

    use super::{ELSEWHERE, Error, LIMIT, ProfileName, Result, Unwritten, Zeroizing};

    /// All rights for the possessor, and for the same user in another session: without them only
    /// the session that added the key could read it.
    const RIGHTS: u32 = 0x3f3f_0000;

    /// The user keyring, which outlives sessions (`user-keyring(7)`).
    fn user_keyring() -> std::result::Result<KeyRing, KeyError> {
        KeyRing::from_special_id(KeyRingIdentifier::User, false)
    }

    fn description(account: &str) -> String {
        format!("hallpass:{account}")
    }

    fn find(account: &str) -> std::result::Result<Key, KeyError> {
        user_keyring()?.search(&description(account))
    }

    pub(in crate::secrets) fn read(
        name: &ProfileName,
        account: &str,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let content = find(account).and_then(|key| key.read_to_vec());
        content
            .map(Zeroizing::new)
            .map_err(|error| explain(name, error))
    }

    /// Writes a key and reads it back.
    pub(in crate::secrets) fn write(
        name: &ProfileName,
        account: &str,
        secret: &Zeroizing<Vec<u8>>,
    ) -> std::result::Result<(), Unwritten> {
        let nothing = |error| Unwritten {
            error,
            nothing_left: true,
        };
        if secret.len() > LIMIT {
            return Err(nothing(
                Error::usage(format!(
                    "the secret is longer than the {LIMIT} bytes that the kernel keyring can keep"
                ))
                .hint(ELSEWHERE),
            ));
        }
        let key =
            user_keyring().and_then(|ring| ring.add_key(&description(account), secret.as_slice()));
        let key = key.map_err(|error| nothing(explain(name, error)))?;
        let in_part = |error| Unwritten {
            error,
            nothing_left: false,
        };
        key.set_perms(KeyPermissions::from_u32(RIGHTS))
            .map_err(|error| in_part(explain(name, error)))?;
        if read(name, account).map_err(in_part)? == *secret {
            return Ok(());
        }
        Err(in_part(
            Error::locked("the kernel keyring did not keep the secret as it was given")
                .hint(ELSEWHERE),
        ))
    }

    /// Removes a key. A missing one is not an error.
    pub(in crate::secrets) fn delete(name: &ProfileName, account: &str) -> Result<()> {
        let removed = find(account).and_then(|key| {
            // Invalidation takes effect at once in every session, but it is not always allowed.
            key.invalidate()
                .or_else(|_| user_keyring()?.unlink_key(key))
        });
        match removed {
            Err(error) if !is_absent(error) => Err(explain(name, error)),
            _ => Ok(()),
        }
    }

    fn is_absent(error: KeyError) -> bool {
        matches!(
            error,
            KeyError::KeyDoesNotExist | KeyError::KeyExpired | KeyError::KeyRevoked
        )
    }

    fn explain(name: &ProfileName, error: KeyError) -> Error {
        if is_absent(error) {
            return Error::not_found(format!(
                "the kernel keyring has no client secret for profile {name}; it is emptied when the machine restarts"
            ))
            .hint(format!("run `hallpass login {name}` again"));
        }
        if matches!(error, KeyError::QuotaExceeded) {
            return Error::locked("the kernel keyring is full for this user").hint(format!(
                "remove unneeded keys with `keyctl` (see /proc/key-users), or {ELSEWHERE}"
            ));
        }
        let reason = match error {
            KeyError::PermissionDenied | KeyError::AccessDenied => "permission denied",
            KeyError::OperationNotSupported | KeyError::Unknown(38) => {
                "this kernel does not support it"
            }
            _ => "the kernel reported an error",
        };
        Error::locked(format!("the kernel keyring cannot be used here: {reason}"))
            .hint(format!("most containers forbid it; {ELSEWHERE}"))
    }
}

#[cfg(not(target_os = "linux"))]
mod keyring {
    use super::{ELSEWHERE, Error, ProfileName, Result, Unwritten, Zeroizing};

    fn nowhere<T>() -> Result<T> {
        Err(Error::usage("the kernel keyring exists only on Linux").hint(ELSEWHERE))
    }

    pub(in crate::secrets) fn read(_: &ProfileName, _: &str) -> Result<Zeroizing<Vec<u8>>> {
        nowhere()
    }

    pub(in crate::secrets) fn write(
        _: &ProfileName,
        _: &str,
        _: &Zeroizing<Vec<u8>>,
    ) -> std::result::Result<(), Unwritten> {
        nowhere().map_err(|error| Unwritten {
            error,
            nothing_left: true,
        })
    }

    pub(in crate::secrets) fn delete(_: &ProfileName, _: &str) -> Result<()> {
        nowhere()
    }
}

pub(super) use keyring::{delete, read, write};
