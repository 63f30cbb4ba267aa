//! Connections that end oddly, odd HTTP, proxies, metadata in odd places, and what a hostile
//! environment can do to a stored secret.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::machine::{CLIENT_ID, Machine, Ran, SECRET, numbered_tokens};
use crate::server::{Gate, Reply, Request, Server};
use crate::support::run_by;
use crate::tls::{Authority, Identity};

const TOKEN: &str = r#"{"access_token": "token-1", "token_type": "Bearer", "expires_in": 3600}"#;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn login(machine: &Machine, url: &str, more: &[&str]) -> Ran {
    login_to(machine, &[&["--token-url", url], more].concat())
}

fn login_to(machine: &Machine, more: &[&str]) -> Ran {
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let client = ["login", "p", "--client-id", CLIENT_ID, "--secret-file"];
    machine.run(&[&client[..], &[text(&secret)], more].concat())
}

fn assert_says(ran: &Ran, texts: &[&str]) {
    for text in texts {
        assert!(ran.stderr.contains(text), "{text}: {ran:?}");
    }
    // Text that belongs to a library.
    for text in [
        "os error",
        "Other(",
        "Error {",
        "hyper",
        "tunnel error",
        "InvalidMessage",
    ] {
        assert!(!ran.stderr.contains(text), "{text}: {ran:?}");
    }
}

// How a response ends, and how it is written.

/// Python's own servers, over TLS: the connection ends without `close_notify`, and so does
/// the body.
struct PythonServer {
    child: Child,
    port: u16,
}

impl PythonServer {
    fn start(machine: &Machine, authority: &Authority, body: &str, is_wsgi: bool) -> Self {
        const SERVER: &str = r#"
import http.server, ssl, sys, wsgiref.simple_server
certificate, body, is_wsgi = sys.argv[1:]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        print("POST", flush=True)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *_): pass
def application(environ, start_response):
    environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    print("POST", flush=True)
    write = start_response("200 OK", [("Content-Type", "application/json")])
    write(body.encode())
    return []
class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_): pass
if is_wsgi == "True":
    server = wsgiref.simple_server.make_server("127.0.0.1", 0, application, handler_class=Quiet)
else:
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;
        let (certificate, key) = authority.server_pem(&["127.0.0.1"]);
        let pem = machine.private_file("server.pem", (certificate + &key).as_bytes());
        let is_wsgi = if is_wsgi { "True" } else { "False" };
        let mut child = Command::new("python3")
            .args(["-c", SERVER, text(&pem), body, is_wsgi])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3");
        let mut line = String::new();
        let output = child.stdout.as_mut().expect("its output");
        let mut byte = [0];
        while output.read(&mut byte).expect("its output") == 1 && byte != *b"\n" {
            line.push(char::from(byte[0]));
        }
        let port = line.parse().expect("a port");
        Self { child, port }
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}/token", self.port)
    }

    /// Stops it. How many requests it got.
    fn requests(mut self) -> usize {
        self.child.kill().expect("a process");
        let output = BufReader::new(self.child.stdout.take().expect("its output"));
        let count = output.lines().count();
        self.child.wait().expect("a process");
        count
    }
}

#[test]
fn a_body_that_ends_with_a_tls_connection_without_close_notify_is_used_if_it_is_complete() {
    let authority = Authority::new();
    for is_wsgi in [true, false] {
        let machine = Machine::new();
        let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
        let server = PythonServer::start(&machine, &authority, TOKEN, is_wsgi);
        login(&machine, &server.url(), &["--ca-file", text(&ca)]).success();
        assert_eq!(server.requests(), 1);

        let machine = Machine::new();
        let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
        let cut = &TOKEN[..TOKEN.len() - 1];
        let server = PythonServer::start(&machine, &authority, cut, is_wsgi);
        let ran = login(&machine, &server.url(), &["--ca-file", text(&ca)]).failure(5);
        assert_says(&ran, &["closed before the response was complete"]);
        assert!(server.requests() <= 2);
    }
}

