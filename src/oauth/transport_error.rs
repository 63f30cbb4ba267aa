//! What kept us from a response, in words of our own: library text does not reach users.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

use super::advice;
use crate::error::{self, Error};
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::platform;
use crate::profile::ProfileName;

/// Why there is no response.
pub(super) enum TransportError {
    TooLate,
    TooLarge,
    /// The body is there and cannot be read: why, fit to follow "the response from URL ".
    Unreadable(String),
    Network {
        error: reqwest::Error,
        way: Way,
    },
}

/// What is between us and the server, as far as it can be at fault.
#[derive(Clone, Default)]
pub(super) struct Way {
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

    /// Another request would meet the same: there is no way to the server, or no time left.
    pub(super) fn is_of_connection(&self) -> bool {
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
    pub(super) fn is_of_unknown_issuer(&self) -> bool {
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
                let seconds = limit.as_secs();
                let longer = advice::set(
                    name,
                    "--timeout DURATION",
                    "HALLPASS_TIMEOUT to a longer time",
                );
                Error::unavailable(format!("{url} did not answer within {seconds} s"))
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
            Self::Network { error, way } => {
                let Diagnosis { message, hint } = diagnose(&error, url, &way, name);
                Error::unavailable(message).hint(hint)
            }
        }
    }
}

fn diagnose(error: &reqwest::Error, url: &str, way: &Way, name: Option<&ProfileName>) -> Diagnosis {
    if let Some(diagnosis) = of_proxy(error, url, way) {
        return diagnosis;
    }
    match find::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(fault)) => of_certificate(fault, url, way, name),
        Some(fault) => of_tls(fault, url, error.is_connect(), name),
        None => of_connection(error, url),
    }
}

/// A proxy that cannot be reached, or that does not connect us, where one is used.
fn of_proxy(error: &reqwest::Error, url: &str, way: &Way) -> Option<Diagnosis> {
    let (variable, proxy) = way.proxy.as_ref().filter(|_| error.is_connect())?;
    // The library tells these apart in its text only.
    let tunnel = causes(error).find_map(|cause| {
        let text = cause.to_string();
        text.strip_prefix("tunnel error: ").map(str::to_owned)
    });
    let reason = match tunnel.as_deref() {
        // Inside the tunnel, the server is the one that speaks.
        None => return None,
        Some("proxy authorization required") => {
            return Some(Diagnosis {
                message: format!("the proxy {proxy} requires a user name and password (407)"),
                hint: format!(
                    "set {variable} to http://USER:PASSWORD@HOST:PORT, with special characters as %XX"
                ),
            });
        }
        Some("unsuccessful") => {
            return Some(Diagnosis {
                message: format!("the proxy {proxy} refused to connect to {url}"),
                hint: format!(
                    "check {variable}, or list the host in NO_PROXY if it can be reached directly"
                ),
            });
        }
        Some("unexpected end of file") => "it closed the connection".to_owned(),
        Some("proxy response headers too long") => "its response is too long".to_owned(),
        Some(_) => match find::<rustls::Error>(error) {
            Some(rustls::Error::InvalidCertificate(fault)) => certificate_text(fault),
            Some(fault) => tls_text(fault, true).to_owned(),
            None => reason(error),
        },
    };
    Some(Diagnosis {
        message: format!("cannot use the proxy {proxy} (from {variable}): {reason}"),
        hint: format!("check {variable}, or list the server's host in NO_PROXY"),
    })
}

fn of_certificate(
    fault: &CertificateError,
    url: &str,
    way: &Way,
    name: Option<&ProfileName>,
) -> Diagnosis {
    let hint = match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's administrator must renew it; or this machine's clock is wrong".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "check this machine's clock".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "check the URL's host; the server needs a certificate that names it (subjectAltName)"
                .to_owned()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
        | CertificateError::Revoked
        | CertificateError::InvalidPurpose
        | CertificateError::InvalidPurposeContext { .. }
        | CertificateError::UnhandledCriticalExtension
        | CertificateError::BadEncoding => {
            "ask the server's administrator for another certificate".to_owned()
        }
        _ => to_trust(fault, way.distrusted, name),
    };
    Diagnosis {
        message: format!(
            "cannot trust {url}: its certificate {}",
            certificate_text(fault)
        ),
        hint,
    }
}

