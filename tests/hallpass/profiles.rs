//! `hallpass profile`: what it changes, and that a secret goes only where it went before.

use std::fs;

use serde_json::{Value, json};

use crate::machine::{CLIENT_ID, Machine, Ran, SECRET};
use crate::secret_service::SecretService;
use crate::server::{Reply, Request, Server};
use crate::support::ran;
use crate::terminal::Terminal;

/// A machine with a keychain, and the profile `p`, which is bound to a URL.
fn machine(keychain: &SecretService) -> Machine {
    let machine = Machine::new().with_environment(keychain.environment());
    let options = ["--secret-stdin", "--for", "https://git.example/"];
    machine.login_from("p", &options, SECRET).success();
    machine
}

fn profile(machine: &Machine, words: &[&str]) -> Ran {
    machine.run(&[&["profile"], words].concat())
}

/// Whether the git helper gives a token for the URL.
fn is_answered(machine: &Machine) -> bool {
    let request = b"protocol=https\nhost=git.example\n\n";
    let answer = machine.run_with_input(&["git-credential", "get"], request);
    answer.success().stdout.contains("password=")
}

fn shown(machine: &Machine, name: &str) -> Value {
    let shown = profile(machine, &["show", name, "--json"]).json();
    shown["profiles"][0].clone()
}

/// How many requests an action sends.
fn requests_of(machine: &Machine, action: impl FnOnce()) -> usize {
    let before = machine.server().requests().len();
    action();
    machine.server().requests().len() - before
}

#[test]
fn the_default_profile_is_used_where_several_exist_and_none_is_named() {
    let machine = Machine::new();
    machine.login("a", machine.server(), &[]);
    machine.login("b", machine.server(), &[]);
    machine.run(&["token"]).failure(2);
    profile(&machine, &["use", "b"]).success();
    assert_eq!(machine.run(&["token"]).token(), "token-2");
    profile(&machine, &["use", "c"]).failure(3);
    profile(&machine, &["rename", "b", "c"]).success();
    assert_eq!(machine.run(&["token"]).token(), "token-3", "it was renamed");
    profile(&machine, &["use", "--none"]).success();
    machine.run(&["token"]).failure(2);
    profile(&machine, &["use", "c"]).success();
    machine.run(&["logout", "c"]).success();
    machine.login("b", machine.server(), &[]);
    machine.run(&["token"]).failure(2);
}

#[test]
fn a_directory_selects_a_profile_and_can_do_nothing_else() {
    let mut machine = Machine::new();
    for name in ["a", "b", "c"] {
        machine.login(name, machine.server(), &["--scope", name, "--no-verify"]);
    }
    let inner = machine.home().join("work/inner");
    fs::create_dir_all(&inner).expect("a directory");
    let file = machine.home().join("work/.hallpass.toml");
    let scope_of = |machine: &Machine, words: &[&str]| {
        let mut command = machine.hallpass(&[words, &["--refresh"]].concat());
        command.current_dir(&inner);
        ran(command).success();
        let form = machine
            .server()
            .requests()
            .last()
            .expect("a request")
            .form();
        let scope = form.into_iter().find(|(name, _)| name == "scope");
        scope.expect("a scope").1
    };
    profile(&machine, &["use", "c"]).success();
    assert_eq!(scope_of(&machine, &["token"]), "c");
    fs::write(&file, "profile = \"b\"\n").expect("a file");
    assert_eq!(scope_of(&machine, &["token"]), "b");
    assert_eq!(scope_of(&machine, &["token", "a"]), "a");
    machine.set("HALLPASS_PROFILE", "a");
    assert_eq!(scope_of(&machine, &["token"]), "a");
    machine.unset("HALLPASS_PROFILE");
    let mut logout = machine.hallpass(&["logout"]);
    logout.current_dir(&inner);
    let gone = ran(logout).success();
    assert!(
        gone.stderr.contains("logged out of c"),
        "it only selects: {gone:?}"
    );
    // A file that cannot be used is an error, but not for a call that names its profile.
    for content in [
        "token_url = \"https://evil.example/\"",
        &"#".repeat(5000),
        "profile = \"b\"\u{1b}",
    ] {
        fs::write(&file, content).expect("a file");
        let mut command = machine.hallpass(&["token"]);
        command.current_dir(&inner);
        let refused = ran(command).failure(2);
        assert!(refused.stderr.contains(".hallpass.toml"), "{refused:?}");
        assert!(!refused.stderr.contains("evil") && !refused.stderr.contains('\u{1b}'));
        assert_eq!(scope_of(&machine, &["token", "a"]), "a");
    }
    // Above the home directory it does not count.
    fs::remove_file(&file).expect("a file");
    fs::write(machine.root().join(".hallpass.toml"), "x").expect("a file");
    assert_eq!(scope_of(&machine, &["token", "b"]), "b");
    machine.run(&["logout", "a"]).success();
    assert_eq!(scope_of(&machine, &["token"]), "b");
}

