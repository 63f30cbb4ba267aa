//! Agents that cannot, do not or will not sign, and keys that no assertion can be signed with.

use std::sync::Arc;

use super::fake::{FAILURE, FakeAgent, Key, Response, signed};
use super::keys::strings;
use super::login;
use super::programs::output;
use super::signatures::agent_with_all;
use crate::machine::{Machine, numbered_tokens};
use crate::material::Material;
use crate::server::Server;

#[test]
fn an_agent_that_does_not_sign_is_bounded_and_nothing_is_sent() {
    type Sign = fn(&Key, &[u8]) -> Response;
    let rows: [(Sign, &str); 7] = [
        // It signs something else.
        (
            |key, _| signed(&key.sign(b"other")),
            "is not one of the key",
        ),
        (
            |key, message| signed(&key.sign(&message[1..])),
            "is not one of the key",
        ),
        (|_, _| Response::Message(vec![FAILURE]), "refused to sign"),
        (
            |_, _| Response::Message(vec![14, 0, 0, 0, 9]),
            "no valid response",
        ),
        (
            |_, _| Response::Message(vec![0; 300_000]),
            "no valid response",
        ),
        (|_, _| Response::Close, "no valid response"),
        (|_, _| Response::Hang, "did not answer within 1 s"),
    ];
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    for (sign, expected) in rows {
        let key = Arc::new(Key::of(&material, "p256"));
        let signing = Arc::clone(&key);
        // The first signature is right: of the login.
        let agent = FakeAgent::start(&key.blob, move |message, number| match number {
            0 => signed(&signing.sign(message)),
            _ => sign(&signing, message),
        });
        let mut machine = Machine::new();
        machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "1");
        let more = ["--jwt-key", "agent:work", "--agent-socket", &agent.socket];
        login(&machine, &server, &more).success();
        let before = server.connections();
        let ran = machine.run(&["token", "--refresh"]).failure(6);
        assert!(ran.stderr.contains(expected), "{expected}: {ran:?}");
        assert!(ran.stderr.contains("hint"), "{ran:?}");
        assert_eq!(server.connections(), before, "{expected}");
        let ran = login(&machine, &server, &more).failure(6);
        assert!(ran.stderr.contains(expected), "{expected}: {ran:?}");
        assert_eq!(server.connections(), before, "{expected}");
        // One request to sign for each: never a second try.
        assert_eq!(agent.signed.load(std::sync::atomic::Ordering::SeqCst), 3);
    }
}

