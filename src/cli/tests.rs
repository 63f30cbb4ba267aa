//! Compares the parsers without clap with clap.

use clap::{Arg, CommandFactory as _};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const COMMANDS: [&str; 2] = ["token", "exec"];

#[test]
fn usual_command_lines_are_parsed_without_clap() {
    for (arguments, is_parsed) in [
        (&["token"][..], true),
        (&["token", "prod"], true),
        (&["token", ""], true),
        (&["token", "no such name"], true),
        (&["token", "--min-ttl", "5m"], true),
        (&["token", "--min-ttl=90", "prod"], true),
        (&["token", "prod", "--min-ttl", "2h"], true),
        (&["token", "prod", "--refresh", "--json"], true),
        (
            &["token", "--scope", "a", "--scope=b c", "--audience=x"],
            true,
        ),
        (
            &["token", "--url", "https://a.example/", "--format", "curl"],
            true,
        ),
        (&["token", "--output", "-"], true),
        (&["token", "--template", "x {token}"], true),
        (&["token", "--template", "x"], false),
        (&["token", "--template", "{token}", "--json"], false),
        (&["token", "--inspect", "--json"], true),
        (&["token", "--inspect", "--format", "raw"], false),
        (&["token", "--inspect", "--output", "x"], false),
        (&["token", "inspect", "prod"], false),
        (&["token", "--format", "env", "--variable", "A"], true),
        (&["token", "--format", "env", "--variable", "1"], false),
        (&["exec", "--", "ls"], true),
        (
            &["exec", "-e", "A=p:bearer", "-e", "A=p:{token}", "--", "ls"],
            true,
        ),
        (&["exec", "-e", "A=p:other", "--", "ls"], false),
        (
            &[
                "exec",
                "-e",
                "A=prod",
                "--env=B",
                "--min-ttl",
                "5m",
                "--",
                "ls",
                "-l",
                "--",
            ],
            true,
        ),
        (&["token", "-h"], false),
        (&["token", "--help"], false),
        (&["token", "--version"], false),
        (&["token", "--"], false),
        (&["token", "prod", "more"], false),
        (&["token", "--min-ttl"], false),
        (&["token", "--min-ttl="], false),
        (&["token", "--min-ttl", "soon"], false),
        (&["token", "--min-ttl", "-1"], false),
        (&["token", "--min-ttl", "--json"], false),
        (&["token", "--min-ttl", "5m", "--min-ttl=5m"], false),
        (&["token", "--min-tt", "5m"], false),
        (&["token", "--json=yes"], false),
        (&["token", "--json", "--json"], false),
        (&["token", "--json", "--format", "raw"], false),
        (&["token", "--format", "Raw"], false),
        (&["token", "--url", "ftp://a.example/"], false),
        (&["exec", "ls"], false),
        (&["exec", "--"], false),
        (&["exec", "-e", "--", "ls"], false),
        (&["exec", "--help"], false),
        (&["status"], false),
        (&[], false),
    ] {
        let all: Vec<_> = arguments.iter().map(OsString::from).collect();
        assert_eq!(parses_as_clap_does(&all), is_parsed, "{arguments:?}");
    }
}

