//! Stale entries are removed after a request: a few at a time, and never while another caller uses
//! them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::crowd::{Crowd, wait_until};
use crate::files::{picture, sealed, write};
use crate::machine::{Machine, Ran, age, finish, numbered_tokens};
use crate::server::{Gate, Reply, Request, Server};
use crate::support::{ran, run_by};

/// How many keys are checked after one request.
const LOOKS: usize = 16;

const AN_HOUR_AND_A_BIT: Duration = Duration::from_secs(3700);

#[test]
fn a_request_removes_expired_entries_and_no_others() {
    let (machine, server) = logged_in();
    let [own, kept, expired] = [None, Some("KEPT"), Some("EXPIRED")]
        .map(|audience| entry_of(&machine, audience, &["--refresh"]));
    // Every combination of files that a key can have, each under its own key.
    let planted = [
        plant(&machine, 1, "json", &expired_entry(&key(1))),
        plant(&machine, 2, "json", b"damaged"),
        plant(&machine, 3, "json", &expired_entry(&key(4))),
        plant(&machine, 5, "lock", b""),
        plant(&machine, 6, "failure", b"{}"),
        plant(&machine, 7, "json", &expired_entry(&key(7))),
        plant(&machine, 7, "failure", b"{}"),
    ];
    for path in &planted {
        make_old(path);
    }
    expire(&expired);
    let removed = [expired.clone(), expired.with_extension("lock")];
    let removed: BTreeSet<_> = planted.into_iter().chain(removed).collect();
    let before: BTreeSet<_> = machine.files().into_iter().collect();
    assert!(removed.is_subset(&before), "{before:?}");

    refresh(&machine);
    let after: BTreeSet<_> = machine.files().into_iter().collect();
    assert_eq!(after, &before - &removed);
    assert!(after.contains(&own) && after.contains(&kept));
    let requests = server.requests().len();
    machine
        .run(&["token", "prod", "--audience", "KEPT"])
        .token();
    assert_eq!(server.requests().len(), requests, "it was still cached");
}

#[test]
fn an_expired_token_of_another_login_is_removed() {
    let (machine, _server) = logged_in();
    let entry = entry_of(&machine, Some("OTHER"), &[]);
    change(&entry, "login", &json!("another"));
    refresh(&machine);
    assert!(entry.exists(), "a profile may be changed back");
    expire(&entry);
    refresh(&machine);
    assert!(!entry.exists());
}

