//! TLS to the server of a shared cache, with the same checks as for an authorization server.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::http::{Setup, no_authorities};
use super::trust::{Extent, Trust};
use crate::error::{Error, Result};
use crate::profile::share::Share;
use crate::profile::trust::RecordedTrust;

/// The TLS of a shared cache. `trust` is what else was trusted at the login.
///
/// # Errors
/// Why a certificate cannot be used.
pub(crate) fn tls_for_share(share: &Share, trust: &RecordedTrust) -> Result<Arc<ClientConfig>> {
    let recorded = RecordedTrust {
        ca_file_digest: None,
        ..trust.clone()
    };
    let identity = match (&share.certificate, &share.certificate_key) {
        (Some(certificate), Some(key)) => Some(identity(certificate, key)?),
        _ => None,
    };
    let setup = Setup {
        trust: Some(Trust::new(share.ca_file.as_deref(), recorded, None)?),
        identity,
        tls_versions: rustls::DEFAULT_VERSIONS,
        proxy: None,
    };
    for extent in [Extent::Usual, Extent::Everything] {
        if let Some(mut config) = setup.tls(extent)? {
            config.alpn_protocols = Vec::new();
            return Ok(Arc::new(config));
        }
    }
    Err(no_authorities())
}

fn identity(certificate: &Path, key: &Path) -> Result<Arc<SingleCertAndKey>> {
    let unusable = |path: &Path| Error::locked(format!("cannot use {}", path.display()));
    let read = |path: &Path| std::fs::read(path).map_err(|error| unusable(path).because(error));
    let pem = read(certificate)?;
    let chain: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|_| unusable(certificate))?;
    let pem = zeroize::Zeroizing::new(read(key)?);
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| unusable(key))?;
    let provider = rustls::crypto::ring::default_provider();
    let private = provider.key_provider.load_private_key(private);
    let identity = CertifiedKey::new(chain, private.map_err(|_| unusable(key))?);
    identity.keys_match().map_err(|_| {
        Error::locked(format!(
            "the certificate {} does not belong to the key {}",
            certificate.display(),
            key.display()
        ))
    })?;
    Ok(Arc::new(identity.into()))
}
