//! Faults of the server, the network and the request.

use std::fs;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use super::{Defect, Repair, World, command, person, printed};
use crate::machine::{Ran, SECRET};
use crate::server::{Gate, Reply};
use crate::tls::Authority;

const NAMES: &[&str] = &["127.0.0.1"];

static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

/// A login at a server whose certificate is of a CA file.
fn login_with_tls(world: &mut World) {
    world.set_identity(AUTHORITY.identity(NAMES));
    let ca = world.write("ca.pem", &AUTHORITY.pem());
    world.login(&["--ca-file", &ca]);
}

#[test]
fn faults_of_the_server_and_the_way_to_it_are_found() {
    for fault in [
        Defect {
            name: "a wrong clock",
            healthy: |world| {
                world.change_rules(|rules| rules.date = Some(now()));
                world.login(&[]);
            },
            plant: |world| {
                let past = "Thu, 01 Jan 2015 00:00:00 GMT".to_owned();
                world.change_rules(|rules| rules.date = Some(past));
            },
            check: "clock",
            found: "ahead of the server's",
            // It changes the clock of the machine that runs the tests.
            repair: person("timedatectl", |world| {
                world.change_rules(|rules| rules.date = Some(now()));
            }),
        },
        Defect {
            name: "an expired certificate of the server",
            healthy: login_with_tls,
            plant: |world| world.set_identity(AUTHORITY.expired_identity(NAMES)),
            check: "connection",
            found: "its certificate has expired",
            repair: person("the server's administrator must renew it", |world| {
                world.set_identity(AUTHORITY.identity(NAMES));
            }),
        },
        Defect {
            name: "another CA",
            healthy: login_with_tls,
            plant: |world| {
                let other = Authority::new();
                world.write("other.pem", &other.pem());
                world.set_identity(other.identity(NAMES));
            },
            check: "connection",
            found: "another authority of the same name signed it",
            repair: Repair {
                command: Some(&[("FILE", "$DIR/other.pem")]),
                ..command("--ca-file FILE")
            },
        },
        Defect {
            name: "a CA file that is gone",
            healthy: login_with_tls,
            plant: |world| fs::remove_file(world.path("ca.pem")).expect("a CA file"),
            check: "connection",
            found: "cannot use the CA file",
            repair: Repair {
                act: |world| {
                    world.write("other.pem", &AUTHORITY.pem());
                },
                command: Some(&[("FILE", "$DIR/other.pem")]),
                ..command("--ca-file FILE")
            },
        },
        Defect {
            name: "a wrong proxy",
            healthy: login_with_tls,
            plant: |world| world.set("HTTPS_PROXY", "http://127.0.0.1:1"),
            check: "connection",
            found: "cannot use the proxy http://127.0.0.1:1",
            repair: person("list the server's host in NO_PROXY", |world| {
                world.machine.set("NO_PROXY", "127.0.0.1");
            }),
        },
        Defect {
            name: "a proxy that is no URL",
            healthy: login_with_tls,
            plant: |world| world.set("https_proxy", "socks5://127.0.0.1:1"),
            check: "proxy",
            found: "is a SOCKS proxy",
            repair: person("unset it", |world| world.unset("https_proxy")),
        },
    ] {
        fault.check();
    }
}

#[test]
fn faults_of_the_request_are_found() {
    for fault in [
        Defect {
            name: "a wrong audience",
            healthy: |world| {
                world.change_rules(|rules| rules.audience = Some("urn:old"));
                world.login(&["--audience", "urn:old"]);
            },
            plant: |world| world.change_rules(|rules| rules.audience = Some("urn:new")),
            check: "token",
            found: "invalid_target",
            repair: person("check the audience urn:old (--audience)", |world| {
                let login = "hallpass login p --audience urn:new";
                assert_eq!(world.shell(login, "").code, 0);
            }),
        },
        Defect {
            name: "less scope than requested",
            healthy: |world| world.login(&["--scope", "read"]),
            plant: |world| world.change_rules(|rules| rules.scope = "write"),
            check: "scope",
            found: "granted scope \"write\" instead of \"read\"",
            repair: command("hallpass login p --scope=write"),
        },
        Defect {
            name: "a scope that looks like an option",
            healthy: |world| world.login(&["--scope", "read"]),
            plant: |world| world.change_rules(|rules| rules.scope = "--replace $(id)"),
            check: "scope",
            found: "granted scope \"--replace $(id)\" instead of \"read\"",
            repair: command("--scope='--replace $(id)'"),
        },
    ] {
        fault.check();
    }
}

