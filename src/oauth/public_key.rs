//! Public keys, to verify what another program signed before it is sent.

use pkcs8::der::Decode as _;
use pkcs8::der::asn1::UintRef;
use pkcs8::spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::server::ParsedCertificate;

use super::key::{EC_PUBLIC_KEY, ED25519 as ED25519_KEY, P256, P384};
use crate::profile::JwtAlgorithm;
use crate::types::ssh_key::{Content, SshPublicKey, at_fixed_length, without_zeros};

/// RFC 8017 A.1, RFC 8410 §3.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The public key in a file: PEM, of a key or of a certificate.
pub(super) fn in_file(content: &[u8]) -> Option<SshPublicKey> {
    if let Ok(key) = SubjectPublicKeyInfoDer::from_pem_slice(content) {
        return of_spki(&key);
    }
    of_certificate(&CertificateDer::from_pem_slice(content).ok()?)
}

pub(super) fn of_certificate(certificate: &CertificateDer<'_>) -> Option<SshPublicKey> {
    let certificate = ParsedCertificate::try_from(certificate).ok()?;
    of_spki(&certificate.subject_public_key_info())
}

/// From a `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7).
pub(super) fn of_spki(der: &[u8]) -> Option<SshPublicKey> {
    let info = SubjectPublicKeyInfoRef::from_der(der).ok()?;
    let key = info.subject_public_key.as_bytes()?;
    let curve = info.algorithm.parameters_oid().ok();
    let key = match (info.algorithm.oid, curve) {
        (RSA, _) => {
            let [modulus, exponent] = &numbers(key)?;
            SshPublicKey::of(Content::Rsa { modulus, exponent })
        }
        (EC_PUBLIC_KEY, Some(P256)) => SshPublicKey::of(Content::P256(key)),
        (EC_PUBLIC_KEY, Some(P384)) => SshPublicKey::of(Content::P384(key)),
        (ED25519_KEY, _) => SshPublicKey::of(Content::Ed25519(key)),
        _ => return None,
    };
    // A damaged one has no content.
    key.content().is_some().then_some(key)
}

/// The algorithms that fit a key.
pub(super) fn algorithms(key: &SshPublicKey) -> &'static [JwtAlgorithm] {
    use JwtAlgorithm::{ES256, ES384, EdDsa, PS256, PS384, PS512, RS256, RS384, RS512};
    match key.content() {
        Some(Content::Rsa { .. }) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        Some(Content::P256(_)) => &[ES256],
        Some(Content::P384(_)) => &[ES384],
        Some(Content::Ed25519(_)) => &[EdDsa],
        None => &[],
    }
}

/// The signature in what a program printed: as it is, or in base64; RSA's number of any length, and
/// ECDSA's two at a fixed length (RFC 7518 §3.4), or in DER. None if no reading of it is this key's
/// signature of the message.
pub(super) fn signature_in(
    printed: &[u8],
    key: &SshPublicKey,
    algorithm: JwtAlgorithm,
    message: &[u8],
) -> Option<Vec<u8>> {
    let mut readings = vec![printed.to_vec()];
    readings.extend(from_base64(printed));
    let with_length = |reading: &Vec<u8>| match key.content()? {
        Content::Rsa { modulus, .. } => of_modulus(reading, modulus.len()),
        Content::P256(_) => fixed_length(reading, 32),
        Content::P384(_) => fixed_length(reading, 48),
        Content::Ed25519(_) => None,
    };
    let more: Vec<_> = readings.iter().filter_map(with_length).collect();
    readings.extend(more);
    let mut readings = readings.into_iter();
    readings.find(|signature| verifies(key, algorithm, message, signature))
}

/// Whether this key signed the message, in the form of JWS (RFC 7518 §3).
fn verifies(key: &SshPublicKey, algorithm: JwtAlgorithm, message: &[u8], signature: &[u8]) -> bool {
    use JwtAlgorithm as A;
    let with = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
        let key = UnparsedPublicKey::new(algorithm, key);
        key.verify(message, signature).is_ok()
    };
    match (key.content(), algorithm) {
        (Some(Content::Rsa { modulus, exponent }), _) => {
            let parameters: &'static RsaParameters = match algorithm {
                A::RS256 => &RSA_PKCS1_2048_8192_SHA256,
                A::RS384 => &RSA_PKCS1_2048_8192_SHA384,
                A::RS512 => &RSA_PKCS1_2048_8192_SHA512,
                A::PS256 => &RSA_PSS_2048_8192_SHA256,
                A::PS384 => &RSA_PSS_2048_8192_SHA384,
                A::PS512 => &RSA_PSS_2048_8192_SHA512,
                _ => return false,
            };
            let key = RsaPublicKeyComponents {
                n: modulus,
                e: exponent,
            };
            key.verify(parameters, message, signature).is_ok()
        }
        (Some(Content::P256(point)), A::ES256) => with(&ECDSA_P256_SHA256_FIXED, point),
        (Some(Content::P384(point)), A::ES384) => with(&ECDSA_P384_SHA384_FIXED, point),
        (Some(Content::Ed25519(key)), A::EdDsa) => with(&ED25519, key),
        _ => false,
    }
}

