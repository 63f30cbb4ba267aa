//! A login, a logout or an edit while callers wait for a token.

use std::collections::BTreeSet;
use std::fs::File;
use std::iter;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Crowd, first, logged_in, login_as, of, parameter, refusal};
use crate::machine::{Machine, Ran, SECRET, numbered_tokens};
use crate::secret_service::SecretService;
use crate::server::{Gate, Reply, Request, Server};
use crate::support::run_by;

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
        assert_eq!(machine.entries("p"), entries, "only the new client's");
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
        let is_reported = [&ran.stderr, &ran.stdout];
        let is_reported = is_reported
            .iter()
            .any(|text| text.contains("no longer bound"));
        assert!(is_reported, "{arguments:?} {ran:?}");
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

fn client_id(request: &Request) -> Option<String> {
    parameter(request, "client_id")
}
