//! `hallpass profile export`: a profile's settings as JSON, without any secret.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::profiles::Profiles;

/// The version of the exported form.
pub(super) const VERSION: u64 = 1;

/// What belongs to one login, or says where a secret is.
const LEFT_OUT: &[&str] = &[
    "format",
    "generation",
    "headers",
    "rotation",
    "secret",
    "secret_expires",
    "secret_headers",
    "share",
    "trust",
];

/// Print the settings of a profile as JSON, without its secret
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Profile [default: `$HALLPASS_PROFILE`, the default profile or the only one]
    profile: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<String> {
    let directories = Directories::locate()?;
    let profiles = Profiles::of(&directories);
    let name = profiles.choose(args.profile.as_deref())?;
    let profile = profiles.load(&name)?;
    let settings = serde_json::to_value(&profile);
    let settings =
        settings.map_err(|error| Error::broken("cannot write the settings").because(error))?;
    let settings = settings.as_object().cloned().unwrap_or_default();
    let settings: Map<_, _> = settings
        .into_iter()
        .filter(|(member, _)| !LEFT_OUT.contains(&member.as_str()))
        .collect();
    let secret_headers = profile.secret_headers.as_ref();
    let names = profile.headers.names().into_iter();
    let names = names.chain(secret_headers.into_iter().flat_map(|it| it.names.clone()));
    for header in names {
        message::warning(&format!(
            "the header {header} is left out, because it may be a secret"
        ));
    }
    let exported = json!({
        "hallpass_profile": VERSION,
        "name": name.as_str(),
        "settings": Value::Object(settings),
    });
    Ok(format!("{exported:#}\n"))
}
