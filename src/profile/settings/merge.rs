//! The profile that the layers make, and what it records of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::path::PathBuf;

use super::layers::{Layers, Origin};
use super::{AssertionAudience, KeyPlace, NamedSettings, SECRET_METHODS, Setting, Settings};
use crate::profile::external_key::KeyReference;
use crate::profile::headers::Headers;
use crate::profile::identity::{Identity, IdentityRole};
use crate::profile::trust::RecordedTrust;
use crate::profile::{
    ASSERTION_TYPE, Assertion, BodyFormat, ClientAuth, CredentialKind, Dpop, FORMAT, Profile,
    SecretSource, Store, TokenEndpoint,
};

/// Why the layers make no profile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum MergeError {
    NoTokenEndpoint,
    NoClientId,
    /// The method needs an identity token.
    NoIdentity,
    /// An identity token authenticates the client, and so does this method.
    TwoAuthentications(ClientAuth),
    /// The issuer, which the assertion's audience is to be.
    NoIssuer,
    NoCertificate,
    NoCertificateKey,
    /// There is a certificate's key, and no certificate.
    NoCertificateForKey,
    /// Assertions are to carry a certificate, and there is none.
    NoCertificateForHeader,
    NoKey,
    /// What is wrong with a header, without its value.
    Header(String),
}

/// The value of a setting, which is recorded by its name.
macro_rules! pick {
    ($merge:expr, $name:ident) => {
        $merge.pick(stringify!($name), |layer| &layer.$name)
    };
}

impl Layers {
    /// Merges the layers. `generation` and the item's account are still empty.
    ///
    /// # Errors
    /// What it cannot be without.
    pub(crate) fn merge(&self) -> Result<Profile, MergeError> {
        let merge = Merge {
            layers: self.in_order(),
            records: RefCell::default(),
        };
        let token_endpoint = pick!(merge, token_endpoint).ok_or(MergeError::NoTokenEndpoint)?;
        let issuer = pick!(merge, issuer);
        let body = pick!(merge, body).unwrap_or_default();
        let fitting = self.fitting_methods();
        let client_auth = pick!(merge, client_auth).unwrap_or(match body {
            // With a JSON body, servers expect the credentials in it, too.
            BodyFormat::Json if fitting == SECRET_METHODS => ClientAuth::ClientSecretPost,
            _ => fitting[0],
        });
        let identity = pick!(merge, identity).map(|source| Identity {
            source,
            role: pick!(merge, identity_role).unwrap_or_default(),
            assertion_type: pick!(merge, assertion_type).unwrap_or_default(),
            subject_token_type: pick!(merge, subject_token_type),
        });
        check_identity(client_auth, identity.as_ref())?;
        let client_id = pick!(merge, client_id);
        if client_id.is_none() && client_auth.credential() != CredentialKind::None {
            return Err(MergeError::NoClientId);
        }
        let (certificate, certificate_key) = self.certificate(
            client_auth,
            pick!(merge, certificate),
            pick!(merge, certificate_key),
        )?;
        let key = pick!(merge, key);
        self.check_key(client_auth, key.as_ref())?;
        let (secret, encrypted_key) =
            credential(client_auth, key, pick!(merge, secret)).ok_or(MergeError::NoKey)?;
        let assertion = client_auth
            .has_assertion()
            .then(|| merge.assertion(client_auth, &token_endpoint, issuer.as_deref()))
            .transpose()?;
        let dpop = pick!(merge, dpop).map(|()| {
            Box::new(Dpop {
                key: pick!(merge, dpop_key),
            })
        });
        let has_agent_key = matches!(secret, Some(SecretSource::Agent(_)))
            || matches!(certificate_key, Some(KeyReference::Agent(_)))
            || dpop.as_ref().is_some_and(|dpop| dpop.key.is_some());
        let agent_socket = pick!(merge, agent_socket).filter(|_| has_agent_key);
        let headers = merge.each("headers.", |layer| &layer.headers);
        // No user chose another server for it.
        let introspection_endpoint = pick!(merge, introspection_endpoint)
            .filter(|endpoint| endpoint.origin() == token_endpoint.origin());
        Ok(Profile {
            format: FORMAT,
            generation: String::new(),
            token_endpoint,
            client_id,
            client_auth,
            identity,
            basic_encoding: pick!(merge, basic_encoding).unwrap_or_default(),
            assertion,
            certificate,
            certificate_key,
            agent_socket,
            tls_max: pick!(merge, tls_max),
            encrypted_key,
            dpop,
            body,
            grant_type: pick!(merge, grant_type),
            token_type: pick!(merge, token_type),
            audience: pick!(merge, audience),
            scope: pick!(merge, scope),
            resource: pick!(merge, resource).unwrap_or_default(),
            parameters: merge.each("parameters.", |layer| &layer.parameters),
            headers: Headers::try_from(headers).map_err(MergeError::Header)?,
            secret_headers: None,
            bindings: pick!(merge, bindings).unwrap_or_default(),
            issuer,
            revocation_endpoint: pick!(merge, revocation_endpoint),
            introspection_endpoint,
            ca_file: pick!(merge, ca_file),
            timeout_seconds: pick!(merge, timeout_seconds),
            default_ttl_seconds: pick!(merge, default_ttl_seconds),
            max_ttl_seconds: pick!(merge, max_ttl_seconds),
            cache: pick!(merge, cache),
            secret_expires: pick!(merge, secret_expires).filter(|_| secret.is_some()),
            secret,
            rotation: None,
            share: pick!(merge, share),
            trust: RecordedTrust::default(),
            // Last, when every setting has been picked.
            removed: merge.records.borrow().removed.iter().cloned().collect(),
            derived: merge.records.borrow().derived.iter().cloned().collect(),
        })
    }

