//! The programs that developers use, with hallpass as their helper, each at a server that demands
//! the token that it was issued, and no older one.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::machine::{HALLPASS, Machine, Ran, skip};
use crate::real_servers::{found, go_program, node_program, old_pip, pnpm_program, python_program};
use crate::server::{ReadWrite, Reply, Request, Server};

/// A server that issues tokens, and that shows what it has to who shows the latest of them.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) machine: Machine,
    issued: Arc<AtomicUsize>,
    /// Tokens up to this number are no longer taken.
    revoked: Arc<AtomicUsize>,
    /// For every command, such as those of a profile from the environment.
    pub(crate) variables: Vec<(String, String)>,
    /// What git's own server program serves, as long as the site is there.
    repositories: Option<tempfile::TempDir>,
}

/// What a server names in `WWW-Authenticate`.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Demands {
    Bearer,
    Basic,
    Either,
}

impl Site {
    pub(crate) fn start(
        demands: Demands,
        content: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let issued = Arc::new(AtomicUsize::new(0));
        let revoked = Arc::new(AtomicUsize::new(0));
        let (count, limit) = (Arc::clone(&issued), Arc::clone(&revoked));
        let server = Server::start_over("http", 0, plain, move |request| {
            if request.target == "/oauth/token" {
                let number = 1 + count.fetch_add(1, Ordering::SeqCst);
                return Reply::token(&format!("token-{number}"), 3600);
            }
            let fits = shown(request, demands).is_some_and(|number| {
                number > limit.load(Ordering::SeqCst) && number <= count.load(Ordering::SeqCst)
            });
            if fits {
                return content(request);
            }
            let mut refusal = Reply::new(401).header(REGISTRY.0, REGISTRY.1);
            if demands != Demands::Basic {
                refusal = refusal.header("WWW-Authenticate", "Bearer realm=\"test\"");
            }
            if demands != Demands::Bearer {
                refusal = refusal.header("WWW-Authenticate", "Basic realm=\"test\"");
            }
            // Without a body: libgit2 takes what follows the head for its next answer.
            refusal
        });
        let machine = Machine::new();
        let origin = server.url("");
        machine.login("prod", &server, &["--scope", "USER", "--for", &origin]);
        Self {
            server,
            machine,
            issued,
            revoked,
            variables: Vec::new(),
            repositories: None,
        }
    }

    /// No token that was issued so far is taken any more.
    fn revoke(&self) {
        let issued = self.issued.load(Ordering::SeqCst);
        self.revoked.store(issued, Ordering::SeqCst);
    }

    pub(crate) fn issued(&self) -> usize {
        self.issued.load(Ordering::SeqCst)
    }

    pub(crate) fn host(&self) -> String {
        self.server.url("").replace("http://", "")
    }

    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let directory = self.machine.root().join(name);
        fs::create_dir_all(&directory).expect("a directory");
        directory
    }

    /// A link to hallpass by this name, in a directory that [`Site::run`] puts first.
    fn link(&self, name: &str) {
        let link = self.directory("bin").join(name);
        std::os::unix::fs::symlink(&*HALLPASS, link).expect("a link");
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").expect("a PATH");
        command
            .env_clear()
            .env(
                "PATH",
                format!("{}:{path}", self.directory("bin").display()),
            )
            .env("HOME", self.machine.home())
            .envs(self.variables.clone())
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        let output = self.command(program).args(arguments).output();
        Ran::from(found(output, program, "see tests/run"))
    }
}

/// Docker tries TLS first, and goes on without it if the server answers in plain HTTP.
fn plain(mut tcp: TcpStream) -> io::Result<Box<dyn ReadWrite>> {
    let mut first = [0];
    if tcp.peek(&mut first)? == 1 && first[0] == 0x16 {
        tcp.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n")?;
        // What was said is read: else the end of the connection takes the answer with it.
        tcp.shutdown(Shutdown::Write)?;
        io::copy(&mut tcp, &mut io::sink())?;
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Box::new(tcp))
}

