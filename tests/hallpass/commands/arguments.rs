//! Arguments: the messages about them, help, and the exit codes.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use super::{COMMANDS, fails, path};
use crate::machine::{Machine, Ran, SECRET};
use crate::server::{Reply, Request, Server};

#[test]
fn a_message_about_arguments_never_repeats_a_value() {
    let machine = Machine::new();
    let rows: [&[&str]; 30] = [
        &[SECRET_WORD],
        &["tokens", SECRET_WORD],
        &["token", "prod", SECRET_WORD],
        &["token", "Prod!", SECRET_WORD],
        &["token", "plainsecretword!"],
        &["token", "--nope=plainsecretword"],
        &["token", "--nope", SECRET_WORD],
        &["token", "-xplainsecretword"],
        &["token", "--json=plainsecretword"],
        &["token", "--min-ttl", SECRET_WORD],
        &["token", "--client-secret", SECRET_WORD],
        &["token", "--secret-stdin", SECRET_WORD],
        &["logout", "--all", SECRET_WORD],
        &["status", "prod", SECRET_WORD],
        &["login", "prod", SECRET_WORD],
        &["login", "--token-url", SECRET_WORD],
        &[
            "login",
            "--token-url",
            "https://u:plainsecretword@a.example/",
        ],
        &["login", "--token-url", "https://a.example/#plainsecretword"],
        &["login", "--revocation-url", SECRET_WORD],
        &["login", "--for", "https://a.example/?plainsecretword"],
        &["login", "--auth", SECRET_WORD],
        &["login", "--body", SECRET_WORD],
        &["login", "--param", SECRET_WORD],
        &["login", "--param", "client_secret=plainsecretword"],
        &["login", "--resource", SECRET_WORD],
        &["login", "--secret-command", "'plainsecretword"],
        &["login", "--secret-stdin=plainsecretword"],
        &["login", "--secret-stdin", "--secret-file", SECRET_WORD],
        &[
            "login",
            "--client-id",
            SECRET_WORD,
            "--client-id",
            SECRET_WORD,
        ],
        &["login", "--no-verify", "--timeout", SECRET_WORD],
    ];
    for arguments in rows {
        let ran = fails(machine.run(arguments), 2);
        assert!(!ran.stderr.contains(SECRET_WORD), "{arguments:?}: {ran:?}");
    }
    assert!(machine.files().is_empty());
}

#[test]
fn a_secret_as_an_argument_is_refused_in_every_spelling() {
    let machine = Machine::new();
    let spellings: [&[&str]; 7] = [
        &["--client-secret", SECRET_WORD],
        &["--client-secret=plainsecretword"],
        &["--client_secret", SECRET_WORD],
        &["--secret", SECRET_WORD],
        &["--password", SECRET_WORD],
        &["--password"],
        &[
            "--no-verify",
            "--client-id",
            "x",
            "--client-secret",
            SECRET_WORD,
        ],
    ];
    for spelling in spellings {
        let mut arguments = vec!["login", "prod"];
        arguments.extend(spelling);
        let ran = fails(machine.run(&arguments), 2);
        assert!(
            ran.stderr.contains("other processes can read it"),
            "{ran:?}"
        );
        assert!(
            ran.stderr.contains("hint: ") && ran.stderr.contains("--secret-stdin"),
            "{ran:?}"
        );
        assert!(!ran.stderr.contains(SECRET_WORD), "{ran:?}");
    }
    let help = machine.run(&["login", "--help"]).success().stdout;
    assert!(!help.contains("--client-secret"), "{help}");
}

#[test]
fn messages_about_arguments_name_the_option() {
    let machine = Machine::new();
    let rows: [(&[&str], &str); 13] = [
        (&["tokn"], "unknown command"),
        (&["token", "--nope"], "unknown option --nope"),
        (
            &["token", "a", "b"],
            "unexpected argument (hallpass token takes one profile name)",
        ),
        (
            &["login", "--param", "x"],
            "invalid value for --param: use NAME=VALUE",
        ),
        (
            &["login", "--token-url", "ftp://a"],
            "invalid value for --token-url: the URL must start with https://",
        ),
        (
            &["login", "--auth", "basic"],
            "invalid value for --auth; use client_secret_basic, client_secret_post",
        ),
        (
            &["login", "--auth"],
            "invalid value for --auth; use client_secret_basic, client_secret_post",
        ),
        (&["login", "--client-id"], "--client-id needs a value"),
        (&["token", "--json=1"], "--json takes no value"),
        (
            &["login", "--client-id", "a", "--client-id", "b"],
            "--client-id is given twice",
        ),
        (
            &["login", "--secret-stdin", "--secret-file", "a"],
            "--secret-stdin cannot be used with --secret-file",
        ),
        (
            &["logout", "--all", "prod"],
            "--all cannot be used with a profile name",
        ),
        (&["token", "-x"], "unknown option -x"),
    ];
    for (arguments, message) in rows {
        let ran = fails(machine.run(arguments), 2);
        assert!(
            ran.stderr
                .starts_with(&format!("hallpass: error: {message}")),
            "{message}: {ran:?}"
        );
        assert!(ran.stderr.contains("hallpass: hint: "), "{ran:?}");
    }
    for (arguments, suggestion) in [
        (&["tokn"][..], "did you mean token?"),
        (&["login", "--token-ur", "x"], "did you mean --token-url?"),
        (&["token", "--refesh"], "did you mean --refresh?"),
    ] {
        let ran = fails(machine.run(arguments), 2);
        assert!(ran.stderr.contains(suggestion), "{ran:?}");
    }
    let mut command = machine.hallpass(&["token"]);
    command.arg(std::os::unix::ffi::OsStrExt::from_bytes(b"\xff") as &std::ffi::OsStr);
    let ran = fails(Ran::from(command.output().expect("hallpass starts")), 2);
    assert!(ran.stderr.contains("is not UTF-8"), "{ran:?}");
}

