//! The credential of a login, and the token request that shows that it works.

use zeroize::Zeroizing;

use super::dialogue;
use super::explain::MISSING_KEY;
use super::prepare::{Login, goes_elsewhere, load};
use super::{replace, sign};
use crate::commands::credentials;
use crate::commands::obtain::warn_of_response;
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::oauth::{self, OtherCredentials, TokenClient};
use crate::platform::prompt;
use crate::profile::external_key::KeyReference;
use crate::profile::headers::Headers;
use crate::profile::token_request::TokenRequest;
use crate::profile::{ClientAuth, Item, Profile, SecretSource};
use crate::secrets::{self, WaitLimit};
use crate::types::secret::Credential;
use crate::types::token::CachedToken;
use crate::types::token_failure::TokenFailure;

/// The credential, and the profile that it is for.
pub(super) struct Input {
    /// As the layers make it, before the key's algorithm and this machine's trust are added.
    merged: Profile,
    /// The version of the secret source, taken before reading, so that a later change invalidates the token.
    version: Option<String>,
    /// What goes into a store of hallpass: a secret, a private key, or a key's passphrase.
    pub(super) for_store: Option<Zeroizing<Vec<u8>>>,
    /// Whether that is the secret that the profile has already.
    keeps_secret: bool,
    /// The secret that an earlier rotation keeps. It stays if the other one does.
    previous: Option<Zeroizing<Vec<u8>>>,
    credential: Option<Credential>,
    secret_headers: Headers,
}

impl Input {
    /// What goes into stores of hallpass with this profile: the items and their contents.
    pub(super) fn stored(&self, profile: &Profile) -> Vec<(Item, Zeroizing<Vec<u8>>)> {
        let secret = profile.item().zip(self.for_store.clone());
        let previous = profile.previous_secret();
        let previous = previous.and_then(|previous| previous.secret.item());
        let previous = previous.zip(self.previous.clone());
        let mut stored: Vec<_> = secret.into_iter().chain(previous).collect();
        if let Some(headers) = &profile.secret_headers {
            let content = secrets::headers_content(&self.secret_headers);
            stored.push((headers.item.clone(), content));
        }
        stored
    }
}

/// What a login stores.
pub(super) struct Verified {
    pub(super) profile: Profile,
    pub(super) request: TokenRequest,
    /// None if no token was requested.
    pub(super) token: Option<CachedToken>,
    pub(super) input: Input,
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

    /// The profile whose secret is stored again, perhaps in another store. What authenticates the client
    /// in another way is not: a key is never sent as a secret. Nor does a secret go to another server.
    pub(super) fn moving(&self, merged: &Profile) -> Option<&Profile> {
        let renewed = self.renewed.as_ref().filter(|_| self.args.moves());
        renewed.filter(|before| {
            merged.item().is_some()
                && before.has_the_same_credential_kind(merged)
                && !goes_elsewhere(before, merged)
        })
    }

    /// The profile whose secret may stay as it is: nothing was changed that decides where the secret is sent,
    /// or how.
    fn keepable(&self, merged: &Profile) -> Result<Option<&Profile>> {
        let Some((before, item)) = self
            .renewed
            .as_ref()
            .and_then(|before| Some((before, before.item()?)))
        else {
            return Ok(None);
        };
        let same_login = Profile {
            generation: before.generation.clone(),
            rotation: before.rotation.clone(),
            trust: oauth::trust_in_effect(merged.ca_file.as_deref())?,
            ..merged.clone()
        };
        let stays = item.account == same_login.item_account(&self.name)
            && before.has_the_same_credential_kind(merged);
        Ok(Some(before).filter(|_| stays))
    }

