//! A process with the secret, as the same user's other programs and the kernel's core dumps see it.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::machine::{Machine, numbered_tokens, skip};
use crate::server::{Gate, Server};
use crate::support::{
    after_shell, as_ordinary_user, give_to_ordinary_user, machine_of_ordinary_user, ran,
};

/// A profile of an ordinary user, and a server that waits before it responds.
fn waiting() -> (Machine, Server, Gate) {
    let machine = machine_of_ordinary_user();
    let gate = Gate::new();
    let (held, answer) = (gate.clone(), numbered_tokens());
    let server = Server::start(move |request| answer(request).held_by(&held));
    let secret = machine.private_file("secret", b"the secret");
    give_to_ordinary_user(&secret);
    let url = server.url("/token");
    let mut login = machine.hallpass(&["login", "p", "--no-verify", "--token-url", &url]);
    login
        .args(["--client-id", "c", "--secret-file"])
        .arg(secret);
    ran(as_ordinary_user(&login)).success();
    (machine, server, gate)
}

/// Whether a process that is ended by this signal leaves a core dump.
fn leaves_core(machine: &Machine, command: &Command, signal: Signal, wait: impl Fn()) -> bool {
    let mut command = after_shell("ulimit -c unlimited", command);
    command.current_dir(machine.home());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("a program");
    wait();
    kill_process(Pid::from_child(&child), signal).expect("a process");
    let ended = child.wait().expect("its end");
    assert_eq!(ended.signal(), Some(signal.as_raw()));
    ended.core_dumped()
}

#[test]
fn no_signal_makes_a_process_with_the_secret_leave_a_core_dump() {
    let machine = Machine::new();
    let gate = Gate::new();
    let (held, answer) = (gate.clone(), numbered_tokens());
    let server = Server::start(move |request| answer(request).held_by(&held));
    machine.login("p", &server, &["--no-verify"]);
    let mut any = machine.command("sh");
    any.args(["-c", "echo; exec sleep 1000"]);
    let requests = std::cell::Cell::new(0);
    for signal in [Signal::SEGV, Signal::ABORT, Signal::QUIT] {
        // Another program, on this machine.
        if !leaves_core(&machine, &any, signal, || ()) {
            return skip("no program leaves a core dump here");
        }
        let token = machine.hallpass(&["token", "p", "--refresh"]);
        let has_requested = || {
            requests.set(requests.get() + 1);
            server.wait_for_requests(requests.get());
        };
        assert!(!leaves_core(&machine, &token, signal, has_requested));
    }
    gate.open();
}

#[test]
fn a_debugger_of_the_same_user_cannot_attach() {
    let (machine, server, gate) = waiting();
    let mut token = as_ordinary_user(&machine.hallpass(&["token", "p"]));
    let token = token.stdout(Stdio::piped()).spawn().expect("hallpass");
    server.wait_for_requests(1);
    let mut strace = machine.command("/usr/bin/strace");
    strace.args(["-p", &token.id().to_string()]);
    let attached = ran(as_ordinary_user(&strace));
    assert_ne!(attached.code, 0, "{attached:?}");
    assert!(attached.stderr.contains("not permitted"), "{attached:?}");
    gate.open();
    let output = token.wait_with_output().expect("its end");
    assert_eq!(output.stdout, b"token-1\n");
}
