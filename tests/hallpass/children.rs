//! The programs that hallpass starts: only those that the user set up, without a secret in their environment and without
//! a descriptor of hallpass.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use crate::machine::{CLIENT_ID, Machine};
use crate::material::Material;

/// How code gets the command of a program, and how a use of [`SECRET_RUN`] does.
const STARTS: [&str; 5] = [
    "Command::new(",
    "program::as_called(",
    "program::command(",
    "program::shell(",
    "program::shell_around_hallpass(",
];

/// How code runs a command for a secret or a signature.
const SECRET_RUN: &str = "Run {";

/// Each file that starts a program, how often, and the tests below that look at the program.
const PLACES: [(&str, usize, &[&str]); 15] = [
    // The command line of clap, which starts nothing.
    ("src/cli/completing.rs", 2, &[]),
    ("src/commands/doctor/tools/git.rs", 1, &["doctor"]),
    ("src/commands/exec.rs", 1, &["exec"]),
    ("src/commands/keep/after.rs", 2, &["keep", "keep-shell"]),
    ("src/commands/serve/program.rs", 1, &["serve"]),
    // Whether there is such a program: it is not started.
    ("src/commands/setup/all.rs", 1, &[]),
    ("src/commands/setup/check.rs", 1, &["setup-check"]),
    ("src/commands/setup/go.rs", 1, &["setup-go"]),
    // A test.
    ("src/oauth/response/changed.rs", 1, &[]),
    // The commands that all others use.
    ("src/platform/program.rs", 2, &[]),
    ("src/platform/program/unix.rs", 1, &[]),
    ("src/secrets/command.rs", 2, &["secret", "secret-shell"]),
    ("src/secrets/identity.rs", 1, &["identity"]),
    ("src/secrets/share.rs", 1, &["share-password", "share-key"]),
    ("src/secrets/sign_command.rs", 1, &["sign"]),
];

/// Other ways to start a program. None is used.
const OTHER_STARTS: [&str; 5] = [
    "posix_spawn",
    "fork(",
    "execv",
    "libc::system",
    "process::Command as",
];

/// In the environment of the tool that `setup --write` tries: it runs hallpass, which may need the secret.
const RUNS_HALLPASS: &str = "GIT_ASKPASS=false";

/// `setup` reads no profile, so it does not know which variables have a secret of one.
const KNOWS_NO_PROFILE: &str = "setup-go";

/// Variables with a secret, and their values. The last one is the profile's own, which its other commands
/// may see.
const SECRETS: [(&str, &str); 4] = [
    ("HALLPASS_CLIENT_SECRET", "of-the-environment"),
    ("HALLPASS_SHARE_KEY", "of-the-shared-cache"),
    ("HALLPASS_SHARE_PASSWORD", "for-the-shared-cache"),
    ("OWN_SECRET", "of-the-profile"),
];

/// The commands that print a secret or a signature, and what they print.
const SECRET_COMMANDS: [(&str, &str); 6] = [
    ("secret", "echo a-secret"),
    ("secret-shell", "echo a-secret"),
    ("identity", "echo e30.e30.x"),
    ("share-password", "echo a-password"),
    ("share-key", "echo 0123456789abcdef0123456789abcdef"),
    ("sign", "exec openssl dgst -sha256 -sign \"$KEY\""),
];

/// The tools that `doctor` and `setup` run, and the calls that do.
const TOOLS: [(&str, &str, &[&str]); 3] = [
    ("doctor", "git", &["doctor", "p", "--offline"]),
    ("setup-go", "go", &["setup", "go", "--write"]),
    ("setup-check", "git", &["setup", "git", "--write"]),
];

/// The programs that a call is for.
const CALLS: [&str; 4] = ["exec", "serve", "keep", "keep-shell"];

#[test]
fn every_place_that_starts_a_program_has_a_test() {
    let found = places(Path::new("src"));
    let expected = PLACES.map(|(file, count, _)| (file.to_owned(), count));
    assert_eq!(found, BTreeMap::from(expected));
    let mut tests: Vec<_> = PLACES.iter().flat_map(|(_, _, tests)| *tests).collect();
    let mut tested: Vec<_> = SECRET_COMMANDS.iter().map(|(test, _)| test).collect();
    tested.extend(TOOLS.iter().map(|(test, ..)| test));
    tested.extend(&CALLS);
    tests.sort();
    tested.sort();
    assert_eq!(tests, tested);
}

