//! The keychain, a real one: what lies in it, and what is said when it is absent, mute, locked or changed.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::secret_service::{Dialogs, SecretService};
use crate::server::Server;
use crate::support::{CLIENT_ID, Machine, Ran, SECRET, numbered_tokens};

/// Far more than any of these runs should take: a run that needs it hangs.
const OUTER_BOUND: Duration = Duration::from_secs(60);

/// How long hallpass waits for a keychain that answers, in seconds: a busy machine is no fault.
const PATIENCE: &str = "30";

const OURS: &[(&str, &str)] = &[("service", "hallpass")];

#[test]
fn an_item_is_named_after_its_profile_and_a_plain_secret_is_stored_as_it_is() {
    let long = "x€\"'\\%+ ".repeat(500);
    assert_eq!(long.len(), 5_000);
    for secret in [SECRET, &long, " spaces around ", "--client-secret", "a"] {
        let keychain = SecretService::start();
        let desk = Desk::with(&keychain);
        desk.log_in("prod", secret).success();
        let account = desk.account("prod");
        assert!(account.starts_with("prod:"), "{account}");
        let found = keychain.lookup(&[("service", "hallpass"), ("username", &account)]);
        let found = String::from_utf8(found.expect("an item")).expect("UTF-8");
        if ["--client-secret", "a"].contains(&secret) {
            assert_eq!(found, secret);
        } else {
            // What keychains change is stored in another form, on one line.
            let encoded = found.strip_prefix("hallpass-base64:").expect("a marker");
            assert_eq!(base64_decode(encoded), secret);
        }
        let listed = keychain.search(OURS);
        let label = "label = hallpass client secret (prod)";
        assert_eq!(listed.matches(label).count(), 1, "{listed}");
        assert_eq!(count_items(&keychain), 1, "{listed}");
        // And it comes back as it went in.
        desk.run(&["token", "--refresh"]).token();
        let sent: Vec<_> = desk.server.requests();
        assert_eq!(sent.len(), 2);
        assert_eq!(
            sent[0].header("authorization"),
            sent[1].header("authorization")
        );
    }
}

#[test]
fn a_second_login_replaces_the_first() {
    let keychain = SecretService::start();
    let desk = Desk::with(&keychain);
    desk.log_in("prod", "the first").success();
    assert_eq!(desk.run(&["token"]).token(), "token-1");
    let first = desk.account("prod");

    desk.log_in("prod", "the second").success();
    assert_ne!(desk.account("prod"), first);
    assert_eq!(count_items(&keychain), 1);
    assert_eq!(
        secret_of(&keychain, &desk, "prod").as_deref(),
        Some(&b"the second"[..])
    );
    assert_eq!(
        desk.run(&["token"]).token(),
        "token-2",
        "the old client's token is gone"
    );
    desk.run(&["token", "--refresh"]).token();
    assert_eq!(
        desk.secrets_sent(),
        ["the first", "the second", "the second"]
    );
}

#[test]
fn a_login_with_a_secret_file_or_command_empties_the_keychain() {
    let command = format!("echo {SECRET_WORD}");
    for source in ["--secret-file", "--secret-command"] {
        let keychain = SecretService::start();
        let desk = Desk::with(&keychain);
        desk.log_in("prod", SECRET).success();
        let file = desk.machine.private_file("secret", SECRET_WORD.as_bytes());
        let value = match source {
            "--secret-file" => file.to_str().expect("a path in UTF-8"),
            _ => &command,
        };
        desk.run(&["login", "prod", source, value]).success();
        assert!(keychain.is_empty(), "{source}");
        desk.run(&["token", "--refresh"]).token();
        assert_eq!(desk.secrets_sent(), [SECRET, SECRET_WORD, SECRET_WORD]);
        let settings = desk.machine.config();
        assert_eq!(
            desk.machine
                .files()
                .iter()
                .filter(|file| file.starts_with(&settings))
                .collect::<Vec<_>>(),
            [&settings.join("lock"), &settings.join("prod.json")],
            "no list of keychain items is left"
        );
    }
}

