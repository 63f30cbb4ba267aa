//! Messages about wrong arguments. They never contain a value, which may be a misplaced secret.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Cli;
use crate::error::{Error, Result};

/// Returns clap's help or version as output, and everything else as our error.
pub(super) fn explain(error: &clap::Error, arguments: &[OsString]) -> Result<String> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(error.render().to_string()),
        _ => {
            let problem = Problem::of(error, arguments);
            Err(Error::usage(problem.message()).hint(problem.hint()))
        }
    }
}

/// clap's error, and its context.
struct Problem<'a> {
    error: &'a clap::Error,
    /// The command's name, if there is one.
    command: Option<String>,
    /// The wrong option or argument, without its value.
    option: Option<String>,
    has_separator: bool,
}

impl<'a> Problem<'a> {
    fn of(error: &'a clap::Error, arguments: &[OsString]) -> Self {
        let commands = commands();
        let first = arguments.get(1).and_then(|word| word.to_str());
        let command = commands
            .into_iter()
            .find(|name| Some(name.as_str()) == first);
        let mut problem = Self {
            error,
            command,
            option: None,
            has_separator: arguments.iter().any(|argument| argument == "--"),
        };
        problem.option = problem.name(ContextKind::InvalidArg);
        problem
    }

    fn context(&self, kind: ContextKind) -> Option<String> {
        match self.error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.clone()),
            Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
            _ => None,
        }
    }

    /// The name only, without `=VALUE` or the ` <VALUE>` that clap adds.
    fn name(&self, kind: ContextKind) -> Option<String> {
        let name = self.context(kind)?;
        let name = name
            .strip_prefix("[PROFILE]")
            .map_or(name.as_str(), |_| "a profile name");
        if name == "a profile name" {
            return Some(name.to_owned());
        }
        let name = name.split(['=', ' ']).next()?;
        name.starts_with(['-', '<', '[']).then(|| name.to_owned())
    }

    /// The unknown option, if it looks like one. Other words with a dash may be secrets.
    fn unknown_option(&self) -> Option<&str> {
        self.option
            .as_deref()
            .filter(|option| is_option_name(option))
    }

    fn message(&self) -> String {
        let option = self.option.as_deref();
        let with = |text: &str| match option {
            Some(option) => format!("{text}: {option}"),
            None => text.to_owned(),
        };
        match self.error.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
                let commands = match &self.command {
                    Some(command) => commands_of(Cli::command().find_subcommand(command)),
                    None => commands(),
                };
                format!("no command given; commands: {}", commands.join(", "))
            }
            ErrorKind::InvalidSubcommand => "unknown command".to_owned(),
            ErrorKind::UnknownArgument => match (self.unknown_option(), self.command.as_deref()) {
                (Some(option), _) => format!("unknown option {option}"),
                (None, Some(command @ ("login" | "token" | "status"))) => {
                    format!("unexpected argument (hallpass {command} takes one profile name)")
                }
                (None, _) => "unexpected argument".to_owned(),
            },
            ErrorKind::InvalidValue => match self.context(ContextKind::ValidValue) {
                Some(values) if !values.is_empty() => {
                    format!(
                        "invalid value for {}; use {values}",
                        option.unwrap_or_default()
                    )
                }
                _ => format!("{} needs a value", option.unwrap_or("the option")),
            },
            ErrorKind::TooManyValues => format!("{} takes no value", option.unwrap_or_default()),
            ErrorKind::ValueValidation => {
                // Our value parsers do not repeat the value.
                let reason = std::error::Error::source(self.error)
                    .map(ToString::to_string)
                    .unwrap_or_default();
                format!("invalid value for {}: {reason}", option.unwrap_or_default())
            }
            ErrorKind::ArgumentConflict => match (option, self.name(ContextKind::PriorArg)) {
                (Some(option), Some(other)) if *option == other => {
                    format!("{option} is given twice")
                }
                (Some(option), Some(other)) => format!("{option} cannot be used with {other}"),
                (Some(option), None) => format!("{option} cannot be used with other arguments"),
                _ => "two options cannot be used together".to_owned(),
            },
            ErrorKind::MissingRequiredArgument => match self.command.as_deref() {
                Some("bind" | "unbind" | "mcp") => "no URL given".to_owned(),
                Some("exec") => "no program given".to_owned(),
                Some("keep") => "no file given".to_owned(),
                _ => with("an argument is missing"),
            },
            ErrorKind::InvalidUtf8 => "an argument is not UTF-8 text".to_owned(),
            _ => with("the arguments do not fit together"),
        }
    }

    fn hint(&self) -> String {
        let suggestion = self
            .context(ContextKind::SuggestedArg)
            .or_else(|| self.context(ContextKind::SuggestedSubcommand));
        if let Some(suggestion) = suggestion {
            return format!("did you mean {suggestion}?");
        }
        let is_word =
            self.error.kind() == ErrorKind::UnknownArgument && self.unknown_option().is_none();
        let is_without_program = self.error.kind() == ErrorKind::MissingRequiredArgument;
        match self.command.as_deref() {
            Some("exec") if is_without_program || (is_word && !self.has_separator) => {
                "put -- before the program: hallpass exec [OPTION]... -- COMMAND [ARGUMENT]..."
                    .to_owned()
            }
            Some("login") if is_word => {
                "if it is a secret, leave it out: `hallpass login` prompts for it, or reads it with --secret-stdin"
                    .to_owned()
            }
            Some(command) => format!("see `hallpass {command} --help`"),
            None => "see `hallpass --help`".to_owned(),
        }
    }
}

fn commands() -> Vec<String> {
    commands_of(Some(&Cli::command()))
}

fn commands_of(command: Option<&clap::Command>) -> Vec<String> {
    let commands = command.into_iter().flat_map(clap::Command::get_subcommands);
    commands
        .filter(|command| !command.is_hide_set())
        .map(|command| command.get_name().to_owned())
        .collect()
}

fn is_option_name(argument: &str) -> bool {
    let is_lower_case = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    match argument.strip_prefix("--") {
        Some(name) => name.len() <= 24 && is_lower_case(name),
        None => argument.len() == 2 && argument.starts_with('-'),
    }
}
