//! How long a token serves: what servers say of it, what a caller wants of it, and clocks that are wrong.
//!
//! The clock stands still here, at the moment that a test names: see tests/clock.c.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use time::PrimitiveDateTime;
use time::format_description::parse_borrowed;

use crate::machine::{Machine, Ran};
use crate::server::{Reply, Request, Server};
use crate::support::run_by;

const NOON: &str = "2030-01-01 12:00:00";
/// The same, in seconds since 1970.
const NOON_UNIX: u64 = 1_893_499_200;

const DAY: u64 = 24 * 60 * 60;

/// What an answer holds beside an opaque token, asked for at noon, and how many seconds it serves.
const SPELLINGS: [(&str, u64); 43] = [
    (r#""expires_in": 3600"#, 3600),
    (r#""expires_in": 3600.9"#, 3600),
    (r#""expires_in": 3.6e3"#, 3600),
    (r#""expires_in": "3600""#, 3600),
    (r#""expires_in": " 3600 ""#, 3600),
    (r#""expires_in": "3599.5""#, 3599),
    (r#""expires_in": 1"#, 1),
    (r#""expires_in": 0"#, 0),
    (r#""expires_in": "0""#, 0),
    (r#""expires_in": -1"#, 0),
    (r#""expires_in": -9223372036854775808"#, 0),
    (r#""expires_in": 86400"#, DAY),
    (r#""expires_in": 86401"#, DAY),
    (r#""expires_in": 1e308"#, DAY),
    (r#""expires_in": 9223372036854775807"#, DAY),
    (r#""expires_in": "18446744073709551616""#, DAY),
    (r#""expires_in": null"#, 300),
    (r#""expires_in": "soon""#, 300),
    (r#""expires_in": """#, 300),
    (r#""expires_in": "NaN""#, 300),
    (r#""expires_in": "inf""#, 300),
    (r#""expires_in": true"#, 300),
    (r#""expires_in": {}"#, 300),
    (r#""expires_in": [3600]"#, 300),
    (r#""token_type": "Bearer""#, 300),
    (r#""expires_on": 1893499800"#, 600),
    (r#""expires_on": "1893499800""#, 600),
    (r#""expires_on": 1893499199"#, 0),
    (r#""expires_on": 253402300799"#, DAY),
    (r#""expires_in": 60, "expires_on": 1893499800"#, 60),
    (r#""expires_on": 1893499800000"#, 600),
    (r#""expires_on": "1893499199000""#, 0),
    (r#""expires_at": 1893499800"#, 600),
    (r#""expires_at": 1893499800123"#, 600),
    (r#""expires_at": "2030-01-01T12:10:00Z""#, 600),
    (r#""expires_at": "2030-01-01T13:10:00.5+01:00""#, 600),
    (r#""expires_at": "2030-01-01 12:10:00""#, 600),
    (r#""expires": 1893499800"#, 600),
    (r#""expires": "Tue, 01 Jan 2030 12:10:00 GMT""#, 600),
    (r#""expires": 600"#, 600),
    (r#""expires_at": "soon""#, 300),
    (r#""expires_in": 1e999"#, DAY),
    (r#""expires_in": NaN"#, 300),
];

#[test]
fn a_lifetime_is_understood_in_every_spelling() {
    let rows = spellings();
    let server = Server::start({
        let rows = rows.clone();
        move |request: &Request| {
            let row = request.form().into_iter().find(|(name, _)| name == "scope");
            let row: usize = row.expect("a scope").1.parse().expect("a row's number");
            let (members, token, _) = &rows[row];
            Reply::json(200, format!(r#"{{"access_token": "{token}", {members}}}"#))
        }
    });
    let machine = logged_in(&server, &[]);
    let mut cached = 0;
    for (row, (members, token, seconds)) in rows.iter().enumerate() {
        let scope = row.to_string();
        let arguments = ["token", "--json", "--scope", &scope];
        let before = server.requests().len();
        let fresh = at(NOON, &machine, &arguments);
        assert_eq!(
            (fresh.code, fresh.stderr.as_str()),
            (0, ""),
            "{members} {fresh:?}"
        );
        let answer: Value = serde_json::from_str(&fresh.stdout).expect("JSON");
        assert_eq!(answer["access_token"], json!(token), "{members}");
        assert_eq!(answer["expires_in"], json!(seconds), "{members} {token}");
        assert_eq!(
            answer["expires_at"],
            json!(moment(*seconds)),
            "{members} {token}"
        );
        // What has no life is printed and not kept.
        let kept = *seconds > 0;
        cached += usize::from(kept);
        assert_eq!(
            at(NOON, &machine, &arguments).success().stdout,
            fresh.stdout
        );
        let asked = server.requests().len() - before;
        assert_eq!(asked, if kept { 1 } else { 2 }, "{members} {token}");
    }
    let status = at(NOON, &machine, &["status", "p", "--json"])
        .success()
        .stdout;
    let status: Value = serde_json::from_str(&status).expect("JSON");
    let tokens = status["profiles"][0]["tokens"].as_array().expect("a list");
    assert_eq!(tokens.len(), cached);
    let known = |token: &Value| {
        rows.iter()
            .any(|row| token["expires_at"] == json!(moment(row.2)))
    };
    assert!(tokens.iter().all(known), "{tokens:?}");
}

#[test]
fn a_token_is_renewed_before_its_end() {
    // How long tokens last, and the last second at which one is still handed out.
    for (life, last) in [
        (1, 0),
        (4, 2),
        (100, 62),
        (240, 150),
        (300, 210),
        (3600, 3510),
        (86_400, 86_310),
    ] {
        let server = Server::start(tokens_for(life));
        let machine = logged_in(&server, &[]);
        let token = |seconds| at(&after_noon(seconds), &machine, &["token"]).token();
        assert_eq!(token(0), "token-1");
        assert_eq!(token(last), "token-1", "a life of {life} s");
        assert_eq!(token(last + 1), "token-2", "a life of {life} s");
    }
}

#[test]
fn a_caller_may_want_more_of_a_token() {
    let server = Server::start(tokens_for(3600));
    let machine = logged_in(&server, &[]);
    let token = |seconds, min_ttl| {
        at(
            &after_noon(seconds),
            &machine,
            &["token", "--min-ttl", min_ttl],
        )
        .token()
    };
    assert_eq!(token(0, "59m"), "token-1");
    assert_eq!(token(0, "1h"), "token-1");
    assert_eq!(token(1800, "30m"), "token-1");
    assert_eq!(token(1800, "1800"), "token-1");
    assert_eq!(
        token(3500, "1s"),
        "token-1",
        "the margin of a minute is more"
    );
    assert_eq!(token(1801, "30m"), "token-2");
    // Who wants less does not get the older one back.
    assert_eq!(token(1801, "0s"), "token-2");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn tokens_that_never_last_as_long_as_wanted_cost_one_request_a_call_and_a_warning() {
    let server = Server::start(|_| Reply::token("the-same", 3600));
    let machine = logged_in(&server, &[]);
    for calls in 1..=3 {
        let ran = at(NOON, &machine, &["token", "--min-ttl", "2h"]).success();
        assert_eq!(ran.stdout, "the-same\n");
        assert_eq!(
            ran.stderr,
            "hallpass: warning: this server's tokens last 1 h, not longer than --min-ttl, so every call requests a new token\n"
        );
        assert_eq!(server.requests().len(), calls);
    }
    assert_eq!(at(NOON, &machine, &["token"]).token(), "the-same");
    assert_eq!(server.requests().len(), 3, "the others use it");
}

#[test]
fn a_server_that_renews_nothing_gets_one_request_per_call() {
    // Such a server keeps a token until its end, and says how much is left of it.
    let server = Server::start({
        let count = AtomicUsize::new(0);
        move |_| {
            let left = [3600, 30, 20, 2].get(count.fetch_add(1, Ordering::SeqCst));
            Reply::token("the-same", *left.unwrap_or(&1))
        }
    });
    let machine = logged_in(&server, &[]);
    // Seconds after noon, and the requests made by then.
    for (seconds, requests) in [
        (0, 1),
        (3510, 1),
        (3570, 2),
        (3571, 2),
        (3580, 2),
        (3593, 3),
    ] {
        let ran = at(&after_noon(seconds), &machine, &["token"]);
        assert_eq!(ran.token(), "the-same", "{seconds} s");
        assert_eq!(server.requests().len(), requests, "{seconds} s");
    }
}

#[test]
fn a_cached_token_tells_what_is_left_of_it() {
    let server = Server::start(tokens_for(3600));
    let machine = logged_in(&server, &[]);
    for (seconds, left) in [(0, 3600), (1000, 2600), (3510, 90)] {
        let ran = at(&after_noon(seconds), &machine, &["token", "--json"]).success();
        let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(answer["expires_in"], json!(left));
        assert_eq!(answer["expires_at"], json!("2030-01-01T13:00:00Z"));
    }
    let status = |seconds| {
        let ran = at(&after_noon(seconds), &machine, &["status"]).success();
        ran.stdout.contains("(until 2030-01-01 13:00 UTC)")
    };
    assert!(status(0) && status(3599) && !status(3600));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn the_longest_lifetime_that_can_be_allowed_is_one() {
    for lifetime in ["1e300", "18446744073709551615", "1e999", r#""1e300""#] {
        let body = format!(r#"{{"access_token": "t", "expires_in": {lifetime}}}"#);
        let server = Server::start(move |_| Reply::json(200, body.clone()));
        let machine = logged_in(&server, &["--max-ttl", "18446744073709551615"]);
        for arguments in [&["token"][..], &["token", "--min-ttl", "9999d"]] {
            assert_eq!(at(NOON, &machine, arguments).token(), "t", "{lifetime}");
        }
        at(NOON, &machine, &["token", "--json"]).success();
        at(NOON, &machine, &["status"]).success();
        assert_eq!(server.requests().len(), 1, "{lifetime}");
    }
}

#[test]
fn a_clock_that_is_off_by_more_than_a_life_costs_one_request_and_one_warning() {
    let jwt = |claims: Value| {
        let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
        format!("e30.{claims}.c2ln")
    };
    // Here it is noon, at the server ten o'clock.
    let issued = NOON_UNIX - 7200;
    let hour = jwt(json!({ "iat": issued, "exp": issued + 3600 }));
    let without_iat = jwt(json!({ "exp": issued + 3600 }));
    let date = Some("Tue, 01 Jan 2030 10:00:00 GMT");
    for (token, date, members, warning, requests) in [
        (
            &hour,
            None,
            json!({ "expires_in": 3600 }),
            "2 h ahead of",
            1,
        ),
        (&hour, None, json!({}), "2 h ahead of", 1),
        (&without_iat, date, json!({}), "2 h ahead of", 1),
        (
            &hour,
            date,
            json!({ "expires_in": 3600 }),
            "2 h ahead of",
            1,
        ),
        (
            &without_iat,
            None,
            json!({ "expires_in": 3600 }),
            "every call requests",
            2,
        ),
    ] {
        let mut body = members.clone();
        body["access_token"] = json!(token);
        let server = Server::start(move |_| {
            let reply = Reply::json(200, body.to_string());
            match date {
                Some(date) => reply.header("Date", date),
                None => reply,
            }
        });
        let machine = logged_in(&server, &[]);
        let first = at(NOON, &machine, &["token"]).success();
        assert_eq!(first.stdout, format!("{token}\n"));
        assert_eq!(first.stderr.lines().count(), 1, "{first:?}");
        let is_warning = first.stderr.starts_with("hallpass: warning: ");
        assert!(is_warning && first.stderr.contains(warning), "{first:?}");
        let second = at(NOON, &machine, &["token"]).success();
        assert_eq!(second.stderr.is_empty(), requests == 1, "{second:?}");
        assert_eq!(server.requests().len(), requests, "{members}");
    }
}

#[test]
fn a_narrower_scope_is_reported_once() {
    for (granted, shown) in [
        (json!("a"), Some(r#"scope "a""#)),
        (json!("c a"), Some(r#"scope "c a""#)),
        (json!(["a", "b"]), Some(r#"scope "a b""#)),
        (json!(""), Some("no scope")),
        (json!("c b a d"), None),
        (json!("a,b,c"), None),
        (json!(["a", "b", "c"]), None),
        (json!(null), None),
        (json!(7), None),
    ] {
        let body = json!({ "access_token": "t", "expires_in": 3600, "scope": granted });
        let server = Server::start(move |_| Reply::json(200, body.to_string()));
        let machine = logged_in(&server, &["--scope", "a", "--scope", "b", "--scope", "c"]);
        let fresh = at(NOON, &machine, &["token"]).success();
        assert_eq!(fresh.stdout, "t\n");
        let warning = shown.map(|shown| {
            format!("hallpass: warning: the server granted {shown} instead of \"a b c\"\n")
        });
        assert_eq!(fresh.stderr, warning.unwrap_or_default(), "{granted}");
        assert_eq!(at(NOON, &machine, &["token"]).token(), "t");
        assert_eq!(server.requests().len(), 1);
        let ran = at(NOON, &machine, &["token", "--json"]).success();
        let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let shown = match &granted {
            Value::Array(words) => {
                let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
                words.join(" ")
            }
            Value::String(scope) => scope.clone(),
            // The server does not say: it granted what was asked for (RFC 6749 §5.1).
            _ => "a b c".to_owned(),
        };
        assert_eq!(answer["scope"], json!(shown));
    }
}

#[test]
fn a_clock_that_moves_costs_a_request_at_most() {
    // When the clock says what, and whether the token from noon, good for a day, is handed out.
    for (moment, reused) in [
        ("2030-01-01 12:00:00", true),
        ("2030-01-01 11:59:55", true),
        ("2030-01-01 11:59:31", true),
        ("2030-01-01 11:59:30", true),
        ("2030-01-01 11:59:29", false),
        ("2030-01-01 10:00:00", false),
        ("2029-12-31 12:00:00", false),
        ("2020-01-01 12:00:00", false),
        ("1970-01-01 00:00:00", false),
        ("1901-12-13 20:45:52", false),
        ("2030-01-02 11:00:00", true),
        ("2030-01-02 11:58:30", true),
        ("2030-01-02 11:58:31", false),
        ("2030-01-02 13:00:00", false),
        ("2038-01-19 03:14:08", false),
        ("2040-01-01 12:00:00", false),
        ("2106-02-07 06:28:16", false),
        ("9999-12-31 23:59:59", false),
    ] {
        let server = Server::start(tokens_for(86_400));
        let machine = logged_in(&server, &[]);
        assert_eq!(at(NOON, &machine, &["token"]).token(), "token-1");
        let (expected, requests) = if reused {
            ("token-1", 1)
        } else {
            ("token-2", 2)
        };
        for _ in 0..2 {
            assert_eq!(
                at(moment, &machine, &["token"]).token(),
                expected,
                "{moment}"
            );
        }
        assert_eq!(server.requests().len(), requests, "{moment}");
    }
}

#[test]
fn a_clock_that_is_put_right_costs_a_request_at_most() {
    // When the clock says what at first; then it is noon.
    for (moment, reused) in [
        ("2030-01-01 12:00:29", true),
        ("2030-01-01 12:00:30", true),
        ("2030-01-01 12:00:31", false),
        ("2030-01-01 14:00:00", false),
        ("2040-01-01 12:00:00", false),
        ("2038-01-19 03:14:08", false),
        ("2106-02-07 06:28:16", false),
        ("9999-12-31 23:59:59", false),
        ("1970-01-01 00:00:00", false),
        ("1901-12-13 20:45:52", false),
        ("2029-12-31 12:01:30", true),
        ("2029-12-31 12:01:29", false),
    ] {
        let server = Server::start(tokens_for(86_400));
        let machine = logged_in(&server, &[]);
        let ran = at(moment, &machine, &["token", "--json"]).success();
        let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(answer["expires_in"], json!(86_400), "{moment}");
        at(moment, &machine, &["status"]).success();
        assert_eq!(at(moment, &machine, &["token"]).token(), "token-1");
        let (expected, requests) = if reused {
            ("token-1", 1)
        } else {
            ("token-2", 2)
        };
        for _ in 0..2 {
            assert_eq!(at(NOON, &machine, &["token"]).token(), expected, "{moment}");
        }
        assert_eq!(server.requests().len(), requests, "{moment}");
    }
}

#[test]
fn a_refusal_is_shared_for_two_seconds_only() {
    let server = Server::start(|_| Reply::json(401, r#"{"error": "invalid_client"}"#));
    let machine = logged_in(&server, &[]);
    // When the clock says what, and the requests made by then.
    for (moment, requests) in [
        ("2030-01-01 12:00:00", 1),
        ("2030-01-01 12:00:00", 1),
        ("2030-01-01 12:00:01", 1),
        ("2030-01-01 12:00:02", 2),
        ("2030-01-01 12:00:03", 2),
        // The clock went back: nobody knows how long ago it was.
        ("2030-01-01 12:00:01", 3),
        ("1970-01-01 00:00:00", 4),
    ] {
        at(moment, &machine, &["token"]).failure(4);
        assert_eq!(server.requests().len(), requests, "{moment}");
    }
}

#[test]
fn a_server_with_retry_after_gets_no_request_until_then() {
    for (retry_after, almost, until) in [
        ("600", "2030-01-01 12:09:59", "2030-01-01 12:10:00"),
        (
            "Tue, 01 Jan 2030 12:10:00 GMT",
            "2030-01-01 12:09:59",
            "2030-01-01 12:10:00",
        ),
        // An hour at most.
        ("86400", "2030-01-01 12:59:59", "2030-01-01 13:00:00"),
        (
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "2030-01-01 12:59:59",
            "2030-01-01 13:00:00",
        ),
        // The clock goes back: then the time that was named is not to be trusted.
        ("600", "2030-01-01 12:00:00", "2030-01-01 11:59:59"),
        ("600", "2030-01-01 12:00:00", "1970-01-01 00:00:00"),
    ] {
        let server = Server::start({
            let count = AtomicUsize::new(0);
            move |_| match count.fetch_add(1, Ordering::SeqCst) {
                0 => Reply::new(429).header("Retry-After", retry_after),
                _ => Reply::token("token", 3600),
            }
        });
        let machine = logged_in(&server, &[]);
        let shown = at(NOON, &machine, &["token"]).failure(5).stderr;
        assert_eq!(at(almost, &machine, &["token"]).failure(5).stderr, shown);
        let insisted = at(almost, &machine, &["token", "--refresh"]).failure(5);
        assert_eq!(insisted.stderr, shown, "the server asked for that");
        assert_eq!(server.requests().len(), 1, "{retry_after}");
        assert_eq!(at(until, &machine, &["token"]).token(), "token");
        assert_eq!(server.requests().len(), 2, "{retry_after}");
    }
}

/// Members of a response without its token, and how many seconds the token serves.
fn spellings() -> Vec<(&'static str, String, u64)> {
    let jwt = |claims: &Value| {
        let [header, claims] = [&json!({ "alg": "none" }), claims]
            .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        format!("{header}.{claims}.c2ln")
    };
    let until = |exp: u64| jwt(&json!({ "exp": exp }));
    let opaque = SPELLINGS.map(|(members, seconds)| (members, "opaque".to_owned(), seconds));
    let hour = r#""expires_in": 3600"#;
    let unknown = r#""expires_in": null"#;
    let with_an_end_of_its_own = [
        (hour, until(NOON_UNIX + 60), 60),
        (hour, until(NOON_UNIX + 7200), 3600),
        (hour, until(NOON_UNIX - 1), 0),
        (unknown, until(NOON_UNIX + 1200), 1200),
        (unknown, until(NOON_UNIX + 10 * DAY), DAY),
        (unknown, jwt(&json!({ "sub": "x" })), 300),
        (unknown, jwt(&json!([1])), 300),
        (unknown, "not.a.jwt".to_owned(), 300),
    ];
    opaque.into_iter().chain(with_an_end_of_its_own).collect()
}

/// Runs while the clock stands at this moment of UTC.
fn at(moment: &str, machine: &Machine, arguments: &[&str]) -> Ran {
    let output = command_at(moment, &machine.hallpass(arguments)).output();
    Ran::from(output.expect("a program that starts"))
}

/// The same command, at that moment.
pub(crate) fn command_at(moment: &str, command: &Command) -> Command {
    let moment = seconds(moment).to_string();
    run_by(clock(&moment), command)
}

/// The same command, for which the clock goes from that moment to each one that it waits for. The seconds
/// are in this file.
pub(crate) fn command_from(moment: &str, shown: &Path, command: &Command) -> Command {
    let moment = format!("{}@{}", seconds(moment), shown.display());
    run_by(clock(&moment), command)
}

fn clock(moment: &str) -> Command {
    static CLOCK: LazyLock<PathBuf> = LazyLock::new(|| {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clock");
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "tests/clock.c", "-o"]).arg(&program);
        assert!(compiler.status().is_ok_and(|status| status.success()));
        program
    });
    let mut clock = Command::new(&*CLOCK);
    clock.arg(moment);
    clock
}

fn seconds(moment: &str) -> i64 {
    let format = parse_borrowed::<2>("[year]-[month]-[day] [hour]:[minute]:[second]");
    let moment = PrimitiveDateTime::parse(moment, &format.expect("a format")).expect("a moment");
    moment.assume_utc().unix_timestamp()
}

/// A moment on the day of noon, for [`at`].
fn after_noon(seconds: u64) -> String {
    let moment = moment(seconds);
    moment.trim_end_matches('Z').replace('T', " ")
}

/// RFC 3339, up to a day and a little after noon.
fn moment(after_noon: u64) -> String {
    let seconds = 12 * 60 * 60 + after_noon;
    let (day, second) = (1 + seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("2030-01-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn logged_in(server: &Server, more: &[&str]) -> Machine {
    let machine = Machine::new();
    machine.login("p", server, &[&["--no-verify"], more].concat());
    machine
}

/// `token-1`, `token-2`, ..., each for so many seconds.
fn tokens_for(seconds: u64) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let count = AtomicUsize::new(1);
    move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        Reply::token(&format!("token-{number}"), seconds)
    }
}
