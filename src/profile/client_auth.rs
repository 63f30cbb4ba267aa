//! Client authentication (RFC 6749 §2.3): the methods, and how HTTP Basic encodes the credentials.

use crate::types::choice::choice;

choice! {
    /// A client authentication method, by its registered name (RFC 7591 §2).
    pub(crate) enum ClientAuth {
        ClientSecretBasic = "client_secret_basic",
        ClientSecretPost = "client_secret_post",
        ClientSecretJwt = "client_secret_jwt",
        PrivateKeyJwt = "private_key_jwt",
        TlsClientAuth = "tls_client_auth",
        SelfSignedTlsClientAuth = "self_signed_tls_client_auth",
        /// An identity token, issued by another party, as the client's assertion (RFC 7523 §2.2).
        Identity = "identity",
        /// The client does not authenticate: what it presents is in the grant.
        None = "none",
    }
}

/// What a client authenticates with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CredentialKind {
    Secret,
    Key,
    /// An identity token, or nothing: hallpass has no credential of the client.
    None,
}

impl ClientAuth {
    pub(crate) fn credential(self) -> CredentialKind {
        match self {
            Self::ClientSecretBasic | Self::ClientSecretPost | Self::ClientSecretJwt => {
                CredentialKind::Secret
            }
            Self::PrivateKeyJwt | Self::TlsClientAuth | Self::SelfSignedTlsClientAuth => {
                CredentialKind::Key
            }
            Self::Identity | Self::None => CredentialKind::None,
        }
    }

    /// The client authenticates in the TLS handshake (RFC 8705).
    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::TlsClientAuth | Self::SelfSignedTlsClientAuth)
    }

    /// The client authenticates with a private key rather than a secret that the server knows too.
    pub(crate) fn has_key(self) -> bool {
        self.credential() == CredentialKind::Key
    }

    /// The client authenticates with a signed assertion (RFC 7523 §2.2).
    pub(crate) fn has_assertion(self) -> bool {
        matches!(self, Self::ClientSecretJwt | Self::PrivateKeyJwt)
    }
}

choice! {
    /// How the client ID and the secret are written in Basic credentials.
    #[derive(Default)]
    pub(crate) enum BasicEncoding {
        /// Percent-encoded first (RFC 6749 §2.3.1).
        #[default]
        Percent = "percent",
        /// As they are, for servers that do not decode them.
        Raw = "raw",
    }
}

impl BasicEncoding {
    #[allow(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    pub(super) fn is_percent(&self) -> bool {
        *self == Self::Percent
    }
}
