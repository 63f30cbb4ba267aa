//! The steps that `-v` and `HALLPASS_LOG` show, and what a wait says.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use crate::counts::{CALLS, machine_with_a_cached_token};
use crate::machine::{Machine, SECRET, finish, spawn};
use crate::server::{Gate, Reply, Server};
use crate::support::run_by;

#[test]
fn every_way_to_a_cached_token_prints_the_same_with_steps() {
    let mut machine = machine_with_a_cached_token();
    for call in CALLS.iter().filter(|call| call.arguments[0] != "exec") {
        let run = |machine: &Machine| {
            let mut command = machine.hallpass(call.arguments);
            command.envs(call.variable).stdin(Stdio::piped());
            let mut child = spawn(&mut command);
            let mut stdin = child.stdin.take().expect("a pipe");
            // Some read nothing.
            let _ = std::io::Write::write_all(&mut stdin, call.input.as_bytes());
            drop(stdin);
            finish(child).success()
        };
        // The time that is left differs.
        let without_digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        machine.set("HALLPASS_LOG", "0");
        let plain = run(&machine);
        assert_eq!(plain.stderr, "", "{:?}", call.arguments);
        machine.set("HALLPASS_LOG", "1");
        let shown = run(&machine);
        assert_eq!(without_digits(&shown.stdout), without_digits(&plain.stdout));
        assert!(shown.stderr.contains("cache: has a token"), "{shown:?}");
        for line in shown.stderr.lines() {
            assert!(line.starts_with("hallpass: step: "), "{shown:?}");
            assert!(!line.contains("token-"), "{line}");
        }
    }
}

#[test]
fn no_step_has_a_secret_or_a_token() {
    let server = Server::start(|_| Reply::token("of-the-server", 3600));
    let mut machine = Machine::new().with_server(server);
    machine.set("HALLPASS_LOG", "1");
    let file = machine.private_file("of-the-client", SECRET.as_bytes());
    let file = file.to_str().expect("UTF-8");
    let command = format!("cat {file}");
    for options in [
        &["--secret-file", file, "--auth", "client_secret_basic"][..],
        &["--secret-file", file, "--auth", "client_secret_post"],
        &["--secret-file", file, "--auth", "client_secret_jwt"],
        &[
            "--secret-command",
            &command,
            "--header",
            "X-Key=of-the-header",
        ],
    ] {
        let mut shown = machine.login_from("p", options, "").success().stderr;
        shown += &machine.run(&["token", "--refresh"]).success().stderr;
        shown += &machine.run(&["logout"]).success().stderr;
        assert!(
            shown.contains("step: request: POST"),
            "{options:?}: {shown}"
        );
        for secret in [SECRET, "s3cr", "of-the-server", "of-the-header", "eyJ"] {
            assert!(!shown.contains(secret), "{options:?}: {shown}");
        }
    }
}

#[test]
fn a_wait_for_another_process_names_it_at_a_terminal() {
    let gate = Gate::new();
    let held = gate.clone();
    let server = Server::start(move |_| Reply::token("t", 3600).held_by(&held));
    let machine = Machine::new();
    machine.login("p", &server, &["--no-verify"]);
    let first = spawn(&mut machine.hallpass(&["token"]));
    server.wait_for_requests(1);
    let mut second = at_a_terminal(&machine, &["-v", "token", "p"]);
    let mut output = BufReader::new(second.stdout.take().expect("its output"));
    let mut lines = Vec::new();
    while !lines
        .iter()
        .any(|line: &String| line.contains("waiting for"))
    {
        let mut line = String::new();
        assert_ne!(output.read_line(&mut line).expect("a line"), 0, "{lines:?}");
        lines.push(line.trim_end().to_owned());
    }
    gate.open();
    let holder = format!("process {}", first.id());
    assert_eq!(
        lines,
        [
            "hallpass: step: profile: p, the argument".to_owned(),
            "hallpass: step: cache: has no token".to_owned(),
            format!("hallpass: step: lock: held by {holder}"),
            format!("hallpass: waiting for {holder}, which is requesting this token"),
        ]
    );
    let mut rest = String::new();
    let _ = output.read_to_string(&mut rest);
    assert!(
        rest.contains("step: cache: another process saved a token"),
        "{rest}"
    );
    assert!(rest.ends_with("t\r\n"), "{rest:?}");
    second.wait().expect("an end");
    finish(first).success();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_wait_for_a_command_names_it_at_a_terminal() {
    let machine = Machine::new();
    let pipe = machine.pipe("pipe");
    let pipe = pipe.to_str().expect("UTF-8");
    let command = format!("cat {pipe}");
    let options = ["--secret-command", &command, "--no-verify"];
    machine.login_from("p", &options, "").success();
    let mut waiting = at_a_terminal(&machine, &["token"]);
    let mut output = BufReader::new(waiting.stdout.take().expect("its output"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    assert_eq!(
        line.trim_end(),
        "hallpass: waiting for the secret command `cat`"
    );
    std::fs::write(pipe, "secret").expect("the command reads");
    line.clear();
    output.read_line(&mut line).expect("a line");
    assert_eq!(line.trim_end(), "token-1");
    waiting.wait().expect("an end");
}

fn at_a_terminal(machine: &Machine, arguments: &[&str]) -> Child {
    let mut python = Command::new("python3");
    python.args(["-c", "import pty, sys; pty.spawn(sys.argv[1:])"]);
    run_by(python, &machine.hallpass(arguments))
        .stdout(Stdio::piped())
        .spawn()
        .expect("hallpass starts")
}
