//! What a keychain still has after its daemon was started again, and the keyring without a password
//! of desktops with automatic login.

use std::fs;
use std::time::{Duration, Instant};

use super::{SecretService, create_private_directory};

/// How a provider is started again with all that it holds, unlocked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    GnomeKeyring,
    GnomeKeyringWithoutPassword,
    KWallet,
    KeePassXc,
}

/// How long a database is not written before that counts as done.
const QUIET: Duration = Duration::from_secs(2);

/// A keyring without a password, as the daemon itself writes it.
const WITHOUT_PASSWORD: &str = "[keyring]
display-name=Default
ctime=1700000000
mtime=1700000000
lock-on-idle=false
lock-after=false
";

impl SecretService {
    /// gnome-keyring, with a default keyring without a password: a file of plain text.
    pub(crate) fn start_without_password() -> SecretService {
        let mut service = SecretService::start_without_provider();
        service.kind = Kind::GnomeKeyringWithoutPassword;
        let keyrings = service.home().join(".local/share/keyrings");
        create_private_directory(&keyrings);
        fs::write(keyrings.join("Default.keyring"), WITHOUT_PASSWORD).expect("a keyring");
        fs::write(keyrings.join("default"), "Default").expect("the default keyring's name");
        service.start_provider(None);
        service
    }

    /// The provider ends (SIGTERM: it may finish its files) and starts again: what it holds comes
    /// from its files now.
    pub(crate) fn restart(&mut self) {
        match self.kind {
            Kind::KWallet => self.close_wallet(),
            // One that is still writing its database never ends.
            Kind::KeePassXc => self.write_database(),
            _ => {}
        }
        self.signal("TERM");
        self.wait_for_the_end_of_the_provider();
        match self.kind {
            Kind::GnomeKeyring => self.start_provider(Some(super::PASSWORD)),
            Kind::GnomeKeyringWithoutPassword => self.start_provider(None),
            Kind::KWallet => self.start_kwallet_again(),
            Kind::KeePassXc => self.start_keepassxc_again(true),
        }
    }

    /// `KeePassXC` writes its database after a change, but it forgets to after one that is made while
    /// it writes, and does not end on a signal while it writes.
    fn write_database(&self) {
        let file = self.home().join("database.kdbx");
        let age = || {
            let written = fs::metadata(&file).and_then(|file| file.modified());
            written.map_or(Duration::ZERO, |time| time.elapsed().unwrap_or_default())
        };
        self.wait_until("the database is written", |_| age() > QUIET);
        let start = Instant::now();
        self.store("one more change", &[("service", "change")], b"x");
        self.wait_until("the database is written again", |_| {
            age() > QUIET && age() < start.elapsed()
        });
    }

    /// Stores an item as another program does.
    pub(crate) fn store(&self, label: &str, attributes: &[(&str, &str)], secret: &[u8]) {
        use std::io::Write as _;
        // KWallet refuses a key with a leading zero: one in 256.
        for _ in 0..5 {
            let mut command = self.client("secret-tool");
            command.args(["store", "--label", label]);
            command.args(attributes.iter().flat_map(|(name, value)| [name, value]));
            let mut child = super::found(
                "secret-tool",
                command.stdin(std::process::Stdio::piped()).spawn(),
            );
            let mut stdin = child.stdin.take().expect("its standard input");
            stdin.write_all(secret).expect("a program that reads");
            drop(stdin);
            if child.wait().expect("its end").success() {
                return;
            }
        }
        panic!("secret-tool cannot store an item");
    }
}
