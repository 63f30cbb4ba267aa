//! What the administrator of the machine requires, and that no user gets around it.

mod share;

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::machine::{CLIENT_ID, Machine, Ran, SECRET};
use crate::managed::Managed;
use crate::server::{Reply, Server};

/// What git asks.
const GIT: &str = "protocol=https\nhost=git.example\n\n";

fn managed() -> Option<Managed> {
    Managed::new(Machine::new())
}

/// The origin of a server in a policy.
fn origin(server: &Server) -> String {
    server.url("")
}

#[track_caller]
fn assert_refused(ran: &Ran, what: &str) {
    assert!(ran.code == 4 || ran.code == 2, "{what}: {ran:?}");
    assert!(
        !ran.stdout.contains("token-") && !ran.stderr.contains("token-"),
        "{what}: {ran:?}"
    );
    assert!(ran.stderr.contains("policy"), "{what}: {ran:?}");
}

/// An attempt: what it is, variables, arguments, standard input.
type Attempt<'a> = (&'a str, Vec<(&'a str, &'a str)>, Vec<&'a str>, &'a str);

/// All commands that give a token of profile `p`, which has a cached one.
fn ways() -> Vec<Attempt<'static>> {
    let way =
        |what, arguments: &[&'static str], input| (what, Vec::new(), arguments.to_vec(), input);
    vec![
        way("a cached token", &["token", "p"], ""),
        way("the only profile", &["token"], ""),
        way("a new token", &["token", "p", "--refresh"], ""),
        way("another scope", &["token", "p", "--scope", "USER"], ""),
        way("another audience", &["token", "p", "--audience", "x"], ""),
        way("by URL", &["token", "--url", "https://git.example/"], ""),
        way(
            "for a request",
            &["token", "p", "--request", "GET https://git.example/"],
            "",
        ),
        way("its claims", &["token", "p", "--inspect"], ""),
        way("a template", &["token", "p", "--template", "{token}"], ""),
        way("JSON", &["token", "p", "--json"], ""),
        way("to a file", &["token", "p", "--output", "/dev/fd/1"], ""),
        way("exec", &["exec", "-e", "T=p", "--", "env"], ""),
        way(
            "keep",
            &["keep", "p=/tmp/hallpass-test-of-the-policy", "--once"],
            "",
        ),
        way("serve", &["serve", "p"], ""),
        way("serve tokens", &["serve", "p", "--as-token-endpoint"], ""),
        way("git", &["git-credential", "get"], GIT),
        way("docker", &["docker-credential", "get"], "git.example"),
        way(
            "bazel",
            &["bazel-credential", "get"],
            "{\"uri\":\"https://git.example/x\"}",
        ),
        way(
            "keyring",
            &["keyring", "get", "https://git.example/simple", "oauth2"],
            "",
        ),
        way(
            "terraform",
            &["terraform-credentials", "get", "git.example"],
            "",
        ),
        way("pnpm", &["pnpm-tokenhelper", "--profile", "p"], ""),
        way("google", &["google-executable", "--profile", "p"], ""),
        way(
            "askpass",
            &["askpass", "Password for 'https://oauth2@git.example': "],
            "",
        ),
        way(
            "mcp",
            &["mcp", "https://git.example/"],
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n",
        ),
        way("check", &["status", "p", "--check"], ""),
    ]
}

