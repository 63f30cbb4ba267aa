//! What holds for every protocol: links, warnings, errors, many callers.

use std::ffi::OsStr;
use std::fs;
use std::io::{Write as _, pipe};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use rustix::fs::{OFlags, fcntl_setfl};
use serde_json::json;

use super::{GIT, bound_to};
use crate::crowd::wait_until_it_sleeps;
use crate::machine::{HALLPASS, Machine, finish};
use crate::server::{Reply, Server};
use crate::support::ran;

#[test]
fn a_helper_can_be_run_by_the_name_of_a_link() {
    let machine = bound_to(&["https://a.example"]);
    let link = machine.root().join("git-credential-hallpass");
    let pnpm = machine.root().join("pnpm-tokenhelper-hallpass-prod");
    let hallpass = HALLPASS.as_str();
    for link in [&link, &pnpm] {
        std::os::unix::fs::symlink(hallpass, link).expect("a link");
    }
    let mut command = Command::new(&pnpm);
    command.env_clear().env("HOME", machine.home());
    assert_eq!(
        crate::support::ran(command).success().stdout,
        "Bearer token-1\n"
    );
    let mut command = Command::new(&link);
    command
        .env_clear()
        .env("HOME", machine.home())
        .arg("capability");
    assert!(
        crate::support::ran(command)
            .success()
            .stdout
            .starts_with("version 0\n")
    );
}

#[test]
fn a_helper_answers_whatever_the_program_is_called() {
    let machine = Machine::new();
    for name in [b"".as_slice(), b"/", b"..", b"other", b"/bin/\xff"] {
        let mut command = machine.hallpass(&["git-credential", "capability"]);
        command.arg0(OsStr::from_bytes(name));
        let message = ran(command).success().stdout;
        assert!(message.starts_with("version 0\n"), "{name:?}: {message}");
    }
}

/// As on Windows, where pip finds `keyring.EXE`.
#[test]
fn a_link_may_have_the_extension_exe() {
    let machine = bound_to(&["https://a.example"]);
    for name in ["keyring", "keyring.exe", "/bin/keyring.EXE"] {
        let mut command = machine.hallpass(&["get", "https://a.example", "me"]);
        command.arg0(name);
        assert_eq!(ran(command).success().stdout, "token-1\n", "{name}");
    }
}

#[test]
fn a_helper_that_succeeds_prints_no_warnings() {
    // Less scope than was requested, which other commands warn about.
    let server = Server::start(|_| {
        let token = json!({ "access_token": "token-1", "token_type": "Bearer", "scope": "A" });
        Reply::json(200, token.to_string())
    });
    let machine = Machine::new();
    let more = ["--scope", "A B", "--for", "https://a.example"];
    machine.login("prod", &server, &more);
    for helper in [
        &["google-executable"][..],
        &["pnpm-tokenhelper"],
        &["terraform-credentials", "get", "a.example"],
        &["keyring", "get", "https://a.example", "me"],
        &["askpass", "Password for 'https://me@a.example': "],
    ] {
        fs::remove_dir_all(machine.cache()).expect("a cache");
        let ran = machine.run(helper).success();
        assert!(ran.stdout.contains("token-1"), "{ran:?}");
        assert_eq!(ran.stderr, "", "{helper:?}");
    }
    fs::remove_dir_all(machine.cache()).expect("a cache");
    let ran = machine.run(&["token"]).success();
    assert!(
        ran.stderr
            .contains("granted scope \"A\" instead of \"A B\""),
        "{ran:?}"
    );
}

