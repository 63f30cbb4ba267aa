//! `hallpass keep`: keeps files with tokens that are always valid. For programs that read a token from a
//! file and run for long.

mod after;
mod file;
mod keeper;
mod schedule;
mod state;

use std::time::Duration;

use super::duration;
use super::template::Template;
use crate::error::{Error, Result};
use crate::platform::{self, Sharing};
use crate::profiles::{self, Profiles};
use crate::secrets;
use after::AfterChange;
use file::{SharedFile, Target};
use keeper::{Keeper, TokenFile};

const EXAMPLES: &str = "\
Examples:
  hallpass keep prod=/run/app/token
  hallpass keep prod=/run/prometheus/token --group prometheus --exec 'systemctl reload prometheus'
  hallpass keep prod=token.json --template '{\"access_token\":{token}}' --once --min-ttl 15m   # every 10 minutes, from cron";

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
    let sharing = sharing(args.mode, args.group.as_deref())?;
    if let Some(exec) = &args.exec {
        exec.check()?;
    }
    let directories = profiles::directories()?;
    let profiles = Profiles::of(&directories);
    let mut files: Vec<TokenFile> = Vec::new();
    for target in &args.targets {
        // A mistake ends the command at once, rather than when the first token is there.
        let selected = profiles.find(target.profile.as_deref())?;
        secrets::take_from_environment(&selected.profile);
        let path = target.path()?;
        if files.iter().any(|other| other.path() == path) {
            return Err(Error::usage(format!("{} is given twice", path.display())));
        }
        let file = SharedFile::at(path, sharing)?;
        files.push(TokenFile::new(file, target.profile.clone(), args.min_ttl));
    }
    let keeper = Keeper {
        directories,
        min_ttl: args.min_ttl,
        template: args.template,
        exec: args.exec,
    };
    if args.once {
        return keeper.write_once(&mut files);
    }
    keeper.run(files, args.remove)
}

/// # Errors
/// `Usage` if there is no such group.
fn sharing(mode: Option<u32>, group: Option<&str>) -> Result<Sharing> {
    let group = match group {
        None => None,
        Some(name) => match platform::group_number(name) {
            None => return Err(Error::usage("the group of --group does not exist")),
            number => number,
        },
    };
    Ok(Sharing {
        mode: mode.or(group.map(|_| 0o640)),
        group,
    })
}