#[test]
fn no_way_to_a_token_gets_around_the_policy() {
    let Some(managed) = managed() else { return };
    let machine = &managed.machine;
    let server = machine.server();
    machine.login("p", server, &["--for", "https://git.example/"]);
    machine.run(&["token", "p"]).success();
    let before = server.requests().len();
    let other_port = format!(
        "http://127.0.0.1:{}",
        if server.port() == 1 {
            2
        } else {
            server.port() - 1
        }
    );
    for policy in [
        json!({ "allowed_token_endpoints": ["https://login.example", other_port] }),
        json!({ "allowed_token_endpoints": [] }),
        json!({ "allowed_secret_stores": ["keychain", "stdin"] }),
    ] {
        managed.policy(&policy.to_string());
        for (what, variables, arguments, input) in ways() {
            let ran = managed.run_with(&variables, &arguments, input);
            assert!(!ran.stdout.contains("token-"), "{what}: {ran:?}");
            assert!(
                ran.stderr.contains("policy") || ran.stdout.contains("policy"),
                "{what}: {ran:?}"
            );
        }
    }
    assert_eq!(server.requests().len(), before);
}

#[test]
fn no_variable_file_or_option_of_a_user_changes_the_policy() {
    let Some(managed) = managed() else { return };
    let machine = &managed.machine;
    let server = machine.server();
    let other = Server::start(|_| Reply::token("token-of-the-other", 3600));
    machine.login("p", server, &[]);
    machine.run(&["token", "p"]).success();
    let policy = json!({ "allowed_token_endpoints": [origin(&other)] });
    managed.policy(&policy.to_string());
    let home = machine.root().join("other-home");
    let etc = home.join(".config/hallpass");
    fs::create_dir_all(&etc).expect("a directory");
    // A policy of the user's own, and a link to the profiles.
    fs::write(etc.join("policy.json"), "{}").expect("a file");
    symlink(machine.config().join("p.json"), home.join("p.json")).expect("a link");
    let linked = machine.root().join("linked");
    symlink(machine.home().join(".config"), &linked).expect("a link");
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let linked_home = machine.root().join("linked-home");
    symlink(machine.home(), &linked_home).expect("a link");
    let (etc, home, linked) = (text(&etc), text(&home), text(&linked));
    let linked_home = text(&linked_home);
    let url = server.url("/oauth/token");
    let shouted = url.replace("127.0.0.1", "LOCALHOST");
    let path = format!("{}/{}/token", server.url(""), origin(&other));
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut attempt = |what, variables, arguments| attempts.push((what, variables, arguments, ""));
    let token = || vec!["token", "p"];
    for variable in [
        "HALLPASS_POLICY",
        "HALLPASS_POLICY_FILE",
        "HALLPASS_CONFIG",
        "HALLPASS_CONFIG_DIR",
        "HALLPASS_ETC",
        "XDG_CONFIG_DIRS",
        "PROGRAMDATA",
        "SNAP",
    ] {
        attempt(variable, vec![(variable, &etc)], token());
    }
    attempt(
        "XDG_CONFIG_HOME by a link",
        vec![("XDG_CONFIG_HOME", &linked)],
        token(),
    );
    attempt(
        "all of XDG",
        vec![("XDG_CACHE_HOME", &home), ("XDG_DATA_HOME", &home)],
        token(),
    );
    attempt(
        "HOME by a link",
        vec![("HOME", &linked_home)],
        vec!["token"],
    );
    for endpoint in [&url, &shouted, &path] {
        let described = vec![
            ("HALLPASS_TOKEN_URL", endpoint.as_str()),
            ("HALLPASS_CLIENT_ID", "id"),
            ("HALLPASS_CLIENT_SECRET", SECRET),
        ];
        attempt(
            "a profile in the environment",
            described.clone(),
            vec!["token"],
        );
        attempt("exec with it", described.clone(), vec!["exec", "--", "env"]);
        let mut proxied = described;
        let proxy = other.url("");
        let proxy: &'static str = Box::leak(proxy.into_boxed_str());
        proxied.extend([
            ("HTTP_PROXY", proxy),
            ("HTTPS_PROXY", proxy),
            ("ALL_PROXY", proxy),
        ]);
        attempt("with a proxy", proxied, vec!["token"]);
    }
    let secret = ["--client-id", CLIENT_ID, "--secret-command", "echo s"];
    for endpoint in [&url, &shouted, &path] {
        let mut login = vec!["login", "q", "--token-url", endpoint];
        login.extend(secret);
        attempt("a login", vec![], login.clone());
        login.push("--no-verify");
        attempt("a login without a request", vec![], login);
    }
    attempt("copy", vec![], vec!["profile", "copy", "p", "q"]);
    attempt("edit", vec![], vec!["profile", "edit", "p", "--scope", "x"]);
    attempt("bind", vec![], vec!["bind", "p", "https://git.example/"]);
    assert!(attempts.len() >= 27, "{}", attempts.len());
    let before = server.requests().len();
    for (what, variables, arguments, input) in attempts {
        let ran = managed.run_with(&variables, &arguments, input);
        assert_refused(&ran, what);
    }
    assert_eq!(server.requests().len(), before);
}

