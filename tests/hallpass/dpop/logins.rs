//! Logins and token requests with proofs, and what the cache has of them.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use serde_json::Value;

use super::proof::DpopProof;
use super::{bound_token, logged_in, missing, strict, try_login, url_of, with_nonces};
use crate::machine::{CLIENT_ID, Machine, SECRET, numbered_tokens};
use crate::material::openssl;
use crate::server::{Reply, Server};

#[test]
fn each_token_request_has_a_proof_on_the_first_try() {
    let machine = logged_in(strict());
    machine
        .run(&["token", "p", "--json", "--refresh"])
        .success();
    let json = machine.run(&["token", "p", "--json"]).json();
    assert_eq!(json["access_token"], "bound-2");
    assert_eq!(json["token_type"], "DPoP");
    let requests = machine.server().requests();
    assert_eq!(requests.len(), 2, "no grant failed");
    let proofs: Vec<_> = requests.iter().filter_map(DpopProof::of).collect();
    assert_eq!(proofs.len(), 2);
    assert_ne!(proofs[0].id(), proofs[1].id());
    assert!(proofs.iter().all(|proof| proof.claims.get("ath").is_none()));
    // The profile records the choice, and no key.
    let profile = fs::read_to_string(machine.config().join("p.json")).expect("a profile");
    let profile: Value = serde_json::from_str(&profile).expect("JSON");
    assert_eq!(profile["dpop"], serde_json::json!({}));
}

#[test]
fn a_nonce_costs_one_more_request_once() {
    let machine = logged_in(with_nonces(1));
    let sent = || machine.server().requests().len();
    assert_eq!(sent(), 2, "cold");
    for warm in 1..=3 {
        machine
            .run(&["token", "p", "--json", "--refresh"])
            .success();
        assert_eq!(sent(), 2 + warm);
    }
    // Without the file, or with a damaged one, it is cold again.
    let nonces = machine.cache().join("p/dpop-nonces");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(&nonces).expect("a file").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    fs::remove_file(&nonces).expect("removed");
    machine
        .run(&["token", "p", "--json", "--refresh"])
        .success();
    assert_eq!(sent(), 7);
    fs::write(&nonces, b"\xff\0damage").expect("written");
    machine
        .run(&["token", "p", "--json", "--refresh"])
        .success();
    assert_eq!(sent(), 9);
    machine
        .run(&["token", "p", "--json", "--refresh"])
        .success();
    assert_eq!(sent(), 10);
}

