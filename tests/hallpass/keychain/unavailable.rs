//! A missing keychain, or one that is locked, not responding, or that ends during a call.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::process::{Child, Stdio};

use super::{
    LONG_TIMEOUT, SECRET_WORD, TIMEOUT, assert_error, count_items, line, login_arguments,
    machine_with, store,
};
use crate::machine::{Machine, Ran, SECRET, finish, spawn};
use crate::secret_service::{Dialogs, SecretService};

const BUS_ADDRESS: &str = "DBUS_SESSION_BUS_ADDRESS";

#[test]
fn without_a_bus() {
    survives(
        Outage::NoBus,
        "no keychain is running (the Secret Service is not available)",
        "--secret-file",
    );
}

#[test]
fn with_a_bus_address_of_disabled() {
    survives(
        Outage::Address("disabled:"),
        "no keychain is running (the Secret Service is not available)",
        "--secret-file",
    );
}

#[test]
fn with_a_bus_address_that_is_garbage() {
    survives(
        Outage::Address("garbage"),
        "no keychain is running (the Secret Service is not available)",
        "--secret-file",
    );
}

#[test]
fn with_the_address_of_a_bus_that_is_gone() {
    survives(
        Outage::Address("unix:path=/nonexistent/hallpass-test-bus"),
        "no keychain is running (the Secret Service is not available)",
        "--secret-file",
    );
}

#[test]
fn with_a_bus_that_never_answers() {
    survives(
        Outage::MuteBus,
        "the keychain (Secret Service) did not answer within 1 s",
        "HALLPASS_KEYCHAIN_TIMEOUT",
    );
}

#[test]
fn with_a_bus_without_a_secret_service() {
    survives(
        Outage::NoProvider,
        "no keychain is running (the Secret Service is not available)",
        "--secret-file",
    );
}

#[test]
fn with_a_frozen_keychain() {
    survives(
        Outage::Frozen,
        "the keychain (Secret Service) did not answer within 2 s",
        "HALLPASS_KEYCHAIN_TIMEOUT",
    );
}

#[test]
fn with_a_locked_keychain_that_cannot_be_unlocked() {
    survives(
        Outage::Locked,
        "the keychain (Secret Service) is locked: the unlock dialog was dismissed",
        "unlock it",
    );
}

#[test]
fn a_dismissed_dialog_is_reported() {
    let mut keychain = SecretService::start();
    let machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    keychain.lock();
    let dialogs = Dialogs::show(&keychain);
    let waiting = spawn(&mut machine.hallpass(&["token", "--refresh"]));
    dialogs.dismiss(&keychain);
    let ran = finish(waiting).failure(6);
    assert_error(&ran, "the unlock dialog was dismissed", "unlock it");
    assert_eq!(machine.server().requests().len(), 1, "nothing was sent");
    assert_eq!(machine.run(&["token"]).token(), "token-1");
}

#[test]
fn a_dialog_without_an_answer_ends_at_the_time_limit() {
    let mut keychain = SecretService::start();
    let mut machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    keychain.lock();
    let _dialogs = Dialogs::show(&keychain);
    machine.set(TIMEOUT, "3");
    let ran = machine.run(&["token", "--refresh"]).failure(6);
    assert_error(
        &ran,
        "the keychain (Secret Service) did not answer within 3 s",
        "answer its password dialog",
    );
    line(&ran, "hallpass: waiting for the keychain");
    assert_eq!(machine.server().requests().len(), 1, "nothing was sent");
    assert_eq!(machine.run(&["token"]).token(), "token-1");
}

#[test]
fn without_a_default_keyring_there_is_no_login() {
    let keychain = SecretService::start_without_collection();
    let machine = machine_with(&keychain);
    let ran = machine.login_to_keychain("prod", SECRET).failure(6);
    assert_error(
        &ran,
        "the keychain (Secret Service) has no default keyring",
        "--secret-file",
    );
    assert_eq!(machine.files(), [machine.config().join("lock")]);
    assert!(keychain.is_empty());
    machine.run(&["token", "prod"]).failure(3);
}

#[test]
fn a_login_from_elsewhere_finds_no_secret_in_an_empty_keychain() {
    let keychain = SecretService::start();
    let mut machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    // The home directory is the same, the keychain is that of a fresh machine.
    let fresh = SecretService::start_without_collection();
    machine = machine.with_environment(fresh.environment());
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    let ran = machine.run(&["token", "--refresh"]).failure(3);
    assert_error(
        &ran,
        "has no client secret for profile prod",
        "hallpass login prod",
    );
}

