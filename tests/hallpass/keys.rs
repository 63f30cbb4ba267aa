//! Private keys as people have them: what hallpass reads, and what it says about everything else.

use serde_json::{Value, json};

use crate::machine::{CLIENT_ID, Machine, Ran, numbered_tokens};
use crate::material::{Material, PASSPHRASE, openssl};
use crate::server::{Reply, Request, Server};

fn login(machine: &Machine, server: &Server, key: &str, more: &[&str]) -> Ran {
    let url = server.url("/token");
    let mut arguments = vec!["login", "p", "--token-url", &url, "--client-id", CLIENT_ID];
    arguments.extend(["--auth", "private_key_jwt", "--jwt-key", key]);
    arguments.extend(more);
    machine.run(&arguments)
}

/// The header of a request's assertion.
fn header(request: &Request) -> Value {
    use base64::Engine as _;
    let form = request.form();
    let assertion = form.iter().find(|(name, _)| name == "client_assertion");
    let (_, assertion) = assertion.expect("an assertion");
    let header = assertion.split('.').next().expect("a header");
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header);
    serde_json::from_slice(&header.expect("base64")).expect("JSON")
}

#[test]
fn an_unsupported_encryption_has_a_hint_that_keeps_the_key_encrypted() {
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    let source = material.argument("rsa.pem");
    let passphrase = format!("pass:{PASSPHRASE}");
    let secret = material.secret("passphrase", PASSPHRASE);
    let rows: [(&str, &[&str]); 4] = [
        ("traditional", &["rsa", "-traditional", "-aes128"]),
        ("triple-des", &["pkcs8", "-topk8", "-v2", "des3"]),
        ("pbes1", &["pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES"]),
        (
            "sha1",
            &[
                "pkcs8",
                "-topk8",
                "-v2",
                "aes-256-cbc",
                "-v2prf",
                "hmacWithSHA1",
            ],
        ),
    ];
    for (name, command) in rows {
        let arguments = [command, &["-in", &source, "-passout", &passphrase]].concat();
        material.write(name, &openssl(&arguments));
        let machine = Machine::new();
        let more = ["--jwt-alg", "RS256", "--secret-file", &secret];
        let ran = login(&machine, &server, &material.argument(name), &more).failure(6);
        assert!(
            ran.stderr
                .contains("encrypted in a way that is not supported"),
            "{ran:?}"
        );
        assert!(!ran.stderr.contains("nocrypt"), "{ran:?}");
        // The command in the hint works.
        let hint = "openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW";
        assert!(ran.stderr.contains(hint), "{ran:?}");
        let (old, new) = (material.argument(name), material.argument("new"));
        let converted = hint.replace("FILE", &old).replace("NEW", &new);
        let mut converted: Vec<_> = converted.split(' ').skip(1).collect();
        converted.extend(["-passin", &passphrase, "-passout", &passphrase]);
        openssl(&converted);
        material.write("new", &std::fs::read_to_string(&new).expect("a key"));
        login(&machine, &server, &new, &more).success();
        assert_eq!(machine.run(&["logout"]).code, 0);
    }
    assert_eq!(server.requests().len(), rows.len());
}

#[test]
fn what_is_not_a_private_key_is_called_what_it_is() {
    let material = Material::new();
    let path = |name: &str| material.argument(name);
    let bytes = |arguments: &[&str], name: &str| {
        openssl(&[arguments, &["-out", &path(name)]].concat());
        std::fs::read(path(name)).expect("a file")
    };
    let (rsa, tls) = (path("rsa.pem"), path("tls.pem"));
    let request = openssl(&["req", "-new", "-key", &rsa, "-subj", "/CN=client.example"]);
    let certificate = std::fs::read(path("tls.crt")).expect("a certificate");
    let public = std::fs::read(path("rsa.pub")).expect("a public key");
    let pkcs12 = bytes(
        &[
            "pkcs12",
            "-export",
            "-in",
            &path("tls.crt"),
            "-inkey",
            &tls,
            "-passout",
            "pass:x",
        ],
        "a.p12",
    );
    let der = bytes(
        &[
            "pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", &rsa,
        ],
        "a.der",
    );
    let public_der = bytes(
        &["pkey", "-pubout", "-outform", "DER", "-in", &rsa],
        "a.pub.der",
    );
    let pgp =
        b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQ==\n-----END PGP PRIVATE KEY BLOCK-----\n";
    let openssh = b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n";
    let utf16: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(b"-\0-\0".iter().copied())
        .collect();
    check_each(&[
        (
            &public,
            "is a public key",
            "the private key that belongs to it",
        ),
        (
            b"ssh-ed25519 AAAA me@host",
            "is a public key",
            "the private key that belongs to it",
        ),
        (
            &certificate,
            "is a certificate",
            "the private key that belongs to it",
        ),
        (
            request.as_bytes(),
            "is a certificate request",
            "the private key that belongs to it",
        ),
        (openssh, "is an OpenSSH key", "ssh-keygen -p -m PKCS8"),
        (pgp, "is an OpenPGP key", ""),
        (
            b"PuTTY-User-Key-File-3: ssh-rsa\n",
            "is a PuTTY key",
            "PuTTYgen",
        ),
        (
            &pkcs12,
            "is a PKCS #12 file",
            "openssl pkcs12 -in FILE -nocerts -aes256 -out NEW",
        ),
        (&der, "is DER, not PEM", "openssl pkey -inform DER"),
        (&public_der, "is DER, and neither", ""),
        (&utf16, "is UTF-16 text", "UTF-8"),
        (b"{\"keys\":[]}", "is a set of JWKs", ""),
        (
            b"{\"type\":\"service_account\"}",
            "is JSON, but not a JWK",
            "",
        ),
        (
            b"{\"kty\":\"oct\",\"k\":\"AA\"}",
            "is a secret for HMAC",
            "",
        ),
        (
            b"{\"kty\":\"EC\",\"crv\":\"P-521\",\"d\":\"AA\"}",
            "is on a curve that is not",
            "",
        ),
        (
            b"{\"kty\":\"RSA\",\"n\":\"AA\",\"e\":\"AQAB\",\"d\":\"AA\"}",
            "without its primes",
            "",
        ),
    ]);
}

