//! The command line: which profile is meant, what is kept and printed, and how hallpass says no.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::server::{Gate, Reply, Request, Server};
use crate::support::{CLIENT_ID, Machine, Ran, SECRET, numbered_tokens};
use crate::tls::Authority;

const COMMANDS: [&str; 4] = ["login", "token", "logout", "status"];

#[test]
fn the_profile_is_the_one_that_was_named_else_the_only_one() {
    let mut machine = Machine::new();
    let server = Server::start(|request: &Request| {
        let audience = request
            .form()
            .into_iter()
            .find(|(name, _)| name == "audience");
        Reply::token(&audience.expect("an audience").1, 3600)
    });
    let ran = fails(machine.run(&["token"]), 3);
    assert!(ran.stderr.contains("no profiles yet"), "{ran:?}");
    assert!(ran.stderr.contains("hint: run `hallpass login`"), "{ran:?}");
    fails(machine.run(&["logout"]), 3);

    machine.login("one", &server, &["--audience", "for-one"]);
    assert_eq!(machine.run(&["token"]).token(), "for-one");
    machine.set("HALLPASS_PROFILE", "");
    assert_eq!(
        machine.run(&["token"]).token(),
        "for-one",
        "an empty variable is none"
    );
    let ran = fails(machine.run(&["token", "two"]), 3);
    assert!(ran.stderr.contains("no profile named two"), "{ran:?}");
    assert!(ran.stderr.contains("existing profiles: one"), "{ran:?}");

    machine.login("two", &server, &["--audience", "for-two"]);
    for arguments in [&["token"][..], &["token", "--refresh"], &["logout"]] {
        let ran = fails(machine.run(arguments), 2);
        assert!(
            ran.stderr
                .contains("more than one profile exists: one, two"),
            "{ran:?}"
        );
        assert!(ran.stderr.contains("HALLPASS_PROFILE"), "{ran:?}");
    }
    assert_eq!(machine.run(&["token", "one"]).token(), "for-one");
    machine.set("HALLPASS_PROFILE", "two");
    assert_eq!(machine.run(&["token"]).token(), "for-two");
    assert_eq!(
        machine.run(&["token", "one"]).token(),
        "for-one",
        "the argument wins"
    );
    let status = machine.run(&["status"]).success().stdout;
    assert!(status.starts_with("two\n"), "{status}");
    assert!(!status.contains("for-one"), "{status}");
    machine.run(&["logout"]).success();
    assert_eq!(names(&machine), ["one"]);
    fails(machine.run(&["token"]), 3);
    machine.set("HALLPASS_PROFILE", "No Name");
    for command in COMMANDS {
        let ran = fails(machine.run(&[command]), 2);
        assert!(
            ran.stderr
                .contains("invalid profile name in HALLPASS_PROFILE"),
            "{ran:?}"
        );
        assert!(!ran.stderr.contains("No Name"), "{ran:?}");
    }
}

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
fn a_token_as_json_has_the_members_of_rfc_6749_and_its_end() {
    let machine = Machine::new();
    let server = Server::start(|request: &Request| match request.form().as_slice() {
        [_, (_, scope)] => Reply::json(
            200,
            format!(
                r#"{{"access_token":"t","token_type":"bearer","scope":"{scope} more","expires_in":600}}"#
            ),
        ),
        _ => Reply::json(200, r#"{"access_token":"t","expires_in":600}"#),
    });
    machine.login("prod", &server, &[]);
    let rows = [
        (&[][..], json!("Bearer"), Value::Null),
        (
            &["--scope", "a", "--scope", "b"],
            json!("bearer"),
            json!("a b more"),
        ),
    ];
    for (more, token_type, scope) in rows {
        // Asked for, then from the cache.
        for _ in 0..2 {
            let mut arguments = vec!["token", "--json"];
            arguments.extend(more);
            let ran = machine.run(&arguments).success();
            assert_eq!(ran.stderr, "");
            assert_eq!(ran.stdout.matches('\n').count(), 1, "{ran:?}");
            let printed: Value = serde_json::from_str(&ran.stdout).expect("JSON");
            assert_eq!(
                members(&printed),
                [
                    "access_token",
                    "expires_at",
                    "expires_in",
                    "scope",
                    "token_type"
                ]
            );
            assert_eq!(printed["access_token"], "t");
            assert_eq!(printed["token_type"], token_type);
            assert_eq!(printed["scope"], scope);
            let left = printed["expires_in"].as_u64().expect("a whole number");
            assert!((540..=600).contains(&left), "{printed}");
            assert!(is_moment(&printed["expires_at"]), "{printed}");
        }
    }
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn the_scope_that_was_asked_for_is_told_where_the_server_is_silent() {
    let machine = Machine::new();
    let server = Server::start(|_| Reply::json(200, r#"{"access_token":"t","expires_in":600}"#));
    machine.login("prod", &server, &["--scope", "read"]);
    let printed: Value =
        serde_json::from_str(&machine.run(&["token", "--json"]).success().stdout).expect("JSON");
    assert_eq!(printed["scope"], "read");
}

#[test]
fn a_logout_leaves_nothing_and_a_second_one_finds_nothing() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    machine.run(&["token", "--scope", "other"]).success();
    assert_eq!(machine.entries("prod").len(), 2);
    let ran = machine.run(&["logout"]).success();
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        (
            "",
            "hallpass: logged out of prod: its cached tokens and settings were removed\n"
        )
    );
    assert_eq!(machine.files(), [machine.config().join("lock")]);
    assert!(!machine.cache().join("prod").exists());
    assert!(
        machine.root().join("secret").exists(),
        "the file is the person's"
    );
    fails(machine.run(&["logout"]), 3);
    let ran = fails(machine.run(&["logout", "prod"]), 3);
    assert!(ran.stderr.contains("no profile named prod"), "{ran:?}");
    assert!(!ran.stderr.contains("hallpass login"), "{ran:?}");
    for name in ["a", "b"] {
        machine.login(name, &server, &[]);
    }
    let ran = fails(machine.run(&["logout", "prod"]), 3);
    assert!(
        ran.stderr.contains("hint: existing profiles: a, b\n"),
        "{ran:?}"
    );
    // No terminal, no question.
    assert_eq!(machine.run(&["logout", "--all"]).success().stdout, "");
    assert_eq!(machine.files(), [machine.config().join("lock")]);
    assert_eq!(machine.run(&["logout", "--all"]).success().stdout, "");
}

#[test]
fn a_logout_removes_what_a_crash_left_of_a_profile_that_is_gone() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    fs::remove_file(machine.config().join("prod.json")).expect("the profile is removed");
    assert_eq!(machine.entries("prod").len(), 1);
    fails(machine.run(&["logout", "prod"]), 3);
    assert!(machine.entries("prod").is_empty());
}

#[test]
fn a_logout_of_all_removes_what_a_crash_left_of_a_profile_that_is_gone() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    machine.login("other", &server, &[]);
    fs::remove_file(machine.config().join("prod.json")).expect("the profile is removed");
    machine.run(&["logout", "--all"]).success();
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn a_logout_of_all_forgets_the_damaged_ones_too() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("one", &server, &[]);
    machine.login("two", &server, &[]);
    machine.login("damaged", &server, &[]);
    let damaged = machine.config().join("damaged.json");
    fs::write(&damaged, "not JSON").expect("a damaged profile");
    assert_eq!(names(&machine), ["damaged", "one", "two"]);
    machine.run(&["logout", "--all"]).success();
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn a_profile_that_cannot_be_forgotten_keeps_no_other() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("able", &server, &[]);
    machine.login("zeal", &server, &[]);
    // A directory with something in it is no file that can be removed, not even by root.
    let stuck = machine.config().join("stuck.json");
    fs::create_dir_all(stuck.join("inner")).expect("a directory");
    let ran = machine.run(&["logout", "--all"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr
            .contains("hallpass: warning: cannot log out of stuck: "),
        "{ran:?}"
    );
    assert_eq!(names(&machine), ["stuck"]);
    fails(machine.run(&["logout", "stuck"]), 1);
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

    // The secret's place is a setting, too.
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
fn a_login_of_another_client_begins_anew() {
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
fn a_damaged_profile_is_mended_as_its_hint_says() {
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
fn a_login_that_is_not_verified_asks_nobody() {
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
fn a_refused_login_stores_nothing_and_takes_nothing() {
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
fn a_span_of_time_is_written_as_people_do() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    for (text, seconds) in [
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86_400),
    ] {
        machine
            .run(&["login", "prod", "--no-verify", "--timeout", text])
            .success();
        assert_eq!(
            settings(&machine, "prod")["timeout_seconds"],
            seconds,
            "{text}"
        );
        machine.run(&["token", "--min-ttl", text]).success();
    }
    let before = settings(&machine, "prod");
    for text in [
        "",
        "s",
        "-1",
        "1.5h",
        "5 m",
        "1w",
        "1h30m",
        "soon",
        "99999999999999999999",
        "9999999999999999999d",
    ] {
        let option = format!("--min-ttl={text}");
        let ran = fails(machine.run(&["token", &option]), 2);
        assert!(
            ran.stderr.contains("such as 90s, 5m, 2h or 1d"),
            "{text}: {ran:?}"
        );
        let option = format!("--timeout={text}");
        let ran = fails(machine.run(&["login", "prod", &option]), 2);
        assert!(
            ran.stderr.contains("such as 90s, 5m, 2h or 1d"),
            "{text}: {ran:?}"
        );
    }
    let ran = fails(machine.run(&["login", "prod", "--timeout", "0"]), 2);
    assert!(ran.stderr.contains("at least 1s"), "{ran:?}");
    assert_eq!(settings(&machine, "prod"), before);
}

#[test]
fn a_time_beyond_all_measure_is_no_bug() {
    const LONGEST: &str = "18446744073709551615";
    let mut machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &["--timeout", LONGEST]);
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    let ran = machine.run(&["token", "--min-ttl", LONGEST]).success();
    assert_eq!(ran.stdout, "token-2\n");
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", LONGEST);
    assert_eq!(machine.run(&["token"]).token(), "token-2");
    machine
        .run(&["login", "prod", "--secret-command", "echo s3cret"])
        .success();
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-4");
}

#[test]
fn a_token_lasts_as_long_as_was_asked_for_or_a_warning_says_so() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    assert_eq!(
        machine.run(&["token", "--min-ttl", "50m"]).token(),
        "token-1"
    );
    let ran = machine.run(&["token", "--min-ttl", "2h"]).success();
    assert_eq!(ran.stdout, "token-2\n");
    assert_eq!(
        ran.stderr,
        "hallpass: warning: this server's tokens last 1 h, not longer than --min-ttl, so every call requests a new token\n"
    );
}

#[test]
fn the_time_limit_of_a_profile_holds() {
    let machine = Machine::new();
    let gate = Gate::new();
    let held = gate.clone();
    let server = Server::start(move |_| Reply::token("late", 60).held_by(&held));
    machine.login("prod", &server, &["--no-verify", "--timeout", "1s"]);
    let ran = fails(machine.run(&["token"]), 5);
    assert!(ran.stderr.contains("did not answer within 1 s"), "{ran:?}");
    gate.open();
}

#[test]
fn a_message_about_arguments_never_repeats_a_value() {
    let machine = Machine::new();
    let rows: [&[&str]; 30] = [
        &[SECRET_WORD],
        &["tokens", SECRET_WORD],
        &["token", "prod", SECRET_WORD],
        &["token", "Prod!", SECRET_WORD],
        &["token", "plainsecretword!"],
        &["token", "--nope=plainsecretword"],
        &["token", "--nope", SECRET_WORD],
        &["token", "-xplainsecretword"],
        &["token", "--json=plainsecretword"],
        &["token", "--min-ttl", SECRET_WORD],
        &["token", "--client-secret", SECRET_WORD],
        &["token", "--secret-stdin", SECRET_WORD],
        &["logout", "--all", SECRET_WORD],
        &["status", "prod", SECRET_WORD],
        &["login", "prod", SECRET_WORD],
        &["login", "--token-url", SECRET_WORD],
        &[
            "login",
            "--token-url",
            "https://u:plainsecretword@a.example/",
        ],
        &["login", "--token-url", "https://a.example/#plainsecretword"],
        &["login", "--revocation-url", SECRET_WORD],
        &["login", "--for", "https://a.example/?plainsecretword"],
        &["login", "--auth", SECRET_WORD],
        &["login", "--body", SECRET_WORD],
        &["login", "--param", SECRET_WORD],
        &["login", "--param", "client_secret=plainsecretword"],
        &["login", "--resource", SECRET_WORD],
        &["login", "--secret-command", "'plainsecretword"],
        &["login", "--secret-stdin=plainsecretword"],
        &["login", "--secret-stdin", "--secret-file", SECRET_WORD],
        &[
            "login",
            "--client-id",
            SECRET_WORD,
            "--client-id",
            SECRET_WORD,
        ],
        &["login", "--no-verify", "--timeout", SECRET_WORD],
    ];
    for arguments in rows {
        let ran = fails(machine.run(arguments), 2);
        assert!(!ran.stderr.contains(SECRET_WORD), "{arguments:?}: {ran:?}");
    }
    assert!(machine.files().is_empty());
}

#[test]
fn a_secret_as_an_argument_is_refused_in_every_spelling() {
    let machine = Machine::new();
    let spellings: [&[&str]; 7] = [
        &["--client-secret", SECRET_WORD],
        &["--client-secret=plainsecretword"],
        &["--client_secret", SECRET_WORD],
        &["--secret", SECRET_WORD],
        &["--password", SECRET_WORD],
        &["--password"],
        &[
            "--no-verify",
            "--client-id",
            "x",
            "--client-secret",
            SECRET_WORD,
        ],
    ];
    for spelling in spellings {
        let mut arguments = vec!["login", "prod"];
        arguments.extend(spelling);
        let ran = fails(machine.run(&arguments), 2);
        assert!(
            ran.stderr.contains("other processes can read it"),
            "{ran:?}"
        );
        assert!(
            ran.stderr.contains("hint: ") && ran.stderr.contains("--secret-stdin"),
            "{ran:?}"
        );
        assert!(!ran.stderr.contains(SECRET_WORD), "{ran:?}");
    }
    let help = machine.run(&["login", "--help"]).success().stdout;
    assert!(!help.contains("--client-secret"), "{help}");
}

#[test]
fn messages_about_arguments_name_the_option() {
    let machine = Machine::new();
    let rows: [(&[&str], &str); 14] = [
        (
            &[],
            "no command given; commands: login, token, logout, status, bind, unbind, exec, setup",
        ),
        (&["tokn"], "unknown command"),
        (&["token", "--nope"], "unknown option --nope"),
        (
            &["token", "a", "b"],
            "unexpected argument (hallpass token takes one profile name)",
        ),
        (
            &["login", "--param", "x"],
            "invalid value for --param: use NAME=VALUE",
        ),
        (
            &["login", "--token-url", "ftp://a"],
            "invalid value for --token-url: the URL must start with https://",
        ),
        (
            &["login", "--auth", "basic"],
            "invalid value for --auth; use client_secret_basic, client_secret_post",
        ),
        (
            &["login", "--auth"],
            "invalid value for --auth; use client_secret_basic, client_secret_post",
        ),
        (&["login", "--client-id"], "--client-id needs a value"),
        (&["token", "--json=1"], "--json takes no value"),
        (
            &["login", "--client-id", "a", "--client-id", "b"],
            "--client-id is given twice",
        ),
        (
            &["login", "--secret-stdin", "--secret-file", "a"],
            "--secret-stdin cannot be used with --secret-file",
        ),
        (
            &["logout", "--all", "prod"],
            "--all cannot be used with a profile name",
        ),
        (&["token", "-x"], "unknown option -x"),
    ];
    for (arguments, said) in rows {
        let ran = fails(machine.run(arguments), 2);
        assert!(
            ran.stderr.starts_with(&format!("hallpass: error: {said}")),
            "{said}: {ran:?}"
        );
        assert!(ran.stderr.contains("hallpass: hint: "), "{ran:?}");
    }
    for (arguments, suggestion) in [
        (&["tokn"][..], "did you mean token?"),
        (&["login", "--token-ur", "x"], "did you mean --token-url?"),
        (&["token", "--refesh"], "did you mean --refresh?"),
    ] {
        let ran = fails(machine.run(arguments), 2);
        assert!(ran.stderr.contains(suggestion), "{ran:?}");
    }
    let mut command = machine.hallpass(&["token"]);
    command.arg(std::os::unix::ffi::OsStrExt::from_bytes(b"\xff") as &std::ffi::OsStr);
    let ran = fails(Ran::from(command.output().expect("hallpass starts")), 2);
    assert!(ran.stderr.contains("is not UTF-8"), "{ran:?}");
}

#[test]
fn help_and_version_are_output() {
    let machine = Machine::new();
    for flag in ["--help", "-h"] {
        let help = quiet_output(&machine, &[flag]);
        for command in COMMANDS {
            assert!(help.contains(&format!("\n  {command} ")), "{help}");
            let help = quiet_output(&machine, &[command, flag]);
            assert!(
                help.contains(&format!("Usage: hallpass {command} ")),
                "{help}"
            );
        }
    }
    for flag in ["--version", "-V"] {
        let version = quiet_output(&machine, &[flag]);
        assert_eq!(version, format!("hallpass {}\n", env!("CARGO_PKG_VERSION")));
        for command in COMMANDS {
            let version = quiet_output(&machine, &[command, flag]);
            assert_eq!(
                version,
                format!("hallpass-{command} {}\n", env!("CARGO_PKG_VERSION"))
            );
        }
    }
    assert!(machine.files().is_empty());
}

#[test]
fn the_exit_code_says_who_acts_next() {
    let machine = Machine::new();
    let server = Server::start(|request: &Request| match request.target.as_str() {
        "/refuses" => Reply::json(400, r#"{"error":"invalid_scope"}"#),
        "/is-away" => Reply::new(503),
        _ => Reply::token("t", 3600),
    });
    let at = |path: &str| server.url(path);
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let open = machine.private_file("open", SECRET.as_bytes());
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("its mode");
    let login = |name: &str, url: &str, file: &std::path::Path, verify: bool| {
        let mut arguments = vec![
            "login",
            name,
            "--token-url",
            url,
            "--client-id",
            "x",
            "--secret-file",
            path(file),
        ];
        arguments.extend((!verify).then_some("--no-verify"));
        machine.run(&arguments)
    };
    login("good", &at("/"), &secret, true).success();
    login("refused", &at("/refuses"), &secret, false).success();
    login("away", &at("/is-away"), &secret, false).success();
    login("locked", &at("/"), &open, false).success();
    for (profile, code) in [
        ("good", 0),
        ("no/name", 2),
        ("absent", 3),
        ("refused", 4),
        ("away", 5),
        ("locked", 6),
    ] {
        let ran = machine.run(&["token", profile]);
        if code == 0 {
            assert_eq!(ran.token(), "t");
        } else {
            let ran = fails(ran, code);
            assert!(ran.stderr.contains("hallpass: hint: "), "{ran:?}");
        }
    }
    for (url, file, code) in [
        ("/refuses", &secret, 4),
        ("/is-away", &secret, 5),
        ("/", &open, 6),
    ] {
        fails(login("another", &at(url), file, true), code);
    }
    // 1 is for the disk, and for bugs.
    let mut command = machine.hallpass(&["token", "good"]);
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let output = command.stdout(full).stderr(Stdio::piped()).output();
    let ran = fails(Ran::from(output.expect("hallpass starts")), 1);
    assert!(
        ran.stderr.contains("cannot write to standard output"),
        "{ran:?}"
    );
}

#[test]
fn a_missing_setting_is_named_where_nobody_can_be_asked() {
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
    for (arguments, said) in rows {
        let ran = fails(machine.run(arguments), 2);
        assert!(ran.stderr.contains(said), "{ran:?}");
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
fn a_name_that_is_no_file_name_is_refused_everywhere() {
    let machine = Machine::new();
    for name in [
        "",
        ".",
        "..",
        "../p",
        "/etc/passwd",
        ".hidden",
        "a/b",
        "a\\b",
        "con",
        "CON:",
        "Prod",
        "a b",
        "ä",
        "a.",
        "a\n",
        &"x".repeat(300),
    ] {
        for command in COMMANDS {
            let ran = fails(machine.run(&[command, name]), 2);
            assert!(ran.stderr.contains("invalid profile name"), "{ran:?}");
        }
    }
    fails(machine.run(&["token", "-rf"]), 2);
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

/// A secret in plain letters: whoever repeats it cannot hide it.
const SECRET_WORD: &str = "plainsecretword";

/// Failed with this code, in the style of all messages: a line each, lower case, no full stop.
#[track_caller]
pub(crate) fn fails(ran: Ran, code: i32) -> Ran {
    let ran = ran.failure(code);
    let mut errors = 0;
    for line in ran.stderr.lines() {
        let said = line
            .strip_prefix("hallpass: ")
            .unwrap_or_else(|| panic!("{ran:?}"));
        let kinds = ["error: ", "hint: ", "warning: "];
        let text = kinds
            .iter()
            .find_map(|kind| said.strip_prefix(kind))
            .unwrap_or(said);
        errors += usize::from(said.starts_with("error: "));
        // The name of a variable stands as it is.
        let first = text.split(' ').next().unwrap_or_default();
        let is_variable = first.starts_with("HALLPASS_");
        assert!(
            is_variable || !first.starts_with(char::is_uppercase),
            "{ran:?}"
        );
        assert!(
            !text.ends_with('.') && text.trim() == text && !text.is_empty(),
            "{ran:?}"
        );
    }
    assert_eq!(errors, 1, "{ran:?}");
    assert!(ran.stderr.ends_with('\n'), "{ran:?}");
    ran
}

/// What a successful run prints when it has nothing to say beside.
#[track_caller]
fn quiet_output(machine: &Machine, arguments: &[&str]) -> String {
    let ran = machine.run(arguments).success();
    assert_eq!(ran.stderr, "", "{ran:?}");
    ran.stdout
}

fn path(path: &std::path::Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The names of the profiles, by their files.
fn names(machine: &Machine) -> Vec<String> {
    let entries = fs::read_dir(machine.config()).expect("the settings");
    let names: BTreeSet<String> = entries
        .filter_map(|entry| entry.expect("an entry").file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.into_iter().collect()
}

/// A profile's file.
fn settings(machine: &Machine, profile: &str) -> Value {
    let file = machine.config().join(format!("{profile}.json"));
    serde_json::from_slice(&fs::read(file).expect("the profile")).expect("JSON")
}

pub(crate) fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

/// `2026-11-23T22:12:59Z` (RFC 3339).
pub(crate) fn is_moment(value: &Value) -> bool {
    let shape: String = value
        .as_str()
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "0000-00-00T00:00:00Z"
}
