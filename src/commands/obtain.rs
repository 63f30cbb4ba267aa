//! How a command gets a token: the real doors opened for the broker, and what a person should know
//! of how it came out.

use std::cell::Cell;
use std::time::Duration;

use crate::broker::{self, Outcome, ReusePolicy, TokenSource};
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::message::{self, FOREIGN_TEXT_LIMIT};
use crate::oauth::{self, Notes, TokenClient};
use crate::platform::disk::Directories;
use crate::profile::Profile;
use crate::profile::selected::SelectedProfile;
use crate::profile::token_request::TokenRequest;
use crate::profiles::Profiles;
use crate::secrets::{self, WaitLimit};
use crate::types::secret::{ClientSecret, Credential};
use crate::types::token::{CachedToken, Timestamp};

/// How often to start again when another login takes the profile's name while we wait.
const ATTEMPTS: usize = 3;

/// What another caller may need beside its secret and its request.
const GRACE: Duration = Duration::from_secs(2);

/// What a caller wants, where it is not what the profile says.
#[derive(Debug, Default)]
pub(super) struct TokenOptions {
    pub(super) scope: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) min_ttl: Duration,
    /// A new token, whatever is cached.
    pub(super) refresh: bool,
    /// The client secret, where it was given for this call alone.
    pub(super) secret: Option<ClientSecret>,
    /// No warnings: who asks is a program, and some take standard error for a part of the answer.
    pub(super) quiet: bool,
}

/// A token, and what it was asked for.
pub(super) struct Obtained {
    pub(super) token: CachedToken,
    /// A server that granted what was asked for need not say so (RFC 6749 §5.1).
    pub(super) scope: Option<String>,
    /// It was requested for this call.
    pub(super) is_new: bool,
}

/// Gets a token of this profile; of the login that takes its place, if there is one meanwhile.
///
/// `who` is then the profile as it was read last. A token for a URL is of a login that is bound to it.
pub(super) fn obtain(
    directories: &Directories,
    profiles: &Profiles,
    ask: &TokenOptions,
    who: &mut SelectedProfile,
) -> Result<Obtained> {
    for _ in 0..ATTEMPTS {
        let request = request(who, ask);
        // Of the same login, read again after a wait or a request.
        let latest = Cell::new(None);
        let outcome = attempt(directories, profiles, ask, who, &request, &latest)?;
        let is_new = matches!(outcome, Outcome::Fresh { .. });
        let is_superseded = matches!(outcome, Outcome::LoginChanged);
        let now = if is_superseded {
            profiles
                .reload(who)?
                .ok_or_else(|| logged_out(who))
                .map(Some)?
        } else {
            latest.take()
        };
        if let Some(now) = now {
            who.update(now)?;
        }
        if let Some(token) = settle(outcome, &request, ask, directories) {
            return Ok(Obtained {
                token,
                scope: request.scope,
                is_new,
            });
        }
    }
    Err(Error::unavailable("the profile changes faster than a token can be had").hint("try again"))
}

fn attempt(
    directories: &Directories,
    profiles: &Profiles,
    ask: &TokenOptions,
    who: &SelectedProfile,
    request: &TokenRequest,
    latest: &Cell<Option<Profile>>,
) -> Result<Outcome> {
    let wish = ReusePolicy {
        min_ttl: ask.min_ttl,
        refresh: ask.refresh,
        wait_limit: wait_limit(&who.profile)?,
    };
    let notes = if ask.quiet {
        Notes::Hidden
    } else {
        Notes::Shown
    };
    let doors = TokenSource {
        now: &Timestamp::now,
        secret: &|| {
            if !who.name.is_of_environment() {
                profiles.check_directory()?;
            }
            let certificate_key = secrets::certificate_key(&who.profile)?;
            if let Some(secret) = &ask.secret {
                let secret = Credential::Secret(secret.clone());
                return TokenClient::of(&who.name, &who.profile, secret, certificate_key.as_ref());
            }
            let credential = || secrets::read(&who.name, &who.profile, WaitLimit::Program);
            TokenClient::prepare(
                &who.name,
                &who.profile,
                credential,
                certificate_key.as_ref(),
            )
        },
        request: &|means| oauth::ask(&who.profile, request, means, notes),
        is_current: &|| {
            let now = profiles.reload(who)?;
            let now = now.filter(|now| now.generation == who.profile.generation);
            let is_current = now.is_some();
            latest.set(now);
            Ok(is_current)
        },
    };
    let place = Cache::of(directories, &who.name).place(request);
    broker::obtain(&place, wish, &doors)
}