#[test]
fn a_profile_file_that_was_edited_by_hand_does_not_change_the_policy() {
    let Some(managed) = managed() else { return };
    let machine = &managed.machine;
    let server = machine.server();
    let other = Server::start(|_| Reply::token("token-of-the-other", 3600));
    machine.login("p", server, &[]);
    let policy = json!({ "allowed_token_endpoints": [origin(&other)] });
    managed.policy(&policy.to_string());
    let before = server.requests().len();
    let url = server.url("/oauth/token");
    let host = server.url("").replace("http://", "");
    let user_info = format!("{}@{host}/token", origin(&other));
    let file = machine.config().join("p.json");
    let profile = fs::read_to_string(&file).expect("a profile");
    let mut edited: Value = serde_json::from_str(&profile).expect("JSON");
    edited["token_endpoint"] = user_info.into();
    fs::write(&file, edited.to_string()).expect("a file");
    assert_eq!(managed.run(&["token", "p"]).failure(2).stdout, "");
    edited["token_endpoint"] = format!("{}?x={}", url, origin(&other)).into();
    fs::write(&file, edited.to_string()).expect("a file");
    assert_refused(&managed.run(&["token", "p"]), "an edited profile");
    assert_eq!(server.requests().len(), before);
    // What is allowed works.
    let mut allowed = edited;
    allowed["token_endpoint"] = other.url("/token").into();
    fs::write(&file, allowed.to_string()).expect("a file");
    assert_eq!(managed.run(&["token", "p"]).token(), "token-of-the-other");
}

#[test]
fn the_endpoint_that_metadata_names_must_be_allowed() {
    let Some(managed) = managed() else { return };
    let elsewhere = Server::start(|_| Reply::token("token-elsewhere", 3600));
    let endpoint = elsewhere.url("/token");
    let issuer = Server::start(move |request| {
        let issuer = format!("http://{}", request.header("host").unwrap_or_default());
        let metadata = json!({ "issuer": issuer, "token_endpoint": endpoint });
        Reply::json(200, metadata.to_string())
    });
    managed.policy(&json!({ "allowed_token_endpoints": [origin(&issuer)] }).to_string());
    let issuer = issuer.url("");
    let login = [
        "login",
        "p",
        "--issuer",
        &issuer,
        "--client-id",
        "id",
        "--secret-command",
        "echo s",
    ];
    assert_refused(&managed.run(&login), "metadata");
    assert_eq!(elsewhere.requests().len(), 0);
}

