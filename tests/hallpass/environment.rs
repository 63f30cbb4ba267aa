//! A profile that the environment describes, for one call: nothing to log in to, nothing kept but the token.

use std::process::Stdio;

use crate::server::Server;
use crate::support::{CLIENT_ID, Machine, SECRET, end_of, numbered_tokens};

fn machine(server: &Server) -> Machine {
    let mut machine = Machine::new();
    machine.set("HALLPASS_TOKEN_URL", &server.url("/oauth/token"));
    machine.set("HALLPASS_CLIENT_ID", CLIENT_ID);
    machine.set("HALLPASS_CLIENT_SECRET", SECRET);
    machine
}

#[test]
fn a_token_is_asked_for_once_and_cached_like_any_other() {
    let server = Server::start(numbered_tokens());
    let mut machine = machine(&server);
    machine.set("HALLPASS_AUDIENCE", "https://acme.blooma.ai/api/");
    machine.set("HALLPASS_BODY", "json");
    machine.set("HALLPASS_SCOPE", "USER");
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    let body: serde_json::Value = serde_json::from_slice(&requests[0].body).expect("JSON");
    assert_eq!(body["audience"], "https://acme.blooma.ai/api/");
    assert_eq!(body["client_secret"], SECRET);
    assert_eq!(body["scope"], "USER");
    assert!(!machine.config().exists(), "there are no settings");
    let ran = machine.run(&["status"]).success();
    assert!(
        ran.stdout.contains("environment (HALLPASS_TOKEN_URL)\n"),
        "{ran:?}"
    );
    assert!(!ran.stdout.contains(SECRET), "{ran:?}");
    machine.run(&["logout", "--all"]).success();
    assert_eq!(machine.run(&["token"]).token(), "token-3");
}

#[test]
fn whatever_changes_the_answer_is_another_token() {
    let server = Server::start(numbered_tokens());
    let mut seen = Vec::new();
    let mut machine = machine(&server);
    for (name, value) in [
        ("HALLPASS_SCOPE", "USER"),
        ("HALLPASS_AUDIENCE", "b"),
        ("HALLPASS_RESOURCE", "urn:c"),
        ("HALLPASS_CLIENT_ID", "d"),
        ("HALLPASS_CLIENT_SECRET", "another"),
        ("HALLPASS_AUTH", "client_secret_post"),
    ] {
        machine.set(name, value);
        let token = machine.run(&["token"]).token();
        assert_eq!(machine.run(&["token"]).token(), token);
        assert!(!seen.contains(&token), "{name}");
        seen.push(token);
    }
}

#[test]
fn the_secret_may_come_from_a_file_or_from_standard_input() {
    let server = Server::start(numbered_tokens());
    let mut machine = machine(&server);
    machine.set("HALLPASS_AUTH", "client_secret_post");
    machine.set("HALLPASS_CLIENT_SECRET", "");
    let given = machine.run_with_input(&["token", "--secret-stdin"], b"by-stdin\n");
    assert_eq!(given.token(), "token-1");
    let given = machine.run_with_input(&["token", "--secret-stdin"], b"by-stdin\n");
    assert_eq!(given.token(), "token-1");
    let given = machine.run_with_input(&["token", "--secret-stdin"], b"another");
    assert_eq!(given.token(), "token-2");
    let file = machine.private_file("secret", b"by-file");
    machine.set("HALLPASS_CLIENT_SECRET_FILE", file.to_str().expect("UTF-8"));
    assert_eq!(machine.run(&["token"]).token(), "token-3");
    let bodies: Vec<_> = server
        .requests()
        .iter()
        .map(crate::server::Request::text)
        .collect();
    for (body, secret) in bodies.iter().zip(["by-stdin", "another", "by-file"]) {
        assert!(body.contains(&format!("client_secret={secret}")), "{body}");
    }
}

