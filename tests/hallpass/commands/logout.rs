//! `hallpass logout`: what it removes, also after a crash or of a damaged profile.

use std::fs;

use super::{fails, names};
use crate::machine::{Machine, numbered_tokens};
use crate::secret_service::SecretService;
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
    // No terminal, no question: --yes, --force or the names confirm it.
    machine.run(&["logout", "--all"]).failure(2);
    machine.run(&["logout", "a", "other"]).failure(3);
    assert_eq!(names(&machine), ["a", "b"]);
    machine.run(&["logout", "a", "b", "a"]).success();
    assert_eq!(machine.files(), [machine.config().join("lock")]);
    for name in ["a", "b"] {
        machine.login(name, &server, &[]);
    }
    machine.run(&["logout", "--all", "--force"]).success();
    assert_eq!(machine.files(), [machine.config().join("lock")]);
    for name in ["a", "b"] {
        machine.login(name, &server, &[]);
    }
    assert_eq!(
        machine.run(&["logout", "--all", "--yes"]).success().stdout,
        ""
    );
    assert_eq!(machine.files(), [machine.config().join("lock")]);
    assert_eq!(
        machine.run(&["logout", "--all", "--yes"]).success().stdout,
        ""
    );
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
    machine.run(&["logout", "--all", "--yes"]).success();
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
    machine.run(&["logout", "--all", "--yes"]).success();
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
    let ran = machine.run(&["logout", "--all", "--yes"]);
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
fn a_logout_can_keep_the_settings_and_tokens_can_be_removed_without_one() {
    let keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    let options = [
        "--secret-stdin",
        "--scope",
        "USER",
        "--for",
        "https://a.example/",
    ];
    for name in ["p", "q"] {
        let options = if name == "p" {
            &options[..]
        } else {
            &options[..3]
        };
        machine.login_from(name, options, "s3cret-one").success();
    }
    let rotate = ["rotate", "p", "--secret-stdin", "--keep-old"];
    machine.run_with_input(&rotate, "s3cret-two").success();
    assert_eq!(keychain.count(), 3);
    machine.run(&["token", "p", "--forget"]).success();
    assert!(machine.entries("p").is_empty() && !machine.entries("q").is_empty());
    machine.run(&["token", "p"]).token();
    machine
        .run(&["token", "p", "--forget", "--refresh"])
        .failure(2);

    machine.run(&["logout", "p", "--keep-settings"]).success();
    assert!(machine.entries("p").is_empty());
    assert_eq!(keychain.count(), 1);
    machine.run(&["token", "p"]).failure(3);
    machine
        .run_with_input(&["login", "p", "--secret-stdin"], "s3cret-new")
        .success();
    let shown = machine.run(&["status", "p", "--json"]).json();
    let shown = &shown["profiles"][0];
    assert_eq!(shown["scope"], "USER");
    assert_eq!(shown["for"].as_array().map(Vec::len), Some(1));
    machine
        .run(&["logout", "p", "q", "--keep-settings"])
        .success();
    assert!(keychain.is_empty());
    machine.login("file", machine.server(), &[]);
    machine
        .run(&["logout", "file", "--keep-settings"])
        .failure(2);
    machine.run(&["token", "file"]).token();
}