/// An RSA signature, padded to the length of the modulus (RFC 8017 §8.1.1, §8.2.1). Some programs, such as
/// gpg-agent, print the number without its leading zeros; others put a zero before it, as for a signed number.
fn of_modulus(number: &[u8], length: usize) -> Option<Vec<u8>> {
    at_fixed_length(&[without_zeros(number)], length)
}

/// ECDSA's two numbers, from ASN.1 (RFC 3279 §2.2.3) to a fixed length each (RFC 7518 §3.4).
fn fixed_length(der: &[u8], length: usize) -> Option<Vec<u8>> {
    let [r, s] = &numbers(der)?;
    at_fixed_length(&[r, s], length)
}

/// A sequence of two positive numbers, without leading zeros.
fn numbers(der: &[u8]) -> Option<[Vec<u8>; 2]> {
    let numbers = Vec::<UintRef<'_>>::from_der(der).ok()?;
    let numbers: Vec<_> = numbers.iter().map(|it| it.as_bytes().to_vec()).collect();
    numbers.try_into().ok()
}

/// Base64 of either alphabet, with or without padding and line ends.
fn from_base64(printed: &[u8]) -> Option<Vec<u8>> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    let text = std::str::from_utf8(printed).ok()?;
    let text: String = text
        .chars()
        .filter(|c| !c.is_ascii_whitespace() && *c != '=')
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    STANDARD_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const KEY: &[u8] = b"-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmS6eplYtsnrwBVWWaYit\n\
Ssa+CxBOxlu2xyKC4cbaxkZo7DXr9Xy2vKwHlVGOu51YUbd7P69i7JVC87u1uUTf\n\
zsCW8rrZBe7saJ9JwsdBYBQ9EaO6zAyHAzCUaPjqPFJkR1XP3Ti20cL2LTOEFPWq\n\
0SD89x1SO/VGCc3q/Ft+X6waXRVJ/9e+kfyEPg4ELzdLsuD6TsWdxU0rB0NF3pUl\n\
MjQM8UJEJROu0kU8xwRHr28sd+Nz7rFl8JpiIofZQ3ACMgN64ABaO/gEhst/wA3b\n\
RNJi3E8JzSb/GsUXWwxew/134HSsRaoVSo/b9FPHWIlE/uoD59aoevH+Hb1qp3vd\n\
rQIDAQAB\n\
-----END PUBLIC KEY-----";

    /// Signatures by its private key that begin with a zero.
    const SIGNATURES: [(JwtAlgorithm, &[u8], &str); 2] = [
        (
            JwtAlgorithm::RS256,
            b"message 114",
            "AJsQ+HV4c7MKKu3jBcKJTEt7XdESZN92TeyoQXQAX+um02zED973QTO/Rx/1FPqLXlPZ6XJEAdudw5SEbggNe7P4\
        ongzogOuUrxyU2/63ou4QyASh9VPPZi3ZaQyQitl2qVmHzCU6lKpUWr3xt1zROHzKrC/zeXVY+mo28zK9cGSXNRe\
        IWmDR4gL+RzbZnFHryL4f8+Ut4zQLe3jUm+w1HXdpxhcxb2Y3iKL3JD5oRL31k3ZppmcUUz6yyFLSv8IZwuXVArt\
        PCWUmsiTkWJL2okE/xARGJBVh9fw42YzU6zx4e4AANLVR5DV/TSJuu3tCfk0POORa4dQvZys/2lLqw==",
        ),
        (
            JwtAlgorithm::PS256,
            b"message 21",
            "AHho7/o7tB9KKlLyZ1Sno2XAIZgo2WOsoXPUHTabYae64QbsELCEDTnZ+k11xPRUYxBEVfIFDe3bwhywxsOoX/yK\
        fVyr7f6rd45TwXXQ6sOtDBtEv0ikxzOiyjsNDCz07lTaRA5dnKRdze+Bz5pFz8fZQ9oQHEkRFz4gXyVdb2+OX9F8\
        q0gZsARmeMw9CcxOGc9poCicgtmD8cNiCVUUGwp88NCesgyi0mLSOfcSw/FJSB1TMS37DkIe4hLgEEa8do7cQ6bf\
        gMLoh5W0A6YD16TGCB+8fldZGDm6grMotbmGYAylE5BDwtXHehwrrSNItqwjB2cvl8THckx54Z+5Sg==",
        ),
    ];

    #[test]
    fn an_rsa_signature_may_lack_its_leading_zeros_or_have_more() {
        let key = in_file(KEY).expect("a public key");
        for (algorithm, message, base64) in SIGNATURES {
            let signature = STANDARD.decode(base64).expect("base64");
            assert_eq!((signature.len(), signature[0]), (256, 0));
            let read = |printed: &[u8]| signature_in(printed, &key, algorithm, message);
            let (shorter, longer) = (&signature[1..], [&b"\0\0"[..], &signature].concat());
            for printed in [&signature, shorter, &longer, base64.as_bytes()] {
                assert_eq!(read(printed).as_ref(), Some(&signature));
            }
            assert_eq!(
                read(STANDARD.encode(shorter).as_bytes()),
                Some(signature.clone())
            );
            let mut changed = signature.clone();
            changed[255] ^= 1;
            for printed in [&changed[..], &changed[1..], &signature[2..], b"", b"\0"] {
                assert_eq!(read(printed), None);
            }
        }
    }
}
