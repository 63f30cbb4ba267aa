//! The texts of settings, secrets and tokens.

use serde_json::Value;

use crate::profile::external_key::{AgentKey, SignCommand};
use crate::profile::token_request::Overrides;
use crate::profile::{Profile, SecretSource};
use crate::secrets::keychain;
use crate::types::token::{CachedToken, Timestamp};

/// One text for each value of a setting.
pub(super) fn values(setting: &Value) -> Box<dyn Iterator<Item = String> + '_> {
    match setting {
        Value::Null => Box::new([].into_iter()),
        Value::Array(items) => Box::new(items.iter().map(text)),
        Value::Object(members) => Box::new(
            members
                .iter()
                .map(|(name, value)| format!("{name}={}", text(value))),
        ),
        one => Box::new([text(one)].into_iter()),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        // A binding with a user name or a scheme.
        Value::Object(members) if members.contains_key("url") => {
            let more = members.iter().filter(|(name, _)| *name != "url");
            let more: Vec<_> = more
                .map(|(name, value)| format!("{name} {}", text(value)))
                .collect();
            format!("{} ({})", text(&members["url"]), more.join(", "))
        }
        other => other.to_string(),
    }
}

/// A token's life, and what distinguishes it from the profile's other tokens: the scope and the audience,
/// granted or else requested.
pub(super) fn described(profile: &Profile, overrides: &Overrides, token: &CachedToken) -> String {
    let requested = overrides.scope.as_deref().or(profile.scope.as_deref());
    let granted = token.scope.as_deref().filter(|scope| !scope.is_empty());
    let mut text = format!(
        "cached, {}, fingerprint {}",
        token.validity(Timestamp::now()),
        token.access_token.fingerprint(),
    );
    if let Some(scope) = granted.or(requested) {
        text.extend([", scope ", scope]);
    }
    if let Some(requested) = requested.filter(|scope| granted.is_some_and(|it| it != *scope)) {
        text.extend([" (requested: ", requested, ")"]);
    }
    let audience = overrides.audience.as_ref().or(profile.audience.as_ref());
    if let Some(audience) = audience {
        text.extend([", audience ", audience]);
    }
    text
}

/// The kind of the place where the secret is, for a table.
pub(super) fn secret_kind(profile: &Profile) -> &'static str {
    match (&profile.secret, &profile.identity) {
        (Some(source), _) => source.kind().as_str(),
        (None, Some(_)) => "identity token",
        (None, None) => "none",
    }
}

pub(super) fn in_agent(key: &AgentKey) -> String {
    format!("key in the ssh-agent: {key}")
}

pub(super) fn secret_place(source: &SecretSource) -> String {
    match source {
        SecretSource::Keychain { account } => {
            format!("keychain ({}), account {account}", keychain::NAME)
        }
        SecretSource::Kernel { account } => {
            format!("kernel keyring, until this machine restarts, account {account}")
        }
        SecretSource::Credential(name) => format!("systemd credential {name}"),
        SecretSource::Env(variable) => format!("environment variable {variable}"),
        SecretSource::File(path) => format!("file {}", path.display()),
        SecretSource::Command(words) => format!("command {}", words.join(" ")),
        SecretSource::Shell(line) => format!("shell command {line}"),
        SecretSource::Agent(key) => in_agent(key),
        SecretSource::SignCommand(SignCommand { command, .. }) => {
            format!("sign command {command}")
        }
    }
}