#[test]
fn a_whole_object_is_used_even_if_the_server_promised_more() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n47\r\n",
    ] {
        let server = Server::start(move |_| Reply::raw(format!("{head}{TOKEN}")));
        login(&Machine::new(), &server.url("/"), &[]).success();
        assert_eq!(server.requests().len(), 1);
        let server = Server::start(move |_| Reply::raw(format!("{head}{}", &TOKEN[..60])));
        login(&Machine::new(), &server.url("/"), &[]).failure(5);
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

fn compressed(status: u16, text: &str) -> Reply {
    Reply::json(status, gzip(text.as_bytes())).header("Content-Encoding", "gzip")
}

#[test]
fn a_response_is_read_although_it_is_compressed() {
    let server = Server::start(|request| match &*request.target {
        "/.well-known/openid-configuration" => {
            let host = request.header("host").unwrap_or_default();
            let metadata = format!(
                r#"{{"issuer": "http://{host}", "token_endpoint": "http://{host}/token"}}"#
            );
            compressed(200, &metadata)
        }
        "/token" => compressed(200, TOKEN),
        "/refusal" => compressed(400, r#"{"error": "invalid_scope"}"#),
        _ => Reply::new(404),
    });
    login_to(&Machine::new(), &["--issuer", &server.url("")]).success();
    let ran = login(&Machine::new(), &server.url("/refusal"), &[]).failure(4);
    assert_says(&ran, &["invalid_scope"]);
    for request in server.requests() {
        assert_eq!(request.header("accept-encoding"), Some("identity"));
    }
}

#[test]
fn a_compressed_response_is_bounded_and_an_unknown_coding_is_named() {
    let bomb = gzip(&vec![b' '; 50_000_000]);
    let replies = [
        (
            Reply::json(200, bomb).header("Content-Encoding", "gzip"),
            "larger than 1 MiB",
        ),
        (
            Reply::json(200, "\x0b\x02").header("Content-Encoding", "br"),
            "compressed with br",
        ),
        (
            Reply::json(200, "nothing").header("Content-Encoding", "gzip"),
            "compressed and damaged",
        ),
    ];
    for (reply, says) in replies {
        let server = Server::start(move |_| reply.clone());
        let ran = login(&Machine::new(), &server.url("/"), &[]).failure(5);
        assert_says(&ran, &[says]);
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn an_unused_header_line_may_be_malformed() {
    for line in [
        &b"X-Folded: a\r\n b\r\n\tc"[..],
        b"X-Spaced : a",
        b"X-Latin: caf\xe9",
        b"X-Utf8: caf\xc3\xa9",
        b"no colon at all",
        b"X-Bell: a\x07b",
        b": no name",
        b"X Y: a",
        b"X-Empty:",
    ] {
        let reply = [
            &b"HTTP/1.1 200 OK\r\n"[..],
            line,
            b"\r\nContent-Type: application/json\r\n\r\n",
            TOKEN.as_bytes(),
        ]
        .concat();
        let server = Server::start(move |_| Reply::raw(reply.clone()));
        let ran = login(&Machine::new(), &server.url("/"), &[]);
        assert_eq!(ran.code, 0, "{} {ran:?}", line.escape_ascii());
        assert_eq!(server.requests().len(), 1, "{}", line.escape_ascii());
    }
}

#[test]
fn a_fault_that_does_not_change_is_met_once() {
    for reply in [
        "garbage",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        // RFC 9110 §5.5 calls it dangerous.
        "HTTP/1.1 200 OK\r\nX-Nul: a\0b\r\n\r\n{}",
        "\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x7f\0\x04\0\x01\0\0\0\x05",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    ] {
        let server = Server::start(move |_| Reply::raw(reply));
        let ran = login(&Machine::new(), &server.url("/"), &[]).failure(5);
        assert_says(&ran, &["hint"]);
        assert_eq!(server.requests().len(), 1, "{reply:?} {ran:?}");
    }
}

// TLS, in words.

#[test]
fn what_is_wrong_with_a_servers_tls_is_reported_in_words() {
    let authority = Authority::new();
    let here = ["127.0.0.1"];
    let h2 = authority.identity_with(&here, |config| {
        config.alpn_protocols = vec![b"h2".to_vec()];
    });
    for (identity, says) in [
        (h2, "HTTP/2 only"),
        (
            authority.identity_for_known_clients(&here),
            "client certificate",
        ),
        (
            authority.expired_identity(&here),
            "its certificate has expired",
        ),
        (authority.future_identity(&here), "is not valid yet"),
        (authority.identity(&["a.example"]), "only for a.example"),
        (Identity::own_ca(&here, 2020..2100).0, "is a CA certificate"),
    ] {
        let server = Server::start_tls(&identity, numbered_tokens());
        let machine = Machine::new();
        let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
        let ran = login(&machine, &server.url("/"), &["--ca-file", text(&ca)]).failure(5);
        assert_says(&ran, &[says, "hint"]);
        assert!(server.requests().is_empty());
    }
    for (answer, says) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS"),
        ("", "closed the connection during the TLS handshake"),
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let url = format!("https://{}/", listener.local_addr().expect("an address"));
        let serving = thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("a connection");
            let count = client.read(&mut [0; 4096]).expect("a hello");
            assert_ne!(count, 0);
            client.write_all(answer.as_bytes()).expect("a client");
        });
        let ran = login(&Machine::new(), &url, &[]).failure(5);
        serving.join().expect("a server");
        assert_says(&ran, &[says, "port"]);
    }
}

#[test]
fn a_server_with_a_p_521_certificate_is_refused_in_words() {
    let machine = Machine::new();
    let [key, certificate] = ["key.pem", "certificate.pem"].map(|name| machine.root().join(name));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-521",
            "-nodes",
        ])
        .args(["-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", text(&key), "-out", text(&certificate)])
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{made:?}");
    let mut server = Command::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-key", text(&key)])
        .args(["-cert", text(&certificate)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl");
    let lines = BufReader::new(server.stdout.take().expect("its output")).lines();
    let address = lines
        .map_while(Result::ok)
        .find_map(|line| Some(line.strip_prefix("ACCEPT ")?.to_owned()))
        .expect("an address");
    let url = format!("https://{address}/");
    let ran = login(&machine, &url, &["--ca-file", text(&certificate)]);
    server.kill().expect("a process");
    server.wait().expect("a process");
    assert_says(&ran.failure(5), &["P-384", "hint"]);
}

#[test]
fn a_servers_own_ca_certificate_is_trusted_as_exactly_that() {
    let here = ["127.0.0.1", "localhost"];
    let (identity, pem) = Identity::own_ca(&here, 2020..2100);
    let server = Server::start_tls(&identity, numbered_tokens());
    let machine = Machine::new();
    let ca = machine.private_file("ca.pem", pem.as_bytes());
    login(&machine, &server.url("/"), &["--ca-file", text(&ca)]).success();
    machine.run(&["token", "--refresh"]).success();

    // Another one with the same name, one for another host, and those of another time.
    let (other, _) = Identity::own_ca(&here, 2020..2100);
    let rows = [
        (other, pem),
        Identity::own_ca(&["127.0.0.2"], 2020..2100),
        Identity::own_ca(&here, 2000..2001),
        Identity::own_ca(&here, 2100..2101),
    ];
    for (identity, pem) in rows {
        let server = Server::start_tls(&identity, numbered_tokens());
        let machine = Machine::new();
        let ca = machine.private_file("ca.pem", pem.as_bytes());
        let ran = login(&machine, &server.url("/"), &["--ca-file", text(&ca)]).failure(5);
        assert_says(&ran, &["its certificate"]);
        assert_eq!(server.bytes_received(), 0);
    }
}

// Proxies.

#[test]
fn a_proxy_that_cannot_be_read_is_an_error_and_its_value_is_not_shown() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        for value in [
            "foo://h4st:1",
            "user:p#ss@h4st:1",
            "http:/h4st:1",
            "http://",
            "http://h4st:99999",
            "socks5://h4st:1",
        ] {
            let mut machine = Machine::new();
            machine.set(name, value);
            let ran = login(&machine, &server.url("/"), &[]).failure(2);
            assert_says(&ran, &[name, "hint"]);
            assert!(
                !ran.stderr.contains("h4st") && !ran.stderr.contains("p#ss"),
                "{ran:?}"
            );
        }
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn what_a_proxy_does_is_not_blamed_on_the_server() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    for (status, says) in [
        (407, "requires a user name and password"),
        (403, "refused to connect"),
    ] {
        let proxy = Server::start(move |_| Reply::new(status));
        let mut machine = Machine::new();
        let address = format!("http://127.0.0.1:{}", proxy.port());
        machine.set("HTTPS_PROXY", &address.replace("//", "//us3r:p@ss@"));
        let ran = login(&machine, &server.url("/"), &[]).failure(5);
        assert_says(&ran, &["the proxy", &address, says, "HTTPS_PROXY"]);
        // The credentials arrive whole: us3r:p@ss.
        let authorization = proxy.requests()[0]
            .header("proxy-authorization")
            .map(str::to_owned);
        assert_eq!(authorization.as_deref(), Some("Basic dXMzcjpwQHNz"));
        proxy.stop();
        let ran = login(&machine, &server.url("/"), &[]).failure(5);
        assert_says(&ran, &["the proxy", &address, "connection refused"]);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn exceptions_from_the_proxy_may_name_a_port_or_a_network() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    let port = server.port();
    for (list, is_direct) in [
        (format!("127.0.0.1:{port}"), true),
        ("127.0.0.0/8".to_owned(), true),
        ("a.example 127.0.0.1".to_owned(), true),
        (format!("127.0.0.1:{}", port - 1), false),
        ("128.0.0.0/8".to_owned(), false),
    ] {
        let proxy = Server::start(|_| Reply::new(403));
        let mut machine = Machine::new();
        machine.set("HTTPS_PROXY", &format!("http://127.0.0.1:{}", proxy.port()));
        machine.set("NO_PROXY", &list);
        let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
        let ran = login(&machine, &server.url("/"), &["--ca-file", text(&ca)]);
        assert_eq!(ran.code == 0, is_direct, "{list}: {ran:?}");
        assert_eq!(proxy.connections(), usize::from(!is_direct), "{list}");
    }
}

// Metadata.

fn metadata(request: &Request, more: &str) -> String {
    let host = request.header("host").unwrap_or_default();
    format!(r#"{{"issuer": "http://{host}/t", "token_endpoint": "http://{host}/token"{more}}}"#)
}

const FIRST: &str = "/.well-known/oauth-authorization-server/t";
const SECOND: &str = "/t/.well-known/openid-configuration";

#[test]
fn one_location_without_metadata_does_not_end_the_search() {
    let replies = [
        Reply::new(404),
        Reply::new(500),
        Reply::json(200, "<html>"),
        Reply::json(200, "{}"),
        Reply::json(200, "[]"),
        Reply::json(200, r#"{"issuer": "https://other.example"}"#),
        Reply::hang_up(),
        Reply::raw("garbage"),
        Reply::new(200).header("Content-Encoding", "br").body("x"),
    ];
    for reply in replies {
        let server = Server::start(move |request| match &*request.target {
            FIRST => reply.clone(),
            SECOND => Reply::json(200, format!("\u{feff}{}", metadata(request, ""))),
            "/token" => Reply::json(200, TOKEN),
            _ => Reply::new(404),
        });
        login_to(&Machine::new(), &["--issuer", &server.url("/t")]).success();
    }
}

#[test]
fn the_most_useful_failure_of_a_search_is_reported() {
    let template = r#"{"issuer": "https://login.example/{tenantid}/v2.0"}"#;
    for (body, code, says) in [
        ("<html>", 5, "without a JSON object"),
        ("{}", 4, "has no issuer"),
        (
            template,
            4,
            "another issuer: https://login.example/{tenantid}/v2.0",
        ),
        (
            r#"{"issuer": "http://internal:8080/t"}"#,
            4,
            "another issuer",
        ),
    ] {
        let server = Server::start(move |request| match &*request.target {
            SECOND => Reply::json(200, body),
            _ => Reply::new(404),
        });
        let ran = login_to(&Machine::new(), &["--issuer", &server.url("/t")]).failure(code);
        assert_says(&ran, &[says, "--token-url"]);
        assert!(
            !ran.stderr.contains("--issuer https://login.example"),
            "{ran:?}"
        );
        assert_eq!(server.requests().len(), 3);
    }
}

#[test]
fn an_endpoint_that_is_not_needed_may_be_unusable() {
    for (more, ignored) in [
        (
            r#", "revocation_endpoint": "http://not.local.example/revoke""#,
            "has a revocation_endpoint that",
        ),
        (
            r#", "revocation_endpoint": 1"#,
            "has a revocation_endpoint that is not a string, which is ignored",
        ),
        (
            r#", "revocation_endpoint": "relative""#,
            "has a revocation_endpoint that",
        ),
        (
            r#", "mtls_endpoint_aliases": {"token_endpoint": "http://not.local.example/"}"#,
            ", in mtls_endpoint_aliases, which is ignored",
        ),
        (
            r#", "mtls_endpoint_aliases": {"revocation_endpoint": {}}"#,
            "has a revocation_endpoint that is not a string, in mtls_endpoint_aliases, which is ignored",
        ),
        (
            r#", "mtls_endpoint_aliases": []"#,
            "mtls_endpoint_aliases that are not an object, which is ignored",
        ),
        (r#", "mtls_endpoint_aliases": null"#, ""),
        (r#", "policy": 1e999, "text": "\ud800""#, ""),
    ] {
        let server = Server::start(move |request| match &*request.target {
            SECOND => Reply::json(200, metadata(request, more)),
            "/token" => Reply::json(200, TOKEN),
            _ => Reply::new(404),
        });
        let ran = login_to(&Machine::new(), &["--issuer", &server.url("/t")]);
        assert_eq!(ran.code, 0, "{more}: {ran:?}");
        let warnings = ran.stderr.lines();
        let warnings = warnings.filter(|line| line.starts_with("hallpass: warning: "));
        let warnings: Vec<_> = warnings.collect();
        assert_eq!(warnings.len(), usize::from(!ignored.is_empty()), "{ran:?}");
        assert_says(&ran, &[ignored]);
    }
}

// Waiting.

#[test]
fn a_note_at_the_terminal_shows_what_hallpass_waits_for() {
    let gate = Gate::new();
    let held = gate.clone();
    let server = Server::start(move |_| Reply::token("t", 3600).held_by(&held));
    let machine = Machine::new();
    login(&machine, &server.url("/"), &["--no-verify"]).success();
    // At a terminal.
    let mut python = Command::new("python3");
    python.args(["-c", "import pty, sys; pty.spawn(sys.argv[1:])"]);
    let mut child = run_by(python, &machine.hallpass(&["token"]))
        .stdout(Stdio::piped())
        .spawn()
        .expect("hallpass starts");
    let mut output = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = || {
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    };
    assert_eq!(line(), format!("hallpass: waiting for {}", server.url("")));
    gate.open();
    assert_eq!(line(), "t");
    child.wait().expect("an end");
}

/// A server that answers the first request of all with "come back in 2 seconds".
fn server_that_is_busy_at_first() -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::new(429).header("Retry-After", "2"),
        _ => Reply::token("t", 3600),
    })
}

/// What a terminal shows of a command that reads this file.
fn shown_at_a_terminal(machine: &Machine, arguments: &[&str], input: &Path) -> String {
    let mut shell = Command::new("python3");
    let spawn = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))";
    shell.args(["-c", spawn, "sh", "-c", "exec \"$0\" \"$@\" <\"$INPUT\""]);
    let mut command = run_by(shell, &machine.hallpass(arguments));
    command.env("INPUT", input);
    let output = command.output().expect("python3");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .replace("\r\n", "\n")
}

