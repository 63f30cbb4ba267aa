//! hallpass and a keychain, on every platform and in every keychain that it has: nothing here needs
//! more of the platform than that. The real binary is driven, with a home of its own.

mod files_and_shell;
mod hostile;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod keychain;
#[path = "../hallpass/machine.rs"]
mod machine;
#[path = "../hallpass/server.rs"]
mod server;

use std::{fs, thread};

use keychain::Keychain;
use machine::{Machine, SECRET};

/// A machine with this keychain, for which hallpass waits long enough, also on a busy machine.
pub(crate) fn machine_with(keychain: &Keychain) -> Machine {
    let mut machine = Machine::new().with_environment(keychain.environment());
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "60");
    machine
}

/// What every keychain must do. One keychain goes through all of it: it takes a while to start, and there may
/// be only one.
pub(crate) fn keeps_secrets(keychain: &Keychain) {
    a_client_goes_from_login_to_logout(keychain);
    a_second_login_replaces_the_first(keychain);
    two_profiles_lie_side_by_side(keychain);
    a_cached_token_is_as_protected_as_status_says(keychain);
    a_crowd_makes_one_request(keychain);
    a_secret_comes_back_as_it_went_in(keychain);
    a_secret_that_is_too_long_is_refused_by_name(keychain);
    what_cannot_be_a_secret_is_not_kept(keychain);
    keychain.assert_empty();
}

/// What comes back after the keychain's service was started again, and that another program's item
/// is unharmed. Windows has no service to restart: `tests/windows` ends wine itself.
#[cfg(not(windows))]
pub(crate) fn keeps_hostile_secrets(keychain: &mut Keychain, secrets: &[String]) {
    keychain.store_item_of_another_program();
    let machine = machine_with(keychain);
    store_hostile_secrets(&machine, secrets);
    keychain.restart();
    hostile_secrets_come_back(&machine, keychain, secrets);
}

pub(crate) fn store_hostile_secrets(machine: &Machine, secrets: &[String]) {
    for (number, secret) in secrets.iter().enumerate() {
        let profile = format!("p{number}");
        let ran = if hostile::is_key(secret) {
            let method = ["--auth", "private_key_jwt", "--jwt-alg", "ES256"];
            machine.login_from(&profile, &[&method[..], &["--key-stdin"]].concat(), secret)
        } else {
            machine.login_to_keychain(&profile, secret)
        };
        ran.success();
    }
}

pub(crate) fn hostile_secrets_come_back(
    machine: &Machine,
    keychain: &Keychain,
    secrets: &[String],
) {
    let so_far = machine.secrets_sent().len();
    for number in 0..secrets.len() {
        machine
            .run(&["token", &format!("p{number}"), "--refresh"])
            .success();
    }
    // A key is not sent: its signature needed all of it.
    let mut sent = secrets.to_vec();
    sent.retain(|secret| !hostile::is_key(secret));
    assert_eq!(machine.secrets_sent()[so_far..], sent);
    keychain.assert_item_of_another_program_is_unharmed();
    machine.run(&["logout", "--all", "--yes"]).success();
    keychain.assert_item_of_another_program_is_unharmed();
}

