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
fn an_ecdsa_signature_has_a_fixed_length() {
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
fn anything_but_a_private_key_is_refused() {
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
