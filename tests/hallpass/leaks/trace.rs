//! What a program, and everything that it starts, passes to the system and gets from it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::machine::{Ran, finish, spawn};
use crate::spellings::Content;
use crate::support::run_by;

/// Ways to pass bytes on that a trace does not show.
const UNSEEN: [&str; 6] = [
    "io_uring_setup",
    "process_vm_writev",
    "vmsplice",
    "shmat",
    "userfaultfd",
    "memfd_create",
];

/// The calls that open a descriptor.
const OPENING: [&str; 19] = [
    "accept",
    "accept4",
    "creat",
    "dup",
    "dup3",
    "epoll_create",
    "epoll_create1",
    "eventfd",
    "eventfd2",
    "inotify_init",
    "inotify_init1",
    "open",
    "openat",
    "pipe",
    "pipe2",
    "signalfd4",
    "socket",
    "socketpair",
    "timerfd_create",
];

/// What a call is for: its name, and its first argument if that is a descriptor.
pub(super) type Channel = (String, Option<i32>);

pub(super) struct Trace {
    /// The bytes of each channel of each thread, one call's after the other's.
    channels: Vec<(Channel, Vec<u8>)>,
    /// Calls that opened a descriptor which another program would inherit.
    pub(super) inheritable: Vec<String>,
}

impl Trace {
    /// Runs a command with this input to its end.
    #[track_caller]
    pub(super) fn of(command: &Command, input: &[u8]) -> (Ran, Self) {
        let directory = TempDir::with_prefix("hallpass-trace-").expect("a directory");
        let mut strace = Command::new("strace");
        // A file for each thread, every string whole and in hexadecimal.
        strace.args(["-ff", "-qq", "-v", "-xx", "-s", "1048576", "-o"]);
        strace.arg(directory.path().join("thread"));
        let mut strace = run_by(strace, command);
        let mut child = spawn(strace.stdin(Stdio::piped()));
        let mut stdin = child.stdin.take().expect("a pipe");
        // A program may close it without reading it.
        let _ = stdin.write_all(input);
        drop(stdin);
        let ran = finish(child);
        let files = fs::read_dir(directory.path()).expect("the trace");
        let threads = files.map(|file| fs::read_to_string(file.expect("a file").path()));
        let threads: Vec<_> = threads.map(|thread| thread.expect("text")).collect();
        let trace = Self {
            channels: threads.iter().flat_map(|it| channels(it)).collect(),
            inheritable: threads.iter().flat_map(|it| inheritable(it)).collect(),
        };
        (ran, trace)
    }

    /// The channels with one of these spellings, and its encoding.
    pub(super) fn find(
        &self,
        spellings: &[(&'static str, Vec<u8>)],
    ) -> Vec<(&str, Option<i32>, &'static str)> {
        let found = self
            .channels
            .iter()
            .filter_map(|((name, descriptor), bytes)| {
                let encoding = Content::of(bytes).find(spellings)?;
                Some((name.as_str(), *descriptor, encoding))
            });
        let mut found: Vec<_> = found.collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// The channels of a thread.
fn channels(trace: &str) -> BTreeMap<Channel, Vec<u8>> {
    let mut channels = BTreeMap::<Channel, Vec<u8>>::new();
    for line in trace.lines() {
        // Others are about signals, and the end.
        let Some((name, arguments)) = line.split_once('(') else {
            continue;
        };
        let is_shared =
            name == "mmap" && line.contains("MAP_SHARED") && line.contains("PROT_WRITE");
        assert!(!is_shared && !UNSEEN.contains(&name), "{line}");
        let digits = arguments.find(|c: char| !c.is_ascii_digit());
        let descriptor = arguments[..digits.unwrap_or(0)].parse().ok();
        let channel = channels.entry((name.to_owned(), descriptor)).or_default();
        channel.extend(strings(arguments));
    }
    channels
}

/// The calls of a thread that leave a descriptor open for the program that takes its place.
fn inheritable(trace: &str) -> Vec<String> {
    let began = |line: &&str| line.starts_with("execve(") && line.ends_with(" = 0");
    let own = trace
        .lines()
        .skip_while(began)
        .take_while(|line| !began(line));
    let opens = |line: &&str| {
        let name = line.split('(').next().unwrap_or_default();
        OPENING.contains(&name) || line.contains("F_DUPFD")
    };
    let is_left = |line: &&str| !line.contains("CLOEXEC") && !line.contains(" = -1 ");
    let left = own.filter(opens).filter(is_left);
    left.map(str::to_owned).collect()
}

/// The bytes of all strings.
fn strings(arguments: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut parts = arguments.split('"').skip(1);
    while let (Some(string), after) = (parts.next(), parts.next()) {
        let is_whole = after.is_some_and(|after| !after.starts_with("..."));
        // Of a thread's name the kernel takes the beginning only.
        let is_name = arguments.starts_with("PR_SET_NAME");
        assert!(is_whole || is_name, "the string is cut: {arguments}");
        match string.strip_prefix("\\x") {
            None => bytes.extend(string.bytes()),
            Some(digits) => bytes.extend(
                digits
                    .split("\\x")
                    .map(|digits| u8::from_str_radix(digits, 16).expect("a byte in hexadecimal")),
            ),
        }
    }
    bytes
}