/// The number of the token in a request's credentials.
pub(crate) fn shown(request: &Request, demands: Demands) -> Option<usize> {
    let header = request.header("authorization")?;
    let token = match header.split_once(' ')? {
        ("Bearer", token) if demands != Demands::Basic => token.to_owned(),
        ("Basic", pair) if demands != Demands::Bearer => {
            let pair = String::from_utf8(STANDARD.decode(pair).ok()?).ok()?;
            pair.split_once(':')?.1.to_owned()
        }
        _ => return None,
    };
    token.strip_prefix("token-")?.parse().ok()
}

/// git's own server program, behind the loopback server.
pub(crate) fn git_backend(
    root: &Path,
) -> impl Fn(&Request) -> Reply + Clone + Send + Sync + 'static {
    let root = root.to_owned();
    move |request| {
        let (path, query) = request
            .target
            .split_once('?')
            .unwrap_or((&request.target, ""));
        let mut backend = Command::new("git");
        backend
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*")
            .env("REQUEST_METHOD", &request.method)
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("REMOTE_USER", "client")
            .env("CONTENT_LENGTH", request.body.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        for (header, variable) in [
            ("content-type", "CONTENT_TYPE"),
            ("content-encoding", "HTTP_CONTENT_ENCODING"),
            ("git-protocol", "GIT_PROTOCOL"),
        ] {
            backend.env(variable, request.header(header).unwrap_or_default());
        }
        let mut backend = found(backend.spawn(), "git", "git");
        let mut stdin = backend.stdin.take().expect("a pipe");
        let body = request.body.clone();
        let writing = std::thread::spawn(move || stdin.write_all(&body));
        let output = backend.wait_with_output().expect("its end");
        let _ = writing.join();
        let end = output
            .stdout
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n");
        let (head, body) = output.stdout.split_at(end.expect("headers") + 4);
        let head = String::from_utf8_lossy(head).into_owned();
        let mut reply = Reply::new(200);
        for line in head.lines() {
            match line.split_once(": ") {
                Some(("Status", status)) => {
                    let code = status.split(' ').next().and_then(|code| code.parse().ok());
                    reply = Reply::new(code.expect("a status"));
                }
                Some((name, value)) => reply = reply.header(name, value),
                None => {}
            }
        }
        reply.body(body)
    }
}

/// Every git of this machine, and whether it knows Bearer (2.46 and later).
pub(crate) fn gits() -> Vec<(String, bool)> {
    let mut gits: Vec<(String, bool)> = Vec::new();
    let path = std::env::var_os("PATH").expect("a PATH");
    for directory in std::env::split_paths(&path) {
        let Ok(git) = fs::canonicalize(directory.join("git")) else {
            continue;
        };
        let git = git.to_str().expect("UTF-8").to_owned();
        let version = Command::new(&git)
            .arg("version")
            .output()
            .expect("git starts")
            .stdout;
        let version = String::from_utf8(version).expect("text");
        let mut numbers = version.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.find_map(|number| number.parse::<u32>().ok());
        let is_new = (next(), next()) >= (Some(2), Some(46));
        if gits.iter().all(|(known, _)| *known != git) {
            gits.push((git, is_new));
        }
    }
    assert!(!gits.is_empty(), "git is missing (Debian package: git)");
    gits
}

/// A directory with the repository `app.git`, which has one commit.
pub(crate) fn repositories() -> tempfile::TempDir {
    let repositories = tempfile::tempdir().expect("a temporary directory");
    let roots = repositories.path();
    let run = |arguments: &[&str], directory: &Path| {
        let output = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@a.example"])
            .args(arguments)
            .current_dir(directory)
            .output();
        let ran = Ran::from(found(output, "git", "git"));
        ran.success();
    };
    run(&["init", "--quiet", "--bare", "app.git"], roots);
    run(
        &["-C", "app.git", "config", "http.receivepack", "true"],
        roots,
    );
    run(&["clone", "--quiet", "app.git", "seed"], roots);
    fs::write(roots.join("seed/file"), "content").expect("a file");
    // It is a package of cargo's as well.
    let manifest = "[package]\nname = \"private\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    fs::write(roots.join("seed/Cargo.toml"), manifest).expect("a manifest");
    fs::create_dir(roots.join("seed/src")).expect("a directory");
    fs::write(roots.join("seed/src/lib.rs"), "").expect("a source");
    run(&["-C", "seed", "add", "."], roots);
    run(&["-C", "seed", "commit", "--quiet", "-m", "first"], roots);
    run(&["-C", "seed", "push", "--quiet", "origin", "HEAD"], roots);
    repositories
}

