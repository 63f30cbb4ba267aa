//! `hallpass keep`: keeps files with tokens that are always valid. For programs that read a token from a
//! file and run for long.

mod after;
mod file;
mod keeper;
mod schedule;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::duration;
use super::template::Template;
use crate::error::Result;
use crate::platform::Sharing;
use crate::profiles::{self, Profiles};
use after::AfterChange;
use file::{KeptFile, Target};
use keeper::{Keeper, TokenFile};

const EXAMPLES: &str = "\
Examples:
  hallpass keep prod=/run/app/token
  hallpass keep prod=/run/prometheus/token --group prometheus --exec 'systemctl reload prometheus'
  hallpass keep prod=token.json --template '{\"access_token\":{token}}' --once    # for cron";

/// Keep files with valid tokens, until this is ended
///
/// A file is replaced before its token expires, and as a whole, so that a reader always finds a valid
/// token. If that fails, the file stays as it is, and hallpass tries again.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A file, or `PROFILE=FILE` [default: `$HALLPASS_PROFILE`, or the only profile]
    #[arg(value_name = "FILE", required = true, value_parser = Target::parse)]
    targets: Vec<Target>,
    /// Keep tokens that are valid for at least this long (90, 90s, 5m, 2h)
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s", hide_default_value = true)]
    min_ttl: Duration,
    /// Write this text instead of only the token, with the fields that `hallpass token` has
    #[arg(long, value_name = "TEMPLATE", value_parser = Template::parse)]
    template: Option<Template>,
    /// The files' permissions, such as 640 [default: 600, or 640 with `--group`]
    #[arg(long, value_name = "MODE", value_parser = file::mode)]
    mode: Option<u32>,
    /// The files' group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Run this command after a file was changed, without a shell unless it starts with `!`
    #[arg(long, value_name = "COMMAND", value_parser = AfterChange::parse)]
    exec: Option<AfterChange>,
    /// Remove the files at the end
    #[arg(long, conflicts_with = "once")]
    remove: bool,
    /// Write the files if they need it, and end
    #[arg(long)]
    once: bool,
}

pub(crate) fn run(args: Args) -> Result<String> {
    let sharing = Sharing {
        mode: args.mode.or(args.group.is_some().then_some(0o640)),
        group: args.group.clone(),
    };
    if let Some(exec) = &args.exec {
        exec.check()?;
    }
    let directories = profiles::directories()?;
    let profiles = Profiles::of(&directories);
    let mut kept = Vec::new();
    for target in &args.targets {
        // A mistake ends the command at once, rather than when the first token is there.
        profiles.find(target.profile.as_deref())?;
        let file = KeptFile::at(target, &sharing)?;
        kept.push(TokenFile::new(file, target.profile.clone(), args.min_ttl));
    }
    let keeper = Keeper {
        directories,
        profiles,
        min_ttl: args.min_ttl,
        template: args.template,
        exec: args.exec,
        files: Arc::new(Mutex::new(kept)),
    };
    if args.once {
        return keeper.write_once();
    }
    keeper.run(args.remove)
}
