//! `hallpass logout`: removes a profile, its secret and its tokens.
//!
//! The profile is removed before its secret, so that callers learn at once that it was logged out. Its
//! list of keychain items is removed last, so that an interrupted logout can be repeated. If the keychain
//! refuses to delete an item, the profile is restored. Tokens are revoked at the end, when nothing depends
//! on the server's response.

mod everywhere;
mod one;
mod revocation;

use std::collections::BTreeSet;

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::platform::prompt;
use crate::profile::ProfileName;
use crate::profiles::{Profiles, is_configured_by_env};
use one::Logout;

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
    /// Also remove the tokens from the shared cache, so that no machine gets them there
    #[arg(long)]
    everywhere: bool,
}

pub(crate) fn run(args: &Args) -> Result<String> {
    let directories = Directories::locate()?;
    let profiles = Profiles::own(&directories);
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
        everywhere: args.everywhere,
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
                everywhere: args.everywhere,
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