#[test]
fn the_note_that_the_server_asked_to_wait_is_shown_only_at_a_terminal() {
    let request = "protocol=https\nhost=git.example\n\n";
    for (arguments, is_shown) in [
        (&["token"][..], true),
        (&["git-credential", "get"], false),
        (
            &["askpass", "Password for 'https://me@git.example': "],
            false,
        ),
    ] {
        let server = server_that_is_busy_at_first();
        let machine = Machine::new();
        let more = ["--no-verify", "--for", "https://git.example/"];
        login(&machine, &server.url("/"), &more).success();
        let input = machine.private_file("request", request.as_bytes());
        let shown = shown_at_a_terminal(&machine, arguments, &input);
        let note = format!(
            "hallpass: waiting 2 s, as requested by {}\n",
            server.url("")
        );
        assert_eq!(shown.contains(&note), is_shown, "{arguments:?}: {shown}");
        assert_eq!(
            shown.contains("hallpass: "),
            is_shown,
            "{arguments:?}: {shown}"
        );
        assert_eq!(server.requests().len(), 2, "{arguments:?}: {shown}");
    }
    // Nor is a log.
    let server = server_that_is_busy_at_first();
    let machine = Machine::new();
    login(&machine, &server.url("/"), &["--no-verify"]).success();
    assert_eq!(machine.run(&["token"]).token(), "t");
}

