//! `hallpass login`: proves a client, then keeps its settings, its secret and the token it just got.
//!
//! A transaction over two stores. The keychain item of a new generation is written first, under an
//! account of its own; renaming the profile makes it the one that counts; the old item goes last.
//! A crash anywhere leaves the old login or the new one, never one client with the other's secret.

mod options;
mod plan;
mod providers;

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use super::obtain::warn_of_response;
use crate::cache::Cache;
use crate::disk::Directories;
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::profile::{Item, Profile, ProfileName, SecretSource};
use crate::profiles::{Editor, Profiles, name_given};
use crate::prompt;
use crate::refusal::Refusal;
use crate::secret::Credential;
use crate::secrets::{self, Patience, keychain};
use crate::token::{CachedToken, TokenRequest};
use crate::token_endpoint::{self, Means, Notes};

pub(crate) use options::Args;

/// A login without a name goes here: never to the only other profile there is, which it would replace.
const DEFAULT_NAME: &str = "default";

pub(crate) fn run(args: Args) -> Result<String> {
    if args.client_secret.is_some() {
        return Err(Error::usage("a secret is not taken as an argument: every process on this machine can read it")
            .hint("leave it out to be asked for it, or pipe it in: some-command | hallpass login --secret-stdin"));
    }
    if args.provider.as_deref() == Some("help") {
        return Ok(providers::list());
    }
    let directories = Directories::locate()?;
    let profiles = Profiles::of(&directories);
    let name = match name_given(args.profile.as_deref())? {
        Some(name) => name,
        None => ProfileName::parse(DEFAULT_NAME)?,
    };
    let before = match profiles.load(&name) {
        Ok(profile) => Some(profile),
        Err(error) if error.kind == Kind::NotFound || !args.keeps_settings() => None,
        Err(error) => return Err(error),
    };
    let verify = !args.no_verify;
    let input = Input {
        key_stdin: args.key_stdin,
        secret_stdin: args.secret_stdin,
    };
    let moving = args.moves().then(|| before.clone()).flatten();
    let mut plan = args.profile(before)?;
    // What proves the client in another way is not moved: a key is never sent as a secret.
    let moving = moving.filter(|before| before.proves_alike(&plan.profile));
    // Before the secret is read: what changes meanwhile is another version.
    let version = secrets::version(&plan.profile);
    let for_store = match &moving {
        Some(before) => Some(secrets::content(&name, before, Patience::Person)?),
        None => input.for_store(&plan.profile)?,
    };
    let credential = match &for_store {
        Some(content) => Some(secrets::credential(
            &plan.profile,
            content,
            |what, fault| Error::usage(format!("the {what} that was given {fault}")),
        )?),
        None if verify || plan.needs_key() => {
            Some(secrets::read(&name, &plan.profile, Patience::Person)?)
        }
        None => None,
    };
    if let Some(credential) = &credential {
        plan.sign_with(credential)?;
    }
    let mut profile = plan.profile;
    profile.trust = token_endpoint::trust_in_effect(profile.ca_file.as_deref())?;
    if let (Some(_), Some(item)) = (&for_store, profile.secret.item()) {
        profile.secret = SecretSource::kept(Item {
            account: profile.item_account(&name),
            ..item
        });
    }
    let request = TokenRequest::new(&name, &profile, None, None, version.as_deref());
    // One real token request, before anything is stored.
    let token = match &credential {
        Some(credential) if verify => Some(prove(&profile, &request, credential)?),
        _ => None,
    };
    let editor = profiles.edit()?;
    let stale = commit(&editor, &name, &profile, for_store.as_ref())?;
    // From here on the login counts, and what goes wrong is worth a warning.
    let cache = Cache::of(&directories, &name);
    let kept = cache.clear().and_then(|()| {
        token
            .as_ref()
            .map_or(Ok(()), |token| cache.place(&request).keep(token))
    });
    if let Err(error) = kept {
        message::warning(&format!("the cache could not be renewed: {error}"));
    }
    if let Err(error) = remove_stale(&editor, &name, &profile, &stale) {
        message::warning(&format!(
            "the previous secret was not removed: {error}; the next login or logout removes it"
        ));
    }
    report(&name, &profile, token.as_ref());
    if let Some(SecretSource::File(path)) = moving.map(|before| before.secret) {
        message::note(&format!(
            "the secret is still in {}, too: remove it there if nobody else needs it",
            path.display()
        ));
    }
    Ok(String::new())
}

