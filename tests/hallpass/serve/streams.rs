//! Bodies in pieces, other protocols, and who is too slow.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use super::{Serving, machine_bound_to, read_to_end, status};
use crate::machine::RUN_LIMIT;
use crate::server::{Reply, Server};

/// A server with one connection, which a test reads and writes itself.
pub(super) fn one_connection(serve: impl FnOnce(BufReader<TcpStream>) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        serve(BufReader::new(stream));
    });
    url
}

pub(super) fn head(stream: &mut impl BufReadExt) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.line(&mut head) > 0, "{head}");
    }
    head
}

pub(super) trait BufReadExt {
    fn line(&mut self, line: &mut String) -> usize;
}

impl<R: std::io::Read> BufReadExt for BufReader<R> {
    fn line(&mut self, line: &mut String) -> usize {
        self.read_line(line).expect("a line")
    }
}

#[test]
fn each_part_of_a_body_is_passed_on_when_it_comes() {
    let url = one_connection(|mut stream| {
        head(&mut stream);
        let mut part = [0; 10];
        for number in 0..3 {
            // `5\r\nasked\r\n` of the client, before the answer to it.
            stream.read_exact(&mut part).expect("a part");
            let event = format!("data: {number}\n\n");
            let mut writer = stream.get_ref();
            if number == 0 {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
                writer.write_all(head.as_bytes()).expect("a head");
            }
            write!(writer, "{:x}\r\n{event}\r\n", event.len()).expect("an event");
        }
        stream.get_ref().write_all(b"0\r\n\r\n").expect("an end");
    });
    let machine = machine_bound_to(&url);
    let serving = Serving::start(&machine, &["p"]);
    let mut stream = serving.begin("POST", &["Transfer-Encoding: chunked"]);
    for number in 0..3 {
        stream
            .get_ref()
            .write_all(b"5\r\nasked\r\n")
            .expect("a part");
        if number == 0 {
            let head = head(&mut stream);
            assert!(
                head.contains("content-type: text/event-stream\r\n"),
                "{head}"
            );
        }
        let mut part = [0; 14];
        stream.read_exact(&mut part).expect("an event");
        assert_eq!(
            String::from_utf8_lossy(&part),
            format!("9\r\ndata: {number}\n\n\r\n")
        );
    }
    stream.get_ref().write_all(b"0\r\n\r\n").expect("an end");
    let mut end = [0; 5];
    stream.read_exact(&mut end).expect("the end");
    assert_eq!(&end, b"0\r\n\r\n");
}

#[test]
fn a_websocket_is_passed_through() {
    let url = one_connection(|mut stream| {
        let head = head(&mut stream).to_lowercase();
        assert!(head.contains("upgrade: websocket\r\n"), "{head}");
        assert!(head.contains("authorization: bearer token-1\r\n"), "{head}");
        assert!(head.contains("sec-websocket-key: x\r\n"), "{head}");
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\nhello";
        stream
            .get_ref()
            .write_all(answer.as_bytes())
            .expect("a head");
        let mut frame = [0; 8];
        for _ in 0..3 {
            stream.read_exact(&mut frame).expect("a frame");
            stream.get_ref().write_all(&frame).expect("a frame");
        }
    });
    let machine = machine_bound_to(&url);
    let serving = Serving::start(&machine, &["p"]);
    let upgrade = [
        "Connection: keep-alive, Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: x",
        "Sec-WebSocket-Version: 13",
    ];
    let mut stream = serving.begin("GET", &upgrade);
    let head = head(&mut stream);
    assert_eq!(status(&head), 101, "{head}");
    assert!(
        head.contains("upgrade: websocket\r\n") && head.contains("sec-websocket-accept: y\r\n"),
        "{head}"
    );
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).expect("a frame");
    assert_eq!(&hello, b"hello");
    // Bytes that are no request.
    for _ in 0..3 {
        let frame = *b"\x81\x06\r\n\0\n\xff\r";
        stream.get_ref().write_all(&frame).expect("a frame");
        let mut back = [0; 8];
        stream.read_exact(&mut back).expect("a frame");
        assert_eq!(back, frame);
    }
}

#[test]
fn a_server_that_breaks_off_or_does_not_answer_is_reported() {
    for (bytes, expected, part) in [
        (&b""[..], 502, "no usable response"),
        (b"nonsense\r\n\r\n", 502, "no usable response"),
    ] {
        let url = one_connection(move |mut stream| {
            head(&mut stream);
            stream.get_ref().write_all(bytes).expect("an answer");
        });
        let machine = machine_bound_to(&url);
        let serving = Serving::start(&machine, &["p"]);
        let response = serving.get("/");
        assert_eq!(status(&response), expected, "{response}");
        assert!(response.contains(part), "{response}");
        // Nobody listens there any more.
        let response = serving.get("/");
        assert!(response.contains("cannot connect to"), "{response}");
    }
    let url = one_connection(|mut stream| {
        head(&mut stream);
        // Until the proxy closes the connection.
        let _ = stream.read(&mut [0]);
    });
    let machine = machine_bound_to(&url);
    let serving = Serving::start(&machine, &["p", "--timeout", "1s"]);
    let response = serving.get("/");
    assert_eq!(status(&response), 504, "{response}");
    assert!(response.contains("did not answer within 1 s"), "{response}");
}

