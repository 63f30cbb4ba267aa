//! The fixture of every test: a temporary home directory, an authorization server, and the real program.
//!
//! `tests/everywhere` and the benchmark use it too, so it works on every platform. What only some Unix
//! tests need is in `support.rs`.
#![allow(dead_code, reason = "each test binary needs a part of it")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use crate::server::{Reply, Request, Server};

/// The client secret of most tests. It has the characters that encodings often get wrong.
pub(crate) const SECRET: &str = "s3cr%t+w:th/a \"quote\" & = ü";
pub(crate) const CLIENT_ID: &str = "client:one";

/// The program under test: the release that `TESTED_HALLPASS` names by its absolute path, or the one
/// that cargo built with the tests.
pub(crate) static HALLPASS: LazyLock<String> =
    LazyLock::new(|| released().unwrap_or_else(|| env!("CARGO_BIN_EXE_hallpass").to_owned()));

/// The release under test, if `TESTED_HALLPASS` names one.
pub(crate) fn released() -> Option<String> {
    std::env::var("TESTED_HALLPASS").ok()
}

/// The variables that every program needs from the machine that runs the tests.
const INHERITED: &[&str] = if cfg!(windows) {
    &[
        "PATH",
        "SystemRoot",
        "SystemDrive",
        "COMSPEC",
        "TEMP",
        "TMP",
        "USERNAME",
        "USERDOMAIN",
        "COMPUTERNAME",
    ]
} else {
    &["PATH"]
};

/// If a run takes longer, the program is killed and the test fails.
pub(crate) const RUN_LIMIT: Duration = Duration::from_secs(60);

/// The computer of one test: a temporary home directory, the environment variables that hallpass gets,
/// and an authorization server, which starts when it is first used. There is no keychain unless
/// [`Machine::with_environment`] names one.
///
/// ```text
/// #[test]
/// fn a_cached_token_is_printed_without_a_request() {
///     let machine = Machine::new();
///     machine.login("prod", machine.server(), &["--scope", "read"]);
///     assert_eq!(machine.run(&["token", "prod"]).token(), "token-1");
///     assert_eq!(machine.server().requests().len(), 1, "only the login's");
///     let ran = machine.run(&["token", "other"]).failure(3);
///     assert!(ran.stderr.contains("other"), "{ran:?}");
/// }
/// ```
pub(crate) struct Machine {
    root: PathBuf,
    environment: BTreeMap<String, String>,
    server: OnceLock<Server>,
    /// Removes the directory at the end of the test.
    temporary: Option<TempDir>,
}

/// Building one.
impl Machine {
    pub(crate) fn new() -> Self {
        let temporary = TempDir::with_prefix("hallpass-test-").expect("a temporary directory");
        let mut machine = Self::in_directory(temporary.path());
        machine.temporary = Some(temporary);
        machine
    }

    /// In a directory that an earlier process may have used, and that is not removed at the end.
    pub(crate) fn in_directory(root: &Path) -> Self {
        fs::create_dir_all(root.join("home")).expect("a home directory");
        Self {
            root: root.to_owned(),
            environment: BTreeMap::new(),
            server: OnceLock::new(),
            temporary: None,
        }
    }

    /// With these environment variables, such as those of a keychain.
    pub(crate) fn with_environment(mut self, environment: Vec<(String, String)>) -> Self {
        self.environment.extend(environment);
        self
    }

    /// With cached tokens that are not encrypted, for a test that reads or changes them.
    pub(crate) fn with_plain_cache(mut self) -> Self {
        self.set("HALLPASS_CACHE", "plain");
        self
    }

    /// With this authorization server. Without it, the server numbers its tokens.
    pub(crate) fn with_server(mut self, server: Server) -> Self {
        self.server = OnceLock::from(server);
        self
    }

    /// Sets an environment variable for every later command.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn unset(&mut self, name: &str) -> &mut Self {
        self.environment.remove(name);
        self
    }
}

