//! hallpass and a keychain, on every platform and in every keychain that it has: nothing here needs
//! more of the platform than that. The real binary is driven, with a home of its own.

mod desk;
mod hostile;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod keychain;
mod machine;
#[path = "../hallpass/server.rs"]
mod server;

use std::thread;

use desk::{Desk, SECRET};
use keychain::Keychain;

/// What every keychain must do. One goes through all of it: it takes a while to start, and there may
/// be only one.
pub(crate) fn keeps_secrets(keychain: &Keychain) {
    a_client_goes_from_login_to_logout(keychain);
    a_second_login_replaces_the_first(keychain);
    two_profiles_lie_side_by_side(keychain);
    a_crowd_makes_one_request(keychain);
    a_secret_comes_back_as_it_went_in(keychain);
    a_secret_that_is_too_long_is_refused_by_name(keychain);
    what_cannot_be_a_secret_is_not_kept(keychain);
    keychain.assert_empty();
}

/// What comes back after the keychain's service was started again, and that another program's item
/// beside it is unharmed. On Windows there is no such service: `tests/windows` ends wine itself.
#[cfg(not(windows))]
pub(crate) fn keeps_hostile_secrets(keychain: &mut Keychain, secrets: &[String]) {
    keychain.store_item_of_another_program();
    let desk = Desk::with(keychain);
    store_hostile_secrets(&desk, secrets);
    keychain.restart();
    hostile_secrets_come_back(&desk, keychain, secrets);
}

pub(crate) fn store_hostile_secrets(desk: &Desk, secrets: &[String]) {
    for (number, secret) in secrets.iter().enumerate() {
        let profile = format!("p{number}");
        let ran = if hostile::is_key(secret) {
            desk.log_in_with_key(&profile, secret)
        } else {
            desk.log_in(&profile, secret)
        };
        ran.success();
    }
}

pub(crate) fn hostile_secrets_come_back(desk: &Desk, keychain: &Keychain, secrets: &[String]) {
    let so_far = desk.server.requests().len();
    for number in 0..secrets.len() {
        desk.run(&["token", &format!("p{number}"), "--refresh"])
            .success();
    }
    // A key is not sent: its signature needed all of it.
    let mut sent = secrets.to_vec();
    sent.retain(|secret| !hostile::is_key(secret));
    assert_eq!(desk.secrets_sent_since(so_far), sent);
    keychain.assert_item_of_another_program_is_unharmed();
    desk.run(&["logout", "--all"]).success();
    keychain.assert_item_of_another_program_is_unharmed();
}

fn a_client_goes_from_login_to_logout(keychain: &Keychain) {
    let desk = Desk::with(keychain);
    let ran = desk.log_in("prod", SECRET).success();
    assert!(
        ran.stderr
            .contains("The client secret is saved in the keychain ("),
        "{ran:?}"
    );
    let account = desk.account("prod");
    assert!(account.starts_with("prod:"), "{account}");
    assert!(keychain.holds(&account));

    // The token of the login's proof is the one that is used, without a request.
    assert_eq!(desk.token(&["token"]), "token-1");
    assert_eq!(desk.token(&["token", "prod"]), "token-1");
    assert_eq!(desk.server.requests().len(), 1);
    // And for another one the secret comes out of the keychain.
    assert_eq!(desk.token(&["token", "--refresh"]), "token-2");
    assert_eq!(desk.secrets_sent(), [SECRET, SECRET]);
    assert_eq!(desk.token(&["token"]), "token-2");

    let profile = &desk.listed()["profiles"][0];
    assert_eq!(profile["name"], "prod");
    assert_eq!(profile["secret"]["store"], "keychain");
    assert_eq!(profile["tokens"].as_array().map(Vec::len), Some(1));
    let ran = desk.run(&["status"]).success();
    assert!(ran.stdout.contains(&account), "{ran:?}");
    for text in [SECRET, "token-2"] {
        assert!(!ran.stdout.contains(text), "{ran:?}");
    }

    desk.run(&["logout"]).success();
    assert!(!keychain.holds(&account));
    assert_eq!(desk.listed()["profiles"].as_array().map(Vec::len), Some(0));
    desk.run(&["token", "prod"]).failure(3);
    assert_eq!(desk.server.requests().len(), 2);
}