#[test]
fn every_option_is_parsed_without_clap() {
    for command in COMMANDS {
        for option in options(command) {
            let spellings = [
                option.get_long().map(|name| format!("--{name}")),
                option.get_short().map(|name| format!("-{name}")),
            ];
            for spelling in spellings.into_iter().flatten() {
                for value in values(&option) {
                    let mut line: Vec<_> = [command, &spelling].map(OsString::from).into();
                    line.extend(value.map(OsString::from));
                    line.extend(end(command).iter().map(OsString::from));
                    assert!(parses_as_clap_does(&line), "{line:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn both_parsers_return_the_same(line in line()) {
        parses_as_clap_does(&line);
    }
}

/// Whether the line is parsed without clap. Panics if clap returns something else.
#[track_caller]
fn parses_as_clap_does(line: &[OsString]) -> bool {
    let line = [&[OsString::from("hallpass")], line].concat();
    let Some(read) = parse_without_clap(&line) else {
        return false;
    };
    match (read, Cli::try_parse_from(&line).map(|cli| cli.command)) {
        (Command::Token(read), Ok(Command::Token(args))) => assert_eq!(read, args, "{line:?}"),
        (Command::Exec(read), Ok(Command::Exec(args))) => assert_eq!(read, args, "{line:?}"),
        (read, by_clap) => panic!("{line:?}: {read:?}, but clap: {by_clap:?}"),
    }
    true
}

/// Every command, with the commands of its groups, by the words that call it.
fn commands() -> Vec<(String, clap::Command)> {
    fn add(command: &clap::Command, before: &str, found: &mut Vec<(String, clap::Command)>) {
        for command in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            let words = format!("{before} {}", command.get_name());
            add(command, &words, found);
            found.push((words, command.clone()));
        }
    }
    let mut found = Vec::new();
    add(&Cli::command(), "hallpass", &mut found);
    found
}

/// What the manual says about a command.
fn section<'a>(manual: &'a str, words: &str) -> &'a str {
    let (_, section) = manual
        .split_once(&format!("\n.SS {words}\n"))
        .unwrap_or_else(|| panic!("{words} is not in the manual"));
    section.split("\n.SS ").next().unwrap_or_default()
}

#[test]
fn every_option_is_in_the_manual_the_help_and_the_completions() {
    let manual = include_str!("../../man/hallpass.1").replace('\\', "");
    let synopsis = manual.split(".SH DESCRIPTION").next().unwrap_or_default();
    let login = section(&manual, "hallpass login");
    for (words, mut command) in commands() {
        // A command of a group is described in the section of the group.
        let group = words.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let section = section(&manual, &group);
        assert!(synopsis.contains(&format!(".B {group}\n")), "{words}");
        let help = command.render_long_help().to_string();
        let options = command.get_arguments();
        let options: Vec<_> = options
            .filter(|it| !it.is_positional() && !it.is_hide_set())
            .filter(|it| !["help", "version"].contains(&it.get_id().as_str()))
            .collect();
        let has_groups = options.iter().any(|it| it.get_help_heading().is_some());
        let before = words.split(' ').skip(1).map(OsString::from);
        let before = [vec!["=--".into()], before.collect()].concat();
        let completed = completions::CompleteArgs::read(&before).expect("text");
        let completed = completions::complete(&completed, &Cli::command());
        for option in options {
            let name = option.get_long().expect("a long name");
            let is_title =
                |line: &str| line.starts_with('.') && line.contains(&format!("--{name}"));
            // `profile edit` has the options of a login.
            let is_of_profile = group == "hallpass profile";
            let login = login.lines().filter(|_| is_of_profile);
            let mut titles = section.lines().chain(login);
            assert!(
                titles.any(is_title),
                "{words} --{name} is not in the manual"
            );
            assert!(help.contains(&format!("--{name}")), "{words} --{name}");
            assert!(option.get_help().is_some(), "{words} --{name} has no help");
            let line = format!("\n--{name}\t");
            assert!(
                format!("\n{completed}").contains(&line),
                "{words} --{name}: {completed}"
            );
            if has_groups {
                assert!(
                    option.get_help_heading().is_some(),
                    "{words} --{name} is in no group"
                );
            }
        }
    }
}

/// The options of a command. clap adds those for help and version only when it parses a line.
fn options(command: &str) -> Vec<Arg> {
    let cli = Cli::command();
    let command = cli.find_subcommand(command).expect("a command");
    let arguments = command.get_arguments();
    arguments
        .filter(|argument| !argument.is_positional())
        .cloned()
        .collect()
}

/// Values that the option takes: `None` if it takes none.
fn values(option: &Arg) -> Vec<Option<String>> {
    let named = option.get_possible_values();
    if !option.get_action().takes_values() {
        vec![None]
    } else if !named.is_empty() {
        named
            .iter()
            .map(|value| Some(value.get_name().to_owned()))
            .collect()
    } else {
        let value = match option.get_id().as_str() {
            "min_ttl" => "5m",
            "url" | "introspection_url" => "https://a.example/",
            "request" => "GET https://a.example/",
            "template" => "{token}",
            _ => "x",
        };
        vec![Some(value.to_owned())]
    }
}

/// The required end of this command's line.
fn end(command: &str) -> &'static [&'static str] {
    if command == "exec" {
        &["--", "ls"]
    } else {
        &[]
    }
}