#[test]
fn a_server_that_never_accepts_a_nonce_gets_two_requests() {
    let refuse = |number: &str| {
        Reply::json(400, r#"{"error":"use_dpop_nonce"}"#).header("DPoP-Nonce", number)
    };
    for nonce in ["again", "bad nonce", ""] {
        let server = Server::start(move |_| refuse(nonce));
        let machine = Machine::new().with_server(server);
        let ran = try_login(&machine, &["--dpop"]).failure(4);
        assert!(ran.stderr.contains("nonce"), "{ran:?}");
        let expected = if nonce == "again" { 2 } else { 1 };
        assert_eq!(machine.server().requests().len(), expected, "{nonce}");
    }
}

#[test]
fn a_failed_request_is_repeated_with_a_proof_and_a_nonce_of_its_own() {
    let server = Server::start({
        let count = std::sync::atomic::AtomicUsize::new(0);
        move |request| {
            let proof = DpopProof::of(request).expect("a proof");
            proof.verify("POST", &url_of(request));
            match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => Reply::json(400, r#"{"error":"use_dpop_nonce"}"#).header("dpop-nonce", "n1"),
                1 => Reply::new(503).header("DPoP-Nonce", "n2"),
                _ => bound_token(1),
            }
        }
    });
    let machine = logged_in(server);
    let requests = machine.server().requests();
    let proofs: Vec<_> = requests.iter().filter_map(DpopProof::of).collect();
    let nonces: Vec<_> = proofs.iter().map(|proof| &proof.claims["nonce"]).collect();
    assert_eq!(nonces, [&Value::Null, &"n1".into(), &"n2".into()]);
    let ids: HashSet<_> = proofs.iter().map(DpopProof::id).collect();
    assert_eq!(ids.len(), 3);
    assert!(proofs.iter().all(|proof| proof.key() == proofs[0].key()));
}

#[test]
fn many_callers_share_one_token_and_its_key() {
    let machine = logged_in(strict());
    machine.run(&["token", "p", "--forget"]).success();
    let ids = thread::scope(|scope| {
        let callers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let request = [
                        "token",
                        "p",
                        "--request",
                        "GET https://api.example/x",
                        "--format",
                        "headers-json",
                    ];
                    let headers = machine.run(&request).json();
                    assert_eq!(headers["Authorization"], "DPoP bound-2");
                    let proof = DpopProof::read(headers["DPoP"].as_str().expect("a proof"));
                    proof.verify_with("GET", "https://api.example/x", "bound-2");
                    (proof.id(), proof.key().to_string())
                })
            })
            .collect();
        callers
            .into_iter()
            .map(|caller| caller.join().expect("a proof"))
            .collect::<Vec<_>>()
    });
    assert_eq!(machine.server().requests().len(), 2);
    let keys: HashSet<_> = ids.iter().map(|(_, key)| key).collect();
    assert_eq!(keys.len(), 1);
    assert_eq!(
        ids.iter().map(|(id, _)| id).collect::<HashSet<_>>().len(),
        8
    );
    let last = machine.server().requests().pop().expect("a request");
    let key = DpopProof::of(&last).expect("a proof").key().to_string();
    assert_eq!(*keys.into_iter().next().expect("a key"), key);
}

