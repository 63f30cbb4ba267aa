//! Git: `git credential`, and `git send-email`.

use std::fs;
use std::process::Stdio;

use super::{Desk, GIT};
use crate::support::end_of;

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