/// A site with that repository, and a git whose only helper is hallpass.
pub(crate) fn git_site(demands: Demands) -> Site {
    let repositories = repositories();
    let mut site = Site::start(demands, git_backend(repositories.path()));
    site.repositories = Some(repositories);
    site.let_git_ask_hallpass();
    site
}

impl Site {
    /// Nobody else.
    fn let_git_ask_hallpass(&self) {
        let config = format!(
            "[credential]\n\thelper =\n\thelper = {} git-credential\n[user]\n\tname = a\n\temail = a@a.example\n",
            *HALLPASS
        );
        fs::write(self.machine.home().join(".gitconfig"), config).expect("git's settings");
    }

    #[track_caller]
    fn git(&self, git: &str, arguments: &[&str]) -> Ran {
        let mut command = self.command(git);
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .args(arguments)
            .current_dir(self.machine.root());
        Ran::from(command.output().expect("git starts"))
    }
}

#[test]
fn git_clones_and_pushes_with_one_token_request() {
    let gits = gits();
    if gits.iter().all(|(_, is_new)| !is_new) {
        skip("a server that takes only Bearer: no git here is 2.46 or later");
    }
    for (git, is_new) in gits {
        for demands in [Demands::Either, Demands::Basic, Demands::Bearer] {
            if demands == Demands::Bearer && !is_new {
                continue;
            }
            let site = git_site(demands);
            let url = site.server.url("/app.git");
            site.git(&git, &["clone", "--quiet", &url, "copy"])
                .success();
            fs::write(site.machine.root().join("copy/file"), "changed").expect("a file");
            site.git(
                &git,
                &["-C", "copy", "commit", "--quiet", "-a", "-m", "second"],
            )
            .success();
            site.git(&git, &["-C", "copy", "push", "--quiet"]).success();
            assert_eq!(site.issued(), 1, "{git}");
            let kept = site
                .machine
                .files()
                .iter()
                .any(|file| file.ends_with(".git-credentials"));
            assert!(!kept, "no other helper has the token");
        }
    }
}

#[test]
fn a_token_that_is_revoked_in_the_middle_heals_within_one_git_command() {
    for (git, is_new) in gits() {
        let site = git_site(Demands::Either);
        let url = site.server.url("/app.git");
        site.git(&git, &["clone", "--quiet", &url, "copy"])
            .success();
        site.revoke();
        let ran = site.git(&git, &["-C", "copy", "fetch"]);
        if is_new {
            ran.success();
        } else {
            // The older dialect cannot tell that it was rejected but by `erase`.
            assert_ne!(ran.code, 0, "{ran:?}");
            site.git(&git, &["-C", "copy", "fetch"]).success();
        }
        site.git(&git, &["-C", "copy", "fetch"]).success();
        assert_eq!(site.issued(), 2, "{git}");
    }
}

#[test]
fn git_does_not_ask_a_person_for_a_host_that_is_bound() {
    let site = git_site(Demands::Either);
    fs::remove_dir_all(site.machine.cache()).expect("a cache");
    let other = Server::start(|_| Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\""));
    let url = other.url("/app.git");
    site.machine
        .run(&["bind", "prod", &other.url("")])
        .success();
    site.server.stop();
    for (git, _) in gits() {
        let ran = site.git(&git, &["ls-remote", &url]);
        assert_ne!(ran.code, 0);
        assert!(ran.stderr.contains("told us to quit"), "{ran:?}");
        assert!(ran.stderr.contains("hallpass: error: "), "{ran:?}");
    }
}