#[test]
fn two_profiles_lie_side_by_side() {
    let keychain = SecretService::start();
    let desk = Desk::with(&keychain);
    desk.log_in("one", "first secret").success();
    desk.log_in("two", "second secret").success();
    assert_eq!(count_items(&keychain), 2);

    desk.run(&["logout", "one"]).success();
    assert_eq!(count_items(&keychain), 1);
    assert_eq!(
        secret_of(&keychain, &desk, "two").as_deref(),
        Some(&b"second secret"[..])
    );
    assert_eq!(desk.run(&["token", "--refresh"]).token(), "token-3");

    desk.log_in("one", "third secret").success();
    desk.run(&["logout", "--all"]).success();
    assert!(keychain.is_empty());
    assert_eq!(desk.machine.files(), [desk.machine.config().join("lock")]);
}

#[test]
fn a_profile_that_was_copied_by_hand_costs_the_other_one_nothing() {
    let keychain = SecretService::start();
    let desk = Desk::with(&keychain);
    desk.log_in("one", "first secret").success();
    let file = |name| desk.machine.config().join(name);
    for last in [&["logout", "two"][..], &["logout", "--all"]] {
        for (from, to) in [("one.json", "two.json"), ("one.items", "two.items")] {
            fs::copy(file(from), file(to)).expect("a copy");
        }
        // Both do away with an item of this profile that no longer counts.
        desk.log_in("two", "second secret").success();
        assert_eq!(count_items(&keychain), 2);
        assert_eq!(
            secret_of(&keychain, &desk, "one").as_deref(),
            Some(&b"first secret"[..])
        );
        desk.run(last).success();
    }
    assert!(keychain.is_empty());
}

#[test]
fn what_others_keep_is_left_alone() {
    let keychain = SecretService::start();
    let desk = Desk::with(&keychain);
    let strangers: [&[(&str, &str)]; 3] = [
        &[("service", "other"), ("username", "prod")],
        &[("service", "hallpass"), ("username", "prod")],
        &[("service", "hallpass-2")],
    ];
    for attributes in strangers {
        store(&keychain, attributes, "not ours");
    }
    desk.log_in("prod", SECRET).success();
    desk.log_in("prod", "another").success();
    desk.run(&["token", "--refresh"]).token();
    desk.run(&["logout"]).success();
    for attributes in strangers {
        let found = keychain.lookup(attributes);
        assert_eq!(found.as_deref(), Some(&b"not ours"[..]), "{attributes:?}");
    }
    assert_eq!(count_items(&keychain), 1, "nothing of ours is left");
}

#[test]
fn two_items_that_look_the_same_are_told_and_mended_by_login() {
    let keychain = SecretService::start();
    let desk = Desk::with(&keychain);
    desk.log_in("prod", SECRET).success();
    let account = desk.account("prod");
    let twin = [
        ("service", "hallpass"),
        ("username", account.as_str()),
        ("more", "1"),
    ];
    store(&keychain, &twin, "a twin");

    let ran = desk.run(&["token", "--refresh"]).failure(6);
    says(
        &ran,
        "the keychain has 2 secrets for profile prod",
        "hallpass login prod",
    );
    assert_eq!(desk.server.requests().len(), 1, "neither was sent");
    assert_eq!(desk.run(&["token"]).token(), "token-1");

    desk.log_in("prod", SECRET).success();
    assert_eq!(count_items(&keychain), 1);
    assert_eq!(desk.run(&["token", "--refresh"]).token(), "token-3");
}

#[test]
fn logout_removes_all_items_that_look_the_same() {
    let keychain = SecretService::start();
    let desk = Desk::with(&keychain);
    desk.log_in("prod", SECRET).success();
    let account = desk.account("prod");
    for more in ["1", "2"] {
        let twin = [
            ("service", "hallpass"),
            ("username", account.as_str()),
            ("more", more),
        ];
        store(&keychain, &twin, "a twin");
    }
    assert_eq!(count_items(&keychain), 3);
    desk.run(&["logout"]).success();
    assert!(keychain.is_empty());
}

