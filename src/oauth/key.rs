//! Private keys: read from PEM or a JWK, and used to sign. ring does the work, as in TLS.

mod jwk;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::der::Decode as _;
use pkcs8::der::asn1::UintRef;
use pkcs8::pkcs5;
use ring::signature::RsaKeyPair;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{CertificateError, SignatureAlgorithm, SignatureScheme};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::profile::JwtAlgorithm;
use crate::types::private_key::ENCRYPT_AGAIN;
use crate::types::secret::{ClientSecret, PrivateKey};

use jwk::Jwk;

/// What a key has to be.
const SUPPORTED: &str =
    "use an RSA key of 2048 to 4096 bits, a P-256 or P-384 key, or an Ed25519 key";

/// A private key that can sign.
pub(crate) struct Key {
    der: PrivateKeyDer<'static>,
    signing: Arc<dyn SigningKey>,
    id: Option<String>,
    algorithm: Option<JwtAlgorithm>,
}

impl Key {
    /// # Errors
    /// `Locked` when the passphrase does not fit, or when the key cannot be used.
    pub(crate) fn read(key: &PrivateKey, passphrase: Option<&ClientSecret>) -> Result<Self> {
        let mut jwk = None;
        let der = match (key.is_encrypted(), passphrase) {
            (true, Some(passphrase)) => decrypt(key, passphrase)?,
            (true, None) => {
                return Err(unusable("is encrypted, and its passphrase is not known").hint(
                    "give the passphrase: log in again, or set HALLPASS_CLIENT_SECRET for a profile from the environment",
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

    /// The `kid` of a JWK.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The `alg` of a JWK, if the key can sign so.
    pub(crate) fn own_algorithm(&self) -> Option<JwtAlgorithm> {
        let own = self.algorithm?;
        self.algorithms().contains(&own).then_some(own)
    }

    /// The algorithm if nothing else decides: a JWK's own, or the only one that fits.
    ///
    /// # Errors
    /// `Usage` when several fit, or none.
    pub(super) fn default_algorithm(&self) -> Result<JwtAlgorithm> {
        match (self.own_algorithm(), self.algorithms()) {
            (Some(own), _) => Ok(own),
            (None, &[only]) => Ok(only),
            (None, fitting) => Err(choose_among(fitting)),
        }
    }

    /// The algorithms that fit this key.
    pub(crate) fn algorithms(&self) -> &'static [JwtAlgorithm] {
        use JwtAlgorithm::{ES256, ES384, EdDsa, PS256, PS384, PS512, RS256, RS384, RS512};
        match self.signing.algorithm() {
            SignatureAlgorithm::RSA => &[RS256, RS384, RS512, PS256, PS384, PS512],
            SignatureAlgorithm::ED25519 => &[EdDsa],
            _ if self
                .signer(SignatureScheme::ECDSA_NISTP256_SHA256)
                .is_some() =>
            {
                &[ES256]
            }
            _ if self
                .signer(SignatureScheme::ECDSA_NISTP384_SHA384)
                .is_some() =>
            {
                &[ES384]
            }
            _ => &[],
        }
    }

    fn signer(&self, scheme: SignatureScheme) -> Option<Box<dyn Signer>> {
        self.signing.choose_scheme(&[scheme])
    }

    /// The signature as JWS wants it (RFC 7518 §3).
    ///
    /// # Errors
    /// `Usage` when the algorithm does not fit the key.
    pub(super) fn sign(&self, algorithm: JwtAlgorithm, message: &[u8]) -> Result<Vec<u8>> {
        let unfit = || {
            Error::usage(format!(
                "the private key cannot sign with {}",
                algorithm.as_str()
            ))
        };
        let signer = scheme(algorithm).and_then(|scheme| self.signer(scheme));
        let signature = signer.ok_or_else(unfit)?.sign(message);
        let signature = signature.map_err(|_| unfit())?;
        let fixed = match algorithm {
            JwtAlgorithm::ES256 => fixed_length(&signature, 32),
            JwtAlgorithm::ES384 => fixed_length(&signature, 48),
            _ => Some(signature),
        };
        fixed.ok_or_else(unfit)
    }

    /// Whether the first of these certificates (PEM) is this key's.
    pub(super) fn fits(&self, certificates: &[u8]) -> std::result::Result<(), rustls::Error> {
        let certificates: std::result::Result<_, _> =
            CertificateDer::pem_slice_iter(certificates).collect();
        let certificates = certificates.map_err(|_| CertificateError::BadEncoding)?;
        CertifiedKey::new(certificates, Arc::clone(&self.signing)).keys_match()
    }

    /// The key itself, for the TLS handshake.
    pub(super) fn der(&self) -> PrivateKeyDer<'static> {
        self.der.clone_key()
    }
}

/// The scheme's name in TLS; none for HMAC, which needs no private key.
fn scheme(algorithm: JwtAlgorithm) -> Option<SignatureScheme> {
    use JwtAlgorithm as A;
    Some(match algorithm {
        A::HS256 | A::HS384 | A::HS512 => return None,
        A::RS256 => SignatureScheme::RSA_PKCS1_SHA256,
        A::RS384 => SignatureScheme::RSA_PKCS1_SHA384,
        A::RS512 => SignatureScheme::RSA_PKCS1_SHA512,
        A::PS256 => SignatureScheme::RSA_PSS_SHA256,
        A::PS384 => SignatureScheme::RSA_PSS_SHA384,
        A::PS512 => SignatureScheme::RSA_PSS_SHA512,
        A::ES256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        A::ES384 => SignatureScheme::ECDSA_NISTP384_SHA384,
        A::EdDsa => SignatureScheme::ED25519,
    })
}

/// What to say of a key that does not decide how it signs.
pub(crate) fn choose_among(fitting: &[JwtAlgorithm]) -> Error {
    let names: Vec<_> = fitting.iter().map(|algorithm| algorithm.as_str()).collect();
    Error::usage(format!("this key can sign with {}", names.join(", ")))
}

fn unusable(fault: &str) -> Error {
    Error::locked(format!("the private key {fault}"))
}

/// PKCS #8 with a passphrase (RFC 8018).
fn decrypt(key: &PrivateKey, passphrase: &ClientSecret) -> Result<PrivateKeyDer<'static>> {
    let damaged = || unusable("is damaged: its PEM cannot be read");
    let unsupported =
        || unusable("is encrypted in a way that is not supported").hint(ENCRYPT_AGAIN);
    let text = std::str::from_utf8(key.expose()).map_err(|_| damaged())?;
    let (_, rest) = text
        .split_once("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        .ok_or_else(damaged)?;
    let (body, _) = rest.split_once("-----END").ok_or_else(damaged)?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| damaged())?;
    // An algorithm that it does not know is an error here already.
    let encrypted =
        pkcs8::EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).map_err(|_| unsupported())?;
    let plain = encrypted
        .decrypt(passphrase.expose())
        .map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(fault) if fault != pkcs5::Error::DecryptFailed => {
                unsupported()
            }
            _ => Error::locked("wrong passphrase for the private key")
                .hint("check the passphrase; it is stored as the profile's secret"),
        })?;
    Ok(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec()).into())
}

