//! `hallpass profile copy`: a second profile with the same settings and secret, without its URLs.

use super::{TwoNames, already_exists, contents};
use crate::commands::transaction::{clean_up, commit};
use crate::error::Result;
use crate::message;
use crate::platform::disk::Directories;
use crate::profiles::Profiles;
use crate::types::digest::unique;

pub(super) fn run(names: &TwoNames) -> Result<String> {
    let directories = Directories::locate()?;
    let profiles = Profiles::own(&directories);
    let (from, to) = names.parse(&profiles)?;
    let editor = profiles.edit()?;
    if !profiles.exists(&from) {
        return Err(profiles.unknown(&from));
    }
    let profile = profiles.load(&from)?;
    if profiles.exists(&to) {
        return Err(already_exists(&to));
    }
    let mut copy = profile.without_rotation();
    copy.generation = unique()?;
    let urls = std::mem::take(&mut copy.bindings);
    let copy = copy.named(&to);
    let contents = contents(&from, &profile, &copy)?;
    let before = commit(&editor, &to, &copy, &contents)?;
    clean_up(&editor, &to, &copy, &before);
    message::note(&format!("copied profile {from} to {to}"));
    if !urls.is_empty() {
        message::note(&format!(
            "tools still use {from} for its URLs; {to} is not bound to any URL"
        ));
    }
    Ok(String::new())
}