#[test]
fn an_item_that_was_removed_behind_our_back_wants_a_new_login() {
    let keychain = SecretService::start();
    let desk = Desk::with(&keychain);
    desk.log_in("prod", SECRET).success();
    let cleared = secret_tool(&keychain, &["clear", "service", "hallpass"], "");
    assert!(cleared.status.success(), "{cleared:?}");
    assert!(keychain.is_empty());

    assert_eq!(
        desk.run(&["token"]).token(),
        "token-1",
        "the cached token works"
    );
    let ran = desk.run(&["token", "--refresh"]).failure(3);
    says(
        &ran,
        "has no client secret for profile prod",
        "hallpass login prod",
    );
    assert_eq!(desk.server.requests().len(), 1);

    desk.log_in("prod", SECRET).success();
    assert_eq!(desk.run(&["token", "--refresh"]).token(), "token-3");
    // Neither does it keep a logout.
    secret_tool(&keychain, &["clear", "service", "hallpass"], "");
    desk.run(&["logout"]).success();
    assert_eq!(desk.machine.files(), [desk.machine.config().join("lock")]);
}

#[test]
fn an_item_that_holds_no_secret_any_more_is_told() {
    for (content, said) in [("", "is empty"), ("two\nlines", "has more than one line")] {
        let keychain = SecretService::start();
        let desk = Desk::with(&keychain);
        desk.log_in("prod", SECRET).success();
        let account = desk.account("prod");
        let ours = [("service", "hallpass"), ("username", account.as_str())];
        store(&keychain, &ours, content);
        assert_eq!(count_items(&keychain), 1, "it was replaced");

        let ran = desk.run(&["token", "--refresh"]).failure(3);
        says(
            &ran,
            &format!("the client secret in the keychain {said}"),
            "hallpass login prod",
        );
        assert_eq!(desk.server.requests().len(), 1, "nothing was sent");
        assert_eq!(desk.run(&["token"]).token(), "token-1");
    }
}

#[test]
fn a_secret_that_was_changed_in_the_keychain_is_the_one_that_is_sent() {
    let keychain = SecretService::start();
    let desk = Desk::with(&keychain);
    desk.log_in("prod", SECRET).success();
    let account = desk.account("prod");
    store(
        &keychain,
        &[("service", "hallpass"), ("username", &account)],
        "rotated",
    );
    desk.run(&["token", "--refresh"]).token();
    assert_eq!(desk.secrets_sent(), [SECRET, "rotated"]);
}

/// It stored every secret as it was given.
#[test]
fn what_version_0_1_0_stored_is_still_read() {
    let keychain = SecretService::start();
    for secret in [
        " a\\b ",
        "schl\u{fc}ssel",
        "padding==",
        "{\"a\":\"b\"}",
        "hallpass-base64:?",
    ] {
        let desk = Desk::with(&keychain);
        desk.log_in("prod", SECRET).success();
        let account = desk.account("prod");
        let item = [("service", "hallpass"), ("username", &account)];
        store(&keychain, &item, secret);
        desk.run(&["token", "--refresh"]).token();
        assert_eq!(desk.secrets_sent(), [SECRET, secret]);
        desk.run(&["logout"]).success();
    }
    let key = rcgen::KeyPair::generate()
        .expect("a P-256 key")
        .serialize_pem();
    let desk = Desk::with(&keychain);
    let method = ["--auth", "private_key_jwt", "--jwt-alg", "ES256"];
    let url = desk.server.url("/oauth/token");
    let login = [
        "login",
        "prod",
        "--token-url",
        &url,
        "--client-id",
        CLIENT_ID,
    ];
    let login = [&login[..], &method, &["--key-stdin"]].concat();
    desk.run_with_input(&login, key.as_bytes()).success();
    let account = desk.account("prod");
    let item = [("service", "hallpass"), ("username", account.as_str())];
    store(&keychain, &item, &key);
    assert_eq!(keychain.lookup(&item).as_deref(), Some(key.as_bytes()));
    desk.run(&["token", "--refresh"]).token();
}

