//! Client secrets and their sources: the keychain, the kernel keyring, files, commands and variables.
//! Only this module opens them.

mod agent;
mod agent_key;
mod command;
mod file;
mod headers;
pub(crate) mod identity;
mod items;
mod kernel;
pub(crate) mod keychain;
mod keys;
pub(crate) mod share;
mod sign_command;
mod situation;
pub(crate) mod variable;
mod wait_limit;

use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::message;
use crate::platform;
use crate::profile::external_key::{AgentKey, KeyReference, SignCommand};
use crate::profile::{Profile, ProfileName, SecretSource};
use crate::types::digest::Digest;
use crate::types::secret::{ClientSecret, Credential, PrivateKey};
use crate::types::shell;
use command::Run;
use file::{KEY_FILE, SECRET_FILE};
use items::{changed, read_item};
use keys::agent_key;
use sign_command::CommandKey;
use situation::Situation;

pub(crate) use headers::{HeaderValue, headers, headers_content};
pub(crate) use items::{check_keychain, check_unchanged, delete, write};
pub(crate) use keychain::Unwritten;
pub(crate) use keys::{certificate_key, list_agent_keys, proof_key, read_key_file};
pub(crate) use wait_limit::WaitLimit;

/// The hint for a store that cannot keep the secret.
const ELSEWHERE: &str =
    "keep the secret elsewhere: `hallpass login --secret-file FILE` or `--secret-command CMD`";

/// Takes the secret of a profile out of the environment, so that no child process gets it. For processes
/// with several threads, before they start one: see [`platform::take_variable`].
pub(crate) fn take_from_environment(profile: &Profile) {
    for name in profile.secret_variables() {
        variable::read(name);
    }
}

/// Reads the client's credential, if the profile still has the settings of its login.
///
/// # Errors
/// `Refused` when the profile was edited after its login, `NotFound` when there is no secret,
/// `Locked` when a person has to unlock or repair something.
pub(crate) fn read(name: &ProfileName, profile: &Profile, wait: WaitLimit) -> Result<Credential> {
    let Some(source) = &profile.secret else {
        return Ok(Credential::None);
    };
    if matches!(
        source,
        SecretSource::Agent(_) | SecretSource::SignCommand(_)
    ) {
        message::step(|| format!("secret: a key in {}", source_name(source)));
    }
    match source {
        SecretSource::Agent(key) => return agent_key(key, name, profile, wait),
        SecretSource::SignCommand(command) => {
            let key = CommandKey::find(command, wait.limit()?)?;
            return Ok(Credential::External(Arc::new(key)));
        }
        _ => {}
    }
    let started = Instant::now();
    let content = content(name, profile, wait)?;
    message::step(|| {
        let milliseconds = started.elapsed().as_millis();
        format!("secret: from {} in {milliseconds} ms", source_name(source))
    });
    let situation = Situation::of(name, wait);
    let found = credential(profile, &content, |what, fault| match source {
        SecretSource::Keychain { .. } | SecretSource::Kernel { .. } => {
            Error::not_found(format!("the {what} in {} {fault}", source_name(source)))
                .hint(format!("run: hallpass login {name}"))
        }
        SecretSource::Env(_) => {
            Error::usage(format!("the {what} in {} {fault}", source_name(source)))
        }
        SecretSource::File(_) | SecretSource::Credential(_) => {
            Error::locked(format!("the {what} in {} {fault}", source_name(source)))
                .hint(situation.advice("check what the file contains"))
        }
        SecretSource::Command(_) | SecretSource::Shell(_) => {
            Error::locked(format!("the secret command printed a {what} that {fault}"))
                .hint("run it by hand to see what it needs")
        }
        SecretSource::Agent(_) | SecretSource::SignCommand(_) => never_leaves(source),
    })?;
    match &found {
        Credential::Key {
            key,
            passphrase: None,
        } if key.is_encrypted() => Err(without_passphrase(profile, source, situation)),
        _ => Ok(found),
    }
}

/// The error for a private key that is encrypted, which it was not at the login.
fn without_passphrase(profile: &Profile, source: &SecretSource, situation: Situation<'_>) -> Error {
    let error = Error::locked("the private key is encrypted, and its passphrase is not known");
    match (situation, source) {
        (Situation::Environment, _) => error.hint("set HALLPASS_CLIENT_SECRET to the passphrase"),
        (Situation::Stored(name), SecretSource::File(path)) => {
            let option = if profile.client_auth.is_tls() {
                "--key"
            } else {
                "--jwt-key"
            };
            let path = shell::path(path);
            error.hint(format!(
                "log in again, which asks for it: hallpass login {name} {option} {path}"
            ))
        }
        _ => {
            error.hint("an encrypted key must be in a file: --jwt-key FILE (or --key FILE for TLS)")
        }
    }
}