/// How often each file of Linux starts a program.
fn places(directory: &Path) -> BTreeMap<String, usize> {
    let mut places = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.display().to_string();
        if path.is_dir() {
            places.append(&mut self::places(&path));
            continue;
        }
        if path.extension().is_none_or(|it| it != "rs") {
            continue;
        }
        let is_of_another_system = name.contains("windows") || name.contains("macos");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let code = text.split("#[cfg(test)]\nmod tests {").next();
        let code = code
            .unwrap_or_default()
            .split("#[cfg(all(test")
            .next()
            .unwrap_or_default();
        let of = |start: &&str| code.matches(start).count();
        let runs = usize::from(name.starts_with("src/secrets")) * count_runs(code);
        let count = STARTS.iter().map(of).sum::<usize>() + runs;
        if !is_of_another_system && !name.contains("tests") && count > 0 {
            places.insert(name.clone(), count);
        }
        let lines = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let other = lines.filter(|line| OTHER_STARTS.iter().any(|it| line.contains(it)));
        assert_eq!(other.collect::<Vec<_>>(), [""; 0], "{name}");
    }
    places
}

/// Values of `Run`, but not its definition.
fn count_runs(code: &str) -> usize {
    let lines = code
        .lines()
        .filter(|line| line.trim_end().ends_with(&format!("= {SECRET_RUN}")));
    lines.count()
}

/// What the programs of one test write down about themselves.
struct Recorder {
    machine: Machine,
    script: PathBuf,
}

impl Recorder {
    /// Its script prints what `output` is, after it wrote down how it was started.
    fn new(output: &str) -> Self {
        let mut machine = Machine::new();
        let seen = machine.root().join("seen");
        fs::create_dir(&seen).expect("a directory");
        let script = format!(
            "#!/bin/sh\ncat /proc/$$/environ >{seen}/$$.environment\n\
             ls -l /proc/self/fd >{seen}/$$.descriptors\n{output}\n",
            seen = seen.display()
        );
        let script = machine.private_file("recorder", script.as_bytes());
        fs::set_permissions(&script, Permissions::from_mode(0o700)).expect("a mode");
        for (name, value) in SECRETS {
            machine.set(name, value);
        }
        Self { machine, script }
    }

    fn script(&self) -> &str {
        self.script.to_str().expect("UTF-8")
    }

    /// Puts the script into the PATH under this name.
    fn call_it(&mut self, name: &str) {
        let directory = self.machine.root().join("bin");
        fs::create_dir_all(&directory).expect("a directory");
        std::os::unix::fs::symlink(&self.script, directory.join(name)).expect("a link");
        let path = format!(
            "{}:{}",
            directory.display(),
            std::env::var("PATH").expect("a path")
        );
        self.machine.set("PATH", &path);
    }

    /// Something was started, and got nothing that it should not have.
    #[track_caller]
    fn check(&self, test: &str) {
        // What the caller of hallpass has open is not for hallpass to close.
        let seen = self.machine.root().join("seen");
        let started = recorded(&seen);
        let mut directly = self.machine.command(&self.script);
        assert!(directly.output().expect("a script").status.success());
        let of_caller = descriptors(&recorded(&seen)[0].1, test);
        assert!(!started.is_empty(), "{test}: no program was started");
        for (environment, listing) in started {
            assert_no_secret(&environment, test);
            assert_eq!(descriptors(&listing, test), of_caller, "{test}: {listing}");
        }
    }
}

/// The environment and the open descriptors of each program that was started, which are forgotten then.
fn recorded(directory: &Path) -> Vec<(String, String)> {
    let mut recorded = Vec::new();
    for file in fs::read_dir(directory).expect("a directory") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|it| it == "environment") {
            let other = path.with_extension("descriptors");
            let texts = [&path, &other].map(|path| fs::read(path).expect("a file"));
            let [environment, listing] =
                texts.map(|text| String::from_utf8_lossy(&text).into_owned());
            recorded.push((environment, listing));
            for path in [path, other] {
                fs::remove_file(path).expect("a file");
            }
        }
    }
    recorded
}