#[test]
fn a_server_that_does_not_answer_head_is_asked_for_a_token() {
    let gate = Gate::new();
    let held = gate.clone();
    let silent: Head = Box::new(move || Reply::new(200).held_by(&held));
    let heads: [(&str, Head); 3] = [
        ("closes the connection", Box::new(Reply::hang_up)),
        ("is no HTTP", Box::new(|| Reply::raw("x\r\n\r\n"))),
        ("is silent", silent),
    ];
    for (name, head) in heads {
        let world = World::new();
        world.login(&["--timeout", "3s"]);
        world.change_rules(|rules| rules.head = head);
        let ran = world.doctor(&["--json"]).success();
        let checks = ["connection", "clock", "token"].map(|check| status_of(&ran, check));
        let connection = if name == "is silent" { "skipped" } else { "ok" };
        assert_eq!(checks, [connection, "skipped", "ok"], "{name}: {ran:?}");
    }
    gate.open();
}

type Head = Box<dyn Fn() -> Reply + Send>;

/// How a check of a profile ended.
fn status_of(ran: &Ran, check: &str) -> String {
    let document: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let checks = document["checks"].as_array().expect("an array");
    let mut found = checks.iter().filter(|row| row["check"] == check);
    let status = found.next().and_then(|row| row["status"].as_str());
    status.unwrap_or_default().to_owned()
}

#[test]
fn while_a_server_asks_to_wait_no_token_is_requested() {
    let world = World::new();
    world.login(&[]);
    world.change_rules(|rules| rules.is_busy = true);
    world.machine.run(&["token", "p", "--refresh"]).failure(5);
    world.change_rules(|rules| rules.is_busy = false);
    let requests = world.server.requests().len();
    let ran = world.doctor(&[]).success();
    let why =
        "  -     token        not checked: the server asked at an earlier request to wait until 20";
    assert!(ran.stdout.contains(why), "{ran:?}");
    let requests = world.server.requests().split_off(requests);
    assert!(requests.iter().all(|it| it.method == "HEAD"));
}

#[test]
fn while_two_secrets_are_kept_the_one_that_the_server_accepts_is_used() {
    let mut world = World::new();
    world.login_to_keychain();
    let rotate = ["rotate", "p", "--secret-stdin", "--keep-old", "--no-verify"];
    world.machine.run_with_input(&rotate, "new").success();
    for (accepted, status, says) in [
        (
            SECRET,
            0,
            "does not accept the new secret yet; the previous one was used",
        ),
        (
            "new",
            0,
            "accepts the new secret; the previous one is kept until: hallpass rotate p --finish",
        ),
        (
            "another",
            1,
            "the previous secret is kept until: hallpass rotate p --finish",
        ),
    ] {
        world.change_rules(|rules| accepted.clone_into(&mut rules.secret));
        let files = world.machine.files();
        let ran = world.doctor(&[]);
        assert_eq!(ran.code, status, "{accepted}: {ran:?}");
        assert!(ran.stdout.contains("  ok    rotation     "), "{ran:?}");
        assert!(ran.stdout.contains(says), "{accepted}: {ran:?}");
        assert_eq!(world.machine.files(), files);
    }
    let offline = world.doctor(&["--offline"]).success();
    assert!(offline.stdout.contains("rotate p --finish"), "{offline:?}");
}

/// The time as HTTP writes it.
fn now() -> String {
    let format = "+%a, %d %b %Y %H:%M:%S GMT";
    printed(Command::new("date").args(["-u", format]).env("LC_ALL", "C"))
}
