//! Keys of other programs in the TLS handshake (RFC 8705).

use std::sync::Arc;

use pkcs8::der::Encode as _;
use pkcs8::der::asn1::UintRef;
use rustls::pki_types::{SubjectPublicKeyInfoDer, alg_id};
use rustls::sign::{SigningKey, public_key_to_spki};
use rustls::{OtherError, SignatureAlgorithm, SignatureScheme};

use super::advice;
use super::external_signer::ExternalSigner;
use super::signer::Signer as _;
use crate::error::{Error, Result};
use crate::profile::{JwtAlgorithm, Profile, ProfileName, TlsVersion};
use crate::types::ssh_key::{Content, SshPublicKey};

/// What such a key can sign, the preferred scheme first. TLS 1.3 has RSA only with PSS (RFC 8446
/// §4.2.3), which an ssh-agent cannot compute.
const SCHEMES: [(SignatureScheme, JwtAlgorithm); 5] = [
    (SignatureScheme::ED25519, JwtAlgorithm::EdDsa),
    (SignatureScheme::ECDSA_NISTP256_SHA256, JwtAlgorithm::ES256),
    (SignatureScheme::ECDSA_NISTP384_SHA384, JwtAlgorithm::ES384),
    (SignatureScheme::RSA_PKCS1_SHA512, JwtAlgorithm::RS512),
    (SignatureScheme::RSA_PKCS1_SHA256, JwtAlgorithm::RS256),
];

/// The key of a client certificate.
#[derive(Debug)]
pub(super) struct ExternalTlsKey(ExternalSigner);

impl ExternalTlsKey {
    /// # Errors
    /// `Usage` when TLS 1.3 would need what the key cannot sign: rustls would then show no certificate.
    pub(super) fn new(
        signer: ExternalSigner,
        profile: &Profile,
        name: Option<&ProfileName>,
    ) -> Result<Self> {
        let is_rsa = matches!(signer.public_key().content(), Some(Content::Rsa { .. }));
        if is_rsa && profile.tls_max != Some(TlsVersion::V1_2) {
            return Err(Error::usage(
                "an RSA key in an ssh-agent cannot sign in TLS 1.3, which requires PSS padding",
            )
            .hint("use a P-256, P-384 or Ed25519 key")
            .hint(format!(
                "to limit this profile to TLS 1.2, {}",
                advice::set(name, "--tls-max 1.2", "HALLPASS_TLS_MAX=1.2")
            )));
        }
        Ok(Self(signer))
    }
}

impl SigningKey for ExternalTlsKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        let fits = |(scheme, algorithm): &&(SignatureScheme, JwtAlgorithm)| {
            offered.contains(scheme) && self.0.algorithms().contains(algorithm)
        };
        let &(scheme, algorithm) = SCHEMES.iter().find(fits)?;
        Some(Box::new(TlsSigner {
            signer: self.0.clone(),
            scheme,
            algorithm,
        }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        spki(self.0.public_key())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.public_key().content() {
            Some(Content::Rsa { .. }) => SignatureAlgorithm::RSA,
            Some(Content::Ed25519(_)) => SignatureAlgorithm::ED25519,
            _ => SignatureAlgorithm::ECDSA,
        }
    }
}

#[derive(Debug)]
struct TlsSigner {
    signer: ExternalSigner,
    scheme: SignatureScheme,
    algorithm: JwtAlgorithm,
}

impl rustls::sign::Signer for TlsSigner {
    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, rustls::Error> {
        let signature = self.signer.sign(self.algorithm, message);
        // The transport's error is made of this one again.
        let signature =
            signature.map_err(|error| rustls::Error::Other(OtherError(Arc::new(error))))?;
        match self.algorithm {
            JwtAlgorithm::ES256 | JwtAlgorithm::ES384 => in_der(&signature)
                .ok_or_else(|| rustls::Error::General("the signature has no DER".to_owned())),
            _ => Ok(signature),
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// ECDSA's two numbers of a fixed length in ASN.1 (RFC 8446 §4.2.3, RFC 3279 §2.2.3).
fn in_der(fixed: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = fixed.split_at(fixed.len() / 2);
    numbers(r, s)
}

/// A sequence of two positive numbers.
fn numbers(one: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    vec![UintRef::new(one).ok()?, UintRef::new(other).ok()?]
        .to_der()
        .ok()
}

/// RFC 5280 §4.1.2.7, as in the certificate of the key.
fn spki(key: &SshPublicKey) -> Option<SubjectPublicKeyInfoDer<'static>> {
    Some(match key.content()? {
        Content::Rsa { modulus, exponent } => {
            public_key_to_spki(&alg_id::RSA_ENCRYPTION, numbers(modulus, exponent)?)
        }
        Content::P256(point) => public_key_to_spki(&alg_id::ECDSA_P256, point),
        Content::P384(point) => public_key_to_spki(&alg_id::ECDSA_P384, point),
        Content::Ed25519(key) => public_key_to_spki(&alg_id::ED25519, key),
    })
}
