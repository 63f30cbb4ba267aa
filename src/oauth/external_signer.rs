//! Keys that another program keeps: each signature is verified before it is used.

use std::sync::Arc;

use super::public_key::{algorithms, in_file, signature_in};
use super::signer::Signer;
use crate::error::{Error, Result};
use crate::profile::JwtAlgorithm;
use crate::types::external_key::{ExternalKey, PublicHalf, RsaHash};
use crate::types::ssh_key::{Content, SshPublicKey};

/// What an ssh-agent can sign with an RSA key (RFC 8332).
const RSA_IN_AGENT: &[JwtAlgorithm] = &[JwtAlgorithm::RS256, JwtAlgorithm::RS512];

/// A key of another program, with the public key that verifies its signatures.
#[derive(Clone, Debug)]
pub(super) struct ExternalSigner {
    key: Arc<dyn ExternalKey>,
    public: SshPublicKey,
}

impl ExternalSigner {
    /// # Errors
    /// `Locked` when there is no public key, or one that no assertion can be signed with.
    pub(super) fn new(key: &Arc<dyn ExternalKey>) -> Result<Self> {
        Ok(Self {
            public: public_key_of(&**key)?,
            key: Arc::clone(key),
        })
    }

    pub(super) fn public_key(&self) -> &SshPublicKey {
        &self.public
    }

    fn is_rsa(&self) -> bool {
        matches!(self.public.content(), Some(Content::Rsa { .. }))
    }
}

/// The public key of a key that another program keeps.
///
/// # Errors
/// `Locked` when its file has none, or one that no assertion can be signed with.
pub(crate) fn public_key_of(key: &dyn ExternalKey) -> Result<SshPublicKey> {
    let (public, what) = match key.public_half() {
        PublicHalf::Key(key) => (key.clone(), format!("the key {}", key.fingerprint())),
        PublicHalf::File { path, content } => {
            let path = path.display();
            let key = in_file(content).ok_or_else(|| {
                Error::locked(format!(
                    "{path} has no PEM public key or certificate that hallpass supports"
                ))
                .hint("use the public key or certificate of an RSA, P-256, P-384 or Ed25519 key")
            })?;
            (key, format!("the key in {path}"))
        }
    };
    match public.fault() {
        Some(fault) => Err(Error::locked(format!("{what} {fault}"))),
        None => Ok(public),
    }
}

impl Signer for ExternalSigner {
    fn public_key(&self) -> Option<SshPublicKey> {
        Some(self.public.clone())
    }

    fn algorithms(&self) -> &[JwtAlgorithm] {
        if self.key.is_in_agent() && self.is_rsa() {
            return RSA_IN_AGENT;
        }
        algorithms(&self.public)
    }

    fn sign(&self, algorithm: JwtAlgorithm, message: &[u8]) -> Result<Vec<u8>> {
        if !self.algorithms().contains(&algorithm) {
            let (what, algorithm) = (self.key.program(), algorithm.as_str());
            return Err(Error::usage(format!(
                "the key of {what} cannot sign with {algorithm}"
            )));
        }
        let hash = match algorithm {
            JwtAlgorithm::RS512 => RsaHash::Sha512,
            _ => RsaHash::Sha256,
        };
        let output = self.key.sign(message, hash)?;
        signature_in(&output, &self.public, algorithm, message).ok_or_else(|| {
            Error::locked(format!(
                "the signature of {} is not one of the key {} with {}; nothing was sent",
                self.key.program(),
                self.public.fingerprint(),
                algorithm.as_str()
            ))
            .hint(if self.key.is_in_agent() {
                "check which program listens at the agent's socket"
            } else {
                "check that the command signs its standard input with the private key of --jwt-public and with this algorithm"
            })
        })
    }
}
