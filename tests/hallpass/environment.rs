//! A profile that the environment describes, for one call: nothing to log in to, nothing kept but the token.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::machine::{CLIENT_ID, HALLPASS, Machine, SECRET, finish, numbered_tokens};
use crate::material::{Form, Material, PASSPHRASE};
use crate::requests::assertion;
use crate::server::Server;
use crate::support::{is_root, ran, run_by};

fn machine(server: &Server) -> Machine {
    let mut machine = Machine::new();
    machine.set("HALLPASS_TOKEN_URL", &server.url("/oauth/token"));
    machine.set("HALLPASS_CLIENT_ID", CLIENT_ID);
    machine.set("HALLPASS_CLIENT_SECRET", SECRET);
    machine
}

#[test]
fn a_token_is_requested_once_and_cached_like_any_other() {
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
    machine.run(&["logout", "--all", "--yes"]).success();
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
fn what_is_missing_or_wrong_is_named() {
    let server = Server::start(numbered_tokens());
    for (name, value, code, message) in [
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
            "HALLPASS_TOKEN_URL must use https",
        ),
        (
            "HALLPASS_BODY",
            "xml",
            2,
            "HALLPASS_BODY is not one of form, json",
        ),
        (
            "HALLPASS_AUTH",
            "client_secret",
            2,
            "HALLPASS_AUTH is not one of client_secret_basic, client_secret_post",
        ),
        (
            "HALLPASS_FOR",
            "ftp://a",
            2,
            "HALLPASS_FOR must start with https://",
        ),
        (
            "HALLPASS_SCOPE",
            "a\tb",
            2,
            "HALLPASS_SCOPE contains a control character",
        ),
        (
            "HALLPASS_PROFILE",
            "prod",
            2,
            "HALLPASS_PROFILE and HALLPASS_TOKEN_URL are both set",
        ),
    ] {
        let mut machine = machine(&server);
        machine.set(name, value);
        let ran = machine.run(&["token"]).failure(code);
        assert!(ran.stderr.contains(message), "{name}: {ran:?}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_variable_that_has_no_effect_or_no_meaning_is_refused() {
    let server = Server::start(numbered_tokens());
    for (name, value, message) in [
        ("HALLPASS_AUTH", "private_key_jwt", "the private key in"),
        (
            "HALLPASS_AUTH",
            "tls_client_auth",
            "needs HALLPASS_CERT and HALLPASS_KEY",
        ),
        ("HALLPASS_CERT", "c.pem", "HALLPASS_KEY is not"),
        ("HALLPASS_KEY", "c.pem", "HALLPASS_CERT is not"),
        (
            "HALLPASS_JWT_ALG",
            "RS256",
            "HALLPASS_JWT_ALG has no effect",
        ),
        (
            "HALLPASS_JWT_CLAIM",
            "a=b",
            "HALLPASS_JWT_CLAIM has no effect",
        ),
        (
            "HALLPASS_BASIC_ENCODING",
            "utf8",
            "is not one of percent, raw",
        ),
        (
            "HALLPASS_RESOURCE",
            "urn:a b",
            "HALLPASS_RESOURCE is not an absolute URI",
        ),
        (
            "HALLPASS_PARAM",
            "client_secret=x",
            "HALLPASS_PARAM cannot set `client_secret`",
        ),
        ("HALLPASS_PARAM", "x", "HALLPASS_PARAM is not NAME=VALUE"),
        ("HALLPASS_HEADER", "host=x", "the header host cannot be set"),
        ("HALLPASS_TIMEOUT", "0", "HALLPASS_TIMEOUT is not"),
        ("HALLPASS_MAX_TTL", "long", "HALLPASS_MAX_TTL is not"),
    ] {
        let mut machine = machine(&server);
        machine.set(name, value);
        let ran = machine.run(&["token"]).failure(2);
        assert!(ran.stderr.contains(message), "{name}: {ran:?}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_named_profile_has_precedence_over_the_environment() {
    let server = Server::start(numbered_tokens());
    let machine = machine(&server);
    machine.login("prod", &server, &[]);
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-1");
    let ran = machine
        .run_with_input(&["token", "prod", "--secret-stdin"], b"x")
        .failure(2);
    assert!(
        ran.stderr.contains("works only with HALLPASS_TOKEN_URL"),
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
        assert_eq!(finish(child).token(), "token-1");
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_helper_returns_tokens_for_the_urls_in_the_environment() {
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
fn the_environment_sets_the_header_of_the_token() {
    let server = Server::start(numbered_tokens());
    let mut machine = machine(&server);
    machine.set("HALLPASS_TOKEN_HEADER", "X-Access-Token");
    let header = ["token", "--format", "header"];
    let ran = machine.run(&header).failure(2);
    assert!(ran.stderr.contains("HALLPASS_FOR is not"), "{ran:?}");
    machine.set("HALLPASS_FOR", "https://a.example/ https://b.example/api");
    let of_url = [&header[..], &["--url", "https://b.example/api/x"]].concat();
    for words in [&header[..], &of_url] {
        assert_eq!(machine.run(words).output(), "X-Access-Token: token-1\n");
    }
    machine.set("HALLPASS_TOKEN_HEADER", "Cookie");
    let ran = machine.run(&header).failure(2);
    assert!(ran.stderr.contains("HALLPASS_TOKEN_HEADER"), "{ran:?}");
    assert_eq!(server.requests().len(), 1);
}

/// The user who sets these variables chooses the file and where it is sent, as with other programs: so a
/// file with more than a secret is not sent, nor is the secret of a stored profile.
#[test]
fn variables_of_a_hostile_project_lead_to_no_stored_secret_and_no_larger_file() {
    let server = Server::start(numbered_tokens());
    let attacker = Server::start(numbered_tokens());
    let mut machine = Machine::new().with_plain_cache();
    machine.login("p", &server, &["--for", "https://git.example/"]);
    let files = [
        machine.private_file("id_key", b"-----BEGIN KEY-----\nabc\n-----END KEY-----\n"),
        machine.private_file("netrc", b"machine a.example\nlogin me password hidden\n"),
        machine.private_file("credentials.json", b"{\n  \"token\": \"hidden\"\n}\n"),
        // A token of a stored profile.
        machine.entries("p").remove(0),
    ];
    machine.set("HALLPASS_TOKEN_URL", &attacker.url("/token"));
    machine.set("HALLPASS_CLIENT_ID", "c");
    for file in &files {
        let mut machine = machine.hallpass(&["token"]);
        machine.env("HALLPASS_CLIENT_SECRET_FILE", file);
        let ran = ran(machine).failure(6);
        assert!(ran.stderr.contains("has more than one line"), "{ran:?}");
        assert!(!ran.stderr.contains("hidden"), "{ran:?}");
    }
    // The stored profile is asked at its own server, in every way that leads to it.
    machine.set("HALLPASS_CLIENT_SECRET", "the attacker's own");
    machine.run(&["token", "p", "--refresh"]).success();
    let url = ["token", "--refresh", "--url", "https://git.example/"];
    machine.run(&url).success();
    machine.run(&["exec", "-e", "A=p", "--", "true"]).success();
    let request = "protocol=https\nhost=git.example\n\n";
    let ran = machine.run_with_input(&["git-credential", "get"], request.as_bytes());
    assert!(ran.success().stdout.contains("password=token-3\n"));
    assert_eq!(attacker.bytes_received(), 0);
    // Even with its own variables, the attacker gets no more than it set.
    machine.run(&["token"]).success();
    assert_eq!(attacker.requests().len(), 1);
    assert!(!attacker.requests()[0].text().contains(SECRET));
}

#[test]
fn a_misspelled_variable_is_reported_after_a_request_and_never_with_a_cached_token() {
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    machine.login("p", &server, &["--for", "https://git.example/"]);
    machine.set("HALLPASS_SCOP", "secret-value");
    let warning = "hallpass: warning: HALLPASS_SCOP is set, but hallpass does not read it: did you mean HALLPASS_SCOPE?\n";
    let exec = ["exec", "-e", "A", "-e", "B", "--", "true"];
    for (arguments, is_warned) in [
        (&["token", "p"][..], false),
        (&["token", "p", "--refresh"], true),
        (&["token", "p", "--scope", "USER"], true),
        (&["token", "p", "--scope", "USER"], false),
        (&exec, false),
    ] {
        let ran = machine.run(arguments).success();
        let message = if is_warned { warning } else { "" };
        assert_eq!(ran.stderr, message, "{arguments:?}");
    }
    // One line, for however many tokens; and none from a helper, some clients read its standard error.
    let forget = |machine: &Machine| {
        for entry in machine.entries("p") {
            std::fs::remove_file(entry).expect("a cached token");
        }
    };
    forget(&machine);
    assert_eq!(machine.run(&exec).success().stderr, warning);
    forget(&machine);
    let requests = server.requests().len();
    let request = "protocol=https\nhost=git.example\n\n";
    let ran = machine.run_with_input(&["git-credential", "get"], request.as_bytes());
    assert_eq!(ran.success().stderr, "");
    assert_eq!(server.requests().len(), requests + 1);
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

#[test]
fn a_private_key_is_taken_from_its_file_or_from_the_secret() {
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    let p256 = material.argument("p256.pem");
    let encrypted = material.argument(&material.convert("p256", Form::Encrypted(&[])));
    let rsa = material.argument("rsa.pem");
    let pem = std::fs::read_to_string(&p256).expect("a key");
    let rows: [(&[(&str, &str)], &str); 4] = [
        (&[("HALLPASS_JWT_KEY", &p256)], "ES256"),
        (
            &[
                ("HALLPASS_JWT_KEY", &encrypted),
                ("HALLPASS_CLIENT_SECRET", PASSPHRASE),
            ],
            "ES256",
        ),
        (
            &[("HALLPASS_JWT_KEY", &rsa), ("HALLPASS_JWT_ALG", "PS384")],
            "PS384",
        ),
        (
            &[
                ("HALLPASS_AUTH", "private_key_jwt"),
                ("HALLPASS_CLIENT_SECRET", &pem),
            ],
            "ES256",
        ),
    ];
    for (variables, expected) in rows {
        let mut machine = machine(&server);
        machine.set("HALLPASS_CLIENT_SECRET", "");
        machine.set("HALLPASS_JWT_KID", "key-1");
        machine.set("HALLPASS_JWT_AUD", "https://issuer.example/");
        machine.set("HALLPASS_JWT_TYP", "JWT");
        machine.set("HALLPASS_JWT_CLAIM", "tenant_id=t 1\nscope=a=b\n");
        for (name, value) in variables {
            machine.set(name, value);
        }
        let token = machine.run(&["token"]).token();
        assert_eq!(machine.run(&["token"]).token(), token);
        let (claims, header) = assertion(&server.requests().pop().expect("a request"));
        assert_eq!(header["alg"], expected);
        assert_eq!(
            (&header["kid"], &header["typ"]),
            (&"key-1".into(), &"JWT".into())
        );
        assert_eq!(claims["aud"], "https://issuer.example/");
        assert_eq!(claims["tenant_id"], "t 1");
        assert_eq!(claims["scope"], "a=b");
        machine.set("HALLPASS_JWT_CLAIM", "tenant_id=t2");
        assert_ne!(machine.run(&["token"]).token(), token, "another request");
    }
    let mut machine = machine(&server);
    machine.set("HALLPASS_CLIENT_SECRET", "");
    for (key, code, hint) in [
        (rsa.as_str(), 2, "HALLPASS_JWT_ALG"),
        (&encrypted, 6, "HALLPASS_CLIENT_SECRET"),
        ("no-such-file", 3, ""),
    ] {
        machine.set("HALLPASS_JWT_KEY", key);
        let ran = machine.run(&["token"]).failure(code);
        assert!(ran.stderr.contains(hint), "{ran:?}");
        assert!(!ran.stderr.contains("run `hallpass login"), "{ran:?}");
    }
}

#[test]
fn everything_that_a_login_takes_has_a_variable() {
    let server = Server::start(numbered_tokens());
    let mut machine = machine(&server);
    for (name, value) in [
        ("HALLPASS_BASIC_ENCODING", "raw"),
        ("HALLPASS_GRANT_TYPE", "account_credentials"),
        ("HALLPASS_PARAM", "account_id=7\n\nnote=a b=c\n"),
        ("HALLPASS_HEADER", "x-api-key=k-1\nX-Request-Id={uuid}"),
        ("HALLPASS_TIMEOUT", "20s"),
        ("HALLPASS_MAX_TTL", "2h"),
        ("HALLPASS_DEFAULT_TTL", "10m"),
    ] {
        machine.set(name, value);
    }
    let ran = machine.run(&["token", "--json"]).success();
    assert_eq!(ran.stderr, "");
    let request = server.requests().pop().expect("a request");
    let sent = "grant_type=account_credentials&account_id=7&note=a%20b%3Dc";
    assert_eq!(request.text(), sent);
    assert_eq!(request.header("x-api-key"), Some("k-1"));
    assert_eq!(request.header("x-request-id").map(str::len), Some(36));
    let ran = machine.run(&["status"]).success();
    assert!(!ran.stdout.contains("k-1"), "{ran:?}");
    machine.set("HALLPASS_HEADER", "x-api-key=k-2");
    machine.run(&["token"]).success();
    assert_eq!(server.requests().len(), 2, "another header, another token");
}

#[test]
fn no_home_directory_is_needed() {
    let server = Server::start(numbered_tokens());
    let machine = machine(&server);
    // A user that has neither a home directory nor an entry in the list of users.
    let run = |arguments: &[&str], input: &str| {
        // By its descriptor: the directories on the way to the program may be closed to others.
        const SHELL: &str = "exec 3<&0; printf %s \"$1\" | { shift 2; /proc/self/fd/3 \"$@\"; }";
        let mut shell = Command::new("sh");
        shell.args(["-c", SHELL, "sh", input]);
        let mut command = run_by(shell, &machine.hallpass(arguments));
        command.env("HALLPASS_FOR", "https://a.example/");
        command.env_remove("HOME");
        if is_root() {
            use std::os::unix::process::CommandExt as _;
            command.uid(54_321).gid(54_321);
        } else {
            command.env("HOME", "relative");
        }
        command
            .stdin(File::open(&*HALLPASS).expect("hallpass"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        finish(command.spawn().expect("a shell"))
    };
    let ran = run(&["token"], "").success();
    assert_eq!(ran.stdout, "token-1\n");
    assert!(
        ran.stderr.contains("the home directory is unknown"),
        "{ran:?}"
    );
    let ran = run(&["exec", "--", "sh", "-c", "echo $HALLPASS_TOKEN"], "").success();
    assert_eq!(ran.stdout, "token-2\n");
    let ran = run(
        &["git-credential", "get"],
        "protocol=https\nhost=a.example\n\n",
    )
    .success();
    assert!(ran.stdout.contains("password=token-3\n"), "{ran:?}");
    let ran = run(&["status"], "").success();
    assert!(ran.stdout.contains("environment"), "{ran:?}");
}
