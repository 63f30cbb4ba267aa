//! Many callers at once: one request for all of them, however it ends, and no wait without a limit.

mod changes;
mod failures;
mod tokens;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::machine::{Machine, Ran};
use crate::server::{Reply, Request, Server};

/// How many callers a crowd has by default.
const CROWD: usize = 200;

/// How long a test waits for what should come soon, before it fails.
const WAIT_LIMIT: Duration = Duration::from_secs(120);

/// Processes that were started together.
pub(crate) struct Crowd {
    members: Vec<Child>,
    /// The output of each: files, because so many pipes would use up our descriptors.
    outputs: TempDir,
}

impl Crowd {
    pub(crate) fn start(machine: &Machine, count: usize, arguments: &[&str]) -> Crowd {
        Crowd::start_with(count, || machine.hallpass(arguments))
    }

    fn start_with(count: usize, command: impl Fn() -> Command) -> Crowd {
        let outputs = TempDir::with_prefix("hallpass-crowd-").expect("a temporary directory");
        let file = |name: String| File::create(outputs.path().join(name)).expect("a file");
        let mut crowd = Vec::new();
        for number in 0..count {
            let mut command = command();
            command.stdout(file(format!("{number}.out")));
            command.stderr(file(format!("{number}.err")));
            let program = command.get_program().display().to_string();
            let child = command.spawn();
            crowd.push(child.unwrap_or_else(|error| {
                panic!("cannot run {program}: {error} (Debian package: strace)")
            }));
        }
        Crowd {
            members: crowd,
            outputs,
        }
    }

    /// Returns when this many of them wait for a lock.
    fn wait_for_waiters(&self, count: usize) {
        let ids: BTreeSet<_> = self
            .members
            .iter()
            .map(|child| child.id().to_string())
            .collect();
        wait_until(&format!("{count} processes wait"), || {
            let locks = fs::read_to_string("/proc/locks").expect("the kernel's list of locks");
            let waiting = locks.lines().filter_map(|line| line.split_once("-> "));
            let waiting = waiting.filter_map(|(_, lock)| lock.split_whitespace().nth(3));
            waiting.filter(|id| ids.contains(*id)).count() >= count
        });
    }

    fn signal(&self, signal: Signal) {
        for child in &self.members {
            let id = Pid::from_child(child);
            kill_process(id, signal).expect("a process that runs");
        }
    }

    fn kill(&mut self) {
        for child in &mut self.members {
            child.kill().expect("a process that runs");
            child.wait().expect("its end");
        }
        self.members.clear();
    }

    /// Their results, in the order of their start.
    fn ended(mut self) -> Vec<Ran> {
        let read = |name: String| {
            fs::read_to_string(self.outputs.path().join(name)).expect("the output of a process")
        };
        let mut ended = Vec::new();
        for (number, child) in self.members.iter_mut().enumerate() {
            let mut code = None;
            wait_until("a process ends", || {
                code = child.try_wait().expect("a child process");
                code.is_some()
            });
            ended.push(Ran {
                code: code.and_then(|status| status.code()).unwrap_or(-1),
                stdout: read(format!("{number}.out")),
                stderr: read(format!("{number}.err")),
            });
        }
        self.members.clear();
        ended
    }

    /// The distinct tokens that they printed. All succeeded, without a message.
    pub(crate) fn tokens(self) -> BTreeSet<String> {
        self.ended().into_iter().map(Ran::token).collect()
    }

    /// The distinct messages that they failed with.
    fn failures(self, code: i32) -> BTreeSet<String> {
        let failure = |ran: Ran| ran.failure(code).stderr;
        self.ended().into_iter().map(failure).collect()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.members {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// These responses first, then tokens with the number of their request.
fn first(
    replies: impl IntoIterator<Item = Reply>,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let replies: Vec<_> = replies.into_iter().collect();
    let count = AtomicUsize::new(0);
    move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let numbered = || Reply::token(&format!("token-{}", number + 1), 3600);
        replies.get(number).cloned().unwrap_or_else(numbered)
    }
}

fn refusal() -> Reply {
    Reply::json(
        401,
        r#"{"error": "invalid_client", "error_description": "no such client"}"#,
    )
}

fn logged_in(server: &Server) -> Machine {
    let machine = Machine::new();
    machine.login("p", server, &[]);
    machine
}

fn log_in_unverified(machine: &Machine, server: &Server) {
    machine.login("p", server, &["--no-verify"]);
}

/// The arguments of a login of this client, whatever client the profile has.
fn login_as<'a>(url: &'a str, client: &'a str) -> [&'a str; 7] {
    let [at, by] = ["--token-url", "--client-id"];
    ["login", "p", "--replace", at, url, by, client]
}

fn parameter(request: &Request, name: &str) -> Option<String> {
    let mut form = request.form().into_iter();
    form.find(|(key, _)| key == name).map(|(_, value)| value)
}

fn of<const N: usize>(tokens: [&str; N]) -> BTreeSet<String> {
    tokens.map(str::to_owned).into()
}

/// For what announces itself to nobody.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT_LIMIT;
    while !happened() {
        assert!(
            Instant::now() < deadline,
            "not within {WAIT_LIMIT:?}: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until hallpass has read all that there is.
#[track_caller]
pub(crate) fn wait_until_it_sleeps(child: &Child) {
    wait_until("hallpass sleeps", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id()));
        let stat = stat.expect("a process");
        // Or it has ended.
        stat.contains("(hallpass) S ") || stat.contains("(hallpass) Z ")
    });
}
