//! `hallpass help` and `hallpass version`.

use std::process::Command;

use crate::machine::{Machine, skip};

/// The words of a page, without its head and foot, as groff shows them.
fn words_of_groff(page: &str) -> Option<Vec<String>> {
    let arguments = [
        "-man",
        "-Tutf8",
        "-rLL=500n",
        "-rHY=0",
        "-P-c",
        "-P-b",
        "-P-o",
        "-P-u",
        page,
    ];
    let ran = Command::new("groff").args(arguments).output().ok()?;
    let text = String::from_utf8(ran.stdout).expect("UTF-8");
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    Some(words(&lines[1..lines.len() - 1].join("\n")))
}

fn words(text: &str) -> Vec<String> {
    // The quotation marks and dashes of the terminal's character set.
    let plain = |c| match c {
        '‐' | '−' => '-',
        '’' | '‘' => '\'',
        '·' => '•',
        c => c,
    };
    let text: String = text.chars().map(plain).collect();
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_manual_in_the_program_has_the_words_of_the_manual_pages() {
    let machine = Machine::new();
    for (topic, page) in [
        ("manual", "man/hallpass.1"),
        ("helpers", "man/hallpass-helpers.1"),
        ("contract", "man/hallpass-contract.5"),
    ] {
        let shown = machine.run(&["help", topic]).output();
        assert!(shown.lines().all(|line| line.trim_end() == line), "{shown}");
        let Some(expected) = words_of_groff(page) else {
            return skip("groff is not installed");
        };
        let shown = words(&shown);
        let differs = shown
            .iter()
            .zip(&expected)
            .position(|(one, two)| one != two);
        let around = |words: &[String], at: usize| {
            words[at.saturating_sub(5)..(at + 5).min(words.len())].join(" ")
        };
        if let Some(at) = differs {
            panic!(
                "{page}: {:?}, but groff: {:?}",
                around(&shown, at),
                around(&expected, at)
            );
        }
        assert_eq!(shown.len(), expected.len(), "{page}");
    }
}

#[test]
fn help_shows_a_command_a_helper_or_a_topic() {
    let machine = Machine::new();
    for (words, beginning, part) in [
        (&["login"][..], "  hallpass login\n", "--token-url URL\n"),
        (&["git-credential"], "  git-credential get", "~/.gitconfig"),
        (
            &["exit-codes"],
            "EXIT STATUS\n",
            "\n    5   The authorization server",
        ),
        (
            &["Exit", "Status"],
            "EXIT STATUS\n",
            "\n    126 hallpass exec",
        ),
        (&["environment"], "ENVIRONMENT\n", "HALLPASS_TOKEN_URL"),
        (&["hallpass", "token"], "  hallpass token\n", "--min-ttl"),
        (&["hallpass-helpers"], "NAME\n", "hallpass-helpers"),
    ] {
        let shown = machine.run(&[&["help"], words].concat()).output();
        assert!(shown.starts_with(beginning), "{words:?}: {shown}");
        assert!(shown.contains(part), "{words:?}: {shown}");
        assert!(
            !shown.contains("\n  hallpass logout\n"),
            "{words:?}: {shown}"
        );
        assert!(!shown.contains('\u{1b}'), "{words:?}: {shown}");
    }
    let list = machine.run(&["help"]).output();
    for text in [
        "\n  login ",
        "\n  git-credential ",
        "exit-status",
        "contract",
        "security",
    ] {
        assert!(list.contains(text), "{text}: {list}");
    }
    machine.run(&["help", "no-topic"]).failure(2);
}

#[test]
fn without_a_command_the_help_is_shown_but_not_as_a_result() {
    let ran = Machine::new().run(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    let help = Machine::new().run(&["--help"]).output();
    assert_eq!(ran.stderr, help);
}

#[test]
fn the_version_names_the_commit_the_target_and_the_keychain() {
    let shown = Machine::new().run(&["version"]).output();
    let lines: Vec<_> = shown.lines().collect();
    let [version, commit, target, keychain] = lines[..] else {
        panic!("{shown}");
    };
    assert_eq!(version, format!("hallpass {}", env!("CARGO_PKG_VERSION")));
    let commit = commit.strip_prefix("commit    ").expect("the commit");
    assert!(commit == "unknown" || commit.len() == 40, "{shown}");
    assert!(
        target.starts_with("target    ") && target.contains("-linux-"),
        "{shown}"
    );
    assert_eq!(keychain, "keychain  Secret Service");
}
