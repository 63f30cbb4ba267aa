//! Signed assertions that authenticate the client (RFC 7523 §3).

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::signer::Signer;
use crate::error::{Error, Result};
use crate::profile::Assertion;
use crate::types::digest::{sha256, unique};
use crate::types::token::Timestamp;

/// How long an assertion is valid, in seconds: long enough for a slow network, too short to be stolen.
const LIFETIME: u64 = 60;

/// How far an assertion is dated back, in seconds: some servers refuse one that their clock, a little
/// behind this one, puts into the future. `nbf` is left out for the same reason (RFC 7523 §3).
const CLOCK_SKEW: u64 = 5;

/// The longest time that a program or a person may take to sign, so that some validity is left.
const LONGEST_SIGNING: Duration = Duration::from_secs(45);

/// A JWT that the client issues about itself.
///
/// # Errors
/// `Usage` when the algorithm does not fit the key, `Locked` when the certificate cannot be used,
/// `Broken` when the system has no randomness.
pub(super) fn client_assertion(
    client_id: &str,
    settings: &Assertion,
    signer: &dyn Signer,
) -> Result<Zeroizing<String>> {
    let algorithm = match settings.algorithm {
        Some(algorithm) => algorithm,
        None => signer.default_algorithm()?,
    };
    let mut header = json!({ "alg": algorithm.as_str(), "typ": settings.typ });
    if let Some(key_id) = settings.key_id.as_deref().or(signer.key_id()) {
        header["kid"] = key_id.into();
    }
    if let Some(certificate) = &settings.certificate {
        header["x5t#S256"] = thumbprint(certificate)?.into();
    }
    let started = Instant::now();
    let issued_at = (Timestamp::now().0 / 1000).saturating_sub(CLOCK_SKEW);
    let mut claims = json!({
        "iss": client_id,
        "sub": client_id,
        "aud": settings.audience,
        "iat": issued_at,
        "exp": issued_at + LIFETIME,
        "jti": unique()?,
    });
    for (name, value) in &settings.claims {
        claims[name.as_str()] = value.as_str().into();
    }
    let encode = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let content = format!("{}.{}", encode(&header), encode(&claims));
    let signature = signer.sign(algorithm, content.as_bytes())?;
    if started.elapsed() > LONGEST_SIGNING {
        let seconds = started.elapsed().as_secs();
        return Err(Error::locked(format!(
            "signing took {seconds} s, and the assertion is valid only for {LIFETIME} s"
        ))
        .hint("confirm the use of the key sooner"));
    }
    let signature = URL_SAFE_NO_PAD.encode(signature);
    Ok(Zeroizing::new(format!("{content}.{signature}")))
}

/// The SHA-256 thumbprint of a PEM certificate (RFC 7515 §4.1.8).
fn thumbprint(certificate: &Path) -> Result<String> {
    let der = CertificateDer::from_pem_file(certificate).map_err(|error| {
        let what = format!("cannot use the certificate {}", certificate.display());
        match error {
            pem::Error::Io(error) => Error::locked(what).because(error),
            _ => Error::locked(format!("{what}: it has no PEM certificate")),
        }
    })?;
    Ok(URL_SAFE_NO_PAD.encode(sha256(&der)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::oauth::signer::signer;
    use crate::types::secret::{ClientSecret, Credential};

    #[test]
    fn no_two_assertions_are_the_same() {
        let secret = ClientSecret::parse(&Zeroizing::new(b"s3cret".to_vec())).expect("a secret");
        let credential = Credential::Secret(secret);
        let signer = signer(&credential).expect("a signer");
        let settings = Assertion {
            algorithm: None,
            audience: "https://login.blooma.ai/".to_owned(),
            typ: "JWT".to_owned(),
            key_id: None,
            certificate: None,
            claims: BTreeMap::new(),
        };
        let assertion = || client_assertion("client", &settings, &*signer).expect("an assertion");
        assert_ne!(assertion(), assertion());
    }
}