#[test]
fn a_server_that_wants_to_renegotiate_tls_is_refused_in_words() {
    let authority = Authority::new();
    // Also for a client certificate (`R`).
    for wish in ["r\n", "R\n"] {
        let machine = Machine::new();
        let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
        let (certificate, key) = authority.server_pem(&["127.0.0.1"]);
        let pem = machine.private_file("server.pem", (certificate + &key).as_bytes());
        let mut server = Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                "127.0.0.1:0",
                "-tls1_2",
                "-cert",
                text(&pem),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        let mut output = BufReader::new(server.stdout.take().expect("its output"));
        let mut line_with = |text: &str| loop {
            let mut line = Vec::new();
            let count = output.read_until(b'\n', &mut line).expect("a line");
            assert!(count > 0, "openssl ended before {text}");
            let line = String::from_utf8_lossy(&line).into_owned();
            if line.contains(text) {
                break line;
            }
        };
        let address = line_with("ACCEPT");
        let port = address.trim().rsplit(':').next().expect("a port");
        let url = format!("https://127.0.0.1:{port}/token");
        let failed = thread::scope(|scope| {
            let login = scope.spawn(|| login(&machine, &url, &["--ca-file", text(&ca)]));
            line_with("POST /token");
            let stdin = server.stdin.as_mut().expect("its input");
            stdin.write_all(wish.as_bytes()).expect("a line");
            login.join().expect("an end")
        });
        let failed = failed.failure(5);
        assert_says(
            &failed,
            &[
                "the server wants to renegotiate TLS",
                "hallpass does not renegotiate",
                "hint: if it requires a certificate, add --cert FILE",
            ],
        );
        server.kill().expect("a process");
        server.wait().expect("a process");
    }
}

