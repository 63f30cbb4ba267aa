//! Clients without a secret: they present an identity token that another party issued.

mod once;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::crowd::Crowd;
use crate::machine::{CLIENT_ID, Machine, Ran, numbered_tokens};
use crate::real_servers::{found, python};
use crate::server::{Reply, Request, Server};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";
const GRANT_JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const GRANT_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What GitHub's runner gives to a job.
const REQUEST_TOKEN: &str = "the-token-of-this-job";

/// A JWT as an issuer makes it; nothing here checks its signature.
pub(crate) fn jwt(subject: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = format!(
        r#"{{"iss":"https://issuer.example","sub":"{subject}","aud":"https://as.example","iat":1700000000,"exp":4000000000}}"#
    );
    let header = encode(r#"{"alg":"RS256","kid":"k"}"#);
    let signature: Vec<u8> = (0..64_u8)
        .map(|byte| byte.wrapping_mul(151) ^ 0xa5)
        .collect();
    let signature = URL_SAFE_NO_PAD.encode(signature);
    format!("{header}.{}.{signature}", encode(&claims))
}

fn client_assertion(request: &Request) -> String {
    let form = request.form();
    let found = form
        .into_iter()
        .find(|(name, _)| name == "client_assertion");
    found.expect("an assertion").1
}

/// A machine with an identity in each source, and the server that GitHub would be.
pub(crate) struct Workload {
    pub(crate) machine: Machine,
    file: PathBuf,
    pub(crate) github: Server,
}

impl Workload {
    pub(crate) fn new() -> Self {
        let github = Server::start(|request| {
            let authorization = format!("Bearer {REQUEST_TOKEN}");
            let is_right = request.header("authorization") == Some(&authorization)
                && request.target == "/idtoken?api-version=2.0&audience=api%3A%2F%2Fexchange";
            if is_right {
                Reply::json(200, format!(r#"{{"count":1,"value":"{}"}}"#, jwt("github")))
            } else {
                Reply::new(401)
            }
        });
        let mut machine = Machine::new();
        let file = machine.root().join("identity token");
        fs::write(&file, jwt("file") + "\n").expect("a file");
        machine.set("ID_TOKEN", &jwt("env"));
        machine.set(
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            &github.url("/idtoken?api-version=2.0"),
        );
        machine.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN);
        Self {
            machine,
            file,
            github,
        }
    }

    /// Each source as it is given, and the subject of its tokens.
    fn sources(&self) -> [(String, &'static str); 5] {
        let file = self.file.to_str().expect("UTF-8");
        [
            (format!("file:{file}"), "file"),
            ("env:ID_TOKEN".to_owned(), "env"),
            (format!("command:cat '{file}'"), "file"),
            (format!("command:!cat < '{file}' | tr -d '\\n'"), "file"),
            ("github:api://exchange".to_owned(), "github"),
        ]
    }

    pub(crate) fn login(&self, server: &Server, source: &str, more: &[&str]) -> Ran {
        let url = server.url("/token");
        let mut arguments = vec!["login", "p", "--replace", "--token-url", &url];
        arguments.extend(["--identity", source]);
        arguments.extend(more);
        self.machine.run(&arguments)
    }
}

#[test]
fn an_identity_from_every_source_is_sent_in_every_role() {
    // The options, the other parameters, and the parameter that has the token.
    type Role = (
        &'static [&'static str],
        &'static [(&'static str, &'static str)],
        &'static str,
    );
    let roles: [Role; 5] = [
        (
            &["--client-id", CLIENT_ID],
            &[
                ("grant_type", "client_credentials"),
                ("client_id", CLIENT_ID),
                ("client_assertion_type", JWT_BEARER),
            ],
            "client_assertion",
        ),
        (
            &["--client-id", CLIENT_ID, "--assertion-type", "jwt-spiffe"],
            &[
                ("grant_type", "client_credentials"),
                ("client_id", CLIENT_ID),
                ("client_assertion_type", JWT_SPIFFE),
            ],
            "client_assertion",
        ),
        (
            &["--identity-as", "assertion"],
            &[("grant_type", GRANT_JWT_BEARER)],
            "assertion",
        ),
        (
            &["--identity-as", "subject_token", "--client-id", CLIENT_ID],
            &[
                ("grant_type", GRANT_EXCHANGE),
                ("client_id", CLIENT_ID),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ],
            "subject_token",
        ),
        (
            &[
                "--identity-as",
                "subject_token",
                "--subject-token-type",
                "id_token",
            ],
            &[
                ("grant_type", GRANT_EXCHANGE),
                (
                    "subject_token_type",
                    "urn:ietf:params:oauth:token-type:id_token",
                ),
            ],
            "subject_token",
        ),
    ];
    let workload = Workload::new();
    for (source, subject) in workload.sources() {
        for (options, expected, parameter) in roles {
            let server = Server::start(numbered_tokens());
            workload.login(&server, &source, options).success();
            assert_eq!(workload.machine.run(&["token"]).token(), "token-1");
            assert_eq!(
                workload.machine.run(&["token", "--refresh"]).token(),
                "token-2"
            );
            let requests = server.requests();
            assert_eq!(requests.len(), 2, "{source}: a login and a refresh");
            for request in requests {
                assert_eq!(request.header("authorization"), None);
                let mut form = request.form();
                form.sort();
                let token = jwt(subject);
                let mut expected: Vec<_> = expected
                    .iter()
                    .chain([&(parameter, token.as_str())])
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect();
                expected.sort();
                assert_eq!(form, expected, "{source} {options:?}");
            }
        }
    }
}

#[test]
fn a_token_may_be_exchanged_by_a_client_with_a_secret() {
    let workload = Workload::new();
    let server = Server::start(numbered_tokens());
    let secret = workload.machine.private_file("secret", b"s3cret");
    let secret = secret.to_str().expect("UTF-8");
    let more = [
        "--identity-as",
        "subject_token",
        "--client-id",
        "c",
        "--secret-file",
        secret,
    ];
    workload.login(&server, "env:ID_TOKEN", &more).success();
    let requests = server.requests();
    assert_eq!(
        requests[0].basic_credentials(),
        Some(("c".to_owned(), "s3cret".to_owned()))
    );
    let names: Vec<_> = requests[0]
        .form()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["grant_type", "subject_token_type", "subject_token"]);
}

#[test]
fn an_identity_is_read_for_each_request_and_never_for_a_cached_token() {
    let workload = Workload::new();
    let server = Server::start(numbered_tokens());
    let count = workload.machine.root().join("count");
    let file = workload.file.display();
    let source = format!("command:!echo x >> {}; cat '{file}'", count.display());
    workload
        .login(&server, &source, &["--client-id", "c"])
        .success();
    for _ in 0..5 {
        assert_eq!(workload.machine.run(&["token"]).token(), "token-1");
    }
    assert_eq!(fs::read_to_string(&count).expect("a file"), "x\n");
    workload.machine.run(&["token", "--refresh"]).token();
    assert_eq!(fs::read_to_string(&count).expect("a file"), "x\nx\n");
}

#[test]
fn a_token_of_one_job_is_never_given_to_another() {
    let server = Server::start(|request: &Request| {
        let assertion = client_assertion(request);
        let claims = assertion.split('.').nth(1).expect("claims");
        let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        Reply::token(
            &format!("for-{}", claims["sub"].as_str().expect("a subject")),
            3600,
        )
    });
    let github = Server::start(|request| {
        let job = request
            .header("authorization")
            .expect("a token")
            .replace("Bearer ", "");
        Reply::json(200, format!(r#"{{"value":"{}"}}"#, jwt(&job)))
    });
    let mut machine = Machine::new();
    let file = machine.root().join("identity");
    let file_source = format!("file:{}", file.display());
    let command_source = format!("command:cat {}", file.display());
    machine.set("HALLPASS_TOKEN_URL", &server.url("/token"));
    machine.set("HALLPASS_CLIENT_ID", "c");
    machine.set("ACTIONS_ID_TOKEN_REQUEST_URL", &github.url("/id"));
    // 200 calls.
    for round in 0..25 {
        for source in ["env:ID_TOKEN", "github:aud", &file_source, &command_source] {
            for job in ["job-a", "job-b"] {
                machine.set("HALLPASS_IDENTITY", source);
                machine.set("ID_TOKEN", &jwt(job));
                machine.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", job);
                machine.set("CI_JOB_ID", job);
                fs::write(&file, jwt(job)).expect("a file");
                let token = machine.run(&["token"]).token();
                assert_eq!(token, format!("for-{job}"), "{source}, round {round}");
            }
        }
    }
}

#[test]
fn cold_callers_read_one_identity_and_make_one_request() {
    let workload = Workload::new();
    let server = Server::start(numbered_tokens());
    let count = workload.machine.root().join("count");
    let file = workload.file.display();
    let source = format!("command:!echo x >> {}; cat '{file}'", count.display());
    let more = ["--client-id", "c", "--no-verify"];
    workload.login(&server, &source, &more).success();
    let tokens = Crowd::start(&workload.machine, 500, &["token"]).tokens();
    assert_eq!(tokens, ["token-1".to_owned()].into());
    assert_eq!(fs::read_to_string(&count).expect("a file"), "x\n");
    assert_eq!(server.requests().len(), 1);
}

/// Looks for an identity token in files and their names, in many encodings, with a program that is not hallpass's.
/// Returns each file that has it, and how.
fn traces(arguments: &[&Path], token: &str) -> Value {
    let mut command = python("find_traces.py");
    command.args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = found(command.spawn(), "python", "python3 and python3-venv");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(token.as_bytes()).expect("a reader");
    drop(input);
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn the_search_finds_an_identity_token_in_every_encoding() {
    let directory = TempDir::with_prefix("hallpass-traces-").expect("a directory");
    let token = jwt("file");
    let planted = traces(&[Path::new("--plant"), directory.path()], &token);
    let planted = planted.as_u64().expect("a number");
    assert!(planted > 40, "{planted}");
    let traces = traces(&[directory.path()], &token);
    let traces = traces.as_array().expect("a list").iter();
    let files: BTreeSet<_> = traces.map(|trace| trace[0].as_str()).collect();
    assert_eq!(files.len() as u64, planted);
}

#[test]
fn no_identity_token_is_stored_or_shown() {
    let mut workload = Workload::new();
    let server = Server::start(|request| match request.target.as_str() {
        // A server that repeats what it was sent.
        "/token" if request.text().contains("echo") => Reply::json(
            400,
            format!(
                r#"{{"error":"invalid_grant","error_description":"not {}"}}"#,
                client_assertion(request)
            ),
        ),
        _ => Reply::token("t", 3600),
    });
    let temporary = workload.machine.root().join("temporary");
    fs::create_dir(&temporary).expect("a directory");
    let temporary_directory = temporary.to_str().expect("UTF-8");
    workload.machine.set("TMPDIR", temporary_directory);
    for (source, subject) in workload.sources() {
        let mut printed = Vec::new();
        let mut keep = |ran: Ran| printed.extend([ran.stdout, ran.stderr]);
        let client = ["--client-id", "c"];
        keep(workload.login(&server, &source, &client).success());
        let refused = [&client[..], &["--scope", "echo"]].concat();
        keep(workload.login(&server, &source, &refused).failure(4));
        let run = |arguments: &[&str]| workload.machine.run(arguments);
        keep(run(&["token", "--refresh", "-v"]).success());
        keep(run(&["token", "--scope", "echo", "-v"]).failure(4));
        keep(run(&["status", "p"]).success());
        keep(run(&["doctor", "p"]));
        keep(run(&["status", "--json"]).success());
        let home = workload.machine.home();
        // What is searched has an entry, a failure and the settings of the profile.
        let files = workload.machine.files();
        assert!(files.len() >= 3, "{files:?}");
        let token = jwt(subject);
        assert_eq!(traces(&[&home, &temporary], &token), json!([]), "{source}");
        keep(run(&["logout", "p"]).success());
        fs::write(temporary.join("printed"), printed.concat()).expect("a file");
        assert_eq!(traces(&[&home, &temporary], &token), json!([]), "{source}");
    }
}

#[test]
fn the_environment_describes_a_client_with_an_identity() {
    let mut workload = Workload::new();
    let server = Server::start(numbered_tokens());
    let machine = &mut workload.machine;
    machine.set("HALLPASS_TOKEN_URL", &server.url("/token"));
    machine.set("HALLPASS_IDENTITY", "github:api://exchange");
    machine.set("HALLPASS_CLIENT_ID", CLIENT_ID);
    machine.set("HALLPASS_SCOPE", "USER");
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    machine.set("HALLPASS_IDENTITY_AS", "subject_token");
    machine.set("HALLPASS_SUBJECT_TOKEN_TYPE", "id_token");
    assert_eq!(machine.run(&["token"]).token(), "token-2");
    machine.set("HALLPASS_IDENTITY_AS", "client_assertion");
    machine.set("HALLPASS_ASSERTION_TYPE", "jwt-spiffe");
    let ran = machine.run(&["token"]).failure(2);
    assert!(
        ran.stderr
            .contains("HALLPASS_SUBJECT_TOKEN_TYPE has no effect"),
        "{ran:?}"
    );
    machine.set("HALLPASS_SUBJECT_TOKEN_TYPE", "");
    assert_eq!(machine.run(&["token"]).token(), "token-3");
    let forms: Vec<_> = server.requests().iter().map(Request::form).collect();
    let value = |index: usize, name: &str| {
        let form: &Vec<(String, String)> = &forms[index];
        form.iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    assert_eq!(value(0, "client_assertion"), Some(jwt("github")));
    assert_eq!(value(0, "scope").as_deref(), Some("USER"));
    assert_eq!(value(1, "subject_token"), Some(jwt("github")));
    assert_eq!(
        value(2, "client_assertion_type").as_deref(),
        Some(JWT_SPIFFE)
    );
    assert_eq!(workload.github.requests().len(), 3);
}

#[test]
fn a_missing_identity_gives_the_fitting_hint() {
    let mut workload = Workload::new();
    let server = Server::start(numbered_tokens());
    let root = workload.machine.root().to_owned();
    fs::write(root.join("empty"), "").expect("a file");
    fs::write(root.join("text"), "no JWT\n").expect("a file");
    let at = |name: &str| format!("file:{}", root.join(name).display());
    workload.machine.set("EMPTY", "");
    for (source, code, message, hint) in [
        (at("missing"), 3, "missing does not exist", "check the path"),
        (
            at("empty"),
            6,
            "empty has no JWT",
            "an identity token is a JWT",
        ),
        (
            at("text"),
            6,
            "text has no JWT",
            "an identity token is a JWT",
        ),
        (
            "env:EMPTY".to_owned(),
            3,
            "EMPTY is not set",
            "set it for the process",
        ),
        (
            "command:false".to_owned(),
            6,
            "`false` failed",
            "run it by hand",
        ),
        (
            "command:echo x".to_owned(),
            6,
            "has no JWT",
            "an identity token is a JWT",
        ),
        (
            "github:other".to_owned(),
            4,
            "answered 401",
            "permissions: id-token: write",
        ),
        ("github:".to_owned(), 2, "needs the audience", "--help"),
        ("nonsense".to_owned(), 2, "use file:PATH", "--help"),
    ] {
        let ran = workload
            .login(&server, &source, &["--client-id", "c"])
            .failure(code);
        assert!(ran.stderr.contains(message), "{source}: {ran:?}");
        assert!(ran.stderr.contains(hint), "{source}: {ran:?}");
    }
    workload.machine.set("ACTIONS_ID_TOKEN_REQUEST_URL", "");
    let ran = workload
        .login(&server, "github:api://exchange", &["--client-id", "c"])
        .failure(2);
    assert!(
        ran.stderr
            .contains("ACTIONS_ID_TOKEN_REQUEST_URL is not set"),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("permissions: id-token: write"),
        "{ran:?}"
    );
    assert!(server.requests().is_empty());
}

#[test]
fn a_refusal_shows_the_claims_that_the_server_compares() {
    let workload = Workload::new();
    let server = Server::start(|_| {
        Reply::json(
            401,
            r#"{"error":"invalid_client","error_description":"no matching credential"}"#,
        )
    });
    let ran = workload
        .login(&server, "env:ID_TOKEN", &["--client-id", "c"])
        .failure(4);
    for text in [
        "no matching credential",
        "iss https://issuer.example",
        "sub env",
        "aud https://as.example",
    ] {
        assert!(ran.stderr.contains(text), "{text}: {ran:?}");
    }
    assert!(!ran.stderr.contains(&jwt("env")), "{ran:?}");
}

#[test]
fn github_is_called_over_tls_or_on_this_machine_only() {
    let mut workload = Workload::new();
    let server = Server::start(numbered_tokens());
    workload
        .machine
        .set("ACTIONS_ID_TOKEN_REQUEST_URL", "http://github.example/id");
    let ran = workload
        .login(&server, "github:a", &["--client-id", "c"])
        .failure(2);
    assert!(
        ran.stderr.contains("ACTIONS_ID_TOKEN_REQUEST_URL"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("https"), "{ran:?}");
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_write_is_refused_and_one_that_they_can_read_is_not() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let workload = Workload::new();
    let server = Server::start(numbered_tokens());
    let mode = |mode| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(&workload.file, permissions).expect("a mode");
    };
    // Kubernetes projects a token as a link to a file of mode 0644.
    mode(0o644);
    let link = workload.machine.root().join("link");
    symlink(&workload.file, &link).expect("a link");
    let source = format!("file:{}", link.display());
    workload
        .login(&server, &source, &["--client-id", "c"])
        .success();
    mode(0o666);
    let ran = workload
        .login(&server, &source, &["--client-id", "c"])
        .failure(6);
    assert!(
        ran.stderr.contains("can be written by other users"),
        "{ran:?}"
    );
}

#[test]
fn a_rotated_file_is_read_again_by_the_next_request() {
    let workload = Workload::new();
    let server = Server::start(numbered_tokens());
    let source = format!("file:{}", workload.file.display());
    workload
        .login(&server, &source, &["--client-id", "c"])
        .success();
    let new = workload.machine.root().join("new");
    fs::write(&new, jwt("rotated")).expect("a file");
    fs::rename(&new, &workload.file).expect("the new file");
    workload.machine.run(&["token", "--refresh"]).token();
    let last = server.requests().pop().expect("a request");
    assert!(last.text().contains(&jwt("rotated")), "{}", last.text());
}

#[test]
fn an_identity_is_not_accepted_as_a_parameter() {
    let workload = Workload::new();
    let server = Server::start(numbered_tokens());
    for name in ["assertion", "subject_token"] {
        let parameter = format!("{name}={}", jwt("x"));
        let ran = workload
            .login(
                &server,
                "env:ID_TOKEN",
                &["--client-id", "c", "--param", &parameter],
            )
            .failure(2);
        assert!(ran.stderr.contains("--identity"), "{ran:?}");
    }
}
