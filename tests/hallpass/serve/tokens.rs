//! Which token a request gets, and when a new one is requested.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use super::{Serving, machine_bound_to, status};
use crate::machine::Machine;
use crate::server::{Gate, Reply, Request, Server};

/// An API that accepts only the tokens up to this number.
fn api_accepting(first: Arc<AtomicUsize>) -> Server {
    Server::start(move |request| {
        let token = request.header("authorization").unwrap_or_default();
        let number = token
            .rsplit('-')
            .next()
            .and_then(|number| number.parse().ok());
        if number.is_some_and(|number: usize| number >= first.load(SeqCst)) {
            Reply::json(200, request.body.clone())
        } else {
            Reply::json(401, "refused").header("WWW-Authenticate", "Bearer error=\"invalid_token\"")
        }
    })
}

#[test]
fn a_refused_token_is_replaced_and_the_request_sent_again_once() {
    let first = Arc::new(AtomicUsize::new(2));
    let api = api_accepting(Arc::clone(&first));
    let machine = machine_bound_to(&api.url("/"));
    let serving = Serving::start(&machine, &["p"]);
    let requests = || (machine.server().requests().len(), api.requests().len());
    assert!(
        serving
            .request("POST", "/", &[], "body")
            .ends_with("\r\n\r\nbody")
    );
    assert_eq!(requests(), (2, 2), "the login's token was replaced");
    assert_eq!(status(&serving.get("/")), 200);
    assert_eq!(requests(), (2, 3), "the new one stays");
    // In chunks, and with a body that is too long to be kept.
    first.store(3, SeqCst);
    let chunked = format!(
        "POST {}/ HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
        3\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n",
        serving.path(),
        serving.address()
    );
    let response = serving.exchange(chunked.as_bytes());
    assert!(response.ends_with("\r\n\r\nabcde"), "{response}");
    assert_eq!(requests(), (3, 5));
    first.store(4, SeqCst);
    let long = serving.request("POST", "/", &[], &"a".repeat(100_000));
    assert!(long.contains("invalid_token"), "{long}");
    assert_eq!(requests(), (4, 6), "a new token for the next request");
    let long = serving.request("POST", "/", &[], &"a".repeat(100_000));
    assert_eq!(status(&long), 200);
    assert_eq!(requests(), (4, 7));
}

/// Or only a part of its URLs: the client may have no permission for it.
#[test]
fn a_server_that_refuses_every_token_costs_one_new_token() {
    let api = Server::start(|request| match request.target.as_str() {
        "/bad" => Reply::json(401, "refused"),
        _ => Reply::json(200, "{}"),
    });
    let machine = machine_bound_to(&api.url("/"));
    let serving = Serving::start(&machine, &["p"]);
    for _ in 0..5 {
        assert_eq!(status(&serving.get("/bad")), 401);
        assert_eq!(status(&serving.get("/good")), 200);
    }
    let long = serving.request("POST", "/bad", &[], &"a".repeat(100_000));
    assert_eq!(status(&long), 401);
    assert_eq!(machine.server().requests().len(), 2);
    assert_eq!(api.requests().len(), 12, "one was sent again");
}

#[test]
fn a_valid_token_is_used_during_an_outage_of_the_authorization_server() {
    let api = Server::start(|request| match request.target.as_str() {
        "/bad" => Reply::json(401, "refused"),
        _ => Reply::json(200, request.header("authorization").unwrap_or("")),
    });
    let count = AtomicUsize::new(0);
    let authorization = Server::start(move |_: &Request| match count.fetch_add(1, SeqCst) {
        0 => Reply::token("first", 3600),
        _ => Reply::json(503, "{}"),
    });
    let machine = Machine::new().with_server(authorization);
    machine.login("p", machine.server(), &["--for", &api.url("/")]);
    let serving = Serving::start(&machine, &["p"]);
    for _ in 0..5 {
        assert_eq!(status(&serving.get("/bad")), 401);
        assert!(serving.get("/good").ends_with("Bearer first"));
    }
    let requests = machine.server().requests().len();
    assert!(requests <= 3, "{requests}");
    let ran = serving.stop();
    assert_eq!(ran.stderr.matches("warning").count(), 1, "{ran:?}");
}