#[test]
fn a_login_turns_proofs_on_and_off_as_the_server_wants() {
    let login = |server: Server, more: &[&str]| {
        let machine = Machine::new().with_server(server);
        let ran = try_login(&machine, more);
        (machine, ran)
    };
    // Required, with a message.
    let (machine, ran) = login(with_nonces(9), &[]);
    let ran = ran.success();
    assert!(
        ran.stderr.contains("requires proofs of possession (DPoP)"),
        "{ran:?}"
    );
    assert_eq!(machine.server().requests().len(), 3);
    machine
        .run(&["token", "p", "--json", "--refresh"])
        .success();
    assert_eq!(machine.server().requests().len(), 4);
    // A later login keeps it, also where it is not verified.
    machine
        .run(&["login", "p", "--scope", "x", "--no-verify"])
        .success();
    assert_eq!(
        machine.run(&["token", "p", "--json"]).json()["token_type"],
        "DPoP"
    );

    // The user does not want it.
    let (machine, ran) = login(strict(), &["--no-dpop"]);
    let ran = ran.failure(4);
    assert!(ran.stderr.contains("--dpop"), "{ran:?}");
    assert_eq!(machine.server().requests().len(), 1);

    // Not supported: what the user wants is not dropped silently.
    let (machine, ran) = login(Server::start(numbered_tokens()), &["--dpop"]);
    let ran = ran.failure(4);
    for expected in ["\"Bearer\"", "not bound", "--no-dpop"] {
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
    assert_eq!(machine.server().requests().len(), 1);
}

/// A server that requires proofs while this is true; else it ignores them.
fn switched(requires: bool) -> (Arc<AtomicBool>, Server) {
    let requires = Arc::new(AtomicBool::new(requires));
    let server = Server::start({
        let requires = Arc::clone(&requires);
        move |request| match (requires.load(SeqCst), DpopProof::of(request)) {
            (true, None) => missing(),
            (true, Some(_)) => bound_token(1),
            (false, _) => Reply::token("bearer", 3600),
        }
    });
    (requires, server)
}

#[test]
fn proofs_that_a_server_required_or_had_accepted_are_not_turned_off_by_another_response() {
    let keys = Machine::new();
    let key = openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]);
    let key = keys.private_file("k.pem", key.as_bytes());
    let key = key.to_str().expect("a path");
    let preset =
        "--provider okta-org --set domain=a.example --set scopes=a --client-id c --jwt-key";
    let preset: Vec<_> = preset.split(' ').chain([key]).collect();
    for is_preset in [false, true] {
        let (requires, server) = switched(true);
        let machine = Machine::new().with_server(server);
        let url = machine.server().url("/token");
        let secret = machine.private_file("secret", SECRET.as_bytes());
        let secret = [
            "--client-id",
            CLIENT_ID,
            "--secret-file",
            secret.to_str().expect("a path"),
        ];
        let client = if is_preset { &preset[..] } else { &secret };
        let login = [&["login", "p", "--token-url", &url][..], client].concat();
        machine.run(&login).success();
        let path = machine.config().join("p.json");
        let before = fs::read(&path).expect("a profile");
        requires.store(false, SeqCst);
        for arguments in [&login[..], &["profile", "edit", "p", "--scope", "x"]] {
            let sent = machine.server().requests().len();
            let ran = machine.run(arguments).failure(4);
            assert!(
                ran.stderr.contains("not bound") && ran.stderr.contains("--no-dpop"),
                "{ran:?}"
            );
            let requests = machine.server().requests().split_off(sent);
            assert_eq!(requests.len(), 1);
            assert!(DpopProof::of(&requests[0]).is_some());
            assert_eq!(fs::read(&path).expect("a profile"), before);
        }
        machine
            .run(&["profile", "edit", "p", "--no-dpop"])
            .success();
        machine.run(&["token", "p"]).token();
    }
    // What a login turned off because the server has no proofs, another one may turn on.
    let (requires, server) = switched(false);
    let machine = Machine::new().with_server(server);
    let url = machine.server().url("/token");
    let login = [&["login", "p", "--token-url", &url][..], &preset].concat();
    let ran = machine.run(&login).success();
    assert!(ran.stderr.contains("DPoP is turned off"), "{ran:?}");
    machine.run(&["token", "p"]).token();
    requires.store(true, SeqCst);
    machine
        .run(&["profile", "edit", "p", "--scope", "x"])
        .success();
    let json = machine.run(&["token", "p", "--json"]).json();
    assert_eq!(json["token_type"], "DPoP");
}

#[test]
fn only_a_refusal_that_is_about_proofs_turns_them_on() {
    // Whether the server wants a proof, and what is hinted at else.
    for (status, code, text, is_about_proofs, hint) in [
        (400, "invalid_dpop_proof", "", true, ""),
        (401, "invalid_dpop_proof", "", true, ""),
        (400, "use_dpop_nonce", "", true, ""),
        (400, "invalid_request", "DPoP proof is missing", true, ""),
        (
            400,
            "invalid_grant",
            "DPoP proof JWT not provided",
            true,
            "",
        ),
        (
            400,
            "invalid_request",
            "unknown parameter dpop_x",
            false,
            "administrator",
        ),
        (
            400,
            "invalid_scope",
            "unknown scope dpop-admin",
            false,
            "--scope",
        ),
        (
            400,
            "invalid_scope",
            "scope dpop is missing",
            false,
            "--scope",
        ),
        (
            401,
            "invalid_client",
            "DPoP is not supported for this client; wrong secret",
            false,
            "secret",
        ),
        (
            401,
            "invalid_client",
            "this client must use DPoP",
            false,
            "add --dpop",
        ),
    ] {
        let server = Server::start(move |request| {
            if DpopProof::of(request).is_some() {
                return bound_token(1);
            }
            let body = serde_json::json!({"error": code, "error_description": text});
            Reply::json(status, body.to_string())
        });
        let machine = Machine::new().with_server(server);
        let ran = try_login(&machine, &[]);
        let note = "so tokens are bound to a key";
        if is_about_proofs {
            let ran = ran.success();
            assert!(ran.stderr.contains(note), "{code} {text} {ran:?}");
        } else {
            let ran = ran.failure(4);
            assert!(
                ran.stderr.contains(hint) && !ran.stderr.contains(note),
                "{ran:?}"
            );
            assert_eq!(machine.server().requests().len(), 1);
        }
    }
}