/// ECDSA's two numbers, from ASN.1 (RFC 3279 §2.2.3) to a fixed length each (RFC 7518 §3.4).
fn fixed_length(der: &[u8], length: usize) -> Option<Vec<u8>> {
    let numbers = Vec::<UintRef<'_>>::from_der(der).ok()?;
    let mut fixed = Vec::with_capacity(2 * length);
    for number in &numbers {
        let number = number.as_bytes();
        fixed.resize(fixed.len() + length.checked_sub(number.len())?, 0);
        fixed.extend_from_slice(number);
    }
    (numbers.len() == 2).then_some(fixed)
}

/// Why a key that can be read cannot be used, fit to follow "the private key ".
fn unsupported(der: &PrivateKeyDer<'_>) -> &'static str {
    let rejected = match der {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).err(),
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).err(),
        _ => None,
    };
    match rejected.map(|rejected| rejected.to_string()).as_deref() {
        Some("TooSmall") => return "is an RSA key of fewer than 2048 bits",
        Some("TooLarge") => return "is an RSA key of more than 4096 bits",
        _ => {}
    }
    let der = der.secret_der();
    let kind = KINDS.iter().find(|(identifier, _)| {
        let mut parts = der.windows(identifier.len());
        parts.any(|part| part == *identifier)
    });
    kind.map_or(
        "is damaged, or of a kind that is not supported",
        |(_, text)| text,
    )
}

