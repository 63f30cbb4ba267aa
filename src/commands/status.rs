//! `hallpass status`: which profiles there are, with every setting, where their secrets are, and
//! until when their tokens are valid.
//!
//! It opens neither the keychain nor the network, and shows no secret and no token.

mod text;

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::platform::variables;
use crate::profile::external_key::KeyReference;
use crate::profile::token_request::{Overrides, TokenRequest, login_of};
use crate::profile::{Profile, ProfileName};
use crate::profiles::{self, Profiles, from_environment, name_given};
use crate::secrets;
use crate::types::date::Date;
use crate::types::duration;
use crate::types::token::{CachedToken, Timestamp};
use text::{described, in_agent, secret_place, values};

/// List the profiles: endpoint, client, where the secret is kept, how long the cached token is valid
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Profile [default: `$HALLPASS_PROFILE`, or all profiles]
    profile: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<String> {
    let directories = profiles::directories()?;
    variables::warn_about_unknown();
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
        rows.push(match profile {
            Err(error) if one.is_some() => return Err(error),
            Err(error) => Row::Unusable(name, error),
            Ok(profile) => Row::usable(name, profile, &directories),
        });
    }
    if args.json {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        return Ok(format!("{:#}\n", json!({ "profiles": rows })));
    }
    if rows.is_empty() {
        message::note("no profiles yet");
        message::hint("run `hallpass login` to create one");
    }
    Ok(rows.iter().map(Row::text).collect::<Vec<_>>().join("\n"))
}

enum Row {
    Usable(Box<Usable>),
    Unusable(ProfileName, Error),
}

struct Usable {
    name: ProfileName,
    profile: Profile,
    /// Those that `hallpass token` would print, with how they were requested.
    tokens: Vec<(Overrides, CachedToken)>,
}

impl Row {
    fn usable(name: ProfileName, profile: Profile, directories: &Directories) -> Self {
        let version = secrets::version(&profile);
        // A token of other settings is not used any more, although the login is the same.
        let is_current = |key: &str, overrides: &Overrides| {
            let (scope, audience) = (overrides.scope.as_ref(), overrides.audience.as_deref());
            TokenRequest::new(&name, &profile, scope, audience, version.as_deref()).key() == key
        };
        let cached = Cache::of(directories, &name).tokens(&login_of(&profile));
        let mut tokens: Vec<_> = cached
            .into_iter()
            .filter(|(key, overrides, token)| {
                token.is_unexpired(Timestamp::now()) && is_current(key, overrides)
            })
            .map(|(_, overrides, token)| (overrides, token))
            .collect();
        // The profile's own request first.
        tokens.sort_by_key(|(overrides, token)| (!overrides.is_empty(), token.expires_at));
        Self::Usable(Box::new(Usable {
            name,
            profile,
            tokens,
        }))
    }

    fn text(&self) -> String {
        let (name, lines) = match self {
            Self::Unusable(name, error) => (name, vec![("unusable".to_owned(), error.to_string())]),
            Self::Usable(row) => (&row.name, row.lines()),
        };
        let name = if name.is_from_environment() {
            "environment (HALLPASS_TOKEN_URL)"
        } else {
            name.as_str()
        };
        let mut text = format!("{name}\n");
        for (title, value) in lines {
            let value = message::clean(&value, 2000);
            text.extend(["  ", &format!("{title:<15}"), " ", &value, "\n"]);
        }
        text
    }

    fn json(&self) -> Value {
        match self {
            Self::Unusable(name, error) => json!({
                "name": name.as_str(),
                "error": message::clean(&error.to_string(), 2000),
            }),
            Self::Usable(row) => row.json(),
        }
    }
}

/// The order and titles of settings. Other settings follow, titled by their names in the file.
const TITLES: &[(&str, &str)] = &[
    ("token_endpoint", "token endpoint"),
    ("issuer", "issuer"),
    ("client_id", "client id"),
    ("client_auth", "authentication"),
    ("audience", "audience"),
    ("scope", "scope"),
    ("resource", "resource"),
    ("parameters", "parameter"),
    ("grant_type", "grant type"),
    ("for", "for"),
    ("ca_file", "CA file"),
    ("timeout_seconds", "timeout"),
    ("default_ttl_seconds", "default TTL"),
    ("max_ttl_seconds", "maximum TTL"),
    ("revocation_endpoint", "revocation"),
    ("secret_expires", "secret expires"),
];

