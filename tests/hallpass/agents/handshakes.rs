//! Client certificates whose keys are in an agent.

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::fake::{FakeAgent, Key, Response, signed};
use super::login;
use super::signatures::agent_with_all;
use crate::machine::{Machine, numbered_tokens};
use crate::material::Material;
use crate::server::Server;
use crate::tls::self_signed_client_certificate;

/// Writes a certificate of the test's authority for each of the client's keys.
fn certify(material: &Material) {
    for name in ["rsa", "p256", "p384", "ed25519"] {
        let key = std::fs::read_to_string(material.path(&format!("{name}.pem"))).expect("a key");
        let certificate = material
            .authority()
            .client_certificate("client.example", &key);
        material.write(&format!("{name}.crt"), &certificate);
    }
}

fn server(material: &Material, versions: &[&'static SupportedProtocolVersion]) -> Server {
    let here = ["127.0.0.1"];
    let identity = material
        .authority()
        .identity_for_known_clients_with(&here, versions);
    Server::start_tls(&identity, numbered_tokens())
}

#[test]
fn a_certificate_whose_key_is_in_an_agent_authenticates_the_client() {
    let material = Material::new();
    certify(&material);
    let agent = agent_with_all(&material);
    let rsa_in_tls_1_2: &[&str] = &["--tls-max", "1.2"];
    for (name, versions, more) in [
        ("p256", &[&TLS13][..], &[][..]),
        ("p256", &[&TLS12], &[]),
        ("p384", &[&TLS13], &[]),
        ("p384", &[&TLS12], &[]),
        ("ed25519", &[&TLS13], &[]),
        ("ed25519", &[&TLS12], &[]),
        ("rsa", &[&TLS12], rsa_in_tls_1_2),
        // The profile decides, where the server has both.
        ("rsa", &[&TLS13, &TLS12], rsa_in_tls_1_2),
    ] {
        let server = server(&material, versions);
        let mut machine = Machine::new();
        machine.set("SSH_AUTH_SOCK", &agent.socket);
        let key = match name {
            "ed25519" => "agent:a comment".to_owned(),
            name => format!("agent:{}", material.argument(&format!("{name}.pem"))),
        };
        let certificate = material.argument(&format!("{name}.crt"));
        let ca = material.argument("ca.crt");
        let arguments = ["--cert", &certificate, "--key", &key, "--ca-file", &ca];
        login(&machine, &server, &[&arguments[..], more].concat()).success();
        assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
        let form = server.requests()[1].form();
        assert!(form.iter().any(|(name, _)| name == "client_id"), "{form:?}");
    }
}

#[test]
fn an_rsa_key_in_an_agent_is_refused_for_tls_1_3() {
    let material = Material::new();
    certify(&material);
    let agent = agent_with_all(&material);
    let server = server(&material, &[&TLS13, &TLS12]);
    let mut machine = Machine::new();
    machine.set("SSH_AUTH_SOCK", &agent.socket);
    let key = format!("agent:{}", material.argument("rsa.pem"));
    let (certificate, ca) = (material.argument("rsa.crt"), material.argument("ca.crt"));
    let arguments = ["--cert", &certificate, "--key", &key, "--ca-file", &ca];
    for more in [&[][..], &["--no-verify"], &["--tls-max", "1.3"]] {
        let ran = login(&machine, &server, &[&arguments[..], more].concat()).failure(2);
        for expected in ["TLS 1.3", "PSS", "--tls-max 1.2"] {
            assert!(ran.stderr.contains(expected), "{ran:?}");
        }
    }
    assert_eq!(server.connections(), 0);
    assert!(machine.files().is_empty());
}

#[test]
fn a_certificate_may_accompany_an_assertion_or_a_secret() {
    let material = Material::new();
    certify(&material);
    let agent = agent_with_all(&material);
    let server = server(&material, &[&TLS13]);
    let mut machine = Machine::new();
    machine.set("SSH_AUTH_SOCK", &agent.socket);
    let p256 = format!("agent:{}", material.argument("p256.pem"));
    let secret = material.secret("secret", "s3cret");
    let (certificate, ca) = (material.argument("p256.crt"), material.argument("ca.crt"));
    let arguments = ["--cert", &certificate, "--key", &p256, "--ca-file", &ca];
    for (more, parameter) in [
        (&["--jwt-key", "agent:a comment"][..], "client_assertion"),
        (
            &["--auth", "client_secret_post", "--secret-file", &secret],
            "client_secret",
        ),
    ] {
        login(&machine, &server, &[&arguments[..], more].concat()).success();
        machine.run(&["token", "--refresh"]).token();
        let form = server.requests().pop().expect("a request").form();
        assert!(form.iter().any(|(name, _)| name == parameter), "{form:?}");
        let status = machine.run(&["status"]).success().stdout;
        assert!(status.contains("certificate key"), "{status}");
        machine.run(&["logout"]).success();
    }
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn the_environment_describes_a_certificate_with_a_key_in_an_agent() {
    let material = Material::new();
    certify(&material);
    let agent = agent_with_all(&material);
    let server = server(&material, &[&TLS13, &TLS12]);
    let mut machine = Machine::new();
    machine
        .set("HALLPASS_AGENT_SOCKET", &agent.socket)
        .set("HALLPASS_TOKEN_URL", &server.url("/token"))
        .set("HALLPASS_CLIENT_ID", "c")
        .set("HALLPASS_CA_FILE", &material.argument("ca.crt"))
        .set("HALLPASS_CERT", &material.argument("ed25519.crt"))
        .set("HALLPASS_KEY", "agent:a comment");
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    let rsa = format!("agent:{}", material.argument("rsa.pem"));
    machine
        .set("HALLPASS_CERT", &material.argument("rsa.crt"))
        .set("HALLPASS_KEY", &rsa);
    let ran = machine.run(&["token"]).failure(2);
    assert!(ran.stderr.contains("HALLPASS_TLS_MAX"), "{ran:?}");
    machine.set("HALLPASS_TLS_MAX", "1.2");
    assert_eq!(machine.run(&["token"]).token(), "token-2");
}

#[test]
fn a_handshake_that_is_not_signed_sends_no_request_and_says_why() {
    type Sign = fn(&Key, &[u8]) -> Response;
    let rows: [(Sign, &str); 3] = [
        (
            |key, _| signed(&key.sign(b"other")),
            "is not one of the key",
        ),
        (|_, _| Response::Message(vec![5]), "refused to sign"),
        (|_, _| Response::Hang, "did not answer within 1 s"),
    ];
    let material = Material::new();
    certify(&material);
    let key = Arc::new(Key::of(&material, "p256"));
    let (certificate, ca) = (material.argument("p256.crt"), material.argument("ca.crt"));
    for (sign, expected) in rows {
        for version in [&TLS12, &TLS13] {
            let server = server(&material, &[version]);
            let signing = Arc::clone(&key);
            let agent = FakeAgent::start(&key.blob, move |message, _| sign(&signing, message));
            let mut machine = Machine::new();
            machine
                .set("SSH_AUTH_SOCK", &agent.socket)
                .set("HALLPASS_KEYCHAIN_TIMEOUT", "1");
            let arguments = [
                "--cert",
                &certificate,
                "--key",
                "agent:work",
                "--ca-file",
                &ca,
            ];
            let ran = login(&machine, &server, &arguments).failure(6);
            assert!(ran.stderr.contains(expected), "{expected}: {ran:?}");
            assert!(server.requests().is_empty());
            assert_eq!(server.bytes_received(), 0, "nothing was sent");
            assert_eq!(agent.signed.load(std::sync::atomic::Ordering::SeqCst), 1);
        }
    }
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let material = Material::new();
    certify(&material);
    let agent = agent_with_all(&material);
    let server = server(&material, &[&TLS13]);
    let mut machine = Machine::new();
    machine.set("SSH_AUTH_SOCK", &agent.socket);
    let other = std::fs::read_to_string(material.path("other-p256.pem")).expect("a key");
    let other = self_signed_client_certificate("client.example", &other);
    material.write("other.crt", &other);
    let (certificate, ca) = (material.argument("other.crt"), material.argument("ca.crt"));
    let arguments = [
        "--cert",
        &certificate,
        "--key",
        "agent:a comment",
        "--ca-file",
        &ca,
    ];
    let ran = login(&machine, &server, &arguments).failure(6);
    assert!(ran.stderr.contains("cannot use the certificate"), "{ran:?}");
    assert_eq!(server.connections(), 0);
}
