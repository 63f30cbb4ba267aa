//! A program that is run with a token: what it is given, what it is not, and how it ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use crate::machine::{Machine, numbered_tokens};
use crate::server::{Reply, Request, Server};
use crate::support::{after_shell, ran};

#[test]
fn a_program_gets_a_token_in_its_environment_and_nothing_else_of_hallpass() {
    let mut machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    machine
        .set("HALLPASS_CLIENT_SECRET", "s3cret")
        .set("OTHER", "kept");
    let ran = machine.run(&["exec", "--", "env"]).success();
    assert_eq!(ran.stderr, "");
    let mut names: Vec<_> = ran
        .stdout
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    names.sort_unstable();
    let names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["HALLPASS_TOKEN", "HOME", "OTHER", "PATH", "XDG_RUNTIME_DIR"]
    );
    assert!(ran.stdout.contains("HALLPASS_TOKEN=token-1\n"), "{ran:?}");
    assert_eq!(server.requests().len(), 1, "the cached token serves");
}

#[test]
fn each_variable_gets_the_token_of_its_profile() {
    let mut machine = Machine::new();
    let server = Server::start(|request: &Request| {
        let form = request.form();
        let audience = form.iter().find(|(name, _)| name == "audience");
        Reply::token(&audience.expect("an audience").1, 3600)
    });
    machine.login("one", &server, &["--audience", "for-one"]);
    machine.login("two", &server, &["--audience", "for-two"]);
    let print = "printf '%s %s %s' \"$A\" \"$B\" \"$HALLPASS_TOKEN\"";
    let exec = [
        "exec", "-e", "A=two", "-e", "B=one", "--", "sh", "-c", print,
    ];
    assert_eq!(machine.run(&exec).success().stdout, "for-two for-one ");
    // npm's variables are no shell's.
    let npm = "npm_config_//npm.example/:_authToken";
    let exec = ["exec", "--env", &format!("{npm}=one"), "--", "env"];
    let shown = machine.run(&exec).success().stdout;
    assert!(shown.contains(&format!("{npm}=for-one\n")), "{shown}");

    let unclear = machine.run(&["exec", "-e", "A", "--", "env"]).failure(2);
    assert!(
        unclear.stderr.contains("more than one profile exists"),
        "{unclear:?}"
    );
    machine.set("HALLPASS_PROFILE", "two");
    let exec = ["exec", "-e", "A", "-e", "B=one", "--", "sh", "-c", print];
    assert_eq!(machine.run(&exec).success().stdout, "for-two for-one ");
}