/// What is shown in another way, or only of use to hallpass itself.
const NOT_LISTED: &[&str] = &["format", "generation", "body", "secret", "rotation"];

impl Usable {
    /// The settings as the profile's file has them, without the values of headers: they may be secret.
    fn settings(&self) -> Map<String, Value> {
        let Ok(Value::Object(mut settings)) = serde_json::to_value(&self.profile) else {
            return Map::new();
        };
        if let Some(Value::Object(headers)) = settings.get_mut("headers") {
            headers
                .values_mut()
                .for_each(|value| *value = "(hidden)".into());
        }
        settings
    }

    fn lines(&self) -> Vec<(String, String)> {
        let mut settings = self.settings();
        if let Some(Value::Object(mut trust)) = settings.remove("trust") {
            for (name, titled) in [("file", "SSL_CERT_FILE"), ("directories", "SSL_CERT_DIR")] {
                let value = trust.remove(name).unwrap_or_default();
                let value = values(&value).collect::<Vec<_>>().join(":");
                if !value.is_empty() {
                    settings.insert(titled.to_owned(), value.into());
                }
            }
        }
        if let Some(method) = settings.get_mut("client_auth") {
            let body = self.profile.body.as_str();
            *method = format!("{}, {body}", self.profile.client_auth.as_str()).into();
        }
        if let Some(KeyReference::Agent(key)) = &self.profile.certificate_key {
            settings.insert("certificate_key".to_owned(), in_agent(key).into());
        }
        settings.retain(|name, _| !NOT_LISTED.contains(&name.as_str()));
        let mut lines = Vec::new();
        for (name, title) in TITLES {
            let value = settings.remove(*name).unwrap_or_default();
            let value = match (*name, value) {
                (name, Value::Number(seconds)) if name.ends_with("_seconds") => {
                    let seconds = seconds.as_u64().unwrap_or_default();
                    duration::in_words(Duration::from_secs(seconds)).into()
                }
                ("secret_expires", Value::String(_)) => {
                    let date = self.profile.secret_expires;
                    date.map(Date::with_days_left).unwrap_or_default().into()
                }
                (_, value) => value,
            };
            lines.extend(values(&value).map(|value| ((*title).to_owned(), value)));
        }
        for (name, value) in &settings {
            let title = name.replace('_', " ");
            lines.extend(values(value).map(|value| (title.clone(), value)));
        }
        let place = self.profile.secret.as_ref().map(secret_place);
        lines.extend(place.map(|place| ("secret".to_owned(), place)));
        if let Some(previous) = self.profile.previous_secret() {
            let until = previous.expires.map(Date::with_days_left);
            let until = until.map_or_else(String::new, |until| format!(", expires on {until}"));
            let place = format!("{}{until}", secret_place(&previous.secret));
            lines.push(("previous secret".to_owned(), place));
        }
        if self.tokens.is_empty() {
            lines.push(("token".to_owned(), "none cached".to_owned()));
        }
        for (overrides, token) in &self.tokens {
            lines.push(("token".to_owned(), described(overrides, token)));
        }
        lines
    }

    fn json(&self) -> Value {
        let mut row = json!({
            "name": self.name.as_str(),
            "issuer": null,
            "audience": null,
            "scope": null,
            "resource": [],
            "for": [],
            "revocation_endpoint": null,
            "secret_expires": null,
        });
        for (name, value) in self.settings() {
            if !["format", "generation", "rotation"].contains(&name.as_str()) {
                row[name] = value;
            }
        }
        let source = self.profile.secret.as_ref();
        row["secret"] = source.map_or(
            Value::Null,
            |source| json!({ "store": source.kind().as_str(), "place": secret_place(source) }),
        );
        let previous = self.profile.previous_secret();
        row["previous_secret"] = previous.map_or(Value::Null, |previous| {
            let source = &previous.secret;
            json!({ "store": source.kind().as_str(), "place": secret_place(source), "expires": previous.expires })
        });
        let tokens = self.tokens.iter().map(|(overrides, token)| {
            json!({
                "fingerprint": token.access_token.fingerprint(),
                "scope": token.scope,
                "requested_scope": overrides.scope.as_ref().or(self.profile.scope.as_ref()),
                "requested_audience": overrides.audience.as_ref().or(self.profile.audience.as_ref()),
                "expires_at": token.expires_at.rfc3339(),
            })
        });
        row["tokens"] = tokens.collect();
        row
    }
}
