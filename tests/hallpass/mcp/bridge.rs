//! `hallpass mcp`: what goes from standard input to the server, and from there to standard output.

mod cancellation;
mod ending;
mod errors;
mod sdks;
mod sessions;
mod stateless;
mod streams;
mod tokens;

use std::io::{BufRead as _, BufReader, Write as _, pipe};
use std::os::fd::AsFd as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_setfl};
use serde_json::{Value, json};

use crate::crowd::wait_until_it_sleeps;
use crate::machine::{Machine, Ran, finish};
use crate::serve::machine_bound_to;
use crate::server::{Gate, Reply, Request, Server};

/// How long a message may take on a busy machine.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// A client that started `hallpass mcp`.
struct Client {
    child: Option<Child>,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Client {
    fn start(machine: &Machine, url: &str) -> Self {
        Self::of(&mut machine.hallpass(&["mcp", url]))
    }

    fn of(command: &mut Command) -> Self {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = pipes.stderr(Stdio::piped()).spawn().expect("a program");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            stdin: child.stdin.take(),
            child: Some(child),
            lines,
        }
    }

    fn send_text(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("a pipe");
        stdin.write_all(text.as_bytes()).expect("a reader");
    }

    fn send(&mut self, message: &Value) {
        self.send_text(&format!("{message}\n"));
    }

    fn request(&mut self, id: u64, method: &str) {
        self.send(&request(id, method));
    }

    fn notify(&mut self, method: &str) {
        self.send(&json!({"jsonrpc": "2.0", "method": method}));
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let line = self.lines.recv_timeout(WAIT_LIMIT);
        line.unwrap_or_else(|_| panic!("no message: {:?}", self.child.take().map(finish)))
    }

    #[track_caller]
    fn receive(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"))
    }

    /// The text of the error for this request.
    #[track_caller]
    fn error(&mut self, id: u64) -> String {
        let message = self.receive();
        assert_eq!(message["id"], id, "{message}");
        let text = message["error"]["message"].as_str();
        text.unwrap_or_else(|| panic!("no error: {message}"))
            .to_owned()
    }

    #[track_caller]
    fn initialize(&mut self) {
        self.send(&initialize());
        let message = self.receive();
        assert_eq!(message["id"], 0, "{message}");
        assert!(message["result"].is_object(), "{message}");
        self.notify("notifications/initialized");
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("a process").id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("kill").success());
    }

    /// Ends the input, and waits. There is no message left.
    #[track_caller]
    fn end(mut self) -> Ran {
        drop(self.stdin.take());
        let ran = finish(self.child.take().expect("a process"));
        let left: Vec<_> = self.lines.try_iter().collect();
        assert!(left.is_empty(), "{left:?}");
        ran.success()
    }
}

fn request(id: u64, method: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method})
}

fn initialize() -> Value {
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
}

/// The message of a request.
fn message(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_default()
}

/// A response with its method.
fn response(message: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": message["id"], "result": {"method": message["method"]}})
}

fn event(message: &Value) -> String {
    format!("data: {message}\n\n")
}

/// What a simple server with a session answers.
fn usual(request: &Request) -> Reply {
    let message = message(request);
    match (request.method.as_str(), message["method"].as_str()) {
        ("POST", Some("initialize")) => {
            let result =
                json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {}});
            let result = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
            Reply::json(200, result.to_string()).header("Mcp-Session-Id", "session-1")
        }
        ("POST", _) if message["id"].is_null() || message["method"].is_null() => Reply::new(202),
        ("POST", Some("stream")) => Reply::events(&event(&response(&message))),
        ("POST", _) => Reply::json(200, response(&message).to_string()),
        ("DELETE", _) => Reply::new(204),
        _ => Reply::json(405, ""),
    }
}

