//! The items that hallpass keeps in a keychain, and what it does about items that others changed.

use std::fs;
use std::process::Command;

use super::{OURS, SECRET_WORD, assert_error, count_items, machine_with, secret_tool, store};
use crate::machine::{CLIENT_ID, Machine, SECRET, finish, numbered_tokens, spawn};
use crate::secret_service::SecretService;
use crate::server::Server;

#[test]
fn an_item_is_named_after_its_profile_and_a_plain_secret_is_stored_as_it_is() {
    let long = "x€\"'\\%+ ".repeat(500);
    assert_eq!(long.len(), 5_000);
    for secret in [SECRET, &long, " spaces around ", "--client-secret", "a"] {
        let keychain = SecretService::start();
        let machine = machine_with(&keychain);
        machine.login_to_keychain("prod", secret).success();
        let account = machine.account("prod");
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
        machine.run(&["token", "--refresh"]).token();
        let sent: Vec<_> = machine.server().requests();
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
    let machine = machine_with(&keychain);
    machine.login_to_keychain("prod", "the first").success();
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    let first = machine.account("prod");

    machine.login_to_keychain("prod", "the second").success();
    assert_ne!(machine.account("prod"), first);
    assert_eq!(count_items(&keychain), 1);
    assert_eq!(
        secret_of(&keychain, &machine, "prod").as_deref(),
        Some(&b"the second"[..])
    );
    assert_eq!(
        machine.run(&["token"]).token(),
        "token-2",
        "the old client's token is gone"
    );
    machine.run(&["token", "--refresh"]).token();
    assert_eq!(
        machine.secrets_sent(),
        ["the first", "the second", "the second"]
    );
}

#[test]
fn a_login_with_a_secret_file_or_command_empties_the_keychain() {
    let command = format!("echo {SECRET_WORD}");
    for source in ["--secret-file", "--secret-command"] {
        let keychain = SecretService::start();
        let machine = machine_with(&keychain);
        machine.login_to_keychain("prod", SECRET).success();
        let file = machine.private_file("secret", SECRET_WORD.as_bytes());
        let value = match source {
            "--secret-file" => file.to_str().expect("a path in UTF-8"),
            _ => &command,
        };
        machine.run(&["login", "prod", source, value]).success();
        assert!(keychain.is_empty(), "{source}");
        machine.run(&["token", "--refresh"]).token();
        assert_eq!(machine.secrets_sent(), [SECRET, SECRET_WORD, SECRET_WORD]);
        let settings = machine.config();
        assert_eq!(
            machine
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
    let machine = machine_with(&keychain);
    machine.login_to_keychain("one", "first secret").success();
    machine.login_to_keychain("two", "second secret").success();
    assert_eq!(count_items(&keychain), 2);

    machine.run(&["logout", "one"]).success();
    assert_eq!(count_items(&keychain), 1);
    assert_eq!(
        secret_of(&keychain, &machine, "two").as_deref(),
        Some(&b"second secret"[..])
    );
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-3");

    machine.login_to_keychain("one", "third secret").success();
    machine.run(&["logout", "--all", "--yes"]).success();
    assert!(keychain.is_empty());
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn a_profile_copied_by_hand_does_not_affect_the_original() {
    let keychain = SecretService::start();
    let machine = machine_with(&keychain);
    machine.login_to_keychain("one", "first secret").success();
    let file = |name| machine.config().join(name);
    for last in [&["logout", "two"][..], &["logout", "--all", "--yes"]] {
        for (from, to) in [("one.json", "two.json"), ("one.items", "two.items")] {
            fs::copy(file(from), file(to)).expect("a copy");
        }
        // Both do away with an item of this profile that no longer counts.
        machine.login_to_keychain("two", "second secret").success();
        assert_eq!(count_items(&keychain), 2);
        assert_eq!(
            secret_of(&keychain, &machine, "one").as_deref(),
            Some(&b"first secret"[..])
        );
        machine.run(last).success();
    }
    assert!(keychain.is_empty());
}

#[test]
fn items_of_other_programs_are_not_changed() {
    let keychain = SecretService::start();
    let machine = machine_with(&keychain);
    let others: [&[(&str, &str)]; 3] = [
        &[("service", "other"), ("username", "prod")],
        &[("service", "hallpass"), ("username", "prod")],
        &[("service", "hallpass-2")],
    ];
    for attributes in others {
        store(&keychain, attributes, "not ours");
    }
    machine.login_to_keychain("prod", SECRET).success();
    machine.login_to_keychain("prod", "another").success();
    machine.run(&["token", "--refresh"]).token();
    machine.run(&["logout"]).success();
    for attributes in others {
        let found = keychain.lookup(attributes);
        assert_eq!(found.as_deref(), Some(&b"not ours"[..]), "{attributes:?}");
    }
    assert_eq!(count_items(&keychain), 1, "no item of hallpass is left");
}

#[test]
fn two_items_with_the_same_attributes_are_reported_and_login_replaces_them() {
    let keychain = SecretService::start();
    let machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    let account = machine.account("prod");
    let twin = [
        ("service", "hallpass"),
        ("username", account.as_str()),
        ("more", "1"),
    ];
    store(&keychain, &twin, "a twin");

    let ran = machine.run(&["token", "--refresh"]).failure(6);
    assert_error(
        &ran,
        "the keychain has 2 secrets for profile prod",
        "hallpass login prod",
    );
    assert_eq!(machine.server().requests().len(), 1, "neither was sent");
    assert_eq!(machine.run(&["token"]).token(), "token-1");

    machine.login_to_keychain("prod", SECRET).success();
    assert_eq!(count_items(&keychain), 1);
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-3");
}

#[test]
fn logout_removes_all_items_that_look_the_same() {
    let keychain = SecretService::start();
    let machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    let account = machine.account("prod");
    for more in ["1", "2"] {
        let twin = [
            ("service", "hallpass"),
            ("username", account.as_str()),
            ("more", more),
        ];
        store(&keychain, &twin, "a twin");
    }
    assert_eq!(count_items(&keychain), 3);
    machine.run(&["logout"]).success();
    assert!(keychain.is_empty());
}

#[test]
fn an_item_that_another_program_removed_needs_a_new_login() {
    let keychain = SecretService::start();
    let machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    let cleared = secret_tool(&keychain, &["clear", "service", "hallpass"], "");
    assert!(cleared.status.success(), "{cleared:?}");
    assert!(keychain.is_empty());

    assert_eq!(
        machine.run(&["token"]).token(),
        "token-1",
        "the cached token works"
    );
    let ran = machine.run(&["token", "--refresh"]).failure(3);
    assert_error(
        &ran,
        "has no client secret for profile prod",
        "hallpass login prod",
    );
    assert_eq!(machine.server().requests().len(), 1);

    machine.login_to_keychain("prod", SECRET).success();
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-3");
    // Neither does it keep a logout.
    secret_tool(&keychain, &["clear", "service", "hallpass"], "");
    machine.run(&["logout"]).success();
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn an_item_without_a_usable_secret_is_reported() {
    for (content, message) in [("", "is empty"), ("two\nlines", "has more than one line")] {
        let keychain = SecretService::start();
        let machine = machine_with(&keychain);
        machine.login_to_keychain("prod", SECRET).success();
        let account = machine.account("prod");
        let ours = [("service", "hallpass"), ("username", account.as_str())];
        store(&keychain, &ours, content);
        assert_eq!(count_items(&keychain), 1, "it was replaced");

        let ran = machine.run(&["token", "--refresh"]).failure(3);
        assert_error(
            &ran,
            &format!("the client secret in the keychain {message}"),
            "hallpass login prod",
        );
        assert_eq!(machine.server().requests().len(), 1, "nothing was sent");
        assert_eq!(machine.run(&["token"]).token(), "token-1");
    }
}

#[test]
fn a_secret_that_was_changed_in_the_keychain_is_the_one_that_is_sent() {
    let keychain = SecretService::start();
    let machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    let account = machine.account("prod");
    store(
        &keychain,
        &[("service", "hallpass"), ("username", &account)],
        "rotated",
    );
    machine.run(&["token", "--refresh"]).token();
    assert_eq!(machine.secrets_sent(), [SECRET, "rotated"]);
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
        let machine = machine_with(&keychain);
        machine.login_to_keychain("prod", SECRET).success();
        let account = machine.account("prod");
        let item = [("service", "hallpass"), ("username", &account)];
        store(&keychain, &item, secret);
        machine.run(&["token", "--refresh"]).token();
        assert_eq!(machine.secrets_sent(), [SECRET, secret]);
        machine.run(&["logout"]).success();
    }
    let key = rcgen::KeyPair::generate()
        .expect("a P-256 key")
        .serialize_pem();
    let machine = machine_with(&keychain);
    let method = ["--auth", "private_key_jwt", "--jwt-alg", "ES256"];
    let url = machine.server().url("/oauth/token");
    let login = [
        "login",
        "prod",
        "--token-url",
        &url,
        "--client-id",
        CLIENT_ID,
    ];
    let login = [&login[..], &method, &["--key-stdin"]].concat();
    machine.run_with_input(&login, key.as_bytes()).success();
    let account = machine.account("prod");
    let item = [("service", "hallpass"), ("username", account.as_str())];
    store(&keychain, &item, &key);
    assert_eq!(keychain.lookup(&item).as_deref(), Some(key.as_bytes()));
    machine.run(&["token", "--refresh"]).token();
}

#[test]
fn a_secret_is_not_sent_where_the_profile_was_edited_to_send_it() {
    let keychain = SecretService::start();
    let machine = machine_with(&keychain);
    let thief = Server::start(numbered_tokens());
    machine.login_to_keychain("prod", SECRET).success();
    let file = machine.config().join("prod.json");
    let before = fs::read_to_string(&file).expect("the profile");
    let edits = [
        (
            machine.server().url("/oauth/token"),
            thief.url("/oauth/token"),
        ),
        (
            machine.server().url("/oauth/token"),
            machine.server().url("/echo"),
        ),
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
        let ran = machine.run(&["token", "--refresh"]).failure(4);
        assert_error(
            &ran,
            "profile prod was edited after login",
            "hallpass login prod",
        );
    }
    assert_eq!(thief.connections(), 0);
    assert_eq!(machine.server().connections(), 1);

    // Nor at a logout that would revoke the token there.
    let elsewhere = format!(
        r#""revocation_endpoint": "{}", "client_id""#,
        thief.url("/revoke")
    );
    let edited = before.replacen(r#""client_id""#, &elsewhere, 1);
    fs::write(&file, edited).expect("an edited profile");
    let ran = machine.run(&["logout"]).success();
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
    let machine = machine_with(&keychain);
    machine.login_to_keychain("prod", SECRET).success();
    let file = machine.config().join("prod.json");
    let before = fs::read_to_string(&file).expect("the profile");
    fs::write(&file, before.replace(CLIENT_ID, "x")).expect("an edited profile");
    machine.run(&["token"]).failure(4);
    fs::write(&file, before).expect("the profile");
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
}

#[test]
fn twenty_callers_open_the_keychain_once() {
    let keychain = SecretService::start();
    let machine = machine_with(&keychain);
    machine
        .login_from("prod", &["--secret-stdin", "--no-verify"], SECRET)
        .success();
    for clients in [1, 0] {
        let before = bus_clients_so_far(&keychain);
        let callers: Vec<_> = (0..20)
            .map(|_| spawn(&mut machine.hallpass(&["token"])))
            .collect();
        for caller in callers {
            assert_eq!(finish(caller).token(), "token-1");
        }
        // The question itself comes from one more.
        let came = bus_clients_so_far(&keychain) - before - 1;
        assert_eq!(came, clients, "first one reads it, then none has to");
    }
    assert_eq!(machine.server().requests().len(), 1);
}

fn base64_decode(text: &str) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    String::from_utf8(bytes.expect("base64")).expect("UTF-8")
}

fn secret_of(keychain: &SecretService, machine: &Machine, profile: &str) -> Option<Vec<u8>> {
    keychain.secret(&[
        ("service", "hallpass"),
        ("username", &machine.account(profile)),
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
