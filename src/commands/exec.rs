//! `hallpass exec`: replaces itself by another program, with tokens in its environment. For programs
//! that read a variable and have no helper protocol.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use super::command_line::{Word, Words, once};
use super::expiry;
use super::obtain::{Obtained, TokenOptions, obtain};
use super::template::{Template, Values};
use super::token::format::{bearer, header_line};
use super::{DEFAULT_VARIABLE, duration};
use crate::error::{Error, Kind, Result};
use crate::platform::Inherited;
use crate::platform::{program, variables};
use crate::profile::selected::SelectedProfile;
use crate::profiles::{self, Profiles};

const EXAMPLES: &str = "\
Examples:
  hallpass exec -e API_TOKEN=prod -- ./deploy
  hallpass exec -e CARGO_REGISTRIES_X_TOKEN=prod:bearer -- cargo publish
  hallpass exec -e 'COMPOSER_AUTH=prod:{\"bearer\":{\"repo.example\":\"{token}\"}}' -- composer install";

/// Run a program with a token in its environment
///
/// The program replaces the hallpass process, so its input, output and exit code are its own. Exit
/// code 126: the program cannot be run; 127: it was not found.
#[derive(Debug, Default, Eq, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Variable to set, and the profile whose token it gets (repeatable) [default: `HALLPASS_TOKEN`, from `$HALLPASS_PROFILE` or the only profile].
    /// FORM is bearer, header, or a template with `{token}`, as for `hallpass token`
    #[arg(short = 'e', long = "env", value_name = "VARIABLE[=PROFILE[:FORM]]", value_parser = Wanted::parse)]
    variables: Vec<Wanted>,
    /// Require at least this much remaining lifetime (90, 90s, 5m, 2h)
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s", hide_default_value = true)]
    min_ttl: Duration,
    /// The program and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// A variable to set.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Wanted {
    variable: String,
    profile: Option<String>,
    form: Form,
}

/// What a variable gets.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Form {
    /// Only the token.
    Token,
    /// `Bearer TOKEN`
    Bearer,
    /// `Authorization: Bearer TOKEN`, or the header that `hallpass bind` sets.
    Header,
    Template(Template),
}

impl Wanted {
    /// `VARIABLE[=PROFILE[:FORM]]`. The variable has any name that the environment can contain: npm's have
    /// slashes and colons. A profile's name has no colon.
    fn parse(text: &str) -> std::result::Result<Self, String> {
        let (variable, rest) = match text.split_once('=') {
            Some((variable, rest)) => (variable, Some(rest)),
            None => (text, None),
        };
        if variable.is_empty() || variable.contains(char::is_control) {
            return Err("write VARIABLE or VARIABLE=PROFILE".to_owned());
        }
        let (profile, form) = match rest.map(|rest| rest.split_once(':').ok_or(rest)) {
            None => (None, Form::Token),
            Some(Err("")) => return Err("write VARIABLE or VARIABLE=PROFILE".to_owned()),
            Some(Err(profile)) => (Some(profile), Form::Token),
            Some(Ok((profile, form))) => {
                let form = Form::parse(form).map_err(|fault| match shown(variable) {
                    Some(variable) => format!("for {variable}, {fault}"),
                    None => fault,
                })?;
                (Some(profile).filter(|name| !name.is_empty()), form)
            }
        };
        Ok(Self {
            variable: variable.to_owned(),
            profile: profile.map(str::to_owned),
            form,
        })
    }
}

/// A variable's name for a message, if it looks like one: other texts may be misplaced secrets.
fn shown(variable: &str) -> Option<&str> {
    let is_usual = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    (variable.len() <= 64 && variable.bytes().all(is_usual)).then_some(variable)
}

impl Form {
    fn parse(text: &str) -> std::result::Result<Self, String> {
        match text {
            "bearer" => Ok(Self::Bearer),
            "header" => Ok(Self::Header),
            _ if !text.contains('{') => {
                Err("write bearer, header or a template with {token} after the colon".to_owned())
            }
            _ => Template::parse(text).map(Self::Template),
        }
    }

    /// # Errors
    /// `Usage` if the profile's URLs use different headers.
    fn write(&self, obtained: &Obtained, selected: &SelectedProfile) -> Result<String> {
        let token = &obtained.token.access_token;
        Ok(match self {
            Self::Token => token.expose().to_owned(),
            Self::Bearer => bearer(token),
            Self::Header => header_line(selected, token).map_err(|error| {
                error.hint("write the one that is wanted as a template, such as 'X-Key: {token}'")
            })?,
            Self::Template(template) => template.fill(&Values::of(obtained)),
        })
    }
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
                Word::Option("-e" | "--env") => {
                    args.variables.push(Wanted::parse(words.value()?).ok()?);
                }
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
    let default = [Wanted {
        variable: DEFAULT_VARIABLE.to_owned(),
        profile: None,
        form: Form::Token,
    }];
    let wanted = match args.variables.as_slice() {
        [] => &default[..],
        given => given,
    };
    let mut command = program::as_called(program);
    command.args(arguments);
    let directories = profiles::directories()?;
    let profiles = Profiles::of(&directories);
    let find = |one: &Wanted| {
        let found = profiles.find(one.profile.as_deref());
        found.map_err(|error| match shown(&one.variable) {
            Some(variable) if wanted.len() > 1 => {
                error.hint(format!("this profile is for {variable}"))
            }
            _ => error,
        })
    };
    let selected = wanted.iter().map(find);
    let mut selected = selected.collect::<Result<Vec<_>>>()?;
    // The program must not get a secret. This comes first, because the user may choose the same variable
    // for a token.
    for selected in &selected {
        for variable in selected.profile.secret_variables() {
            command.env_remove(variable);
        }
    }
    let options = TokenOptions {
        min_ttl: args.min_ttl,
        ..TokenOptions::default()
    };
    let mut is_any_new = false;
    for (wanted, selected) in wanted.iter().zip(&mut selected) {
        let obtained = obtain(&directories, &profiles, &options, selected)?;
        if obtained.is_new {
            is_any_new = true;
            expiry::warn(&directories, selected);
        }
        command.env(&wanted.variable, wanted.form.write(&obtained, selected)?);
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
