//! `hallpass exec`: another program takes hallpass's place, with tokens in its environment.

use std::process::Stdio;

use crate::server::Server;
use crate::support::{Machine, Ran, after_shell, end_of, numbered_tokens, ran};

fn desk() -> (Machine, Server) {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    machine.login("one", &server, &[]);
    (machine, server)
}

fn sh(machine: &Machine, options: &[&str], line: &str) -> Ran {
    machine.run(&[&["exec"], options, &["--", "sh", "-c", line]].concat())
}

#[test]
fn the_program_has_a_token_in_its_environment() {
    let (mut machine, server) = desk();
    let echo = "echo $HALLPASS_TOKEN$A/$B";
    assert_eq!(sh(&machine, &[], echo).token(), "token-1/");
    assert_eq!(sh(&machine, &["-e", "A"], echo).token(), "token-1/");
    let both = ["-e", "A", "--env", "B=one", "--min-ttl", "5m"];
    assert_eq!(sh(&machine, &both, echo).token(), "token-1/token-1");
    assert_eq!(server.requests().len(), 1);
    machine.set("HALLPASS_CLIENT_SECRET", "visible-secret");
    assert_eq!(
        sh(&machine, &[], "echo $HALLPASS_CLIENT_SECRET").token(),
        ""
    );
}

#[test]
fn its_exit_code_is_the_programs_own() {
    let (machine, _server) = desk();
    for code in [0, 1, 7, 42, 255] {
        assert_eq!(sh(&machine, &[], &format!("exit {code}")).code, code);
    }
    let ran = machine.run(&["exec", "--", "no-such-program"]).failure(127);
    assert!(ran.stderr.contains("there is no such program"), "{ran:?}");
    let file = machine.private_file("no-program", b"");
    machine
        .run(&["exec", "--", file.to_str().expect("UTF-8")])
        .failure(126);
    machine
        .run(&["exec", "-e", "A=none", "--", "true"])
        .failure(3);
    machine
        .run(&["exec", "-e", "=one", "--", "true"])
        .failure(2);
    machine.run(&["exec", "true"]).failure(2);
    machine.run(&["exec"]).failure(2);
}

#[test]
fn it_is_the_same_process_with_the_same_streams_and_limits() {
    let (machine, _server) = desk();
    let read = ["exec", "--", "sh", "-c", "read line; echo got $line"];
    assert_eq!(
        machine.run_with_input(&read, b"a line\n").token(),
        "got a line"
    );
    let mut command = machine.hallpass(&["exec", "--", "sh", "-c", "echo $$"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("hallpass starts");
    let id = child.id().to_string();
    assert_eq!(end_of(child).token(), id);
    let limits = "ulimit -c; umask";
    let asked = machine.hallpass(&["exec", "--", "sh", "-c", limits]);
    let before = ran(after_shell("ulimit -c 1; umask 027", &asked)).success();
    assert_eq!(before.stdout, "1\n0027\n");
}