#[test]
fn a_keychain_that_ends_during_a_call_is_reported() {
    let mut keychain = SecretService::start();
    let machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    for arguments in [&["token", "--refresh"][..], &["logout"]] {
        keychain.freeze();
        let mut child = spawn(machine.hallpass(arguments).env(TIMEOUT, "50"));
        let note = wait_for_note(&mut child);
        keychain.stop_provider();
        let mut ran = finish(child);
        ran.stderr = note + &ran.stderr;
        let ran = ran.failure(6);
        assert!(!ran.stderr.contains("did not answer within"), "{ran:?}");
        assert_error(&ran, "keychain (Secret Service)", "--secret-file");
        keychain.unlock();
    }
    assert!(machine.config().join("prod.json").exists());
    machine.run(&["logout"]).success();
    assert!(keychain.is_empty());
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn a_keychain_that_ends_during_a_login_leaves_the_old_login() {
    let mut keychain = SecretService::start();
    let machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    keychain.freeze();
    let mut command = machine.hallpass(&login_arguments(
        "prod",
        &machine.server().url("/oauth/token"),
    ));
    let mut child = spawn(command.env(TIMEOUT, "50").stdin(Stdio::piped()));
    let stdin = child.stdin.take();
    let written = stdin.expect("a pipe").write_all(b"another");
    written.expect("hallpass reads the secret");
    wait_for_note(&mut child);
    keychain.stop_provider();
    assert_eq!(finish(child).code, 6);
    assert_eq!(machine.run(&["token"]).token(), "token-1");

    keychain.unlock();
    machine.run(&["token", "--refresh"]).token();
    assert_eq!(machine.secrets_sent(), [SECRET, "another", SECRET]);
    machine.run(&["logout"]).success();
    assert!(keychain.is_empty());
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn logout_of_all_removes_the_item_of_a_failed_login() {
    let keychain = SecretService::start();
    let mut machine = machine_with(&keychain);
    keychain.freeze();
    machine.set(TIMEOUT, "2");
    machine.login_to_keychain("prod", SECRET).failure(6);
    keychain.thaw();
    machine.set(TIMEOUT, LONG_TIMEOUT);
    // What such a login may leave: an item that no profile names yet.
    let list = machine.config().join("prod.items");
    let listed = fs::read_to_string(&list).expect("the list of items that there may be");
    let accounts: Vec<String> = serde_json::from_str(&listed).expect("JSON");
    for account in &accounts {
        store(
            &keychain,
            &[("service", "hallpass"), ("username", account)],
            SECRET,
        );
    }
    assert_eq!(count_items(&keychain), 1);

    machine.run(&["logout", "--all", "--yes"]).success();
    assert!(keychain.is_empty(), "logout that succeeds leaves nothing");
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn a_profile_can_leave_a_keychain_that_has_ended() {
    let mut keychain = SecretService::start();
    let machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    keychain.stop_provider();
    let file = machine.private_file("secret", SECRET_WORD.as_bytes());
    let file = file.to_str().expect("a path in UTF-8");
    let ran = machine
        .run(&["login", "prod", "--secret-file", file])
        .success();
    let warning = line(&ran, "hallpass: warning: ");
    assert!(
        warning.starts_with("cannot remove the previous secret: "),
        "{warning}"
    );
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-3");

    keychain.unlock();
    assert_eq!(count_items(&keychain), 1);
    machine.run(&["logout"]).success();
    assert!(keychain.is_empty());
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn callers_wait_together_for_a_keychain_that_does_not_respond() {
    let keychain = SecretService::start();
    let mut machine = machine_with(&keychain);
    machine
        .login_from("prod", &["--secret-stdin", "--no-verify"], SECRET)
        .success();
    keychain.freeze();
    machine.set(TIMEOUT, "2");
    let callers: Vec<_> = (0..10)
        .map(|_| spawn(&mut machine.hallpass(&["token"])))
        .collect();
    for caller in callers {
        let ran = finish(caller).failure(6);
        assert_error(
            &ran,
            "did not answer within 2 s",
            "HALLPASS_KEYCHAIN_TIMEOUT",
        );
    }
    keychain.thaw();
    machine.set(TIMEOUT, LONG_TIMEOUT);
    assert_eq!(
        machine.run(&["token"]).token(),
        "token-1",
        "it was not remembered"
    );
}

#[test]
fn the_wait_is_short_where_no_dialog_can_be_seen() {
    let keychain = SecretService::start();
    let machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    keychain.freeze();
    let over_ssh = [("DISPLAY", ":0"), ("SSH_CONNECTION", "::1 50000 ::1 22")];
    for environment in [&[][..], &over_ssh] {
        let mut command = machine.hallpass(&["token", "--refresh"]);
        command.env_remove("HALLPASS_KEYCHAIN_TIMEOUT");
        let ran = finish(spawn(command.envs(environment.iter().copied()))).failure(6);
        assert_error(
            &ran,
            "did not answer within 5 s",
            "HALLPASS_KEYCHAIN_TIMEOUT",
        );
    }
    keychain.thaw();
}

/// What can be wrong with a keychain that was there at login.
#[derive(Clone, Copy, Debug)]
enum Outage {
    NoBus,
    Address(&'static str),
    MuteBus,
    NoProvider,
    Frozen,
    Locked,
}

/// Nothing is stored, nothing is lost, each run ends by itself, and says what is wrong and what to do.
fn survives(outage: Outage, message: &str, advice: &str) {
    let mut keychain = SecretService::start();
    let mut machine = machine_with(&keychain);
    let config = machine.config();
    machine.login_to_keychain("prod", SECRET).success();
    let settings = fs::read(config.join("prod.json")).expect("the profile");
    // A listener whose queue takes every connection, and who never looks at one.
    let silent = machine.root().join("mute");
    let _listener = UnixListener::bind(&silent).expect("a socket");
    match outage {
        Outage::NoBus => {
            machine.unset(BUS_ADDRESS).unset("XDG_RUNTIME_DIR");
        }
        Outage::Address(address) => {
            machine.unset("XDG_RUNTIME_DIR").set(BUS_ADDRESS, address);
        }
        Outage::MuteBus => {
            let address = format!("unix:path={}", silent.display());
            machine.unset("XDG_RUNTIME_DIR").set(BUS_ADDRESS, &address);
            machine.set(TIMEOUT, "1");
        }
        Outage::NoProvider => keychain.stop_provider(),
        Outage::Frozen => {
            keychain.freeze();
            machine.set(TIMEOUT, "2");
        }
        Outage::Locked => keychain.lock(),
    }
    let fails = |ran: Ran| {
        let ran = ran.failure(6);
        assert_error(&ran, message, advice);
        // The note appears after 1.5 s.
        let note = "hallpass: waiting for the keychain";
        let waits = matches!(outage, Outage::Frozen);
        assert_eq!(ran.stderr.contains(note), waits, "{ran:?}");
        for secret in [SECRET, SECRET_WORD] {
            assert!(!ran.stderr.contains(secret), "{ran:?}");
        }
    };

    assert_eq!(machine.run(&["token"]).token(), "token-1");
    fails(machine.login_to_keychain("prod", SECRET_WORD));
    let now = fs::read(config.join("prod.json")).expect("the profile");
    assert_eq!(now, settings, "the old login is untouched");
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    fails(machine.login_to_keychain("other", SECRET_WORD));
    assert!(!config.join("other.json").exists());
    let may_have_left_an_item = matches!(outage, Outage::Frozen | Outage::MuteBus);
    assert_eq!(config.join("other.items").exists(), may_have_left_an_item);
    machine.run(&["token", "other"]).failure(3);
    for file in machine.files() {
        let content = fs::read(&file).expect("a file");
        let content = String::from_utf8_lossy(&content);
        for secret in [SECRET, SECRET_WORD] {
            assert!(!content.contains(secret), "{} holds it", file.display());
        }
    }
    let requests = machine.server().requests().len();
    fails(machine.run(&["token", "--refresh"]));
    assert_eq!(machine.server().requests().len(), requests);
    let status = machine.run(&["status"]).success();
    assert!(status.stdout.contains("cached, valid for"), "{status:?}");
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    fails(machine.run(&["logout", "prod"]));
    assert!(config.join("prod.json").exists(), "it can be repeated");
    assert!(machine.entries("prod").is_empty());
    fails(machine.run(&["token", "prod"]));

    match outage {
        Outage::NoBus | Outage::Address(_) | Outage::MuteBus => {
            machine = machine.with_environment(keychain.environment());
        }
        Outage::Frozen => keychain.thaw(),
        Outage::NoProvider | Outage::Locked => keychain.unlock(),
    }
    machine.set(TIMEOUT, LONG_TIMEOUT);
    machine.run(&["token", "prod"]).token();
    assert_eq!(
        machine.secrets_sent().last().map(String::as_str),
        Some(SECRET),
        "the secret of the old login"
    );
    machine.run(&["logout", "prod"]).success();
    if may_have_left_an_item {
        machine.run(&["logout", "other"]).success();
    }
    assert!(keychain.is_empty());
    assert_eq!(machine.files(), [config.join("lock")]);
}

#[test]
fn a_login_without_any_keychain_leaves_nothing() {
    let machine = Machine::new();
    let ran = machine.login_to_keychain("prod", SECRET).failure(6);
    assert_error(&ran, "no keychain is running", "--secret-command");
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

/// Reads the first line on standard error: by then the call to the keychain is under way.
fn wait_for_note(child: &mut Child) -> String {
    let mut line = String::new();
    let mut stderr = BufReader::with_capacity(1, child.stderr.as_mut().expect("a pipe"));
    stderr.read_line(&mut line).expect("a line");
    assert!(
        line.starts_with("hallpass: waiting for the keychain"),
        "{line}"
    );
    line
}
