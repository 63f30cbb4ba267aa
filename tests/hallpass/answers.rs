//! What hallpass makes of an authorization server's answers, good, bad and hostile.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::server::{Gate, Reply, Request, Server};
use crate::support::{CLIENT_ID, Machine, Ran, SECRET, numbered_tokens};

/// More than any test may take that must not hang.
const GENEROUS: Duration = Duration::from_secs(50);

/// The hours that a token lasts whose lifetime does not matter.
const GOOD: &str = r#"{"access_token":"good","token_type":"Bearer","expires_in":3600}"#;

// Rule 1: the access token itself.

#[test]
fn an_access_token_is_one_word_of_printable_ascii() {
    for token in ["t", "eyJz93a...k4laUWw", "!~#$%&'()*+,-./:;<=>?@[]^_`{|}"] {
        let (machine, server) = answered(Reply::token(token, 3600));
        assert_eq!(machine.run(&["token"]).token(), token);
        assert_eq!(machine.run(&["token"]).token(), token);
        assert_eq!(server.requests().len(), 1);
    }
    let members = [
        r#""access_token":"""#,
        r#""access_token":" ""#,
        r#""access_token":"a b""#,
        r#""access_token":" a""#,
        r#""access_token":"a ""#,
        r#""access_token":"tok\npassword=evil""#,
        r#""access_token":"tok\n""#,
        r#""access_token":"tok\r""#,
        r#""access_token":"tok\u0000""#,
        r#""access_token":"tok\u001b[31m""#,
        r#""access_token":"tok\t""#,
        r#""access_token":"tok\u007f""#,
        r#""access_token":"tok\u202e""#,
        r#""access_token":"tok\ufeff""#,
        r#""access_token":"tök""#,
        r#""access_token":1"#,
        r#""access_token":true"#,
        r#""access_token":null"#,
        r#""access_token":["tok"]"#,
        r#""access_token":{"a":"tok"}"#,
        r#""Access_Token":"tok""#,
        r#""id_token":"tok""#,
    ];
    for member in members {
        let reply = Reply::json(200, format!(r#"{{{member},"expires_in":3600}}"#));
        let ran = refused(reply, 5, 1);
        assert!(ran.stderr.contains("access_token"), "{member}: {ran:?}");
    }
}

#[test]
fn a_token_of_64_kib_works_and_is_cached() {
    let token = "t".repeat(64 * 1024);
    let (machine, server) = answered(Reply::token(&token, 3600));
    assert_eq!(machine.run(&["token"]).token(), token);
    assert_eq!(machine.run(&["token"]).token(), token);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_token_that_json_must_escape_is_cached_like_any_other() {
    let (machine, server) = answered(Reply::token(r#"a\"b\\c"#, 3600));
    for _ in 0..2 {
        assert_eq!(machine.run(&["token"]).token(), r#"a"b\c"#);
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_token_too_large_for_the_cache_is_printed_and_said_not_to_be_cached() {
    let token = "t".repeat(300 * 1024);
    let (machine, server) = answered(Reply::token(&token, 3600));
    for count in 1..=2 {
        let ran = machine.run(&["token"]).success();
        assert_eq!(ran.stdout, format!("{token}\n"));
        assert!(
            ran.stderr
                .contains("hallpass: warning: the token could not be cached"),
            "{}",
            ran.stderr
        );
        assert_eq!(server.requests().len(), count);
        assert_eq!(machine.entries("default"), [] as [std::path::PathBuf; 0]);
    }
}

// Rule 2: an error member.

#[test]
fn an_error_member_means_failure_whatever_the_status_even_beside_a_token() {
    for status in [200, 201, 400, 401, 403] {
        let body = r#"{"error":"invalid_client","error_description":"no such client","access_token":"t","expires_in":60}"#;
        let ran = refused(Reply::json(status, body), 4, 1);
        let said = format!(
            "the server refused the client: {status} invalid_client (no such client), at http://"
        );
        assert!(ran.stderr.contains(&said), "{ran:?}");
    }
    for error in [r#""""#, "true", "0", r#"{"code":1}"#, "[]"] {
        let body = format!(r#"{{"error":{error},"access_token":"t"}}"#);
        refused(Reply::json(200, body), 4, 1);
    }
    let reply = Reply::json(200, r#"{"error":null,"access_token":"good"}"#);
    assert_eq!(answered(reply).0.run(&["token"]).token(), "good");
}

// Rule 3: the token type.

#[test]
fn bearer_in_any_case_or_nothing_is_the_token_type_and_others_are_refused() {
    for kind in [
        r#","token_type":"BEARER""#,
        r#","token_type":"bEARER""#,
        r#","token_type":" bearer""#,
        r#","token_type":"Bearer ""#,
        r#","token_type":"BearerToken""#,
        r#","token_type":"""#,
        r#","token_type":null"#,
        "",
    ] {
        let reply = Reply::json(200, format!(r#"{{"access_token":"good"{kind}}}"#));
        let (machine, _server) = answered(reply);
        assert_eq!(machine.run(&["token"]).token(), "good");
        let header = machine
            .run(&["token", "--format", "header"])
            .success()
            .stdout;
        assert_eq!(header, "Authorization: Bearer good\n");
        let json = machine.run(&["token", "--json"]).success().stdout;
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let printed = json["token_type"].as_str().expect("a type");
        assert!(printed.eq_ignore_ascii_case("Bearer"), "{json}");
    }
    for kind in [
        r#""DPoP""#,
        r#""mac""#,
        r#""N_A""#,
        r#""JWT""#,
        r#""bearer\u0000""#,
        "1",
        "[]",
    ] {
        let body = format!(r#"{{"access_token":"t","token_type":{kind}}}"#);
        let ran = refused(Reply::json(200, body), 4, 1);
        assert!(
            ran.stderr.contains("hallpass supports only bearer tokens"),
            "{kind}: {ran:?}"
        );
    }
    let body = r#"{"access_token":"t","token_type":"DPoP\u001b[31m\n"}"#;
    let ran = refused(Reply::json(200, body), 4, 1);
    assert!(
        ran.stderr
            .contains("issued a \"DPoP[31m\" token, at http://"),
        "{ran:?}"
    );
}

// Rules 4 and 5: the lifetime.

#[test]
fn a_lifetime_is_read_in_every_spelling_and_clamped_to_a_day() {
    let in_an_hour = seconds_now() + 3600;
    let jwt = |claims: &str| format!("e30.{}.c2ln", base64url(claims));
    let short = jwt(&format!(r#"{{"exp":{}}}"#, seconds_now() + 600));
    let rows: [(&str, String, u64); 17] = [
        ("t", r#","expires_in":3600"#.to_owned(), 3600),
        ("t", r#","expires_in":3600.5"#.to_owned(), 3600),
        ("t", r#","expires_in":3.6e3"#.to_owned(), 3600),
        ("t", r#","expires_in":"3600""#.to_owned(), 3600),
        ("t", r#","expires_in":1e308"#.to_owned(), 86_400),
        (
            "t",
            r#","expires_in":9223372036854775807"#.to_owned(),
            86_400,
        ),
        (
            "t",
            r#","expires_in":99999999999999999999999"#.to_owned(),
            86_400,
        ),
        ("t", r#","expires_in":"Infinity""#.to_owned(), 300),
        ("t", r#","expires_in":"NaN""#.to_owned(), 300),
        ("t", r#","expires_in":null"#.to_owned(), 300),
        ("t", r#","expires_in":{}"#.to_owned(), 300),
        ("t", String::new(), 300),
        ("t", format!(r#","expires_on":{in_an_hour}"#), 3600),
        ("t", format!(r#","expires_on":"{in_an_hour}""#), 3600),
        (&short, String::new(), 600),
        (&short, r#","expires_in":3600"#.to_owned(), 600),
        (&short, r#","expires_in":60"#.to_owned(), 60),
    ];
    for (token, members, lifetime) in rows {
        let reply = Reply::json(200, format!(r#"{{"access_token":"{token}"{members}}}"#));
        let (machine, server) = answered(reply);
        let printed = machine.run(&["token", "--json"]).success().stdout;
        let printed: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
        let left = printed["expires_in"].as_u64().expect("a number");
        // The test itself takes its time.
        assert!(
            (lifetime.saturating_sub(45)..=lifetime).contains(&left),
            "{members}: {left}"
        );
        assert_eq!(machine.run(&["token"]).token(), token);
        assert_eq!(server.requests().len(), 1, "{members}");
    }
}

#[test]
fn a_token_without_a_life_is_printed_and_kept_nowhere() {
    let expired = format!("e30.{}.c2ln", base64url(r#"{"exp":1}"#));
    for (token, expires_in) in [
        ("t", "0"),
        ("t", "-5"),
        ("t", "-1e308"),
        ("t", r#""0""#),
        (&expired, "0"),
    ] {
        let body = format!(r#"{{"access_token":"{token}","expires_in":{expires_in}}}"#);
        let server = Server::start(move |_| Reply::json(200, body.clone()));
        let machine = Machine::new();
        machine.login("default", &server, &[]);
        let nowhere: [std::path::PathBuf; 0] = [];
        assert_eq!(
            machine.entries("default"),
            nowhere,
            "after the login: {expires_in}"
        );
        for count in 2..=3 {
            assert_eq!(machine.run(&["token"]).token(), token);
            assert_eq!(server.requests().len(), count, "{expires_in}");
            assert_eq!(machine.entries("default"), nowhere);
        }
    }
}

// Rule 6: the margin.

#[test]
fn a_short_token_is_printed_once_and_asked_for_once() {
    let (machine, server) = answered(Reply::token("short", 4));
    let ran = machine.run(&["token", "--min-ttl", "1h"]).success();
    assert_eq!(ran.stdout, "short\n");
    assert!(ran.stderr.contains("too short for --min-ttl"), "{ran:?}");
    assert_eq!(server.requests().len(), 1);
    // The same token again.
    let ran = machine.run(&["token", "--min-ttl", "1h"]).success();
    assert_eq!(ran.stdout, "short\n");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_short_token_is_cached_for_most_of_its_life() {
    // Three quarters of its life: as long as two processes take, unless the machine is very busy.
    let (machine, server) = answered(Reply::token("t", 40));
    assert_eq!(machine.run(&["token"]).token(), "t");
    assert_eq!(machine.run(&["token"]).token(), "t");
    assert_eq!(server.requests().len(), 1);
}

// Rule 7: the clock.

#[test]
fn an_entry_from_the_future_is_discarded() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    machine.login("default", &server, &[]);
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    shift_entry(&machine, 3_600_000);
    assert_eq!(machine.run(&["token"]).token(), "token-2");
    assert_eq!(machine.run(&["token"]).token(), "token-2");
    shift_entry(&machine, 20_000);
    assert_eq!(
        machine.run(&["token"]).token(),
        "token-2",
        "a clock may be a little off"
    );
    assert_eq!(server.requests().len(), 2);
}

// Rule 8: the scope granted.

#[test]
fn a_narrower_scope_is_one_warning_beside_the_token() {
    let rows: [(&str, &str, Option<&str>); 9] = [
        ("a b", r#""a b""#, None),
        ("a b", r#""b a c""#, None),
        ("a,b", r#""a,b""#, None),
        ("a b", r#"["a","b"]"#, None),
        ("a b", "null", None),
        ("a b", "1", None),
        (
            "a b",
            r#""a""#,
            Some("the server granted scope \"a\" instead of \"a b\"\n"),
        ),
        (
            "a b",
            r#"["b"]"#,
            Some("the server granted scope \"b\" instead of \"a b\"\n"),
        ),
        (
            "a b",
            r#""""#,
            Some("the server granted no scope instead of \"a b\"\n"),
        ),
    ];
    for (asked, granted, warning) in rows {
        let body = format!(r#"{{"access_token":"t","expires_in":3600,"scope":{granted}}}"#);
        let server = Server::start(move |_| Reply::json(200, body.clone()));
        let machine = Machine::new();
        machine.login("default", &server, &["--no-verify", "--scope", asked]);
        let ran = machine.run(&["token"]).success();
        assert_eq!(ran.stdout, "t\n");
        let said = warning.map(|warning| format!("hallpass: warning: {warning}"));
        assert_eq!(ran.stderr, said.unwrap_or_default(), "{asked} {granted}");
    }
}

// Rule 9: the body.

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
fn what_is_odd_in_a_member_that_nobody_needs_does_no_harm() {
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
fn what_is_not_one_json_object_is_unavailable_and_not_asked_for_again() {
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
        let said = [
            "answered 200 without a JSON object",
            "answered more than 1 MiB",
        ];
        assert!(
            said.iter().any(|said| ran.stderr.contains(said)),
            "{name}: {ran:?}"
        );
    }
    for reply in [Reply::new(204), Reply::new(205), Reply::new(202)] {
        refused(reply, 5, 1);
    }
}

#[test]
fn a_body_that_came_compressed_although_nobody_asked_is_no_answer() {
    // `GOOD`, by gzip.
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x4a\x4c\x4e\x4e\x2d\x2e\x8e\x2f\xc9\xcf\x4e\xcd\x53\xb2\x52\x4a\xcf\xcf\x4f\x51\xd2\x51\x02\x73\xe3\x4b\x2a\x0b\x52\x81\x62\x4e\xa9\x89\x45\xa9\x45\x40\xd1\xd4\x8a\x82\xcc\xa2\xd4\xe2\xf8\x4c\xa0\x4a\x63\x33\x03\x83\x5a\x00\xf1\x1b\x45\x40\x3f\x00\x00\x00";
    refused(
        Reply::json(200, gzip.to_vec()).header("Content-Encoding", "gzip"),
        5,
        1,
    );
    refused(Reply::json(200, gzip.to_vec()), 5, 1);
}

// Hardening D2 and D3: endless, slow and broken answers.

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
        let ran = machine.run_to_its_end(&["token"]).failure(5);
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
        let ran = machine.run_to_its_end(&["token"]).failure(5);
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
        let ran = machine.run_to_its_end(&["token"]).failure(5);
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
    let ran = machine.run_to_its_end(&["token"]).failure(5);
    assert!(ran.stderr.contains("did not answer within 2 s"), "{ran:?}");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn what_is_no_http_is_unavailable() {
    let head = "HTTP/1.1 200 OK\r\n";
    let length = GOOD.len();
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
            format!("{head}Content-Length: {}\r\n\r\n{GOOD}", length + 1).into(),
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
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{GOOD}").into(),
        ),
        (
            "no last chunk",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{GOOD}\r\n").into(),
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
        let ran = machine.run_to_its_end(&["token"]).failure(5);
        assert!((1..=2).contains(&server.requests().len()), "{name}");
        assert!(
            ran.stderr
                .contains("cannot get an answer from http://127.0.0.1:"),
            "{name}: {ran:?}"
        );
        let nowhere: [std::path::PathBuf; 0] = [];
        assert_eq!(machine.entries("default"), nowhere, "{name}");
    }
    let upgrade =
        Reply::raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    answered(upgrade).0.run_to_its_end(&["token"]).failure(5);
}

// Redirects (hardening D1).

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
        for (location, said) in rows {
            let reply = Reply::json(status, GOOD);
            let reply = match location {
                Some(location) => reply.header("Location", location),
                None => reply,
            };
            let ran = refused(reply, 5, 1);
            let all = [&format!("answered {status}, "), said, "not followed"];
            assert!(
                all.iter().all(|said| ran.stderr.contains(said)),
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

// Rule 10: verdicts, and what is none.

#[test]
fn an_oauth_error_is_a_verdict_after_one_request() {
    let rows = [
        (400, "invalid_request", "hint: "),
        (400, "invalid_grant", "hint: "),
        (400, "invalid_scope", "--scope"),
        (400, "invalid_target", "audience or resource"),
        (400, "unsupported_grant_type", "client_credentials grant"),
        (400, "unauthorized_client", "hallpass login default"),
        (401, "invalid_client", "hallpass login default"),
        (401, "server_error", "hallpass login default"),
        (401, "temporarily_unavailable", "hallpass login default"),
        (403, "access_denied", "hallpass login default"),
        (404, "invalid_client", "token URL: its path is /oauth/token"),
        (405, "invalid_client", "token URL: its path is /oauth/token"),
        (415, "invalid_request", "--body json"),
        (400, "invalid_dpop_proof", "proofs of possession"),
        (402, "something_new", "hint: "),
    ];
    for (status, code, hint) in rows {
        let body = format!(r#"{{"error":"{code}","error_description":"Because."}}"#);
        let ran = refused(Reply::json(status, body), 4, 1);
        let client = "invalid_client unauthorized_client access_denied";
        let what = match status {
            401 => "client",
            _ if client.contains(code) => "client",
            _ => "request",
        };
        let said = format!(
            "hallpass: error: the server refused the {what}: {status} {code} (Because.), at http://127.0.0.1:"
        );
        assert!(ran.stderr.starts_with(&said), "{ran:?}");
        assert!(ran.stderr.contains("/oauth/token\n"), "{ran:?}");
        assert!(ran.stderr.contains(hint), "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 2, "{ran:?}");
    }
}

#[test]
fn a_401_is_a_refusal_in_whatever_form_it_comes() {
    let rows = [
        ("", "401 (unauthorized)"),
        ("Unauthorized", "401 (unauthorized)"),
        ("{}", "401 (unauthorized)"),
        (r#"{"error":"#, "401 (unauthorized)"),
        (
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"who are you"}"#,
            "401 (who are you)",
        ),
        (
            r#"{"response":{"errors":[{"code":"1041","message":"no client has this id"}]}}"#,
            "401 1041 (no client has this id)",
        ),
        (
            r#"{"error":[{"code":"NOT_ALLOWED","field":"authorization","description":"not known"}]}"#,
            "401 NOT_ALLOWED (not known)",
        ),
        (
            r#"{"errorCode":"E0000004","errorSummary":"Authentication failed","errorCauses":[]}"#,
            "401 E0000004 (Authentication failed)",
        ),
        (
            r#"{"ErrorCode":"invalid_client","Error":"ClientId is Invalid"}"#,
            "401 invalid_client (ClientId is Invalid)",
        ),
        (
            r#"{"fault":{"faultstring":"Invalid API call","detail":{"errorcode":"oauth.v2.Invalid"}}}"#,
            "401 oauth.v2.Invalid (Invalid API call)",
        ),
        (
            r#"[{"message":"one"},{"message":"two\u001b[31m"}]"#,
            "401 (one; two[31m)",
        ),
        (
            r#"{"odd":1e999,"error":"invalid_client","error_description":"x \ud800 y"}"#,
            "401 invalid_client (x \u{fffd} y)",
        ),
        (
            &serde_json::json!({ "errors": [{ "message": format!("bad {SECRET}") }] }).to_string(),
            "401 (bad [secret])",
        ),
    ];
    for (body, said) in rows {
        let ran = refused(Reply::new(401).body(body), 4, 1);
        let said = format!("the server refused the client: {said}, at http://127.0.0.1:");
        assert!(ran.stderr.contains(&said), "{body}: {ran:?}");
        assert!(!ran.stderr.contains("try again later"), "{ran:?}");
    }
    let challenge =
        r#"Bearer realm="x", error="invalid_client", error_description="no such client""#;
    for body in ["", "<html>Log in</html>"] {
        let reply = Reply::new(401).header("WWW-Authenticate", challenge);
        let ran = refused(reply.body(body), 4, 1);
        let said = "401 invalid_client (no such client), at ";
        assert!(ran.stderr.contains(said), "{ran:?}");
    }
}

#[test]
fn a_web_page_is_no_verdict_on_the_client() {
    for status in [400, 401, 402, 403, 404, 405, 407, 410, 415, 418, 451] {
        for body in [
            "<html>blocked</html>",
            "\r\n<!DOCTYPE html><p>blocked",
            "<h1>blocked</h1>",
        ] {
            let ran = refused(Reply::new(status).body(body), 5, 1);
            assert!(
                ran.stderr
                    .contains(&format!("the server answered {status}")),
                "{ran:?}"
            );
            assert!(!ran.stderr.contains("blocked"), "{ran:?}");
        }
    }
}

#[test]
fn a_status_that_says_nothing_of_the_client_is_no_verdict_on_it() {
    for status in [400, 402, 403, 404, 405, 407, 410, 418, 451] {
        for body in ["", "no", "{}", r#"{"message":"Forbidden"}"#, "[]"] {
            let ran = refused(Reply::new(status).body(body), 5, 1);
            let said = format!("the server answered {status}");
            assert!(ran.stderr.contains(&said), "{ran:?}");
        }
    }
}

#[test]
fn a_hint_names_the_audience_first_if_one_was_sent() {
    let body = r#"{"error":"access_denied","error_description":"no service is called https://api.example/v2"}"#;
    let server = Server::start(move |_| Reply::json(403, body));
    let machine = Machine::new();
    let audience = ["--no-verify", "--audience", "https://api.example/v2"];
    machine.login("default", &server, &audience);
    let ran = machine.run(&["token"]).failure(4);
    let hints: Vec<_> = ran.stderr.lines().skip(1).collect();
    assert!(
        hints[0]
            .starts_with("hallpass: hint: check the audience https://api.example/v2 (--audience)"),
        "{ran:?}"
    );
    assert!(hints[1].contains("check the client ID"), "{ran:?}");
}

#[test]
fn a_refused_client_gets_no_expired_token() {
    let (machine, server) = first_then(
        Reply::token("old", 3600),
        Reply::json(401, r#"{"error":"invalid_client"}"#),
    );
    assert_eq!(machine.run(&["token"]).token(), "old");
    shift_entry(&machine, -3_600_000);
    machine.run(&["token"]).failure(4);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_refusal_is_not_asked_for_again_and_again() {
    let server = Server::start(|_| Reply::json(401, r#"{"error":"invalid_client"}"#));
    let machine = Machine::new();
    machine.login("default", &server, &["--no-verify"]);
    let begun = Instant::now();
    for _ in 0..5 {
        machine.run(&["token"]).failure(4);
    }
    // One request for all callers within two seconds.
    let most = 1 + usize::try_from(begun.elapsed().as_secs() / 2).expect("a small number");
    assert!(
        server.requests().len() <= most,
        "{}",
        server.requests().len()
    );
}

// Rule 11: Retry-After.

#[test]
fn a_pause_that_fits_the_deadline_is_waited_for() {
    for status in [429, 503] {
        let (machine, server) = first_then(
            Reply::new(status).header("Retry-After", "1"),
            Reply::token("after", 3600),
        );
        let begun = Instant::now();
        assert_eq!(machine.run(&["token"]).token(), "after");
        assert!(begun.elapsed() >= Duration::from_secs(1), "{status}");
        assert_eq!(server.requests().len(), 2);
    }
    let date = http_date(seconds_now() + 2);
    let (machine, server) = first_then(
        Reply::new(503).header("Retry-After", &date),
        Reply::token("after", 3600),
    );
    assert_eq!(machine.run(&["token"]).token(), "after");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_pause_is_waited_for_once() {
    let (machine, server) =
        answered(Reply::json(429, r#"{"error":"slow_down"}"#).header("Retry-After", "1"));
    let ran = machine.run(&["token"]).failure(5);
    assert!(ran.stderr.contains("429 slow_down"), "{ran:?}");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_pause_beyond_the_deadline_fails_at_once_and_keeps_other_processes_silent() {
    let values = [
        "120".to_owned(),
        http_date(seconds_now() + 120),
        "86400".to_owned(),
        u64::MAX.to_string(),
        "9".repeat(30),
    ];
    for (status, value) in [429, 503]
        .into_iter()
        .flat_map(|status| values.iter().map(move |value| (status, value)))
    {
        let (machine, server) = first_then(
            Reply::new(status).header("Retry-After", value),
            Reply::token("later", 3600),
        );
        let begun = Instant::now();
        let ran = machine.run_to_its_end(&["token"]).failure(5);
        assert!(begun.elapsed() < Duration::from_secs(25), "{value}");
        assert!(
            ran.stderr.contains("no request before 20")
                || ran.stderr.contains("no request before 9999"),
            "{ran:?}"
        );
        for arguments in [
            &["token"][..],
            &["token", "--refresh"],
            &["token", "--min-ttl", "5m"],
        ] {
            let again = machine.run(arguments).failure(5);
            assert_eq!(again.stderr, ran.stderr, "{value}");
        }
        assert_eq!(server.requests().len(), 1, "{status} {value}");
        machine.login("default", &server, &[]);
        assert_eq!(machine.run(&["token"]).token(), "later");
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn a_pause_that_nobody_can_read_is_none() {
    for value in ["soon", "-1", "1.5", "", "Mon, 99 Nov 2026 00:00:00 GMT"] {
        let (machine, server) = answered(Reply::new(429).header("Retry-After", value));
        machine.run(&["token"]).failure(5);
        assert_eq!(server.requests().len(), 1, "{value}");
    }
}

#[test]
fn a_pause_named_beside_another_status_does_not_hold() {
    let (machine, server) =
        answered(Reply::json(401, r#"{"error":"invalid_client"}"#).header("Retry-After", "120"));
    machine.run(&["token"]).failure(4);
    machine.run(&["token", "--refresh"]).failure(4);
    assert_eq!(server.requests().len(), 2);
}

// Rule 12: one retry.

#[test]
fn a_server_in_trouble_is_asked_once_more_and_never_again() {
    for status in [500, 501, 502, 503, 504, 599] {
        let (machine, server) = first_then(
            Reply::new(status).body("<html>"),
            Reply::token("second", 3600),
        );
        assert_eq!(machine.run(&["token"]).token(), "second");
        assert_eq!(server.requests().len(), 2, "{status}");
        let [first, second] = &server.requests()[..] else {
            panic!()
        };
        assert_eq!(
            (&first.headers, &first.body),
            (&second.headers, &second.body)
        );

        let ran = refused(Reply::new(status), 5, 2);
        assert!(
            ran.stderr.contains(&format!("answered {status}")),
            "{ran:?}"
        );
        let ran = refused(Reply::json(status, r#"{"error":"server_error"}"#), 5, 2);
        assert!(
            ran.stderr
                .contains(&format!("answered {status} server_error")),
            "{ran:?}"
        );
    }
    refused(Reply::new(429), 5, 1);
    refused(Reply::new(408), 5, 1);
}

#[test]
fn a_connection_that_is_cut_is_made_once_more_and_never_again() {
    let cut = |connections: usize| {
        let server = Server::start_resetting(connections, |_| Reply::json(200, GOOD));
        let machine = Machine::new();
        machine.login("default", &server, &["--no-verify"]);
        (machine.run_to_its_end(&["token"]), server)
    };
    let (ran, server) = cut(1);
    assert_eq!(ran.token(), "good");
    assert_eq!(server.connections(), 2);
    let (ran, server) = cut(5);
    ran.failure(5);
    assert_eq!(server.connections(), 2);

    let (machine, server) = first_then(Reply::hang_up(), Reply::token("second", 3600));
    assert_eq!(machine.run(&["token"]).token(), "second");
    assert_eq!(server.requests().len(), 2);
    refused(Reply::hang_up(), 5, 2);
}

#[test]
fn nobody_who_listens_is_unavailable() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    machine.login("default", &server, &["--no-verify"]);
    server.stop();
    let ran = machine.run_to_its_end(&["token"]).failure(5);
    assert!(
        ran.stderr
            .contains("cannot get an answer from http://127.0.0.1:"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("hint: check the network"), "{ran:?}");
}

// Rule 13: a refresh that fails.

#[test]
fn a_failed_refresh_in_the_margin_is_a_warning_beside_the_cached_token() {
    let failures = [
        Reply::new(503),
        Reply::new(200).body("<html>"),
        Reply::hang_up(),
        Reply::new(429).header("Retry-After", "120"),
        Reply::new(307).header("Location", "/x"),
    ];
    for failure in failures {
        let (machine, server) = first_then(Reply::token("old", 3600), failure);
        assert_eq!(machine.run(&["token"]).token(), "old");
        shift_entry(&machine, -3_560_000);
        let ran = machine.run(&["token"]).success();
        assert_eq!(ran.stdout, "old\n");
        assert!(
            ran.stderr
                .starts_with("hallpass: warning: the token could not be renewed ("),
            "{ran:?}"
        );
        assert!(ran.stderr.contains("serves until 20"), "{ran:?}");
        assert!(server.requests().len() >= 2);
        // Whoever insists on a new one is told that there is none.
        machine.run(&["token", "--refresh"]).failure(5);
    }
}

// Rule 14: messages.

#[test]
fn a_description_is_cleaned_and_cut() {
    let describe = |description: &str| {
        let body =
            serde_json::json!({ "error": "invalid_client", "error_description": description });
        let ran = refused(Reply::json(401, body.to_string()), 4, 1);
        let (_, rest) = ran
            .stderr
            .split_once("401 invalid_client")
            .expect("the code");
        let (said, _) = rest.split_once(", at http://").expect("a URL");
        said.to_owned()
    };
    let rows = [
        ("", String::new()),
        (
            "\u{1b}[31mred\u{1b}[0m \u{9b}31m\u{7}",
            " ([31mred[0m 31m)".to_owned(),
        ),
        (
            "a\nhallpass: hint: run rm -rf\r\n\tb",
            " (a hallpass: hint: run rm -rf   b)".to_owned(),
        ),
        (
            "a\u{202e}b\u{2066}c\u{200b}d\u{feff}e\u{2028}f\u{e0041}g\u{ad}h",
            " (abcde fgh)".to_owned(),
        ),
        ("\0\u{7f}\u{85}", String::new()),
        (&"x".repeat(400), format!(" ({})", "x".repeat(400))),
        (&"ü".repeat(5000), format!(" ({}…)", "ü".repeat(400))),
    ];
    for (description, said) in rows {
        assert_eq!(describe(description), said, "{description:?}");
    }
    for body in [
        format!(r#"{{"error":"{}"}}"#, "x".repeat(5000)),
        r#"{"error":"inv\u001b[31malid\n\u202eclient","error_description":{"a":"\u001b"}}"#
            .to_owned(),
    ] {
        let ran = refused(Reply::json(400, body), 4, 1);
        assert!(ran.stderr.len() < 1000, "{ran:?}");
    }
}

#[test]
fn a_secret_that_a_server_repeats_is_not_shown() {
    const MIXED: &str = "S3cr/t+V!lue* 'Ü\"x ";
    let encode = |text: &str, left: &str, upper: bool| -> String {
        text.bytes()
            .map(|byte| match char::from(byte) {
                c if c.is_ascii_alphanumeric() || left.contains(c) => c.to_string(),
                _ if upper => format!("%{byte:02X}"),
                _ => format!("%{byte:02x}"),
            })
            .collect()
    };
    for secret in [SECRET, MIXED] {
        let strict = encode(secret, "-._~", true);
        let basic = base64(&format!("client%3Aone:{strict}"));
        let echoes = [
            secret.to_owned(),
            strict.clone(),
            strict.replace("%20", "+"),
            encode(secret, "-._~", false),
            encode(secret, "-._~", false).replace("%20", "+"),
            // JavaScript's encodeURIComponent, Python's quote, and what browsers send.
            encode(secret, "-_.!~*'()", true),
            encode(secret, "-._~/", true),
            encode(secret, "*-._", true).replace("%20", "+"),
            serde_json::to_string(secret)
                .expect("JSON")
                .trim_matches('"')
                .to_owned(),
            base64(secret),
            base64(secret).trim_end_matches('=').to_owned(),
            basic,
            base64(&format!("{CLIENT_ID}:{secret}")),
        ];
        for echo in &echoes {
            for member in ["error_description", "error"] {
                let mut body = serde_json::json!({ "error": "invalid_client" });
                body[member] = format!("bad: <{echo}> or {echo}").into();
                let file = format!("{secret}\n");
                let server = Server::start(move |_| Reply::json(401, body.to_string()));
                let machine = Machine::new();
                let path = machine.private_file("its-secret", file.as_bytes());
                let path = path.to_str().expect("a path in UTF-8");
                let url = server.url("/oauth/token");
                let ran = machine
                    .run(&[
                        "login",
                        "--token-url",
                        &url,
                        "--client-id",
                        CLIENT_ID,
                        "--secret-file",
                        path,
                    ])
                    .failure(4);
                assert!(!ran.stderr.contains(echo.trim()), "{echo}: {ran:?}");
                // What pads base64 may be left.
                assert_eq!(ran.stderr.matches("[secret]").count(), 2, "{echo}: {ran:?}");
            }
        }
    }
}

#[test]
fn a_secret_that_comes_back_in_another_place_is_not_shown() {
    let secret = "abcdefgh12345678";
    let replies = [
        Reply::new(302).header("Location", &format!("https://{secret}.evil.example/")),
        Reply::new(302).header("Location", &format!("https://a.example/{secret}")),
        Reply::json(
            200,
            format!(r#"{{"access_token":"t","token_type":"{secret}"}}"#),
        ),
        Reply::raw(format!("{secret} {secret}\r\n\r\n")),
        Reply::json(200, format!(r#"{{"access_token":"{secret} {secret}"}}"#)),
        Reply::new(400).body(format!("client_secret={secret}")),
        Reply::new(503).header("Retry-After", secret),
    ];
    for reply in replies {
        let server = Server::start(move |_| reply.clone());
        let machine = Machine::new();
        let path = machine.private_file("its-secret", secret.as_bytes());
        let path = path.to_str().expect("a path in UTF-8");
        let url = server.url("/oauth/token");
        let ran = machine.run(&[
            "login",
            "--token-url",
            &url,
            "--client-id",
            CLIENT_ID,
            "--secret-file",
            path,
        ]);
        assert!([4, 5].contains(&ran.code), "{ran:?}");
        assert!(!ran.stderr.contains(secret), "{ran:?}");
    }
}

#[test]
fn a_login_that_is_refused_stores_nothing() {
    for (reply, code) in [
        (Reply::json(401, r#"{"error":"invalid_client"}"#), 4),
        (Reply::new(404), 5),
        (Reply::new(503).header("Retry-After", "3600"), 5),
        (Reply::json(200, r#"{"access_token":"a b"}"#), 5),
    ] {
        let server = Server::start(move |_| reply.clone());
        let machine = Machine::new();
        let path = machine.private_file("its-secret", SECRET.as_bytes());
        let path = path.to_str().expect("a path in UTF-8");
        let url = server.url("/oauth/token");
        machine
            .run(&[
                "login",
                "--token-url",
                &url,
                "--client-id",
                CLIENT_ID,
                "--secret-file",
                path,
            ])
            .failure(code);
        assert_eq!(machine.files(), [] as [std::path::PathBuf; 0]);
    }
}

/// A machine that is logged in at a server that always answers like this, and has asked for nothing yet.
fn answered(reply: Reply) -> (Machine, Server) {
    let server = Server::start(move |_| reply.clone());
    let machine = Machine::new();
    machine.login("default", &server, &["--no-verify"]);
    (machine, server)
}

/// The same with one answer for the first request, and another for all that follow.
fn first_then(first: Reply, then: Reply) -> (Machine, Server) {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_: &Request| match count.fetch_add(1, SeqCst) {
        0 => first.clone(),
        _ => then.clone(),
    });
    let machine = Machine::new();
    machine.login("default", &server, &["--no-verify"]);
    (machine, server)
}

/// Asks for a token where none is to be had: this exit code, so many requests, no token anywhere, no secret shown.
#[track_caller]
fn refused(reply: Reply, code: i32, requests: usize) -> Ran {
    let (machine, server) = answered(reply);
    let begun = Instant::now();
    let ran = machine.run_to_its_end(&["token"]).failure(code);
    assert!(begun.elapsed() < GENEROUS);
    assert_eq!(server.requests().len(), requests, "{ran:?}");
    assert!(
        ran.stderr.is_ascii() || !ran.stderr.contains(SECRET),
        "{ran:?}"
    );
    assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
    assert_eq!(machine.entries("default"), [] as [std::path::PathBuf; 0]);
    ran
}

/// As if the profile's one cached token had come so much later, or earlier.
fn shift_entry(machine: &Machine, milliseconds: i64) {
    let [entry] = &machine.entries("default")[..] else {
        panic!("one entry is expected")
    };
    let text = std::fs::read_to_string(entry).expect("an entry");
    let (head, json) = text.split_once('\n').expect("two lines");
    let mut members: serde_json::Value = serde_json::from_str(json).expect("JSON");
    for name in ["received_at_ms", "expires_at_ms"] {
        members[name] = (members[name].as_i64().expect("a time") + milliseconds).into();
    }
    let json = members.to_string();
    let sum = json.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let (format, _) = head.split_once(' ').expect("the format's name");
    std::fs::write(entry, format!("{format} {sum:016x}\n{json}")).expect("an entry");
}

/// A connection on which the answer is followed by more and more, until the other side has had enough.
struct Endless<S> {
    tcp: S,
    more: String,
    count: Arc<AtomicUsize>,
}

impl<S: Read> Read for Endless<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buffer)
    }
}

impl<S: Write> Write for Endless<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        loop {
            self.tcp.write_all(self.more.as_bytes())?;
            self.count.fetch_add(self.more.len(), SeqCst);
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

fn seconds_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_secs()
}

/// RFC 9110 §5.6.7.
fn http_date(seconds: u64) -> String {
    use time::format_description::well_known::Rfc2822;
    let moment =
        time::OffsetDateTime::from_unix_timestamp(seconds.cast_signed()).expect("a moment");
    moment
        .format(&Rfc2822)
        .expect("a date")
        .replace("+0000", "GMT")
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn base64url(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}