/// Object identifiers, as DER has them, of keys that ring does not sign with.
const KINDS: [(&[u8], &str); 7] = [
    (
        &[6, 5, 0x2b, 0x81, 4, 0, 35],
        "is on the curve P-521, which is not supported",
    ),
    (
        &[6, 5, 0x2b, 0x81, 4, 0, 33],
        "is on the curve P-224, which is not supported",
    ),
    (
        &[6, 5, 0x2b, 0x81, 4, 0, 10],
        "is on the curve secp256k1, which is not supported",
    ),
    (
        &[6, 3, 0x2b, 0x65, 0x71],
        "is an Ed448 key, which is not supported",
    ),
    (
        &[6, 3, 0x2b, 0x65, 0x6e],
        "is an X25519 key, which cannot sign",
    ),
    (
        &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1],
        "is a DSA key, which cannot sign assertions",
    ),
    (
        &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10],
        "is an RSA key for PSS only, which is not supported: use a plain RSA key",
    ),
];

#[cfg(test)]
mod tests {
    use rcgen::{
        KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm,
    };
    use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

    use zeroize::Zeroizing;

    use super::*;

    fn read(text: &str) -> Result<Key> {
        let key = PrivateKey::parse(Zeroizing::new(text.as_bytes().to_vec())).expect("a key");
        Key::read(&key, None)
    }

    fn generate(algorithm: &'static SignatureAlgorithm) -> KeyPair {
        KeyPair::generate_for(algorithm).expect("a key pair")
    }

    #[track_caller]
    fn verify(with: &'static dyn VerificationAlgorithm, pair: &KeyPair, signature: &[u8]) {
        let public = UnparsedPublicKey::new(with, pair.public_key_raw());
        assert!(public.verify(b"message", signature).is_ok());
    }

    #[test]
    fn an_ecdsa_signature_is_two_numbers_of_a_fixed_length() {
        let rows: [(_, _, &dyn VerificationAlgorithm, _); 2] = [
            (
                &PKCS_ECDSA_P256_SHA256,
                JwtAlgorithm::ES256,
                &signature::ECDSA_P256_SHA256_FIXED,
                64,
            ),
            (
                &PKCS_ECDSA_P384_SHA384,
                JwtAlgorithm::ES384,
                &signature::ECDSA_P384_SHA384_FIXED,
                96,
            ),
        ];
        for (kind, algorithm, verification, length) in rows {
            let pair = generate(kind);
            let key = read(&pair.serialize_pem()).expect("a readable key");
            // Often enough that one of the numbers is short, or has its first bit set.
            for _ in 0..600 {
                let signature = key.sign(algorithm, b"message").expect("a signature");
                assert_eq!(signature.len(), length);
                verify(verification, &pair, &signature);
            }
            assert_eq!(key.algorithms(), [algorithm]);
            assert!(key.sign(JwtAlgorithm::RS256, b"message").is_err());
            assert!(key.sign(JwtAlgorithm::HS256, b"message").is_err());
        }
    }

    #[test]
    fn an_ed25519_key_signs() {
        let pair = generate(&PKCS_ED25519);
        let key = read(&pair.serialize_pem()).expect("a readable key");
        let signature = key
            .sign(JwtAlgorithm::EdDsa, b"message")
            .expect("a signature");
        verify(&signature::ED25519, &pair, &signature);
    }

    #[test]
    fn a_short_number_of_a_signature_is_padded() {
        let der = [0x30, 0x08, 0x02, 0x02, 0x00, 0x81, 0x02, 0x02, 0x12, 0x34];
        let fixed = fixed_length(&der, 32).expect("two numbers");
        assert_eq!(
            (fixed.len(), fixed[31], &fixed[62..]),
            (64, 0x81, &[0x12, 0x34][..])
        );
        assert!(fixed_length(&der[..9], 32).is_none() && fixed_length(&[], 32).is_none());
        assert!(fixed_length(&der, 1).is_none(), "too long a number");
    }

    #[test]
    fn what_is_no_private_key_is_refused() {
        for text in [
            "{}",
            "{",
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}"#,
            r#"{"kty":"oct","k":"AA"}"#,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "-----BEGIN PRIVATE KEY-----",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
