//! Decides how to get a token: reuse a cached one, wait for another caller's request, or request one.
//!
//! Callers share tokens, and failures that the server reported. A failure of this process is not
//! shared: the next caller sends its own request.

use std::time::Duration;

use crate::cache::{CacheEntry, EntryLock, LockOutcome, Snapshot};
use crate::error::{Error, Result};
use crate::message::step;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::token_failure::TokenFailure;

/// When a cached token may be reused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReusePolicy {
    /// How long the token must still be valid.
    pub(crate) min_ttl: Duration,
    /// Request a new token, even if a cached one is valid.
    pub(crate) force_refresh: bool,
}

/// Where new tokens come from. Only a miss uses anything but the clock.
pub(crate) trait TokenSource {
    /// The client credentials and the connection, ready for a request.
    type Client;

    fn now(&self) -> Timestamp;

    /// How long another caller may take to request a token, before we stop waiting for it.
    ///
    /// # Errors
    /// `Usage` if the setting of the limit is not a duration.
    fn wait_limit(&self) -> Result<Duration>;

    /// Reads the client secret and prepares the request.
    fn client(&self) -> Result<Self::Client>;

    /// Requests a token from the token endpoint.
    fn request(&self, client: &Self::Client) -> std::result::Result<CachedToken, TokenFailure>;

    /// Whether the profile still has the login that this token is for.
    ///
    /// # Errors
    /// The profile cannot be read. That does not mean that it changed.
    fn is_current(&self) -> Result<bool>;
}

/// What became of the call.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A token from the cache, possibly stored by another caller while we waited.
    Reused(CachedToken),
    /// A new token, and the error if it could not be cached.
    Fresh {
        token: CachedToken,
        cache_error: Option<Error>,
    },
    /// The cached token still works, but could not be renewed when it should have been.
    Stale {
        token: CachedToken,
        failure: TokenFailure,
    },
    /// The profile was logged in again, or logged out, while we waited or requested.
    LoginChanged,
}

/// Gets the token of one cache entry.
pub(crate) struct Broker<'a, S> {
    pub(crate) entry: &'a CacheEntry,
    pub(crate) policy: ReusePolicy,
    pub(crate) source: &'a S,
}

