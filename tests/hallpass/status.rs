//! `hallpass status`: every setting of every profile, its tokens, and nothing secret.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::commands::{fails, is_moment, members};
use crate::machine::{CLIENT_ID, HALLPASS, Machine, SECRET, numbered_tokens};
use crate::real_servers::assert_fits_schema;
use crate::server::{Reply, Server};
use crate::terminal::Terminal;
use crate::tls::Authority;

#[test]
fn status_without_a_profile_names_the_next_step() {
    let machine = Machine::new();
    let nothing = machine.run(&["status"]).success();
    assert_eq!(nothing.stdout, "");
    assert!(
        nothing.stderr.contains(
            "hallpass: no profiles yet\nhallpass: hint: run `hallpass login` to create one\n"
        ),
        "{nothing:?}"
    );
    assert!(machine.files().is_empty(), "looking leaves no trace");
}

#[test]
fn status_shows_each_profile_and_nothing_secret() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    let url = server.url("/oauth/token");
    machine.login(
        "file",
        &server,
        &[
            "--audience",
            "an audience",
            "--scope",
            "read",
            "--secret-expires",
            "10d",
        ],
    );
    log_in_with_a_shell_command(&machine, &url);
    fs::write(machine.config().join("broken.json"), "{").expect("a damaged profile");
    fs::set_permissions(
        machine.config().join("broken.json"),
        fs::Permissions::from_mode(0o600),
    )
    .expect("its mode");
    let requests = server.requests().len();

    let ran = machine.run(&["status"]).success();
    for text in [
        "profile broken is unusable: ",
        "broken.json is damaged",
        "hint: run `hallpass login broken",
    ] {
        assert!(ran.stderr.contains(text), "{ran:?}");
    }
    let lines: Vec<Vec<_>> = ran
        .stdout
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    let host = url.split('/').nth(2).expect("a host");
    assert_eq!(
        lines,
        [
            ["NAME", "CLIENT", "SERVER", "SECRET", "TOKEN"],
            ["broken", "unusable", "-", "-", "-"],
            ["file", CLIENT_ID, host, "file, 10 d left", "59 min left"],
            ["shell", "other", host, "command", "none"],
        ]
    );
    let file = machine.run(&["status", "file"]).output();
    for line in [
        "file\n",
        "\n  settings        ~/.config/hallpass/file.json\n",
        &format!("\n  token endpoint  {url}\n"),
        &format!("\n  client id       {CLIENT_ID}\n"),
        "\n  authentication  client_secret_basic, form\n",
        "\n  audience        an audience\n",
        "\n  scope           read\n",
        "\n  timeout         30 s (default)\n",
        &format!(
            "\n  secret          file {}\n",
            machine.root().join("secret").display()
        ),
        "\n  token           cached, valid for ",
        ", scope USER (requested: read), audience an audience\n",
    ] {
        assert!(file.contains(line), "{line}: {file}");
    }
    let shell = machine.run(&["status", "shell"]).output();
    for line in [
        "shell\n",
        "\n  authentication  client_secret_post, json\n",
        "\n  for             https://api.example/v1\n",
        "\n  secret          shell command echo",
        "\n  token           none cached\n",
    ] {
        assert!(shell.contains(line), "{line}: {shell}");
    }
    for word in ["token-1", SECRET] {
        assert!(!(ran.stdout.clone() + &file).contains(word), "{ran:?}");
    }
    let ran = fails(machine.run(&["status", "broken"]), 2);
    assert!(ran.stderr.contains("broken.json is damaged"), "{ran:?}");
    fails(machine.run(&["status", "absent"]), 3);
    fails(machine.run(&["status", "--json", "absent"]), 3);
    assert_eq!(server.requests().len(), requests, "status asks nobody");
}

/// The profile `shell`, whose secret a command prints, without a token request.
fn log_in_with_a_shell_command(machine: &Machine, url: &str) {
    let command = "!echo something-secret | cat";
    let login = [
        "login",
        "shell",
        "--token-url",
        url,
        "--client-id",
        "other",
        "--secret-command",
        command,
        "--no-verify",
        "--body",
        "json",
        "--for",
        "https://api.example/v1",
    ];
    machine.run(&login).success();
}