#[test]
fn a_request_that_takes_too_long_ends_with_a_hint() {
    let gate = Gate::new();
    let server = Server::start(move |_| Reply::token("t", 3600).held_by(&gate));
    let ran = login(&Machine::new(), &server.url("/"), &["--timeout", "1s"]).failure(5);
    assert_says(&ran, &["within 1 s", "hint", "--timeout"]);
}

// A hostile environment.

/// A proxy that leads every connection to one server, whatever server was asked for.
pub(crate) fn diverting_proxy(port: u16) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || divert(client, port).ok());
        }
    });
    url
}

fn divert(mut client: TcpStream, port: u16) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    io::copy(&mut client, &mut server)?;
    server.shutdown(Shutdown::Write)
}

#[test]
fn a_projects_environment_does_not_lead_a_stored_secret_to_someone_else() {
    let [real, evil] = [(); 2].map(|()| Authority::new());
    let here = ["127.0.0.1"];
    let server = Server::start_tls(&real.identity(&here), numbered_tokens());
    let attacker = Server::start_tls(&evil.identity(&here), numbered_tokens());
    let proxy = diverting_proxy(attacker.port());
    for (proxy_variable, variable) in [
        ("HTTPS_PROXY", "SSL_CERT_FILE"),
        ("all_proxy", "SSL_CERT_DIR"),
    ] {
        for has_ca_file in [true, false] {
            let mut machine = Machine::new();
            let ca = machine.private_file("ca.pem", real.pem().as_bytes());
            let url = server.url("/");
            if has_ca_file {
                login(&machine, &url, &["--ca-file", text(&ca)]).success();
            } else {
                login(&machine, &url, &["--no-verify"]).success();
            }
            fs::create_dir(machine.root().join("evil")).expect("a directory");
            let file = machine.private_file("evil/evil.pem", evil.pem().as_bytes());
            let trusted = match variable {
                "SSL_CERT_FILE" => &*file,
                _ => file.parent().expect("a directory"),
            };
            machine
                .set(proxy_variable, &proxy)
                .set(variable, text(trusted));
            let ran = machine.run(&["token", "--refresh"]).failure(5);
            assert_says(&ran, &[variable, "run `hallpass login p` again"]);
        }
    }
    assert_eq!(attacker.bytes_received(), 0);
}

