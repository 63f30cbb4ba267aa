//! `hallpass serve` proves each request.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use super::client::send;
use super::proof::DpopProof;
use super::{strict, url_of};
use crate::machine::Machine;
use crate::serve::Serving;
use crate::server::{Gate, Reply, Request, Server};

fn serving(api: &Server) -> (Machine, Serving) {
    serving_with(api, &[])
}

fn serving_with(api: &Server, options: &[&str]) -> (Machine, Serving) {
    let machine = Machine::new().with_server(strict());
    machine.login(
        "p",
        machine.server(),
        &["--dpop", "--for", &api.url("/v1/")],
    );
    let serving = Serving::start(&machine, &[&["p"], options].concat());
    (machine, serving)
}

/// The token and the proof of a request to the API, once verified.
fn verified(request: &Request) -> (String, DpopProof) {
    let authorization = request.header("authorization").expect("a token");
    let token = authorization.strip_prefix("DPoP ").expect("the scheme");
    let proof = DpopProof::of(request).expect("a proof");
    proof.verify_with(&request.method, &url_of(request), token);
    (token.to_owned(), proof)
}

fn wants_nonce(nonce: &str) -> Reply {
    let challenge = r#"DPoP error="use_dpop_nonce", error_description="a nonce""#;
    Reply::new(401)
        .header("WWW-Authenticate", challenge)
        .header("DPoP-Nonce", nonce)
}

#[test]
fn each_request_has_a_proof_of_its_own() {
    let api = Server::start(|request| Reply::new(200).body(verified(request).0));
    let (machine, serving) = serving(&api);
    for (method, rest) in [
        ("GET", "a?b=c"),
        ("POST", "a"),
        ("DELETE", ""),
        ("GET", "a?b=c"),
    ] {
        let url = format!("{}{rest}", serving.url);
        let response = send(method, &url, &["DPoP: mine", "dpop: mine"], "");
        assert!(response.ends_with("bound-1"), "{response}");
    }
    let requests = api.requests();
    let ids: HashSet<_> = requests
        .iter()
        .map(|request| verified(request).1.id())
        .collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(machine.server().requests().len(), 1);
}

#[test]
fn a_nonce_of_the_api_costs_one_more_request_and_no_token() {
    // Each nonce is good for three requests.
    let accepted = AtomicUsize::new(0);
    let api = Server::start(move |request| {
        let nonce = |count: usize| format!("n{}", count / 3);
        let (_, proof) = verified(request);
        if proof.claims["nonce"] != nonce(accepted.load(SeqCst)) {
            return wants_nonce(&nonce(accepted.load(SeqCst)));
        }
        let count = accepted.fetch_add(1, SeqCst) + 1;
        Reply::new(200)
            .body(&request.body[..])
            .header("DPoP-Nonce", &nonce(count))
    });
    let (machine, serving) = serving(&api);
    for number in 0..10 {
        let body = format!("body {number}");
        let response = send("POST", &serving.url, &[], &body);
        assert!(response.ends_with(&body), "{response}");
    }
    assert_eq!(
        api.requests().len(),
        11,
        "only the first nonce was not known"
    );
    assert_eq!(machine.server().requests().len(), 1, "no token was refused");
}

#[test]
fn an_api_that_always_wants_another_nonce_gets_two_requests() {
    let count = AtomicUsize::new(0);
    let api = Server::start(move |_| wants_nonce(&format!("n{}", count.fetch_add(1, SeqCst))));
    let (machine, serving) = serving(&api);
    let response = send("GET", &serving.url, &[], "");
    assert!(response.starts_with("HTTP/1.1 401"), "{response}");
    assert_eq!(api.requests().len(), 2);
    // A body that is too long to be sent again.
    let long = "x".repeat(100_000);
    for _ in 0..2 {
        let response = send("POST", &serving.url, &[], &long);
        assert!(response.starts_with("HTTP/1.1 503"), "{response}");
        for expected in ["retry-after: 1", "nonce", "send the request again"] {
            assert!(response.contains(expected), "{response}");
        }
    }
    assert_eq!(api.requests().len(), 4);
    assert_eq!(machine.server().requests().len(), 1);
    let said = serving.stop().stderr;
    assert_eq!(
        said.matches("warning: the API wants a new nonce").count(),
        1,
        "{said}"
    );
}