/// Policies that must not be believed: what is wrong, the file, and what the administrator runs.
fn unusable() -> Vec<(&'static str, String, &'static str)> {
    let good = "{\"serve\": true}";
    let deep = "[".repeat(10_000);
    let long = format!("{{\"serve\": true{}}}", " ".repeat(70_000));
    let policies = [
        ("empty", "", ""),
        ("not JSON", "serve: true", ""),
        ("cut", "{\"serve\": tr", ""),
        ("a list", "[]", ""),
        ("an unknown member", "{\"sevre\": false}", ""),
        ("null", "{\"serve\": null}", ""),
        ("twice", "{\"serve\": false, \"serve\": true}", ""),
        ("a wrong type", "{\"serve\": \"no\"}", ""),
        (
            "a pattern that is none",
            "{\"allowed_token_endpoints\": [\"*\"]}",
            "",
        ),
        ("deep", &deep, ""),
        ("too large", &long, ""),
        (
            "another owner",
            good,
            "chown 65534 /etc/hallpass/policy.json",
        ),
        (
            "its group may write it",
            good,
            "chmod 664 /etc/hallpass/policy.json",
        ),
        (
            "all may write it",
            good,
            "chmod 646 /etc/hallpass/policy.json",
        ),
        (
            "another owner's directory",
            good,
            "chown 65534 /etc/hallpass",
        ),
        (
            "all may write the directory",
            good,
            "chmod 1777 /etc/hallpass",
        ),
        ("all may write /etc", good, "chmod 1777 /etc"),
        (
            "a link",
            good,
            "mv /etc/hallpass/policy.json /etc/p; ln -s /etc/p /etc/hallpass/policy.json",
        ),
        (
            "a broken link",
            good,
            "ln -sf /nowhere /etc/hallpass/policy.json",
        ),
        (
            "the directory is a link",
            good,
            "mv /etc/hallpass /etc/h; ln -s h /etc/hallpass",
        ),
        (
            "a directory",
            good,
            "rm /etc/hallpass/policy.json; mkdir /etc/hallpass/policy.json",
        ),
        (
            "a pipe",
            good,
            "rm /etc/hallpass/policy.json; mkfifo -m 644 /etc/hallpass/policy.json",
        ),
        (
            "the directory is a file",
            good,
            "rm -r /etc/hallpass; echo >/etc/hallpass",
        ),
    ];
    let owned = |(what, content, line): (_, &str, _)| (what, content.to_owned(), line);
    policies.into_iter().map(owned).collect()
}

#[test]
fn a_policy_that_cannot_be_used_stops_every_command_that_could_break_it() {
    let Some(mut managed) = managed() else { return };
    managed.machine.login(
        "p",
        managed.machine.server(),
        &["--for", "https://git.example/"],
    );
    managed.machine.run(&["token", "p"]).success();
    for (what, content, line) in unusable() {
        managed.policy(&content);
        managed.line = line.to_owned();
        let ran = managed.run(&["token", "p"]);
        assert_eq!(ran.code, 2, "{what}: {ran:?}");
        assert!(
            ran.stdout.is_empty() && ran.stderr.contains("the policy of this machine"),
            "{what}: {ran:?}"
        );
        assert!(
            ran.stderr.contains("only the administrator can correct it"),
            "{what}: {ran:?}"
        );
    }
    managed.line = String::new();
    managed.policy("{\"sevre\": false}");
    for (what, variables, arguments, input) in ways() {
        let ran = managed.run_with(&variables, &arguments, input);
        assert!(
            !ran.stdout.contains("token-") && ran.code != 101,
            "{what}: {ran:?}"
        );
        assert!(
            (ran.stderr.clone() + &ran.stdout).contains("the policy of this machine"),
            "{what}: {ran:?}"
        );
    }
    for arguments in [
        &["logout", "p"][..],
        &["status"],
        &["profile", "list"],
        &["setup", "git"],
    ] {
        managed.run(arguments).failure(2);
    }
    // These explain, and give no token.
    for arguments in [
        &["--version"][..],
        &["help"],
        &["completions", "bash"],
        &["complete", "=p", "token"],
        &["--help"],
    ] {
        managed.run(arguments).success();
    }
    let ran = managed.run(&["config"]);
    assert!(
        ran.code == 2 && ran.stdout.contains("token_endpoint"),
        "{ran:?}"
    );
    let ran = managed.run(&["doctor", "p"]);
    assert!(
        ran.code != 0 && ran.stdout.contains("the policy of this machine"),
        "{ran:?}"
    );
}