#[test]
fn status_shows_every_setting() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    let ca = machine.private_file("ca.pem", Authority::new().pem().as_bytes());
    machine.login(
        "p",
        &server,
        &[
            "--resource",
            "urn:a",
            "--resource",
            "urn:b",
            "--param",
            "account_id=7",
            "--param",
            "tenant=t",
            "--grant-type",
            "account_credentials",
            "--basic-encoding",
            "raw",
            "--timeout",
            "5s",
            "--default-ttl",
            "1m",
            "--max-ttl",
            "1h",
            "--ca-file",
            text(&ca),
            "--no-verify",
        ],
    );
    let shown = machine.run(&["status", "p"]).success().stdout;
    let lines: Vec<_> = shown
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for line in [
        "resource urn:a",
        "resource urn:b",
        "parameter account_id=7",
        "parameter tenant=t",
        "grant type account_credentials",
        "basic encoding raw",
        "timeout 5 s",
        "default TTL 1 min",
        "maximum TTL 1 h",
        &format!("CA file {}", text(&ca)),
    ] {
        assert!(lines.iter().any(|shown| shown == line), "{line}: {shown}");
    }
    let json = machine.run(&["status", "p", "--json"]).success().stdout;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    for (member, value) in [
        ("parameters", json!({ "account_id": "7", "tenant": "t" })),
        ("grant_type", json!("account_credentials")),
        ("basic_encoding", json!("raw")),
        ("timeout_seconds", json!(5)),
        ("max_ttl_seconds", json!(3600)),
        ("ca_file", json!(text(&ca))),
    ] {
        assert_eq!(json["profiles"][0][member], value, "{member}");
    }
}

#[test]
fn status_tells_tokens_apart_and_leaves_out_those_of_other_settings() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("p", &server, &["--scope", "read"]);
    for more in [&["--scope", "write"][..], &["--audience", "urn:api"]] {
        let arguments = [&["token", "p"], more].concat();
        machine.run(&arguments).success();
    }
    let tokens = || {
        let shown = machine.run(&["status", "p"]).success().stdout;
        let lines = shown.lines().map(str::trim_start);
        let tokens = lines.filter(|line| line.starts_with("token  "));
        tokens.map(str::to_owned).collect::<Vec<_>>()
    };
    let [own, write, audience] = &tokens()[..] else {
        panic!("{:?}", tokens());
    };
    assert!(own.ends_with(", scope USER (requested: read)"), "{own}");
    assert!(
        write.ends_with(", scope USER (requested: write)"),
        "{write}"
    );
    assert!(
        audience.ends_with(" (requested: read), audience urn:api"),
        "{audience}"
    );
    // Edited by hand: the next `hallpass token` asks for another token.
    let path = machine.config().join("p.json");
    let profile = fs::read_to_string(&path).expect("a profile");
    fs::write(&path, profile.replace("\"read\"", "\"admin\"")).expect("a profile");
    // The scope of this one does not come from the profile.
    let [write] = &tokens()[..] else {
        panic!("{:?}", tokens());
    };
    assert!(
        write.ends_with(", scope USER (requested: write)"),
        "{write}"
    );
    assert_eq!(machine.run(&["token", "p"]).success().stdout, "token-4\n");
    assert_eq!(tokens().len(), 2);
}

