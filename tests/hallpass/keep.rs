//! Files that `hallpass keep` keeps: what is in them at every moment, and what becomes of failures.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::machine::{CLIENT_ID, Machine, SECRET};
use crate::server::{Gate, Reply, Request, Server, holding};
use crate::support::{after_shell, run_by};
use crate::time::command_from;

const NOON: &str = "2030-01-01 12:00:00";
const NOON_UNIX: u64 = 1_893_499_200;
const LIFE: u64 = 300;

/// A keeper that runs.
struct Keeper {
    process: Child,
    messages: Lines<BufReader<ChildStderr>>,
}

impl Keeper {
    #[track_caller]
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("a keeper that starts");
        let messages = process.stderr.take().expect("a pipe");
        Self {
            process,
            messages: BufReader::new(messages).lines(),
        }
    }

    /// The next line on standard error.
    fn message(&mut self) -> String {
        let line = self.messages.next().expect("a message");
        line.expect("a line")
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.process.id()).expect("a process ID");
        kill_process(Pid::from_raw(id).expect("a process"), signal).expect("it runs");
    }

    /// Ends it as a service manager does, and returns its other messages.
    #[track_caller]
    fn end(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        let messages = self.messages.by_ref().map(|line| line.expect("a line"));
        let messages = messages.collect();
        let status = self.process.wait().expect("a child process");
        assert_eq!(status.code(), Some(0), "{messages:?}");
        messages
    }
}

/// The seconds of a clock that goes on by itself.
fn now(clock: &Path) -> u64 {
    let bytes = fs::read(clock).unwrap_or_default();
    bytes.try_into().map_or(NOON_UNIX, u64::from_ne_bytes)
}

/// A token that says when it expires, and that is long enough to be seen in parts.
fn token_until(expiry: u64) -> String {
    format!("{expiry}-{}", "t".repeat(5000))
}

/// A machine with a profile `p`, and the path of its clock. `answer` gets the time.
fn machine_with_clock(answer: impl Fn(u64) -> Reply + Send + Sync + 'static) -> (Machine, PathBuf) {
    let machine = Machine::new();
    let clock = machine.root().join("clock");
    let shown = clock.clone();
    let machine = machine.with_server(Server::start(move |_: &Request| answer(now(&shown))));
    machine.login("p", machine.server(), &["--no-verify"]);
    (machine, clock)
}

/// `KEPT_HOURS` sets how long.
#[test]
fn a_reader_always_finds_a_whole_token_that_is_valid_and_no_request_is_wasted() {
    let hours = std::env::var("KEPT_HOURS").map_or(4, |hours| hours.parse().expect("a number"));
    let (machine, clock) = machine_with_clock(|now| Reply::token(&token_until(now + LIFE), LIFE));
    let file = machine.root().join("token");
    let target = format!("p={}", file.display());
    let mut keep = machine.hallpass(&["keep", &target, "--exec", "echo changed"]);
    keep = command_from(NOON, &clock, &keep);
    let mut keeper = Keeper::start(keep);
    assert_eq!(keeper.message(), "changed");
    let end = NOON_UNIX + hours * 60 * 60;
    let mut reads = 0;
    loop {
        let before = now(&clock);
        if before >= end {
            break;
        }
        let token = fs::read_to_string(&file).expect("a token");
        let (expiry, _) = token.split_once('-').expect("a whole token");
        let expiry = expiry.parse().expect("a number");
        assert_eq!(token, token_until(expiry), "in parts");
        assert!(expiry > before, "expired");
        reads += 1;
    }
    // The debugger gives the clock, not the keeper, the signal.
    keeper.process.kill().expect("it runs");
    let requests = machine.server().requests().len() as u64;
    // Renewed 75 s before its end: a quarter more than the margin.
    let wanted = (hours * 60 * 60).div_ceil(LIFE - 75);
    assert!(requests.abs_diff(wanted) <= 1, "{requests}, {wanted}");
    let figures = format!("{reads} reads, {requests} requests in {hours} h\n");
    std::io::stderr()
        .write_all(figures.as_bytes())
        .expect("standard error");
}

