//! `KeePassXC` (2.7), with a database whose root group it shows to other programs.

use std::fs;
use std::io::Write as _;
use std::process::{Child, Stdio};

use super::{PASSWORD, SecretService, daemon, found};

const SETTINGS: &str = "[General]
ConfigVersion=2
AutoSaveAfterEveryChange=true
UpdateCheckMessageShown=true
SingleInstance=false

[GUI]
CheckForUpdates=false

[FdoSecrets]
Enabled=true
ConfirmAccessItem=false
ConfirmDeleteItem=false
ShowNotification=false
UnlockBeforeSearch=false

[Security]
LockDatabaseIdle=false
";

/// The group of this identifier, which the database names twice, is the collection.
const DATABASE: &str = "<KeePassFile>
<Meta><CustomData><Item>
<Key>FDO_SECRETS_EXPOSED_GROUP</Key><Value>{01010101-0101-0101-0101-010101010101}</Value>
</Item></CustomData></Meta>
<Root><Group><UUID>AQEBAQEBAQEBAQEBAQEBAQ==</UUID><Name>Root</Name></Group></Root>
</KeePassFile>";

impl SecretService {
    /// `KeePassXC`, with an open and empty database.
    pub(crate) fn start_keepassxc() -> SecretService {
        let mut service = SecretService::start_without_provider();
        service.kind = super::restart::Kind::KeePassXc;
        let config = service.home().join(".config/keepassxc");
        fs::create_dir_all(&config).expect("a directory for the settings");
        fs::write(config.join("keepassxc.ini"), SETTINGS).expect("the settings");
        fs::write(service.home().join("database.xml"), DATABASE).expect("the database");
        let mut command = daemon("keepassxc-cli", service.directory.path(), "provider.log");
        command.current_dir(service.home());
        command.args([
            "import",
            "--quiet",
            "--set-password",
            "database.xml",
            "database.kdbx",
        ]);
        let mut import = found("keepassxc-cli", command.stdin(Stdio::piped()).spawn());
        let mut stdin = import.stdin.take().expect("its standard input");
        write!(stdin, "{PASSWORD}\n{PASSWORD}\n").expect("a program that reads its password");
        assert!(import.wait().expect("its end").success(), "no database");
        service.start_keepassxc_again(true);
        service
    }

    /// After its end: the database is shown again, open or locked.
    pub(crate) fn start_keepassxc_again(&mut self, open: bool) {
        let keepassxc = start(self, open);
        self.provider = Some(keepassxc);
        self.wait_until_provided(true);
        self.wait_until(
            "there is a default collection",
            SecretService::has_default_collection,
        );
        if open {
            // It is shown before it is open: who is quick would be asked for the password.
            self.wait_until("it is open", SecretService::default_collection_is_open);
        }
    }
}

fn start(service: &SecretService, open: bool) -> Child {
    let mut command = daemon("keepassxc", service.directory.path(), "provider.log");
    command.current_dir(service.home());
    command
        .args(open.then_some("--pw-stdin"))
        .arg("database.kdbx");
    command
        .env("DBUS_SESSION_BUS_ADDRESS", &service.address)
        .env("QT_QPA_PLATFORM", "offscreen");
    let mut keepassxc = found("keepassxc", command.stdin(Stdio::piped()).spawn());
    let mut stdin = keepassxc.stdin.take().expect("its standard input");
    // The locked one does not read it.
    let _ = writeln!(stdin, "{PASSWORD}");
    keepassxc
}
