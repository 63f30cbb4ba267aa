//! The profile: everything about one client at one authorization server but its secret.

pub(crate) mod binding;
pub(crate) mod headers;
pub(crate) mod secret_source;
pub(crate) mod selected;
pub(crate) mod settings;
pub(crate) mod token_request;
pub(crate) mod trust;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::profile::binding::Binding;
use crate::profile::headers::Headers;
pub(crate) use crate::profile::secret_source::{Item, SecretSource, Store};
use crate::profile::trust::RecordedTrust;
use crate::types::digest::Digest;
use crate::types::web_url::WebUrl;

/// The format that this version writes and reads. A profile of another one is refused, not guessed at.
pub(crate) const FORMAT: u32 = 1;

/// How long a token request may take when the profile does not say.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest that one may take, whatever the profile says: a clock can be added to.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a token without `expires_in` is cached, if the profile does not say.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);

/// The longest time that a token is kept, when the profile does not say.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A profile's name: safe as a file name on every platform and as part of a keychain account.
///
/// Lower case, as two names that differ by case alone would share a file on macOS and Windows.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ProfileName(String);

impl ProfileName {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let fits = text.len() <= 64
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && !text.ends_with('.')
            && !is_device_name(text);
        if fits {
            return Ok(Self(text.to_owned()));
        }
        // An argument may be a secret that somebody put in the wrong place: it is not repeated.
        Err(Error::usage("invalid profile name").hint(
            "use up to 64 characters from a-z, 0-9, \".\", \"_\" and \"-\", starting with a letter or digit",
        ))
    }

    /// The profile that the environment describes: no name that [`ProfileName::parse`] takes.
    pub(crate) fn of_environment() -> Self {
        Self("_environment".to_owned())
    }

    pub(crate) fn is_of_environment(&self) -> bool {
        *self == Self::of_environment()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Windows opens a device for these, whatever their extension.
fn is_device_name(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or_default();
    let numbered = |prefix| {
        stem.strip_prefix(prefix).is_some_and(|rest: &str| {
            rest.len() == 1 && rest.starts_with(|c: char| c.is_ascii_digit())
        })
    };
    matches!(stem, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

/// One client's settings, as one JSON file holds them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) format: u32,
    /// New with every login: what one login brought never meets what another one left.
    pub(crate) generation: String,
    pub(crate) token_endpoint: TokenEndpoint,
    pub(crate) client_id: String,
    pub(crate) client_auth: ClientAuth,
    /// Basic credentials as the RFC wants them, or for servers that do not decode them.
    #[serde(default, skip_serializing_if = "BasicEncoding::is_percent")]
    pub(crate) basic_encoding: BasicEncoding,
    /// How assertions are made: with `client_secret_jwt` and `private_key_jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assertion: Option<Assertion>,
    /// The PEM certificate that the client shows in the TLS handshake (RFC 8705).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    /// The certificate's private key, where the client authenticates with something else in the
    /// request (RFC 8705 §3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_key: Option<PathBuf>,
    /// An encrypted private key: then the secret is its passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) encrypted_key: Option<PathBuf>,
    #[serde(default)]
    pub(crate) body: BodyFormat,
    /// What the server's tokens are, whatever it calls them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_type: Option<TokenType>,
    /// Instead of `client_credentials` (Zoom).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grant_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) audience: Option<String>,
    /// Verbatim: most servers want spaces between scopes, some want commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    /// RFC 8707.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) resource: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) parameters: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub(crate) headers: Headers,
    /// The URLs that this profile's tokens are meant for.
    #[serde(default, rename = "for", skip_serializing_if = "Vec::is_empty")]
    pub(crate) bindings: Vec<Binding>,
    /// The issuer whose metadata named the endpoints at login (RFC 8414).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    /// RFC 7009. It is sent the client secret too, so it obeys the token endpoint's rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revocation_endpoint: Option<TokenEndpoint>,
    /// PEM certificates that are trusted beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// What else was trusted at the login. Empty for a profile of version 0.1.0.
    #[serde(default, skip_serializing_if = "RecordedTrust::is_empty")]
    pub(crate) trust: RecordedTrust,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_seconds: Option<u64>,
    /// How long a token without `expires_in` is cached, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) default_ttl_seconds: Option<u64>,
    /// The longest time that a token is kept, whatever the server promises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_ttl_seconds: Option<u64>,
    /// Where the client secret lies, or the private key, or the encrypted private key's passphrase.
    pub(crate) secret: SecretSource,
    /// The settings that came from a preset or from metadata: a later login may renew these.
    #[serde(
        default,
        deserialize_with = "records",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) derived: Vec<String>,
    /// The settings that the user removed, although a preset or metadata have a value: a later login
    /// does not bring them back.
    #[serde(
        default,
        deserialize_with = "records",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) removed: Vec<String>,
}

