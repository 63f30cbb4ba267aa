//! Where client secrets lie. The only room that knows the keychain, secret files and secret commands.

mod command;
pub(crate) mod keychain;

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use zeroize::Zeroizing;

use crate::disk::{self, Found};
use crate::error::{Error, Result};
use crate::profile::{Profile, ProfileName, SecretSource};
use crate::secret::{CLIENT_SECRET_LIMIT, ClientSecret, Credential, PrivateKey};
use crate::system::Trust;

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
    let content = match &profile.secret {
        SecretSource::Keychain { account } => {
            if *account != profile.keychain_account(name) {
                return Err(changed(name));
            }
            keychain::read(name, account, patience.limit())?
        }
        SecretSource::File(path) => read_file(path)?,
        SecretSource::Command(words) => command::run(words, patience.limit())?,
        SecretSource::Shell(line) => command::run_in_shell(line, patience.limit())?,
    };
    credential(profile, &content, |what, fault| match &profile.secret {
        SecretSource::Keychain { .. } => {
            Error::not_found(format!("the {what} in the keychain {fault}"))
                .hint(format!("run `hallpass login {name}` again"))
        }
        SecretSource::File(path) => {
            Error::locked(format!("the {what} in {} {fault}", path.display()))
        }
        SecretSource::Command(_) | SecretSource::Shell(_) => {
            Error::locked(format!("the secret command printed a {what} that {fault}"))
                .hint("run it by hand to see what it needs")
        }
    })
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
    let key = PrivateKey::parse(read_file(path)?);
    key.map_err(|fault| Error::locked(format!("the private key in {} {fault}", path.display())))
}

/// A secret is not sent where nobody agreed to send it.
fn changed(name: &ProfileName) -> Error {
    Error::refused(format!(
        "the profile `{name}` was changed after its login: its secret was entrusted to other settings"
    ))
    .hint(format!("if the change is yours, run `hallpass login {name}` again"))
}

/// What tells one content of the files of a credential from another without opening them: another
/// secret, key or certificate is another client. Where it cannot be had at no cost, none.
pub(crate) fn version(profile: &Profile) -> Option<String> {
    let secret_file = match &profile.secret {
        SecretSource::File(path) => Some(path),
        _ => None,
    };
    let certificate = profile.certificate.as_ref();
    let key_file = profile.encrypted_key.as_ref();
    let files: Vec<_> = [secret_file, key_file, certificate]
        .into_iter()
        .flatten()
        .collect();
    let versions: Vec<_> = files.into_iter().map(|path| file_version(path)).collect();
    (!versions.is_empty()).then(|| versions.join(" "))
}

fn file_version(path: &Path) -> String {
    let Ok(metadata) = std::fs::metadata(path) else {
        return "missing".to_owned();
    };
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!(
        "{}-{}",
        metadata.len(),
        modified.unwrap_or_default().as_nanos()
    )
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let at = path.display();
    match disk::read(path, CLIENT_SECRET_LIMIT as u64 + 2, Trust::Secret) {
        Ok(Found::Content(content)) => Ok(Zeroizing::new(content)),
        Ok(Found::Nothing) => Err(
            Error::not_found(format!("the secret file {at} does not exist"))
                .hint("put it back, or run `hallpass login` again"),
        ),
        Ok(Found::Distrusted(reason)) => {
            Err(Error::locked(format!("the secret file {at} {reason}"))
                .hint(format!("make it yours alone: chmod 600 {at}")))
        }
        Err(error) => {
            Err(Error::locked(format!("cannot read the secret file {at}")).because(error))
        }
    }
}
