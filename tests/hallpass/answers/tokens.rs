//! The token in a response: its value, type, lifetime and scope.

use super::{answered, base64url, refused, seconds_now, shift_entry};
use crate::machine::{Machine, numbered_tokens};
use crate::server::{Reply, Server};

// The access token itself.

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
fn a_token_too_large_for_the_cache_is_printed_with_a_warning() {
    let token = "t".repeat(300 * 1024);
    let (machine, server) = answered(Reply::token(&token, 3600));
    for count in 1..=2 {
        let ran = machine.run(&["token"]).success();
        assert_eq!(ran.stdout, format!("{token}\n"));
        assert!(
            ran.stderr.contains("; the token was not saved"),
            "{}",
            ran.stderr
        );
        assert_eq!(server.requests().len(), count);
        assert_eq!(machine.entries("default"), [] as [std::path::PathBuf; 0]);
    }
}

// An error member.

#[test]
fn an_error_member_means_failure_whatever_the_status_even_with_a_token() {
    for status in [200, 201, 400, 401, 403] {
        let body = r#"{"error":"invalid_client","error_description":"no such client","access_token":"t","expires_in":60}"#;
        let ran = refused(Reply::json(status, body), 4, 1);
        let message = format!(
            "the server refused the client: {status} invalid_client (no such client), at http://"
        );
        assert!(ran.stderr.contains(&message), "{ran:?}");
    }
    for error in [r#""""#, "true", "0", r#"{"code":1}"#, "[]"] {
        let body = format!(r#"{{"error":{error},"access_token":"t"}}"#);
        refused(Reply::json(200, body), 4, 1);
    }
    let reply = Reply::json(200, r#"{"error":null,"access_token":"good"}"#);
    assert_eq!(answered(reply).0.run(&["token"]).token(), "good");
}

// The token type.

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
    let bound = Reply::json(200, r#"{"access_token":"t","token_type":"DPoP"}"#);
    let ran = refused(bound, 4, 1);
    assert!(ran.stderr.contains("is bound to a key (DPoP)"), "{ran:?}");
    for kind in [
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
        ran.stderr.contains("issued a token of type \"DPoP[31m\"; "),
        "{ran:?}"
    );
}

// The lifetime.

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
fn a_token_without_a_lifetime_is_printed_and_not_cached() {
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

// The margin.

#[test]
fn a_short_token_is_printed_once_and_requested_once() {
    let (machine, server) = answered(Reply::token("short", 4));
    let ran = machine.run(&["token", "--min-ttl", "1h"]).success();
    assert_eq!(ran.stdout, "short\n");
    assert!(ran.stderr.contains("not longer than --min-ttl"), "{ran:?}");
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

// The clock.

#[test]
fn an_entry_from_the_future_is_discarded() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new().with_plain_cache();
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

// The scope granted.

#[test]
fn a_narrower_scope_is_one_warning_with_the_token() {
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
        let message = warning.map(|warning| format!("hallpass: warning: {warning}"));
        assert_eq!(ran.stderr, message.unwrap_or_default(), "{asked} {granted}");
    }
}
