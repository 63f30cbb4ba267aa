//! One profile, and what several of its checks need: its credential, its identity token, the server.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Machine;
use crate::cache::{Accepted, Cache};
use crate::commands::credentials;
use crate::commands::obtain::{TokenOptions, request};
use crate::error::{Error, Kind, Result};
use crate::oauth::{self, OtherCredentials, Reached, TokenClient};
use crate::profile::headers::Headers;
use crate::profile::identity::IdentitySource;
use crate::profile::selected::SelectedProfile;
use crate::profile::token_request::TokenRequest;
use crate::profile::{Profile, ProfileName, Store};
use crate::secrets::{self, WaitLimit};
use crate::types::identity_token::IdentityToken;
use crate::types::secret::Credential;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::token_failure::TokenFailure;

/// A profile, and what was already read for it. Each is read once.
pub(super) struct Subject<'a> {
    pub(super) machine: &'a Machine,
    pub(super) name: &'a ProfileName,
    pub(super) profile: &'a Profile,
    credentials: OnceCell<Step<Credentials>>,
    identity: OnceCell<Step<Option<IdentityToken>>>,
    addresses: OnceCell<Step<Vec<IpAddr>>>,
    reached: OnceCell<Step<Reached>>,
    token: OnceCell<Step<Issued>>,
}

/// What one check does and later ones need.
pub(super) enum Step<T> {
    Done(T),
    Failed(Error),
    /// It depends on something that another check shows to be wrong, or the user does not want it.
    Skipped(&'static str),
}

impl<T> Step<T> {
    fn of(result: Result<T>) -> Self {
        result.map_or_else(Self::Failed, Self::Done)
    }
}

pub(super) struct Credentials {
    pub(super) credential: Credential,
    certificate_key: Option<Credential>,
    secret_headers: Headers,
    pub(super) took: Duration,
}

/// A token, and the request that it is for.
pub(super) struct Issued {
    pub(super) token: CachedToken,
    pub(super) request: TokenRequest,
}

pub(super) const OFFLINE: &str = "--offline";

impl<'a> Subject<'a> {
    pub(super) fn new(machine: &'a Machine, name: &'a ProfileName, profile: &'a Profile) -> Self {
        Self {
            machine,
            name,
            profile,
            credentials: OnceCell::new(),
            identity: OnceCell::new(),
            addresses: OnceCell::new(),
            reached: OnceCell::new(),
            token: OnceCell::new(),
        }
    }

    /// The client's secret and keys.
    pub(super) fn credentials(&self) -> &Step<Credentials> {
        self.credentials.get_or_init(|| {
            if secrets::check_unchanged(self.name, self.profile).is_err() {
                return Step::Skipped("the profile was edited after login");
            }
            let mut items = self.profile.items().into_iter();
            let is_in_keychain = items.any(|item| item.store == Store::Keychain);
            if is_in_keychain && !matches!(self.machine.keychain(), Some(Ok(_))) {
                return Step::Skipped("the keychain cannot be used");
            }
            Step::of(self.read_credentials())
        })
    }

    fn read_credentials(&self) -> Result<Credentials> {
        let Self { name, profile, .. } = *self;
        let in_use = self.with_accepted_secret();
        let profile = in_use.as_ref().unwrap_or(profile);
        let start = Instant::now();
        let credential = secrets::read(name, profile, WaitLimit::Program)?;
        let took = start.elapsed();
        Ok(Credentials {
            credential,
            certificate_key: secrets::certificate_key(name, profile, WaitLimit::Program)?,
            secret_headers: secrets::headers(name, profile, WaitLimit::Program)?,
            took,
        })
    }

    /// The profile with the secret that was replaced, while the server still requires that one.
    fn with_accepted_secret(&self) -> Option<Profile> {
        let previous = self.profile.with_previous_secret()?;
        let cache = Cache::of(&self.machine.directories, self.name);
        let accepted = cache.accepted_secret(self.profile.secret_generation());
        (accepted == Some(Accepted::Previous)).then_some(previous)
    }

