//! Signed assertions that authenticate the client (RFC 7523 §3).

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::SHA1_FOR_LEGACY_USE_ONLY;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::public_key::of_certificate;
use super::signer::Signer;
use crate::error::{Error, Result};
use crate::profile::{Assertion, CertificateHeader};
use crate::types::digest::{sha256, unique};
use crate::types::token::Timestamp;

/// How long an assertion is valid, in seconds: long enough for a slow network, short enough to limit replay.
const LIFETIME: u64 = 60;

/// How far an assertion is dated back, in seconds: some servers refuse one that their clock, a little
/// behind this one, puts into the future. `nbf` is left out for the same reason (RFC 7523 §3).
pub(super) const CLOCK_SKEW: u64 = 5;

/// The longest time that a program or a person may take to sign, so that some validity is left.
const LONGEST_SIGNING: Duration = Duration::from_secs(45);

/// The longest file of a certificate and its authorities, in bytes.
const LONGEST_CERTIFICATES: u64 = 64 * 1024;

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
    if let Some(path) = &settings.certificate {
        let chain = certificates(path, signer)?;
        let headers = match settings.certificate_headers.as_slice() {
            [] => &[CertificateHeader::X5tS256],
            headers => headers,
        };
        for name in headers {
            header[name.as_str()] = certificate_header(*name, &chain);
        }
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

/// The certificates in a PEM file: the key's first, then those of its authorities.
fn certificates(path: &Path, signer: &dyn Signer) -> Result<Vec<CertificateDer<'static>>> {
    let what = format!("cannot use the certificate {}", path.display());
    let fault = |text: &str| Error::locked(format!("{what}: {text}"));
    let mut pem = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(LONGEST_CERTIFICATES + 1).read_to_end(&mut pem));
    read.map_err(|error| Error::locked(what.as_str()).because(error))?;
    if pem.len() as u64 > LONGEST_CERTIFICATES {
        return Err(fault("it is longer than 64 KiB"));
    }
    let chain: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.unwrap_or_default();
    let first = chain.first();
    let first = first.ok_or_else(|| fault("it has no PEM certificate"))?;
    // The server would verify the assertion with the certificate's key.
    match (of_certificate(first), signer.public_key()) {
        (Some(certified), Some(signing)) if certified != signing => {
            Err(fault("it does not belong to the private key")
                .hint("use the certificate that was issued for this key"))
        }
        _ => Ok(chain),
    }
}

/// RFC 7515 §4.1.6 to §4.1.8: thumbprints are in base64url, certificates in base64.
fn certificate_header(name: CertificateHeader, chain: &[CertificateDer<'_>]) -> Value {
    match name {
        CertificateHeader::X5t => {
            let digest = ring::digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &chain[0]);
            URL_SAFE_NO_PAD.encode(digest).into()
        }
        CertificateHeader::X5tS256 => URL_SAFE_NO_PAD.encode(sha256(&chain[0])).into(),
        CertificateHeader::X5c => chain.iter().map(|der| STANDARD.encode(der)).collect(),
    }
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
            certificate_headers: Vec::new(),
            claims: BTreeMap::new(),
        };
        let assertion = || client_assertion("client", &settings, &*signer).expect("an assertion");
        assert_ne!(assertion(), assertion());
    }
}
