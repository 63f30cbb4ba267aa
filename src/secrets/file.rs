//! A secret in a file that only its owner can read: the user's own, or one in systemd's
//! `$CREDENTIALS_DIRECTORY`.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use zeroize::Zeroizing;

use super::situation::Situation;
use crate::error::{Error, Result};
use crate::platform::disk::{self, Found};
use crate::platform::{Trust, secret_file};
use crate::types::digest::hex;
use crate::types::secret::CLIENT_SECRET_LIMIT;
use crate::types::shell;

/// What messages call the files.
pub(super) const SECRET_FILE: &str = "secret file";
pub(super) const KEY_FILE: &str = "key file";

/// `kind` is what the file is: a secret file or a key file.
pub(super) fn read(
    path: &Path,
    kind: &str,
    situation: Situation<'_>,
) -> Result<Zeroizing<Vec<u8>>> {
    content(path, kind, situation)?.ok_or_else(|| {
        let error = Error::not_found(format!("the {kind} {} does not exist", path.display()));
        error.hint(match situation {
            Situation::LoggingIn => "check the path".to_owned(),
            situation => situation.advice("put it back"),
        })
    })
}

fn content(
    path: &Path,
    kind: &str,
    situation: Situation<'_>,
) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let at = path.display();
    match disk::read(path, CLIENT_SECRET_LIMIT as u64 + 2, Trust::Secret) {
        Ok(Found::Content(content)) => Ok(Some(Zeroizing::new(content))),
        Ok(Found::Nothing) => Ok(None),
        Ok(Found::Distrusted(reason)) => {
            let message = match reason.strip_prefix("can be read by ") {
                Some(users) => format!("{users} can read the {kind} {at}"),
                None => format!("the {kind} {at} {reason}"),
            };
            let error = Error::locked(message);
            Err(
                if reason.ends_with("by other users") || reason.ends_with("to another user") {
                    error.hint(how_to_protect(path, situation))
                } else {
                    error.hint(situation.advice("check the path"))
                },
            )
        }
        Err(error) => Err(Error::locked(format!("cannot read the {kind} {at}")).because(error)),
    }
}

/// In a container, the mode of a file can often not be changed.
fn how_to_protect(path: &Path, situation: Situation<'_>) -> String {
    let at = shell::path(path);
    if secret_file::can_be_made_private(path) {
        return format!("run: chmod 600 {at}");
    }
    if matches!(situation, Situation::Environment) {
        return "put the secret into HALLPASS_CLIENT_SECRET, or into a file that only you can read"
            .to_owned();
    }
    let command = shell::word(&format!("cat {at}"));
    format!("to use it as it is: --secret-command {command}")
}

/// Reads a credential that systemd passes to the unit.
pub(super) fn read_credential(name: &str, situation: Situation<'_>) -> Result<Zeroizing<Vec<u8>>> {
    let missing = |why| {
        Error::not_found(format!("cannot read the systemd credential {name}: {why}")).hint(format!(
            "start hallpass in a unit with LoadCredential={name}:FILE"
        ))
    };
    let path = credential_path(name).ok_or_else(|| missing("CREDENTIALS_DIRECTORY is not set"))?;
    content(&path, SECRET_FILE, situation)?
        .ok_or_else(|| missing("the unit has no credential of this name"))
}

/// None outside a unit with credentials.
pub(super) fn credential_path(name: &str) -> Option<PathBuf> {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let directory = directory.filter(|directory| directory.is_absolute())?;
    Some(directory.join(name))
}

/// Changes with the content, without opening the file.
pub(super) fn version(path: &Path) -> String {
    let Ok(metadata) = std::fs::metadata(path) else {
        return "missing".to_owned();
    };
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let length = metadata.len().to_be_bytes();
    let modified = modified.unwrap_or_default().as_nanos().to_be_bytes();
    hex(&[&length[..], &modified].concat())
}