/// What to do about a certificate that nobody here vouches for.
fn to_trust(
    fault: &CertificateError,
    distrusted: Option<&str>,
    name: Option<&ProfileName>,
) -> String {
    if let Some(variable) = distrusted {
        return format!(
            "{variable} has changed since login; its new certificates are not trusted with a stored secret; if you trust them, {}",
            advice::log_in_again(name)
        );
    }
    let ca_file = advice::set(name, "--ca-file FILE", "HALLPASS_CA_FILE");
    if is_ca_certificate(fault) {
        format!("to trust exactly this certificate, save it to a file, then {ca_file}")
    } else if name.is_some_and(ProfileName::is_of_environment) {
        format!("for a private CA, {ca_file}, or SSL_CERT_FILE")
    } else {
        format!("for a private CA, {ca_file}, or set SSL_CERT_FILE at the login")
    }
}

fn is_ca_certificate(fault: &CertificateError) -> bool {
    matches!(fault, CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity"))
}

/// What is wrong with a certificate.
fn certificate_text(fault: &CertificateError) -> String {
    match fault {
        CertificateError::UnknownIssuer => {
            "is not signed by an authority that this machine trusts (unknown issuer)"
        }
        CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            // rustls writes names as `DnsName("a.example")` and `IpAddress(127.0.0.1)`.
            let names = presented.iter().map(|name| {
                let name = name.split_once('(').map_or(&**name, |(_, name)| name);
                name.trim_end_matches(')').trim_matches('"')
            });
            let names = names.take(5).collect::<Vec<_>>().join(", ");
            let names = clean(&names, FOREIGN_TEXT_LIMIT);
            return format!("is not valid for this host, only for {names}");
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is not valid for this host: it names none (subjectAltName)"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet"
        }
        CertificateError::Revoked => "has been revoked",
        CertificateError::BadSignature => {
            "has a wrong signature (another authority of the same name signed it)"
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "uses a signature algorithm that hallpass does not support (such as SHA-1 or the curve P-521)"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not meant for a server"
        }
        CertificateError::UnhandledCriticalExtension => {
            "has a critical extension that hallpass does not support"
        }
        CertificateError::BadEncoding => "is malformed",
        other if is_ca_certificate(other) => "is a CA certificate, not one of a server",
        _ => "is not acceptable to this machine",
    }
    .to_owned()
}

fn of_tls(
    fault: &rustls::Error,
    url: &str,
    in_handshake: bool,
    name: Option<&ProfileName>,
) -> Diagnosis {
    let hint = match fault {
        rustls::Error::AlertReceived(alert) if wants_certificate(*alert) || !in_handshake => {
            let certificate = advice::set(
                name,
                "--cert FILE --key FILE",
                "HALLPASS_CERT and HALLPASS_KEY",
            );
            format!("if it requires a certificate, {certificate}")
        }
        rustls::Error::InvalidMessage(_) => {
            "check the URL's port, and whether the server speaks https there".to_owned()
        }
        _ => "check the URL; ask the server's administrator about its TLS settings".to_owned(),
    };
    let text = tls_text(fault, in_handshake);
    Diagnosis {
        message: format!("cannot connect to {url}: {text}"),
        hint,
    }
}

fn wants_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::UnknownCA
            | Alert::AccessDenied
    )
}

/// Why a TLS connection failed, other than for a certificate.
fn tls_text(fault: &rustls::Error, in_handshake: bool) -> &'static str {
    use AlertDescription as Alert;
    const NO_COMMON: &str = "it has no TLS algorithm in common with hallpass (TLS 1.2 or 1.3; certificates with an RSA, P-256, P-384 or Ed25519 key)";
    const TOO_OLD: &str = "it supports neither TLS 1.2 nor TLS 1.3";
    match fault {
        rustls::Error::AlertReceived(Alert::ProtocolVersion)
        | rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => TOO_OLD,
        rustls::Error::AlertReceived(Alert::CertificateRequired | Alert::NoCertificate) => {
            "the server requires a client certificate"
        }
        rustls::Error::AlertReceived(alert) if wants_certificate(*alert) => {
            "the server did not accept the client certificate, or requires one"
        }
        rustls::Error::AlertReceived(Alert::NoApplicationProtocol)
        | rustls::Error::NoApplicationProtocol => {
            "the server supports HTTP/2 only, and hallpass uses HTTP/1.1"
        }
        rustls::Error::AlertReceived(Alert::UnrecognisedName) => {
            "the server does not know this host name"
        }
        rustls::Error::AlertReceived(Alert::HandshakeFailure | Alert::InsufficientSecurity)
            if in_handshake =>
        {
            NO_COMMON
        }
        rustls::Error::AlertReceived(Alert::HandshakeFailure | Alert::NoRenegotiation)
        | rustls::Error::PeerMisbehaved(rustls::PeerMisbehaved::TooManyRenegotiationRequests) => {
            "the server wants to renegotiate TLS, perhaps for a client certificate; hallpass does not renegotiate"
        }
        rustls::Error::AlertReceived(_) => "the server ended the TLS connection with an alert",
        rustls::Error::PeerIncompatible(_) => NO_COMMON,
        rustls::Error::InvalidMessage(InvalidMessage::InvalidCertificateStatusType)
        | rustls::Error::PeerMisbehaved(_) => "the server does not follow the rules of TLS",
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS on this port",
        _ => "the TLS connection failed",
    }
}