#[test]
fn an_outage_leaves_the_file_as_it_is_and_is_reported_once() {
    let down = NOON_UNIX + 200..NOON_UNIX + 900;
    let (machine, clock) = machine_with_clock(move |now| {
        if down.contains(&now) {
            Reply::json(503, "{}")
        } else {
            Reply::token(&format!("until-{}", now + LIFE), LIFE)
        }
    });
    let file = machine.root().join("token");
    let target = format!("p={}", file.display());
    let keep = machine.hallpass(&["keep", &target, "--exec", "echo changed"]);
    let mut keeper = Keeper::start(command_from(NOON, &clock, &keep));
    let mut messages = Vec::new();
    while messages.iter().filter(|line| *line == "changed").count() < 2 {
        messages.push(keeper.message());
        if messages.len() == 2 {
            let kept = fs::read_to_string(&file).expect("the old token");
            assert_eq!(kept, format!("until-{}", NOON_UNIX + LIFE));
        }
    }
    messages.push(keeper.message());
    keeper.process.kill().expect("it runs");
    let path = file.display();
    assert_eq!(messages.len(), 4, "{messages:#?}");
    let begins = format!("hallpass: warning: {path} was not renewed: ");
    assert!(messages[1].starts_with(&begins), "{messages:#?}");
    assert_eq!(messages[3], format!("hallpass: {path} is renewed again"));
    // The pauses double up to a minute, and an attempt sends its request up to three times.
    let requests = machine.server().requests().len();
    assert!(requests < 3 * 20, "{requests}");
}

#[test]
fn a_file_is_written_as_the_options_say_and_only_if_it_changes() {
    let machine = Machine::new();
    machine.login("p", machine.server(), &[]);
    let file = machine.root().join("token");
    let target = format!("p={}", file.display());
    let once = |more: &[&str]| {
        let ran = machine.run(&[&["keep", &target, "--once"], more].concat());
        ran.success().stderr
    };
    let content = || fs::read_to_string(&file).expect("a file");
    let mode = || fs::metadata(&file).expect("a file").permissions().mode() & 0o7777;
    assert_eq!(once(&[]), "");
    assert_eq!((content().as_str(), mode()), ("token-1", 0o600));
    let before = fs::metadata(&file).expect("a file");
    assert_eq!(once(&["--exec", "echo changed"]), "");
    assert_eq!(fs::metadata(&file).expect("a file").ino(), before.ino());

    let group = before.gid().to_string();
    for (options, text, bits) in [
        (&["--mode", "444"][..], "token-1", 0o444),
        (&["--group", &group], "token-1", 0o640),
        (&[], "token-1", 0o600),
        (
            &["--template", "Bearer {token}\n"],
            "Bearer token-1\n",
            0o600,
        ),
        (
            &["--template", r#"{"t":{token}}"#],
            r#"{"t":"token-1"}"#,
            0o600,
        ),
    ] {
        let printed = once(&[options, &["--exec", "echo changed"]].concat());
        assert_eq!(printed, "changed\n", "{options:?}");
        assert_eq!((content().as_str(), mode()), (text, bits), "{options:?}");
    }
    // A command that failed is run again, by the next process as well.
    fs::remove_file(&file).expect("a file");
    for expected in [6, 6] {
        let failing = ["keep", &target, "--once", "--exec", "false"];
        assert_eq!(machine.run(&failing).code, expected);
    }
    assert_eq!(once(&["--exec", "echo changed"]), "changed\n");
    assert_eq!(once(&["--exec", "echo changed"]), "");
    // A command with a shell, which gets no secret.
    fs::remove_file(&file).expect("a file");
    let line = "!echo \"$HOME ${HALLPASS_CLIENT_SECRET-none}\"";
    let home = machine.home();
    assert_eq!(
        once(&["--exec", line]),
        format!("{} none\n", home.display())
    );
    assert_eq!(machine.server().requests().len(), 1);
}

#[test]
fn a_file_is_not_kept_where_another_program_or_user_could_take_its_place() {
    let machine = Machine::new();
    machine.login("p", machine.server(), &[]);
    let root = machine.root();
    std::os::unix::fs::symlink("elsewhere", root.join("link")).expect("a link");
    fs::create_dir(root.join("open")).expect("a directory");
    fs::set_permissions(root.join("open"), fs::Permissions::from_mode(0o777)).expect("its mode");
    machine.pipe("pipe");
    for (file, reason) in [
        ("link", "it is a symbolic link"),
        ("pipe", "it is not a regular file"),
        ("home", "it is not a regular file"),
        ("open/token", "everybody may replace files in its directory"),
        ("missing/token", "its directory cannot be used"),
    ] {
        let target = format!("p={}", root.join(file).display());
        let ran = machine.run(&["keep", &target, "--once"]).failure(2);
        assert!(ran.stderr.contains(reason), "{file}: {ran:?}");
    }
    let target = format!("p={}", root.join("token").display());
    machine
        .run(&["keep", &target, &target, "--once"])
        .failure(2);
    let group = ["keep", &target, "--group", "no-such-group"];
    machine.run(&group).failure(2);
    let ran = machine.run(&["keep", "none=/x/token", "--once"]).failure(3);
    assert!(ran.stderr.contains("none"), "{ran:?}");

    // Another keeper.
    let target = format!("p={}", root.join("token").display());
    let mut keeper = Keeper::start(machine.hallpass(&["keep", &target, "--exec", "echo changed"]));
    assert_eq!(keeper.message(), "changed");
    let ran = machine.run(&["keep", &target]).failure(2);
    let process = format!("process {} keeps", keeper.process.id());
    assert!(ran.stderr.contains(&process), "{ran:?}");
    keeper.end();
    // A lock that others can hold.
    let lock = root.join(".token.lock");
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o666)).expect("its mode");
    let ran = machine.run(&["keep", &target, "--once"]).failure(2);
    assert!(
        ran.stderr.contains("can be written by other users"),
        "{ran:?}"
    );
}

