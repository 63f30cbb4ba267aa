//! Completions: `hallpass completions SHELL` prints a script, which runs `hallpass complete` for each word.
//! So a script stays right when hallpass is updated, and knows the profiles.

mod values;

use std::borrow::Cow;
use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, ValueEnum};

use crate::message;
use values::{Known, of_argument};

/// The longest description, in characters.
const DESCRIPTION_LIMIT: usize = 80;

/// Print a script that completes commands, options, profiles, tools and presets
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eval \"$(hallpass completions bash)\"                                # in ~/.bashrc
  eval \"$(hallpass completions zsh)\"                                 # in ~/.zshrc, after compinit
  hallpass completions fish > ~/.config/fish/completions/hallpass.fish
  hallpass completions powershell | Out-String | Invoke-Expression   # in $PROFILE")]
pub(crate) struct Args {
    /// Shell
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

pub(crate) fn run(args: &Args) -> String {
    match args.shell {
        Shell::Bash => include_str!("completions/hallpass.bash"),
        Shell::Zsh => include_str!("completions/hallpass.zsh"),
        Shell::Fish => include_str!("completions/hallpass.fish"),
        Shell::Powershell => include_str!("completions/hallpass.ps1"),
    }
    .to_owned()
}

/// What the scripts run.
#[derive(Debug, clap::Args)]
pub(crate) struct CompleteArgs {
    /// `=` and the word to complete, then the words before it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl CompleteArgs {
    /// Parses the words after `complete`. None if they are not UTF-8 text.
    pub(crate) fn read(words: &[OsString]) -> Option<Self> {
        let words = words.iter().map(|word| word.to_str().map(str::to_owned));
        words.collect::<Option<_>>().map(|words| Self { words })
    }

    /// The word that is the command, if the first word before the one to complete is.
    pub(crate) fn command(&self) -> Option<&str> {
        self.words.get(1).map(String::as_str)
    }
}

/// The words that can stand at a place, a line each: the word, a tab and its description. A line that
/// begins with a colon names what the shell itself completes.
pub(crate) fn complete(args: &CompleteArgs, program: &Command) -> String {
    let Some((current, before)) = args.words.split_first() else {
        return String::new();
    };
    let current = current.strip_prefix('=').unwrap_or(current);
    let candidates = Position::after(program, before).candidates(current);
    let lengths = candidates
        .iter()
        .map(|it| it.word.len() + it.about.len() + 2);
    let mut text = String::with_capacity(lengths.sum());
    for Candidate { word, about } in &candidates {
        if word.starts_with(':') || word.starts_with(current) && !word.contains(char::is_control) {
            for part in [word, "\t", about, "\n"] {
                text.push_str(part);
            }
        }
    }
    // The process ends after this.
    std::mem::forget(candidates);
    text
}

/// A word that can be next.
struct Candidate {
    word: String,
    about: Cow<'static, str>,
}

impl Candidate {
    fn new(word: impl Into<String>, about: impl AsRef<str>) -> Self {
        Self {
            word: word.into(),
            about: message::clean(about.as_ref(), DESCRIPTION_LIMIT).into(),
        }
    }

    /// Of one profile in a thousand, so it has nothing to clean.
    fn profile(word: String) -> Self {
        Self {
            word,
            about: "profile".into(),
        }
    }
}

/// A place on the command line: what the words before it mean.
struct Position<'a> {
    program: &'a Command,
    command: &'a Command,
    /// The option whose value comes next.
    pending: Option<&'a Arg>,
    /// The arguments that are no options.
    arguments: Vec<&'a str>,
    /// The options that were given, with their values.
    given: Vec<(&'a Arg, Option<&'a str>)>,
    is_after_dashes: bool,
}

impl<'a> Position<'a> {
    fn after(program: &'a Command, words: &'a [String]) -> Self {
        let mut position = Self {
            program,
            command: program,
            pending: None,
            arguments: Vec::new(),
            given: Vec::new(),
            is_after_dashes: false,
        };
        for word in words {
            position.add(word);
        }
        position
    }

    fn add(&mut self, word: &'a str) {
        if let Some(option) = self.pending.take() {
            self.given.push((option, Some(word)));
        } else if self.is_after_dashes {
            self.arguments.push(word);
        } else if word == "--" {
            self.is_after_dashes = true;
        } else if let Some((option, value)) = self.option(word) {
            if value.is_none() && takes_value(option) {
                self.pending = Some(option);
            } else {
                self.given.push((option, value));
            }
        } else if word.starts_with('-') && word.len() > 1 {
            // An option that there is not.
        } else if let Some(command) = self.subcommand(word) {
            self.command = command;
        } else {
            self.arguments.push(word);
        }
    }

