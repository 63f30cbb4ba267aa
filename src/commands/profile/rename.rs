//! `hallpass profile rename`.
//!
//! The items in the keychain are named after the profile, so a rename writes new ones. A record of the
//! rename precedes the new profile: if it is interrupted, both names have the same login and URLs, tools get
//! tokens of either, and the same command completes it.

use std::collections::BTreeSet;

use super::{TwoNames, already_exists, contents};
use crate::cache::Cache;
use crate::commands::transaction::{clean_up, commit};
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::profile::{Profile, ProfileName};
use crate::profiles::{Editor, Profiles};
use crate::secrets::{self, WaitLimit};

pub(super) fn run(names: &TwoNames) -> Result<String> {
    let directories = Directories::locate()?;
    let profiles = Profiles::own(&directories);
    let (from, to) = names.parse(&profiles)?;
    let editor = profiles.edit()?;
    let is_continued = profiles.is_renamed(&from, &to);
    let bindings = match profiles.load(&from) {
        Ok(_) if profiles.exists(&to) && !is_continued => return Err(already_exists(&to)),
        Ok(profile) => {
            save_under_new_name(&editor, &from, &to, &profile)?;
            profile.bindings
        }
        Err(error) if error.kind == Kind::NotFound && is_continued => profiles.load(&to)?.bindings,
        Err(error) if error.kind == Kind::NotFound => return Err(profiles.unknown(&from)),
        Err(error) => return Err(error),
    };
    if profiles.default_name()?.as_ref() == Some(&from) {
        editor.set_default(Some(&to))?;
    }
    let cache = Cache::of(&directories, &from);
    cache.clear()?;
    let items = editor.items(&from)?;
    editor.save_items(&from, &items)?;
    editor.remove(&from)?;
    // Again, because a running request may have stored a token.
    cache.clear()?;
    editor.unlist(&from, &bindings)?;
    remove_items(&editor, &from, &items);
    editor.end_rename(&to)?;
    message::note(&format!("renamed profile {from} to {to}"));
    message::note(&format!(
        "settings of tools that name {from} need the new name"
    ));
    Ok(String::new())
}

fn save_under_new_name(
    editor: &Editor<'_>,
    from: &ProfileName,
    to: &ProfileName,
    profile: &Profile,
) -> Result<()> {
    let renamed = if profile.with_previous_secret().is_some() {
        profile.named(to)
    } else {
        profile.without_previous_secret().named(to)
    };
    let contents = contents(from, profile, &renamed)?;
    editor.begin_rename(from, to, profile)?;
    let before = commit(editor, to, &renamed, &contents)?;
    clean_up(editor, to, &renamed, &before);
    Ok(())
}

/// Deletes the items of the old name. They are listed, so a later logout can do what fails here.
fn remove_items(editor: &Editor<'_>, from: &ProfileName, items: &BTreeSet<crate::profile::Item>) {
    let deleted = items
        .iter()
        .try_for_each(|item| secrets::delete(from, item, WaitLimit::Person))
        .and_then(|()| editor.save_items(from, &BTreeSet::new()));
    if let Err(error) = deleted {
        let error: Error = error;
        message::warning(&format!(
            "cannot remove the secret under the old name: {error}; `hallpass logout {from}` will try again"
        ));
    }
}