#[test]
fn a_cached_token_is_not_kept_longer_than_the_policy_allows() {
    let Some(managed) = managed() else { return };
    let machine = &managed.machine;
    machine.login("p", machine.server(), &[]);
    let first = machine.run(&["token", "p"]).token();
    // Its margin is a quarter of the time.
    managed.policy("{\"max_ttl_seconds\": 86400}");
    assert_eq!(managed.run(&["token", "p"]).token(), first);
    managed.policy("{\"max_ttl_seconds\": 600}");
    assert_eq!(managed.run(&["token", "p"]).token(), first);
    let json = managed.run(&["token", "p", "--json"]).json();
    assert!(
        json["expires_in"].as_u64().is_some_and(|left| left <= 600),
        "{json}"
    );
    let again = managed.run(&["token", "p", "--refresh", "--json"]).json();
    assert!(
        again["expires_in"].as_u64().is_some_and(|left| left <= 600),
        "{again}"
    );
    let longer = ["token", "p", "--min-ttl", "11m"];
    managed.run(&longer);
    let config = managed.run(&["config", "p", "--json"]).json();
    let setting = &config["settings"]["max_ttl_seconds"];
    assert_eq!(
        (&setting["value"], &setting["fixed_by_policy"]),
        (&json!(600), &json!(true))
    );
    assert_eq!(
        (&setting["source"], &setting["line"]),
        (&json!("/etc/hallpass/policy.json"), &json!(1))
    );
}

#[test]
fn a_policy_without_a_cache_neither_reads_nor_writes_one() {
    let Some(managed) = managed() else { return };
    let machine = &managed.machine;
    machine.login("p", machine.server(), &[]);
    let first = machine.run(&["token", "p"]).token();
    managed.policy("{\"cache\": \"none\"}");
    for wanted in ["plain", "auto", ""] {
        let before = machine.server().requests().len();
        let wanted = [("HALLPASS_CACHE", wanted)];
        assert_ne!(
            managed.run_with(&wanted, &["token", "p"], "").token(),
            first
        );
        assert_eq!(machine.server().requests().len(), before + 1);
    }
    let config = managed.run(&["config", "p", "--json"]).json();
    let setting = &config["settings"]["cache"];
    assert_eq!(
        (&setting["value"], &setting["fixed_by_policy"]),
        (&json!("none"), &json!(true))
    );
}