fn assert_no_secret(environment: &str, test: &str) {
    assert!(environment.contains("HOME="), "{test}: {environment}");
    if environment.contains(RUNS_HALLPASS) {
        return;
    }
    let commands = SECRET_COMMANDS.iter().map(|(test, _)| *test);
    let mut sees_own = commands.chain([KNOWS_NO_PROFILE]);
    let count = SECRETS.len() - usize::from(sees_own.any(|it| it == test));
    let hidden = &SECRETS[..count];
    for (name, value) in hidden {
        assert!(!environment.contains(name), "{test}: {environment}");
        assert!(!environment.contains(value), "{test}: {environment}");
    }
}

/// The numbers of the descriptors, with the one of the directory that `ls` reads.
fn descriptors(listing: &str, test: &str) -> Vec<String> {
    let lines = listing.lines().filter_map(|line| line.split_once(" -> "));
    let numbers = lines.map(|(entry, _)| entry.rsplit(' ').next().unwrap_or_default());
    let numbers: Vec<_> = numbers.map(str::to_owned).collect();
    for stream in ["0", "1", "2"] {
        assert!(numbers.iter().any(|it| it == stream), "{test}: {listing}");
    }
    numbers
}

fn login<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let login = [
        "login",
        "p",
        "--replace",
        "--token-url",
        url,
        "--client-id",
        CLIENT_ID,
    ];
    [&login[..], more].concat()
}

#[test]
fn a_command_for_a_secret_gets_no_other_secret_and_no_descriptor() {
    let material = Material::new();
    let public = material.argument("rsa.pub");
    let secret = ["--secret-env", "OWN_SECRET"];
    // It closes each connection, which is no reason to fail.
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closing = format!("redis://{}", server.local_addr().expect("its address"));
    thread::spawn(move || server.incoming().for_each(drop));
    for (test, output) in SECRET_COMMANDS {
        let mut recorder = Recorder::new(output);
        recorder.machine.set("KEY", &material.argument("rsa.pem"));
        let machine = &recorder.machine;
        let url = machine.server().url("/oauth/token");
        let script = recorder.script();
        let (line, option) = (format!("!true; {script}"), format!("command:{script}"));
        let share = ["--share", &closing, "--share-user", "u"];
        let more = match test {
            "secret" => vec!["--secret-command", script],
            "secret-shell" => vec!["--secret-command", &line],
            "identity" => vec!["--identity", &option],
            "share-password" => [&secret[..], &share, &["--share-password", &option]].concat(),
            "share-key" => [&secret[..], &share[..2], &["--share-key", &option]].concat(),
            _ => vec![
                "--auth",
                "private_key_jwt",
                "--jwt-sign-command",
                script,
                "--jwt-public",
                &public,
                "--jwt-alg",
                "RS256",
            ],
        };
        machine.run(&login(&url, &more)).success();
        machine.run(&["token", "p", "--refresh"]).success();
        recorder.check(test);
    }
}

#[test]
fn a_tool_gets_no_secret_and_no_descriptor() {
    for (test, program, command) in TOOLS {
        let mut recorder = Recorder::new("true");
        recorder.call_it(program);
        let machine = &recorder.machine;
        let url = machine.server().url("/oauth/token");
        let secret = ["--secret-env", "OWN_SECRET"];
        let bound = ["--for", "https://git.example/"];
        machine
            .run(&login(&url, &[secret, bound].concat()))
            .success();
        // The tool does not work.
        machine.run(command);
        recorder.check(test);
    }
}

#[test]
fn a_program_that_a_call_is_for_gets_no_secret_and_no_descriptor() {
    for test in CALLS {
        let recorder = Recorder::new("true");
        let machine = &recorder.machine;
        let url = machine.server().url("/oauth/token");
        let secret = ["--secret-env", "OWN_SECRET"];
        let bound = ["--for", "https://api.example/"];
        machine
            .run(&login(&url, &[secret, bound].concat()))
            .success();
        let (script, line) = (recorder.script(), format!("!{}", recorder.script()));
        let target = format!("p={}", machine.root().join("token").display());
        let command = match test {
            "exec" => vec!["exec", "--", script],
            "serve" => vec!["serve", "p", "--", script],
            "keep" => vec!["keep", &target, "--once", "--exec", script],
            _ => vec!["keep", &target, "--once", "--exec", &line],
        };
        // With a cached token, and with a new one.
        machine.run(&command).success();
        fs::remove_dir_all(machine.cache()).expect("a cache");
        machine.run(&command).success();
        recorder.check(test);
    }
}
