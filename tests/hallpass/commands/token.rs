//! `hallpass token`: the profile that it uses, its output and its durations.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{COMMANDS, fails, is_moment, members, names, settings};
use crate::machine::{Machine, SECRET, numbered_tokens};
use crate::real_servers::assert_fits_schema;
use crate::server::{Gate, Reply, Request, Server};

#[test]
fn the_profile_is_the_one_that_was_named_else_the_only_one() {
    let mut machine = Machine::new();
    let server = Server::start(|request: &Request| {
        let audience = request
            .form()
            .into_iter()
            .find(|(name, _)| name == "audience");
        Reply::token(&audience.expect("an audience").1, 3600)
    });
    let ran = fails(machine.run(&["token"]), 3);
    assert!(ran.stderr.contains("no profiles yet"), "{ran:?}");
    assert!(ran.stderr.contains("hint: run `hallpass login`"), "{ran:?}");
    fails(machine.run(&["logout"]), 3);

    machine.login("one", &server, &["--audience", "for-one"]);
    assert_eq!(machine.run(&["token"]).token(), "for-one");
    machine.set("HALLPASS_PROFILE", "");
    assert_eq!(
        machine.run(&["token"]).token(),
        "for-one",
        "an empty variable is none"
    );
    let ran = fails(machine.run(&["token", "two"]), 3);
    assert!(ran.stderr.contains("no profile named two"), "{ran:?}");
    assert!(ran.stderr.contains("existing profiles: one"), "{ran:?}");

    machine.login("two", &server, &["--audience", "for-two"]);
    for arguments in [&["token"][..], &["token", "--refresh"], &["logout"]] {
        let ran = fails(machine.run(arguments), 2);
        assert!(
            ran.stderr
                .contains("more than one profile exists: one, two"),
            "{ran:?}"
        );
        assert!(ran.stderr.contains("HALLPASS_PROFILE"), "{ran:?}");
    }
    assert_eq!(machine.run(&["token", "one"]).token(), "for-one");
    machine.set("HALLPASS_PROFILE", "two");
    assert_eq!(machine.run(&["token"]).token(), "for-two");
    assert_eq!(
        machine.run(&["token", "one"]).token(),
        "for-one",
        "the argument wins"
    );
    let status = machine.run(&["status"]).success().stdout;
    assert!(status.starts_with("two\n"), "{status}");
    assert!(!status.contains("for-one"), "{status}");
    machine.run(&["logout"]).success();
    assert_eq!(names(&machine), ["one"]);
    fails(machine.run(&["token"]), 3);
    machine.set("HALLPASS_PROFILE", "No Name");
    for command in COMMANDS {
        let ran = fails(machine.run(&[command]), 2);
        assert!(
            ran.stderr
                .contains("invalid profile name in HALLPASS_PROFILE"),
            "{ran:?}"
        );
        assert!(!ran.stderr.contains("No Name"), "{ran:?}");
    }
}

