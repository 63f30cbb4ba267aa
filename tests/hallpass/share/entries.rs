//! What is at the server: nothing that tells anything, and nothing that others could put there.

use std::fs;

use super::printed;
use crate::fleet::{Redis, machine, numbered};
use crate::leaks::holds;
use crate::machine::{CLIENT_ID, SECRET};
use crate::server::{Reply, Request, Server};

/// A token with what encodings differ in.
const TOKEN: &str = "To+k/e_n.~Q7";

#[test]
fn a_reader_of_the_server_learns_nothing() {
    let redis = Redis::start(&[]);
    let server = Server::start(|request: &Request| {
        if request.text().contains("refused") {
            Reply::json(
                400,
                r#"{"error": "invalid_scope", "error_description": "SaidByServer"}"#,
            )
        } else {
            Reply::token(TOKEN, 3600)
        }
    });
    let machine = machine(&server, &redis.url());
    machine.run(&["token"]).success();
    machine.run(&["token", "--scope", "OneScope"]).success();
    machine.run(&["token", "--scope", "refused"]).failure(4);
    assert_eq!(redis.names().len(), 3, "{:?}", redis.names());
    redis.text::<()>("CONFIG SET rdbcompression no");
    redis.text::<()>("SAVE");
    let dump = fs::read(redis.directory().join("dump.rdb")).expect("a dump");
    assert!(
        holds(&dump, "hallpass:{").is_some(),
        "the search finds what is there"
    );
    let endpoint = server.url("/oauth/token");
    for secret in [
        TOKEN,
        SECRET,
        CLIENT_ID,
        &endpoint,
        "OneScope",
        "invalid_scope",
        "SaidByServer",
        "Bearer",
    ] {
        assert_eq!(holds(&dump, secret), None, "{secret}");
    }
}

/// Each of them costs one request, and is replaced.
#[test]
fn an_entry_of_another_process_is_a_miss() {
    let redis = Redis::start(&[]);
    let server = numbered();
    let token = |scope: &str| {
        let machine = machine(&server, &redis.url());
        printed(&machine.run(&["token", "--scope", scope])).to_owned()
    };
    assert_eq!(token("a"), "token-1");
    let name = redis.names().remove(0);
    let (name, mut issued) = (name.as_bytes(), 2);
    assert_eq!(token("b"), format!("token-{issued}"));
    let other = redis.names().into_iter().find(|it| it.as_bytes() != name);
    let other: Vec<u8> = redis.run(&[b"GET", other.expect("another entry").as_bytes()]);
    let mine: Vec<u8> = redis.run(&[b"GET", name]);
    let mut changed = mine.clone();
    changed[20] ^= 1;
    let life: &[u8] = b"1000000";
    for (what, value) in [
        ("nothing", &b""[..]),
        ("a text", b"token-1"),
        (
            "JSON",
            br#"{"access_token": "evil", "token_type": "Bearer", "left": 1000000}"#,
        ),
        ("the beginning", &mine[..mine.len() / 2]),
        ("all but one byte", &mine[..mine.len() - 1]),
        ("another entry", &other),
        ("a change", &changed),
    ] {
        redis.run::<()>(&[b"SET", name, value, b"PX", life]);
        issued += 1;
        assert_eq!(token("a"), format!("token-{issued}"), "{what}");
        assert_eq!(token("a"), format!("token-{issued}"), "{what}");
    }
    // Without an end, and of another type.
    redis.run::<()>(&[b"PERSIST", name]);
    issued += 1;
    assert_eq!(token("a"), format!("token-{issued}"));
    redis.run::<()>(&[b"DEL", name]);
    redis.run::<()>(&[b"LPUSH", name, b"x"]);
    issued += 1;
    assert_eq!(token("a"), format!("token-{issued}"));
}

/// The server's clock tells that it is over, although the entry lasts again.
#[test]
fn an_entry_that_is_stored_again_after_its_end_is_a_miss() {
    let redis = Redis::start(&[]);
    let server = Server::start(|_: &Request| Reply::token("short", 2));
    let token = || machine(&server, &redis.url()).run(&["token"]).success();
    token();
    let name = redis.names().remove(0);
    let old: Vec<u8> = redis.run(&[b"GET", name.as_bytes()]);
    crate::crowd::wait_until("the entry is over", || redis.names().is_empty());
    redis.run::<()>(&[b"SET", name.as_bytes(), &old, b"PX", b"1000000"]);
    token();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_lease_of_another_process_makes_nobody_wait() {
    let redis = Redis::start(&[]);
    let server = numbered();
    machine(&server, &redis.url()).run(&["token"]).success();
    let name = redis.names().remove(0);
    let lease = format!("{name}:lease");
    redis.run::<()>(&[b"DEL", name.as_bytes()]);
    redis.run::<()>(&[b"SET", lease.as_bytes(), b"mine for ever"]);
    let ran = machine(&server, &redis.url()).run(&["-v", "token"]);
    assert!(!ran.stderr.contains("another machine"), "{ran:?}");
    assert_eq!(printed(&ran), "token-2");
    assert_eq!(redis.names(), [name]);
}

#[test]
fn eviction_and_an_empty_server_are_misses() {
    let redis = Redis::start(&[]);
    let server = numbered();
    for expected in ["token-1", "token-2"] {
        for _ in 0..2 {
            assert_eq!(
                machine(&server, &redis.url()).run(&["token"]).token(),
                expected
            );
        }
        redis.text::<()>("FLUSHALL");
    }
}

#[test]
fn another_secret_client_or_request_has_another_entry() {
    let redis = Redis::start(&[]);
    let server = numbered();
    let mut expected = 0;
    for (variable, value) in [
        ("HALLPASS_TIMEOUT", "20"),
        ("HALLPASS_CLIENT_SECRET", "another"),
        ("HALLPASS_CLIENT_ID", "another"),
        ("HALLPASS_SCOPE", "read"),
        ("HALLPASS_AUDIENCE", "api"),
        ("HALLPASS_RESOURCE", "https://api.example/"),
        ("HALLPASS_PARAM", "a=b"),
        ("HALLPASS_HEADER", "X-A=b"),
        ("HALLPASS_AUTH", "client_secret_post"),
        ("HALLPASS_SHARE_KEY", "0123456789abcdef"),
    ] {
        expected += 1;
        for _ in 0..2 {
            let mut machine = machine(&server, &redis.url());
            machine.set(variable, value);
            let ran = machine.run(&["token"]);
            assert_eq!(printed(&ran), format!("token-{expected}"), "{variable}");
        }
    }
    assert_eq!(redis.names().len(), expected);
}
