//! Private JWKs (RFC 7517, RFC 7518 §6, RFC 8037 §2), rewritten as the DER that rustls reads.

use std::iter;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pkcs8::der::asn1::{AnyRef, OctetStringRef, UintRef};
use pkcs8::der::{Encode as _, Tag, TagNumber};
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{ED25519, P256, P384};
use crate::profile::JwtAlgorithm;
use crate::types::choice::Choice as _;

type Bytes = Zeroizing<Vec<u8>>;

/// A private JWK.
pub(super) struct Jwk {
    pub(super) der: PrivateKeyDer<'static>,
    /// `kid` (RFC 7517 §4.5).
    pub(super) id: Option<String>,
    /// `alg` (RFC 7517 §4.4), where it is an algorithm that hallpass has.
    pub(super) algorithm: Option<JwtAlgorithm>,
}

/// A curve: its `crv` (RFC 7518 §6.2.1.1), its object identifier, and the bytes of a coordinate.
struct Curve {
    name: &'static str,
    identifier: ObjectIdentifier,
    length: usize,
}

const CURVES: [Curve; 2] = [
    Curve {
        name: "P-256",
        identifier: P256,
        length: 32,
    },
    Curve {
        name: "P-384",
        identifier: P384,
        length: 48,
    },
];

impl Jwk {
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with "the private key ".
    pub(super) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let members: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|_| "is not readable JSON")?;
        let text = |name| members.get(name).and_then(Value::as_str);
        let number = |name| -> Option<Bytes> {
            let decoded = URL_SAFE_NO_PAD.decode(text(name)?.trim_end_matches('='));
            decoded.ok().map(Zeroizing::new)
        };
        let kind = match text("kty") {
            Some(kind) => kind,
            None if members.contains_key("keys") => return Err("is a set of JWKs, not one JWK"),
            None => return Err("is JSON, but not a JWK"),
        };
        if kind == "oct" {
            return Err("is a secret for HMAC, not a private key");
        }
        if !members.contains_key("d") {
            return Err("is a public key");
        }
        let curve = text("crv").and_then(|name| CURVES.iter().find(|curve| curve.name == name));
        let der = match (kind, curve) {
            ("RSA", _) if !members.contains_key("p") => {
                return Err("is an RSA key without its primes (p, q, dp, dq, qi)");
            }
            ("RSA", _) => rsa(number).map(|der| PrivateKeyDer::Pkcs1(der.into())),
            ("EC", Some(curve)) => ec(curve, number).map(|der| PrivateKeyDer::Sec1(der.into())),
            ("EC", None) => return Err("is on a curve that is not supported"),
            ("OKP", _) if text("crv") == Some("Ed25519") => {
                ed25519(number).map(|der| PrivateKeyDer::Pkcs8(der.into()))
            }
            _ => return Err("is of a kind that is not supported"),
        };
        Ok(Self {
            der: der.ok_or("is a damaged JWK")?,
            id: text("kid").map(str::to_owned),
            algorithm: text("alg").and_then(JwtAlgorithm::parse),
        })
    }
}

/// `RSAPrivateKey` (RFC 8017 §A.1.2).
fn rsa(number: impl Fn(&'static str) -> Option<Bytes>) -> Option<Vec<u8>> {
    let names = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
    let numbers: Vec<_> = names.into_iter().map(number).collect::<Option<_>>()?;
    let version: &[u8] = &[0];
    let integers = iter::once(version).chain(numbers.iter().map(|number| number.as_slice()));
    let integers: Result<Vec<_>, _> = integers.map(UintRef::new).collect();
    integers.ok()?.to_der().ok()
}

/// `ECPrivateKey` (RFC 5915 §3): version, key, curve, public point.
fn ec(curve: &Curve, number: impl Fn(&'static str) -> Option<Bytes>) -> Option<Vec<u8>> {
    let number = |name| {
        let number = number(name)?;
        let mut padded = Zeroizing::new(vec![0; curve.length.checked_sub(number.len())?]);
        padded.extend_from_slice(&number);
        Some(padded)
    };
    // A BIT STRING without unused bits, and a point that is not compressed.
    let point = [&[0, 4][..], &number("x")?, &number("y")?].concat();
    let content = [
        element(Tag::Integer, &[1])?,
        element(Tag::OctetString, &number("d")?)?,
        element(explicit(0), &curve.identifier.to_der().ok()?)?,
        element(explicit(1), &element(Tag::BitString, &point)?)?,
    ];
    element(Tag::Sequence, &content.concat())
}

/// `PrivateKeyInfo`, whose octet string has another one in it (RFC 8410 §7).
fn ed25519(number: impl Fn(&'static str) -> Option<Bytes>) -> Option<Vec<u8>> {
    let algorithm = AlgorithmIdentifierRef {
        oid: ED25519,
        parameters: None,
    };
    let key = Zeroizing::new(element(Tag::OctetString, &number("d")?)?);
    let key = OctetStringRef::new(&key).ok()?;
    PrivateKeyInfoRef::new(algorithm, key).to_der().ok()
}

fn element(tag: Tag, content: &[u8]) -> Option<Vec<u8>> {
    AnyRef::new(tag, content).ok()?.to_der().ok()
}

fn explicit(number: u32) -> Tag {
    Tag::ContextSpecific {
        constructed: true,
        number: TagNumber(number),
    }
}
