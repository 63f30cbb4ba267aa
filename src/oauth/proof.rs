//! Proofs of possession (RFC 9449 §4): signed JWTs that show, for one request, that the client has the key
//! that its token is bound to.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::assertion::CLOCK_SKEW;
use super::challenge::Challenge;
use super::external_signer::ExternalSigner;
use super::signer::Signer as _;
use crate::error::{Error, Result};
use crate::profile::JwtAlgorithm;
use crate::types::digest::{sha256, unique};
use crate::types::dpop::{Nonce, ProofKey};
use crate::types::external_key::ExternalKey;
use crate::types::secret::AccessToken;
use crate::types::ssh_key::Content;
use crate::types::token::Timestamp;
use crate::types::web_url::WebUrl;

/// Signs the proofs of one key.
pub(crate) struct Prover {
    key: Key,
    /// The public key, for the header of each proof (RFC 7517).
    jwk: Value,
    thumbprint: String,
}

enum Key {
    Private {
        pair: Box<EcdsaKeyPair>,
        /// PKCS #8, in base64.
        text: Zeroizing<String>,
    },
    External(ExternalSigner),
}

/// The request that a proof is for.
pub(crate) struct ProvenRequest<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a WebUrl,
    /// None at the token endpoint.
    pub(crate) token: Option<&'a AccessToken>,
    pub(crate) nonce: Option<&'a Nonce>,
}

impl Prover {
    /// With a new key.
    ///
    /// # Errors
    /// `Broken` when the system has no randomness.
    pub(super) fn generate() -> Result<Self> {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new());
        let key = key.map_err(|_| Error::broken("the system has no randomness"))?;
        Self::private(&Zeroizing::new(STANDARD.encode(key.as_ref())))
            .ok_or_else(|| Error::broken("cannot make a key for proofs (DPoP)"))
    }

    /// With a key that another program keeps.
    ///
    /// # Errors
    /// `Usage` when the key is not on the curve P-256.
    pub(crate) fn external(key: &Arc<dyn ExternalKey>) -> Result<Self> {
        let signer = ExternalSigner::new(key)?;
        let jwk = match signer.public_key().content() {
            Some(Content::P256(point)) => jwk(point),
            _ => None,
        };
        let Some((jwk, thumbprint)) = jwk else {
            let (program, key) = (key.program(), signer.public_key().fingerprint());
            let fault = format!("the key {key} of {program} cannot sign proofs (DPoP)");
            return Err(Error::usage(fault)
                .hint("use a P-256 key: ssh-keygen -t ecdsa -b 256 makes one for an ssh-agent"));
        };
        Ok(Self {
            key: Key::External(signer),
            jwk,
            thumbprint,
        })
    }

    /// With the key that a token is bound to. `external` is the key that another program keeps now. None if
    /// the token is not bound to that one, or its own key is damaged.
    ///
    /// # Errors
    /// As [`Prover::external`].
    pub(crate) fn of(
        key: &ProofKey,
        external: Option<&Arc<dyn ExternalKey>>,
    ) -> Result<Option<Self>> {
        match (key, external) {
            (ProofKey::Private(text), None) => Ok(Self::private(text)),
            (ProofKey::External(thumbprint), Some(key)) => {
                let prover = Self::external(key)?;
                Ok(Some(prover).filter(|prover| prover.thumbprint == *thumbprint))
            }
            _ => Ok(None),
        }
    }

    fn private(text: &Zeroizing<String>) -> Option<Self> {
        let pkcs8 = Zeroizing::new(STANDARD.decode(text.as_bytes()).ok()?);
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8, &SystemRandom::new()).ok()?;
        let (jwk, thumbprint) = jwk(pair.public_key().as_ref())?;
        Some(Self {
            key: Key::Private {
                pair: Box::new(pair),
                text: text.clone(),
            },
            jwk,
            thumbprint,
        })
    }

    /// Whether another program signs, which may take long.
    pub(crate) fn is_external(&self) -> bool {
        matches!(self.key, Key::External(_))
    }

    /// What is kept with a token that is bound to this key.
    pub(super) fn key(&self) -> ProofKey {
        match &self.key {
            Key::Private { text, .. } => ProofKey::Private(text.clone()),
            Key::External(_) => ProofKey::External(self.thumbprint.clone()),
        }
    }

    /// A proof for one request, the value of its `DPoP` header.
    ///
    /// # Errors
    /// `Locked` when another program does not sign.
    pub(crate) fn proof_of(&self, request: &ProvenRequest<'_>) -> Result<Zeroizing<String>> {
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk });
        let mut claims = json!({
            "jti": unique()?,
            "htm": request.method,
            "htu": request.url.without_query(),
            "iat": Timestamp::now().seconds().saturating_sub(CLOCK_SKEW),
        });
        if let Some(token) = request.token {
            let hash = sha256(token.expose().as_bytes());
            claims["ath"] = URL_SAFE_NO_PAD.encode(hash).into();
        }
        if let Some(nonce) = request.nonce {
            claims["nonce"] = nonce.as_str().into();
        }
        let encode = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let content = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.sign(content.as_bytes())?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Ok(Zeroizing::new(format!("{content}.{signature}")))
    }

    fn sign(&self, content: &[u8]) -> Result<Vec<u8>> {
        match &self.key {
            Key::Private { pair, .. } => {
                let signature = pair.sign(&SystemRandom::new(), content);
                let signature = signature.map_err(|_| Error::broken("cannot sign a proof"))?;
                Ok(signature.as_ref().to_vec())
            }
            Key::External(signer) => signer.sign(JwtAlgorithm::ES256, content),
        }
    }
}