/// The machine and the server of most tests.
fn site(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> (Machine, Server, String) {
    let server = Server::start(answer);
    let url = server.url("/mcp");
    (machine_bound_to(&url), server, url)
}

/// The same as [`usual`], but the response to the method `slow` waits for this gate.
fn slow_site(gate: &Gate) -> (Machine, Server, String) {
    let held = gate.clone();
    site(move |request| match message(request)["method"].as_str() {
        Some("slow") => Reply::json(200, response(&message(request)).to_string()).held_by(&held),
        _ => usual(request),
    })
}

/// The methods of the messages that a server got, and those of requests without one.
fn methods(server: &Server) -> Vec<String> {
    let requests = server.requests();
    let name = |request: &Request| {
        let message = message(request);
        message["method"]
            .as_str()
            .unwrap_or(&request.method)
            .to_owned()
    };
    requests.iter().map(name).collect()
}

#[test]
fn messages_pass_in_order_with_the_token_the_session_and_the_version() {
    let (machine, server, url) = site(usual);
    let mut client = Client::start(&machine, &url);
    // All at once: a server refuses what comes before it is initialized.
    client.send(&initialize());
    client.notify("notifications/initialized");
    client.request(1, "tools/list");
    let mut seen = [client.receive(), client.receive()];
    seen.sort_by_key(|message| message["id"].as_u64());
    assert_eq!(seen[0]["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(seen[1]["result"]["method"], "tools/list");
    client.send(&json!({"jsonrpc": "2.0", "id": "é\"", "method": "stream"}));
    assert_eq!(client.receive()["id"], "é\"");
    // A response to a request of the server.
    client.send(&json!({"jsonrpc": "2.0", "id": "s1", "result": {}}));
    // Nothing waits for it. One of the requests before is for messages of the server.
    server.wait_for_requests(6);
    client.request(2, "ping");
    assert_eq!(client.receive()["id"], 2);
    client.end();
    let mut requests = server.requests();
    requests.retain(|request| request.method != "GET");
    let names: Vec<_> = requests
        .iter()
        .map(|request| message(request)["method"].clone())
        .collect();
    let expected = json!([
        "initialize",
        "notifications/initialized",
        "tools/list",
        "stream",
        null,
        "ping",
        null
    ]);
    assert_eq!(Value::from(names), expected);
    let has = |request: &Request, name: &str, value: Option<&str>| {
        assert_eq!(request.header(name), value, "{request:?}");
    };
    for (number, request) in requests.iter().enumerate() {
        let later = |value| Some(value).filter(|_| number > 0);
        has(request, "authorization", Some("Bearer token-1"));
        has(request, "mcp-session-id", later("session-1"));
        has(request, "mcp-protocol-version", later("2025-11-25"));
        has(request, "accept-encoding", Some("identity"));
        assert_eq!(request.target, "/mcp");
        if request.method == "POST" {
            has(
                request,
                "accept",
                Some("application/json, text/event-stream"),
            );
            has(request, "content-type", Some("application/json"));
        }
    }
    assert_eq!(
        requests[0].text(),
        initialize().to_string(),
        "as it was written"
    );
    let last = requests.last().expect("a request");
    assert_eq!((last.method.as_str(), last.text().as_str()), ("DELETE", ""));
}

#[test]
fn each_message_is_one_line_whatever_the_server_writes() {
    let (machine, server, url) = site(|request| {
        let message = message(request);
        let pretty = |message: &Value| serde_json::to_string_pretty(message).expect("JSON");
        let notification = json!({"jsonrpc": "2.0", "method": "n", "params": {"text": "a\nb"}});
        match message["method"].as_str() {
            Some("pretty") => Reply::json(200, pretty(&response(&message))),
            Some("events") => {
                let mut text = String::from(
                    ": comment\r\nevent: other\r\ndata: x\r\n\r\nid: 1\r\ndata:\r\n\r\n",
                );
                for message in [notification, response(&message)] {
                    for line in pretty(&message).lines() {
                        text.extend(["data: ", line, "\r\n"]);
                    }
                    text += "\r\n";
                }
                Reply::events(&text)
            }
            _ => {
                let array = [notification, response(&message[1])];
                Reply::json(200, pretty(&json!(array)))
            }
        }
    });
    let mut client = Client::start(&machine, &url);
    client.send_text("\n  \r\n");
    client.request(1, "pretty");
    assert_eq!(client.receive()["result"]["method"], "pretty");
    client.request(2, "events");
    assert_eq!(client.receive()["params"]["text"], "a\nb");
    assert_eq!(client.receive()["id"], 2);
    // A batch (MCP 2025-03-26).
    let batch = json!([{"jsonrpc": "2.0", "method": "x"}, request(3, "three"), request(4, "four")]);
    client.send(&batch);
    let answer = client.receive();
    assert_eq!(answer[0]["method"], "n");
    assert_eq!(answer[1]["id"], 3);
    assert!(client.error(4).contains("sent no response"));
    client.end();
    let bodies: Vec<_> = server.requests().iter().map(Request::text).collect();
    assert_eq!(bodies.last(), Some(&batch.to_string()));
}

/// The parent's event loop may share them.
#[test]
fn standard_streams_that_do_not_block_are_waited_for() {
    let long = "x".repeat(1 << 20);
    let (machine, _server, url) = site(move |request| {
        let message = message(request);
        if message["method"] == "long" {
            let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": long});
            return Reply::json(200, answer.to_string());
        }
        usual(request)
    });
    let [(input, mut to_it), (from_it, output)] = [(); 2].map(|()| pipe().expect("a pipe"));
    for end in [input.as_fd(), output.as_fd()] {
        fcntl_setfl(end, OFlags::NONBLOCK).expect("a setting");
    }
    let mut command = machine.hallpass(&["mcp", &url]);
    let mut child = command
        .stdin(input)
        .stdout(output)
        .spawn()
        .expect("hallpass");
    drop(command);
    for id in 0..2 {
        // It has read all that there is, and waits.
        wait_until_it_sleeps(&child);
        writeln!(to_it, "{}", request(id, "long")).expect("a reader");
    }
    drop(to_it);
    let lines: Vec<_> = BufReader::new(from_it)
        .lines()
        .map_while(Result::ok)
        .collect();
    assert!(child.wait().expect("a process").success());
    assert_eq!(
        lines
            .iter()
            .map(String::len)
            .filter(|it| *it > 1 << 20)
            .count(),
        2
    );
}
