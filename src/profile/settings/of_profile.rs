//! The layers that a profile was made of, by what it records of them.

use std::ops::Deref;

use super::{AssertionAudience, KeyPlace, NamedSettings, Setting, Settings};
use crate::profile::Profile;

impl Settings {
    /// The settings of a profile: those that the user gave, and those that were derived from a
    /// preset or from metadata.
    pub(crate) fn of_profile(profile: &Profile) -> (Self, Self) {
        let mut split = Split {
            profile,
            given: Self::default(),
            derived: Self::default(),
        };
        let assertion = profile.assertion.as_ref();
        let identity = profile.identity.as_ref();
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
            client_id: profile.client_id.clone();
            audience: profile.audience.clone();
            scope: profile.scope.clone();
            resource: Some(profile.resource.clone()).filter(|list| !list.is_empty());
            grant_type: profile.grant_type.clone();
            token_type: profile.token_type;
            client_auth: Some(profile.client_auth);
            body: Some(profile.body);
            basic_encoding: Some(profile.basic_encoding);
            key: key;
            agent_socket: profile.agent_socket.clone();
            identity: identity.map(|identity| identity.source.clone());
            identity_role: identity.map(|identity| identity.role);
            assertion_type: identity.map(|identity| identity.assertion_type);
            subject_token_type: identity.and_then(|identity| identity.subject_token_type.clone());
            jwt_algorithm: assertion.and_then(|assertion| assertion.algorithm);
            jwt_audience: audience;
            jwt_type: assertion.map(|assertion| assertion.typ.clone());
            jwt_key_id: assertion.and_then(|assertion| assertion.key_id.clone());
            jwt_certificate: assertion.and_then(|assertion| assertion.certificate.clone());
            jwt_headers: assertion
                .map(|assertion| assertion.certificate_headers.clone())
                .filter(|list| !list.is_empty());
            certificate: profile.certificate.clone();
            certificate_key: profile.certificate_key.clone();
            dpop: profile.dpop.as_ref().map(|_| ());
            dpop_key: profile.proof_key().cloned();
            tls_max: profile.tls_max;
            bindings: Some(profile.bindings.clone()).filter(|list| !list.is_empty());
            revocation_endpoint: profile.revocation_endpoint.clone();
            introspection_endpoint: profile.introspection_endpoint.clone();
            ca_file: profile.ca_file.clone();
            timeout_seconds: profile.timeout_seconds;
            default_ttl_seconds: profile.default_ttl_seconds;
            max_ttl_seconds: profile.max_ttl_seconds;
            cache: profile.cache;
            secret: profile.secret.clone();
            secret_expires: profile.secret_expires;
            share: profile.share.clone();
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