#[test]
fn an_invalid_profile_name_is_reported_in_the_protocols_error_format() {
    let machine = bound_to(&["https://a.example"]);
    let name = "--profile=No Name";
    let answer = machine
        .run_with_input(&["google-executable", name], "")
        .json();
    assert_eq!(answer["success"], false);
    let ran = machine.run(&["keyring", name, "get", "https://a.example", "me"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    let ran = machine.run_with_input(&["docker-credential", name, "get"], "a.example");
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("invalid profile name"), "{ran:?}");
    machine.run(&["pnpm-tokenhelper", name]).failure(2);
}

#[test]
fn a_missing_home_directory_is_reported_in_the_protocols_error_format() {
    let mut machine = bound_to(&["https://a.example"]);
    machine.set("HOME", "relative");
    let unknown = "the home directory is unknown";
    let git = machine.run_with_input(GIT, "protocol=https\nhost=a.example\n\n");
    assert_eq!((git.code, git.stdout.as_str()), (1, "quit=1\n"));
    assert!(git.stderr.contains(unknown), "{git:?}");
    let docker = machine.run_with_input(&["docker-credential", "get"], "a.example");
    assert_eq!(docker.code, 1);
    assert!(docker.stdout.contains(unknown), "{docker:?}");
    let google = machine.run_with_input(&["google-executable"], "").json();
    assert_eq!(google["success"], false);
    let keyring = machine.run(&["keyring", "get", "https://a.example", "me"]);
    assert_eq!((keyring.code, keyring.stdout.as_str()), (1, ""));
    // Operations that need no home directory still work.
    machine
        .run_with_input(&["git-credential", "capability"], "")
        .output();
    machine
        .run_with_input(&["docker-credential", "version"], "")
        .output();
}

#[test]
fn a_token_can_be_printed_in_several_formats() {
    let server = Server::start(|_| Reply::token(r#"to\\k\"en"#, 3600));
    let machine = Machine::new();
    machine.login("prod", &server, &["--for", "https://a.example/api"]);
    let token = r#"to\k"en"#;

    let quoted = r#"to\\k\"en"#;
    for (format, printed) in [
        ("raw", token.to_owned()),
        ("header", format!("Authorization: Bearer {token}")),
        ("bearer", format!("Bearer {token}")),
        (
            "headers-json",
            format!(r#"{{"Authorization":"Bearer {quoted}"}}"#),
        ),
        (
            "curl",
            format!(r#"header = "Authorization: Bearer {quoted}""#),
        ),
    ] {
        assert_eq!(machine.run(&["token", "--format", format]).token(), printed);
        let file = machine.root().join("token");
        let path = file.to_str().expect("UTF-8");
        let ran = machine
            .run(&["token", "--format", format, "--output", path])
            .success();
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
        assert_eq!(fs::read_to_string(&file).expect("the file"), printed);
        assert_eq!(
            fs::metadata(&file).expect("the file").permissions().mode() & 0o777,
            0o600
        );
    }
    let long = machine.run(&["token", "--format", "json"]).success().stdout;
    let short = machine.run(&["token", "--json"]).success().stdout;
    assert!(long.starts_with(&short[..20]));
    machine
        .run(&["token", "--json", "--format", "raw"])
        .failure(2);
    assert_eq!(
        machine
            .run(&["token", "--url", "https://a.example/api/x"])
            .token(),
        token
    );
    machine
        .run(&["token", "--url", "https://a.example/"])
        .failure(3);
    machine
        .run(&["token", "prod", "--url", "https://b.example/api/x"])
        .failure(3);
    let missing = machine.root().join("none/token");
    machine
        .run(&["token", "--output", missing.to_str().expect("UTF-8")])
        .failure(2);
}

#[test]
fn fifty_cold_callers_through_a_helper_make_one_request() {
    let machine = bound_to(&["https://a.example"]);
    fs::remove_dir_all(machine.cache()).expect("a cache");
    let children: Vec<_> = (0..50)
        .map(|_| {
            let mut command = machine.hallpass(&["keyring", "get", "a.example", "me"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("hallpass starts")
        })
        .collect();
    for child in children {
        assert_eq!(finish(child).token(), "token-2");
    }
    assert_eq!(machine.server().requests().len(), 2);
}

#[test]
fn a_client_that_runs_its_helper_in_a_loop_sends_few_requests() {
    let server = Server::start(|_| Reply::json(401, r#"{"error":"invalid_client"}"#));
    let machine = Machine::new();
    machine.login(
        "prod",
        &server,
        &["--for", "https://a.example", "--no-verify"],
    );
    for _ in 0..5 {
        let ran = machine.run_with_input(GIT, b"protocol=https\nhost=a.example\n\n");
        assert_eq!(ran.stdout, "quit=1\n");
    }
    let made = server.requests().len();
    assert!(made < 5, "{made} requests");
}

/// The caller's event loop may share it.
#[test]
fn a_request_on_a_pipe_that_does_not_block_is_waited_for() {
    let machine = bound_to(&["https://git.example/"]);
    let (input, mut to_it) = pipe().expect("a pipe");
    fcntl_setfl(&input, OFlags::NONBLOCK).expect("a setting");
    let mut command = machine.hallpass(GIT);
    let child = command.stdin(input).stdout(Stdio::piped()).spawn();
    let child = child.expect("hallpass");
    drop(command);
    wait_until_it_sleeps(&child);
    to_it
        .write_all(b"protocol=https\nhost=git.example\n\n")
        .expect("a reader");
    let ran = finish(child).success();
    assert!(ran.stdout.contains("password=token-1\n"), "{ran:?}");
}
