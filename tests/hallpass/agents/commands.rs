//! Commands that sign: what they may print, and tools of hardware.

use std::fs;

use super::programs::{PIN, SOFTHSM, Token, Tpm, installed};
use super::{login, verify};
use crate::machine::{Machine, Ran, numbered_tokens};
use crate::material::{Material, openssl};
use crate::real_servers::{OIDC_PROVIDER, RealServer};
use crate::server::Server;

/// A login with a command that signs.
fn login_with(machine: &Machine, server: &Server, command: &str, public: &str, alg: &str) -> Ran {
    let more = ["--jwt-sign-command", command, "--jwt-public", public];
    login(machine, server, &[&more[..], &["--jwt-alg", alg]].concat())
}

#[test]
fn a_command_may_print_its_signature_in_any_usual_encoding() {
    let material = Material::new();
    let of = |name: &str| material.argument(name);
    let sign = |hash: &str, key: &str| format!("openssl dgst -{hash} -sign '{}'", of(key));
    let pss = |hash: &str| {
        format!(
            "{} -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1",
            sign(hash, "rsa.pem")
        )
    };
    let ed25519 = format!(
        "!f=$(mktemp) && cat >$f && openssl pkeyutl -sign -rawin -inkey '{}' -in $f; rm $f",
        of("ed25519.pem")
    );
    let base64 = |command: String, more: &str| format!("!{command} | base64 {more}");
    let rows = [
        (sign("sha256", "rsa.pem"), "rsa.pub", "RS256"),
        (sign("sha384", "rsa.pem"), "rsa.pub", "RS384"),
        (sign("sha512", "rsa.pem"), "rsa.pub", "RS512"),
        (pss("sha256"), "rsa.pub", "PS256"),
        (pss("sha384"), "rsa.pub", "PS384"),
        (pss("sha512"), "rsa.pub", "PS512"),
        // ECDSA in DER.
        (sign("sha256", "p256.pem"), "p256.pub", "ES256"),
        (sign("sha384", "p384.pem"), "p384.pub", "ES384"),
        (ed25519.clone(), "ed25519.pub", "EdDSA"),
        // Base64 in several lines, in one, and in the alphabet of URLs without padding.
        (base64(sign("sha256", "rsa.pem"), ""), "rsa.pub", "RS256"),
        (
            base64(sign("sha256", "p256.pem"), "-w0"),
            "p256.pub",
            "ES256",
        ),
        (
            base64(sign("sha384", "p384.pem"), "-w0 | tr '/+' '_-' | tr -d '='"),
            "p384.pub",
            "ES384",
        ),
        // The public key of a certificate.
        (sign("sha256", "tls.pem"), "tls.crt", "RS256"),
    ];
    for (command, public, algorithm) in rows {
        let server = Server::start(numbered_tokens());
        let machine = Machine::new();
        let ran = login_with(&machine, &server, &command, &of(public), algorithm).success();
        assert!(ran.stderr.contains("sign command"), "{ran:?}");
        assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
        let public = of(public).replace("tls.crt", "rsa.pub");
        let headers = verify(&server.requests(), &public, algorithm);
        assert!(
            headers.iter().all(|it| it["alg"] == algorithm),
            "{headers:?}"
        );
    }
}

#[test]
fn an_rsa_signature_may_have_any_number_of_leading_zeros() {
    let material = Material::new();
    let (key, public) = (material.argument("odd.pem"), material.argument("odd.pub"));
    // Most signatures of a modulus with one bit in its first byte start with a zero.
    openssl(&["genrsa", "-out", &key, "2049"]);
    openssl(&["rsa", "-in", &key, "-pubout", "-out", &public]);
    let sign = format!("openssl dgst -sha256 -sign '{key}'");
    let without_zero = format!(
        "f=$(mktemp); {sign} >$f; \
         case $(head -c 1 $f | od -An -tx1) in *00) tail -c +2 $f ;; *) cat $f ;; esac; rm $f"
    );
    for command in [
        format!("!{sign}"),
        format!("!{without_zero}"),
        format!("!{{ {without_zero}; }} | base64"),
        format!("!printf '\\0\\0'; {sign}"),
    ] {
        let server = Server::start(numbered_tokens());
        let machine = Machine::new();
        login_with(&machine, &server, &command, &public, "RS256").success();
        for _ in 0..20 {
            machine.run(&["token", "--refresh"]).token();
        }
        verify(&server.requests(), &public, "RS256");
    }
}

