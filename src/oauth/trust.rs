//! Trusted certificate authorities: the system's, those in effect at the login, and a CA file.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::advice;
use super::pinned::Pinned;
use crate::error::{Error, Result};
use crate::profile::ProfileName;
use crate::profile::trust::RecordedTrust;
use crate::types::digest::Digest;

/// The trust of one HTTP client.
pub(super) struct Trust {
    recorded: RecordedTrust,
    authorities: Vec<CertificateDer<'static>>,
}

/// How many of the system's authorities are read.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Extent {
    /// One file with most servers' authorities. Reading all of them takes three times as long.
    Usual,
    Everything,
}

impl Trust {
    /// # Errors
    /// `Usage` when the CA file cannot be used, `Locked` when it changed after the login.
    pub(super) fn new(
        ca_file: Option<&Path>,
        recorded: RecordedTrust,
        name: Option<&ProfileName>,
    ) -> Result<Self> {
        let authorities = ca_file.map_or_else(|| Ok(Vec::new()), authorities);
        let mut authorities = authorities.map_err(|error| match name {
            Some(_) => error.hint(advice::set(name, "--ca-file FILE", "HALLPASS_CA_FILE")),
            None => error,
        })?;
        if let (Some(ca_file), Some(at_login)) = (ca_file, &recorded.ca_file_digest)
            && *at_login != digest(&mut authorities)
        {
            let ca_file = ca_file.display();
            return Err(Error::locked(format!(
                "the CA file {ca_file} has changed since login; hallpass does not trust the new content"
            ))
            .hint(format!(
                "if you trust its certificates, {}",
                advice::log_in_again(name)
            )));
        }
        Ok(Self {
            recorded,
            authorities,
        })
    }

    /// Where the authorities come from, for a step.
    pub(super) fn source(&self) -> String {
        let RecordedTrust {
            file, directories, ..
        } = &self.recorded;
        let paths = file.iter().chain(directories);
        let mut sources: Vec<_> = paths.map(|path| format!("in {}", path.display())).collect();
        if sources.is_empty() {
            sources.push("of the system".to_owned());
        }
        if !self.authorities.is_empty() {
            sources.push("in the CA file".to_owned());
        }
        sources.join(" and ")
    }

    /// The variable that names other certificates than at the login, if any.
    pub(super) fn changed(&self) -> Option<&'static str> {
        self.recorded.changed()
    }

    /// None if nothing is trusted in this extent.
    ///
    /// # Errors
    /// `Broken` when the system's service for certificates cannot be used.
    pub(super) fn verifier(
        &self,
        extent: Extent,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ServerCertVerifier>>> {
        let inner = platform::verifier(extent, self, provider).map_err(|error| {
            Error::broken(format!("cannot set up TLS: {error}"))
                .hint("check the system's certificate store")
        })?;
        let pinned = |inner| Arc::new(Pinned::new(inner, self.authorities.clone())) as _;
        Ok(inner.map(pinned))
    }
}

/// The certificates in a CA file.
fn authorities(ca_file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unusable = |fault: &str| {
        Error::usage(format!(
            "cannot use the CA file {}{fault}",
            ca_file.display()
        ))
    };
    let pem = fs::read(ca_file).map_err(|error| unusable("").because(error))?;
    let certificates: std::result::Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|_| unusable(": it is not valid PEM"))?;
    if certificates.is_empty() {
        return Err(unusable(": it has no PEM certificate"));
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        let added = store.add(certificate.clone());
        added.map_err(|_| unusable(": it has a PEM block that is not a certificate"))?;
    }
    Ok(certificates)
}

