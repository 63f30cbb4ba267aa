//! What is printed about a token that is not as expected.

use super::TokenOptions;
use crate::broker::Outcome;
use crate::message::{self, FOREIGN_TEXT_LIMIT};
use crate::platform::disk::Directories;
use crate::profile::token_request::TokenRequest;
use crate::types::duration;
use crate::types::token::{CachedToken, Timestamp};

/// The token of an outcome, after printing its warnings. None if the login changed.
pub(super) fn token_with_warnings(
    outcome: Outcome,
    request: &TokenRequest,
    options: &TokenOptions,
    directories: &Directories,
) -> Option<CachedToken> {
    match outcome {
        Outcome::LoginChanged => None,
        Outcome::Reused(token) => Some(token),
        Outcome::Stale { token, .. } | Outcome::Fresh { token, .. } if options.quiet => Some(token),
        Outcome::Stale { token, failure } => {
            message::warning(&format!(
                "cannot renew the token ({}); using the cached one, {}",
                failure.message(),
                token.validity(Timestamp::now())
            ));
            Some(token)
        }
        Outcome::Fresh { token, cache_error } => {
            warn_of_response(request, &token);
            if let Some(error) = cache_error {
                if directories.is_nowhere() {
                    message::warning(
                        "the home directory is unknown (HOME is not set); the token was not saved",
                    );
                } else {
                    message::warning(&format!("{error}; the token was not saved"));
                }
            }
            let lifetime = token.expires_at.since(token.requested_at);
            // A lifetime equal to it is too short as well, because the next call comes later.
            if !options.min_ttl.is_zero() && lifetime <= options.min_ttl {
                message::warning(&format!(
                    "this server's tokens last {}, not longer than --min-ttl, so every call requests a new token",
                    duration::in_words(lifetime)
                ));
            }
            Some(token)
        }
    }
}

/// Warns about what is unexpected in a response: less scope than requested (RFC 6749 §5.1), or a clock
/// that is wrong.
pub(in crate::commands) fn warn_of_response(request: &TokenRequest, token: &CachedToken) {
    if let Some(warning) = &token.warning {
        message::warning(warning);
    }
    if let Some(warning) = missing_scope(request, token) {
        message::warning(&warning);
    }
}

/// The message about a token with less scope than requested.
pub(in crate::commands) fn missing_scope(
    request: &TokenRequest,
    token: &CachedToken,
) -> Option<String> {
    let split = |scope: &str| -> Vec<String> {
        scope
            .split([' ', ','])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (requested, granted) = (request.scope.as_ref()?, token.scope.as_ref()?);
    let granted_words = split(granted);
    if split(requested)
        .iter()
        .all(|word| granted_words.contains(word))
    {
        return None;
    }
    let shown = |scope: &str| format!("\"{}\"", message::clean(scope, FOREIGN_TEXT_LIMIT));
    let granted = if granted_words.is_empty() {
        "no scope".to_owned()
    } else {
        format!("scope {}", shown(granted))
    };
    Some(format!(
        "the server granted {granted} instead of {}",
        shown(requested)
    ))
}