#[test]
fn a_variable_gets_the_token_in_the_form_that_its_program_reads() {
    let machine = Machine::new();
    let token = r#"{"access_token":"a+/\"=","expires_in":3600}"#;
    let server = Server::start(move |_: &Request| Reply::json(200, token));
    let bound = ["--for", "https://a.example/"];
    machine.login("p", &server, &bound);
    for (given, value) in [
        ("A=p", "a+/\"="),
        ("A=p:bearer", "Bearer a+/\"="),
        ("A=:bearer", "Bearer a+/\"="),
        ("A=p:header", "Authorization: Bearer a+/\"="),
        ("A=p:oauth2:{token}", "oauth2:a+/\"="),
        (
            r#"A=p:{"bearer":{"repo.example":"{token}"}}"#,
            r#"{"bearer":{"repo.example":"a+/\"="}}"#,
        ),
        (
            "A=p:Authorization=Bearer%20{token_percent}",
            "Authorization=Bearer%20a%2B%2F%22%3D",
        ),
    ] {
        let ran = machine.run(&["exec", "-e", given, "--", "printenv", "A"]);
        assert_eq!(ran.success().stdout, format!("{value}\n"), "{given}");
    }
    let bind = ["bind", "p", "https://a.example/", "--header", "X-Token"];
    machine.run(&bind).success();
    let ran = machine.run(&["exec", "-e", "A=p:header", "--", "printenv", "A"]);
    assert_eq!(ran.success().stdout, "X-Token: a+/\"=\n");
    for wrong in [
        "A=p:",
        "A=p:Bearer",
        "A=p:{tokn}",
        r#"A=p:{"a":"{token}""#,
        "=p:bearer",
    ] {
        machine.run(&["exec", "-e", wrong, "--", "env"]).failure(2);
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_token_that_ends_too_soon_is_renewed_first() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    let print = ["--", "printenv", "HALLPASS_TOKEN"];
    let run = |ttl| machine.run(&[&["exec", "--min-ttl", ttl][..], &print].concat());
    assert_eq!(run("30m").success().stdout, "token-1\n");
    let long = run("2h").success();
    assert_eq!(long.stdout, "token-2\n");
    assert!(
        long.stderr.contains("not longer than --min-ttl"),
        "{long:?}"
    );
}

#[test]
fn the_exit_code_is_the_programs_own() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    for code in [0, 1, 3, 42, 126, 127, 255] {
        let ran = machine.run(&["exec", "--", "sh", "-c", &format!("exit {code}")]);
        assert_eq!((ran.code, ran.stderr.as_str()), (code, ""));
    }
    for missing in ["no-such-program-here", "/no/such/program"] {
        let ran = machine.run(&["exec", "--", missing]).failure(127);
        assert!(ran.stderr.contains("program not found"), "{ran:?}");
    }
    let data = machine.private_file("data", b"no program");
    for refused in [data.to_str().expect("UTF-8"), "/"] {
        let ran = machine.run(&["exec", "--", refused]).failure(126);
        assert!(ran.stderr.contains("the program cannot be run"), "{ran:?}");
    }
}

