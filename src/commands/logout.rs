//! `hallpass logout`: removes a profile, its secret and its tokens.
//!
//! The profile is removed before its secret, so that callers learn at once that it was logged out. Its
//! list of keychain items is removed last, so that an interrupted logout can be repeated. If the keychain
//! refuses to delete an item, the profile is restored. Tokens are revoked at the end, when nothing depends
//! on the server's response.

mod revocation;

use std::collections::BTreeSet;

use crate::cache::Cache;
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::platform::prompt;
use crate::profile::{Item, Profile, ProfileName, Store};
use crate::profiles::{Editor, Profiles, is_configured_by_env};
use crate::secrets::{self, WaitLimit, keychain};
use crate::types::digest::unique;
use revocation::{Revocation, working_tokens};

const EXAMPLES: &str = "\
Examples:
  hallpass logout prod
  hallpass logout prod --keep-settings    # later: hallpass login prod";

/// Remove profiles: their secrets, cached tokens and settings
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(crate) struct Args {
    /// Profiles [default: `$HALLPASS_PROFILE`, the default profile or the only one]
    #[arg(value_name = "PROFILE", conflicts_with = "all")]
    profiles: Vec<String>,
    /// Remove every profile
    #[arg(long)]
    all: bool,
    /// Do not ask before several profiles are removed
    #[arg(long)]
    yes: bool,
    /// Keep the settings: `hallpass login PROFILE` then asks only for the secret
    #[arg(long)]
    keep_settings: bool,
    /// Do not ask; continue if the keychain no longer exists or the settings cannot be read, and list what may remain
    #[arg(long, conflicts_with = "keep_settings")]
    force: bool,
}

pub(crate) fn run(args: &Args) -> Result<String> {
    let directories = Directories::locate()?;
    let profiles = Profiles::of(&directories);
    if args.all || args.profiles.len() > 1 {
        return log_out_of_several(&directories, &profiles, args).map(|()| String::new());
    }
    let named = args.profiles.first().map(String::as_str);
    if named.is_none() && is_configured_by_env()? {
        let what =
            "HALLPASS_TOKEN_URL is set; the profile from the environment has no login to remove";
        return Err(Error::usage(what).hint("name a stored profile: hallpass logout PROFILE"));
    }
    let name = profiles.choose(named)?;
    let editor = profiles.edit()?;
    let logout = Logout {
        directories: &directories,
        editor: &editor,
        name: &name,
        force: args.force,
    };
    if args.keep_settings {
        let removed = logout.remove_secret(&profiles)?;
        drop(editor);
        removed.report_kept(&name);
        return Ok(String::new());
    }
    let removed = logout.run(&profiles)?;
    let unlisted = match &removed.profile {
        Some(profile) => editor.unlist(&name, &profile.bindings),
        None => editor.unlist_gone(),
    };
    drop(editor);
    removed.report(&name);
    unlisted.map(|()| String::new())
}

/// Asks before several profiles are removed. Without a terminal, they must be named, or an option says it.
fn confirm(args: &Args, names: &[ProfileName]) -> Result<()> {
    if args.yes || args.force || names.len() < 2 {
        return Ok(());
    }
    let all: Vec<_> = names.iter().map(ProfileName::as_str).collect();
    let all = all.join(", ");
    if prompt::can_ask() {
        let answer = prompt::ask(&format!("Log out of {all}? [y/N]"))?;
        if ["y", "yes"].contains(&answer.to_lowercase().as_str()) {
            return Ok(());
        }
        return Err(Error::usage("cancelled: nothing was logged out"));
    }
    if args.all {
        return Err(
            Error::usage(format!("--all would log out of several profiles: {all}"))
                .hint("to confirm it, add --yes, or name them"),
        );
    }
    Ok(())
}