#[test]
fn a_secret_is_not_sent_where_the_profile_was_edited_to_send_it() {
    let keychain = SecretService::start();
    let desk = Desk::with(&keychain);
    let thief = Server::start(numbered_tokens());
    desk.log_in("prod", SECRET).success();
    let file = desk.machine.config().join("prod.json");
    let before = fs::read_to_string(&file).expect("the profile");
    let edits = [
        (desk.server.url("/oauth/token"), thief.url("/oauth/token")),
        (desk.server.url("/oauth/token"), desk.server.url("/echo")),
        (CLIENT_ID.to_owned(), "client:two".to_owned()),
        (
            "client_secret_basic".to_owned(),
            "client_secret_post".to_owned(),
        ),
        (
            r#""body": "form""#.to_owned(),
            r#""body": "json""#.to_owned(),
        ),
        (
            r#""client_id""#.to_owned(),
            format!(
                r#""revocation_endpoint": "{}", "client_id""#,
                thief.url("/revoke")
            ),
        ),
        (
            r#""client_id""#.to_owned(),
            r#""ca_file": "/tmp/ca.pem", "client_id""#.to_owned(),
        ),
    ];
    for (there, instead) in edits {
        let edited = before.replacen(&there, &instead, 1);
        assert_ne!(edited, before, "{instead}");
        fs::write(&file, edited).expect("an edited profile");
        let ran = desk.run(&["token", "--refresh"]).failure(4);
        says(
            &ran,
            "profile prod was edited after login",
            "hallpass login prod",
        );
    }
    assert_eq!(thief.connections(), 0);
    assert_eq!(desk.server.connections(), 1);

    // Nor at a logout that would revoke the token there.
    let elsewhere = format!(
        r#""revocation_endpoint": "{}", "client_id""#,
        thief.url("/revoke")
    );
    let edited = before.replacen(r#""client_id""#, &elsewhere, 1);
    fs::write(&file, edited).expect("an edited profile");
    let ran = desk.run(&["logout"]).success();
    assert!(
        ran.stderr
            .contains("the tokens will not be revoked at the server"),
        "{ran:?}"
    );
    assert_eq!(thief.connections(), 0);
    assert!(keychain.is_empty());
}

#[test]
fn an_edited_profile_that_is_put_right_works_again() {
    let keychain = SecretService::start();
    let desk = Desk::with(&keychain);
    desk.log_in("prod", SECRET).success();
    let file = desk.machine.config().join("prod.json");
    let before = fs::read_to_string(&file).expect("the profile");
    fs::write(&file, before.replace(CLIENT_ID, "x")).expect("an edited profile");
    desk.run(&["token"]).failure(4);
    fs::write(&file, before).expect("the profile");
    assert_eq!(desk.run(&["token"]).token(), "token-1");
    assert_eq!(desk.run(&["token", "--refresh"]).token(), "token-2");
}

#[test]
fn twenty_callers_open_the_keychain_once() {
    let keychain = SecretService::start();
    let desk = Desk::with(&keychain);
    desk.log_in_with("prod", SECRET, &["--no-verify"]).success();
    for clients in [1, 0] {
        let before = bus_clients_so_far(&keychain);
        let callers: Vec<_> = (0..20)
            .map(|_| spawn(&mut desk.command(&["token"])))
            .collect();
        for caller in callers {
            assert_eq!(finish(caller).token(), "token-1");
        }
        // The question itself comes from one more.
        let came = bus_clients_so_far(&keychain) - before - 1;
        assert_eq!(came, clients, "first one reads it, then none has to");
    }
    assert_eq!(desk.server.requests().len(), 1);
}

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
    let desk = Desk::with(&keychain);
    desk.log_in("prod", SECRET).success();
    keychain.lock();
    let dialogs = Dialogs::show(&keychain);
    let waiting = spawn(&mut desk.command(&["token", "--refresh"]));
    dialogs.dismiss(&keychain);
    let ran = finish(waiting).failure(6);
    says(&ran, "the unlock dialog was dismissed", "unlock it");
    assert_eq!(desk.server.requests().len(), 1, "nothing was sent");
    assert_eq!(desk.run(&["token"]).token(), "token-1");
}

