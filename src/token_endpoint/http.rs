//! HTTP for one server: whom it believes, what it shows, and what kept it from an answer.

use std::env;
use std::error::Error as StdError;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, redirect, tls};

use super::answer::Answer;
use super::key::Key;
use crate::error::{Error, Result};
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::profile::{Profile, TokenEndpoint};
use crate::secret::Credential;
use crate::system;

/// The largest answer that is read.
const BODY_LIMIT: usize = 1024 * 1024;

/// A client for one server: its trust, its certificate, its proxies, nothing kept between requests.
pub(super) struct Http<'a> {
    setup: Setup<'a>,
    client: Client,
    /// It believes in the system's bundle alone, and there may be more.
    by_bundle: bool,
}

/// What a client is made of.
struct Setup<'a> {
    is_https: bool,
    ca_file: Option<&'a Path>,
    identity: Option<tls::Identity>,
}

impl<'a> Http<'a> {
    /// To this endpoint of a profile, with what its client shows in the TLS handshake.
    pub(super) fn to(
        endpoint: &TokenEndpoint,
        profile: &'a Profile,
        credential: Option<&Credential>,
    ) -> Result<Self> {
        let identity = match credential {
            Some(Credential::Key { key, passphrase }) if profile.client_auth.is_tls() => {
                let key = Key::read(key, passphrase.as_ref())?;
                Some(identity(profile, &key)?)
            }
            _ => None,
        };
        Self::new(Setup {
            is_https: endpoint.is_https(),
            ca_file: profile.ca_file.as_deref(),
            identity,
        })
    }

    /// To a server that nobody has logged in to yet.
    pub(super) fn to_issuer(url: &TokenEndpoint, ca_file: Option<&'a Path>) -> Result<Self> {
        Self::new(Setup {
            is_https: url.is_https(),
            ca_file,
            identity: None,
        })
    }

    fn new(setup: Setup<'a>) -> Result<Self> {
        let bundle = if setup.is_https { bundle() } else { None };
        let by_bundle = bundle.and_then(|bundle| setup.client(Some(bundle)).ok());
        Ok(Self {
            by_bundle: by_bundle.is_some(),
            client: by_bundle.map_or_else(|| setup.client(None), Ok)?,
            setup,
        })
    }

    /// Sends a request, and reads the answer.
    pub(super) async fn exchange(
        &self,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> std::result::Result<Answer, Fault> {
        match exchange(request(&self.client)).await {
            // The request has not been sent: the handshake comes first. All that the system
            // believes in takes three times as long to read, and few need it.
            Err(Fault::Network(error)) if self.by_bundle && is_of_stranger(&error) => {
                match self.setup.client(None) {
                    Ok(client) => exchange(request(&client)).await,
                    Err(_) => Err(error.into()),
                }
            }
            answer => answer,
        }
    }
}

impl Setup<'_> {
    /// A client that believes in these certificates, or in all that the system believes in.
    fn client(&self, bundle: Option<Vec<tls::Certificate>>) -> Result<Client> {
        // Only the first call in a process counts, and there is no other provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("hallpass/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tls_version_min(tls::Version::TLS_1_2);
        if !self.is_https {
            // Loopback: no proxy may see the secret in clear, and no trust store is needed.
            builder = builder.no_proxy().tls_certs_only([]);
        }
        if let Some(bundle) = bundle {
            builder = builder.tls_certs_only(bundle);
        }
        if let (true, Some(ca_file)) = (self.is_https, self.ca_file) {
            builder = builder.tls_certs_merge(authorities(ca_file)?);
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(identity.clone());
        }
        builder.build().map_err(|error| match (self.ca_file, certificate_fault(&error)) {
            // A bad certificate among the system's is passed over.
            (Some(ca_file), Some(_)) => {
                unusable(ca_file).hint("it holds a certificate that is none")
            }
            _ => Error::broken(format!("cannot set up TLS: {}", deepest(&error)))
                .hint("the system's CA certificates may be missing (Debian: ca-certificates), or name a bundle in SSL_CERT_FILE"),
        })
    }
}

/// The system's authorities, where one file has them: its directories may hold hundreds. None
/// where the environment says whom to believe.
fn bundle() -> Option<Vec<tls::Certificate>> {
    let told = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
    if told.iter().any(|name| env::var_os(name).is_some()) {
        return None;
    }
    let mut bundles = system::TRUST_BUNDLES.iter();
    let pem = fs::read(bundles.find(|path| Path::new(path).exists())?).ok()?;
    let certificates = tls::Certificate::from_pem_bundle(&pem).ok()?;
    (!certificates.is_empty()).then_some(certificates)
}

/// The authorities that a profile names.
fn authorities(ca_file: &Path) -> Result<Vec<tls::Certificate>> {
    let pem = fs::read(ca_file).map_err(|error| unusable(ca_file).because(error))?;
    let certificates = tls::Certificate::from_pem_bundle(&pem);
    let certificates = certificates.map_err(|error| unusable(ca_file).because(error))?;
    if certificates.is_empty() {
        return Err(unusable(ca_file).hint("it holds no PEM certificate"));
    }
    Ok(certificates)
}

fn unusable(ca_file: &Path) -> Error {
    Error::usage(format!("cannot use the CA file {}", ca_file.display()))
}

