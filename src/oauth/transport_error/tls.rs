//! A TLS connection that failed for another reason than the server's certificate.

use rustls::{AlertDescription, InvalidMessage, PeerIncompatible};

use super::super::advice;
use super::Diagnosis;
use crate::profile::ProfileName;

pub(super) fn diagnose(
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
    let reason = text(fault, in_handshake);
    Diagnosis {
        message: format!("cannot connect to {url}: {reason}"),
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
pub(super) fn text(fault: &rustls::Error, in_handshake: bool) -> &'static str {
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
