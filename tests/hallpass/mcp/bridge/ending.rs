//! How it ends.

use super::{Client, message, methods, response, site, usual};
use crate::machine::finish;
use crate::server::{Gate, Reply};

#[test]
fn at_the_end_of_the_input_all_requests_get_their_responses_first() {
    let gate = Gate::new();
    let held = gate.clone();
    let (machine, server, url) = site(move |request| match message(request)["method"].as_str() {
        Some("slow") => Reply::json(200, response(&message(request)).to_string()).held_by(&held),
        _ => usual(request),
    });
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
