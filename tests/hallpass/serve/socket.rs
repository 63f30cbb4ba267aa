//! `--socket`, and `HALLPASS_SOCKET` in a container without profiles.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use super::Serving;
use crate::machine::{Machine, Ran, skip};
use crate::support::{as_ordinary_user, is_root, ran};

const URL: &str = "https://git.example/team/";

/// A machine with a socket for its profile `p`, and one without profiles that knows the socket.
struct Both {
    outside: Machine,
    inside: Machine,
    socket: PathBuf,
    serving: Serving,
}

impl Both {
    fn start() -> Self {
        let outside = Machine::new();
        outside.login("p", outside.server(), &["--scope", "USER"]);
        let bind = ["bind", "p", URL, "--username", "robot", "--scheme", "basic"];
        outside.run(&bind).success();
        let socket = outside.root().join("run/socket");
        let serving = Serving::start(
            &outside,
            &["p", "--socket", socket.to_str().expect("UTF-8")],
        );
        assert_eq!(serving.url, socket.display().to_string());
        let mut inside = Machine::new();
        inside.set("HALLPASS_SOCKET", &serving.url);
        Self {
            outside,
            inside,
            socket,
            serving,
        }
    }

    fn exchange(&self, request: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).expect("a connection");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut response = String::new();
        let _ = stream.read_to_string(&mut response);
        response
    }
}

#[test]
fn a_container_gets_tokens_through_a_socket() {
    let both = Both::start();
    let (inside, outside) = (&both.inside, &both.outside);
    for (arguments, output) in [
        (&["token"][..], "token-1\n"),
        (&["token", "p"], "token-1\n"),
        (
            &["token", "--format", "header"],
            "Authorization: Bearer token-1\n",
        ),
        (&["token", "--template", "{scope}"], "USER\n"),
        (
            &["token", "--url", URL, "--format", "header"],
            "Authorization: Bearer token-1\n",
        ),
        (
            &["token", "--url", URL, "--format", "netrc"],
            "machine git.example login robot password token-1\n",
        ),
    ] {
        assert_eq!(inside.run(arguments).output(), output, "{arguments:?}");
    }
    let git = |path: &str| {
        let request = format!("protocol=https\nhost=git.example\npath={path}\n\n");
        inside.run_with_input(&["git-credential", "get"], request)
    };
    let got = git("team/x.git").output();
    assert!(got.contains("username=robot\npassword=token-1\n"), "{got}");
    assert_eq!(
        git("other/x.git").stdout,
        "",
        "it is not bound to this path"
    );
    for arguments in [
        &["token", "other"][..],
        &["token", "--url", "https://git.example/other/"],
        &["token", "p", "--url", "https://a.example/"],
    ] {
        let ran = inside.run(arguments).failure(3);
        assert!(!ran.stderr.contains("token-"), "{ran:?}");
    }
    inside.run(&["token", "--scope", "x"]).failure(2);
    inside.run(&["token", "--min-ttl", "2h"]).failure(5);
    assert_eq!(
        outside.server().requests().len(),
        1,
        "the token of the login"
    );
    // A profile of the container itself comes first.
    inside.login("own", outside.server(), &["--audience", "other"]);
    assert_eq!(inside.run(&["token"]).token(), "token-2");
    // Nothing is written down there, and no secret is.
    inside.run(&["logout", "own"]).success();
    assert_eq!(inside.run(&["token"]).token(), "token-1");
    let files = inside.files();
    let content = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap_or_default());
    assert!(
        !content.collect::<String>().contains("token-1"),
        "{files:?}"
    );
    for words in [&["token", "inspect"][..], &["token", "--inspect"]] {
        let shown = both.inside.run(words).output();
        assert!(shown.contains("opaque"), "{shown}");
    }
    let socket = both.socket.clone();
    assert_eq!(both.serving.stop().code, 0);
    assert!(!socket.exists(), "it is removed");
    let ran = both.inside.run(&["token"]).failure(5);
    assert!(ran.stderr.contains("HALLPASS_SOCKET"), "{ran:?}");
}

#[test]
fn a_socket_gives_no_list_and_answers_no_web_page() {
    let both = Both::start();
    let form = "grant_type=client_credentials";
    let post = |path: &str, host: &str, more: &str| {
        let length = form.len();
        both.exchange(&format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\
            Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
        ))
    };
    assert!(post("/token", "localhost", "").contains("\"access_token\":\"token-1\""));
    for (path, host, more, status) in [
        ("/", "localhost", "", 404),
        ("/profiles", "localhost", "", 404),
        ("/token/", "localhost", "", 404),
        ("/token", "evil.example", "", 421),
        (
            "/token",
            "localhost",
            "Origin: https://evil.example\r\n",
            403,
        ),
    ] {
        let response = post(path, host, more);
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{response}"
        );
        assert!(!response.contains("token-1"), "{response}");
    }
}

#[test]
fn only_this_user_can_use_a_socket() {
    let both = Both::start();
    let mode = |path: &std::path::Path| {
        let metadata = fs::metadata(path).expect("a file");
        metadata.permissions().mode() & 0o777
    };
    let directory = both.socket.parent().expect("a directory");
    assert_eq!((mode(directory), mode(&both.socket)), (0o700, 0o600));
    if is_root() {
        // As in a container that has it with other modes.
        for path in [both.outside.root(), directory, &both.socket] {
            fs::set_permissions(path, Permissions::from_mode(0o777)).expect("a mode");
        }
        let mut command = as_ordinary_user(&both.inside.hallpass(&["token"]));
        command.env("HOME", "/nonexistent");
        let other: Ran = ran(command).failure(5);
        assert!(!other.stderr.contains("token-"), "{other:?}");
    } else {
        skip("only the superuser can act as another user");
    }
    let taken = both.serving.url.clone();
    let serve = |path: &str| {
        both.outside
            .run(&["serve", "p", "--socket", path])
            .failure(2)
    };
    fs::set_permissions(directory, Permissions::from_mode(0o700)).expect("a mode");
    assert!(serve(&taken).stderr.contains("another program listens on"));
    let open = both.outside.root().join("open");
    fs::create_dir(&open).expect("a directory");
    fs::set_permissions(&open, Permissions::from_mode(0o755)).expect("a mode");
    let ran = serve(open.join("s").to_str().expect("UTF-8"));
    assert!(
        ran.stderr.contains("other users can enter the directory"),
        "{ran:?}"
    );
    let file = directory.join("file");
    fs::write(&file, "kept").expect("a file");
    assert!(
        serve(file.to_str().expect("UTF-8"))
            .stderr
            .contains("is not a socket")
    );
    assert_eq!(fs::read_to_string(&file).expect("a file"), "kept");
    // Left behind by a process that was killed.
    let stale = directory.join("stale");
    drop(UnixListener::bind(&stale).expect("a socket"));
    let stale = stale.to_str().expect("UTF-8");
    let again = Serving::start(&both.outside, &["p", "--socket", stale]);
    let program = ["p", "--socket", stale, "--", "true"];
    let ran = both
        .outside
        .run(&[&["serve"], &program[..]].concat())
        .failure(2);
    assert!(ran.stderr.contains("another program listens on"), "{ran:?}");
    assert_eq!(again.stop().code, 0);
    let script = "env -u HOME HOME=/nonexistent \"$0\" token";
    let hallpass = &*crate::machine::HALLPASS;
    let program = [
        "serve", "p", "--socket", stale, "--", "sh", "-c", script, hallpass,
    ];
    assert_eq!(both.outside.run(&program).token(), "token-1");
}