/// A list of settings' names. Only a login uses it, so one that was edited by hand breaks nothing.
fn records<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<String>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let names = value.as_array().into_iter().flatten();
    let names = names.filter_map(serde_json::Value::as_str);
    Ok(names.map(str::to_owned).collect())
}

impl Profile {
    /// What the secret was entrusted to: whom it may be sent, and how. The account name of the item
    /// in a store of ours holds it, so a profile that was changed afterwards no longer finds the secret.
    pub(crate) fn item_account(&self, name: &ProfileName) -> String {
        let mut binding = Digest::of("hallpass keychain account 1")
            .field(name.as_str())
            .field(&self.generation)
            .field(self.token_endpoint.as_str())
            .field(&self.client_id)
            .field(self.client_auth.as_str())
            .field(self.body.as_str())
            .optional(self.revocation_endpoint.as_ref().map(TokenEndpoint::as_str))
            .optional(
                self.ca_file
                    .as_ref()
                    .map(|path| path.to_string_lossy().into_owned()),
            );
        // Without such a record, the account is the one of version 0.1.0.
        if !self.trust.is_empty() {
            binding = self.trust.add_to(binding);
        }
        let mut binding = binding.hex();
        binding.truncate(32);
        format!("{name}:{binding}")
    }

    /// Whether what one profile's secret is, the other's is too: a client secret, a private key, or
    /// the passphrase of the same key.
    pub(crate) fn has_the_same_credential_kind(&self, other: &Self) -> bool {
        self.client_auth.has_key() == other.client_auth.has_key()
            && self.encrypted_key == other.encrypted_key
    }

    pub(crate) fn default_ttl(&self) -> Duration {
        self.default_ttl_seconds
            .map_or(DEFAULT_LIFETIME, Duration::from_secs)
    }

    pub(crate) fn max_ttl(&self) -> Duration {
        self.max_ttl_seconds
            .map_or(LONGEST_LIFETIME, Duration::from_secs)
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout_seconds
            .map_or(DEFAULT_TIMEOUT, Duration::from_secs)
            .min(LONGEST_TIMEOUT)
    }
}

/// Whether a client ID can be sent and shown.
pub(crate) fn is_client_id(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}

/// Whether a parameter is a credential in some grant (RFC 6749 §4, RFC 7521, RFC 8693): settings are
/// no place for it.
pub(crate) fn is_credential_parameter(name: &str) -> bool {
    const CREDENTIALS: [&str; 12] = [
        "password",
        "passwd",
        "refresh_token",
        "access_token",
        "assertion",
        "subject_token",
        "actor_token",
        "id_token",
        "code",
        "code_verifier",
        "device_code",
        "token",
    ];
    CREDENTIALS.contains(&name.to_ascii_lowercase().as_str())
}

/// Whether a parameter has a setting of its own, or is one that only hallpass may send.
pub(crate) fn is_standard_parameter(name: &str) -> bool {
    const STANDARD: [&str; 8] = [
        "grant_type",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "scope",
        "audience",
        "resource",
    ];
    STANDARD.contains(&name)
}

/// The `typ` in an assertion's header, so that it cannot be taken for another kind of JWT
/// (draft-ietf-oauth-rfc7523bis).
pub(crate) const ASSERTION_TYPE: &str = "client-authentication+jwt";

/// Whether this is an absolute URI without a fragment (RFC 8707 §2).
pub(crate) fn is_resource(text: &str) -> bool {
    let has_scheme = text.split_once(':').is_some_and(|(scheme, rest)| {
        !rest.is_empty()
            && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    has_scheme && !text.contains('#') && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// How the client proves itself: the registered names (RFC 7591 §2).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientAuth {
    ClientSecretBasic,
    ClientSecretPost,
    ClientSecretJwt,
    PrivateKeyJwt,
    TlsClientAuth,
    SelfSignedTlsClientAuth,
}

impl ClientAuth {
    pub(crate) const ALL: [Self; 6] = [
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        Self::ClientSecretJwt,
        Self::PrivateKeyJwt,
        Self::TlsClientAuth,
        Self::SelfSignedTlsClientAuth,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::ClientSecretJwt => "client_secret_jwt",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
        }
    }

    /// The client proves itself in the TLS handshake (RFC 8705).
    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::TlsClientAuth | Self::SelfSignedTlsClientAuth)
    }

    /// The client proves itself with a private key rather than a secret that both sides know.
    pub(crate) fn has_key(self) -> bool {
        self == Self::PrivateKeyJwt || self.is_tls()
    }

    /// The client proves itself with a signed assertion (RFC 7523 §2.2).
    pub(crate) fn has_assertion(self) -> bool {
        matches!(self, Self::ClientSecretJwt | Self::PrivateKeyJwt)
    }
}

