//! `--json`: everything about the profiles, for programs. `schema/hallpass-status.schema.json` describes it.

use serde_json::{Map, Value, json};

use super::origin::defaults;
use super::text::secret_place;
use super::{Row, SettingOf, Usable};
use crate::commands::obtain::Checked;
use crate::error::Error;
use crate::message;
use crate::profile::token_request::Overrides;
use crate::profile::{ProfileName, SecretSource};
use crate::types::token::{CachedToken, Timestamp};

/// A later version may have more members, but these stay as they are.
const VERSION: u32 = 1;

/// The longest message, in characters.
const MESSAGE_LIMIT: usize = 2000;

/// Settings that every profile has here, null if it has no value.
const NULL: &[&str] = &[
    "client_id",
    "issuer",
    "audience",
    "scope",
    "grant_type",
    "token_type",
    "revocation_endpoint",
    "introspection_endpoint",
    "ca_file",
    "identity",
    "assertion",
    "certificate",
    "certificate_key",
    "encrypted_key",
    "secret_expires",
    "secret_headers",
    "share",
    "agent_socket",
    "dpop",
    "tls_max",
    "cache",
    "trust",
];

/// What the profile's file has for hallpass itself.
const INTERNAL: &[&str] = &["format", "generation", "derived", "removed", "rotation"];

/// With the profile that `hallpass token` would use.
pub(super) fn json(rows: &[Row], selected: Option<&ProfileName>) -> String {
    let rows: Vec<_> = rows.iter().map(Row::json).collect();
    let selected = selected.map(ProfileName::as_str);
    format!(
        "{:#}\n",
        json!({ "version": VERSION, "profiles": rows, "selected": selected })
    )
}

/// A secret, by where it is.
fn place(source: &SecretSource) -> Value {
    json!({ "store": source.kind().as_str(), "place": secret_place(source) })
}

/// An error, as a member of the output.
fn failure(error: &Error) -> Value {
    let clean = |text: &str| message::clean(text, MESSAGE_LIMIT);
    let hints = error.hints.iter().map(|hint| clean(hint));
    json!({
        "error": clean(&error.to_string()),
        "hints": hints.collect::<Vec<_>>(),
        "exit_code": error.kind.exit_code(),
    })
}

impl Row {
    fn json(&self) -> Value {
        match self {
            Self::Unusable(name, error) => {
                let mut row = failure(error);
                row["name"] = name.as_str().into();
                row
            }
            Self::Usable(row) => row.json(),
        }
    }
}

impl Usable {
    /// As `--json` has them, without those that have no value.
    pub(super) fn listed_settings(&self) -> Vec<SettingOf> {
        let profile = self.profile();
        let mut settings = self.settings();
        for (name, seconds) in defaults(profile) {
            settings.insert(name.to_owned(), seconds.into());
        }
        if let Some(secret) = &profile.secret {
            settings.insert("secret".to_owned(), place(secret));
        }
        settings.retain(|name, _| !INTERNAL.contains(&name.as_str()));
        let settings = settings.into_iter();
        let setting = |(name, value): (String, Value)| SettingOf {
            origin: self.origin(&name),
            name,
            value,
        };
        settings.map(setting).collect()
    }

    fn json(&self) -> Value {
        let profile = self.profile();
        let mut row = json!({
            "name": self.selected.name.as_str(),
            "file": self.file,
            "is_default": self.is_default,
            "resource": [],
            "parameters": {},
            "headers": {},
            "for": [],
            "basic_encoding": profile.basic_encoding,
        });
        for name in NULL {
            row[name] = Value::Null;
        }
        let mut origins = Map::new();
        for (name, seconds) in defaults(profile) {
            row[name] = seconds.into();
            origins.insert(name.to_owned(), self.origin(name).to_string().into());
        }
        for (name, value) in self.settings() {
            if !INTERNAL.contains(&name.as_str()) {
                origins.insert(name.clone(), self.origin(&name).to_string().into());
                row[name] = value;
            }
        }
        let origin = self.origin("cache").to_string();
        origins.insert("cache".to_owned(), origin.into());
        if profile.share.is_some() {
            row["share"]["problem"] = self.share_problem.clone().into();
        }
        row["origins"] = origins.into();
        row["cache_protection"] = match self.protection() {
            Ok(it) => json!({ "form": it.form, "reason": it.reason }),
            Err(error) => failure(&error),
        };
        row["secret"] = profile.secret.as_ref().map_or(Value::Null, place);
        let previous = profile.previous_secret();
        row["previous_secret"] = previous.map_or(Value::Null, |previous| {
            let mut member = place(&previous.secret);
            member["expires"] = json!(previous.expires);
            member
        });
        let tokens = self.tokens.iter();
        let tokens = tokens.map(|(overrides, token)| self.token(overrides, token));
        row["tokens"] = tokens.collect();
        row["check"] = match &self.check {
            None => Value::Null,
            Some(Ok(Checked {
                token,
                is_of_previous_secret,
                ..
            })) => json!({
                "ok": true,
                "secret": if *is_of_previous_secret { "previous" } else { "current" },
                "scope": token.scope,
                "expires_at": token.expires_at.rfc3339(),
                "expires_in": token.expires_at.since(Timestamp::now()).as_secs(),
            }),
            Some(Err(error)) => {
                let mut check = failure(error);
                check["ok"] = false.into();
                check
            }
        };
        row
    }

    fn token(&self, overrides: &Overrides, token: &CachedToken) -> Value {
        let profile = self.profile();
        json!({
            "fingerprint": token.access_token.fingerprint(),
            "token_type": token.token_type,
            "is_default": overrides.is_empty(),
            "scope": token.scope,
            "requested_scope": overrides.scope.as_ref().or(profile.scope.as_ref()),
            "requested_audience": overrides.audience.as_ref().or(profile.audience.as_ref()),
            "expires_at": token.expires_at.rfc3339(),
            "expires_in": token.expires_at.since(Timestamp::now()).as_secs(),
        })
    }
}
