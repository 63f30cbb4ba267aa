//! Why there is no response, in hallpass's own words: the text of libraries does not reach users.

mod certificate;
pub(super) mod connection;
mod proxy;
mod tls;

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use rustls::{CertificateError, OtherError};

use super::advice;
use crate::error::Error;
use crate::profile::ProfileName;
use crate::types::duration;

/// Why there is no response.
pub(super) enum TransportError {
    TooLate,
    TooLarge,
    /// The body cannot be decoded, for the reason that follows "the response from URL ".
    Unreadable(String),
    Network {
        error: reqwest::Error,
        route: Route,
    },
}

/// What the environment puts between hallpass and the server.
#[derive(Clone, Default)]
pub(super) struct Route {
    /// The variable that names a proxy, and the proxy.
    pub(super) proxy: Option<(&'static str, String)>,
    /// The variable that names other certificates than at the login.
    pub(super) distrusted: Option<&'static str>,
}

/// What happened, and what to do about it.
struct Diagnosis {
    message: String,
    hint: String,
}

impl TransportError {
    /// The response was cut off, though the server was reached: one more try may help.
    ///
    /// What the server's TLS or HTTP is like does not change with a retry.
    pub(super) fn is_cut_off(&self) -> bool {
        let Self::Network { error, .. } = self else {
            return false;
        };
        !error.is_connect()
            && !error.is_builder()
            && find::<rustls::Error>(error).is_none()
            && !find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse)
    }

    /// Another request would fail likewise: the server cannot be reached, or no time is left.
    pub(super) fn is_connect_error(&self) -> bool {
        match self {
            Self::TooLate => true,
            Self::Network { error, .. } => {
                error.is_connect() || find::<rustls::Error>(error).is_some()
            }
            _ => false,
        }
    }

    /// The server's certificate was not accepted, and might be if more authorities were trusted.
    ///
    /// Which fault is found first depends on the authorities that are: one of the same name may have
    /// another key, or may have signed for too short a time. The name is checked last.
    pub(super) fn is_unknown_issuer(&self) -> bool {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        let Self::Network { error, .. } = self else {
            return false;
        };
        certificate_fault(error)
            .is_some_and(|fault| !matches!(fault, NotValidForName | NotValidForNameContext { .. }))
    }

    /// `name` is the profile's, if it is known.
    pub(super) fn error(self, url: &str, limit: Duration, name: Option<&ProfileName>) -> Error {
        match self {
            Self::TooLate => {
                let longer = advice::set(
                    name,
                    "--timeout DURATION",
                    "HALLPASS_TIMEOUT to a longer time",
                );
                Error::unavailable(format!(
                    "{url} did not answer within {}",
                    duration::in_words(limit)
                ))
                .hint("check the network and the proxy settings (HTTPS_PROXY, NO_PROXY)")
                .hint(format!("if the server is slow, {longer}"))
            }
            Self::TooLarge => {
                Error::unavailable(format!("the response from {url} is larger than 1 MiB"))
                    .hint("check the URL: this is not a response of an OAuth 2.0 server")
            }
            Self::Unreadable(fault) => {
                Error::unavailable(format!("the response from {url} {fault}"))
                    .hint("ask the administrator of the server, or of the proxy in front of it")
            }
            Self::Network { error, route } => {
                if let Some(error) = signing_error(&error) {
                    return error;
                }
                let Diagnosis { message, hint } = diagnose(&error, url, &route, name);
                Error::unavailable(message).hint(hint)
            }
        }
    }
}

/// Why a key of another program did not sign in the handshake, if that is what failed.
fn signing_error(error: &reqwest::Error) -> Option<Error> {
    let rustls::Error::Other(OtherError(cause)) = find::<rustls::Error>(error)? else {
        return None;
    };
    let cause: &Error = cause.downcast_ref()?;
    let error = Error::new(cause.kind, cause.to_string());
    Some(cause.hints.iter().fold(error, Error::hint))
}

fn diagnose(
    error: &reqwest::Error,
    url: &str,
    route: &Route,
    name: Option<&ProfileName>,
) -> Diagnosis {
    if let Some(diagnosis) = proxy::diagnose(error, url, route) {
        return diagnosis;
    }
    match find::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(fault)) => {
            certificate::diagnose(fault, url, route, name)
        }
        Some(fault) => tls::diagnose(fault, url, error.is_connect(), name),
        None => connection::diagnose(error, url),
    }
}

/// The hint for a process that is short of file descriptors.
pub(super) const RAISE_LIMIT: &str = "raise the limit of open files (ulimit -n), or close some";

/// What is wrong with a certificate, where that is the cause.
fn certificate_fault(error: &reqwest::Error) -> Option<&CertificateError> {
    match find::<rustls::Error>(error)? {
        rustls::Error::InvalidCertificate(fault) => Some(fault),
        _ => None,
    }
}

/// The innermost cause of this type.
pub(super) fn find<E: StdError + 'static>(error: &reqwest::Error) -> Option<&E> {
    causes(error)
        .filter_map(|cause| cause.downcast_ref())
        .last()
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
