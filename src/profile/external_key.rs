//! Which key another program signs with: a key in an ssh-agent, or that of a command.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::types::ssh_key::SshPublicKey;

/// What precedes the name of a key in an agent, where a file could be given as well.
const PREFIX: &str = "agent:";

/// A key in an ssh-agent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentKey {
    /// Its fingerprint or its comment, as the user wrote it.
    pub(crate) name: String,
    /// As a login recorded it. A profile from the environment has no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) public_key: Option<SshPublicKey>,
}

/// A private key as an option or a variable names it: a file, or `agent:` and a key in an ssh-agent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum KeyReference {
    File(PathBuf),
    Agent(AgentKey),
}

impl From<OsString> for KeyReference {
    fn from(given: OsString) -> Self {
        match given.to_str().and_then(|text| text.strip_prefix(PREFIX)) {
            Some(name) => Self::Agent(AgentKey {
                name: name.to_owned(),
                public_key: None,
            }),
            None => Self::File(given.into()),
        }
    }
}

impl fmt::Display for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Agent(key) => write!(f, "{PREFIX}{}", key.name),
        }
    }
}

impl fmt::Display for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.public_key {
            Some(key) if key.fingerprint() != self.name => write!(f, ", {}", key.fingerprint()),
            _ => Ok(()),
        }
    }
}

/// A command that signs its standard input, and the public key that verifies its output.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignCommand {
    pub(crate) command: CommandLine,
    /// A PEM public key or certificate. Not read again once the key is recorded.
    pub(crate) public_file: PathBuf,
    /// As a login recorded it. A profile from the environment has no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) public_key: Option<SshPublicKey>,
}

/// A program with its arguments, or a line for the shell.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum CommandLine {
    Words(Vec<String>),
    Shell(String),
}

impl CommandLine {
    /// Words as a shell separates them; after a `!`, a line for the shell itself.
    ///
    /// # Errors
    /// There is no command, or a quote in it is not closed.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(line) = text.strip_prefix('!') {
            return Ok(Self::Shell(line.to_owned()));
        }
        match shlex::split(text) {
            Some(words) if !words.is_empty() => Ok(Self::Words(words)),
            _ => Err("the command is empty, or a quote in it is not closed"),
        }
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => {
                let words = words.iter().map(String::as_str);
                // Only a zero byte cannot be quoted, and no argument has one.
                f.write_str(&shlex::try_join(words).unwrap_or_default())
            }
            Self::Shell(line) => write!(f, "!{line}"),
        }
    }
}
