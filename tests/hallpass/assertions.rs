//! Client assertions as the profiles of RFC 7523 specify them, byte for byte except for the times, the
//! `jti` and the signature, which an independent library verifies.

use serde_json::{Value, json};

use crate::machine::{CLIENT_ID, Machine, numbered_tokens};
use crate::material::{Material, openssl};
use crate::matrix::verified;
use crate::server::{Request, Server};

/// The longest file with certificates, in bytes.
const LIMIT: usize = 64 * 1024;

fn assertion(request: &Request) -> String {
    let mut form = request.form().into_iter();
    let found = form.find(|(name, _)| name == "client_assertion");
    found.expect("an assertion").1
}

/// A request's body, with `JWT` in place of the assertion.
fn body(request: &Request) -> String {
    let text = request.text();
    assert_eq!(text.matches(&assertion(request)).count(), 1, "{text}");
    text.replace(&assertion(request), "JWT")
}

/// The header and the claims of a request's assertion, once its signature was verified. The claims are
/// without those that differ each time.
fn checked(request: &Request, public: &str, algorithm: &str) -> (Value, Value) {
    let line = [public, algorithm, &assertion(request)].join(" ");
    let mut verified = verified(&format!("{line}\n")).remove(0);
    let claims = verified["claims"].as_object_mut().expect("claims");
    let [issued_at, expiry] = ["iat", "exp"].map(|name| claims.remove(name));
    let seconds = |time: Option<Value>| time.and_then(|time| time.as_u64()).expect("a time");
    // No profile allows more than five minutes.
    assert_eq!(seconds(expiry) - seconds(issued_at), 60);
    let name = claims.remove("jti");
    assert!(name.is_some_and(|name| name.is_string()), "{claims:?}");
    (verified["header"].take(), verified["claims"].take())
}

