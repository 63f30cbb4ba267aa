//! `hallpass profile import`: a login with the settings of a file that may come from another user.
//!
//! The user confirms where the secret goes. A file cannot name a program to run, or a place of secrets.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::export::VERSION;
use crate::commands::login::{self, Imported};
use crate::error::{Error, Result};
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::platform::disk;
use crate::platform::prompt;
use crate::profile::identity::IdentitySource;
use crate::profile::settings::{Setting, Settings};
use crate::profile::{FORMAT, Profile};
use crate::types::shell;

/// The most bytes that are read of a file.
const LIMIT: u64 = 256 * 1024;

#[derive(Debug, clap::Args)]
// The options of the login are a group of this name, too.
#[group(skip)]
pub(super) struct Args {
    /// File that `hallpass profile export` wrote
    file: PathBuf,
    #[command(flatten)]
    login: login::Args,
}

pub(super) fn run(args: &Args) -> Result<String> {
    let profile = read(&args.file)?;
    confirm(&args.login, &profile)?;
    let (mut given, derived) = Settings::of_profile(&profile);
    // Where the key is, the command line says.
    given.key = Setting::Unset;
    login::import(&args.login, Imported { given, derived })
}

fn read(path: &Path) -> Result<Profile> {
    let shown = path.display();
    let content = disk::read_foreign(path, LIMIT)
        .map_err(|error| Error::usage(format!("cannot read {shown}")).because(error))?;
    let no_export = |what: &str| {
        Error::usage(format!("{shown} {what}"))
            .hint("write it with: hallpass profile export NAME > FILE")
    };
    let exported: Value = serde_json::from_slice(&content).map_err(|_| no_export("is not JSON"))?;
    match exported.get("hallpass_profile").and_then(Value::as_u64) {
        Some(VERSION) => {}
        Some(version) if version > VERSION => {
            let what = format!("{shown} was exported by a newer version of hallpass");
            return Err(Error::usage(what).hint("update hallpass"));
        }
        _ => return Err(no_export("is not an exported profile")),
    }
    let mut settings = exported.get("settings").cloned().unwrap_or_default();
    let Some(members) = settings.as_object_mut() else {
        return Err(no_export("has no settings"));
    };
    for foreign in ["secret", "secret_headers", "share", "rotation", "trust"] {
        if members.contains_key(foreign) {
            return Err(no_export(&format!(
                "has the member {foreign}, which an export never has"
            )));
        }
    }
    members.insert("format".to_owned(), json!(FORMAT));
    members.insert("generation".to_owned(), json!(""));
    let profile = serde_json::from_value::<Profile>(settings).map_err(|error| {
        let text = error.to_string();
        let fault = text.split(", expected").next().unwrap_or_default();
        let fault = clean(fault, FOREIGN_TEXT_LIMIT);
        no_export(&format!("has a setting that cannot be used: {fault}"))
    })?;
    let identity = profile.identity.as_ref().map(|identity| &identity.source);
    if matches!(identity, Some(IdentitySource::Command(_))) {
        return Err(Error::usage(format!(
            "{shown} names a program to run for identity tokens"
        ))
        .hint("if you trust it, remove it from the file, and add --identity command:CMD"));
    }
    Ok(profile)
}

/// Lets the user confirm where the secret goes.
///
/// # Errors
/// `Usage` if that is not confirmed.
fn confirm(login: &login::Args, profile: &Profile) -> Result<()> {
    let endpoint = profile.token_endpoint.as_str();
    let missing = login.unnamed_servers(profile);
    if missing.is_empty() {
        return Ok(());
    }
    if !prompt::can_ask() {
        let options = missing.iter().map(|(option, url)| {
            let url = clean(url, FOREIGN_TEXT_LIMIT);
            format!("{option} {}", shell::word(&url))
        });
        let options = options.collect::<Vec<_>>().join(" ");
        return Err(
            Error::usage("the servers of this profile are not confirmed")
                .hint(format!("to confirm them, add: {options}")),
        );
    }
    let mut lines = vec![
        ("token endpoint", endpoint.to_owned()),
        ("client", profile.client()),
        ("method", profile.client_auth.as_str().to_owned()),
    ];
    let revocation = profile.revocation_endpoint.as_ref();
    lines.extend(revocation.map(|it| ("revocation", it.as_str().to_owned())));
    lines.extend(
        profile
            .issuer
            .iter()
            .map(|issuer| ("issuer", issuer.clone())),
    );
    let files = [
        &profile.ca_file,
        &profile.certificate,
        &profile.encrypted_key,
    ];
    let files = files.into_iter().flatten();
    lines.extend(files.map(|path| ("file", path.display().to_string())));
    lines.extend(
        profile
            .bindings
            .iter()
            .map(|binding| ("for", binding.url.as_str().to_owned())),
    );
    for (title, value) in lines {
        prompt::show(&format!(
            "{title:<15} {}\n",
            clean(&value, FOREIGN_TEXT_LIMIT)
        ));
    }
    if prompt::confirm("Log in with these settings?", false)? {
        return Ok(());
    }
    Err(Error::usage("cancelled: nothing was sent"))
}