#[test]
fn a_redirect_to_another_host_gets_no_token() {
    let unbound = Server::start(|_| Reply::new(401).header("WWW-Authenticate", "Bearer"));
    let target = unbound.url("/app.git/info/refs?service=git-upload-pack");
    let site = git_site(Demands::Either);
    let front = Server::start(move |_| Reply::new(302).header("Location", &target));
    site.machine
        .run(&["bind", "prod", &front.url("")])
        .success();
    for (git, _) in gits() {
        assert_ne!(
            site.git(&git, &["ls-remote", &front.url("/app.git")]).code,
            0
        );
    }
    for server in [&unbound, &front] {
        assert!(
            server
                .requests()
                .iter()
                .all(|request| request.header("authorization").is_none())
        );
    }
}

#[test]
fn git_takes_the_answers_of_an_askpass_program() {
    let site = git_site(Demands::Basic);
    site.link("askpass-hallpass");
    let url = site.server.url("/app.git");
    for (git, _) in gits() {
        let ask = |url: &str| {
            let mut command = site.command(&git);
            command
                .env("GIT_TERMINAL_PROMPT", "0")
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_ASKPASS", "askpass-hallpass")
                .args(["ls-remote", url]);
            Ran::from(command.output().expect("git starts"))
        };
        assert!(ask(&url).success().stdout.contains("refs/heads/"));
        let unbound =
            Server::start(|_| Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\""));
        assert_ne!(ask(&unbound.url("/app.git")).code, 0);
        for request in unbound.requests() {
            assert_eq!(request.header("authorization"), None);
        }
    }
    assert_eq!(site.issued(), 1);
}

#[test]
fn git_lfs_fetches_with_gits_credential_helper() {
    let oid = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
    let site = Site::start(Demands::Basic, move |request| {
        let host = request.header("host").unwrap_or_default();
        match request.target.as_str() {
            "/app.git/info/lfs/objects/batch" => {
                let href = format!("http://{host}/objects/{oid}");
                let object = json!({ "oid": oid, "size": 7,
                    "actions": { "download": { "href": href } } });
                let answer = json!({ "transfer": "basic", "objects": [object] });
                Reply::new(200)
                    .header("Content-Type", "application/vnd.git-lfs+json")
                    .body(answer.to_string())
            }
            target if target.starts_with("/objects/") => Reply::new(200).body("content"),
            _ => Reply::new(404),
        }
    });
    site.let_git_ask_hallpass();
    let copy = site.directory("copy");
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 7\n");
    fs::write(copy.join("file.bin"), pointer).expect("a pointer");
    fs::write(copy.join(".gitattributes"), "*.bin filter=lfs -text\n").expect("attributes");
    let url = site.server.url("/app.git");
    for arguments in [
        &["init", "--quiet"][..],
        &["remote", "add", "origin", &url],
        &["add", "."],
        &["commit", "--quiet", "-m", "first"],
        &["lfs", "fetch"],
    ] {
        let arguments = [&["-C", "copy"], arguments].concat();
        site.git("git", &arguments).success();
    }
    let object = copy.join(".git/lfs/objects").join("ed/70").join(oid);
    assert_eq!(fs::read(object).expect("the object"), b"content");
    assert_eq!(site.issued(), 1);
}

/// What Docker 20.10 and older clients look for in every response of a registry.
const REGISTRY: (&str, &str) = ("Docker-Distribution-Api-Version", "registry/2.0");

/// A registry with one image, as far as `manifest inspect` goes.
pub(crate) fn registry(request: &Request) -> Reply {
    let config = "{}";
    if request.target.contains("/manifests/") {
        let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let kind = "application/vnd.docker.distribution.manifest.v2+json";
        let manifest = json!({ "schemaVersion": 2, "mediaType": kind,
            "config": { "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": config.len(), "digest": digest }, "layers": [] });
        return Reply::new(200)
            .header("Content-Type", kind)
            .header(REGISTRY.0, REGISTRY.1)
            .body(manifest.to_string());
    }
    Reply::json(200, config).header(REGISTRY.0, REGISTRY.1)
}

