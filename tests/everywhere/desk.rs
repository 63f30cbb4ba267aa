//! A home of one's own for each test, the real binary in it, and a server that numbers its tokens.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use crate::keychain::Keychain;
use crate::server::{Reply, Server};

/// It has what each encoding must get right.
pub(crate) const SECRET: &str = "s3cr%t+w:th/a \"quote\" & = ü";

/// What the program needs of the machine that runs the tests; all else would be chance.
const FROM_OUTSIDE: [&str; 9] = [
    "PATH",
    "SystemRoot",
    "SystemDrive",
    "COMSPEC",
    "TEMP",
    "TMP",
    "USERNAME",
    "USERDOMAIN",
    "COMPUTERNAME",
];

pub(crate) struct Desk {
    home: PathBuf,
    _temporary: Option<TempDir>,
    pub(crate) server: Server,
    environment: Vec<(String, String)>,
}

/// A server that numbers its tokens.
fn numbered_tokens(port: u16) -> Server {
    let count = AtomicUsize::new(0);
    Server::start_on(port, move |_| {
        let number = 1 + count.fetch_add(1, Ordering::SeqCst);
        Reply::token(&format!("token-{number}"), 3600)
    })
}

impl Desk {
    pub(crate) fn with(keychain: &Keychain) -> Desk {
        Self::new(keychain.environment())
    }

    pub(crate) fn without_keychain() -> Desk {
        Self::new(Vec::new())
    }

    fn new(environment: Vec<(String, String)>) -> Desk {
        let home = TempDir::with_prefix("hallpass-test-").expect("a temporary directory");
        Desk {
            home: home.path().to_owned(),
            _temporary: Some(home),
            server: numbered_tokens(0),
            environment,
        }
    }

    /// In a directory and at a port that another process may have used before.
    #[cfg(windows)]
    pub(crate) fn again(home: &Path, port: u16) -> Desk {
        Desk {
            home: home.to_owned(),
            _temporary: None,
            server: numbered_tokens(port),
            environment: Vec::new(),
        }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with_input(arguments, "")
    }

    pub(crate) fn log_in(&self, profile: &str, secret: &str) -> Ran {
        self.log_in_from(profile, &["--secret-stdin"], secret)
    }

    /// Logs in with a secret that a command prints.
    pub(crate) fn log_in_by_command(&self, profile: &str, command: &str) -> Ran {
        self.log_in_from(profile, &["--secret-command", command], "")
    }

    /// Logs in with a private key from standard input.
    pub(crate) fn log_in_with_key(&self, profile: &str, key: &str) -> Ran {
        let source = [
            "--auth",
            "private_key_jwt",
            "--jwt-alg",
            "ES256",
            "--key-stdin",
        ];
        self.log_in_from(profile, &source, key)
    }

    fn log_in_from(&self, profile: &str, source: &[&str], input: &str) -> Ran {
        let url = self.server.url("/oauth/token");
        let settings = ["--token-url", &url, "--client-id", "client:one"];
        let arguments = [&["login", profile], source, &settings].concat();
        self.run_with_input(&arguments, input)
    }

    /// The token that such a command prints, which says nothing else.
    #[track_caller]
    pub(crate) fn token(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments).success();
        assert_eq!(ran.stderr, "");
        ran.stdout.strip_suffix('\n').expect("a line").to_owned()
    }

    /// What `status` lists.
    #[track_caller]
    pub(crate) fn listed(&self) -> serde_json::Value {
        let ran = self.run(&["status", "--json"]).success();
        serde_json::from_str(&ran.stdout).expect("JSON")
    }

    /// The account of the profile's keychain item.
    #[track_caller]
    pub(crate) fn account(&self, profile: &str) -> String {
        let ran = self.run(&["status", profile, "--json"]).success();
        let listed: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let place = listed["profiles"][0]["secret"]["place"].as_str();
        let (_, account) = place
            .and_then(|place| place.split_once(", account "))
            .expect("an account");
        account.to_owned()
    }

    /// The secret in each request, in their order.
    pub(crate) fn secrets_sent(&self) -> Vec<String> {
        self.secrets_sent_since(0)
    }

    /// The same, without the first of them.
    pub(crate) fn secrets_sent_since(&self, first: usize) -> Vec<String> {
        let requests = self.server.requests();
        requests[first..]
            .iter()
            .filter(|request| request.header("authorization").is_some())
            .map(|request| request.basic_credentials().expect("credentials").1)
            .collect()
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Where the profile's tokens lie, as the manual says.
    pub(crate) fn cache(&self, profile: &str) -> PathBuf {
        let base = if cfg!(windows) {
            "local"
        } else if cfg!(target_os = "macos") {
            "Library/Caches"
        } else {
            "cache"
        };
        self.home().join(base).join("hallpass").join(profile)
    }

    fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("hallpass starts");
        // A process that has said no does not read.
        let _ = child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(input.as_bytes());
        Ran::from(child.wait_with_output().expect("hallpass ends"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let below = |name: &str| -> PathBuf { self.home.join(name) };
        let outside = FROM_OUTSIDE.map(|name| std::env::var_os(name).map(|value| (name, value)));
        let built = env!("CARGO_BIN_EXE_hallpass");
        // A release, where one is tested.
        let hallpass = std::env::var("TESTED_HALLPASS").unwrap_or_else(|_| built.to_owned());
        let mut command = Command::new(hallpass);
        command
            .args(arguments)
            .env_clear()
            .envs(outside.into_iter().flatten())
            .env("HOME", &self.home)
            .env("USERPROFILE", &self.home)
            .env("APPDATA", below("roaming"))
            .env("LOCALAPPDATA", below("local"))
            .env("XDG_CONFIG_HOME", below("config"))
            .env("XDG_CACHE_HOME", below("cache"))
            // A busy machine is no fault.
            .env("HALLPASS_KEYCHAIN_TIMEOUT", "60")
            .envs(self.environment.iter().cloned());
        command
    }
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("output in UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("messages in UTF-8"),
        }
    }
}

impl Ran {
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Failed with this code, said so, and printed nothing.
    #[track_caller]
    pub(crate) fn failure(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(self.stderr.contains("hallpass: error: "), "{self:?}");
        self
    }
}
