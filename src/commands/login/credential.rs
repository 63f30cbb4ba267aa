//! The credential of a login: typed or given now, or the one that the profile has.

use zeroize::Zeroizing;

use super::explain::MISSING_KEY;
use super::prepare::Login;
use super::replace::goes_elsewhere;
use crate::error::{Error, Kind, Result};
use crate::oauth::{self};
use crate::platform::prompt;
use crate::profile::headers::Headers;
use crate::profile::{ClientAuth, Item, Profile};
use crate::secrets::{self, WaitLimit};
use crate::types::secret::{ClientSecret, Credential};

/// The credential, and the profile that it is for.
pub(super) struct Input {
    /// As the layers make it, before the key's algorithm and this machine's trust are added.
    pub(super) merged: Profile,
    /// The version of the secret source, taken before reading, so that a later change invalidates the token.
    pub(super) version: Option<String>,
    /// What goes into a store of hallpass: a secret, a private key, or a key's passphrase.
    pub(super) for_store: Option<Zeroizing<Vec<u8>>>,
    /// Whether that is the secret that the profile has already.
    pub(super) keeps_secret: bool,
    /// The secret that an earlier rotation keeps. It stays if the other one does.
    pub(super) previous: Option<Zeroizing<Vec<u8>>>,
    pub(super) credential: Option<Credential>,
    pub(super) secret_headers: Headers,
}

impl Input {
    pub(super) fn previous_secret(&self) -> Option<ClientSecret> {
        ClientSecret::parse(self.previous.as_ref()?).ok()
    }

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

impl Login<'_> {
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
    pub(super) fn keepable(&self, merged: &Profile) -> Result<Option<&Profile>> {
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
    pub(super) fn replaces_secret(&self, input: &Input) -> bool {
        let before = self
            .renewed
            .as_ref()
            .and_then(|before| before.secret.as_ref());
        match &input.for_store {
            Some(_) => !input.keeps_secret,
            None => before != input.merged.secret.as_ref(),
        }
    }

    /// Whether a person is asked for the secret.
    pub(super) fn is_typed(&self, profile: &Profile) -> bool {
        let args = self.args;
        let is_piped = args.key_stdin || args.secret_stdin;
        profile.item().is_some() && !is_piped && self.moving(profile).is_none()
    }

    pub(super) fn read_credential(&mut self, merged: Profile) -> Result<Input> {
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
    pub(super) fn input_for_store(
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
    pub(super) fn previous_of(&self, profile: &Profile) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(previous) = profile.with_previous_secret() else {
            return Ok(None);
        };
        match secrets::content(&self.name, &previous, WaitLimit::Person) {
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            content => content.map(Some),
        }
    }

    /// Whether a secret that this login keeps was replaced meanwhile.
    pub(super) fn is_kept_secret_replaced(&self, input: &Input, current: &Profile) -> Result<bool> {
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

    pub(super) fn hint_at_edit(&self, error: Error, can_keep: bool) -> Error {
        if !can_keep {
            return error;
        }
        error.hint(format!(
            "to change settings and keep the saved one: hallpass profile edit {} ...",
            self.name
        ))
    }
}