#[test]
fn docker_and_skopeo_read_a_private_registry() {
    let site = Site::start(Demands::Basic, registry);
    site.link("docker-credential-hallpass");
    let host = site.host();
    let settings = json!({ "credHelpers": { &host: "hallpass" } });
    let directory = site.directory("home/.docker");
    fs::write(directory.join("config.json"), settings.to_string()).expect("docker's settings");
    let image = format!("{host}/app:latest");
    let ran = site
        .run("docker", &["manifest", "inspect", "--insecure", &image])
        .success();
    assert!(ran.stdout.contains("schemaVersion"), "{ran:?}");
    let source = format!("docker://{image}");
    let inspect = ["inspect", "--tls-verify=false", "--raw", &source];
    let ran = site.run("skopeo", &inspect).success();
    assert!(ran.stdout.contains("schemaVersion"), "{ran:?}");
    assert_eq!(site.issued(), 1);
    site.machine
        .run(&["unbind", "prod", &site.server.url("")])
        .success();
    assert_ne!(site.run("skopeo", &inspect).code, 0);
}

#[test]
fn cargo_fetches_from_a_private_registry_and_publishes_to_it() {
    let published = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&published);
    let archive = crate_archive();
    let digest = ring::digest::digest(&ring::digest::SHA256, &archive);
    let sum = digest.as_ref().iter().fold(String::new(), |mut sum, byte| {
        let _ = write!(sum, "{byte:02x}");
        sum
    });
    let site = Site::start(Demands::Bearer, move |request| {
        let host = request.header("host").unwrap_or_default();
        match request.target.as_str() {
            "/index/config.json" => {
                let base = format!("http://{host}");
                let download = format!("{base}/dl");
                Reply::json(
                    200,
                    json!({ "dl": download, "api": base, "auth-required": true }).to_string(),
                )
            }
            "/index/pr/iv/private" => {
                let line = json!({ "name": "private", "vers": "0.1.0", "deps": [], "cksum": sum,
                    "features": {}, "yanked": false });
                Reply::new(200).body(format!("{line}\n"))
            }
            // cargo waits until the package that it published is listed.
            "/index/3/a/app" if count.load(Ordering::SeqCst) > 0 => {
                let line = json!({ "name": "app", "vers": "0.1.0", "deps": [], "cksum": sum,
                    "features": {}, "yanked": false });
                Reply::new(200).body(format!("{line}\n"))
            }
            "/dl/private/0.1.0/download" => Reply::new(200).body(archive.clone()),
            "/api/v1/crates/new" => {
                count.fetch_add(1, Ordering::SeqCst);
                Reply::json(
                    200,
                    r#"{"warnings":{"invalid_categories":[],"invalid_badges":[],"other":[]}}"#,
                )
            }
            _ => Reply::new(404),
        }
    });
    let project = site.directory("project/src").with_file_name("");
    let manifest = "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
        description = \"x\"\nlicense = \"MIT\"\n[dependencies]\nprivate = { version = \"0.1\", registry = \"stub\" }\n";
    fs::write(project.join("Cargo.toml"), manifest).expect("a manifest");
    fs::write(project.join("src/lib.rs"), "").expect("a source");
    let settings = format!(
        "[registries.stub]\nindex = \"sparse+{}/index/\"\ncredential-provider = [\"{}\"]\n",
        site.server.url(""),
        *HALLPASS
    );
    fs::write(site.directory("cargo").join("config.toml"), settings).expect("cargo's settings");
    let cargo = |arguments: &[&str]| {
        let mut command = site.command(env!("CARGO"));
        command
            .env("CARGO_HOME", site.directory("cargo"))
            .env("RUSTUP_HOME", rustup_home())
            .args(arguments)
            .current_dir(&project);
        Ran::from(command.output().expect("cargo starts"))
    };
    cargo(&["fetch"]).success();
    assert_eq!(site.issued(), 1);
    cargo(&[
        "publish",
        "--registry",
        "stub",
        "--allow-dirty",
        "--no-verify",
    ])
    .success();
    assert_eq!(published.load(Ordering::SeqCst), 1);
    assert_eq!(site.issued(), 1);
}