#[test]
fn an_agent_that_never_lists_its_keys_is_bounded() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let socket = directory.path().join("socket");
    // It never accepts a connection.
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    machine
        .set("HALLPASS_KEYCHAIN_TIMEOUT", "1")
        .set("SSH_AUTH_SOCK", socket.to_str().expect("UTF-8"));
    for key in ["agent:work", "agent:"] {
        let ran = login(&machine, &server, &["--jwt-key", key]).failure(6);
        assert!(ran.stderr.contains("did not answer within 1 s"), "{ran:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_locked_agent_and_a_lost_key_are_reported_with_what_is_there() {
    let material = Material::new();
    let agent = agent_with_all(&material);
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    machine.set("SSH_AUTH_SOCK", &agent.socket);
    login(&machine, &server, &["--jwt-key", "agent:a comment"]).success();
    let before = server.connections();
    // Without the key: the others are listed, and none of them is used instead.
    let line = agent.keys().pop().expect("a key");
    let file = agent.directory.path().join("lost.pub");
    std::fs::write(&file, line).expect("a file");
    output(agent.command("ssh-add").arg("-q").arg("-d").arg(&file));
    let ran = machine.run(&["token", "--refresh"]).failure(6);
    for expected in [
        "the key a comment is not in the ssh-agent",
        "rsa.pem",
        "ssh-add",
    ] {
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
    // Without any.
    output(agent.command("ssh-add").args(["-q", "-D"]));
    for arguments in [
        &["token", "--refresh"][..],
        &["login", "--jwt-key", "agent:"],
    ] {
        let ran = machine.run(arguments).failure(6);
        assert!(ran.stderr.contains("no keys"), "{ran:?}");
    }
    // Without the agent.
    drop(agent);
    let ran = machine.run(&["token", "--refresh"]).failure(6);
    assert!(
        ran.stderr.contains("cannot connect to the ssh-agent"),
        "{ran:?}"
    );
    machine.unset("SSH_AUTH_SOCK");
    let ran = machine.run(&["token", "--refresh"]).failure(6);
    for expected in ["SSH_AUTH_SOCK is not set", "--agent-socket"] {
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
    assert_eq!(server.connections(), before);
}

#[test]
fn a_locked_agent_signs_nothing() {
    let material = Material::new();
    let agent = agent_with_all(&material);
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    machine.set("SSH_AUTH_SOCK", &agent.socket);
    login(&machine, &server, &["--jwt-key", "agent:a comment"]).success();
    let askpass = agent.directory.path().join("askpass");
    std::fs::write(&askpass, "#!/bin/sh\necho password\n").expect("a file");
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700);
    std::fs::set_permissions(&askpass, mode).expect("a mode");
    let with_password = |option: &str| {
        let mut command = agent.command("ssh-add");
        command.env("SSH_ASKPASS", &askpass);
        output(command.env("SSH_ASKPASS_REQUIRE", "force").arg(option));
    };
    with_password("-x");
    let ran = machine.run(&["token", "--refresh"]).failure(6);
    assert!(ran.stderr.contains("ssh-add -X"), "{ran:?}");
    assert_eq!(server.requests().len(), 1);
    with_password("-X");
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
}

#[test]
fn a_key_that_cannot_sign_is_refused_with_the_reason() {
    let short = strings(&[b"ssh-rsa", &[1, 0, 1], &[&[0x7f][..], &[1; 127]].concat()]);
    let point = [&[4][..], &[1; 132]].concat();
    let p521 = strings(&[b"ecdsa-sha2-nistp521", b"nistp521", &point]);
    let security_key = strings(&[b"sk-ssh-ed25519@openssh.com", &[1; 32], b"ssh:"]);
    let certificate = strings(&[b"ssh-ed25519-cert-v01@openssh.com", &[1; 32]]);
    let dsa = strings(&[b"ssh-dss", &[1; 128]]);
    let keys: [(&[u8], &str); 6] = [
        (&short, "short"),
        (&p521, "p521"),
        (&security_key, "security key"),
        (&certificate, "certificate"),
        (&dsa, "dsa"),
        (b"damaged", "damaged"),
    ];
    let agent = FakeAgent::with_keys(&keys, |_, _| Response::Close);
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    machine.set("SSH_AUTH_SOCK", &agent.socket);
    for (comment, expected) in [
        ("short", "fewer than 2048 bits"),
        ("p521", "P-521"),
        ("security key", "security key (sk-)"),
        ("certificate", "SSH certificate"),
        ("dsa", "DSA"),
        ("damaged", "does not support"),
    ] {
        let key = format!("agent:{comment}");
        let ran = login(&machine, &server, &["--jwt-key", &key]).failure(6);
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
    let ran = machine.run(&["login", "--jwt-key", "agent:"]).failure(6);
    assert!(ran.stderr.contains("no key that can sign"), "{ran:?}");
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_name_must_mean_one_key_and_an_algorithm_must_fit_it() {
    let material = Material::new();
    let [one, other] = ["p256", "other-p256"].map(|name| Key::of(&material, name));
    let keys: [(&[u8], &str); 2] = [(&one.blob, "same"), (&other.blob, "same")];
    let agent = FakeAgent::with_keys(&keys, |_, _| Response::Close);
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let more = ["--jwt-key", "agent:same", "--agent-socket", &agent.socket];
    let ran = login(&machine, &server, &more).failure(2);
    for expected in ["several keys", "agent:SHA256:"] {
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
    let agent = agent_with_all(&material);
    let rsa = format!("agent:{}", material.argument("rsa.pem"));
    for (algorithm, expected) in [
        (&["--jwt-alg", "PS256"][..], "cannot sign with PS256"),
        (&["--jwt-alg", "RS384"], "cannot sign with RS384"),
        (&[], "RS256, RS512"),
    ] {
        let more = ["--jwt-key", &rsa, "--agent-socket", &agent.socket];
        let ran = login(&machine, &server, &[&more[..], algorithm].concat()).failure(2);
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
    // An option that would have no effect.
    let file = material.argument("other-p256.pem");
    let more = ["--jwt-key", &file, "--agent-socket", &agent.socket];
    let ran = login(&machine, &server, &more).failure(2);
    assert!(
        ran.stderr.contains("--agent-socket has no effect"),
        "{ran:?}"
    );
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_comment_cannot_write_to_the_terminal() {
    let material = Material::new();
    let key = Key::of(&material, "p256");
    let keys: [(&[u8], &str); 1] = [(&key.blob, "\u{1b}[31mred\r\nhallpass: error: x")];
    let agent = FakeAgent::with_keys(&keys, |_, _| Response::Close);
    let mut machine = Machine::new();
    machine.set("SSH_AUTH_SOCK", &agent.socket);
    let list = machine.run(&["login", "--jwt-key", "agent:"]).success();
    assert!(!list.stdout.contains(['\u{1b}', '\r']), "{list:?}");
    assert_eq!(list.stdout.lines().count(), 1);
    let server = Server::start(numbered_tokens());
    let ran = login(&machine, &server, &["--jwt-key", "agent:\u{1b}[31m"]).failure(6);
    assert!(!ran.stderr.contains(['\u{1b}', '\r']), "{ran:?}");
}

#[test]
fn a_key_in_an_agent_cannot_be_moved_to_a_keychain() {
    let material = Material::new();
    let agent = agent_with_all(&material);
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    machine.set("SSH_AUTH_SOCK", &agent.socket);
    login(&machine, &server, &["--jwt-key", "agent:a comment"]).success();
    let ran = machine
        .run(&["login", "p", "--store", "keychain"])
        .failure(2);
    assert!(
        ran.stderr.contains("it never leaves the ssh-agent"),
        "{ran:?}"
    );
}
