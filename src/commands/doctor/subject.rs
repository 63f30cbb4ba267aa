//! One profile, and what several of its checks need: its credential, its identity token, the server.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Machine;
use crate::cache::Cache;
use crate::commands::credentials;
use crate::commands::obtain::{self, Checked, TokenOptions, request, request_uncached};
use crate::error::{Error, Kind, Result};
use crate::oauth::{self, OtherCredentials, Reached};
use crate::profile::headers::Headers;
use crate::profile::identity::IdentitySource;
use crate::profile::selected::SelectedProfile;
use crate::profile::{CacheMode, Profile, ProfileName, Store};
use crate::secrets::{self, WaitLimit};
use crate::types::external_key::ExternalKey;
use crate::types::identity_token::IdentityToken;
use crate::types::secret::Credential;
use crate::types::token::Timestamp;

/// A profile, and what was already read for it. Each is read once.
pub(super) struct Subject<'a> {
    pub(super) machine: &'a Machine,
    pub(super) name: &'a ProfileName,
    pub(super) profile: &'a Profile,
    credentials: OnceCell<Step<Credentials>>,
    identity: OnceCell<Step<Option<IdentityToken>>>,
    addresses: OnceCell<Step<Vec<IpAddr>>>,
    reached: OnceCell<Step<Reached>>,
    token: OnceCell<Step<Checked>>,
}

/// What one check does and later ones need.
pub(super) enum Step<T> {
    Done(T),
    Failed(Error),
    /// It depends on something that another check shows to be wrong, or the user does not want it.
    Skipped(Cow<'static, str>),
}

impl<T> Step<T> {
    fn of(result: Result<T>) -> Self {
        result.map_or_else(Self::Failed, Self::Done)
    }

    fn skipped(why: &'static str) -> Self {
        Self::Skipped(Cow::Borrowed(why))
    }
}

pub(super) struct Credentials {
    pub(super) credential: Credential,
    certificate_key: Option<Credential>,
    proof_key: Option<Arc<dyn ExternalKey>>,
    pub(super) secret_headers: Headers,
    pub(super) took: Duration,
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
                return Step::skipped("the profile was edited after login");
            }
            let mut items = self.profile.items().into_iter();
            let is_in_keychain = items.any(|item| item.store == Store::Keychain);
            if is_in_keychain && !matches!(self.machine.keychain(), Some(Ok(_))) {
                return Step::skipped("the keychain cannot be used");
            }
            Step::of(self.read_credentials())
        })
    }

    fn read_credentials(&self) -> Result<Credentials> {
        let Self { name, profile, .. } = *self;
        let start = Instant::now();
        let credential = secrets::read(name, profile, WaitLimit::Program)?;
        let took = start.elapsed();
        Ok(Credentials {
            credential,
            certificate_key: secrets::certificate_key(name, profile, WaitLimit::Program)?,
            proof_key: secrets::proof_key(name, profile, WaitLimit::Program)?,
            secret_headers: secrets::headers(name, profile, WaitLimit::Program)?,
            took,
        })
    }

    /// The identity token that a request presents.
    pub(super) fn identity(&self) -> &Step<Option<IdentityToken>> {
        self.identity.get_or_init(|| {
            let source = self.profile.identity.as_ref().map(|it| &it.source);
            if self.machine.offline && matches!(source, Some(IdentitySource::Github(_))) {
                return Step::skipped(OFFLINE);
            }
            Step::of(credentials::identity(self.profile, WaitLimit::Program))
        })
    }

    /// The addresses of the server, or of its proxy.
    pub(super) fn addresses(&self) -> &Step<Vec<IpAddr>> {
        self.addresses.get_or_init(|| {
            if self.machine.offline {
                return Step::skipped(OFFLINE);
            }
            if oauth::proxy_to(&self.profile.token_endpoint).is_err() {
                return Step::skipped("the proxy cannot be used");
            }
            Step::of(oauth::resolve(self.profile, self.name))
        })
    }

    /// The response of the server to a request without credentials.
    pub(super) fn reached(&self) -> &Step<Reached> {
        self.reached.get_or_init(|| {
            match self.addresses() {
                Step::Done(_) => {}
                Step::Skipped(why) => return Step::Skipped(why.clone()),
                Step::Failed(_) => return Step::skipped("the host has no address"),
            }
            let credentials = match self.credentials() {
                Step::Done(credentials) => Some(credentials),
                // The handshake needs the key.
                _ if self.profile.certificate.is_some() => {
                    return Step::skipped("the key of the certificate cannot be used");
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
    pub(super) fn token(&self) -> &Step<Checked> {
        self.token.get_or_init(|| {
            let (credentials, identity) =
                match (self.reached(), self.credentials(), self.identity()) {
                    (Step::Skipped(why), _, _) if why == OFFLINE => return Step::skipped(OFFLINE),
                    (_, Step::Failed(_) | Step::Skipped(_), _) => {
                        return Step::skipped("the secret cannot be used");
                    }
                    (_, _, Step::Failed(_) | Step::Skipped(_)) => {
                        return Step::skipped("there is no identity token");
                    }
                    (Step::Failed(_) | Step::Skipped(_), _, _) => {
                        return Step::skipped("the server cannot be reached");
                    }
                    (Step::Done(_), Step::Done(credentials), Step::Done(identity)) => {
                        (credentials, identity)
                    }
                };
            self.request_token(credentials, identity.as_ref())
        })
    }

    fn request_token(&self, read: &Credentials, identity: Option<&IdentityToken>) -> Step<Checked> {
        let Self { name, profile, .. } = *self;
        let selected = SelectedProfile {
            name: name.clone(),
            profile: profile.clone(),
            binding: None,
            url: None,
        };
        let request = request(&selected, &TokenOptions::default());
        let entry = self.cache().entry(&request, CacheMode::None);
        let now = Timestamp::now();
        if let Some(failure) = entry.snapshot(None).failure(now, true) {
            let until = failure.not_before().date();
            let why = format!("the server asked at an earlier request to wait until {until}");
            return Step::Skipped(Cow::Owned(why));
        }
        let read = obtain::Credentials {
            credential: read.credential.clone(),
            others: OtherCredentials {
                identity: identity.cloned(),
                certificate_key: read.certificate_key.clone(),
                proof_key: read.proof_key.clone(),
                nonce: self.cache().nonce(profile.token_endpoint.origin()),
                secret_headers: read.secret_headers.clone(),
                other_secrets: Vec::new(),
            },
        };
        let Machine {
            directories,
            profiles,
            ..
        } = self.machine;
        let checked = request_uncached(directories, profiles, &selected, Some(read));
        Step::of(checked.and_then(|checked| {
            let token = &checked.token;
            if token.lasts() && !token.is_unexpired(Timestamp::now()) {
                let what = "the token had expired before it could be used";
                return Err(Error::new(Kind::Unavailable, what));
            }
            Ok(checked)
        }))
    }

    fn cache(&self) -> Cache {
        Cache::of(&self.machine.directories, self.name)
    }
}
