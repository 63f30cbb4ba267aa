//! How the client proves itself: one proof per request, never two (RFC 6749 §2.3).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use zeroize::Zeroizing;

use super::advice;
use super::key::Key;
use crate::error::{Error, Kind, Result};
use crate::profile::{Assertion, BasicEncoding, ClientAuth, JwtAlgorithm, Profile, ProfileName};
use crate::types::digest::{sha256, unique};
use crate::types::secret::{ClientSecret, Credential};
use crate::types::token::Timestamp;
use crate::types::web_url::encode_all_reserved;

/// How long an assertion is valid, in seconds: long enough for a slow network, too short to be stolen.
const ASSERTION_LIFETIME: u64 = 60;

/// How far an assertion is dated back, in seconds: some servers refuse one that their clock, a little
/// behind this one, puts into the future. `nbf` is left out for the same reason (RFC 7523 §3).
const CLOCK_SKEW: u64 = 5;

/// What goes into a request to prove the client.
#[derive(Default)]
pub(super) struct Proof {
    /// The value of the Authorization header.
    pub(super) authorization: Option<Zeroizing<String>>,
    pub(super) parameters: Vec<(&'static str, Zeroizing<String>)>,
}

/// The client authentication of one attempt; an assertion is signed again for every attempt.
pub(super) fn prove(
    profile: &Profile,
    name: Option<&ProfileName>,
    credential: &Credential,
) -> Result<Proof> {
    let client_id = ("client_id", Zeroizing::new(profile.client_id.clone()));
    let with = |parameters| Proof {
        authorization: None,
        parameters,
    };
    Ok(match (profile.client_auth, credential) {
        (ClientAuth::ClientSecretBasic, Credential::Secret(secret)) => Proof {
            authorization: Some(basic(profile.basic_encoding, &profile.client_id, secret)),
            parameters: vec![],
        },
        (ClientAuth::ClientSecretPost, Credential::Secret(secret)) => with(vec![
            client_id,
            ("client_secret", Zeroizing::new(secret.expose().to_owned())),
        ]),
        (ClientAuth::ClientSecretJwt, Credential::Secret(_))
        | (ClientAuth::PrivateKeyJwt, Credential::Key { .. }) => {
            let assertion = profile.assertion.as_ref().ok_or_else(unsuitable)?;
            let jwt = jwt(&profile.client_id, assertion, credential)
                .map_err(|error| advise(error, name))?;
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            with(vec![
                client_id,
                ("client_assertion_type", Zeroizing::new(kind.to_owned())),
                ("client_assertion", jwt),
            ])
        }
        // The handshake proves the client; the parameter says which one it is (RFC 8705 §2).
        (
            ClientAuth::TlsClientAuth | ClientAuth::SelfSignedTlsClientAuth,
            Credential::Key { .. },
        ) => with(vec![client_id]),
        _ => return Err(unsuitable()),
    })
}

/// What to do about an algorithm that does not fit the key, or a key that fits several.
fn advise(error: Error, name: Option<&ProfileName>) -> Error {
    if error.kind != Kind::Usage {
        return error;
    }
    let choice = advice::set(
        name,
        "--jwt-alg ALGORITHM",
        "HALLPASS_JWT_ALG to one of them",
    );
    error.hint(format!("choose an algorithm that fits the key: {choice}"))
}

fn unsuitable() -> Error {
    Error::usage("the profile's authentication method does not match its secret or private key")
}

/// The credentials of HTTP Basic: percent-encoded first (RFC 6749 §2.3.1), so that a colon or a
/// letter outside ASCII in either survives.
pub(super) fn basic(
    encoding: BasicEncoding,
    client_id: &str,
    secret: &ClientSecret,
) -> Zeroizing<String> {
    let encode = |text: &str| match encoding {
        BasicEncoding::Percent => Zeroizing::new(encode_all_reserved(text)),
        BasicEncoding::Raw => Zeroizing::new(text.to_owned()),
    };
    let pair = Zeroizing::new(format!(
        "{}:{}",
        *encode(client_id),
        *encode(secret.expose())
    ));
    Zeroizing::new(format!(
        "Basic {}",
        *Zeroizing::new(STANDARD.encode(&*pair))
    ))
}

/// A signed assertion (RFC 7523 §3).
fn jwt(
    client_id: &str,
    assertion: &Assertion,
    credential: &Credential,
) -> Result<Zeroizing<String>> {
    let key = match credential {
        Credential::Key { key, passphrase } => Some(Key::read(key, passphrase.as_ref())?),
        Credential::Secret(_) => None,
    };
    let algorithm = match (assertion.algorithm, &key) {
        (Some(algorithm), _) => algorithm,
        (None, Some(key)) => key.default_algorithm()?,
        (None, None) => JwtAlgorithm::HS256,
    };
    let mut header = json!({ "alg": algorithm.as_str(), "typ": assertion.typ });
    let own_id = key.as_ref().and_then(Key::id);
    if let Some(key_id) = assertion.key_id.as_deref().or(own_id) {
        header["kid"] = key_id.into();
    }
    if let Some(certificate) = &assertion.certificate {
        let unusable = || {
            Error::locked(format!(
                "cannot use the certificate {}",
                certificate.display()
            ))
        };
        let der = CertificateDer::from_pem_file(certificate)
            .map_err(|error| unusable().because(error))?;
        header["x5t#S256"] = URL_SAFE_NO_PAD.encode(sha256(&der)).into();
    }
    let issued_at = (Timestamp::now().0 / 1000).saturating_sub(CLOCK_SKEW);
    let mut claims = json!({
        "iss": client_id,
        "sub": client_id,
        "aud": assertion.audience,
        "iat": issued_at,
        "exp": issued_at + ASSERTION_LIFETIME,
        "jti": unique()?,
    });
    for (name, value) in &assertion.claims {
        claims[name] = value.as_str().into();
    }
    let encode = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = match (key, credential) {
        (Some(key), _) => key.sign(algorithm, signed.as_bytes())?,
        (None, Credential::Secret(secret)) => {
            let algorithm = match algorithm {
                JwtAlgorithm::HS256 => hmac::HMAC_SHA256,
                JwtAlgorithm::HS384 => hmac::HMAC_SHA384,
                JwtAlgorithm::HS512 => hmac::HMAC_SHA512,
                _ => return Err(unsuitable()),
            };
            let key = hmac::Key::new(algorithm, secret.expose().as_bytes());
            hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
        }
        _ => return Err(unsuitable()),
    };
    Ok(Zeroizing::new(format!(
        "{signed}.{}",
        URL_SAFE_NO_PAD.encode(signature)
    )))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::profile;

    fn secret(text: &str) -> ClientSecret {
        ClientSecret::parse(&Zeroizing::new(text.as_bytes().to_vec())).expect("a secret")
    }

    #[test]
    fn basic_credentials_are_encoded_before_they_are_joined() {
        let header = basic(BasicEncoding::Percent, "cli:ent", &secret("s%c+r t"));
        assert_eq!(
            *header,
            format!("Basic {}", STANDARD.encode("cli%3Aent:s%25c%2Br%20t"))
        );
        let header = basic(BasicEncoding::Raw, "cli:ent", &secret("s%c+r t"));
        assert_eq!(
            *header,
            format!("Basic {}", STANDARD.encode("cli:ent:s%c+r t"))
        );
    }

    #[test]
    fn a_client_proves_itself_once() {
        let credential = Credential::Secret(secret("s3cret"));
        let mut profile = profile::example();
        profile.assertion = Some(Assertion {
            algorithm: None,
            audience: "https://login.blooma.ai/".to_owned(),
            typ: "JWT".to_owned(),
            key_id: None,
            certificate: None,
            claims: BTreeMap::new(),
        });
        for (method, header, parameters) in [
            (ClientAuth::ClientSecretBasic, true, &[][..]),
            (
                ClientAuth::ClientSecretPost,
                false,
                &["client_id", "client_secret"],
            ),
            (
                ClientAuth::ClientSecretJwt,
                false,
                &["client_id", "client_assertion_type", "client_assertion"],
            ),
        ] {
            profile.client_auth = method;
            let proof = prove(&profile, None, &credential).expect("a proof");
            let names: Vec<_> = proof.parameters.iter().map(|(name, _)| *name).collect();
            assert_eq!(
                (proof.authorization.is_some(), names.as_slice()),
                (header, parameters)
            );
        }
        profile.client_auth = ClientAuth::PrivateKeyJwt;
        assert!(prove(&profile, None, &credential).is_err());
    }

    #[test]
    fn no_two_assertions_are_the_same() {
        let credential = Credential::Secret(secret("s3cret"));
        let assertion = Assertion {
            algorithm: None,
            audience: "https://login.blooma.ai/".to_owned(),
            typ: "JWT".to_owned(),
            key_id: None,
            certificate: None,
            claims: BTreeMap::new(),
        };
        let jwt = || jwt("client", &assertion, &credential).expect("an assertion");
        assert_ne!(jwt(), jwt());
    }
}