#[test]
fn cargo_fetches_a_git_dependency_by_gits_credential_helper() {
    let site = git_site(Demands::Basic);
    // libgit2 gives its helpers only names of hosts, no addresses.
    let origin = site.server.url("").replace("127.0.0.1", "localhost");
    site.machine.run(&["bind", "prod", &origin]).success();
    let project = site.directory("project/src").with_file_name("");
    let manifest = format!(
        "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
        [dependencies]\nprivate = {{ git = \"{origin}/app.git\" }}\n"
    );
    fs::write(project.join("Cargo.toml"), manifest).expect("a manifest");
    fs::write(project.join("src/lib.rs"), "").expect("a source");
    let mut cargo = site.command(env!("CARGO"));
    cargo
        .env("CARGO_HOME", site.directory("cargo"))
        .env("RUSTUP_HOME", rustup_home())
        .env("CARGO_NET_GIT_FETCH_WITH_CLI", "false")
        .arg("fetch")
        .current_dir(&project);
    let ran = Ran::from(cargo.output().expect("cargo starts"));
    ran.success();
    assert_eq!(site.issued(), 1);
}

/// Where the toolchain of these tests is, for a cargo whose home is another one.
pub(crate) fn rustup_home() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let configured = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    configured.unwrap_or_else(|| home.unwrap_or_default().join(".rustup"))
}

/// A package as `cargo package` writes it.
pub(crate) fn crate_archive() -> Vec<u8> {
    let manifest = "[package]\nname = \"private\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    let files = [("Cargo.toml", manifest), ("src/lib.rs", "")];
    archive("private-0.1.0", &files)
}

/// A compressed archive of a directory with these files.
pub(crate) fn archive(name: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (file, content) in files {
        let file = directory.path().join(name).join(file);
        fs::create_dir_all(file.parent().expect("its directory")).expect("a directory");
        fs::write(file, content).expect("a file");
    }
    let tar = Command::new("tar")
        .args(["-C", directory.path().to_str().expect("UTF-8")])
        .args(["-cz", name])
        .output();
    found(tar, "tar", "tar").stdout
}

#[test]
fn kubectl_sends_the_token_to_its_cluster() {
    use crate::tls::Authority;
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    if !site.compiled_client("kubectl") {
        return;
    }
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1"]);
    let cluster = Server::start_tls(&identity, |request| match request.header("authorization") {
        Some("Bearer token-1") => Reply::json(200, r#"{"major":"1"}"#),
        _ => Reply::json(401, r#"{"kind":"Status","status":"Failure","code":401}"#),
    });
    site.machine
        .run(&["bind", "prod", &cluster.url("")])
        .success();
    let ca = site
        .machine
        .private_file("ca.pem", authority.pem().as_bytes());
    for version in ["v1", "v1beta1"] {
        let settings = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{ "name": "c", "context": { "cluster": "k", "user": "u" } }],
            "clusters": [{ "name": "k", "cluster": {
                "server": cluster.url(""), "certificate-authority": ca } }],
            "users": [{ "name": "u", "user": { "exec": {
                "apiVersion": format!("client.authentication.k8s.io/{version}"),
                "command": *HALLPASS, "args": ["kubectl-credential"],
                "interactiveMode": "Never", "provideClusterInfo": true } } }],
        });
        let file = site
            .machine
            .private_file("kubeconfig", settings.to_string().as_bytes());
        let file = file.to_str().expect("UTF-8");
        let ran = site.run(
            "kubectl",
            &["--kubeconfig", file, "get", "--raw", "/version"],
        );
        assert!(ran.success().stdout.contains("major"));
    }
    assert_eq!(site.issued(), 1);
}

