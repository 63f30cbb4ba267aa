//! Many callers and one token: who requests it, and that all get it.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::{
    CROWD, Crowd, first, log_in_unverified, logged_in, login_as, of, parameter, refusal, wait_until,
};
use crate::machine::{CLIENT_ID, Machine, SECRET, numbered_tokens};
use crate::server::{Gate, Reply, Request, Server};
use crate::time::command_at;

/// The crowd gets the second token with one request, which is held until so many callers wait for it.
#[track_caller]
fn assert_one_request(
    machine: &Machine,
    server: &Server,
    gate: &Gate,
    waiters: usize,
    arguments: &[&str],
) {
    let crowd = Crowd::start(machine, CROWD, arguments);
    if waiters > 0 {
        crowd.wait_for_waiters(waiters);
    }
    gate.open();
    assert_eq!(crowd.tokens(), of(["token-2"]));
    assert_eq!(server.requests().len(), 2, "{waiters} callers wait");
}

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
        let waiters = if held { CROWD - 1 } else { 0 };
        assert_one_request(&machine, &server, &gate, waiters, &["token"]);
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
        let waiters = if held { CROWD - 1 } else { 0 };
        assert_one_request(
            &machine,
            &server,
            &gate,
            waiters,
            &["token", "--scope", "USER"],
        );
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
        log_in_unverified(&machine, &server);
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
    log_in_unverified(&machine, &server);
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
    assert_eq!(tokens, issued, "each issued token was printed");
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
    log_in_unverified(&machine, &server);
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
    log_in_unverified(&machine, &server);
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
fn readers_get_complete_tokens_while_the_entry_is_rewritten() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new().with_plain_cache();
    machine.login("p", &server, &[]);
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

fn none_cached(machine: &Machine) -> bool {
    let status = machine.run(&["status", "p", "--json"]).success().stdout;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    status["profiles"][0]["tokens"]
        .as_array()
        .expect("a list")
        .is_empty()
}