#[test]
fn a_dialog_that_nobody_answers_is_given_up() {
    let mut keychain = SecretService::start();
    let mut desk = Desk::with(&keychain);
    desk.log_in("prod", SECRET).success();
    keychain.lock();
    let _dialogs = Dialogs::show(&keychain);
    desk.seconds = "3";
    let ran = desk.run(&["token", "--refresh"]).failure(6);
    says(
        &ran,
        "the keychain (Secret Service) did not answer within 3 s",
        "answer its password dialog",
    );
    line(&ran, "hallpass: waiting for the keychain");
    assert_eq!(desk.server.requests().len(), 1, "nothing was sent");
    assert_eq!(desk.run(&["token"]).token(), "token-1");
}

#[test]
fn without_a_default_keyring_there_is_no_login() {
    let keychain = SecretService::start_without_collection();
    let desk = Desk::with(&keychain);
    let ran = desk.log_in("prod", SECRET).failure(6);
    says(
        &ran,
        "the keychain (Secret Service) has no default keyring",
        "--secret-file",
    );
    assert_eq!(desk.machine.files(), [desk.machine.config().join("lock")]);
    assert!(keychain.is_empty());
    desk.run(&["token", "prod"]).failure(3);
}

#[test]
fn a_login_from_elsewhere_finds_no_secret_in_an_empty_keychain() {
    let keychain = SecretService::start();
    let mut desk = Desk::with(&keychain);
    desk.log_in("prod", SECRET).success();
    // The home directory is the same, the keychain is that of a fresh machine.
    let fresh = SecretService::start_without_collection();
    desk.environment = fresh.environment();
    assert_eq!(desk.run(&["token"]).token(), "token-1");
    let ran = desk.run(&["token", "--refresh"]).failure(3);
    says(
        &ran,
        "has no client secret for profile prod",
        "hallpass login prod",
    );
}

#[test]
fn a_keychain_that_dies_in_the_middle_of_a_call_is_told() {
    let mut keychain = SecretService::start();
    let desk = Desk::with(&keychain);
    desk.log_in("prod", SECRET).success();
    for arguments in [&["token", "--refresh"][..], &["logout"]] {
        keychain.freeze();
        let mut child = spawn(
            desk.command(arguments)
                .env("HALLPASS_KEYCHAIN_TIMEOUT", "50"),
        );
        let note = wait_for_the_note(&mut child);
        keychain.stop_provider();
        let mut ran = finish(child);
        ran.stderr = note + &ran.stderr;
        let ran = ran.failure(6);
        assert!(!ran.stderr.contains("did not answer within"), "{ran:?}");
        says(&ran, "keychain (Secret Service)", "--secret-file");
        keychain.unlock();
    }
    assert!(desk.machine.config().join("prod.json").exists());
    desk.run(&["logout"]).success();
    assert!(keychain.is_empty());
    assert_eq!(desk.machine.files(), [desk.machine.config().join("lock")]);
}

#[test]
fn a_keychain_that_dies_in_the_middle_of_a_login_leaves_the_old_login() {
    let mut keychain = SecretService::start();
    let desk = Desk::with(&keychain);
    desk.log_in("prod", SECRET).success();
    keychain.freeze();
    let mut command = desk.command(&login_arguments("prod", &desk.server.url("/oauth/token")));
    let mut child = spawn(command.env("HALLPASS_KEYCHAIN_TIMEOUT", "50"));
    give(&mut child, b"another");
    wait_for_the_note(&mut child);
    keychain.stop_provider();
    assert_eq!(finish(child).code, 6);
    assert_eq!(desk.run(&["token"]).token(), "token-1");

    keychain.unlock();
    desk.run(&["token", "--refresh"]).token();
    assert_eq!(desk.secrets_sent(), [SECRET, "another", SECRET]);
    desk.run(&["logout"]).success();
    assert!(keychain.is_empty());
    assert_eq!(desk.machine.files(), [desk.machine.config().join("lock")]);
}