#[test]
fn a_managed_profile_serves_every_user_and_needs_no_login() {
    let Some(managed) = managed() else { return };
    let machine = &managed.machine;
    let url = machine.server().url("/oauth/token");
    let profile = json!({
        "format": 1,
        "generation": "1",
        "token_endpoint": url,
        "client_id": CLIENT_ID,
        "client_auth": "client_secret_basic",
        "secret": { "env": "TEAM_SECRET" },
        "for": [{ "url": "https://git.example/" }],
    });
    managed.write("profiles/team.json", &format!("{profile:#}"));
    let secret = [("TEAM_SECRET", "s3cret")];
    let token = managed.run_with(&secret, &["token", "team"], "").token();
    assert_eq!(managed.run_with(&secret, &["token"], "").token(), token);
    assert_eq!(
        managed
            .run_with(&secret, &["token", "--url", "https://git.example/"], "")
            .token(),
        token
    );
    let ran = managed.run_with(&secret, &["git-credential", "get"], GIT);
    assert!(ran.stdout.contains(&token), "{ran:?}");
    let ran = managed.run_with(&secret, &["status"], "").success();
    assert!(ran.stdout.contains("team"), "{ran:?}");
    let config = managed.run(&["config", "team"]).success().stdout;
    assert!(
        config.contains("/etc/hallpass/profiles/team.json:"),
        "{config}"
    );
    for arguments in [
        &["bind", "team", "https://x.example/"][..],
        &["logout", "team"],
        &["profile", "rename", "team", "x"],
    ] {
        let ran = managed.run(arguments).failure(3);
        assert!(
            ran.stderr.contains("/etc/hallpass/profiles/team.json"),
            "{ran:?}"
        );
    }
    // A user's own profile of that name goes first, unless there may be none.
    machine.login("team", machine.server(), &["--scope", "own"]);
    let own = managed.run_with(&secret, &["token", "team"], "").token();
    assert_ne!(own, token);
    managed.policy("{\"user_profiles\": false}");
    let managed_one = managed.run_with(&secret, &["token", "team"], "").token();
    assert_ne!(managed_one, own);
    let described = [
        ("HALLPASS_TOKEN_URL", url.as_str()),
        ("HALLPASS_CLIENT_ID", "id"),
        ("HALLPASS_CLIENT_SECRET", SECRET),
    ];
    assert_refused(
        &managed.run_with(&described, &["token"], ""),
        "the environment",
    );
    let login = [
        "login",
        "q",
        "--token-url",
        &url,
        "--client-id",
        "id",
        "--secret-command",
        "echo s",
    ];
    assert_refused(&managed.run(&login), "a login");
    let socket = [("HALLPASS_SOCKET", "/nowhere/socket")];
    assert_refused(
        &managed.run_with(&socket, &["token", "gone"], ""),
        "a socket",
    );
    managed.run(&["logout", "team"]).success();
    // It is the administrator's only if nobody else can write it.
    for line in [
        "chown 65534 /etc/hallpass/profiles/team.json",
        "chmod 777 /etc/hallpass/profiles",
    ] {
        let managed = Managed {
            line: line.to_owned(),
            machine: Machine::in_directory(machine.root()),
        };
        let ran = managed.run_with(&secret, &["token", "team"], "").failure(2);
        assert!(
            ran.stderr.contains("only the administrator can correct it"),
            "{ran:?}"
        );
    }
    let mut keychain = profile;
    keychain["secret"] = json!({ "keychain": { "account": "team:0123" } });
    managed.write("profiles/team.json", &keychain.to_string());
    let ran = managed.run(&["token", "team"]).failure(2);
    assert!(ran.stderr.contains("there is one for each user"), "{ran:?}");
}

#[test]
fn serve_can_be_switched_off() {
    let Some(managed) = managed() else { return };
    let machine = &managed.machine;
    machine.login("p", machine.server(), &["--for", "https://git.example/"]);
    managed.policy("{\"serve\": false}");
    for arguments in [
        &["serve", "p"][..],
        &["serve", "p", "--as-token-endpoint"],
        &["serve", "p", "--socket", "/nowhere/s"],
    ] {
        assert_refused(&managed.run(arguments), "serve");
    }
    let socket = [("HALLPASS_SOCKET", "/nowhere/socket")];
    assert_refused(
        &managed.run_with(&socket, &["token", "gone"], ""),
        "its client",
    );
    assert_refused(
        &managed.run_with(&socket, &["pnpm-tokenhelper", "--profile", "gone"], ""),
        "a helper",
    );
    managed.run(&["token", "p"]).success();
}

#[test]
fn the_policy_in_the_manual_can_be_used() {
    let Some(managed) = managed() else {
        return;
    };
    let manual = include_str!("../../man/hallpass.1");
    let start = manual
        .find("{ \"allowed_token_endpoints\"")
        .expect("a policy");
    let policy = &manual[start..];
    let policy = &policy[..policy.find(".fi").expect("an end")];
    managed.policy(policy);
    // Its endpoints are not those of this machine's profile.
    let config = managed.run(&["config", "--json"]);
    let shown: Value = serde_json::from_str(&config.stdout).expect("JSON");
    let written: Value = serde_json::from_str(policy).expect("JSON");
    for (name, value) in written.as_object().expect("members") {
        let requirement = &shown["policy"]["requirements"][name];
        assert_eq!(&requirement["value"], value, "{name}: {config:?}");
    }
}