fn log_out_of_several(directories: &Directories, profiles: &Profiles, args: &Args) -> Result<()> {
    let names = if args.all {
        profiles.names_to_forget()?
    } else {
        let names = args.profiles.iter().map(|name| ProfileName::parse(name));
        let names: BTreeSet<_> = names.collect::<Result<_>>()?;
        // Also what an interrupted login or logout left.
        let known = profiles.names_to_forget()?;
        if let Some(missing) = names.iter().find(|name| !known.contains(name)) {
            return Err(profiles.unknown(missing));
        }
        names.into_iter().collect()
    };
    confirm(args, &names)?;
    // Continue with the others after an error.
    let mut first_error = None;
    let mut fail = |error: Error| first_error = first_error.take().or(Some(error));
    for name in &names {
        let removed = profiles.edit().and_then(|editor| {
            let logout = Logout {
                directories,
                editor: &editor,
                name,
                force: args.force,
            };
            if args.keep_settings {
                logout.remove_secret(profiles)
            } else {
                logout.run(profiles)
            }
        });
        match removed {
            Ok(removed) if args.keep_settings => removed.report_kept(name),
            Ok(removed) => removed.report(name),
            Err(error) => {
                message::warning(&format!("cannot log out of {name}: {error}"));
                fail(error);
            }
        }
    }
    if args.keep_settings {
        return first_error.map_or(Ok(()), Err);
    }
    // Once, after all profiles: then even a damaged list of URLs can be rebuilt.
    if let Err(error) = profiles.edit().and_then(|editor| editor.unlist_gone()) {
        fail(error);
    }
    if args.all {
        // Caches whose profiles no longer exist, after a crash or a profile file removed by hand.
        let cleared = Cache::all(directories).and_then(|all| all.iter().try_for_each(Cache::clear));
        if let Err(error) = cleared {
            fail(error);
        }
    }
    first_error.map_or(Ok(()), Err)
}

/// One profile's logout.
struct Logout<'a> {
    directories: &'a Directories,
    editor: &'a Editor<'a>,
    name: &'a ProfileName,
    /// Continue if something cannot be read or removed.
    force: bool,
}

/// A profile that was removed, and the tokens that are still to be revoked.
struct Removed {
    profile: Option<Profile>,
    had_secret: bool,
    revocation: Option<Revocation>,
}

impl Removed {
    /// After a logout that keeps the settings.
    fn report_kept(self, name: &ProfileName) {
        if let Some(revocation) = self.revocation {
            revocation.send();
        }
        message::note(&format!(
            "logged out of {name}: its secret and cached tokens were removed; `hallpass login {name}` asks for the secret"
        ));
    }

    fn report(self, name: &ProfileName) {
        if let Some(revocation) = self.revocation {
            revocation.send();
        }
        // A secret in the user's own file or command stays there.
        let what = if self.had_secret {
            "its secret, cached tokens and settings"
        } else {
            "its cached tokens and settings"
        };
        message::note(&format!("logged out of {name}: {what} were removed"));
    }
}

