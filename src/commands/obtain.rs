//! How a command gets a token: the real doors opened for the broker, and what a person should know
//! of how it came out.

use std::time::Duration;

use crate::broker::{self, Doors, Outcome, Wish};
use crate::cache::Cache;
use crate::disk::Directories;
use crate::error::{Error, Result};
use crate::message;
use crate::profile::{Profile, ProfileName};
use crate::profiles::Profiles;
use crate::secrets::{self, Patience};
use crate::token::{CachedToken, Timestamp, TokenRequest};
use crate::token_endpoint;

/// How often to begin anew when somebody logs in while we ask.
const ATTEMPTS: usize = 3;

/// How much longer than the holder of a turn may take do we wait for it.
const GRACE: Duration = Duration::from_secs(5);

/// What a caller wants, where it is not what the profile says.
#[derive(Debug, Default)]
pub(super) struct Ask {
    pub(super) scope: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) min_ttl: Duration,
    /// A new token, whatever is cached.
    pub(super) refresh: bool,
}

/// A token, and whose it is.
pub(super) struct Obtained {
    pub(super) token: CachedToken,
    /// What was asked for: a server that granted it need not say so (RFC 6749 §5.1).
    pub(super) scope: Option<String>,
}

/// Gets a token for the profile that `choose` settles on: called again when somebody logs in meanwhile.
pub(super) fn obtain(
    directories: &Directories,
    profiles: &Profiles,
    ask: &Ask,
    mut choose: impl FnMut() -> Result<(ProfileName, Profile)>,
) -> Result<Obtained> {
    for _ in 0..ATTEMPTS {
        let (name, profile) = choose()?;
        let secret_version = secrets::version(&profile);
        let request = TokenRequest::new(
            &name,
            &profile,
            ask.scope.as_deref(),
            ask.audience.as_deref(),
            secret_version.as_deref(),
        );
        let wish = Wish {
            min_ttl: ask.min_ttl,
            refresh: ask.refresh,
            patience: profile.timeout() + Patience::Program.limit() + GRACE,
        };
        let doors = Doors {
            now: &Timestamp::now,
            secret: &|| secrets::read(&name, &profile, Patience::Program),
            request: &|secret| token_endpoint::ask(&profile, &request, secret),
            is_current: &|| {
                profiles
                    .load(&name)
                    .is_ok_and(|now| now.generation == profile.generation)
            },
        };
        let place = Cache::of(directories, &name).place(&request);
        let outcome = broker::obtain(&place, wish, &doors)?;
        if let Some(token) = settle(outcome, &request, ask.min_ttl) {
            return Ok(Obtained {
                token,
                scope: request.scope,
            });
        }
    }
    Err(Error::unavailable("the profile changes faster than a token can be had").hint("try again"))
}

/// The token that a decision came to, after telling what a person should know about it.
fn settle(outcome: Outcome, request: &TokenRequest, min_ttl: Duration) -> Option<CachedToken> {
    match outcome {
        Outcome::Superseded => None,
        Outcome::Reused(token) => Some(token),
        Outcome::Kept { token, refusal } => {
            message::warning(&format!(
                "the token could not be renewed ({}); the cached one serves until {}",
                refusal.message(),
                token.expires_at.rfc3339()
            ));
            Some(token)
        }
        Outcome::Fresh { token, not_cached } => {
            warn_of_narrower_scope(request, &token);
            if let Some(error) = not_cached {
                message::warning(&format!("the token could not be cached: {error}"));
            }
            let lifetime = token.expires_at.since(token.received_at);
            // Equal is not enough either: the next caller comes later.
            if !min_ttl.is_zero() && lifetime <= min_ttl {
                message::warning(&format!(
                    "the server's tokens last {} s, which is too short for --min-ttl: every call asks anew",
                    lifetime.as_secs()
                ));
            }
            Some(token)
        }
    }
}

/// Tells a person when the server granted less than was asked for (RFC 6749 §5.1).
pub(super) fn warn_of_narrower_scope(request: &TokenRequest, token: &CachedToken) {
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
    let granted = words(granted);
    let missing: Vec<_> = words(asked)
        .into_iter()
        .filter(|word| !granted.contains(word))
        .collect();
    if !missing.is_empty() {
        message::warning(&format!(
            "the server did not grant the scope {}",
            missing.join(" ")
        ));
    }
}
