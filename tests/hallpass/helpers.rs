//! The helper protocols: the exact answers and errors of each, and that none returns a token for a URL
//! that the profile is not bound to.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::server::{Reply, Server};
use crate::support::{HALLPASS, Machine, Ran, end_of, numbered_tokens, ran};

/// A machine with a profile that is bound to these URLs.
struct Desk {
    machine: Machine,
    server: Server,
}

impl Desk {
    fn bound_to(urls: &[&str]) -> Self {
        let server = Server::start(numbered_tokens());
        let machine = Machine::new();
        let mut more = vec!["--scope", "USER"];
        more.extend(urls.iter().flat_map(|url| ["--for", *url]));
        machine.login("prod", &server, &more);
        Self { machine, server }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.machine.run(arguments)
    }

    fn tell(&self, arguments: &[&str], input: &str) -> Ran {
        self.machine.run_with_input(arguments, input.as_bytes())
    }

    /// The answer of a helper that succeeds and writes nothing else.
    #[track_caller]
    fn answer(&self, arguments: &[&str], input: &str) -> String {
        let ran = self.tell(arguments, input).success();
        assert_eq!(ran.stderr, "", "{ran:?}");
        ran.stdout
    }

    #[track_caller]
    fn json(&self, arguments: &[&str], input: &str) -> Value {
        let answer = self.answer(arguments, input);
        let line = answer.lines().last().expect("an answer");
        serde_json::from_str(line).expect("JSON")
    }
}

const GIT: &[&str] = &["git-credential", "get"];

#[test]
fn git_gets_a_bearer_token_if_it_supports_one() {
    let desk = Desk::bound_to(&["https://a.example"]);
    let offer = "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=a.example\n";
    let answer = desk.answer(GIT, offer);
    for line in [
        "authtype=Bearer",
        "credential=token-1",
        "ephemeral=1",
        "continue=1",
    ] {
        assert!(answer.lines().any(|said| said == line), "{line}: {answer}");
    }
    let expiry = answer
        .lines()
        .find_map(|line| line.strip_prefix("password_expiry_utc="));
    expiry
        .and_then(|expiry| expiry.parse::<u64>().ok())
        .expect("an expiry");
    for (challenge, bearer) in [
        ("Bearer realm=\"x\"", true),
        ("bearer", true),
        ("Basic realm=\"x\"", false),
        ("Basic realm=\"x\"\nwwwauth[]=Bearer", true),
        ("Negotiate", true),
    ] {
        let answer = desk.answer(GIT, &format!("{offer}wwwauth[]={challenge}\n\n"));
        assert_eq!(answer.contains("authtype=Bearer"), bearer, "{challenge}");
        assert_eq!(
            answer.contains("username=oauth2\npassword=token-1\n"),
            !bearer
        );
    }
    let old = "protocol=https\nhost=a.example\n";
    assert!(
        desk.answer(GIT, old)
            .starts_with("username=oauth2\npassword=token-1\n")
    );
    let named = format!("{old}username=me\n");
    assert!(
        desk.answer(GIT, &named)
            .starts_with("username=me\npassword=token-1\n")
    );
    assert_eq!(desk.server.requests().len(), 1);
}

#[test]
fn a_token_that_git_says_was_rejected_is_replaced_once() {
    let desk = Desk::bound_to(&["https://a.example"]);
    let offer = "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=a.example\n";
    let answer = desk.answer(GIT, offer);
    let state = answer
        .lines()
        .find(|line| line.starts_with("state[]="))
        .expect("a state");
    assert!(!state.contains("token-1"));
    let again = format!("{offer}{state}\n");
    let answer = desk.answer(GIT, &again);
    assert!(answer.contains("credential=token-2"), "{answer}");
    assert!(!answer.contains("continue=1"), "{answer}");
    // Another git that had the same token gets the new one from the cache.
    assert!(desk.answer(GIT, &again).contains("credential=token-2"));
    assert_eq!(desk.server.requests().len(), 2);
    let erase = "protocol=https\nhost=a.example\ncapability[]=authtype\ncredential=token-2\n";
    assert_eq!(
        desk.answer(
            &["git-credential", "erase"],
            "protocol=https\nhost=a.example\npassword=another\n"
        ),
        ""
    );
    assert!(desk.answer(GIT, offer).contains("token-2"));
    assert_eq!(desk.answer(&["git-credential", "erase"], erase), "");
    assert!(desk.answer(GIT, offer).contains("token-3"));
}

#[test]
fn git_is_told_to_quit_if_there_is_no_token_for_a_bound_host() {
    let desk = Desk::bound_to(&["https://a.example"]);
    fs::remove_dir_all(desk.machine.cache()).expect("a cache");
    desk.server.stop();
    let ran = desk.tell(GIT, "protocol=https\nhost=a.example\n\n");
    assert_eq!(ran.stdout, "quit=1\n", "{ran:?}");
    assert!(ran.stderr.contains("hallpass: error: "), "{ran:?}");
}

