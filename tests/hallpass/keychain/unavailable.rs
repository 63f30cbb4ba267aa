//! A keychain that is missing, locked, not responding, or that ends during a call.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::process::{Child, Stdio};

use super::{
    LONG_TIMEOUT, SECRET_WORD, TIMEOUT, count_items, line, login_arguments, machine_with, says,
    store,
};
use crate::machine::{Machine, Ran, SECRET, finish, spawn};
use crate::secret_service::{Dialogs, SecretService};

const BUS_ADDRESS: &str = "DBUS_SESSION_BUS_ADDRESS";

#[test]
fn without_a_bus() {
    through_a_fault(
        Fault::NoBus,
        "no keychain is running (the Secret Service is not available)",
        "--secret-file",
    );
}

#[test]
fn with_a_bus_address_that_says_disabled() {
    through_a_fault(
        Fault::Address("disabled:"),
        "no keychain is running (the Secret Service is not available)",
        "--secret-file",
    );
}

#[test]
fn with_a_bus_address_that_is_garbage() {
    through_a_fault(
        Fault::Address("garbage"),
        "no keychain is running (the Secret Service is not available)",
        "--secret-file",
    );
}

#[test]
fn with_the_address_of_a_bus_that_is_gone() {
    through_a_fault(
        Fault::Address("unix:path=/nonexistent/hallpass-test-bus"),
        "no keychain is running (the Secret Service is not available)",
        "--secret-file",
    );
}

#[test]
fn with_a_bus_that_never_answers() {
    through_a_fault(
        Fault::MuteBus,
        "the keychain (Secret Service) did not answer within 1 s",
        "HALLPASS_KEYCHAIN_TIMEOUT",
    );
}

#[test]
fn with_a_bus_that_nobody_keeps_secrets_on() {
    through_a_fault(
        Fault::NoProvider,
        "no keychain is running (the Secret Service is not available)",
        "--secret-file",
    );
}

#[test]
fn with_a_frozen_keychain() {
    through_a_fault(
        Fault::Frozen,
        "the keychain (Secret Service) did not answer within 2 s",
        "HALLPASS_KEYCHAIN_TIMEOUT",
    );
}

#[test]
fn with_a_locked_keychain_that_nobody_can_unlock() {
    through_a_fault(
        Fault::Locked,
        "the keychain (Secret Service) is locked: the unlock dialog was dismissed",
        "unlock it",
    );
}

#[test]
fn a_dialog_that_is_dismissed_is_told() {
    let mut keychain = SecretService::start();
    let machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    keychain.lock();
    let dialogs = Dialogs::show(&keychain);
    let waiting = spawn(&mut machine.hallpass(&["token", "--refresh"]));
    dialogs.dismiss(&keychain);
    let ran = finish(waiting).failure(6);
    says(&ran, "the unlock dialog was dismissed", "unlock it");
    assert_eq!(machine.server().requests().len(), 1, "nothing was sent");
    assert_eq!(machine.run(&["token"]).token(), "token-1");
}

