//! The profile: everything about one client at one authorization server but its secret.

mod assertion;
pub(crate) mod binding;
mod cache_mode;
mod client_auth;
mod dpop;
pub(crate) mod external_key;
mod extra;
pub(crate) mod headers;
pub(crate) mod identity;
mod profile_name;
mod renewal;
pub(crate) mod rotation;
pub(crate) mod secret_source;
pub(crate) mod selected;
pub(crate) mod settings;
pub(crate) mod share;
mod token_endpoint;
pub(crate) mod token_request;
pub(crate) mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

pub(crate) use assertion::{ASSERTION_TYPE, Assertion, CertificateHeader, JwtAlgorithm};
use binding::Binding;
pub(crate) use cache_mode::CacheMode;
pub(crate) use client_auth::{BasicEncoding, ClientAuth, CredentialKind};
pub(crate) use dpop::Dpop;
use external_key::{AgentKey, KeyReference};
pub(crate) use extra::{ClaimName, ParameterName, ReservedParameter};
use headers::{Headers, SecretHeaders};
use identity::{Identity, IdentityRole};
pub(crate) use profile_name::{INSPECT, ProfileName};
use rotation::Rotation;
pub(crate) use secret_source::{Item, SecretSource, SourceKind, Store};
use share::{Share, ShareSecret};
pub(crate) use token_endpoint::TokenEndpoint;
use trust::RecordedTrust;

use crate::types::checked_text::{ClientId, Resource, Scope};
use crate::types::choice::choice;
use crate::types::date::Date;
use crate::types::digest::Digest;
use crate::types::seconds::{Lifetime, Timeout};

/// The only format that this version writes and reads.
pub(crate) const FORMAT: u32 = 1;

/// The end of the account name of the item that has the secret headers.
pub(crate) const HEADERS_SUFFIX: &str = ":headers";

/// How long a token request may take when the profile does not say.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a token without `expires_in` is cached, if the profile does not say.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);

/// The longest time that a token is kept, when the profile does not say.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// One client's settings, as one JSON file holds them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) format: u32,
    /// Random, new with every login: the items and tokens of two logins have different names.
    pub(crate) generation: String,
    pub(crate) token_endpoint: TokenEndpoint,
    /// None if an identity token says which client it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<ClientId>,
    pub(crate) client_auth: ClientAuth,
    /// What the client presents instead of a secret, or in addition to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<Identity>,
    /// How Basic credentials are written.
    #[serde(default, skip_serializing_if = "BasicEncoding::is_percent")]
    pub(crate) basic_encoding: BasicEncoding,
    /// How assertions are made: with `client_secret_jwt` and `private_key_jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assertion: Option<Assertion>,
    /// The PEM certificate that the client presents in the TLS handshake (RFC 8705).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    /// The certificate's private key, where the client authenticates with something else in the
    /// request (RFC 8705 §3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_key: Option<KeyReference>,
    /// The socket of the ssh-agent that has the keys. None means the one that the environment names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent_socket: Option<PathBuf>,
    /// The newest version of TLS that may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls_max: Option<TlsVersion>,
    /// An encrypted private key: then the secret is its passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) encrypted_key: Option<PathBuf>,
    /// The tokens are bound to a key (RFC 9449).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dpop: Option<Box<Dpop>>,
    #[serde(default)]
    pub(crate) body: BodyFormat,
    /// Overrides the response's `token_type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_type: Option<TokenType>,
    /// Instead of `client_credentials` (Zoom).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grant_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) audience: Option<String>,
    #[serde(
        default,
        deserialize_with = "scope",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) scope: Option<Scope>,
    /// RFC 8707.
    #[serde(
        default,
        deserialize_with = "resources",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) resource: Vec<Resource>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) parameters: BTreeMap<ParameterName, String>,
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub(crate) headers: Headers,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret_headers: Option<SecretHeaders>,
    /// The URLs that this profile's tokens are meant for.
    #[serde(default, rename = "for", skip_serializing_if = "Vec::is_empty")]
    pub(crate) bindings: Vec<Binding>,
    /// The issuer whose metadata named the endpoints at login (RFC 8414).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    /// RFC 7009. It is sent the client secret too, so it obeys the token endpoint's rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revocation_endpoint: Option<TokenEndpoint>,
    /// RFC 7662. It is sent the client secret too, so it is at the token endpoint's server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) introspection_endpoint: Option<TokenEndpoint>,
    /// PEM CA certificates that are trusted in addition to the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// What else was trusted at the login. Empty for a profile of version 0.1.0.
    #[serde(default, skip_serializing_if = "RecordedTrust::is_empty")]
    pub(crate) trust: RecordedTrust,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_seconds: Option<Timeout>,
    /// How long a token without `expires_in` is cached, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) default_ttl_seconds: Option<Lifetime>,
    /// The longest time that a token is kept, whatever the server promises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_ttl_seconds: Option<Lifetime>,
    /// How the tokens are cached, if the environment does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cache: Option<CacheMode>,
    /// Where the client secret is, or the private key, or the passphrase of the encrypted key.
    /// None if the client has no credential of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<SecretSource>,
    /// The day on which the server stops accepting it, if the user gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret_expires: Option<Date>,
    /// None if the secret is still the one of the login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotation: Option<Box<Rotation>>,
    /// The shared cache of a fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) share: Option<Box<Share>>,
    /// The settings that came from a preset or from metadata: a later login may renew these.
    #[serde(
        default,
        deserialize_with = "records",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) derived: Vec<String>,
    /// The settings that the user removed, although a preset or metadata has a value: a later login
    /// does not bring them back.
    #[serde(
        default,
        deserialize_with = "records",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) removed: Vec<String>,
}

