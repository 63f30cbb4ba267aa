//! Where client secrets lie. The only room that knows the keychain, the kernel keyring, and secret
//! files, commands and variables.

mod command;
mod file;
mod kernel;
pub(crate) mod keychain;

use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::profile::{Item, Profile, ProfileName, SecretSource, Store};
use crate::secret::{ClientSecret, Credential, PrivateKey};
use crate::system;

pub(crate) use keychain::Unwritten;

/// Where else a secret can be, for whom a store cannot have it.
const ELSEWHERE: &str =
    "keep the secret elsewhere: `hallpass login --secret-file FILE` or `--secret-command CMD`";

/// How long to wait for a keychain or a command, and for the person whom it may ask.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Somebody sits at the terminal: `login`, `logout`.
    Person,
    /// A program calls: `token`.
    Program,
}

/// In seconds: nobody waits for longer than a day.
const LONGEST_LIMIT: u64 = 24 * 60 * 60;

impl Patience {
    /// Long enough to type a password; short where no dialog can reach anybody. A whole number of
    /// seconds in `HALLPASS_KEYCHAIN_TIMEOUT` overrides both.
    pub(crate) fn limit(self) -> Duration {
        let told = std::env::var("HALLPASS_KEYCHAIN_TIMEOUT").ok();
        let told = told
            .and_then(|seconds| seconds.parse().ok())
            .filter(|seconds| *seconds > 0);
        let set = |variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        let no_desktop = cfg!(target_os = "linux") && !set("DISPLAY") && !set("WAYLAND_DISPLAY");
        Duration::from_secs(match (told, self) {
            (Some(seconds), _) => LONGEST_LIMIT.min(seconds),
            (None, _) if no_desktop || set("SSH_CONNECTION") => 5,
            (None, Self::Person) => 120,
            (None, Self::Program) => 30,
        })
    }
}

/// Reads what the client proves itself with, if the profile is the one that it was entrusted to.
///
/// # Errors
/// `Refused` when the profile was changed since its login, `NotFound` when there is no secret,
/// `Locked` when a person must open something first.
pub(crate) fn read(
    name: &ProfileName,
    profile: &Profile,
    patience: Patience,
) -> Result<Credential> {
    let content = content(name, profile, patience)?;
    let source = &profile.secret;
    credential(profile, &content, |what, fault| match source {
        SecretSource::Keychain { .. } | SecretSource::Kernel { .. } => {
            Error::not_found(format!("the {what} in the {} {fault}", place(source)))
                .hint(format!("run `hallpass login {name}` again"))
        }
        SecretSource::Env(_) => Error::usage(format!("the {what} in {} {fault}", place(source))),
        SecretSource::File(_) | SecretSource::Credential(_) => {
            Error::locked(format!("the {what} in {} {fault}", place(source)))
        }
        SecretSource::Command(_) | SecretSource::Shell(_) => {
            Error::locked(format!("the secret command printed a {what} that {fault}"))
                .hint("run it by hand to see what it needs")
        }
    })
}

/// A place as a message names it: never more than the user said.
fn place(source: &SecretSource) -> String {
    match source {
        SecretSource::Keychain { .. } => "keychain".to_owned(),
        SecretSource::Kernel { .. } => "kernel keyring".to_owned(),
        SecretSource::File(path) => path.display().to_string(),
        SecretSource::Credential(name) => format!("the credential {name}"),
        SecretSource::Env(name) => format!("the environment variable {name}"),
        SecretSource::Command(_) | SecretSource::Shell(_) => "the secret command".to_owned(),
    }
}

/// Reads what the profile's place holds, whatever it is.
///
/// # Errors
/// As [`read`].
pub(crate) fn content(
    name: &ProfileName,
    profile: &Profile,
    patience: Patience,
) -> Result<Zeroizing<Vec<u8>>> {
    let limit = patience.limit();
    match &profile.secret {
        SecretSource::Keychain { account } | SecretSource::Kernel { account }
            if *account != profile.item_account(name) =>
        {
            Err(changed(name))
        }
        SecretSource::Keychain { account } => keychain::read(name, account, limit),
        SecretSource::Kernel { account } => kernel::read(name, account),
        SecretSource::File(path) => file::read(path),
        SecretSource::Credential(credential) => file::read_credential(credential),
        SecretSource::Command(words) => command::run(words, limit),
        SecretSource::Shell(line) => command::run_in_shell(line, limit),
        SecretSource::Env(variable) => {
            let value = system::take_variable(variable);
            value.map(Zeroizing::new).ok_or_else(|| {
                Error::not_found(format!(
                    "the environment variable {variable} holds no secret"
                ))
                .hint("set it where hallpass is started, or log in again with another place")
            })
        }
    }
}

/// Puts a secret into a store of ours.
pub(crate) fn write(
    name: &ProfileName,
    item: &Item,
    secret: &Zeroizing<Vec<u8>>,
    patience: Patience,
) -> std::result::Result<(), Unwritten> {
    match item.store {
        Store::Keychain => keychain::write(name, &item.account, secret, patience.limit()),
        Store::Kernel => kernel::write(name, &item.account, secret),
    }
}

/// Removes a secret from a store of ours; one that is not there is fine.
pub(crate) fn delete(name: &ProfileName, item: &Item, patience: Patience) -> Result<()> {
    match item.store {
        Store::Keychain => keychain::delete(name, &item.account, patience.limit()),
        Store::Kernel => kernel::delete(name, &item.account),
    }
}

/// What the client proves itself with, made of what its place holds.
///
/// # Errors
/// What `blame` makes of what it is and what is wrong with it; the secret itself is not told.
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
        let key = key.map_err(|fault| blame("private key", fault))?;
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

/// Reads a private key's file, which may be encrypted.
pub(crate) fn read_key_file(path: &Path) -> Result<PrivateKey> {
    let key = PrivateKey::parse(file::read(path)?);
    key.map_err(|fault| Error::locked(format!("the private key in {} {fault}", path.display())))
}

/// A secret is not sent where nobody agreed to send it.
fn changed(name: &ProfileName) -> Error {
    Error::refused(format!(
        "the profile `{name}` was changed after its login: its secret was entrusted to other settings"
    ))
    .hint(format!("if the change is yours, run `hallpass login {name}` again"))
}

/// What tells one content of the credential's places from another without opening them: another
/// secret, key or certificate is another client. Where it cannot be had at no cost, none.
pub(crate) fn version(profile: &Profile) -> Option<String> {
    let secret = match &profile.secret {
        SecretSource::File(path) => Some(file::version(path)),
        SecretSource::Credential(name) => {
            let path = file::credential_path(name);
            Some(path.map_or_else(|| "missing".to_owned(), |path| file::version(&path)))
        }
        SecretSource::Env(variable) => Some(variable_version(variable)),
        _ => None,
    };
    let files = [&profile.encrypted_key, &profile.certificate];
    let files = files.into_iter().flatten();
    let versions: Vec<_> = secret
        .into_iter()
        .chain(files.map(|path| file::version(path)))
        .collect();
    (!versions.is_empty()).then(|| versions.join(" "))
}

fn variable_version(variable: &str) -> String {
    let value = std::env::var_os(variable).map(std::ffi::OsString::into_encoded_bytes);
    value.map_or_else(
        || "missing".to_owned(),
        |value| version_of(&Zeroizing::new(value)),
    )
}

/// What tells one secret from another, where it is at hand.
pub(crate) fn version_of(secret: &[u8]) -> String {
    Digest::of("hallpass secret version").field(secret).hex()
}
