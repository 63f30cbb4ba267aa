//! Git: `git credential`, and `git send-email`.

use std::fs;
use std::process::Stdio;

use super::{GIT, bound_to};
use crate::machine::finish;

#[test]
fn git_gets_a_bearer_token_if_it_supports_one() {
    let machine = bound_to(&["https://a.example"]);
    let offer = "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=a.example\n";
    let answer = machine.run_with_input(GIT, offer).output();
    for line in [
        "authtype=Bearer",
        "credential=token-1",
        "ephemeral=1",
        "continue=1",
    ] {
        assert!(
            answer.lines().any(|message| message == line),
            "{line}: {answer}"
        );
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
        let answer = machine
            .run_with_input(GIT, format!("{offer}wwwauth[]={challenge}\n\n"))
            .output();
        assert_eq!(answer.contains("authtype=Bearer"), bearer, "{challenge}");
        assert_eq!(
            answer.contains("username=oauth2\npassword=token-1\n"),
            !bearer
        );
    }
    let old = "protocol=https\nhost=a.example\n";
    assert!(
        machine
            .run_with_input(GIT, old)
            .output()
            .starts_with("username=oauth2\npassword=token-1\n")
    );
    let named = format!("{old}username=me\n");
    assert!(
        machine
            .run_with_input(GIT, &named)
            .output()
            .starts_with("username=me\npassword=token-1\n")
    );
    assert_eq!(machine.server().requests().len(), 1);
}

#[test]
fn a_token_that_git_says_was_rejected_is_replaced_once() {
    let machine = bound_to(&["https://a.example"]);
    let offer = "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=a.example\n";
    let answer = machine.run_with_input(GIT, offer).output();
    let state = answer
        .lines()
        .find(|line| line.starts_with("state[]="))
        .expect("a state");
    assert!(!state.contains("token-1"));
    let again = format!("{offer}{state}\n");
    let answer = machine.run_with_input(GIT, &again).output();
    assert!(answer.contains("credential=token-2"), "{answer}");
    assert!(!answer.contains("continue=1"), "{answer}");
    // Another git that had the same token gets the new one from the cache.
    assert!(
        machine
            .run_with_input(GIT, &again)
            .output()
            .contains("credential=token-2")
    );
    assert_eq!(machine.server().requests().len(), 2);
    let erase = "protocol=https\nhost=a.example\ncapability[]=authtype\ncredential=token-2\n";
    assert_eq!(
        machine
            .run_with_input(
                &["git-credential", "erase"],
                "protocol=https\nhost=a.example\npassword=another\n"
            )
            .output(),
        ""
    );
    assert!(
        machine
            .run_with_input(GIT, offer)
            .output()
            .contains("token-2")
    );
    assert_eq!(
        machine
            .run_with_input(&["git-credential", "erase"], erase)
            .output(),
        ""
    );
    assert!(
        machine
            .run_with_input(GIT, offer)
            .output()
            .contains("token-3")
    );
}

#[test]
fn git_gets_quit_if_there_is_no_token_for_a_bound_host() {
    let machine = bound_to(&["https://a.example"]);
    fs::remove_dir_all(machine.cache()).expect("a cache");
    machine.server().stop();
    let ran = machine.run_with_input(GIT, "protocol=https\nhost=a.example\n\n");
    assert_eq!(ran.stdout, "quit=1\n", "{ran:?}");
    assert!(ran.stderr.contains("hallpass: error: "), "{ran:?}");
}

#[test]
fn git_passes_on_paths_that_it_has_decoded() {
    let machine = bound_to(&[
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
        let answer = machine.run_with_input(GIT, &request).output();
        assert!(answer.contains("password=token-1"), "{path}: {answer}");
    }
    // Bytes that are no UTF-8 text are a path, too.
    machine
        .run(&["bind", "prod", "https://a.example/%ff"])
        .success();
    let ran = machine.run_with_input(GIT, b"protocol=https\nhost=a.example\npath=\xff/app.git\n");
    assert!(ran.success().stdout.contains("password=token-1"));
    for path in [
        "my+team/app",
        "my%20team/app",
        "my%2520team",
        "bucher",
        "50",
    ] {
        let request = format!("protocol=https\nhost=a.example\npath={path}\n");
        let ran = machine.run_with_input(GIT, &request).success();
        assert_eq!(ran.stdout, "", "{path}");
    }
}

#[test]
fn server_headers_that_git_passes_on_do_not_prevent_a_token() {
    let machine = bound_to(&["https://a.example"]);
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
        let ran = machine.run_with_input(GIT, &request).success();
        assert!(ran.stdout.contains("\npassword=token-1\n"), "{ran:?}");
        assert!(ran.stdout.starts_with("username=oauth2\n"), "{ran:?}");
    }
}

