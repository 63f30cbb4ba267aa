//! Keys and certificates for one test, in every form in which people have them: openssl makes them, and rcgen.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::real_servers::{found, node_program};
use crate::tls::{Authority, self_signed_client_certificate};

/// What `encrypted` keys are encrypted with.
pub(crate) const PASSPHRASE: &str = "correct hörse, battery \"staple\"";

/// A directory that the test shares with the servers: they read what is public.
///
/// `rsa`, `p256`, `p384` and `ed25519` are the client's keys, `other-...` another client's: private in `.pem` (PKCS#8), public in
/// `.pub`. `tls` and `self-signed` have a certificate, too (`.crt`), and so has the `server`; `ca.crt` is the test
/// authority.
pub(crate) struct Material {
    directory: TempDir,
    authority: Authority,
}

impl Material {
    pub(crate) fn new() -> Material {
        let directory = TempDir::with_prefix("hallpass-keys-").expect("a temporary directory");
        let material = Material {
            directory,
            authority: Authority::new(),
        };
        for whose in ["", "other-"] {
            for (name, algorithm) in [
                ("rsa", RSA),
                ("p256", P256),
                ("p384", P384),
                ("ed25519", ED25519),
            ] {
                material.generate(&format!("{whose}{name}"), algorithm);
            }
        }
        let (certificate, key) = material.authority.server_pem(&["127.0.0.1"]);
        material.write("ca.crt", &material.authority.pem());
        material.write("server.crt", &certificate);
        material.write("server.key", &key);
        for (whose, name) in [("", "client.example"), ("other-", "other.example")] {
            let certify = |file: &str, key: &str, certificate: &dyn Fn(&str) -> String| {
                let key = fs::read_to_string(material.path(&format!("{whose}{key}.pem")))
                    .expect("a private key");
                material.write(&format!("{whose}{file}.pem"), &key);
                material.write(&format!("{whose}{file}.crt"), &certificate(&key));
            };
            certify("tls", "rsa", &|key| {
                material.authority.client_certificate(name, key)
            });
            certify("self-signed", "p256", &|key| {
                self_signed_client_certificate(name, key)
            });
        }
        material
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A path as an argument.
    pub(crate) fn argument(&self, name: &str) -> String {
        let path = self.path(name);
        path.to_str().expect("a path in UTF-8").to_owned()
    }

    /// Writes a file that only its owner may read.
    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).expect("a file");
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(self.path(name), mode).expect("its mode");
    }

    /// The path of a file with a secret.
    pub(crate) fn secret(&self, name: &str, secret: &str) -> String {
        self.write(name, secret);
        self.argument(name)
    }

    /// Another certificate of the test authority's for the client that has `tls.crt`.
    pub(crate) fn renew_the_tls_client_certificate(&self) {
        let key = fs::read_to_string(self.path("tls.pem")).expect("a private key");
        let certificate = self.authority.client_certificate("client.example", &key);
        self.write("tls.crt", &certificate);
    }

    /// The same private key in another form, under the name of that form: `rsa.pkcs1`.
    pub(crate) fn convert(&self, key: &str, form: Form) -> String {
        let name = format!("{key}.{form:?}");
        let source = self.argument(&format!("{key}.pem"));
        let content = match form {
            Form::Pkcs8 => fs::read_to_string(&source).expect("a private key"),
            Form::Pkcs1 => openssl(&["rsa", "-traditional", "-in", &source]),
            Form::Sec1 => openssl(&["ec", "-in", &source]),
            // What `openssl ecparam -genkey` writes: the curve has a block of its own.
            Form::Sec1BehindParameters => {
                openssl(&["ecparam", "-name", "prime256v1"]) + &openssl(&["ec", "-in", &source])
            }
            Form::Encrypted(cipher) => {
                let passphrase = format!("pass:{PASSPHRASE}");
                let mut arguments =
                    vec!["pkcs8", "-topk8", "-in", &source, "-passout", &passphrase];
                arguments.extend(cipher);
                openssl(&arguments)
            }
            Form::Jwk => {
                let script = "process.stdout.write(JSON.stringify(require('crypto').createPrivateKey(\
                    require('fs').readFileSync(process.argv[1])).export({ format: 'jwk' })))";
                let node = node_program();
                output(&node, &["-e", script, &source], "python3 and python3-venv")
            }
        };
        self.write(&name, &content);
        name
    }

    fn generate(&self, name: &str, algorithm: &[&str]) {
        let private = self.argument(&format!("{name}.pem"));
        let public = self.argument(&format!("{name}.pub"));
        openssl(&[&["genpkey", "-out", &private], algorithm].concat());
        openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
    }
}

const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
const ED25519: &[&str] = &["-algorithm", "ED25519"];

/// How a private key is written down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    Pkcs8,
    Pkcs1,
    Sec1,
    Sec1BehindParameters,
    /// PKCS#8, with these arguments of `openssl pkcs8`.
    Encrypted(&'static [&'static str]),
    Jwk,
}

/// What openssl prints.
#[track_caller]
pub(crate) fn openssl(arguments: &[&str]) -> String {
    output("openssl", arguments, "openssl")
}

#[track_caller]
fn output(program: impl AsRef<Path>, arguments: &[&str], packages: &str) -> String {
    let program = program.as_ref();
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).output();
    let output = found(output, &program.to_string_lossy(), packages);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
    String::from_utf8(output.stdout).expect("output in UTF-8")
}
