//! `hallpass serve`: which requests are sent on, with what, and what comes back.

mod clients;
mod hostile;
mod life;
mod socket;
mod streams;
mod token_endpoint;
mod tokens;
mod upstream;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::machine::{Machine, Ran, finish};
use crate::server::{Reply, Request, Server};

/// A running `hallpass serve`.
pub(crate) struct Serving {
    /// None after it was stopped.
    child: Option<Child>,
    pub(crate) url: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Serving {
    /// Starts it with these arguments, and reads its address.
    #[track_caller]
    pub(crate) fn start(machine: &Machine, arguments: &[&str]) -> Self {
        let arguments = [&["serve"], arguments].concat();
        Self::of(&mut machine.hallpass(&arguments))
    }

    #[track_caller]
    fn of(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a program that starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("an address");
        assert!(!line.is_empty(), "not started: {:?}", finish(child));
        let url = line.trim_end().to_owned();
        let child = Some(child);
        Self { child, url }
    }

    /// `127.0.0.1:PORT`
    fn address(&self) -> &str {
        let rest = self.url.strip_prefix("http://").expect("http");
        rest.split('/').next().expect("an address")
    }

    /// `/k-KEY`, without a slash at the end.
    fn path(&self) -> &str {
        let (_, path) = self.url.split_once(self.address()).expect("a path");
        path.trim_end_matches('/')
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("a connection");
        let limit = Some(std::time::Duration::from_secs(60));
        stream.set_read_timeout(limit).expect("a limit");
        stream
    }

    /// Sends these bytes, and reads up to the end of the connection.
    fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("a request");
        read_to_end(stream)
    }

    /// Sends a request with these header lines, without or with a body.
    fn request(&self, method: &str, path: &str, headers: &[&str], body: &str) -> String {
        let mut lines: Vec<_> = headers.iter().map(|line| (*line).to_owned()).collect();
        if !body.is_empty() {
            lines.push(format!("Content-Length: {}", body.len()));
        }
        let lines: String = lines
            .iter()
            .flat_map(|line| [line.as_str(), "\r\n"])
            .collect();
        let (key, host) = (self.path(), self.address());
        let head =
            format!("{method} {key}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        self.exchange(format!("{head}{lines}\r\n{body}").as_bytes())
    }

    /// Sends the head of a request to the bound URL, with these header lines, and keeps the connection.
    fn begin(&self, method: &str, headers: &[&str]) -> BufReader<TcpStream> {
        let mut head = format!("{method} {}/ HTTP/1.1\r\n", self.path());
        let host = format!("Host: {}", self.address());
        for line in [&[host.as_str()], headers].concat() {
            head += line;
            head += "\r\n";
        }
        let mut stream = self.connect();
        stream
            .write_all((head + "\r\n").as_bytes())
            .expect("a head");
        BufReader::new(stream)
    }

    pub(crate) fn get(&self, path: &str) -> String {
        self.request("GET", path, &[], "")
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("a process").id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("kill").success());
    }

    /// Tells it to stop, and returns what it printed.
    #[track_caller]
    pub(crate) fn stop(self) -> Ran {
        self.signal("TERM");
        self.finish()
    }

    /// Waits for its end.
    #[track_caller]
    fn finish(mut self) -> Ran {
        finish(self.child.take().expect("a process"))
    }
}

fn read_to_end(mut stream: TcpStream) -> String {
    let mut received = Vec::new();
    // A server that refuses a request may reset the connection after its response.
    let _ = stream.read_to_end(&mut received);
    let _ = stream.shutdown(Shutdown::Both);
    String::from_utf8_lossy(&received).into_owned()
}

pub(crate) fn status(response: &str) -> u16 {
    let code = response
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok());
    code.unwrap_or_default()
}

/// A machine whose profile `p` is bound to this URL.
pub(crate) fn machine_bound_to(url: &str) -> Machine {
    let machine = Machine::new();
    machine.login("p", machine.server(), &["--for", url]);
    machine
}

/// The headers of a request, but for the name of the server.
fn headers_of(request: &Request) -> Vec<(String, String)> {
    let mut headers = request.headers.clone();
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
    for (name, _) in &mut headers {
        name.make_ascii_lowercase();
    }
    headers.sort();
    headers
}