#[test]
fn a_long_body_may_take_longer_than_the_limit_for_pauses() {
    let api = Server::start(|request| Reply::json(200, request.body.len().to_string()));
    let machine = machine_bound_to(&api.url("/"));
    let serving = Serving::start(&machine, &["p", "--timeout", "2s"]);
    let head = format!(
        "POST {}/ HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n",
        serving.path(),
        serving.address()
    );
    let part = "a".repeat(20_000).into_bytes();
    let mut stream = serving.connect();
    stream.write_all(head.as_bytes()).expect("a head");
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(500));
        stream.write_all(&part).expect("a part");
    }
    let response = read_to_end(stream);
    assert!(response.ends_with("100000"), "{response}");
    // Unless the client pauses.
    let response = serving.exchange(format!("{head}abc").as_bytes());
    assert_eq!(status(&response), 408, "{response}");
}

/// A server may close a connection just as it is used again.
#[test]
fn a_request_without_effects_is_repeated_if_the_server_closed_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.expect("a connection"));
            for number in 0..2 {
                let head = head(&mut stream);
                let method = head.split(' ').next().unwrap_or_default().to_owned();
                seen.lock().expect("a list").push(method);
                if number == 0 {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    stream.get_ref().write_all(answer).expect("a response");
                }
            }
        }
    });
    let machine = machine_bound_to(&url);
    let serving = Serving::start(&machine, &["p"]);
    for (method, expected) in [("GET", 200), ("GET", 200), ("POST", 502)] {
        let response = serving.request(method, "/", &[], "");
        assert_eq!(status(&response), expected, "{response}");
    }
    let heads = heads.lock().expect("a list");
    assert_eq!(*heads, ["GET", "GET", "GET", "POST"]);
}

#[test]
fn a_change_of_the_protocol_that_nobody_wanted_is_no_response() {
    let url = one_connection(|mut stream| {
        head(&mut stream);
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\n\r\n";
        stream.get_ref().write_all(answer).expect("a head");
    });
    let machine = machine_bound_to(&url);
    let serving = Serving::start(&machine, &["p"]);
    let response = serving.get("/");
    assert_eq!(status(&response), 502, "{response}");
    assert!(response.contains("no usable response"), "{response}");
}

#[test]
fn a_client_that_sends_no_body_or_a_server_that_pauses_is_given_up() {
    let url = one_connection(|mut stream| {
        head(&mut stream);
        let part = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";
        stream.get_ref().write_all(part).expect("a part");
        let _ = stream.read(&mut [0]);
    });
    let machine = machine_bound_to(&url);
    let serving = Serving::start(&machine, &["p", "--timeout", "1s"]);
    let response = serving.get("/");
    assert!(response.ends_with("\r\n\r\nabc"), "{response}");
    let stream = serving.begin("POST", &["Content-Length: 10"]);
    stream.get_ref().write_all(b"abc").expect("a part");
    let response = read_to_end(stream.into_inner());
    assert_eq!(status(&response), 408, "{response}");
}

/// And with it the connection to the server, which may do long and expensive work for it.
#[test]
fn a_client_that_is_gone_or_does_not_read_is_given_up() {
    let (sender, events) = mpsc::channel();
    let wait = || events.recv_timeout(RUN_LIMIT).expect("an event");
    let event = sender.clone();
    let url = one_connection(move |mut stream| {
        head(&mut stream);
        let _ = event.send(());
        // Until the proxy closes the connection.
        let _ = stream.read(&mut [0]);
        let _ = event.send(());
    });
    let machine = machine_bound_to(&url);
    let serving = Serving::start(&machine, &["p"]);
    let gone = serving.begin("GET", &[]);
    wait();
    drop(gone);
    wait();
    let url = one_connection(move |mut stream| {
        head(&mut stream);
        let endless = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n";
        let mut stream = stream.into_inner();
        let mut written = stream.write_all(endless);
        while written.is_ok() {
            written = stream.write_all(&[b'a'; 8 * 1024]);
        }
        let _ = sender.send(());
    });
    let machine = machine_bound_to(&url);
    let serving = Serving::start(&machine, &["p", "--timeout", "1s"]);
    let unread = serving.begin("GET", &[]);
    wait();
    drop(unread);
}

/// Every user of this machine can connect.
#[test]
fn a_connection_without_a_request_is_closed() {
    let machine = machine_bound_to("http://127.0.0.1:9/");
    let serving = Serving::start(&machine, &["p"]);
    let mut slow = serving.connect();
    let request = format!("GET {}/ HTTP/1.1\r\nHost", serving.path());
    slow.write_all(request.as_bytes()).expect("a part");
    let silent = serving.connect();
    assert_eq!(read_to_end(slow), "");
    assert_eq!(read_to_end(silent), "");
}
