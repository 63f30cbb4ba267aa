//! Each request gets one answer, whatever the server does.

use serde_json::json;

use super::{Client, message, response, site, usual};
use crate::machine::Machine;
use crate::serve::machine_bound_to;
use crate::server::{Reply, Server};

/// What the server does, and what the client gets to know.
fn refusals() -> Vec<(Reply, &'static str)> {
    let page = "<html><body>Bad gateway</body></html>";
    let html = |status| {
        Reply::new(status)
            .header("Content-Type", "text/html")
            .body(page)
    };
    let plain = |status, text: &str| {
        Reply::new(status)
            .header("Content-Type", "text/plain")
            .body(text)
    };
    let scope = "Bearer error=\"insufficient_scope\", scope=\"write\"";
    let cut = "data: {\"jsonrpc\":\"2.0\",\"method\":\"n\"";
    vec![
        (html(502), "$URL answered 502"),
        (
            html(200),
            "$URL answered with text/html, not with JSON or an event stream",
        ),
        (
            plain(503, "down\u{1b}[31m until\n8"),
            "$URL answered 503: down[31m until 8",
        ),
        (plain(503, "you sent Bearer token-1"), "$URL answered 503"),
        (
            Reply::json(
                500,
                r#"{"error":"server_error","error_description":"the disk"}"#,
            ),
            "$URL answered 500: the disk",
        ),
        (
            Reply::json(429, r#"{"message":"slow down"}"#),
            "$URL answered 429: slow down",
        ),
        (
            Reply::json(403, "{}").header("WWW-Authenticate", scope),
            "$URL does not allow this with the token (403): insufficient_scope (it needs the scope write)",
        ),
        (
            Reply::new(302).header("Location", "https://other.example/mcp?a=b"),
            "$URL redirects to https://other.example/mcp (302); hallpass sends the token only to the URL that it was given",
        ),
        (
            Reply::json(200, "{"),
            "the response of $URL is not a message of JSON-RPC 2.0",
        ),
        (
            Reply::json(200, ""),
            "the response of $URL is not a message of JSON-RPC 2.0",
        ),
        (
            Reply::json(200, r#"{"error":"a text"}"#),
            "the response of $URL is not a message of JSON-RPC 2.0",
        ),
        (
            Reply::json(200, r#"{"jsonrpc":"2.0","id":99,"result":{}}"#),
            "$URL sent no response to this request",
        ),
        (
            Reply::new(202),
            "$URL accepted the request without a response",
        ),
        (
            Reply::events("data: garbage\n\ndata: {}\n\n"),
            "$URL closed the connection before its response",
        ),
        (
            Reply::events(cut).cut(),
            "$URL closed the connection before its response",
        ),
        (
            Reply::json(200, "{\"jsonrpc\"").header("Content-Length", "100"),
            "$URL closed the connection within its response",
        ),
        (
            Reply::hang_up(),
            "the connection was closed before the response was complete",
        ),
    ]
}

#[test]
fn a_request_without_a_response_gets_an_error_that_says_why() {
    let rows = refusals();
    let replies: Vec<_> = rows.iter().map(|(reply, _)| reply.clone()).collect();
    let (machine, _server, url) = site(move |request| {
        let message = message(request);
        match message["method"].as_str() {
            Some("row") => replies
                [usize::try_from(message["id"].as_u64().expect("a number")).expect("a row") - 1]
                .clone(),
            _ => usual(request),
        }
    });
    let mut client = Client::start(&machine, &url);
    client.initialize();
    for (number, (_, expected)) in rows.iter().enumerate() {
        let id = number as u64 + 1;
        client.request(id, "row");
        let text = client.error(id);
        let expected = expected.replace("$URL", &url);
        assert!(text.ends_with(&expected), "{text}\n{expected}");
    }
    let ran = client.end();
    assert_eq!(ran.stderr, "");
}

#[test]
fn an_error_of_the_server_is_passed_on_with_the_id_of_the_request() {
    let error = json!({"code": -32022, "message": "Unsupported", "data": {"supported": []}});
    let shown = error.clone();
    let (machine, _server, url) = site(move |request| {
        let message = message(request);
        let with = |id: &str| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{shown}}}");
        match message["method"].as_str() {
            Some("null") => Reply::json(400, with("null")),
            Some("none") => Reply::json(400, json!({"error": shown}).to_string()),
            Some("other") => Reply::json(406, with("\"server-error\"")),
            Some("success") => Reply::json(200, with("null")),
            _ => usual(request),
        }
    });
    let mut client = Client::start(&machine, &url);
    client.initialize();
    for (id, method) in (1..).zip(["null", "none", "other", "success"]) {
        client.request(id, method);
        let message = client.receive();
        assert_eq!(
            (&message["id"], &message["error"]),
            (&json!(id), &error),
            "{method}"
        );
    }
    client.end();
}

#[test]
fn lines_that_are_no_messages_are_refused_and_the_next_one_is_read() {
    let (machine, server, url) = site(|request| match message(request)["method"].as_str() {
        Some("slow") => Reply::events("").then(&super::event(&response(&message(request)))),
        _ => usual(request),
    });
    let mut client = Client::start(&machine, &url);
    client.initialize();
    for (line, code) in [
        ("{", -32700),
        ("<html>", -32700),
        ("[]", -32600),
        ("{\"id\":1}", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"a\"}", -32600),
    ] {
        client.send_text(&format!("{line}\n"));
        let message = client.receive();
        assert_eq!(message["error"]["code"], code, "{line}");
        assert!(message["id"].is_null(), "{message}");
    }
    client.request(1, "ping");
    assert_eq!(client.receive()["id"], 1);
    client.end();
    assert!(
        !server
            .requests()
            .iter()
            .any(|request| request.text() == "{")
    );
}

#[test]
fn a_request_with_the_id_of_another_one_is_refused() {
    let gate = crate::server::Gate::new();
    let held = gate.clone();
    let (machine, server, url) = site(move |request| match message(request)["method"].as_str() {
        Some("slow") => Reply::json(200, response(&message(request)).to_string()).held_by(&held),
        _ => usual(request),
    });
    let mut client = Client::start(&machine, &url);
    client.request(1, "slow");
    server.wait_for_requests(1);
    client.request(1, "ping");
    assert!(client.error(1).contains("the same id"));
    gate.open();
    assert_eq!(client.receive()["result"]["method"], "slow");
    client.end();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn messages_over_the_limit_get_an_error() {
    let long = 65 << 20;
    let (machine, _server, url) = site(move |request| match message(request)["method"].as_str() {
        Some("long") => Reply::json(200, vec![b' '; long]),
        _ => usual(request),
    });
    let mut client = Client::start(&machine, &url);
    client.initialize();
    client.request(1, "long");
    let text = client.error(1);
    assert_eq!(
        text,
        format!("{url} sent a message that is longer than 64 MiB")
    );
    let text = " ".repeat(long);
    client.send_text(&format!("{{\"method\":\"m\",{text}\"id\":3}}\n"));
    assert_eq!(client.error(3), "the message is longer than 64 MiB");
    client.request(4, "ping");
    assert_eq!(client.receive()["id"], 4);
    client.end();
}

#[test]
fn a_server_that_is_not_there_is_reported_and_found_again() {
    let server = Server::start(usual);
    let (url, port) = (server.url("/mcp"), server.port());
    let machine = machine_bound_to(&url);
    server.stop();
    let mut client = Client::start(&machine, &url);
    client.request(1, "ping");
    let text = client.error(1);
    assert!(
        text.contains("cannot connect to http://127.0.0.1"),
        "{text}"
    );
    let _server = Server::start_on(port, usual);
    client.request(2, "ping");
    assert_eq!(client.receive()["id"], 2);
    client.end();
}

#[test]
fn an_old_server_is_named_in_the_error() {
    let (machine, _server, url) = site(|request| match request.method.as_str() {
        "GET" => Reply::events("event: endpoint\ndata: /messages\n\n"),
        _ => Reply::new(405),
    });
    let mut client = Client::start(&machine, &url);
    client.send(&super::initialize());
    let text = client.error(0);
    assert!(text.contains("answered 405"), "{text}");
    assert!(
        text.contains("the older transport HTTP+SSE is not supported"),
        "{text}"
    );
    client.end();
}

#[test]
fn what_is_wrong_with_the_profile_ends_it_before_the_first_message() {
    let machine = Machine::new();
    machine.login("p", machine.server(), &["--for", "http://127.0.0.1:1/mcp"]);
    machine.server().stop();
    machine.run(&["token", "p", "--forget"]).success();
    let ran = machine.run(&["mcp", "http://127.0.0.1:1/mcp"]).failure(5);
    assert_eq!(ran.stdout, "");
    let ran = machine.run(&["mcp", "http://127.0.0.1:1/other"]).failure(3);
    assert!(ran.stderr.contains("hallpass login NAME --mcp"), "{ran:?}");
}