/// How the client id and secret are written in Basic credentials.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BasicEncoding {
    /// Percent-encoded first, as RFC 6749 §2.3.1 says.
    #[default]
    Percent,
    /// As they are, for servers that do not decode them.
    Raw,
}

impl BasicEncoding {
    pub(crate) const ALL: [Self; 2] = [Self::Percent, Self::Raw];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Percent => "percent",
            Self::Raw => "raw",
        }
    }

    #[allow(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_percent(&self) -> bool {
        *self == Self::Percent
    }
}

/// How a client makes its assertions (RFC 7523 §3).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Assertion {
    /// None where the key decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) algorithm: Option<JwtAlgorithm>,
    /// The `aud` claim: one text, so that an assertion serves one server alone.
    pub(crate) audience: String,
    /// The header's `typ`.
    #[serde(rename = "type")]
    pub(crate) typ: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_id: Option<String>,
    /// The PEM certificate whose thumbprint goes into the header (`x5t#S256`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    /// Other claims, which some servers require.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) claims: BTreeMap<String, String>,
}

/// Whether hallpass itself sets this claim (RFC 7523 §3), or leaves it out on purpose.
pub(crate) fn is_standard_claim(name: &str) -> bool {
    ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"].contains(&name)
}

/// How an assertion is signed (RFC 7518 §3.1, RFC 8037).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum JwtAlgorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDsa,
}

impl JwtAlgorithm {
    pub(crate) const ALL: [Self; 12] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDsa,
    ];

    /// The registered name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// Signs with a secret that both sides know, not with a private key.
    pub(crate) fn is_hmac(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }
}

impl Serialize for JwtAlgorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for JwtAlgorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| serde::de::Error::custom("an unknown JWT algorithm"))
    }
}

/// How the token request's parameters are written. JSON is not in RFC 6749; Auth0 and Blooma take it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BodyFormat {
    #[default]
    Form,
    Json,
}

impl BodyFormat {
    pub(crate) const ALL: [Self; 2] = [Self::Form, Self::Json];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Json => "json",
        }
    }
}

/// How a token is used (RFC 6749 §7.1), for servers that name its type in their own way.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenType {
    Bearer,
}

/// A URL that may be sent a client secret: https, or http on this machine itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TokenEndpoint(WebUrl);

impl TokenEndpoint {
    /// # Errors
    /// What is wrong with it, fit to follow "the URL ".
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, &'static str> {
        WebUrl::parse(text)?.for_secrets().map(Self)
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.is_https()
    }

    pub(crate) fn origin(&self) -> &str {
        self.0.origin()
    }

    /// The host as the URL has it (IPv6 in brackets), and the port, given or not.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        self.0.host_and_port()
    }
}

impl Serialize for TokenEndpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TokenEndpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|fault| serde::de::Error::custom(format_args!("a URL {fault}")))
    }
}

#[cfg(test)]
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
    fn a_profile_name_is_a_safe_file_name() {
        for name in ["default", "blooma-prod", "a", "0", "x.y_z-1"] {
            assert!(ProfileName::parse(name).is_ok(), "{name}");
        }
        let long = "x".repeat(65);
        for name in [
            "",
            ".",
            "..",
            "../p",
            "/etc/passwd",
            "-rf",
            ".hidden",
            "a/b",
            "a\\b",
            "a\0",
            "con",
            "nul.txt",
            "com1",
            "lpt9.x",
            "con:",
            "Prod",
            "a b",
            "ä",
            "a.",
            "a\n",
            &long,
        ] {
            assert!(ProfileName::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_secret_is_entrusted_to_all_that_says_where_it_goes() {
        let name = ProfileName::parse("p").expect("a good name");
        let account = |change: fn(&mut Profile)| {
            let mut profile = example();
            change(&mut profile);
            profile.item_account(&name)
        };
        let as_logged_in = account(|_| ());
        let changes: [fn(&mut Profile); 10] = [
            |p| {
                p.token_endpoint = TokenEndpoint::parse("https://evil.example/").expect("a URL");
            },
            |p| p.client_id.push('x'),
            |p| p.client_auth = ClientAuth::ClientSecretBasic,
            |p| p.body = BodyFormat::Form,
            |p| p.revocation_endpoint = TokenEndpoint::parse("https://login.evil.example/").ok(),
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
    fn plain_http_is_for_this_machine_alone() {
        assert!(TokenEndpoint::parse("http://127.0.0.1:8080/token").is_ok());
        assert!(TokenEndpoint::parse("http://login.blooma.ai/oauth/token").is_err());
        assert!(TokenEndpoint::parse("http://127.0.0.1.evil.example/token").is_err());
    }

    #[test]
    fn a_profile_survives_its_file() {
        let text = serde_json::to_string(&example()).expect("JSON");
        let read: Profile = serde_json::from_str(&text).expect("a profile");
        assert_eq!(serde_json::to_string(&read).expect("JSON"), text);
    }
}