fn a_client_goes_from_login_to_logout(keychain: &Keychain) {
    let machine = machine_with(keychain);
    let ran = machine.login_to_keychain("prod", SECRET).success();
    assert!(
        ran.stderr
            .contains("the client secret is saved in the keychain ("),
        "{ran:?}"
    );
    let account = machine.account("prod");
    assert!(account.starts_with("prod:"), "{account}");
    assert!(keychain.holds(&account));

    // The token of the login's proof is the one that is used, without a request.
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-1");
    assert_eq!(machine.server().requests().len(), 1);
    // And for another one the secret comes out of the keychain.
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
    assert_eq!(machine.secrets_sent(), [SECRET, SECRET]);
    assert_eq!(machine.run(&["token"]).token(), "token-2");

    let profile = &machine.run(&["status", "--json"]).json()["profiles"][0];
    assert_eq!(profile["name"], "prod");
    assert_eq!(profile["secret"]["store"], "keychain");
    assert_eq!(profile["tokens"].as_array().map(Vec::len), Some(1));
    let ran = machine.run(&["status"]).success();
    assert!(ran.stdout.contains(&account), "{ran:?}");
    for text in [SECRET, "token-2"] {
        assert!(!ran.stdout.contains(text), "{ran:?}");
    }

    machine.run(&["logout"]).success();
    assert!(!keychain.holds(&account));
    assert_eq!(
        machine.run(&["status", "--json"]).json()["profiles"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
    machine.run(&["token", "prod"]).failure(3);
    assert_eq!(machine.server().requests().len(), 2);
}

fn a_second_login_replaces_the_first(keychain: &Keychain) {
    let machine = machine_with(keychain);
    machine.login_to_keychain("prod", "the first").success();
    let first = machine.account("prod");
    machine.login_to_keychain("prod", "the second").success();
    let second = machine.account("prod");
    assert_ne!(first, second);
    assert!(!keychain.holds(&first));
    assert!(keychain.holds(&second));
    // The old client's token is gone with it.
    assert_eq!(machine.run(&["token"]).token(), "token-2");
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-3");
    assert_eq!(
        machine.secrets_sent(),
        ["the first", "the second", "the second"]
    );
    machine.run(&["logout"]).success();
    assert!(!keychain.holds(&second));
}

fn two_profiles_lie_side_by_side(keychain: &Keychain) {
    let machine = machine_with(keychain);
    machine.login_to_keychain("one", "secret one").success();
    machine.login_to_keychain("two", "secret two").success();
    let [one, two] = ["one", "two"].map(|profile| machine.account(profile));
    assert!(keychain.holds(&one) && keychain.holds(&two));
    machine.run(&["token", "one", "--refresh"]).token();
    machine.run(&["token", "two", "--refresh"]).token();
    assert_eq!(machine.secrets_sent()[2..], ["secret one", "secret two"]);

    machine.run(&["logout", "one"]).success();
    assert!(!keychain.holds(&one) && keychain.holds(&two));
    machine.run(&["token", "--refresh"]).token();
    assert_eq!(machine.secrets_sent()[4..], ["secret two"]);

    machine.login_to_keychain("one", "secret three").success();
    let one = machine.account("one");
    machine.run(&["logout", "--all", "--yes"]).success();
    assert!(!keychain.holds(&one) && !keychain.holds(&two));
}

fn a_cached_token_is_as_protected_as_status_says(keychain: &Keychain) {
    let machine = machine_with(keychain);
    machine.login_to_keychain("prod", SECRET).success();
    let status = machine.run(&["status", "--json"]).json();
    let form = &status["profiles"][0]["cache_protection"]["form"];
    // Linux keeps a key for every user, but not in every container.
    if cfg!(windows) {
        assert_eq!(form, "sealed", "{status}");
    } else if cfg!(target_os = "macos") {
        assert_eq!(form, "plain", "{status}");
    }
    let token = machine.run(&["token"]).token();
    let entries = machine.entries("prod");
    assert_eq!(entries.len(), 1);
    let entry = fs::read(&entries[0]).expect("an entry");
    let is_readable = entry.windows(token.len()).any(|w| w == token.as_bytes());
    assert_eq!(is_readable, form == "plain", "{status}");
    assert_eq!(machine.server().requests().len(), 1);

    // On Windows, the key is in a file. A lost one costs a request, and is replaced.
    let key = machine.cache().join(".sealing-key");
    assert_eq!(key.exists(), cfg!(windows));
    if cfg!(windows) {
        fs::remove_file(&key).expect("a file");
        assert_eq!(machine.run(&["token"]).token(), "token-2");
        assert_eq!(machine.run(&["token"]).token(), "token-2");
        assert!(key.exists());
    }
    machine.run(&["logout"]).success();
}

fn a_crowd_makes_one_request(keychain: &Keychain) {
    let machine = machine_with(keychain);
    machine.login_to_keychain("prod", SECRET).success();
    let other = ["token", "--scope", "other"];
    thread::scope(|scope| {
        let call = || machine.run(&other).success().stdout;
        let callers: Vec<_> = (0..20).map(|_| scope.spawn(call)).collect();
        for caller in callers {
            assert_eq!(caller.join().expect("a caller"), "token-2\n");
        }
    });
    assert_eq!(machine.secrets_sent(), [SECRET, SECRET]);
    machine.run(&["logout"]).success();
}

fn a_secret_comes_back_as_it_went_in(keychain: &Keychain) {
    // As long as it may be everywhere.
    let long = long_secret(2_560);
    for secret in [
        &long,
        " spaces around ",
        "--client-secret",
        "a",
        "\u{1f511}",
    ] {
        let machine = machine_with(keychain);
        machine.login_to_keychain("prod", secret).success();
        machine.run(&["token", "--refresh"]).token();
        assert_eq!(machine.secrets_sent(), [secret, secret]);
        machine.run(&["logout"]).success();
    }
}

fn a_secret_that_is_too_long_is_refused_by_name(keychain: &Keychain) {
    let machine = machine_with(keychain);
    let long = long_secret(5_000);
    let ran = machine.login_to_keychain("prod", &long);
    if cfg!(windows) {
        ran.failure(2);
        let ran = machine
            .login_to_keychain("prod", &(long_secret(2_560) + "x"))
            .failure(2);
        assert!(ran.stderr.contains("longer than the 2560 bytes"), "{ran:?}");
        assert!(ran.stderr.contains("--secret-file"), "{ran:?}");
        assert_eq!(
            machine.run(&["status", "--json"]).json()["profiles"]
                .as_array()
                .map(Vec::len),
            Some(0)
        );
    } else {
        ran.success();
        machine.run(&["token", "--refresh"]).token();
        assert_eq!(machine.secrets_sent(), [long.as_str(), long.as_str()]);
        machine.run(&["logout"]).success();
    }
}

fn what_cannot_be_a_secret_is_not_kept(keychain: &Keychain) {
    let machine = machine_with(keychain);
    for secret in ["", "two\nlines", "a\tb", "a\u{0}b", "a\u{7f}b"] {
        let ran = machine.login_to_keychain("prod", secret).failure(2);
        assert!(ran.stderr.contains("client secret"), "{secret:?}: {ran:?}");
    }
    assert_eq!(machine.server().requests().len(), 0);
    assert_eq!(
        machine.run(&["status", "--json"]).json()["profiles"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
}

/// All that an encoding could get wrong, in this many bytes.
fn long_secret(bytes: usize) -> String {
    let piece = "x€\"'\\%+ ";
    assert_eq!(bytes % piece.len(), 0);
    piece.repeat(bytes / piece.len())
}