#[test]
fn a_server_that_does_not_respond_delays_neither_another_file_nor_the_end() {
    let gate = Gate::new();
    let slow = Server::start(holding(&gate));
    let machine = Machine::new().with_server(Server::start(short_tokens()));
    machine.login("slow", &slow, &["--no-verify", "--scope", "wait"]);
    machine.login("quick", machine.server(), &["--no-verify"]);
    let file = machine.root().join("quick");
    let targets = ["slow", "quick"].map(|name| {
        let path = machine.root().join(name);
        format!("{name}={}", path.display())
    });
    let exec = ["--exec", "echo changed"];
    let arguments = [&["keep", &targets[0], &targets[1]][..], &exec].concat();
    let mut keeper = Keeper::start(machine.hallpass(&arguments));
    slow.wait_for_requests(1);
    for _ in 0..3 {
        assert_eq!(keeper.message(), "changed");
    }
    assert!(file.exists());
    // The first request is still waiting.
    keeper.end();
    assert_eq!(slow.requests().len(), 1);
    gate.open();
}

/// Network time can set the clock while hallpass does not wait. A timer is not accepted then, and is set
/// nevertheless (`timerfd_create(2)`: `TFD_TIMER_CANCEL_ON_SET`).
#[test]
fn a_keeper_goes_on_after_the_clock_was_set() {
    let machine = Machine::new().with_server(Server::start(short_tokens()));
    machine.login("p", machine.server(), &["--no-verify"]);
    let target = format!("p={}", machine.root().join("token").display());
    let keep = machine.hallpass(&["keep", &target, "--exec", "!echo $PPID"]);
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=timerfd_settime",
    ]);
    strace.args(["-e", "inject=timerfd_settime:error=ECANCELED:when=1+2"]);
    let mut keeper = Keeper::start(run_by(strace, &keep));
    let id = keeper.message();
    for _ in 0..2 {
        assert_eq!(keeper.message(), id);
    }
    // The debugger would leave it.
    let id = id
        .parse()
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process ID");
    kill_process(id, Signal::TERM).expect("it runs");
    assert!(keeper.process.wait().expect("a child process").success());
}

/// The command does not get a secret that is in the environment, also not if it was not needed.
#[test]
fn the_command_after_a_change_gets_no_secret() {
    let mut machine = Machine::new();
    machine
        .set("CLIENT", SECRET)
        .set("HALLPASS_CLIENT_SECRET", SECRET);
    let url = machine.server().url("/oauth/token");
    let login = ["login", "p", "--token-url", &url, "--client-id", CLIENT_ID];
    machine
        .run(&[&login[..], &["--secret-env", "CLIENT"]].concat())
        .success();
    let target = format!("p={}", machine.root().join("token").display());
    let ran = machine
        .run(&["keep", &target, "--once", "--exec", "env"])
        .success();
    assert!(ran.stderr.contains("HOME="), "{ran:?}");
    assert!(!ran.stderr.contains("CLIENT"), "{ran:?}");
}

