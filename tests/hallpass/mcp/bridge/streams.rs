//! Streams: as they come, and after their connection was closed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use serde_json::json;

use super::{Client, event, message, methods, response, site, usual};
use crate::crowd::wait_until;
use crate::server::{Gate, Reply};

/// A notification of the server.
fn note(text: &str) -> String {
    event(&json!({"jsonrpc": "2.0", "method": "note", "params": text}))
}

#[test]
fn each_message_of_a_stream_is_passed_on_when_it_comes() {
    let gates = [Gate::new(), Gate::new()];
    let held = gates.clone();
    let (machine, _server, url) = site(move |request| {
        let message = message(request);
        match message["method"].as_str() {
            Some("slow") => Reply::events(&note("one"))
                .after(&held[0])
                .then(&note("two"))
                .after(&held[1])
                .then(&event(&response(&message)))
                .then(&note("after it")),
            _ => usual(request),
        }
    });
    let mut client = Client::start(&machine, &url);
    client.initialize();
    client.request(1, "slow");
    assert_eq!(client.receive()["params"], "one");
    // Others do not wait for it.
    client.request(2, "ping");
    assert_eq!(client.receive()["id"], 2);
    gates[0].open();
    assert_eq!(client.receive()["params"], "two");
    gates[1].open();
    assert_eq!(client.receive()["id"], 1);
    assert_eq!(client.receive()["params"], "after it");
    client.end();
}

/// The server closes the connection, and says when to come back.
#[test]
fn a_stream_is_resumed_at_its_last_event_until_the_response() {
    for is_cut in [false, true] {
        let (machine, server, url) = site(move |request| {
            let message = message(request);
            let end = |reply: Reply| if is_cut { reply.cut() } else { reply };
            let answer = event(&json!({"jsonrpc": "2.0", "id": 1, "result": {}}));
            match (message["method"].as_str(), request.header("last-event-id")) {
                (Some("slow"), _) => {
                    end(Reply::events("id: a1\nretry: 20\ndata:\n\n").then(&note("one")))
                }
                // Nothing new.
                (None, Some("a1")) => end(Reply::events(&format!("id: a2\n{}", note("two")))),
                (None, Some("a2")) => end(Reply::events("id: a3\ndata:\n\nid: unfinished\n")),
                (None, Some("a3")) => Reply::events(&answer),
                (None, Some(_)) => Reply::new(400),
                _ => usual(request),
            }
        });
        let mut client = Client::start(&machine, &url);
        client.initialize();
        client.request(1, "slow");
        for text in ["one", "two"] {
            assert_eq!(client.receive()["params"], text);
        }
        assert_eq!(client.receive()["id"], 1);
        client.end();
        let resumed: Vec<_> = server.requests();
        let resumed = resumed
            .iter()
            .filter(|request| request.header("last-event-id").is_some());
        for request in resumed {
            assert_eq!(request.method, "GET");
            assert_eq!(request.header("mcp-session-id"), Some("session-1"));
            assert_eq!(request.header("accept"), Some("text/event-stream"));
            assert_eq!(request.header("authorization"), Some("Bearer token-1"));
        }
    }
}

/// The numbers of events have a meaning in their session only.
#[test]
fn a_stream_is_never_resumed_in_another_session() {
    let other_began = Gate::new();
    let sessions = AtomicUsize::new(0);
    let (machine, server, url) = site(move |request| {
        let message = message(request);
        let session = request.header("mcp-session-id");
        match (message["method"].as_str(), session) {
            (Some("slow"), _) => Reply::events("id: 1\nretry: 10\ndata:\n\n"),
            (Some("other"), Some("session-1")) => Reply::json(404, "{}"),
            (Some("other"), _) => {
                let reply = usual(request);
                other_began.open();
                reply
            }
            (Some("initialize"), _) => {
                let number = sessions.fetch_add(1, SeqCst) + 1;
                let result = json!({"protocolVersion": "2025-11-25"});
                let result = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
                let reply = Reply::json(200, result.to_string());
                reply.header("Mcp-Session-Id", &format!("session-{number}"))
            }
            _ => match (request.header("last-event-id"), session) {
                (Some("1"), _) => Reply::events("")
                    .after(&other_began)
                    .then("id: 2\ndata:\n\n"),
                (Some(_), Some("session-1")) => Reply::new(404),
                (Some(_), _) => Reply::events(&event(&response(&json!({"id": 1})))),
                (None, _) => usual(request),
            },
        }
    });
    let mut client = Client::start(&machine, &url);
    client.initialize();
    client.request(1, "slow");
    // The stream is open again, in the first session.
    let is_open = || {
        server
            .requests()
            .iter()
            .any(|it| it.header("last-event-id").is_some())
    };
    wait_until("the stream is open", is_open);
    client.request(2, "other");
    let mut messages = [client.receive(), client.receive()];
    messages.sort_by_key(|message| message["id"].as_u64());
    let expected = format!("the stream of its response cannot be resumed: {url} answered 404");
    assert_eq!(messages[0]["error"]["message"], expected);
    assert_eq!(messages[1]["result"]["method"], "other");
    client.end();
}

