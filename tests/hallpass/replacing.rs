//! A login that meets another one of the same name: nothing of the user's is lost.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::machine::{Machine, Ran, finish, numbered_tokens, spawn};
use crate::secret_service::SecretService;
use crate::server::{Gate, Reply, Server, holding};
use crate::terminal::Terminal;

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
        let server = Server::start(holding(&gate));
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

/// A profile `p` in the keychain, whose secret expires, while a rotation keeps another secret.
fn with_saved_secrets(keychain: &SecretService) -> Machine {
    let machine = Machine::new()
        .with_environment(keychain.environment())
        .with_server(Server::start(numbered_tokens()));
    machine
        .login_from("p", &["--secret-stdin", "--secret-expires", "90d"], "old")
        .success();
    let rotate = ["rotate", "p", "--secret-stdin", "--keep-old"];
    machine
        .run_with_input(&[&rotate[..], &["--secret-expires", "90d"]].concat(), "new")
        .success();
    machine
}

#[test]
fn a_login_that_changes_a_setting_keeps_the_saved_secret_if_the_answer_is_empty() {
    let keychain = SecretService::start();
    let machine = with_saved_secrets(&keychain);
    let login = ["login", "p", "--audience", "urn:api"];
    // Without a terminal, another command does it.
    let refused = machine.run(&login).failure(2);
    assert!(
        refused.stderr.contains("hallpass profile edit p ..."),
        "{refused:?}"
    );
    let mut terminal = Terminal::run(&machine.hallpass(&login));
    terminal.expect("Client secret (empty keeps the saved one): ");
    terminal.send("\r");
    let ended = terminal.end();
    assert_eq!(ended.exit, Some(0), "{ended:?}");
    assert!(!ended.screen.contains("was removed"), "{ended:?}");
    let changed = profile(&machine, "p");
    assert_eq!(changed["audience"], "urn:api");
    assert!(changed["secret_expires"].is_string());
    assert!(changed["rotation"]["previous"].is_object());
    machine.run(&["token", "p", "--refresh"]).token();
    assert_eq!(machine.secrets_sent(), ["old", "new", "new", "new"]);

    // A setting that the secret's item depends on is changed by an edit, which keeps both as well.
    let edit = ["profile", "edit", "p", "--body", "json"];
    machine.run(&edit).success();
    assert!(profile(&machine, "p")["rotation"]["previous"].is_object());
    machine.run(&["rotate", "p", "--finish"]).success();
    machine.run(&["logout", "p"]).success();
    assert!(keychain.is_empty());
}

#[test]
fn a_login_that_sends_the_secret_elsewhere_does_not_offer_to_keep_it() {
    let keychain = SecretService::start();
    let machine = with_saved_secrets(&keychain);
    let other = machine.server().url("/revoke");
    for changes in [
        &["--auth", "client_secret_post"][..],
        &["--body", "json"],
        &["--revocation-url", &other],
    ] {
        let login = [&["login", "p"], changes].concat();
        let refused = machine.run(&login).failure(2);
        assert!(!refused.stderr.contains("profile edit"), "{refused:?}");
        let mut terminal = Terminal::run(&machine.hallpass(&login));
        terminal.expect("Client secret: ");
        terminal.send("\r");
        terminal.expect("the client secret is empty");
        terminal.send("\u{3}");
        let ended = terminal.end();
        assert_ne!(ended.exit, Some(0), "{ended:?}");
    }
    assert_eq!(machine.secrets_sent(), ["old", "new"]);
}

#[test]
fn an_edit_does_not_undo_a_rotation_that_happens_meanwhile() {
    let keychain = SecretService::start();
    let gate = Gate::new();
    let server = Server::start(holding(&gate));
    let machine = Machine::new()
        .with_environment(keychain.environment())
        .with_server(server);
    machine.login_to_keychain("p", "old").success();
    let edit = spawn(&mut machine.hallpass(&["profile", "edit", "p", "--scope", "wait"]));
    machine.server().wait_for_requests(2);
    let rotate = ["rotate", "p", "--secret-stdin"];
    machine.run_with_input(&rotate, "new").success();
    gate.open();
    let refused = finish(edit).failure(2);
    assert!(refused.stderr.contains("meanwhile"), "{refused:?}");
    machine.run(&["token", "p", "--refresh"]).token();
    assert_eq!(machine.secrets_sent().last().expect("a secret"), "new");
}
