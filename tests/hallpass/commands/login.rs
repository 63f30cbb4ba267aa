//! `hallpass login`: what it asks for, stores, changes and refuses.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{fails, members, names, path, settings};
use crate::machine::{CLIENT_ID, Machine, Ran, SECRET, numbered_tokens};
use crate::server::{Reply, Server};
use crate::tls::Authority;

#[test]
fn a_login_without_a_name_is_the_default_one_and_replaces_no_other() {
    let mut machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &["--audience", "of-prod"]);
    let secret = machine.private_file("another", b"another");
    let url = server.url("/oauth/token");
    let login = [
        "login",
        "--token-url",
        &url,
        "--client-id",
        "x",
        "--secret-file",
        path(&secret),
    ];
    machine.run(&login).success();
    assert_eq!(names(&machine), ["default", "prod"]);
    assert_eq!(settings(&machine, "prod")["audience"], "of-prod");
    machine.set("HALLPASS_PROFILE", "staging");
    machine.run(&login).success();
    assert_eq!(names(&machine), ["default", "prod", "staging"]);
}

#[test]
fn a_login_without_a_token_url_changes_what_is_given_and_keeps_the_rest() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    let revoke = server.url("/revoke");
    let more = [
        "--audience",
        "first",
        "--scope",
        "a b",
        "--resource",
        "urn:a",
        "--resource",
        "urn:b",
        "--param",
        "x=1",
        "--param",
        "y=2",
        "--auth",
        "client_secret_post",
        "--timeout",
        "5m",
        "--for",
        "https://api.example",
        "--revocation-url",
        &revoke,
    ];
    machine.login("prod", &server, &more);
    let before = settings(&machine, "prod");
    let pem = machine.private_file("ca.pem", Authority::new().pem().as_bytes());
    let generation = |settings: &mut Value| settings["generation"].take();

    // The source of the secret is a setting, too.
    machine.run(&["login", "prod"]).success();
    let mut now = settings(&machine, "prod");
    assert_ne!(generation(&mut now), generation(&mut before.clone()));
    let mut unchanged = before.clone();
    generation(&mut unchanged);
    assert_eq!(now, unchanged);

    let changes: [(&[&str], &str, Value); 16] = [
        (&["--audience", "second"], "audience", json!("second")),
        (&["--audience", ""], "audience", Value::Null),
        (&["--scope", "c", "--scope", "d"], "scope", json!("c d")),
        (&["--scope", ""], "scope", Value::Null),
        (&["--resource", "urn:c"], "resource", json!(["urn:c"])),
        (&["--resource", ""], "resource", Value::Null),
        (
            &["--param", "x=3", "--param", "z=4"],
            "parameters",
            json!({"x": "3", "y": "2", "z": "4"}),
        ),
        (
            &["--param", "x="],
            "parameters",
            json!({"y": "2", "z": "4"}),
        ),
        (
            &["--auth", "client_secret_basic"],
            "client_auth",
            json!("client_secret_basic"),
        ),
        (&["--body", "json"], "body", json!("json")),
        (&["--timeout", "90"], "timeout_seconds", json!(90)),
        (
            &["--for", "https://a.example", "--for", "https://b.example/x"],
            "for",
            json!(["https://a.example/", "https://b.example/x"]),
        ),
        (&["--for", ""], "for", Value::Null),
        (
            &["--revocation-url", ""],
            "revocation_endpoint",
            Value::Null,
        ),
        (&["--ca-file", path(&pem)], "ca_file", json!(pem)),
        (&["--ca-file", ""], "ca_file", Value::Null),
    ];
    for (given, member, value) in changes {
        let mut expected = settings(&machine, "prod");
        let mut arguments = vec!["login", "prod"];
        arguments.extend(given);
        machine.run(&arguments).success();
        let mut now = settings(&machine, "prod");
        assert_eq!(now[member], value, "{given:?}");
        for settings in [&mut expected, &mut now] {
            generation(settings);
            let settings = settings.as_object_mut().expect("an object");
            settings.remove(member);
            // It has the digest of the CA file.
            settings.remove("trust");
        }
        assert_eq!(now, expected, "{given:?} changes nothing else");
    }
    // And what was removed is not sent.
    let last = server.requests().pop().expect("a request");
    assert_eq!(
        last.text(),
        r#"{"grant_type":"client_credentials","y":"2","z":"4"}"#
    );
}