/// A list of settings' names. Only a login uses it, so anything else in a file that was edited is ignored.
fn records<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<String>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let names = value.as_array().into_iter().flatten();
    let names = names.filter_map(serde_json::Value::as_str);
    Ok(names.map(str::to_owned).collect())
}

/// As [`scope`], for each resource.
fn resources<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<Resource>, D::Error> {
    let resources = Vec::<String>::deserialize(deserializer)?.into_iter();
    let resources = resources.filter(|resource| !resource.is_empty());
    let resources: std::result::Result<_, _> = resources.map(Resource::try_from).collect();
    resources.map_err(serde::de::Error::custom)
}

/// A file that was edited may have an empty scope, which means none.
fn scope<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Scope>, D::Error> {
    let scope = Option::<String>::deserialize(deserializer)?;
    let scope = scope.filter(|scope| !scope.is_empty());
    let scope = scope.map(Scope::try_from).transpose();
    scope.map_err(serde::de::Error::custom)
}

impl Profile {
    /// Why its tokens are of no use to other machines. None if a shared cache may have them.
    pub(crate) fn is_not_shared_because(&self) -> Option<&'static str> {
        let identity = self.identity.as_ref();
        let role = identity.map(|identity| identity.role);
        if self.dpop.is_some() {
            Some("its tokens are bound to a key of this machine (DPoP)")
        } else if role.is_some_and(|role| role != IdentityRole::ClientAssertion) {
            Some("its tokens are for the identity that this machine presents")
        } else if role.is_some() && self.client_id.is_none() {
            Some("an identity token says which client it is")
        } else {
            None
        }
    }

    /// The shared cache that its tokens may be in.
    pub(crate) fn shared_cache(&self) -> Option<&Share> {
        let share = self.share.as_deref()?;
        let has_key = share.key.is_some() || self.has_client_secret();
        (has_key && self.is_not_shared_because().is_none()).then_some(share)
    }

    /// Whether the client has a secret that all its machines have.
    pub(crate) fn has_client_secret(&self) -> bool {
        self.secret.is_some() && !self.client_auth.has_key()
    }

    /// The environment variables that have a secret of this profile.
    pub(crate) fn secret_variables(&self) -> impl Iterator<Item = &str> {
        let own = match &self.secret {
            Some(SecretSource::Env(name)) => Some(name.as_str()),
            _ => None,
        };
        let share = self.share.iter();
        let shared = share.flat_map(|share| [&share.password, &share.key]);
        let shared = shared.flatten().filter_map(ShareSecret::variable);
        own.into_iter().chain(shared)
    }

    /// The client ID, or an empty text.
    pub(crate) fn client_id(&self) -> &str {
        self.client_id.as_ref().map_or("", ClientId::as_str)
    }

    /// The client ID, for people.
    pub(crate) fn client(&self) -> String {
        let client_id = self.client_id.as_ref().map(ToString::to_string);
        client_id.unwrap_or_else(|| "without an ID".to_owned())
    }

    /// Whether another program holds the private key and signs.
    pub(crate) fn has_external_key(&self) -> bool {
        self.secret.as_ref().is_some_and(SecretSource::is_external)
    }

    /// The item, if the secret is in a store of hallpass.
    pub(crate) fn item(&self) -> Option<Item> {
        self.secret.as_ref().and_then(SecretSource::item)
    }

    /// All items of the profile in stores of hallpass.
    pub(crate) fn items(&self) -> BTreeSet<Item> {
        let headers = self.secret_headers.as_ref();
        let headers = headers.map(|headers| headers.item.clone());
        let previous = self.previous_secret();
        let previous = previous.and_then(|previous| previous.secret.item());
        let items = self.item().into_iter().chain(headers).chain(previous);
        items.collect()
    }

    /// The grant type of the token request (RFC 6749 §4.4.2), if the profile has no other one.
    pub(crate) fn default_grant_type(&self) -> &'static str {
        let role = self.identity.as_ref().map(|identity| identity.role);
        role.unwrap_or_default().grant_type()
    }

    /// The account name of the secret's item in a store that hallpass writes to. It depends on where the
    /// secret may be sent and how, so a profile that was changed after its login does not find the secret.
    pub(crate) fn item_account(&self, name: &ProfileName) -> String {
        self.account(name, self.secret_generation())
    }

    fn account(&self, name: &ProfileName, generation: &str) -> String {
        let mut binding = Digest::of("hallpass keychain account 1")
            .field(name.as_str())
            .field(generation)
            .field(self.token_endpoint.as_str())
            .field(self.client_id())
            .field(self.client_auth.as_str())
            .field(self.body.as_str())
            .optional(self.revocation_endpoint.as_ref().map(TokenEndpoint::as_str))
            .optional(
                self.ca_file
                    .as_ref()
                    .map(|path| path.to_string_lossy().into_owned()),
            );
        // Without such settings, the account is the one of version 0.1.0.
        if let Some(endpoint) = &self.introspection_endpoint {
            binding = binding.field("introspection").field(endpoint.as_str());
        }
        if !self.trust.is_empty() {
            binding = self.trust.add_to(binding);
        }
        let mut binding = binding.hex();
        binding.truncate(32);
        format!("{name}:{binding}")
    }

    /// The account name of the item that has the secret headers: see [`Profile::item_account`].
    pub(crate) fn headers_account(&self, name: &ProfileName) -> String {
        [&self.account(name, &self.generation), HEADERS_SUFFIX].concat()
    }

    /// Whether the secrets of both profiles are of one kind: a client secret, a private key, or the
    /// passphrase of the same key.
    pub(crate) fn has_the_same_credential_kind(&self, other: &Self) -> bool {
        self.client_auth.has_key() == other.client_auth.has_key()
            && self.encrypted_key == other.encrypted_key
    }

    /// Whether a key of this profile is in an ssh-agent.
    pub(crate) fn has_agent_key(&self) -> bool {
        matches!(self.secret, Some(SecretSource::Agent(_)))
            || matches!(self.certificate_key, Some(KeyReference::Agent(_)))
            || self.proof_key().is_some()
    }

    /// The key in an ssh-agent that the tokens are bound to.
    pub(crate) fn proof_key(&self) -> Option<&AgentKey> {
        self.dpop.as_ref()?.key.as_ref()
    }

    /// Whether a token request may have to wait for another program, or for a person that it asks.
    pub(crate) fn may_block(&self) -> bool {
        self.secret.as_ref().is_some_and(SecretSource::may_block) || self.has_agent_key()
    }

    pub(crate) fn default_ttl(&self) -> Duration {
        self.default_ttl_seconds
            .map_or(DEFAULT_LIFETIME, Lifetime::duration)
    }

    pub(crate) fn max_ttl(&self) -> Duration {
        self.max_ttl_seconds
            .map_or(LONGEST_LIFETIME, Lifetime::duration)
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout_seconds
            .map_or(DEFAULT_TIMEOUT, Timeout::duration)
    }
}

