//! Completions, in the shells that use them.

use std::path::Path;
use std::process::Command;

use crate::machine::{HALLPASS, Machine, finish, skip, spawn};
use crate::terminal::Terminal;

/// A URL that a shell would run, expand or split if it were not quoted.
const URL: &str = "https://a.example/$(touch%20x);b'c&d(e)";

/// A machine with two profiles, and with hallpass on its PATH.
fn machine() -> Machine {
    let mut machine = Machine::new();
    let directory = Path::new(&*HALLPASS).parent().expect("a directory");
    let path = std::env::var("PATH").expect("a PATH");
    machine.set("PATH", &format!("{}:{path}", directory.display()));
    machine.set("TERM", "dumb");
    machine.login("prod-one", machine.server(), &["--for", URL]);
    machine.login("q", machine.server(), &["--no-verify"]);
    machine
}

/// A shell's own way to show what it would complete. None if the shell is not installed.
fn run(machine: &Machine, shell: &str, arguments: &[&str]) -> Option<String> {
    if Command::new(shell).arg("--version").output().is_err() {
        skip(&format!("{shell} is not installed"));
        return None;
    }
    let mut command = machine.command(shell);
    command.args(arguments).current_dir(machine.root());
    Some(finish(spawn(&mut command)).success().stdout)
}

#[test]
fn words_are_completed_by_their_place() {
    let machine = machine();
    let complete = |words: &[&str]| {
        let shown = machine.run(&[&["complete"], words].concat()).output();
        let words = shown.lines().map(|line| line.split('\t').next());
        words
            .map(Option::unwrap_or_default)
            .collect::<Vec<_>>()
            .join(" ")
    };
    for (words, expected) in [
        (&["=tok"][..], "token"),
        (&["=", "token"], "prod-one q"),
        (&["=p", "token", "--refresh"], "prod-one"),
        (&["=", "token", "--scope"], ""),
        (&["=p", "token", "--scope", "p"], "prod-one"),
        (&["=", "token", "q"], ""),
        (&["=--ref", "token"], "--refresh"),
        (&["=--ref", "token", "--refresh"], ""),
        (&["=--scope", "token", "--scope", "a"], "--scope"),
        (&["=he", "token", "--format"], "header headers-json"),
        (
            &["=--format=header", "token"],
            "--format=header --format=headers-json",
        ),
        (&["=A=p", "exec", "-e"], "A=prod-one"),
        (&["=", "exec", "-e", "A=q", "--"], ":commands"),
        (&["=q", "git-credential", "--profile"], ""),
        (&["=dock", "setup"], "docker dockerfile"),
        (&["=cod", "setup", "mcp", "q", "--client"], "codex"),
        (&["=auth0", "login", "--provider"], "auth0"),
        (
            &["=", "login", "--provider", "auth0", "--set"],
            "domain= audience=",
        ),
        (
            &["=client_secret_p", "login", "--auth"],
            "client_secret_post",
        ),
        (&["=", "login", "--ca-file"], ":files"),
        (&["=", "setup", "--dir"], ":directories"),
        (
            &["=", "unbind", "prod-one"],
            "https://a.example/$(touch%20x);b'c&d(e)",
        ),
        (&["=", "mcp"], "https://a.example/$(touch%20x);b'c&d(e)"),
        (&["=exit", "help"], "exit-status"),
        (&["=--verb", "token"], "--verbose"),
        (&["=--verb"], "--verbose"),
        (&["=ba", "completions"], "bash"),
        (&["=comple"], "completions"),
        (&["=--client-s", "login"], ""),
        (&["=", "no-command"], ""),
        (&[], ""),
    ] {
        assert_eq!(complete(words), expected, "{words:?}");
    }
}

#[test]
fn profiles_that_cannot_be_listed_are_no_error() {
    let machine = Machine::new();
    let mut command = machine.hallpass(&["complete", "=", "token"]);
    command.env("HOME", "relative");
    assert_eq!(finish(spawn(&mut command)).output(), "");
}

#[test]
fn bash_completes_and_quotes() {
    let machine = machine();
    machine.private_file("a file.pem", b"");
    let script = r#"
        eval "$(hallpass completions bash)"
        complete_words() {
            COMP_WORDS=("$@")
            COMP_CWORD=$(($# - 1))
            _hallpass
            printf '<%s>' "${COMPREPLY[@]}"
            echo
        }
        complete_words hallpass tok
        complete_words hallpass token pr
        complete_words hallpass token --format = hea
        complete_words hallpass token --format =
        complete_words hallpass exec -e A = p
        complete_words hallpass unbind prod-one ht
        complete_words hallpass unbind prod-one https : //
        complete_words hallpass login --ca-file 'a f'
        complete_words hallpass login --provider auth0 --set dom
        complete_words hallpass token nothing
    "#;
    let arguments = ["--norc", "--noprofile", "-c", script];
    let Some(shown) = run(&machine, "bash", &arguments) else {
        return;
    };
    let quoted = r"\$\(touch%20x\)\;b\'c\&d\(e\)";
    let expected = format!(
        "<token>\n<prod-one>\n<header><headers-json>\n\
         <raw><header><bearer><headers-json><curl><env><dotenv><powershell><netrc><json>\n<prod-one>\n\
         <https://a.example/{quoted}>\n<//a.example/{quoted}>\n<a file.pem>\n<domain=>\n<>\n"
    );
    assert_eq!(shown, expected);
}

#[test]
fn fish_completes() {
    let machine = machine();
    machine.private_file("key.pem", b"");
    let script = "hallpass completions fish | source
        complete -C 'hallpass tok'
        complete -C 'hallpass token pr'
        complete -C 'hallpass token --format=hea'
        complete -C 'hallpass exec -e A=p'
        complete -C 'hallpass login --ca-file ke'
        complete -C 'hallpass unbind prod-one '";
    let Some(shown) = run(&machine, "fish", &["--no-config", "-c", script]) else {
        return;
    };
    let words: Vec<_> = shown
        .lines()
        .map(|line| line.split('\t').next().unwrap_or_default())
        .collect();
    let expected = [
        "token",
        "prod-one",
        "--format=header",
        "--format=headers-json",
        "A=prod-one",
        "key.pem",
        URL,
    ];
    assert_eq!(words, expected, "{shown}");
}

#[test]
fn bash_and_zsh_complete_what_is_typed() {
    let machine = machine();
    for (shell, arguments, start) in [
        ("bash", &["--norc", "--noprofile", "-i"][..], ""),
        (
            "zsh",
            &["-f", "-i"],
            "autoload -Uz compinit; compinit -u -D; ",
        ),
    ] {
        if Command::new(shell).arg("--version").output().is_err() {
            skip(&format!("{shell} is not installed"));
            continue;
        }
        let mut command = machine.command(shell);
        command.args(arguments);
        let mut terminal = Terminal::run(&command);
        let line = format!("{start}eval \"$(hallpass completions {shell})\"; PS1='rea''dy> '\n");
        terminal.send(&line);
        for (typed, shown) in [
            ("hallpass token pr\t\n", "token-2"),
            ("hallpass token --format=bea\t prod-one\n", "Bearer token-2"),
            (
                "hallpass unbind prod-one ht\t\n",
                "profile prod-one is no longer bound",
            ),
        ] {
            terminal.expect("ready> ");
            terminal.send(typed);
            terminal.expect(shown);
        }
        terminal.expect("ready> ");
        terminal.send("exit\n");
        assert_eq!(terminal.end().exit, Some(0), "{shell}");
        let bind = ["bind", "prod-one", URL];
        machine.run(&bind).success();
    }
    assert!(!machine.home().join("x").exists());
}
