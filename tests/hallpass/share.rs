//! The shared cache: many machines, one request, through Debian's Redis server (package redis-server).

mod cluster;
mod entries;
mod problems;
mod settings;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::crowd::wait_until;
use crate::fleet::{Kind, Redis, machine, numbered, run_at_once, slow};
use crate::machine::{Machine, Ran, finish, spawn};
use crate::server::{Gate, Reply, Request, Server};
use crate::support::ran;
use crate::time::command_at;

/// The token, with or without steps on standard error.
#[track_caller]
fn printed(ran: &Ran) -> &str {
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout.trim_end()
}

/// `cargo bench --bench speed -- --share` measures larger ones.
#[test]
fn a_fleet_sends_one_request() {
    let material = TempDir::with_prefix("hallpass-tls-").expect("a directory");
    for kind in Kind::ALL {
        let redis = kind.start(material.path());
        let server = slow(Duration::from_millis(150));
        let fleet: Vec<_> = (0..20).map(|_| kind.machine(&redis, &server)).collect();
        let calls = fleet
            .iter()
            .flat_map(|it| (0..3).map(|_| it.hallpass(&["token"])));
        run_at_once(calls.collect(), "token-1");
        assert_eq!(server.requests().len(), 1, "{}", kind.name());
    }
}

/// The first request is held, the others are not.
fn holding_the_first(gate: &Gate) -> Server {
    let (held, issued) = (gate.clone(), AtomicUsize::new(0));
    Server::start(move |_: &Request| {
        let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
        let reply = Reply::token(&format!("token-{number}"), 3600);
        if number == 1 {
            reply.held_by(&held)
        } else {
            reply
        }
    })
}

#[test]
fn after_the_machine_that_requests_is_killed_another_one_does() {
    let redis = Redis::start(&[]);
    let gate = Gate::new();
    let server = holding_the_first(&gate);
    let mut killed = spawn(&mut machine(&server, &redis.url()).hallpass(&["token"]));
    server.wait_for_requests(1);
    let others: Vec<_> = (0..4).map(|_| machine(&server, &redis.url())).collect();
    killed.kill().expect("it runs");
    killed.wait().expect("it ended");
    let calls = others
        .iter()
        .flat_map(|it| (0..2).map(|_| it.hallpass(&["token"])));
    run_at_once(calls.collect(), "token-2");
    assert_eq!(server.requests().len(), 2);
    gate.open();
}