choice! {
    /// How the token request's parameters are written. JSON is not in RFC 6749; Auth0 and Blooma take it.
    #[derive(Default)]
    pub(crate) enum BodyFormat {
        #[default]
        Form = "form",
        Json = "json",
    }
}

choice! {
    /// A version of TLS (RFC 5246, RFC 8446).
    pub(crate) enum TlsVersion {
        V1_2 = "1.2",
        V1_3 = "1.3",
    }
}

choice! {
    /// How a token is used (RFC 6749 §7.1), for servers that name its type in their own way.
    pub(crate) enum TokenType {
        Bearer = "bearer",
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) fn example() -> Profile {
    let profile = serde_json::json!({
        "format": FORMAT,
        "generation": "0123456789abcdef",
        "token_endpoint": "https://login.blooma.ai/oauth/token",
        "client_id": "client",
        "client_auth": "client_secret_post",
        "body": "json",
        "audience": "https://acme.blooma.ai/api/",
        "secret": { "file": "/run/secret" },
    });
    serde_json::from_value(profile).expect("a profile")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_name_depends_on_everything_that_decides_where_the_secret_is_sent() {
        let name = ProfileName::parse("p").expect("a good name");
        let account = |change: fn(&mut Profile)| {
            let mut profile = example();
            change(&mut profile);
            profile.item_account(&name)
        };
        let as_logged_in = account(|_| ());
        let changes: [fn(&mut Profile); 11] = [
            |p| {
                p.token_endpoint = TokenEndpoint::parse("https://evil.example/").expect("a URL");
            },
            |p| p.client_id = ClientId::parse("other").ok(),
            |p| p.client_auth = ClientAuth::ClientSecretBasic,
            |p| p.body = BodyFormat::Form,
            |p| p.revocation_endpoint = TokenEndpoint::parse("https://login.evil.example/").ok(),
            |p| p.introspection_endpoint = TokenEndpoint::parse("https://login.example/x").ok(),
            |p| p.ca_file = Some("/tmp/ca.pem".into()),
            |p| p.trust.file = Some("/tmp/ca.pem".into()),
            |p| p.trust.directories.push("/tmp/ca.pem".into()),
            |p| p.trust.ca_file_digest = Some("/tmp/ca.pem".into()),
            |p| p.generation.push('0'),
        ];
        for change in changes {
            assert_ne!(account(change), as_logged_in);
        }
        assert_eq!(account(|p| p.audience = None), as_logged_in);
    }

    #[test]
    fn an_item_of_version_0_1_0_is_still_found() {
        let name = ProfileName::parse("p").expect("a good name");
        assert_eq!(
            example().item_account(&name),
            "p:1832c9636f194ec0be92a267c9fb13db"
        );
    }

    #[test]
    fn a_profile_is_written_as_it_was_read() {
        let text = serde_json::to_string(&example()).expect("JSON");
        let read: Profile = serde_json::from_str(&text).expect("a profile");
        assert_eq!(serde_json::to_string(&read).expect("JSON"), text);
    }
}