    /// The identity token that a request presents.
    pub(super) fn identity(&self) -> &Step<Option<IdentityToken>> {
        self.identity.get_or_init(|| {
            let source = self.profile.identity.as_ref().map(|it| &it.source);
            if self.machine.offline && matches!(source, Some(IdentitySource::Github(_))) {
                return Step::Skipped(OFFLINE);
            }
            Step::of(credentials::identity(self.profile, WaitLimit::Program))
        })
    }

    /// The addresses of the server, or of its proxy.
    pub(super) fn addresses(&self) -> &Step<Vec<IpAddr>> {
        self.addresses.get_or_init(|| {
            if self.machine.offline {
                return Step::Skipped(OFFLINE);
            }
            if oauth::proxy_to(&self.profile.token_endpoint).is_err() {
                return Step::Skipped("the proxy cannot be used");
            }
            Step::of(oauth::resolve(self.profile, self.name))
        })
    }

    /// The response of the server to a request without credentials.
    pub(super) fn reached(&self) -> &Step<Reached> {
        self.reached.get_or_init(|| {
            match self.addresses() {
                Step::Done(_) => {}
                Step::Skipped(why) => return Step::Skipped(why),
                Step::Failed(_) => return Step::Skipped("the host has no address"),
            }
            let credentials = match self.credentials() {
                Step::Done(credentials) => Some(credentials),
                // The handshake needs the key.
                _ if self.profile.certificate.is_some() => {
                    return Step::Skipped("the key of the certificate cannot be used");
                }
                _ => None,
            };
            Step::of(oauth::reach(
                self.profile,
                self.name,
                credentials.map(|it| &it.credential),
                credentials.and_then(|it| it.certificate_key.as_ref()),
            ))
        })
    }

    /// A new token, which is not stored.
    pub(super) fn token(&self) -> &Step<Issued> {
        self.token.get_or_init(|| {
            let (credentials, identity) =
                match (self.reached(), self.credentials(), self.identity()) {
                    (Step::Skipped(OFFLINE), _, _) => return Step::Skipped(OFFLINE),
                    (_, Step::Failed(_) | Step::Skipped(_), _) => {
                        return Step::Skipped("the secret cannot be used");
                    }
                    (_, _, Step::Failed(_) | Step::Skipped(_)) => {
                        return Step::Skipped("there is no identity token");
                    }
                    (Step::Failed(_) | Step::Skipped(_), _, _) => {
                        return Step::Skipped("the server cannot be reached");
                    }
                    (Step::Done(_), Step::Done(credentials), Step::Done(identity)) => {
                        (credentials, identity)
                    }
                };
            Step::of(self.request_token(credentials, identity.clone()))
        })
    }

    fn request_token(&self, read: &Credentials, identity: Option<IdentityToken>) -> Result<Issued> {
        let Self { name, profile, .. } = *self;
        if !name.is_from_environment() {
            self.machine.profiles.check_directory()?;
        }
        let selected = SelectedProfile {
            name: name.clone(),
            profile: profile.clone(),
            binding: None,
            url: None,
        };
        let request = request(&selected, &TokenOptions::default());
        // A server that asked to wait is not asked earlier.
        let entry = Cache::of(&self.machine.directories, name).entry(&request);
        if let Some(failure) = entry.snapshot(None).failure(Timestamp::now(), true) {
            return Err(failure.into_error());
        }
        let client = TokenClient::of(
            Some(name),
            profile,
            read.credential.clone(),
            OtherCredentials {
                identity,
                certificate_key: read.certificate_key.clone(),
                secret_headers: read.secret_headers.clone(),
            },
        )?;
        let new_identity = || credentials::identity(profile, WaitLimit::Program);
        let token = oauth::request_token(profile, &request, &client, &new_identity)
            .map_err(TokenFailure::into_error)?;
        if !token.lasts() || token.is_unexpired(Timestamp::now()) {
            return Ok(Issued { token, request });
        }
        Err(Error::new(
            Kind::Unavailable,
            "the token had expired before it could be used",
        ))
    }
}
