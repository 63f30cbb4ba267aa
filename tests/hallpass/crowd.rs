//! Many callers at once: one request for all of them, however it ends, and no wait without a limit.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::iter;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::secret_service::SecretService;
use crate::server::{Gate, Reply, Request, Server};
use crate::support::{
    CLIENT_ID, Machine, Ran, SECRET, after_shell, is_root, numbered_tokens, run_by,
};
use crate::time::command_at;

/// How many callers a crowd has by default.
const CROWD: usize = 200;

/// How many callers are in order where one is not.
const HEALTHY: usize = 20;

/// How long a test waits for what should come soon, before it fails.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_crowd_with_an_expired_token_makes_one_request() {
    for held in [false, true] {
        let gate = Gate::new();
        let server = Server::start(first([
            Reply::token("token-1", 1),
            Reply::token("token-2", 3600).held_by(&gate),
        ]));
        let machine = logged_in(&server);
        wait_until("the token has expired", || none_cached(&machine));
        assert_eq!(
            machine.entries("p").len(),
            1,
            "the expired one is still there"
        );
        let crowd = Crowd::start(&machine, CROWD, &["token"]);
        if held {
            crowd.wait_for_waiters(CROWD - 1);
        }
        gate.open();
        assert_eq!(crowd.tokens(), of(["token-2"]));
        assert_eq!(server.requests().len(), 2, "held: {held}");
    }
}

#[test]
fn a_crowd_without_a_token_makes_one_request() {
    for held in [false, true] {
        let gate = Gate::new();
        let server = Server::start(first([
            Reply::token("token-1", 3600),
            Reply::token("token-2", 3600).held_by(&gate),
        ]));
        let machine = logged_in(&server);
        let crowd = Crowd::start(&machine, CROWD, &["token", "--scope", "USER"]);
        if held {
            crowd.wait_for_waiters(CROWD - 1);
        }
        gate.open();
        assert_eq!(crowd.tokens(), of(["token-2"]));
        assert_eq!(server.requests().len(), 2, "held: {held}");
    }
}

