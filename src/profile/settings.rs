//! Settings in layers, before they are a profile: each layer has some of them, and one merge makes
//! the profile. Nothing here knows the command line, the terminal or the network.

mod merge;
mod preset_table;
pub(crate) mod presets;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::PathBuf;

pub(crate) use merge::{Layers, MergeError};

use crate::profile::binding::{Binding, BoundUrl};
use crate::profile::{
    BasicEncoding, BodyFormat, ClaimName, ClientAuth, JwtAlgorithm, ParameterName, Profile,
    SecretSource, TokenEndpoint, TokenType,
};

use crate::types::checked_text::{ClientId, Resource, Scope};
use crate::types::seconds::{Lifetime, Timeout};

/// One setting in one layer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Setting<T> {
    /// The layer says nothing about it.
    #[default]
    Unset,
    /// The layer says that there is none, whatever the layers below say.
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
    pub(crate) jwt_algorithm: Setting<JwtAlgorithm>,
    pub(crate) jwt_audience: Setting<AssertionAudience>,
    pub(crate) jwt_type: Setting<String>,
    pub(crate) jwt_key_id: Setting<String>,
    pub(crate) jwt_certificate: Setting<PathBuf>,
    /// Other claims of assertions.
    pub(crate) jwt_claims: NamedSettings<ClaimName>,
    /// The certificate for the TLS handshake.
    pub(crate) certificate: Setting<PathBuf>,
    /// Its private key, where the client authenticates with something else as well.
    pub(crate) certificate_key: Setting<PathBuf>,
    pub(crate) bindings: Setting<Vec<Binding>>,
    pub(crate) revocation_endpoint: Setting<TokenEndpoint>,
    pub(crate) ca_file: Setting<PathBuf>,
    pub(crate) timeout_seconds: Setting<Timeout>,
    pub(crate) default_ttl_seconds: Setting<Lifetime>,
    pub(crate) max_ttl_seconds: Setting<Lifetime>,
    /// Where the client secret is, or the private key, or the passphrase of an encrypted key.
    pub(crate) secret: Setting<SecretSource>,
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