#[test]
fn status_as_json_has_a_member_for_each_setting() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    let print = |arguments: &[&str]| -> Value {
        let ran = machine.run(arguments).success();
        serde_json::from_str(&ran.stdout).expect("JSON")
    };
    assert_eq!(
        print(&["status", "--json"]),
        json!({ "version": 1, "profiles": [], "selected": null })
    );

    let revoke = server.url("/revoke");
    let more = [
        "--audience",
        "an audience",
        "--resource",
        "urn:a",
        "--for",
        "https://api.example",
        "--revocation-url",
        &revoke,
    ];
    machine.login("few", &server, &["--no-verify"]);
    machine.login("all", &server, &more);
    fs::write(machine.config().join("broken.json"), "[]").expect("a damaged profile");
    let printed = print(&["status", "--json"]);
    let [all, broken, few] = &printed["profiles"].as_array().expect("an array")[..] else {
        panic!("{printed}");
    };
    assert_eq!(members(broken), ["error", "exit_code", "hints", "name"]);
    assert_eq!(broken["name"], "broken");
    assert_eq!(members(all), members(few));
    let secret = machine.root().join("secret").display().to_string();
    for (member, value) in [
        ("name", json!("all")),
        ("token_endpoint", json!(server.url("/oauth/token"))),
        ("client_id", json!(CLIENT_ID)),
        ("client_auth", json!("client_secret_basic")),
        ("body", json!("form")),
        ("audience", json!("an audience")),
        ("scope", Value::Null),
        ("resource", json!(["urn:a"])),
        ("for", json!(["https://api.example/"])),
        ("revocation_endpoint", json!(revoke)),
        (
            "secret",
            json!({ "store": "file", "place": format!("file {secret}") }),
        ),
    ] {
        assert_eq!(all[member], value, "{member}");
    }
    let [token] = &all["tokens"].as_array().expect("an array")[..] else {
        panic!("{all}");
    };
    assert_eq!(
        members(token),
        [
            "expires_at",
            "expires_in",
            "fingerprint",
            "is_default",
            "requested_audience",
            "requested_scope",
            "scope",
            "token_type"
        ]
    );
    assert!(is_moment(&token["expires_at"]), "{token}");
    let fingerprint = token["fingerprint"].as_str().expect("text");
    assert!(
        fingerprint.len() == 12 && fingerprint.bytes().all(|b| b.is_ascii_hexdigit()),
        "{token}"
    );
    assert_eq!(few["tokens"], json!([]));
    assert_eq!(few["audience"], Value::Null);
    assert_eq!(few["for"], json!([]));
    let one = print(&["status", "--json", "few"]);
    assert_eq!(
        one,
        json!({ "version": 1, "profiles": [few], "selected": "few" })
    );
    // As `hallpass token` does: nothing selects one of several, then the default profile does.
    assert_eq!(printed["selected"], Value::Null);
    machine.run(&["profile", "use", "all"]).success();
    assert_eq!(print(&["status", "--json"])["selected"], "all");
}

#[test]
fn the_output_as_json_fits_its_published_schema() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    let known = machine.run(&["status", "--schema"]).json();
    let add = |machine: &Machine, arguments: &[&str]| {
        let ran = machine.run(&[&["status", "--json"], arguments].concat());
        let printed: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_fits_schema(&ran.stdout, "hallpass-status.schema.json");
        for profile in printed["profiles"].as_array().expect("an array") {
            for member in members(profile) {
                let described = ["profile", "failure"]
                    .map(|kind| !known["$defs"][kind]["properties"][member].is_null());
                assert!(described.contains(&true), "{member} is not described");
            }
        }
    };
    add(&machine, &[]);
    machine.login("few", &server, &["--no-verify"]);
    machine.login(
        "all",
        &server,
        &[
            "--audience",
            "a",
            "--scope",
            "b",
            "--resource",
            "urn:a",
            "--param",
            "c=d",
            "--header",
            "x-key=hidden",
            "--grant-type",
            "e",
            "--token-type",
            "bearer",
            "--timeout",
            "5s",
            "--default-ttl",
            "1m",
            "--max-ttl",
            "1h",
            "--secret-expires",
            "10d",
            "--tls-max",
            "1.2",
            "--revocation-url",
            &server.url("/revoke"),
            "--for",
            "https://a.example/",
            "--basic-encoding",
            "raw",
        ],
    );
    let bind = ["bind", "all", "https://b.example/", "--header", "X-Token"];
    machine.run(&bind).success();
    machine.run(&["token", "all", "--scope", "f"]).success();
    fs::write(machine.config().join("broken.json"), "[]").expect("a damaged profile");
    add(&machine, &[]);
    add(&machine, &["--check"]);
    let mut ci = Machine::new();
    ci.set("HALLPASS_TOKEN_URL", &server.url("/token"))
        .set("HALLPASS_CLIENT_ID", "ci")
        .set("HALLPASS_CLIENT_SECRET", "x");
    add(&ci, &["--check"]);
}

#[test]
fn profiles_with_numbers_are_in_the_order_of_the_numbers() {
    let machine = Machine::new();
    for name in ["p10", "p2", "p1", "a"] {
        machine.login(name, machine.server(), &["--no-verify"]);
    }
    let table = machine.run(&["status"]).output();
    let names = table.lines().skip(1).map(|line| line.split(' ').next());
    let names: Vec<_> = names.map(Option::unwrap_or_default).collect();
    assert_eq!(names, ["a", "p1", "p2", "p10"]);
    machine.run(&["profile", "use", "p2"]).success();
    let table = machine.run(&["profile", "list"]).output();
    assert!(table.contains("\np2 (default)  "), "{table}");
    assert_eq!(table, machine.run(&["status"]).output());
}