#[test]
fn git_gets_the_reason_if_there_is_no_token_for_a_bound_host() {
    let machine = bound_to(&["https://a.example"]);
    for more in ["path=a/../b\n", "path=a\npath=b\n", "what\n"] {
        let request = |host| format!("protocol=https\nhost={host}\n{more}\n");
        let ran = machine.run_with_input(GIT, request("a.example"));
        assert_eq!(ran.stdout, "quit=1\n", "{ran:?}");
        assert!(ran.stderr.contains("hallpass: error: the URL that git"));
        assert_eq!(
            machine.run_with_input(GIT, request("b.example")).output(),
            ""
        );
    }
}

#[test]
fn git_send_email_gets_a_token_for_its_mail_server() {
    let machine = bound_to(&["smtp://smtp.example:587", "smtps://smtp.example"]);
    for server in ["smtp\nhost=smtp.example:587", "smtps\nhost=SMTP.example"] {
        let request = format!("protocol={server}\nusername=me@smtp.example\n");
        let answer = machine.run_with_input(GIT, &request).output();
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
        assert_eq!(
            machine
                .run_with_input(GIT, format!("protocol={server}\n"))
                .output(),
            ""
        );
    }
    assert_eq!(
        machine
            .run_with_input(&["docker-credential", "list"], "")
            .output(),
        "{}\n"
    );
    machine
        .run(&["bind", "prod", "ftp://smtp.example"])
        .failure(2);
}

#[test]
fn the_user_name_of_the_binding_has_precedence_over_the_one_in_the_url() {
    let machine = bound_to(&["https://a.example"]);
    let bind = [
        "bind",
        "prod",
        "https://a.example",
        "--username",
        "x-token-auth",
    ];
    machine.run(&bind).success();
    let request = "protocol=https\nhost=a.example\nusername=someone\nwwwauth[]=Basic realm=\"x\"\n";
    let answer = machine.run_with_input(GIT, request).output();
    assert!(answer.starts_with("username=x-token-auth\n"), "{answer}");
    let keyring = [
        "keyring",
        "--mode",
        "creds",
        "get",
        "https://a.example/simple",
        "someone",
    ];
    assert_eq!(
        machine.run_with_input(&keyring, "").output(),
        "x-token-auth\ntoken-1\n"
    );
    let keyring = [
        "keyring",
        "--output=json",
        "get",
        "https://a.example",
        "someone",
    ];
    assert_eq!(
        machine.run_with_input(&keyring, "").json()["username"],
        "x-token-auth"
    );
}

#[test]
fn a_user_name_with_a_line_break_in_a_profile_is_refused() {
    let machine = bound_to(&["https://a.example"]);
    let path = machine.config().join("prod.json");
    let profile = fs::read_to_string(&path).expect("a profile");
    let bound = r#""https://a.example/""#;

    for name in [r"a\npassword=b", r"a\rb", "a:b", "", r"\u0000"] {
        let changed = profile.replace(bound, &format!(r#"{{"url":{bound},"username":"{name}"}}"#));
        assert_ne!(changed, profile);
        fs::write(&path, changed).expect("a profile");
        let ran = machine.run_with_input(GIT, "protocol=https\nhost=a.example\n\n");
        assert_eq!(ran.stdout, "quit=1\n", "{ran:?}");
        machine.run(&["token", "prod"]).failure(2);
    }
}

#[test]
fn a_host_followed_by_other_text_gets_no_token() {
    let machine = bound_to(&["https://good.example"]);
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
            let ran = machine.run_with_input(&["docker-credential", "get"], &url);
            assert_eq!(
                (ran.code, ran.stdout.contains("token-")),
                (1, false),
                "{url:?}"
            );
            for arguments in [
                ["terraform-credentials", "get", &url],
                ["keyring", "get", &host],
            ] {
                let ran = machine.run(&arguments);
                assert!(!ran.stdout.contains("token-"), "{arguments:?} {ran:?}");
            }
        }
        let ran = machine.run_with_input(GIT, format!("protocol=https\nhost={host}\n"));
        assert!(!ran.stdout.contains("token-"), "{host:?} {ran:?}");
    }
}

#[test]
fn git_operations_other_than_get_are_answered() {
    let machine = bound_to(&["https://a.example"]);
    assert_eq!(
        machine
            .run_with_input(&["git-credential", "capability"], "")
            .output(),
        "version 0\ncapability authtype\ncapability state\n"
    );
    for operation in ["store", "something-new"] {
        assert_eq!(
            machine
                .run_with_input(
                    &["git-credential", operation],
                    "protocol=https\nhost=a.example\n"
                )
                .output(),
            ""
        );
    }
    // The answer comes after the blank line, although git may keep the pipe open.
    let mut command = machine.hallpass(GIT);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("hallpass starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, b"protocol=https\nhost=a.example\n\n").expect("a reader");
    assert!(finish(child).success().stdout.contains("token-1"));
    drop(stdin);
}
