//! The password of a shared cache, and the key that seals its entries.

use super::command::Run;
use super::situation::Situation;
use super::{SECRET_FILE, WaitLimit, file, variable};
use crate::error::{Error, Result};
use crate::profile::ProfileName;
use crate::profile::share::ShareSecret;
use crate::types::secret::ClientSecret;

/// The option that sets the password, without dashes.
pub(crate) const PASSWORD: &str = "share-password";
/// The option that sets the key, without dashes.
pub(crate) const KEY: &str = "share-key";

/// Reads one of them.
///
/// # Errors
/// `NotFound` if there is none, `Locked` if it cannot be used.
pub(crate) fn read(
    source: &ShareSecret,
    option: &'static str,
    name: &ProfileName,
    wait: WaitLimit,
) -> Result<ClientSecret> {
    let content = match source {
        ShareSecret::File(path) => file::read(path, SECRET_FILE, Situation::of(name, wait))?,
        ShareSecret::Env(variable) => variable::read(variable).ok_or_else(|| {
            Error::not_found(format!("{variable} is not set"))
                .hint("set it for the process that runs hallpass")
        })?,
        ShareSecret::Command(command) => {
            let run = Run {
                kind: "command of the shared cache",
                option: match option {
                    KEY => "--share-key",
                    _ => "--share-password",
                },
                input: None,
                limit: wait.limit()?,
            };
            run.command_line(command)?
        }
    };
    let unusable = |fault| Error::locked(format!("the secret of --{option} {fault}"));
    ClientSecret::parse(&content).map_err(unusable)
}
