//! `notifications/cancelled`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::thread;

use serde_json::{Value, json};

use super::{Client, WAIT_LIMIT, message, methods, response, site, usual};
use crate::serve::machine_bound_to;
use crate::server::{Gate, Reply};

fn cancel(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
}

#[test]
fn a_cancellation_is_passed_on_and_nothing_more_comes_of_its_request() {
    let (gate, slow_gate) = (Gate::new(), Gate::new());
    let (held, slow) = (gate.clone(), slow_gate.clone());
    let (machine, server, url) = site(move |request| {
        let message = message(request);
        match message["method"].as_str() {
            Some("slow") => Reply::events("")
                .after(&held)
                .then(&super::event(&response(&message))),
            // No other message waits for it.
            Some("notifications/cancelled") => Reply::new(202).held_by(&slow),
            _ => usual(request),
        }
    });
    let mut client = Client::start(&machine, &url);
    client.initialize();
    client.request(1, "slow");
    server.wait_for_requests(4);
    client.send(&cancel(1));
    // Unknown ones are not sent.
    client.send(&cancel(7));
    // It can have the same id again.
    client.request(1, "ping");
    assert_eq!(client.receive()["result"]["method"], "ping");
    gate.open();
    client.request(2, "ping");
    assert_eq!(client.receive()["id"], 2);
    slow_gate.open();
    client.end();
    let cancelled = methods(&server)
        .iter()
        .filter(|name| *name == "notifications/cancelled")
        .count();
    assert_eq!(cancelled, 1);
}

/// From version 2026-07-28 on, that is what cancels the request.
#[test]
fn the_connection_of_a_cancelled_request_is_closed() {
    for is_stateless in [true, false] {
        let (sender, closed) = channel();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        thread::spawn(move || {
            let (mut slow, _) = listener.accept().expect("a connection");
            let mut received = [0; 4096];
            while !String::from_utf8_lossy(&received).contains("\"slow\"") {
                assert!(slow.read(&mut received).expect("a request") > 0);
            }
            sender.send(None).expect("a test");
            if !is_stateless {
                let (mut notification, _) = listener.accept().expect("a connection");
                let accepted = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
                notification.write_all(accepted).expect("a client");
            }
            let rest = slow.read(&mut received).map_err(|error| error.kind());
            sender.send(Some(rest)).expect("a test");
        });
        let machine = machine_bound_to(&url);
        let mut client = Client::start(&machine, &url);
        let params = if is_stateless {
            json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}})
        } else {
            json!({})
        };
        client.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "slow", "params": params}));
        assert_eq!(closed.recv_timeout(WAIT_LIMIT), Ok(None));
        client.send(&cancel(1));
        let ended = closed
            .recv_timeout(WAIT_LIMIT)
            .expect("the end of the connection");
        assert!(matches!(ended, Some(Ok(0) | Err(_))), "{ended:?}");
        client.end();
    }
}
