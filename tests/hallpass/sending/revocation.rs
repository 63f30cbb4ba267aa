//! Revocation at a logout: which tokens, and where.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::machine::{CLIENT_ID, Machine, SECRET, numbered_tokens};
use crate::server::{Gate, Reply, Request, Server};
use crate::tls::Authority;

#[test]
fn a_revocation_on_this_machine_passes_no_proxy_wherever_the_tokens_came_from() {
    let authority = Authority::new();
    let tokens = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    let revocations = Server::start(|_| Reply::new(200));
    let proxy = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    for name in ["HTTP_PROXY", "http_proxy"] {
        machine.set(name, &proxy.url(""));
    }
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    let revocation = revocations.url("/revoke");
    machine.login(
        "default",
        &tokens,
        &[
            "--revocation-url",
            &revocation,
            "--ca-file",
            ca.to_str().expect("a path"),
        ],
    );
    let ran = machine.run(&["logout"]).success();
    assert_eq!(proxy.connections(), 0, "{ran:?}");
    assert_eq!(revocations.requests().len(), 1, "{ran:?}");
}

#[test]
fn a_logout_removes_the_profile_first_and_then_revokes_every_valid_token() {
    let machine = Arc::new(Machine::new());
    let left = Arc::new(Mutex::new(None));
    let revocations = Server::start({
        let (machine, left) = (Arc::clone(&machine), Arc::clone(&left));
        move |_| {
            *left.lock().expect("the files") = Some(machine.files());
            Reply::new(200)
        }
    });
    let tokens = Server::start(numbered_tokens());
    let url = revocations.url("/revoke");
    let post = ["--auth", "client_secret_post", "--body", "json"];
    machine.login(
        "default",
        &tokens,
        &[&post[..], &["--revocation-url", &url]].concat(),
    );
    machine.run(&["token", "--scope", "another"]).success();
    machine.run(&["logout"]).success();
    let requests = revocations.requests();
    let form = |token: &str| -> Vec<(String, String)> {
        [
            ("token", token),
            ("token_type_hint", "access_token"),
            ("client_id", CLIENT_ID),
            ("client_secret", SECRET),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    };
    let mut sent: Vec<_> = requests.iter().map(Request::form).collect();
    sent.sort();
    assert_eq!(sent, [form("token-1"), form("token-2")]);
    assert_eq!(requests[0].target, "/revoke");
    let left = left.lock().expect("the files").take();
    assert_eq!(left, Some(vec![machine.config().join("lock")]));
}

#[test]
fn a_revocation_endpoint_that_does_not_respond_delays_a_logout_by_three_seconds() {
    let machine = Machine::new();
    let gate = Gate::new();
    let silent = Server::start({
        let gate = gate.clone();
        move |_| Reply::new(200).held_by(&gate)
    });
    let tokens = Server::start(numbered_tokens());
    let url = silent.url("/revoke");
    machine.login("default", &tokens, &["--revocation-url", &url]);
    machine.run(&["token", "--scope", "another"]).success();
    let started = Instant::now();
    let ran = machine.run(&["logout"]).success();
    assert!(
        (3..8).contains(&started.elapsed().as_secs()),
        "{:?}",
        started.elapsed()
    );
    assert!(ran.stderr.contains("not revoked"), "{ran:?}");
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn a_token_that_cannot_be_revoked_does_not_keep_the_others() {
    let machine = Machine::new();
    let revocations = Server::start(|_| Reply::new(400));
    let tokens = Server::start(numbered_tokens());
    let url = revocations.url("/revoke");
    machine.login("default", &tokens, &["--revocation-url", &url]);
    machine.run(&["token", "--scope", "another"]).success();
    let ran = machine.run(&["logout"]).success();
    assert!(ran.stderr.contains("not revoked"), "{ran:?}");
    assert_eq!(revocations.requests().len(), 2);
}

#[test]
fn a_token_is_not_revoked_where_it_was_not_issued() {
    let machine = Machine::new();
    let [issuer, other] = [(); 2].map(|()| Server::start(numbered_tokens()));
    machine.login("default", &issuer, &[]);
    let file = machine.config().join("default.json");
    let profile = fs::read_to_string(&file).expect("the profile");
    let elsewhere = format!(
        r#""revocation_endpoint": "{}", "secret""#,
        other.url("/revoke")
    );
    let profile = profile
        .replace(&issuer.url(""), &other.url(""))
        .replace(r#""secret""#, &elsewhere);
    fs::write(&file, profile).expect("an edited profile");
    let shown = machine.run(&["status"]).success().stdout;
    assert!(shown.contains("none cached"), "{shown}");
    machine.run(&["logout"]).success();
    assert_eq!(other.connections(), 0);

    // Nor where a login that was killed before it cleared the cache would have it.
    machine.login("default", &issuer, &[]);
    let entry = machine.entries("default").remove(0);
    let kept = machine.root().join("kept");
    fs::rename(&entry, &kept).expect("the entry");
    machine.login(
        "default",
        &other,
        &["--no-verify", "--revocation-url", &other.url("/revoke")],
    );
    fs::create_dir_all(entry.parent().expect("its directory")).expect("its directory");
    fs::rename(&kept, &entry).expect("the entry once more");
    machine.run(&["logout"]).success();
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_revocation_over_tls_is_verified_wherever_the_tokens_came_from() {
    let authority = Authority::new();
    let tokens = Server::start(numbered_tokens());
    let revocations = Server::start_tls(&authority.identity(&["127.0.0.1"]), |_| Reply::new(200));
    let machine = Machine::new();
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    let revocation = revocations.url("/revoke");
    machine.login(
        "default",
        &tokens,
        &[
            "--revocation-url",
            &revocation,
            "--ca-file",
            ca.to_str().expect("a path"),
        ],
    );
    let ran = machine.run(&["logout"]).success();
    assert_eq!(revocations.requests().len(), 1, "{ran:?}");

    machine.login("default", &tokens, &["--revocation-url", &revocation]);
    let ran = machine.run(&["logout"]).success();
    assert!(ran.stderr.contains("not revoked"), "{ran:?}");
    assert_eq!(revocations.requests().len(), 1, "{ran:?}");
}