#[test]
fn help_and_version_are_output() {
    let machine = Machine::new();
    for flag in ["--help", "-h"] {
        let help = quiet_output(&machine, &[flag]);
        for command in COMMANDS {
            assert!(help.contains(&format!("\n  {command} ")), "{help}");
            let help = quiet_output(&machine, &[command, flag]);
            assert!(
                help.contains(&format!("Usage: hallpass {command} ")),
                "{help}"
            );
        }
    }
    for flag in ["--version", "-V"] {
        let version = quiet_output(&machine, &[flag]);
        assert_eq!(version, format!("hallpass {}\n", env!("CARGO_PKG_VERSION")));
        for command in COMMANDS {
            let version = quiet_output(&machine, &[command, flag]);
            assert_eq!(
                version,
                format!("hallpass-{command} {}\n", env!("CARGO_PKG_VERSION"))
            );
        }
    }
    assert!(machine.files().is_empty());
}

#[test]
fn the_exit_code_depends_on_the_kind_of_error() {
    let machine = Machine::new();
    let server = Server::start(|request: &Request| match request.target.as_str() {
        "/refuses" => Reply::json(400, r#"{"error":"invalid_scope"}"#),
        "/is-away" => Reply::new(503),
        _ => Reply::token("t", 3600),
    });
    let at = |path: &str| server.url(path);
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let open = machine.private_file("open", SECRET.as_bytes());
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("its mode");
    let login = |name: &str, url: &str, file: &std::path::Path, verify: bool| {
        let mut arguments = vec![
            "login",
            name,
            "--token-url",
            url,
            "--client-id",
            "x",
            "--secret-file",
            path(file),
        ];
        arguments.extend((!verify).then_some("--no-verify"));
        machine.run(&arguments)
    };
    login("good", &at("/"), &secret, true).success();
    login("refused", &at("/refuses"), &secret, false).success();
    login("away", &at("/is-away"), &secret, false).success();
    login("locked", &at("/"), &open, false).success();
    for (profile, code) in [
        ("good", 0),
        ("no/name", 2),
        ("absent", 3),
        ("refused", 4),
        ("away", 5),
        ("locked", 6),
    ] {
        let ran = machine.run(&["token", profile]);
        if code == 0 {
            assert_eq!(ran.token(), "t");
        } else {
            let ran = fails(ran, code);
            assert!(ran.stderr.contains("hallpass: hint: "), "{ran:?}");
        }
    }
    for (url, file, code) in [
        ("/refuses", &secret, 4),
        ("/is-away", &secret, 5),
        ("/", &open, 6),
    ] {
        fails(login("another", &at(url), file, true), code);
    }
    // 1 is for the disk, and for bugs.
    let mut command = machine.hallpass(&["token", "good"]);
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let output = command.stdout(full).stderr(Stdio::piped()).output();
    let ran = fails(Ran::from(output.expect("hallpass starts")), 1);
    assert!(
        ran.stderr.contains("cannot write to standard output"),
        "{ran:?}"
    );
}

#[test]
fn a_name_that_is_no_file_name_is_refused_everywhere() {
    let machine = Machine::new();
    for name in [
        "",
        ".",
        "..",
        "../p",
        "/etc/passwd",
        ".hidden",
        "a/b",
        "a\\b",
        "con",
        "CON:",
        "Prod",
        "a b",
        "ä",
        "a.",
        "a\n",
        &"x".repeat(300),
    ] {
        for command in COMMANDS {
            let ran = fails(machine.run(&[command, name]), 2);
            assert!(ran.stderr.contains("invalid profile name"), "{ran:?}");
        }
    }
    fails(machine.run(&["token", "-rf"]), 2);
    assert!(machine.files().is_empty());
}

/// A secret in plain letters: no encoding hides it from a search.
const SECRET_WORD: &str = "plainsecretword";

/// What a successful run prints when it has nothing to say beside.
#[track_caller]
fn quiet_output(machine: &Machine, arguments: &[&str]) -> String {
    let ran = machine.run(arguments).success();
    assert_eq!(ran.stderr, "", "{ran:?}");
    ran.stdout
}
