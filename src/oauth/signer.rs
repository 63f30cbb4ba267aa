//! The signer of assertions: a private key, or the client secret, which the server has too.

use ring::hmac;

use super::external_signer::ExternalSigner;
use super::key::Key;
use crate::error::{Error, Result};
use crate::profile::JwtAlgorithm;
use crate::types::secret::{ClientSecret, Credential};
use crate::types::ssh_key::SshPublicKey;

/// A key that signs JWTs, wherever it is kept.
///
/// A key that another program keeps implements [`ExternalKey`] instead, and is a variant of `SecretSource`
/// that `secrets::read` opens; [`ExternalSigner`] signs with all of these.
///
/// [`ExternalKey`]: crate::types::external_key::ExternalKey
pub(crate) trait Signer {
    /// The algorithms that fit the key, the preferred one first.
    fn algorithms(&self) -> &[JwtAlgorithm];

    /// The algorithm that the key itself demands (a JWK's `alg`), if it can sign with it.
    fn own_algorithm(&self) -> Option<JwtAlgorithm> {
        None
    }

    /// The algorithm if the profile names none.
    ///
    /// # Errors
    /// `Usage` when several fit, or none.
    fn default_algorithm(&self) -> Result<JwtAlgorithm> {
        match (self.own_algorithm(), self.algorithms()) {
            (Some(own), _) => Ok(own),
            (None, &[only]) => Ok(only),
            (None, fitting) => Err(choose_among(fitting)),
        }
    }

    /// The key's name at the server (`kid`, RFC 7515 §4.1.4).
    fn key_id(&self) -> Option<&str> {
        None
    }

    /// The public key, if the signer knows it and certificates have one of its kind.
    fn public_key(&self) -> Option<SshPublicKey> {
        None
    }

    /// The signature in the form of JWS (RFC 7518 §3).
    ///
    /// # Errors
    /// `Usage` when the algorithm does not fit the key, `Locked` when another program does not sign.
    fn sign(&self, algorithm: JwtAlgorithm, message: &[u8]) -> Result<Vec<u8>>;
}

/// The signer of a profile's assertions.
///
/// # Errors
/// `Locked` when the private key cannot be used.
pub(crate) fn signer(credential: &Credential) -> Result<Box<dyn Signer + '_>> {
    Ok(match credential {
        Credential::Secret(secret) => Box::new(SharedSecret(secret)),
        Credential::None => return Err(Error::usage("this client has no key to sign with")),
        Credential::Key { key, passphrase } => Box::new(Key::read(key, passphrase.as_ref())?),
        Credential::External(key) => Box::new(ExternalSigner::new(key)?),
    })
}

/// The error for a key that fits several algorithms, of which none was chosen.
pub(crate) fn choose_among(fitting: &[JwtAlgorithm]) -> Error {
    let names: Vec<_> = fitting.iter().map(|algorithm| algorithm.as_str()).collect();
    Error::usage(format!("this key can sign with {}", names.join(", ")))
}

/// The client secret as the key of an HMAC (`client_secret_jwt`, `OpenID` Connect Core §9).
struct SharedSecret<'a>(&'a ClientSecret);

impl Signer for SharedSecret<'_> {
    fn algorithms(&self) -> &[JwtAlgorithm] {
        use JwtAlgorithm::{HS256, HS384, HS512};
        &[HS256, HS384, HS512]
    }

    fn default_algorithm(&self) -> Result<JwtAlgorithm> {
        Ok(JwtAlgorithm::HS256)
    }

    fn sign(&self, algorithm: JwtAlgorithm, message: &[u8]) -> Result<Vec<u8>> {
        let hash = match algorithm {
            JwtAlgorithm::HS256 => hmac::HMAC_SHA256,
            JwtAlgorithm::HS384 => hmac::HMAC_SHA384,
            JwtAlgorithm::HS512 => hmac::HMAC_SHA512,
            _ => {
                return Err(Error::usage(format!(
                    "a client secret cannot sign with {}",
                    algorithm.as_str()
                )));
            }
        };
        let key = hmac::Key::new(hash, self.0.expose().as_bytes());
        Ok(hmac::sign(&key, message).as_ref().to_vec())
    }
}
