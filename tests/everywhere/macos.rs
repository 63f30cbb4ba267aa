//! A macOS keychain of its own, in a home of its own: the real one stays untouched.

use std::process::{Command, Output};

use tempfile::TempDir;

pub(crate) struct Keychain {
    home: TempDir,
}

#[test]
fn the_macos_keychain_keeps_secrets() {
    crate::keeps_secrets(&Keychain::start());
}

#[test]
fn the_macos_keychain_gives_hostile_secrets_back_after_a_lock() {
    let mut keychain = Keychain::start();
    crate::keeps_hostile_secrets(&mut keychain, &crate::hostile::all());
}

impl Keychain {
    /// An unlocked keychain, which is the default one of this home directory.
    fn start() -> Keychain {
        let home = TempDir::with_prefix("hallpass-home-").expect("a temporary directory");
        std::fs::create_dir_all(home.path().join("Library/Preferences")).expect("preferences");
        let keychain = Keychain { home };
        let name = "login.keychain-db";
        let steps: [&[&str]; 4] = [
            &["create-keychain", "-p", "password", name],
            &["default-keychain", "-s", name],
            &["list-keychains", "-s", name],
            &["unlock-keychain", "-p", "password", name],
        ];
        for step in steps {
            let output = keychain.security(step);
            assert!(output.status.success(), "{step:?}: {output:?}");
        }
        keychain
    }

    /// The variables that lead a client to it.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        vec![("HOME".to_owned(), self.home.path().display().to_string())]
    }

    /// Whether there is an item of this account, as an independent client sees it.
    pub(crate) fn holds(&self, account: &str) -> bool {
        let find = ["find-generic-password", "-s", "hallpass", "-a", account];
        self.security(&find).status.success()
    }

    /// No service can be started again here: the keychain's file is closed and opened.
    pub(crate) fn restart(&mut self) {
        let name = "login.keychain-db";
        for step in [
            &["lock-keychain", name][..],
            &["unlock-keychain", "-p", "password", name],
        ] {
            let output = self.security(step);
            assert!(output.status.success(), "{step:?}: {output:?}");
        }
    }

    pub(crate) fn store_item_of_another_program(&self) {
        let add = ["add-generic-password", "-s", "other", "-a", "me", "-w", "x"];
        assert!(self.security(&add).status.success());
    }

    pub(crate) fn assert_item_of_another_program_is_unharmed(&self) {
        let find = ["find-generic-password", "-s", "other", "-a", "me", "-w"];
        assert_eq!(self.security(&find).stdout, b"x\n");
    }

    pub(crate) fn assert_empty(&self) {
        let found = self.security(&["find-generic-password", "-s", "hallpass"]);
        assert!(!found.status.success(), "{found:?}");
    }

    fn security(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("security");
        command.args(arguments).env("HOME", self.home.path());
        command.output().expect("security, which macOS has")
    }
}
