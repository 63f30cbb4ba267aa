//! `hallpass token --inspect`: what is known of a token, without the token itself.

use serde_json::{Map, Value, json};

use super::format::{Format, VERSION};
use crate::commands::credentials::{other_secrets, read_others};
use crate::commands::obtain::{Obtained, TokenOptions};
use crate::error::Result;
use crate::message;
use crate::oauth;
use crate::profile::TokenEndpoint;
use crate::profile::selected::SelectedProfile;
use crate::secrets::{self, WaitLimit};
use crate::types::duration;
use crate::types::jwt::Jwt;
use crate::types::secret::Credential;
use crate::types::token::Timestamp;

/// The claims of RFC 7519 and RFC 9068 in the order in which they are shown, before all others.
const FIRST: [&str; 11] = [
    "active",
    "iss",
    "sub",
    "client_id",
    "azp",
    "aud",
    "scope",
    "scp",
    "exp",
    "nbf",
    "iat",
];

/// The claims that are seconds since 1970.
const MOMENTS: [&str; 4] = ["exp", "nbf", "iat", "auth_time"];

/// What a token is.
pub(super) enum Inspected {
    Jwt(Jwt),
    /// What the server answered about it.
    Introspected(Map<String, Value>),
    /// Only the server knows what it means.
    Opaque,
}

/// What is known of a token. Without `given`, the server is asked only about an opaque token, at the endpoint
/// that its metadata named at the login; that it does not tell is no error then.
///
/// # Errors
/// Why there is no answer from the endpoint that was given.
pub(super) fn inspect(
    given: Option<&TokenEndpoint>,
    selected: &SelectedProfile,
    options: &TokenOptions,
    obtained: &Obtained,
) -> Result<Inspected> {
    if let Some(endpoint) = given {
        return introspect(endpoint, selected, options, obtained);
    }
    let inspected = Inspected::of(obtained);
    match (&inspected, &selected.profile.introspection_endpoint) {
        (Inspected::Opaque, Some(endpoint)) => introspect(endpoint, selected, options, obtained)
            .or_else(|error| {
                message::warning(&format!("nothing more is known of the token: {error}"));
                Ok(inspected)
            }),
        _ => Ok(inspected),
    }
}

/// Asks the server about a token (RFC 7662).
///
/// # Errors
/// Why there is no answer.
fn introspect(
    endpoint: &TokenEndpoint,
    selected: &SelectedProfile,
    options: &TokenOptions,
    obtained: &Obtained,
) -> Result<Inspected> {
    let SelectedProfile { name, profile, .. } = selected;
    let credential = match &options.secret {
        Some(secret) => Credential::Secret(secret.clone()),
        None => secrets::read(name, profile, WaitLimit::Program)?,
    };
    let mut others = read_others(name, profile, WaitLimit::Program)?;
    others.other_secrets = other_secrets(name, profile, profile, WaitLimit::Program);
    let token = &obtained.token.access_token;
    oauth::introspect(endpoint, name, profile, token, &credential, &others)
        .map(Inspected::Introspected)
}

