//! The values of options and arguments: names that hallpass knows, and what the shell completes.

use clap::{Arg, Command, ValueHint};

use super::{Candidate, subcommands};
use crate::commands::{help, setup};
use crate::profile::ProfileName;
use crate::profile::settings::presets::{PRESETS, Preset};
use crate::profiles::{self, Profiles};

/// What is known of the command line.
pub(super) struct Known<'a> {
    pub(super) program: &'a Command,
    pub(super) command: &'a str,
    pub(super) arguments: &'a [&'a str],
    pub(super) given: &'a [(&'a Arg, Option<&'a str>)],
    /// The beginning of the value.
    pub(super) current: &'a str,
}

const FILES: &str = ":files";
const DIRECTORIES: &str = ":directories";
const COMMANDS: &str = ":commands";

/// The values of an option or an argument; none if anything can be one.
pub(super) fn of_argument(argument: &Arg, known: &Known<'_>) -> Vec<Candidate> {
    let possible = argument.get_possible_values();
    if !possible.is_empty() {
        let shown = possible.iter().filter(|value| !value.is_hide_set());
        let candidate = |value: &clap::builder::PossibleValue| {
            let about = value.get_help().map(ToString::to_string);
            Candidate::new(value.get_name(), about.unwrap_or_default())
        };
        return shown.map(candidate).collect();
    }
    let name = argument.get_value_names().and_then(<[_]>::first);
    let name = name.map_or("", |name| name.as_str());
    let id = argument.get_id().as_str();
    match (known.command, id, name) {
        (_, "profile" | "mcp_profile", _) | (_, _, "PROFILE") => profiles("", ""),
        ("bind" | "unbind", "words", _) if known.arguments.is_empty() => profiles("", ""),
        ("unbind", "words", _) => bound_urls(known.arguments[0]),
        ("mcp", "url", _) => every_bound_url(),
        ("serve", "url", _) if !known.arguments.is_empty() => bound_urls(known.arguments[0]),
        ("exec", "variables", _) => match known.current.split_once('=') {
            Some((variable, _)) => profiles(&[variable, "="].concat(), ""),
            None => Vec::new(),
        },
        ("keep", "targets", _) => match known.current.split_once('=') {
            Some(_) => vec![Candidate::new(FILES, "")],
            None => profiles("", "="),
        },
        ("setup", "tool", _) => setup::names()
            .map(|(name, about)| Candidate::new(name, about))
            .collect(),
        ("login", "provider", _) => presets(),
        ("login", "set", _) => settings(known),
        ("help", ..) if known.arguments.is_empty() => {
            subcommands(known.program).chain(topics()).collect()
        }
        (_, _, "COMMAND") => vec![Candidate::new(COMMANDS, "")],
        (_, _, "DIRECTORY") => vec![Candidate::new(DIRECTORIES, "")],
        (_, _, name) if name.starts_with("FILE") || name == "PATH" => {
            vec![Candidate::new(FILES, "")]
        }
        _ if argument.get_value_hint() == ValueHint::AnyPath => vec![Candidate::new(FILES, "")],
        _ => Vec::new(),
    }
}

/// The stored profiles. Those that cannot be read complete nothing: this is no place for an error.
fn profiles(prefix: &str, suffix: &str) -> Vec<Candidate> {
    let names = profiles::directories().and_then(|at| Profiles::of(&at).unsorted_names());
    let mut names = names.unwrap_or_default();
    // By bytes, as shells sort them anyway.
    names.sort_unstable();
    let word = |name: ProfileName| {
        let mut name = name.into_string();
        if !prefix.is_empty() {
            name.insert_str(0, prefix);
        }
        name + suffix
    };
    names
        .into_iter()
        .map(|name| Candidate::profile(word(name)))
        .collect()
}

fn bound_urls(profile: &str) -> Vec<Candidate> {
    let load = || {
        let name = ProfileName::parse(profile).ok()?;
        let directories = profiles::directories().ok()?;
        Profiles::of(&directories).load(&name).ok()
    };
    let bindings = load().map(|profile| profile.bindings).unwrap_or_default();
    let urls = bindings.iter().map(|binding| binding.url.as_str());
    urls.map(|url| Candidate::new(url, "")).collect()
}

/// The URLs of all profiles.
fn every_bound_url() -> Vec<Candidate> {
    let names = profiles::directories().and_then(|at| Profiles::of(&at).names());
    let names = names.unwrap_or_default();
    names
        .iter()
        .flat_map(|name| bound_urls(name.as_str()))
        .collect()
}

fn presets() -> Vec<Candidate> {
    let presets = PRESETS.iter();
    let presets = presets.map(|preset| Candidate::new(preset.name, preset.title));
    presets
        .chain([Candidate::new("help", "list the presets")])
        .collect()
}

/// The settings of the preset that was given.
fn settings(known: &Known<'_>) -> Vec<Candidate> {
    let provider = known.given.iter().find(|(it, _)| it.get_id() == "provider");
    let provider = provider.and_then(|(_, value)| *value);
    let questions = provider
        .and_then(Preset::find)
        .map(|preset| preset.questions);
    let questions = questions.unwrap_or_default().iter();
    questions
        .map(|it| Candidate::new([it.name, "="].concat(), it.label))
        .collect()
}

fn topics() -> impl Iterator<Item = Candidate> {
    let topics = help::topics().into_iter();
    topics.map(|topic| Candidate::new(topic, "topic"))
}
