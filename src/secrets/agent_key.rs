//! Keys in an ssh-agent: which one is meant, and its signatures.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::agent::{self, AgentError, IdentityOfKey};
use super::situation::Situation;
use crate::error::{Error, Result};
use crate::message::clean;
use crate::profile::external_key::AgentKey;
use crate::types::duration;
use crate::types::external_key::{ExternalKey, PublicHalf, RsaHash};
use crate::types::ssh_key::SshPublicKey;

/// How many keys an error lists, and how much of each comment.
const MOST_LISTED: usize = 5;
const COMMENT_LIMIT: usize = 60;

/// What the fingerprint of a key begins with.
const FINGERPRINT: &str = "SHA256:";

/// What helps if the key cannot be used as it is.
const ADD_KEY: &str = "add the key: ssh-add FILE, or unlock the agent: ssh-add -X";

/// The option and the variable that name a key.
pub(super) type KeySetting = (&'static str, &'static str);

/// An agent, and how long it may take.
#[derive(Debug)]
pub(super) struct Agent {
    socket: PathBuf,
    limit: Duration,
    /// How to name another socket or another key, in this situation.
    other_socket: String,
    other_key: String,
}

impl Agent {
    /// The agent at this socket, or at the one that the environment names.
    ///
    /// # Errors
    /// `Locked` if neither is known.
    pub(super) fn at(
        socket: Option<&Path>,
        limit: Duration,
        situation: Situation<'_>,
        (option, variable): KeySetting,
    ) -> Result<Self> {
        let way = |option: &str, variable: &str| match situation {
            Situation::Environment => format!("set {variable}"),
            Situation::LoggingIn => format!("add {option}"),
            Situation::Stored(name) => format!("run: hallpass login {name} {option}"),
        };
        let other_socket = way("--agent-socket PATH", "HALLPASS_AGENT_SOCKET");
        let socket = socket.map(Path::to_owned).or_else(agent::default_socket);
        let socket = socket.ok_or_else(|| {
            Error::locked("no ssh-agent is known: SSH_AUTH_SOCK is not set")
                .hint("start one: eval \"$(ssh-agent)\"; ssh-add FILE")
                .hint(format!("to use another agent, {other_socket}"))
        })?;
        Ok(Self {
            socket,
            limit,
            other_socket,
            other_key: way(&format!("{option} agent:KEY"), variable),
        })
    }

    fn keys(&self) -> Result<Vec<IdentityOfKey>> {
        agent::keys(&self.socket, self.limit).map_err(|error| self.explain(error))
    }

    /// What happened, and what to do about it.
    fn explain(&self, error: AgentError) -> Error {
        let at = clean(&self.socket.to_string_lossy(), 200);
        match error {
            AgentError::CannotConnect(error) => {
                Error::locked(format!("cannot connect to the ssh-agent at {at}"))
                    .because(error)
                    .hint("start an agent, or correct SSH_AUTH_SOCK")
                    .hint(format!("to use another agent, {}", self.other_socket))
            }
            AgentError::NotResponding => Error::locked(format!(
                "the ssh-agent at {at} did not answer within {}",
                duration::in_words(self.limit)
            ))
            .hint("check whether it waits for a confirmation or for the touch of a key")
            .hint("or set HALLPASS_KEYCHAIN_TIMEOUT to a longer time, such as 5m"),
            AgentError::Refused => Error::locked(format!("the ssh-agent at {at} refused to sign"))
                .hint("unlock it (ssh-add -X), or allow the use of the key when it asks"),
            AgentError::Malformed => Error::locked(format!(
                "the program at {at} gave no valid response of an ssh-agent"
            ))
            .hint(format!("to use another agent, {}", self.other_socket)),
        }
    }
}

/// A key that an agent has.
#[derive(Debug)]
pub(super) struct KeyInAgent {
    agent: Agent,
    name: String,
    public: PublicHalf,
    key: SshPublicKey,
}

impl KeyInAgent {
    /// The recorded key, which is not looked for before it signs, or the one of that name.
    ///
    /// # Errors
    /// `Locked` when the agent has no such key, or one that cannot sign, `Usage` when several match.
    pub(super) fn find(
        settings: &AgentKey,
        agent: Agent,
        situation: Situation<'_>,
    ) -> Result<Self> {
        let key = match &settings.public_key {
            Some(key) => key.clone(),
            None => agent.named(&settings.name, situation)?,
        };
        if let Some(fault) = key.fault() {
            let name = clean(&settings.name, COMMENT_LIMIT);
            return Err(Error::locked(format!("the key {name} {fault}")).hint(SUPPORTED));
        }
        Ok(Self {
            agent,
            name: settings.name.clone(),
            public: PublicHalf::Key(key.clone()),
            key,
        })
    }
}

