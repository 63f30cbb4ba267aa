//! A small HTTP client: what is sent and received, byte for byte.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Sends the head of a request, and leaves the connection open.
pub(super) fn open(method: &str, url: &str, headers: &[&str]) -> TcpStream {
    let rest = url.strip_prefix("http://").expect("http");
    let (host, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("a connection");
    let limit = Some(Duration::from_secs(60));
    stream.set_read_timeout(limit).expect("a limit");
    let lines: String = headers.iter().flat_map(|line| [line, "\r\n"]).collect();
    let head = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
    stream.write_all(head.as_bytes()).expect("a request");
    stream
}

/// Sends a request, and returns the response with its head.
pub(super) fn send(method: &str, url: &str, headers: &[&str], body: &str) -> String {
    let length = format!("Content-Length: {}", body.len());
    let more = ["Connection: close", &length];
    let mut stream = open(method, url, &[headers, &more].concat());
    // The server may have refused the request by now.
    let _ = stream.write_all(body.as_bytes());
    let mut response = Vec::new();
    stream.read_to_end(&mut response).expect("a response");
    String::from_utf8(response).expect("text")
}

/// The body of a response.
pub(super) fn get(url: &str) -> String {
    let response = send("GET", url, &[], "");
    let (_, body) = response.split_once("\r\n\r\n").expect("a body");
    let chunk = body.split_once("\r\n").map(|(_, rest)| rest);
    let is_chunked = response
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = if is_chunked {
        chunk.expect("a chunk")
    } else {
        body
    };
    body.lines().next().unwrap_or_default().to_owned()
}
