//! The texts of settings, secrets and tokens.

use serde_json::Value;

use crate::profile::SecretSource;
use crate::profile::external_key::{AgentKey, SignCommand};
use crate::profile::token_request::Overrides;
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

/// A token's life, and what tells it from the profile's other tokens.
pub(super) fn described(overrides: &Overrides, token: &CachedToken) -> String {
    let requested = [
        ("scope", overrides.scope.as_deref()),
        ("audience", overrides.audience.as_deref()),
    ];
    let requested = requested
        .into_iter()
        .filter_map(|(name, value)| Some(format!(", {name} {}", value?)));
    format!(
        "cached, {}, fingerprint {}{}",
        token.validity(Timestamp::now()),
        token.access_token.fingerprint(),
        requested.collect::<String>()
    )
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
