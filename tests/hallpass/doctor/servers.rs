//! Faults of the server, the network and the request.

use std::process::Command;
use std::sync::LazyLock;

use super::{Defect, Repair, World, command, person, printed};
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
            repair: command("allow this client the scope"),
        },
    ] {
        fault.check();
    }
}

/// The time as HTTP writes it.
fn now() -> String {
    let format = "+%a, %d %b %Y %H:%M:%S GMT";
    printed(Command::new("date").args(["-u", format]).env("LC_ALL", "C"))
}
