//! Private keys: read from PEM or a JWK, and used to sign. ring does the work, as in TLS.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{CertificateError, SignatureAlgorithm, SignatureScheme};
use serde_json::{Map, Value};
use std::sync::Arc;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::profile::JwtAlgorithm;
use crate::secret::{ClientSecret, PrivateKey};

/// A private key that can sign.
pub(crate) struct Key {
    der: PrivateKeyDer<'static>,
    signing: Arc<dyn SigningKey>,
}

impl Key {
    /// # Errors
    /// `Locked` when the passphrase does not fit, `Refused` when the key cannot be used.
    pub(crate) fn read(key: &PrivateKey, passphrase: Option<&ClientSecret>) -> Result<Self> {
        let unusable = |fault: &str| Error::refused(format!("the private key {fault}"));
        let der = match (key.is_encrypted(), passphrase) {
            (true, Some(passphrase)) => decrypt(key, passphrase)?,
            (true, None) => return Err(unusable("is encrypted, and its passphrase is not known")),
            (false, _) if key.expose().trim_ascii_start().starts_with(b"{") => {
                from_jwk(key.expose()).ok_or_else(|| {
                    unusable("is no JWK with an RSA, P-256 or Ed25519 private key")
                })?
            }
            (false, _) => PrivateKeyDer::from_pem_slice(key.expose()).map_err(|_| {
                unusable("is not readable PEM")
                    .hint("convert it: openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW")
            })?,
        };
        let signing = rustls::crypto::ring::sign::any_supported_type(&der).map_err(|error| {
            unusable("cannot be used")
                .because(error)
                .hint("an RSA key of 2048 bits or more, a P-256 key, or an Ed25519 key can")
        })?;
        Ok(Self { der, signing })
    }

    /// The algorithms that fit this key.
    pub(crate) fn algorithms(&self) -> &'static [JwtAlgorithm] {
        match self.signing.algorithm() {
            SignatureAlgorithm::RSA => &[JwtAlgorithm::RS256, JwtAlgorithm::PS256],
            // Another curve serves in the TLS handshake alone.
            SignatureAlgorithm::ECDSA if self.signs(SignatureScheme::ECDSA_NISTP256_SHA256) => {
                &[JwtAlgorithm::ES256]
            }
            SignatureAlgorithm::ED25519 => &[JwtAlgorithm::EdDsa],
            _ => &[],
        }
    }

    fn signs(&self, scheme: SignatureScheme) -> bool {
        self.signing.choose_scheme(&[scheme]).is_some()
    }

    /// The signature as JWS wants it (RFC 7518 §3).
    pub(super) fn sign(&self, algorithm: JwtAlgorithm, message: &[u8]) -> Result<Vec<u8>> {
        let unfit = || {
            Error::refused(format!(
                "the private key cannot sign with {}",
                algorithm.as_str()
            ))
            .hint("name an algorithm that fits the key with `hallpass login --jwt-alg ALGORITHM`")
        };
        let scheme = match algorithm {
            JwtAlgorithm::RS256 => SignatureScheme::RSA_PKCS1_SHA256,
            JwtAlgorithm::PS256 => SignatureScheme::RSA_PSS_SHA256,
            JwtAlgorithm::ES256 => SignatureScheme::ECDSA_NISTP256_SHA256,
            JwtAlgorithm::EdDsa => SignatureScheme::ED25519,
            JwtAlgorithm::HS256 => return Err(unfit()),
        };
        let signer = self.signing.choose_scheme(&[scheme]).ok_or_else(unfit)?;
        let signature = signer
            .sign(message)
            .map_err(|error| unfit().because(error))?;
        match algorithm {
            JwtAlgorithm::ES256 => raw_ecdsa(&signature).ok_or_else(unfit),
            _ => Ok(signature),
        }
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

/// PKCS#8 with a passphrase (RFC 8018).
fn decrypt(key: &PrivateKey, passphrase: &ClientSecret) -> Result<PrivateKeyDer<'static>> {
    let unreadable = || Error::refused("the encrypted private key is not readable PEM");
    let text = std::str::from_utf8(key.expose()).map_err(|_| unreadable())?;
    let (_, rest) = text
        .split_once("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        .ok_or_else(unreadable)?;
    let (body, _) = rest.split_once("-----END").ok_or_else(unreadable)?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| unreadable())?;
    let encrypted =
        pkcs8::EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).map_err(|_| unreadable())?;
    let plain = encrypted.decrypt(passphrase.expose()).map_err(|_| {
        Error::locked("the private key cannot be decrypted: the passphrase does not fit, or its cipher is not supported")
            .hint("run `hallpass login` again with the right passphrase, or encrypt the key anew: openssl pkcs8 -topk8 -v2 aes-256-cbc")
    })?;
    Ok(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec()).into())
}

