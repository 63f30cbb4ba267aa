//! `KWallet` (5.103), opened without a dialog: the way in which the login manager's PAM module does it.

use std::fs;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Stdio};

use super::{PASSWORD, SecretService, daemon, found};

const SETTINGS: &str = "[Wallet]
Enabled=true
First Use=false
Default Wallet=kdewallet
Use One Wallet=true
Prompt on Open=false
Close When Idle=false
Leave Open=true
Launch Manager=false

[org.freedesktop.secrets]
apiEnabled=true

[Auto Allow]
kdewallet=*
";

/// The length of the salt, and of the key of the wallet.
const KEY_LENGTH: usize = 56;

impl SecretService {
    /// `KWallet`, with an open and empty wallet.
    pub(crate) fn start_kwallet() -> SecretService {
        let mut service = SecretService::start_without_provider();
        service.kind = super::restart::Kind::KWallet;
        let config = service.home().join(".config");
        fs::create_dir_all(&config).expect("a directory for the settings");
        fs::write(config.join("kwalletrc"), SETTINGS).expect("the settings");
        let wallets = service.home().join(".local/share/kwalletd");
        fs::create_dir_all(&wallets).expect("a directory for the wallet");
        fs::write(wallets.join("kdewallet.salt"), [7; KEY_LENGTH]).expect("the salt");
        let kwallet = start(&service);
        service.provider = Some(kwallet);
        // Only a wallet that was there when it started becomes the default collection.
        service.wait_until("the wallet is open", SecretService::has_open_wallet);
        service.signal("TERM");
        service.wait_for_the_end_of_the_provider();
        service.start_kwallet_again();
        service
    }

    /// After its end: the wallet is open again.
    pub(crate) fn start_kwallet_again(&mut self) {
        let kwallet = start(self);
        self.provider = Some(kwallet);
        self.wait_until_provided(true);
        self.wait_until("the wallet is open and shown", |service| {
            service.has_open_wallet() && service.has_default_collection()
        });
    }

    /// Makes it write the wallet's file, which it otherwise does five seconds after a change, and not
    /// at its end.
    pub(super) fn close_wallet(&self) {
        let mut command = self.client("dbus-send");
        command.args(["--session", "--print-reply", "--dest=org.kde.kwalletd5"]);
        command.args(["/modules/kwalletd5", "org.kde.KWallet.close"]);
        command.args(["string:kdewallet", "boolean:true"]);
        let output = found("dbus-send", command.output());
        assert!(output.status.success(), "{output:?}");
    }

    fn has_open_wallet(&self) -> bool {
        let wallets = ["org.kde.kwalletd5", "/modules/kwalletd5"];
        let open = self.ask(wallets, "org.kde.KWallet.isOpen", "string:kdewallet");
        open.is_ok_and(|answer| answer.contains("true"))
    }
}

fn start(service: &SecretService) -> Child {
    let socket = service.home().join("login");
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).expect("the login's socket");
    let mut command = daemon("sh", service.directory.path(), "provider.log");
    // The key comes through the first descriptor, the session's environment through the second.
    command.args([
        "-c",
        "exec kwalletd5 --pam-login 3 4 3<&0 4<&1 </dev/null >&2",
    ]);
    command
        .stdin(Stdio::piped())
        .stdout(OwnedFd::from(listener));
    command
        .env("DBUS_SESSION_BUS_ADDRESS", &service.address)
        .env("PAM_KWALLET5_LOGIN", &socket)
        .env("QT_QPA_PLATFORM", "offscreen");
    let mut kwallet = found("kwalletd5", command.spawn());
    let mut stdin = kwallet.stdin.take().expect("its standard input");
    stdin
        .write_all(&key())
        .expect("a daemon that reads its key");
    let session = format!("DBUS_SESSION_BUS_ADDRESS={}\n", service.address);
    let mut socket = UnixStream::connect(&socket).expect("a daemon that listens");
    socket
        .write_all(session.as_bytes())
        .expect("a daemon that reads its environment");
    kwallet
}

fn key() -> [u8; KEY_LENGTH] {
    let rounds = NonZeroU32::new(50_000).expect("some rounds");
    let mut key = [0; KEY_LENGTH];
    let algorithm = ring::pbkdf2::PBKDF2_HMAC_SHA512;
    ring::pbkdf2::derive(
        algorithm,
        rounds,
        &[7; KEY_LENGTH],
        PASSWORD.as_bytes(),
        &mut key,
    );
    key
}