#[test]
fn a_stream_that_cannot_be_resumed_is_an_error() {
    let (machine, _server, url) = site(|request| {
        let message = message(request);
        match (message["method"].as_str(), request.header("last-event-id")) {
            (Some("slow"), _) => Reply::events("id: 1\nretry: 10\ndata:\n\n"),
            (None, Some(_)) => Reply::new(405),
            _ => usual(request),
        }
    });
    let mut client = Client::start(&machine, &url);
    client.initialize();
    client.request(1, "slow");
    let expected = format!("the stream of its response cannot be resumed: {url} answered 405");
    assert_eq!(client.error(1), expected);
    client.end();
}

#[test]
fn messages_of_the_server_come_without_a_request_and_also_after_a_break() {
    let replies = Mutex::new(vec![
        Reply::events("").then(&note("three")).after(&Gate::new()),
        // It has not noticed yet that the connection is broken.
        Reply::new(409),
        Reply::events(&format!("id: 7\nretry: 10\n{}", note("two"))).cut(),
        Reply::events(&note("one")).then("id: 5\nretry: 20\ndata:\n\n"),
    ]);
    let (machine, server, url) = site(move |request| {
        if request.method != "GET" {
            return usual(request);
        }
        let mut replies = replies.lock().expect("replies");
        replies.pop().unwrap_or_else(|| Reply::new(500))
    });
    let mut client = Client::start(&machine, &url);
    client.initialize();
    for text in ["one", "two", "three"] {
        assert_eq!(client.receive()["params"], text);
    }
    // A request of the server, and its answer.
    client.send(&json!({"jsonrpc": "2.0", "id": "s", "result": {}}));
    client.request(1, "ping");
    assert_eq!(client.receive()["id"], 1);
    client.end();
    let mut opened = server.requests();
    opened.retain(|request| request.method == "GET");
    let positions: Vec<_> = opened
        .iter()
        .map(|request| request.header("last-event-id"))
        .collect();
    assert_eq!(positions, [None, Some("5"), Some("7"), Some("7")]);
}

#[test]
fn a_server_without_messages_of_its_own_is_asked_once() {
    for status in [405, 404, 400] {
        let (machine, server, url) = site(move |request| match request.method.as_str() {
            "GET" => Reply::new(status),
            _ => usual(request),
        });
        let mut client = Client::start(&machine, &url);
        client.initialize();
        server.wait_for_requests(3);
        client.request(1, "ping");
        assert_eq!(client.receive()["id"], 1);
        let ran = client.end();
        assert_eq!(ran.stderr, "");
        let count = |name: &str| methods(&server).iter().filter(|it| *it == name).count();
        assert_eq!((count("GET"), count("initialize")), (1, 1), "{status}");
    }
}

/// A server may need an answer before it goes on.
#[test]
fn an_answer_of_the_client_waits_for_no_other_message() {
    let gates = [Gate::new(), Gate::new()];
    let held = gates.clone();
    let ask = |id: &str| event(&json!({"jsonrpc": "2.0", "id": id, "method": "ping"}));
    let (machine, _server, url) = site(move |request| {
        let message = message(request);
        match (message["method"].as_str(), message["id"].as_str()) {
            (Some("initialize"), _) => {
                let answer = Reply::events(&ask("begin")).after(&held[0]);
                answer.then(&event(&response(&message)))
            }
            (Some("list_changed"), _) => Reply::new(202).held_by(&held[1]),
            (None, Some("begin")) => {
                held[0].open();
                Reply::new(202)
            }
            (None, Some("list")) => {
                held[1].open();
                Reply::new(202)
            }
            _ if request.method == "GET" => Reply::events(&ask("list")).after(&Gate::new()),
            _ => usual(request),
        }
    });
    let answer = |id: &str| json!({"jsonrpc": "2.0", "id": id, "result": {}});
    let mut client = Client::start(&machine, &url);
    client.send(&super::initialize());
    assert_eq!(client.receive()["id"], "begin");
    client.send(&answer("begin"));
    assert_eq!(client.receive()["id"], 0);
    client.notify("notifications/initialized");
    client.notify("list_changed");
    assert_eq!(client.receive()["id"], "list");
    client.send(&answer("list"));
    client.request(1, "ping");
    assert_eq!(client.receive()["id"], 1);
    client.end();
}