#[test]
fn without_a_token_the_program_is_not_started() {
    let machine = Machine::new();
    let made = machine.root().join("made");
    let touch = made.to_str().expect("UTF-8");
    machine.run(&["exec", "--", "touch", touch]).failure(3);
    let server = Server::start(|_| Reply::json(401, r#"{"error": "invalid_client"}"#));
    machine.login("prod", &server, &["--no-verify"]);
    machine.run(&["exec", "--", "touch", touch]).failure(4);
    machine
        .run(&["exec", "-e", "A=other", "--", "touch", touch])
        .failure(3);
    machine.run(&["exec"]).failure(2);
    machine.run(&["exec", "touch", touch]).failure(2);
    for bad in ["", "=prod", "A\n"] {
        machine
            .run(&["exec", "-e", bad, "--", "touch", touch])
            .failure(2);
    }
    assert!(!made.exists());
}

#[test]
fn standard_input_and_output_pass_through_and_signals_arrive() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    let exec = ["exec", "--", "sh", "-c", "cat; echo said >&2"];
    let ran = machine.run_with_input(&exec, b"\x01in\n").success();
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("\u{1}in\n", "said\n")
    );

    // It is the same process: hallpass and the program have one process ID.
    let script = "trap 'echo caught; exit 7' TERM; echo $$; while read -r _; do :; done";
    let mut child = machine
        .hallpass(&["exec", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("hallpass starts");
    let mut message = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut line = || message.next().expect("a line").expect("text");
    assert_eq!(line(), child.id().to_string());
    kill("-TERM", child.id());
    // A shell looks at its traps when a read comes back.
    let _ = child.stdin.take().expect("a pipe").write_all(b"\n");
    assert_eq!(line(), "caught");
    assert_eq!(child.wait().expect("an end").code(), Some(7));

    // A broken pipe ends the program as it does everywhere, though hallpass itself ignores it.
    let mut child = machine
        .hallpass(&["exec", "--", "yes"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("hallpass starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("an end").signal(), Some(13));
}

#[test]
fn the_program_gets_the_callers_limits_back() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    let show = "umask; ulimit -S -c; ulimit -H -c; grep -c . /proc/self/environ";
    let exec = machine.hallpass(&["exec", "--", "sh", "-c", show]);
    let ran = ran(after_shell(
        "umask 027; ulimit -S -c 8; ulimit -H -c 16",
        &exec,
    ))
    .success();
    // The last line: the process is not closed to its own user, as hallpass is.
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines[..3], ["0027", "8", "16"], "{ran:?}");
    assert_eq!(lines.len(), 4, "{ran:?}");
}

/// systemd starts services so.
#[test]
fn the_program_ignores_a_broken_pipe_where_the_caller_did() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    let look = machine.hallpass(&["exec", "--", "grep", "SigIgn", "/proc/self/status"]);
    for (before, bit) in [("trap '' PIPE", 1), ("true", 0)] {
        let ran = ran(after_shell(before, &look)).success();
        let (_, mask) = ran.stdout.trim().rsplit_once('\t').expect("a mask");
        let mask = u64::from_str_radix(mask, 16).expect("a number");
        // The signals are counted from 1, and this is the 13th.
        assert_eq!(mask >> 12 & 1, bit, "{before}: {ran:?}");
    }
}

fn kill(signal: &str, process: u32) {
    let sent = Command::new("/bin/kill")
        .args([signal, &process.to_string()])
        .status();
    assert!(sent.expect("kill starts").success());
}

#[test]
fn a_stream_that_the_caller_closed_is_no_file_of_the_programs() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("p", &server, &[]);
    let seen = machine.root().join("seen");
    for (closed, stream) in [("<&-", 0), (">&-", 1), ("2>&-", 2)] {
        // In a shell of its own: some redirect themselves for a command's output.
        let look = format!(
            "seen=$(readlink /proc/$$/fd/{stream}); echo $seen >{}",
            seen.display()
        );
        let exec = machine.hallpass(&["exec", "-e", "A=p", "--", "sh", "-c", &look]);
        ran(after_shell(&format!("exec {closed}"), &exec)).success();
        let seen = std::fs::read_to_string(&seen).expect("what the program saw");
        assert_eq!(seen, "/dev/null\n", "{closed}");
    }
}

/// The secret is read once, and no program gets it, from a fresh token or from a cached one.
#[test]
fn one_secret_from_the_environment_serves_several_tokens_and_reaches_no_program() {
    let mut machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine
        .set("APP_SECRET", "the secret")
        .set("OTHER_SECRET", "of a profile that is not used");
    let url = server.url("/token");
    for profile in ["one", "two"] {
        let login = ["login", profile, "--token-url", &url, "--client-id", "id"];
        let login = [&login[..], &["--secret-env", "APP_SECRET", "--no-verify"]].concat();
        machine.run(&login).success();
    }
    let exec = ["exec", "-e", "A=one", "-e", "B=two", "--", "env"];
    for (requests, tokens) in [(2, ["token-1", "token-2"]), (2, ["token-1", "token-2"])] {
        let shown = machine.run(&exec).success().stdout;
        assert!(!shown.contains("the secret"), "{shown}");
        assert!(shown.contains("OTHER_SECRET="), "{shown}");
        for (name, token) in ["A", "B"].into_iter().zip(tokens) {
            assert!(shown.contains(&format!("{name}={token}\n")), "{shown}");
        }
        assert_eq!(server.requests().len(), requests);
    }
    // The same variable may get the token.
    let exec = ["exec", "-e", "APP_SECRET=one", "-e", "B=two", "--", "env"];
    let shown = machine.run(&exec).success().stdout;
    assert!(shown.contains("APP_SECRET=token-1\n"), "{shown}");
}

#[test]
fn the_profile_of_the_environment_serves_several_variables() {
    let mut machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine
        .set("HALLPASS_TOKEN_URL", &server.url("/token"))
        .set("HALLPASS_CLIENT_ID", "id")
        .set("HALLPASS_CLIENT_SECRET", "the secret");
    let shown = machine
        .run(&["exec", "-e", "A", "-e", "B", "--min-ttl", "2h", "--", "env"])
        .success()
        .stdout;
    assert!(
        shown.contains("A=token-1\n") && shown.contains("B=token-2\n"),
        "{shown}"
    );
    assert!(!shown.contains("the secret"), "{shown}");
}