#[test]
fn a_cached_token_and_a_failure_remove_nothing() {
    let server = Server::start(|request: &Request| {
        if request.text().contains("REFUSED") {
            Reply::json(400, r#"{"error": "invalid_scope"}"#)
        } else {
            Reply::token("token", 3600)
        }
    });
    let machine = Machine::new().with_plain_cache();
    machine.login("prod", &server, &[]);
    for number in 0..3 {
        plant(&machine, number, "json", &expired_entry(&key(number)));
    }
    make_old(&plant(&machine, 3, "lock", b""));
    make_old(&plant_as(&machine, ".tmp-killed", b""));
    let before = picture(&machine.cache());
    for _ in 0..3 {
        machine.run(&["token", "prod"]).token();
    }
    assert_eq!(picture(&machine.cache()), before);
    let refused = ["token", "prod", "--scope", "REFUSED"];
    machine.run(&refused).failure(4);
    let after = picture(&machine.cache());
    assert!(before[1..].iter().all(|line| after.contains(line)));
}

#[test]
fn an_old_temporary_file_is_removed() {
    let (machine, _server) = logged_in();
    let fresh = plant_as(&machine, ".tmp-fresh", b"half");
    let old = plant_as(&machine, ".tmp-old", b"half");
    make_old(&old);
    refresh(&machine);
    assert!(fresh.exists() && !old.exists());
}

#[test]
fn a_failure_that_may_still_apply_is_not_removed() {
    let (machine, _server) = logged_in();
    let entry = plant(&machine, 1, "json", &expired_entry(&key(1)));
    let note = plant(&machine, 1, "failure", b"{}");
    refresh(&machine);
    assert!(entry.exists() && note.exists());
    make_old(&note);
    refresh(&machine);
    assert!(!entry.exists() && !note.exists());
}

#[test]
fn a_locked_entry_is_not_removed() {
    let (machine, _server) = logged_in();
    let entry = plant(&machine, 1, "json", &expired_entry(&key(1)));
    let lock = plant(&machine, 1, "lock", b"");
    let held = File::open(&lock).expect("the lock file");
    held.lock().expect("a lock");
    refresh(&machine);
    assert!(entry.exists() && lock.exists());
    drop(held);
    refresh(&machine);
    assert!(!entry.exists() && !lock.exists());
}

#[test]
fn without_locks_nothing_is_removed() {
    let (machine, _server) = logged_in();
    let entry = plant(&machine, 1, "json", &expired_entry(&key(1)));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=flock"]);
    strace.args(["-e", "inject=flock:error=ENOLCK"]);
    let refresh = machine.hallpass(&["token", "prod", "--refresh"]);
    ran(run_by(strace, &refresh)).token();
    assert!(entry.exists());
}

#[test]
fn files_of_others_are_not_removed() {
    let (machine, _server) = logged_in();
    let capital = key(0xa).to_uppercase();
    let names = [
        "notes.txt".to_owned(),
        "x.json".to_owned(),
        "lock".to_owned(),
        key(1),
        format!("{capital}.json"),
        format!("{}.json.bak", key(1)),
        format!("{}0.lock", key(1)),
        format!("{}.tmp-x", key(1)),
    ];
    let files = names.map(|name| plant_as(&machine, &name, b"another user's"));
    // One of a later version. Only that version can read when it expires.
    let sealed = plant(&machine, 3, "json", b"hallpass-sealed-1 \x00\xff");
    // One with a mode that hallpass does not give its files.
    let open = plant(&machine, 2, "json", &expired_entry(&key(2)));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(&open, mode).expect("its mode");
    let files: Vec<_> = files.into_iter().chain([sealed, open]).collect();
    for file in &files {
        make_old(file);
    }
    refresh(&machine);
    for file in files {
        assert!(file.exists(), "{}", file.display());
    }
}

#[test]
fn ten_thousand_stale_entries_cost_a_request_no_more_than_a_few() {
    let (machine, _server) = logged_in();
    for number in 0..10_000 {
        plant(&machine, number, "json", &expired_entry(&key(number)));
    }
    let mut left = machine.entries("prod").len();
    for _ in 0..3 {
        refresh(&machine);
        let now = machine.entries("prod").len();
        assert_eq!(now, left - LOOKS);
        left = now;
    }
    let files = machine.files().len();
    assert!(files < 10_000 + 10, "no lock file was left: {files}");
}

#[test]
fn a_few_stale_entries_are_gone_after_a_few_requests() {
    let (machine, _server) = logged_in();
    for number in 0..40 {
        plant(&machine, number, "json", &expired_entry(&key(number)));
        plant(&machine, number, "lock", b"");
    }
    let requests = (1..=40).find(|_| {
        refresh(&machine);
        machine.entries("prod").len() == 1
    });
    assert_eq!(requests, Some(3));
    assert_eq!(machine.files().len(), logged_in().0.files().len());
}

#[test]
fn callers_of_expired_tokens_make_one_request_each_while_others_clean_up() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new().with_plain_cache();
    machine.login("prod", &server, &[]);
    let audiences = ["ONE", "TWO"];
    let entries = audiences.map(|audience| entry_of(&machine, Some(audience), &[]));
    for round in 0..10 {
        // One of the two, or both: an entry is stale until a request has replaced it.
        for entry in &entries[round % 2..] {
            expire(entry);
            // As if its last callers had come long ago.
            if round % 3 == 0 {
                fs::remove_file(entry.with_extension("lock")).expect("a lock file");
            }
        }
        let before = server.requests().len();
        thread::scope(|scope| {
            // What cleans up meanwhile: requests for tokens that nobody else asks for.
            scope.spawn(|| {
                for _ in 0..5 {
                    refresh(&machine);
                }
            });
            let crowds = [0, 1].map(|of| {
                let arguments = ["token", "prod", "--audience", audiences[of]];
                Crowd::start(&machine, 40, &arguments)
            });
            for crowd in crowds {
                assert_eq!(crowd.tokens().len(), 1, "round {round}");
            }
        });
        let expected = 5 + entries[round % 2..].len();
        assert_eq!(server.requests().len(), before + expected, "round {round}");
    }
}

#[test]
fn a_token_that_was_stored_a_moment_ago_is_not_removed() {
    let (machine, server) = logged_in();
    let entry = entry_of(&machine, Some("OTHER"), &[]);
    expire(&entry);
    let lock = entry.with_extension("lock");
    // It has seen that the entry is stale, and is about to take its lock.
    let cleaner = Stopped::start(&machine, &["token", "prod", "--refresh"], &lock);
    let other = ["token", "prod", "--audience", "OTHER"];
    let token = machine.run(&other).token();
    cleaner.go_on();
    cleaner.end().token();
    let requests = server.requests().len();
    assert_eq!(machine.run(&other).token(), token);
    assert_eq!(server.requests().len(), requests, "it was still cached");
}