    /// The certificate for the TLS handshake, and its key where the method has none of its own.
    fn certificate(
        &self,
        client_auth: ClientAuth,
        certificate: Option<PathBuf>,
        key: Option<KeyReference>,
    ) -> Result<(Option<PathBuf>, Option<KeyReference>), MergeError> {
        let is_given = self.given.certificate.value().is_some();
        match (certificate, key) {
            (None, _) if client_auth.is_tls() => Err(MergeError::NoCertificate),
            (certificate, _) if client_auth.is_tls() => Ok((certificate, None)),
            (Some(certificate), Some(key)) => Ok((Some(certificate), Some(key))),
            (Some(_), None) if is_given => Err(MergeError::NoCertificateKey),
            (None, Some(_)) if self.given.certificate_key.value().is_some() => {
                Err(MergeError::NoCertificateForKey)
            }
            // What is left of a TLS method, or of a certificate that was removed.
            _ => Ok((None, None)),
        }
    }

    /// If only the preset chose a method with a key, the secret is not taken for a private key.
    fn check_key(&self, client_auth: ClientAuth, key: Option<&KeyPlace>) -> Result<(), MergeError> {
        let above = [&self.given, &self.kept];
        let is_chosen_by_preset = above.iter().all(|layer| layer.client_auth.is_unset())
            && self.preset.client_auth.value().is_some();
        if key.is_none() && client_auth.has_key() && is_chosen_by_preset {
            return Err(MergeError::NoKey);
        }
        Ok(())
    }
}

/// A request authenticates the client once (RFC 6749 §2.3), and a grant without a credential needs a
/// token to present.
fn check_identity(client_auth: ClientAuth, identity: Option<&Identity>) -> Result<(), MergeError> {
    let role = identity.map(|identity| identity.role);
    match (client_auth, role) {
        (ClientAuth::Identity, Some(IdentityRole::ClientAssertion)) => Ok(()),
        (ClientAuth::Identity, _) | (ClientAuth::None, None) => Err(MergeError::NoIdentity),
        (method, Some(IdentityRole::ClientAssertion)) => {
            Err(MergeError::TwoAuthentications(method))
        }
        _ => Ok(()),
    }
}

/// The place of the secret, and the encrypted key whose passphrase it is.
fn credential(
    client_auth: ClientAuth,
    key: Option<KeyPlace>,
    secret: Option<SecretSource>,
) -> Option<(Option<SecretSource>, Option<PathBuf>)> {
    if client_auth.credential() == CredentialKind::None {
        return Some((None, None));
    }
    let secret_or_new = |secret: Option<SecretSource>| {
        Some(secret.unwrap_or_else(|| SecretSource::new_item(Store::Keychain)))
    };
    if !client_auth.has_key() {
        return Some((secret_or_new(secret), None));
    }
    match key {
        Some(KeyPlace::File(path)) => Some((Some(SecretSource::File(path)), None)),
        Some(KeyPlace::EncryptedFile(path)) => Some((secret_or_new(secret), Some(path))),
        Some(KeyPlace::Agent(key)) => Some((Some(SecretSource::Agent(key)), None)),
        Some(KeyPlace::SignCommand(command)) => {
            Some((Some(SecretSource::SignCommand(command)), None))
        }
        Some(KeyPlace::Secret) => Some((secret_or_new(secret), None)),
        None => secret.map(|secret| (Some(secret), None)),
    }
}

