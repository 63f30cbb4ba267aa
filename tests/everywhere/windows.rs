//! The Windows Credential Manager: there is one, and what others keep in it stays.

use std::process::Command;

pub(crate) struct Keychain;

#[test]
fn the_credential_manager_keeps_secrets() {
    crate::keeps_secrets(&Keychain);
}

impl Keychain {
    #[expect(clippy::unused_self, reason = "other platforms' keychains have one")]
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Whether there is an item of this account, as an independent client sees it.
    #[expect(clippy::unused_self, reason = "other platforms' keychains differ")]
    pub(crate) fn holds(&self, account: &str) -> bool {
        listed().contains(account)
    }

    #[expect(clippy::unused_self, reason = "other platforms' keychains differ")]
    pub(crate) fn assert_empty(&self) {
        assert!(!listed().contains("hallpass"), "{}", listed());
    }
}

fn listed() -> String {
    let output = Command::new("cmdkey").arg("/list").output();
    let output = output.expect("cmdkey, which Windows has");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