#[test]
fn go_asks_its_authentication_command_about_a_private_module() {
    use crate::tls::Authority;
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1"]);
    let revoked = Arc::new(AtomicUsize::new(0));
    let limit = Arc::clone(&revoked);
    let proxy = Server::start_tls(&identity, move |request| {
        let number = shown(request, Demands::Bearer).unwrap_or_default();
        if number <= limit.load(Ordering::SeqCst) {
            return Reply::new(401).header("WWW-Authenticate", "Bearer");
        }
        let version = r#"{"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"}"#;
        match request.target.as_str() {
            "/private.example/mod/@v/v1.0.0.info" => Reply::json(200, version),
            "/private.example/mod/@v/v1.0.0.mod" => {
                Reply::new(200).body("module private.example/mod\n")
            }
            _ => Reply::new(404),
        }
    });
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    site.machine
        .run(&["bind", "prod", &proxy.url("")])
        .success();
    let ca = site
        .machine
        .private_file("ca.pem", authority.pem().as_bytes());
    let go = go_program();
    let list = |cache: &str| {
        let mut command = site.command(go.to_str().expect("UTF-8"));
        command
            .env("GOAUTH", format!("{} goauth", *HALLPASS))
            .env("GOPROXY", proxy.url(""))
            .env("GONOSUMDB", "*")
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=mod")
            .env("GOPATH", site.directory(cache))
            .env("SSL_CERT_FILE", &ca)
            .args(["list", "-m", "private.example/mod@v1.0.0"])
            .current_dir(site.directory("project"));
        Ran::from(command.output().expect("go starts"))
    };
    assert_eq!(
        list("first").success().stdout,
        "private.example/mod v1.0.0\n"
    );
    assert_eq!(site.issued(), 1);
    // The token that was at hand is refused: go runs the command again, with the URL.
    revoked.store(1, Ordering::SeqCst);
    assert_eq!(
        list("second").success().stdout,
        "private.example/mod v1.0.0\n"
    );
    assert_eq!(site.issued(), 2);
}