#[test]
fn a_token_that_cannot_be_saved_is_used_for_its_life() {
    let api =
        Server::start(|request| Reply::json(200, request.header("authorization").unwrap_or("")));
    let url = api.url("/");
    let machine = machine_bound_to(&url);
    let cache = machine.home().join(".cache/hallpass");
    fs::remove_dir_all(&cache).expect("a cache");
    fs::write(&cache, "").expect("a file in its place");
    let serving = Serving::start(&machine, &["p"]);
    assert!(serving.get("/").ends_with("Bearer token-2"));
    // A change of the profile shows that the cache was looked at.
    for (scheme, value) in [("raw", "\r\n\r\ntoken-2"), ("bearer", "Bearer token-2")] {
        machine
            .run(&["bind", "p", &url, "--scheme", scheme])
            .success();
        while !serving.get("/").ends_with(value) {
            assert_eq!(machine.server().requests().len(), 2);
        }
    }
    assert_eq!(machine.server().requests().len(), 2);
    machine.run(&["unbind", "p", &url]).success();
    while status(&serving.get("/")) == 200 {}
    let ran = serving.stop();
    assert_eq!(ran.stderr.matches("was not saved").count(), 1, "{ran:?}");
}

#[test]
fn nobody_waits_for_the_renewal_of_a_token_that_is_still_valid() {
    let api =
        Server::start(|request| Reply::json(200, request.header("authorization").unwrap_or("")));
    let gate = Gate::new();
    let (count, held) = (AtomicUsize::new(0), gate.clone());
    let authorization = Server::start(move |_: &Request| match count.fetch_add(1, SeqCst) {
        // It is due for renewal after a quarter of its life.
        0 => Reply::token("first", 10),
        _ => Reply::token("second", 3600).held_by(&held),
    });
    let machine = Machine::new().with_server(authorization);
    machine.login("p", machine.server(), &["--for", &api.url("/")]);
    let serving = Serving::start(&machine, &["p"]);
    while machine.server().requests().len() < 2 {
        assert!(serving.get("/").ends_with("Bearer first"));
    }
    for _ in 0..3 {
        assert!(serving.get("/").ends_with("Bearer first"));
    }
    assert_eq!(machine.server().requests().len(), 2);
    gate.open();
    while !serving.get("/").ends_with("Bearer second") {}
    assert_eq!(machine.server().requests().len(), 2);
}

#[test]
fn many_requests_share_one_new_token_and_one_failure() {
    let api =
        Server::start(|request| Reply::json(200, request.header("authorization").unwrap_or("")));
    let count = Arc::new(AtomicUsize::new(0));
    let issued = Arc::clone(&count);
    let authorization = Server::start(move |_: &Request| match issued.fetch_add(1, SeqCst) {
        0 => Reply::token("first", 3600),
        1 => Reply::token("second", 3600),
        _ => Reply::json(503, "{}").header("Retry-After", "3600"),
    });
    let machine = Machine::new().with_server(authorization);
    machine.login("p", machine.server(), &["--for", &api.url("/")]);
    let serving = Serving::start(&machine, &["p"]);
    let ask = |expected: u16, part: &str| {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..32).map(|_| scope.spawn(|| serving.get("/"))).collect();
            for thread in threads {
                let response = thread.join().expect("a response");
                assert_eq!(status(&response), expected, "{response}");
                assert!(response.contains(part), "{response}");
            }
        });
    };
    ask(200, "Bearer first");
    machine.run(&["token", "p", "--forget"]).success();
    // It notices that within a second.
    while !serving.get("/").contains("Bearer second") {
        assert!(count.load(SeqCst) <= 2);
    }
    ask(200, "Bearer second");
    assert_eq!(count.load(SeqCst), 2);
    machine.run(&["token", "p", "--forget"]).success();
    while status(&serving.get("/")) == 200 {}
    let failures = count.load(SeqCst);
    ask(503, "retry-after: 1\r\n");
    assert_eq!(count.load(SeqCst), failures);
    let ran = serving.stop();
    assert_eq!(ran.stderr.matches("warning").count(), 1, "{ran:?}");
}

#[test]
fn nothing_is_sent_after_the_profile_was_unbound() {
    let api = Server::start(|_| Reply::json(200, "{}"));
    let url = api.url("/");
    let machine = machine_bound_to(&url);
    let serving = Serving::start(&machine, &["p"]);
    assert_eq!(status(&serving.get("/")), 200);
    machine.run(&["unbind", "p", &url]).success();
    while status(&serving.get("/")) == 200 {}
    let sent = api.requests().len();
    let refused = serving.get("/");
    assert_eq!(status(&refused), 502, "{refused}");
    assert!(refused.contains("no longer bound"), "{refused}");
    assert_eq!(api.requests().len(), sent);
    machine.run(&["bind", "p", &url]).success();
    while status(&serving.get("/")) != 200 {}
    machine.run(&["logout", "p"]).success();
    while status(&serving.get("/")) == 200 {}
    let sent = api.requests().len();
    let refused = serving.get("/");
    assert!(refused.contains("logged out"), "{refused}");
    assert_eq!(api.requests().len(), sent);
}