const SUPPORTED: &str =
    "use an RSA key of at least 2048 bits, a P-256 or P-384 key, or an Ed25519 key";

impl ExternalKey for KeyInAgent {
    fn public_half(&self) -> &PublicHalf {
        &self.public
    }

    fn program(&self) -> String {
        "the ssh-agent".to_owned()
    }

    fn is_in_agent(&self) -> bool {
        true
    }

    fn sign(&self, message: &[u8], hash: RsaHash) -> Result<Vec<u8>> {
        let Agent { socket, limit, .. } = &self.agent;
        let signature = match agent::sign(socket, &self.key, message, hash, *limit) {
            Ok(signature) => signature,
            // An agent gives no reason.
            Err(AgentError::Refused) => {
                let keys = self.agent.keys()?;
                return Err(if keys.iter().any(|it| it.key == self.key) {
                    self.agent.explain(AgentError::Refused)
                } else {
                    self.agent.missing(&self.name, &keys)
                });
            }
            Err(error) => return Err(self.agent.explain(error)),
        };
        if signature.algorithm == "ssh-rsa" {
            return Err(Error::locked(
                "the ssh-agent signs only with SHA-1, which no server accepts",
            )
            .hint("use a newer agent (OpenSSH 7.2 or later), or another kind of key"));
        }
        let signature = signature.fixed_length();
        signature.ok_or_else(|| self.agent.explain(AgentError::Malformed))
    }
}

impl Agent {
    /// The one key of this name: of a fingerprint, or of a comment.
    fn named(&self, name: &str, situation: Situation<'_>) -> Result<SshPublicKey> {
        let keys = self.keys()?;
        let matches = |it: &&IdentityOfKey| {
            if name.starts_with(FINGERPRINT) {
                it.key.fingerprint() == name
            } else {
                it.comment == name
            }
        };
        let mut found: Vec<_> = keys.iter().filter(matches).collect();
        found.dedup_by(|one, other| one.key == other.key);
        match found.as_slice() {
            [only] => Ok(only.key.clone()),
            [] => Err(self.missing(name, &keys)),
            several => {
                let name = clean(name, COMMENT_LIMIT);
                let fingerprints = several.iter().map(|it| it.key.fingerprint());
                let fingerprints: Vec<_> = fingerprints.take(MOST_LISTED).collect();
                Err(Error::usage(format!(
                    "several keys in the ssh-agent have the comment {name}: {}",
                    fingerprints.join(", ")
                ))
                .hint(situation.advice("name one by its fingerprint: agent:SHA256:...")))
            }
        }
    }

    fn missing(&self, name: &str, keys: &[IdentityOfKey]) -> Error {
        let name = clean(name, COMMENT_LIMIT);
        let there: Vec<_> = keys.iter().take(MOST_LISTED).map(described).collect();
        let there = match keys.len().checked_sub(there.len()) {
            _ if keys.is_empty() => "it has no keys".to_owned(),
            Some(more @ 1..) => format!("it has {} and {more} more", there.join("; ")),
            _ => format!("it has {}", there.join("; ")),
        };
        let error = Error::locked(format!("the key {name} is not in the ssh-agent ({there})"));
        let error = error.hint(ADD_KEY);
        if keys.is_empty() {
            return error;
        }
        error.hint(format!("to use another key, {}", self.other_key))
    }
}

/// A key as a line about it: its fingerprint, its type and its comment.
fn described(it: &IdentityOfKey) -> String {
    let comment = clean(&it.comment, COMMENT_LIMIT);
    let kind = clean(&it.key.kind(), COMMENT_LIMIT);
    format!("{} {kind} {comment}", it.key.fingerprint())
        .trim_end()
        .to_owned()
}

/// The keys of an agent that can sign, one in each line.
///
/// # Errors
/// `Locked` when there is none.
pub(super) fn list(agent: &Agent) -> Result<String> {
    let keys = agent.keys()?;
    let usable = keys.iter().filter(|it| it.key.fault().is_none());
    let lines: Vec<_> = usable.map(|it| described(it) + "\n").collect();
    if !lines.is_empty() {
        return Ok(lines.concat());
    }
    let unusable = keys.iter().filter_map(|it| it.key.fault());
    let unusable: Vec<_> = unusable.take(MOST_LISTED).collect();
    let message = if unusable.is_empty() {
        "the ssh-agent has no keys".to_owned()
    } else {
        let faults = unusable.join("; one ");
        format!("the ssh-agent has no key that can sign assertions: one {faults}")
    };
    Err(Error::locked(message).hint(ADD_KEY))
}