#[test]
fn a_renamed_profile_keeps_its_secret_and_its_urls() {
    let keychain = SecretService::start();
    let machine = machine(&keychain);
    let rotate = ["rotate", "p", "--secret-stdin", "--keep-old"];
    machine.run_with_input(&rotate, SECRET).success();
    machine.login_to_keychain("q", SECRET).success();
    profile(&machine, &["rename", "p", "q"]).failure(2);
    profile(&machine, &["rename", "r", "s"]).failure(3);
    let before = shown(&machine, "p");
    profile(&machine, &["rename", "p", "r"]).success();
    machine.run(&["token", "p"]).failure(3);
    machine.run(&["token", "r", "--refresh"]).token();
    assert!(is_answered(&machine));
    let after = shown(&machine, "r");
    for member in ["client_id", "token_endpoint", "for"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    assert!(after["previous_secret"].is_object());
    machine.run(&["rotate", "r", "--finish"]).success();
    assert!(machine.secrets_sent().iter().all(|secret| secret == SECRET));
    machine.run(&["logout", "q"]).success();
    assert_eq!(keychain.count(), 1);
    machine.run(&["logout", "r"]).success();
    assert!(keychain.is_empty());
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn a_copied_profile_has_the_secret_and_no_url() {
    let keychain = SecretService::start();
    let machine = machine(&keychain);
    profile(&machine, &["copy", "p", "q"]).success();
    assert_eq!(shown(&machine, "q")["for"], json!([]));
    assert!(is_answered(&machine));
    profile(&machine, &["copy", "p", "q"]).failure(2);
    assert_eq!(
        requests_of(&machine, || drop(machine.run(&["token", "p"]).token())),
        0
    );
    machine.run(&["logout", "p"]).success();
    machine.run(&["token", "q"]).token();
    assert_eq!(
        machine.secrets_sent().last().map(String::as_str),
        Some(SECRET)
    );
    machine.run(&["logout", "q"]).success();
    assert!(keychain.is_empty());
}

#[test]
fn an_edit_requests_a_token_only_for_what_changes_the_request() {
    let keychain = SecretService::start();
    let machine = machine(&keychain);
    machine
        .login_from(
            "file",
            &[
                "--secret-file",
                machine
                    .private_file("s", b"the stored one")
                    .to_str()
                    .expect("UTF-8"),
            ],
            "",
        )
        .success();
    for name in ["p", "file"] {
        let account = || shown(&machine, name)["secret"]["place"].clone();
        let first = account();
        for (options, requests) in [
            (&["--timeout", "5s"][..], 0),
            (&["--max-ttl", "1h"], 0),
            (&["--secret-expires", "90d"], 0),
            (&["--scope", "USER"], 1),
            (&["--param", "account_id=7"], 1),
            (&["--scope", ""], 1),
            (&["--scope", "USER", "--no-verify"], 0),
        ] {
            let words = [&["edit", name], options].concat();
            let sent = requests_of(&machine, || drop(profile(&machine, &words).success()));
            assert_eq!(sent, requests, "{name} {options:?}");
            let is_same = account() == first || name == "p" && options[0] != "--timeout";
            assert!(is_same, "{name} {options:?}");
        }
        let after = shown(&machine, name);
        assert_eq!(after["timeout_seconds"], 5);
        assert_eq!(after["parameters"]["account_id"], "7");
        assert!(
            after["secret_expires"].is_string(),
            "the secret is the same"
        );
        machine.run(&["token", name, "--refresh"]).token();
    }
    profile(&machine, &["edit", "p", "--timeout", "5s"]).failure(2);
    profile(&machine, &["edit", "other", "--timeout", "5s"]).failure(3);
    assert!(is_answered(&machine));
    machine.run(&["logout", "p"]).success();
    assert!(keychain.is_empty());
}

#[test]
fn an_edit_never_sends_the_secret_to_another_server() {
    let keychain = SecretService::start();
    let machine = machine(&keychain);
    let stored = machine.private_file("s", b"the stored one");
    let stored = stored.to_str().expect("a path in UTF-8");
    let secret_file = ["--secret-file", stored];
    machine.login_from("file", &secret_file, "").success();
    let command = ["--secret-command", &format!("cat {stored}")];
    machine.login_from("command", &command, "").success();
    let header = [
        "--secret-stdin",
        "--header-secret",
        &format!("x-key=file:{stored}"),
    ];
    machine.login_from("header", &header, SECRET).success();
    let other = Server::start(|_: &Request| Reply::token("other", 3600));
    let url = other.url("/oauth/token");
    let revocation = other.url("/revoke");
    for name in ["p", "file", "command", "header"] {
        for options in [
            &["--token-url", &url][..],
            &["--token-url", &url, "--client-id", CLIENT_ID],
            &["--client-id", "another"],
            &["--auth", "client_secret_post"],
            &["--revocation-url", &revocation],
        ] {
            let words = [&["edit", name], options].concat();
            let sent = requests_of(&machine, || drop(profile(&machine, &words).failure(2)));
            assert_eq!(sent, 0, "{name} {options:?}");
            // Without a request, too: the next one would send it.
            profile(&machine, &[&words[..], &["--no-verify"]].concat()).failure(2);
        }
        machine.run(&["token", name, "--refresh"]).token();
    }
    assert_eq!(other.connections(), 0);
    let edit = [
        "profile",
        "edit",
        "p",
        "--token-url",
        &url,
        "--secret-stdin",
    ];
    machine.run_with_input(&edit, "new").success();
    let sent: Vec<_> = other
        .requests()
        .iter()
        .filter_map(Request::basic_credentials)
        .collect();
    assert_eq!(sent, [(CLIENT_ID.to_owned(), "new".to_owned())]);
    assert_eq!(machine.run(&["token", "p"]).token(), "other");
    assert!(is_answered(&machine), "it has its URLs");
}

#[test]
fn an_exported_profile_has_no_secret_and_is_imported_after_a_confirmation() {
    let keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    let options = [
        "--secret-stdin",
        "--scope",
        "USER",
        "--timeout",
        "7s",
        "--header",
        "x-key=hidden",
        "--for",
        "https://git.example/",
    ];
    machine.login_from("p", &options, SECRET).success();
    let exported = profile(&machine, &["export", "p"]).success().stdout;
    let account = machine.account("p");
    for secret in [SECRET, "hidden", &account] {
        assert!(!exported.contains(secret), "{exported}");
    }
    let file = machine.root().join("p.json");
    fs::write(&file, &exported).expect("a file");
    let file = file.to_str().expect("a path in UTF-8");
    machine.run(&["logout", "p"]).success();

    let import = ["profile", "import", file, "q", "--secret-stdin"];
    let sent = requests_of(&machine, || {
        let refused = machine.run_with_input(&import, SECRET).failure(2);
        assert!(refused.stderr.contains("add: --token-url"), "{refused:?}");
    });
    assert_eq!(sent, 0);
    let url = machine.server().url("/oauth/token");
    let confirmed = [&import[..], &["--token-url", &url]].concat();
    machine.run_with_input(&confirmed, SECRET).success();
    let shown = shown(&machine, "q");
    assert_eq!(shown["timeout_seconds"], 7);
    assert_eq!(shown["client_id"], CLIENT_ID);
    assert!(is_answered(&machine));
    machine.run(&["logout", "q"]).success();

    let mut terminal = Terminal::run(&machine.hallpass(&["profile", "import", file, "r"]));
    terminal.expect(&url);
    terminal.expect("Log in with these settings? [y/N]: ");
    terminal.send("y\r");
    terminal.expect("Client secret: ");
    terminal.send(&format!("{SECRET}\r"));
    let ended = terminal.end();
    assert_eq!(ended.exit, Some(0), "{ended:?}");
    machine.run(&["token", "r"]).token();
}

#[test]
fn an_imported_file_cannot_name_a_program_or_a_secret() {
    let machine = Machine::new();
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let secret = secret.to_str().expect("a path in UTF-8");
    let url = machine.server().url("/oauth/token");
    let marker = machine.root().join("marker");
    let touch = ["touch", marker.to_str().expect("a path in UTF-8")];
    let import = |content: &str| {
        let file = machine.root().join("import.json");
        fs::write(&file, content).expect("a file");
        let file = file.to_str().expect("a path in UTF-8");
        let options = ["--token-url", &url, "--secret-file", secret];
        machine.run(&[&["profile", "import", file, "p"], &options[..]].concat())
    };
    let settings =
        || json!({ "token_endpoint": url, "client_id": "c", "client_auth": "client_secret_basic" });
    let exported = |name: &str, value: Value| {
        let mut settings = settings();
        settings[name] = value;
        json!({ "hallpass_profile": 1, "name": "x", "settings": settings }).to_string()
    };
    for content in [
        exported("secret", json!({ "command": touch })),
        exported("identity", json!({ "source": { "command": touch } })),
        exported(
            "identity",
            json!({ "source": { "shell": touch.join(" ") } }),
        ),
        exported("secret_headers", json!({ "names": ["x"], "item": "p:1" })),
        exported("rotation", json!({ "generation": "1" })),
        exported("token_endpoint", json!("http://evil.example/")),
        exported("unknown", json!(1)),
        exported("client_id", json!("a\u{1b}[2J")),
        json!({ "hallpass_profile": 2, "settings": settings() }).to_string(),
        json!({ "settings": settings() }).to_string(),
        json!({ "hallpass_profile": 1 }).to_string(),
        "[".repeat(100_000),
        " ".repeat(300_000),
        String::new(),
    ] {
        let refused = import(&content).failure(2);
        assert!(!refused.stderr.contains('\u{1b}'), "{refused:?}");
        assert!(!marker.exists());
    }
    // Another server than the confirmed one would get the secret at a logout.
    let elsewhere = exported("revocation_endpoint", json!("https://evil.example/revoke"));
    let refused = import(&elsewhere).failure(2);
    assert!(
        refused
            .stderr
            .contains("--revocation-url https://evil.example/revoke"),
        "{refused:?}"
    );
    let elsewhere = exported("issuer", json!("https://evil.example/"));
    import(&elsewhere).failure(2);
    assert_eq!(machine.server().connections(), 0);
    import(&exported("scope", json!("USER"))).success();
}