/// Whether a challenge of an API only asks for a nonce in the proof (RFC 9449 §9).
pub(crate) fn asks_for_nonce(challenges: &str) -> bool {
    let challenges = Challenge::all(challenges);
    let mut of_dpop = challenges.iter().filter(|challenge| challenge.is_dpop());
    of_dpop.any(|challenge| challenge.parameter("error") == Some("use_dpop_nonce"))
}

/// The public JWK of an uncompressed point of P-256 (RFC 7518 §6.2.1), and its thumbprint (RFC 7638 §3).
fn jwk(point: &[u8]) -> Option<(Value, String)> {
    let (x, y) = point.strip_prefix(&[4])?.split_at_checked(32)?;
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    let required = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    let thumbprint = URL_SAFE_NO_PAD.encode(sha256(required.as_bytes()));
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
    Some((jwk, thumbprint))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_proof_is_for_one_request_and_one_token() {
        let prover = Prover::generate().expect("a key");
        let url = WebUrl::parse("https://api.example/a?b=c").expect("a URL");
        let token = AccessToken::parse("token").expect("a token");
        let nonce = Nonce::parse("n1").expect("a nonce");
        let request = ProvenRequest {
            method: "GET",
            url: &url,
            token: Some(&token),
            nonce: Some(&nonce),
        };
        let proof = prover.proof_of(&request).expect("a proof");
        let (content, signature) = proof.rsplit_once('.').expect("a signature");
        let (header, claims) = content.split_once('.').expect("claims");
        let read = |part: &str| -> Value {
            let json = URL_SAFE_NO_PAD.decode(part).expect("base64");
            serde_json::from_slice(&json).expect("JSON")
        };
        let (header, claims) = (read(header), read(claims));
        assert_eq!(
            (&header["typ"], &header["alg"]),
            (&"dpop+jwt".into(), &"ES256".into())
        );
        assert!(header["jwk"].get("d").is_none());
        let number =
            |name: &str| URL_SAFE_NO_PAD.decode(header["jwk"][name].as_str().expect("a number"));
        let point = [
            vec![4],
            number("x").expect("base64"),
            number("y").expect("base64"),
        ]
        .concat();
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        assert!(public.verify(content.as_bytes(), &signature).is_ok());
        assert_eq!(claims["htm"], "GET");
        assert_eq!(claims["htu"], "https://api.example/a");
        assert_eq!(claims["nonce"], "n1");
        // printf token | openssl dgst -sha256 -binary | basenc --base64url
        assert_eq!(claims["ath"], "PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A");
        let other = prover.proof_of(&request).expect("a proof");
        assert_ne!(*other, *proof);
    }

    #[test]
    fn a_key_that_is_kept_signs_for_the_same_public_key() {
        let prover = Prover::generate().expect("a key");
        let again = Prover::of(&prover.key(), None)
            .expect("no other program")
            .expect("a key");
        assert_eq!(
            (&again.jwk, &again.thumbprint),
            (&prover.jwk, &prover.thumbprint)
        );
        let damaged = ProofKey::Private(Zeroizing::new("AAAA".to_owned()));
        assert!(
            Prover::of(&damaged, None)
                .expect("no other program")
                .is_none()
        );
        let external = ProofKey::External(prover.thumbprint.clone());
        assert!(
            Prover::of(&external, None)
                .expect("no other program")
                .is_none()
        );
    }

    #[test]
    fn only_a_challenge_of_its_own_scheme_asks_for_a_nonce() {
        for (challenges, expected) in [
            (
                r#"DPoP error="use_dpop_nonce", error_description="a nonce""#,
                true,
            ),
            (
                r#"Bearer realm="a", dpop algs="ES256", error="use_dpop_nonce""#,
                true,
            ),
            (r#"DPoP error="invalid_token""#, false),
            (r#"Bearer error="use_dpop_nonce""#, false),
            (r#"Bearer realm="DPoP error=use_dpop_nonce""#, false),
            ("", false),
        ] {
            assert_eq!(asks_for_nonce(challenges), expected, "{challenges}");
        }
    }

    #[test]
    fn a_thousand_proofs_in_parallel_have_different_ids() {
        let prover = Prover::generate().expect("a key");
        let url = WebUrl::parse("https://api.example/").expect("a URL");
        let request = ProvenRequest {
            method: "GET",
            url: &url,
            token: None,
            nonce: None,
        };
        let id = || {
            let proof = prover.proof_of(&request).expect("a proof");
            let claims = proof.split('.').nth(1).expect("claims");
            let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64");
            let claims: Value = serde_json::from_slice(&claims).expect("JSON");
            claims["jti"].to_string()
        };
        let ids: HashSet<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..10)
                .map(|_| scope.spawn(|| (0..100).map(|_| id()).collect::<Vec<_>>()))
                .collect();
            let ids = threads.into_iter().map(|it| it.join().expect("proofs"));
            ids.flatten().collect()
        });
        assert_eq!(ids.len(), 1000);
    }

    /// The example of RFC 9449 §4.1 and §6.1.
    #[test]
    fn the_thumbprint_is_the_one_that_servers_compute() {
        let number = |text| URL_SAFE_NO_PAD.decode(text).expect("base64");
        let point = [
            vec![4],
            number("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs"),
            number("9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"),
        ];
        let (_, thumbprint) = jwk(&point.concat()).expect("a key");
        assert_eq!(thumbprint, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }
}