#[test]
fn git_passes_on_paths_that_it_has_decoded() {
    let desk = Desk::bound_to(&[
        "https://a.example/my%20team/",
        "https://a.example/b%c3%bccher",
        "https://a.example/50%25",
        "https://a.example/~me",
        "https://a.example/c%2B%2B",
    ]);
    for path in [
        "my team/app.git",
        "bücher/app",
        "50%",
        "50%/what?#",
        "~me/a b",
        "c++/x",
        "my team",
    ] {
        let request = format!("protocol=https\nhost=a.example\npath={path}\n");
        let answer = desk.answer(GIT, &request);
        assert!(answer.contains("password=token-1"), "{path}: {answer}");
    }
    // Bytes that are no UTF-8 text are a path, too.
    desk.run(&["bind", "prod", "https://a.example/%ff"])
        .success();
    let ran = desk
        .machine
        .run_with_input(GIT, b"protocol=https\nhost=a.example\npath=\xff/app.git\n");
    assert!(ran.success().stdout.contains("password=token-1"));
    for path in [
        "my+team/app",
        "my%20team/app",
        "my%2520team",
        "bucher",
        "50",
    ] {
        let request = format!("protocol=https\nhost=a.example\npath={path}\n");
        let ran = desk.tell(GIT, &request).success();
        assert_eq!(ran.stdout, "", "{path}");
    }
}

#[test]
fn server_headers_that_git_passes_on_do_not_prevent_a_token() {
    let desk = Desk::bound_to(&["https://a.example"]);
    for line in [
        b"wwwauth[]=Basic realm=\"caf\xe9\"".as_slice(),
        b"wwwauth[]=Basic\trealm=\"a\tb\"",
        b"wwwauth[]=\x1b[31m",
        b"wwwauth[]=",
        b"username=\xff",
        b"username=a\x07b",
        b"later=\xfe\xff",
        b"\xff=1",
    ] {
        let request = [b"protocol=https\nhost=a.example\n", line, b"\n\n"].concat();
        let ran = desk.machine.run_with_input(GIT, &request).success();
        assert!(ran.stdout.contains("\npassword=token-1\n"), "{ran:?}");
        assert!(ran.stdout.starts_with("username=oauth2\n"), "{ran:?}");
    }
}

#[test]
fn git_gets_the_reason_if_there_is_no_token_for_a_bound_host() {
    let desk = Desk::bound_to(&["https://a.example"]);
    for more in ["path=a/../b\n", "path=a\npath=b\n", "what\n"] {
        let request = |host| format!("protocol=https\nhost={host}\n{more}\n");
        let ran = desk.tell(GIT, &request("a.example"));
        assert_eq!(ran.stdout, "quit=1\n", "{ran:?}");
        assert!(ran.stderr.contains("hallpass: error: the URL that git"));
        assert_eq!(desk.answer(GIT, &request("b.example")), "");
    }
}

#[test]
fn git_send_email_gets_a_token_for_its_mail_server() {
    let desk = Desk::bound_to(&["smtp://smtp.example:587", "smtps://smtp.example"]);
    for server in ["smtp\nhost=smtp.example:587", "smtps\nhost=SMTP.example"] {
        let request = format!("protocol={server}\nusername=me@smtp.example\n");
        let answer = desk.answer(GIT, &request);
        assert!(
            answer.starts_with("username=me@smtp.example\npassword=token-1\n"),
            "{answer}"
        );
    }
    for server in [
        "smtp\nhost=smtp.example",
        "smtp\nhost=smtp.example:25",
        "imap\nhost=smtp.example:587",
        "https\nhost=smtp.example",
    ] {
        assert_eq!(desk.answer(GIT, &format!("protocol={server}\n")), "");
    }
    assert_eq!(desk.answer(&["docker-credential", "list"], ""), "{}\n");
    desk.run(&["bind", "prod", "ftp://smtp.example"]).failure(2);
}

#[test]
fn the_user_name_of_the_binding_has_precedence_over_the_one_in_the_url() {
    let desk = Desk::bound_to(&["https://a.example"]);
    let bind = [
        "bind",
        "prod",
        "https://a.example",
        "--username",
        "x-token-auth",
    ];
    desk.run(&bind).success();
    let request = "protocol=https\nhost=a.example\nusername=someone\nwwwauth[]=Basic realm=\"x\"\n";
    let answer = desk.answer(GIT, request);
    assert!(answer.starts_with("username=x-token-auth\n"), "{answer}");
    let keyring = [
        "keyring",
        "--mode",
        "creds",
        "get",
        "https://a.example/simple",
        "someone",
    ];
    assert_eq!(desk.answer(&keyring, ""), "x-token-auth\ntoken-1\n");
    let keyring = [
        "keyring",
        "--output=json",
        "get",
        "https://a.example",
        "someone",
    ];
    assert_eq!(desk.json(&keyring, "")["username"], "x-token-auth");
}