#[test]
fn what_the_environment_trusts_at_a_login_is_trusted_by_its_profile_ever_after() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let machine = Machine::new();
        fs::create_dir(machine.root().join("trusted")).expect("a directory");
        let file = machine.private_file("trusted/ca.pem", authority.pem().as_bytes());
        let is_file = variable == "SSL_CERT_FILE";
        let value = if is_file { "trusted/ca.pem" } else { "trusted" };
        let secret = machine.private_file("secret", SECRET.as_bytes());
        let url = server.url("/");
        let arguments = ["login", "p", "--token-url", &url, "--client-id", CLIENT_ID];
        // A relative path is one of the login's directory.
        let mut login =
            machine.hallpass(&[&arguments[..], &["--secret-file", text(&secret)]].concat());
        login.current_dir(machine.root()).env(variable, value);
        Ran::from(login.output().expect("hallpass starts")).success();
        machine.run(&["token", "--refresh"]).success();
        // Another value later, as in a project with an environment of its own.
        let empty = machine.private_file("empty.pem", b"");
        let mut token = machine.hallpass(&["token", "--refresh"]);
        token.env(
            variable,
            text(if is_file { &empty } else { machine.root() }),
        );
        Ran::from(token.output().expect("hallpass starts")).success();
        fs::remove_file(&file).expect("a file");
        machine.run(&["token", "--refresh"]).failure(5);
    }
}

