//! When certificates and keys expire.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use super::pinned::validity;
use crate::types::secret::Credential;
use crate::types::token::Timestamp;

/// When the first certificate of a PEM file expires: the client's own. None if the file cannot be read.
pub(crate) fn certificate_expiry(path: &Path) -> Option<Timestamp> {
    expiries(path)?.into_iter().next()
}

/// When the last certificate of a PEM file expires: until then, one of them can be used.
pub(crate) fn authorities_expiry(path: &Path) -> Option<Timestamp> {
    expiries(path)?.into_iter().max()
}

fn expiries(path: &Path) -> Option<Vec<Timestamp>> {
    let pem = std::fs::read(path).ok()?;
    let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
    let expiries = certificates.filter_map(|certificate| {
        let (_, not_after) = validity(&certificate)?;
        Some(Timestamp(not_after.saturating_mul(1000)))
    });
    Some(expiries.collect())
}

/// When a private JWK expires (`exp`, as `OpenID` Federation has it), in seconds since 1970. None for a key
/// in another format.
pub(crate) fn key_expiry(credential: &Credential) -> Option<Timestamp> {
    let Credential::Key { key, .. } = credential else {
        return None;
    };
    let key: Value = serde_json::from_slice(key.expose()).ok()?;
    let seconds = key.get("exp")?.as_u64()?;
    Some(Timestamp(seconds.saturating_mul(1000)))
}