/// Tokens that are renewed after a second: `token-1`, `token-2`, ...
fn short_tokens() -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let count = AtomicUsize::new(0);
    move |_| Reply::token(&format!("token-{}", count.fetch_add(1, SeqCst)), 2)
}

#[test]
fn a_keeper_is_a_service_that_reports_reloads_and_ends() {
    let machine = Machine::new();
    machine.login("p", machine.server(), &[]);
    let address = machine.root().join("notify");
    let manager = UnixDatagram::bind(&address).expect("a socket");
    let reported = || {
        let mut state = [0; 200];
        let length = manager.recv(&mut state).expect("a state");
        String::from_utf8_lossy(&state[..length]).into_owned()
    };
    let file = machine.root().join("token");
    let target = format!("p={}", file.display());
    let mut keep = machine.hallpass(&["keep", &target, "--remove", "--exec", "echo changed"]);
    keep.env("NOTIFY_SOCKET", &address);
    let mut keeper = Keeper::start(keep);
    assert_eq!(keeper.message(), "changed");
    let ready = "STATUS=all files have valid tokens\nREADY=1\n";
    assert_eq!(reported(), ready);

    let token = machine.run(&["token", "p", "--refresh"]).token();
    keeper.signal(Signal::HUP);
    assert_eq!(keeper.message(), "changed");
    assert_eq!(fs::read_to_string(&file).expect("a token"), token);
    assert_eq!(reported(), "STATUS=all files have valid tokens\n");
    assert_eq!(machine.server().requests().len(), 2);

    assert_eq!(keeper.end(), [""; 0]);
    assert_eq!(reported(), "STOPPING=1");
    assert!(!file.exists());
}

/// A timer of the wall clock counts a suspend. Here only the process is stopped.
#[test]
fn a_keeper_that_was_suspended_renews_at_once() {
    let machine = Machine::new().with_server(Server::start(|_: &Request| {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // The first ones would expire during the pause, the later ones last for the rest of the test.
        let count = COUNT.fetch_add(1, SeqCst);
        let life = if count < 2 { 4 } else { 3600 };
        Reply::token(&format!("token-{count}"), life)
    }));
    machine.login("p", machine.server(), &[]);
    let file = machine.root().join("token");
    let target = format!("p={}", file.display());
    let keep = machine.hallpass(&["keep", &target, "--exec", "echo changed"]);
    let mut keeper = Keeper::start(keep);
    assert_eq!(keeper.message(), "changed");
    keeper.signal(Signal::STOP);
    // The time that passes is the subject of this test.
    std::thread::sleep(Duration::from_secs(3));
    keeper.signal(Signal::CONT);
    assert_eq!(keeper.message(), "changed");
    keeper.end();
}

#[test]
fn a_keeper_that_is_killed_leaves_no_part_of_a_file_for_long() {
    let machine = Machine::new();
    machine.login("p", machine.server(), &[]);
    let directory = machine.root().join("tokens");
    fs::create_dir(&directory).expect("a directory");
    fs::write(directory.join(".token.tmp-a1b2c3"), "tok").expect("a part");
    fs::write(directory.join(".other.tmp-a1b2c3"), "oth").expect("a part");
    let target = format!("p={}", directory.join("token").display());
    machine.run(&["keep", &target, "--once"]).success();
    let mut names: Vec<_> = fs::read_dir(&directory)
        .expect("a directory")
        .map(|file| {
            file.expect("a file")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    assert_eq!(names, [".other.tmp-a1b2c3", ".token.lock", "token"]);

    // Nothing larger than nothing can be written.
    machine.run(&["token", "p", "--refresh"]).success();
    let keep = machine.hallpass(&["keep", &target, "--once"]);
    let full = after_shell("ulimit -f 0", &keep).output().expect("it runs");
    assert_eq!(full.status.code(), Some(1), "{full:?}");
    let kept = fs::read_to_string(directory.join("token"));
    assert_eq!(kept.expect("the old token"), "token-1");
}