#[test]
fn curl_takes_the_token_from_its_standard_input() {
    let site = Site::start(Demands::Bearer, |_| Reply::new(200).body("hello"));
    for (format, option) in [("curl", "-K"), ("header", "-H")] {
        let value = if option == "-K" { "-" } else { "@-" };
        let given = site
            .machine
            .run(&["token", "--format", format])
            .success()
            .stdout;
        let mut curl = site.command("curl");
        curl.args(["-sSf", option, value, &site.server.url("/x")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut curl = found(curl.spawn(), "curl", "curl");
        let mut stdin = curl.stdin.take().expect("a pipe");
        stdin
            .write_all(given.as_bytes())
            .expect("a curl that reads");
        drop(stdin);
        let output = curl.wait_with_output().expect("its end");
        assert_eq!(output.stdout, b"hello");
    }
}

/// A package index with one package.
pub(crate) fn index(request: &Request) -> Reply {
    match request.target.as_str() {
        "/simple/private/" => Reply::new(200)
            .header("Content-Type", "text/html")
            .body("<!DOCTYPE html><a href=\"/private-1.0-py3-none-any.whl\">private-1.0-py3-none-any.whl</a>"),
        "/private-1.0-py3-none-any.whl" => Reply::new(200).body(wheel()),
        _ => Reply::new(404),
    }
}

pub(crate) fn wheel() -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("private.whl");
    let script = "import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as z:
    d = 'private-1.0.dist-info/'
    z.writestr('private.py', '')
    z.writestr(d + 'METADATA', 'Metadata-Version: 2.1\\nName: private\\nVersion: 1.0\\n')
    z.writestr(d + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    z.writestr(d + 'RECORD', '')
";
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(&file);
    assert!(found(python.status(), "python3", "python3").success());
    fs::read(file).expect("a wheel")
}

#[test]
fn pip_and_uv_install_from_a_private_index_by_the_keyring_program() {
    let site = Site::start(Demands::Basic, index);
    site.link("keyring");
    let url = site
        .server
        .url("/simple")
        .replace("http://", "http://oauth2@");
    let by_keyring = ["--keyring-provider", "subprocess"];
    let pip = ["-m", "pip", "install", "--no-cache-dir"];
    let uv = ["pip", "install", "--no-cache"];
    let nothing = Path::new("");
    let old_pip = old_pip();
    // Before 23.1, pip runs a `keyring` on the PATH without an option.
    for (name, program, arguments, options, python_path) in [
        ("pip", "python", &pip[..], &by_keyring[..], nothing),
        ("old-pip", "python", &pip, &[], &old_pip),
        ("uv", "uv", &uv, &by_keyring, nothing),
    ] {
        let target = site.directory(name);
        let mut command = site.command(python_program(program).to_str().expect("UTF-8"));
        command
            .env("PYTHONPATH", python_path)
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .args([arguments, options].concat())
            .args(["--quiet", "--no-deps", "--index-url", &url, "--target"])
            .args([target.to_str().expect("UTF-8"), "private"]);
        let ran = Ran::from(command.output().expect("an installer that starts")).success();
        assert!(target.join("private.py").exists(), "{name}: {ran:?}");
    }
    assert_eq!(site.issued(), 1);
}

/// An npm registry below this path with one package.
pub(crate) fn npm_registry(
    path: &'static str,
) -> impl Fn(&Request) -> Reply + Clone + Send + Sync + 'static {
    let package = archive(
        "package",
        &[("package.json", r#"{"name":"private","version":"1.0.0"}"#)],
    );
    let digest = ring::digest::digest(&ring::digest::SHA512, &package);
    let integrity = format!("sha512-{}", STANDARD.encode(digest));
    move |request| {
        let host = request.header("host").unwrap_or_default();
        match request.target.strip_prefix(path) {
            Some("private") => {
                let tarball = format!("http://{host}{path}private/-/private-1.0.0.tgz");
                let version = json!({ "name": "private", "version": "1.0.0",
                    "dist": { "tarball": tarball, "integrity": integrity } });
                let metadata = json!({ "name": "private", "dist-tags": { "latest": "1.0.0" },
                    "versions": { "1.0.0": version } });
                Reply::json(200, metadata.to_string())
            }
            Some("private/-/private-1.0.0.tgz") => Reply::new(200).body(package.clone()),
            _ => Reply::new(404),
        }
    }
}

/// The package.json of a project that needs that package.
pub(crate) const NPM_PROJECT: &str =
    r#"{"name":"app","version":"1.0.0","dependencies":{"private":"1.0.0"}}"#;

#[test]
fn pnpm_installs_from_a_private_registry_by_its_token_helper() {
    let site = Site::start(Demands::Bearer, npm_registry("/"));
    fs::write(site.directory("project").join("package.json"), NPM_PROJECT).expect("a manifest");
    site.link("pnpm-tokenhelper-hallpass-prod");
    let (registry, host) = (site.server.url("/"), site.host());
    let helper = site.directory("bin").join("pnpm-tokenhelper-hallpass-prod");
    let settings = format!(
        "registry={registry}\n//{host}/:tokenHelper={}\n",
        helper.display()
    );
    fs::write(site.machine.home().join(".npmrc"), settings).expect("pnpm's settings");
    let project = site.directory("project");
    let mut command = site.command(node_program().to_str().expect("UTF-8"));
    command
        .arg(pnpm_program())
        .args(["install", "--store-dir"])
        .arg(site.directory("store"))
        .current_dir(&project);
    Ran::from(command.output().expect("node starts")).success();
    assert!(project.join("node_modules/private/package.json").exists());
    assert_eq!(site.issued(), 1);
}

#[test]
fn googles_library_takes_the_token_as_its_subject_token() {
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    let script = "import sys
from google.auth import pluggable
credentials = pluggable.Credentials(
    audience='//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x',
    subject_token_type='urn:ietf:params:oauth:token-type:jwt',
    token_url='https://sts.googleapis.com/v1/token',
    credential_source={'executable': {'command': sys.argv[1] + ' google-executable', 'timeout_millis': 30000}})
print(credentials.retrieve_subject_token(None))
";
    let python = python_program("python");
    let mut command = site.command(python.to_str().expect("UTF-8"));
    command
        .env("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
        .args(["-c", script, &*HALLPASS]);
    let ran = Ran::from(command.output().expect("python starts")).success();
    assert_eq!(ran.stdout, "token-1\n");
}