#[test]
fn a_crowd_with_a_valid_token_makes_no_request() {
    let server = Server::start(numbered_tokens());
    let machine = logged_in(&server);
    let crowd = Crowd::start(&machine, CROWD, &["token"]);
    assert_eq!(crowd.tokens(), of(["token-1"]));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn no_caller_waits_for_an_early_refresh() {
    for (renewal, renewed) in [(Reply::token("token-2", 3600), true), (refusal(), false)] {
        let gate = Gate::new();
        let answers = [Reply::token("token-1", 3600), renewal.held_by(&gate)];
        let server = Server::start(first(answers));
        let machine = Machine::new();
        log_in_unproven(&machine, &server);
        let at = |moment: &str, count| {
            let command = || command_at(moment, &machine.hallpass(&["token"]));
            Crowd::start_with(count, command)
        };
        assert_eq!(at("2030-01-01 12:00:00", 1).tokens(), of(["token-1"]));
        let soon = "2030-01-01 12:58:45";
        let renewing = at(soon, 1);
        server.wait_for_requests(2);
        // The server does not answer before all others have ended.
        assert_eq!(at(soon, CROWD).tokens(), of(["token-1"]));
        gate.open();
        let token = if renewed { "token-2" } else { "token-1" };
        assert_eq!(renewing.tokens(), of([token]));
        assert_eq!(at(soon, CROWD).tokens(), of([token]));
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn an_early_refresh_makes_one_request_in_a_crowd() {
    let server = Server::start(first([Reply::token("token-1", 3600)]));
    let machine = Machine::new();
    log_in_unproven(&machine, &server);
    let at = |moment: &str, count| {
        let command = || command_at(moment, &machine.hallpass(&["token"]));
        Crowd::start_with(count, command).tokens()
    };
    assert_eq!(at("2030-01-01 12:00:00", 1), of(["token-1"]));
    let tokens = at("2030-01-01 12:58:45", CROWD);
    assert!(tokens.is_subset(&of(["token-1", "token-2"])), "{tokens:?}");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_crowd_that_forces_a_refresh_shares_one_new_token() {
    let gate = Gate::new();
    let server = Server::start(first([
        Reply::token("token-1", 3600),
        Reply::token("token-2", 3600).held_by(&gate),
    ]));
    let machine = logged_in(&server);
    let crowd = Crowd::start(&machine, 100, &["token", "--refresh"]);
    crowd.wait_for_waiters(99);
    gate.open();
    assert_eq!(crowd.tokens(), of(["token-2"]));
    assert_eq!(server.requests().len(), 2);
    // A later caller has not waited, and sends a request of its own.
    let token = machine.run(&["token", "--refresh"]).token();
    assert_eq!(token, "token-3");
}

#[test]
fn callers_that_force_a_refresh_one_after_another_lose_no_token() {
    let server = Server::start(numbered_tokens());
    let machine = logged_in(&server);
    let tokens = Crowd::start(&machine, 60, &["token", "--refresh"]).tokens();
    let issued = 2..=server.requests().len();
    let issued: BTreeSet<_> = issued.map(|number| format!("token-{number}")).collect();
    assert_eq!(tokens, issued, "every token that was issued was somebody's");
}

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
    log_in_unproven(&machine, &server);
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
    let told_when = unavailable.clone().header("Retry-After", "600");
    for (trouble, requests) in [(unavailable, 2), (Reply::new(500), 2), (told_when, 1)] {
        let gate = Gate::new();
        let server = Server::start({
            let (trouble, gate) = (trouble.clone(), gate.clone());
            move |_| trouble.clone().held_by(&gate)
        });
        let machine = Machine::new();
        log_in_unproven(&machine, &server);
        let crowd = Crowd::start(&machine, 50, &["token"]);
        crowd.wait_for_waiters(49);
        gate.open();
        let messages = crowd.failures(5);
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert_eq!(server.requests().len(), requests, "{trouble:?}");
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
    log_in_unproven(&machine, &server);
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
    fails_alone(&machine, &server, cut_off, &[5]);
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
        fails_alone(&machine, &server, limited, &[1, 5]);
    }
}

/// Runs callers that work next to one that fails again and again.
fn fails_alone(
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
fn a_token_without_a_lifetime_is_not_shared() {
    let gate = Gate::new();
    let count = AtomicUsize::new(0);
    let server = Server::start({
        let gate = gate.clone();
        move |_| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            Reply::token(&format!("token-{number}"), 0).held_by(&gate)
        }
    });
    let machine = Machine::new();
    log_in_unproven(&machine, &server);
    let crowd = Crowd::start(&machine, 20, &["token"]);
    crowd.wait_for_waiters(19);
    gate.open();
    assert_eq!(crowd.tokens().len(), 20);
    assert_eq!(server.requests().len(), 20);
    assert!(machine.entries("p").is_empty());
    // The same without another caller.
    assert_eq!(Crowd::start(&machine, 20, &["token"]).tokens().len(), 20);
    assert_eq!(server.requests().len(), 40);
}

#[test]
fn callers_with_another_scope_do_not_wait() {
    let gate = Gate::new();
    let server = Server::start({
        let gate = gate.clone();
        move |request: &Request| {
            let scope = parameter(request, "scope").unwrap_or_default();
            let reply = Reply::token(&format!("token-{scope}"), 3600);
            if scope == "slow" {
                reply.held_by(&gate)
            } else {
                reply
            }
        }
    });
    let machine = Machine::new();
    log_in_unproven(&machine, &server);
    let slow = Crowd::start(&machine, 3, &["token", "--scope", "slow"]);
    slow.wait_for_waiters(2);
    for scope in ["a", "b"] {
        let ran = machine.run(&["token", "--scope", scope]);
        assert_eq!(ran.stdout, format!("token-{scope}\n"));
    }
    slow.wait_for_waiters(2);
    gate.open();
    for ran in slow.ended() {
        assert_eq!((ran.code, ran.stdout.as_str()), (0, "token-slow\n"));
    }
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_token_that_still_works_is_used_after_a_failed_renewal() {
    for (trouble, code) in [
        (Some(Reply::new(500)), 5),
        (Some(refusal()), 4),
        (Some(Reply::hang_up()), 5),
        (Some(Reply::json(200, "{}")), 5),
        (None, 5),
    ] {
        let gate = Gate::new();
        let troubles = trouble.iter().cycle().take(100).cloned();
        let troubles = troubles.map(|reply| reply.held_by(&gate));
        let server = Server::start(first(
            [Reply::token("token-1", 3600)].into_iter().chain(troubles),
        ));
        let machine = logged_in(&server);
        if trouble.is_none() {
            server.stop();
        }
        let early = ["token", "--min-ttl", "2h"];
        let crowd = Crowd::start(&machine, 10, &early);
        if trouble.is_some() {
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

#[test]
fn a_logout_discards_the_token_of_a_pending_request() {
    let answers = [
        Reply::token("token-2", 3600),
        Reply::token("token-2", 0),
        refusal(),
    ];
    for (late, count) in iter::zip(answers.iter().cycle(), [1, 1, 1, 20, 20, 20]) {
        let gate = Gate::new();
        let server = Server::start(first([
            Reply::token("token-1", 3600),
            late.clone().held_by(&gate),
        ]));
        let machine = logged_in(&server);
        let crowd = Crowd::start(&machine, count, &["token", "p", "--refresh"]);
        crowd.wait_for_waiters(count - 1);
        server.wait_for_requests(2);
        machine.run(&["logout"]).success();
        gate.open();
        for ran in crowd.ended() {
            let ran = ran.failure(3);
            assert!(ran.stderr.contains("logged out meanwhile"), "{ran:?}");
        }
        assert_eq!(server.requests().len(), 2, "nobody asks after the logout");
        let left: Vec<_> = machine.files();
        assert_eq!(left, [machine.config().join("lock")], "{late:?}");
    }
}

#[test]
fn a_login_applies_to_a_pending_request() {
    let answers = [Reply::token("token-late", 3600), refusal()];
    for (late, count) in iter::zip(answers.iter().cycle(), [1, 1, 20, 20]) {
        let gate = Gate::new();
        let server = Server::start(first([
            Reply::token("token-1", 3600),
            late.clone().held_by(&gate),
            Reply::token("token-of-two", 3600),
        ]));
        let machine = logged_in(&server);
        let crowd = Crowd::start(&machine, count, &["token", "--min-ttl", "2h"]);
        crowd.wait_for_waiters(count - 1);
        server.wait_for_requests(2);
        log_in_as("two", &machine, &server);
        let entries = machine.entries("p");
        gate.open();
        for ran in crowd.ended() {
            assert_eq!(ran.code, 0, "{ran:?}");
            assert_ne!(ran.stdout, "token-late\n", "a token of the old client");
            assert_ne!(ran.stdout, "token-1\n", "a token of the old client");
        }
        assert_eq!(machine.entries("p"), entries, "the new client's alone");
        let ids: Vec<_> = server.requests().iter().map(client_id).collect();
        let later = ids.iter().skip(2);
        assert!(
            later.into_iter().all(|id| id.as_deref() == Some("two")),
            "{ids:?}"
        );
    }
}

/// A helper's request for a URL: its command, its standard input and its output on success.
const FOR_A_URL: [(&[&str], &[u8]); 3] = [
    (&["token", "--url", "https://a.example/"], b""),
    (
        &["git-credential", "get"],
        b"protocol=https\nhost=a.example\n\n",
    ),
    (&["docker-credential", "get"], b"a.example"),
];

/// Starts callers for a URL that `p` is bound to, and delays their request while `change` runs.
fn while_helpers_wait(change: impl Fn(&Machine, &Server), check: impl Fn(&[&str], Ran)) {
    for (arguments, input) in FOR_A_URL {
        let gate = Gate::new();
        let count = AtomicUsize::new(0);
        let server = Server::start({
            let gate = gate.clone();
            move |request: &Request| {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let id = client_id(request).unwrap_or_default();
                let reply = Reply::token(&format!("token-of-{id}"), 3600);
                if number == 0 {
                    reply.held_by(&gate)
                } else {
                    reply
                }
            }
        });
        let machine = Machine::new();
        machine.private_file("secret", SECRET.as_bytes());
        let bound = ["--no-verify", "--for", "https://a.example"];
        log_in_with("one", &machine, &server, &bound);
        let input = machine.private_file("input", input);
        let caller = Crowd::start_with(1, || {
            let mut command = machine.hallpass(arguments);
            command.stdin(File::open(&input).expect("a request"));
            command
        });
        server.wait_for_requests(1);
        change(&machine, &server);
        gate.open();
        check(arguments, caller.ended().remove(0));
    }
}

#[test]
fn a_login_that_is_not_bound_to_the_url_gives_no_token_for_it() {
    let not_bound = |arguments: &[&str], ran: Ran| {
        assert!(!ran.stdout.contains("token-of"), "{arguments:?} {ran:?}");
        assert_ne!(ran.code, 0, "{arguments:?} {ran:?}");
        let told = [&ran.stderr, &ran.stdout];
        let told = told.iter().any(|text| text.contains("no longer bound"));
        assert!(told, "{arguments:?} {ran:?}");
    };
    let replaced = |machine: &Machine, server: &Server| {
        log_in_with("two", machine, server, &["--for", "https://b.example"]);
    };
    while_helpers_wait(replaced, not_bound);
    let unbound = |machine: &Machine, _: &Server| {
        machine.run(&["unbind", "p", "https://a.example"]).success();
    };
    while_helpers_wait(unbound, not_bound);
}

#[test]
fn a_login_that_is_bound_to_the_url_gives_its_own_token_with_its_own_scheme() {
    let replaced = |machine: &Machine, server: &Server| {
        log_in_with("two", machine, server, &["--for", "https://a.example"]);
        machine
            .run(&["bind", "p", "https://a.example", "--username", "robot"])
            .success();
    };
    while_helpers_wait(replaced, |arguments, ran| {
        assert_eq!(ran.code, 0, "{arguments:?} {ran:?}");
        assert!(ran.stdout.contains("token-of-two"), "{arguments:?} {ran:?}");
        let names_a_user = arguments[0] != "token";
        assert_eq!(ran.stdout.contains("robot"), names_a_user, "{ran:?}");
    });
}

#[test]
fn a_profile_that_cannot_be_read_again_has_not_changed() {
    let server = Server::start(numbered_tokens());
    let machine = logged_in(&server);
    let file = machine.config().join("p.json");
    let entry = machine.entries("p").remove(0);
    for error in ["EMFILE", "EIO", "EACCES"] {
        // The first time it is read is before anything is done, the others are before and after a
        // request.
        for when in ["2", "3"] {
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=openat", "-P"]);
            strace.arg(&file);
            strace.args(["-e", &format!("inject=openat:error={error}:when={when}")]);
            let refresh = machine.hallpass(&["token", "--refresh"]);
            let ran = Ran::from(run_by(strace, &refresh).output().expect("strace runs"));
            let ran = ran.failure(1);
            assert!(ran.stderr.contains("cannot read"), "{error} {when} {ran:?}");
            assert!(ran.stderr.contains("p.json"), "{error} {when} {ran:?}");
            assert!(entry.exists(), "{error} {when}");
            assert!(machine.run(&["token"]).token().starts_with("token-"));
        }
    }
}

#[test]
fn a_new_secret_in_the_file_gets_a_token_of_its_own() {
    let gate = Gate::new();
    let server = Server::start(first([
        Reply::token("token-1", 3600),
        Reply::token("token-2", 3600).held_by(&gate),
    ]));
    let machine = Machine::new();
    machine.login("p", &server, &["--auth", "client_secret_post"]);
    let crowd = Crowd::start(&machine, 5, &["token", "--refresh"]);
    crowd.wait_for_waiters(4);
    server.wait_for_requests(2);
    machine.private_file("secret", b"rotated");
    assert_eq!(machine.run(&["token"]).token(), "token-3");
    gate.open();
    assert_eq!(crowd.tokens(), of(["token-2"]));
    assert_eq!(machine.run(&["token"]).token(), "token-3");
    let requests = server.requests();
    let secrets = requests
        .iter()
        .map(|request| parameter(request, "client_secret"));
    let secrets: Vec<_> = secrets.map(Option::unwrap_or_default).collect();
    assert_eq!(secrets, [SECRET, SECRET, "rotated"]);
}

#[test]
fn readers_get_complete_tokens_while_the_entry_is_rewritten() {
    let server = Server::start(numbered_tokens());
    let machine = logged_in(&server);
    let entry = machine.entries("p").remove(0);
    let rewritten = AtomicBool::new(false);
    thread::scope(|scope| {
        let (machine, rewritten) = (&machine, &rewritten);
        scope.spawn(move || {
            for _ in 0..60 {
                machine.run(&["token", "--refresh"]).token();
            }
            rewritten.store(true, Ordering::SeqCst);
        });
        scope.spawn(move || {
            while !rewritten.load(Ordering::SeqCst) {
                let content = fs::read_to_string(&entry).expect("an entry at any time");
                assert!(content.ends_with('}') && content.starts_with("hallpass-token-1 "));
            }
        });
        while !rewritten.load(Ordering::SeqCst) {
            for token in Crowd::start(machine, 30, &["token"]).tokens() {
                let number = token.strip_prefix("token-").map(str::parse::<usize>);
                assert!(matches!(number, Some(Ok(1..=61))), "{token}");
            }
        }
    });
    assert_eq!(server.requests().len(), 61, "no reader took it for a miss");
    assert_eq!(machine.run(&["token"]).token(), "token-61");
}

#[test]
fn without_locks_every_caller_gets_a_token() {
    for error in ["ENOLCK", "EOPNOTSUPP", "ENOSYS", "EBADF"] {
        let gate = Gate::new();
        let count = AtomicUsize::new(1);
        let server = Server::start({
            let gate = gate.clone();
            move |_| {
                let number = count.fetch_add(1, Ordering::SeqCst);
                Reply::token(&format!("token-{number}"), 3600).held_by(&gate)
            }
        });
        let machine = Machine::new();
        let secret = machine.private_file("secret", SECRET.as_bytes());
        let url = server.url("/oauth/token");
        let login = login_as(&url, CLIENT_ID);
        let secret = ["--secret-file", secret.to_str().expect("a path in UTF-8")];
        let login = [&login[..], &secret, &["--no-verify"]].concat();
        let no_locks = format!("inject=flock:error={error}");
        let without_locks = |arguments: &[&str]| {
            let strace = [
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                "trace=flock",
                "-e",
                &no_locks,
            ];
            let hallpass = machine.hallpass(arguments);
            let mut command = Command::new("strace");
            command
                .args(strace)
                .arg(hallpass.get_program())
                .args(hallpass.get_args());
            command.env_clear().stdin(Stdio::null());
            command.envs(
                hallpass
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
            command
        };
        let login = Crowd::start_with(1, || without_locks(&login));
        login.ended().remove(0).success();
        let crowd = Crowd::start_with(4, || without_locks(&["token"]));
        // All four ask at once: no lock held any of them up.
        server.wait_for_requests(4);
        gate.open();
        let tokens = crowd.tokens();
        assert_eq!(tokens.len(), 4, "{error}: {tokens:?}");
        assert!(tokens.contains(&machine.run(&["token"]).token()), "{error}");
    }
}

#[test]
fn logins_at_once_to_one_profile_leave_one_of_them() {
    let keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    let server = Server::start(|request: &Request| {
        let id = client_id(request);
        if id.is_some() && id == parameter(request, "client_secret") {
            Reply::token(&format!("token-of-{}", id.unwrap_or_default()), 3600)
        } else {
            refusal()
        }
    });
    let url = server.url("/oauth/token");
    thread::scope(|scope| {
        for id in ["one", "two", "three", "four"] {
            let (machine, url) = (&machine, &url);
            scope.spawn(move || {
                let arguments = login_as(url, id);
                let secret = ["--secret-stdin", "--auth", "client_secret_post"];
                let arguments = [&arguments[..], &secret].concat();
                machine.run_with_input(&arguments, id.as_bytes()).success();
            });
        }
    });
    // A busy keychain may cause a message on standard error.
    let cached = machine.run(&["token"]).success().stdout;
    let fresh = machine.run(&["token", "--refresh"]).success().stdout;
    assert_eq!(cached, fresh, "the token and the secret are of one client");
    assert_eq!(machine.entries("p").len(), 1);
    machine.run(&["logout"]).success();
    assert!(keychain.is_empty());
}

#[test]
fn logins_at_once_to_many_profiles_all_succeed() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let next = AtomicUsize::new(0);
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let url = server.url("/oauth/token");
    let crowd = Crowd::start_with(30, || {
        let name = format!("p{}", next.fetch_add(1, Ordering::SeqCst));
        let arguments = ["login", &name, "--token-url", &url, "--client-id", "c"];
        let secret = ["--secret-file", secret.to_str().expect("a path in UTF-8")];
        machine.hallpass(&[&arguments[..], &secret].concat())
    });
    for ran in crowd.ended() {
        ran.success();
    }
    let tokens: BTreeSet<_> = (0..30)
        .map(|number| machine.run(&["token", &format!("p{number}")]).token())
        .collect();
    assert_eq!(tokens.len(), 30);
    assert_eq!(server.requests().len(), 30);
}

/// Processes that were started together.
pub(crate) struct Crowd {
    members: Vec<Child>,
    /// The output of each: files, because so many pipes would use up our descriptors.
    said: TempDir,
}

impl Crowd {
    pub(crate) fn start(machine: &Machine, count: usize, arguments: &[&str]) -> Crowd {
        Crowd::start_with(count, || machine.hallpass(arguments))
    }

    fn start_with(count: usize, command: impl Fn() -> Command) -> Crowd {
        let said = TempDir::with_prefix("hallpass-crowd-").expect("a temporary directory");
        let file = |name: String| File::create(said.path().join(name)).expect("a file");
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
            said,
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
            fs::read_to_string(self.said.path().join(name)).expect("what a process said")
        };
        let mut ended = Vec::new();
        for (number, child) in self.members.iter_mut().enumerate() {
            let mut code = None;
            wait_until("a process ends", || {
                code = child.try_wait().expect("a process of ours");
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

fn log_in_unproven(machine: &Machine, server: &Server) {
    machine.login("p", server, &["--no-verify"]);
}

/// The arguments of a login of this client, whatever client the profile has.
fn login_as<'a>(url: &'a str, client: &'a str) -> [&'a str; 7] {
    let [at, by] = ["--token-url", "--client-id"];
    ["login", "p", "--replace", at, url, by, client]
}

/// Another client at the same server, with the same secret.
fn log_in_as(id: &str, machine: &Machine, server: &Server) {
    log_in_with(id, machine, server, &[]);
}

fn log_in_with(id: &str, machine: &Machine, server: &Server, more: &[&str]) {
    let secret = machine.root().join("secret").display().to_string();
    let url = server.url("/oauth/token");
    let arguments = login_as(&url, id);
    let secret = ["--secret-file", &secret, "--auth", "client_secret_post"];
    machine
        .run(&[&arguments[..], &secret, more].concat())
        .success();
}

fn none_cached(machine: &Machine) -> bool {
    let status = machine.run(&["status", "p", "--json"]).success().stdout;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    status["profiles"][0]["tokens"]
        .as_array()
        .expect("a list")
        .is_empty()
}

/// The token that was cached, one warning, and success.
#[track_caller]
fn kept(ran: &Ran, token: &str) {
    assert_eq!((ran.code, ran.stdout.trim_end()), (0, token), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    let begin = "hallpass: warning: cannot renew the token (";
    assert!(ran.stderr.starts_with(begin), "{ran:?}");
}

fn parameter(request: &Request, name: &str) -> Option<String> {
    let mut form = request.form().into_iter();
    form.find(|(key, _)| key == name).map(|(_, value)| value)
}

fn client_id(request: &Request) -> Option<String> {
    parameter(request, "client_id")
}

fn of<const N: usize>(tokens: [&str; N]) -> BTreeSet<String> {
    tokens.map(str::to_owned).into()
}

/// For what announces itself to nobody.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
