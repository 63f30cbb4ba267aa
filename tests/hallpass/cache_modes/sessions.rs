//! Sessions of one user that share a home directory and not the key of the cache.

use std::fs;
use std::process::Command;
use std::thread::{self, ScopedJoinHandle};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use serde_json::Value;

use super::{OtherSession, contains, count, is_sealed, other_session};
use crate::machine::{Machine, Ran};
use crate::server::{Reply, Server};
use crate::spellings::{Content, spellings};
use crate::support::{ran, run_by};

/// As in a container: the kernel refuses its keyring.
fn without_keyring(machine: &Machine, arguments: &[&str]) -> Ran {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=keyctl,add_key"]);
    strace.args(["-e", "inject=keyctl,add_key:error=EPERM"]);
    ran(run_by(strace, &machine.hallpass(arguments)))
}

#[test]
fn a_session_without_a_keyring_and_one_with_it_do_not_replace_each_others_tokens() {
    let machine = Machine::new();
    machine.login("p", machine.server(), &[]);
    if !is_sealed(&machine) {
        return;
    }
    // What the one wrote is plain, so both use it.
    let shared = without_keyring(&machine, &["token", "p"]).token();
    for _ in 0..3 {
        assert_eq!(machine.run(&["token", "p"]).token(), shared);
        assert_eq!(without_keyring(&machine, &["token", "p"]).token(), shared);
    }
    assert_eq!(count(&machine), 2, "the login's, and one");
}

#[test]
fn a_session_that_may_not_save_its_token_leaves_that_of_the_others() {
    let mut machine = Machine::new();
    machine.login("p", machine.server(), &["--cache", "sealed"]);
    if !is_sealed(&machine) {
        return;
    }
    let ours = machine.run(&["token", "p"]).token();
    for round in 1..=3 {
        let theirs = without_keyring(&machine, &["token", "p"]).success().stdout;
        assert_ne!(theirs.trim_end(), ours);
        assert_eq!(machine.run(&["token", "p"]).token(), ours);
        assert_eq!(count(&machine), 1 + round);
    }
    // A plain one must not be there.
    machine.set("HALLPASS_CACHE", "plain");
    machine.run(&["token", "p", "--refresh"]).token();
    machine.set("HALLPASS_CACHE", "sealed");
    without_keyring(&machine, &["token", "p"]).success();
    assert!(machine.entries("p").is_empty());
}

/// They request tokens of different audiences, so that each writes an entry.
fn tokens_of_all(session: &OtherSession, machine: &Machine) -> Vec<String> {
    const CALLERS: usize = 8;
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|number| {
                let audience = format!("urn:{number}");
                scope.spawn(move || {
                    let token = ["token", "p", "--audience", &audience];
                    session.run(machine, &token).token()
                })
            })
            .collect();
        let tokens = callers.into_iter().map(ScopedJoinHandle::join);
        tokens.map(|token| token.expect("a token")).collect()
    })
}

#[test]
fn callers_that_make_the_key_at_the_same_time_use_one_of_their_keys() {
    let machine = Machine::new();
    machine.login("p", machine.server(), &[]);
    if !is_sealed(&machine) {
        return;
    }
    for _ in 0..3 {
        // Each has a keyring without a key.
        let Some(session) = other_session() else {
            return;
        };
        tokens_of_all(&session, &machine);
        let before = count(&machine);
        let tokens = tokens_of_all(&session, &machine);
        // One may have been written with a key that was replaced: only before Linux 5.3.
        assert!(count(&machine) <= before + 1, "{tokens:?}");
        let before = count(&machine);
        assert_eq!(tokens_of_all(&session, &machine), tokens);
        assert_eq!(count(&machine), before);
    }
}

#[test]
fn the_key_of_a_bound_token_is_in_no_file_in_any_encoding() {
    let machine = Machine::new();
    let server = Server::start(|_| {
        let token = r#"{"access_token": "t", "token_type": "DPoP", "expires_in": 3600}"#;
        Reply::json(200, token)
    });
    machine.login("p", &server, &["--dpop"]);
    if !is_sealed(&machine) {
        return;
    }
    let [entry] = &machine.entries("p")[..] else {
        panic!("one entry");
    };
    let text = decrypted(&machine, &fs::read(entry).expect("the entry"), entry);
    let entry: Value = serde_json::from_slice(&text).expect("JSON");
    let key = entry["proof_key"]["private"].as_str().expect("a key");
    let der = {
        use base64::Engine as _;
        let decoded = base64::engine::general_purpose::STANDARD.decode(key);
        decoded.expect("base64")
    };
    // PKCS #8 has the number itself after these (RFC 5915).
    let before_number = b"\x02\x01\x01\x04\x20";
    let at = der
        .windows(before_number.len())
        .position(|part| part == before_number);
    let number = &der[at.expect("a number") + before_number.len()..][..32];
    for wanted in [key.as_bytes(), &der, number] {
        let spellings = spellings(wanted);
        assert!(Content::of(wanted).find(&spellings).is_some());
        for file in machine.files() {
            let content = Content::of(&fs::read(&file).expect("a file"));
            assert_eq!(content.find(&spellings), None, "{}", file.display());
        }
    }
    assert!(!contains(
        &fs::read(machine.entries("p").remove(0)).expect("it"),
        b"private"
    ));
}

/// The JSON of an entry, whose format this version must go on to read: a mark; the ID of the key, the
/// time, a nonce and a length; the encrypted text.
fn decrypted(machine: &Machine, content: &[u8], path: &std::path::Path) -> Vec<u8> {
    const MARK: &[u8] = b"hallpass-sealed-1\n";
    let mut keyctl = machine.command("sh");
    keyctl.args(["-c", "keyctl pipe $(keyctl search @u user hallpass:cache)"]);
    let key = keyctl
        .output()
        .expect("keyctl (Debian package: keyutils)")
        .stdout;
    let (id, key) = key.split_at(16);
    let rest = content.strip_prefix(MARK).expect("an encrypted entry");
    let (id_and_time, rest) = rest.split_at(24);
    let (nonce, rest) = rest.split_at(12);
    assert_eq!(&id_and_time[..16], id);
    let name = path.file_stem().expect("a name").as_encoded_bytes();
    let mut text = rest[4..].to_vec();
    let cipher = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("a key"));
    let nonce = Nonce::try_assume_unique_for_key(nonce).expect("a nonce");
    let bound_to = Aad::from([MARK, name, id_and_time].concat());
    let opened = cipher.open_in_place(nonce, bound_to, &mut text);
    opened.expect("an entry of this key").to_vec()
}
