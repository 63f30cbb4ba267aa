//! Private keys that another program keeps: an ssh-agent, or a command of a TPM, an HSM or a cloud's KMS.

use std::fmt::Debug;
use std::path::PathBuf;

use crate::error::Result;
use crate::types::ssh_key::SshPublicKey;

/// A private key that never leaves the program that signs with it.
pub(crate) trait ExternalKey: Debug + Send + Sync {
    fn public_half(&self) -> &PublicHalf;

    /// The program, as messages name it: `the ssh-agent`.
    fn program(&self) -> String;

    /// Whether RSA signatures are limited to PKCS #1 padding with SHA-256 or SHA-512 (RFC 8332).
    fn is_in_agent(&self) -> bool;

    /// Signs a message. The output is not verified yet, and may be in any encoding.
    ///
    /// # Errors
    /// `Locked` when the program does not sign, or does not respond in time.
    fn sign(&self, message: &[u8], hash: RsaHash) -> Result<Vec<u8>>;
}

/// What is known of a key before it signs.
#[derive(Debug)]
pub(crate) enum PublicHalf {
    Key(SshPublicKey),
    /// The content of a file with a PEM public key or certificate.
    File {
        path: PathBuf,
        content: Vec<u8>,
    },
}

/// The hash of an RSA signature. Each other kind of key has one algorithm only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RsaHash {
    Sha256,
    Sha512,
}
