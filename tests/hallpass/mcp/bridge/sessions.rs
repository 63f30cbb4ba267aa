//! What happens after the server has ended the session.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use serde_json::{Value, json};

use super::{Client, initialize, message, methods, response, site};
use crate::crowd::wait_until;
use crate::server::{Reply, Request};

/// A server that knows only the latest session. `version` is that of each session.
fn forgetful(
    sessions: Arc<AtomicUsize>,
    version: impl Fn(usize) -> Option<&'static str> + Send + Sync + 'static,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    move |request| {
        let message = message(request);
        if message["method"] == "initialize" {
            let number = sessions.fetch_add(1, SeqCst) + 1;
            let Some(version) = version(number) else {
                return Reply::json(503, "{}");
            };
            let result = json!({"protocolVersion": version, "capabilities": {}, "serverInfo": {}});
            let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
            let reply = if number.is_multiple_of(2) {
                Reply::events(&super::event(&answer))
            } else {
                Reply::json(200, answer.to_string())
            };
            return reply.header("Mcp-Session-Id", &format!("session-{number}"));
        }
        let latest = format!("session-{}", sessions.load(SeqCst));
        if request.header("mcp-session-id") != Some(&latest) {
            return Reply::json(
                404,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}"#,
            );
        }
        match request.method.as_str() {
            "GET" => Reply::new(405),
            _ if message["id"].is_null() => Reply::new(202),
            _ => Reply::json(200, response(&message).to_string()),
        }
    }
}

#[test]
fn another_session_begins_unseen_and_the_message_is_sent_again() {
    let sessions = Arc::new(AtomicUsize::new(0));
    let (machine, server, url) = site(forgetful(Arc::clone(&sessions), |_| Some("2025-06-18")));
    let mut client = Client::start(&machine, &url);
    client.initialize();
    client.request(1, "ping");
    assert_eq!(client.receive()["id"], 1);
    for round in 1..3 {
        // As after a restart of the server.
        sessions.fetch_add(1, SeqCst);
        let ids = (round * 100)..(round * 100 + 20);
        for id in ids.clone() {
            client.request(id, "ping");
        }
        let answered: BTreeSet<_> = ids
            .clone()
            .map(|_| client.receive()["id"].as_u64())
            .collect();
        assert_eq!(answered, ids.map(Some).collect());
    }
    let ran = client.end();
    assert_eq!(
        ran.stderr
            .matches("ended the session; began another one")
            .count(),
        2,
        "{ran:?}"
    );
    let count = |name: &str| methods(&server).iter().filter(|it| *it == name).count();
    assert_eq!(count("initialize"), 3);
    assert_eq!(count("notifications/initialized"), 3);
    let repeated: Vec<_> = server
        .requests()
        .iter()
        .map(message)
        .filter(|it| it["method"] == "initialize")
        .collect();
    assert_eq!(repeated[1]["params"], initialize()["params"]);
    let last = server.requests().pop().expect("a request");
    assert_eq!(
        (last.method.as_str(), last.header("mcp-session-id")),
        ("DELETE", Some("session-5"))
    );
}

#[test]
fn a_session_that_cannot_begin_is_an_error_and_tried_again() {
    let sessions = Arc::new(AtomicUsize::new(0));
    let (machine, server, url) = site(forgetful(Arc::clone(&sessions), |number| match number {
        1 | 6 => Some("2025-11-25"),
        3 => None,
        _ => Some("2025-03-26"),
    }));
    let mut client = Client::start(&machine, &url);
    client.initialize();
    client.request(1, "ping");
    assert_eq!(client.receive()["id"], 1);
    sessions.fetch_add(1, SeqCst);
    client.request(2, "ping");
    let start = format!("{url} ended the session, and no other one can begin: ");
    assert_eq!(client.error(2), format!("{start}{url} answered 503"));
    client.request(3, "ping");
    let text = client.error(3);
    assert!(
        text.starts_with(&start) && text.contains("another version of MCP"),
        "{text}"
    );
    sessions.fetch_add(1, SeqCst);
    client.request(4, "ping");
    assert_eq!(client.receive()["id"], 4);
    let given_up = || {
        let requests = server.requests();
        let mut ended = requests.iter().filter(|it| it.method == "DELETE");
        ended.any(|it| it.header("mcp-session-id") == Some("session-4"))
    };
    wait_until("the session with another version was ended", given_up);
    client.end();
    let ended: Vec<Value> = server
        .requests()
        .iter()
        .map(message)
        .filter(|it| it["id"] == 4)
        .collect();
    assert_eq!(ended.len(), 2);
}

#[test]
fn an_error_about_a_request_does_not_end_the_session() {
    let (machine, server, url) = site(|request| {
        let message = message(request);
        let error = json!({"code": -32002, "message": "Resource not found"});
        match message["method"].as_str() {
            Some("read") => {
                let error = json!({"jsonrpc": "2.0", "id": message["id"], "error": error});
                Reply::json(404, error.to_string())
            }
            _ => super::usual(request),
        }
    });
    let mut client = Client::start(&machine, &url);
    client.initialize();
    client.request(1, "read");
    assert_eq!(client.error(1), "Resource not found");
    client.end();
    let count = |name: &str| methods(&server).iter().filter(|it| *it == name).count();
    assert_eq!((count("initialize"), count("read")), (1, 1));
}
