//! Where the value of a setting comes from.

use std::fmt;

use super::Usable;
use crate::policy;
use crate::profile::{BodyFormat, Profile};
use crate::profiles::variable_of;

/// The source of a setting's value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::commands) enum Origin {
    /// A login, or a user who edited the profile's file.
    Login,
    /// A preset (`--provider`).
    Preset,
    /// The authorization server's metadata, as the login read it.
    Metadata,
    /// This environment variable.
    Variable(&'static str),
    /// hallpass itself.
    Default,
    /// The policy of this machine.
    Policy,
}

/// As JSON has it.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "login",
            Self::Preset => "preset",
            Self::Metadata => "metadata",
            Self::Variable(name) => name,
            Self::Default => "default",
            Self::Policy => "policy",
        })
    }
}

/// Settings that metadata can give.
const IN_METADATA: &[&str] = &[
    "token_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "client_auth",
    "jwt_algorithm",
];

impl Usable {
    /// The origin of a setting that the profile has, by its name in the profile's file.
    pub(super) fn origin(&self, setting: &str) -> Origin {
        if setting == "share" && policy::current().is_ok_and(|policy| policy.share().is_some()) {
            return Origin::Policy;
        }
        let profile = self.profile();
        let record = if setting == "for" {
            "bindings"
        } else {
            setting
        };
        let is_derived = profile.derived.iter().any(|derived| {
            // Parts are recorded one by one: `parameters.NAME`.
            let part = derived.strip_prefix(record);
            part.is_some_and(|part| part.is_empty() || part.starts_with('.'))
        });
        if is_derived {
            // An MCP server's metadata has the scope, and whether it requires proofs of possession.
            let is_of_mcp = matches!(setting, "scope" | "dpop") && !profile.resource.is_empty();
            let is_in_metadata = IN_METADATA.contains(&setting) || is_of_mcp;
            let has_metadata = profile.issuer.is_some() && is_in_metadata;
            return if has_metadata {
                Origin::Metadata
            } else {
                Origin::Preset
            };
        }
        if self.selected.name.is_from_environment() {
            return variable_of(setting).map_or(Origin::Default, Origin::Variable);
        }
        // The only variable that counts for stored profiles, too.
        if setting == "cache"
            && let Some(variable) = variable_of(setting)
        {
            return Origin::Variable(variable);
        }
        if self.has_default(setting) {
            return Origin::Default;
        }
        Origin::Login
    }

    /// Whether a profile's file does not say more than hallpass does without it.
    fn has_default(&self, setting: &str) -> bool {
        let profile = self.profile();
        match setting {
            "body" => profile.body == BodyFormat::default(),
            "timeout_seconds" => profile.timeout_seconds.is_none(),
            "default_ttl_seconds" => profile.default_ttl_seconds.is_none(),
            "cache" => profile.cache.is_none(),
            "max_ttl_seconds" => profile.max_ttl_seconds.is_none(),
            _ => false,
        }
    }
}

/// The settings that have a value even if the profile does not: their names, and the values in seconds.
pub(super) fn defaults(profile: &Profile) -> [(&'static str, u64); 3] {
    [
        ("timeout_seconds", profile.timeout().as_secs()),
        ("default_ttl_seconds", profile.default_ttl().as_secs()),
        ("max_ttl_seconds", profile.max_ttl().as_secs()),
    ]
}
