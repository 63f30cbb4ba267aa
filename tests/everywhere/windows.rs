//! The Windows Credential Manager: there is one, and what others keep in it stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::machine::{Machine, numbered_tokens};
use crate::server::Server;

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

/// An item of another program, as wine has it in its registry.
const OTHER: &str = r"HKCU\Software\Wine\Credential Manager\Generic: another-program";

/// In a directory and at a port that another process may have used before.
fn machine_at(directory: &Path, port: u16) -> Machine {
    let mut machine =
        Machine::in_directory(directory).with_server(Server::start_on(port, numbered_tokens()));
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "60");
    machine
}

/// What the first half leaves for the second.
fn left() -> (PathBuf, PathBuf) {
    let directory = std::env::temp_dir().join("hallpass-restart");
    (directory.join("home"), directory.join("port"))
}

#[test]
#[ignore = "tests/windows runs it, and ends wine afterwards"]
fn before_a_restart_hostile_secrets_are_stored() {
    let (home, port) = left();
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).expect("a directory");
    let words = ["add", OTHER, "/v", "Comment", "/d", "unharmed", "/f"];
    let added = Command::new("reg").args(words).status();
    assert!(added.expect("reg").success());
    let machine = machine_at(&home, 0);
    fs::write(port, machine.server().port().to_string()).expect("a file");
    crate::store_hostile_secrets(&machine, &crate::hostile::all());
}

#[test]
#[ignore = "tests/windows runs it after the first half"]
fn after_a_restart_hostile_secrets_come_back() {
    let (home, port) = left();
    let port = fs::read_to_string(port).expect("what the first half left");
    let machine = machine_at(&home, port.parse().expect("a port"));
    let keychain = Keychain::wait_for_turn();
    crate::hostile_secrets_come_back(
        &machine,
        &keychain_of_others(keychain),
        &crate::hostile::all(),
    );
    let other = Command::new("reg")
        .args(["query", OTHER])
        .output()
        .expect("reg");
    assert!(String::from_utf8_lossy(&other.stdout).contains("unharmed"));
    let _ = Command::new("reg").args(["delete", OTHER, "/f"]).status();
    fs::remove_dir_all(home).expect("a directory");
}

/// The items of hallpass go at the end: only those of others are compared.
fn keychain_of_others(mut keychain: Keychain) -> Keychain {
    keychain.before.clear();
    keychain
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

    /// No item of another program is missing.
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
