//! First logins at a terminal, with mistakes: each ends in a login, and no accepted answer is typed twice.

use serde_json::{Value, json};

use crate::machine::{Machine, SECRET};
use crate::secret_service::SecretService;
use crate::server::{Reply, Request, Server};
use crate::terminal::{Ended, Terminal};

/// A server that knows one client, and publishes metadata.
fn authorization_server() -> Server {
    Server::start(|request: &Request| {
        let host = format!("http://{}", request.header("host").unwrap_or_default());
        if request.target == "/.well-known/oauth-authorization-server" {
            let metadata = json!({
                "issuer": host, "token_endpoint": format!("{host}/issued"),
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
            });
            return Reply::json(200, metadata.to_string());
        }
        if request.method == "GET" {
            return Reply::json(404, "{}");
        }
        let good = ("client-one".to_owned(), "s3cret".to_owned());
        let form = request.form();
        let has = |name: &str, value: &str| form.contains(&(name.to_owned(), value.to_owned()));
        let is_in_form = has("client_id", "client-one") && has("client_secret", "s3cret");
        if request.basic_credentials() == Some(good) || is_in_form {
            Reply::token("token-1", 3600)
        } else {
            Reply::json(401, r#"{"error": "invalid_client"}"#)
        }
    })
}

/// What is shown, and what is typed then.
type Script<'a> = &'a [(&'a str, &'a str)];

struct Dialogue {
    machine: Machine,
    _keychain: SecretService,
}

impl Dialogue {
    fn new() -> Self {
        let keychain = SecretService::start();
        Self {
            machine: Machine::new().with_environment(keychain.environment()),
            _keychain: keychain,
        }
    }

    fn run(&self, arguments: &[&str], script: Script<'_>) -> Ended {
        let mut terminal = Terminal::run(&self.machine.hallpass(arguments));
        for (shown, typed) in script {
            terminal.expect(shown);
            terminal.send(&format!("{typed}\r"));
        }
        terminal.end()
    }

    /// Runs a dialogue that ends in a login.
    #[track_caller]
    fn logs_in(&self, arguments: &[&str], script: Script<'_>, name: &str) -> Value {
        let ended = self.run(arguments, script);
        assert_eq!(ended.exit, Some(0), "{ended:?}");
        assert!(!ended.screen.contains(SECRET), "{ended:?}");
        let file = self.machine.config().join(format!("{name}.json"));
        let profile = std::fs::read(file).expect("the profile");
        assert_eq!(self.machine.run(&["token", name]).token(), "token-1");
        serde_json::from_slice(&profile).expect("JSON")
    }
}

const MENU: &str = "Number or name: ";
const OTHER: &str = "Issuer or token URL: ";
const NAME: &str = "Profile name [default]: ";

/// Steps that go as they should.
const CLIENT: (&str, &str) = ("Client ID: ", "client-one");
const NO_AUDIENCE: (&str, &str) = ("Audience (empty for none): ", "");
const NO_SCOPE: (&str, &str) = ("Scope (empty for none): ", "");
const DEFAULT_NAME: (&str, &str) = (NAME, "");
const GOOD_SECRET: (&str, &str) = ("Client secret: ", "s3cret");

#[test]
fn a_number_that_is_not_in_the_menu_is_asked_for_again() {
    let server = authorization_server();
    let url = server.url("/token");
    let script = [
        (MENU, "99"),
        ("please enter a number from 1 to 15", ""),
        (MENU, "keycloack"),
        (MENU, "another server"),
        (OTHER, &url),
        CLIENT,
        NO_AUDIENCE,
        NO_SCOPE,
        DEFAULT_NAME,
        GOOD_SECRET,
    ];
    // The message and the question come together: an empty answer is one more mistake.
    Dialogue::new().logs_in(&["login"], &script, "default");
}

#[test]
fn a_url_that_cannot_be_one_is_asked_for_again() {
    let server = authorization_server();
    let url = server.url("/token");
    let script = [
        (MENU, "15"),
        (OTHER, ""),
        (OTHER, "login.example/token"),
        ("the URL ", "http://login.example/token"),
        ("must use https", "https://a b/token"),
        (OTHER, &url),
        CLIENT,
        ("Audience (empty for none): ", "urn:api"),
        ("Scope (empty for none): ", "read write"),
        DEFAULT_NAME,
        GOOD_SECRET,
    ];
    let profile = Dialogue::new().logs_in(&["login"], &script, "default");
    assert_eq!(profile["audience"], "urn:api");
    assert_eq!(profile["scope"], "read write");
}

#[test]
fn an_issuer_is_distinguished_from_a_token_url_by_its_metadata() {
    let server = authorization_server();
    let (wrong, issuer) = (server.url("/nothing-here"), server.url("/"));
    let script = [
        (MENU, "15"),
        (OTHER, &*wrong),
        ("no metadata", issuer.as_str()),
        CLIENT,
        NO_AUDIENCE,
        NO_SCOPE,
        DEFAULT_NAME,
        GOOD_SECRET,
    ];
    let profile = Dialogue::new().logs_in(&["login"], &script, "default");
    // Issuers are compared as they are written: the server's has no slash at its end.
    assert_eq!(profile["issuer"], server.url(""));
    assert_eq!(profile["token_endpoint"], server.url("/issued"));
    assert_eq!(profile["client_auth"], "client_secret_post");
}

#[test]
fn a_url_is_an_answer_to_the_menu() {
    let server = authorization_server();
    let url = server.url("/token");
    let script = [
        (MENU, "ftp://login.example"),
        (OTHER, &*url),
        CLIENT,
        NO_AUDIENCE,
        NO_SCOPE,
        DEFAULT_NAME,
        GOOD_SECRET,
    ];
    Dialogue::new().logs_in(&["login"], &script, "default");
}

#[test]
fn an_empty_client_id_is_asked_for_again() {
    let server = authorization_server();
    let url = server.url("/token");
    let script = [
        (MENU, &*url),
        ("Client ID: ", ""),
        ("the client ID is empty", " "),
        ("the client ID is empty", "client-one"),
        NO_AUDIENCE,
        NO_SCOPE,
        DEFAULT_NAME,
        GOOD_SECRET,
    ];
    Dialogue::new().logs_in(&["login"], &script, "default");
}

#[test]
fn a_name_that_cannot_be_one_is_asked_for_again() {
    let server = authorization_server();
    let url = server.url("/token");
    let script = [
        (MENU, &*url),
        CLIENT,
        NO_AUDIENCE,
        NO_SCOPE,
        (NAME, "My Profile"),
        ("invalid profile name", "work"),
        GOOD_SECRET,
    ];
    Dialogue::new().logs_in(&["login"], &script, "work");
}

#[test]
fn a_secret_that_the_server_refuses_may_be_typed_again() {
    let server = authorization_server();
    let url = server.url("/token");
    let script = [
        (MENU, &*url),
        CLIENT,
        NO_AUDIENCE,
        NO_SCOPE,
        DEFAULT_NAME,
        ("Client secret: ", "wrong"),
        ("invalid_client", ""),
        GOOD_SECRET,
    ];
    Dialogue::new().logs_in(&["login"], &script, "default");
}

#[test]
fn a_client_id_that_the_server_refuses_may_be_corrected() {
    let server = authorization_server();
    let url = server.url("/token");
    let script = [
        (MENU, &*url),
        ("Client ID: ", "client-won"),
        NO_AUDIENCE,
        NO_SCOPE,
        DEFAULT_NAME,
        GOOD_SECRET,
        ("Client ID [client-won]: ", "client-one"),
        GOOD_SECRET,
    ];
    Dialogue::new().logs_in(&["login"], &script, "default");
}

#[test]
fn a_secret_that_is_empty_is_asked_for_again_and_after_three_attempts_it_ends() {
    let server = authorization_server();
    let url = server.url("/token");
    let begin = [
        (MENU, &*url),
        CLIENT,
        NO_AUDIENCE,
        NO_SCOPE,
        DEFAULT_NAME,
        ("Client secret: ", ""),
        ("the client secret is empty", "wrong"),
        ("Client ID [client-one]: ", ""),
    ];
    let good = [&begin[..], &[GOOD_SECRET]].concat();
    Dialogue::new().logs_in(&["login"], &good, "default");
    let bad = [&begin[..], &[("Client secret: ", "wrong")]].concat();
    let dialogue = Dialogue::new();
    let ended = dialogue.run(&["login"], &bad);
    assert_eq!(ended.exit, Some(4), "{ended:?}");
    assert!(!dialogue.machine.config().join("default.json").exists());
}

#[test]
fn an_answer_that_is_neither_yes_nor_no_is_asked_for_again() {
    let server = authorization_server();
    let url = server.url("/token");
    let script = [
        (MENU, &*url),
        CLIENT,
        ("Audience (empty for none): ", "https://api.example/v1"),
        NO_SCOPE,
        DEFAULT_NAME,
        ("for https://api.example/v1? [Y/n]: ", "perhaps"),
        ("please answer yes or no", "y"),
        GOOD_SECRET,
    ];
    let profile = Dialogue::new().logs_in(&["login"], &script, "default");
    assert_eq!(profile["for"], json!(["https://api.example/v1"]));
}

#[test]
fn a_preset_is_chosen_by_its_name_and_its_answers_are_checked_at_once() {
    let dialogue = Dialogue::new();
    let script = [
        (MENU, "Auth0"),
        ("Auth0 domain (for example acme.eu.auth0.com): ", "acme eu"),
        ("acme.eu.auth0.com", "https://auth.invalid/"),
        ("Audience, exactly as the API has it", ""),
        ("is empty", "https://api.example/"),
        CLIENT,
        ("Profile name [auth0]: ", ""),
        ("for https://api.example/? [Y/n]: ", "n"),
        GOOD_SECRET,
    ];
    let ended = dialogue.run(&["login", "--no-verify"], &script);
    assert_eq!(ended.exit, Some(0), "{ended:?}");
    let file = dialogue.machine.config().join("auth0.json");
    let profile: Value =
        serde_json::from_slice(&std::fs::read(file).expect("the profile")).expect("JSON");
    assert_eq!(
        profile["token_endpoint"],
        "https://auth.invalid/oauth/token"
    );
    assert_eq!(profile["audience"], "https://api.example/");
    assert_eq!(profile["for"], Value::Null);
}

#[test]
fn a_dialogue_that_meets_the_same_client_renews_its_profile() {
    let server = authorization_server();
    let url = server.url("/token");
    let dialogue = Dialogue::new();
    let first = [
        (MENU, &*url),
        CLIENT,
        ("Audience (empty for none): ", "urn:one"),
        NO_SCOPE,
        (NAME, "work"),
        GOOD_SECRET,
    ];
    dialogue.logs_in(&["login"], &first, "work");
    let bind = ["bind", "work", "https://git.example"];
    dialogue.machine.run(&bind).success();
    let second = [
        (MENU, &*url),
        CLIENT,
        ("Audience (empty for none): ", "urn:two"),
        NO_SCOPE,
        (NAME, "work"),
        ("Client secret (empty keeps the saved one): ", ""),
    ];
    let profile = dialogue.logs_in(&["login"], &second, "work");
    assert_eq!(profile["audience"], "urn:two", "an answer counts");
    assert_eq!(profile["for"], json!(["https://git.example/"]));
}

#[test]
fn another_client_is_replaced_at_a_terminal_only_by_a_yes() {
    let (old, new) = (authorization_server(), authorization_server());
    let dialogue = Dialogue::new();
    let (old_url, new_url) = (old.url("/token"), new.url("/token"));
    let login = ["login", "p", "--client-id", "client-one", "--token-url"];
    let run = |url: &str, script: Script<'_>| dialogue.run(&[&login[..], &[url]].concat(), script);
    assert_eq!(run(&old_url, &[GOOD_SECRET]).exit, Some(0));
    for answer in ["", "n", "No"] {
        let ended = run(&new_url, &[("Replace profile p? [y/N]: ", answer)]);
        assert_eq!(ended.exit, Some(2), "{ended:?}");
        assert!(ended.screen.contains("--replace"), "{ended:?}");
    }
    assert!(new.requests().is_empty());
    let script = [("Replace profile p? [y/N]: ", "y"), GOOD_SECRET];
    let ended = run(&new_url, &script);
    assert_eq!(ended.exit, Some(0), "{ended:?}");
    assert!(
        ended.screen.contains("it replaced client client-one"),
        "{ended:?}"
    );
}

/// The README shows a first login with mistakes: this one.
#[test]
fn the_first_login_in_the_readme_is_what_the_terminal_shows() {
    let readme = include_str!("../../README.md");
    let start = readme.find("$ hallpass login\nWhich").expect("a dialogue");
    let shown = readme[start..].split("```").next().expect("its end");
    let server = authorization_server();
    let dialogue = Dialogue::new();
    let script = [
        (MENU, "15"),
        (OTHER, "login.example"),
        (OTHER, &*server.url("")),
        CLIENT,
        ("Audience (empty for none): ", "https://api.example/"),
        NO_SCOPE,
        (NAME, "work"),
        ("for https://api.example/? [Y/n]: ", ""),
        ("Client secret: ", "s3cret-with-a-typo"),
        ("Client ID [client-one]: ", ""),
        GOOD_SECRET,
    ];
    let ended = dialogue.run(&["login"], &script);
    assert_eq!(ended.exit, Some(0), "{ended:?}");
    let screen = ended.screen.replace("\r\n", "\n");
    let screen = screen.replace(&server.url(""), "https://login.example");
    let screen = screen.replace("Profile name [default]", "Profile name [login]");
    // The only line that depends on the time.
    let without_time = |text: &str| {
        let lines = text.lines().map(|line| match line.split_once(" (until ") {
            Some((before, _)) if line.contains("got a token") => before,
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    let expected = format!("$ hallpass login\n{}", without_time(&screen));
    assert_eq!(without_time(shown), expected);
}