#[test]
fn a_user_name_with_a_line_break_in_a_profile_is_refused() {
    let desk = Desk::bound_to(&["https://a.example"]);
    let path = desk.machine.config().join("prod.json");
    let profile = fs::read_to_string(&path).expect("a profile");
    let bound = r#""https://a.example/""#;
    for name in [r"a\npassword=b", r"a\rb", "a:b", "", r"\u0000"] {
        let changed = profile.replace(bound, &format!(r#"{{"url":{bound},"username":"{name}"}}"#));
        assert_ne!(changed, profile);
        fs::write(&path, changed).expect("a profile");
        let ran = desk.tell(GIT, "protocol=https\nhost=a.example\n\n");
        assert_eq!(ran.stdout, "quit=1\n", "{ran:?}");
        desk.run(&["token", "prod"]).failure(2);
    }
}

#[test]
fn a_host_followed_by_other_text_gets_no_token() {
    let desk = Desk::bound_to(&["https://good.example"]);
    for more in [
        "?",
        "#",
        "?x",
        "#x",
        "\\",
        " ",
        "\t",
        "%",
        "@b.example",
        "?/v1/",
        "\r",
        ":",
        ":443:1",
    ] {
        let host = format!("good.example{more}");
        for url in [host.clone(), format!("https://{host}"), format!("u@{host}")] {
            let ran = desk.tell(&["docker-credential", "get"], &url);
            assert_eq!(
                (ran.code, ran.stdout.contains("token-")),
                (1, false),
                "{url:?}"
            );
            for arguments in [
                ["terraform-credentials", "get", &url],
                ["keyring", "get", &host],
            ] {
                let ran = desk.run(&arguments);
                assert!(!ran.stdout.contains("token-"), "{arguments:?} {ran:?}");
            }
        }
        let ran = desk.tell(GIT, &format!("protocol=https\nhost={host}\n"));
        assert!(!ran.stdout.contains("token-"), "{host:?} {ran:?}");
    }
}

#[test]
fn git_operations_other_than_get_are_answered() {
    let desk = Desk::bound_to(&["https://a.example"]);
    assert_eq!(
        desk.answer(&["git-credential", "capability"], ""),
        "version 0\ncapability authtype\ncapability state\n"
    );
    for operation in ["store", "something-new"] {
        assert_eq!(
            desk.answer(
                &["git-credential", operation],
                "protocol=https\nhost=a.example\n"
            ),
            ""
        );
    }
    // The answer comes after the blank line, although git may keep the pipe open.
    let mut command = desk.machine.hallpass(GIT);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("hallpass starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, b"protocol=https\nhost=a.example\n\n").expect("a reader");
    assert!(end_of(child).success().stdout.contains("token-1"));
    drop(stdin);
}

#[test]
fn a_helper_can_be_run_by_the_name_of_a_link() {
    let desk = Desk::bound_to(&["https://a.example"]);
    let link = desk.machine.root().join("git-credential-hallpass");
    let pnpm = desk.machine.root().join("pnpm-tokenhelper-hallpass-prod");
    let hallpass = HALLPASS.as_str();
    for link in [&link, &pnpm] {
        std::os::unix::fs::symlink(hallpass, link).expect("a link");
    }
    let mut command = Command::new(&pnpm);
    command.env_clear().env("HOME", desk.machine.home());
    assert_eq!(
        crate::support::ran(command).success().stdout,
        "Bearer token-1\n"
    );
    let mut command = Command::new(&link);
    command
        .env_clear()
        .env("HOME", desk.machine.home())
        .arg("capability");
    assert!(
        crate::support::ran(command)
            .success()
            .stdout
            .starts_with("version 0\n")
    );
}

#[test]
fn a_helper_answers_whatever_the_program_is_called() {
    let machine = Machine::new();
    for name in [b"".as_slice(), b"/", b"..", b"other", b"/bin/\xff"] {
        let mut command = machine.hallpass(&["git-credential", "capability"]);
        command.arg0(OsStr::from_bytes(name));
        let said = ran(command).success().stdout;
        assert!(said.starts_with("version 0\n"), "{name:?}: {said}");
    }
}

/// As on Windows, where pip finds `keyring.EXE`.
#[test]
fn a_link_may_have_the_extension_exe() {
    let desk = Desk::bound_to(&["https://a.example"]);
    for name in ["keyring", "keyring.exe", "/bin/keyring.EXE"] {
        let mut command = desk.machine.hallpass(&["get", "https://a.example", "me"]);
        command.arg0(name);
        assert_eq!(ran(command).success().stdout, "token-1\n", "{name}");
    }
}

#[test]
fn docker_gets_the_error_texts_that_it_knows() {
    let desk = Desk::bound_to(&["https://registry.example", "http://127.0.0.1:5000"]);
    let get = &["docker-credential", "get"];
    for server in [
        "registry.example",
        "https://registry.example/v1/",
        "127.0.0.1:5000",
    ] {
        assert_eq!(
            desk.json(get, server),
            json!({ "ServerURL": server, "Username": "oauth2", "Secret": "token-1" })
        );
    }
    // A loopback host may mean both https and http.
    desk.run(&["bind", "prod", "https://127.0.0.1:5000/path"])
        .success();
    desk.answer(get, "127.0.0.1:5000");
    desk.run(&["unbind", "prod", "https://127.0.0.1:5000/path"])
        .success();
    let ran = desk.tell(get, "other.example");
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    assert_eq!(ran.stdout, "credentials not found in native keychain\n");
    assert_eq!(
        desk.json(&["docker-credential", "list"], ""),
        json!({ "registry.example": "oauth2", "127.0.0.1:5000": "oauth2" })
    );
    desk.run(&[
        "bind",
        "prod",
        "https://registry.example",
        "--scheme",
        "identity-token",
    ])
    .success();
    assert_eq!(desk.json(get, "registry.example")["Username"], "<token>");
    let stored = r#"{"ServerURL":"registry.example","Username":"a","Secret":"b"}"#;
    let ran = desk.tell(&["docker-credential", "store"], stored);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    assert!(ran.stdout.contains("hallpass login"), "{ran:?}");
    assert_eq!(
        desk.answer(&["docker-credential", "erase"], "registry.example"),
        ""
    );
    fs::remove_dir_all(desk.machine.cache()).expect("a cache");
    desk.server.stop();
    let ran = desk.tell(get, "registry.example");
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("cannot connect"), "{ran:?}");
}

#[test]
fn cargo_gets_the_protocol_version_before_it_sends_a_request() {
    let desk = Desk::bound_to(&["https://cargo.example/index"]);
    let request = |url: &str, kind: &str, arguments: &str| {
        format!(
            r#"{{"v":1,"registry":{{"index-url":"{url}","name":"x","headers":[]}},"kind":"{kind}","operation":"read","args":[{arguments}]}}
"#
        )
    };
    let plugin = &["--cargo-plugin"];
    let bound = "sparse+https://cargo.example/index/";
    let answer = desk.answer(plugin, &request(bound, "get", ""));
    assert!(answer.starts_with("{\"v\":[1]}\n"), "{answer}");
    let granted = desk.json(plugin, &request(bound, "get", r#""--profile","prod""#));
    assert_eq!(granted["Ok"]["token"], "Bearer token-1");
    assert_eq!(granted["Ok"]["cache"], "expires");
    assert!(granted["Ok"]["expiration"].is_u64());
    let refused = |input: &str| desk.json(plugin, input)["Err"]["kind"].clone();
    assert_eq!(
        refused(&request("sparse+https://other.example/", "get", "")),
        "url-not-supported"
    );
    assert_eq!(
        refused(&request(bound, "login", "")),
        "operation-not-supported"
    );
    assert_eq!(refused("{}"), "operation-not-supported");
    assert_eq!(
        refused(&request(bound, "get", r#""--profile","none""#)),
        "not-found"
    );
    desk.run(&[
        "bind",
        "prod",
        "https://cargo.example/index",
        "--scheme",
        "raw",
    ])
    .success();
    assert_eq!(
        desk.json(plugin, &request(bound, "get", ""))["Ok"]["token"],
        "token-1"
    );
}

#[test]
fn bazel_gets_headers() {
    let desk = Desk::bound_to(&["https://a.example"]);
    let get = &["bazel-credential", "get"];
    for uri in ["https://a.example/x", "grpcs://a.example"] {
        let answer = desk.json(get, &json!({ "uri": uri }).to_string());
        assert_eq!(
            answer["headers"],
            json!({ "Authorization": ["Bearer token-1"] })
        );
        let expires = answer["expires"].as_str().expect("a time");
        assert!(expires.len() == 20 && expires.ends_with('Z'), "{expires}");
    }
    let other = json!({ "uri": "https://b.example/" }).to_string();
    assert_eq!(desk.json(get, &other), json!({ "headers": {} }));
    desk.tell(get, "{}").failure(2);
}

#[test]
fn kubectl_gets_the_version_that_it_asked_for() {
    let mut desk = Desk::bound_to(&["https://k8s.example:6443"]);
    for version in ["v1", "v1beta1"] {
        let version = format!("client.authentication.k8s.io/{version}");
        for spec in [
            json!({}),
            json!({ "cluster": { "server": "https://k8s.example:6443" } }),
        ] {
            let info = json!({ "kind": "ExecCredential", "apiVersion": version, "spec": spec });
            desk.machine.set("KUBERNETES_EXEC_INFO", &info.to_string());
            let answer = desk.json(&["kubectl-credential"], "");
            assert_eq!(answer["apiVersion"], version.as_str());
            assert_eq!(answer["kind"], "ExecCredential");
            assert_eq!(answer["status"]["token"], "token-1");
        }
    }
    let info = json!({ "apiVersion": "client.authentication.k8s.io/v1",
        "spec": { "cluster": { "server": "https://other.example:6443" } } });
    desk.machine.set("KUBERNETES_EXEC_INFO", &info.to_string());
    let ran = desk
        .run(&["kubectl-credential", "--profile", "prod"])
        .failure(3);
    assert!(
        ran.stderr
            .contains("hallpass bind PROFILE https://other.example:6443"),
        "{ran:?}"
    );
    let info = json!({ "apiVersion": "client.authentication.k8s.io/v2", "spec": {} });
    desk.machine.set("KUBERNETES_EXEC_INFO", &info.to_string());
    desk.run(&["kubectl-credential"]).failure(2);
    desk.machine.set("KUBERNETES_EXEC_INFO", "");
    desk.run(&["kubectl-credential"]).failure(2);
}

#[test]
fn go_gets_cached_tokens_first_and_a_new_one_after_a_rejection() {
    let desk = Desk::bound_to(&["https://go.example/mod", "http://127.0.0.1:1/"]);
    let block =
        |number| format!("https://go.example/mod\n\nAuthorization: Bearer token-{number}\n\n");
    assert_eq!(desk.answer(&["goauth"], ""), block(1));
    let response = "HTTP/1.1 401 Unauthorized\n\n";
    assert_eq!(
        desk.answer(&["goauth", "https://go.example/mod/x"], response),
        block(2)
    );
    let ran = desk
        .tell(&["goauth", "https://go.example/other"], response)
        .success();
    assert_eq!(ran.stdout, "");
    assert!(
        ran.stderr
            .contains("bound only to other paths of this server"),
        "{ran:?}"
    );
    assert_eq!(
        desk.answer(&["goauth", "https://other.example/"], response),
        ""
    );
    fs::remove_dir_all(desk.machine.cache()).expect("a cache");
    assert_eq!(desk.answer(&["goauth"], ""), "");
    assert_eq!(desk.server.requests().len(), 2);
}

#[test]
fn terraform_gets_an_object() {
    let desk = Desk::bound_to(&["https://tf.example"]);
    let get = |host| desk.json(&["terraform-credentials", "get", host], "");
    assert_eq!(get("tf.example"), json!({ "token": "token-1" }));
    assert_eq!(get("other.example"), json!({}));
    assert_eq!(get("tf.example/x"), json!({}));
    for verb in ["store", "forget"] {
        desk.tell(&["terraform-credentials", verb, "tf.example"], "{}")
            .failure(2);
    }
}

#[test]
fn keyring_has_three_output_formats_and_one_exit_code_for_not_found() {
    let desk = Desk::bound_to(&["https://pypi.example"]);
    let url = "https://pypi.example/simple";
    assert_eq!(desk.answer(&["keyring", "get", url, "me"], ""), "token-1\n");
    assert_eq!(
        desk.answer(&["keyring", "get", url, "--mode", "creds"], ""),
        "oauth2\ntoken-1\n"
    );
    assert_eq!(
        desk.json(
            &["keyring", "--mode=creds", "--output=json", "get", url],
            ""
        ),
        json!({ "username": "oauth2", "password": "token-1" })
    );
    assert_eq!(
        desk.answer(&["keyring", "get", "pypi.example", "me"], ""),
        "token-1\n"
    );
    let mercurial = ["keyring", "get", "Mercurial", "me@@https://pypi.example"];
    assert_eq!(desk.answer(&mercurial, ""), "token-1\n");
    for arguments in [
        &["get", "https://other.example/", "me"][..],
        &["get", "other.example", "me"],
        &["get", "Mercurial", "me@@https://other.example"],
        &["get", "Mercurial", "me"],
        &["get", "Mercurial"],
        &["set", url, "me"],
        &["del", url, "me"],
        &["--unknown", "get"],
        &[],
    ] {
        let ran = desk.run(&[&["keyring"], arguments].concat());
        assert_eq!(
            (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
            (1, "", "")
        );
    }
}

#[test]
fn google_gets_a_failure_in_the_answer_itself() {
    let desk = Desk::bound_to(&[]);
    let answer = desk.json(&["google-executable"], "");
    assert_eq!(answer["success"], true);
    assert_eq!(answer["id_token"], "token-1");
    assert!(answer["expiration_time"].is_u64());
    fs::remove_dir_all(desk.machine.cache()).expect("a cache");
    desk.server.stop();
    let answer = desk.json(&["google-executable"], "");
    assert_eq!(answer["success"], false);
    assert!(
        answer["message"]
            .as_str()
            .is_some_and(|text| text.contains("cannot connect"))
    );
}

#[test]
fn a_helper_that_succeeds_prints_no_warnings() {
    // Less scope than was requested, which other commands warn about.
    let server = Server::start(|_| {
        let token = json!({ "access_token": "token-1", "token_type": "Bearer", "scope": "A" });
        Reply::json(200, token.to_string())
    });
    let machine = Machine::new();
    let more = ["--scope", "A B", "--for", "https://a.example"];
    machine.login("prod", &server, &more);
    for helper in [
        &["google-executable"][..],
        &["pnpm-tokenhelper"],
        &["terraform-credentials", "get", "a.example"],
        &["keyring", "get", "https://a.example", "me"],
        &["askpass", "Password for 'https://me@a.example': "],
    ] {
        fs::remove_dir_all(machine.cache()).expect("a cache");
        let ran = machine.run(helper).success();
        assert!(ran.stdout.contains("token-1"), "{ran:?}");
        assert_eq!(ran.stderr, "", "{helper:?}");
    }
    fs::remove_dir_all(machine.cache()).expect("a cache");
    let ran = machine.run(&["token"]).success();
    assert!(
        ran.stderr
            .contains("granted scope \"A\" instead of \"A B\""),
        "{ran:?}"
    );
}

#[test]
fn an_invalid_profile_name_is_reported_in_the_protocols_error_format() {
    let desk = Desk::bound_to(&["https://a.example"]);
    let name = "--profile=No Name";
    let answer = desk.json(&["google-executable", name], "");
    assert_eq!(answer["success"], false);
    let ran = desk.run(&["keyring", name, "get", "https://a.example", "me"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    let ran = desk.tell(&["docker-credential", name, "get"], "a.example");
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("invalid profile name"), "{ran:?}");
    desk.run(&["pnpm-tokenhelper", name]).failure(2);
}

#[test]
fn a_missing_home_directory_is_reported_in_the_protocols_error_format() {
    let mut desk = Desk::bound_to(&["https://a.example"]);
    desk.machine.set("HOME", "relative");
    let unknown = "the home directory is unknown";
    let git = desk.tell(GIT, "protocol=https\nhost=a.example\n\n");
    assert_eq!((git.code, git.stdout.as_str()), (1, "quit=1\n"));
    assert!(git.stderr.contains(unknown), "{git:?}");
    let docker = desk.tell(&["docker-credential", "get"], "a.example");
    assert_eq!(docker.code, 1);
    assert!(docker.stdout.contains(unknown), "{docker:?}");
    let google = desk.json(&["google-executable"], "");
    assert_eq!(google["success"], false);
    let keyring = desk.run(&["keyring", "get", "https://a.example", "me"]);
    assert_eq!((keyring.code, keyring.stdout.as_str()), (1, ""));
    // Operations that need no home directory still work.
    desk.answer(&["git-credential", "capability"], "");
    desk.answer(&["docker-credential", "version"], "");
}

#[test]
fn askpass_answers_a_question_in_any_language() {
    let desk = Desk::bound_to(&["https://a.example"]);
    let ask = |question| desk.run(&["askpass", question]);
    assert_eq!(
        ask("Password for 'https://me@a.example': ").token(),
        "token-1"
    );
    assert_eq!(
        ask("Passwort für 'https://me@a.example/x.git': ").token(),
        "token-1"
    );
    assert_eq!(ask("Username for 'https://a.example': ").token(), "oauth2");
    ask("Password for 'https://me@b.example': ").failure(3);
    ask("Enter passphrase for key").failure(3);
    ask("Password for 'https://a.example@evil.example': ").failure(3);
}

/// git's question contains a port that is not the default one, wget's contains none.
#[test]
fn askpass_uses_the_only_bound_port_for_a_question_without_a_port() {
    let desk = Desk::bound_to(&["https://a.example:8443", "https://b.example:1/path"]);
    let ask = |question| desk.run(&["askpass", question]);
    assert_eq!(ask("Username for 'https://a.example': ").token(), "oauth2");
    let question = "Password for 'https://me@a.example': ";
    assert_eq!(ask(question).token(), "token-1");
    ask("Password for 'https://me@a.example:443': ").failure(3);
    ask("Password for 'http://me@a.example': ").failure(3);
    ask("Password for 'https://me@example': ").failure(3);
    ask("Password for 'https://me@b.example': ").failure(3);
    let mut by_git = desk.machine.hallpass(&["askpass", question]);
    by_git.env("PATH", "/usr/lib/git-core:/usr/bin");
    ran(by_git).failure(3);
    let bind = ["bind", "prod", "https://a.example:9443"];
    desk.machine.run(&bind).success();
    desk.run(&["askpass", question]).failure(3);
}

#[test]
fn a_token_can_be_printed_in_several_formats() {
    let server = Server::start(|_| Reply::token(r#"to\\k\"en"#, 3600));
    let machine = Machine::new();
    machine.login("prod", &server, &["--for", "https://a.example/api"]);
    let token = r#"to\k"en"#;
    let quoted = r#"to\\k\"en"#;
    for (format, printed) in [
        ("raw", token.to_owned()),
        ("header", format!("Authorization: Bearer {token}")),
        ("bearer", format!("Bearer {token}")),
        (
            "headers-json",
            format!(r#"{{"Authorization":"Bearer {quoted}"}}"#),
        ),
        (
            "curl",
            format!(r#"header = "Authorization: Bearer {quoted}""#),
        ),
    ] {
        assert_eq!(machine.run(&["token", "--format", format]).token(), printed);
        let file = machine.root().join("token");
        let path = file.to_str().expect("UTF-8");
        let ran = machine
            .run(&["token", "--format", format, "--output", path])
            .success();
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
        assert_eq!(fs::read_to_string(&file).expect("the file"), printed);
        assert_eq!(
            fs::metadata(&file).expect("the file").permissions().mode() & 0o777,
            0o600
        );
    }
    let long = machine.run(&["token", "--format", "json"]).success().stdout;
    let short = machine.run(&["token", "--json"]).success().stdout;
    assert!(long.starts_with(&short[..20]));
    machine
        .run(&["token", "--json", "--format", "raw"])
        .failure(2);
    assert_eq!(
        machine
            .run(&["token", "--url", "https://a.example/api/x"])
            .token(),
        token
    );
    machine
        .run(&["token", "--url", "https://a.example/"])
        .failure(3);
    machine
        .run(&["token", "prod", "--url", "https://b.example/api/x"])
        .failure(3);
    let missing = machine.root().join("none/token");
    machine
        .run(&["token", "--output", missing.to_str().expect("UTF-8")])
        .failure(1);
}

#[test]
fn fifty_cold_callers_through_a_helper_make_one_request() {
    let desk = Desk::bound_to(&["https://a.example"]);
    fs::remove_dir_all(desk.machine.cache()).expect("a cache");
    let children: Vec<_> = (0..50)
        .map(|_| {
            let mut command = desk
                .machine
                .hallpass(&["keyring", "get", "a.example", "me"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("hallpass starts")
        })
        .collect();
    for child in children {
        assert_eq!(end_of(child).token(), "token-2");
    }
    assert_eq!(desk.server.requests().len(), 2);
}

#[test]
fn a_client_that_runs_its_helper_in_a_loop_sends_few_requests() {
    let server = Server::start(|_| Reply::json(401, r#"{"error":"invalid_client"}"#));
    let machine = Machine::new();
    machine.login(
        "prod",
        &server,
        &["--for", "https://a.example", "--no-verify"],
    );
    for _ in 0..5 {
        let ran = machine.run_with_input(GIT, b"protocol=https\nhost=a.example\n\n");
        assert_eq!(ran.stdout, "quit=1\n");
    }
    let made = server.requests().len();
    assert!(made < 5, "{made} requests");
}

#[test]
fn naming_a_profile_does_not_replace_a_binding() {
    let desk = Desk::bound_to(&["https://a.example"]);
    desk.machine
        .login("other", &desk.server, &["--for", "https://b.example"]);
    let [prod, other] = ["prod", "other"].map(|name| desk.run(&["token", name]).token());
    assert_ne!(prod, other);
    let get = |profile: &str, host: &str| {
        let option = format!("--profile={profile}");
        let request = format!("protocol=https\nhost={host}\n\n");
        desk.tell(&["git-credential", &option, "get"], &request)
            .success()
            .stdout
    };
    assert!(get("prod", "a.example").contains(&prod));
    assert_eq!(get("prod", "b.example"), "");
    assert_eq!(get("other", "a.example"), "");
    // Two profiles cannot be bound to one URL. If they are all the same, that is an error.
    let tie = desk.run(&["bind", "other", "https://a.example"]).failure(2);
    assert!(
        tie.stderr
            .contains("hallpass unbind prod https://a.example/"),
        "{tie:?}"
    );
    let file = desk.machine.config().join("other.json");
    let text = fs::read_to_string(&file).expect("a profile");
    fs::write(
        &file,
        text.replace("https://b.example/", "https://a.example/"),
    )
    .expect("an edit");
    // A binding to another path of the server rewrites its list of URLs.
    let lists = desk.machine.config().join("urls");
    for list in fs::read_dir(&lists).expect("lists of URLs") {
        fs::write(list.expect("a list").path(), "damaged").expect("damage");
    }
    desk.run(&["bind", "other", "https://a.example/y"])
        .success();
    let ran = desk.tell(GIT, "protocol=https\nhost=a.example\n\n");
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "quit=1\n"), "{ran:?}");
    assert!(
        ran.stderr
            .contains("several profiles are bound to this URL: "),
        "{ran:?}"
    );
    assert!(get("other", "a.example").contains(&other));
    desk.run(&["unbind", "other", "https://a.example"])
        .success();
    // The longest path has precedence.
    desk.run(&["bind", "other", "https://a.example/api"])
        .success();
    let url = |path: &str| {
        desk.run(&["token", "--url", &format!("https://a.example{path}")])
            .token()
    };
    assert_eq!((url("/"), url("/api/x")), (prod, other));
}

/// How a protocol's request contains a URL.
type Ask = fn(&Desk, &str, &str, &str) -> Option<Ran>;

const PROTOCOLS: [(&str, Ask); 11] = [
    ("git", |desk, scheme, host, path| {
        let path = path.strip_prefix('/').map(|path| format!("path={path}\n"));
        let request = format!(
            "protocol={scheme}\nhost={host}\n{}\n",
            path.unwrap_or_default()
        );
        Some(desk.tell(GIT, &request))
    }),
    ("bazel", |desk, scheme, host, path| {
        let request = json!({ "uri": format!("{scheme}://{host}{path}") });
        Some(desk.tell(&["bazel-credential", "get"], &request.to_string()))
    }),
    ("docker", |desk, scheme, host, path| {
        Some(desk.tell(
            &["docker-credential", "get"],
            &format!("{scheme}://{host}{path}"),
        ))
    }),
    ("docker, bare", |desk, scheme, host, path| {
        (scheme == "https" && path.is_empty())
            .then(|| desk.tell(&["docker-credential", "get"], host))
    }),
    ("cargo", |desk, scheme, host, path| {
        let url = format!("sparse+{scheme}://{host}{path}");
        let request = json!({ "v": 1, "registry": { "index-url": url }, "kind": "get" });
        Some(desk.tell(&["--cargo-plugin"], &format!("{request}\n")))
    }),
    ("kubectl", |desk, scheme, host, path| {
        let info = json!({ "apiVersion": "client.authentication.k8s.io/v1",
            "spec": { "cluster": { "server": format!("{scheme}://{host}{path}") } } });
        let mut command = desk.machine.hallpass(&["kubectl-credential"]);
        command.env("KUBERNETES_EXEC_INFO", info.to_string());
        Some(crate::support::ran(command))
    }),
    ("go", |desk, scheme, host, path| {
        argument(desk, &["goauth"], &format!("{scheme}://{host}{path}"))
    }),
    ("terraform", |desk, scheme, host, path| {
        (scheme == "https" && path.is_empty())
            .then(|| argument(desk, &["terraform-credentials", "get"], host))
            .flatten()
    }),
    ("keyring", |desk, scheme, host, path| {
        argument(
            desk,
            &["keyring", "get"],
            &format!("{scheme}://{host}{path}"),
        )
    }),
    ("askpass", |desk, scheme, host, path| {
        let question = format!("Password for '{scheme}://me@{host}{path}': ");
        argument(desk, &["askpass"], &question)
    }),
    ("token --url", |desk, scheme, host, path| {
        argument(desk, &["token"], &format!("--url={scheme}://{host}{path}"))
    }),
];

/// No result for an argument with a NUL: no process can be started with one.
fn argument(desk: &Desk, before: &[&str], last: &str) -> Option<Ran> {
    (!last.contains('\0')).then(|| desk.run(&[before, &[last]].concat()))
}

/// Hosts that look like `a.example`, but are not.
const STRANGERS: [&str; 83] = [
    "",
    "@",
    ":",
    "/",
    ".",
    "..",
    "*",
    "*.example",
    "example",
    "a",
    "a.exampl",
    "a.examplee",
    "xa.example",
    "a.example.evil",
    "a.example.evil.example",
    "evil-a.example",
    "a-example",
    "sub.a.example",
    "aexample",
    "a..example",
    ".a.example",
    "a.example.",
    "a.example..",
    "user@a.example",
    "user:pass@a.example",
    "@a.example",
    "a.example@evil.example",
    "a.example:443@evil.example",
    "a.example%40evil.example",
    "evil.example#a.example",
    "evil.example?a.example",
    "evil.example/a.example",
    "evil.example\\a.example",
    "a.example\\@evil.example",
    "a.example\\.evil.example",
    "a.example#@evil.example",
    "a.example;evil.example",
    "a.example,evil.example",
    "a.example evil.example",
    " a.example",
    "a.example ",
    "a.example\t",
    "\ta.example",
    "a.example\r",
    "a.example\0",
    "a.example\0.evil.example",
    "a.example\u{b}",
    "a.example\u{85}",
    "a.example\u{2028}",
    "a.example\u{ad}",
    "a\u{200b}.example",
    "a%2eexample",
    "a.example%00",
    "a.example%2e",
    "%61.example",
    "a.example%2f",
    "a.example:",
    "a.example:80",
    "a.example:8443",
    "a.example:0443",
    "a.example:+443",
    "a.example:443:443",
    "a.example:65979",
    "a.example:-1",
    "a.example:4 43",
    "a.example:443a",
    "[a.example]",
    "[a.example",
    "a.example]",
    "a_example",
    "\u{ff41}.example",
    "\u{430}.example",
    "a\u{3002}example",
    "a\u{ff0e}example",
    "xn--a.example",
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "localhost",
    "0",
];

/// Schemes that are not https.
const SCHEMES: [&str; 14] = [
    "http", "HTTP", "ftp", "ssh", "git", "file", "ws", "wss", "smtp", "httpss", "", "https:",
    "https ", "xhttps",
];

/// Paths that are not below `/api`.
const PATHS: [&str; 27] = [
    "",
    "/",
    "/ap",
    "/apix",
    "/API",
    "/Api/",
    "//api",
    "//api/x",
    "/x/api",
    "/x/../api",
    "/./api",
    "/api/..",
    "/api/../x",
    "/api/./x",
    "/api/%2e%2e/x",
    "/api/%2E%2e",
    "/api%2f",
    "/api%2Fx",
    "/api/x%5c..",
    "/%61pi",
    "/api;x",
    "/api:x",
    "/api\\x",
    "/api%",
    "/api%zz",
    "/?/api",
    "/#/api",
];

#[test]
fn no_protocol_returns_a_token_for_a_url_that_is_not_bound() {
    let desk = Desk::bound_to(&["https://a.example", "https://b.example/api"]);
    let mut rows: Vec<(&str, &str, &str)> = Vec::new();
    for host in STRANGERS {
        rows.extend(["", "/", "/a.example"].map(|path| ("https", host, path)));
    }
    rows.extend(SCHEMES.map(|scheme| (scheme, "a.example", "")));
    rows.extend(PATHS.map(|path| ("https", "b.example", path)));
    rows.extend(PATHS.map(|path| ("https", "B.example:443", path)));
    assert!(rows.len() >= 300, "{}", rows.len());
    for (name, ask) in PROTOCOLS {
        for (scheme, host, path) in &rows {
            if let Some(ran) = ask(&desk, scheme, host, path) {
                let row = format!("{name}: {scheme}://{host}{path}: {ran:?}");
                assert!(!format!("{ran:?}").contains("token-"), "{row}");
                assert!((0..=6).contains(&ran.code), "{row}");
            }
        }
        // Those that are bound get theirs, however they are spelt.
        for (host, path) in [
            ("a.example", ""),
            ("A.Example", ""),
            ("a.example:443", ""),
            ("a.example", "/x"),
        ] {
            if let Some(ran) = ask(&desk, "https", host, path) {
                assert!(
                    ran.success().stdout.contains("token-"),
                    "{name}: {host}{path}"
                );
            }
        }
        if let Some(ran) = ask(&desk, "https", "b.example", "/api/x") {
            assert!(ran.success().stdout.contains("token-"), "{name}");
        }
    }
    // Lines that git would never write.
    for request in [
        "protocol=https\n\n",
        "host=a.example\n\n",
        "protocol=https\nhost=\n\n",
        "protocol=https\nhost=evil.example\nhost=a.example\n\n",
        "protocol=https\nhost=a.example\nhost=evil.example\n\n",
        "protocol=http\nprotocol=https\nhost=a.example\n\n",
        "protocol=https\r\nhost=a.example\r\n\r\n",
        "protocol=https\nhost=a.example\r\n\n",
        "protocol=https\nhost=evil.example\r\nhost=a.example\n\n",
        "protocol=https\nhost=evil.example\0\nhost=a.example\n\n",
        "protocol=https\nhost=a.example\nwhat\n\n",
        "protocol=https\nhost=a.example/../b\n\n",
        "protocol=https\nhost=a.example\npath=../../x\n\n",
        "protocol=https://a.example/\nhost=evil.example\n\n",
        "\nprotocol=https\nhost=a.example\n\n",
    ] {
        let ran = desk.tell(GIT, request);
        assert!(!ran.stdout.contains("token-"), "{request:?}: {ran:?}");
    }
    let endless = format!(
        "protocol=https\nhost=a.example\nx={}\n\n",
        "x".repeat(100_000)
    );
    assert_eq!(desk.tell(GIT, &endless).stdout, "");
    // The login's, and one for each of Go's five calls after a 401 that got a token.
    assert_eq!(desk.server.requests().len(), 1 + 5);
}
