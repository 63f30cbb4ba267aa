//! Private keys in files: PEM or a JWK, for assertions and for the TLS handshake. ring signs.

mod encrypted;
mod jwk;
mod unsupported;

use std::sync::Arc;

use pkcs8::der::Encode as _;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::SigningKey;
use rustls::{SignatureAlgorithm, SignatureScheme};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::profile::JwtAlgorithm;
use crate::types::secret::{ClientSecret, PrivateKey};
use crate::types::ssh_key::SshPublicKey;

use super::public_key::of_spki;
use super::signer::Signer;
use encrypted::decrypt;
use jwk::Jwk;
use unsupported::unsupported;

const SUPPORTED: &str =
    "use an RSA key of 2048 to 4096 bits, a P-256 or P-384 key, or an Ed25519 key";

/// RFC 5480 §2.1.1 and §2.1.1.1.
pub(super) const EC_PUBLIC_KEY: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(super) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(super) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// RFC 8410 §3.
pub(super) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A private key that was read from its file.
pub(super) struct Key {
    der: PrivateKeyDer<'static>,
    signing: Arc<dyn SigningKey>,
    /// `kid` and `alg` of a JWK.
    id: Option<String>,
    algorithm: Option<JwtAlgorithm>,
}

impl Key {
    /// # Errors
    /// `Locked` when the passphrase is wrong, or the key cannot be used.
    pub(super) fn read(key: &PrivateKey, passphrase: Option<&ClientSecret>) -> Result<Self> {
        let mut jwk = None;
        let der = match (key.is_encrypted(), passphrase) {
            (true, Some(passphrase)) => decrypt(key, passphrase)?,
            (true, None) => {
                return Err(unusable("is encrypted, and its passphrase is not known").hint(
                    "an encrypted key must be in a file: --jwt-key FILE (or --key FILE for TLS)",
                ));
            }
            (false, _) if key.expose().trim_ascii_start().starts_with(b"{") => {
                let read = Jwk::read(key.expose()).map_err(unusable)?;
                jwk = Some((read.id, read.algorithm));
                read.der
            }
            (false, _) => PrivateKeyDer::from_pem_slice(key.expose())
                .map_err(|_| unusable("is damaged: its PEM cannot be read"))?,
        };
        let signing = rustls::crypto::ring::sign::any_supported_type(&der)
            .map_err(|_| unusable(unsupported(&der)).hint(SUPPORTED))?;
        let (id, algorithm) = jwk.unwrap_or_default();
        Ok(Self {
            der,
            signing,
            id,
            algorithm,
        })
    }

    fn rustls_signer(&self, scheme: SignatureScheme) -> Option<Box<dyn rustls::sign::Signer>> {
        self.signing.choose_scheme(&[scheme])
    }

    /// An ECDSA signature of a fixed length (RFC 7518 §3.4). rustls signs only as TLS does, in ASN.1.
    fn sign_ecdsa(
        &self,
        algorithm: &'static EcdsaSigningAlgorithm,
        curve: ObjectIdentifier,
        message: &[u8],
    ) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, &self.pkcs8(curve)?, &random).ok()?;
        let signature = pair.sign(&random, message).ok()?;
        Some(signature.as_ref().to_vec())
    }

    /// The key as PKCS #8, which is all that ring reads; SEC 1 does not always name the curve.
    fn pkcs8(&self, curve: ObjectIdentifier) -> Option<Zeroizing<Vec<u8>>> {
        match &self.der {
            PrivateKeyDer::Pkcs8(key) => Some(Zeroizing::new(key.secret_pkcs8_der().to_vec())),
            PrivateKeyDer::Sec1(key) => {
                let algorithm = AlgorithmIdentifierRef {
                    oid: EC_PUBLIC_KEY,
                    parameters: Some((&curve).into()),
                };
                let key = OctetStringRef::new(key.secret_sec1_der()).ok()?;
                let info = PrivateKeyInfoRef::new(algorithm, key);
                info.to_der().ok().map(Zeroizing::new)
            }
            _ => None,
        }
    }

    /// For the TLS handshake.
    pub(super) fn signing_key(&self) -> Arc<dyn SigningKey> {
        Arc::clone(&self.signing)
    }
}

impl Signer for Key {
    fn algorithms(&self) -> &[JwtAlgorithm] {
        use JwtAlgorithm::{ES256, ES384, EdDsa, PS256, PS384, PS512, RS256, RS384, RS512};
        let fits = |scheme| self.rustls_signer(scheme).is_some();
        match self.signing.algorithm() {
            SignatureAlgorithm::RSA => &[RS256, RS384, RS512, PS256, PS384, PS512],
            SignatureAlgorithm::ED25519 => &[EdDsa],
            _ if fits(SignatureScheme::ECDSA_NISTP256_SHA256) => &[ES256],
            _ if fits(SignatureScheme::ECDSA_NISTP384_SHA384) => &[ES384],
            _ => &[],
        }
    }

    fn own_algorithm(&self) -> Option<JwtAlgorithm> {
        let own = self.algorithm?;
        self.algorithms().contains(&own).then_some(own)
    }

    fn public_key(&self) -> Option<SshPublicKey> {
        of_spki(&self.signing.public_key()?)
    }

    fn key_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn sign(&self, algorithm: JwtAlgorithm, message: &[u8]) -> Result<Vec<u8>> {
        use JwtAlgorithm as A;
        let with = |scheme| self.rustls_signer(scheme)?.sign(message).ok();
        let signature = match algorithm {
            A::HS256 | A::HS384 | A::HS512 => None,
            A::RS256 => with(SignatureScheme::RSA_PKCS1_SHA256),
            A::RS384 => with(SignatureScheme::RSA_PKCS1_SHA384),
            A::RS512 => with(SignatureScheme::RSA_PKCS1_SHA512),
            A::PS256 => with(SignatureScheme::RSA_PSS_SHA256),
            A::PS384 => with(SignatureScheme::RSA_PSS_SHA384),
            A::PS512 => with(SignatureScheme::RSA_PSS_SHA512),
            A::EdDsa => with(SignatureScheme::ED25519),
            A::ES256 => self.sign_ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, P256, message),
            A::ES384 => self.sign_ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, P384, message),
        };
        signature.ok_or_else(|| {
            Error::usage(format!(
                "the private key cannot sign with {}",
                algorithm.as_str()
            ))
        })
    }
}

fn unusable(fault: &str) -> Error {
    Error::locked(format!("the private key {fault}"))
}

#[cfg(test)]
mod tests;