fn a_second_login_replaces_the_first(keychain: &Keychain) {
    let desk = Desk::with(keychain);
    desk.log_in("prod", "the first").success();
    let first = desk.account("prod");
    desk.log_in("prod", "the second").success();
    let second = desk.account("prod");
    assert_ne!(first, second);
    assert!(!keychain.holds(&first));
    assert!(keychain.holds(&second));
    // The old client's token is gone with it.
    assert_eq!(desk.token(&["token"]), "token-2");
    assert_eq!(desk.token(&["token", "--refresh"]), "token-3");
    assert_eq!(
        desk.secrets_sent(),
        ["the first", "the second", "the second"]
    );
    desk.run(&["logout"]).success();
    assert!(!keychain.holds(&second));
}

fn two_profiles_lie_side_by_side(keychain: &Keychain) {
    let desk = Desk::with(keychain);
    desk.log_in("one", "secret one").success();
    desk.log_in("two", "secret two").success();
    let [one, two] = ["one", "two"].map(|profile| desk.account(profile));
    assert!(keychain.holds(&one) && keychain.holds(&two));
    desk.token(&["token", "one", "--refresh"]);
    desk.token(&["token", "two", "--refresh"]);
    assert_eq!(desk.secrets_sent()[2..], ["secret one", "secret two"]);

    desk.run(&["logout", "one"]).success();
    assert!(!keychain.holds(&one) && keychain.holds(&two));
    desk.token(&["token", "--refresh"]);
    assert_eq!(desk.secrets_sent()[4..], ["secret two"]);

    desk.log_in("one", "secret three").success();
    let one = desk.account("one");
    desk.run(&["logout", "--all"]).success();
    assert!(!keychain.holds(&one) && !keychain.holds(&two));
}

fn a_crowd_makes_one_request(keychain: &Keychain) {
    let desk = Desk::with(keychain);
    desk.log_in("prod", SECRET).success();
    let other = ["token", "--scope", "other"];
    thread::scope(|scope| {
        let call = || desk.run(&other).success().stdout;
        let callers: Vec<_> = (0..20).map(|_| scope.spawn(call)).collect();
        for caller in callers {
            assert_eq!(caller.join().expect("a caller"), "token-2\n");
        }
    });
    assert_eq!(desk.secrets_sent(), [SECRET, SECRET]);
    desk.run(&["logout"]).success();
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
        let desk = Desk::with(keychain);
        desk.log_in("prod", secret).success();
        desk.token(&["token", "--refresh"]);
        assert_eq!(desk.secrets_sent(), [secret, secret]);
        desk.run(&["logout"]).success();
    }
}

fn a_secret_that_is_too_long_is_refused_by_name(keychain: &Keychain) {
    let desk = Desk::with(keychain);
    let long = long_secret(5_000);
    let ran = desk.log_in("prod", &long);
    if cfg!(windows) {
        ran.failure(2);
        let ran = desk.log_in("prod", &(long_secret(2_560) + "x")).failure(2);
        assert!(ran.stderr.contains("longer than the 2560 bytes"), "{ran:?}");
        assert!(ran.stderr.contains("--secret-file"), "{ran:?}");
        assert_eq!(desk.listed()["profiles"].as_array().map(Vec::len), Some(0));
    } else {
        ran.success();
        desk.token(&["token", "--refresh"]);
        assert_eq!(desk.secrets_sent(), [long.as_str(), long.as_str()]);
        desk.run(&["logout"]).success();
    }
}

fn what_cannot_be_a_secret_is_not_kept(keychain: &Keychain) {
    let desk = Desk::with(keychain);
    for secret in ["", "two\nlines", "a\tb", "a\u{0}b", "a\u{7f}b"] {
        let ran = desk.log_in("prod", secret).failure(2);
        assert!(ran.stderr.contains("client secret"), "{secret:?}: {ran:?}");
    }
    assert_eq!(desk.server.requests().len(), 0);
    assert_eq!(desk.listed()["profiles"].as_array().map(Vec::len), Some(0));
}

/// All that an encoding could get wrong, in this many bytes.
fn long_secret(bytes: usize) -> String {
    let piece = "x€\"'\\%+ ";
    assert_eq!(bytes % piece.len(), 0);
    piece.repeat(bytes / piece.len())
}
