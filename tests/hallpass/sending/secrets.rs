//! Secrets from a file and from standard input.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use super::NO_FILES;
use crate::machine::{Machine, Ran, SECRET, finish, numbered_tokens};
use crate::secret_service::SecretService;
use crate::server::Server;

// The secret on its way in.

/// What a secret may be made of, and what is left of it; one line end is dropped.
fn good_secrets() -> Vec<(Vec<u8>, String)> {
    let same = |text: &str| (text.as_bytes().to_vec(), text.to_owned());
    let mut secrets = vec![
        same("s3cret"),
        (b"s3cret\n".to_vec(), "s3cret".to_owned()),
        (b"s3cret\r\n".to_vec(), "s3cret".to_owned()),
        same(" s3 cret "),
        (b"  \n".to_vec(), "  ".to_owned()),
        same("%+&=?#;:/\\|<>"),
        same("%41%zz+%2B"),
        same("\"'`$(x)\\"),
        same("geheim-äöü-€-\u{1f511}"),
        same("a\u{301}\u{a0}\u{200b}\u{202e}b"),
        same("-----BEGIN"),
        same("null"),
    ];
    for length in [1, 2561, 5000, 65_535, 65_536] {
        secrets.push(same(&"xY9~".repeat(length / 4 + 1)[..length]));
    }
    secrets
}

fn bad_secrets() -> Vec<(Vec<u8>, &'static str)> {
    let utf16: Vec<u8> = "s3cret".encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        (b"".to_vec(), "is empty"),
        (b"\n".to_vec(), "is empty"),
        (b"\r\n".to_vec(), "is empty"),
        (b"s3cret\n\n".to_vec(), "has more than one line"),
        (b"s3cret\r\n\r\n".to_vec(), "has more than one line"),
        (b"s3c\nret".to_vec(), "has more than one line"),
        (b"s3c\rret".to_vec(), "has more than one line"),
        (b"s3cret\r".to_vec(), "has more than one line"),
        (b"s3cret\r\r\n".to_vec(), "has more than one line"),
        (
            b"\xef\xbb\xbfs3cret".to_vec(),
            "begins with a byte order mark",
        ),
        (utf16.clone(), "contains a control character"),
        ([b"\xff\xfe".to_vec(), utf16].concat(), "is not UTF-8 text"),
        (b"s3c\0ret".to_vec(), "contains a control character"),
        (b"s3cret\0".to_vec(), "contains a control character"),
        (b"s3c\x1b[31mret".to_vec(), "contains a control character"),
        (b"s3c\tret".to_vec(), "contains a control character"),
        (b"s3c\x7fret".to_vec(), "contains a control character"),
        (
            "s3c\u{85}ret".as_bytes().to_vec(),
            "contains a control character",
        ),
        (b"s3c\xffret".to_vec(), "is not UTF-8 text"),
        (b"s3c\xc3".to_vec(), "is not UTF-8 text"),
        (vec![b's'; 65_539], "is longer than 64 KiB"),
    ]
}

#[test]
fn a_secret_in_a_file_is_sent_exactly() {
    for (content, secret) in good_secrets() {
        let server = Server::start(numbered_tokens());
        let machine = Machine::new();
        let path = machine.private_file("its-secret", &content);
        let url = server.url("/");
        let login = [
            "login",
            "--token-url",
            &url,
            "--client-id",
            "id",
            "--auth",
            "client_secret_post",
        ];
        machine
            .run(
                &[
                    &login[..],
                    &["--secret-file", path.to_str().expect("a path")],
                ]
                .concat(),
            )
            .success();
        let sent = server.requests()[0].form().pop().expect("a parameter");
        assert!(
            sent == ("client_secret".to_owned(), secret.clone()),
            "{:?}…",
            &secret.chars().take(40).collect::<String>()
        );
    }
}

