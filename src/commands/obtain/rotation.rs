//! Which secret a token request uses, if the secret was rotated.
//!
//! While both are kept, the new one comes first, and the previous one only if the server refuses that.
//! What the server accepts is recorded, so that other callers do not try a refused secret again.

use std::cell::{Cell, RefCell};

use super::ProfileSource;
use crate::broker::TokenSource as _;
use crate::cache::Accepted;
use crate::error::Result;
use crate::message;
use crate::oauth::TokenClient;
use crate::platform::disk::LockFile;
use crate::profile::Profile;
use crate::types::token::CachedToken;
use crate::types::token_failure::TokenFailure;

/// What one call does about two secrets.
#[derive(Default)]
pub(super) struct RotationState {
    uses_previous: Cell<bool>,
    /// Held from the choice of the secret to the response, while nobody knows whether the server accepts
    /// the new one.
    lock: RefCell<Option<LockFile>>,
    /// Whether the new secret was refused and the previous one brought the token.
    previous_helped: Cell<bool>,
    /// Neither use nor change what is recorded.
    without_record: bool,
}

impl RotationState {
    pub(super) fn without_record() -> Self {
        Self {
            without_record: true,
            ..Self::default()
        }
    }

    pub(super) fn is_token_of_previous(&self) -> bool {
        self.previous_helped.get()
    }
}

impl ProfileSource<'_> {
    /// The client, with the secret that the server accepts as far as is known.
    pub(super) fn client_with_accepted_secret(&self) -> Result<TokenClient> {
        let profile = &self.selected.profile;
        let previous = profile.with_previous_secret();
        if let Some(previous) = previous.filter(|_| !self.rotation.without_record) {
            let limit = self.wait_limit()?;
            let cache = self.cache();
            let known = || cache.accepted_secret(profile.secret_generation());
            if known().is_none() {
                let lock = cache.lock_rotation(limit);
                // Another caller may have found out meanwhile.
                if known().is_none() {
                    *self.rotation.lock.borrow_mut() = lock;
                }
            }
            if known() == Some(Accepted::Previous)
                && let Ok(client) = self.client_of(&previous)
            {
                self.rotation.uses_previous.set(true);
                return Ok(client);
            }
        }
        self.client_of(profile).or_else(|error| {
            // The secret may have been replaced since the profile was read.
            match self.rotated_meanwhile() {
                Some(latest) => self.client_of(&latest),
                None => Err(error),
            }
        })
    }

    /// Requests a token once more after the server refused the credential, if there is another one.
    ///
    /// # Errors
    /// The failure of the first request, if the second one is refused as well.
    pub(super) fn request_with_other_secret(
        &self,
        failure: TokenFailure,
    ) -> std::result::Result<CachedToken, TokenFailure> {
        if let Some(latest) = self.rotated_meanwhile() {
            return self
                .try_other(&latest, failure)
                .map_err(|(failure, _)| failure);
        }
        let profile = &self.selected.profile;
        let Some(previous) = profile.with_previous_secret() else {
            return Err(failure);
        };
        if self.rotation.uses_previous.get() {
            self.record(Accepted::NotPrevious);
            return self
                .try_other(profile, failure)
                .map_err(|(failure, _)| failure);
        }
        let known = self.cache().accepted_secret(profile.secret_generation());
        if known == Some(Accepted::NotPrevious) && !self.rotation.without_record {
            return Err(failure);
        }
        match self.try_other(&previous, failure) {
            Ok(token) => {
                self.record(Accepted::Previous);
                self.rotation.previous_helped.set(true);
                if !self.options.quiet && message::reaches_a_person() {
                    let name = &self.selected.name;
                    message::warning(&format!(
                        "the server does not accept the new secret of profile {name} yet; the previous one was used"
                    ));
                }
                Ok(token)
            }
            Err((failure, is_refused)) => {
                if is_refused {
                    self.record(Accepted::NotPrevious);
                }
                Err(failure)
            }
        }
    }

    /// Records that the server accepted the secret, if nobody knew.
    pub(super) fn record_accepted(
        &self,
        response: &std::result::Result<CachedToken, TokenFailure>,
    ) {
        if response.is_ok() && self.rotation.lock.borrow().is_some() {
            self.record(Accepted::Current);
        }
    }

    /// A request with the secret of this profile. An error is the failure to report, and whether this
    /// secret was refused, too.
    fn try_other(
        &self,
        profile: &Profile,
        failure: TokenFailure,
    ) -> std::result::Result<CachedToken, (TokenFailure, bool)> {
        let Ok(client) = self.client_of(profile) else {
            return Err((failure, false));
        };
        self.request_with(&client).map_err(|second| {
            if second.refuses_client() {
                (failure, true)
            } else {
                (second, false)
            }
        })
    }

    /// The profile as it is now, if its secret was replaced since it was read, and nothing else.
    fn rotated_meanwhile(&self) -> Option<Profile> {
        let before = &self.selected.profile;
        let latest = self.profiles.reload(self.selected).ok()??;
        let with_old_secret = Profile {
            secret: before.secret.clone(),
            secret_expires: before.secret_expires,
            rotation: before.rotation.clone(),
            bindings: before.bindings.clone(),
            ..latest.clone()
        };
        let is_rotated = latest.secret_generation() != before.secret_generation();
        (is_rotated && with_old_secret == *before).then_some(latest)
    }

    fn record(&self, known: Accepted) {
        if self.rotation.without_record {
            return;
        }
        let generation = self.selected.profile.secret_generation();
        self.cache().record_accepted(generation, known);
    }
}