/// Running hallpass.
impl Machine {
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        finish(spawn(&mut self.hallpass(arguments)))
    }

    /// Runs hallpass with this on standard input.
    #[track_caller]
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Ran {
        let mut child = spawn(self.hallpass(arguments).stdin(Stdio::piped()));
        let mut stdin = child.stdin.take().expect("a pipe");
        // hallpass closes the pipe without reading it if it refuses the arguments.
        let _ = stdin.write_all(input.as_ref());
        drop(stdin);
        finish(child)
    }

    /// A command that runs hallpass, which the test changes and starts itself.
    pub(crate) fn hallpass(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&*HALLPASS);
        command.args(arguments);
        command
    }

    /// A command that runs any program, with the environment of this machine only.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().stdin(Stdio::null());
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("HOME", self.home());
        command.env("XDG_RUNTIME_DIR", self.root.join("no-runtime-directory"));
        if cfg!(windows) {
            command.env("USERPROFILE", self.home());
            command.env("APPDATA", self.home().join("roaming"));
            command.env("LOCALAPPDATA", self.home().join("local"));
        }
        command.envs(&self.environment);
        command
    }

    /// Logs in to `profile` at this server, with [`SECRET`] in a file.
    #[track_caller]
    pub(crate) fn login(&self, profile: &str, server: &Server, more: &[&str]) -> Ran {
        let secret = self.private_file("secret", SECRET.as_bytes());
        let secret = secret.to_str().expect("a path in UTF-8");
        let url = server.url("/oauth/token");
        let settings = ["--token-url", &url, "--client-id", CLIENT_ID];
        let login = ["login", profile, "--replace", "--secret-file", secret];
        self.run(&[&login, &settings[..], more].concat()).success()
    }

    /// Logs in to `profile` at this machine's server, with a secret that hallpass stores in the keychain.
    #[track_caller]
    pub(crate) fn login_to_keychain(&self, profile: &str, secret: &str) -> Ran {
        self.login_from(profile, &["--secret-stdin"], secret)
    }

    /// Logs in to `profile` at this machine's server. The options name the source of the secret, and
    /// `input` is on standard input.
    #[track_caller]
    pub(crate) fn login_from(
        &self,
        profile: &str,
        options: &[&str],
        input: impl AsRef<[u8]>,
    ) -> Ran {
        let url = self.server().url("/oauth/token");
        let login = [
            "login",
            profile,
            "--token-url",
            &url,
            "--client-id",
            CLIENT_ID,
        ];
        self.run_with_input(&[&login, options].concat(), input)
    }
}

/// What the server received.
impl Machine {
    /// This machine's authorization server. It listens from the first call on.
    pub(crate) fn server(&self) -> &Server {
        self.server.get_or_init(|| Server::start(numbered_tokens()))
    }

    /// The secrets of all requests with HTTP Basic, in their order.
    #[track_caller]
    pub(crate) fn secrets_sent(&self) -> Vec<String> {
        let mut requests = self.server().requests();
        requests.retain(|request| request.header("authorization").is_some());
        let secret = |request: &Request| request.basic_credentials().expect("credentials").1;
        requests.iter().map(secret).collect()
    }
}

/// Files and settings.
impl Machine {
    /// The directory with the home directory and the files of the test itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.home().join(if cfg!(windows) {
            "roaming/hallpass"
        } else if cfg!(target_os = "macos") {
            "Library/Application Support/hallpass"
        } else {
            ".config/hallpass"
        })
    }

    /// Makes a file of the cache so many hours old, and a minute.
    pub(crate) fn age_cached(&self, file: &str, hours: u64) {
        age(
            &self.cache().join(file),
            Duration::from_secs(hours * 3600 + 60),
        );
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.home().join(if cfg!(windows) {
            "local/hallpass"
        } else if cfg!(target_os = "macos") {
            "Library/Caches/hallpass"
        } else {
            ".cache/hallpass"
        })
    }

    /// Every file below the home directory, sorted.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut directories = vec![self.home()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("a readable directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() && !path.is_symlink() {
                    directories.push(path);
                } else {
                    files.push(path);
                }
            }
        }
        files.sort();
        files
    }

    /// The files with a cached token of this profile.
    pub(crate) fn entries(&self, profile: &str) -> Vec<PathBuf> {
        let below = self.cache().join(profile);
        let mut files = self.files();
        files.retain(|file| {
            file.starts_with(&below) && file.extension().is_some_and(|e| e == "json")
        });
        files
    }

    /// A file of the test that only its owner may read.
    pub(crate) fn private_file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.root.join(name);
        fs::write(&path, content).expect("a file");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        }
        path
    }

    /// The account of the profile's item in the keychain, as `status` shows it.
    #[track_caller]
    pub(crate) fn account(&self, profile: &str) -> String {
        let shown = self.run(&["status", profile, "--json"]).json();
        let place = shown["profiles"][0]["secret"]["place"].as_str();
        let account = place.and_then(|place| place.split_once(", account "));
        account.expect("an account").1.to_owned()
    }
}

