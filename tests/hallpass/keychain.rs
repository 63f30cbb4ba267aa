//! The keychain, a real one: its items, and the messages when it is missing, not responding, locked or changed.

mod items;
mod unavailable;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::machine::{CLIENT_ID, Machine, Ran};
use crate::secret_service::SecretService;

/// How long hallpass waits for a keychain.
const TIMEOUT: &str = "HALLPASS_KEYCHAIN_TIMEOUT";

/// Enough for a keychain on a busy machine, in seconds.
const LONG_TIMEOUT: &str = "30";

const OURS: &[(&str, &str)] = &[("service", "hallpass")];

/// A secret in plain letters: no encoding hides it from a search.
const SECRET_WORD: &str = "plainsecretword";

/// A machine with this keychain, for which hallpass waits long enough.
fn machine_with(keychain: &SecretService) -> Machine {
    let mut machine = Machine::new().with_environment(keychain.environment());
    machine.set(TIMEOUT, LONG_TIMEOUT);
    machine
}

fn login_arguments<'a>(profile: &'a str, url: &'a str) -> [&'a str; 7] {
    let [stdin, at, by] = ["--secret-stdin", "--token-url", "--client-id"];
    ["login", profile, stdin, at, url, by, CLIENT_ID]
}

/// The message, and a hint that names the way out.
#[track_caller]
fn assert_error(ran: &Ran, expected: &str, advice: &str) {
    let message = line(ran, "hallpass: error: ");
    assert!(message.contains(expected), "{expected}: {ran:?}");
    for library in ["zbus", "org.freedesktop", "os error"] {
        assert!(!ran.stderr.contains(library), "{ran:?}");
    }
    // A logout adds how to go on.
    let mut lines = ran.stderr.lines();
    let hint = lines.any(|line| line.starts_with("hallpass: hint: ") && line.contains(advice));
    assert!(hint, "{advice}: {ran:?}");
}

/// The only line that begins so.
#[track_caller]
fn line<'a>(ran: &'a Ran, beginning: &str) -> &'a str {
    let mut lines = ran
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix(beginning));
    let first = lines
        .next()
        .unwrap_or_else(|| panic!("{beginning}? {ran:?}"));
    assert_eq!(lines.next(), None, "{ran:?}");
    first
}

fn secret_tool(keychain: &SecretService, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new("secret-tool")
        .args(arguments)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(keychain.environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("secret-tool (Debian package: libsecret-tools)");
    let stdin = child.stdin.take();
    let written = stdin.expect("a pipe").write_all(input.as_bytes());
    written.expect("secret-tool reads its input");
    child.wait_with_output().expect("secret-tool ends")
}

/// Keeps a secret as another program would.
fn store(keychain: &SecretService, attributes: &[(&str, &str)], secret: &str) {
    let mut arguments = vec!["store", "--label=not by hallpass"];
    arguments.extend(attributes.iter().flat_map(|(name, value)| [name, value]));
    let stored = secret_tool(keychain, &arguments, secret);
    assert!(stored.status.success(), "{stored:?}");
}

fn count_items(keychain: &SecretService) -> usize {
    let listed = keychain.search(OURS);
    listed.lines().filter(|line| line.starts_with("[/")).count()
}
