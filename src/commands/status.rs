//! `hallpass status`: which profiles there are, where their secrets lie, until when their tokens last.
//! It opens neither the keychain nor the network, and shows no secret and no token.

use serde_json::{Value, json};

use crate::binding::Binding;
use crate::cache::Cache;
use crate::disk::Directories;
use crate::error::Result;
use crate::message;
use crate::profile::{Profile, ProfileName, SecretSource, TokenEndpoint};
use crate::profiles::{Profiles, from_environment, name_given};
use crate::secrets::keychain;
use crate::token::{CachedToken, Timestamp, login_of};
use crate::variables;

/// List the profiles: endpoint, client, where the secret lies, until when a token is cached
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// This profile alone
    profile: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<String> {
    let directories = Directories::locate()?;
    variables::warn_of_unknown();
    let profiles = Profiles::of(&directories);
    let one = name_given(args.profile.as_deref())?;
    let names = match &one {
        Some(name) => vec![name.clone()],
        None => profiles.names()?,
    };
    let mut found: Vec<_> = names
        .into_iter()
        .map(|name| (profiles.load(&name), name))
        .collect();
    if let (None, Some(described)) = (&one, from_environment()?) {
        found.insert(0, (Ok(described.profile), described.name));
    }
    let mut rows = Vec::new();
    for (profile, name) in found {
        match profile {
            Err(error) if one.is_some() => return Err(error),
            profile => {
                let cache = Cache::of(&directories, &name);
                let login = profile.as_ref().map(login_of);
                let mut tokens = login.map_or_else(|_| Vec::new(), |login| cache.tokens(&login));
                tokens.retain(|token| token.still_works(Timestamp::now()));
                tokens.sort_by_key(|token| token.expires_at);
                rows.push(Row {
                    name,
                    profile,
                    tokens,
                });
            }
        }
    }
    if args.json {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        return Ok(format!("{:#}\n", json!({ "profiles": rows })));
    }
    if rows.is_empty() {
        message::note("there is no profile yet: run `hallpass login`");
    }
    Ok(rows.iter().map(Row::text).collect::<Vec<_>>().join("\n"))
}

struct Row {
    name: ProfileName,
    profile: Result<Profile>,
    tokens: Vec<CachedToken>,
}

impl Row {
    fn text(&self) -> String {
        let mut lines = vec![title(&self.name)];
        let mut line = |title: &str, value: &str| {
            lines.push(format!("  {title:<16}{}", message::clean(value, 2000)));
        };
        match &self.profile {
            Err(error) => line("unusable", &error.to_string()),
            Ok(profile) => {
                line("token endpoint", profile.token_endpoint.as_str());
                if let Some(issuer) = &profile.issuer {
                    line("issuer", issuer);
                }
                line("client id", &profile.client_id);
                line(
                    "authentication",
                    &format!(
                        "{}, {}",
                        profile.client_auth.as_str(),
                        profile.body.as_str()
                    ),
                );
                for (title, value) in [("audience", &profile.audience), ("scope", &profile.scope)] {
                    if let Some(value) = value {
                        line(title, value);
                    }
                }
                for binding in &profile.bindings {
                    line("for", &described(binding));
                }
                line("secret", &secret_place(&profile.secret));
                for token in &self.tokens {
                    let until = token.expires_at.rfc3339();
                    line(
                        "token",
                        &format!(
                            "cached until {until} (fingerprint {})",
                            token.access_token.fingerprint()
                        ),
                    );
                }
                if self.tokens.is_empty() {
                    line("token", "none cached");
                }
            }
        }
        lines.join("\n") + "\n"
    }

    fn json(&self) -> Value {
        match &self.profile {
            Err(error) => {
                json!({ "name": self.name.as_str(), "error": message::clean(&error.to_string(), 2000) })
            }
            Ok(profile) => json!({
                "name": self.name.as_str(),
                "token_endpoint": profile.token_endpoint.as_str(),
                "issuer": profile.issuer,
                "client_id": profile.client_id,
                "client_auth": profile.client_auth.as_str(),
                "body": profile.body.as_str(),
                "audience": profile.audience,
                "scope": profile.scope,
                "resource": profile.resource,
                "for": profile.bindings,
                "revocation_endpoint": profile.revocation_endpoint.as_ref().map(TokenEndpoint::as_str),
                "secret": { "store": profile.secret.kind(), "place": secret_place(&profile.secret) },
                "tokens": self.tokens.iter().map(|token| json!({
                    "fingerprint": token.access_token.fingerprint(),
                    "scope": token.scope,
                    "expires_at": token.expires_at.rfc3339(),
                })).collect::<Vec<_>>(),
            }),
        }
    }
}

/// A binding's URL, and what was said of it besides.
fn described(binding: &Binding) -> String {
    let Binding {
        url,
        username,
        scheme,
    } = binding;
    let mut more = Vec::new();
    more.extend(username.as_ref().map(|name| format!("as the user {name}")));
    more.extend(scheme.map(|scheme| format!("by {}", scheme.as_str())));
    let more = if more.is_empty() {
        String::new()
    } else {
        format!(" ({})", more.join(", "))
    };
    format!("{}{more}", url.as_str())
}

fn title(name: &ProfileName) -> String {
    if name.is_of_environment() {
        "(described by HALLPASS_TOKEN_URL and other variables, for each call)".to_owned()
    } else {
        name.to_string()
    }
}

fn secret_place(source: &SecretSource) -> String {
    match source {
        SecretSource::Keychain { account } => {
            format!("keychain ({}), account {account}", keychain::NAME)
        }
        SecretSource::Kernel { account } => {
            format!("kernel keyring, until this machine restarts, account {account}")
        }
        SecretSource::Credential(name) => format!("credential {name} of systemd"),
        SecretSource::Env(variable) => format!("environment variable {variable}"),
        SecretSource::File(path) => format!("file {}", path.display()),
        SecretSource::Command(words) => format!("command {}", words.join(" ")),
        SecretSource::Shell(line) => format!("shell command {line}"),
    }
}
