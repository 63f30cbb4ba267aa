//! `hallpass status`: every setting of every profile, its tokens, and nothing secret.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::commands::{fails, is_moment, members};
use crate::machine::{CLIENT_ID, Machine, SECRET, numbered_tokens};
use crate::server::Server;
use crate::tls::Authority;

#[test]
fn status_shows_each_profile_and_nothing_secret() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    let nothing = machine.run(&["status"]).success();
    assert_eq!(nothing.stdout, "");
    assert!(
        nothing.stderr.contains(
            "hallpass: no profiles yet\nhallpass: hint: run `hallpass login` to create one\n"
        ),
        "{nothing:?}"
    );
    assert!(machine.files().is_empty(), "looking leaves no trace");

    let url = server.url("/oauth/token");
    machine.login(
        "file",
        &server,
        &["--audience", "an audience", "--scope", "read"],
    );
    let command = "!echo something-secret | cat";
    let login = [
        "login",
        "shell",
        "--token-url",
        &url,
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
    fs::write(machine.config().join("broken.json"), "{").expect("a damaged profile");
    fs::set_permissions(
        machine.config().join("broken.json"),
        fs::Permissions::from_mode(0o600),
    )
    .expect("its mode");
    let requests = server.requests().len();

    let ran = machine.run(&["status"]).success();
    assert_eq!(ran.stderr, "");
    let paragraphs: Vec<_> = ran.stdout.split("\n\n").collect();
    let [broken, file, shell] = paragraphs[..] else {
        panic!("{ran:?}");
    };
    assert!(broken.starts_with("broken\n  unusable"), "{broken}");
    assert!(broken.contains("is damaged"), "{broken}");
    for line in [
        "file\n",
        &format!("\n  token endpoint  {url}\n"),
        &format!("\n  client id       {CLIENT_ID}\n"),
        "\n  authentication  client_secret_basic, form\n",
        "\n  audience        an audience\n",
        "\n  scope           read\n",
        &format!(
            "\n  secret          file {}\n",
            machine.root().join("secret").display()
        ),
        "\n  token           cached, valid for ",
    ] {
        assert!(file.contains(line), "{line}: {file}");
    }
    for line in [
        "shell\n",
        "\n  authentication  client_secret_post, json\n",
        "\n  for             https://api.example/v1\n",
        "\n  secret          shell command echo",
        "\n  token           none cached\n",
    ] {
        assert!(shell.contains(line), "{line}: {shell}");
    }
    let one = machine.run(&["status", "file"]).success().stdout;
    assert_eq!(one.trim_end(), file);
    for word in ["token-1", SECRET] {
        assert!(!ran.stdout.contains(word), "{ran:?}");
    }
    let ran = fails(machine.run(&["status", "broken"]), 2);
    assert!(ran.stderr.contains("broken.json is damaged"), "{ran:?}");
    fails(machine.run(&["status", "absent"]), 3);
    fails(machine.run(&["status", "--json", "absent"]), 3);
    assert_eq!(server.requests().len(), requests, "status asks nobody");
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
    assert!(!own.contains("scope"), "{own}");
    assert!(write.ends_with(", scope write"), "{write}");
    assert!(audience.ends_with(", audience urn:api"), "{audience}");
    // Edited by hand: the next `hallpass token` asks for another token.
    let path = machine.config().join("p.json");
    let profile = fs::read_to_string(&path).expect("a profile");
    fs::write(&path, profile.replace("\"read\"", "\"admin\"")).expect("a profile");
    // The scope of this one does not come from the profile.
    let [write] = &tokens()[..] else {
        panic!("{:?}", tokens());
    };
    assert!(write.ends_with(", scope write"), "{write}");
    assert_eq!(machine.run(&["token", "p"]).success().stdout, "token-4\n");
    assert_eq!(tokens().len(), 2);
}

#[test]
fn status_as_json_has_a_member_for_each_setting() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    let print = |arguments: &[&str]| -> Value {
        let ran = machine.run(arguments).success();
        assert_eq!(ran.stderr, "", "{ran:?}");
        serde_json::from_str(&ran.stdout).expect("JSON")
    };
    assert_eq!(print(&["status", "--json"]), json!({ "profiles": [] }));

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
    assert_eq!(members(broken), ["error", "name"]);
    assert_eq!(broken["name"], "broken");
    let names = [
        "audience",
        "body",
        "client_auth",
        "client_id",
        "for",
        "issuer",
        "name",
        "previous_secret",
        "resource",
        "revocation_endpoint",
        "scope",
        "secret",
        "secret_expires",
        "token_endpoint",
        "tokens",
    ];
    assert_eq!(members(all), names);
    assert_eq!(members(few), names);
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
            "fingerprint",
            "requested_audience",
            "requested_scope",
            "scope"
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
    assert_eq!(one, json!({ "profiles": [few] }));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
