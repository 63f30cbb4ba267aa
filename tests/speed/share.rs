//! The shared cache: a fleet beside one machine, a holder that is killed, servers with a problem, and a shared hit.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::fleet::{self, Kind, PASSWORD, Redis, run_at_once};
use crate::machine::{Machine, spawn};
use crate::secret_service::SecretService;
use crate::server::{Gate, Reply, Server};
use crate::stage::Program;
use crate::table::{self, Row, in_words, median};
use crate::tools;

/// How much of everything.
pub(crate) struct Size {
    pub(crate) machines: usize,
    /// On each machine.
    pub(crate) callers: usize,
    pub(crate) runs: usize,
    pub(crate) kills: usize,
    pub(crate) problems: usize,
    pub(crate) hits: usize,
}

/// What a token request takes.
const REQUEST: Duration = Duration::from_millis(150);

pub(crate) fn measure(binary: &Path, size: &Size) {
    if tools::find("redis-server").is_none() {
        println!("redis-server is not installed, so this goes without the shared cache");
        return;
    }
    fleets(binary, size);
    kills(binary, size.kills);
    problems(binary, size.problems);
    hits(binary, size.hits);
}

fn token(machine: &Machine, binary: &Path) -> Command {
    let mut command = machine.command(binary);
    command.arg("token");
    command
}

/// Cold machines, and as many callers on one machine that does not share.
fn fleets(binary: &Path, size: &Size) {
    let count = size.machines * size.callers;
    println!(
        "\n{} machines x {} callers, cold, a request takes {} ms, {} runs; beside {count} callers on one machine",
        size.machines,
        size.callers,
        REQUEST.as_millis(),
        size.runs
    );
    println!(
        "{:<10}{:>16}{:>14}{:>14}{:>18}{:>18}",
        "server", "1 request in", "p50", "maximum", "one machine p50", "one machine max"
    );
    for kind in Kind::ALL {
        let material = tempfile::tempdir().expect("a directory");
        let redis = kind.start(material.path());
        let (mut shared, mut unshared) = (Vec::new(), Vec::new());
        let mut with_one_request = 0;
        for _ in 0..size.runs {
            let server = fleet::slow(REQUEST);
            let machines = (0..size.machines).map(|_| kind.machine(&redis, &server));
            let machines: Vec<_> = machines.collect();
            let calls = machines.iter();
            let calls = calls.flat_map(|it| (0..size.callers).map(|_| token(it, binary)));
            let times = run_at_once(calls.collect(), "token-1");
            with_one_request += usize::from(server.requests().len() == 1);
            shared.extend(times);
            let server = fleet::slow(REQUEST);
            let mut one = fleet::machine(&server, "");
            one.unset("HALLPASS_SHARE");
            let calls = (0..count).map(|_| token(&one, binary));
            unshared.extend(run_at_once(calls.collect(), "token-1"));
        }
        let most = |times: &[Duration]| in_words(times.iter().copied().max().unwrap_or_default());
        println!(
            "{:<10}{:>16}{:>14}{:>14}{:>18}{:>18}",
            kind.name(),
            format!("{with_one_request} of {}", size.runs),
            in_words(median(&shared)),
            most(&shared),
            in_words(median(&unshared)),
            most(&unshared)
        );
    }
}

/// The machine that requests is killed while others wait. The time is from the kill to the last token.
fn kills(binary: &Path, rounds: usize) {
    let mut row = Row::new("4 machines x 2 callers, after the kill");
    let mut longest = Duration::ZERO;
    for _ in 0..rounds {
        let redis = Redis::start(&[]);
        let gate = Gate::new();
        let held = gate.clone();
        let first = std::sync::atomic::AtomicBool::new(true);
        let server = Server::start(move |_| {
            let is_first = first.swap(false, std::sync::atomic::Ordering::SeqCst);
            let reply = Reply::token("token", 3600);
            if is_first {
                return reply.held_by(&held);
            }
            thread::sleep(REQUEST);
            reply
        });
        let holder = fleet::machine(&server, &redis.url());
        let mut holder = spawn(&mut token(&holder, binary));
        server.wait_for_requests(1);
        let others: Vec<_> = (0..4)
            .map(|_| fleet::machine(&server, &redis.url()))
            .collect();
        let started = Instant::now();
        holder.kill().expect("it runs");
        holder.wait().expect("it ended");
        let calls = others.iter();
        let calls = calls.flat_map(|it| (0..2).map(|_| token(it, binary)));
        run_at_once(calls.collect(), "token");
        let time = started.elapsed();
        longest = longest.max(time);
        row.add(time, Some(server.requests().len()));
        gate.open();
    }
    table::print(
        &format!("the lease holder killed, {rounds} rounds"),
        &[row],
        &[],
    );
    println!("the longest: {}", in_words(longest));
}

