//! `hallpass rotate`: a new secret replaces the old one, and no caller fails meanwhile.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::Value;

use crate::crowd::Crowd;
use crate::machine::{Machine, Ran, finish, spawn};
use crate::secret_service::SecretService;
use crate::server::{Gate, Reply, Request, Server};
use crate::terminal::Terminal;

/// A server that accepts these secrets, and numbers its tokens by the secret: `new-2`.
struct Issuer {
    accepted: &'static Mutex<BTreeSet<&'static str>>,
    machine: Machine,
    keychain: SecretService,
}

impl Issuer {
    /// With a profile `p` that has the secret `old`.
    fn start() -> Self {
        let accepted: &'static Mutex<BTreeSet<&str>> = Box::leak(Box::default());
        accepted.lock().expect("a lock").insert("old");
        let server = Server::start(move |request: &Request| {
            let secret = request.basic_credentials().expect("credentials").1;
            let accepted = accepted.lock().expect("a lock");
            if accepted.contains(secret.as_str()) {
                Reply::token(&format!("{secret}-token"), 3600)
            } else {
                Reply::json(401, r#"{"error": "invalid_client"}"#)
            }
        });
        let keychain = SecretService::start();
        let machine = Machine::new()
            .with_environment(keychain.environment())
            .with_server(server);
        machine.login_to_keychain("p", "old").success();
        Self {
            accepted,
            machine,
            keychain,
        }
    }

    fn accept(&self, secrets: &[&'static str]) {
        *self.accepted.lock().expect("a lock") = secrets.iter().copied().collect();
    }

    fn rotate(&self, options: &[&str], secret: &str) -> Ran {
        let rotate = ["rotate", "p", "--secret-stdin"];
        self.machine
            .run_with_input(&[&rotate, options].concat(), secret)
    }

    fn refresh(&self) -> String {
        self.machine.run(&["token", "p", "--refresh"]).token()
    }

    /// The secrets that were sent since the last call.
    fn sent_by(&self, action: impl FnOnce()) -> Vec<String> {
        let before = self.machine.secrets_sent().len();
        action();
        self.machine.secrets_sent().split_off(before)
    }

    fn previous_secret(&self) -> Value {
        let shown = self.machine.run(&["status", "p", "--json"]).json();
        shown["profiles"][0]["previous_secret"].clone()
    }
}

#[test]
fn a_new_secret_is_verified_and_then_replaces_the_old_one() {
    let issuer = Issuer::start();
    let machine = &issuer.machine;
    let other_audience = ["token", "p", "--audience", "urn:api"];
    machine.run(&other_audience).token();
    let account = machine.account("p");
    let profile = machine.config().join("p.json");
    let before = std::fs::read(&profile).expect("the profile");
    let refused = issuer.rotate(&[], "wrong").failure(4);
    assert!(
        refused.stderr.contains("nothing was changed")
            && refused.stderr.contains("--keep-old --no-verify"),
        "{refused:?}"
    );
    assert_eq!(std::fs::read(&profile).expect("the profile"), before);
    assert_eq!(issuer.refresh(), "old-token");

    issuer.accept(&["old", "new"]);
    issuer.rotate(&["--secret-expires", "90d"], "new").success();
    assert_ne!(machine.account("p"), account);
    let sent = issuer.sent_by(|| {
        assert_eq!(machine.run(&["token", "p"]).token(), "new-token");
        assert_eq!(
            machine.run(&other_audience).token(),
            "old-token",
            "it is still cached"
        );
    });
    assert_eq!(sent, Vec::<String>::new());
    issuer.accept(&["new"]);
    assert_eq!(issuer.refresh(), "new-token");
    let shown = machine.run(&["status", "p"]).output();
    assert!(shown.contains("(in 90 days)"), "{shown}");
    assert!(!shown.contains("previous secret"), "{shown}");
    machine.run(&["logout", "p"]).success();
    assert!(issuer.keychain.is_empty());
}

#[test]
fn a_previous_secret_that_is_no_longer_needed_is_mentioned_once_a_day_and_only_at_a_terminal() {
    let refresh = ["token", "p", "--refresh"];
    let is_mentioned = |issuer: &Issuer| {
        let ended = Terminal::run(&issuer.machine.hallpass(&refresh)).end();
        assert_eq!(ended.exit, Some(0), "{ended:?}");
        ended.screen.contains("still keeps its previous secret")
    };
    let keep = ["--keep-old", "--no-verify"];

    let issuer = Issuer::start();
    assert!(!is_mentioned(&issuer), "there is no other secret");
    issuer.rotate(&keep, "new").success();
    assert!(!is_mentioned(&issuer), "the new one is not accepted yet");
    issuer.accept(&["new"]);
    let without_terminal = issuer.machine.run(&refresh).success();
    assert!(!without_terminal.stderr.contains("previous secret"));
    assert!(is_mentioned(&issuer));
    assert!(!is_mentioned(&issuer), "the same day");
    for (hours, is_due) in [(23, false), (24, true)] {
        issuer.machine.age_cached("p/previous-secret", hours);
        assert_eq!(is_mentioned(&issuer), is_due, "{hours} h later");
    }

    let issuer = Issuer::start();
    let edit = ["profile", "edit", "p", "--secret-expires", "2999-01-01"];
    issuer.machine.run(&edit).success();
    let profile = issuer.machine.config().join("p.json");
    let settings = std::fs::read_to_string(&profile).expect("the profile");
    std::fs::write(&profile, settings.replace("2999", "2001")).expect("written");
    issuer.rotate(&keep, "new").success();
    issuer.accept(&["old", "new"]);
    assert!(is_mentioned(&issuer), "the previous one has expired");
}

#[test]
fn neither_of_two_secrets_is_shown_if_the_server_repeats_them() {
    let secrets = ["first-s3cret-0", "second-s3cret-0", "third-s3cret-0"];
    let echo = secrets.join(" ");
    let accepts: &'static Mutex<bool> = Box::leak(Box::new(Mutex::new(true)));
    let server = Server::start(move |request: &Request| {
        if request.target.contains("introspect") {
            Reply::json(200, format!(r#"{{"active": true, "sub": "{echo}"}}"#))
        } else if *accepts.lock().expect("a lock") {
            Reply::json(
                200,
                format!(r#"{{"access_token": "t", "token_type": "bearer", "scope": "{echo}"}}"#),
            )
        } else {
            let error = format!(r#"{{"error": "invalid_client", "error_description": "{echo}"}}"#);
            Reply::json(401, error)
        }
    });
    let introspection = server.url("/introspect");
    let keychain = SecretService::start();
    let machine = Machine::new()
        .with_environment(keychain.environment())
        .with_server(server);
    machine.login_to_keychain("p", secrets[0]).success();
    let rotate = ["rotate", "p", "--keep-old", "--secret-stdin"];
    machine.run_with_input(&rotate, secrets[1]).success();
    let inspect = ["token", "p", "--inspect", "--introspection-url"];
    let calls = [
        &["token", "p", "--refresh", "--json"][..],
        &["status", "p", "--check"],
        &["doctor", "p"],
        &[&inspect[..], &[&introspection]].concat(),
    ];
    // The rotation that is accepted comes last: it removes a secret.
    for is_accepted in [false, true] {
        *accepts.lock().expect("a lock") = is_accepted;
        let mut shown: Vec<_> = calls.map(|call| machine.run(call)).into();
        let rotate = ["rotate", "p", "--secret-stdin", "--keep-old"];
        shown.push(machine.run_with_input(&rotate, secrets[2]));
        for (ran, call) in shown.iter().zip(calls.iter().chain([&&rotate[..]])) {
            let text = [&*ran.stdout, &*ran.stderr].concat();
            // The last one is known only to the rotation to it.
            let known = if call[0] == "rotate" { 3 } else { 2 };
            for secret in &secrets[..known] {
                assert!(!text.contains(secret), "{call:?}: {ran:?}");
            }
            let has_text = !is_accepted || call[0] == "token";
            assert!(text.contains("[secret]") || !has_text, "{call:?}: {ran:?}");
        }
    }
}

#[test]
fn a_refused_proof_says_nothing_about_a_secret() {
    for code in ["invalid_dpop_proof", "use_dpop_nonce"] {
        let is_late: &'static AtomicBool = Box::leak(Box::default());
        let server = Server::start(move |request: &Request| {
            let (_, secret) = request.basic_credentials().expect("credentials");
            let body = format!(r#"{{"error": "{code}"}}"#);
            match secret.as_str() {
                _ if is_late.load(SeqCst) => Reply::json(401, body).header("DPoP-Nonce", "n"),
                "old" => Reply::json(
                    200,
                    r#"{"access_token":"old-token","token_type":"DPoP","expires_in":3600}"#,
                ),
                _ => Reply::json(401, r#"{"error": "invalid_client"}"#),
            }
        });
        let keychain = SecretService::start();
        let machine = Machine::new()
            .with_environment(keychain.environment())
            .with_server(server);
        let ran = machine.login_to_keychain("p", "old").success();
        assert!(ran.stderr.contains("requires proofs"), "{ran:?}");
        let rotate = ["rotate", "p", "--secret-stdin", "--keep-old", "--no-verify"];
        machine.run_with_input(&rotate, "new").success();
        let get = ["token", "p", "--refresh", "--json"];
        is_late.store(true, SeqCst);
        let sent = machine.secrets_sent().len();
        let ran = machine.run(&get).failure(4);
        let fault = format!("the server refused the proof of possession (DPoP): 401 {code}");
        assert!(ran.stderr.contains(&fault), "{ran:?}");
        let sent = machine.secrets_sent().split_off(sent);
        assert!(sent.iter().all(|secret| secret == "new"), "{sent:?}");
        is_late.store(false, SeqCst);
        assert_eq!(machine.run(&get).json()["access_token"], "old-token");
    }
}

#[test]
fn the_old_secret_helps_out_where_the_new_one_is_refused_and_only_once() {
    let issuer = Issuer::start();
    issuer.accept(&["old", "new"]);
    issuer.rotate(&["--keep-old"], "new").success();
    assert!(issuer.previous_secret().is_object());
    assert_eq!(issuer.refresh(), "new-token");
    for (accepted, sent, token) in [
        // One node of the server does not know the new secret yet.
        (&["old"][..], &["new", "old"][..], "old-token"),
        (&["old"], &["old"], "old-token"),
        (&["old", "new"], &["old"], "old-token"),
        // The old one is gone.
        (&["new"], &["old", "new"], "new-token"),
        (&["new"], &["new"], "new-token"),
        (&["new", "old"], &["new"], "new-token"),
    ] {
        issuer.accept(accepted);
        let seen = issuer.sent_by(|| assert_eq!(issuer.refresh(), token));
        assert_eq!(seen, sent, "{accepted:?}");
    }
    issuer.accept(&["old"]);
    let seen = issuer.sent_by(|| {
        issuer.machine.run(&["token", "p", "--refresh"]).failure(4);
    });
    assert_eq!(seen, ["new"], "the old one was refused before");
    let refused = issuer.machine.run(&["rotate", "p", "--finish"]).failure(4);
    assert!(refused.stderr.contains("--no-verify"), "{refused:?}");
    assert!(issuer.previous_secret().is_object());
    issuer.accept(&["new"]);
    issuer.machine.run(&["rotate", "p", "--finish"]).success();
    assert!(issuer.previous_secret().is_null());
    issuer.machine.run(&["rotate", "p", "--finish"]).failure(2);
    assert_eq!(issuer.refresh(), "new-token");
    issuer.machine.run(&["logout", "p"]).success();
    assert!(issuer.keychain.is_empty());
}

#[test]
fn of_two_secrets_a_rotation_keeps_the_one_that_the_server_accepts() {
    let issuer = Issuer::start();
    let unverified = ["--keep-old", "--no-verify"];
    let same = issuer.rotate(&["--no-verify"], "old").success();
    assert!(same.stderr.contains("is the same as"), "{same:?}");
    issuer.rotate(&unverified, "typo").success();
    // Nobody knows yet which one works.
    let refused = issuer.rotate(&unverified, "second").failure(2);
    assert!(refused.stderr.contains("rotate p --finish"), "{refused:?}");
    assert_eq!(issuer.refresh(), "old-token");
    let kept = issuer.rotate(&unverified, "second").success();
    assert!(kept.stderr.contains("accepted only"), "{kept:?}");
    assert_eq!(issuer.refresh(), "old-token");

    // The new one works, so the old one goes.
    issuer.accept(&["second"]);
    assert_eq!(issuer.refresh(), "second-token");
    issuer.accept(&["second", "third"]);
    let replaced = issuer.rotate(&["--keep-old"], "third").success();
    assert!(replaced.stderr.contains("was removed"), "{replaced:?}");
    issuer.accept(&["second"]);
    assert_eq!(issuer.refresh(), "second-token");
    issuer.accept(&["fourth"]);
    let replaced = issuer.rotate(&[], "fourth").success();
    assert!(
        replaced.stderr.contains("--keep-old` kept was removed"),
        "{replaced:?}"
    );
    issuer.machine.run(&["logout", "p"]).success();
    assert!(issuer.keychain.is_empty());
}

#[test]
fn a_check_tells_which_of_two_secrets_the_server_accepts_and_records_nothing() {
    let issuer = Issuer::start();
    let machine = &issuer.machine;
    issuer
        .rotate(&["--keep-old", "--no-verify"], "new")
        .success();
    for (accepted, secret, text) in [
        ("old", "previous", "with the previous secret only"),
        ("new", "current", "ok: the server issued a token, valid"),
        ("old", "previous", "with the previous secret only"),
    ] {
        issuer.accept(&[accepted]);
        let sent = issuer.sent_by(|| {
            let shown = machine.run(&["status", "p", "--check", "--json"]).json();
            assert_eq!(shown["profiles"][0]["check"]["secret"], secret);
        });
        assert_eq!(sent[0], "new");
        let shown = machine.run(&["status", "p", "--check"]).output();
        assert!(shown.contains(text), "{shown}");
        assert!(!machine.cache().join("p/rotation").exists());
    }
    let table = machine.run(&["profile", "list"]).output();
    assert!(table.contains("keychain, 2 secrets"), "{table}");
}

#[test]
fn a_crowd_does_not_fail_while_the_server_does_not_know_the_new_secret_everywhere() {
    let issuer = Issuer::start();
    issuer.accept(&["old", "new"]);
    issuer.rotate(&["--keep-old"], "new").success();
    issuer.accept(&["old"]);
    let machine = &issuer.machine;
    let sent = issuer.sent_by(|| {
        let audiences = ["a", "b", "c", "d"];
        let crowds =
            audiences.map(|it| Crowd::start(machine, 50, &["token", "p", "--audience", it]));
        for crowd in crowds {
            assert_eq!(crowd.tokens(), ["old-token".to_owned()].into());
        }
    });
    let refused = sent.iter().filter(|secret| *secret == "new").count();
    assert_eq!(refused, 1, "{sent:?}");
}

#[test]
fn a_caller_that_still_uses_the_old_secret_goes_on_with_the_new_one() {
    let issuer = Issuer::start();
    issuer.accept(&["old", "new"]);
    let gate = Gate::new();
    let held = gate.clone();
    let count = Mutex::new(0);
    // The first request waits until the secret was rotated, and is then refused.
    let server = Server::start(move |request: &Request| {
        let mut count = count.lock().expect("a lock");
        *count += 1;
        let secret = request.basic_credentials().expect("credentials").1;
        match (*count, secret.as_str()) {
            (1, _) => Reply::token("login", 3600),
            (2, _) => Reply::json(401, r#"{"error": "invalid_client"}"#).held_by(&held),
            _ => Reply::token(&format!("{secret}-token"), 3600),
        }
    });
    let keychain = SecretService::start();
    let machine = Machine::new()
        .with_environment(keychain.environment())
        .with_server(server);
    machine.login_to_keychain("p", "old").success();
    let caller = spawn(&mut machine.hallpass(&["token", "p", "--refresh"]));
    machine.server().wait_for_requests(2);
    machine
        .run_with_input(&["rotate", "p", "--secret-stdin"], "new")
        .success();
    gate.open();
    assert_eq!(finish(caller).token(), "new-token");
    assert_eq!(machine.secrets_sent(), ["old", "old", "new", "new"]);
}

#[test]
fn a_new_secret_goes_only_to_the_server_of_the_login() {
    let issuer = Issuer::start();
    let machine = &issuer.machine;
    let other = Server::start(|_: &Request| Reply::token("stolen", 3600));
    let path = machine.config().join("p.json");
    let profile = std::fs::read_to_string(&path).expect("the profile");
    let edited = profile.replace(&machine.server().url(""), &other.url(""));
    std::fs::write(&path, edited).expect("the profile");
    let refused = issuer.rotate(&[], "new").failure(4);
    assert!(
        refused.stderr.contains("was edited after login"),
        "{refused:?}"
    );
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_new_secret_is_asked_for_again_if_it_is_refused() {
    let issuer = Issuer::start();
    issuer.accept(&["old", "new"]);
    let mut terminal = Terminal::run(&issuer.machine.hallpass(&["rotate", "p"]));
    for secret in ["wrong", "new"] {
        terminal.expect("New client secret: ");
        terminal.send(&format!("{secret}\r"));
    }
    let ended = terminal.end();
    assert_eq!(ended.exit, Some(0), "{ended:?}");
    ended.never_showed("wrong");
    assert_eq!(issuer.refresh(), "new-token");
}
