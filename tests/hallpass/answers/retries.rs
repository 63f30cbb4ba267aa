//! When a request is sent again, and when the cached token serves on.

use std::time::{Duration, Instant};

use super::{GOOD, answered, first_then, http_date, refused, seconds_now, shift_entry};
use crate::machine::{Machine, numbered_tokens};
use crate::server::{Reply, Server};

// Retry-After.

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
        let ran = machine.run(&["token"]).failure(5);
        assert!(begun.elapsed() < Duration::from_secs(25), "{value}");
        assert!(
            ran.stderr.contains("the server asked hallpass to wait ")
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
fn an_unreadable_retry_after_is_ignored() {
    for value in ["soon", "-1", "1.5", "", "Mon, 99 Nov 2026 00:00:00 GMT"] {
        let (machine, server) = answered(Reply::new(429).header("Retry-After", value));
        machine.run(&["token"]).failure(5);
        assert_eq!(server.requests().len(), 1, "{value}");
    }
}

#[test]
fn a_retry_after_with_another_status_is_ignored() {
    let (machine, server) =
        answered(Reply::json(401, r#"{"error":"invalid_client"}"#).header("Retry-After", "120"));
    machine.run(&["token"]).failure(4);
    machine.run(&["token", "--refresh"]).failure(4);
    assert_eq!(server.requests().len(), 2);
}

// One retry.

#[test]
fn a_failing_server_gets_one_more_request_and_no_third() {
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
        (machine.run(&["token"]), server)
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
fn a_closed_port_is_unavailable() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    machine.login("default", &server, &["--no-verify"]);
    server.stop();
    let ran = machine.run(&["token"]).failure(5);
    assert!(
        ran.stderr.contains("cannot connect to http://127.0.0.1:"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("hint: check the network"), "{ran:?}");
}

// A refresh that fails.

#[test]
fn a_failed_early_refresh_is_a_warning_with_the_cached_token() {
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
                .starts_with("hallpass: warning: cannot renew the token ("),
            "{ran:?}"
        );
        assert!(ran.stderr.contains("(until 20"), "{ran:?}");
        assert!(server.requests().len() >= 2);
        // A forced refresh fails, because there is no new token.
        machine.run(&["token", "--refresh"]).failure(5);
    }
}
