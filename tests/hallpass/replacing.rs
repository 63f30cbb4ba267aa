//! A login that meets another one of the same name: nothing of the user's is lost.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::machine::{Machine, Ran, finish, numbered_tokens};
use crate::server::{Gate, Reply, Server};

fn login(machine: &Machine, arguments: &[&str]) -> Ran {
    let secret = machine.private_file("secret", b"s3cr3t-s3cr3t");
    let secret = secret.to_str().expect("UTF-8");
    machine.run(&[&["login"], arguments, &["--secret-file", secret]].concat())
}

/// The arguments of the client `1`, for the profile `p`.
fn client_1(url: &str) -> [&str; 5] {
    ["p", "--token-url", url, "--client-id", "1"]
}

fn profile(machine: &Machine, name: &str) -> Value {
    let file = machine.config().join(format!("{name}.json"));
    serde_json::from_slice(&fs::read(file).expect("a profile")).expect("JSON")
}

#[test]
fn another_client_is_not_replaced_without_a_word() {
    let (one, two) = (
        Server::start(numbered_tokens()),
        Server::start(numbered_tokens()),
    );
    let (a, b) = (one.url("/t"), two.url("/t"));
    for name in [&[][..], &["p"]] {
        let machine = Machine::new();
        let first = [
            "--token-url",
            &a,
            "--client-id",
            "1",
            "--for",
            "https://u.example",
        ];
        login(&machine, &[name, &first].concat()).success();
        let before = machine.files();
        for other in [
            &["--token-url", &b, "--client-id", "2"][..],
            &["--token-url", &a, "--client-id", "2"],
            &["--token-url", &b, "--client-id", "1"],
            &["--client-id", "2"],
        ] {
            let asked = two.requests().len();
            let refused = login(&machine, &[name, other].concat()).failure(2);
            assert!(refused.stderr.contains("--replace"), "{refused:?}");
            assert!(
                refused.stderr.contains(&format!("client 1 at {a}")),
                "{refused:?}"
            );
            assert_eq!(two.requests().len(), asked, "no secret is sent");
            assert_eq!(machine.files(), before);
        }
        let other = ["--token-url", &b, "--client-id", "2", "--replace"];
        let replaced = login(&machine, &[name, &other].concat()).success();
        assert!(
            replaced.stderr.contains(&format!("client 1 at {a}")),
            "{replaced:?}"
        );
        let name = name.first().unwrap_or(&"default");
        assert_eq!(profile(&machine, name)["client_id"], "2");
        assert_eq!(profile(&machine, name)["for"], Value::Null);
    }
}

#[test]
fn the_same_client_is_renewed_and_keeps_its_settings() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let url = server.url("/t");
    let more = [
        "--scope",
        "USER",
        "--audience",
        "urn:a",
        "--for",
        "https://u.example",
    ];
    login(&machine, &[&client_1(&url)[..], &more].concat()).success();
    let bind = [
        "bind",
        "p",
        "https://u.example",
        "--username",
        "x-token-auth",
    ];
    machine.run(&bind).success();
    login(
        &machine,
        &[&client_1(&url)[..], &["--for", "https://u.example"]].concat(),
    )
    .success();
    let now = profile(&machine, "p");
    assert_eq!(
        (&now["scope"], &now["audience"]),
        (&json!("USER"), &json!("urn:a"))
    );
    assert_eq!(now["for"][0]["username"], "x-token-auth");
}

#[test]
fn what_was_given_outlives_a_login_that_renews_what_was_derived() {
    let server = Server::start(|request| {
        let host = format!("http://{}", request.header("host").unwrap_or_default());
        if request.method == "POST" {
            return Reply::token("t", 3600);
        }
        let metadata = json!({
            "issuer": host, "token_endpoint": format!("{host}/metadata"),
            "revocation_endpoint": format!("{host}/revoke"),
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        });
        Reply::json(200, metadata.to_string())
    });
    let machine = Machine::new();
    let (issuer, token, revoke) = (
        server.url(""),
        server.url("/mine"),
        server.url("/my-revoke"),
    );
    let given = [
        "p",
        "--client-id",
        "1",
        "--issuer",
        &issuer,
        "--token-url",
        &token,
        "--auth",
        "client_secret_post",
        "--revocation-url",
        &revoke,
    ];
    login(&machine, &given).success();
    login(&machine, &["p", "--scope", "x"]).success();
    let now = profile(&machine, "p");
    assert_eq!(now["token_endpoint"], token);
    assert_eq!(now["client_auth"], "client_secret_post");
    assert_eq!(now["revocation_endpoint"], revoke);
    let posts = server
        .requests()
        .into_iter()
        .filter(|request| request.method == "POST");
    assert!(posts.into_iter().all(|request| request.target == "/mine"));
}

#[test]
fn a_binding_that_is_made_while_a_login_waits_is_kept() {
    let changes_the_client = ["--client-id", "2", "--replace"];
    for more in [
        &[][..],
        &["--for", "https://given.example"],
        &changes_the_client,
    ] {
        let gate = Gate::new();
        let held = gate.clone();
        let server = Server::start(move |request| {
            let reply = Reply::token("t", 3600);
            if request.text().contains("wait") {
                reply.held_by(&held)
            } else {
                reply
            }
        });
        let machine = Machine::new();
        let url = server.url("/t");
        login(&machine, &client_1(&url)).success();
        let mut waiting = machine.hallpass(&[&["login", "p", "--scope", "wait"], more].concat());
        let waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped());
        let waiting = waiting.spawn().expect("hallpass starts");
        server.wait_for_requests(2);
        machine.run(&["bind", "p", "https://new.example"]).success();
        gate.open();
        finish(waiting).success();
        let bound = profile(&machine, "p")["for"].to_string();
        assert!(bound.contains("https://new.example/"), "{bound}");
        let is_given = more.contains(&"https://given.example");
        assert_eq!(bound.contains("https://given.example/"), is_given);
    }
}

#[test]
fn a_credential_is_no_parameter() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let url = server.url("/t");
    for name in [
        "password",
        "refresh_token",
        "assertion",
        "subject_token",
        "actor_token",
        "code",
        "id_token",
        "Password",
    ] {
        let parameter = format!("{name}=hunter2");
        let ran = login(
            &machine,
            &[&client_1(&url)[..], &["--param", &parameter]].concat(),
        );
        let ran = ran.failure(2);
        assert!(ran.stderr.contains("is a credential"), "{ran:?}");
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    }
    assert!(server.requests().is_empty());
    login(&machine, &client_1(&url)).success();
    let file = machine.config().join("p.json");
    let mut edited = profile(&machine, "p");
    edited["parameters"] = json!({ "password": "hunter2" });
    fs::write(&file, edited.to_string()).expect("a profile");
    let ran = machine.run(&["token", "p"]).failure(2);
    assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
}
