//! A key whose signatures a command prints: a tool of a TPM, an HSM or a cloud's KMS.

use std::path::Path;
use std::time::Duration;

use super::command::Run;
use crate::error::{Error, Result};
use crate::platform::disk;
use crate::profile::external_key::{CommandLine, SignCommand};
use crate::types::external_key::{ExternalKey, PublicHalf, RsaHash};

/// The longest file with a public key or certificate, in bytes.
const PUBLIC_FILE_LIMIT: u64 = 64 * 1024;

#[derive(Debug)]
pub(super) struct CommandKey {
    command: CommandLine,
    public: PublicHalf,
    limit: Duration,
}

impl CommandKey {
    /// # Errors
    /// `Locked` when the public key is not recorded, and its file cannot be read.
    pub(super) fn find(settings: &SignCommand, limit: Duration) -> Result<Self> {
        let public = match &settings.public_key {
            Some(key) => PublicHalf::Key(key.clone()),
            None => PublicHalf::File {
                path: settings.public_file.clone(),
                content: read_public(&settings.public_file)?,
            },
        };
        Ok(Self {
            command: settings.command.clone(),
            public,
            limit,
        })
    }
}

impl ExternalKey for CommandKey {
    fn public_half(&self) -> &PublicHalf {
        &self.public
    }

    fn program(&self) -> String {
        "the sign command".to_owned()
    }

    fn is_in_agent(&self) -> bool {
        false
    }

    fn sign(&self, message: &[u8], _: RsaHash) -> Result<Vec<u8>> {
        let run = Run {
            kind: "sign command",
            option: "--jwt-sign-command",
            input: Some(message),
            limit: self.limit,
        };
        let printed = run.command_line(&self.command)?;
        Ok(printed.to_vec())
    }
}

fn read_public(path: &Path) -> Result<Vec<u8>> {
    disk::read_foreign(path, PUBLIC_FILE_LIMIT).map_err(|error| {
        Error::locked(format!("cannot read the public key {}", path.display())).because(error)
    })
}