#[test]
fn a_secret_on_standard_input_is_stored_and_sent_exactly() {
    let keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    for (content, secret) in good_secrets() {
        let server = Server::start(numbered_tokens());
        let url = server.url("/");
        let arguments = [
            "login",
            "--token-url",
            &url,
            "--client-id",
            "id",
            "--replace",
            "--auth",
            "client_secret_post",
            "--secret-stdin",
        ];
        machine.run_with_input(&arguments, &content).success();
        let stored = keychain
            .secret(&[("service", "hallpass")])
            .expect("an item");
        assert!(
            stored == secret.as_bytes(),
            "{} bytes for {}",
            stored.len(),
            secret.len()
        );
        machine.run(&["token", "--refresh"]).success();
        for request in server.requests() {
            assert!(request.form().pop().is_some_and(|(_, sent)| sent == secret));
        }
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn a_secret_that_cannot_be_one_is_refused_before_anything_is_sent() {
    let server = Server::start(numbered_tokens());
    let url = server.url("/");
    let machine = Machine::new();
    for (content, fault) in bad_secrets() {
        let arguments = [
            "login",
            "--token-url",
            &url,
            "--client-id",
            "id",
            "--secret-stdin",
        ];
        let ran = machine.run_with_input(&arguments, &content).failure(2);
        assert!(
            ran.stderr.contains(fault) && !ran.stderr.contains("s3c"),
            "{fault}: {ran:?}"
        );
        let path = machine.private_file("its-secret", &content);
        let path = path.to_str().expect("a path");
        let ran = machine
            .run(&[
                "login",
                "--token-url",
                &url,
                "--client-id",
                "id",
                "--secret-file",
                path,
            ])
            .failure(6);
        // A file that is too large is not read.
        let message = ran.stderr.contains(fault)
            || content.len() > 65_538 && ran.stderr.contains("is too large");
        assert!(
            message && ran.stderr.contains(path) && !ran.stderr.contains("s3c"),
            "{fault}: {ran:?}"
        );
        assert_eq!(machine.files(), NO_FILES);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn an_endless_secret_is_refused() {
    let machine = Machine::new();
    let path = machine.private_file("large", b"");
    let large = File::options().write(true).open(&path).expect("a file");
    large.set_len(200 * 1024 * 1024).expect("200 MB");
    let login = [
        "login",
        "--token-url",
        "http://127.0.0.1:9/",
        "--client-id",
        "id",
    ];
    for input in [path.as_path(), "/dev/zero".as_ref()] {
        let mut command = machine.hallpass(&[&login[..], &["--secret-stdin"]].concat());
        command.stdin(File::open(input).expect("a file"));
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let ran = finish(child.expect("hallpass starts")).failure(2);
        assert!(ran.stderr.contains("is longer than 64 KiB"), "{ran:?}");
    }
    for (path, fault) in [
        (path.to_str().expect("a path"), "is too large"),
        ("/dev/zero", "is not a regular file"),
        ("/dev/null", "is not a regular file"),
    ] {
        let ran = machine
            .run(&[&login[..], &["--secret-file", path]].concat())
            .failure(6);
        assert!(
            ran.stderr.contains(fault) && ran.stderr.contains(path),
            "{ran:?}"
        );
    }
    let ran = machine
        .run(&[&login[..], &["--secret-stdin"]].concat())
        .failure(2);
    assert!(ran.stderr.contains("is empty"), "{ran:?}");
    assert_eq!(machine.files(), NO_FILES);
}

#[test]
fn a_secret_file_that_others_can_read_is_refused() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let url = server.url("/");
    let secret = machine.private_file("its-secret", SECRET.as_bytes());
    let path = secret.to_str().expect("a path");
    let login = [
        "login",
        "--token-url",
        &url,
        "--client-id",
        "id",
        "--secret-file",
        path,
    ];
    let mode = |mode| fs::set_permissions(&secret, Permissions::from_mode(mode)).expect("a mode");
    for good in [0o600, 0o400, 0o700] {
        mode(good);
        machine.run(&login).success();
    }
    let requests = server.requests().len();
    let other = Machine::new();
    for bad in [
        0o640, 0o644, 0o604, 0o620, 0o602, 0o660, 0o666, 0o601, 0o777,
    ] {
        mode(bad);
        for ran in [other.run(&login), machine.run(&["token", "--refresh"])] {
            let ran = ran.failure(6);
            let says =
                ran.stderr.contains(path) && ran.stderr.contains(&format!("chmod 600 {path}"));
            assert!(says, "{bad:o}: {ran:?}");
        }
    }
    fs::remove_file(&secret).expect("a file");
    for ran in [other.run(&login), machine.run(&["token", "--refresh"])] {
        assert!(ran.failure(3).stderr.contains(path));
    }
    fs::create_dir(&secret).expect("a directory");
    for ran in [other.run(&login), machine.run(&["token", "--refresh"])] {
        assert!(ran.failure(6).stderr.contains(path));
    }
    assert_eq!(other.files(), NO_FILES);
    assert_eq!(server.requests().len(), requests);
}

#[test]
fn a_secret_file_is_found_from_every_directory_and_by_a_link() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    machine.private_file("its-secret", SECRET.as_bytes());
    std::os::unix::fs::symlink("its-secret", machine.root().join("link")).expect("a link");
    let url = server.url("/");
    let mut command = machine.hallpass(&[
        "login",
        "--token-url",
        &url,
        "--client-id",
        "id",
        "--secret-file",
        "link",
    ]);
    Ran::from(
        command
            .current_dir(machine.root())
            .output()
            .expect("hallpass starts"),
    )
    .success();
    let mut command = machine.hallpass(&["token", "--refresh"]);
    assert_eq!(
        Ran::from(command.current_dir("/").output().expect("hallpass starts")).token(),
        "token-2"
    );
}
