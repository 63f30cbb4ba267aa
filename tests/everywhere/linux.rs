//! The keychains of a Linux desktop: a Secret Service each, with a bus of its own.

#[path = "../hallpass/secret_service.rs"]
mod secret_service;

use secret_service::SecretService;

pub(crate) struct Keychain(SecretService);

#[test]
fn gnome_keyring_keeps_secrets() {
    crate::keeps_secrets(&Keychain(SecretService::start()));
}

impl Keychain {
    /// The variables that lead a client to it.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        self.0.environment()
    }

    /// Whether there is an item of this account, as an independent client sees it.
    pub(crate) fn holds(&self, account: &str) -> bool {
        let ours = [("service", "hallpass"), ("username", account)];
        self.0.lookup(&ours).is_some()
    }

    pub(crate) fn assert_empty(&self) {
        assert!(self.0.is_empty());
    }
}
