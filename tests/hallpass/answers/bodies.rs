//! The body of a response: JSON in every form, what is not JSON, endless and slow ones, redirects.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::{Endless, GOOD, answered, contains, refused};
use crate::machine::{Machine, numbered_tokens};
use crate::server::{Gate, Reply, Server};

// The body.

#[test]
fn any_success_with_one_json_object_is_an_answer() {
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
    let length = GOOD.len();
    let padding = 1024 * 1024 - GOOD.len();
    let rows: Vec<(&str, Reply)> = vec![
        ("201", Reply::json(201, GOOD)),
        ("206", Reply::json(206, GOOD)),
        ("299", Reply::json(299, GOOD)),
        ("no content type", Reply::new(200).body(GOOD)),
        (
            "text/html",
            Reply::new(200)
                .header("Content-Type", "text/html; charset=latin1")
                .body(GOOD),
        ),
        (
            "byte order mark",
            Reply::json(200, format!("\u{feff}{GOOD}")),
        ),
        (
            "white space around",
            Reply::json(200, format!("\r\n {GOOD}\n\n")),
        ),
        (
            "1 MiB",
            Reply::json(200, format!("{GOOD}{}", " ".repeat(padding))),
        ),
        ("no length", Reply::raw(format!("{head}\r\n{GOOD}"))),
        (
            "chunks",
            Reply::raw(format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n{:x};ext=1\r\n{}\r\n0\r\nTrailer: x\r\n\r\n",
                length - 1,
                &GOOD[1..]
            )),
        ),
        (
            "HTTP/1.0",
            Reply::raw(format!("HTTP/1.0 200 OK\r\n\r\n{GOOD}")),
        ),
        (
            "100 first",
            Reply::raw(format!(
                "HTTP/1.1 100 Continue\r\n\r\n{head}Content-Length: {length}\r\n\r\n{GOOD}"
            )),
        ),
        (
            "102 and 103 first",
            Reply::raw(format!(
                "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{head}Content-Length: {length}\r\n\r\n{GOOD}"
            )),
        ),
        (
            "other members",
            Reply::json(
                200,
                r#"{"access_token":"good","expires_in":3600,"refresh_token":"r3fresh","id_token":"1d","x":{"error":"not here"}}"#,
            ),
        ),
        (
            "fewer bytes than the length",
            Reply::raw(format!(
                "{head}Content-Length: {}\r\n\r\n{GOOD}",
                length + 1
            )),
        ),
        (
            "bytes beyond the length",
            Reply::raw(format!(
                "{head}Content-Length: {length}\r\n\r\n{GOOD}garbage"
            )),
        ),
    ];
    for (name, reply) in rows {
        let (machine, server) = answered(reply);
        let ran = machine.run(&["token"]);
        assert_eq!(
            (ran.code, &*ran.stdout, &*ran.stderr),
            (0, "good\n", ""),
            "{name}"
        );
        assert_eq!(machine.run(&["token"]).token(), "good", "{name}");
        assert_eq!(server.requests().len(), 1, "{name}");
        for file in machine.files() {
            let content = std::fs::read(&file).expect("a file");
            assert!(!contains(&content, "r3fresh"), "{}", file.display());
        }
    }
}