#[test]
fn status_shows_where_each_setting_comes_from() {
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    machine
        .set("HALLPASS_TOKEN_URL", &server.url("/token"))
        .set("HALLPASS_CLIENT_ID", "ci")
        .set("HALLPASS_CLIENT_SECRET", "x")
        .set("HALLPASS_SCOPE", "read")
        .set("HALLPASS_TIMEOUT", "5s");
    let shown = machine.run(&["status"]).output();
    for line in [
        "environment (HALLPASS_TOKEN_URL)\n".to_owned(),
        format!(
            "  token endpoint  {} (HALLPASS_TOKEN_URL)\n",
            server.url("/token")
        ),
        "  client id       ci (HALLPASS_CLIENT_ID)\n".to_owned(),
        "  authentication  client_secret_basic, form (default)\n".to_owned(),
        "  scope           read (HALLPASS_SCOPE)\n".to_owned(),
        "  timeout         5 s (HALLPASS_TIMEOUT)\n".to_owned(),
        "  maximum TTL     24 h (default)\n".to_owned(),
        "  secret          environment variable HALLPASS_CLIENT_SECRET\n".to_owned(),
    ] {
        assert!(shown.contains(&line), "{line}: {shown}");
    }

    // A preset, which a login can replace in part.
    let machine = Machine::new();
    let preset = [
        "--provider",
        "auth0",
        "--set",
        "domain=acme.eu.auth0.com",
        "--set",
        "audience=urn:a",
        "--no-verify",
    ];
    let secret = machine.private_file("secret", b"x");
    let login = [
        "login",
        "p",
        "--client-id",
        "c",
        "--secret-file",
        text(&secret),
    ];
    machine.run(&[&login, &preset[..]].concat()).success();
    machine
        .run(&["login", "p", "--audience", "urn:b", "--no-verify"])
        .success();
    let profile = machine.run(&["status", "p", "--json"]).json();
    let origins = &profile["profiles"][0]["origins"];
    for (setting, origin) in [
        ("token_endpoint", "preset"),
        ("body", "preset"),
        ("audience", "login"),
        ("client_id", "login"),
        ("timeout_seconds", "default"),
    ] {
        assert_eq!(origins[setting], origin, "{setting}: {origins}");
    }
    let shown = machine.run(&["status", "p"]).output();
    let line = "  token endpoint  https://acme.eu.auth0.com/oauth/token (from the preset)\n";
    assert!(shown.contains(line), "{shown}");

    // The metadata of the server.
    let server = Server::start(|request| {
        let issuer = format!("http://{}", request.header("host").unwrap_or_default());
        let metadata = json!({ "issuer": issuer, "token_endpoint": format!("{issuer}/token") });
        Reply::json(200, metadata.to_string())
    });
    let login = [
        "login",
        "m",
        "--issuer",
        &server.url(""),
        "--client-id",
        "c",
        "--secret-file",
        text(&secret),
        "--no-verify",
    ];
    machine.run(&login).success();
    let shown = machine.run(&["status", "m"]).output();
    let line = format!(
        "  token endpoint  {} (from the server's metadata)\n",
        server.url("/token")
    );
    assert!(shown.contains(&line), "{shown}");
}