#[test]
fn what_is_missing_or_wrong_is_told_by_name() {
    let server = Server::start(numbered_tokens());
    for (name, value, code, said) in [
        ("HALLPASS_CLIENT_ID", "", 2, "HALLPASS_CLIENT_ID is not"),
        (
            "HALLPASS_CLIENT_SECRET",
            "",
            3,
            "HALLPASS_CLIENT_SECRET is not set",
        ),
        (
            "HALLPASS_CLIENT_SECRET",
            "a\nb",
            2,
            "HALLPASS_CLIENT_SECRET has more than one line",
        ),
        (
            "HALLPASS_TOKEN_URL",
            "http://a.example/",
            2,
            "HALLPASS_TOKEN_URL must be https",
        ),
        (
            "HALLPASS_BODY",
            "xml",
            2,
            "HALLPASS_BODY is neither form nor json",
        ),
        (
            "HALLPASS_AUTH",
            "private_key_jwt",
            2,
            "HALLPASS_AUTH is neither",
        ),
        (
            "HALLPASS_FOR",
            "ftp://a",
            2,
            "HALLPASS_FOR must begin with https://",
        ),
        (
            "HALLPASS_SCOPE",
            "a\tb",
            2,
            "HALLPASS_SCOPE holds a control character",
        ),
        (
            "HALLPASS_PROFILE",
            "prod",
            2,
            "HALLPASS_PROFILE names a profile, and HALLPASS_TOKEN_URL",
        ),
    ] {
        let mut machine = machine(&server);
        machine.set(name, value);
        let ran = machine.run(&["token"]).failure(code);
        assert!(ran.stderr.contains(said), "{name}: {ran:?}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_profile_that_is_named_is_used_all_the_same() {
    let server = Server::start(numbered_tokens());
    let machine = machine(&server);
    machine.login("prod", &server, &[]);
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-1");
    let ran = machine
        .run_with_input(&["token", "prod", "--secret-stdin"], b"x")
        .failure(2);
    assert!(
        ran.stderr.contains("a profile has its own secret"),
        "{ran:?}"
    );
}

#[test]
fn fifty_callers_make_one_request() {
    let server = Server::start(numbered_tokens());
    let machine = machine(&server);
    let children: Vec<_> = (0..50)
        .map(|_| {
            let mut command = machine.hallpass(&["token"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("hallpass starts")
        })
        .collect();
    for child in children {
        assert_eq!(end_of(child).token(), "token-1");
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_helper_answers_for_the_urls_that_the_environment_names() {
    let server = Server::start(numbered_tokens());
    let mut machine = machine(&server);
    machine.set("HALLPASS_FOR", "https://a.example/ https://b.example/api");
    let ask = |host: &str| {
        let request = format!("protocol=https\nhost={host}\n\n");
        machine
            .run_with_input(&["git-credential", "get"], request.as_bytes())
            .success()
            .stdout
    };
    assert!(ask("a.example").contains("password=token-1\n"));
    assert_eq!(ask("c.example"), "");
    assert_eq!(ask("a.example.evil"), "");
}

#[test]
fn a_misspelled_variable_is_reported_and_its_value_is_not() {
    let mut machine = Machine::new();
    machine.set("HALLPASS_TOKN_URL", "a-secret-value");
    machine.set("HALLPASS_ANYTHING", "another");
    for (arguments, code) in [
        (&["token"][..], 3),
        (&["token", "--nope"], 2),
        (&["status"], 0),
        (&["askpass", "Password for 'https://u@a.example': "], 3),
    ] {
        let ran = machine.run(arguments);
        assert_eq!(ran.code, code, "{ran:?}");
        for text in [
            "HALLPASS_TOKN_URL is set, but hallpass does not read it: did you mean HALLPASS_TOKEN_URL?",
            "HALLPASS_ANYTHING is set, but hallpass does not read it\n",
        ] {
            assert!(ran.stderr.contains(text), "{ran:?}");
        }
        assert!(!ran.stderr.contains("a-secret-value"), "{ran:?}");
    }
}
