//! The logout of one profile.

use std::collections::BTreeSet;

use super::everywhere;
use super::revocation::{Revocation, working_tokens};
use crate::cache::Cache;
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::profile::{Item, Profile, ProfileName, Store};
use crate::profiles::{Editor, Profiles};
use crate::secrets::{self, WaitLimit, keychain};
use crate::types::digest::unique;
use crate::types::secret::AccessToken;

/// One profile's logout.
pub(super) struct Logout<'a> {
    pub(super) directories: &'a Directories,
    pub(super) editor: &'a Editor<'a>,
    pub(super) name: &'a ProfileName,
    /// Continue if something cannot be read or removed.
    pub(super) force: bool,
    /// Remove the tokens from the shared cache, too.
    pub(super) everywhere: bool,
}

/// A profile that was removed, and the tokens that are still to be revoked.
pub(super) struct Removed {
    pub(super) profile: Option<Profile>,
    had_secret: bool,
    revocation: Option<Revocation>,
}

impl Removed {
    /// After a logout that keeps the settings.
    pub(super) fn report_kept(self, name: &ProfileName) {
        if let Some(revocation) = self.revocation {
            revocation.send();
        }
        message::note(&format!(
            "logged out of {name}: its secret and cached tokens were removed; `hallpass login {name}` asks for the secret"
        ));
    }

    pub(super) fn report(self, name: &ProfileName) {
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
    pub(super) fn run(&self, profiles: &Profiles) -> Result<Removed> {
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
        if let Some(profile) = &profile {
            self.leave_shared_cache(profile)?;
        }
        let tokens = profile
            .as_ref()
            .map(|profile| working_tokens(profile, &cache));
        let revocation = profile.clone().zip(tokens);
        let revocation = revocation.and_then(|(profile, tokens)| self.revocation(profile, tokens));
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
    pub(super) fn remove_secret(&self, profiles: &Profiles) -> Result<Removed> {
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
        self.leave_shared_cache(&profile)?;
        let tokens = working_tokens(&profile, &cache);
        let revocation = self.revocation(profile.clone(), tokens);
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

    /// None for tokens that other machines use.
    fn revocation(&self, profile: Profile, tokens: Vec<AccessToken>) -> Option<Revocation> {
        if everywhere::is_shared(&profile) && !self.everywhere {
            return None;
        }
        Revocation::prepare(self.name, profile, tokens)
    }

    /// Before the secret is removed, which names the entries.
    fn leave_shared_cache(&self, profile: &Profile) -> Result<()> {
        if !self.everywhere {
            return Ok(());
        }
        match everywhere::remove(self.directories, self.name, profile) {
            Err(error) if self.force => {
                message::warning(&error.to_string());
                Ok(())
            }
            removed => removed,
        }
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