#[test]
fn a_profile_from_the_environment_trusts_what_the_environment_does() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    let mut machine = Machine::new();
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    machine
        .set("HALLPASS_TOKEN_URL", &server.url("/"))
        .set("HALLPASS_CLIENT_ID", CLIENT_ID)
        .set("HALLPASS_CLIENT_SECRET", SECRET)
        .set("SSL_CERT_FILE", text(&ca));
    assert_eq!(machine.run(&["token"]).token(), "token-1");
}

#[test]
fn a_ca_file_that_changed_after_the_login_is_not_trusted_until_the_next_one() {
    let [real, evil] = [(); 2].map(|()| Authority::new());
    let here = ["127.0.0.1"];
    let server = Server::start_tls(&real.identity(&here), numbered_tokens());
    let attacker = Server::start_tls(&evil.identity(&here), numbered_tokens());
    let mut machine = Machine::new();
    let ca = machine.private_file("ca.pem", real.pem().as_bytes());
    login(&machine, &server.url("/"), &["--ca-file", text(&ca)]).success();
    // The same certificates with a comment are the same.
    fs::write(&ca, format!("# real\n{}", real.pem())).expect("a file");
    machine.run(&["token", "--refresh"]).success();
    fs::write(&ca, real.pem() + &evil.pem()).expect("a file");
    machine.set("HTTPS_PROXY", &diverting_proxy(attacker.port()));
    let ran = machine.run(&["token", "--refresh"]).failure(6);
    assert_says(
        &ran,
        &[text(&ca), "has changed since login", "hallpass login"],
    );
    assert_eq!(attacker.connections(), 0);
    machine.set("NO_PROXY", "*");
    login(&machine, &server.url("/"), &["--ca-file", text(&ca)]).success();
}

#[test]
fn a_host_that_no_program_can_decode_is_refused() {
    for url in ["https://xn--zz--/token", "https://a.xn--zz--.example/"] {
        let ran = login(&Machine::new(), url, &["--no-verify"]).failure(2);
        assert_says(&ran, &["host"]);
    }
}