#[test]
fn a_check_requests_a_token_and_leaves_the_cache_as_it_is() {
    let machine = Machine::new();
    let server = Server::start(|request| {
        if request.text().contains("scope=bad") {
            return Reply::json(401, r#"{"error": "invalid_client"}"#);
        }
        Reply::token("the-token", 3600)
    });
    machine.login("good", &server, &[]);
    machine.login("good2", &server, &["--no-verify"]);
    let files = machine.files();
    let before: Vec<_> = files
        .iter()
        .map(fs::read)
        .map(Result::unwrap_or_default)
        .collect();
    let requests = server.requests().len();
    let ran = machine.run(&["status", "good", "--check"]).output();
    assert!(
        ran.contains("\n  check           ok: the server issued a token, valid for 59 min"),
        "{ran}"
    );
    let ran = machine.run(&["status", "--check"]).output();
    assert!(
        ran.starts_with("NAME") && ran.contains("CHECK\n") && ran.matches(" ok\n").count() == 2,
        "{ran}"
    );
    assert_eq!(server.requests().len(), requests + 3);

    machine.login("bad", &server, &["--scope", "bad", "--no-verify"]);
    for _ in 0..2 {
        // Neither is the failure kept for others.
        let requests = server.requests().len();
        let ran = machine.run(&["status", "bad", "--check"]);
        assert_eq!(ran.code, 4, "{ran:?}");
        assert!(
            ran.stdout.contains("\n  check           failed\n"),
            "{ran:?}"
        );
        assert!(
            ran.stderr
                .contains("hallpass: error: the server refused the client"),
            "{ran:?}"
        );
        assert_eq!(server.requests().len(), requests + 1);
    }
    let ran = machine.run(&["status", "--check"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(
        ran.stdout.contains(" failed\n") && ran.stdout.contains(" ok\n"),
        "{ran:?}"
    );
    for text in [
        "warning: profile bad: the server refused",
        "error: the check failed for 1 of 3 profiles",
    ] {
        assert!(ran.stderr.contains(text), "{ran:?}");
    }
    let ran = machine.run(&["status", "--check", "--json"]);
    let printed: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let checks = printed["profiles"].as_array().expect("an array").iter();
    let checks: Vec<_> = checks
        .map(|profile| profile["check"]["ok"].clone())
        .collect();
    assert_eq!(
        (ran.code, checks),
        (4, vec![json!(false), json!(true), json!(true)])
    );
    // The first failure in the table decides.
    let secret = machine.private_file("secret", SECRET.as_bytes());
    for (profile, code) in [("z", 4), ("a", 5)] {
        let login = ["login", profile, "--token-url", "http://127.0.0.1:1/t"];
        let client = ["--client-id", "c", "--no-verify", "--secret-file"];
        machine
            .run(&[&login[..], &client, &[text(&secret)]].concat())
            .success();
        assert_eq!(machine.run(&["status", "--check"]).code, code);
    }
    for profile in ["bad", "a", "z"] {
        machine.run(&["logout", profile]).success();
    }
    let after: Vec<_> = files
        .iter()
        .map(fs::read)
        .map(Result::unwrap_or_default)
        .collect();
    assert!(before == after, "a check changes no file");
    assert_eq!(machine.files(), files);
}

#[test]
fn columns_are_aligned_if_characters_are_wide_or_combine() {
    let machine = Machine::new();
    let secret = machine.private_file("secret", SECRET.as_bytes());
    for (profile, client) in [("one", "日本語クライアント"), ("two", "e\u{301}")] {
        let login = ["login", profile, "--token-url", "http://127.0.0.1:1/t"];
        let client = ["--client-id", client, "--no-verify", "--secret-file"];
        machine
            .run(&[&login[..], &client, &[text(&secret)]].concat())
            .success();
    }
    let expected = "NAME  CLIENT              SERVER       SECRET  TOKEN\n\
                    one   日本語クライアント  127.0.0.1:1  file    none\n\
                    two   e\u{301}                   127.0.0.1:1  file    none\n";
    assert_eq!(machine.run(&["status"]).success().stdout, expected);
}

#[test]
fn a_table_fits_the_terminal_and_has_color_only_there() {
    let mut machine = Machine::new();
    let long = "a-client-with-a-rather-long-name-0123456789";
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let url = machine.server().url("/oauth/token");
    let login = [
        "login",
        "one",
        "--token-url",
        &url,
        "--client-id",
        long,
        "--no-verify",
    ];
    let login = [&login[..], &["--secret-file", text(&secret)]].concat();
    machine.run(&login).success();
    machine.login("two", machine.server(), &["--no-verify"]);
    let screen = |machine: &Machine, columns: u16| {
        let mut shell = machine.command("sh");
        let line = format!("stty cols {columns}; exec {} status", &*HALLPASS);
        Terminal::run(shell.args(["-c", &line])).end().screen
    };
    machine.set("TERM", "xterm");
    let narrow = screen(&machine, 60);
    let table: Vec<_> = narrow
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let plain = |line: &str| line.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
    assert!(
        table
            .iter()
            .all(|line| plain(line).trim_end().chars().count() <= 60),
        "{narrow}"
    );
    assert!(narrow.contains("…") && !narrow.contains(long), "{narrow}");
    assert!(narrow.contains("\u{1b}[1mNAME"), "{narrow}");
    let wide = screen(&machine, 200);
    assert!(wide.contains(long) && !wide.contains("…"), "{wide}");
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let before = ("TERM", "xterm");
        machine.set(name, value);
        let shown = screen(&machine, 60);
        assert!(
            shown.contains("NAME") && !shown.contains('\u{1b}'),
            "{name}: {shown:?}"
        );
        machine.unset("NO_COLOR").set(before.0, before.1);
    }
    let piped = machine.run(&["status"]).output();
    assert!(piped.contains(long) && !piped.contains('\u{1b}'), "{piped}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