impl Logout<'_> {
    fn run(&self, profiles: &Profiles) -> Result<Removed> {
        let Self { editor, name, .. } = self;
        let cache = Cache::of(self.directories, name);
        let clear = || cache.clear();
        let profile = match profiles.load(name) {
            Ok(profile) => Some(profile),
            // Every item of a damaged profile is also in its list of items.
            Err(error) if self.force || error.kind == Kind::Usage => None,
            Err(error) if error.kind == Kind::NotFound => None,
            Err(error) => return Err(self.hint_at_force(error)),
        };
        let items = self.items(profile.as_ref())?;
        if profile.is_none() && items.is_empty() && !profiles.exists(name) {
            // A crash may have left cache entries.
            clear()?;
            editor.unlist_gone()?;
            return Err(profiles.unknown(name));
        }
        let tokens = profile
            .as_ref()
            .map(|profile| working_tokens(profile, &cache));
        let revocation = profile.clone().zip(tokens);
        let revocation =
            revocation.and_then(|(profile, tokens)| Revocation::prepare(name, profile, tokens));
        clear()?;
        // The items stay listed until they are deleted, including those that only the profile contained.
        editor.save_items(name, &items)?;
        let content = editor.remove(name)?;
        // Again, because a running request may have stored a token before the profile was removed.
        clear()?;
        let own = profile.as_ref().map(Profile::items).unwrap_or_default();
        let had_secret = match self.delete(&items, &own) {
            Ok(had_secret) => had_secret,
            Err(error) => {
                content.map_or(Ok(()), |content| editor.restore(name, &content))?;
                return Err(error);
            }
        };
        editor.save_items(name, &BTreeSet::new())?;
        editor.end_rename(name)?;
        if let Ok(Some(default)) = profiles.default_name()
            && default == **name
        {
            editor.set_default(None)?;
        }
        Ok(Removed {
            profile,
            had_secret,
            revocation,
        })
    }

    /// Removes the secret and the tokens, and keeps the settings.
    fn remove_secret(&self, profiles: &Profiles) -> Result<Removed> {
        let Self { editor, name, .. } = self;
        let cache = Cache::of(self.directories, name);
        if !profiles.exists(name) {
            return Err(profiles.unknown(name));
        }
        let profile = profiles.load(name)?;
        if profile.items().is_empty() {
            return Err(Error::usage(format!(
                "hallpass stores no secret of profile {name} that could be removed"
            ))
            .hint(format!(
                "to remove its cached tokens: hallpass token {name} --forget"
            )));
        }
        let tokens = working_tokens(&profile, &cache);
        let revocation = Revocation::prepare(name, profile.clone(), tokens);
        let items = self.items(Some(&profile))?;
        cache.clear()?;
        editor.save_items(name, &items)?;
        // Another login, so that no request that is running stores a token.
        let mut kept = profile.without_rotation();
        kept.generation = unique()?;
        kept.secret_expires = None;
        editor.save(name, &kept.named(name))?;
        cache.clear()?;
        if let Err(error) = self.delete(&items, &profile.items()) {
            editor.save(name, &profile)?;
            return Err(error);
        }
        editor.save_items(name, &BTreeSet::new())?;
        Ok(Removed {
            profile: Some(profile),
            had_secret: true,
            revocation,
        })
    }

    fn items(&self, profile: Option<&Profile>) -> Result<BTreeSet<Item>> {
        match self.editor.items(self.name) {
            Err(error) if self.force => {
                message::warning(&format!(
                    "{error}; other items of hallpass may remain in the keychain ({})",
                    keychain::NAME
                ));
                Ok(profile.map(Profile::items).unwrap_or_default())
            }
            items => items.map_err(|error| self.hint_at_force(error)),
        }
    }

    /// Deletes the items, the profile's current ones last, because the profile works without the others.
    ///
    /// Returns whether there were items and all were deleted.
    fn delete(&self, items: &BTreeSet<Item>, own: &BTreeSet<Item>) -> Result<bool> {
        let Self { name, .. } = self;
        let mut all = !items.is_empty();
        for item in items.difference(own).chain(items.intersection(own)) {
            match secrets::delete(name, item, WaitLimit::Person) {
                Ok(()) => {}
                Err(error) if self.force => {
                    all = false;
                    message::warning(&format!(
                        "the secret of {name} may remain in the {} as the item {} of the service hallpass: {error}",
                        store_name(item),
                        item.account
                    ));
                }
                Err(error) => {
                    let hint = format!(
                        "then run `hallpass logout {name}` again (its cached tokens are already removed)"
                    );
                    return Err(self.hint_at_force(error.hint(hint)));
                }
            }
        }
        Ok(all)
    }

    fn hint_at_force(&self, error: Error) -> Error {
        error.hint(format!(
            "if the keychain no longer exists: hallpass logout {} --force",
            self.name
        ))
    }
}

fn store_name(item: &Item) -> String {
    match item.store {
        Store::Keychain => format!("keychain ({})", keychain::NAME),
        Store::Kernel => "kernel keyring".to_owned(),
    }
}
