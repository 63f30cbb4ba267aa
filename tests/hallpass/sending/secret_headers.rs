//! Headers of the token request whose values are secrets.

use std::fs;
use std::process::Stdio;

use crate::machine::{CLIENT_ID, Machine, Ran, SECRET, finish, spawn};
use crate::secret_service::SecretService;
use crate::server::{Gate, Reply, Server, holding};
use crate::terminal::Terminal;

const KEY: &str = "x-gateway-key";
const VALUE: &str = "the-gateway-key-7q";
/// The server repeats it in its response.
const REPEATED: &str = "repeated-gateway-key";
const OTHER: &str = "another-gateway-key";

/// A machine with a keychain, whose server repeats the key that it was sent.
fn machine(keychain: &SecretService) -> Machine {
    let server = Server::start(|request| match request.header(KEY) {
        Some(VALUE | OTHER) => Reply::token("token", 3600),
        Some(REPEATED) => Reply::json(
            200,
            format!(
                r#"{{"access_token": "token", "expires_in": 3600, "scope": "{REPEATED} b",
                    "instance_url": "https://x.example/{REPEATED}"}}"#
            ),
        ),
        Some(key) => Reply::json(
            401,
            format!(r#"{{"error": "invalid_client", "error_description": "bad {key}"}}"#),
        ),
        None => Reply::json(
            401,
            r#"{"error": "invalid_client", "error_description": "no key"}"#,
        ),
    });
    let mut machine = Machine::new()
        .with_environment(keychain.environment())
        .with_server(server);
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "30");
    machine
}

/// Logs in with the client secret from standard input.
fn login(machine: &Machine, more: &[&str]) -> Ran {
    let url = machine.server().url("/oauth/token");
    let login = [&login_at(&url)[..], &["--secret-stdin"], more].concat();
    machine.run_with_input(&login, SECRET)
}

fn login_at(url: &str) -> [&str; 6] {
    ["login", "p", "--token-url", url, "--client-id", CLIENT_ID]
}

fn from_file(machine: &Machine, value: &str) -> String {
    let file = machine.private_file("key", value.as_bytes());
    format!("{KEY}=file:{}", file.display())
}

/// The key that the last request had.
fn last_key(machine: &Machine) -> Option<String> {
    let requests = machine.server().requests();
    requests
        .last()
        .and_then(|request| request.header(KEY))
        .map(str::to_owned)
}

#[test]
fn a_secret_header_is_kept_in_the_keychain_and_sent_with_each_request() {
    let keychain = SecretService::start();
    let mut machine = machine(&keychain);
    let given = from_file(&machine, VALUE);
    login(&machine, &["--header-secret", &given]).success();
    fs::remove_file(machine.root().join("key")).expect("removed: it was read once");
    assert_eq!(last_key(&machine).as_deref(), Some(VALUE));
    machine.run(&["token", "--refresh"]).success();
    assert_eq!(last_key(&machine).as_deref(), Some(VALUE));
    // A login that does not mention it keeps it, and one can change or remove it.
    login(&machine, &[]).success();
    machine.run(&["token", "--refresh"]).success();
    assert_eq!(last_key(&machine).as_deref(), Some(VALUE));
    machine.set("GATEWAY_KEY", OTHER);
    let from_variable = format!("{KEY}=env:GATEWAY_KEY");
    login(&machine, &["--header-secret", &from_variable]).success();
    machine.unset("GATEWAY_KEY");
    machine.run(&["token", "--refresh"]).success();
    assert_eq!(last_key(&machine).as_deref(), Some(OTHER));
    for printed in [&["status"][..], &["status", "--json"], &["status", "p"]] {
        let printed = machine.run(printed).success();
        assert!(!printed.stdout.contains(OTHER), "{printed:?}");
    }
    for file in machine.files() {
        let content = String::from_utf8_lossy(&fs::read(&file).expect("a file")).into_owned();
        assert!(!content.contains(OTHER), "{}", file.display());
        assert!(!content.contains(VALUE), "{}", file.display());
    }
    for removal in ["--header-secret", "--header"] {
        let none = format!("{KEY}=");
        login(&machine, &[removal, &none, "--no-verify"]).success();
        let refused = machine.run(&["token", "--refresh"]).failure(4);
        assert!(refused.stderr.contains("no key"), "{refused:?}");
        login(&machine, &["--header-secret", &from_file(&machine, VALUE)]).success();
    }
    // A header is secret or not.
    let plain = format!("{KEY}={OTHER}");
    login(&machine, &["--header", &plain]).success();
    machine.run(&["token", "--refresh"]).success();
    assert_eq!(last_key(&machine).as_deref(), Some(OTHER));
    login(&machine, &["--header-secret", &from_file(&machine, VALUE)]).success();
    assert_eq!(last_key(&machine).as_deref(), Some(VALUE));
    machine.run(&["logout", "p"]).success();
    assert!(keychain.is_empty());
}

