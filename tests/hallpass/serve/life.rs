//! How it starts and ends.

use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::time::Duration;

use super::streams::{head, one_connection};
use super::{Serving, machine_bound_to, read_to_end, status};
use crate::machine::{Machine, skip};
use crate::server::{Gate, Reply, Server};
use crate::support::after_shell;

#[test]
fn a_signal_lets_the_requests_in_progress_end() {
    for signal in ["TERM", "INT", "HUP"] {
        let gate = Gate::new();
        let held = gate.clone();
        let api = Server::start(move |_| Reply::json(200, "late").held_by(&held));
        let machine = machine_bound_to(&api.url("/"));
        let serving = Serving::start(&machine, &["p"]);
        let stream = serving.begin("GET", &[]);
        let idle = serving.connect();
        api.wait_for_requests(1);
        serving.signal(signal);
        // No longer accepted, from the moment on in which it was noticed.
        while std::net::TcpStream::connect(serving.address()).is_ok() {}
        gate.open();
        let response = read_to_end(stream.into_inner());
        assert!(response.ends_with("late"), "{response}");
        assert_eq!(serving.finish().code, 0);
        drop(idle);
    }
    // Another one ends it at once.
    let gate = Gate::new();
    let held = gate.clone();
    let api = Server::start(move |_| Reply::json(200, "late").held_by(&held));
    let machine = machine_bound_to(&api.url("/"));
    let serving = Serving::start(&machine, &["p"]);
    let stream = serving.begin("GET", &[]);
    api.wait_for_requests(1);
    serving.signal("TERM");
    while std::net::TcpStream::connect(serving.address()).is_ok() {}
    assert_eq!(serving.stop().code, 0);
    assert_eq!(read_to_end(stream.into_inner()), "");
    gate.open();
}

#[test]
fn it_ends_after_the_time_without_connections() {
    let api = Server::start(|_| Reply::json(200, "{}"));
    let machine = machine_bound_to(&api.url("/"));
    let serving = Serving::start(&machine, &["p", "--idle", "1s"]);
    // It does not end with the first connection.
    for _ in 0..3 {
        assert_eq!(status(&serving.get("/")), 200);
    }
    let ran = serving.finish();
    assert_eq!(ran.code, 0, "{ran:?}");
    let both = ["serve", "p", "--idle", "1s", "--", "true"];
    machine.run(&both).failure(2);
}

#[test]
fn an_open_websocket_is_a_connection() {
    let url = one_connection(|mut stream| {
        head(&mut stream);
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\n\r\n";
        stream.get_ref().write_all(answer).expect("a head");
        let mut frame = [0; 4];
        for _ in 0..2 {
            stream.read_exact(&mut frame).expect("a frame");
            stream.get_ref().write_all(&frame).expect("a frame");
        }
    });
    let machine = machine_bound_to(&url);
    let serving = Serving::start(&machine, &["p", "--idle", "1s"]);
    let upgrade = ["Connection: Upgrade", "Upgrade: websocket"];
    let mut stream = serving.begin("GET", &upgrade);
    head(&mut stream);
    // Nothing comes for longer than the time of --idle, not even the end.
    let quiet = Some(Duration::from_millis(1500));
    stream.get_ref().set_read_timeout(quiet).expect("a limit");
    assert!(stream.read(&mut [0]).is_err());
    stream.get_ref().set_read_timeout(None).expect("no limit");
    stream.get_ref().write_all(b"late").expect("a frame");
    let mut frame = [0; 4];
    stream.read_exact(&mut frame).expect("a frame");
    assert_eq!(&frame, b"late");
    // After a signal, it has time to end.
    serving.signal("TERM");
    while std::net::TcpStream::connect(serving.address()).is_ok() {}
    stream.get_ref().write_all(b"last").expect("a frame");
    stream.read_exact(&mut frame).expect("a frame");
    assert_eq!(&frame, b"last");
    drop(stream);
    assert_eq!(serving.finish().code, 0);
}