/// A client as some standard or server requires it.
struct Client {
    key: &'static str,
    algorithm: &'static str,
    more: Vec<String>,
    header: Value,
    claims: Value,
    body: &'static str,
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// `SMART` App Launch, backend services: RS384 or ES384, the token URL as the audience.
fn smart(key: &'static str, algorithm: &'static str, url: &str) -> Client {
    Client {
        key,
        algorithm,
        more: words(&format!(
            "--jwt-alg {algorithm} --jwt-kid key-1 --jwt-typ JWT --scope system/Patient.rs"
        )),
        header: json!({ "alg": algorithm, "typ": "JWT", "kid": "key-1" }),
        claims: json!({ "iss": CLIENT_ID, "sub": CLIENT_ID, "aud": url }),
        body: "grant_type=client_credentials&scope=system%2FPatient.rs",
    }
}

/// `NetSuite`: PS256, the certificate's ID as `kid`, the scope as a claim and not as a parameter.
fn netsuite(url: &str) -> Client {
    Client {
        key: "rsa",
        algorithm: "PS256",
        more: words(
            "--jwt-alg PS256 --jwt-kid certificate-1 --jwt-typ JWT --jwt-claim scope=restlets,rest_webservices",
        ),
        header: json!({ "alg": "PS256", "typ": "JWT", "kid": "certificate-1" }),
        claims: json!({ "iss": CLIENT_ID, "sub": CLIENT_ID, "aud": url,
            "scope": "restlets,rest_webservices" }),
        body: "grant_type=client_credentials",
    }
}

/// AD FS: RS256, the certificate's SHA-1 thumbprint.
fn ad_fs(url: &str, material: &Material) -> Client {
    let certificate = material.argument("tls.crt");
    Client {
        key: "rsa",
        algorithm: "RS256",
        more: words(&format!(
            "--jwt-alg RS256 --jwt-typ JWT --jwt-cert {certificate} --jwt-header x5t --resource https://api.example/"
        )),
        header: json!({ "alg": "RS256", "typ": "JWT",
            "x5t": thumbprint(material, "tls.crt", "-sha1") }),
        claims: json!({ "iss": CLIENT_ID, "sub": CLIENT_ID, "aud": url }),
        body: "grant_type=client_credentials&resource=https%3A%2F%2Fapi.example%2F",
    }
}

#[test]
fn requests_of_smart_netsuite_and_ad_fs_clients_are_as_specified() {
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    let url = server.url("/token");
    for client in [
        smart("rsa", "RS384", &url),
        smart("p384", "ES384", &url),
        netsuite(&url),
        ad_fs(&url, &material),
    ] {
        let machine = Machine::new();
        let key = material.argument(&format!("{}.pem", client.key));
        let mut login = words("login p --client-id");
        login.extend([CLIENT_ID, "--token-url", &url, "--jwt-key", &key].map(str::to_owned));
        login.extend(client.more);
        let login: Vec<_> = login.iter().map(String::as_str).collect();
        machine.run(&login).success();
        machine.run(&["token", "--refresh"]).success();
        let requests = server.requests();
        for request in &requests[requests.len() - 2..] {
            let public = material.argument(&format!("{}.pub", client.key));
            let (header, claims) = checked(request, &public, client.algorithm);
            assert_eq!(
                (header, claims),
                (client.header.clone(), client.claims.clone())
            );
            assert_eq!(request.header("authorization"), None);
            let form = "application/x-www-form-urlencoded";
            assert_eq!(request.header("content-type"), Some(form));
            let authentication = format!(
                "&client_id={}&client_assertion_type=\
                urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
                &client_assertion=JWT",
                CLIENT_ID.replace(':', "%3A")
            );
            assert_eq!(body(request), [client.body, &authentication].concat());
        }
    }
}

#[test]
fn a_fapi_client_signs_for_the_issuer_over_tls_with_its_certificate() {
    let material = Material::new();
    let identity = material
        .authority()
        .identity_for_known_clients(&["127.0.0.1"]);
    let server = Server::start_tls(&identity, numbered_tokens());
    let url = server.url("/token");
    for (key, algorithm) in [("rsa", "PS256"), ("p256", "ES256")] {
        let machine = Machine::new();
        let files = ["ca.crt", "tls.crt", "tls.pem", &format!("{key}.pem")];
        let [authority, certificate, tls_key, jwt_key] = files.map(|name| material.argument(name));
        let mut login = vec!["login", "p", "--client-id", CLIENT_ID, "--token-url", &url];
        login.extend(["--ca-file", &authority, "--jwt-key", &jwt_key]);
        login.extend(["--jwt-alg", algorithm, "--jwt-kid", "key-1"]);
        login.extend(["--jwt-aud", "https://issuer.example"]);
        // Without the certificate, the server ends the handshake.
        machine.run(&login).failure(5);
        login.extend(["--cert", &certificate, "--key", &tls_key]);
        machine.run(&login).success();
        let request = server.requests().pop().expect("a request");
        let public = material.argument(&format!("{key}.pub"));
        let (header, claims) = checked(&request, &public, algorithm);
        let typ = "client-authentication+jwt";
        assert_eq!(
            header,
            json!({ "alg": algorithm, "typ": typ, "kid": "key-1" })
        );
        let audience = "https://issuer.example";
        assert_eq!(
            claims,
            json!({ "iss": CLIENT_ID, "sub": CLIENT_ID, "aud": audience })
        );
        assert_eq!(request.header("authorization"), None);
    }
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn an_assertion_carries_its_certificate_as_the_profile_says() {
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    let [certificate, authority] = ["tls.crt", "ca.crt"].map(|name| {
        let path = material.path(name);
        std::fs::read_to_string(path).expect("a certificate")
    });
    // As some programs export it: the key comes first, and is not for the server.
    let key = std::fs::read_to_string(material.path("rsa.pem")).expect("a key");
    material.write(
        "chain.pem",
        &[key.as_str(), &certificate, &authority].concat(),
    );
    let [chain, key] = ["chain.pem", "rsa.pem"].map(|name| material.argument(name));
    let der = |pem: &str| {
        let lines = pem.lines().filter(|line| !line.starts_with("-----"));
        lines.collect::<String>()
    };
    let all = json!({
        "x5t": thumbprint(&material, "tls.crt", "-sha1"),
        "x5t#S256": thumbprint(&material, "tls.crt", "-sha256"),
        "x5c": [der(&certificate), der(&authority)],
    });
    let url = server.url("/token");
    let machine = Machine::new();
    let mut login = vec!["login", "p", "--token-url", &url, "--client-id", CLIENT_ID];
    login.extend(["--jwt-key", &key, "--jwt-alg", "RS256"]);
    let ran = machine
        .run(&[&login[..], &["--jwt-header", "x5c"]].concat())
        .failure(2);
    assert!(ran.stderr.contains("needs --jwt-cert"), "{ran:?}");
    login.extend(["--jwt-cert", &chain]);
    let change: &[&str] = &["login", "p"];
    for (given, headers) in [
        (
            &[&login[..], &["--jwt-header", "x5t,x5c"]].concat()[..],
            &["x5t", "x5c"][..],
        ),
        // Kept.
        (&[change, &["--scope", "read"]].concat(), &["x5t", "x5c"]),
        (
            &[
                change,
                &[
                    "--jwt-header",
                    "x5t#S256",
                    "--jwt-header",
                    "x5t",
                    "--jwt-header",
                    "x5c",
                ],
            ]
            .concat(),
            &["x5t#S256", "x5t", "x5c"],
        ),
        (&[change, &["--jwt-header", "x5t"]].concat(), &["x5t"]),
        (&[change, &["--jwt-header", ""]].concat(), &["x5t#S256"]),
    ] {
        machine.run(given).success();
        let request = server.requests().pop().expect("a request");
        let (header, _) = checked(&request, &material.argument("rsa.pub"), "RS256");
        let mut expected = json!({ "alg": "RS256", "typ": "client-authentication+jwt" });
        for name in headers {
            expected[*name] = all[*name].clone();
        }
        assert_eq!(header, expected, "{given:?}");
    }
    let before = server.requests().len();
    let unknown = [change, &["--jwt-header", "jku"]].concat();
    let ran = machine.run(&unknown).failure(2);
    assert!(ran.stderr.contains("x5t, x5t#S256, x5c"), "{ran:?}");
    material.write(
        "chain.pem",
        &certificate.repeat(LIMIT / certificate.len() + 1),
    );
    let ran = machine.run(&["token", "--refresh"]).failure(6);
    assert!(ran.stderr.contains("longer than 64 KiB"), "{ran:?}");
    assert_eq!(server.requests().len(), before);
}

#[test]
fn the_environment_says_how_an_assertion_carries_its_certificate() {
    let material = Material::new();
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    let [certificate, key] = ["tls.crt", "rsa.pem"].map(|name| material.argument(name));
    for (name, value) in [
        ("HALLPASS_TOKEN_URL", server.url("/token").as_str()),
        ("HALLPASS_CLIENT_ID", CLIENT_ID),
        ("HALLPASS_JWT_KEY", &key),
        ("HALLPASS_JWT_ALG", "RS256"),
        ("HALLPASS_JWT_HEADER", "x5t, x5t#S256"),
    ] {
        machine.set(name, value);
    }
    let ran = machine.run(&["token"]).failure(2);
    assert!(ran.stderr.contains("HALLPASS_JWT_CERT is not"), "{ran:?}");
    machine.set("HALLPASS_JWT_CERT", &certificate);
    machine.run(&["token"]).success();
    let (header, _) = checked(
        &server.requests()[0],
        &material.argument("rsa.pub"),
        "RS256",
    );
    for (name, kind) in [("x5t", "-sha1"), ("x5t#S256", "-sha256")] {
        assert_eq!(header[name], thumbprint(&material, "tls.crt", kind));
    }
    machine.set("HALLPASS_JWT_HEADER", "x5t,kid");
    let ran = machine.run(&["token", "--refresh"]).failure(2);
    assert!(ran.stderr.contains("HALLPASS_JWT_HEADER"), "{ran:?}");
}

/// A certificate's thumbprint, of openssl's fingerprint.
pub(crate) fn thumbprint(material: &Material, name: &str, kind: &str) -> String {
    use base64::Engine as _;
    let path = material.argument(name);
    let printed = openssl(&["x509", "-noout", "-fingerprint", kind, "-in", &path]);
    let (_, digits) = printed.trim_end().split_once('=').expect("a fingerprint");
    let bytes: Vec<_> = digits
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).expect("a byte"))
        .collect();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