/// Identifies certificates, in any order.
fn digest(certificates: &mut [CertificateDer<'static>]) -> String {
    certificates.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
    Digest::of("hallpass CA file 1")
        .fields(certificates.iter())
        .hex()
}

/// What a login records: the environment's certificates, and those of the CA file unless only the
/// superuser can change it (an update of the system may).
///
/// # Errors
/// `Usage` when the CA file cannot be used.
pub(crate) fn trust_in_effect(ca_file: Option<&Path>) -> Result<RecordedTrust> {
    let ca_file_digest = match ca_file {
        Some(ca_file) if !only_superuser_changes(ca_file) => {
            Some(digest(&mut authorities(ca_file)?))
        }
        _ => None,
    };
    Ok(RecordedTrust {
        ca_file_digest,
        ..RecordedTrust::of_environment()
    })
}

/// Whether only the superuser can change what this path leads to.
#[cfg(unix)]
fn only_superuser_changes(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let is_superusers = |path: &Path| {
        // The mode of a link has no effect.
        fs::symlink_metadata(path).is_ok_and(|metadata| {
            metadata.uid() == 0 && (metadata.is_symlink() || metadata.mode() & 0o022 == 0)
        })
    };
    let target = fs::canonicalize(path);
    path.is_absolute()
        && path.ancestors().all(is_superusers)
        && target.is_ok_and(|target| target.ancestors().all(is_superusers))
}

/// Windows has no superuser that a file's owner could be compared with.
#[cfg(not(unix))]
fn only_superuser_changes(_: &Path) -> bool {
    false
}

/// The system keeps its authorities in files.
#[cfg(not(any(target_os = "macos", windows)))]
mod platform {
    use super::{
        Arc, CryptoProvider, Extent, Path, RecordedTrust, RootCertStore, ServerCertVerifier, Trust,
    };
    use rustls::client::WebPkiServerVerifier;
    use rustls_native_certs::load_certs_from_paths;

    /// The files in which distributions keep all authorities that they trust.
    const BUNDLES: [&str; 4] = [
        // Debian, Alpine, Arch
        "/etc/ssl/certs/ca-certificates.crt",
        // Fedora, RHEL
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/pki/tls/certs/ca-bundle.crt",
        // SUSE
        "/etc/ssl/ca-bundle.pem",
    ];

    pub(super) fn verifier(
        extent: Extent,
        trust: &Trust,
        provider: &Arc<CryptoProvider>,
    ) -> std::result::Result<Option<Arc<dyn ServerCertVerifier>>, rustls::Error> {
        let mut store = RootCertStore::empty();
        // Other programs skip unreadable certificates as well.
        let mut add = |file: Option<&Path>, directory: Option<&Path>| {
            store.add_parsable_certificates(load_certs_from_paths(file, directory).certs);
        };
        let RecordedTrust {
            file, directories, ..
        } = &trust.recorded;
        if let Some(file) = file {
            add(Some(file), None);
        }
        for directory in directories {
            add(None, Some(directory));
        }
        if extent == Extent::Everything || (file.is_none() && directories.is_empty()) {
            let mut bundles = BUNDLES.iter().map(Path::new);
            add(bundles.find(|path| path.exists()), None);
        }
        if extent == Extent::Everything {
            for directory in openssl_probe::candidate_cert_dirs() {
                add(None, Some(directory));
            }
        }
        store.add_parsable_certificates(trust.authorities.iter().cloned());
        if store.is_empty() {
            return Ok(None);
        }
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
        let verifier = builder
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(Some(verifier))
    }
}

/// The system verifies certificates itself.
#[cfg(any(target_os = "macos", windows))]
mod platform {
    use super::{Arc, CryptoProvider, Extent, ServerCertVerifier, Trust};
    use rustls_platform_verifier::Verifier;

    pub(super) fn verifier(
        _: Extent,
        trust: &Trust,
        provider: &Arc<CryptoProvider>,
    ) -> std::result::Result<Option<Arc<dyn ServerCertVerifier>>, rustls::Error> {
        let own = trust.authorities.iter().cloned();
        let verifier = Verifier::new_with_extra_roots(own, Arc::clone(provider))?;
        Ok(Some(Arc::new(verifier)))
    }
}
