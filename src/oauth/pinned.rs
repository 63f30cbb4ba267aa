//! A server's own certificate in the CA file: trusted regardless of who signed it.

use std::sync::Arc;

use pkcs8::der::asn1::AnyRef;
use pkcs8::der::{Decode as _, Tag, Tagged as _};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use time::{PrimitiveDateTime, format_description};

/// Accepts what the inner verifier accepts, and also exactly these certificates.
///
/// A certificate made with `openssl req -x509` is a CA certificate, which no verifier accepts as a
/// server's. Its name and its dates are still checked, and so is the handshake's signature.
#[derive(Debug)]
pub(super) struct Pinned {
    inner: Arc<dyn ServerCertVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Pinned {
    pub(super) fn new(
        inner: Arc<dyn ServerCertVerifier>,
        certificates: Vec<CertificateDer<'static>>,
    ) -> Self {
        Self {
            inner,
            certificates,
        }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // Any other error is about the certificate itself.
            Err(Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(_),
            )) if self.certificates.iter().any(|own| own == end_entity) => {
                check_dates(end_entity, now)?;
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn check_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let (not_before, not_after) = validity(certificate).ok_or(CertificateError::BadEncoding)?;
    if now.as_secs() < not_before {
        Err(CertificateError::NotValidYet)
    } else if now.as_secs() > not_after {
        Err(CertificateError::Expired)
    } else {
        Ok(())
    }
}

/// When a certificate is valid, in seconds since 1970 (RFC 5280 §4.1).
pub(super) fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
    let certificate = Vec::<AnyRef<'_>>::from_der(certificate).ok()?;
    let fields: Vec<AnyRef<'_>> = certificate.first()?.decode_as().ok()?;
    // The version may be left out. Then come the serial number, the signature, and the issuer.
    let has_version = fields.first()?.tag().is_context_specific();
    let validity: Vec<AnyRef<'_>> = fields.get(3 + usize::from(has_version))?.decode_as().ok()?;
    match validity.as_slice() {
        [not_before, not_after] => Some((point_in_time(*not_before)?, point_in_time(*not_after)?)),
        _ => None,
    }
}

/// `YYMMDDHHMMSSZ` for the years 1950 to 2049, or the same with a year of four digits. Before 1970, 0:
/// the time types of `der` know no such date, and some certificates have one.
fn point_in_time(encoded: AnyRef<'_>) -> Option<u64> {
    let text = std::str::from_utf8(encoded.value()).ok()?;
    let century = match encoded.tag() {
        Tag::UtcTime if text < "50" => "20",
        Tag::UtcTime => "19",
        Tag::GeneralizedTime => "",
        _ => return None,
    };
    let format =
        format_description::parse_borrowed::<2>("[year][month][day][hour][minute][second]Z")
            .ok()?;
    let time = PrimitiveDateTime::parse(&format!("{century}{text}"), &format).ok()?;
    let seconds = time.assume_utc().unix_timestamp();
    Some(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dates_of_a_certificate_are_read() {
        let mut params = rcgen::CertificateParams::new(["a.example".to_owned()]).expect("a name");
        for (from, until) in [
            ((1950, 1, 1), (9999, 12, 31)),
            ((1999, 2, 28), (2049, 12, 31)),
            ((2024, 2, 29), (2050, 1, 1)),
        ] {
            params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
            params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
            let key = rcgen::KeyPair::generate().expect("a key");
            let certificate = params.self_signed(&key).expect("a certificate");
            let seconds =
                |date: time::OffsetDateTime| u64::try_from(date.unix_timestamp()).unwrap_or(0);
            assert_eq!(
                validity(certificate.der()),
                Some((seconds(params.not_before), seconds(params.not_after)))
            );
        }
    }

    #[test]
    fn anything_but_a_certificate_has_no_dates() {
        for der in [
            &b""[..],
            b"\x30",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x02\x30\x00",
        ] {
            assert_eq!(validity(der), None);
        }
    }
}
