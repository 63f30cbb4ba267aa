//! Private keys in files and in an ssh-agent.

use std::path::Path;
use std::sync::Arc;

use super::agent_key::{self, Agent, KeyInAgent, KeySetting};
use super::file::{self, KEY_FILE};
use super::situation::Situation;
use super::wait_limit::WaitLimit;
use crate::error::{Error, Result};
use crate::platform;
use crate::profile::external_key::{AgentKey, KeyReference};
use crate::profile::{Profile, ProfileName};
use crate::types::external_key::ExternalKey;
use crate::types::secret::{Credential, PrivateKey};

const JWT_KEY: KeySetting = ("--jwt-key", "HALLPASS_JWT_KEY");
const CERTIFICATE_KEY: KeySetting = ("--key", "HALLPASS_KEY");
const PROOF_KEY: KeySetting = ("--dpop-key", "HALLPASS_DPOP_KEY");

/// The keys of an ssh-agent that can sign, one in each line.
///
/// # Errors
/// `Locked` when there is no agent, or no such key in it.
pub(crate) fn list_agent_keys(socket: Option<&Path>) -> Result<String> {
    let limit = WaitLimit::Person.limit()?;
    agent_key::list(&Agent::at(socket, limit, Situation::LoggingIn, JWT_KEY)?)
}

/// The private key of a client certificate that is used with another authentication method.
pub(crate) fn certificate_key(
    name: &ProfileName,
    profile: &Profile,
    wait: WaitLimit,
) -> Result<Option<Credential>> {
    let path = match &profile.certificate_key {
        Some(KeyReference::File(path)) => path,
        Some(KeyReference::Agent(key)) => {
            let key = find(key, name, profile, wait, CERTIFICATE_KEY)?;
            return Ok(Some(Credential::External(key)));
        }
        None => return Ok(None),
    };
    let key = read_key_file(path)?;
    if key.is_encrypted() {
        let what = format!(
            "the private key of the certificate, {}, is encrypted",
            path.display()
        );
        let hint = "with a client secret or an assertion, use an unencrypted key in a file that only you can read";
        return Err(Error::locked(what).hint(hint));
    }
    Ok(Some(Credential::Key {
        key,
        passphrase: None,
    }))
}

/// The key in an ssh-agent that the tokens of a profile are bound to (RFC 9449).
pub(crate) fn proof_key(
    name: &ProfileName,
    profile: &Profile,
    wait: WaitLimit,
) -> Result<Option<Arc<dyn ExternalKey>>> {
    let key = profile.proof_key();
    key.map(|key| find(key, name, profile, wait, PROOF_KEY))
        .transpose()
}

pub(super) fn agent_key(
    key: &AgentKey,
    name: &ProfileName,
    profile: &Profile,
    wait: WaitLimit,
) -> Result<Credential> {
    // The key of a TLS method is the certificate's.
    let setting = if profile.client_auth.is_tls() {
        CERTIFICATE_KEY
    } else {
        JWT_KEY
    };
    find(key, name, profile, wait, setting).map(Credential::External)
}

fn find(
    key: &AgentKey,
    name: &ProfileName,
    profile: &Profile,
    wait: WaitLimit,
    setting: KeySetting,
) -> Result<Arc<dyn ExternalKey>> {
    let situation = Situation::of(name, wait);
    let socket = profile.agent_socket.as_deref();
    let agent = Agent::at(socket, wait.limit()?, situation, setting)?;
    Ok(Arc::new(KeyInAgent::find(key, agent, situation)?))
}

/// Reads a private key's file, which may be encrypted.
pub(crate) fn read_key_file(path: &Path) -> Result<PrivateKey> {
    platform::wipe_on_free();
    let key = PrivateKey::parse(file::read(path, KEY_FILE, Situation::LoggingIn)?);
    key.map_err(|fault| {
        let text = fault.text;
        fault.hint(Error::locked(format!(
            "the private key in {} {text}",
            path.display()
        )))
    })
}
