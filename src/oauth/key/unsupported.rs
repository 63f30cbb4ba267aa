//! Why a private key that can be read cannot be used.

use pkcs8::ObjectIdentifier;
use pkcs8::der::Encode as _;
use ring::signature::RsaKeyPair;
use rustls::pki_types::PrivateKeyDer;

/// Kinds of keys that ring does not sign with, by the object identifiers in them.
const KINDS: [(ObjectIdentifier, &str); 7] = [
    (
        ObjectIdentifier::new_unwrap("1.3.132.0.35"),
        "is on the curve P-521, which is not supported",
    ),
    (
        ObjectIdentifier::new_unwrap("1.3.132.0.33"),
        "is on the curve P-224, which is not supported",
    ),
    (
        ObjectIdentifier::new_unwrap("1.3.132.0.10"),
        "is on the curve secp256k1, which is not supported",
    ),
    (
        ObjectIdentifier::new_unwrap("1.3.101.113"),
        "is an Ed448 key, which is not supported",
    ),
    (
        ObjectIdentifier::new_unwrap("1.3.101.110"),
        "is an X25519 key, which cannot sign",
    ),
    (
        ObjectIdentifier::new_unwrap("1.2.840.10040.4.1"),
        "is a DSA key, which cannot sign assertions",
    ),
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10"),
        "is an RSA key for PSS only, which is not supported",
    ),
];

/// The end of a sentence that begins with "the private key ".
pub(super) fn unsupported(der: &PrivateKeyDer<'_>) -> &'static str {
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
    let contains = |part: &[u8]| der.windows(part.len()).any(|window| window == part);
    let kind = KINDS.iter().find(|(identifier, _)| {
        let encoded = identifier.to_der();
        encoded.is_ok_and(|encoded| contains(&encoded))
    });
    kind.map_or(
        "is damaged, or of a kind that is not supported",
        |(_, text)| text,
    )
}