/// Random words after a command.
fn line() -> impl Strategy<Value = Vec<OsString>> {
    const VALUES: [&str; 16] = [
        "",
        "-",
        "--",
        "-1",
        "-h",
        "-V",
        "-e",
        "-eA",
        "--help",
        "--min-tt",
        "5m",
        "soon",
        "prod",
        "A=prod",
        "=",
        "https://a.example/",
    ];
    let mut words = Vec::new();
    for option in COMMANDS.into_iter().flat_map(options) {
        words.extend(option.get_long().map(|name| format!("--{name}")));
        let values = option.get_possible_values();
        words.extend(values.iter().map(|value| value.get_name().to_owned()));
    }
    words.extend(VALUES.map(str::to_owned));
    let word = select(words);
    let word = prop_oneof![
        4 => word.clone().prop_map(OsString::from),
        1 => (word.clone(), word).prop_map(|(name, value)| format!("{name}={value}").into()),
        1 => Just(not_utf8()),
    ];
    let words = prop::collection::vec(word, 0..6);
    (select(&COMMANDS[..]), words).prop_map(|(command, words)| {
        let mut line = vec![OsString::from(command)];
        line.extend(words);
        line
    })
}

#[cfg(unix)]
fn not_utf8() -> OsString {
    use std::os::unix::ffi::OsStringExt as _;
    OsString::from_vec(b"--output=\xff".to_vec())
}

#[cfg(windows)]
fn not_utf8() -> OsString {
    use std::os::windows::ffi::OsStringExt as _;
    OsString::from_wide(&[0xd800])
}

#[test]
fn a_panic_is_reported_by_its_location_only() {
    const PANICS: &str = "THIS_TEST_PANICS";
    if std::env::var_os(PANICS).is_some() {
        report_panics_without_their_message();
        let secret = std::env::args().next().unwrap_or_default();
        panic!("a secret: {secret}");
    }
    let this_test = "cli::tests::a_panic_is_reported_by_its_location_only";
    let this_program = std::env::current_exe().expect("a path");
    let mut again = std::process::Command::new(this_program);
    again.args(["--exact", this_test, "--nocapture"]);
    let ran = again.env(PANICS, "1").output().expect("it runs");
    let messages = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{messages}");
    let location = "hallpass: error: hallpass has a bug at src/cli/tests.rs:";
    assert!(messages.contains(location), "{messages}");
    assert!(!messages.contains("secret"), "{messages}");
}

#[test]
fn a_panic_for_what_the_system_refuses_has_its_number() {
    for (text, number) in [
        (
            "OS can't spawn worker thread: Resource temporarily unavailable (os error 11)",
            Some(11),
        ),
        (
            "cannot initialize I/O event notification: Os { code: 24, kind: Uncategorized, message: \"x\" }",
            Some(24),
        ),
        ("index out of bounds: the len is 3 but the index is 3", None),
        ("Os { code: x }", None),
    ] {
        let found = refusal(&text.to_owned());
        let number_of = |error: io::Error| error.raw_os_error();
        assert_eq!(found.and_then(number_of), number, "{text}");
        assert_eq!(refusal(&text).and_then(number_of), number, "{text}");
    }
}
