//! How the user replaces a credential that expires, as a hint.

use super::{Profile, ProfileName, SecretSource};

impl Profile {
    /// For example: run `hallpass rotate prod`.
    pub(crate) fn how_to_renew(&self, name: &ProfileName) -> String {
        let then =
            |what: &str| format!("{what}, then run `hallpass login {name} --secret-expires DATE`");
        let key_option = if self.client_auth.is_tls() {
            "--key"
        } else {
            "--jwt-key"
        };
        match &self.secret {
            _ if self.encrypted_key.is_some() => {
                format!("run `hallpass login {name} {key_option} FILE` with a new key")
            }
            Some(SecretSource::Keychain { .. } | SecretSource::Kernel { .. })
                if self.client_auth.has_key() =>
            {
                format!("run `hallpass login {name} --key-stdin < FILE` with a new key")
            }
            Some(SecretSource::Keychain { .. } | SecretSource::Kernel { .. }) => {
                format!("run `hallpass rotate {name}`")
            }
            Some(SecretSource::File(path)) => {
                then(&format!("put the new one into {}", path.display()))
            }
            Some(SecretSource::Credential(credential)) => then(&format!(
                "put the new one into the systemd credential {credential}"
            )),
            Some(SecretSource::Env(variable)) => then(&format!("set {variable} to the new one")),
            Some(SecretSource::Command(_) | SecretSource::Shell(_)) => {
                then("let the secret command print the new one")
            }
            Some(SecretSource::Agent(_) | SecretSource::SignCommand(_)) | None => {
                format!("run `hallpass login {name}` with a new key")
            }
        }
    }

    /// What authenticates the client, for people.
    pub(crate) fn credential_name(&self) -> &'static str {
        if self.client_auth.has_key() {
            "private key"
        } else {
            "secret"
        }
    }
}