#[test]
fn logout_of_all_knows_a_login_that_did_not_come_off() {
    let keychain = SecretService::start();
    let mut desk = Desk::with(&keychain);
    keychain.freeze();
    desk.seconds = "2";
    desk.log_in("prod", SECRET).failure(6);
    keychain.thaw();
    desk.seconds = PATIENCE;
    // What such a login may leave: an item that no profile names yet.
    desk.environment = keychain.environment();
    let list = desk.machine.config().join("prod.items");
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

    desk.run(&["logout", "--all"]).success();
    assert!(keychain.is_empty(), "logout that succeeds leaves nothing");
    assert_eq!(desk.machine.files(), [desk.machine.config().join("lock")]);
}

#[test]
fn the_way_out_of_a_dead_keychain_works() {
    let mut keychain = SecretService::start();
    let desk = Desk::with(&keychain);
    desk.log_in("prod", SECRET).success();
    keychain.stop_provider();
    let file = desk.machine.private_file("secret", SECRET_WORD.as_bytes());
    let file = file.to_str().expect("a path in UTF-8");
    let ran = desk
        .run(&["login", "prod", "--secret-file", file])
        .success();
    let warning = line(&ran, "hallpass: warning: ");
    assert!(
        warning.starts_with("cannot remove the previous secret: "),
        "{warning}"
    );
    assert_eq!(desk.run(&["token", "--refresh"]).token(), "token-3");

    keychain.unlock();
    assert_eq!(count_items(&keychain), 1);
    desk.run(&["logout"]).success();
    assert!(keychain.is_empty());
    assert_eq!(desk.machine.files(), [desk.machine.config().join("lock")]);
}

#[test]
fn callers_wait_for_a_mute_keychain_together() {
    let keychain = SecretService::start();
    let mut desk = Desk::with(&keychain);
    desk.log_in_with("prod", SECRET, &["--no-verify"]).success();
    keychain.freeze();
    desk.seconds = "2";
    let callers: Vec<_> = (0..10)
        .map(|_| spawn(&mut desk.command(&["token"])))
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
    desk.seconds = PATIENCE;
    assert_eq!(
        desk.run(&["token"]).token(),
        "token-1",
        "it was not remembered"
    );
}