#[test]
fn a_token_as_json_has_the_members_of_rfc_6749_and_its_end() {
    let machine = Machine::new();
    let server = Server::start(|request: &Request| match request.form().as_slice() {
        [_, (_, scope)] => Reply::json(
            200,
            format!(
                r#"{{"access_token":"t","token_type":"bearer","scope":"{scope} more","expires_in":600}}"#
            ),
        ),
        _ => Reply::json(200, r#"{"access_token":"t","expires_in":600}"#),
    });
    machine.login("prod", &server, &[]);
    let rows = [
        (&[][..], json!("Bearer"), Value::Null),
        (
            &["--scope", "a", "--scope", "b"],
            json!("bearer"),
            json!("a b more"),
        ),
    ];
    for (more, token_type, scope) in rows {
        // Asked for, then from the cache.
        for _ in 0..2 {
            let mut arguments = vec!["token", "--json"];
            arguments.extend(more);
            let ran = machine.run(&arguments).success();
            assert_eq!(ran.stderr, "");
            assert_eq!(ran.stdout.matches('\n').count(), 1, "{ran:?}");
            let printed: Value = serde_json::from_str(&ran.stdout).expect("JSON");
            assert_eq!(
                members(&printed),
                [
                    "access_token",
                    "expires_at",
                    "expires_in",
                    "scope",
                    "token_type",
                    "version"
                ]
            );
            assert!(ran.stdout.starts_with(r#"{"version":1,"#), "{ran:?}");
            assert_fits_schema(&ran.stdout, "hallpass-token.schema.json");
            assert_eq!(printed["access_token"], "t");
            assert_eq!(printed["token_type"], token_type);
            assert_eq!(printed["scope"], scope);
            let left = printed["expires_in"].as_u64().expect("a whole number");
            assert!((540..=600).contains(&left), "{printed}");
            assert!(is_moment(&printed["expires_at"]), "{printed}");
        }
    }
    assert_eq!(server.requests().len(), 2);
}

/// Each program prints the token that it read.
#[test]
fn programs_read_a_token_in_each_format() {
    const NETRC: &str = "import netrc, sys\n\
        print(netrc.netrc(sys.argv[1]).authenticators('git.example')[2])";
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    let url = "https://git.example/";
    machine.login("prod", &server, &["--for", url]);
    for (options, printed) in [
        (&["--format", "env"][..], "export HALLPASS_TOKEN='token-1'"),
        (
            &["--format", "env", "--variable", "A_1"],
            "export A_1='token-1'",
        ),
        (&["--format", "dotenv", "--variable", "A"], "A=token-1"),
        (
            &["--format", "powershell"],
            "$env:HALLPASS_TOKEN = 'token-1'",
        ),
        (
            &["--format", "netrc", "--url", url],
            "machine git.example login oauth2 password token-1",
        ),
    ] {
        let file = machine.root().join("file");
        let file = file.to_str().expect("UTF-8");
        let ran = machine.run(&[&["token"], options].concat()).success();
        assert_eq!(ran.stdout, format!("{printed}\n"));
        let write = [&["token"], options, &["--output", file]].concat();
        machine.run(&write).success();
        assert_eq!(fs::read_to_string(file).expect("a file"), ran.stdout);
        let mut reader = match options[1] {
            "netrc" => machine.command("python3"),
            "powershell" => continue,
            _ => machine.command("sh"),
        };
        match options[1] {
            "netrc" => reader.args(["-c", NETRC, file]),
            _ => reader.args(["-c", ". \"$0\"; echo $HALLPASS_TOKEN$A_1$A", file]),
        };
        let read = crate::support::ran(reader).success();
        assert_eq!(read.stdout, "token-1\n", "{options:?}");
    }
}

#[test]
fn a_template_is_filled_in() {
    let machine = Machine::new();
    let server = Server::start(|_: &Request| {
        let token = r#"{"access_token":"a\"b\\c","scope":"x \u001b[31m","expires_in":600}"#;
        Reply::json(200, token)
    });
    machine.login("prod", &server, &[]);
    for (template, printed) in [
        ("{type} {token}", "Bearer a\"b\\c\n"),
        ("{scope}", "x [31m\n"),
        (
            r#"{"headers":{"Authorization":"Bearer {token}"}}"#,
            "{\"headers\":{\"Authorization\":\"Bearer a\\\"b\\\\c\"}}\n",
        ),
    ] {
        let ran = machine.run(&["token", "--template", template]).success();
        assert_eq!(ran.stdout, printed);
    }
    let times = r#"[{expires_in}, {expires_unix}, "{expires_at}"]"#;
    let ran = machine.run(&["token", "--template", times]).success();
    let times: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert!(
        times[0]
            .as_u64()
            .is_some_and(|left| (540..=600).contains(&left))
    );
    assert!(times[1].as_u64().is_some_and(|end| end > 1_700_000_000));
    assert!(is_moment(&times[2]), "{times}");
    assert_eq!(server.requests().len(), 1);
    // Before a request.
    for template in ["{tokn}", "none", r#"{"a":"{token}""#] {
        let refused = ["token", "--refresh", "--template", template];
        let ran = fails(machine.run(&refused), 2);
        assert!(
            ran.stderr.contains("invalid value for --template"),
            "{ran:?}"
        );
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_token_is_inspected_without_printing_it() {
    const SIGNATURE: &str = "c2lnbmF0dXJl";
    let machine = Machine::new();
    let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let issued = 1_700_000_000_u64;
    let claims = format!(
        r#"{{"iss":"https://i","aud":["a","b"],"iat":{issued},"exp":1e300,"nbf":"x","x":{{"y":1}},"z\u001b[31m":"\u009b\u202e\nend"}}"#
    );
    let jwt = format!(
        "{}.{}.{SIGNATURE}",
        encode(r#"{"alg":"RS256","kid":"k"}"#),
        encode(&claims)
    );
    let encrypted = format!(
        "{}..aXY.dGV4dA.dGFn",
        encode(r#"{"alg":"dir","enc":"A128GCM"}"#)
    );
    let tokens = [jwt.clone(), encrypted, "opaque-token".to_owned()];
    let next = tokens.clone();
    let server = Server::start(move |request: &Request| {
        let audience = request
            .form()
            .into_iter()
            .find(|(name, _)| name == "audience");
        let index: usize = audience.expect("an audience").1.parse().expect("a number");
        Reply::token(&next[index], 600)
    });
    machine.login("prod", &server, &["--audience", "0"]);
    let expected = [
        (
            "jwt",
            &[
                "format       JWT, signed with RS256; hallpass does not verify it",
                "header kid   k",
                "iss          https://i",
                "aud          a, b",
                "exp          1e+300",
                "nbf          x",
                "iat          2023-11-14 22:13 UTC (",
                "x            {\"y\":1}",
                "z[31m        end",
            ][..],
        ),
        (
            "encrypted_jwt",
            &["format       encrypted JWT: only", "header enc   A128GCM"],
        ),
        (
            "opaque",
            &["format       opaque: only the server can read it"],
        ),
    ];
    for (number, (kind, lines)) in expected.into_iter().enumerate() {
        let number = number.to_string();
        let run = |more: &[&str]| {
            let arguments = [&["token", "--audience", &number], more].concat();
            machine.run(&arguments).success()
        };
        let text = run(&["--inspect"]).stdout;
        let json = run(&["--inspect", "--json"]).stdout;
        for line in lines {
            assert!(
                text.lines().any(|shown| shown.starts_with(line)),
                "{line}: {text}"
            );
        }
        assert!(
            text.starts_with("token        Bearer, valid for "),
            "{text}"
        );
        assert_fits_schema(&json, "hallpass-inspect.schema.json");
        let parsed: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(parsed["kind"], kind);
        if kind == "jwt" {
            assert_eq!(parsed["claims"]["iat"], issued);
            assert_eq!(parsed["claims"]["z\u{1b}[31m"], "\u{9b}\u{202e}\nend");
            assert_eq!(parsed["header"]["kid"], "k");
        }
        for output in [&text, &json] {
            let token = &tokens[number.parse::<usize>().expect("a number")];
            let parts = token.split('.').filter(|part| part.len() > 2);
            for part in parts {
                assert!(!output.contains(part), "{output}");
            }
            assert!(
                output
                    .chars()
                    .all(|c| c == '\n' || c.is_ascii_graphic() || c == ' '),
                "{output:?}"
            );
        }
    }
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn the_server_is_asked_about_a_token_only_where_the_secret_may_go() {
    let machine = Machine::new();
    let server = Server::start(|request: &Request| {
        if request.target == "/introspect" {
            let form = request.form();
            assert!(form.contains(&("token".to_owned(), "the-token".to_owned())));
            assert_eq!(request.basic_credentials().expect("credentials").1, SECRET);
            let echo = json!({
                "active": true,
                "client_id": "c",
                "exp": 1_700_000_000,
                "echo": {"a": ["x the-token y", SECRET]},
                "\u{1b}[2J": "\u{202e}",
            });
            return Reply::json(200, echo.to_string());
        }
        match request.target.as_str() {
            "/401" => Reply::json(401, "{}"),
            "/html" => Reply::new(200).body("<html>"),
            "/empty" => Reply::json(200, "{}"),
            _ => Reply::token("the-token", 600),
        }
    });
    machine.login("prod", &server, &[]);
    let at = |url: &str, more: &[&str]| {
        let arguments = ["token", "--inspect", "--introspection-url", url];
        machine.run(&[&arguments, more].concat())
    };
    let text = at(&server.url("/introspect"), &[]).success().stdout;
    let json = at(&server.url("/introspect"), &["--json"]).success().stdout;
    assert_fits_schema(&json, "hallpass-inspect.schema.json");
    let parsed: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(parsed["kind"], "introspection");
    assert_eq!(parsed["introspection"]["active"], true);
    assert_eq!(parsed["introspection"]["echo"]["a"][0], "x [token] y");
    for shown in [&text, &json] {
        for hidden in ["the-token", "s3cr", "\u{1b}", "\u{202e}"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
    assert!(text.contains("\nactive       true\n"), "{text}");
    assert!(
        text.contains("\nexp          2023-11-14 22:13 UTC ("),
        "{text}"
    );
    for (path, code) in [("/401", 4), ("/html", 5), ("/empty", 5)] {
        fails(at(&server.url(path), &[]), code);
    }
    let count = server.requests().len();
    let other = Server::start(numbered_tokens());
    let ran = fails(at(&other.url("/introspect"), &[]), 2);
    assert!(ran.stderr.contains("at another server"), "{ran:?}");
    assert_eq!(other.connections(), 0);
    fails(at("http://example.com/", &[]), 2);
    let url = server.url("/introspect");
    fails(machine.run(&["token", "--introspection-url", &url]), 2);
    assert_eq!(server.requests().len(), count);
}

#[test]
fn an_opaque_token_is_introspected_where_the_metadata_of_the_login_said() {
    for (path, is_near) in [("/introspect", true), ("", false)] {
        let other = Server::start(numbered_tokens());
        let elsewhere = other.url("/introspect");
        let server = Server::start(move |request: &Request| {
            let issuer = format!("http://{}", request.header("host").unwrap_or_default());
            let at = if path.is_empty() {
                &elsewhere
            } else {
                &[&issuer, path].concat()
            };
            match request.target.as_str() {
                "/token" if request.text().contains("scope=jwt") => {
                    Reply::token("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", 600)
                }
                "/token" => Reply::token("the-token", 600),
                "/introspect" if request.text().contains("token=the-token") => {
                    assert_eq!(request.basic_credentials().expect("credentials").1, SECRET);
                    Reply::json(200, r#"{"active": true, "sub": "the subject"}"#)
                }
                "/introspect" => Reply::json(403, "{}"),
                _ => {
                    let metadata = json!({
                        "issuer": issuer,
                        "token_endpoint": format!("{issuer}/token"),
                        "introspection_endpoint": at,
                    });
                    Reply::json(200, metadata.to_string())
                }
            }
        });
        let machine = Machine::new();
        let secret = machine.private_file("secret", SECRET.as_bytes());
        let login = [
            "login",
            "p",
            "--client-id",
            "c",
            "--issuer",
            &server.url(""),
        ];
        let secret = ["--secret-file", secret.to_str().expect("UTF-8")];
        machine.run(&[&login[..], &secret].concat()).success();
        let asked = || {
            let requests = server.requests().into_iter();
            requests.filter(|it| it.target == "/introspect").count()
        };
        let shown = machine.run(&["token", "--inspect"]).success().stdout;
        assert_eq!(shown.contains("the subject"), is_near, "{shown}");
        assert_eq!(shown.contains("opaque"), !is_near, "{shown}");
        let jwt = ["token", "--inspect", "--scope", "jwt"];
        machine.run(&jwt).success();
        assert_eq!(asked(), usize::from(is_near), "a JWT is not sent");
        let status = machine.run(&["status", "p"]).output();
        let line = "introspect (from the server's metadata)";
        assert_eq!(status.contains(line), is_near, "{status}");
        // It is no error that the server does not tell.
        server.stop();
        let ran = machine.run(&["token", "--inspect"]).success();
        assert!(ran.stdout.contains("opaque"), "{ran:?}");
        assert_eq!(
            ran.stderr.contains("warning: nothing more is known"),
            is_near,
            "{ran:?}"
        );
        assert_eq!(other.connections(), 0);
    }
}

#[test]
fn where_the_word_inspect_is_no_token_is_printed() {
    let machine = Machine::new();
    machine.login("prod", machine.server(), &[]);
    for arguments in [
        &["token", "inspect"][..],
        &["token", "inspect", "prod"],
        &["token", "inspect", "--json", "prod"],
        &["token", "inspect", "--min-ttl", "1m"],
    ] {
        let shown = machine.run(arguments).success().stdout;
        assert!(shown.contains("opaque"), "{shown}");
        assert!(!shown.contains("token-1"), "{shown}");
    }
    for (arguments, code) in [
        (&["token", "inspect", "other"][..], 3),
        (&["token", "inspect", "--format", "raw"], 2),
        (&["token", "inspect", "--output", "-"], 2),
        (&["token", "inspect", "prod", "more"], 2),
        (&["token", "prod", "inspect"], 2),
    ] {
        fails(machine.run(arguments), code);
    }
    let (settings, secret) = (machine.config(), machine.private_file("s", b"s"));
    let login = ["login", "inspect", "--token-url", "http://127.0.0.1:1/"];
    let secret = secret.to_str().expect("UTF-8");
    let client = ["--client-id", "c", "--secret-file", secret, "--no-verify"];
    for arguments in [
        &[&login[..], &client].concat()[..],
        &["profile", "rename", "prod", "inspect"],
        &["profile", "copy", "prod", "inspect"],
    ] {
        let refused = fails(machine.run(arguments), 2);
        assert!(refused.stderr.contains("named inspect"), "{refused:?}");
    }
    // A profile that another version of hallpass named so.
    fs::copy(settings.join("prod.json"), settings.join("inspect.json")).expect("a copy");
    let refused = fails(machine.run(&["token", "inspect"]), 2);
    let hint = "hallpass profile rename inspect NAME";
    assert!(refused.stderr.contains(hint), "{refused:?}");
    for arguments in [
        &["token", "inspect", "inspect"][..],
        &["token", "--inspect", "inspect"],
    ] {
        let shown = machine.run(arguments).success().stdout;
        assert!(shown.contains("opaque"), "{shown}");
    }
}

#[test]
fn the_requested_scope_is_shown_if_the_server_names_none() {
    let machine = Machine::new();
    let server = Server::start(|_| Reply::json(200, r#"{"access_token":"t","expires_in":600}"#));
    machine.login("prod", &server, &["--scope", "read"]);
    let printed: Value =
        serde_json::from_str(&machine.run(&["token", "--json"]).success().stdout).expect("JSON");
    assert_eq!(printed["scope"], "read");
}

#[test]
fn a_duration_has_a_number_and_an_optional_unit() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    for (text, seconds) in [
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86_400),
    ] {
        machine
            .run(&["login", "prod", "--no-verify", "--timeout", text])
            .success();
        assert_eq!(
            settings(&machine, "prod")["timeout_seconds"],
            seconds,
            "{text}"
        );
        machine.run(&["token", "--min-ttl", text]).success();
    }
    let before = settings(&machine, "prod");
    for text in [
        "",
        "s",
        "-1",
        "1.5h",
        "5 m",
        "1w",
        "1h30m",
        "soon",
        "99999999999999999999",
        "9999999999999999999d",
    ] {
        let option = format!("--min-ttl={text}");
        let ran = fails(machine.run(&["token", &option]), 2);
        assert!(
            ran.stderr.contains("such as 90s, 5m, 2h or 1d"),
            "{text}: {ran:?}"
        );
        let option = format!("--timeout={text}");
        let ran = fails(machine.run(&["login", "prod", &option]), 2);
        assert!(
            ran.stderr.contains("such as 90s, 5m, 2h or 1d"),
            "{text}: {ran:?}"
        );
    }
    let ran = fails(machine.run(&["login", "prod", "--timeout", "0"]), 2);
    assert!(ran.stderr.contains("at least 1s"), "{ran:?}");
    assert_eq!(settings(&machine, "prod"), before);
}

#[test]
fn a_time_limit_of_a_request_is_at_most_a_day_and_never_zero() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &["--timeout", "2d"]);
    assert_eq!(settings(&machine, "prod")["timeout_seconds"], 86_400);
    let path = machine.config().join("prod.json");
    let profile = fs::read_to_string(&path).expect("the profile");
    for (seconds, code) in [("172800", 0), ("0", 2), ("-1", 2)] {
        fs::write(&path, profile.replace("86400", seconds)).expect("an edit");
        assert_eq!(machine.run(&["token"]).code, code, "{seconds}");
    }
}

#[test]
fn a_scope_with_a_control_character_is_never_sent() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &["--scope", "read"]);
    for arguments in [&["token"][..], &["login", "prod", "--no-verify"]] {
        let ran = fails(machine.run(&[arguments, &["--scope=a\nb"]].concat()), 2);
        let message = "--scope: the scope is empty or contains a control character";
        assert!(ran.stderr.contains(message), "{ran:?}");
    }
    let path = machine.config().join("prod.json");
    let profile = fs::read_to_string(&path).expect("the profile");
    fs::write(&path, profile.replace("\"read\"", "\"a\\nb\"")).expect("an edit");
    let ran = fails(machine.run(&["token"]), 2);
    assert!(ran.stderr.contains("prod.json is damaged"), "{ran:?}");
    // In a file that was edited, an empty scope means none.
    fs::write(&path, profile.replace("\"read\"", "\"\"")).expect("an edit");
    machine.run(&["token"]).success();
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].text(), "grant_type=client_credentials");
}

#[test]
fn a_duration_too_large_to_represent_is_handled() {
    const LONGEST: &str = "18446744073709551615";
    let mut machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &["--timeout", LONGEST]);
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    let ran = machine.run(&["token", "--min-ttl", LONGEST]).success();
    assert_eq!(ran.stdout, "token-2\n");
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", LONGEST);
    assert_eq!(machine.run(&["token"]).token(), "token-2");
    machine
        .run(&["login", "prod", "--secret-command", "echo s3cret"])
        .success();
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-4");
}

#[test]
fn a_token_lasts_as_long_as_was_asked_for_or_a_warning_says_so() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    assert_eq!(
        machine.run(&["token", "--min-ttl", "50m"]).token(),
        "token-1"
    );
    let ran = machine.run(&["token", "--min-ttl", "2h"]).success();
    assert_eq!(ran.stdout, "token-2\n");
    assert_eq!(
        ran.stderr,
        "hallpass: warning: this server's tokens last 1 h, not longer than --min-ttl, so every call requests a new token\n"
    );
}

#[test]
fn the_time_limit_of_a_profile_holds() {
    let machine = Machine::new();
    let gate = Gate::new();
    let held = gate.clone();
    let server = Server::start(move |_| Reply::token("late", 60).held_by(&held));
    machine.login("prod", &server, &["--no-verify", "--timeout", "1s"]);
    let ran = fails(machine.run(&["token"]), 5);
    assert!(ran.stderr.contains("did not answer within 1 s"), "{ran:?}");
    gate.open();
}