#[test]
fn a_login_of_another_client_drops_the_old_settings() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login(
        "prod",
        &server,
        &[
            "--audience",
            "first",
            "--scope",
            "a",
            "--body",
            "json",
            "--for",
            "https://api.example",
        ],
    );
    let other = Server::start(numbered_tokens());
    machine.login("prod", &other, &[]);
    let now = settings(&machine, "prod");
    assert_eq!(
        members(&now),
        [
            "body",
            "client_auth",
            "client_id",
            "format",
            "generation",
            "secret",
            "token_endpoint"
        ]
    );
    assert_eq!(
        (&now["body"], &now["client_auth"]),
        (&json!("form"), &json!("client_secret_basic"))
    );
    assert_eq!(other.requests()[0].text(), "grant_type=client_credentials");
}

#[test]
fn a_damaged_profile_is_repaired_by_the_command_in_its_hint() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    fs::write(machine.config().join("prod.json"), "{}").expect("a damaged profile");
    for arguments in [&["token"][..], &["login", "prod"], &["status", "prod"]] {
        let ran = fails(machine.run(arguments), 2);
        assert!(
            ran.stderr
                .contains("prod.json is not a profile of hallpass"),
            "{ran:?}"
        );
        assert!(
            ran.stderr
                .contains("hint: run `hallpass login prod --replace --token-url"),
            "{ran:?}"
        );
    }
    machine.login("prod", &server, &[]);
    assert_eq!(machine.run(&["token"]).token(), "token-2");
}

#[test]
fn a_login_that_is_not_verified_sends_no_request() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    let ran = machine.login("prod", &server, &["--no-verify"]);
    assert!(
        ran.stderr.contains("not verified: no token was requested"),
        "{ran:?}"
    );
    assert_eq!(server.connections(), 0);
    assert!(machine.entries("prod").is_empty());
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    // Nor does it look for a secret that is not there yet.
    let login = [
        "login",
        "prod",
        "--no-verify",
        "--secret-file",
        "/nonexistent/secret",
    ];
    machine.run(&login).success();
    fails(machine.run(&["token"]), 3);
}

#[test]
fn a_refused_login_stores_nothing_and_removes_nothing() {
    let machine = Machine::new();
    let refuses = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&refuses);
    let tokens = numbered_tokens();
    let server = Server::start(move |request| {
        if switch.load(Ordering::SeqCst) {
            return Reply::json(
                401,
                r#"{"error":"invalid_client","error_description":"who?"}"#,
            );
        }
        tokens(request)
    });
    let url = server.url("/oauth/token");
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let login = [
        "login",
        "prod",
        "--token-url",
        &url,
        "--client-id",
        CLIENT_ID,
        "--secret-file",
        path(&secret),
    ];
    let ran = fails(machine.run(&login), 4);
    assert!(
        ran.stderr
            .contains("the server refused the client: 401 invalid_client (who?), at http://"),
        "{ran:?}"
    );
    assert!(machine.files().is_empty(), "{:?}", machine.files());

    refuses.store(false, Ordering::SeqCst);
    machine.run(&login).success();
    let (before, files) = (settings(&machine, "prod"), machine.files());
    refuses.store(true, Ordering::SeqCst);
    fails(machine.run(&login), 4);
    fails(machine.run(&["login", "prod", "--audience", "another"]), 4);
    assert_eq!(settings(&machine, "prod"), before);
    assert_eq!(machine.files(), files);
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_missing_setting_is_named_without_a_terminal() {
    let machine = Machine::new();
    let url = "https://a.example/t";
    let rows: [(&[&str], &str); 3] = [
        (&["login"], "--token-url is missing"),
        (&["login", "--token-url", url], "--client-id is missing"),
        (
            &["login", "--token-url", url, "--client-id", "x"],
            "the client secret is missing",
        ),
    ];
    for (arguments, message) in rows {
        let ran = fails(machine.run(arguments), 2);
        assert!(ran.stderr.contains(message), "{ran:?}");
        assert!(ran.stderr.contains("hallpass: hint: "), "{ran:?}");
    }
    for id in ["", "a\nb"] {
        let ran = fails(
            machine.run(&["login", "--token-url", url, "--client-id", id]),
            2,
        );
        assert!(
            ran.stderr
                .contains("the client ID is empty or contains a control character"),
            "{ran:?}"
        );
    }
    assert!(machine.files().is_empty());
}

#[test]
fn a_relative_secret_file_is_kept_as_an_absolute_path() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.private_file("secret", SECRET.as_bytes());
    let url = server.url("/t");
    let login = [
        "login",
        "prod",
        "--token-url",
        &url,
        "--client-id",
        "x",
        "--secret-file",
        "secret",
    ];
    let output = machine
        .hallpass(&login)
        .current_dir(machine.root())
        .output();
    Ran::from(output.expect("hallpass starts")).success();
    assert_eq!(
        settings(&machine, "prod")["secret"],
        json!({ "file": machine.root().join("secret") })
    );
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
}
