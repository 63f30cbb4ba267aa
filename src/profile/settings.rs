//! Settings in layers, before they are a profile: each layer has some of them, and one merge makes
//! the profile. Nothing here knows the command line, the terminal or the network.

mod layers;
mod merge;
mod of_profile;
mod preset_table;
pub(crate) mod presets;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) use layers::Layers;
pub(crate) use merge::MergeError;

use crate::profile::binding::{Binding, BoundUrl};
use crate::profile::external_key::{AgentKey, KeyReference, SignCommand};
use crate::profile::identity::{AssertionType, IdentityRole, IdentitySource, SubjectTokenType};
use crate::profile::share::Share;
use crate::profile::{
    BasicEncoding, BodyFormat, CacheMode, CertificateHeader, ClaimName, ClientAuth, CredentialKind,
    JwtAlgorithm, ParameterName, Profile, SecretSource, TlsVersion, TokenEndpoint, TokenType,
};

use crate::types::checked_text::{ClientId, Resource, Scope};
use crate::types::date::Date;
use crate::types::seconds::{Lifetime, Timeout};

/// One setting in one layer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Setting<T> {
    /// The layer does not have it: the layers below decide.
    #[default]
    Unset,
    /// The layer removes it, whatever the layers below have.
    Removed,
    Set(T),
}

impl<T> Setting<T> {
    /// A value, or `Removed` for none.
    pub(crate) fn or_removed(value: Option<T>) -> Self {
        value.map_or(Self::Removed, Self::Set)
    }

    pub(crate) fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Unset | Self::Removed => None,
        }
    }

    pub(crate) fn is_unset(&self) -> bool {
        matches!(self, Self::Unset)
    }
}

impl<T> From<Option<T>> for Setting<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Unset, Self::Set)
    }
}

impl Setting<String> {
    /// A text as a user writes it: an empty one removes the setting, since no parameter is sent empty.
    pub(crate) fn text(value: Option<String>) -> Self {
        match value {
            Some(text) if text.is_empty() => Self::Removed,
            value => value.into(),
        }
    }
}

/// Several settings of one kind, by name.
pub(crate) type NamedSettings<K = String> = BTreeMap<K, Setting<String>>;

/// Names and values as a user writes them: an empty value removes the setting.
pub(crate) fn named<K: Clone + Ord>(values: &[(K, String)]) -> NamedSettings<K> {
    let setting = |(name, value): &(K, String)| (name.clone(), Setting::text(Some(value.clone())));
    values.iter().map(setting).collect()
}

/// Where the private key is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum KeyPlace {
    /// In a file that is not encrypted.
    File(PathBuf),
    /// In an encrypted file: the secret is its passphrase.
    EncryptedFile(PathBuf),
    /// Where [`Settings::secret`] says.
    Secret,
    /// In an ssh-agent.
    Agent(AgentKey),
    /// In a program that signs.
    SignCommand(SignCommand),
}

/// The audience of an assertion.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum AssertionAudience {
    Issuer,
    TokenEndpoint,
    Text(String),
}

impl AssertionAudience {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "issuer" => Self::Issuer,
            "token_endpoint" => Self::TokenEndpoint,
            text => Self::Text(text.to_owned()),
        }
    }
}