impl Settings {
    /// The methods that work with the credential of this layer, if it has one.
    fn fitting_methods(&self) -> Option<&'static [ClientAuth]> {
        let has_own_key = self.certificate_key.value().is_some();
        if self.certificate.value().is_some() && !has_own_key {
            Some(TLS_METHODS)
        } else if self.key.value().is_some() {
            Some(KEY_METHODS)
        } else {
            None
        }
    }

    /// The settings of a profile: those that the user gave, and those that were derived from a
    /// preset or from metadata.
    pub(crate) fn of_profile(profile: &Profile) -> (Self, Self) {
        let mut split = Split {
            profile,
            given: Self::default(),
            derived: Self::default(),
        };
        let assertion = profile.assertion.as_ref();
        let has_key = profile.client_auth.has_key();
        let key = has_key.then(|| match &profile.encrypted_key {
            Some(path) => KeyPlace::EncryptedFile(path.clone()),
            None => KeyPlace::Secret,
        });
        let audience = assertion.map(|assertion| {
            let audience = &assertion.audience;
            if *audience == profile.token_endpoint.as_str() {
                AssertionAudience::TokenEndpoint
            } else if Some(audience) == profile.issuer.as_ref() {
                AssertionAudience::Issuer
            } else {
                AssertionAudience::Text(audience.clone())
            }
        });
        macro_rules! split {
            ($($name:ident: $value:expr;)*) => {$(
                split.setting(stringify!($name), $value, |layer| &mut layer.$name);
            )*};
        }
        split! {
            token_endpoint: Some(profile.token_endpoint.clone());
            issuer: profile.issuer.clone();
            client_id: Some(profile.client_id.clone());
            audience: profile.audience.clone();
            scope: profile.scope.clone();
            resource: Some(profile.resource.clone()).filter(|list| !list.is_empty());
            grant_type: profile.grant_type.clone();
            token_type: profile.token_type;
            client_auth: Some(profile.client_auth);
            body: Some(profile.body);
            basic_encoding: Some(profile.basic_encoding);
            key: key;
            jwt_algorithm: assertion.and_then(|assertion| assertion.algorithm);
            jwt_audience: audience;
            jwt_type: assertion.map(|assertion| assertion.typ.clone());
            jwt_key_id: assertion.and_then(|assertion| assertion.key_id.clone());
            jwt_certificate: assertion.and_then(|assertion| assertion.certificate.clone());
            certificate: profile.certificate.clone();
            certificate_key: profile.certificate_key.clone();
            bindings: Some(profile.bindings.clone()).filter(|list| !list.is_empty());
            revocation_endpoint: profile.revocation_endpoint.clone();
            ca_file: profile.ca_file.clone();
            timeout_seconds: profile.timeout_seconds;
            default_ttl_seconds: profile.default_ttl_seconds;
            max_ttl_seconds: profile.max_ttl_seconds;
            secret: Some(profile.secret.clone());
        }
        let claims = assertion.iter().flat_map(|assertion| &assertion.claims);
        let claims = claims.map(|(name, value)| (name.clone(), value.as_str()));
        let parameters = profile.parameters.iter();
        let parameters = parameters.map(|(name, value)| (name.clone(), value.as_str()));
        split.each("parameters.", parameters, |layer| &mut layer.parameters);
        let headers = profile.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_owned(), value));
        split.each("headers.", headers, |layer| &mut layer.headers);
        split.each("jwt_claims.", claims, |layer| &mut layer.jwt_claims);
        (split.given, split.derived)
    }

    /// Drops what does not work with the credential of the layer above: another kind of method, and
    /// the place of another secret. A key is never sent as a secret.
    fn fit(&mut self, above: &Self, had_key: bool) {
        let method = above.client_auth.value();
        let fits = |kept: &ClientAuth| match (method, above.fitting_methods()) {
            (Some(method), _) => method == kept,
            (None, Some(fitting)) => fitting.contains(kept),
            (None, None) => true,
        };
        if self.client_auth.value().is_some_and(|kept| !fits(kept)) {
            self.client_auth = Setting::Unset;
        }
        let needs_key = match (method, above.fitting_methods()) {
            (Some(method), _) => method.has_key(),
            (None, Some(_)) => true,
            (None, None) => had_key,
        };
        if needs_key != had_key || above.key.value().is_some() {
            self.secret = match self.secret.value().and_then(SecretSource::item) {
                Some(item) if needs_key == had_key => {
                    Setting::Set(SecretSource::new_item(item.store))
                }
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
        let settings = [
            ("jwt-alg", self.jwt_algorithm.is_unset(), has_assertion),
            ("jwt-kid", self.jwt_key_id.is_unset(), has_assertion),
            ("jwt-aud", self.jwt_audience.is_unset(), has_assertion),
            ("jwt-typ", self.jwt_type.is_unset(), has_assertion),
            ("jwt-cert", self.jwt_certificate.is_unset(), has_assertion),
            ("jwt-claim", self.jwt_claims.is_empty(), has_assertion),
            ("basic-encoding", self.basic_encoding.is_unset(), is_basic),
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

/// Separates a profile's settings by its records.
struct Split<'a> {
    profile: &'a Profile,
    given: Settings,
    derived: Settings,
}

impl Split<'_> {
    fn layer_of(&mut self, record: &str) -> &mut Settings {
        if self.profile.derived.iter().any(|derived| derived == record) {
            &mut self.derived
        } else {
            &mut self.given
        }
    }

    fn setting<T>(
        &mut self,
        record: &str,
        value: Option<T>,
        get: impl Fn(&mut Settings) -> &mut Setting<T>,
    ) {
        if let Some(value) = value {
            *get(self.layer_of(record)) = Setting::Set(value);
        } else if self.profile.removed.iter().any(|removed| removed == record) {
            *get(&mut self.given) = Setting::Removed;
        }
    }

    fn each<'v, K: Ord + Deref<Target = str> + TryFrom<String>>(
        &mut self,
        prefix: &str,
        values: impl Iterator<Item = (K, &'v str)>,
        get: impl Fn(&mut Settings) -> &mut NamedSettings<K>,
    ) {
        for (name, value) in values {
            let layer = get(self.layer_of(&[prefix, &name].concat()));
            layer.insert(name, Setting::Set(value.to_owned()));
        }
        let removed = self.profile.removed.iter();
        let removed = removed.filter_map(|record| record.strip_prefix(prefix));
        for name in removed.filter_map(|name| K::try_from(name.to_owned()).ok()) {
            let setting = get(&mut self.given).entry(name);
            setting.or_insert(Setting::Removed);
        }
    }
}

/// Bindings to these URLs, without more to say about them.
pub(crate) fn bindings(urls: impl IntoIterator<Item = BoundUrl>) -> Setting<Vec<Binding>> {
    let bindings: Vec<_> = urls.into_iter().map(Binding::of).collect();
    Setting::or_removed(Some(bindings).filter(|list| !list.is_empty()))
}
