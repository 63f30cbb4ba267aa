//! How it ends.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc::channel;

use serde_json::{Value, json};

use super::{Client, message, methods, site, slow_site, usual};
use crate::machine::finish;
use crate::server::{Gate, Reply};

#[test]
fn at_the_end_of_the_input_all_requests_get_their_responses_first() {
    let gate = Gate::new();
    let (machine, server, url) = slow_site(&gate);
    let mut client = Client::start(&machine, &url);
    client.initialize();
    client.request(1, "slow");
    // Without a line break.
    client.send_text(&super::request(2, "slow").to_string());
    drop(client.stdin.take());
    server.wait_for_requests(5);
    gate.open();
    let mut ids = [
        client.receive()["id"].as_u64(),
        client.receive()["id"].as_u64(),
    ];
    ids.sort_unstable();
    assert_eq!(ids, [Some(1), Some(2)]);
    client.end();
    assert_eq!(methods(&server).last().map(String::as_str), Some("DELETE"));
}

#[test]
fn a_signal_ends_it_with_an_error_for_each_request() {
    for name in ["TERM", "INT"] {
        let gate = Gate::new();
        let held = gate.clone();
        let (machine, server, url) =
            site(move |request| match message(request)["method"].as_str() {
                Some("slow") => Reply::new(200).held_by(&held),
                _ => usual(request),
            });
        let mut client = Client::start(&machine, &url);
        client.initialize();
        client.request(1, "slow");
        server.wait_for_requests(4);
        client.signal(name);
        assert_eq!(client.error(1), "hallpass ended before the response");
        finish(client.child.take().expect("a process")).success();
        assert_eq!(methods(&server).last().map(String::as_str), Some("DELETE"));
    }
}

#[test]
fn it_ends_when_the_client_reads_no_more() {
    let (machine, _server, url) = site(usual);
    let mut command = machine.hallpass(&["mcp", &url]);
    let pipes = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = pipes
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("a program");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("a pipe");
    let line = format!("{}\n", super::request(1, "ping"));
    std::io::Write::write_all(&mut stdin, line.as_bytes()).expect("a reader");
    // Its input stays open.
    finish(child).success();
    drop(stdin);
}

/// It may have ended its own reading, and wait for this process.
#[test]
fn after_a_signal_the_session_ends_also_if_the_client_does_not_read_and_no_response_is_lost() {
    let (machine, server, url) = site(|request| {
        let message = message(request);
        match message["method"].as_str() {
            Some("long") => {
                let result = "x".repeat(100_000);
                let response =
                    json!({"jsonrpc": "2.0", "id": message["id"], "result": {"a": result}});
                Reply::json(200, response.to_string())
            }
            Some("slow") => Reply::new(200).held_by(&Gate::new()),
            _ => usual(request),
        }
    });
    let mut command = machine.hallpass(&["mcp", &url]);
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = pipes.spawn().expect("a program");
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut client = Client {
        stdin: child.stdin.take(),
        child: Some(child),
        lines: channel().1,
    };
    client.send(&super::initialize());
    client.notify("notifications/initialized");
    for id in 1..=20 {
        client.request(id, "long");
    }
    client.request(21, "slow");
    server.wait_for_requests(24);
    client.signal("TERM");
    server.wait_for_requests(25);
    assert_eq!(methods(&server).last().map(String::as_str), Some("DELETE"));
    let lines = stdout.lines().map_while(Result::ok);
    let messages = lines.map(|line| serde_json::from_str::<Value>(&line).expect("JSON"));
    let mut ids: Vec<_> = messages.map(|message| message["id"].as_u64()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..=21).map(Some).collect::<Vec<_>>());
}