/// Runs a program that must succeed.
fn run(command: &[&str]) {
    let output = std::process::Command::new(command[0])
        .args(&command[1..])
        .stdin(std::process::Stdio::null())
        .output()
        .expect("openssl and openssh-client");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

#[test]
fn the_commands_in_the_hints_work_and_keep_the_key_encrypted() {
    const WORD: &str = "a passphrase";
    let material = Material::new();
    let path = |name: &str| material.argument(name);
    let given = format!("pass:{WORD}");
    let (certificate, key) = (path("tls.crt"), path("tls.pem"));
    let from_pair = ["-in", &certificate, "-inkey", &key, "-passout", &given];
    let export = [&["openssl", "pkcs12", "-export"], &from_pair[..]].concat();
    let der = ["-outform", "DER", "-in", &key];
    let openssh = ["ssh-keygen", "-q", "-N", WORD, "-t"];
    let passphrases: &[&str] = &["-passin", &given, "-passout", &given];
    let written = passphrases.get(2..).expect("two words");
    let changed: &[&str] = &["-q", "-P", WORD, "-N", WORD];
    let rows: [(&str, Vec<&str>, &str, &[&str]); 6] = [
        ("pkcs12", export.clone(), "-out", passphrases),
        (
            "pkcs12-of-openssl-1",
            [&export[..], &["-legacy"]].concat(),
            "-out",
            &[passphrases, &["-legacy"]].concat(),
        ),
        (
            "der",
            [&["openssl", "pkey"], &der[..]].concat(),
            "-out",
            written,
        ),
        (
            "encrypted-der",
            [
                &["openssl", "pkcs8", "-topk8", "-passout", &given],
                &der[..],
            ]
            .concat(),
            "-out",
            passphrases,
        ),
        (
            "openssh-rsa",
            [&openssh[..], &["rsa"]].concat(),
            "-f",
            changed,
        ),
        (
            "openssh-ecdsa",
            [&openssh[..], &["ecdsa"]].concat(),
            "-f",
            changed,
        ),
    ];
    let secret = material.secret("passphrase", WORD);
    let server = Server::start(numbered_tokens());
    for (name, make, output, more) in rows {
        let (old, new) = (path(name), path(&format!("{name}.new")));
        run(&[&make[..], &[output, &old]].concat());
        let machine = Machine::new();
        let method = ["--secret-file", &secret];
        let ran = login(&machine, &server, &old, &method).failure(6);
        let hint = ran
            .stderr
            .lines()
            .find(|line| line.contains("hint: convert"));
        let (_, command) = hint
            .and_then(|hint| hint.rsplit_once(": "))
            .expect("a hint");
        let command = command.split(" (").next().unwrap_or_default();
        let words = command.split(' ').map(|word| match word {
            "FILE" | "COPY" => old.as_str(),
            "NEW" => new.as_str(),
            word => word,
        });
        run(&words.chain(more.iter().copied()).collect::<Vec<_>>());
        // ssh-keygen changes the file itself.
        let new = if command.contains("COPY") { old } else { new };
        let text = std::fs::read_to_string(&new).expect("a key");
        assert!(
            text.contains("BEGIN ENCRYPTED PRIVATE KEY"),
            "{name}: {text}"
        );
        let algorithm = if name == "openssh-ecdsa" {
            "ES256"
        } else {
            "RS256"
        };
        let method = [&method[..], &["--jwt-alg", algorithm]].concat();
        login(&machine, &server, &new, &method).success();
    }
    assert_eq!(server.requests().len(), 6);
}

/// A file that is given as a private key, its error message, and its hint.
fn check_each(rows: &[(&[u8], &str, &str)]) {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    for (content, message, hint) in rows {
        let file = machine.private_file("given", content);
        let ran = login(&machine, &server, file.to_str().expect("UTF-8"), &[]).failure(6);
        assert!(ran.stderr.contains(message), "{message}: {ran:?}");
        assert!(ran.stderr.contains(hint), "{hint}: {ran:?}");
        assert!(!ran.stderr.contains("nocrypt"), "{ran:?}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn keys_that_cannot_sign_have_different_errors() {
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    for (arguments, message) in [
        (
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"][..],
            "the curve P-521",
        ),
        (
            &[
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:secp256k1",
            ],
            "secp256k1",
        ),
        (&["-algorithm", "ED448"], "Ed448"),
        (&["-algorithm", "X25519"], "cannot sign"),
        (
            &["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"],
            "for PSS only",
        ),
        (
            &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
            "fewer than 2048 bits",
        ),
    ] {
        material.write("given", &openssl(&[&["genpkey"], arguments].concat()));
        let ran = login(&machine, &server, &material.argument("given"), &[]).failure(6);
        assert!(ran.stderr.contains(message), "{message}: {ran:?}");
        assert!(ran.stderr.contains("P-256 or P-384"), "{ran:?}");
        assert!(
            !ran.stderr.contains("refused"),
            "no server was asked: {ran:?}"
        );
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_jwk_names_itself_and_its_algorithm_unless_the_user_does() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let key = json!({
        "kty": "OKP", "crv": "Ed25519", "kid": "key-2026-1", "alg": "EdDSA",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    let file = |key: &Value| {
        let file = machine.private_file("key.jwk", key.to_string().as_bytes());
        file.to_str().expect("UTF-8").to_owned()
    };
    let path = file(&key);
    login(&machine, &server, &path, &[]).success();
    login(&machine, &server, &path, &["--jwt-kid", "mine"]).success();
    let headers: Vec<_> = server.requests().iter().map(header).collect();
    assert_eq!(headers[0]["kid"], "key-2026-1");
    assert_eq!(headers[0]["alg"], "EdDSA");
    assert_eq!(headers[1]["kid"], "mine");
    // A key that is replaced brings its own name.
    login(&Machine::new(), &server, &path, &[]).success();
    let machine_two = Machine::new();
    login(&machine_two, &server, &path, &[]).success();
    let mut next = key.clone();
    next["kid"] = "key-2026-2".into();
    file(&next);
    machine_two.run(&["token"]).success();
    let last = server.requests().last().map(header).expect("a request");
    assert_eq!(last["kid"], "key-2026-2");
}

#[test]
fn an_rsa_jwk_says_how_it_signs() {
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let name = material.convert("rsa", crate::material::Form::Jwk);
    let jwk = std::fs::read(material.path(&name)).expect("a JWK");
    let mut jwk: Value = serde_json::from_slice(&jwk).expect("JSON");
    for (stated, more, expected) in [
        ("PS384", &[][..], "PS384"),
        ("RS512", &[], "RS512"),
        ("PS384", &["--jwt-alg", "RS256"], "RS256"),
    ] {
        jwk["alg"] = stated.into();
        material.write("given.jwk", &jwk.to_string());
        let machine_here = Machine::new();
        login(
            &machine_here,
            &server,
            &material.argument("given.jwk"),
            more,
        )
        .success();
        let last = server.requests().last().map(header).expect("a request");
        assert_eq!(last["alg"], expected);
    }
    // One that says what is not for signatures has no say.
    jwk["alg"] = "RSA-OAEP".into();
    material.write("given.jwk", &jwk.to_string());
    let ran = login(&machine, &server, &material.argument("given.jwk"), &[]).failure(2);
    assert!(ran.stderr.contains("--jwt-alg"), "{ran:?}");
}

#[test]
fn the_servers_list_decides_how_a_key_signs() {
    for (listed, expected) in [
        (&["RS384", "ES384"][..], "RS384"),
        (&["HS256", "PS512", "RS256"], "PS512"),
        (&["none", "RS256", "PS256"], "RS256"),
    ] {
        let tokens = numbered_tokens();
        let server = Server::start(move |request| {
            if request.method == "POST" {
                return tokens(request);
            }
            let issuer = format!("http://{}", request.header("host").unwrap_or_default());
            let metadata = json!({
                "issuer": issuer,
                "token_endpoint": format!("{issuer}/token"),
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": listed,
            });
            Reply::json(200, metadata.to_string())
        });
        let material = Material::new();
        let machine = Machine::new();
        let url = server.url("");
        let key = material.argument("rsa.pem");
        let arguments = [
            "login",
            "--issuer",
            &url,
            "--client-id",
            CLIENT_ID,
            "--jwt-key",
            &key,
        ];
        machine.run(&arguments).success();
        let last = server.requests().last().map(header).expect("a request");
        assert_eq!(last["alg"], expected, "{listed:?}");
        let key = material.argument("p384.pem");
        let arguments = [
            "login",
            "--issuer",
            &url,
            "--client-id",
            CLIENT_ID,
            "--jwt-key",
            &key,
        ];
        machine.run(&arguments).success();
        let last = server.requests().last().map(header).expect("a request");
        assert_eq!(
            last["alg"], "ES384",
            "a key with one algorithm needs no list"
        );
    }
}
