//! The variables of the secret, of private keys and of certificates.

use std::ffi::OsString;
use std::sync::OnceLock;

use super::variables::{bad, checked, path, variable};
use super::{CERT, JWT_KEY, KEY};
use crate::error::{Error, Result};
use crate::profile::external_key::{AgentKey, CommandLine, KeyReference, SignCommand};
use crate::profile::settings::{KeyPlace, Setting, Settings};
use crate::profile::{ClientAuth, SecretSource};
use crate::types::secret::CLIENT_SECRET_VARIABLE;

const SECRET_FILE: &str = "HALLPASS_CLIENT_SECRET_FILE";
const JWT_SIGN_COMMAND: &str = "HALLPASS_JWT_SIGN_COMMAND";
const JWT_PUBLIC: &str = "HALLPASS_JWT_PUBLIC";
const DPOP_KEY: &str = "HALLPASS_DPOP_KEY";

/// Where the secret is, or the private key and its passphrase, and the certificate.
pub(super) fn set_credential(given: &mut Settings) -> Result<()> {
    let (certificate, key) = (path(CERT)?, key_reference(KEY)?);
    match (&certificate, &key) {
        (Some(_), None) => {
            return Err(
                Error::usage(format!("{CERT} is set but {KEY} is not")).hint(format!(
                    "set {KEY} to the file of the certificate's private key"
                )),
            );
        }
        (None, Some(_)) => {
            return Err(Error::usage(format!("{KEY} is set but {CERT} is not"))
                .hint(format!("set {CERT} to the file of the key's certificate")));
        }
        _ => {}
    }
    let jwt_key = jwt_key()?;
    if jwt_key.is_some() && given.client_auth.is_unset() {
        given.client_auth = Setting::Set(ClientAuth::PrivateKeyJwt);
    }
    let is_tls = match given.client_auth.value() {
        Some(method) => method.is_tls(),
        None => certificate.is_some(),
    };
    given.certificate = certificate.into();
    given.secret = match path(SECRET_FILE)? {
        Some(path) => Setting::Set(SecretSource::File(path)),
        None if given.identity.is_unset() || secret_is_set() => {
            Setting::Set(SecretSource::Env(CLIENT_SECRET_VARIABLE.to_owned()))
        }
        None => Setting::Unset,
    };
    let key = if is_tls {
        key.map(SigningKey::Reference)
    } else {
        given.certificate_key = key.into();
        jwt_key
    };
    let signs = given
        .client_auth
        .value()
        .is_some_and(|method| method.has_key());
    given.key = match key {
        Some(SigningKey::Command(command)) => Setting::Set(KeyPlace::SignCommand(command)),
        Some(SigningKey::Reference(KeyReference::Agent(key))) => Setting::Set(KeyPlace::Agent(key)),
        // An unencrypted key ignores the passphrase.
        Some(SigningKey::Reference(KeyReference::File(path))) if secret_is_set() => {
            Setting::Set(KeyPlace::EncryptedFile(path))
        }
        Some(SigningKey::Reference(KeyReference::File(path))) => Setting::Set(KeyPlace::File(path)),
        // The secret, be it the private key itself.
        None if secret_is_set() && signs => Setting::Set(KeyPlace::Secret),
        None => Setting::Unset,
    };
    if signs && given.key.is_unset() && !is_tls {
        return Err(Error::usage(format!("private_key_jwt needs {JWT_KEY}")));
    }
    Ok(())
}

/// The key that authenticates the client.
pub(super) enum SigningKey {
    Reference(KeyReference),
    Command(SignCommand),
}

/// The key that signs assertions.
pub(super) fn jwt_key() -> Result<Option<SigningKey>> {
    let key = key_reference(JWT_KEY)?;
    let command = checked(JWT_SIGN_COMMAND, CommandLine::parse)?;
    match (key, command, path(JWT_PUBLIC)?) {
        (Some(_), Some(_), _) => Err(Error::usage(format!(
            "{JWT_KEY} and {JWT_SIGN_COMMAND} are both set"
        ))
        .hint("unset one of them")),
        (None, Some(command), Some(public_file)) => Ok(Some(SigningKey::Command(SignCommand {
            command,
            public_file,
            public_key: None,
        }))),
        (_, Some(_), None) => Err(Error::usage(format!(
            "{JWT_SIGN_COMMAND} is set but {JWT_PUBLIC} is not"
        ))),
        (_, None, Some(_)) => Err(Error::usage(format!(
            "{JWT_PUBLIC} is set but {JWT_SIGN_COMMAND} is not"
        ))),
        (key, None, None) => Ok(key.map(SigningKey::Reference)),
    }
}

/// A key's file, or a key in an ssh-agent.
fn key_reference(name: &str) -> Result<Option<KeyReference>> {
    match variable(name)?.map(|text| KeyReference::from(OsString::from(text))) {
        Some(KeyReference::File(_)) => Ok(path(name)?.map(KeyReference::File)),
        Some(KeyReference::Agent(key)) if key.name.is_empty() => {
            let hint = "`hallpass login --jwt-key agent:` lists the keys in the ssh-agent";
            Err(bad(name, "names no key after `agent:`").hint(hint))
        }
        other => Ok(other),
    }
}

/// The key in an ssh-agent that tokens are bound to.
pub(super) fn dpop_key() -> Result<Option<AgentKey>> {
    match key_reference(DPOP_KEY)? {
        Some(KeyReference::Agent(key)) => Ok(Some(key)),
        Some(KeyReference::File(_)) => Err(bad(DPOP_KEY, "is not agent: and the name of a key")),
        None => Ok(None),
    }
}

/// Whether there is a secret, or a passphrase. The variable is removed once it is read, so this is
/// remembered.
fn secret_is_set() -> bool {
    static IS_SET: OnceLock<bool> = OnceLock::new();
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    *IS_SET.get_or_init(|| set(CLIENT_SECRET_VARIABLE) || set(SECRET_FILE))
}