    /// Whether the secret is another one than the profile had, as far as is known: then the date on which
    /// that one expires is not kept.
    fn replaces_secret(&self, input: &Input) -> bool {
        let before = self
            .renewed
            .as_ref()
            .and_then(|before| before.secret.as_ref());
        match &input.for_store {
            Some(_) => !input.keeps_secret,
            None => before != input.merged.secret.as_ref(),
        }
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

    /// Whether a person is asked for the secret.
    fn is_typed(&self, profile: &Profile) -> bool {
        let args = self.args;
        let is_piped = args.key_stdin || args.secret_stdin;
        profile.item().is_some() && !is_piped && self.moving(profile).is_none()
    }

    fn read_credential(&mut self, merged: Profile) -> Result<Input> {
        let version = secrets::version(&merged);
        let keepable = self.keepable(&merged)?.cloned();
        let mut kept = self.moving(&merged).cloned();
        let mut for_store = None;
        if kept.is_none() {
            for_store = self.input_for_store(&merged, keepable.is_some())?;
            let has_none = merged.item().is_some() && for_store.is_none();
            kept = keepable.filter(|_| has_none);
        }
        let mut previous = None;
        if let Some(before) = &kept {
            for_store = Some(secrets::content(&self.name, before, WaitLimit::Person)?);
            previous = self.previous_of(before)?;
        }
        let secret_headers = self.read_secret_headers()?;
        let needs_key = merged.client_auth == ClientAuth::PrivateKeyJwt;
        let credential = match &for_store {
            Some(content) => Some(secrets::credential(&merged, content, |what, fault| {
                Error::usage(format!("the {what} that was given {fault}"))
            })?),
            None if needs_key || merged.has_external_key() || !self.args.no_verify => {
                Some(secrets::read(&self.name, &merged, WaitLimit::Person)?)
            }
            None => None,
        };
        Ok(Input {
            merged,
            version,
            for_store,
            keeps_secret: kept.is_some(),
            previous,
            credential,
            secret_headers,
        })
    }

    /// What is to be put into a store of hallpass: a secret, a private key, or a key's passphrase. None if
    /// there is nothing to store, or an empty answer keeps what is there.
    fn input_for_store(
        &mut self,
        profile: &Profile,
        can_keep: bool,
    ) -> Result<Option<Zeroizing<Vec<u8>>>> {
        if profile.item().is_none() {
            return Ok(None);
        }
        if self.args.key_stdin {
            let key = prompt::read_key_from_stdin()?;
            return Ok(Some(Zeroizing::new(key.expose().to_vec())));
        }
        let has_key = profile.client_auth.has_key();
        if has_key && profile.encrypted_key.is_none() {
            let missing = Error::usage("the private key is missing");
            return Err(self.hint_at_edit(missing, can_keep).hint(MISSING_KEY));
        }
        let (what, question) = if has_key {
            ("passphrase", "Passphrase of the private key")
        } else {
            ("client secret", "Client secret")
        };
        let secret = if self.args.secret_stdin {
            prompt::read_secret_from_stdin()?
        } else if prompt::can_ask() && can_keep {
            let question = format!("{question} (empty keeps the saved one)");
            match prompt::ask_new_secret(&question, &mut self.attempts)? {
                Some(secret) => secret,
                None => return Ok(None),
            }
        } else if prompt::can_ask() {
            prompt::ask_secret(question, &mut self.attempts)?
        } else {
            let missing = Error::usage(format!(
                "the {what} is missing, and there is no terminal to ask at"
            ));
            return Err(self
                .hint_at_edit(missing, can_keep)
                .hint("pipe it in with --secret-stdin, or add --secret-file FILE or --secret-command COMMAND"));
        };
        Ok(Some(Zeroizing::new(secret.expose().as_bytes().to_vec())))
    }

    /// The secret that a rotation keeps, if it still exists.
    fn previous_of(&self, profile: &Profile) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(previous) = profile.with_previous_secret() else {
            return Ok(None);
        };
        match secrets::content(&self.name, &previous, WaitLimit::Person) {
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            content => content.map(Some),
        }
    }

    /// Whether a secret that this login keeps was replaced meanwhile.
    fn is_kept_secret_replaced(&self, input: &Input, current: &Profile) -> Result<bool> {
        let Some(seen) = self.existing.as_ref().filter(|_| input.keeps_secret) else {
            return Ok(false);
        };
        if seen.previous_secret().is_some() != current.previous_secret().is_some() {
            return Ok(true);
        }
        if seen.secret == current.secret {
            return Ok(false);
        }
        let now = secrets::content(&self.name, current, WaitLimit::Person)?;
        Ok(input.for_store.as_ref() != Some(&now))
    }

    fn hint_at_edit(&self, error: Error, can_keep: bool) -> Error {
        if !can_keep {
            return error;
        }
        error.hint(format!(
            "to change settings and keep the saved one: hallpass profile edit {} ...",
            self.name
        ))
    }

    /// Completes the profile, and requests a token with it unless the user does not want that: one
    /// real token request, before anything is stored.
    pub(super) fn verify(&self, input: Input) -> Result<Verified> {
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
        let token = match &input.credential {
            Some(credential) if !self.args.no_verify => {
                let credential = credential.clone();
                let identity = || credentials::identity(&profile, WaitLimit::Person);
                let others = OtherCredentials {
                    identity: identity()?,
                    certificate_key,
                    secret_headers: input.secret_headers.clone(),
                };
                let client = TokenClient::of(None, &profile, credential, others)?;
                let token = oauth::request_token(&profile, &request, &client, &identity);
                let token = token.map_err(TokenFailure::into_error)?;
                warn_of_response(&request, &token);
                Some(token)
            }
            _ => None,
        };
        Ok(Verified {
            profile,
            request,
            token,
            input,
        })
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