#[test]
fn the_wait_is_short_where_no_window_can_reach_anybody() {
    let keychain = SecretService::start();
    let desk = Desk::with(&keychain);
    desk.log_in("prod", SECRET).success();
    keychain.freeze();
    let over_ssh = [("DISPLAY", ":0"), ("SSH_CONNECTION", "::1 50000 ::1 22")];
    for environment in [&[][..], &over_ssh] {
        let mut command = desk.command(&["token", "--refresh"]);
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
    let mut desk = Desk::with(&keychain);
    let config = desk.machine.config();
    desk.log_in("prod", SECRET).success();
    let settings = fs::read(config.join("prod.json")).expect("the profile");
    // A listener whose queue takes every connection, and who never looks at one.
    let mute = desk.machine.root().join("mute");
    let _listener = UnixListener::bind(&mute).expect("a socket");
    match fault {
        Fault::NoBus => desk.environment.clear(),
        Fault::Address(address) => desk.bus_address(address),
        Fault::MuteBus => {
            desk.bus_address(&format!("unix:path={}", mute.display()));
            desk.seconds = "1";
        }
        Fault::NoProvider => keychain.stop_provider(),
        Fault::Frozen => {
            keychain.freeze();
            desk.seconds = "2";
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

    assert_eq!(desk.run(&["token"]).token(), "token-1");
    fails(desk.log_in("prod", SECRET_WORD));
    let now = fs::read(config.join("prod.json")).expect("the profile");
    assert_eq!(now, settings, "the old login is untouched");
    assert_eq!(desk.run(&["token"]).token(), "token-1");
    fails(desk.log_in("other", SECRET_WORD));
    assert!(!config.join("other.json").exists());
    let may_have_left_an_item = matches!(fault, Fault::Frozen | Fault::MuteBus);
    assert_eq!(config.join("other.items").exists(), may_have_left_an_item);
    desk.run(&["token", "other"]).failure(3);
    for file in desk.machine.files() {
        let content = fs::read(&file).expect("a file");
        let content = String::from_utf8_lossy(&content);
        for secret in [SECRET, SECRET_WORD] {
            assert!(!content.contains(secret), "{} holds it", file.display());
        }
    }
    let requests = desk.server.requests().len();
    fails(desk.run(&["token", "--refresh"]));
    assert_eq!(desk.server.requests().len(), requests);
    let status = desk.run(&["status"]).success();
    assert!(status.stdout.contains("cached, valid for"), "{status:?}");
    assert_eq!(desk.run(&["token"]).token(), "token-1");
    fails(desk.run(&["logout", "prod"]));
    assert!(config.join("prod.json").exists(), "it can be repeated");
    assert!(desk.machine.entries("prod").is_empty());
    fails(desk.run(&["token", "prod"]));

    match fault {
        Fault::NoBus | Fault::Address(_) | Fault::MuteBus => {
            desk.environment = keychain.environment();
        }
        Fault::Frozen => keychain.thaw(),
        Fault::NoProvider | Fault::Locked => keychain.unlock(),
    }
    desk.seconds = PATIENCE;
    desk.run(&["token", "prod"]).token();
    assert_eq!(
        desk.secrets_sent().last().map(String::as_str),
        Some(SECRET),
        "the secret of the old login"
    );
    desk.run(&["logout", "prod"]).success();
    if may_have_left_an_item {
        desk.run(&["logout", "other"]).success();
    }
    assert!(keychain.is_empty());
    assert_eq!(desk.machine.files(), [config.join("lock")]);
}

#[test]
fn a_login_without_any_keychain_leaves_nothing() {
    let desk = Desk {
        machine: Machine::new(),
        server: Server::start(numbered_tokens()),
        environment: Vec::new(),
        seconds: PATIENCE,
    };
    let ran = desk.log_in("prod", SECRET).failure(6);
    says(&ran, "no keychain is running", "--secret-command");
    assert_eq!(desk.machine.files(), [desk.machine.config().join("lock")]);
}

/// A secret in plain letters: no encoding hides it from a search.
const SECRET_WORD: &str = "plainsecretword";

/// A machine, a server that numbers its tokens, and the way to the keychain, which can be changed.
struct Desk {
    machine: Machine,
    server: Server,
    environment: Vec<(String, String)>,
    /// How long hallpass waits for the keychain.
    seconds: &'static str,
}

impl Desk {
    fn with(keychain: &SecretService) -> Desk {
        Desk {
            machine: Machine::new(),
            server: Server::start(numbered_tokens()),
            environment: keychain.environment(),
            seconds: PATIENCE,
        }
    }

    fn bus_address(&mut self, address: &str) {
        self.environment = vec![("DBUS_SESSION_BUS_ADDRESS".to_owned(), address.to_owned())];
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.machine.hallpass(arguments);
        command
            .env("HALLPASS_KEYCHAIN_TIMEOUT", self.seconds)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with_input(arguments, b"")
    }

    fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut child = spawn(&mut self.command(arguments));
        give(&mut child, input);
        finish(child)
    }

    fn log_in(&self, profile: &str, secret: &str) -> Ran {
        self.log_in_with(profile, secret, &[])
    }

    fn log_in_with(&self, profile: &str, secret: &str, more: &[&str]) -> Ran {
        let url = self.server.url("/oauth/token");
        let mut arguments = login_arguments(profile, &url).to_vec();
        arguments.extend(more);
        self.run_with_input(&arguments, secret.as_bytes())
    }

    /// The account of the profile's keychain item.
    fn account(&self, profile: &str) -> String {
        let file = self.machine.config().join(format!("{profile}.json"));
        let content = fs::read(file).expect("the profile");
        let profile: serde_json::Value = serde_json::from_slice(&content).expect("JSON");
        let account = profile["secret"]["keychain"]["account"].as_str();
        account.expect("the account").to_owned()
    }

    /// The secret in each request, in their order.
    fn secrets_sent(&self) -> Vec<String> {
        let requests = self.server.requests().into_iter();
        let secrets = requests.map(|request| request.basic_credentials().expect("credentials").1);
        secrets.collect()
    }
}

fn base64_decode(text: &str) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    String::from_utf8(bytes.expect("base64")).expect("UTF-8")
}

fn login_arguments<'a>(profile: &'a str, url: &'a str) -> [&'a str; 7] {
    let [stdin, at, by] = ["--secret-stdin", "--token-url", "--client-id"];
    ["login", profile, stdin, at, url, by, CLIENT_ID]
}

