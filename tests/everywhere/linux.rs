//! The keychains of a Linux desktop: a Secret Service each, with a bus of its own.

#[path = "../hallpass/secret_service.rs"]
mod secret_service;

use std::panic::{self, AssertUnwindSafe};

use secret_service::SecretService;

pub(crate) struct Keychain(SecretService);

#[test]
fn gnome_keyring_keeps_secrets() {
    crate::keeps_secrets(&Keychain(SecretService::start()));
}

#[test]
fn kwallet_keeps_secrets() {
    crate::keeps_secrets(&Keychain(SecretService::start_kwallet()));
}

/// `KeePassXC` 2.7 ends by itself now and then (a segmentation fault of its own): then the run says
/// nothing about us, and begins anew.
#[test]
fn keepassxc_keeps_secrets() {
    const ATTEMPTS: usize = 8;
    for _ in 0..ATTEMPTS {
        let mut keychain = None;
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            let keychain = keychain.insert(Keychain(SecretService::start_keepassxc()));
            crate::keeps_secrets(keychain);
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

    pub(crate) fn assert_empty(&self) {
        assert!(self.0.is_empty());
    }
}
