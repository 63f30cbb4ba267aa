//! A profile's settings as variables, for machines where nobody logs in.

use serde_json::Value;

use super::escape;
use crate::error::{Error, Result};
use crate::profile::identity::{Identity, IdentitySource};
use crate::profile::{CredentialKind, Profile, ProfileName};

/// Where a setting is in a profile, and its variable.
const VARIABLES: &[(&str, &str)] = &[
    ("/token_endpoint", "HALLPASS_TOKEN_URL"),
    ("/client_id", "HALLPASS_CLIENT_ID"),
    ("/client_auth", "HALLPASS_AUTH"),
    ("/basic_encoding", "HALLPASS_BASIC_ENCODING"),
    ("/body", "HALLPASS_BODY"),
    ("/token_type", "HALLPASS_TOKEN_TYPE"),
    ("/grant_type", "HALLPASS_GRANT_TYPE"),
    ("/audience", "HALLPASS_AUDIENCE"),
    ("/scope", "HALLPASS_SCOPE"),
    ("/resource", "HALLPASS_RESOURCE"),
    ("/parameters", "HALLPASS_PARAM"),
    ("/headers", "HALLPASS_HEADER"),
    ("/tls_max", "HALLPASS_TLS_MAX"),
    ("/share/url", "HALLPASS_SHARE"),
    ("/timeout_seconds", "HALLPASS_TIMEOUT"),
    ("/default_ttl_seconds", "HALLPASS_DEFAULT_TTL"),
    ("/max_ttl_seconds", "HALLPASS_MAX_TTL"),
    ("/cache", "HALLPASS_CACHE"),
    ("/identity/as", "HALLPASS_IDENTITY_AS"),
    ("/identity/assertion_type", "HALLPASS_ASSERTION_TYPE"),
    (
        "/identity/subject_token_type",
        "HALLPASS_SUBJECT_TOKEN_TYPE",
    ),
];

/// What a profile has besides. The others are files and keys, which are elsewhere on another machine.
const NOT_NEEDED: &[&str] = &[
    "format",
    "generation",
    "dpop",
    "identity",
    "for",
    "issuer",
    "revocation_endpoint",
    "introspection_endpoint",
    "trust",
    "secret",
    "secret_expires",
    "share",
    "rotation",
    "derived",
    "removed",
];

/// The variables that describe a profile.
#[derive(Default)]
pub(super) struct Variables {
    profile: Option<ProfileName>,
    /// `NAME=value`, without the credential.
    settings: Vec<String>,
    identity: Option<Identity>,
    has_secret: bool,
    /// A setting that has no variable here.
    without: Option<String>,
}

impl Variables {
    pub(super) fn of(name: &ProfileName, profile: &Profile) -> Self {
        let members = serde_json::to_value(profile).unwrap_or_default();
        let has_secret = profile.client_auth.credential() == CredentialKind::Secret;
        // With an identity and no secret, hallpass chooses the method.
        let has_variable = |variable: &str| variable != "HALLPASS_AUTH" || has_secret;
        let known = VARIABLES.iter().filter(|(_, it)| has_variable(it));
        let settings = known.filter_map(|(place, variable)| {
            let value = text(members.pointer(place)?)?;
            Some(format!("{variable}={value}"))
        });
        let names = members.as_object().into_iter().flat_map(|it| it.keys());
        let is_known = |name: &str| {
            let mut places = VARIABLES.iter().filter_map(|(it, _)| it.strip_prefix('/'));
            NOT_NEEDED.contains(&name) || places.any(|place| place == name)
        };
        let mut names = names.filter(|name| !is_known(name));
        Self {
            profile: Some(name.clone()),
            settings: settings.collect(),
            identity: profile.identity.clone(),
            has_secret,
            without: names.next().cloned(),
        }
    }

    /// # Errors
    /// `Usage` if the profile has a file or a key.
    fn settings(&self) -> Result<Vec<String>> {
        let Some(setting) = &self.without else {
            return Ok(self.settings.clone());
        };
        let profile = match &self.profile {
            Some(name) if !name.is_from_environment() => format!("profile {name}"),
            _ => "the profile of the environment".to_owned(),
        };
        let fault = format!("{profile} has a setting that this recipe cannot carry: {setting}");
        Err(Error::usage(fault)
            .hint("`man hallpass` has the variables for files and keys, under ENVIRONMENT"))
    }

    fn with_identity(&self, source: impl Fn(&Identity) -> String) -> Result<Vec<String>> {
        let mut settings = self.settings()?;
        if let Some(identity) = &self.identity {
            settings.push(format!("HALLPASS_IDENTITY={}", source(identity)));
        }
        Ok(settings)
    }

    /// On this machine.
    pub(super) fn here(&self) -> Result<Vec<String>> {
        let mut settings = self.with_identity(|identity| identity.source.to_string())?;
        if self.has_secret {
            settings.push("HALLPASS_CLIENT_SECRET_FILE=FILE".to_owned());
        }
        Ok(settings)
    }

    pub(super) fn in_github(&self) -> Result<Vec<String>> {
        self.with_identity(|identity| match &identity.source {
            IdentitySource::Github(audience) => format!("github:{audience}"),
            _ => "github:AUDIENCE".to_owned(),
        })
    }

    /// What else the job has.
    pub(super) fn github_permissions(&self) -> &'static str {
        match self.identity {
            Some(_) => "permissions: {id-token: write}\n",
            None => "",
        }
    }

    /// What else the step has.
    pub(super) fn github_secret(&self) -> &'static str {
        if self.has_secret {
            "  env:\n    HALLPASS_CLIENT_SECRET: ${{ secrets.HALLPASS_CLIENT_SECRET }}\n"
        } else {
            ""
        }
    }

    pub(super) fn in_gitlab(&self) -> Result<Vec<String>> {
        self.with_identity(|identity| format!("env:{}", id_token(identity)))
    }

    /// What else the job has.
    pub(super) fn gitlab_id_tokens(&self) -> String {
        let tokens = self.identity.as_ref().map(|identity| {
            let name = escape::json(id_token(identity));
            format!("  id_tokens: {{{name}: {{\"aud\": \"AUDIENCE\"}}}}\n")
        });
        tokens.unwrap_or_default()
    }
}

/// GitLab puts it into this variable.
fn id_token(identity: &Identity) -> &str {
    match &identity.source {
        IdentitySource::Env(name) => name,
        _ => "ID_TOKEN",
    }
}

/// A list is one text with spaces between, and names with values have a line each.
fn text(value: &Value) -> Option<String> {
    let line = |(name, value): (&String, &Value)| Some(format!("{name}={}", value.as_str()?));
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(texts) => {
            let texts: Vec<_> = texts.iter().filter_map(Value::as_str).collect();
            Some(texts.join(" "))
        }
        Value::Object(members) => {
            let lines: Vec<_> = members.iter().filter_map(line).collect();
            Some(lines.join("\n"))
        }
        _ => None,
    }
    .filter(|text| !text.is_empty())
}
