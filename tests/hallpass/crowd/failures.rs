//! Many callers and a failure: which failures they share, and which they do not.

use std::fs::{self, File};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use super::{CROWD, Crowd, first, log_in_unverified, logged_in, login_as, of, refusal, wait_until};
use crate::machine::{CLIENT_ID, Machine, Ran, SECRET, numbered_tokens};
use crate::server::{Gate, Reply, Server};
use crate::support::{after_shell, is_root, run_by};

/// How many callers are in order where one is not.
const HEALTHY: usize = 20;

#[test]
fn a_refused_crowd_makes_one_request_and_prints_one_message() {
    let gate = Gate::new();
    let server = Server::start(first([
        Reply::token("token-1", 3600),
        refusal().held_by(&gate),
    ]));
    let machine = logged_in(&server);
    let crowd = Crowd::start(&machine, CROWD, &["token", "--scope", "USER"]);
    crowd.wait_for_waiters(CROWD - 1);
    gate.open();
    let messages = crowd.failures(4);
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages.iter().all(|text| text.contains("invalid_client")));
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_refusal_is_shared_with_callers_a_moment_later() {
    let server = Server::start(|_| refusal());
    let machine = Machine::new();
    log_in_unverified(&machine, &server);
    let begun = Instant::now();
    let messages = Crowd::start(&machine, CROWD, &["token"]).failures(4);
    assert_eq!(messages.len(), 1, "{messages:?}");
    // A refusal applies for 2 s. A machine that takes longer to start all callers sends another request.
    let most = 1 + begun.elapsed().as_secs() / 2;
    let requests = server.requests().len() as u64;
    assert!(requests <= most, "{requests} requests");
}

#[test]
fn a_forced_refresh_and_a_login_send_a_request_after_a_refusal() {
    let server = Server::start(first([Reply::token("token-1", 3600), refusal(), refusal()]));
    let machine = logged_in(&server);
    let other = ["token", "--scope", "USER"];
    machine.run(&other).failure(4);
    machine
        .run(&["token", "--scope", "USER", "--refresh"])
        .failure(4);
    assert_eq!(server.requests().len(), 3, "--refresh asked");
    machine.login("p", &server, &[]);
    assert_eq!(server.requests().len(), 4, "the login asked");
    assert_eq!(machine.run(&other).token(), "token-5");
}

#[test]
fn a_crowd_sends_few_requests_to_a_failing_server() {
    let unavailable = Reply::new(503).body("out of service");
    let with_pause = unavailable.clone().header("Retry-After", "600");
    for (failure, requests) in [(unavailable, 2), (Reply::new(500), 2), (with_pause, 1)] {
        let gate = Gate::new();
        let server = Server::start({
            let (failure, gate) = (failure.clone(), gate.clone());
            move |_| failure.clone().held_by(&gate)
        });
        let machine = Machine::new();
        log_in_unverified(&machine, &server);
        let crowd = Crowd::start(&machine, 50, &["token"]);
        crowd.wait_for_waiters(49);
        gate.open();
        let messages = crowd.failures(5);
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert_eq!(server.requests().len(), requests, "{failure:?}");
    }
}

#[test]
fn a_crowd_in_front_of_a_closed_port_fails() {
    let server = Server::start(numbered_tokens());
    let machine = logged_in(&server);
    server.stop();
    let messages = Crowd::start(&machine, CROWD, &["token", "--scope", "USER"]).failures(5);
    assert_eq!(messages.len(), 1, "{messages:?}");
}