    fn subcommand(&self, word: &str) -> Option<&'a Command> {
        let command = self.command.find_subcommand(word);
        command.filter(|_| self.arguments.is_empty())
    }

    /// The option of a word, and its value if that is in the word.
    fn option(&self, word: &'a str) -> Option<(&'a Arg, Option<&'a str>)> {
        let mut options = self.command.get_arguments();
        if let Some(name) = word.strip_prefix("--") {
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (name, None),
            };
            let option = options.find(|option| option.get_long() == Some(name))?;
            return Some((option, value));
        }
        let mut letters = word.strip_prefix('-')?.chars();
        let letter = letters.next()?;
        let option = options.find(|option| option.get_short() == Some(letter))?;
        let value = Some(letters.as_str()).filter(|value| !value.is_empty());
        Some((option, value))
    }

    fn candidates(&self, current: &str) -> Vec<Candidate> {
        if let Some(option) = self.pending {
            return self.values(option, "", current);
        }
        if !self.is_after_dashes && current.starts_with('-') {
            let value_at = current.find('=').map(|at| at + 1);
            return match (self.option(current), value_at) {
                (Some((option, Some(_))), Some(at)) if current.starts_with("--") => {
                    self.values(option, &current[..at], &current[at..])
                }
                _ => self.options(),
            };
        }
        let mut candidates = Vec::new();
        if self.arguments.is_empty() && !self.is_after_dashes {
            candidates.extend(subcommands(self.command));
        }
        if let Some(argument) = self.positional() {
            candidates.extend(self.values(argument, "", current));
        }
        candidates
    }

    /// The argument that comes next and is no option.
    fn positional(&self) -> Option<&'a Arg> {
        let positionals: Vec<_> = self.command.get_positionals().collect();
        let index = if self.is_after_dashes {
            positionals
                .iter()
                .position(|argument| argument.is_last_set())
        } else {
            None
        };
        let index = index.unwrap_or(self.arguments.len());
        let next = positionals.get(index).copied();
        let last = positionals.last().copied();
        let argument = next.or_else(|| last.filter(|last| takes_several(last)))?;
        let is_possible = self.is_after_dashes || !argument.is_last_set();
        (is_possible && !argument.is_hide_set()).then_some(argument)
    }

    fn options(&self) -> Vec<Candidate> {
        let is_repeatable =
            |option: &Arg| matches!(option.get_action(), ArgAction::Append | ArgAction::Count);
        let is_given = |option: &Arg| {
            self.given
                .iter()
                .any(|(it, _)| it.get_id() == option.get_id())
        };
        let everywhere = self.program.get_arguments();
        let everywhere = everywhere.filter(|option| option.is_global_set());
        let is_program = self.command.get_name() == self.program.get_name();
        let everywhere = everywhere.filter(|_| !is_program);
        let options = self.command.get_arguments().chain(everywhere);
        let options = options.filter(|it| !it.is_positional() && !it.is_hide_set());
        let options = options.filter(|option| is_repeatable(option) || !is_given(option));
        let candidate = |option: &Arg| {
            let name = format!("--{}", option.get_long()?);
            let about = option.get_help().map(ToString::to_string);
            Some(Candidate::new(name, about.unwrap_or_default()))
        };
        let mut candidates: Vec<_> = options.filter_map(candidate).collect();
        candidates.push(Candidate::new("--help", "Print help"));
        candidates
    }

    /// The values of an option or an argument, each after `prefix`.
    fn values(&self, argument: &Arg, prefix: &str, current: &str) -> Vec<Candidate> {
        let known = Known {
            program: self.program,
            command: self.command.get_name(),
            arguments: &self.arguments,
            given: &self.given,
            current,
        };
        let mut candidates = of_argument(argument, &known);
        let of_option = candidates.iter_mut().filter(|_| !prefix.is_empty());
        for candidate in of_option {
            if !candidate.word.starts_with(':') {
                candidate.word.insert_str(0, prefix);
            }
        }
        candidates
    }
}

fn subcommands(command: &Command) -> impl Iterator<Item = Candidate> {
    let commands = command.get_subcommands().filter(|it| !it.is_hide_set());
    commands.map(|command| {
        let about = command.get_about().map(ToString::to_string);
        Candidate::new(command.get_name(), about.unwrap_or_default())
    })
}

fn takes_value(option: &Arg) -> bool {
    option.get_action().takes_values()
}

fn takes_several(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Append)
}