#[test]
fn a_request_is_sent_on_with_the_token_and_without_what_belongs_to_the_client() {
    let api = Server::start(|request| {
        Reply::json(201, format!("{} {}", request.method, request.target))
            .header("Set-Cookie", "a=b")
            .header("Access-Control-Allow-Origin", "*")
            .header("Strict-Transport-Security", "max-age=1")
            .header("Alt-Svc", "h3=\":443\"")
            .header("X-Own", "1")
            .header("Keep-Alive", "timeout=5")
    });
    let machine = machine_bound_to(&api.url("/v1/"));
    let serving = Serving::start(&machine, &["p"]);
    let origin = format!("Origin: http://{}", serving.address());
    let referer = format!("Referer: {}", serving.url);
    let headers = [
        "Authorization: Bearer of-the-client",
        "Cookie: session=of-another-port",
        "X-Client: kept",
        "X-Client: twice",
        "X-Hop: dropped",
        "Connection: X-Hop",
        "Proxy-Authorization: Basic x",
        "TE: trailers",
        "X-Original-URL: /admin",
        "X-Forwarded-Host: evil.example",
        "Forwarded: host=evil.example",
        "Upgrade: h2c",
        "HTTP2-Settings: x",
        "User-Agent: client/1",
        &origin,
        &referer,
    ];
    let response = serving.request("POST", "/a%20b;c?d={e}", &headers, "body");
    assert_eq!(status(&response), 201, "{response}");
    assert!(
        response.ends_with("\r\n\r\nPOST /v1/a%20b;c?d=%7Be%7D"),
        "{response}"
    );
    let lower = response.to_lowercase();
    assert!(lower.contains("x-own: 1\r\n"), "{response}");
    for dropped in [
        "set-cookie",
        "access-control",
        "strict-transport",
        "alt-svc",
        "keep-alive",
    ] {
        assert!(!lower.contains(dropped), "{dropped}: {response}");
    }
    let [request] = &api.requests()[..] else {
        panic!("one request");
    };
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [
        own("accept", "*/*"),
        own("authorization", "Bearer token-1"),
        own("content-length", "4"),
        own("user-agent", "client/1"),
        own("x-client", "kept"),
        own("x-client", "twice"),
    ];
    assert_eq!(headers_of(request), expected);
    let host = api.url("").replace("http://", "");
    assert_eq!(request.header("host"), Some(host.as_str()));
    assert_eq!(request.text(), "body");
    let head = serving.request("HEAD", "/x", &[], "").to_lowercase();
    assert!(
        head.contains("content-length: 10\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert_eq!(
        machine.server().requests().len(),
        1,
        "the token of the login"
    );
}

#[test]
fn the_token_is_written_as_the_binding_says() {
    let api = Server::start(|_| Reply::json(200, "{}"));
    for (options, header, value) in [
        (&["--header", "X-Api-Key"][..], "x-api-key", "token-1"),
        (
            &["--scheme", "basic", "--username", "u"],
            "authorization",
            "Basic dTp0b2tlbi0x",
        ),
        (&["--scheme", "raw"], "authorization", "token-1"),
    ] {
        let machine = Machine::new();
        machine.login("p", machine.server(), &[]);
        let url = api.url("/");
        let bind = [&["bind", "p", &url], options].concat();
        machine.run(&bind).success();
        let serving = Serving::start(&machine, &["p"]);
        let own = ["X-Api-Key: of-the-client", "Authorization: of-the-client"];
        assert_eq!(status(&serving.request("GET", "/", &own, "")), 200);
        let request = api.requests().pop().expect("a request");
        assert_eq!(request.header(header), Some(value), "{options:?}");
        assert!(!format!("{request:?}").contains("Bearer"), "{request:?}");
    }
}

#[test]
fn a_redirect_is_left_to_the_client_and_leads_through_the_same_address() {
    let api = Server::start(|request| {
        let location = request.target.split_once("to=").expect("a target").1;
        let location = location.replace("%C3%A9", "é");
        Reply::new(302)
            .header("Location", &location)
            .header("Content-Location", &location)
            .header("Link", &format!("<{location}>; rel=\"next\", <?page=2>"))
    });
    let machine = machine_bound_to(&api.url("/v1"));
    let allowed = ["p", "--allow-host", "Host.docker.internal"];
    let serving = Serving::start(&machine, &allowed);
    let port = serving.address().replace("127.0.0.1:", "");
    let by_name = format!("host.docker.internal:{port}");
    let (at_v1, at_v2) = (api.url("/v1/b?c=d"), api.url("/v2"));
    let elsewhere = "https://b.example/v1";
    for (host, status_of_host) in [
        (serving.address(), 302),
        (&by_name, 302),
        (&format!("a.{by_name}"), 421),
        (&by_name.replace('h', "H"), 421),
        (&format!("localhost:{port}"), 421),
    ] {
        let own = format!("http://{host}{}", serving.path());
        for (to, location) in [
            (at_v1.as_str(), format!("{own}/b?c=d")),
            ("/v1/b%23c", format!("{own}/b%23c")),
            ("/v1/%C3%A9", format!("{own}/%C3%A9")),
            ("/v1/a%2Fb", format!("{own}/a%2Fb")),
            ("/v2", at_v2.clone()),
            (elsewhere, elsewhere.to_owned()),
        ] {
            let request = format!(
                "GET {}/a?to={to} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
                serving.path()
            );
            let response = serving.exchange(request.as_bytes());
            assert_eq!(status(&response), status_of_host, "{response}");
            if status_of_host != 302 {
                continue;
            }
            let links = format!("<{location}>; rel=\"next\", <{own}/a?page=2>");
            for line in [
                format!("\r\nlocation: {location}\r\n"),
                format!("\r\ncontent-location: {location}\r\n"),
                format!("\r\nlink: {links}\r\n"),
            ] {
                assert!(response.contains(&line), "{line}: {response}");
            }
        }
    }
    assert_eq!(api.requests().len(), 12, "no redirect was followed");
}

#[test]
fn one_of_several_bound_urls_is_served_and_no_other() {
    let api = Server::start(|request| Reply::json(200, request.target.clone()));
    let machine = Machine::new();
    machine.login("p", machine.server(), &[]);
    let unbound = machine.run(&["serve", "p"]).failure(3);
    assert!(unbound.stderr.contains("hallpass bind p"), "{unbound:?}");
    let urls = [api.url("/a"), api.url("/b/")];
    machine.run(&["bind", "p", &urls[0], &urls[1]]).success();
    let unclear = machine.run(&["serve", "p"]).failure(2);
    assert!(unclear.stderr.contains(&urls[1]), "{unclear:?}");
    let other = machine
        .run(&["serve", "p", "--url", &api.url("/c")])
        .failure(3);
    assert!(
        other.stderr.contains("is not bound to this URL"),
        "{other:?}"
    );
    let deeper = Serving::start(&machine, &["p", "--url", &api.url("/a/deeper")]);
    assert!(deeper.get("/x?y").ends_with("/a/deeper/x?y"));
    assert!(deeper.get("").ends_with("/a/deeper"));
}
