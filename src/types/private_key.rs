//! A private key as its file contains it, and the detection of other formats.

use std::fmt;

use zeroize::Zeroizing;

use crate::error::Error;

/// The longest private key's file, in bytes.
const LIMIT: usize = 64 * 1024;

/// Converts a key whose encryption is not supported, and keeps it encrypted.
pub(crate) const ENCRYPT_AGAIN: &str =
    "convert it, still encrypted: openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW";

const FROM_DER: &str = "convert it: openssl pkey -inform DER -aes256 -in FILE -out NEW";
/// OpenSSL 3 reads the encryption of older files only with `-legacy`, which OpenSSL 1 does not know.
const FROM_PKCS12: &str =
    "convert it: openssl pkcs12 -in FILE -nocerts -aes256 -out NEW (if that fails, add -legacy)";
const FROM_OPENSSH: &str =
    "convert a copy of it (RSA and ECDSA keys only): ssh-keygen -p -m PKCS8 -f COPY";
const OTHER_HALF: &str = "use the file with the private key that belongs to it";

/// What PEM blocks hold that are not private keys hallpass reads. The first one found counts.
const PEM: [(&str, &str, Option<&str>); 10] = [
    (
        "BEGIN OPENSSH PRIVATE KEY",
        "is an OpenSSH key",
        Some(FROM_OPENSSH),
    ),
    ("BEGIN PGP PRIVATE KEY", "is an OpenPGP key", None),
    (
        "BEGIN DSA PRIVATE KEY",
        "is a DSA key, which cannot sign assertions",
        None,
    ),
    ("BEGIN PUBLIC KEY", "is a public key", Some(OTHER_HALF)),
    ("BEGIN RSA PUBLIC KEY", "is a public key", Some(OTHER_HALF)),
    ("BEGIN SSH2 PUBLIC KEY", "is a public key", Some(OTHER_HALF)),
    (
        "BEGIN CERTIFICATE REQUEST",
        "is a certificate request",
        Some(OTHER_HALF),
    ),
    (
        "BEGIN NEW CERTIFICATE REQUEST",
        "is a certificate request",
        Some(OTHER_HALF),
    ),
    ("CERTIFICATE-----", "is a certificate", Some(OTHER_HALF)),
    (
        "BEGIN PKCS7",
        "is a list of certificates (PKCS #7)",
        Some(OTHER_HALF),
    ),
];

/// How files begin that are not PEM.
const BEGINNINGS: [(&[u8], &str, Option<&str>); 6] = [
    (b"ssh-", "is a public key (OpenSSH)", Some(OTHER_HALF)),
    (
        b"ecdsa-sha2-",
        "is a public key (OpenSSH)",
        Some(OTHER_HALF),
    ),
    (
        b"PuTTY-User-Key-File",
        "is a PuTTY key",
        Some("export it as an OpenSSH key with PuTTYgen"),
    ),
    (
        b"\xfe\xed\xfe\xed",
        "is a Java keystore",
        Some(
            "convert it: keytool -importkeystore -srckeystore FILE -destkeystore NEW -deststoretype PKCS12",
        ),
    ),
    (
        b"\xff\xfe",
        "is UTF-16 text",
        Some("save it as UTF-8 or ASCII"),
    ),
    (
        b"\xfe\xff",
        "is UTF-16 text",
        Some("save it as UTF-8 or ASCII"),
    ),
];

/// A private key: PEM (PKCS #8, PKCS #1, SEC 1), or a JWK.
#[derive(Clone)]
pub(crate) struct PrivateKey(Zeroizing<Vec<u8>>);

/// Why something is not a private key that hallpass reads.
#[derive(Debug)]
pub(crate) struct KeyFault {
    /// Fit to follow "the private key ".
    pub(crate) text: &'static str,
    hint: Option<&'static str>,
}

impl KeyFault {
    /// Adds to an error with this fault's text what to do about it.
    pub(crate) fn hint(&self, error: Error) -> Error {
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl PrivateKey {
    pub(crate) fn parse(bytes: Zeroizing<Vec<u8>>) -> Result<Self, KeyFault> {
        let fault = |(text, hint)| Err(KeyFault { text, hint });
        if bytes.len() > LIMIT {
            return fault(("is longer than 64 KiB", None));
        }
        if contains(&bytes, "Proc-Type: 4,ENCRYPTED") {
            return fault((
                "is encrypted in a way that is not supported",
                Some(ENCRYPT_AGAIN),
            ));
        }
        let key = Self(bytes);
        if key.is_pem() || key.0.trim_ascii_start().starts_with(b"{") {
            return Ok(key);
        }
        fault(key.instead())
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether a passphrase is needed to read it (PKCS #8, RFC 5958 §3).
    pub(crate) fn is_encrypted(&self) -> bool {
        contains(&self.0, "BEGIN ENCRYPTED PRIVATE KEY")
    }

    fn is_pem(&self) -> bool {
        ["", "ENCRYPTED ", "RSA ", "EC "]
            .iter()
            .any(|kind| contains(&self.0, &format!("-----BEGIN {kind}PRIVATE KEY-----")))
    }

    /// What this is, if it is not a key.
    fn instead(&self) -> (&'static str, Option<&'static str>) {
        let block = PEM.iter().find(|(label, ..)| contains(&self.0, label));
        if let Some((_, text, hint)) = block {
            return (text, *hint);
        }
        let start = self.0.trim_ascii_start();
        let known = BEGINNINGS
            .iter()
            .find(|(start_of, ..)| start.starts_with(start_of));
        if let Some((_, text, hint)) = known {
            return (text, *hint);
        }
        match der_content(&self.0) {
            // PFX (RFC 7292 §4): version 3. A private key's version is 0 or 1.
            Some([0x02, 0x01, 0x03, ..]) => ("is a PKCS #12 file", Some(FROM_PKCS12)),
            Some([0x02, 0x01, ..]) => ("is DER, not PEM", Some(FROM_DER)),
            Some(content) if is_encrypted_der(content) => ("is DER, not PEM", Some(FROM_DER)),
            Some(_) => ("is DER, and neither PEM nor a private key", None),
            None => ("is neither PEM nor a JWK", None),
        }
    }
}

/// The content of a SEQUENCE (X.690 §8.1). PKCS #12 is often BER of indefinite length, which the crate
/// `der` does not read.
fn der_content(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [0x30, length @ 0x80..=0x84, rest @ ..] => rest.get(usize::from(length & 0x7f)..),
        [0x30, 0..=0x7f, rest @ ..] => Some(rest),
        _ => None,
    }
}

/// Whether it begins with an algorithm of PKCS #5 or PKCS #12 (RFC 8018, RFC 7292).
fn is_encrypted_der(content: &[u8]) -> bool {
    const PKCS5: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05];
    const PKCS12: &[u8] = &[
        0x06, 0x0a, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01,
    ];
    let algorithm = der_content(content).unwrap_or_default();
    algorithm.starts_with(PKCS5) || algorithm.starts_with(PKCS12)
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}
