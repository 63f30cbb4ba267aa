//! A token request: every input that changes the response.

use serde::{Deserialize, Serialize};

use super::identity::SubjectTokenType;
use super::{Profile, ProfileName};
use crate::types::checked_text::Scope;
use crate::types::digest::Digest;

/// The grant type of RFC 6749 §4.4.
pub(crate) const CLIENT_CREDENTIALS: &str = "client_credentials";

/// Every input that changes the response. Only equal requests may share a token.
#[derive(Clone, Debug)]
pub(crate) struct TokenRequest {
    /// As sent (RFC 6749 §4.4.2), without the client's authentication.
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) scope: Option<Scope>,
    pub(crate) overrides: Overrides,
    key: String,
    login: String,
}

/// What a caller requests instead of the profile's settings.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Overrides {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<Scope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) audience: Option<String>,
}

impl Overrides {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The login and the token endpoint that a token comes from. If the profile was replaced or edited
/// since, its tokens must not be used with the new server.
pub(crate) fn login_of(profile: &Profile) -> String {
    [&profile.generation, " ", profile.token_endpoint.as_str()].concat()
}

/// Adds the settings that few profiles have. Without them they cost nothing.
fn add_rare_settings(mut key: Digest, profile: &Profile) -> Digest {
    if let Some(file) = &profile.ca_file {
        key = key.field("CA file").field(file.to_string_lossy().as_ref());
    }
    if let Some(assertion) = &profile.assertion {
        let claims = assertion.claims.iter();
        let claims = claims.flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        key = key
            .field(&assertion.audience)
            .optional(assertion.key_id.as_deref())
            .fields(claims.collect::<Vec<_>>().into_iter());
    }
    if let Some(identity) = &profile.identity {
        let token_type = identity.subject_token_type.as_ref();
        key = key
            .field("identity")
            .field(identity.role.as_str())
            .field(identity.assertion_type.as_str())
            .optional(token_type.map(SubjectTokenType::as_str));
    }
    if let Some(certificate) = &profile.certificate {
        key = key.field(certificate.to_string_lossy().as_ref());
    }
    if let Some(dpop) = &profile.dpop {
        let agent_key = dpop.key.as_ref();
        key = key.field("DPoP").optional(agent_key.map(|key| &key.name));
    }
    if !profile.headers.is_empty() {
        let headers = profile.headers.iter();
        let headers: Vec<_> = headers.flat_map(|(name, value)| [name, value]).collect();
        key = key.field("headers").fields(headers.into_iter());
    }
    key
}

impl TokenRequest {
    /// The profile's own request, or one for another scope or audience.
    ///
    /// `secret_version` is what the place where the secret lies tells of its content without
    /// opening it: another secret is another client, as far as its tokens go.
    pub(crate) fn new(
        name: &ProfileName,
        profile: &Profile,
        scope: Option<&Scope>,
        audience: Option<&str>,
        secret_version: Option<&str>,
    ) -> Self {
        let overrides = Overrides {
            scope: scope.cloned(),
            audience: audience.map(str::to_owned),
        };
        // A profile that was edited may hold what a login never writes: nothing is sent empty.
        let given = |text: &&str| !text.is_empty();
        let scope = scope.or(profile.scope.as_ref());
        let audience = audience.or(profile.audience.as_deref()).filter(given);
        let grant_type = profile.grant_type.as_deref().filter(given);
        let mut parameters = vec![(
            "grant_type",
            grant_type.unwrap_or(profile.default_grant_type()),
        )];
        parameters.extend(scope.map(|scope| ("scope", scope.as_str())));
        parameters.extend(audience.map(|audience| ("audience", audience)));
        parameters.extend(
            profile
                .resource
                .iter()
                .map(|resource| ("resource", resource.as_str())),
        );
        parameters.extend(
            profile
                .parameters
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        parameters.retain(|(_, value)| !value.is_empty());
        let login = login_of(profile);
        // Few and short fields: SHA-256 of them is a third of what a cached token costs.
        let key = Digest::of("hallpass token request 2")
            .field(name.as_str())
            .field(&login)
            .field(profile.client_id())
            .field([profile.client_auth.as_str(), " ", profile.body.as_str()].concat())
            .field(secret_version.unwrap_or_default())
            .fields(
                parameters
                    .iter()
                    .flat_map(|(name, value)| [*name, *value])
                    .collect::<Vec<_>>()
                    .into_iter(),
            );
        let key = add_rare_settings(key, profile).hex();
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            scope: scope.cloned(),
            overrides,
            parameters: parameters.into_iter().map(owned).collect(),
            key,
            login,
        }
    }

    /// Names the cache entry: 64 hexadecimal digits.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// See [`login_of`].
    pub(crate) fn login(&self) -> &str {
        &self.login
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;
    use crate::profile::ParameterName;
    use crate::types::checked_text::{ClientId, Resource};

    #[test]
    fn every_input_that_changes_the_response_changes_the_key() {
        let key = |scope: Option<&str>, audience, version, change: fn(&mut Profile)| {
            let scope = scope.map(|scope| Scope::parse(scope).expect("a scope"));
            let mut profile = profile::example();
            change(&mut profile);
            let name = ProfileName::parse("p").expect("a good name");
            TokenRequest::new(&name, &profile, scope.as_ref(), audience, version)
                .key()
                .to_owned()
        };
        let keys = [
            key(None, None, None, |_| ()),
            key(Some("a"), None, None, |_| ()),
            key(None, Some("a"), None, |_| ()),
            key(None, None, Some("a"), |_| ()),
            key(None, None, None, |p| p.generation.push('0')),
            key(None, None, None, |p| p.ca_file = Some("/ca.pem".into())),
            key(None, None, None, |p| p.dpop = Some(Box::default())),
            key(None, None, None, |p| {
                p.client_id = ClientId::parse("other").ok();
            }),
            key(None, None, None, |p| {
                p.resource.extend(Resource::parse("urn:a"));
            }),
            key(None, None, None, |p| {
                let name = ParameterName::parse("a").expect("a parameter's name");
                p.parameters = [(name, "b".to_owned())].into();
            }),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        let own_audience = profile::example().audience;
        assert_eq!(key(None, own_audience.as_deref(), None, |_| ()), keys[0]);
    }
}
