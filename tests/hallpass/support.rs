//! A machine of one's own for each test: a home directory, an environment, and the real binary.
#![allow(dead_code, reason = "the benchmark needs a part of it")]

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::server::{Reply, Request, Server};

/// The secret of every client in these tests: it has what each encoding must get right.
pub(crate) const SECRET: &str = "s3cr%t+w:th/a \"quote\" & = ü";
pub(crate) const CLIENT_ID: &str = "client:one";

/// The hallpass that is tested: the one that `TESTED_HALLPASS` names (a release, by its absolute
/// path), else the one that cargo has built with these tests.
pub(crate) static HALLPASS: LazyLock<String> =
    LazyLock::new(|| released().unwrap_or_else(|| env!("CARGO_BIN_EXE_hallpass").to_owned()));

/// The release that is tested, if one is.
pub(crate) fn released() -> Option<String> {
    std::env::var("TESTED_HALLPASS").ok()
}

/// A home directory without a keychain, and what a process in it is told.
pub(crate) struct Machine {
    root: TempDir,
    environment: Vec<(String, String)>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let root = TempDir::with_prefix("hallpass-test-").expect("a temporary directory");
        fs::create_dir(root.path().join("home")).expect("a home directory");
        Self {
            root,
            environment: Vec::new(),
        }
    }

    /// A variable that every later command gets.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn with_environment(mut self, environment: Vec<(String, String)>) -> Self {
        self.environment.extend(environment);
        self
    }

    /// A directory beside the home directory, for a test's own files.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.home().join(".config/hallpass")
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.home().join(".cache/hallpass")
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

    /// A file that only its owner may read.
    pub(crate) fn private_file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.root.path().join(name);
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        path
    }

    /// A named pipe: who reads it and who writes to it wait for each other.
    pub(crate) fn pipe(&self, name: &str) -> PathBuf {
        let path = self.root.path().join(name);
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo starts").success());
        path
    }

    /// The binary, in this machine's environment alone.
    pub(crate) fn hallpass(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&*HALLPASS);
        command.args(arguments);
        command
    }

    /// Any program, in this machine's environment alone.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env(
                "XDG_RUNTIME_DIR",
                self.root.path().join("no-runtime-directory"),
            )
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.hallpass(arguments).output().expect("hallpass starts"))
    }

    /// Runs with this on standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut child = self
            .hallpass(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("hallpass starts");
        // A process that refuses its arguments does not read: then the pipe is closed.
        let _ = child.stdin.take().expect("a pipe").write_all(input);
        Ran::from(child.wait_with_output().expect("hallpass ends"))
    }

    /// So many more profiles beside `p`, each with a cached token and a URL of its own; and as many
    /// tokens of `p`.
    pub(crate) fn add_neighbours(&self, count: usize) {
        let only = |directory: PathBuf, extension: &str| {
            let files = fs::read_dir(directory).expect("a directory");
            let paths = files.map(|file| file.expect("a file").path());
            let mut paths = paths.filter(|path| path.extension().unwrap_or_default() == extension);
            paths.next().expect("a file of this kind")
        };
        let profile = fs::read(self.config().join("p.json")).expect("a profile");
        let list = fs::read(only(self.config().join("urls"), "")).expect("a list of URLs");
        let token = fs::read(only(self.cache().join("p"), "json")).expect("a token");
        for number in 0..count {
            let put = |path: PathBuf, content: &[u8]| fs::write(path, content).expect("a file");
            let key = format!("{number:064x}");
            let others = self.cache().join(format!("p{number}"));
            fs::create_dir(&others).expect("a directory");
            put(self.config().join(format!("p{number}.json")), &profile);
            put(self.config().join("urls").join(&key), &list);
            put(others.join(format!("{key}.json")), &token);
            put(self.cache().join(format!("p/{key}.json")), &token);
        }
    }

    /// Logs in to `profile` at this server, with the secret in a file.
    pub(crate) fn login(&self, profile: &str, server: &Server, more: &[&str]) -> Ran {
        let secret = self.private_file("secret", SECRET.as_bytes());
        let url = server.url("/oauth/token");
        let mut arguments = vec![
            "login",
            profile,
            "--replace",
            "--token-url",
            &url,
            "--client-id",
            CLIENT_ID,
        ];
        arguments.extend(["--secret-file", secret.to_str().expect("a path in UTF-8")]);
        arguments.extend(more);
        self.run(&arguments).success()
    }
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    /// -1 when a signal ended it.
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

    /// Failed with this code, said so in the style of all messages, and printed nothing.
    #[track_caller]
    pub(crate) fn failure(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(self.stderr.contains("hallpass: error: "), "{self:?}");
        self
    }

    /// The token that was printed, when there was nothing to say about it.
    #[track_caller]
    pub(crate) fn token(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{self:?}");
        self.stdout
            .strip_suffix('\n')
            .expect("a line end")
            .to_owned()
    }
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

