//! `hallpass logout`: what it removes, also after a crash or of a damaged profile.

use std::fs;

use super::{fails, names};
use crate::machine::{Machine, numbered_tokens};
use crate::server::Server;

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
fn a_logout_of_all_removes_damaged_profiles_too() {
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
fn a_profile_that_cannot_be_removed_does_not_keep_the_others() {
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
