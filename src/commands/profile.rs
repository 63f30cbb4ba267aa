//! `hallpass profile`: shows, changes, renames, copies, exports and imports profiles, and sets the
//! default one.

mod copy;
mod default;
mod export;
mod import;
mod rename;

use zeroize::Zeroizing;

use super::{login, status};
use crate::error::{Error, Result};
use crate::platform::disk::Directories;
use crate::profile::{Item, Profile, ProfileName};
use crate::profiles::Profiles;
use crate::secrets::{self, WaitLimit};

/// Show, change, rename, copy, export and import profiles, and set the default one
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

const EDIT_EXAMPLES: &str = "\
Examples:
  hallpass profile edit prod --scope 'read write'
  hallpass profile edit prod --secret-expires 2027-02-01
  hallpass profile edit prod --audience ''                  # removes the audience";

const IMPORT_EXAMPLES: &str = "\
Examples:
  hallpass profile export prod > prod.json
  hallpass profile import prod.json staging";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the profiles
    List,
    Show(ShowArgs),
    /// Change settings of a profile; an empty value removes one
    #[command(
        about = "Change settings of a profile; an empty value removes one",
        long_about = "Change settings of a profile; an empty value removes one\n\nThe options are those of `hallpass login`. A change of what is requested is checked with a token request. The new secret is asked for only if the token endpoint, the client ID or the method changes.",
        after_help = EDIT_EXAMPLES
    )]
    Edit(Box<login::Args>),
    /// Rename a profile; its secret, settings and URLs stay
    Rename(TwoNames),
    /// Copy a profile with its secret, without its URLs
    Copy(TwoNames),
    Export(export::Args),
    /// Log in with the settings of an exported profile
    #[command(
        about = "Log in with the settings of an exported profile",
        long_about = "Log in with the settings of an exported profile\n\nYou confirm the server before hallpass asks for the secret. The options are those of `hallpass login`; they take precedence over the file.",
        after_help = IMPORT_EXAMPLES
    )]
    Import(Box<import::Args>),
    Use(default::Args),
}

/// Show the settings of a profile
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Profile
    profile: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct TwoNames {
    /// Profile
    profile: String,
    /// New name
    new_name: String,
}

impl TwoNames {
    /// The name of a profile, and one for another profile that does not exist.
    fn parse(&self, profiles: &Profiles) -> Result<(ProfileName, ProfileName)> {
        let from = ProfileName::parse(&self.profile)?;
        let to = ProfileName::parse(&self.new_name)?;
        if from == to {
            return Err(Error::usage("both names are the same"));
        }
        to.check_new()?;
        profiles.check_directory()?;
        Ok((from, to))
    }
}

pub(crate) fn run(args: Args, print: &dyn Fn(&str) -> Result<()>) -> Result<String> {
    match args.command {
        Command::List => {
            let directories = Directories::locate()?;
            status::list(&directories, &Profiles::of(&directories))
        }
        Command::Show(args) => status::run(&status::Args::of(args.profile, args.json), print),
        Command::Edit(args) => login::edit(*args),
        Command::Rename(args) => rename::run(&args),
        Command::Copy(args) => copy::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Use(args) => default::run(&args),
    }
}

fn already_exists(name: &ProfileName) -> Error {
    Error::usage(format!("profile {name} already exists")).hint(format!(
        "choose another name, or remove it: hallpass logout {name}"
    ))
}

/// The contents of the profile's items, for those that the same profile has under another name.
///
/// # Errors
/// Why one cannot be read, and `Refused` if the profile was edited after its login.
fn contents(
    name: &ProfileName,
    profile: &Profile,
    other: &Profile,
) -> Result<Vec<(Item, Zeroizing<Vec<u8>>)>> {
    let mut contents = Vec::new();
    if let Some(item) = other.item() {
        contents.push((item, secrets::content(name, profile, WaitLimit::Person)?));
    }
    if let Some(headers) = &other.secret_headers {
        let values = secrets::headers(name, profile, WaitLimit::Person)?;
        contents.push((headers.item.clone(), secrets::headers_content(&values)));
    }
    if let (Some(previous), Some(item)) = (
        profile.with_previous_secret(),
        other
            .previous_secret()
            .and_then(|previous| previous.secret.item()),
    ) {
        contents.push((item, secrets::content(name, &previous, WaitLimit::Person)?));
    }
    Ok(contents)
}