/// What a person does about a lack of descriptors.
pub(super) const RAISE_LIMIT: &str = "raise the limit of open files (ulimit -n), or close some";

fn of_connection(error: &reqwest::Error, url: &str) -> Diagnosis {
    if is_lack_of_descriptors(error) {
        return Diagnosis {
            message: format!("cannot connect to {url}: too many open files"),
            hint: RAISE_LIMIT.to_owned(),
        };
    }
    let reason = reason(error);
    if error.is_connect() {
        let closed = find::<io::Error>(error).is_some_and(|error| {
            use io::ErrorKind::{ConnectionReset, UnexpectedEof};
            matches!(error.kind(), ConnectionReset | UnexpectedEof)
        });
        if closed {
            return Diagnosis {
                message: format!(
                    "cannot connect to {url}: it closed the connection during the TLS handshake"
                ),
                hint: "check the URL's port, and whether the server speaks https there".to_owned(),
            };
        }
        return Diagnosis {
            message: format!("cannot connect to {url}: {reason}"),
            hint: "check the network, the URL and the proxy settings (HTTPS_PROXY, NO_PROXY)"
                .to_owned(),
        };
    }
    let is_parse = find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse);
    Diagnosis {
        message: format!("no usable response from {url}: {reason}"),
        hint: if is_parse {
            "check the URL, its port, and whether it is http or https".to_owned()
        } else {
            "try again; check the network and the proxy settings (HTTPS_PROXY, NO_PROXY)".to_owned()
        },
    }
}

/// The C library says of a name that it is unknown when it cannot open the files to find out.
fn is_lack_of_descriptors(error: &reqwest::Error) -> bool {
    find::<io::Error>(error).is_some_and(platform::is_lack_of_descriptors)
        || is_of_name(error) && platform::is_short_of_descriptors()
}

fn is_of_name(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.to_string().starts_with("dns error"))
}

/// Why a connection failed, or a response did not come.
fn reason(error: &reqwest::Error) -> String {
    if is_of_name(error) {
        return "the host name cannot be resolved".to_owned();
    }
    if let Some(error) = find::<io::Error>(error) {
        return io_reason(error);
    }
    let http = find::<hyper::Error>(error);
    let known = |is: fn(&hyper::Error) -> bool| http.is_some_and(is);
    // The library tells this one apart in its text only.
    if http.is_some_and(|error| error.to_string().contains("too large")) {
        "its headers are too large"
    } else if known(hyper::Error::is_parse) {
        "it is not HTTP/1.1"
    } else if known(hyper::Error::is_incomplete_message) {
        "the connection was closed before the response was complete"
    } else {
        "the connection failed"
    }
    .to_owned()
}

/// The system's text without its number.
fn io_reason(error: &io::Error) -> String {
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the connection was reset",
        io::ErrorKind::ConnectionAborted | io::ErrorKind::UnexpectedEof => {
            "the connection was closed before the response was complete"
        }
        io::ErrorKind::TimedOut => "the connection timed out",
        io::ErrorKind::NetworkUnreachable => "the network is unreachable",
        io::ErrorKind::HostUnreachable => "the host is unreachable",
        io::ErrorKind::NetworkDown => "the network is down",
        io::ErrorKind::PermissionDenied => "not permitted here (a firewall or a sandbox)",
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => "its body is not valid HTTP",
        _ => return clean(&error::reason(error), FOREIGN_TEXT_LIMIT),
    };
    text.to_owned()
}

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
