//! How a command gets a token: connects the broker to the profiles, the secrets and the server, and
//! prints the warnings.

mod rotation;
pub(super) mod sharing;
mod warnings;

use std::cell::Cell;
use std::time::Duration;

use crate::audit;
use crate::broker::{Broker, Outcome, ReusePolicy, TokenSource};
use crate::cache::Cache;
use crate::commands::credentials;
use crate::commands::proofs::bearer_only;
use crate::error::{Error, Result};
use crate::oauth::{self, OtherCredentials, TokenClient};
use crate::platform::disk::Directories;
use crate::policy;
use crate::profile::identity::IdentitySource;
use crate::profile::selected::SelectedProfile;
use crate::profile::share::ShareSecret;
use crate::profile::token_request::TokenRequest;
use crate::profile::{CacheMode, Profile, SourceKind};
use crate::profiles::{Profiles, cache_mode};
use crate::secrets::{self, WaitLimit};
use crate::share::{self, Answer, Need};
use crate::types::checked_text::Scope;
use crate::types::dpop::Nonce;
use crate::types::secret::{AccessToken, ClientSecret, Credential};
use crate::types::token::{CachedToken, Timestamp};
use crate::types::token_failure::TokenFailure;
use rotation::RotationState;
use sharing::shared_entry;
use warnings::token_with_warnings;
pub(super) use warnings::{missing_scope, warn_of_response};

/// How often to try again because another login replaced the profile in the meantime.
const ATTEMPTS: usize = 3;

/// The time that another caller may need in addition to reading the secret and the request.
const GRACE: Duration = Duration::from_secs(2);

/// The options of a call, which override the profile's settings.
#[derive(Debug, Default)]
pub(super) struct TokenOptions {
    pub(super) scope: Option<Scope>,
    pub(super) audience: Option<String>,
    pub(super) min_ttl: Duration,
    /// Request a new token, even if a cached one is valid.
    pub(super) force_refresh: bool,
    /// The token that an API refused, and that is to be replaced.
    pub(super) rejected: Option<AccessToken>,
    /// The client secret, if it was given for this call only.
    pub(super) secret: Option<ClientSecret>,
    /// Whether the caller can send proofs of possession, or print them. Else the tokens of a profile that
    /// are bound to a key are of no use to it.
    pub(super) sends_proofs: bool,
    /// Print no warnings: some programs take standard error for part of the answer.
    pub(super) quiet: bool,
}

/// A token, and its request's scope.
pub(super) struct Obtained {
    pub(super) token: CachedToken,
    /// The scope that was requested. A server that grants it may leave it out of the response (RFC 6749
    /// §5.1).
    pub(super) scope: Option<Scope>,
    /// Whether it was requested by this call, not cached.
    pub(super) is_new: bool,
    /// Whether the cache does not have it, and only this process does.
    pub(super) is_unsaved: bool,
    /// Why the token could not be renewed when it should have been.
    pub(super) failure: Option<TokenFailure>,
}

impl Obtained {
    /// What was granted, or what was requested if the server did not say. None if unknown.
    pub(super) fn scope(&self) -> Option<&str> {
        self.token.scope.as_deref().or(self.scope.as_deref())
    }
}

/// Gets a token of this profile. If another login replaces the profile meanwhile, the token is of that
/// login.
///
/// Afterwards `selected` is the profile that the token was issued for. For a token that is for a URL,
/// that profile is bound to the URL.
pub(super) fn obtain(
    directories: &Directories,
    profiles: &Profiles,
    options: &TokenOptions,
    selected: &mut SelectedProfile,
) -> Result<Obtained> {
    for _ in 0..ATTEMPTS {
        check_policy(&selected.profile, options)?;
        if selected.profile.dpop.is_some() && !options.sends_proofs {
            return Err(bearer_only(&selected.name));
        }
        let cache_mode = cache_mode(&selected.profile)?;
        let source = ProfileSource {
            directories,
            profiles,
            options,
            selected,
            request: request(selected, options),
            cache_mode,
            latest: Cell::new(None),
            read: Cell::new(None),
            rotation: RotationState::default(),
        };
        let outcome = source.obtain()?;
        let latest = match outcome {
            Outcome::LoginChanged => Some(source.reload_changed()?),
            _ => source.latest.take(),
        };
        let request = source.request;
        if let Some(latest) = latest {
            selected.update(latest)?;
        }
        let is_new = matches!(outcome, Outcome::Fresh { .. });
        let is_unsaved = matches!(&outcome, Outcome::Fresh { cache_error, .. } if cache_error.is_some())
            || cache_mode == CacheMode::None;
        let failure = match &outcome {
            Outcome::Stale { failure, .. } => Some(failure.clone()),
            _ => None,
        };
        if let Some(token) = token_with_warnings(outcome, &request, options, directories) {
            return Ok(Obtained {
                token,
                scope: request.scope,
                is_new,
                is_unsaved,
                failure,
            });
        }
    }
    Err(Error::unavailable(
        "the profile kept changing while a token was requested",
    ))
}