/// An answer for each request: `token-1`, `token-2`, ..., each for an hour.
pub(crate) fn numbered_tokens() -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let count = std::sync::atomic::AtomicUsize::new(0);
    move |_| {
        let number = 1 + count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Reply::token(&format!("token-{number}"), 3600)
    }
}

/// Whom an ordinary user is when the superuser runs the tests: `nobody`.
const NOBODY: u32 = 65534;

/// Whether the tests are run by the superuser, whom no mode of a file stops.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A machine for [`as_ordinary_user`].
pub(crate) fn machine_of_ordinary_user() -> Machine {
    let machine = Machine::new();
    give_to_ordinary_user(machine.root());
    give_to_ordinary_user(&machine.home());
    machine
}

pub(crate) fn give_to_ordinary_user(path: &Path) {
    if is_root() {
        std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).expect("a new owner");
    }
}

/// The same command, run by a user whom modes and owners of files do stop. It has no standard input.
pub(crate) fn as_ordinary_user(command: &Command) -> Command {
    use std::os::unix::process::CommandExt as _;
    if !is_root() {
        return copy_of(command, Command::new(command.get_program()));
    }
    // By its descriptor: the directories on the way to the program may be closed to others.
    let program = fs::File::open(command.get_program()).expect("a program");
    let mut command = copy_of(command, Command::new("/proc/self/fd/0"));
    command.stdin(program).uid(NOBODY).gid(NOBODY);
    command
}

/// The same command as an argument of another one.
pub(crate) fn run_by(mut wrapper: Command, command: &Command) -> Command {
    wrapper.arg(command.get_program());
    copy_of(command, wrapper)
}

/// Its arguments and its environment.
fn copy_of(command: &Command, mut copy: Command) -> Command {
    copy.args(command.get_args())
        .env_clear()
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        copy.env(name, value.expect("a variable that is set"));
    }
    copy
}

/// Runs a command as the first process of a container, whose session began outside of it.
#[cfg(target_os = "linux")]
pub(crate) fn container() -> Command {
    let mut container = Command::new("unshare");
    container.args(["--pid", "--fork"]);
    if !is_root() {
        container.arg("--map-root-user");
    }
    container
}

/// A shell that becomes another command in a world of its own, where it may mount what it likes. Its
/// arguments are the command's, after those that it takes.
///
/// `unshare` on its own keeps new mounts apart only where `/` is a mount point, which it is not in a
/// chroot. `/proc` is one everywhere: a copy of the whole tree is mounted there and becomes `/`.
pub(crate) fn shell_with_own_mounts(script: &str) -> Command {
    const OWN_ROOT: &str = "mount --make-rprivate /proc; mount --rbind / /proc; \
        mount --make-rprivate /proc; exec chroot /proc sh -ec \"$@\"";
    let mut world = Command::new("unshare");
    world.args(["--mount", "--propagation", "unchanged"]);
    if !is_root() {
        world.arg("--map-root-user");
    }
    world.args(["sh", "-ec", OWN_ROOT, "sh", script, "sh"]);
    world
}

/// What a shell does first, before it becomes the command: `ulimit`, `umask`, redirections.
pub(crate) fn after_shell(line: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{line}; exec \"$0\" \"$@\"")]);
    run_by(shell, command)
}

#[track_caller]
pub(crate) fn ran(mut command: Command) -> Ran {
    Ran::from(command.output().expect("a program that starts"))
}

/// Longer than anything here takes: who is not done by then hangs.
const NEVER: Duration = Duration::from_secs(60);

/// The end of a process that may hang: then it is killed, and the test fails.
#[track_caller]
pub(crate) fn end_of(mut child: Child) -> Ran {
    let mut streams: [Option<Box<dyn std::io::Read + Send>>; 2] = [
        child.stdout.take().map(|stream| Box::new(stream) as _),
        child.stderr.take().map(|stream| Box::new(stream) as _),
    ];
    let readers = streams.each_mut().map(Option::take).map(|stream| {
        thread::spawn(move || {
            let mut content = Vec::new();
            if let Some(mut stream) = stream {
                stream.read_to_end(&mut content).expect("a readable stream");
            }
            content
        })
    });
    let deadline = Instant::now() + NEVER;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a process of ours") {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().expect("a process of ours");
            panic!("hallpass hangs: killed after {NEVER:?}");
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

impl Machine {
    /// Runs what may hang: then it is killed, and the test fails.
    #[track_caller]
    pub(crate) fn run_to_its_end(&self, arguments: &[&str]) -> Ran {
        let mut command = self.hallpass(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        end_of(command.spawn().expect("hallpass starts"))
    }
}
