//! Secrets that expire: the date that a login records, and who sees it.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use serde_json::{Value, json};

use crate::machine::Machine;
use crate::server::{Reply, Server};
use crate::terminal::Terminal;

/// What `status --json` says about the date.
fn expires(machine: &Machine) -> Value {
    let shown = machine.run(&["status", "p", "--json"]).json();
    shown["profiles"][0]["secret_expires"].clone()
}

#[test]
fn an_expiry_date_is_kept_until_the_secret_is_another_one() {
    let machine = Machine::new();
    let other = machine.private_file("other", b"another secret");
    let other = other.to_str().expect("a path in UTF-8");
    machine.login("p", machine.server(), &[]);
    assert_eq!(expires(&machine), Value::Null);
    for (options, expected) in [
        (&["--secret-expires", "2999-02-01"][..], json!("2999-02-01")),
        (&["--scope", "read"], json!("2999-02-01")),
        (&["--secret-expires", ""], Value::Null),
        (&["--secret-expires", "2999-02-02"], json!("2999-02-02")),
        (&["--secret-file", other], Value::Null),
        (
            &["--secret-file", other, "--secret-expires", "2999-02-03"],
            json!("2999-02-03"),
        ),
    ] {
        machine.run(&[&["login", "p"], options].concat()).success();
        assert_eq!(expires(&machine), expected, "{options:?}");
    }
    let shown = machine.run(&["status", "p"]).output();
    assert!(shown.contains("2999-02-03 (in "), "{shown}");
}

#[test]
fn a_secret_that_expires_soon_is_mentioned_once_a_day_and_only_at_a_terminal() {
    let machine = Machine::new();
    machine.login("p", machine.server(), &["--secret-expires", "30d"]);
    machine.login("q", machine.server(), &["--secret-expires", "40d"]);
    let at_terminal = |arguments: &[&str]| {
        let ended = Terminal::run(&machine.hallpass(arguments)).end();
        assert_eq!(ended.exit, Some(0), "{ended:?}");
        ended.screen.contains("the secret of profile")
    };
    machine.run(&["token", "p", "--refresh"]).token();
    assert!(!at_terminal(&["token", "p"]), "the token was cached");
    assert!(at_terminal(&["token", "p", "--refresh"]));
    assert!(!at_terminal(&["token", "p", "--refresh"]), "the same day");
    for (hours, is_mentioned) in [(23, false), (24, true)] {
        machine.age_cached("p/secret-expires", hours);
        let again = at_terminal(&["token", "p", "--refresh"]);
        assert_eq!(again, is_mentioned, "{hours} h later");
    }
    assert!(!at_terminal(&["token", "q", "--refresh"]), "40 days before");
    machine.run(&["login", "p"]).success();
    let exec = ["exec", "--min-ttl", "2h", "-e", "T=p", "--", "true"];
    assert!(at_terminal(&exec), "the login is another one");
}

#[test]
fn a_refusal_mentions_that_the_secret_has_expired() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, SeqCst) {
        0 => Reply::token("token", 3600),
        1 => Reply::json(401, r#"{"error": "invalid_client"}"#),
        _ => Reply::json(400, r#"{"error": "invalid_scope"}"#),
    });
    let machine = Machine::new();
    machine.login("p", &server, &["--secret-expires", "0d"]);
    let refused = machine.run(&["token", "p", "--refresh"]).failure(4);
    assert!(
        refused.stderr.contains("the secret expired on "),
        "{refused:?}"
    );
    let refused = machine.run(&["token", "p", "--refresh"]).failure(4);
    assert!(!refused.stderr.contains("expired"), "{refused:?}");
}