/// What the client shows in the TLS handshake (RFC 8705 §2).
fn identity(profile: &Profile, key: &Key) -> Result<tls::Identity> {
    let path = profile.certificate.as_deref().unwrap_or(Path::new(""));
    let unusable = || Error::locked(format!("cannot use the certificate {}", path.display()));
    let mut pem = fs::read(path).map_err(|error| unusable().because(error))?;
    // Here it is known which file is at fault.
    key.fits(&pem).map_err(|error| {
        let hint = "it has to be PEM, and the certificate of the private key that was given";
        unusable().because(error).hint(hint)
    })?;
    pem.push(b'\n');
    pem.extend_from_slice(key.pem().as_bytes());
    let identity = tls::Identity::from_pem(&zeroize::Zeroizing::new(pem));
    identity.map_err(|error| unusable().because(error))
}

async fn exchange(request: RequestBuilder) -> std::result::Result<Answer, Fault> {
    receive(request.send().await?).await
}

/// Reads an answer, and no more of it than is good for us.
async fn receive(mut response: Response) -> std::result::Result<Answer, Fault> {
    // Several lines of one name are one list (RFC 9110 §5.3).
    let header = |name| {
        let values = response.headers().get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    };
    let mut answer = Answer {
        status: response.status().as_u16(),
        retry_after: header("retry-after"),
        location: header("location"),
        www_authenticate: header("www-authenticate"),
        content_type: header("content-type"),
        date: header("date"),
        body: Vec::new(),
    };
    while let Some(chunk) = response.chunk().await? {
        if answer.body.len() + chunk.len() > BODY_LIMIT {
            return Err(Fault::TooLarge);
        }
        answer.body.extend_from_slice(&chunk);
    }
    Ok(answer)
}

/// What kept us from an answer.
pub(super) enum Fault {
    TooLate,
    TooLarge,
    Network(reqwest::Error),
}

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        Self::Network(error)
    }
}

impl Fault {
    /// The answer did not come whole, though the server was reached: one more try may help.
    pub(super) fn is_cut_off(&self) -> bool {
        matches!(self, Self::Network(error) if !error.is_connect() && !error.is_builder())
    }

    pub(super) fn error(self, origin: &str, limit: Duration) -> Error {
        match self {
            Self::TooLate => Error::unavailable(format!(
                "{origin} did not answer within {} s",
                limit.as_secs()
            )),
            Self::TooLarge => Error::unavailable(format!("{origin} answered more than 1 MiB")),
            Self::Network(error) => {
                let (cause, hint) = diagnose(&error);
                let error =
                    Error::unavailable(format!("cannot get an answer from {origin}: {cause}"));
                match hint {
                    Some(hint) => error.hint(hint),
                    None => error,
                }
            }
        }
    }
}

/// Whether the certificate might do, if only we believed in more authorities. Which fault is told
/// depends on those that we do believe in: one of the same name may have another key, and another
/// may have vouched for too short a time. The name is looked at when all else holds.
fn is_of_stranger(error: &reqwest::Error) -> bool {
    use rustls::CertificateError::{NotValidForName, NotValidForNameContext};
    certificate_fault(error)
        .is_some_and(|fault| !matches!(fault, NotValidForName | NotValidForNameContext { .. }))
}

/// What lies at the bottom of a network error, and what to do about it.
fn diagnose(error: &reqwest::Error) -> (String, Option<&'static str>) {
    if let Some(fault) = certificate_fault(error) {
        let hint = match fault {
            rustls::CertificateError::UnknownIssuer => {
                "if the server's CA is a private one, name its certificate with `hallpass login --ca-file FILE`, or in SSL_CERT_FILE"
            }
            rustls::CertificateError::NotValidForName
            | rustls::CertificateError::NotValidForNameContext { .. } => {
                "the certificate is for another host: check the token URL (a private CA is named with `--ca-file FILE`, it does not change this)"
            }
            rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. } => {
                "the certificate has expired, or this machine's clock is wrong (`--ca-file FILE` does not change this)"
            }
            _ => {
                "the server's certificate is not trusted; a private CA is named with `hallpass login --ca-file FILE`"
            }
        };
        return (
            format!("its certificate was refused ({})", deepest(error)),
            Some(hint),
        );
    }
    let hint = if error.is_connect() {
        Some("check the network, the token URL and the proxy settings (HTTPS_PROXY, NO_PROXY)")
    } else {
        None
    };
    (deepest(error), hint)
}

/// The innermost cause: the outer ones only say that something went wrong.
fn deepest(error: &(dyn StdError + 'static)) -> String {
    let innermost = causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default();
    clean(&innermost, FOREIGN_TEXT_LIMIT)
}

/// What is wrong with a certificate, where that is the cause.
fn certificate_fault(error: &reqwest::Error) -> Option<&rustls::CertificateError> {
    match causes(error).find_map(|cause| cause.downcast_ref())? {
        rustls::Error::InvalidCertificate(fault) => Some(fault),
        _ => None,
    }
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| below(*error))
}

fn below<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>() {
        // An I/O error that wraps another hides it from `source`.
        Some(wrapper) => wrapper.get_ref().map(|inner| inner as _),
        None => error.source(),
    }
}
