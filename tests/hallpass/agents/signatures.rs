//! Assertions that agents sign, verified by another library and by a real server.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::fake::{FakeAgent, Key, signed};
use super::keys::{convert_ed25519, public_pem};
use super::programs::{Agent, SOFTHSM, Token, installed};
use super::{assertion, login, verify};
use crate::machine::{Machine, numbered_tokens};
use crate::material::Material;
use crate::real_servers::{OIDC_PROVIDER, RealServer};
use crate::server::{Request, Server};

/// OpenSSH's agent with the keys of the material. Their files are removed.
pub(super) fn agent_with_all(material: &Material) -> Agent {
    let agent = Agent::openssh();
    let files = ["rsa", "p256", "p384"].map(|name| material.argument(&format!("{name}.pem")));
    for file in files.into_iter().chain([convert_ed25519(material)]) {
        agent.add(&file);
        std::fs::remove_file(file).expect("a file");
    }
    agent
}

/// Lets each key of an agent sign with each algorithm that it can.
fn check_each_key(agent: &Agent) {
    let keys = agent.keys();
    assert!(!keys.is_empty());
    for (line, fingerprint) in keys.iter().zip(agent.fingerprints()) {
        let public = public_pem(agent.directory.path(), line);
        let algorithms: &[&str] = match line.split(' ').next() {
            Some("ssh-rsa") => &["RS256", "RS512"],
            Some("ecdsa-sha2-nistp256") => &["ES256"],
            Some("ecdsa-sha2-nistp384") => &["ES384"],
            Some("ssh-ed25519") => &["EdDSA"],
            other => panic!("{other:?}"),
        };
        for algorithm in algorithms {
            let server = Server::start(numbered_tokens());
            let mut machine = Machine::new();
            machine.set("SSH_AUTH_SOCK", &agent.socket);
            let key = format!("agent:{fingerprint}");
            let more = ["--jwt-key", &key, "--jwt-alg", algorithm];
            let ran = login(&machine, &server, &more).success();
            assert!(ran.stderr.contains("if the ssh-agent asks"), "{ran:?}");
            for number in 2..=3 {
                let token = machine.run(&["token", "--refresh"]).token();
                assert_eq!(token, format!("token-{number}"));
            }
            verify(&server.requests(), &public, algorithm);
        }
    }
}

#[test]
fn openssh_agent_signs_with_every_kind_of_key() {
    let material = Material::new();
    let agent = agent_with_all(&material);
    assert_eq!(agent.keys().len(), 4);
    check_each_key(&agent);
}

#[test]
fn gpg_agent_signs_with_every_kind_of_key() {
    if !installed(&["gpg", "gpg-agent", "gpgconf", "ssh-add"]) {
        return;
    }
    let agent = Agent::gpg(&["rsa2048", "nistp256", "nistp384", "ed25519"]);
    assert_eq!(agent.keys().len(), 4);
    check_each_key(&agent);
}

#[test]
fn a_hardware_token_signs_through_an_agent() {
    if !installed(&["softhsm2-util", "pkcs11-tool", SOFTHSM]) {
        return;
    }
    let token = Token::new();
    token.generate("01", "rsa:2048");
    token.generate("02", "EC:prime256v1");
    token.generate("03", "EC:secp384r1");
    let agent = Agent::with_token(&token);
    assert_eq!(agent.keys().len(), 3);
    check_each_key(&agent);
}

/// How many ES256 signatures a real agent makes: `SIGNATURES=2000` for as many as a release should be tried with. About
/// one in 128 has a number that is shorter than usual, which the test below has without chance.
fn number_of_signatures() -> usize {
    let number = std::env::var("SIGNATURES").ok();
    number.map_or(200, |number| number.parse().expect("a number"))
}

#[test]
fn many_signatures_of_a_real_agent_hold() {
    const CALLERS: usize = 4;
    let material = Material::new();
    let agent = agent_with_all(&material);
    let server = Server::start(numbered_tokens());
    let key = format!("agent:{}", material.argument("p256.pem"));
    let number = number_of_signatures();
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let machine = Machine::new();
                let more = ["--jwt-key", &key, "--agent-socket", &agent.socket];
                login(&machine, &server, &more).success();
                for _ in 1..number / CALLERS {
                    machine.run(&["token", "--refresh"]).token();
                }
            });
        }
    });
    let requests = server.requests();
    assert_eq!(requests.len(), number);
    verify(&requests, &material.argument("p256.pub"), "ES256");
    let is_short = |request: &&Request| {
        let assertion = assertion(request);
        let (_, signature) = assertion.rsplit_once('.').expect("a signature");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        signature[0] == 0 || signature[32] == 0
    };
    let short = requests.iter().filter(is_short).count();
    assert!(number < 2000 || short > 0, "{short} of {number}");
}