#[test]
fn a_nonce_that_is_good_once_is_sent_in_the_next_request() {
    let next = AtomicUsize::new(0);
    let api = Server::start(move |request| {
        let (_, proof) = verified(request);
        let nonce = |number: usize| format!("n{number}");
        let number = next.fetch_add(1, SeqCst);
        if proof.claims["nonce"] != nonce(number) {
            return wants_nonce(&nonce(number + 1));
        }
        Reply::new(200).header("DPoP-Nonce", &nonce(number + 1))
    });
    let (_, serving) = serving(&api);
    for _ in 0..4 {
        let response = send("GET", &serving.url, &[], "");
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }
    assert_eq!(
        api.requests().len(),
        5,
        "only the first nonce was not known"
    );
}

#[test]
fn requests_at_the_same_time_have_the_nonces_of_their_own_responses() {
    const CALLERS: usize = 20;
    // A nonce is good for one request. A request without one gets its own nonce, but no nonce is sent until all
    // callers have asked.
    let good = Mutex::new(HashSet::new());
    let all_asked = Gate::new();
    let api = Server::start(move |request| {
        let (_, proof) = verified(request);
        let nonce = proof.claims["nonce"].as_str().unwrap_or_default();
        let mut good = good.lock().expect("a set");
        if !nonce.is_empty() {
            return Reply::new(if good.remove(nonce) { 200 } else { 400 });
        }
        let nonce = format!("n{}", good.len());
        good.insert(nonce.clone());
        if good.len() == CALLERS {
            all_asked.open();
        }
        wants_nonce(&nonce).held_by(&all_asked)
    });
    let serving = serving_with(&api, &["--timeout", "30s"]).1;
    thread::scope(|scope| {
        let send = || send("GET", &serving.url, &[], "");
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(send)).collect();
        for caller in callers {
            let response = caller.join().expect("a response");
            assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        }
    });
}

#[test]
fn a_refused_token_is_replaced_with_its_key() {
    let api = Server::start(|request| match verified(request).0.as_str() {
        "bound-1" => Reply::new(401).header("WWW-Authenticate", r#"DPoP error="invalid_token""#),
        token => Reply::new(200).body(token),
    });
    let (machine, serving) = serving(&api);
    assert!(send("GET", &serving.url, &[], "").ends_with("bound-2"));
    assert!(send("GET", &serving.url, &[], "").ends_with("bound-2"));
    assert_eq!(machine.server().requests().len(), 2);
    let keys: HashSet<_> = api
        .requests()
        .iter()
        .map(|it| verified(it).1.key().to_string())
        .collect();
    assert_eq!(keys.len(), 2);
}

#[test]
fn a_request_after_a_closed_connection_has_another_proof() {
    let seen = Mutex::new(HashSet::new());
    let count = AtomicUsize::new(0);
    let api = Server::start(move |request| {
        let (_, proof) = verified(request);
        let is_new = seen.lock().expect("a set").insert(proof.id());
        match (count.fetch_add(1, SeqCst), is_new) {
            (0, _) => Reply::hang_up(),
            (_, true) => Reply::new(200).body("good"),
            (_, false) => Reply::new(401),
        }
    });
    let (_, serving) = serving(&api);
    assert!(send("GET", &serving.url, &[], "").ends_with("good"));
    assert_eq!(api.requests().len(), 2);
}

#[test]
fn clients_that_ask_for_a_token_get_none_that_is_bound_to_a_key() {
    let machine = Machine::new().with_server(strict());
    machine.login(
        "p",
        machine.server(),
        &["--dpop", "--for", "https://api.example/"],
    );
    let socket = machine.root().join("socket");
    let socket = socket.to_str().expect("a path");
    for more in [&["--as-token-endpoint"][..], &["--socket", socket]] {
        let ran = machine.run(&[&["serve", "p"], more].concat()).failure(2);
        assert!(ran.stderr.contains("bound to a key (DPoP)"), "{ran:?}");
        assert_eq!(ran.stdout, "");
    }
}