#[test]
fn a_caller_that_opened_a_lock_file_before_its_removal_waits_for_the_new_one() {
    let (gate, first, answer) = (Gate::new(), AtomicBool::new(true), numbered_tokens());
    let held = gate.clone();
    let server = Server::start(move |request: &Request| {
        if request.text().contains("HELD") && !first.swap(false, Relaxed) {
            answer(request).held_by(&held)
        } else {
            answer(request)
        }
    });
    let machine = Machine::new().with_plain_cache();
    machine.login("prod", &server, &[]);
    refresh(&machine);
    let arguments = ["token", "prod", "--audience", "HELD"];
    let entry = entry_of(&machine, Some("HELD"), &[]);
    expire(&entry);
    let lock = entry.with_extension("lock");
    let late = Stopped::start(&machine, &arguments, &lock);
    refresh(&machine);
    assert!(!lock.exists(), "it was stale");
    let before = server.requests().len();
    let next = Crowd::start(&machine, 1, &arguments);
    server.wait_for_requests(before + 1);
    late.go_on();
    wait_until("it waits, or asks", || {
        late.waits_for_a_lock() || server.requests().len() > before + 1
    });
    gate.open();
    let tokens = BTreeSet::from([late.end().token()]);
    assert_eq!(tokens, next.tokens());
    assert_eq!(server.requests().len(), before + 1);
}

/// A process that stopped when it had opened a file, before it locked it.
struct Stopped {
    strace: Child,
    id: String,
}

impl Stopped {
    fn start(machine: &Machine, arguments: &[&str], opens: &Path) -> Self {
        let log = machine.root().join("trace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o"]).arg(&log).arg("-P").arg(opens);
        strace.args(["-e", "inject=openat:signal=STOP:when=1"]);
        let mut strace = run_by(strace, &machine.hallpass(arguments));
        strace.stdout(Stdio::piped()).stderr(Stdio::piped());
        let strace = strace.spawn().expect("strace (Debian package: strace)");
        let mut id = None;
        wait_until("it has stopped", || {
            let log = fs::read_to_string(&log).unwrap_or_default();
            let stopped = log.lines().find(|line| line.contains("stopped by SIGSTOP"));
            id = stopped.and_then(|line| Some(line.split_once(' ')?.0.to_owned()));
            id.is_some()
        });
        let id = id.expect("the process's number");
        Self { strace, id }
    }

    fn go_on(&self) {
        let id = self.id.parse().ok().and_then(Pid::from_raw);
        kill_process(id.expect("a number"), Signal::CONT).expect("a process that stopped");
    }

    fn waits_for_a_lock(&self) -> bool {
        let locks = fs::read_to_string("/proc/locks").expect("the kernel's list of locks");
        let mut waiting = locks.lines().filter(|line| line.contains("-> "));
        waiting.any(|line| line.split_whitespace().any(|word| word == self.id))
    }

    fn end(self) -> Ran {
        finish(self.strace)
    }
}

/// A machine with one profile, `prod`, whose cached token was stored by a caller that held the lock.
fn logged_in() -> (Machine, Server) {
    let machine = Machine::new().with_plain_cache();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    refresh(&machine);
    (machine, server)
}

fn refresh(machine: &Machine) {
    machine.run(&["token", "prod", "--refresh"]).token();
}

/// The entry of a request for this audience.
fn entry_of(machine: &Machine, audience: Option<&str>, more: &[&str]) -> PathBuf {
    let audience = audience.map(|audience| format!("--audience={audience}"));
    let arguments = ["token", "prod"].into_iter().chain(audience.as_deref());
    let arguments: Vec<_> = arguments.chain(more.iter().copied()).collect();
    let before = contents(machine);
    machine.run(&arguments).token();
    let changed = contents(machine).into_iter();
    let mut changed = changed.filter(|entry| !before.contains(entry));
    changed.next().expect("an entry").0
}

fn contents(machine: &Machine) -> Vec<(PathBuf, Vec<u8>)> {
    let read = |path: PathBuf| (path.clone(), fs::read(path).expect("an entry"));
    machine.entries("prod").into_iter().map(read).collect()
}

/// A key that no request has.
pub(crate) fn key(number: usize) -> String {
    format!("{number:064x}")
}

pub(crate) fn plant(machine: &Machine, number: usize, kind: &str, content: &[u8]) -> PathBuf {
    plant_as(machine, &format!("{}.{kind}", key(number)), content)
}

fn plant_as(machine: &Machine, name: &str, content: &[u8]) -> PathBuf {
    let path = machine.cache().join("prod").join(name);
    write(&path, content);
    path
}

pub(crate) fn expired_entry(key: &str) -> Vec<u8> {
    let entry = json!({
        "request": key, "login": "another", "access_token": "token", "token_type": "Bearer",
        "requested_at_ms": 1_700_000_000_000_u64, "expires_at_ms": 1_700_003_600_000_u64,
    });
    sealed(&entry.to_string())
}

/// Dates an entry back to a time when its token still worked.
fn expire(entry: &Path) {
    change(entry, "requested_at_ms", &json!(1_700_000_000_000_u64));
    change(entry, "expires_at_ms", &json!(1_700_003_600_000_u64));
}

fn change(entry: &Path, member: &str, value: &Value) {
    let content = fs::read_to_string(entry).expect("an entry");
    let (_, json) = content.split_once('\n').expect("two lines");
    let mut json: Value = serde_json::from_str(json).expect("JSON");
    json[member] = value.clone();
    write(entry, &sealed(&json.to_string()));
}

pub(crate) fn make_old(path: &Path) {
    age(path, AN_HOUR_AND_A_BIT);
}
