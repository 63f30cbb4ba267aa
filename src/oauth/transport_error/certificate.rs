//! A server's certificate that was not accepted.

use rustls::CertificateError;

use super::super::advice;
use super::{Diagnosis, Route};
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::profile::ProfileName;

pub(super) fn diagnose(
    fault: &CertificateError,
    url: &str,
    route: &Route,
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
        _ => to_trust(fault, route.distrusted, name),
    };
    Diagnosis {
        message: format!("cannot trust {url}: its certificate {}", text(fault)),
        hint,
    }
}

/// How to trust a certificate that no trusted authority signed.
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
    } else if name.is_some_and(ProfileName::is_from_environment) {
        format!("for a private CA, {ca_file}, or SSL_CERT_FILE")
    } else {
        format!("for a private CA, {ca_file}, or set SSL_CERT_FILE at the login")
    }
}

fn is_ca_certificate(fault: &CertificateError) -> bool {
    matches!(fault, CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity"))
}

/// What is wrong with a certificate, as what follows "its certificate".
pub(super) fn text(fault: &CertificateError) -> String {
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
