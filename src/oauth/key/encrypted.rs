//! Private keys that a passphrase encrypts: PKCS #8 only (RFC 5958 §3, RFC 8018).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::pkcs5;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::unusable;
use crate::error::{Error, Result};
use crate::types::private_key::ENCRYPT_AGAIN;
use crate::types::secret::{ClientSecret, PrivateKey};

/// # Errors
/// `Locked` when the passphrase is wrong, or the encryption is not supported.
pub(super) fn decrypt(
    key: &PrivateKey,
    passphrase: &ClientSecret,
) -> Result<PrivateKeyDer<'static>> {
    let damaged = || unusable("is damaged: its PEM cannot be read");
    let unsupported =
        || unusable("is encrypted in a way that is not supported").hint(ENCRYPT_AGAIN);
    let text = std::str::from_utf8(key.expose()).map_err(|_| damaged())?;
    let (_, rest) = text
        .split_once("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        .ok_or_else(damaged)?;
    let (body, _) = rest.split_once("-----END").ok_or_else(damaged)?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| damaged())?;
    // An algorithm that it does not know is an error here already.
    let encrypted =
        pkcs8::EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).map_err(|_| unsupported())?;
    let plain = encrypted
        .decrypt(passphrase.expose())
        .map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(fault) if fault != pkcs5::Error::DecryptFailed => {
                unsupported()
            }
            _ => Error::locked("wrong passphrase for the private key")
                .hint("check the passphrase; it is stored as the profile's secret"),
        })?;
    Ok(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec()).into())
}