#[test]
fn an_odd_value_in_an_unused_member_is_ignored() {
    let odd = |value: &[u8]| [br#"{"odd":"#, value, b",", &GOOD.as_bytes()[1..]].concat();
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let utf_16 = GOOD.encode_utf16().flat_map(u16::to_le_bytes);
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("Latin-1", odd(b"\"f\xfcr\"")),
        ("half a surrogate", odd(br#""\ud800""#)),
        ("an unknown escape", odd(br#""\x""#)),
        ("NUL", odd(b"\"\0\"")),
        ("a line end", odd(b"\"\n\"")),
        ("too large a number", odd(b"1e999")),
        ("400 digits", odd("9".repeat(400).as_bytes())),
        ("no JSON value", odd(b"NaN")),
        ("a deep list", odd(&deep)),
        ("another access_token", odd(br#"1,"access_token":"bad""#)),
        ("UTF-16", utf_16.collect()),
    ];
    for (name, body) in rows {
        let (machine, server) = answered(Reply::json(200, body));
        for _ in 0..2 {
            assert_eq!(machine.run(&["token"]).token(), "good", "{name}");
        }
        assert_eq!(server.requests().len(), 1, "{name}");
    }
}

#[test]
fn what_is_not_one_json_object_is_unavailable_and_not_requested_again() {
    let utf16: Vec<u8> = GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cut = [b"{\"access_token\":\"t\",\"x\":\"".as_slice(), b"\xff\""].concat();
    let outside = [b"{\"access_token\":\"t\"".as_slice(), b",\xff}"].concat();
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", b"".to_vec()),
        ("HTML", b"<!DOCTYPE html><p>Please log in".to_vec()),
        ("form", b"access_token=t&expires_in=3600".to_vec()),
        ("array", format!("[{GOOD}]").into_bytes()),
        ("string", br#""t""#.to_vec()),
        ("null", b"null".to_vec()),
        ("two objects", format!("{GOOD}{GOOD}").into_bytes()),
        ("trailing garbage", format!("{GOOD}x").into_bytes()),
        ("trailing NUL", format!("{GOOD}\0").into_bytes()),
        ("cut", GOOD.as_bytes()[..GOOD.len() - 1].to_vec()),
        ("comment", format!("/**/{GOOD}").into_bytes()),
        (
            "two byte order marks",
            format!("\u{feff}\u{feff}{GOOD}").into_bytes(),
        ),
        ("half of UTF-16", utf16[..utf16.len() - 2].to_vec()),
        ("invalid UTF-8 and no end", cut),
        ("invalid UTF-8 outside strings", outside),
        ("deep arrays", "[".repeat(100_000).into_bytes()),
        ("deep objects", r#"{"a":"#.repeat(100_000).into_bytes()),
        (
            "deep inside and no end",
            format!(
                r#"{{"access_token":"t","x":{}{}}}"#,
                "[".repeat(100_000),
                "]".repeat(99_999)
            )
            .into_bytes(),
        ),
        (
            "more than 1 MiB",
            format!("{GOOD}{}", " ".repeat(1024 * 1024 + 1 - GOOD.len())).into_bytes(),
        ),
    ];
    for (name, body) in bodies {
        let ran = refused(Reply::json(200, body), 5, 1);
        let message = ["answered 200 without a JSON object", "is larger than 1 MiB"];
        assert!(
            message.iter().any(|message| ran.stderr.contains(message)),
            "{name}: {ran:?}"
        );
    }
    for reply in [Reply::new(204), Reply::new(205), Reply::new(202)] {
        refused(reply, 5, 1);
    }
}

#[test]
fn an_unrequested_compressed_body_is_read_if_the_header_names_the_encoding() {
    // `GOOD`, by gzip.
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x4a\x4c\x4e\x4e\x2d\x2e\x8e\x2f\xc9\xcf\x4e\xcd\x53\xb2\x52\x4a\xcf\xcf\x4f\x51\xd2\x51\x02\x73\xe3\x4b\x2a\x0b\x52\x81\x62\x4e\xa9\x89\x45\xa9\x45\x40\xd1\xd4\x8a\x82\xcc\xa2\xd4\xe2\xf8\x4c\xa0\x4a\x63\x33\x03\x83\x5a\x00\xf1\x1b\x45\x40\x3f\x00\x00\x00";
    let compressed = Reply::json(200, gzip.to_vec()).header("Content-Encoding", "gzip");
    assert_eq!(answered(compressed).0.run(&["token"]).token(), "good");
    refused(Reply::json(200, gzip.to_vec()), 5, 1);
}

// Endless, slow and broken answers.

#[test]
fn an_endless_answer_is_not_read_to_its_end() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let spaces = " ".repeat(4096);
    let rows: Vec<(&str, String, String)> = vec![
        (
            "1 GiB",
            format!("{head}Content-Length: 1073741824\r\n\r\n"),
            spaces.clone(),
        ),
        ("no length", format!("{head}\r\n"), spaces.clone()),
        (
            "chunks",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n"),
            format!("1000\r\n{spaces}\r\n"),
        ),
        (
            "small chunks",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n"),
            "1\r\n \r\n".repeat(500),
        ),
        (
            "one chunk's extension",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n1;"),
            "x".repeat(4096),
        ),
        (
            "header lines",
            head.to_owned(),
            "X-Header: value\r\n".repeat(200),
        ),
        (
            "one header line",
            format!("{head}X-Header: "),
            "x".repeat(4096),
        ),
        ("status line", "HTTP/1.1 200 ".to_owned(), "x".repeat(4096)),
        (
            "informational answers",
            String::new(),
            "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100),
        ),
        ("zeros", String::new(), "\0".repeat(4096)),
    ];
    for (name, head, more) in rows {
        let written = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&written);
        let carry = move |tcp| {
            Ok(Box::new(Endless {
                tcp,
                more: more.clone(),
                count: Arc::clone(&count),
            }) as _)
        };
        let server = Server::start_over("http", 0, carry, move |_| Reply::raw(head.as_bytes()));
        let machine = Machine::new();
        machine.login("default", &server, &["--no-verify", "--timeout", "2s"]);
        let ran = machine.run(&["token"]).failure(5);
        assert!(server.requests().len() <= 2, "{name}");
        // What the sockets' buffers take, and twice 1 MiB; without an end until the deadline, memory is what counts.
        if name != "informational answers" {
            let written = written.load(SeqCst);
            assert!(
                written < 32 * 1024 * 1024,
                "{name}: {written} bytes were taken"
            );
        }
        assert!(ran.stderr.len() < 2000, "{name}");
    }
}

#[test]
fn ten_megabytes_of_header_are_refused() {
    for reply in [
        Reply::json(200, GOOD).header("X-Header", &"x".repeat(10_000_000)),
        (0..100_000).fold(Reply::json(200, GOOD), |reply, number| {
            reply.header(&format!("X-{number}"), "x")
        }),
    ] {
        let (machine, server) = answered(reply);
        let ran = machine.run(&["token"]).failure(5);
        assert!(server.requests().len() <= 2);
        assert!(ran.stderr.len() < 2000, "{ran:?}");
    }
}

#[test]
fn one_deadline_covers_a_slow_answer_however_it_is_slow() {
    let pause = Duration::from_millis(300);
    let gate = Gate::new();
    let dripping_head = Reply::raw(format!(
        "HTTP/1.1 200 OK\r\n{}",
        "X-Header: value\r\n".repeat(1000)
    ));
    let rows: Vec<(&str, Reply, usize)> = vec![
        ("mute", Reply::json(200, GOOD).held_by(&gate), 1),
        ("dripping head", dripping_head.drip(1, pause), 1),
        (
            "dripping body",
            Reply::json(200, GOOD.repeat(100)).drip(1, pause),
            1,
        ),
        (
            "a body that stops",
            Reply::json(200, GOOD).drip(GOOD.len() - 1, Duration::from_secs(30)),
            1,
        ),
        (
            "dripping informational answers",
            Reply::raw("HTTP/1.1 103 x\r\n\r\n".repeat(1000)).drip(18, pause),
            1,
        ),
    ];
    for (name, reply, requests) in rows {
        let server = Server::start(move |_| reply.clone());
        let machine = Machine::new();
        machine.login("default", &server, &["--no-verify", "--timeout", "2s"]);
        let begun = Instant::now();
        let ran = machine.run(&["token"]).failure(5);
        assert!(begun.elapsed() < Duration::from_secs(20), "{name}");
        assert!(
            ran.stderr.contains("did not answer within 2 s"),
            "{name}: {ran:?}"
        );
        assert_eq!(server.requests().len(), requests, "{name}");
    }
}

#[test]
fn the_deadline_covers_the_retry_too() {
    let count = AtomicUsize::new(0);
    let gate = Gate::new();
    let server = Server::start(move |_| match count.fetch_add(1, SeqCst) {
        0 => Reply::new(500),
        _ => Reply::json(200, GOOD).held_by(&gate),
    });
    let machine = Machine::new();
    machine.login("default", &server, &["--no-verify", "--timeout", "2s"]);
    let ran = machine.run(&["token"]).failure(5);
    assert!(ran.stderr.contains("did not answer within 2 s"), "{ran:?}");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn what_is_no_http_is_unavailable() {
    let head = "HTTP/1.1 200 OK\r\n";
    let length = GOOD.len();
    let cut = &GOOD[..length - 1];
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("HTTP/0.9", GOOD.into()),
        ("garbage", b"\x16\x03\x01\x00\x00 garbage \r\n\r\n".to_vec()),
        ("SMTP", b"220 mail.example ESMTP\r\n".to_vec()),
        ("HTTP/2", b"HTTP/2.0 200 OK\r\n\r\n".to_vec()),
        ("half a head", head.into()),
        ("no status", b"HTTP/1.1 \r\n\r\n".to_vec()),
        (
            "status 99",
            format!("HTTP/1.1 99 x\r\nContent-Length: {length}\r\n\r\n{GOOD}").into(),
        ),
        (
            "a short body",
            format!("{head}Content-Length: {length}\r\n\r\n{cut}").into(),
        ),
        (
            "two lengths",
            format!(
                "{head}Content-Length: {length}\r\nContent-Length: {}\r\n\r\n{GOOD}",
                length - 1
            )
            .into(),
        ),
        (
            "a negative length",
            format!("{head}Content-Length: -1\r\n\r\n{GOOD}").into(),
        ),
        (
            "a chunk cut",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{cut}").into(),
        ),
        (
            "no last chunk",
            format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{cut}\r\n",
                cut.len()
            )
            .into(),
        ),
        (
            "a chunk of no size",
            format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{GOOD}\r\n0\r\n\r\n").into(),
        ),
        (
            "a huge chunk",
            format!("{head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{GOOD}\r\n")
                .into(),
        ),
        (
            "a NUL in a header",
            format!("{head}X: \0\r\nContent-Length: {length}\r\n\r\n{GOOD}").into(),
        ),
    ];
    for (name, bytes) in rows {
        let (machine, server) = answered(Reply::raw(bytes));
        let ran = machine.run(&["token"]).failure(5);
        assert!((1..=2).contains(&server.requests().len()), "{name}");
        assert!(
            ran.stderr
                .contains("no usable response from http://127.0.0.1:"),
            "{name}: {ran:?}"
        );
        let nowhere: [std::path::PathBuf; 0] = [];
        assert_eq!(machine.entries("default"), nowhere, "{name}");
    }
    let upgrade =
        Reply::raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    answered(upgrade).0.run(&["token"]).failure(5);
}

// Redirects.

#[test]
fn no_redirect_is_followed_anywhere() {
    let other = Server::start(numbered_tokens());
    let foreign = other.url("/oauth/token");
    for status in [300, 301, 302, 303, 304, 305, 307, 308, 399] {
        let rows: Vec<(Option<&str>, &str)> = vec![
            (Some("/elsewhere"), "a redirect within http://127.0.0.1:"),
            (Some(&foreign), "a redirect to http://127.0.0.1:"),
            (
                Some("https://login.evil.example/oauth/token?x=1"),
                "a redirect to https://login.evil.example,",
            ),
            (
                Some("file:///etc/passwd"),
                "an address that is not a web URL",
            ),
            (
                Some("http://evil.example/"),
                "a redirect to http://evil.example,",
            ),
            (Some("//evil.example/"), "an address that is not a web URL"),
            (Some("elsewhere"), "an address that is not a web URL"),
            (
                Some("\u{ff}javascript:alert(1)"),
                "an address that is not a web URL",
            ),
            (Some(""), "an address that is not a web URL"),
            (None, "an address that is not a web URL"),
        ];
        for (location, message) in rows {
            let reply = Reply::json(status, GOOD);
            let reply = match location {
                Some(location) => reply.header("Location", location),
                None => reply,
            };
            let ran = refused(reply, 5, 1);
            let all = [&format!("answered {status}, "), message, "not followed"];
            assert!(
                all.iter().all(|message| ran.stderr.contains(message)),
                "{location:?}: {ran:?}"
            );
        }
    }
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_redirect_to_its_own_origin_is_not_followed_to_another_path() {
    let server = Server::start(|request| match request.target.as_str() {
        "/oauth/token" => Reply::new(307).header("Location", "/moved"),
        _ => Reply::json(200, GOOD),
    });
    let machine = Machine::new();
    machine.login("default", &server, &["--no-verify"]);
    machine.run(&["token"]).failure(5);
    let targets: Vec<_> = server
        .requests()
        .into_iter()
        .map(|request| request.target)
        .collect();
    assert_eq!(targets, ["/oauth/token"]);
}