#[test]
fn the_public_key_is_recorded_at_the_login_and_its_file_is_not_needed_again() {
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let command = format!(
        "openssl dgst -sha256 -sign '{}'",
        material.argument("p256.pem")
    );
    let public = material.argument("p256.pub");
    login_with(&machine, &server, &command, &public, "ES256").success();
    fs::remove_file(&public).expect("a file");
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
    // A later login keeps the key, too.
    machine.run(&["login", "p", "--scope", "a"]).success();
    let status = machine.run(&["status"]).success().stdout;
    assert!(status.contains("sign command openssl dgst"), "{status}");
}

#[test]
fn a_signature_that_is_not_the_keys_is_never_sent() {
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    let (public, sign) = (material.argument("p256.pub"), |key: &str| {
        format!("openssl dgst -sha256 -sign '{}'", material.argument(key))
    });
    let rows = [
        (sign("other-p256.pem"), "is not one of the key"),
        (sign("p384.pem"), "is not one of the key"),
        ("true".to_owned(), "is not one of the key"),
        ("printf 0123".to_owned(), "is not one of the key"),
        (
            "!head -c 64 /dev/urandom".to_owned(),
            "is not one of the key",
        ),
        ("!head -c 70000 /dev/zero".to_owned(), "more than 64 KiB"),
        (
            "!echo the HSM is sealed >&2; exit 3".to_owned(),
            "the HSM is sealed",
        ),
        ("no-such-tool".to_owned(), "is not in PATH"),
        // It signs something else.
        (
            format!("!echo x | {}", sign("p256.pem")),
            "is not one of the key",
        ),
    ];
    for (command, expected) in rows {
        let machine = Machine::new();
        let ran = login_with(&machine, &server, &command, &public, "ES256").failure(6);
        assert!(ran.stderr.contains(expected), "{command}: {ran:?}");
        assert!(ran.stderr.contains("sign"), "{command}: {ran:?}");
        assert!(machine.files().is_empty(), "{command}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_command_that_hangs_is_ended_with_what_it_started() {
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "1");
    let started = machine.root().join("started");
    let command = format!("!echo $$ >'{}'; sleep 1000 & sleep 1000", started.display());
    let public = material.argument("p256.pub");
    let ran = login_with(&machine, &server, &command, &public, "ES256").failure(6);
    assert!(ran.stderr.contains("did not finish within 1 s"), "{ran:?}");
    let process = fs::read_to_string(started).expect("a process ID");
    let is_there = fs::exists(format!("/proc/{}", process.trim())).expect("an answer");
    assert!(!is_there, "the command was not ended");
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_command_gets_no_secret_and_does_not_run_in_the_callers_directory() {
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    machine.set("HALLPASS_CLIENT_SECRET", "s3cret");
    let seen = machine.root().join("seen");
    let key = material.argument("p256.pem");
    let command = format!(
        "!{{ pwd; env; }} >>'{}'; openssl dgst -sha256 -sign '{key}'",
        seen.display()
    );
    let public = material.argument("p256.pub");
    login_with(&machine, &server, &command, &public, "ES256").success();
    let seen = fs::read_to_string(seen).expect("what the command saw");
    let home = machine.home();
    assert_eq!(seen.lines().next(), home.to_str());
    assert!(!seen.contains("s3cret"), "{seen}");
}

#[test]
fn options_that_do_not_fit_a_sign_command_are_refused() {
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let public = material.argument("p256.pub");
    let secret = material.secret("secret", "s3cret");
    let rows: [(&[&str], i32, &str); 6] = [
        (&["--jwt-sign-command", "true"], 2, "--jwt-public"),
        (&["--jwt-public", &public], 2, "--jwt-sign-command"),
        (
            &[
                "--jwt-sign-command",
                "true",
                "--jwt-public",
                &public,
                "--secret-file",
                &secret,
            ],
            2,
            "needs no secret",
        ),
        (
            &["--jwt-sign-command", "true", "--jwt-public", &secret],
            6,
            "has no PEM public key or certificate",
        ),
        (
            &[
                "--jwt-sign-command",
                "true",
                "--jwt-public",
                "/no/such/file",
            ],
            6,
            "cannot read the public key",
        ),
        (
            &[
                "--jwt-sign-command",
                "true",
                "--jwt-public",
                &public,
                "--jwt-alg",
                "RS256",
            ],
            2,
            "cannot sign with RS256",
        ),
    ];
    for (arguments, code, expected) in rows {
        let ran = login(&machine, &server, arguments).failure(code);
        assert!(ran.stderr.contains(expected), "{expected}: {ran:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn the_environment_describes_a_sign_command() {
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    let public = material.argument("p256.pub");
    let command = format!(
        "openssl dgst -sha256 -sign {}",
        material.argument("p256.pem")
    );
    machine
        .set("HALLPASS_TOKEN_URL", &server.url("/token"))
        .set("HALLPASS_CLIENT_ID", "c")
        .set("HALLPASS_JWT_SIGN_COMMAND", &command);
    let ran = machine.run(&["token"]).failure(2);
    assert!(ran.stderr.contains("HALLPASS_JWT_PUBLIC"), "{ran:?}");
    machine.set("HALLPASS_JWT_PUBLIC", &public);
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    // Another key is another client.
    machine.set("HALLPASS_JWT_PUBLIC", &material.argument("p384.pub"));
    let ran = machine.run(&["token"]).failure(6);
    assert!(ran.stderr.contains("is not one of the key"), "{ran:?}");
    verify(&server.requests(), &public, "ES256");
}

#[test]
fn a_real_server_accepts_what_a_command_signs() {
    let material = Material::new();
    let server = RealServer::start(&OIDC_PROVIDER, "http", &material);
    let machine = Machine::new();
    let issuer = server.issuer().expect("metadata");
    let command = format!(
        "openssl dgst -sha256 -sign '{}'",
        material.argument("p256.pem")
    );
    let public = material.argument("p256.pub");
    let login = ["login", "--issuer", &issuer, "--client-id", "es256-client"];
    let key = ["--jwt-sign-command", &command, "--jwt-public", &public];
    machine.run(&[&login[..], &key].concat()).success();
    machine.run(&["token", "--refresh"]).token();
}

#[test]
fn a_tpm_signs_assertions() {
    if !installed(&["swtpm", "tpm2_sign"]) {
        return;
    }
    let tpm = Tpm::start();
    let mut machine = Machine::new();
    machine.set("TPM2TOOLS_TCTI", &tpm.connection);
    for (address, kind, algorithm, scheme) in [
        ("0x81010001", "rsa2048", "RS256", "rsassa"),
        ("0x81010001", "rsa2048", "PS256", "rsapss"),
        ("0x81010002", "ecc256", "ES256", "ecdsa"),
    ] {
        let public = if algorithm == "PS256" {
            format!("{}/{address}.pem", tpm.path())
        } else {
            tpm.generate(address, kind)
        };
        let server = Server::start(numbered_tokens());
        let command = format!(
            "!f=$(mktemp) && tpm2_sign -Q -c {address} -g sha256 -s {scheme} -f plain -o $f && cat $f; rm $f"
        );
        login_with(&machine, &server, &command, &public, algorithm).success();
        machine.run(&["token", "--refresh"]).token();
        verify(&server.requests(), &public, algorithm);
    }
}

#[test]
fn a_token_behind_pkcs11_tool_signs_assertions() {
    if !installed(&["pkcs11-tool", "softhsm2-util", SOFTHSM]) {
        return;
    }
    let token = Token::new();
    let mut machine = Machine::new();
    machine.set("SOFTHSM2_CONF", &token.configuration);
    token.generate("01", "rsa:2048");
    token.generate("02", "EC:prime256v1");
    token.generate("03", "EC:secp384r1");
    let rsa = token.public("ssh-rsa");
    let p256 = token.public("ecdsa-sha2-nistp256");
    let p384 = token.public("ecdsa-sha2-nistp384");
    let tool = format!("pkcs11-tool --module {SOFTHSM} --login --pin {PIN} --sign");
    // SoftHSM has no mechanism that hashes for ECDSA.
    let hashed = |hash: &str, number: &str, format: &str| {
        format!(
            "!openssl dgst -{hash} -binary | {tool} --mechanism ECDSA --id {number} --signature-format {format}"
        )
    };
    let rsa_with = |mechanism: &str| format!("{tool} --id 01 --mechanism {mechanism}");
    for (command, public, algorithm) in [
        (rsa_with("SHA256-RSA-PKCS"), &rsa, "RS256"),
        (rsa_with("SHA512-RSA-PKCS"), &rsa, "RS512"),
        (rsa_with("SHA256-RSA-PKCS-PSS"), &rsa, "PS256"),
        (hashed("sha256", "02", "rs"), &p256, "ES256"),
        (hashed("sha256", "02", "openssl"), &p256, "ES256"),
        (hashed("sha384", "03", "rs"), &p384, "ES384"),
    ] {
        let server = Server::start(numbered_tokens());
        login_with(&machine, &server, &command, public, algorithm).success();
        machine.run(&["token", "--refresh"]).token();
        verify(&server.requests(), public, algorithm);
    }
}
