//! Every way to prove a client, at every authorization server that knows it, over http and https.
//!
//! The servers are real, and each token is checked by the one that issued it. Assertions are verified by a library
//! that is not hallpass's, too.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::assertions::thumbprint;
use crate::machine::{CLIENT_ID, Machine, Ran, SECRET, numbered_tokens};
use crate::material::{Form, Material, PASSPHRASE, openssl};
use crate::real_servers::{
    AUTHLIB, DJANGO_OAUTH_TOOLKIT, Kind, OIDC_PROVIDER, RealServer, found, python,
};
use crate::secret_service::SecretService;
use crate::server::{Reply, Request, Server};

const NO_FILES: [std::path::PathBuf; 0] = [];

/// The secret of the Python servers' clients: it has what each encoding must get right.
const PYTHON_SECRET: &str = r##"s%cr+t:&=/ "#?~ü"##;
const JWT_SECRET: &str = "a-secret-that-is-long-enough-for-hmac-sha256-ü";

/// One client of a server, and how it authenticates.
struct Row {
    client: &'static str,
    method: &'static str,
    credential: Credential,
    more: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Credential {
    Secret(&'static str),
    /// A private key, signing so.
    Key(&'static str, &'static str),
    /// A certificate and its private key.
    Certificate(&'static str),
}
use Credential::{Certificate, Key, Secret};

const fn row(client: &'static str, method: &'static str, credential: Credential) -> Row {
    let more = &[];
    Row {
        client,
        method,
        credential,
        more,
    }
}

#[test]
fn every_method_of_oidc_provider_works_over_http() {
    authenticate_all(&OIDC_PROVIDER, "http", &OIDC_PROVIDER_ROWS);
}

#[test]
fn every_method_of_oidc_provider_works_over_https() {
    authenticate_all(&OIDC_PROVIDER, "https", &OIDC_PROVIDER_ROWS);
}

#[test]
fn every_tls_method_of_oidc_provider_works() {
    let rows = [
        row("tls-client", "tls_client_auth", Certificate("tls")),
        row(
            "self-signed-client",
            "self_signed_tls_client_auth",
            Certificate("self-signed"),
        ),
    ];
    authenticate_all(&OIDC_PROVIDER, "https", &rows);
}

const OIDC_PROVIDER_ROWS: [Row; 7] = [
    row(
        "basic-client",
        "client_secret_basic",
        Secret(r##"s%cr+t:&=/ "#?~"##),
    ),
    row(
        "post-client",
        "client_secret_post",
        Secret(r##"another-s%cr+t:&=/ "#?~"##),
    ),
    row(
        "jwt-client",
        "client_secret_jwt",
        Secret("a-secret-that-is-long-enough-for-hmac-sha256"),
    ),
    row("rs256-client", "private_key_jwt", Key("rsa", "RS256")),
    row("ps256-client", "private_key_jwt", Key("rsa", "PS256")),
    row("es256-client", "private_key_jwt", Key("p256", "ES256")),
    row("eddsa-client", "private_key_jwt", Key("ed25519", "EdDSA")),
];

#[test]
fn every_method_of_authlib_works_over_http() {
    authenticate_all(&AUTHLIB, "http", &AUTHLIB_ROWS);
}

#[test]
fn every_method_of_authlib_works_over_https() {
    authenticate_all(&AUTHLIB, "https", &AUTHLIB_ROWS);
}

const AUTHLIB_ROWS: [Row; 7] = [
    row("basic:client", "client_secret_basic", Secret(PYTHON_SECRET)),
    row("post:client", "client_secret_post", Secret(PYTHON_SECRET)),
    row("jwt:client", "client_secret_jwt", Secret(JWT_SECRET)),
    row("rs256-client", "private_key_jwt", Key("rsa", "RS256")),
    row("ps256-client", "private_key_jwt", Key("rsa", "PS256")),
    row("es256-client", "private_key_jwt", Key("p256", "ES256")),
    row("eddsa-client", "private_key_jwt", Key("ed25519", "EdDSA")),
];

#[test]
fn every_method_of_django_oauth_toolkit_works_over_http() {
    authenticate_all(&DJANGO_OAUTH_TOOLKIT, "http", &DJANGO_OAUTH_TOOLKIT_ROWS);
}

#[test]
fn every_method_of_django_oauth_toolkit_works_over_https() {
    authenticate_all(&DJANGO_OAUTH_TOOLKIT, "https", &DJANGO_OAUTH_TOOLKIT_ROWS);
}

const DJANGO_OAUTH_TOOLKIT_ROWS: [Row; 3] = [
    row("client:one", "client_secret_basic", Secret(PYTHON_SECRET)),
    row("client:one", "client_secret_post", Secret(PYTHON_SECRET)),
    Row {
        more: &["--body", "json"],
        ..row("client:one", "client_secret_post", Secret(PYTHON_SECRET))
    },
];

/// Fresh, cached, refreshed, with a wrong credential, revoked at logout: for each row.
fn authenticate_all(kind: &'static Kind, scheme: &str, rows: &[Row]) {
    let material = Material::new();
    let server = RealServer::start(kind, scheme, &material);
    for row in rows {
        let machine = Machine::new();
        let name = format!("{} {scheme} {} {}", server.name(), row.client, row.method);

        let ran = login(&machine, &server, &material, row, "other-")
            .run(&machine)
            .failure(4);
        assert!(ran.stderr.contains("invalid_client"), "{name}: {ran:?}");
        assert_eq!(machine.files(), NO_FILES, "{name}");

        let ran = login(&machine, &server, &material, row, "").run(&machine);
        assert!(ran.code == 0 && ran.stdout.is_empty(), "{name}: {ran:?}");
        let before = server.requests();
        let first = machine.run(&["token"]).token();
        assert_eq!(machine.run(&["token"]).token(), first, "{name}");
        assert_eq!(
            server.requests(),
            before,
            "{name}: two cached tokens cost no request"
        );
        let introspected = server.introspect(&first);
        assert_eq!(
            (
                &introspected["active"],
                &introspected["client_id"],
                &introspected["scope"]
            ),
            (&true.into(), &row.client.into(), &"api:read".into()),
            "{name}"
        );
        if let Certificate(file) = row.credential {
            let bound_to = &introspected["cnf"]["x5t#S256"];
            assert_eq!(
                *bound_to,
                thumbprint(&material, &format!("{file}.crt"), "-sha256"),
                "{name}"
            );
        }

        let second = machine.run(&["token", "--refresh"]).token();
        assert_ne!(second, first, "{name}");
        assert_eq!(machine.run(&["token"]).token(), second, "{name}");
        assert_eq!(server.introspect(&second)["active"], true, "{name}");

        let ran = machine.run(&["logout"]).success();
        assert_eq!(ran.stderr.lines().count(), 1, "{name}");
        assert_eq!(server.introspect(&second)["active"], false, "{name}");
        assert_eq!(machine.files(), [machine.config().join("lock")], "{name}");
        machine.run(&["token"]).failure(3);
    }
}

#[test]
fn metadata_choose_the_endpoints_and_the_first_method_that_fits() {
    let material = Material::new();
    let server = RealServer::start(&OIDC_PROVIDER, "https", &material);
    let secret = material.secret("secret", r##"another-s%cr+t:&=/ "#?~"##);
    let [p256, certificate, key] =
        ["p256.pem", "tls.crt", "tls.pem"].map(|name| material.argument(name));
    let rows: [(&str, &[&str], &str, bool); 3] = [
        (
            "post-client",
            &["--secret-file", &secret],
            "client_secret_post",
            false,
        ),
        (
            "es256-client",
            &["--jwt-key", &p256],
            "private_key_jwt",
            false,
        ),
        (
            "tls-client",
            &["--cert", &certificate, "--key", &key],
            "tls_client_auth",
            true,
        ),
    ];
    for (client, more, method, has_alias) in rows {
        let machine = Machine::new();
        let mut arguments = Arguments::login(&server, &material, client);
        arguments.add(more);
        let ran = arguments.run(&machine).success();
        let shown = format!("using {method}, the first of the server's methods that can be used");
        // A key for assertions leaves no choice.
        let has_choice = method != "private_key_jwt";
        assert_eq!(ran.stderr.contains(&shown), has_choice, "{ran:?}");
        let profile = profile(&machine);
        assert_eq!(profile["client_auth"], method);
        let endpoint = &profile["token_endpoint"];
        assert_eq!(
            *endpoint != server.token_endpoint(),
            has_alias,
            "{endpoint}"
        );
        let token = machine.run(&["token"]).token();
        assert_eq!(server.introspect(&token)["client_id"], client);
    }
}

#[test]
fn metadata_choose_how_an_rsa_key_signs() {
    let material = Material::new();
    let key = material.argument("rsa.pem");
    // One lists several algorithms that fit: the first decides.
    for (kind, client) in [(&OIDC_PROVIDER, "rs256-client"), (&AUTHLIB, "ps256-client")] {
        let server = RealServer::start(kind, "http", &material);
        let machine = Machine::new();
        let mut arguments = Arguments(Vec::new());
        let issuer = server.issuer().expect("an issuer");
        arguments.add(&["login", "--issuer", &issuer, "--client-id", client]);
        arguments.add(&["--jwt-key", &key]);
        arguments.run(&machine).success();
        let token = machine.run(&["token"]).token();
        assert_eq!(server.introspect(&token)["client_id"], client);
    }
}

#[test]
fn a_private_key_is_read_in_every_form() {
    let material = Material::new();
    let server = RealServer::start(&AUTHLIB, "http", &material);
    let passphrase = material.secret("passphrase", PASSPHRASE);
    for (key, client, algorithm, form) in [
        ("rsa", "rs256-client", "RS256", Form::Pkcs1),
        ("rsa", "rs256-client", "RS256", Form::Jwk),
        ("rsa", "ps256-client", "PS256", Form::Jwk),
        ("rsa", "rs256-client", "RS256", Form::Encrypted(&[])),
        ("p256", "es256-client", "ES256", Form::Pkcs8),
        ("p256", "es256-client", "ES256", Form::Sec1),
        ("p256", "es256-client", "ES256", Form::Sec1BehindParameters),
        ("p256", "es256-client", "ES256", Form::Jwk),
        (
            "p256",
            "es256-client",
            "ES256",
            Form::Encrypted(&["-v2", "aes-128-cbc"]),
        ),
        (
            "p256",
            "es256-client",
            "ES256",
            Form::Encrypted(&["-scrypt"]),
        ),
        ("ed25519", "eddsa-client", "EdDSA", Form::Pkcs8),
        ("ed25519", "eddsa-client", "EdDSA", Form::Jwk),
        (
            "ed25519",
            "eddsa-client",
            "EdDSA",
            Form::Encrypted(&["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"]),
        ),
    ] {
        let machine = Machine::new();
        let file = material.argument(&material.convert(key, form));
        let mut arguments = Arguments::login(&server, &material, client);
        arguments.add(&["--auth", "private_key_jwt", "--jwt-key", &file]);
        arguments.add_audience(&server);
        if key == "rsa" {
            arguments.add(&["--jwt-alg", algorithm]);
        }
        if matches!(form, Form::Encrypted(_)) {
            arguments.add(&["--secret-file", &passphrase]);
        }
        let ran = arguments.run(&machine);
        assert_eq!(ran.code, 0, "{key} {form:?}: {ran:?}");
        assert_eq!(profile_file(&machine)["assertion"]["algorithm"], algorithm);
        let token = machine.run(&["token"]).token();
        assert_eq!(server.introspect(&token)["client_id"], client);
        assert_kept_nowhere(&machine, &material, key);
    }
}

#[test]
fn a_tls_clients_key_is_read_in_every_form() {
    let material = Material::new();
    let server = RealServer::start(&OIDC_PROVIDER, "https", &material);
    let passphrase = material.secret("passphrase", PASSPHRASE);
    for (name, client, form) in [
        ("tls", "tls-client", Form::Pkcs1),
        ("tls", "tls-client", Form::Encrypted(&[])),
        ("self-signed", "self-signed-client", Form::Sec1),
        (
            "self-signed",
            "self-signed-client",
            Form::Sec1BehindParameters,
        ),
        ("self-signed", "self-signed-client", Form::Encrypted(&[])),
    ] {
        let machine = Machine::new();
        let file = material.argument(&material.convert(name, form));
        let certificate = material.argument(&format!("{name}.crt"));
        let mut arguments = Arguments::login(&server, &material, client);
        arguments.add(&["--cert", &certificate, "--key", &file, "--auth"]);
        arguments.add(&[&format!(
            "{}_auth",
            client
                .replace('-', "_")
                .replace("self_signed_client", "self_signed_tls_client")
        )]);
        if matches!(form, Form::Encrypted(_)) {
            arguments.add(&["--secret-file", &passphrase]);
        }
        let ran = arguments.run(&machine);
        assert_eq!(ran.code, 0, "{name} {form:?}: {ran:?}");
        let token = machine.run(&["token", "--refresh"]).token();
        assert_eq!(server.introspect(&token)["client_id"], client);
    }
}

#[test]
fn a_certificate_goes_with_a_secret_and_with_an_assertion() {
    let material = Material::new();
    let server = RealServer::start(&OIDC_PROVIDER, "https", &material);
    let secret = material.secret("secret", r##"s%cr+t:&=/ "#?~"##);
    let p256 = material.argument("p256.pem");
    let [certificate, key] = ["tls.crt", "tls.pem"].map(|name| material.argument(name));
    let bound_to = thumbprint(&material, "tls.crt", "-sha256");
    let rows: [(&str, &[&str]); 2] = [
        (
            "basic-bound-client",
            &["--auth", "client_secret_basic", "--secret-file", &secret],
        ),
        ("es256-bound-client", &["--jwt-key", &p256]),
    ];
    for (client, more) in rows {
        let machine = Machine::new();
        let mut arguments = Arguments::login(&server, &material, client);
        arguments.add(more);
        // Without the certificate, this server refuses the client.
        arguments.run(&machine).failure(4);
        arguments.add(&["--cert", &certificate, "--key", &key]);
        arguments.run(&machine).success();
        let kept = profile_file(&machine);
        assert_ne!(
            kept["token_endpoint"],
            server.token_endpoint(),
            "the endpoint for clients with a certificate"
        );
        let first = machine.run(&["token"]).token();
        let second = machine.run(&["token", "--refresh"]).token();
        for token in [&first, &second] {
            let introspected = server.introspect(token);
            assert_eq!(introspected["client_id"], client);
            assert_eq!(introspected["cnf"]["x5t#S256"], bound_to);
        }
        machine.run(&["logout"]).success();
        assert_eq!(server.introspect(&second)["active"], false);

        // The same, described by the environment.
        let mut machine = Machine::new();
        for (name, value) in [
            (
                "HALLPASS_TOKEN_URL",
                kept["token_endpoint"].as_str().expect("a URL"),
            ),
            ("HALLPASS_CLIENT_ID", client),
            ("HALLPASS_CA_FILE", &material.argument("ca.crt")),
            ("HALLPASS_CERT", &certificate),
            ("HALLPASS_KEY", &key),
        ] {
            machine.set(name, value);
        }
        if client == "basic-bound-client" {
            machine.set("HALLPASS_AUTH", "client_secret_basic");
            machine.set("HALLPASS_CLIENT_SECRET_FILE", &secret);
        } else {
            machine.set("HALLPASS_JWT_KEY", &p256);
            machine.set("HALLPASS_JWT_AUD", &server.issuer().expect("an issuer"));
        }
        let token = machine.run(&["token"]).token();
        assert_eq!(server.introspect(&token)["cnf"]["x5t#S256"], bound_to);
        assert_eq!(machine.run(&["token"]).token(), token, "it is cached");
    }
}

#[test]
fn another_certificate_is_another_token() {
    let material = Material::new();
    let server = RealServer::start(&OIDC_PROVIDER, "https", &material);
    let machine = Machine::new();
    let row = row("tls-client", "tls_client_auth", Certificate("tls"));
    login(&machine, &server, &material, &row, "")
        .run(&machine)
        .success();
    let first = machine.run(&["token"]).token();
    let before = thumbprint(&material, "tls.crt", "-sha256");
    material.renew_the_tls_client_certificate();
    let second = machine.run(&["token"]).token();
    let after = thumbprint(&material, "tls.crt", "-sha256");
    assert!(first != second && before != after);
    for (token, thumbprint) in [(first, before), (second, after)] {
        assert_eq!(server.introspect(&token)["cnf"]["x5t#S256"], thumbprint);
    }
}

#[test]
fn an_unusable_private_key_is_an_error_and_no_request_is_made() {
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    let source = material.argument("rsa.pem");
    material.write(
        "encrypted-the-old-way",
        &openssl(&[
            "rsa",
            "-traditional",
            "-aes256",
            "-passout",
            "pass:x",
            "-in",
            &source,
        ]),
    );
    material.write(
        "short",
        &openssl(&[
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:1024",
        ]),
    );
    material.write(
        "p521",
        &openssl(&[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-521",
        ]),
    );
    let jwk = std::fs::read_to_string(material.path(&material.convert("p256", Form::Jwk)))
        .expect("a JWK");
    let mut public: Value = serde_json::from_str(&jwk).expect("a JWK");
    public.as_object_mut().expect("members").remove("d");
    let public_pem = std::fs::read_to_string(material.path("rsa.pub")).expect("a public key");
    material.write("public-pem", &public_pem);
    material.write("public-jwk", &public.to_string());
    material.write("nothing", "");
    let encrypted = material.convert("p256", Form::Encrypted(&[]));
    let wrong = material.secret("wrong-passphrase", "wrong");
    let rows: [(&str, &[&str], i32, &str); 11] = [
        ("encrypted-the-old-way", &[], 6, "openssl pkcs8"),
        ("short", &[], 6, "2048 bits"),
        ("p521", &[], 6, "the curve P-521, which is not supported"),
        ("public-pem", &[], 6, "is a public key"),
        ("public-jwk", &[], 6, "is a public key"),
        ("nothing", &[], 6, "neither PEM nor a JWK"),
        ("no-such-file", &[], 3, "does not exist"),
        ("rsa.pem", &["--jwt-alg", "ES256"], 2, "ES256"),
        ("p256.pem", &["--jwt-alg", "RS256"], 2, "RS256"),
        (
            "rsa.pem",
            &[],
            2,
            "can sign with RS256, RS384, RS512, PS256, PS384, PS512",
        ),
        (&encrypted, &["--secret-file", &wrong], 6, "passphrase"),
    ];
    for (name, more, code, message) in rows {
        let machine = Machine::new();
        let mut arguments = Arguments(Vec::new());
        arguments.add(&["login", "--token-url", &server.url("/token")]);
        arguments.add(&["--client-id", CLIENT_ID, "--auth", "private_key_jwt"]);
        arguments.add(&["--jwt-key", &material.argument(name)]);
        arguments.add(more);
        let ran = arguments.run(&machine).failure(code);
        assert!(ran.stderr.contains(message), "{name}: {ran:?}");
        assert_eq!(machine.files(), NO_FILES, "{name}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_certificate_that_does_not_match_its_key_is_refused() {
    let material = Material::new();
    let server = RealServer::start(&OIDC_PROVIDER, "https", &material);
    let before = server.requests();
    material.write(
        "broken.crt",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    for (certificate, key, code, message) in [
        (
            "tls.crt",
            "other-tls.pem",
            6,
            "it does not belong to the private key",
        ),
        (
            "tls.crt",
            "self-signed.pem",
            6,
            "it does not belong to the private key",
        ),
        ("tls.pem", "tls.pem", 6, "cannot use the certificate"),
        ("broken.crt", "tls.pem", 6, "cannot use the certificate"),
        ("no-such-file", "tls.pem", 6, "cannot use the certificate"),
        ("tls.crt", "ca.crt", 6, "is a certificate"),
    ] {
        let machine = Machine::new();
        let mut arguments = Arguments::login(&server, &material, "tls-client");
        let files = [certificate, key].map(|name| material.argument(name));
        arguments.add(&[
            "--auth",
            "tls_client_auth",
            "--cert",
            &files[0],
            "--key",
            &files[1],
        ]);
        let ran = arguments.run(&machine);
        assert_eq!(ran.code, code, "{certificate} {key}: {ran:?}");
        assert!(ran.stderr.contains(message), "{certificate} {key}: {ran:?}");
        assert_eq!(machine.files(), NO_FILES, "{certificate} {key}");
    }
    assert_eq!(server.requests(), before);
}

#[test]
fn a_private_key_from_standard_input_is_only_in_the_keychain() {
    let material = Material::new();
    let server = RealServer::start(&AUTHLIB, "http", &material);
    let keychain = SecretService::start();
    for (form, key, client) in [
        (Form::Pkcs8, "p256", "es256-client"),
        (Form::Jwk, "ed25519", "eddsa-client"),
    ] {
        let machine = Machine::new().with_environment(keychain.environment());
        let content = std::fs::read(material.path(&material.convert(key, form))).expect("a key");
        let mut arguments = Arguments::login(&server, &material, client);
        arguments.add(&["--key-stdin"]);
        arguments.add_audience(&server);
        let ran = arguments.run_with_input(&machine, &content).success();
        assert!(ran.stderr.contains("in the keychain"), "{ran:?}");
        assert_eq!(
            keychain.secret(&[("service", "hallpass")]).as_deref(),
            Some(content.as_slice())
        );
        assert_kept_nowhere(&machine, &material, key);
        let token = machine.run(&["token", "--refresh"]).token();
        assert_eq!(server.introspect(&token)["client_id"], client);
        let status = machine.run(&["status"]).success().stdout;
        assert!(
            status.contains("private_key_jwt") && status.contains("keychain"),
            "{status}"
        );
        machine.run(&["logout"]).success();
        assert!(keychain.is_empty());
        assert_eq!(server.introspect(&token)["active"], false);
    }
}

#[test]
fn a_passphrase_may_be_in_the_keychain() {
    let material = Material::new();
    let server = RealServer::start(&AUTHLIB, "http", &material);
    let keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    let file = material.argument(&material.convert("p256", Form::Encrypted(&[])));
    let mut arguments = Arguments::login(&server, &material, "es256-client");
    arguments.add(&["--jwt-key", &file, "--secret-stdin"]);
    arguments.add_audience(&server);
    let ran = arguments.run_with_input(&machine, b"wrong").failure(6);
    assert!(ran.stderr.contains("passphrase"), "{ran:?}");
    assert!(keychain.is_empty());
    let input = format!("{PASSPHRASE}\n");
    arguments
        .run_with_input(&machine, input.as_bytes())
        .success();
    assert_eq!(
        keychain.secret(&[("service", "hallpass")]).as_deref(),
        Some(PASSPHRASE.as_bytes())
    );
    let token = machine.run(&["token", "--refresh"]).token();
    assert_eq!(server.introspect(&token)["client_id"], "es256-client");
    machine.run(&["logout"]).success();
    assert!(keychain.is_empty());
}

/// A certificate for one of the keys that sign assertions.
fn certificate_for(material: &Material, key: &str) -> String {
    let private = material.argument(&format!("{key}.pem"));
    let certificate = material.argument(&format!("{key}-assertion.crt"));
    let request = ["req", "-x509", "-subj", "/CN=client", "-key", &private];
    openssl(&[&request[..], &["-out", &certificate]].concat());
    certificate
}

#[test]
fn assertions_are_what_the_standards_want() {
    let material = Material::new();
    // The first attempt of each login fails, so that there is a second one.
    let count = AtomicUsize::new(0);
    let tokens = numbered_tokens();
    let server = Server::start(
        move |request| match count.fetch_add(1, Ordering::SeqCst) % 2 {
            0 => Reply::new(503),
            _ => tokens(request),
        },
    );
    let url = server.url("/oauth/token");
    let all: &[&str] = &[
        "--jwt-typ",
        "JWT",
        "--jwt-kid",
        "key 1",
        "--jwt-aud",
        "https://issuer.example/",
    ];
    let rows: [(&str, &str, &[&str]); 12] = [
        ("rsa", "RS256", &["--jwt-alg", "RS256"]),
        ("rsa", "RS384", &["--jwt-alg", "RS384"]),
        ("rsa", "RS512", &["--jwt-alg", "RS512"]),
        ("rsa", "PS256", &["--jwt-alg", "PS256"]),
        ("rsa", "PS384", &["--jwt-alg", "PS384"]),
        ("rsa", "PS512", &["--jwt-alg", "PS512"]),
        ("p256", "ES256", &[]),
        ("p384", "ES384", &[]),
        ("ed25519", "EdDSA", &[]),
        ("p256", "ES256", &["--jwt-aud", "token_endpoint"]),
        ("p256", "ES256", all),
        ("ed25519", "EdDSA", all),
    ];
    let machine = Machine::new();
    let mut lines = String::new();
    for (key, algorithm, more) in rows {
        let before = server.requests().len();
        let mut arguments = Arguments(Vec::new());
        arguments.add(&["login", "--token-url", &url, "--client-id", CLIENT_ID]);
        arguments.add(&["--auth", "private_key_jwt", "--jwt-key"]);
        arguments.add(&[&material.argument(&format!("{key}.pem"))]);
        arguments.add(more);
        if more == all {
            arguments.add(&["--jwt-cert", &certificate_for(&material, key)]);
        }
        arguments.run(&machine).success();
        let requests = server.requests();
        assert_eq!(requests.len(), before + 2);
        for request in &requests[before..] {
            let public = material.argument(&format!("{key}.pub"));
            lines += &[&public, algorithm, &assertion(request)].join(" ");
            lines.push('\n');
        }
    }
    let verified = verified(&lines);
    assert_eq!(verified.len(), 2 * rows.len());
    let mut names = std::collections::BTreeSet::new();
    for (index, assertion) in verified.iter().enumerate() {
        let (key, algorithm, more) = rows[index / 2];
        let (header, claims) = (&assertion["header"], &assertion["claims"]);
        let is_all = more == all;
        let mut expected =
            serde_json::json!({ "alg": algorithm, "typ": "client-authentication+jwt" });
        if is_all {
            expected["typ"] = "JWT".into();
            expected["kid"] = "key 1".into();
            expected["x5t#S256"] =
                thumbprint(&material, &format!("{key}-assertion.crt"), "-sha256").into();
        }
        assert_eq!(*header, expected);
        let audience = if is_all {
            "https://issuer.example/"
        } else {
            &url
        };
        assert_eq!(
            (&claims["iss"], &claims["sub"], &claims["aud"]),
            (&CLIENT_ID.into(), &CLIENT_ID.into(), &audience.into())
        );
        let time = |name: &str| claims[name].as_u64().expect("a number of seconds");
        assert_eq!(time("exp") - time("iat"), 60);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("a time after 1970").as_secs();
        assert!(time("iat") + 5 <= now, "set back a few seconds: {claims}");
        assert!(claims.get("nbf").is_none(), "{claims}");
        assert!(names.insert(claims["jti"].as_str().expect("a text").to_owned()));
        let size = match key {
            "rsa" => 256,
            "p384" => 96,
            _ => 64,
        };
        assert_eq!(assertion["signature_bytes"], size);
    }
    assert!(
        names.iter().all(|name| name.len() >= 22),
        "128 random bits: {names:?}"
    );
}

#[test]
fn credentials_are_sent_as_they_are_to_a_server_that_does_not_decode() {
    use base64::Engine as _;
    let server = Server::start(numbered_tokens());
    for (more, sent) in [
        (
            &["--basic-encoding", "raw"][..],
            "client.one:s3cr%t+w:th/a \"quote\" & = ü",
        ),
        (
            &[],
            "client.one:s3cr%25t%2Bw%3Ath%2Fa%20%22quote%22%20%26%20%3D%20%C3%BC",
        ),
    ] {
        let before = server.requests().len();
        let machine = Machine::new();
        let secret = machine.private_file("secret", SECRET.as_bytes());
        let mut arguments = Arguments(Vec::new());
        arguments.add(&["login", "--token-url", &server.url("/token")]);
        arguments.add(&["--client-id", "client.one", "--secret-file"]);
        arguments.add(&[secret.to_str().expect("a path in UTF-8")]);
        arguments.add(more);
        arguments.run(&machine).success();
        machine.run(&["token", "--refresh"]).token();
        let expected = base64::engine::general_purpose::STANDARD.encode(sent);
        for request in &server.requests()[before..] {
            assert_eq!(
                request.header("Authorization"),
                Some(format!("Basic {expected}").as_str())
            );
        }
    }
}

/// How a row's client logs in. A prefix makes its credentials those of another client: another secret, key or certificate.
fn login(
    machine: &Machine,
    server: &RealServer,
    material: &Material,
    row: &Row,
    prefix: &str,
) -> Arguments {
    let mut arguments = Arguments::login(server, material, row.client);
    arguments.add(&["--scope", "api:read", "--auth", row.method]);
    if row.method.ends_with("_jwt") {
        arguments.add_audience(server);
    }
    arguments.add(row.more);
    let file = |name: &str, end: &str| material.argument(&format!("{prefix}{name}{end}"));
    match row.credential {
        Secret(secret) => {
            let secret = machine.private_file("its-secret", format!("{prefix}{secret}").as_bytes());
            arguments.add(&["--secret-file", secret.to_str().expect("a path in UTF-8")]);
        }
        Key(key, algorithm) => {
            arguments.add(&["--jwt-key", &file(key, ".pem"), "--jwt-alg", algorithm]);
        }
        Certificate(name) => {
            arguments.add(&["--cert", &file(name, ".crt"), "--key", &file(name, ".pem")]);
        }
    }
    arguments
}

/// An argument list in the making.
struct Arguments(Vec<String>);

impl Arguments {
    /// Over https, the server's metadata names its endpoints, if it has any; over http, the command line does.
    fn login(server: &RealServer, material: &Material, client: &str) -> Arguments {
        let mut arguments = Arguments(Vec::new());
        arguments.add(&["login", "--client-id", client]);
        if server.is_https() {
            arguments.add(&["--ca-file", &material.argument("ca.crt")]);
        }
        match server.issuer() {
            Some(issuer) if server.is_https() => arguments.add(&["--issuer", &issuer]),
            _ => {
                arguments.add(&["--token-url", &server.token_endpoint()]);
                arguments.add(&["--revocation-url", &server.revocation_endpoint()]);
            }
        }
        arguments
    }

    /// For methods with an assertion: the audience that every server takes, if no metadata names it.
    fn add_audience(&mut self, server: &RealServer) {
        if let (Some(issuer), false) = (server.issuer(), server.is_https()) {
            self.add(&["--jwt-aud", &issuer]);
        }
    }

    fn add(&mut self, more: &[&str]) {
        self.0.extend(more.iter().map(ToString::to_string));
    }

    fn run(&self, machine: &Machine) -> Ran {
        machine.run(&self.words())
    }

    fn run_with_input(&self, machine: &Machine, input: &[u8]) -> Ran {
        machine.run_with_input(&self.words(), input)
    }

    fn words(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

/// What `status` tells of the only profile.
fn profile(machine: &Machine) -> Value {
    let status = machine.run(&["status", "--json"]).success().stdout;
    let status: Value = serde_json::from_str(&status).expect("JSON");
    status["profiles"][0].clone()
}

/// The only profile as it is kept.
fn profile_file(machine: &Machine) -> Value {
    let content = std::fs::read(machine.config().join("default.json")).expect("a profile");
    serde_json::from_slice(&content).expect("JSON")
}

/// No file of the machine holds the private key, in whatever form.
#[track_caller]
fn assert_kept_nowhere(machine: &Machine, material: &Material, key: &str) {
    let pem = std::fs::read_to_string(material.path(&format!("{key}.pem"))).expect("a key");
    let line = pem.lines().nth(1).expect("a line of base64");
    let jwk = std::fs::read(material.path(&material.convert(key, Form::Jwk))).expect("a key");
    let jwk: Value = serde_json::from_slice(&jwk).expect("JSON");
    let number = jwk["d"].as_str().expect("a private key");
    for file in machine.files() {
        let content = std::fs::read(&file).expect("a file");
        let content = String::from_utf8_lossy(&content);
        assert!(
            !content.contains(line) && !content.contains(number),
            "{}",
            file.display()
        );
        assert!(!content.contains("PRIVATE KEY"), "{}", file.display());
    }
}

fn assertion(request: &Request) -> String {
    let form = request.form();
    let value = |name: &str| {
        let mut values = form.iter().filter(|(given, _)| given == name);
        let (_, value) = values.next().expect("a parameter");
        assert!(values.next().is_none(), "twice: {name}");
        value.clone()
    };
    assert_eq!(
        value("client_assertion_type"),
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    assert_eq!(value("client_id"), CLIENT_ID);
    assert_eq!(request.header("Authorization"), None);
    value("client_assertion")
}

/// What joserfc says of these assertions, each with its public key and its algorithm.
pub(crate) fn verified(lines: &str) -> Vec<Value> {
    let mut command = python("verify_assertions.py");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = found(command.spawn(), "python", "python3 and python3-venv");
    let mut input = child.stdin.take().expect("a pipe");
    let lines = lines.to_owned();
    // It writes while it reads; one that refuses what it read does not read on.
    let writing = thread::spawn(move || drop(input.write_all(lines.as_bytes())));
    let output = child.wait_with_output().expect("the end of the program");
    writing.join().expect("the end of the writer");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let text = String::from_utf8(output.stdout).expect("output in UTF-8");
    let values = text.lines().map(serde_json::from_str);
    values.collect::<Result<_, _>>().expect("JSON")
}