/// The source in messages, without its content.
pub(crate) fn source_name(source: &SecretSource) -> String {
    match source {
        SecretSource::Keychain { .. } => "the keychain".to_owned(),
        SecretSource::Kernel { .. } => "the kernel keyring".to_owned(),
        SecretSource::File(path) => path.display().to_string(),
        SecretSource::Credential(name) => format!("the systemd credential {name}"),
        SecretSource::Env(name) => format!("the environment variable {name}"),
        SecretSource::Command(_) | SecretSource::Shell(_) => "the secret command".to_owned(),
        SecretSource::Agent(_) => "the ssh-agent".to_owned(),
        SecretSource::SignCommand(_) => "the program of the sign command".to_owned(),
    }
}

/// The error for a key that cannot be read, because another program signs with it.
fn never_leaves(source: &SecretSource) -> Error {
    Error::usage(format!(
        "the private key cannot be moved: it never leaves {}",
        source_name(source)
    ))
}

/// Reads the profile's secret source without looking at its content.
///
/// # Errors
/// As [`read`].
pub(crate) fn content(
    name: &ProfileName,
    profile: &Profile,
    wait: WaitLimit,
) -> Result<Zeroizing<Vec<u8>>> {
    let limit = wait.limit()?;
    platform::wipe_on_free();
    let situation = Situation::of(name, wait);
    let Some(source) = &profile.secret else {
        return Err(Error::usage("this client has no secret"));
    };
    if let Some(item) = source.item() {
        if item.account != profile.item_account(name) {
            return Err(changed(name));
        }
        return read_item(name, &item, limit);
    }
    match source {
        SecretSource::File(path) if keeps_key(profile) => file::read(path, KEY_FILE, situation),
        SecretSource::File(path) => file::read(path, SECRET_FILE, situation),
        SecretSource::Credential(credential) => file::read_credential(credential, situation),
        SecretSource::Command(words) => secret_command(limit).program(words),
        SecretSource::Shell(line) => secret_command(limit).shell(line),
        SecretSource::Env(variable) => variable::read(variable).ok_or_else(|| {
            Error::not_found(format!("{variable} is not set"))
                .hint("set it for the process that runs hallpass")
        }),
        SecretSource::Keychain { .. }
        | SecretSource::Kernel { .. }
        | SecretSource::Agent(_)
        | SecretSource::SignCommand(_) => Err(never_leaves(source)),
    }
}

/// Whether the source has the private key itself, not its passphrase.
fn keeps_key(profile: &Profile) -> bool {
    profile.client_auth.has_key() && profile.encrypted_key.is_none()
}

fn secret_command(limit: Duration) -> Run<'static> {
    Run {
        kind: "secret command",
        option: "--secret-command",
        input: None,
        limit,
    }
}

/// The credential from the content of its source.
///
/// # Errors
/// What `blame` returns for what is unusable ("private key") and why. Neither contains the secret.
pub(crate) fn credential(
    profile: &Profile,
    content: &Zeroizing<Vec<u8>>,
    blame: impl Fn(&str, &str) -> Error,
) -> Result<Credential> {
    let secret = |what| ClientSecret::parse(content).map_err(|fault| blame(what, fault));
    if !profile.client_auth.has_key() {
        return secret("client secret").map(Credential::Secret);
    }
    let Some(path) = &profile.encrypted_key else {
        let key = PrivateKey::parse(content.clone());
        let key = key.map_err(|fault| fault.hint(blame("private key", fault.text)))?;
        return Ok(Credential::Key {
            key,
            passphrase: None,
        });
    };
    Ok(Credential::Key {
        passphrase: Some(secret("passphrase")?),
        key: read_key_file(path)?,
    })
}

/// Changes when the content of the credential's files or variables changes, without opening them:
/// another secret, key or certificate is another client. None if that is unknown or costly.
pub(crate) fn version(profile: &Profile) -> Option<String> {
    let secret = match &profile.secret {
        Some(SecretSource::File(path)) => Some(file::version(path)),
        Some(SecretSource::Credential(name)) => {
            let path = file::credential_path(name);
            Some(path.map_or_else(|| "missing".to_owned(), |path| file::version(&path)))
        }
        Some(SecretSource::Env(variable)) => Some(variable::version(variable)),
        // Without a record, the profile is from the environment, and the same from call to call.
        Some(SecretSource::Agent(AgentKey {
            name,
            public_key: None,
        })) => Some(version_of(name.as_bytes())),
        Some(SecretSource::SignCommand(SignCommand {
            command,
            public_file,
            public_key: None,
        })) => {
            let command = version_of(command.to_string().as_bytes());
            Some([command, file::version(public_file)].join(" "))
        }
        _ => None,
    };
    let identity = profile.identity.as_ref();
    let identity = identity.map(|identity| identity::version(&identity.source));
    let certificate_key = match &profile.certificate_key {
        Some(KeyReference::File(path)) => Some(path),
        _ => None,
    };
    let files = [&profile.encrypted_key, &profile.certificate];
    let files = files.into_iter().flatten().chain(certificate_key);
    let versions: Vec<_> = secret
        .into_iter()
        .chain(identity)
        .chain(files.map(|path| file::version(path)))
        .collect();
    (!versions.is_empty()).then(|| versions.join(" "))
}

/// Changes with the secret, if it is already loaded.
pub(crate) fn version_of(secret: &[u8]) -> String {
    Digest::of("hallpass secret version").field(secret).hex()
}
