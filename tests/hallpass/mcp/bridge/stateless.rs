//! MCP 2026-07-28: no session, and parts of each message in its headers.

use serde_json::{Value, json};

use super::{Client, message, methods, response, site};
use crate::server::{Gate, Reply};

fn request(id: u64, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

#[test]
fn the_headers_say_what_the_message_says() {
    let (machine, server, url) = site(|request| {
        let message = message(request);
        if message["method"] != "tools/list" {
            return Reply::json(200, response(&message).to_string())
                .header("Mcp-Session-Id", "none");
        }
        let schema = json!({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}});
        let result = json!({"tools": [{"name": "query", "inputSchema": schema}]});
        Reply::json(
            200,
            json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string(),
        )
    });
    let mut client = Client::start(&machine, &url);
    let call = json!({"name": "query", "arguments": {"region": "eu", "q": 1}});
    let rows = [
        ("server/discover", json!({}), None, None),
        ("tools/list", json!({}), None, None),
        ("tools/call", call, Some("query"), Some("eu")),
        (
            "resources/read",
            json!({"uri": "file:///ü"}),
            Some("=?base64?ZmlsZTovLy/DvA==?="),
            None,
        ),
        ("prompts/get", json!({"name": "p"}), Some("p"), None),
        ("other", json!({"name": {"a": 1}}), None, None),
    ];
    for (id, (method, params, name, region)) in (1..).zip(rows) {
        client.send(&request(id, method, params));
        assert_eq!(client.receive()["id"], id);
        let sent = server.requests().pop().expect("a request");
        for (header, value) in [
            ("mcp-protocol-version", Some("2026-07-28")),
            ("mcp-method", Some(method)),
            ("mcp-name", name),
            ("mcp-param-region", region),
            ("mcp-session-id", None),
        ] {
            assert_eq!(sent.header(header), value, "{method} {header}");
        }
    }
    client.end();
    assert!(
        !methods(&server)
            .iter()
            .any(|name| name == "GET" || name == "DELETE")
    );
}

#[test]
fn a_subscription_goes_on_until_the_end_of_the_input() {
    let gate = Gate::new();
    let held = gate.clone();
    let (machine, _server, url) = site(move |request| {
        let note = super::event(&json!({"jsonrpc": "2.0", "method": "note"}));
        match message(request)["method"].as_str() {
            Some("subscriptions/listen") => Reply::events(&note).after(&held),
            _ => Reply::json(200, response(&message(request)).to_string()),
        }
    });
    let mut client = Client::start(&machine, &url);
    client.send(&request(1, "subscriptions/listen", json!({})));
    assert_eq!(client.receive()["method"], "note");
    client.send(&request(2, "tools/list", json!({})));
    assert_eq!(client.receive()["id"], 2);
    drop(client.stdin.take());
    assert_eq!(client.error(1), "hallpass ended before the response");
    client.end();
}

/// The client finds out which versions a server has by its error, or by any other one.
#[test]
fn a_server_of_another_time_refuses_in_its_own_words() {
    let error = json!({"code": -32022, "message": "Unsupported protocol version", "data": {"supported": ["2027-01-01"]}});
    let reply = json!({"jsonrpc": "2.0", "id": 1, "error": error}).to_string();
    let (machine, _server, url) = site(move |request| match message(request)["method"].as_str() {
        Some("server/discover") => Reply::json(400, reply.clone()),
        _ => Reply::json(400, "Bad Request: no session"),
    });
    let mut client = Client::start(&machine, &url);
    client.send(&request(1, "server/discover", json!({})));
    assert_eq!(client.receive()["error"], error);
    client.send(&request(2, "tools/list", json!({})));
    assert_eq!(client.error(2), format!("{url} answered 400"));
    client.end();
}
