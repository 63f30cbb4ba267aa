//! `hallpass profile use`: the profile for calls that name none, if there are several.

use crate::error::{Error, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::profile::ProfileName;
use crate::profiles::Profiles;

/// Set the default profile, for when several exist and you name none
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Profile
    #[arg(required_unless_present = "none", conflicts_with = "none")]
    profile: Option<String>,
    /// Remove the default
    #[arg(long)]
    none: bool,
}

pub(super) fn run(args: &Args) -> Result<String> {
    let directories = Directories::locate()?;
    let profiles = Profiles::of(&directories);
    let editor = profiles.edit()?;
    let Some(name) = &args.profile else {
        editor.set_default(None)?;
        message::note("no profile is the default");
        return Ok(String::new());
    };
    let name = ProfileName::parse(name)?;
    if !profiles.exists(&name) {
        return Err(profiles.unknown(&name));
    }
    editor.set_default(Some(&name))?;
    message::note(&format!("profile {name} is the default"));
    if std::env::var_os("HALLPASS_PROFILE").is_some_and(|value| !value.is_empty()) {
        let error = Error::usage("HALLPASS_PROFILE is set and takes precedence");
        message::warning(&error.to_string());
    }
    Ok(String::new())
}