/// One merge under way, and what it records.
struct Merge<'a> {
    layers: [(&'a Settings, Origin); 6],
    records: RefCell<Records>,
}

#[derive(Default)]
struct Records {
    /// Settings whose value came from a preset or from metadata.
    derived: BTreeSet<String>,
    /// Settings that the user removed, although a preset or metadata has a value.
    removed: BTreeSet<String>,
}

impl Merge<'_> {
    /// How assertions are made. Their audience is the issuer, if it is known.
    fn assertion(
        &self,
        client_auth: ClientAuth,
        token_endpoint: &TokenEndpoint,
        issuer: Option<&str>,
    ) -> Result<Assertion, MergeError> {
        let audience = match pick!(self, jwt_audience) {
            Some(AssertionAudience::Text(text)) => text,
            Some(AssertionAudience::TokenEndpoint) => token_endpoint.as_str().to_owned(),
            Some(AssertionAudience::Issuer) => issuer.ok_or(MergeError::NoIssuer)?.to_owned(),
            None => issuer.unwrap_or(token_endpoint.as_str()).to_owned(),
        };
        let algorithm = pick!(self, jwt_algorithm);
        let certificate = pick!(self, jwt_certificate);
        let headers = pick!(self, jwt_headers);
        let (given, _) = &self.layers[0];
        if certificate.is_none() && given.jwt_headers.value().is_some() {
            return Err(MergeError::NoCertificateForHeader);
        }
        // Those that are kept need a certificate as well.
        let headers = headers.filter(|_| certificate.is_some());
        Ok(Assertion {
            // An algorithm of the other kind was kept from another method.
            algorithm: algorithm.filter(|it| it.is_hmac() != client_auth.has_key()),
            audience,
            typ: pick!(self, jwt_type).unwrap_or_else(|| ASSERTION_TYPE.to_owned()),
            key_id: pick!(self, jwt_key_id),
            certificate,
            certificate_headers: headers.unwrap_or_default(),
            claims: self.each("jwt_claims.", |layer| &layer.jwt_claims),
        })
    }

    fn pick<T: Clone>(&self, record: &str, get: impl Fn(&Settings) -> &Setting<T>) -> Option<T> {
        let layers = self.layers.iter();
        let layers = layers.map(|(layer, origin)| (get(layer), *origin));
        self.decide(record, layers)
    }

    /// Several settings by name, each from the first layer that says something about it.
    fn each<K: Clone + Deref<Target = str> + Ord>(
        &self,
        prefix: &str,
        get: impl Fn(&Settings) -> &NamedSettings<K>,
    ) -> BTreeMap<K, String> {
        let layers = self.layers.iter();
        let names: BTreeSet<_> = layers.flat_map(|(layer, _)| get(layer).keys()).collect();
        let value = |name: &K| {
            let layers = self.layers.iter();
            let said = layers.filter_map(|(layer, origin)| Some((get(layer).get(name)?, *origin)));
            Some((name.clone(), self.decide(&[prefix, name].concat(), said)?))
        };
        names.into_iter().filter_map(value).collect()
    }

    fn decide<'s, T: Clone + 's>(
        &self,
        record: &str,
        layers: impl Iterator<Item = (&'s Setting<T>, Origin)>,
    ) -> Option<T> {
        let mut said = layers.filter(|(setting, _)| !setting.is_unset());
        let (setting, origin) = said.next()?;
        let mut records = self.records.borrow_mut();
        if let Setting::Set(value) = setting {
            if origin == Origin::Derived {
                records.derived.insert(record.to_owned());
            }
            return Some(value.clone());
        }
        let mut below = said.filter(|(below, _)| below.value().is_some());
        if origin == Origin::Earlier || below.any(|(_, origin)| origin == Origin::Derived) {
            records.removed.insert(record.to_owned());
        }
        None
    }
}
