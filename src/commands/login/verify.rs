//! The token request of a login, which shows that the credential works.

use super::credential::Input;
use super::dialogue;
use super::prepare::{Login, load};
use super::{replace, sign};
use crate::commands::credentials;
use crate::commands::obtain::warn_of_response;
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::oauth::{self, OtherCredentials, TokenClient};
use crate::profile::external_key::KeyReference;
use crate::profile::token_request::TokenRequest;
use crate::profile::{Item, Profile, SecretSource};
use crate::secrets::{self, WaitLimit};
use crate::types::dpop::Nonce;
use crate::types::secret::Credential;
use crate::types::token::CachedToken;
use crate::types::token_failure::TokenFailure;

/// What a login stores.
pub(super) struct Verified {
    pub(super) profile: Profile,
    pub(super) request: TokenRequest,
    /// None if no token was requested.
    pub(super) token: Option<CachedToken>,
    pub(super) input: Input,
    /// The server's nonce for the next proof of possession.
    pub(super) nonce: Option<Nonce>,
}

/// What a token request of a login brought.
enum Attempt {
    Verified(Box<Verified>),
    Refused(Box<TokenFailure>, Box<Input>),
}

impl Login<'_> {
    /// Asks before another client is replaced, and refuses URLs that other profiles have. Nothing was
    /// sent yet.
    pub(super) fn check_existing(&mut self) -> Result<()> {
        let profile = self.merge()?;
        if let Some(existing) = &self.existing {
            let replace = self.args.replace || self.args.is_edit;
            replace::confirm(&self.name, existing, &profile, replace)?;
        }
        self.check_bindings(&profile)
    }

    fn check_bindings(&self, profile: &Profile) -> Result<()> {
        let existing = self.existing.as_ref();
        let known = existing.map_or(&[][..], |existing| &existing.bindings);
        let profiles = self.profiles;
        profiles.check_bindings(&self.name, known, &profile.bindings)
    }

    /// Reads the credential and requests a token. A person who typed something wrong may correct it.
    pub(super) fn verify_credential(&mut self) -> Result<Verified> {
        loop {
            let merged = self.merge()?;
            let is_typed = self.is_typed(&merged);
            let input = self.read_credential(merged)?;
            let mut error = match self.verify(input) {
                Ok(verified) => return Ok(verified),
                Err(error) => error,
            };
            let is_wrong = matches!(error.kind, Kind::Refused | Kind::Locked);
            if !is_typed || !is_wrong || !self.attempts.are_left() {
                return Err(error);
            }
            // What to do about it is to answer the questions that follow.
            error.hints.clear();
            message::error(&error);
            dialogue::ask_client_id_again(&mut self.layers)?;
        }
    }

    /// Completes the profile, and requests a token with it unless the user does not want that: one
    /// real token request, before anything is stored. If the server requires proofs of possession, or does
    /// not bind tokens, another one follows.
    pub(super) fn verify(&mut self, input: Input) -> Result<Verified> {
        let (failure, input) = match self.attempt(input)? {
            Attempt::Verified(verified) => return Ok(*verified),
            Attempt::Refused(failure, input) => (failure, input),
        };
        let before = self.layers.clone();
        let Some(change) = self.follow_server(&failure) else {
            return Err(self.with_hint_at_proofs(*failure, &input.merged));
        };
        let again = self.merge();
        let again = again.and_then(|merged| self.attempt(Input { merged, ..*input }));
        let error = match again {
            Ok(Attempt::Verified(verified)) => {
                message::note(change);
                return Ok(*verified);
            }
            Ok(Attempt::Refused(failure, _)) => failure.into_error(),
            Err(error) => error,
        };
        self.layers = before;
        Err(error)
    }

    fn attempt(&self, input: Input) -> Result<Attempt> {
        let mut profile = input.merged.clone();
        if self.replaces_secret(&input) && self.layers.given.secret_expires.is_unset() {
            profile.secret_expires = None;
        }
        if let Some(credential) = &input.credential {
            if let (Credential::External(key), Some(secret)) = (credential, &mut profile.secret) {
                secret.record(oauth::public_key_of(&**key)?);
            }
            sign::choose_algorithm(&mut profile, credential, &self.layers, &self.algorithms)?;
        }
        // Also without a request: one that cannot be read is better known now.
        let certificate_key = secrets::certificate_key(&self.name, &profile, WaitLimit::Person)?;
        if let (Some(KeyReference::Agent(settings)), Some(Credential::External(key))) =
            (&mut profile.certificate_key, &certificate_key)
        {
            settings.public_key = Some(oauth::public_key_of(&**key)?);
        }
        let proof_key = self.record_proof_key(&mut profile)?;
        oauth::check_tls_key(
            &profile,
            input.credential.as_ref(),
            certificate_key.as_ref(),
        )?;
        profile.trust = oauth::trust_in_effect(profile.ca_file.as_deref())?;
        if let Some(before) = self.renewed.as_ref().filter(|_| input.previous.is_some()) {
            // Its item depends on where secrets are sent, too.
            profile = profile.with_kept_secret_of(before).named(&self.name);
        }
        if let (Some(_), Some(item)) = (&input.for_store, profile.item()) {
            profile.secret = Some(SecretSource::kept(Item {
                account: profile.item_account(&self.name),
                ..item
            }));
        }
        self.record_secret_headers(&mut profile, &input.secret_headers);
        let version = if profile.has_external_key() {
            // Of the key that was recorded meanwhile, not of its name.
            secrets::version(&profile)
        } else {
            input.version.clone()
        };
        let request = TokenRequest::new(&self.name, &profile, None, None, version.as_deref());
        let mut nonce = None;
        let token = match &input.credential {
            Some(credential) if !self.args.no_verify => {
                let credential = credential.clone();
                let identity = || credentials::identity(&profile, WaitLimit::Person);
                let others = OtherCredentials {
                    identity: identity()?,
                    certificate_key,
                    proof_key,
                    nonce: None,
                    secret_headers: input.secret_headers.clone(),
                    other_secrets: input.previous_secret().into_iter().collect(),
                };
                let client = TokenClient::of(None, &profile, credential, others)?;
                let token = match oauth::request_token(&profile, &request, &client, &identity) {
                    Ok(token) => token,
                    Err(failure) => {
                        return Ok(Attempt::Refused(Box::new(failure), Box::new(input)));
                    }
                };
                nonce = client.nonce();
                warn_of_response(&request, &token);
                Some(token)
            }
            _ => None,
        };
        Ok(Attempt::Verified(Box::new(Verified {
            profile,
            request,
            token,
            input,
            nonce,
        })))
    }

    /// Merges the layers once more with the profile as it is now, when nobody else can change it.
    /// Returns whether what was verified still holds.
    ///
    /// # Errors
    /// `Usage` when another client was logged in meanwhile, or its secret has moved meanwhile.
    pub(super) fn merge_again(&mut self, verified: &mut Verified) -> Result<bool> {
        let current = load(self.profiles, &self.name, self.args.replace)?;
        let seen = self.existing.clone();
        let (seen, current) = (seen.as_ref(), current.as_ref());
        let replace = self.args.replace;
        replace::check_current(&self.name, seen, current, &verified.profile, replace)?;
        let is_other = |current: &&Profile| !replace::is_same_client(current, &verified.profile);
        self.replaced = current.filter(is_other).cloned();
        // A login that changes the client of a profile keeps what else the profile has.
        let is_renewed = |current: &&Profile| {
            let renewed = self.renewed.as_ref();
            renewed.is_some_and(|renewed| replace::is_same_client(current, renewed))
        };
        let Some(current) = current.filter(|it| !is_other(it) || is_renewed(it)) else {
            return Ok(true);
        };
        self.keep(current);
        let mut merged = self.merge()?;
        replace::add_new_bindings(&mut merged.bindings, seen, current);
        let (before, now) = (&verified.input.merged, &merged);
        if self.is_kept_secret_replaced(&verified.input, current)? {
            let fault = format!("the secret of profile {} was replaced meanwhile", self.name);
            return Err(Error::usage(fault).hint("nothing was changed; run this login again"));
        }
        let is_moved = match (before.item(), now.item()) {
            (Some(before), Some(now)) => before.store != now.store,
            _ => before.secret != now.secret,
        };
        if is_moved {
            let fault = format!("another login moved the secret of profile {}", self.name);
            return Err(Error::usage(fault).hint("nothing was changed; run this login again"));
        }
        if self.has_other_headers(current) {
            let fault = format!(
                "another login changed the secret headers of profile {}",
                self.name
            );
            return Err(Error::usage(fault).hint("nothing was changed; run this login again"));
        }
        // Keep the source that was verified, not the account of a concurrent login.
        merged.secret.clone_from(&verified.input.merged.secret);
        let bindings = merged.bindings.clone();
        let holds = request_settings(&merged) == request_settings(&verified.input.merged);
        verified.profile.bindings = bindings;
        verified.profile.derived.clone_from(&merged.derived);
        verified.profile.removed.clone_from(&merged.removed);
        verified.input.merged = merged;
        Ok(holds)
    }
}

/// What a token request, or what is stored, depends on.
fn request_settings(profile: &Profile) -> Profile {
    Profile {
        bindings: Vec::new(),
        derived: Vec::new(),
        removed: Vec::new(),
        ..profile.clone()
    }
}