/// A server of the test that does this with each connection.
fn odd_server(answer: impl Fn(TcpStream) + Send + Copy + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("redis://{}", listener.local_addr().expect("its address"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    url
}

fn read_some(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
}

/// Half an answer, and then nothing.
fn half(mut stream: TcpStream) {
    read_some(&mut stream);
    let _ = stream.write_all(b"*7\r\n$-1\r\n:-2");
    read_some(&mut stream);
    read_some(&mut stream);
}

/// One byte in 20 ms.
fn slow(mut stream: TcpStream) {
    read_some(&mut stream);
    for byte in b"*7\r\n$-1\r\n:-2\r\n$-1\r\n:-2\r\n".iter().cycle() {
        if stream.write_all(&[*byte]).is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Closed while it holds bytes that were not read: the system sends RST.
fn reset(stream: TcpStream) {
    let _ = stream.peek(&mut [0]);
    drop(stream);
}

/// What a call takes beside one that does not share: the first one that meets the problem, and the next one.
fn problems(binary: &Path, rounds: usize) {
    let server = fleet::numbered();
    let redis = Redis::start(&[]);
    let with_password = Redis::start(&["--requirepass", PASSWORD]);
    let full = Redis::start(&["--maxmemory", "1"]);
    let replica = Redis::start(&["--replicaof", "127.0.0.1 1"]);
    let stopped = Redis::start(&[]);
    stopped.signal(Signal::STOP);
    let silent = odd_server(|mut stream| {
        read_some(&mut stream);
        read_some(&mut stream);
        thread::sleep(Duration::from_secs(60));
    });
    let of = |url: &str| fleet::machine(&server, url);
    let conditions: Vec<(&str, String, Option<&str>)> = vec![
        ("it works", redis.url(), None),
        ("nobody listens", "redis://127.0.0.1:1".to_owned(), None),
        ("stopped (SIGSTOP)", stopped.url(), None),
        (
            "silent, with TLS",
            silent.replace("redis:", "rediss:"),
            None,
        ),
        ("slow", odd_server(slow), None),
        ("answers half", odd_server(half), None),
        ("resets", odd_server(reset), None),
        ("closes", odd_server(drop), None),
        ("rejects the password", with_password.url(), Some("wrong")),
        ("requires a password", with_password.url(), None),
        ("full", full.url(), None),
        ("read-only", replica.url(), None),
    ];
    println!(
        "\n{:<26}{:>14}{:>14}{:>14}{:>16}",
        format!("a problem, {rounds} rounds"),
        "first, median",
        "most",
        "next, median",
        "tokens"
    );
    let timed = |machine: &Machine| {
        let mut command = token(machine, binary);
        command.args(["--refresh"]);
        let started = Instant::now();
        let ran = crate::machine::finish(spawn(&mut command));
        (
            started.elapsed(),
            ran.code == 0 && ran.stdout.starts_with("token-"),
        )
    };
    let mut base = Vec::new();
    for (name, url, password) in conditions {
        let (mut first, mut next, mut tokens) = (Vec::new(), Vec::new(), 0);
        for _ in 0..rounds {
            let mut unshared = fleet::machine(&server, "");
            unshared.unset("HALLPASS_SHARE");
            let mut machine = of(&url);
            if let Some(password) = password {
                machine.set("HALLPASS_SHARE_PASSWORD", password);
            }
            let own = timed(&unshared).0;
            base.push(own);
            for times in [&mut first, &mut next] {
                let (time, has_token) = timed(&machine);
                tokens += usize::from(has_token);
                times.push(time.saturating_sub(own));
            }
        }
        println!(
            "{name:<26}{:>14}{:>14}{:>14}{:>16}",
            format!("+{}", in_words(median(&first))),
            format!(
                "+{}",
                in_words(first.iter().copied().max().unwrap_or_default())
            ),
            format!("+{}", in_words(median(&next))),
            format!("{tokens} of {}", 2 * rounds)
        );
    }
    println!("a call that does not share: {}", in_words(median(&base)));
    stopped.signal(Signal::CONT);
}

/// What a profile's cache has lost before a call.
enum Gone {
    Nothing,
    /// As when it has expired.
    Token,
    Directory,
}

/// A local miss that the shared cache answers, beside what a miss costs without it.
fn hits(binary: &Path, rounds: usize) {
    let server = Server::start(|_| Reply::token(&"t".repeat(1000), 3600));
    let redis = Redis::start(&[]);
    let has_keychain = tools::OF_THE_KEYCHAIN
        .iter()
        .all(|tool| tools::find(tool).is_some());
    let keychain = has_keychain.then(SecretService::start);
    let mut machine = Machine::new();
    if let Some(keychain) = &keychain {
        machine = machine.with_environment(keychain.environment());
    }
    let share = ["--share", &redis.url()];
    let url = server.url("/oauth/token");
    let log_in = |name: &str, more: &[&str]| {
        let client = ["login", name, "--token-url", &url, "--client-id", "c"];
        let arguments = [&client[..], more].concat();
        let ran = machine.run_with_input(&arguments, "not-a-secret");
        ran.success();
    };
    let file = machine.private_file("secret", b"not-a-secret");
    let in_file = ["--secret-file", file.to_str().expect("UTF-8")];
    log_in("local", &in_file);
    log_in("file", &[&in_file[..], &share].concat());
    log_in("file-only", &in_file);
    let mut profiles = vec![
        ("a cached token", "local", Gone::Nothing),
        ("a request, secret in a file", "file-only", Gone::Token),
        ("a shared hit, secret in a file", "file", Gone::Token),
        ("the same on a new machine", "file", Gone::Directory),
    ];
    if keychain.is_some() {
        log_in("kept", &[&["--secret-stdin"][..], &share].concat());
        log_in("kept-only", &["--secret-stdin"]);
        profiles.push(("a request, secret in a keychain", "kept-only", Gone::Token));
        profiles.push(("a shared hit, secret in a keychain", "kept", Gone::Token));
    }
    let programs = profiles.iter().map(|(name, profile, _)| {
        let mut command = machine.command(binary);
        command.args(["token", profile]);
        Program::new(name, command, None)
    });
    let mut programs: Vec<_> = programs.collect();
    let mut rows: Vec<_> = profiles.iter().map(|(name, ..)| Row::new(*name)).collect();
    // The first of each brings the token to the shared cache.
    for round in 0..=rounds {
        for ((program, row), (_, profile, gone)) in
            programs.iter_mut().zip(&mut rows).zip(&profiles)
        {
            match gone {
                Gone::Nothing => {}
                Gone::Token => {
                    for entry in machine.entries(profile) {
                        fs::remove_file(entry).expect("a cached token");
                    }
                }
                Gone::Directory => {
                    fs::remove_dir_all(machine.cache().join(profile)).expect("a cache");
                }
            }
            let before = server.requests().len();
            let time = program.run();
            if round > 0 {
                row.add(time, Some(server.requests().len() - before));
            }
        }
    }
    let title = format!("a shared hit, {rounds} rounds");
    table::print(&title, &rows, &["a cached token"]);
    // Of the calls of one round, so that what slows the machine down for a while counts in both.
    let more = |row: &Row, than: &Row| {
        let pairs = row.times().iter().zip(than.times());
        let micros = |time: &Duration| i128::try_from(time.as_micros()).expect("a short time");
        middle(pairs.map(|(a, b)| micros(a) - micros(b)).collect())
    };
    let [local, _, file, new, others @ ..] = &rows[..] else {
        return;
    };
    let print = |what: &str, difference| println!("{what:<56}{difference:>7} \u{b5}s");
    print(
        "a shared hit without a keychain, more than a cached token",
        more(file, local),
    );
    print("the same on a new machine", more(new, local));
    if let [_, kept] = others {
        // Not from the requests: they read the keychain while HTTP is set up.
        print("the keychain read, more than without it", more(kept, file));
    }
}

fn middle(mut numbers: Vec<i128>) -> i128 {
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}