/// The settings of one layer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) token_endpoint: Setting<TokenEndpoint>,
    pub(crate) issuer: Setting<String>,
    pub(crate) client_id: Setting<ClientId>,
    pub(crate) audience: Setting<String>,
    pub(crate) scope: Setting<Scope>,
    pub(crate) resource: Setting<Vec<Resource>>,
    /// Other parameters of the token request.
    pub(crate) parameters: NamedSettings<ParameterName>,
    /// Other headers of the token request, by name in lower case.
    pub(crate) headers: NamedSettings,
    pub(crate) grant_type: Setting<String>,
    pub(crate) token_type: Setting<TokenType>,
    pub(crate) client_auth: Setting<ClientAuth>,
    pub(crate) body: Setting<BodyFormat>,
    pub(crate) basic_encoding: Setting<BasicEncoding>,
    /// The key that authenticates the client.
    pub(crate) key: Setting<KeyPlace>,
    pub(crate) agent_socket: Setting<PathBuf>,
    /// Where the identity token comes from, and what it is in the request.
    pub(crate) identity: Setting<IdentitySource>,
    pub(crate) identity_role: Setting<IdentityRole>,
    pub(crate) assertion_type: Setting<AssertionType>,
    pub(crate) subject_token_type: Setting<SubjectTokenType>,
    pub(crate) jwt_algorithm: Setting<JwtAlgorithm>,
    pub(crate) jwt_audience: Setting<AssertionAudience>,
    pub(crate) jwt_type: Setting<String>,
    pub(crate) jwt_key_id: Setting<String>,
    pub(crate) jwt_certificate: Setting<PathBuf>,
    pub(crate) jwt_headers: Setting<Vec<CertificateHeader>>,
    /// Other claims of assertions.
    pub(crate) jwt_claims: NamedSettings<ClaimName>,
    /// The certificate for the TLS handshake.
    pub(crate) certificate: Setting<PathBuf>,
    /// Its private key, where the client authenticates with something else as well.
    pub(crate) certificate_key: Setting<KeyReference>,
    /// Tokens are bound to a key (RFC 9449).
    pub(crate) dpop: Setting<()>,
    /// The key in an ssh-agent that they are bound to, instead of one that hallpass makes.
    pub(crate) dpop_key: Setting<AgentKey>,
    /// The newest version of TLS.
    pub(crate) tls_max: Setting<TlsVersion>,
    pub(crate) bindings: Setting<Vec<Binding>>,
    pub(crate) revocation_endpoint: Setting<TokenEndpoint>,
    pub(crate) introspection_endpoint: Setting<TokenEndpoint>,
    pub(crate) ca_file: Setting<PathBuf>,
    pub(crate) timeout_seconds: Setting<Timeout>,
    pub(crate) default_ttl_seconds: Setting<Lifetime>,
    pub(crate) max_ttl_seconds: Setting<Lifetime>,
    pub(crate) cache: Setting<CacheMode>,
    /// Where the client secret is, or the private key, or the passphrase of an encrypted key.
    pub(crate) secret: Setting<SecretSource>,
    pub(crate) secret_expires: Setting<Date>,
    /// The shared cache, with all its settings.
    pub(crate) share: Setting<Box<Share>>,
}

const SECRET_METHODS: &[ClientAuth] = &[
    ClientAuth::ClientSecretBasic,
    ClientAuth::ClientSecretPost,
    ClientAuth::ClientSecretJwt,
];
const KEY_METHODS: &[ClientAuth] = &[ClientAuth::PrivateKeyJwt];
const TLS_METHODS: &[ClientAuth] = &[
    ClientAuth::TlsClientAuth,
    ClientAuth::SelfSignedTlsClientAuth,
];
const IDENTITY_METHODS: &[ClientAuth] = &[ClientAuth::Identity];
const NO_METHODS: &[ClientAuth] = &[ClientAuth::None];