#[test]
fn proofs_with_which_a_login_fails_as_well_are_not_mentioned() {
    let server = Server::start(|request| match DpopProof::of(request) {
        None => missing(),
        Some(_) => Reply::json(
            401,
            r#"{"error":"invalid_client","error_description":"no DPoP"}"#,
        ),
    });
    let machine = Machine::new().with_server(server);
    let ran = try_login(&machine, &[]).failure(4);
    assert!(
        !ran.stderr.contains("are bound") && ran.stderr.contains("check the client ID, secret"),
        "{ran:?}"
    );
}

#[test]
fn a_stored_profile_says_the_command_that_turns_proofs_on_or_off() {
    let (requires, server) = switched(false);
    let machine = Machine::new().with_server(server);
    machine.login("p", machine.server(), &[]);
    assert_eq!(machine.run(&["token", "p"]).token(), "bearer");
    requires.store(true, SeqCst);
    let ran = machine.run(&["token", "p", "--refresh"]).failure(4);
    assert!(
        ran.stderr.contains("hallpass profile edit p --dpop"),
        "{ran:?}"
    );
    machine.run(&["profile", "edit", "p", "--dpop"]).success();
    // The bearer token is not used any more.
    assert_eq!(
        machine.run(&["token", "p", "--json"]).json()["access_token"],
        "bound-1"
    );
    requires.store(false, SeqCst);
    let ran = machine
        .run(&["token", "p", "--json", "--refresh"])
        .failure(4);
    assert!(
        ran.stderr.contains("hallpass profile edit p --no-dpop"),
        "{ran:?}"
    );
    machine
        .run(&["profile", "edit", "p", "--no-dpop"])
        .success();
    assert_eq!(machine.run(&["token", "p"]).token(), "bearer");
}

#[test]
fn the_key_is_kept_with_the_token_and_goes_with_it() {
    let machine = logged_in(strict());
    let entry = || {
        let entries = machine.entries("p");
        let tokens: Vec<_> = entries
            .iter()
            .filter(|path| path.extension().is_some_and(|it| it == "json"))
            .collect();
        tokens
            .first()
            .map(|path| fs::read_to_string(path).expect("an entry"))
    };
    assert!(entry().is_some_and(|entry| entry.contains("\"proof_key\":{\"private\":")));
    machine.run(&["token", "p", "--forget"]).success();
    assert_eq!(entry(), None);
    assert!(!machine.cache().join("p").exists());
    machine.run(&["token", "p", "--json"]).success();
    machine.run(&["logout", "p"]).success();
    assert!(!machine.cache().join("p").exists());
}

#[test]
fn a_profile_from_the_environment_has_proofs() {
    let mut machine = Machine::new().with_server(with_nonces(1));
    let url = machine.server().url("/token");
    machine
        .set("HALLPASS_TOKEN_URL", &url)
        .set("HALLPASS_CLIENT_ID", CLIENT_ID);
    machine.set("HALLPASS_CLIENT_SECRET", SECRET);
    let ran = machine.run(&["token"]).failure(4);
    assert!(ran.stderr.contains("set HALLPASS_DPOP=1"), "{ran:?}");
    machine
        .set("HALLPASS_DPOP", "1")
        .set("HALLPASS_FOR", "https://api.example/");
    let request = ["token", "--request", "GET https://api.example/"];
    assert!(
        machine
            .run(&request)
            .output()
            .starts_with("Authorization: DPoP bound-1\nDPoP: ey")
    );
    machine.run(&["token", "--refresh", "--json"]).success();
    assert_eq!(machine.server().requests().len(), 4);
    for (value, expected) in [("0", 4), ("yes", 2)] {
        machine.set("HALLPASS_DPOP", value);
        machine.run(&["token", "--refresh"]).failure(expected);
    }
}