#[test]
fn a_crowd_gets_a_token_although_the_requesting_caller_is_killed() {
    let gate = Gate::new();
    let server = Server::start(first([
        Reply::token("token-1", 3600),
        Reply::token("token-2", 3600).held_by(&gate),
    ]));
    let machine = logged_in(&server);
    let other = ["token", "--scope", "USER"];
    let mut holder = Crowd::start(&machine, 1, &other);
    server.wait_for_requests(2);
    let crowd = Crowd::start(&machine, CROWD - 1, &other);
    crowd.wait_for_waiters(CROWD - 1);
    holder.kill();
    assert_eq!(crowd.tokens(), of(["token-3"]));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn after_a_failure_that_is_no_response_each_caller_sends_its_own_request() {
    // The first connection is closed, and its retry, too. The others are not.
    let gate = Gate::new();
    let hang_up = || Reply::hang_up().held_by(&gate);
    let server = Server::start(first([hang_up(), hang_up()]));
    let machine = Machine::new();
    log_in_unverified(&machine, &server);
    let crowd = Crowd::start(&machine, 50, &["token"]);
    crowd.wait_for_waiters(49);
    gate.open();
    let ended = crowd.ended();
    let failed: Vec<_> = ended.iter().filter(|ran| ran.code != 0).collect();
    assert!(failed.len() == 1 && failed[0].code == 5, "{failed:?}");
    let tokens = ended.iter().filter(|ran| ran.code == 0);
    assert!(tokens.into_iter().all(|ran| ran.stdout == "token-3\n"));
    assert_eq!(server.requests().len(), 3, "the next one asked for all");
}

#[test]
fn a_suspended_caller_delays_others_no_longer_than_the_limit() {
    let gate = Gate::new();
    let server = Server::start(first([
        Reply::token("token-1", 3600),
        Reply::token("token-2", 3600).held_by(&gate),
    ]));
    let machine = Machine::new();
    machine.login("p", &server, &["--timeout", "2s"]);
    let arguments = ["token", "--scope", "USER"];
    let stopped = Crowd::start(&machine, 1, &arguments);
    server.wait_for_requests(2);
    stopped.signal(Signal::STOP);
    gate.open();
    let crowd = Crowd::start(&machine, HEALTHY, &arguments);
    let tokens = crowd.tokens();
    assert_eq!(tokens, of(["token-3"]));
    // One of them replaced the suspended one and sent a request for all.
    assert_eq!(server.requests().len(), 3);
    // Later callers find its token, or a lock that is free.
    assert_eq!(machine.run(&arguments).token(), "token-3");
    let refresh = ["token", "--scope", "USER", "--refresh"];
    assert_eq!(machine.run(&refresh).token(), "token-4");
    stopped.signal(Signal::CONT);
    // It timed out while it was suspended, or its response had arrived. Both are right.
    let ran = stopped.ended().remove(0);
    assert!([0, 5].contains(&ran.code), "{ran:?}");
    assert_eq!(
        machine.run(&arguments).token(),
        "token-4",
        "a newer token stays"
    );
}

#[test]
fn a_failure_of_one_callers_network_is_not_shared() {
    let server = Server::start(numbered_tokens());
    let machine = logged_in(&server);
    let arguments = ["token", "--scope", "USER"];
    let cut_off = || {
        let mut world = Command::new("unshare");
        world.arg("--net");
        if !is_root() {
            world.arg("--map-root-user");
        }
        run_by(world, &machine.hallpass(&arguments))
    };
    fails_without_affecting_others(&machine, &server, cut_off, &[5]);
}

#[test]
fn a_lack_of_descriptors_in_one_caller_is_not_shared() {
    let server = Server::start(numbered_tokens());
    let machine = logged_in(&server);
    let arguments = ["token", "--scope", "USER"];
    let command = machine.hallpass(&arguments);
    // Enough for the lock, but too few to read the profile again or to connect.
    for limit in [4, 5, 7] {
        let limited = || after_shell(&format!("ulimit -n {limit}"), &command);
        fails_without_affecting_others(&machine, &server, limited, &[1, 5]);
    }
}

/// Runs callers that work next to one that fails again and again.
fn fails_without_affecting_others(
    machine: &Machine,
    server: &Server,
    sick: impl Fn() -> Command + Sync,
    codes: &[i32],
) {
    let failures = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    let arguments = ["token", "--scope", "USER"];
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                let ran = Crowd::start_with(1, &sick).ended().remove(0);
                if ran.code == 0 {
                    // It came when another caller had a token.
                    continue;
                }
                assert!(codes.contains(&ran.code), "{ran:?}");
                failures.fetch_add(1, Ordering::SeqCst);
            }
        });
        let over = Over(&is_over);
        for round in 0..5 {
            for entry in machine.entries("p") {
                fs::remove_file(entry).expect("a cached token");
            }
            let before = failures.load(Ordering::SeqCst);
            wait_until("it fails", || failures.load(Ordering::SeqCst) > before);
            let requests = server.requests().len();
            let tokens = Crowd::start(machine, HEALTHY, &arguments).tokens();
            assert_eq!(tokens.len(), 1, "{tokens:?}");
            let requests = server.requests().len() - requests;
            assert_eq!(requests, 1, "round {round}");
        }
        drop(over);
    });
}

