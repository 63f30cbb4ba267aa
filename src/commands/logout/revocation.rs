//! Revokes the tokens of a profile that is logged out.

use crate::cache::Cache;
use crate::commands::credentials;
use crate::error::Result;
use crate::message;
use crate::oauth::{self, OtherCredentials};
use crate::profile::token_request::login_of;
use crate::profile::{CacheMode, Profile, ProfileName, TokenEndpoint};
use crate::secrets::{self, WaitLimit};
use crate::types::secret::{AccessToken, Credential};
use crate::types::token::Timestamp;

/// The cached tokens that have not expired.
pub(super) fn working_tokens(profile: &Profile, cache: &Cache) -> Vec<AccessToken> {
    let now = Timestamp::now();
    let tokens = cache
        .tokens(&login_of(profile), CacheMode::Auto)
        .into_iter();
    let tokens = tokens.map(|(.., token)| token);
    let working = tokens.filter(|token| token.is_unexpired(now));
    working.map(|token| token.access_token).collect()
}

/// A token revocation (RFC 7009). It is prepared before the secret is deleted, and sent afterwards.
pub(super) struct Revocation {
    endpoint: TokenEndpoint,
    profile: Profile,
    tokens: Vec<AccessToken>,
    credential: Credential,
    /// Without an identity token: it is read when it is needed.
    others: OtherCredentials,
}

impl Revocation {
    pub(super) fn prepare(
        name: &ProfileName,
        profile: Profile,
        tokens: Vec<AccessToken>,
    ) -> Option<Self> {
        let endpoint = profile.revocation_endpoint.clone()?;
        if tokens.is_empty() {
            return None;
        }
        let read = || -> Result<_> {
            let credential = secrets::read(name, &profile, WaitLimit::Person)?;
            let others = OtherCredentials {
                certificate_key: secrets::certificate_key(name, &profile, WaitLimit::Person)?,
                secret_headers: secrets::headers(name, &profile, WaitLimit::Person)?,
                ..OtherCredentials::default()
            };
            Ok((credential, others))
        };
        match read() {
            Ok((credential, others)) => Some(Self {
                endpoint,
                profile,
                tokens,
                credential,
                others,
            }),
            Err(error) => {
                message::warning(&format!(
                    "the tokens will not be revoked at the server: {error}"
                ));
                None
            }
        }
    }

    pub(super) fn send(self) {
        let Self {
            endpoint,
            profile,
            tokens,
            credential,
            mut others,
        } = self;
        let identity = credentials::identity(&profile, WaitLimit::Person);
        let revoked = identity.and_then(|identity| {
            others.identity = identity;
            oauth::revoke(&endpoint, &profile, &tokens, &credential, &others)
        });
        if let Err(error) = revoked {
            message::warning(&format!(
                "the tokens were removed here, but not revoked at the server: {error}"
            ));
        }
    }
}
