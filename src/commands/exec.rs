//! `hallpass exec`: replaces itself by another program, with tokens in its environment. For programs
//! that read a variable and have no helper protocol.

use std::ffi::OsString;
use std::io;
use std::process::Command;
use std::time::Duration;

use super::command_line::{Word, Words, once};
use super::expiry;
use super::obtain::{TokenOptions, obtain};
use super::{DEFAULT_VARIABLE, duration};
use crate::error::{Error, Kind, Result};
use crate::platform::Inherited;
use crate::platform::variables;
use crate::profile::SecretSource;
use crate::profiles::{self, Profiles};
use crate::types::secret::CLIENT_SECRET_VARIABLE;

/// Run a program with a token in its environment
///
/// The program replaces the hallpass process, so its input, output and exit code are its own. Exit
/// code 126: the program cannot be run; 127: it was not found.
#[derive(Debug, Default, Eq, PartialEq, clap::Args)]
#[command(after_help = "Example:\n  hallpass exec -e API_TOKEN=prod -- ./deploy")]
pub(crate) struct Args {
    /// Variable to set, and the profile whose token it gets (repeatable) [default: `HALLPASS_TOKEN`, from `$HALLPASS_PROFILE` or the only profile]
    #[arg(short = 'e', long = "env", value_name = "VARIABLE[=PROFILE]", value_parser = variable)]
    variables: Vec<(String, Option<String>)>,
    /// Require at least this much remaining lifetime (90, 90s, 5m, 2h)
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s", hide_default_value = true)]
    min_ttl: Duration,
    /// The program and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Any name that the environment can contain: npm's have slashes and colons.
fn variable(text: &str) -> std::result::Result<(String, Option<String>), String> {
    let (name, profile) = match text.split_once('=') {
        Some((name, profile)) => (name, Some(profile.to_owned())),
        None => (text, None),
    };
    if name.is_empty() || name.contains(char::is_control) {
        return Err("write VARIABLE or VARIABLE=PROFILE".to_owned());
    }
    Ok((name.to_owned(), profile))
}

impl Args {
    /// Parses the words after `exec`. None if clap must parse them: see [`super::command_line`].
    pub(crate) fn read(words: &[OsString]) -> Option<Self> {
        let mut args = Self::default();
        let mut min_ttl = None;
        let mut words = Words::new(words);
        loop {
            match words.next()? {
                Word::End => break,
                Word::Option("-e" | "--env") => args.variables.push(variable(words.value()?).ok()?),
                Word::Option("--min-ttl") => once(&mut min_ttl, duration(words.value()?).ok()?)?,
                Word::Rest(command) => args.command = command.to_vec(),
                Word::Option(_) | Word::Argument(_) => return None,
            }
        }
        args.min_ttl = min_ttl.unwrap_or_default();
        (!args.command.is_empty()).then_some(args)
    }
}

pub(crate) fn run(args: &Args, inherited: Inherited) -> Result<String> {
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Error::usage("no program given"));
    };
    let default = [(DEFAULT_VARIABLE.to_owned(), None)];
    let wanted = match args.variables.as_slice() {
        [] => &default[..],
        given => given,
    };
    let mut command = Command::new(program);
    command.args(arguments);
    let directories = profiles::directories()?;
    let profiles = Profiles::of(&directories);
    let find = |profile: &Option<String>| profiles.find(profile.as_deref());
    let selected = wanted.iter().map(|(_, profile)| find(profile));
    let mut selected = selected.collect::<Result<Vec<_>>>()?;
    // The program must not get a client secret. This comes first, because the user may choose the same
    // variable for a token.
    command.env_remove(CLIENT_SECRET_VARIABLE);
    for selected in &selected {
        if let Some(SecretSource::Env(variable)) = &selected.profile.secret {
            command.env_remove(variable);
        }
    }
    let options = TokenOptions {
        min_ttl: args.min_ttl,
        ..TokenOptions::default()
    };
    let mut is_any_new = false;
    for ((name, _), selected) in wanted.iter().zip(&mut selected) {
        let obtained = obtain(&directories, &profiles, &options, selected)?;
        if obtained.is_new {
            is_any_new = true;
            expiry::warn(&directories, selected);
        }
        command.env(name, obtained.token.access_token.expose());
    }
    if is_any_new {
        variables::warn_about_unknown();
    }
    let error = inherited.replace_process(&mut command);
    Err(match error.kind() {
        io::ErrorKind::NotFound => Error::new(Kind::NoSuchProgram, "program not found"),
        _ => Error::new(Kind::CannotRun, "the program cannot be run").because(error),
    })
}