/// ECDSA's two numbers, from ASN.1 (RFC 3279 §2.2.3) to 32 bytes each.
fn raw_ecdsa(der: &[u8]) -> Option<Vec<u8>> {
    let [0x30, length, numbers @ ..] = der else {
        return None;
    };
    if usize::from(*length) != numbers.len() {
        return None;
    }
    let mut raw = Vec::with_capacity(64);
    let mut rest = numbers;
    for _ in 0..2 {
        let [0x02, length, tail @ ..] = rest else {
            return None;
        };
        let (number, tail) = tail.split_at_checked(usize::from(*length))?;
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        raw.resize(raw.len() + 32_usize.checked_sub(number.len())?, 0);
        raw.extend_from_slice(number);
        rest = tail;
    }
    rest.is_empty().then_some(raw)
}

/// A private JWK (RFC 7518 §6, RFC 8037 §2), rewritten as the DER that the library reads.
fn from_jwk(bytes: &[u8]) -> Option<PrivateKeyDer<'static>> {
    let members: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
    let text = |name| members.get(name).and_then(Value::as_str);
    let number = |name| URL_SAFE_NO_PAD.decode(text(name)?).ok().map(Zeroizing::new);
    match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            let mut content = integer(&[0]);
            for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
                content.extend(integer(&number(name)?));
            }
            Some(PrivateKeyDer::Pkcs1(der(0x30, &content).into()))
        }
        ("EC", Some("P-256")) => {
            // ECPrivateKey (RFC 5915 §3): version, key, curve, public point.
            const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
            let point = [&[0, 4][..], &number("x")?, &number("y")?].concat();
            let content = [
                integer(&[1]),
                der(0x04, &number("d")?),
                der(0xa0, &P256),
                der(0xa1, &der(0x03, &point)),
            ];
            Some(PrivateKeyDer::Sec1(der(0x30, &content.concat()).into()))
        }
        ("OKP", Some("Ed25519")) => {
            // PrivateKeyInfo (RFC 8410 §7): version, algorithm, the key in two octet strings.
            const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
            let content = [
                integer(&[0]),
                ED25519.to_vec(),
                der(0x04, &der(0x04, &number("d")?)),
            ];
            Some(PrivateKeyDer::Pkcs8(der(0x30, &content.concat()).into()))
        }
        _ => None,
    }
}

/// A positive INTEGER: shortest form, with a leading zero where the first bit is set.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(bytes.len());
    let mut content = bytes[start..].to_vec();
    if content.first().is_none_or(|first| first & 0x80 != 0) {
        content.insert(0, 0);
    }
    der(0x02, &content)
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut encoded = vec![tag];
    match significant.as_slice() {
        [] => encoded.push(0),
        [short] if *short < 0x80 => encoded.push(*short),
        long => {
            encoded.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            encoded.extend_from_slice(long);
        }
    }
    encoded.extend_from_slice(content);
    encoded
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};
    use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

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
    fn an_ecdsa_signature_is_two_numbers_of_32_bytes() {
        let pair = generate(&PKCS_ECDSA_P256_SHA256);
        let key = read(&pair.serialize_pem()).expect("a readable key");
        // Often enough that one of the numbers is short, or has its first bit set.
        for _ in 0..100 {
            let signature = key
                .sign(JwtAlgorithm::ES256, b"message")
                .expect("a signature");
            assert_eq!(signature.len(), 64);
            verify(&signature::ECDSA_P256_SHA256_FIXED, &pair, &signature);
        }
        assert_eq!(key.algorithms(), [JwtAlgorithm::ES256]);
        assert!(key.sign(JwtAlgorithm::RS256, b"message").is_err());
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
        let raw = raw_ecdsa(&der).expect("two numbers");
        assert_eq!(
            (raw.len(), raw[31], &raw[62..]),
            (64, 0x81, &[0x12, 0x34][..])
        );
        assert!(raw_ecdsa(&der[..9]).is_none() && raw_ecdsa(&[]).is_none());
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
