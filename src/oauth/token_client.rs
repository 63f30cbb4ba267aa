//! What a token request needs besides its parameters: the credential, and HTTP for the token endpoint.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;
use std::thread;

use super::client_auth::tls_key;
use super::http::Http;
use super::proof::Prover;
use crate::error::Result;
use crate::policy;
use crate::profile::headers::Headers;
use crate::profile::{Profile, ProfileName, SecretSource};
use crate::types::dpop::Nonce;
use crate::types::external_key::ExternalKey;
use crate::types::identity_token::IdentityToken;
use crate::types::secret::{ClientSecret, Credential};

/// What a request presents besides the client's credential.
#[derive(Debug, Default)]
pub(crate) struct OtherCredentials {
    pub(crate) identity: Option<IdentityToken>,
    /// The key of a client certificate that the profile has as well.
    pub(crate) certificate_key: Option<Credential>,
    /// The key of another program that the token is to be bound to (RFC 9449).
    pub(crate) proof_key: Option<Arc<dyn ExternalKey>>,
    /// The newest nonce of the token endpoint, for the proof.
    pub(crate) nonce: Option<Nonce>,
    pub(crate) secret_headers: Headers,
    /// Other client secrets of the profile. They are not sent, but a server may repeat them.
    pub(crate) other_secrets: Vec<ClientSecret>,
}

impl OtherCredentials {
    /// The profile's headers, the secret ones included.
    pub(super) fn all_headers(&self, profile: &Profile) -> Headers {
        profile.headers.clone().with(&self.secret_headers)
    }
}

pub(crate) struct TokenClient {
    pub(super) credential: Credential,
    pub(super) identity: Option<IdentityToken>,
    /// The profile's headers, the secret ones included.
    pub(super) headers: Headers,
    pub(super) secret_headers: Headers,
    /// See [`OtherCredentials`].
    pub(super) other_secrets: Vec<ClientSecret>,
    /// See [`OtherCredentials`].
    certificate_key: Option<Credential>,
    /// Signs the proofs of a profile whose tokens are bound to a key.
    pub(super) prover: Option<Prover>,
    /// The newest nonce of the token endpoint.
    pub(super) nonce: RefCell<Option<Nonce>>,
    http: OnceCell<Http>,
    /// The profile that hints name; none during a login.
    pub(super) name: Option<ProfileName>,
}

impl TokenClient {
    /// With a credential that is already loaded.
    ///
    /// # Errors
    /// Why no request can be sent.
    pub(crate) fn of(
        name: Option<&ProfileName>,
        profile: &Profile,
        credential: Credential,
        others: OtherCredentials,
    ) -> Result<Self> {
        policy::current()?.check(profile)?;
        Self::without_http(name, profile, credential, others)?.with_http(profile)
    }

    fn with_http(self, profile: &Profile) -> Result<Self> {
        self.http(profile)?;
        Ok(self)
    }

    fn without_http(
        name: Option<&ProfileName>,
        profile: &Profile,
        credential: Credential,
        others: OtherCredentials,
    ) -> Result<Self> {
        let prover = match (&profile.dpop, &others.proof_key) {
            (None, _) => None,
            (Some(_), Some(key)) => Some(Prover::external(key)?),
            (Some(_), None) => Some(Prover::generate()?),
        };
        Ok(Self {
            credential,
            prover,
            nonce: RefCell::new(others.nonce.clone()),
            headers: others.all_headers(profile),
            identity: others.identity,
            secret_headers: others.secret_headers,
            other_secrets: others.other_secrets,
            certificate_key: others.certificate_key,
            http: OnceCell::new(),
            name: name.cloned(),
        })
    }

    /// What it authenticates with.
    pub(crate) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The headers whose values are secret.
    pub(crate) fn secret_headers(&self) -> &Headers {
        &self.secret_headers
    }

    /// The newest nonce of the token endpoint, for the proof of the next request.
    pub(crate) fn nonce(&self) -> Option<Nonce> {
        self.nonce.borrow().clone()
    }

    /// Removes these secrets, too, from what the server says.
    pub(crate) fn hiding(mut self, secrets: Vec<ClientSecret>) -> Self {
        self.other_secrets.extend(secrets);
        self
    }

    /// HTTP for the token endpoint, which is set up now if it is not yet.
    ///
    /// # Errors
    /// Why no request can be sent.
    pub(super) fn http(&self, profile: &Profile) -> Result<&Http> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let (name, credential) = (self.name.as_ref(), Some(&self.credential));
        let http = http(profile, name, credential, self.certificate_key.as_ref())?;
        Ok(self.http.get_or_init(|| http))
    }

    /// Reads the credential; if that may block, HTTP is set up meanwhile. It is set up later if another
    /// machine may have the token, because then nothing may have to be sent.
    ///
    /// No connection is opened yet: a keychain may wait for a person, and a server does not.
    ///
    /// # Errors
    /// Why there is no credential, or why no request can be sent.
    pub(crate) fn prepare(
        name: &ProfileName,
        profile: &Profile,
        credential: impl FnOnce() -> Result<Credential>,
        others: OtherCredentials,
    ) -> Result<Self> {
        policy::current()?.check(profile)?;
        if profile.shared_cache().is_some() {
            return Self::without_http(Some(name), profile, credential()?, others);
        }
        // The handshake needs the credential.
        let may_block = profile.secret.as_ref().is_some_and(SecretSource::may_block);
        if !may_block || profile.client_auth.is_tls() {
            return Self::without_http(Some(name), profile, credential()?, others)?
                .with_http(profile);
        }
        let set_up = || http(profile, Some(name), None, others.certificate_key.as_ref());
        let (credential, http) = thread::scope(|scope| -> Result<_> {
            let http = thread::Builder::new().spawn_scoped(scope, set_up);
            let credential = credential()?;
            // If no thread could be started, it is done now.
            let http = http.ok().and_then(|thread| thread.join().ok());
            Ok((credential, http.unwrap_or_else(set_up)?))
        })?;
        let mut client = Self::without_http(Some(name), profile, credential, others)?;
        client.http = OnceCell::from(http);
        Ok(client)
    }
}

fn http(
    profile: &Profile,
    name: Option<&ProfileName>,
    credential: Option<&Credential>,
    certificate_key: Option<&Credential>,
) -> Result<Http> {
    let tls_key = tls_key(profile, name, credential, certificate_key)?;
    Http::to(&profile.token_endpoint, profile, name, tls_key)
}
