//! Secrets that a command prints, and the time limits of requests.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::NO_FILES;
use crate::machine::{Machine, SECRET, numbered_tokens};
use crate::server::Server;

// The secret from a command.

#[test]
fn a_command_prints_the_secret() {
    let mut machine = Machine::new();
    machine.set("A_TEST_VALUE", "from the environment");
    fs::create_dir(machine.root().join("a directory")).expect("a directory");
    let script = machine.private_file("a directory/it's", b"#!/bin/sh\nprintf '%s|' \"$@\"\n");
    fs::set_permissions(&script, Permissions::from_mode(0o700)).expect("a mode");
    let script = script.to_str().expect("a path");
    let quoted = format!("\"{script}\" --x 'a b' \"c'd\" e\\ f '$HOME' ''");
    let rows = [
        ("printf s3cret", "s3cret"),
        ("printf '%s\\n' 's3cr%t+w:th/a \"quote\" & = ü'", SECRET),
        (&quoted, "--x|a b|c'd|e f|$HOME||"),
        ("printf '$(id) `id` ; | > & *'", "$(id) `id` ; | > & *"),
        (
            "!printf %s \"$A_TEST_VALUE\" | tr a-z A-Z",
            "FROM THE ENVIRONMENT",
        ),
        ("!echo 'noise' >&2; echo s3cret", "s3cret"),
        (
            "!head -c 50000 /dev/zero | tr '\\0' x >&2; cat; echo s3cret",
            "s3cret",
        ),
        ("!printf 's3cret\\r\\n'", "s3cret"),
    ];
    for (command, secret) in rows {
        let server = Server::start(numbered_tokens());
        let url = server.url("/");
        let login = [
            "login",
            "--token-url",
            &url,
            "--client-id",
            "id",
            "--replace",
            "--auth",
            "client_secret_post",
            "--secret-command",
            command,
        ];
        let ran = machine.run(&login).success();
        assert!(!ran.stderr.contains("noise"), "{ran:?}");
        assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
        for request in server.requests() {
            assert_eq!(
                request.form().pop(),
                Some(("client_secret".to_owned(), secret.to_owned())),
                "{command}"
            );
        }
    }
}

#[test]
fn a_command_that_prints_no_usable_secret_is_an_error() {
    let mut machine = Machine::new();
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "1");
    let server = Server::start(numbered_tokens());
    let rows: [(&str, i32, &[&str]); 18] = [
        ("", 2, &["--secret-command"]),
        ("  ", 2, &["--secret-command"]),
        ("printf 'not closed", 2, &["--secret-command"]),
        ("/no/such/program", 6, &["cannot be started"]),
        ("/", 6, &["cannot be started"]),
        ("false", 6, &["`false` failed (exit code 1)\n"]),
        (
            "!printf 'vault \\033[31mis\\n\\tsealed\\342\\200\\256' >&2; exit 3",
            6,
            &["failed (exit code 3): vault [31mis  sealed\n"],
        ),
        (
            "!head -c 5000 /dev/zero | tr '\\0' x >&2; exit 3",
            6,
            &["xxx…\n"],
        ),
        ("!echo s3cret; exit 1", 6, &["failed (exit code 1)\n"]),
        (
            "!echo s3cret; kill -9 $$",
            6,
            &["was ended by signal 9 (SIGKILL)\n"],
        ),
        ("true", 6, &["is empty"]),
        ("echo", 6, &["is empty"]),
        (
            "printf 's3cret\\ns3cret\\n'",
            6,
            &["has more than one line"],
        ),
        ("printf 's3cret\\033'", 6, &["contains a control character"]),
        (
            "!head -c 1000000 /dev/zero | tr '\\0' s",
            6,
            &["the secret command `sh` "],
        ),
        ("sleep 1000", 6, &["`sleep` did not finish within 1 s"]),
        (
            "!echo s3cret; exec sleep 1000",
            6,
            &["did not finish within 1 s"],
        ),
        // Its streams are closed, and it stays.
        (
            "!echo s3cret; exec >&- 2>&-; exec sleep 1000",
            6,
            &["did not finish within 1 s"],
        ),
    ];
    for (command, code, says) in rows {
        let url = server.url("/");
        let ran = machine.run(&[
            "login",
            "--token-url",
            &url,
            "--client-id",
            "id",
            "--secret-command",
            command,
        ]);
        let ran = ran.failure(code);
        assert!(
            says.iter().all(|message| ran.stderr.contains(message)),
            "{command}: {ran:?}"
        );
        assert!(
            !ran.stderr.contains("s3cret") && !ran.stderr.contains('\u{1b}'),
            "{command}: {ran:?}"
        );
        assert!(ran.stderr.chars().count() < 700, "{command}: {ran:?}");
        assert_eq!(machine.files(), NO_FILES);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_command_may_leave_something_behind_that_keeps_its_standard_error() {
    let mut machine = Machine::new();
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "5");
    let server = Server::start(numbered_tokens());
    let url = server.url("/");
    // As ssh does with a connection that is to be shared.
    let command = "!sleep 20 >/dev/null & printf s3cret";
    let login = ["login", "--token-url", &url, "--client-id", "id"];
    machine
        .run(&[&login[..], &["--secret-command", command]].concat())
        .success();
}

#[test]
fn a_command_runs_only_when_a_token_must_be_requested() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    let calls = machine.root().join("calls");
    let command = format!("!echo >> '{}'; echo s3cret", calls.display());
    let url = server.url("/");
    machine
        .run(&[
            "login",
            "--token-url",
            &url,
            "--client-id",
            "id",
            "--secret-command",
            &command,
        ])
        .success();
    for _ in 0..3 {
        assert_eq!(machine.run(&["token"]).token(), "token-1");
    }
    machine.run(&["token", "--refresh"]).success();
    assert_eq!(fs::read_to_string(calls).expect("calls").lines().count(), 2);
}

#[test]
fn a_time_limit_beyond_all_bounds_is_a_long_one() {
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", &u64::MAX.to_string());
    let url = server.url("/");
    let login = [
        "login",
        "--token-url",
        &url,
        "--client-id",
        "id",
        "--secret-command",
        "echo s3cret",
    ];
    machine
        .run(&[&login[..], &["--timeout", &u64::MAX.to_string()]].concat())
        .success();
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
    for timeout in ["0", "0s", "-1", "1.5s", "soon", "18446744073709551616", ""] {
        let ran = machine
            .run(&[&login[..], &[&*format!("--timeout={timeout}")]].concat())
            .failure(2);
        assert!(ran.stderr.contains("--timeout"), "{ran:?}");
    }
}
