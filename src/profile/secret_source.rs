//! Where the client secret is, or what else the client authenticates with: in a store that hallpass
//! writes to, or in a place that the user chose.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::external_key::{AgentKey, SignCommand};
use crate::types::choice::choice;
use crate::types::ssh_key::SshPublicKey;

/// Where the client secret is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SecretSource {
    /// An item of the platform's keychain.
    Keychain { account: String },
    /// A key of the kernel's keyring (Linux): in memory, until the machine restarts.
    Kernel { account: String },
    /// A file that only its owner can read.
    File(PathBuf),
    /// A file below `$CREDENTIALS_DIRECTORY`, by its name (systemd.exec(5)).
    Credential(String),
    /// A program and its arguments; its standard output is the secret.
    Command(Vec<String>),
    /// The same, by way of the shell.
    Shell(String),
    /// An environment variable, by its name.
    Env(String),
    /// No secret, but a key that an ssh-agent signs with.
    Agent(AgentKey),
    /// No secret, but a command that signs.
    SignCommand(SignCommand),
}

impl SecretSource {
    /// An item without its account name, which depends on the rest of the profile.
    pub(crate) fn new_item(store: Store) -> Self {
        Self::kept(Item {
            store,
            account: String::new(),
        })
    }

    pub(crate) fn kept(item: Item) -> Self {
        let account = item.account;
        match item.store {
            Store::Keychain => Self::Keychain { account },
            Store::Kernel => Self::Kernel { account },
        }
    }

    /// Whether reading it may block: another program is called, which may prompt the user.
    pub(crate) fn may_block(&self) -> bool {
        matches!(
            self,
            Self::Keychain { .. }
                | Self::Command(_)
                | Self::Shell(_)
                | Self::Agent(_)
                | Self::SignCommand(_)
        )
    }

    /// The item, if the secret is in a store that hallpass writes to.
    pub(crate) fn item(&self) -> Option<Item> {
        let (store, account) = match self {
            Self::Keychain { account } => (Store::Keychain, account),
            Self::Kernel { account } => (Store::Kernel, account),
            Self::File(_)
            | Self::Credential(_)
            | Self::Command(_)
            | Self::Shell(_)
            | Self::Env(_)
            | Self::Agent(_)
            | Self::SignCommand(_) => return None,
        };
        let account = account.clone();
        Some(Item { store, account })
    }

    /// Whether another program keeps a key there, and signs with it.
    pub(crate) fn is_external(&self) -> bool {
        matches!(self, Self::Agent(_) | Self::SignCommand(_))
    }

    /// Records the public key of a key that another program signs with.
    pub(crate) fn record(&mut self, public_key: SshPublicKey) {
        match self {
            Self::Agent(key) => key.public_key = Some(public_key),
            Self::SignCommand(command) => command.public_key = Some(public_key),
            _ => {}
        }
    }

    pub(crate) fn kind(&self) -> SourceKind {
        match self {
            Self::Keychain { .. } => SourceKind::Keychain,
            Self::Kernel { .. } => SourceKind::Kernel,
            Self::File(_) => SourceKind::File,
            Self::Credential(_) => SourceKind::Credential,
            Self::Command(_) | Self::Shell(_) => SourceKind::Command,
            Self::Env(_) => SourceKind::Env,
            Self::Agent(_) => SourceKind::Agent,
            Self::SignCommand(_) => SourceKind::SignCommand,
        }
    }
}

choice! {
    /// The kind of place where a secret or a private key is, as options, `hallpass status` and a policy
    /// name it.
    pub(crate) enum SourceKind {
        Keychain = "keychain",
        Kernel = "kernel",
        File = "file",
        Credential = "credential",
        Command = "command",
        Env = "env",
        Agent = "agent",
        SignCommand = "sign-command",
        /// Standard input, for one call. No profile has it.
        Stdin = "stdin",
    }
}

impl SourceKind {
    /// The store, if hallpass itself writes to it.
    pub(crate) fn store(self) -> Option<Store> {
        match self {
            Self::Keychain => Some(Store::Keychain),
            Self::Kernel => Some(Store::Kernel),
            Self::File
            | Self::Credential
            | Self::Command
            | Self::Env
            | Self::Agent
            | Self::SignCommand
            | Self::Stdin => None,
        }
    }
}

/// A store that hallpass itself puts secrets into.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Store {
    #[default]
    Keychain,
    Kernel,
}

/// One secret in a store, by the name that it has there.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(from = "String", into = "String")]
pub(crate) struct Item {
    pub(crate) store: Store,
    pub(crate) account: String,
}

/// What precedes the account of a kernel's key in a list of items.
const KERNEL: &str = "kernel ";

impl From<String> for Item {
    fn from(text: String) -> Self {
        let (store, account) = match text.strip_prefix(KERNEL) {
            Some(account) => (Store::Kernel, account.to_owned()),
            None => (Store::Keychain, text),
        };
        Self { store, account }
    }
}

impl From<Item> for String {
    fn from(item: Item) -> Self {
        item.to_string()
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.store == Store::Kernel {
            f.write_str(KERNEL)?;
        }
        f.write_str(&self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::{Item, SecretSource};

    #[test]
    fn an_item_is_written_with_its_store() {
        for text in ["prod:0123", "kernel prod:0123"] {
            let item = Item::from(text.to_owned());
            assert_eq!(item.account, "prod:0123");
            assert_eq!(item.to_string(), text);
            assert_eq!(SecretSource::kept(item.clone()).item(), Some(item));
        }
    }
}