/// It was stopped, and loses its lease.
#[test]
fn a_machine_that_loses_its_lease_still_gets_its_token() {
    let redis = Redis::start(&[]);
    let gate = Gate::new();
    let server = holding_the_first(&gate);
    let slow = machine(&server, &redis.url());
    let slow = spawn(&mut slow.hallpass(&["token"]));
    server.wait_for_requests(1);
    let signal = |signal| kill_process(Pid::from_child(&slow), signal).expect("it runs");
    signal(Signal::STOP);
    let other = machine(&server, &redis.url());
    assert_eq!(other.run(&["token"]).token(), "token-2");
    signal(Signal::CONT);
    gate.open();
    assert_eq!(finish(slow).token(), "token-1");
    assert_eq!(redis.names().len(), 1, "nobody holds a lease");
    let third = machine(&server, &redis.url()).run(&["token"]).token();
    assert!(["token-1", "token-2"].contains(&third.as_str()), "{third}");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_lease_is_renewed_during_a_long_request() {
    let redis = Redis::start(&[]);
    let gate = Gate::new();
    let held = gate.clone();
    let server = Server::start(move |_: &Request| Reply::token("token-1", 3600).held_by(&held));
    let (first, second) = (
        machine(&server, &redis.url()),
        machine(&server, &redis.url()),
    );
    let start = |machine: &Machine| spawn(&mut machine.hallpass(&["-v", "token"]));
    let requesting = start(&first);
    server.wait_for_requests(1);
    let lease = |redis: &Redis| -> Option<Vec<u8>> {
        let name = redis
            .names()
            .into_iter()
            .find(|name| name.ends_with(":lease"))?;
        redis.run(&[b"GET", name.as_bytes()])
    };
    let before = lease(&redis).expect("a lease");
    let waiting = start(&second);
    // A lease lasts for two seconds, and is renewed in a quarter of that.
    for _ in 0..6 {
        let last = lease(&redis);
        assert!(last.is_some());
        wait_until("the lease is renewed", || lease(&redis) != last);
    }
    assert_ne!(lease(&redis), Some(before));
    gate.open();
    assert_eq!(printed(&finish(requesting)), "token-1");
    let waited = finish(waiting);
    assert!(
        waited.stderr.contains("another machine is requesting"),
        "{waited:?}"
    );
    assert_eq!(printed(&waited), "token-1");
    assert_eq!(server.requests().len(), 1);
    assert_eq!(redis.names().len(), 1, "the lease was given back");
}

#[test]
fn a_refusal_is_shared() {
    let redis = Redis::start(&[]);
    let server = Server::start(|_: &Request| Reply::json(401, r#"{"error": "invalid_client"}"#));
    for _ in 0..3 {
        let refused = machine(&server, &redis.url()).run(&["token"]).failure(4);
        assert!(refused.stderr.contains("invalid_client"), "{refused:?}");
    }
    assert_eq!(server.requests().len(), 1);
    // It does not last.
    let name = redis.names().remove(0);
    let left: u64 = redis.run(&[b"PTTL", name.as_bytes()]);
    assert!(left <= 5000, "{left}");
    redis.text::<()>("FLUSHALL");
    machine(&server, &redis.url()).run(&["token"]).failure(4);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_token_that_an_api_refuses_is_replaced_for_the_fleet() {
    let redis = Redis::start(&[]);
    let server = numbered();
    let fleet: Vec<_> = (0..3)
        .map(|_| {
            let mut machine = machine(&server, &redis.url());
            machine.set("HALLPASS_FOR", "https://git.example/");
            machine
        })
        .collect();
    let url = "protocol=https\nhost=git.example\n";
    let get = |machine: &Machine| -> String {
        let answer = machine
            .run_with_input(&["git-credential", "get"], url)
            .success();
        let line = answer
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix("password="));
        line.expect("a token").to_owned()
    };
    for machine in &fleet {
        assert_eq!(get(machine), "token-1");
    }
    let reject = |machine: &Machine| {
        let answer = format!("{url}username=oauth2\npassword=token-1\n");
        machine
            .run_with_input(&["git-credential", "erase"], answer)
            .success();
    };
    reject(&fleet[0]);
    assert_eq!(get(&fleet[0]), "token-2");
    // It is rejected there as well: what the fleet has now is another one.
    reject(&fleet[1]);
    assert_eq!(get(&fleet[1]), "token-2");
    // A machine that only refreshes requests one, for all.
    assert_eq!(fleet[2].run(&["token", "--refresh"]).token(), "token-3");
    assert_eq!(
        machine(&server, &redis.url()).run(&["token"]).token(),
        "token-3"
    );
    assert_eq!(server.requests().len(), 3);
}

/// One machine's clock is ten minutes behind, another one's ahead.
#[test]
fn the_clocks_of_machines_may_differ() {
    let redis = Redis::start(&[]);
    let server = Server::start(|_: &Request| Reply::token("token-1", 900));
    let at = |moment: &str, machine: &Machine, arguments: &[&str]| -> Ran {
        ran(command_at(moment, &machine.hallpass(arguments)))
    };
    for moment in [
        "2030-01-01 12:00:00",
        "2030-01-01 12:10:00",
        "2030-01-01 11:50:00",
    ] {
        let machine = machine(&server, &redis.url());
        assert_eq!(at(moment, &machine, &["token"]).token(), "token-1");
        let status = at(moment, &machine, &["status", "--json"]).json();
        let left = status["profiles"][0]["tokens"][0]["expires_in"].as_u64();
        assert!(
            left.is_some_and(|left| (800..=900).contains(&left)),
            "{status}"
        );
    }
    assert_eq!(server.requests().len(), 1);
}