#[test]
fn a_dialog_that_nobody_answers_is_given_up() {
    let mut keychain = SecretService::start();
    let mut machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    keychain.lock();
    let _dialogs = Dialogs::show(&keychain);
    machine.set(TIMEOUT, "3");
    let ran = machine.run(&["token", "--refresh"]).failure(6);
    says(
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
    says(
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
    says(
        &ran,
        "has no client secret for profile prod",
        "hallpass login prod",
    );
}

#[test]
fn a_keychain_that_dies_in_the_middle_of_a_call_is_told() {
    let mut keychain = SecretService::start();
    let machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    for arguments in [&["token", "--refresh"][..], &["logout"]] {
        keychain.freeze();
        let mut child = spawn(machine.hallpass(arguments).env(TIMEOUT, "50"));
        let note = wait_for_the_note(&mut child);
        keychain.stop_provider();
        let mut ran = finish(child);
        ran.stderr = note + &ran.stderr;
        let ran = ran.failure(6);
        assert!(!ran.stderr.contains("did not answer within"), "{ran:?}");
        says(&ran, "keychain (Secret Service)", "--secret-file");
        keychain.unlock();
    }
    assert!(machine.config().join("prod.json").exists());
    machine.run(&["logout"]).success();
    assert!(keychain.is_empty());
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn a_keychain_that_dies_in_the_middle_of_a_login_leaves_the_old_login() {
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
    wait_for_the_note(&mut child);
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
fn logout_of_all_knows_a_login_that_did_not_come_off() {
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

    machine.run(&["logout", "--all"]).success();
    assert!(keychain.is_empty(), "logout that succeeds leaves nothing");
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn the_way_out_of_a_dead_keychain_works() {
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
fn callers_wait_for_a_mute_keychain_together() {
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
        says(
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
fn the_wait_is_short_where_no_window_can_reach_anybody() {
    let keychain = SecretService::start();
    let machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    keychain.freeze();
    let over_ssh = [("DISPLAY", ":0"), ("SSH_CONNECTION", "::1 50000 ::1 22")];
    for environment in [&[][..], &over_ssh] {
        let mut command = machine.hallpass(&["token", "--refresh"]);
        command.env_remove("HALLPASS_KEYCHAIN_TIMEOUT");
        let ran = finish(spawn(command.envs(environment.iter().copied()))).failure(6);
        says(
            &ran,
            "did not answer within 5 s",
            "HALLPASS_KEYCHAIN_TIMEOUT",
        );
    }
    keychain.thaw();
}

/// What can be wrong with a keychain that was there at login.
#[derive(Clone, Copy, Debug)]
enum Fault {
    NoBus,
    Address(&'static str),
    MuteBus,
    NoProvider,
    Frozen,
    Locked,
}

/// Nothing is stored, nothing is lost, each run ends by itself, and says what is wrong and what to do.
fn through_a_fault(fault: Fault, said: &str, advice: &str) {
    let mut keychain = SecretService::start();
    let mut machine = machine_with(&keychain);
    let config = machine.config();
    machine.login_to_keychain("prod", SECRET).success();
    let settings = fs::read(config.join("prod.json")).expect("the profile");
    // A listener whose queue takes every connection, and who never looks at one.
    let mute = machine.root().join("mute");
    let _listener = UnixListener::bind(&mute).expect("a socket");
    match fault {
        Fault::NoBus => {
            machine.unset(BUS_ADDRESS).unset("XDG_RUNTIME_DIR");
        }
        Fault::Address(address) => {
            machine.unset("XDG_RUNTIME_DIR").set(BUS_ADDRESS, address);
        }
        Fault::MuteBus => {
            let address = format!("unix:path={}", mute.display());
            machine.unset("XDG_RUNTIME_DIR").set(BUS_ADDRESS, &address);
            machine.set(TIMEOUT, "1");
        }
        Fault::NoProvider => keychain.stop_provider(),
        Fault::Frozen => {
            keychain.freeze();
            machine.set(TIMEOUT, "2");
        }
        Fault::Locked => keychain.lock(),
    }
    let fails = |ran: Ran| {
        let ran = ran.failure(6);
        says(&ran, said, advice);
        // A person is told after 1.5 s.
        let note = "hallpass: waiting for the keychain";
        let waits = matches!(fault, Fault::Frozen);
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
    let may_have_left_an_item = matches!(fault, Fault::Frozen | Fault::MuteBus);
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

    match fault {
        Fault::NoBus | Fault::Address(_) | Fault::MuteBus => {
            machine = machine.with_environment(keychain.environment());
        }
        Fault::Frozen => keychain.thaw(),
        Fault::NoProvider | Fault::Locked => keychain.unlock(),
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
    says(&ran, "no keychain is running", "--secret-command");
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

/// Reads the first line on standard error: by then the call to the keychain is under way.
fn wait_for_the_note(child: &mut Child) -> String {
    let mut line = String::new();
    let mut stderr = BufReader::with_capacity(1, child.stderr.as_mut().expect("a pipe"));
    stderr.read_line(&mut line).expect("a line");
    assert!(
        line.starts_with("hallpass: waiting for the keychain"),
        "{line}"
    );
    line
}