/// Ends a loop, even if the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_token_that_still_works_is_used_after_a_failed_renewal() {
    for (failure, code) in [
        (Some(Reply::new(500)), 5),
        (Some(refusal()), 4),
        (Some(Reply::hang_up()), 5),
        (Some(Reply::json(200, "{}")), 5),
        (None, 5),
    ] {
        let gate = Gate::new();
        let failures = failure.iter().cycle().take(100).cloned();
        let failures = failures.map(|reply| reply.held_by(&gate));
        let server = Server::start(first(
            [Reply::token("token-1", 3600)].into_iter().chain(failures),
        ));
        let machine = logged_in(&server);
        if failure.is_none() {
            server.stop();
        }
        let early = ["token", "--min-ttl", "2h"];
        let crowd = Crowd::start(&machine, 10, &early);
        if failure.is_some() {
            crowd.wait_for_waiters(9);
        }
        gate.open();
        let asked_by_the_crowd = crowd.ended();
        for ran in &asked_by_the_crowd {
            kept(ran, "token-1");
        }
        kept(&machine.run(&early), "token-1");
        assert_eq!(machine.run(&["token"]).token(), "token-1");
        machine.run(&["token", "--refresh"]).failure(code);
        assert_eq!(machine.run(&["token"]).token(), "token-1");
    }
}

#[test]
fn a_secret_that_one_caller_cannot_read_does_not_affect_the_others() {
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "100");
    let directory = machine.root().display().to_string();
    let held = machine.pipe("held");
    let secret = machine.private_file("secret", SECRET.as_bytes());
    // It works only for callers that have the variable.
    let script = format!(
        "echo run >> {directory}/runs; if [ -n \"$VAULT\" ]; then cat {}; else cat {directory}/held; echo the vault is sealed >&2; exit 1; fi",
        secret.display()
    );
    let command = shlex::try_join(["sh", "-c", &script]).expect("a command line");
    let url = server.url("/oauth/token");
    let arguments = login_as(&url, CLIENT_ID);
    let secret = ["--secret-command", &command, "--no-verify"];
    machine.run(&[&arguments[..], &secret].concat()).success();
    let runs = || {
        let text = fs::read_to_string(machine.root().join("runs")).unwrap_or_default();
        text.lines().count()
    };
    let sealed = Crowd::start(&machine, 1, &["token"]);
    wait_until("the command runs", || runs() == 1);
    let crowd = Crowd::start_with(30, || {
        let mut command = machine.hallpass(&["token"]);
        command.env("VAULT", "open");
        command
    });
    crowd.wait_for_waiters(30);
    // The command reads to the end: opening and closing the pipe lets it end.
    drop(
        File::options()
            .write(true)
            .open(&held)
            .expect("its other end"),
    );
    let messages = sealed.failures(6);
    assert!(
        messages
            .iter()
            .all(|text| text.contains("the vault is sealed"))
    );
    assert_eq!(crowd.tokens(), of(["token-1"]));
    assert_eq!(runs(), 2, "one of those whose command works");
    assert_eq!(server.requests().len(), 1);
}

/// The token that was cached, one warning, and success.
#[track_caller]
fn kept(ran: &Ran, token: &str) {
    assert_eq!((ran.code, ran.stdout.trim_end()), (0, token), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    let begin = "hallpass: warning: cannot renew the token (";
    assert!(ran.stderr.starts_with(begin), "{ran:?}");
}
