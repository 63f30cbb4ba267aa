//! The keychain, a real one: what lies in it, and what is said when it is absent, mute, locked or changed.

mod items;
mod unavailable;

use std::fs;
use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::secret_service::SecretService;
use crate::server::Server;
use crate::support::{CLIENT_ID, Machine, Ran, numbered_tokens};

/// Far more than any of these runs should take: a run that needs it hangs.
const OUTER_BOUND: Duration = Duration::from_secs(60);

/// How long hallpass waits for a keychain that answers, in seconds: a busy machine is no fault.
const PATIENCE: &str = "30";

const OURS: &[(&str, &str)] = &[("service", "hallpass")];

/// A secret in plain letters: no encoding hides it from a search.
const SECRET_WORD: &str = "plainsecretword";

/// A machine, a server that numbers its tokens, and the way to the keychain, which can be changed.
struct Desk {
    machine: Machine,
    server: Server,
    environment: Vec<(String, String)>,
    /// How long hallpass waits for the keychain.
    seconds: &'static str,
}

impl Desk {
    fn with(keychain: &SecretService) -> Desk {
        Desk {
            machine: Machine::new(),
            server: Server::start(numbered_tokens()),
            environment: keychain.environment(),
            seconds: PATIENCE,
        }
    }

    fn bus_address(&mut self, address: &str) {
        self.environment = vec![("DBUS_SESSION_BUS_ADDRESS".to_owned(), address.to_owned())];
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.machine.hallpass(arguments);
        command
            .env("HALLPASS_KEYCHAIN_TIMEOUT", self.seconds)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with_input(arguments, b"")
    }

    fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut child = spawn(&mut self.command(arguments));
        give(&mut child, input);
        finish(child)
    }

    fn log_in(&self, profile: &str, secret: &str) -> Ran {
        self.log_in_with(profile, secret, &[])
    }

    fn log_in_with(&self, profile: &str, secret: &str, more: &[&str]) -> Ran {
        let url = self.server.url("/oauth/token");
        let mut arguments = login_arguments(profile, &url).to_vec();
        arguments.extend(more);
        self.run_with_input(&arguments, secret.as_bytes())
    }

    /// The account of the profile's keychain item.
    fn account(&self, profile: &str) -> String {
        let file = self.machine.config().join(format!("{profile}.json"));
        let content = fs::read(file).expect("the profile");
        let profile: serde_json::Value = serde_json::from_slice(&content).expect("JSON");
        let account = profile["secret"]["keychain"]["account"].as_str();
        account.expect("the account").to_owned()
    }

    /// The secret in each request, in their order.
    fn secrets_sent(&self) -> Vec<String> {
        let requests = self.server.requests().into_iter();
        let secrets = requests.map(|request| request.basic_credentials().expect("credentials").1);
        secrets.collect()
    }
}

fn login_arguments<'a>(profile: &'a str, url: &'a str) -> [&'a str; 7] {
    let [stdin, at, by] = ["--secret-stdin", "--token-url", "--client-id"];
    ["login", profile, stdin, at, url, by, CLIENT_ID]
}

/// The message, and a hint that names the way out.
#[track_caller]
fn says(ran: &Ran, said: &str, advice: &str) {
    let message = line(ran, "hallpass: error: ");
    assert!(message.contains(said), "{said}: {ran:?}");
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

fn spawn(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hallpass starts")
}

fn give(child: &mut Child, input: &[u8]) {
    // A process that has said no does not read.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
}

/// The end of a process that must end by itself.
fn finish(child: Child) -> Ran {
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(OUTER_BOUND) else {
        let _ = Command::new("kill")
            .args(["-s", "KILL", &id.to_string()])
            .status();
        panic!("it hangs");
    };
    Ran::from(output.expect("hallpass ends"))
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
    give(&mut child, input.as_bytes());
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