/// The message, and a hint that names the way out.
#[track_caller]
fn says(ran: &Ran, said: &str, advice: &str) {
    let message = line(ran, "hallpass: error: ");
    assert!(message.contains(said), "{said}: {ran:?}");
    for library in ["zbus", "org.freedesktop", "os error"] {
        assert!(!ran.stderr.contains(library), "{ran:?}");
    }
    // A logout adds how to go on.
    let mut lines = ran.stderr.lines();
    let hint = lines.any(|line| line.starts_with("hallpass: hint: ") && line.contains(advice));
    assert!(hint, "{advice}: {ran:?}");
}

/// The only line that begins so.
#[track_caller]
fn line<'a>(ran: &'a Ran, beginning: &str) -> &'a str {
    let mut lines = ran
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix(beginning));
    let first = lines
        .next()
        .unwrap_or_else(|| panic!("{beginning}? {ran:?}"));
    assert_eq!(lines.next(), None, "{ran:?}");
    first
}

fn spawn(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hallpass starts")
}

fn give(child: &mut Child, input: &[u8]) {
    // A process that has said no does not read.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
}

/// The end of a process that must end by itself.
fn finish(child: Child) -> Ran {
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(OUTER_BOUND) else {
        let _ = Command::new("kill")
            .args(["-s", "KILL", &id.to_string()])
            .status();
        panic!("it hangs");
    };
    Ran::from(output.expect("hallpass ends"))
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

fn secret_tool(keychain: &SecretService, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new("secret-tool")
        .args(arguments)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(keychain.environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("secret-tool (Debian package: libsecret-tools)");
    give(&mut child, input.as_bytes());
    child.wait_with_output().expect("secret-tool ends")
}

/// Keeps a secret as another program would.
fn store(keychain: &SecretService, attributes: &[(&str, &str)], secret: &str) {
    let mut arguments = vec!["store", "--label=not by hallpass"];
    arguments.extend(attributes.iter().flat_map(|(name, value)| [name, value]));
    let stored = secret_tool(keychain, &arguments, secret);
    assert!(stored.status.success(), "{stored:?}");
}

fn count_items(keychain: &SecretService) -> usize {
    let listed = keychain.search(OURS);
    listed.lines().filter(|line| line.starts_with("[/")).count()
}

fn secret_of(keychain: &SecretService, desk: &Desk, profile: &str) -> Option<Vec<u8>> {
    keychain.secret(&[
        ("service", "hallpass"),
        ("username", &desk.account(profile)),
    ])
}

/// The bus numbers its clients, and tells the one that asks its own number.
fn bus_clients_so_far(keychain: &SecretService) -> u32 {
    let asked = Command::new("dbus-send")
        .args([
            "--session",
            "--print-reply",
            "--dest=org.freedesktop.DBus",
            "/",
        ])
        .arg("org.freedesktop.DBus.GetId")
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(keychain.environment())
        .output()
        .expect("dbus-send (Debian package: dbus-bin)");
    let answer = String::from_utf8(asked.stdout).expect("an answer in UTF-8");
    let (_, own) = answer
        .split_once("destination=:1.")
        .expect("the asker's name");
    let digits: String = own.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}
