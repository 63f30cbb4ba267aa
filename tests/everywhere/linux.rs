//! The keychains of a Linux desktop: a Secret Service each, with a bus of its own.

#[path = "../hallpass/secret_service.rs"]
mod secret_service;

use std::panic::{self, AssertUnwindSafe};

use secret_service::SecretService;

use crate::hostile;

pub(crate) struct Keychain(SecretService);

const OTHER: [(&str, &str); 2] = [("service", "other"), ("username", "me")];

#[test]
fn gnome_keyring_keeps_secrets() {
    crate::keeps_secrets(&Keychain(SecretService::start()));
}

#[test]
fn kwallet_keeps_secrets() {
    crate::keeps_secrets(&Keychain(SecretService::start_kwallet()));
}

#[test]
fn gnome_keyring_gives_hostile_secrets_back_after_a_restart() {
    let mut keychain = Keychain(SecretService::start());
    crate::keeps_hostile_secrets(&mut keychain, &hostile::all());
}

/// Such a keyring is a text file, and one bad line makes all of it unreadable.
#[test]
fn gnome_keyring_without_a_password_gives_hostile_secrets_back_after_a_restart() {
    let mut keychain = Keychain(SecretService::start_without_password());
    crate::keeps_hostile_secrets(&mut keychain, &hostile::all());
}

#[test]
fn kwallet_gives_hostile_secrets_back_after_a_restart() {
    let mut keychain = Keychain(SecretService::start_kwallet());
    crate::keeps_hostile_secrets(&mut keychain, &hostile::all());
}

#[test]
fn keepassxc_keeps_secrets() {
    with_keepassxc(|keychain| crate::keeps_secrets(keychain));
}

#[test]
fn keepassxc_gives_hostile_secrets_back_after_a_restart() {
    // A few at a time: it may end by itself at any of them.
    for some in hostile::all().chunks(6) {
        with_keepassxc(|keychain| crate::keeps_hostile_secrets(keychain, some));
    }
}

/// `KeePassXC` 2.7 ends by itself now and then (a segmentation fault of its own): then the run says
/// nothing about us, and begins again.
fn with_keepassxc(test: impl Fn(&mut Keychain)) {
    const ATTEMPTS: usize = 8;
    for _ in 0..ATTEMPTS {
        let mut keychain = None;
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            test(keychain.insert(Keychain(SecretService::start_keepassxc())));
        }));
        let Err(failure) = result else {
            return;
        };
        if keychain.is_some_and(|keychain| keychain.0.still_runs()) {
            panic::resume_unwind(failure);
        }
    }
    panic!("KeePassXC ended by itself {ATTEMPTS} times");
}

impl Keychain {
    /// The variables that lead a client to it.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        self.0.environment()
    }

    /// Whether there is an item of this account, as an independent client finds it.
    pub(crate) fn holds(&self, account: &str) -> bool {
        let (profile, _) = account.split_once(':').expect("a profile's name");
        let ours = [("service", "hallpass"), ("username", account)];
        let found = self.0.search(&ours);
        let label = format!("label = hallpass client secret ({profile})");
        assert!(found.is_empty() || found.contains(&label), "{found}");
        !found.is_empty()
    }

    pub(crate) fn restart(&mut self) {
        self.0.restart();
    }

    pub(crate) fn store_item_of_another_program(&self) {
        self.0
            .store("another program's item", &OTHER, b"its secret");
    }

    pub(crate) fn assert_item_of_another_program_is_unharmed(&self) {
        let secret = self.0.lookup(&OTHER);
        assert_eq!(secret.as_deref(), Some(&b"its secret"[..]));
    }

    pub(crate) fn assert_empty(&self) {
        assert!(self.0.is_empty());
    }
}
