//! The Windows Credential Manager: there is one, and what others keep in it stays.

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Each test lists all items, so no other test may add or remove any meanwhile.
static TURN: Mutex<()> = Mutex::new(());

pub(crate) struct Keychain {
    before: Vec<String>,
    _turn: MutexGuard<'static, ()>,
}

#[test]
fn the_credential_manager_keeps_secrets() {
    crate::keeps_secrets(&Keychain::wait_for_turn());
}

#[test]
fn the_credential_manager_gives_hostile_secrets_back() {
    let mut keychain = Keychain::wait_for_turn();
    crate::keeps_hostile_secrets(&mut keychain, &crate::hostile::all());
}

impl Keychain {
    fn wait_for_turn() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            before: listed(),
            _turn: turn,
        }
    }

    #[expect(clippy::unused_self, reason = "other platforms' keychains have one")]
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Whether there is an item of this account, as an independent client sees it.
    #[expect(clippy::unused_self, reason = "other platforms' keychains differ")]
    pub(crate) fn holds(&self, account: &str) -> bool {
        listed().iter().any(|line| line.contains(account))
    }

    /// Nothing to do: no service of ours can be started again here.
    #[expect(clippy::unused_self, reason = "other platforms' keychains can")]
    pub(crate) fn restart(&mut self) {}

    #[expect(clippy::unused_self, reason = "other platforms' keychains have one")]
    pub(crate) fn store_item_of_another_program(&self) {}

    /// Of ours, nothing is left or missing.
    pub(crate) fn assert_item_of_another_program_is_unharmed(&self) {
        let now = listed();
        assert!(self.before.iter().all(|line| now.contains(line)));
    }

    pub(crate) fn assert_empty(&self) {
        assert_eq!(listed(), self.before, "nothing is added");
    }
}

/// Ours of what another program lists: cmdkey; under wine, which has none, wine's registry.
fn listed() -> Vec<String> {
    let cmdkey = Command::new("cmdkey").arg("/list").output();
    let output = cmdkey.unwrap_or_else(|_| {
        let credentials = r"HKCU\Software\Wine\Credential Manager";
        let listed = Command::new("reg")
            .args(["query", credentials, "/s"])
            .output();
        listed.expect("reg, which Windows and wine have")
    });
    // wine's has no such key, and fails, until there was a first item.
    let lines = String::from_utf8_lossy(&output.stdout);
    let ours = lines.lines().filter(|line| line.contains("hallpass:"));
    ours.map(str::to_owned).collect()
}