/// What comes by standard input.
struct Input {
    key_stdin: bool,
    secret_stdin: bool,
}

impl Input {
    /// What is to be put into a store of ours: a secret, a private key, or a key's passphrase.
    fn for_store(&self, profile: &Profile) -> Result<Option<Zeroizing<Vec<u8>>>> {
        if profile.secret.item().is_none() {
            return Ok(None);
        }
        if self.key_stdin {
            let key = prompt::read_key_from_stdin()?;
            return Ok(Some(Zeroizing::new(key.expose().to_vec())));
        }
        let has_key = profile.client_auth.has_key();
        if has_key && profile.encrypted_key.is_none() {
            return Err(Error::usage("the private key is missing").hint(plan::MISSING_KEY));
        }
        let (what, question) = if has_key {
            ("passphrase", "Passphrase of the private key")
        } else {
            ("client secret", "Client secret")
        };
        let secret = if self.secret_stdin {
            prompt::read_secret_from_stdin()?
        } else if prompt::can_ask() {
            prompt::ask_secret(question)?
        } else {
            return Err(Error::usage(format!("the {what} is missing, and there is no terminal to ask at"))
                .hint("pipe it in with --secret-stdin, or name its place with --secret-file or --secret-command"));
        };
        Ok(Some(Zeroizing::new(secret.expose().as_bytes().to_vec())))
    }
}

fn prove(
    profile: &Profile,
    request: &TokenRequest,
    credential: &Credential,
) -> Result<CachedToken> {
    let certificate_key = secrets::certificate_key(profile)?;
    let means = Means::of(
        request.profile(),
        profile,
        credential.clone(),
        certificate_key.as_ref(),
    )?;
    let token =
        token_endpoint::ask(profile, request, &means, Notes::Shown).map_err(Refusal::into_error)?;
    warn_of_response(request, &token);
    Ok(token)
}

/// Makes the login count. Returns the items that no longer do.
fn commit(
    editor: &Editor<'_>,
    name: &ProfileName,
    profile: &Profile,
    secret: Option<&Zeroizing<Vec<u8>>>,
) -> Result<BTreeSet<Item>> {
    let stale = editor.items(name)?;
    if let (Some(secret), Some(item)) = (secret, profile.secret.item()) {
        let mut items = stale.clone();
        items.insert(item.clone());
        // Listed before it exists, so that no crash leaves a secret that nobody knows of.
        editor.save_items(name, &items)?;
        if let Err(unwritten) = secrets::write(name, &item, secret, Patience::Person) {
            if unwritten.nothing_left {
                editor.save_items(name, &stale)?;
            }
            return Err(unwritten.error);
        }
    }
    editor.save(name, profile)?;
    Ok(stale)
}

fn remove_stale(
    editor: &Editor<'_>,
    name: &ProfileName,
    profile: &Profile,
    stale: &BTreeSet<Item>,
) -> Result<()> {
    for item in stale {
        secrets::delete(name, item, Patience::Person)?;
    }
    editor.save_items(name, &profile.secret.item().into_iter().collect())
}

fn report(name: &ProfileName, profile: &Profile, token: Option<&CachedToken>) {
    let what = if profile.client_auth.has_key() && profile.encrypted_key.is_none() {
        "private key"
    } else {
        "secret"
    };
    let place = match &profile.secret {
        SecretSource::Keychain { .. } => {
            format!("its {what} is in the keychain ({})", keychain::NAME)
        }
        SecretSource::Kernel { .. } => {
            format!("its {what} is in the kernel keyring, until this machine restarts")
        }
        SecretSource::File(path) => format!("its {what} stays in {}", path.display()),
        SecretSource::Credential(credential) => {
            format!("its {what} is the credential {credential} of systemd")
        }
        SecretSource::Env(variable) => {
            format!("its {what} comes from the environment variable {variable}")
        }
        SecretSource::Command(_) | SecretSource::Shell(_) => {
            format!("its {what} comes from the command")
        }
    };
    message::note(&format!(
        "logged in to the profile `{name}` as the client `{}`; {place}",
        profile.client_id
    ));
    match token {
        Some(token) => message::note(&format!(
            "a token was issued that lasts until {}",
            token.expires_at.rfc3339()
        )),
        None => message::note("the login was not proven by a token request"),
    }
}