/// # Errors
/// `Refused` if the administrator does not allow tokens of this profile, not even cached ones.
fn check_policy(profile: &Profile, options: &TokenOptions) -> Result<()> {
    let policy = policy::current()?;
    policy.check(profile)?;
    match options.secret {
        Some(_) => policy.check_store(SourceKind::Stdin),
        None => Ok(()),
    }
}

/// The cached token of this profile, unless it has expired. There is neither a request nor a warning.
pub(super) fn cached(directories: &Directories, selected: &SelectedProfile) -> Option<Obtained> {
    let request = request(selected, &TokenOptions::default());
    let cache = Cache::of(directories, &selected.name);
    let mode = cache_mode(&selected.profile).ok()?;
    let token = cache.entry(&request, mode).token();
    let token = token.filter(|token| token.is_unexpired(Timestamp::now()))?;
    Some(Obtained {
        token,
        scope: request.scope,
        is_new: false,
        is_unsaved: false,
        failure: None,
    })
}

/// What a request outside of the cache brought.
pub(super) struct Checked {
    pub(super) token: CachedToken,
    pub(super) request: TokenRequest,
    /// Whether the server refused the secret, and accepted the previous one, which is kept.
    pub(super) is_of_previous_secret: bool,
}

/// What a request presents.
pub(super) struct Credentials {
    pub(super) credential: Credential,
    pub(super) others: OtherCredentials,
}

/// Requests a token of this profile, as [`obtain`] does, but neither reads nor changes the cache, nor what
/// is recorded about two secrets: the new one is tried first. Credentials that were already `read` are not
/// read again.
pub(super) fn request_uncached(
    directories: &Directories,
    profiles: &Profiles,
    selected: &SelectedProfile,
    read: Option<Credentials>,
) -> Result<Checked> {
    let options = TokenOptions {
        quiet: true,
        ..TokenOptions::default()
    };
    let source = ProfileSource {
        directories,
        profiles,
        options: &options,
        selected,
        request: request(selected, &options),
        cache_mode: CacheMode::None,
        latest: Cell::new(None),
        read: Cell::new(read),
        rotation: RotationState::without_record(),
    };
    let client = source.client()?;
    let token = source.request_from_server(&client);
    let token = token.map_err(TokenFailure::into_error)?;
    Ok(Checked {
        token,
        is_of_previous_secret: source.rotation.is_token_of_previous(),
        request: source.request,
    })
}

/// Requests the tokens of one profile, as it was when it was selected.
struct ProfileSource<'a> {
    directories: &'a Directories,
    profiles: &'a Profiles,
    options: &'a TokenOptions,
    selected: &'a SelectedProfile,
    request: TokenRequest,
    cache_mode: CacheMode,
    /// The profile as it was last read again, if it still has the same login.
    latest: Cell<Option<Profile>>,
    /// The credentials of the first request, if they were already read.
    read: Cell<Option<Credentials>>,
    /// Which of two secrets is in use.
    rotation: RotationState,
}

impl ProfileSource<'_> {
    fn obtain(&self) -> Result<Outcome> {
        let policy = ReusePolicy {
            min_ttl: self.options.min_ttl,
            force_refresh: self.options.force_refresh,
        };
        let broker = Broker {
            entry: &self.cache().entry(&self.request, self.cache_mode),
            policy,
            source: self,
        };
        broker.obtain()
    }

    /// The client, with the secret of this profile.
    fn client_of(&self, profile: &Profile) -> Result<TokenClient> {
        let name = &self.selected.name;
        let client = if let Some(Credentials { credential, others }) = self.read.take() {
            TokenClient::of(Some(name), profile, credential, others)?
        } else {
            let mut others = credentials::read_others(name, profile, WaitLimit::Program)?;
            others.nonce = self.nonce();
            let credential = || match &self.options.secret {
                Some(secret) => Ok(Credential::Secret(secret.clone())),
                None => secrets::read(name, profile, WaitLimit::Program),
            };
            TokenClient::prepare(name, profile, credential, others)?
        };
        let stored = &self.selected.profile;
        let other_secrets = credentials::other_secrets(name, stored, profile, WaitLimit::Program);
        Ok(client.hiding(other_secrets))
    }

    fn request_with(&self, client: &TokenClient) -> std::result::Result<CachedToken, TokenFailure> {
        let profile = &self.selected.profile;
        let new_identity = || credentials::identity(profile, WaitLimit::Program);
        let response = oauth::request_token(profile, &self.request, client, &new_identity);
        if let Some(nonce) = client.nonce()
            && self.nonce().as_ref() != Some(&nonce)
        {
            self.cache()
                .store_nonce(profile.token_endpoint.origin(), &nonce);
        }
        response
    }

    /// Requests a token without the shared cache.
    fn request_from_server(
        &self,
        client: &TokenClient,
    ) -> std::result::Result<CachedToken, TokenFailure> {
        match self.request_with(client) {
            Err(failure) if failure.refuses_client() => self.request_with_other_secret(failure),
            response => {
                self.record_accepted(&response);
                response
            }
        }
    }

    /// A token that another machine requested.
    fn received(&self, token: CachedToken) -> std::result::Result<CachedToken, TokenFailure> {
        let (name, profile) = (&self.selected.name, &self.selected.profile);
        match audit::record_received(name, profile, &self.request, &token) {
            Ok(()) => Ok(token),
            Err(error) => Err(TokenFailure::local(&error, Timestamp::now())),
        }
    }

    fn cache(&self) -> Cache {
        Cache::of(self.directories, &self.selected.name)
    }

    /// The newest nonce of the token endpoint, for a proof of possession.
    fn nonce(&self) -> Option<Nonce> {
        let profile = &self.selected.profile;
        profile.dpop.as_ref()?;
        self.cache().nonce(profile.token_endpoint.origin())
    }

    /// Reads the profile of the login that replaced this one.
    fn reload_changed(&self) -> Result<Profile> {
        let latest = self.profiles.reload(self.selected)?;
        latest.ok_or_else(|| logged_out(self.selected))
    }
}