impl<S: TokenSource> Broker<'_, S> {
    /// Gets a token.
    ///
    /// A hit reads one file: no lock, no secret, no request, no write. On a miss, one caller requests
    /// a token, and all who wait share it, or the server's failure. When a token is due for early
    /// refresh, one caller renews it and the others use it without waiting.
    ///
    /// # Errors
    /// There is no token: the secret cannot be read, the request failed, or the profile cannot be read
    /// again.
    pub(crate) fn obtain(&self) -> Result<Outcome> {
        let now = self.source.now();
        let cached = match self.entry.token() {
            Some(token)
                if !self.policy.force_refresh && token.is_valid_for(now, self.policy.min_ttl) =>
            {
                step(|| format!("cache: has a token that is {}", token.validity(now)));
                return if token.is_in_early_refresh(now) {
                    self.renew_early(token)
                } else {
                    Ok(Outcome::Reused(token))
                };
            }
            cached => cached,
        };
        step(|| self.why_request(cached.as_ref(), now));
        let snapshot = self.entry.snapshot(cached);
        if let Some(failure) = snapshot.failure(self.source.now(), self.policy.force_refresh) {
            step(|| "cache: the server refused this request a short time ago".to_owned());
            return self.fall_back(snapshot, failure);
        }
        let lock = self.entry.lock(&snapshot, self.source.wait_limit()?);
        self.proceed(lock, snapshot)
    }

    /// Why the cached token does not serve.
    fn why_request(&self, cached: Option<&CachedToken>, now: Timestamp) -> String {
        let Some(token) = cached else {
            return "cache: has no token".to_owned();
        };
        let fault = if self.policy.force_refresh {
            "a new one is required"
        } else if token.is_unexpired(now) {
            "too short a time"
        } else {
            "not usable by this machine's clock"
        };
        format!(
            "cache: has a token that is {}: {fault}",
            token.validity(now)
        )
    }

    /// Renews a token early, unless another caller is doing so, or a request has just failed. A
    /// failure is not reported, because the cached token is still good.
    fn renew_early(&self, token: CachedToken) -> Result<Outcome> {
        let snapshot = self.entry.snapshot(Some(token.clone()));
        step(|| "cache: the token is due for renewal".to_owned());
        if snapshot.failure(self.source.now(), false).is_some() {
            return Ok(Outcome::Reused(token));
        }
        let Some(lock) = self.entry.try_lock(&snapshot) else {
            return Ok(Outcome::Reused(token));
        };
        match self.proceed(lock, snapshot) {
            Ok(Outcome::Stale { token, .. }) => Ok(Outcome::Reused(token)),
            outcome => outcome,
        }
    }

    /// Requests a token if we hold the lock, else uses what another caller stored.
    fn proceed(&self, lock: LockOutcome<'_>, snapshot: Snapshot) -> Result<Outcome> {
        // After a login or logout while we waited, what other callers stored no longer counts.
        match self.source.is_current() {
            Ok(true) => {}
            Ok(false) => {
                self.entry.remove();
                return Ok(Outcome::LoginChanged);
            }
            Err(error) => return self.fall_back_on_error(snapshot, &error),
        }
        match lock {
            LockOutcome::Token(token) if token.is_unexpired(self.source.now()) => {
                step(|| "cache: another process saved a token".to_owned());
                Ok(Outcome::Reused(token))
            }
            LockOutcome::Token(_) => Err(expired()),
            LockOutcome::Failed(failure) => {
                step(|| "cache: the server refused the request of another process".to_owned());
                self.fall_back(snapshot, failure)
            }
            LockOutcome::Acquired(lock) => self.request(lock, snapshot),
        }
    }

    fn request(&self, lock: EntryLock<'_>, snapshot: Snapshot) -> Result<Outcome> {
        let response = self
            .source
            .client()
            .map_err(|error| TokenFailure::local(&error, self.source.now()))
            .and_then(|client| self.source.request(&client));
        // Store first, then check the login: a login or logout changes the profile first and clears
        // the cache afterwards, so one of the two removes a token that came too late.
        let outcome = match response {
            Ok(token) => self.store(lock, token),
            Err(failure) => {
                share(lock, &failure);
                Err(failure)
            }
        };
        match self.source.is_current() {
            Ok(true) => outcome.or_else(|failure| self.fall_back(snapshot, failure)),
            Ok(false) => {
                self.entry.remove();
                Ok(Outcome::LoginChanged)
            }
            // What was stored stays for callers who can read the profile. If the request failed, that
            // is the error to report.
            Err(unreadable) => match outcome {
                Ok(_) => self.fall_back_on_error(snapshot, &unreadable),
                Err(failure) => self.fall_back(snapshot, failure),
            },
        }
    }

    /// Caches a new token, unless the cache has a newer one: this process may have been suspended for
    /// hours, while another caller took over.
    fn store(
        &self,
        lock: EntryLock<'_>,
        token: CachedToken,
    ) -> std::result::Result<Outcome, TokenFailure> {
        let now = self.source.now();
        let is_newer = |cached: &CachedToken| {
            cached.is_unexpired(now) && cached.requested_at > token.requested_at
        };
        let newer = self.entry.token().filter(is_newer);
        if token.lasts() && !token.is_unexpired(now) {
            let expired = || TokenFailure::local(&expired(), now);
            return newer.map(Outcome::Reused).ok_or_else(expired);
        }
        let cache_error = match newer {
            Some(_) => None,
            None => lock.store(&token).err(),
        };
        Ok(Outcome::Fresh { token, cache_error })
    }

    /// Falls back on the cached token because of an error of this process.
    fn fall_back_on_error(&self, snapshot: Snapshot, error: &Error) -> Result<Outcome> {
        self.fall_back(snapshot, TokenFailure::local(error, self.source.now()))
    }

    /// Falls back on the cached token, if it still works and the caller did not require a new one.
    fn fall_back(&self, snapshot: Snapshot, failure: TokenFailure) -> Result<Outcome> {
        match snapshot.token {
            Some(token) if !self.policy.force_refresh && token.is_unexpired(self.source.now()) => {
                Ok(Outcome::Stale { token, failure })
            }
            _ => Err(failure.into_error()),
        }
    }
}

fn expired() -> Error {
    Error::unavailable("the token had expired before it could be used")
}

/// Stores a failure that the server reported, for the callers who wait. After any other failure the
/// next caller sends its own request.
fn share(lock: EntryLock<'_>, failure: &TokenFailure) {
    if failure.is_from_server() {
        // If this cannot be written, the others send their own requests.
        let _ = lock.store_failure(failure.clone());
    }
}

#[cfg(test)]
mod tests;
