//! A real Secret Service for one test: a D-Bus session bus of its own, and gnome-keyring on it.
//!
//! The bus can start nothing by itself, so no second keyring and no dialog comes up behind the test. The daemons have
//! a HOME of their own; a client needs nothing of it but [`SecretService::environment`].
#![allow(dead_code, reason = "not every test binary needs all of it")]

#[path = "secret_service/dialog.rs"]
mod dialog;
#[path = "secret_service/keepassxc.rs"]
mod keepassxc;
#[path = "secret_service/kwallet.rs"]
mod kwallet;
#[path = "secret_service/restart.rs"]
mod restart;

#[allow(unused_imports, reason = "not every test binary needs it")]
pub(crate) use self::dialog::Dialogs;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, str, thread};

use tempfile::TempDir;

/// How long a daemon may take for what it should do at once.
const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// What the login keyring is encrypted with.
const PASSWORD: &str = "the password of the login keyring";

pub(crate) struct SecretService {
    address: String,
    bus: Child,
    provider: Option<Child>,
    kind: restart::Kind,
    directory: TempDir,
}

impl SecretService {
    /// Unlocked, with an empty default collection.
    pub(crate) fn start() -> SecretService {
        let mut service = SecretService::start_without_provider();
        service.start_provider(Some(PASSWORD));
        service
    }

    /// The default collection exists, but nobody gave its password: locked.
    pub(crate) fn start_locked() -> SecretService {
        let mut service = SecretService::start();
        service.lock();
        service
    }

    /// As on a machine where nobody has ever logged in: a daemon, and no default collection.
    pub(crate) fn start_without_collection() -> SecretService {
        let mut service = SecretService::start_without_provider();
        service.start_provider(None);
        service
    }

    /// A session bus, and nobody on it who keeps secrets.
    pub(crate) fn start_without_provider() -> SecretService {
        let directory = tempfile::Builder::new()
            .prefix("hallpass-bus-")
            .tempdir()
            .expect("a directory for the bus");
        for name in ["daemons/home", "daemons/run", "client/run"] {
            create_private_directory(&directory.path().join(name));
        }
        let (bus, address) = start_bus(directory.path());
        SecretService {
            address,
            bus,
            provider: None,
            kind: restart::Kind::GnomeKeyring,
            directory,
        }
    }

