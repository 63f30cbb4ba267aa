//! Each request gets one answer, whatever the server does.

use serde_json::json;

use super::{Client, message, response, site, slow_site, usual};
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

/// The same.
fn other_refusals() -> Vec<(Reply, &'static str)> {
    let busy = Reply::new(429).header("Content-Type", "text/plain");
    vec![
        (
            Reply::new(302).header("Location", "https://other.example/mcp?a=b"),
            "$URL redirects to https://other.example/mcp (302); hallpass sends the token only to the URL that it was given",
        ),
        (
            Reply::new(302).header(
                "Location",
                "https://u:pw@evil.example/cb#access_token=token-1",
            ),
            "$URL redirects to https://evil.example/cb (302); hallpass sends the token only to the URL that it was given",
        ),
        (
            Reply::new(307).header("Location", "https://evil.example/token-1?x=y"),
            "$URL redirects (307); hallpass sends the token only to the URL that it was given",
        ),
        (
            Reply::new(308).header("Location", "/mcp/?a=token-1"),
            "$URL redirects to $URL/ (308); use that URL: hallpass mcp $URL/",
        ),
        (
            busy.body("slow down").header("Retry-After", "7"),
            "$URL answered 429: slow down; try again in 7 s",
        ),
        (
            Reply::json(200, "\u{1f}").header("Content-Encoding", "gzip"),
            "$URL compressed its response with gzip, which hallpass does not ask for",
        ),
        (
            Reply::events("id: 1\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\ndata: \"resu\n\n"),
            "the response of $URL is not a message of JSON-RPC 2.0",
        ),
        (
            Reply::events("id: 1\nretry: 31536000000\ndata:\n\n"),
            "the stream of its response cannot be resumed: $URL allows that after 365 d",
        ),
    ]
}

#[test]
fn a_request_without_a_response_gets_an_error_that_says_why() {
    let rows = [refusals(), other_refusals()].concat();
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
        // On several lines, as many frameworks write it.
        let shown = serde_json::to_string_pretty(&shown).expect("JSON");
        let with =
            |id: &str| format!("{{\"jsonrpc\":\"2.0\",\n\"id\":{id},\n\"error\":{shown}\r\n}}");
        match message["method"].as_str() {
            Some("null") => Reply::json(400, with("null")),
            Some("none") => Reply::json(400, format!("{{\"error\":{shown}}}")),
            Some("events") => {
                let lines = with("null").replace('\r', "").replace('\n', "\ndata: ");
                Reply::events(&format!("data: {lines}\n\n"))
            }
            Some("other") => Reply::json(406, with("\"server-error\"")),
            Some("success") => Reply::json(200, with("null")),
            _ => usual(request),
        }
    });
    let mut client = Client::start(&machine, &url);
    client.initialize();
    for (id, method) in (1..).zip(["null", "none", "other", "success", "events"]) {
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
    for (line, id, code) in [
        ("{", json!(null), -32700),
        ("<html>", json!(null), -32700),
        ("[]", json!(null), -32600),
        ("{\"id\":1}", json!(null), -32600),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"a\"}",
            json!(null),
            -32600,
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"a\"}",
            json!(null),
            -32600,
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":24,\"method\":\"a\",\"result\":{}}",
            json!(24),
            -32600,
        ),
    ] {
        client.send_text(&format!("{line}\n"));
        let message = client.receive();
        assert_eq!(message["error"]["code"], code, "{line}");
        assert_eq!(message["id"], id, "{message}");
    }
    // Windows PowerShell writes a byte order mark.
    client.send_text(&format!("\u{feff}{}\n", super::request(1, "ping")));
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
    let (machine, server, url) = slow_site(&gate);
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
fn each_request_of_a_batch_that_is_not_sent_gets_one_error() {
    let gate = crate::server::Gate::new();
    let (machine, server, url) = slow_site(&gate);
    let mut client = Client::start(&machine, &url);
    client.request(1, "slow");
    server.wait_for_requests(1);
    let batch = |ids: &[u64]| {
        json!(
            ids.iter()
                .map(|id| super::request(*id, "a"))
                .collect::<Vec<_>>()
        )
    };
    client.send(&batch(&[1, 2, 3, 3]));
    for id in 1..4 {
        assert!(client.error(id).contains("the batch was not sent"));
    }
    let many: Vec<_> = (100..1200).collect();
    client.send(&batch(&many));
    for id in many {
        assert_eq!(client.error(id), "too many requests at the same time");
    }
    gate.open();
    assert_eq!(client.receive()["result"]["method"], "slow");
    client.end();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_result_may_be_null() {
    let (machine, server, url) = site(|request| {
        let message = message(request);
        let null = json!({"jsonrpc": "2.0", "id": message["id"], "result": null});
        match message["method"].as_str() {
            Some("json") => Reply::json(200, null.to_string()),
            Some("events") => Reply::events(&format!("id: 1\n{}", super::event(&null))),
            _ => usual(request),
        }
    });
    let mut client = Client::start(&machine, &url);
    for (id, method) in (1..).zip(["json", "events"]) {
        client.request(id, method);
        let message = client.receive();
        assert_eq!(message["id"], id, "{message}");
        assert!(message.get("error").is_none(), "{message}");
    }
    let answer = json!({"jsonrpc": "2.0", "id": "s", "result": null});
    client.send(&answer);
    client.end();
    let last = server.requests().pop().expect("a request");
    assert_eq!(last.text(), answer.to_string());
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