#[test]
fn a_program_gets_the_address_and_its_exit_code_is_that_of_the_command() {
    let api = Server::start(|_| Reply::json(200, "from-the-api"));
    let mut machine = machine_bound_to(&api.url("/v1/"));
    machine.set("HALLPASS_CLIENT_SECRET", "s3cret");
    let script = "env; curl -sS \"$HALLPASS_URL\"; exit 7";
    let ran = machine.run(&["serve", "p", "--", "sh", "-c", script]);
    assert_eq!((ran.code, ran.stderr.as_str()), (7, ""), "{ran:?}");
    assert!(
        ran.stdout.contains("HALLPASS_URL=http://127.0.0.1:"),
        "{ran:?}"
    );
    assert!(ran.stdout.ends_with("from-the-api"), "{ran:?}");
    assert!(
        !ran.stdout.contains("s3cret") && !ran.stdout.contains("token-"),
        "{ran:?}"
    );
    assert_eq!(api.requests()[0].target, "/v1/");
    let killed = machine.run(&["serve", "p", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.code, 137);
    machine
        .run(&["serve", "p", "--", "/no/such/program"])
        .failure(127);
    machine.run(&["serve", "p", "--", "/"]).failure(126);
    // A signal goes to the program, which decides how to end. No terminal sends it to both.
    for signal in ["TERM", "INT", "HUP"] {
        let script = format!("trap 'exit 9' {signal}; echo ready; while :; do sleep 0.01; done");
        let mut command = machine.hallpass(&["serve", "p", "--", "sh", "-c", &script]);
        let serving = Serving::of(command.process_group(0));
        assert_eq!(serving.url, "ready");
        serving.signal(signal);
        assert_eq!(serving.finish().code, 9, "{signal}");
    }
}

#[test]
fn the_secret_is_removed_from_the_environment_although_the_token_is_cached() {
    let mut machine = Machine::new();
    machine.set("OWN_SECRET", crate::machine::SECRET);
    let url = machine.server().url("/token");
    let client = ["--token-url", &url, "--client-id", "c"];
    let login = [&["login", "p", "--secret-env", "OWN_SECRET"][..], &client].concat();
    machine.run(&login).success();
    machine.set("HALLPASS_PROFILE", "p");
    let serving = Serving::start(&machine, &["p", "--as-token-endpoint"]);
    let id = serving.child.as_ref().expect("a process").id();
    // hallpass is not dumpable, so only the superuser can read this.
    match std::fs::read(format!("/proc/{id}/environ")) {
        Ok(environment) => {
            let environment = String::from_utf8_lossy(&environment).into_owned();
            assert!(environment.contains("HALLPASS_PROFILE"), "{environment}");
            assert!(
                !environment.contains(crate::machine::SECRET),
                "{environment}"
            );
        }
        Err(_) => skip("only the superuser can read the environment of another process"),
    }
    assert_eq!(machine.server().requests().len(), 1);
}

/// 200 descriptors are enough for 68 connections, and as many to the server.
#[test]
fn connections_of_others_do_not_take_what_the_requests_need() {
    let api = Server::start(|_| Reply::json(200, "{}"));
    let machine = machine_bound_to(&api.url("/"));
    let command = machine.hallpass(&["serve", "p"]);
    let serving = Serving::of(&mut after_shell("ulimit -n 200", &command));
    let mut own = BufReader::new(serving.connect());
    let request = format!(
        "GET {}/ HTTP/1.1\r\nHost: {}\r\n\r\n",
        serving.path(),
        serving.address()
    );
    let mut exchange = || {
        own.get_ref()
            .write_all(request.as_bytes())
            .expect("a request");
        let head = head(&mut own);
        own.read_exact(&mut [0; 2]).expect("a body");
        status(&head)
    };
    assert_eq!(exchange(), 200);
    let others: Vec<_> = (0..120).map(|_| serving.connect()).collect();
    for _ in 0..3 {
        assert_eq!(exchange(), 200);
    }
    drop(others);
    assert_eq!(status(&serving.get("/")), 200);
}

#[test]
fn what_is_wrong_with_the_profile_ends_it_before_it_listens() {
    let api = Server::start(|_| Reply::json(200, "{}"));
    let refusing = Server::start(|_| Reply::json(401, r#"{"error":"invalid_client"}"#));
    let machine = Machine::new();
    machine.login("p", &refusing, &["--for", &api.url("/"), "--no-verify"]);
    let ran = machine.run(&["serve", "p"]).failure(4);
    assert!(ran.stderr.contains("invalid_client"), "{ran:?}");
    machine.run(&["serve", "q"]).failure(3);
    machine
        .run(&["serve", "p", "--url", "http://a.example/"])
        .failure(2);
}
