//! The judge of proofs: reads them, and verifies them as RFC 9449 §4.3 says.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;

use crate::server::Request;

pub(super) struct DpopProof {
    pub(super) header: Value,
    pub(super) claims: Value,
}

impl DpopProof {
    /// The proof of a request, if it has one.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let proofs = request.headers.iter();
        let mut proofs = proofs.filter(|(name, _)| name.eq_ignore_ascii_case("dpop"));
        let (_, proof) = proofs.next()?;
        assert!(proofs.next().is_none(), "one proof");
        Some(Self::read(proof))
    }

    /// Reads a proof, whose signature must be that of the key in it.
    pub(super) fn read(proof: &str) -> Self {
        let (content, signature) = proof.rsplit_once('.').expect("a signature");
        let (header, claims) = content.split_once('.').expect("claims");
        let json = |part: &str| serde_json::from_slice::<Value>(&bytes(part)).expect("JSON");
        let (header, claims) = (json(header), json(claims));
        let key = &header["jwk"];
        assert_eq!((&key["kty"], &key["crv"]), (&"EC".into(), &"P-256".into()));
        assert!(key.get("d").is_none(), "the private key is not sent");
        let number = |name: &str| bytes(key[name].as_str().expect("a number"));
        let point = [vec![4], number("x"), number("y")].concat();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        let verified = public.verify(content.as_bytes(), &bytes(signature));
        assert!(verified.is_ok(), "{proof}");
        Self { header, claims }
    }

    /// That it is a proof for this request.
    pub(super) fn verify(&self, method: &str, url: &str) {
        let Self { header, claims } = self;
        assert_eq!(
            (&header["typ"], &header["alg"]),
            (&"dpop+jwt".into(), &"ES256".into())
        );
        assert_eq!(
            (&claims["htm"], &claims["htu"]),
            (&method.into(), &url.into())
        );
        assert!(claims["jti"].as_str().is_some_and(|id| id.len() >= 16));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_secs();
        let issued = claims["iat"].as_u64().expect("a time");
        assert!((now - 60..=now).contains(&issued), "{issued}");
    }

    /// That it is for this token, too.
    pub(super) fn verify_with(&self, method: &str, url: &str, token: &str) {
        self.verify(method, url);
        let hash = digest(&SHA256, token.as_bytes());
        let hash = URL_SAFE_NO_PAD.encode(hash.as_ref());
        assert_eq!(self.claims["ath"], hash);
    }

    pub(super) fn key(&self) -> &Value {
        &self.header["jwk"]
    }

    pub(super) fn id(&self) -> String {
        self.claims["jti"].to_string()
    }
}

fn bytes(base64: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(base64).expect("base64")
}