impl TokenSource for ProfileSource<'_> {
    type Client = TokenClient;

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn wait_limit(&self) -> Result<Duration> {
        wait_limit(&self.selected.profile)
    }

    fn client(&self) -> Result<TokenClient> {
        if !self.selected.name.is_from_environment() {
            self.profiles.check_directory()?;
        }
        // Before there are other threads.
        secrets::take_from_environment(&self.selected.profile);
        self.client_with_accepted_secret()
    }

    /// Takes the token of another machine, or requests one for all of them. Without a shared cache, it is for
    /// this machine only.
    fn request(&self, client: &TokenClient) -> std::result::Result<CachedToken, TokenFailure> {
        let (name, profile) = (&self.selected.name, &self.selected.profile);
        let entry = shared_entry(
            self.directories,
            (name, profile, &self.request),
            (client.credential(), client.secret_headers()),
            WaitLimit::Program,
        );
        let Some(entry) = entry else {
            return self.request_from_server(client);
        };
        let rejected = match &self.options.rejected {
            Some(rejected) => Some(share::fingerprint(rejected)),
            None if self.options.force_refresh => None,
            None => self
                .cache()
                .entry(&self.request, self.cache_mode)
                .rejected(),
        };
        let need = Need {
            min_ttl: self.options.min_ttl,
            force_refresh: self.options.force_refresh,
            rejected: rejected.as_deref(),
            // The other machine may have another policy.
            max_ttl: policy::longest_ttl(profile),
            wait_limit: request_limit(profile),
        };
        match entry.obtain(need, || self.request_from_server(client)) {
            Answer::Received(token) => self.received(token),
            Answer::Requested(response) => response,
            Answer::Refused(failure) => Err(failure),
        }
    }

    fn is_current(&self) -> Result<bool> {
        let generation = &self.selected.profile.generation;
        let latest = self.profiles.reload(self.selected)?;
        let latest = latest.filter(|latest| latest.generation == *generation);
        let is_current = latest.is_some();
        self.latest.set(latest);
        Ok(is_current)
    }
}

/// How long another caller may take to get a token of this profile.
fn wait_limit(profile: &Profile) -> Result<Duration> {
    let source = profile.identity.as_ref().map(|identity| &identity.source);
    let for_identity = match source {
        Some(IdentitySource::Github(_)) => profile.timeout(),
        Some(source) if source.may_block() => WaitLimit::Program.limit()?,
        _ => Duration::ZERO,
    };
    let limit_if = |may_block| {
        if may_block {
            WaitLimit::Program.limit()
        } else {
            Ok(Duration::ZERO)
        }
    };
    let for_secret = limit_if(profile.may_block())?;
    let for_headers = limit_if(profile.secret_headers.is_some())?;
    let requests = number_of_requests(profile);
    let own = (profile.timeout() + for_secret + for_headers + for_identity) * requests + GRACE;
    let Some(share) = profile.shared_cache() else {
        return Ok(own);
    };
    let secrets = [&share.password, &share.key].into_iter().flatten();
    let for_share = limit_if(secrets.into_iter().any(ShareSecret::may_block))? * 2;
    Ok(own + request_limit(profile) + for_share)
}

/// With two secrets, the second one may be tried as well.
fn number_of_requests(profile: &Profile) -> u32 {
    if profile.previous_secret().is_some() {
        2
    } else {
        1
    }
}

/// How long another machine may take for a request that has begun.
fn request_limit(profile: &Profile) -> Duration {
    profile.timeout() * number_of_requests(profile) + GRACE
}

fn logged_out(selected: &SelectedProfile) -> Error {
    let name = &selected.name;
    Error::not_found(format!("profile {name} was logged out meanwhile"))
        .hint(format!("run `hallpass login {name}`"))
}

/// The request for a token. Its key depends on the secret, too: tokens are not shared between secrets.
pub(super) fn request(selected: &SelectedProfile, options: &TokenOptions) -> TokenRequest {
    let version = match &options.secret {
        Some(secret) => Some(secrets::version_of(secret.expose().as_bytes())),
        None => secrets::version(&selected.profile),
    };
    TokenRequest::new(
        &selected.name,
        &selected.profile,
        options.scope.as_ref(),
        options.audience.as_deref(),
        version.as_deref(),
    )
}