/// How long another caller may take to get a token of this profile.
fn wait_limit(profile: &Profile) -> Result<Duration> {
    let for_secret = if profile.secret.may_block() {
        WaitLimit::Program.limit()?
    } else {
        Duration::ZERO
    };
    Ok(profile.timeout() + for_secret + GRACE)
}

fn logged_out(who: &SelectedProfile) -> Error {
    let name = &who.name;
    Error::not_found(format!("the profile `{name}` was logged out meanwhile"))
        .hint(format!("run `hallpass login {name}`"))
}

/// What is asked for: another secret is another client, as far as its tokens go.
pub(super) fn request(who: &SelectedProfile, ask: &TokenOptions) -> TokenRequest {
    let version = match &ask.secret {
        Some(secret) => Some(secrets::version_of(secret.expose().as_bytes())),
        None => secrets::version(&who.profile),
    };
    TokenRequest::new(
        &who.name,
        &who.profile,
        ask.scope.as_deref(),
        ask.audience.as_deref(),
        version.as_deref(),
    )
}

/// The token that a decision came to, after telling what a person should know about it.
fn settle(
    outcome: Outcome,
    request: &TokenRequest,
    ask: &TokenOptions,
    directories: &Directories,
) -> Option<CachedToken> {
    match outcome {
        Outcome::LoginChanged => None,
        Outcome::Reused(token) => Some(token),
        Outcome::Stale { token, .. } | Outcome::Fresh { token, .. } if ask.quiet => Some(token),
        Outcome::Stale { token, refusal } => {
            message::warning(&format!(
                "the token could not be renewed ({}); the cached one serves until {}",
                refusal.message(),
                token.expires_at.rfc3339()
            ));
            Some(token)
        }
        Outcome::Fresh { token, not_cached } => {
            warn_of_response(request, &token);
            if let Some(error) = not_cached {
                if directories.is_nowhere() {
                    message::warning(
                        "the token was not cached: the home directory is unknown (HOME)",
                    );
                } else {
                    message::warning(&format!("{error}; the token was not saved"));
                }
            }
            let lifetime = token.expires_at.since(token.received_at);
            // Equal is not enough either: the next caller comes later.
            if !ask.min_ttl.is_zero() && lifetime <= ask.min_ttl {
                message::warning(&format!(
                    "the server's tokens last {} s, which is too short for --min-ttl: every call asks anew",
                    lifetime.as_secs()
                ));
            }
            Some(token)
        }
    }
}

/// Tells the user what the response of a server brought unexpectedly: less than the scope that was
/// asked for (RFC 6749 §5.1), or a clock that is off.
pub(super) fn warn_of_response(request: &TokenRequest, token: &CachedToken) {
    if let Some(warning) = &token.warning {
        message::warning(warning);
    }
    let words = |scope: &str| -> Vec<String> {
        scope
            .split([' ', ','])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (Some(asked), Some(granted)) = (&request.scope, &token.scope) else {
        return;
    };
    let words_granted = words(granted);
    if words(asked).iter().all(|word| words_granted.contains(word)) {
        return;
    }
    let shown = |scope: &str| format!("\"{}\"", message::clean(scope, FOREIGN_TEXT_LIMIT));
    let granted = if words_granted.is_empty() {
        "no scope".to_owned()
    } else {
        format!("scope {}", shown(granted))
    };
    message::warning(&format!(
        "the server granted {granted} instead of {}",
        shown(asked)
    ));
}
