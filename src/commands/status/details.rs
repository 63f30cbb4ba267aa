//! Everything about one profile, for people: a line for each setting, token and check.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Usable;
use super::origin::{Origin, defaults};
use super::text::{described, in_agent, secret_place, values};
use crate::commands::setup::tilde;
use crate::message;
use crate::platform::Screen;
use crate::profile::SecretSource;
use crate::profile::external_key::KeyReference;
use crate::types::date::Date;
use crate::types::duration;
use crate::types::token::Timestamp;

/// The order and titles of settings. Other settings follow, titled by their names in the file.
const TITLES: &[(&str, &str)] = &[
    ("token_endpoint", "token endpoint"),
    ("issuer", "issuer"),
    ("client_id", "client id"),
    ("client_auth", "authentication"),
    ("dpop", "DPoP"),
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
    ("introspection_endpoint", "introspection"),
    ("secret_expires", "secret expires"),
    ("share", "shared cache"),
];

/// What is shown in another way, or only of use to hallpass itself.
const NOT_LISTED: &[&str] = &[
    "format",
    "generation",
    "body",
    "secret",
    "trust",
    "derived",
    "removed",
    "rotation",
    "cache",
];

/// The longest value that is shown, in characters.
const VALUE_LIMIT: usize = 2000;

/// The profile's name, then the lines, each with its title.
pub(super) fn text(row: &Usable, screen: Option<Screen>) -> String {
    let is_bold = screen.is_some_and(|screen| screen.has_color);
    let name = row.name();
    let mut text = if is_bold {
        message::bold(name)
    } else {
        name.to_owned()
    };
    text.push('\n');
    for (title, value) in row.lines() {
        let value = message::clean(&value, VALUE_LIMIT);
        text.extend(["  ", &format!("{title:<15}"), " ", &value, "\n"]);
    }
    text
}

/// What follows a value, if it does not come from a login.
fn suffix(origin: Origin) -> String {
    match origin {
        Origin::Login => String::new(),
        Origin::Preset => " (from the preset)".to_owned(),
        Origin::Metadata => " (from the server's metadata)".to_owned(),
        Origin::Variable(name) => format!(" ({name})"),
        Origin::Default => " (default)".to_owned(),
        Origin::Policy => " (fixed by policy)".to_owned(),
    }
}

impl Usable {
    /// The settings as the profile's file has them, without the values of headers: they may be secret.
    pub(super) fn settings(&self) -> Map<String, Value> {
        let Ok(Value::Object(mut settings)) = serde_json::to_value(self.profile()) else {
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
        let profile = self.profile();
        let file = self
            .file
            .iter()
            .map(|file| ("settings".to_owned(), tilde(file)));
        let mut lines: Vec<_> = file.chain(self.setting_lines()).collect();
        if let Some(secret) = &profile.secret {
            let place = secret_place(secret) + &self.secret_suffix();
            lines.push(("secret".to_owned(), place));
        }
        if let Some(previous) = profile.previous_secret() {
            let until = previous.expires.map(Date::with_days_left);
            let until = until.map_or_else(String::new, |until| format!(", expires on {until}"));
            let place = secret_place(&previous.secret);
            let name = &self.selected.name;
            let place = format!("{place}{until}, kept until `hallpass rotate {name} --finish`");
            lines.push(("previous secret".to_owned(), place));
        }
        let cache = match self.protection() {
            Ok(protection) => format!("{protection}{}", suffix(self.origin("cache"))),
            Err(error) => error.to_string(),
        };
        lines.push(("cache".to_owned(), cache));
        if self.tokens.is_empty() {
            lines.push(("token".to_owned(), "none cached".to_owned()));
        }
        for (overrides, token) in &self.tokens {
            lines.push(("token".to_owned(), described(profile, overrides, token)));
        }
        let check = self.check.as_ref().map(|check| match check {
            Ok(checked) => {
                let which = if checked.is_of_previous_secret {
                    " with the previous secret only, not with the new one"
                } else {
                    ""
                };
                let validity = checked.token.validity(Timestamp::now());
                format!("ok: the server issued a token{which}, {validity}")
            }
            Err(_) => "failed".to_owned(),
        });
        lines.extend(check.map(|check| ("check".to_owned(), check)));
        lines
    }

    /// The variable with the secret is named there already.
    fn secret_suffix(&self) -> String {
        match self.origin("secret") {
            Origin::Variable("HALLPASS_CLIENT_SECRET") | Origin::Default => String::new(),
            origin => suffix(origin),
        }
    }

    fn setting_lines(&self) -> Vec<(String, String)> {
        let mut settings = self.shown_settings();
        let mut lines = Vec::new();
        let mut add = |name: &str, title: &str, value: &Value| {
            // The title of what `trust` records is its origin already.
            let is_variable = name.starts_with("SSL_CERT_");
            let origin = Some(name).filter(|_| !is_variable);
            let origin = origin.map_or(String::new(), |name| suffix(self.origin(name)));
            lines.extend(values(value).map(|value| (title.to_owned(), value + &origin)));
        };
        for (name, title) in TITLES {
            let value = settings.remove(*name).unwrap_or_default();
            add(name, title, &value);
        }
        for (name, value) in &settings {
            let is_variable = name.starts_with("SSL_CERT_");
            let title = if is_variable {
                name.clone()
            } else {
                name.replace('_', " ")
            };
            add(name, &title, value);
        }
        lines
    }

    /// The settings as people read them.
    fn shown_settings(&self) -> Map<String, Value> {
        let profile = self.profile();
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
            let body = profile.body.as_str();
            *method = format!("{}, {body}", profile.client_auth.as_str()).into();
        }
        if let Some(KeyReference::Agent(key)) = &profile.certificate_key {
            settings.insert("certificate_key".to_owned(), in_agent(key).into());
        }
        if let Some(dpop) = &profile.dpop {
            let key = dpop.key.as_ref().map(in_agent);
            let key = key.unwrap_or_else(|| "a key for each token, in the cache".to_owned());
            settings.insert("dpop".to_owned(), key.into());
        }
        if let Some(share) = &profile.share {
            let user = share.user.as_ref();
            let user = user.map_or(String::new(), |user| format!(", user {user}"));
            let state = match (profile.is_not_shared_because(), &self.share_problem) {
                (Some(reason), _) => format!(", not used: {reason}"),
                (None, Some(problem)) => format!(", last problem: {problem}"),
                (None, None) => String::new(),
            };
            let shown = format!("{}{user}{state}", share.url.as_str());
            settings.insert("share".to_owned(), shown.into());
        }
        if profile.share.is_none() && self.origin("share") == Origin::Policy {
            settings.insert("share".to_owned(), "none".into());
        }
        if let Some(identity) = &profile.identity {
            let shown = format!("{}, as {}", identity.source, identity.role.as_str());
            settings.insert("identity".to_owned(), shown.into());
        }
        if let Some(headers) = &profile.secret_headers {
            settings.remove("secret_headers");
            let place = secret_place(&SecretSource::kept(headers.item.clone()));
            let shown = headers.names.iter().map(|name| format!("{name}, {place}"));
            settings.insert("secret_header".to_owned(), shown.collect());
        }
        if let Some(date) = profile.secret_expires {
            settings.insert("secret_expires".to_owned(), date.with_days_left().into());
        }
        for (name, seconds) in defaults(profile) {
            let shown = duration::in_words(Duration::from_secs(seconds));
            settings.insert(name.to_owned(), shown.into());
        }
        settings.retain(|name, _| !NOT_LISTED.contains(&name.as_str()));
        settings
    }
}