#[test]
fn the_value_of_a_secret_header_is_in_no_message() {
    let keychain = SecretService::start();
    let machine = machine(&keychain);
    // The server repeats it.
    let refused = login(
        &machine,
        &["--header-secret", &from_file(&machine, "wrong-key-here")],
    );
    let refused = refused.failure(4);
    assert!(refused.stderr.contains("bad"), "{refused:?}");
    assert!(!refused.stderr.contains("wrong-key-here"), "{refused:?}");
    assert!(keychain.is_empty());
    // Also where the request succeeds.
    let key = from_file(&machine, REPEATED);
    let printed = login(&machine, &["--header-secret", &key, "--scope", "a"]).success();
    assert!(!printed.stderr.contains(REPEATED), "{printed:?}");
    for shown in [
        &["token", "--json"][..],
        &["token", "--inspect"],
        &["status", "p"],
        &["doctor"],
        &["token", "--refresh"],
    ] {
        let shown = machine.run(shown);
        assert!(!shown.stdout.contains(REPEATED), "{shown:?}");
        assert!(!shown.stderr.contains(REPEATED), "{shown:?}");
    }
    for file in machine.files() {
        if file.ends_with("key") {
            continue;
        }
        let content = String::from_utf8_lossy(&fs::read(&file).expect("a file")).into_owned();
        assert!(!content.contains(REPEATED), "{}", file.display());
    }
    machine.run(&["logout", "p"]).success();
    for (given, why) in [
        (
            "x-gateway-key=wrong-key-here",
            "other processes can read arguments",
        ),
        ("x-gateway-key=env:wrong-key-here", "letters, digits and _"),
        ("host", "the header host cannot be set"),
        (
            "Authorization=env:A",
            "the header authorization cannot be set",
        ),
    ] {
        let refused = login(&machine, &["--header-secret", given]).failure(2);
        assert!(refused.stderr.contains(why), "{refused:?}");
        assert!(!refused.stderr.contains("wrong-key-here"), "{refused:?}");
    }
    let missing = login(&machine, &["--header-secret", KEY]).failure(2);
    assert!(
        missing.stderr.contains("no terminal to ask at"),
        "{missing:?}"
    );
    let open = machine.private_file("key", b"a\nb");
    let open = format!("{KEY}=file:{}", open.display());
    login(&machine, &["--header-secret", &open]).failure(2);
}

#[test]
fn a_client_without_a_secret_has_secret_headers_too() {
    let keychain = SecretService::start();
    let machine = machine(&keychain);
    let url = machine.server().url("/oauth/token");
    let identity = machine.private_file("identity", b"eyJhbGciOiJub25lIn0.e30.c2ln");
    let identity = format!("file:{}", identity.display());
    let given = from_file(&machine, VALUE);
    let more = ["--identity", &identity, "--header-secret", &given];
    machine
        .run(&[&login_at(&url)[..], &more].concat())
        .success();
    machine.run(&["token", "--refresh"]).success();
    assert_eq!(last_key(&machine).as_deref(), Some(VALUE));
    machine.run(&["logout", "p"]).success();
    assert!(keychain.is_empty());
}

#[test]
fn secret_headers_are_sent_only_with_the_settings_of_their_login() {
    let keychain = SecretService::start();
    let machine = machine(&keychain);
    login(&machine, &["--header-secret", &from_file(&machine, VALUE)]).success();
    let file = machine.config().join("p.json");
    let profile = fs::read_to_string(&file).expect("the profile");
    let edited = profile.replace("/oauth/token", "/elsewhere");
    fs::write(&file, edited).expect("edited");
    let sent = machine.server().requests().len();
    machine.run(&["token", "--refresh"]).failure(4);
    assert_eq!(machine.server().requests().len(), sent);
    // Without a terminal, a login that accepts the change says what is to be given again.
    let url = machine.server().url("/elsewhere");
    let again = login_at(&url);
    let piped = [&again[..], &["--secret-stdin"]].concat();
    let refused = machine.run_with_input(&piped, SECRET).failure(4);
    let hint = "give the value again: --header-secret x-gateway-key=file:PATH";
    assert!(refused.stderr.contains(hint), "{refused:?}");
    // At a terminal it asks.
    let mut terminal = Terminal::run(&machine.hallpass(&again));
    terminal.expect("Client secret: ");
    terminal.send(&format!("{SECRET}\r"));
    terminal.expect("Value of the header x-gateway-key: ");
    terminal.send(&format!("{OTHER}\r"));
    let ended = terminal.end();
    assert_eq!(ended.exit, Some(0), "{ended:?}");
    assert!(!ended.screen.contains(OTHER), "{ended:?}");
    assert_eq!(last_key(&machine).as_deref(), Some(OTHER));
}

#[test]
fn a_login_does_not_undo_a_secret_header_that_another_one_saved_meanwhile() {
    let keychain = SecretService::start();
    let gate = Gate::new();
    let server = Server::start(holding(&gate));
    let machine = Machine::new()
        .with_environment(keychain.environment())
        .with_server(server);
    machine.login("p", machine.server(), &[]);
    let mut waiting = machine.hallpass(&["login", "p", "--scope", "wait"]);
    let waiting = spawn(waiting.stdout(Stdio::piped()).stderr(Stdio::piped()));
    machine.server().wait_for_requests(2);
    let given = from_file(&machine, VALUE);
    machine
        .run(&["login", "p", "--header-secret", &given])
        .success();
    gate.open();
    let late = finish(waiting).failure(2);
    assert!(
        late.stderr
            .contains("another login changed the secret headers of profile p"),
        "{late:?}"
    );
    machine.run(&["token", "--refresh"]).success();
    assert_eq!(last_key(&machine).as_deref(), Some(VALUE));
}
