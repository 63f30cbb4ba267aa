//! Which token a message gets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Client, site, usual};
use crate::machine::Machine;
use crate::server::{Gate, Reply, Server};

#[test]
fn many_requests_with_a_refused_token_cause_one_token_request() {
    let count = 200;
    let gate = Gate::new();
    let refused = Arc::new(AtomicUsize::new(0));
    let (held, counter) = (gate.clone(), Arc::clone(&refused));
    let (machine, server, url) = site(move |request| {
        if request.header("authorization") == Some("Bearer token-1")
            && request.text().contains("ping")
        {
            // All of them were sent by then.
            if counter.fetch_add(1, SeqCst) + 1 == count {
                held.open();
            }
            return Reply::json(401, "{}").held_by(&held);
        }
        usual(request)
    });
    let mut client = Client::start(&machine, &url);
    client.initialize();
    for id in 1..=count {
        client.request(id as u64, "ping");
    }
    let ids: BTreeSet<_> = (0..count)
        .map(|_| client.receive()["id"].as_u64())
        .collect();
    assert_eq!(ids.len(), count);
    client.end();
    assert_eq!(
        machine.server().requests().len(),
        2,
        "the login's and one more"
    );
    let is_ping = |request: &&crate::server::Request| request.text().contains("ping");
    assert_eq!(server.requests().iter().filter(is_ping).count(), 2 * count);
}

#[test]
fn a_token_that_no_server_accepts_is_replaced_once_and_reported() {
    let (machine, server, url) = site(|request| {
        if !request.text().contains("ping") {
            return usual(request);
        }
        let token = request.header("authorization").unwrap_or_default();
        let challenge = format!(
            "Bearer error=\"invalid_token\", error_description=\"no {}\"",
            &token[7..]
        );
        Reply::json(401, "{}").header("WWW-Authenticate", &challenge)
    });
    let mut client = Client::start(&machine, &url);
    client.initialize();
    for id in 1..4 {
        client.request(id, "ping");
        // The description has the token.
        assert_eq!(client.error(id), format!("{url} refused the token (401)"));
    }
    let ran = client.end();
    assert!(!ran.stderr.contains("token-"), "{ran:?}");
    assert_eq!(machine.server().requests().len(), 2);
    let pings = server
        .requests()
        .iter()
        .filter(|request| request.text().contains("ping"))
        .count();
    assert_eq!(pings, 4, "one was sent again");
}

/// The server accepts each token only for its life.
#[test]
fn a_token_is_renewed_unseen_in_a_long_session() {
    let issued: Arc<Mutex<BTreeMap<String, Instant>>> = Arc::default();
    let accepted = Arc::clone(&issued);
    let api = Server::start(move |request| {
        let token = request
            .header("authorization")
            .unwrap_or_default()
            .to_owned();
        let issued = accepted.lock().expect("tokens");
        if issued
            .get(&token)
            .is_some_and(|at| at.elapsed() < Duration::from_secs(2))
        {
            usual(request)
        } else {
            Reply::json(401, "{}")
        }
    });
    let authorization = Server::start(move |_| {
        let mut issued = issued.lock().expect("tokens");
        let token = format!("token-{}", issued.len() + 1);
        issued.insert(format!("Bearer {token}"), Instant::now());
        Reply::token(&token, 2)
    });
    let machine = Machine::new().with_server(authorization);
    let url = api.url("/mcp");
    machine.login("p", machine.server(), &["--for", &url]);
    let mut client = Client::start(&machine, &url);
    client.initialize();
    let mut id = 0;
    while machine.server().requests().len() < 4 {
        id += 1;
        client.request(id, "ping");
        let message = client.receive();
        assert!(message["result"].is_object(), "{message}");
    }
    client.end();
}

#[test]
fn without_a_token_each_request_says_why() {
    let (machine, server, url) = site(usual);
    let mut client = Client::start(&machine, &url);
    client.initialize();
    machine.run(&["unbind", "p", &url]).success();
    let text = loop {
        client.request(1, "ping");
        let message = client.receive();
        if let Some(text) = message["error"]["message"].as_str() {
            break text.to_owned();
        }
    };
    assert_eq!(text, "profile p is no longer bound to this URL");
    let sent = server.requests().len();
    client.request(2, "ping");
    assert_eq!(client.error(2), text);
    client.end();
    assert_eq!(
        server.requests().len(),
        sent,
        "the session has no token for its end"
    );
}
