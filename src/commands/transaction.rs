//! Saves a profile together with its secret: a transaction over two stores.
//!
//! 1. write the new items, under accounts of their own;
//! 2. rename the profile's file, which is the commit point;
//! 3. delete the items that the profile no longer has.
//!
//! A crash anywhere leaves the old profile or the new one, never one client with the other's secret.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use crate::error::Result;
use crate::message;
use crate::profile::{Item, Profile, ProfileName};
use crate::profiles::Editor;
use crate::secrets::{self, WaitLimit};

/// Writes the items with these contents, and the profile. Returns the items that there were before.
pub(super) fn commit(
    editor: &Editor<'_>,
    name: &ProfileName,
    profile: &Profile,
    contents: &[(Item, Zeroizing<Vec<u8>>)],
) -> Result<BTreeSet<Item>> {
    let before = editor.items(name)?;
    let mut items = before.clone();
    for (item, content) in contents {
        let listed = items.clone();
        items.insert(item.clone());
        // Listed before it exists, so that no crash leaves a secret that nobody knows of.
        editor.save_items(name, &items)?;
        if let Err(unwritten) = secrets::write(name, item, content, WaitLimit::Person) {
            if unwritten.nothing_left {
                editor.save_items(name, &listed)?;
            }
            return Err(unwritten.error);
        }
    }
    editor.save(name, profile)?;
    Ok(before)
}

/// Deletes the items that the profile no longer has. It is saved, so a failure is only a warning.
pub(super) fn clean_up(
    editor: &Editor<'_>,
    name: &ProfileName,
    profile: &Profile,
    before: &BTreeSet<Item>,
) {
    let delete = || {
        let items = profile.items();
        for item in before.difference(&items) {
            secrets::delete(name, item, WaitLimit::Person)?;
        }
        editor.save_items(name, &items)
    };
    if let Err(error) = delete() {
        message::warning(&format!(
            "cannot remove the previous secret: {error}; the next login, rotate or logout of profile {name} will try again"
        ));
    }
}
