//! `hallpass logout`: forgets a profile, its secret and its tokens.
//!
//! In an order that can be run again after a crash: tokens, keychain items, then the profile that
//! names them. The authorization server is told last, when nothing here depends on its answer.

use crate::cache::Cache;
use crate::disk::Directories;
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::profile::{Profile, ProfileName, TokenEndpoint};
use crate::profiles::Profiles;
use crate::secret::{AccessToken, Credential};
use crate::secrets::{self, Patience};
use crate::token::{Timestamp, login_of};
use crate::token_endpoint;

/// Forget a profile: its cached tokens, its secret in the keychain, its settings
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The profile [default: `$HALLPASS_PROFILE`, else the only one there is]
    #[arg(conflicts_with = "all")]
    profile: Option<String>,
    /// Forget every profile
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(args: &Args) -> Result<String> {
    let directories = Directories::locate()?;
    let profiles = Profiles::of(&directories);
    if !args.all {
        let name = profiles.choose(args.profile.as_deref())?;
        return forget(&directories, &profiles, &name).map(|()| String::new());
    }
    // One that fails does not keep the others.
    let mut first_error = None;
    for name in profiles.names_to_forget()? {
        if let Err(error) = forget(&directories, &profiles, &name) {
            message::warning(&format!("the profile `{name}` was not forgotten: {error}"));
            first_error = first_error.or(Some(error));
        }
    }
    // A crash, or a profile's file that was removed by hand, may have left more.
    let cleared = Cache::all(&directories).and_then(|all| all.iter().try_for_each(Cache::clear));
    if let Err(error) = cleared {
        let error = Error::broken("cannot remove all cached tokens").because(error);
        first_error = first_error.or(Some(error));
    }
    first_error.map_or(Ok(String::new()), Err)
}

fn forget(directories: &Directories, profiles: &Profiles, name: &ProfileName) -> Result<()> {
    let cache = Cache::of(directories, name);
    let cannot_clear = |error| {
        Error::broken(format!("cannot remove the cached tokens of `{name}`")).because(error)
    };
    let editor = profiles.edit()?;
    let profile = profiles.load(name);
    let items = editor.items(name)?;
    if let Err(error) = &profile
        && error.kind == Kind::NotFound
        && items.is_empty()
    {
        // What a crash may have left is removed all the same.
        cache.clear().map_err(cannot_clear)?;
        editor.remove(name)?;
        return profile.map(drop);
    }
    let profile = profile.ok();
    let tokens = profile
        .as_ref()
        .map(|profile| working_tokens(profile, &cache));
    cache.clear().map_err(cannot_clear)?;
    let farewell = profile
        .zip(tokens)
        .and_then(|(profile, tokens)| Farewell::prepare(name, profile, tokens));
    for item in &items {
        secrets::delete(name, item, Patience::Person).map_err(|error| again(error, name))?;
    }
    editor.save_items(name, &std::collections::BTreeSet::new())?;
    editor.remove(name)?;
    // Once more: a request that was under way may have brought a token before the profile went.
    cache.clear().map_err(cannot_clear)?;
    drop(editor);
    if let Some(farewell) = farewell {
        farewell.say();
    }
    message::note(&format!("forgot the profile `{name}`"));
    Ok(())
}

/// What mends the keychain, and what is left to do then.
fn again(error: Error, name: &ProfileName) -> Error {
    error.hint(format!(
        "then run `hallpass logout {name}` again (its cached tokens are already removed)"
    ))
}

/// The tokens that somebody could still use.
fn working_tokens(profile: &Profile, cache: &Cache) -> Vec<AccessToken> {
    let now = Timestamp::now();
    let tokens = cache.tokens(&login_of(profile)).into_iter();
    let tokens = tokens.map(|(.., token)| token);
    let working = tokens.filter(|token| token.still_works(now));
    working.map(|token| token.access_token).collect()
}

/// What it takes to tell the authorization server (RFC 7009), gathered while it is still there.
struct Farewell {
    endpoint: TokenEndpoint,
    profile: Profile,
    tokens: Vec<AccessToken>,
    credential: Credential,
}

impl Farewell {
    fn prepare(name: &ProfileName, profile: Profile, tokens: Vec<AccessToken>) -> Option<Self> {
        let endpoint = profile.revocation_endpoint.clone()?;
        if tokens.is_empty() {
            return None;
        }
        match secrets::read(name, &profile, Patience::Person) {
            Ok(credential) => Some(Self {
                endpoint,
                profile,
                tokens,
                credential,
            }),
            Err(error) => {
                message::warning(&format!(
                    "the authorization server will not be told: {error}"
                ));
                None
            }
        }
    }

    fn say(self) {
        let Self {
            endpoint,
            profile,
            tokens,
            credential,
        } = self;
        if let Err(error) = token_endpoint::revoke(&endpoint, &profile, &tokens, &credential) {
            message::warning(&format!(
                "the tokens were forgotten here, but not revoked: {error}"
            ));
        }
    }
}