impl Settings {
    /// The methods that work with the credential of this layer, if it has one.
    fn fitting_methods(&self) -> Option<&'static [ClientAuth]> {
        let has_own_key = self.certificate_key.value().is_some();
        if self.authenticates_with_identity() {
            Some(IDENTITY_METHODS)
        } else if self.certificate.value().is_some() && !has_own_key {
            Some(TLS_METHODS)
        } else if self.key.value().is_some() {
            Some(KEY_METHODS)
        } else if self.identity.value().is_some() {
            Some(if self.secret.value().is_some() {
                SECRET_METHODS
            } else {
                NO_METHODS
            })
        } else {
            None
        }
    }

    /// Whether the identity token of this layer is the client's assertion.
    fn authenticates_with_identity(&self) -> bool {
        let role = self.identity_role.value().copied().unwrap_or_default();
        self.identity.value().is_some() && role == IdentityRole::ClientAssertion
    }

    /// Whether this layer gives another credential than an identity token.
    fn has_other_credential(&self) -> bool {
        let method = self.client_auth.value();
        self.key.value().is_some()
            || self.secret.value().is_some()
            || self.certificate.value().is_some() && self.certificate_key.value().is_none()
            || method.is_some_and(|method| *method != ClientAuth::Identity)
    }

    /// Drops what does not work with the credential of the layer above: another kind of method, and
    /// the place of another secret. A key is never sent as a secret.
    fn fit(&mut self, above: &Self, had: CredentialKind) {
        if self.authenticates_with_identity()
            && above.identity.is_unset()
            && above.has_other_credential()
        {
            self.identity = Setting::Unset;
            self.identity_role = Setting::Unset;
            self.assertion_type = Setting::Unset;
        }
        let method = above.client_auth.value();
        let fits = |kept: &ClientAuth| match (method, above.fitting_methods()) {
            (Some(method), _) => method == kept,
            (None, Some(fitting)) => fitting.contains(kept),
            // A client that authenticates with an identity, or not at all, has no use for a secret.
            (None, None) => {
                let takes_none = matches!(kept, ClientAuth::Identity | ClientAuth::None);
                !takes_none || above.secret.is_unset()
            }
        };
        if self.client_auth.value().is_some_and(|kept| !fits(kept)) {
            self.client_auth = Setting::Unset;
        }
        let needed = match (method, above.fitting_methods()) {
            (Some(method), _) => method.credential(),
            (None, Some(fitting)) => fitting[0].credential(),
            (None, None) => had,
        };
        if needed != had || above.key.value().is_some() {
            self.secret = match self.secret.value().and_then(SecretSource::item) {
                Some(item) if needed == had => Setting::Set(SecretSource::new_item(item.store)),
                _ => Setting::Unset,
            };
            self.key = Setting::Unset;
        }
    }

    /// A setting of this layer that a profile makes no use of, by the name of its option.
    pub(crate) fn without_effect(&self, profile: &Profile) -> Option<&'static str> {
        let method = profile.client_auth;
        let has_assertion = method.has_assertion();
        let is_basic = method == ClientAuth::ClientSecretBasic;
        let has_agent = profile.has_agent_key();
        let role = profile.identity.as_ref().map(|identity| identity.role);
        let has_secret = profile.secret.is_some();
        let settings = [
            ("secret-expires", self.secret_expires.is_unset(), has_secret),
            ("agent-socket", self.agent_socket.is_unset(), has_agent),
            ("jwt-alg", self.jwt_algorithm.is_unset(), has_assertion),
            ("jwt-kid", self.jwt_key_id.is_unset(), has_assertion),
            ("jwt-aud", self.jwt_audience.is_unset(), has_assertion),
            ("jwt-typ", self.jwt_type.is_unset(), has_assertion),
            ("jwt-cert", self.jwt_certificate.is_unset(), has_assertion),
            ("jwt-header", self.jwt_headers.is_unset(), has_assertion),
            ("jwt-claim", self.jwt_claims.is_empty(), has_assertion),
            ("basic-encoding", self.basic_encoding.is_unset(), is_basic),
            ("identity-as", self.identity_role.is_unset(), role.is_some()),
            (
                "assertion-type",
                self.assertion_type.is_unset(),
                role == Some(IdentityRole::ClientAssertion),
            ),
            (
                "subject-token-type",
                self.subject_token_type.is_unset(),
                role == Some(IdentityRole::SubjectToken),
            ),
        ];
        let without = settings
            .into_iter()
            .find(|(_, is_unset, has_effect)| !is_unset && !has_effect);
        without.map(|(name, ..)| name)
    }

    /// The algorithm for assertions, if it is one that the method cannot use.
    pub(crate) fn unfitting_algorithm(&self, method: ClientAuth) -> Option<JwtAlgorithm> {
        let algorithm = self.jwt_algorithm.value().copied();
        algorithm.filter(|it| method.has_assertion() && it.is_hmac() == method.has_key())
    }
}

/// Bindings to these URLs, without user names and schemes.
pub(crate) fn bindings(urls: impl IntoIterator<Item = BoundUrl>) -> Setting<Vec<Binding>> {
    let bindings: Vec<_> = urls.into_iter().map(Binding::of).collect();
    Setting::or_removed(Some(bindings).filter(|list| !list.is_empty()))
}