impl Inspected {
    pub(super) fn of(obtained: &Obtained) -> Self {
        Jwt::read(&obtained.token.access_token).map_or(Self::Opaque, Self::Jwt)
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Jwt(Jwt::Signed { .. }) => "jwt",
            Self::Jwt(Jwt::Encrypted { .. }) => "encrypted_jwt",
            Self::Introspected(_) => "introspection",
            Self::Opaque => "opaque",
        }
    }

    pub(super) fn write(&self, obtained: &Obtained, format: Format) -> String {
        match format {
            Format::Json => self.json(obtained),
            _ => self.text(obtained),
        }
    }

    /// The JSON that hallpass-contract(5) and `schema/hallpass-inspect.schema.json` describe.
    fn json(&self, obtained: &Obtained) -> String {
        let token = &obtained.token;
        let mut json = json!({
            "version": VERSION,
            "kind": self.kind(),
            "token_type": token.token_type,
            "expires_at": token.expires_at.rfc3339(),
            "expires_in": token.expires_at.since(Timestamp::now()).as_secs(),
            "scope": obtained.scope(),
            "fingerprint": token.access_token.fingerprint(),
        });
        match self {
            Self::Jwt(Jwt::Signed { header, claims }) => {
                json["header"] = header.clone().into();
                json["claims"] = claims.clone().into();
            }
            Self::Jwt(Jwt::Encrypted { header }) => json["header"] = header.clone().into(),
            Self::Introspected(members) => json["introspection"] = members.clone().into(),
            Self::Opaque => {}
        }
        message::visible_json(json.to_string())
    }

    /// One line for each claim.
    fn text(&self, obtained: &Obtained) -> String {
        let now = Timestamp::now();
        let token = &obtained.token;
        let mut lines = vec![
            (
                "token".to_owned(),
                format!("{}, {}", token.token_type, token.validity(now)),
            ),
            ("fingerprint".to_owned(), token.access_token.fingerprint()),
        ];
        let format = match self {
            Self::Jwt(Jwt::Signed { header, .. }) => format!(
                "JWT, signed with {}; hallpass does not verify it",
                text(&header["alg"])
            ),
            Self::Jwt(Jwt::Encrypted { .. }) => {
                "encrypted JWT: only the API can read its claims".to_owned()
            }
            Self::Introspected(_) => "introspected: this is what the server says".to_owned(),
            Self::Opaque => "opaque: only the server can read it".to_owned(),
        };
        lines.push(("format".to_owned(), format));
        if let Some(scope) = obtained.scope() {
            lines.push(("granted".to_owned(), scope.to_owned()));
        }
        match self {
            Self::Jwt(Jwt::Signed { header, claims }) => {
                let parameters = header.iter().filter(|(name, _)| *name != "alg");
                lines.extend(
                    parameters.map(|(name, value)| (format!("header {name}"), text(value))),
                );
                lines.extend(rows(claims, now));
            }
            Self::Jwt(Jwt::Encrypted { header }) => {
                lines.extend(
                    header
                        .iter()
                        .map(|(name, value)| (format!("header {name}"), text(value))),
                );
            }
            Self::Introspected(members) => lines.extend(rows(members, now)),
            Self::Opaque => {}
        }
        aligned(&lines)
    }
}

fn rows(claims: &Map<String, Value>, now: Timestamp) -> impl Iterator<Item = (String, String)> {
    in_order(claims).map(move |(name, value)| (name.clone(), claim(name, value, now)))
}

/// The well-known claims, then the others by their names.
fn in_order(claims: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let first = FIRST.iter().filter_map(|name| claims.get_key_value(*name));
    let others = claims
        .iter()
        .filter(|(name, _)| !FIRST.contains(&name.as_str()));
    first.chain(others)
}

fn claim(name: &str, value: &Value, now: Timestamp) -> String {
    let moment = MOMENTS.contains(&name).then(|| value.as_f64()).flatten();
    moment.and_then(Timestamp::from_seconds).map_or_else(
        || text(value),
        |moment| {
            let date = moment.date();
            if moment > now {
                format!("{date} (in {})", duration::in_words(moment.since(now)))
            } else {
                format!("{date} ({} ago)", duration::in_words(now.since(moment)))
            }
        },
    )
}

/// A string as it is, a list of strings with commas, and anything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().map(text).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Two columns. Each value has one line, and nothing that a terminal could act on.
fn aligned(lines: &[(String, String)]) -> String {
    let clean = |text: &str| message::clean(text, usize::MAX);
    let cleaned = lines
        .iter()
        .map(|(name, value)| (clean(name), clean(value)));
    let cleaned: Vec<_> = cleaned.collect();
    let width = cleaned
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0)
        .min(24);
    let line =
        |(name, value): &(String, String)| format!("{name:width$}  {value}").trim_end().to_owned();
    cleaned.iter().map(line).collect::<Vec<_>>().join("\n")
}