    /// The variables that lead a client to this service.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let runtime_directory = self
            .directory
            .path()
            .join("client/run")
            .display()
            .to_string();
        vec![
            ("DBUS_SESSION_BUS_ADDRESS".to_owned(), self.address.clone()),
            ("XDG_RUNTIME_DIR".to_owned(), runtime_directory),
        ]
    }

    /// The provider starts again without the password: what it kept is still there, and locked.
    pub(crate) fn lock(&mut self) {
        // SIGTERM lets it finish its files.
        self.signal("TERM");
        self.wait_for_the_end_of_the_provider();
        self.start_provider(None);
    }

    /// The provider starts again with the password, whether it runs or not: what it kept is there, and open.
    pub(crate) fn unlock(&mut self) {
        if self.provider.is_some() {
            self.signal("TERM");
            self.wait_for_the_end_of_the_provider();
        }
        self.start_provider(Some(PASSWORD));
    }

    /// The provider dies (SIGKILL). When it returns, nobody owns the name on the bus any more.
    pub(crate) fn stop_provider(&mut self) {
        self.signal("KILL");
        self.wait_for_the_end_of_the_provider();
    }

    /// The provider stays on the bus and answers nothing (SIGSTOP), until it is thawed.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    /// The secret of the item with these attributes, as an independent client sees it.
    pub(crate) fn lookup(&self, attributes: &[(&str, &str)]) -> Option<Vec<u8>> {
        let output = self.secret_tool(&["lookup"], attributes);
        output.status.success().then_some(output.stdout)
    }

    /// The secret that hallpass stored in the item with these attributes, which may be in base64.
    pub(crate) fn secret(&self, attributes: &[(&str, &str)]) -> Option<Vec<u8>> {
        use base64::Engine as _;
        let stored = self.lookup(attributes)?;
        let Some(encoded) = stored.strip_prefix(b"hallpass-base64:") else {
            return Some(stored);
        };
        let secret = base64::engine::general_purpose::STANDARD.decode(encoded);
        Some(secret.expect("base64"))
    }

    /// Everything that an independent client can say about the items with these attributes: nothing if there are none.
    pub(crate) fn search(&self, attributes: &[(&str, &str)]) -> String {
        let output = self.secret_tool(&["search", "--all"], attributes);
        [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .concat()
    }

    /// Whether hallpass keeps nothing here. It panics where nobody can say.
    pub(crate) fn is_empty(&self) -> bool {
        self.search(&[("service", "hallpass")]).is_empty()
    }

    /// How many secrets hallpass keeps here.
    pub(crate) fn count(&self) -> usize {
        let found = self.search(&[("service", "hallpass")]);
        found.matches("attribute.username = ").count()
    }

    fn start_provider(&mut self, password: Option<&str>) {
        let mut command = daemon(
            "gnome-keyring-daemon",
            self.directory.path(),
            "provider.log",
        );
        command
            .args(["--foreground", "--components=secrets"])
            .args(password.map(|_| "--unlock"));
        command
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .stdin(Stdio::piped());
        let mut provider = found("gnome-keyring-daemon", command.spawn());
        let mut stdin = provider.stdin.take().expect("the daemon's standard input");
        self.provider = Some(provider);
        stdin
            .write_all(password.unwrap_or_default().as_bytes())
            .expect("a daemon that reads its password");
        drop(stdin);
        self.wait_until_provided(true);
    }

    fn wait_for_the_end_of_the_provider(&mut self) {
        let mut provider = self.provider.take().expect("a provider that runs");
        provider.wait().expect("the end of the provider");
        self.wait_until_provided(false);
    }

    // The bus announces owners only to those who are on it already, so a newcomer has to ask.
    fn wait_until_provided(&self, provided: bool) {
        let what = format!("provided is {provided}");
        self.wait_until(&what, |service| service.is_provided() == provided);
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&SecretService) -> bool) {
        let deadline = Instant::now() + WAIT_LIMIT;
        while !is_so(self) {
            let log = || {
                fs::read_to_string(self.directory.path().join("provider.log")).unwrap_or_default()
            };
            assert!(
                Instant::now() < deadline,
                "not within {WAIT_LIMIT:?}: {what}: {}",
                log()
            );
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// The directory with all files of this service, and the runtime directory of its clients.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The home directory of the daemons.
    fn home(&self) -> PathBuf {
        self.directory.path().join("daemons/home")
    }

    fn is_provided(&self) -> bool {
        let answer = self.ask(
            ["org.freedesktop.DBus", "/"],
            "org.freedesktop.DBus.NameHasOwner",
            "string:org.freedesktop.secrets",
        );
        answer.expect("a bus that answers").trim() == "boolean true"
    }

    fn has_default_collection(&self) -> bool {
        self.default_collection().is_some()
    }

    /// Its path.
    fn default_collection(&self) -> Option<String> {
        let answer = self.ask(
            ["org.freedesktop.secrets", "/org/freedesktop/secrets"],
            "org.freedesktop.Secret.Service.ReadAlias",
            "string:default",
        );
        let path = answer.ok()?.trim().to_owned();
        path.contains("/collection/").then_some(path)
    }

    fn default_collection_is_open(&self) -> bool {
        let Some(path) = self.default_collection() else {
            return false;
        };
        let answer = self.ask(
            ["org.freedesktop.secrets", &path],
            "org.freedesktop.DBus.Properties.GetAll",
            "string:org.freedesktop.Secret.Collection",
        );
        answer.is_ok_and(|properties| {
            let (_, after) = properties.split_once("Locked").unwrap_or_default();
            after
                .split_whitespace()
                .take(3)
                .eq(["variant", "boolean", "false"])
        })
    }

    /// What the object at this destination and path answers to the call, or its complaint.
    fn ask(&self, [to, path]: [&str; 2], call: &str, argument: &str) -> Result<String, String> {
        let mut command = self.client("dbus-send");
        command.args([
            "--session",
            "--print-reply=literal",
            &format!("--dest={to}"),
        ]);
        let output = found("dbus-send", command.args([path, call, argument]).output());
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        if output.status.success() {
            Ok(text(output.stdout))
        } else {
            Err(text(output.stderr))
        }
    }

    fn secret_tool(&self, verb: &[&str], attributes: &[(&str, &str)]) -> Output {
        let mut complaint = String::new();
        // KWallet refuses a key with a leading zero: one in 256.
        for _ in 0..5 {
            let mut command = self.client("secret-tool");
            command
                .args(verb)
                .args(attributes.iter().flat_map(|(name, value)| [name, value]));
            let output = found("secret-tool", command.output());
            complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            if !complaint.contains("secret-tool:") {
                return output;
            }
        }
        panic!("{complaint}");
    }

    fn client(&self, program: &str) -> Command {
        let mut command = program_without_environment(program);
        command.envs(self.environment());
        command
    }

    /// Whether the provider has not ended by itself.
    pub(crate) fn still_runs(mut self) -> bool {
        let provider = self.provider.as_mut().expect("a provider");
        provider.try_wait().is_ok_and(|end| end.is_none())
    }

    fn signal(&self, name: &str) {
        let provider = self.provider.as_ref().expect("a provider that runs");
        let mut command = program_without_environment("kill");
        command.args(["-s", name, &provider.id().to_string()]);
        let status = found("kill", command.status());
        assert!(status.success(), "SIG{name} did not reach the provider");
    }
}

impl Drop for SecretService {
    fn drop(&mut self) {
        for daemon in self.provider.iter_mut().chain([&mut self.bus]) {
            // It may have ended by itself.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// Starts the bus, and returns when it listens: it says so itself, by its address.
fn start_bus(directory: &Path) -> (Child, String) {
    let config = directory.join("bus.conf");
    let socket = directory.join("daemons/run/bus");
    fs::write(
        &config,
        BUS_CONFIG.replace("SOCKET", &socket.display().to_string()),
    )
    .expect("the bus's configuration");
    let mut command = daemon("dbus-daemon", directory, "bus.log");
    command
        .arg(format!("--config-file={}", config.display()))
        .args(["--nofork", "--nopidfile", "--print-address"]);
    let mut bus = found("dbus-daemon", command.stdout(Stdio::piped()).spawn());
    let mut address = String::new();
    let stdout = bus.stdout.take().expect("the bus's standard output");
    BufReader::new(stdout)
        .read_line(&mut address)
        .expect("the address of the bus");
    let log = || fs::read_to_string(directory.join("bus.log")).unwrap_or_default();
    assert!(!address.is_empty(), "dbus-daemon ended at once: {}", log());
    (bus, address.trim_end().to_owned())
}

const BUS_CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=SOCKET</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

fn daemon(program: &str, directory: &Path, log: &str) -> Command {
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.join(log))
        .expect("the daemon's log");
    let mut command = program_without_environment(program);
    command
        .env("HOME", directory.join("daemons/home"))
        .env("XDG_RUNTIME_DIR", directory.join("daemons/run"));
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the daemon's log"))
        .stderr(log);
    command
}

// Nothing of the session in which the tests run may show through.
fn program_without_environment(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

fn create_private_directory(path: &PathBuf) {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .expect("a directory for the bus");
}

// A test that cannot find its tools fails. It never passes unseen.
fn found<T>(program: &str, result: io::Result<T>) -> T {
    let packages = "dbus-daemon, dbus-bin, gnome-keyring, libsecret-tools and procps";
    result.unwrap_or_else(|error| {
        panic!("cannot run {program}: {error} (Debian packages: {packages})")
    })
}