#[test]
fn ecdsa_numbers_that_are_shorter_or_longer_than_usual_get_their_fixed_length() {
    let material = Material::new();
    let key = Arc::new(Key::of(&material, "p256"));
    let signing = Arc::clone(&key);
    // Short in turn: the first number, the second, and by two bytes.
    let agent = FakeAgent::start(&key.blob, move |message, number| {
        loop {
            let signature = signing.sign(message);
            let (r, s) = signature.split_at(32);
            let fits = match number % 4 {
                0 => r[0] == 0,
                1 => s[0] == 0,
                2 => r[0] & 0x80 != 0 && s[0] & 0x80 != 0,
                _ => r[0] == 0 && r[1] & 0x80 != 0,
            };
            if fits {
                return signed(&signature);
            }
        }
    });
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let more = ["--jwt-key", "agent:work", "--agent-socket", &agent.socket];
    login(&machine, &server, &more).success();
    for _ in 0..40 {
        machine.run(&["token", "--refresh"]).token();
    }
    verify(&server.requests(), &material.argument("p256.pub"), "ES256");
    assert_eq!(server.requests().len(), 41);
}

#[test]
fn a_real_server_accepts_what_an_agent_signs() {
    let material = Material::new();
    let server = RealServer::start(&OIDC_PROVIDER, "http", &material);
    let agent = agent_with_all(&material);
    let issuer = server.issuer().expect("metadata");
    let mut machine = Machine::new();
    machine.set("SSH_AUTH_SOCK", &agent.socket);
    let comment = |name: &str| format!("agent:{}", material.argument(name));
    for (client, key, algorithm) in [
        ("rs256-client", comment("rsa.pem"), "RS256"),
        ("es256-client", comment("p256.pem"), "ES256"),
        ("eddsa-client", "agent:a comment".to_owned(), "EdDSA"),
    ] {
        let login = ["login", client, "--issuer", &issuer, "--client-id", client];
        let more = ["--jwt-key", &key, "--jwt-alg", algorithm];
        machine.run(&[&login[..], &more].concat()).success();
        let first = machine.run(&["token", client]).token();
        assert_ne!(machine.run(&["token", client, "--refresh"]).token(), first);
        machine.run(&["logout", client]).success();
    }
}

#[test]
fn the_agent_is_asked_only_for_a_token_request() {
    let material = Material::new();
    let key = Arc::new(Key::of(&material, "p256"));
    let signing = Arc::clone(&key);
    let agent = FakeAgent::start(&key.blob, move |message, _| signed(&signing.sign(message)));
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let more = ["--jwt-key", "agent:work", "--agent-socket", &agent.socket];
    login(&machine, &server, &more).success();
    for _ in 0..3 {
        assert_eq!(machine.run(&["token"]).token(), "token-1");
    }
    machine.run(&["status"]).success();
    assert_eq!(agent.signed.load(std::sync::atomic::Ordering::SeqCst), 1);
    // The socket stays in the settings: cron and systemd know of no SSH_AUTH_SOCK.
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
    let status = machine.run(&["status"]).success().stdout;
    for expected in ["key in the ssh-agent: work, SHA256:", &agent.socket] {
        assert!(status.contains(expected), "{status}");
    }
}

#[test]
fn the_environment_describes_a_key_in_an_agent() {
    let material = Material::new();
    let agent = agent_with_all(&material);
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    machine
        .set("HALLPASS_TOKEN_URL", &server.url("/token"))
        .set("HALLPASS_CLIENT_ID", "c")
        .set("HALLPASS_AGENT_SOCKET", &agent.socket)
        .set("HALLPASS_JWT_KEY", "agent:a comment");
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    verify(
        &server.requests(),
        &material.argument("ed25519.pub"),
        "EdDSA",
    );
    // A token of one key is not given to another.
    let p384 = format!("agent:{}", material.argument("p384.pem"));
    machine.set("HALLPASS_JWT_KEY", &p384);
    assert_eq!(machine.run(&["token"]).token(), "token-2");
    machine.set("HALLPASS_JWT_KEY", "agent:");
    let ran = machine.run(&["token"]).failure(2);
    assert!(ran.stderr.contains("names no key"), "{ran:?}");
    machine.set("HALLPASS_JWT_KEY", "agent:nobody");
    let ran = machine.run(&["token"]).failure(6);
    assert!(ran.stderr.contains("a comment"), "what is there: {ran:?}");
}

#[test]
fn the_keys_that_can_sign_are_listed() {
    let material = Material::new();
    let agent = agent_with_all(&material);
    let mut machine = Machine::new();
    machine.set("SSH_AUTH_SOCK", &agent.socket);
    let list = machine.run(&["login", "--jwt-key", "agent:"]).success();
    let lines: Vec<_> = list.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{list:?}");
    for (line, fingerprint) in lines.iter().zip(agent.fingerprints()) {
        assert!(line.starts_with(&fingerprint), "{line}");
    }
    assert!(lines[3].ends_with("ssh-ed25519 a comment"), "{list:?}");
    assert_eq!(
        machine.run(&["login", "--key", "agent:"]).success().stdout,
        list.stdout
    );
    assert!(machine.files().is_empty());
}
