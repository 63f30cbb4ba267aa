//! Profile files: damaged or changed ones, and names that are no profile names.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    log_in_with_keychain, logged_in, picture, set_mode, within_a_minute, write, write_300_mb,
};
use crate::machine::{CLIENT_ID, Machine, numbered_tokens};
use crate::secret_service::SecretService;
use crate::server::{Reply, Server};
use crate::support::{after_shell, give_to_ordinary_user, is_root, ran};

// The profile's file.

/// How a profile's file is damaged, by its path.
type ProfileDamage = (&'static str, fn(&Path, &Machine));

#[test]
fn an_untrusted_profile_file_is_refused_by_name() {
    let rows: [ProfileDamage; 18] = [
        ("0666", |path, _| set_mode(path, 0o666)),
        ("0620", |path, _| set_mode(path, 0o620)),
        ("a link", |path, machine| {
            fs::rename(path, machine.root().join("target")).expect("a target");
            symlink(machine.root().join("target"), path).expect("a link");
        }),
        ("a link to nothing", |path, machine| {
            fs::remove_file(path).expect("a free name");
            symlink(machine.root().join("nothing"), path).expect("a link");
        }),
        ("a pipe", |path, _| {
            fs::remove_file(path).expect("a free name");
            rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
        }),
        ("a directory", |path, _| {
            fs::remove_file(path).expect("a free name");
            fs::create_dir(path).expect("a directory");
        }),
        ("of another user", |path, _| {
            // Only the superuser can give a file away.
            if is_root() {
                give_to_ordinary_user(path);
            } else {
                set_mode(path, 0o602);
            }
        }),
        ("300 MB", |path, _| write_300_mb(path)),
        ("20 GB of nothing", |path, _| {
            let file = File::options().write(true).open(path).expect("the file");
            file.set_len(20_000_000_000).expect("a sparse file");
        }),
        ("empty", |path, _| write(path, b"")),
        ("binary", |path, _| {
            write(path, &(0..=255).collect::<Vec<u8>>());
        }),
        ("cut", |path, _| {
            let whole = fs::read(path).expect("the profile");
            write(path, &whole[..whole.len() / 2]);
        }),
        ("UTF-16", |path, _| {
            let text = fs::read_to_string(path).expect("the profile");
            write(
                path,
                &text
                    .encode_utf16()
                    .flat_map(u16::to_le_bytes)
                    .collect::<Vec<_>>(),
            );
        }),
        ("200,000 deep", |path, _| {
            write(path, "[".repeat(200_000).as_bytes());
        }),
        ("no format", |path, _| edit(path, "\"format\": 1,", "")),
        ("an unknown member", |path, _| {
            edit(
                path,
                "\"format\": 1,",
                "\"format\": 1, \"proxy\": \"http://evil/\",",
            );
        }),
        ("a member twice", |path, _| {
            edit(
                path,
                "\"format\": 1,",
                "\"format\": 1, \"client_id\": \"x\",",
            );
        }),
        ("an endpoint without TLS", |path, _| {
            edit(path, "http://127.0.0.1:", "http://192.0.2.1:");
        }),
    ];
    for (what, damage) in rows {
        let (machine, server) = logged_in();
        let path = machine.config().join("prod.json");
        damage(&path, &machine);
        // So little that the file would not fit.
        let token = within_a_minute(&machine.hallpass(&["token", "prod"]));
        let token = after_shell("ulimit -v 262144", &token);
        let refused = ran(token).failure(2);
        assert!(refused.stderr.contains("prod.json"), "{what}: {refused:?}");
        let is_open = refused.stderr.contains("can be written by other users");
        let hint = if is_open {
            "hint: run: chmod go-w "
        } else {
            "hallpass login prod"
        };
        assert!(refused.stderr.contains(hint), "{what}: {refused:?}");
        assert_eq!(server.connections(), 1, "{what}");
        let shown = machine.run(&["status"]).success().stdout;
        assert!(shown.contains("unusable"), "{what}: {shown}");
        assert_eq!(machine.run(&["status", "prod"]).code, 2, "{what}");
        assert_eq!(server.connections(), 1, "{what}");
    }
}

#[test]
fn a_damaged_profile_can_be_removed_or_replaced() {
    for repair in ["login", "logout"] {
        let keychain = SecretService::start();
        let machine = Machine::new().with_environment(keychain.environment());
        let server = Server::start(numbered_tokens());
        log_in_with_keychain(&machine, &server, &[]);
        write(&machine.config().join("prod.json"), b"{");
        if repair == "login" {
            log_in_with_keychain(&machine, &server, &["--replace"]);
            assert_eq!(machine.run(&["token", "prod"]).token(), "token-2");
            let items = keychain.search(&[("service", "hallpass")]);
            assert_eq!(items.matches("label = ").count(), 1, "{items}");
        }
        machine.run(&["logout", "prod"]).success();
        assert!(keychain.is_empty(), "{repair}");
        assert_eq!(machine.files(), [machine.config().join("lock")], "{repair}");
    }
}

#[test]
fn a_changed_profile_does_not_get_the_secret_from_the_keychain() {
    let keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    let server = Server::start(numbered_tokens());
    let evil = Server::start(numbered_tokens());
    log_in_with_keychain(
        &machine,
        &server,
        &["--revocation-url", &server.url("/revoke")],
    );
    let path = machine.config().join("prod.json");
    let good = fs::read(&path).expect("the profile");
    let (here, there) = (server.port().to_string(), evil.port().to_string());
    let edits = [
        (format!("{here}/oauth"), format!("{there}/oauth")),
        ("/oauth/token".to_owned(), "/oauth/other".to_owned()),
        (format!("{here}/revoke"), format!("{there}/revoke")),
        (CLIENT_ID.to_owned(), "client:two".to_owned()),
        (
            "client_secret_basic".to_owned(),
            "client_secret_post".to_owned(),
        ),
        ("\"form\"".to_owned(), "\"json\"".to_owned()),
        (
            "\"secret\":".to_owned(),
            "\"ca_file\": \"/tmp/ca.pem\", \"secret\":".to_owned(),
        ),
        (
            "\"generation\": \"".to_owned(),
            "\"generation\": \"0".to_owned(),
        ),
    ];
    for (from, to) in &edits {
        write(&path, &good);
        edit(&path, from, to);
        let refused = machine.run(&["token", "prod", "--refresh"]).failure(4);
        assert!(
            refused.stderr.contains("hallpass login prod"),
            "{refused:?}"
        );
        assert_eq!(
            (server.connections(), evil.connections()),
            (1, 0),
            "{from} -> {to}"
        );
    }
    // With the account of the changed profile, the keychain has no item: only a login stores one.
    write(&path, &good);
    edit(&path, "prod:", "prod:0");
    machine.run(&["token", "prod", "--refresh"]).failure(4);
    write(&path, &good);
    let old_account = account_of(&path);
    edit(&path, CLIENT_ID, "client:two");
    let account = account_of(&path);
    edit(&path, &old_account, &account);
    machine.run(&["token", "prod", "--refresh"]).failure(3);
    assert_eq!((server.connections(), evil.connections()), (1, 0));
    // What says nothing about where the secret goes may be changed.
    write(&path, &good);
    edit(
        &path,
        "\"secret\":",
        "\"audience\": \"https://api.example/\", \"secret\":",
    );
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-2");
}

#[test]
fn a_changed_profile_does_not_get_the_old_profiles_token() {
    let (machine, server) = logged_in();
    let path = machine.config().join("prod.json");
    let good = fs::read(&path).expect("the profile");
    let other = Server::start(|_| Reply::token("token-of-the-other", 3600));
    let (here, there) = (server.port().to_string(), other.port().to_string());
    let mut number = 1;
    for (from, to) in [
        (CLIENT_ID, "client:two"),
        ("client_secret_basic", "client_secret_post"),
        ("\"form\"", "\"json\""),
        ("/oauth/token", "/oauth/other"),
        ("\"secret\":", "\"scope\": \"USER\", \"secret\":"),
        ("\"secret\":", "\"audience\": \"a\", \"secret\":"),
        ("\"secret\":", "\"resource\": [\"urn:a\"], \"secret\":"),
        ("\"secret\":", "\"parameters\": {\"a\": \"b\"}, \"secret\":"),
    ] {
        write(&path, &good);
        edit(&path, from, to);
        number += 1;
        assert_eq!(
            machine.run(&["token", "prod"]).token(),
            format!("token-{number}"),
            "{to}"
        );
    }
    write(&path, &good);
    edit(&path, &here, &there);
    assert_eq!(
        machine.run(&["token", "prod"]).token(),
        "token-of-the-other"
    );
    write(&path, &good);
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-1");
}

// Names.

#[test]
fn a_name_that_is_no_profile_name_touches_no_file() {
    let (machine, server) = logged_in();
    fs::create_dir(machine.root().join("here")).expect("a directory");
    let secret = machine.root().join("secret").display().to_string();
    let url = server.url("/oauth/token");
    let before = picture(machine.root());
    let long = "x".repeat(300);
    let names: [&[u8]; 26] = [
        b"",
        b".",
        b"..",
        b"../p",
        b"../../p",
        b"a/../../p",
        b"/etc/passwd",
        b"/",
        b"~",
        b"-rf",
        b"--",
        b".hidden",
        b"a/b",
        b"a\\b",
        b"CON:",
        b"con",
        b"NUL",
        b"lpt1.txt",
        b"Prod",
        b"prod.",
        b"prod ",
        b"prod\n",
        b"pr\x1b[31mod",
        "pröd".as_bytes(),
        b"\xff\xfe",
        long.as_bytes(),
    ];
    let options: [&str; 6] = [
        "--token-url",
        &url,
        "--client-id",
        "x",
        "--secret-file",
        &secret,
    ];
    for name in names {
        let name = OsStr::from_bytes(name);
        for verb in ["token", "login", "logout", "status"] {
            let run = |arguments: &[&OsStr], profile: Option<&OsStr>| {
                let mut command = machine.hallpass(&[verb]);
                if verb == "login" {
                    command.args(options);
                }
                command
                    .args(arguments)
                    .current_dir(machine.root().join("here"));
                if let Some(profile) = profile {
                    command.env("HALLPASS_PROFILE", profile);
                }
                ran(command)
            };
            let output = run(&[OsStr::new("--"), name], None).failure(2);
            if name.len() > 5 {
                let shown = name
                    .to_str()
                    .is_some_and(|name| output.stderr.contains(name));
                assert!(!shown, "an argument is not repeated: {output:?}");
            }
            if name != "--" {
                run(&[name], None).failure(2);
            }
            if !name.is_empty() {
                run(&[], Some(name)).failure(2);
            }
            assert_eq!(picture(machine.root()), before, "{verb} {name:?}");
        }
    }
    assert_eq!(server.connections(), 1);
}

#[track_caller]
fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("text");
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(path, text.replacen(from, to, 1)).expect("the file");
}

/// The account that a login would give to the profile in this file.
fn account_of(path: &Path) -> String {
    let profile: Value = serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON");
    let member = |name: &str| profile[name].as_str().map(str::to_owned);
    let mut digest = Sha256::new();
    let mut field = |field: &[u8]| {
        digest.update((field.len() as u64).to_be_bytes());
        digest.update(field);
    };
    field(b"hallpass keychain account 1");
    field(b"prod");
    for name in [
        "generation",
        "token_endpoint",
        "client_id",
        "client_auth",
        "body",
    ] {
        field(member(name).expect("a member").as_bytes());
    }
    for name in ["revocation_endpoint", "ca_file"] {
        let value = member(name);
        field(&u64::from(value.is_some()).to_be_bytes());
        if let Some(value) = value {
            field(value.as_bytes());
        }
    }
    let digest = digest.finalize();
    let hex: Vec<_> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.concat();
    format!("prod:{}", &hex[..32])
}
