//! When certificates and keys expire.

use std::io;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use super::pinned::validity;
use crate::types::secret::Credential;
use crate::types::token::Timestamp;

/// When the first certificate of a PEM file expires: the client's own. None if the file has none.
///
/// # Errors
/// Why the file cannot be read.
pub(crate) fn certificate_expiry(path: &Path) -> io::Result<Option<Timestamp>> {
    Ok(expiries(path)?.into_iter().next())
}

/// When the last certificate of a PEM file expires: until then, one of them can be used.
///
/// # Errors
/// Why the file cannot be read.
pub(crate) fn authorities_expiry(path: &Path) -> io::Result<Option<Timestamp>> {
    Ok(expiries(path)?.into_iter().max())
}

fn expiries(path: &Path) -> io::Result<Vec<Timestamp>> {
    let pem = std::fs::read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
    let expiries = certificates.filter_map(|certificate| {
        let (_, not_after) = validity(&certificate)?;
        Some(Timestamp(not_after.saturating_mul(1000)))
    });
    Ok(expiries.collect())
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