/// How a process ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; -1 if a signal ended the process.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("output in UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("messages in UTF-8"),
        }
    }
}

impl Ran {
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Failed with this exit code and an error message, and printed nothing on standard output.
    #[track_caller]
    pub(crate) fn failure(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(self.stderr.contains("hallpass: error: "), "{self:?}");
        self
    }

    /// The standard output of a process that succeeded and printed no message, but perhaps that it waits:
    /// that depends on the machine's speed.
    #[track_caller]
    pub(crate) fn output(self) -> String {
        let is_wait = |line: &&str| line.starts_with("hallpass: waiting for ");
        let message = self.stderr.lines().find(|line| !is_wait(line));
        assert_eq!((self.code, message), (0, None), "{self:?}");
        self.stdout
    }

    /// The same, as the one line that a token is.
    #[track_caller]
    pub(crate) fn token(self) -> String {
        let output = self.output();
        output.strip_suffix('\n').expect("a line end").to_owned()
    }

    /// The same, as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.output()).expect("JSON")
    }
}

/// Starts a command whose output the test reads.
#[track_caller]
pub(crate) fn spawn(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("a program that starts")
}

/// Waits for the end of a process, and closes its standard input. If the process hangs, it is killed and
/// the test fails.
#[track_caller]
pub(crate) fn finish(mut child: Child) -> Ran {
    fn reader(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let mut content = Vec::new();
            if let Some(mut stream) = stream {
                stream.read_to_end(&mut content).expect("a readable stream");
            }
            content
        })
    }
    drop(child.stdin.take());
    let readers = [reader(child.stdout.take()), reader(child.stderr.take())];
    let deadline = Instant::now() + RUN_LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child process") {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().expect("a child process");
            panic!("the program hangs: killed after {RUN_LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(2));
    };
    let [stdout, stderr] = readers.map(|reader| reader.join().expect("a stream read whole"));
    Ran::from(Output {
        status,
        stdout,
        stderr,
    })
}

/// Reports that the running test, or a part of it, cannot be run on this machine. `tests/run` lists
/// these reports at its end.
pub(crate) fn skip(reason: &str) {
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let report = format!("skipped: {name}: {reason}\n");
    // Not with a macro: the test runner shows what those print only if the test fails.
    let _ = std::io::stderr().write_all(report.as_bytes());
    if let Some(list) = std::env::var_os("SKIPPED_TESTS") {
        let mut list = fs::File::options().append(true).open(list);
        let list = list.as_mut().expect("the list of skipped tests");
        list.write_all(report.as_bytes()).expect("a line in it");
    }
}

/// Makes a file so much older than now.
pub(crate) fn age(path: &Path, by: Duration) {
    let file = fs::File::options().append(true).open(path);
    let aged = file.and_then(|file| file.set_modified(SystemTime::now() - by));
    aged.expect("an older file");
}

/// A response for each request: `token-1`, `token-2`, ..., each valid for an hour.
pub(crate) fn numbered_tokens() -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let count = AtomicUsize::new(0);
    move |_| {
        let number = 1 + count.fetch_add(1, Ordering::SeqCst);
        Reply::token(&format!("token-{number}"), 3600)
    }
}
