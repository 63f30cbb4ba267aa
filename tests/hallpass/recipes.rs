//! What `hallpass setup` prints, done as it stands: by the real program where it can be installed,
//! else by what reads its syntax. hallpass is called by a path that each syntax has to escape.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::clients::{
    Demands, Site, crate_archive, git_site, gits, index, npm_registry, registry, rustup_home, shown,
};
use crate::machine::{HALLPASS, Ran};
use crate::real_servers::{go_program, node_program, npm_program, pnpm_program, python_program};
use crate::server::{Reply, Server};
use crate::support::ran;

/// What shells, and the settings of some tools, would read as something else.
const AWKWARD: &str = "a b\\c'd$e#f;é%";

/// The same with the other quotes, for those who cannot have both.
const QUOTES: &str = "say \"hello\" `x`\\";

impl Site {
    /// hallpass in a directory of this name.
    fn hallpass_in(&self, directory: &str) -> PathBuf {
        let path = self.directory(directory).join("hallpass");
        if !path.is_symlink() {
            symlink(&*HALLPASS, &path).expect("a link");
        }
        path
    }

    #[track_caller]
    fn setup(&self, directory: &str, arguments: &[&str]) -> String {
        let hallpass = self.hallpass_in(directory);
        let mut setup = self.command(hallpass.to_str().expect("UTF-8"));
        setup.arg("setup").args(arguments);
        ran(setup).success().stdout
    }

    /// Only this URL of the site is bound.
    fn bind_only(&self, path: &str) {
        let (origin, url) = (self.server.url(""), self.server.url(path));
        self.machine.run(&["unbind", "prod", &origin]).success();
        self.machine.run(&["bind", "prod", &url]).success();
    }

    /// A program in a directory that comes first on the PATH.
    fn script(&self, name: &str, content: &str) {
        let file = self.directory("bin").join(name);
        fs::write(&file, content).expect("a script");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    #[track_caller]
    fn shell(&self, shell: &str, script: &str) -> Ran {
        let mut command = self.command(shell);
        command
            .args(["-ec", script])
            .current_dir(self.directory("project"));
        ran(command)
    }
}

/// The lines that are no comments.
fn commands(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn git_stores_the_token_nowhere() {
    for (git, is_new) in gits() {
        for directory in [AWKWARD, QUOTES, "plain"] {
            let demands = if is_new {
                Demands::Either
            } else {
                Demands::Basic
            };
            let site = git_site(demands);
            site.bind_only("/app.git");
            let settings =
                "[credential]\n\thelper = store\n".to_owned() + &site.setup(directory, &["git"]);
            fs::write(site.machine.home().join(".gitconfig"), settings).expect("a file");
            let mut clone = site.command(&git);
            clone
                .env("GIT_TERMINAL_PROMPT", "0")
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .args(["clone", "--quiet", &site.server.url("/app.git"), "copy"])
                .current_dir(site.machine.root());
            ran(clone).success();
            let stored = site.machine.home().join(".git-credentials");
            assert!(!stored.exists(), "{git} {directory}");
            assert_eq!(site.issued(), 1);
        }
    }
}

#[test]
fn git_and_wget_ask_the_askpass_program() {
    let site = git_site(Demands::Basic);
    site.setup(AWKWARD, &["links"]);
    let text = site.setup(AWKWARD, &["askpass"]);
    let url = site.server.url("/app.git");
    let (exports, wget) = text.split_once("wget").expect("a line for wget");
    site.shell("sh", &format!("{exports}\ngit ls-remote {url}"))
        .success();
    let page = site
        .server
        .url("/app.git/info/refs?service=git-upload-pack");
    let wget = wget.replace(&site.server.url("/"), &format!("'{page}'"));
    site.shell("sh", &format!("wget -q -O refs {wget}"))
        .success();
    let refs = fs::read(site.directory("project").join("refs")).expect("what was fetched");
    assert!(!refs.is_empty());
    assert_eq!(site.issued(), 1);
}

#[test]
fn docker_and_skopeo_run_the_link_that_was_made() {
    let site = Site::start(Demands::Basic, registry);
    let bin = site.directory("bin");
    site.machine
        .run(&["bind", "prod", "https://other.example"])
        .success();
    let links = ["--dir", bin.to_str().expect("UTF-8")];
    let text = commands(&site.setup(AWKWARD, &["docker"]));
    let printed: Value = serde_json::from_str(&text).expect("one JSON object");
    site.setup(AWKWARD, &["docker", "--write", links[0], links[1]]);
    let file = site.machine.home().join(".docker/config.json");
    let written: Value = serde_json::from_slice(&fs::read(file).expect("a file")).expect("JSON");
    assert_eq!(written, printed);
    let image = format!("{}/app:latest", site.host());
    site.run("docker", &["manifest", "inspect", "--insecure", &image])
        .success();
    let source = format!("docker://{image}");
    site.run(
        "skopeo",
        &["inspect", "--tls-verify=false", "--raw", &source],
    )
    .success();
    assert_eq!(site.issued(), 1);
}

#[test]
fn cargo_reads_one_table_for_each_url() {
    let package = crate_archive();
    let digest = ring::digest::digest(&ring::digest::SHA256, &package);
    let sum: Vec<_> = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let sum = sum.concat();
    let site = Site::start(Demands::Bearer, move |request| {
        let base = format!("http://{}", request.header("host").unwrap_or_default());
        match request.target.as_str() {
            "/index/config.json" => Reply::json(
                200,
                json!({ "dl": format!("{base}/dl"), "auth-required": true }).to_string(),
            ),
            "/index/pr/iv/private" => Reply::new(200).body(format!(
                "{}\n",
                json!({ "name": "private", "vers": "0.1.0", "deps": [], "cksum": sum,
                    "features": {}, "yanked": false })
            )),
            "/dl/private/0.1.0/download" => Reply::new(200).body(package.clone()),
            _ => Reply::new(404),
        }
    });
    site.bind_only("/index/");
    site.machine
        .run(&["bind", "prod", "https://other.example"])
        .success();
    let settings = site.setup(AWKWARD, &["cargo"]);
    fs::write(site.directory("cargo").join("config.toml"), settings).expect("a file");
    let project = site.directory("project/src").with_file_name("");
    let manifest = "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
        [dependencies]\nprivate = { version = \"0.1\", registry = \"prod\" }\n";
    fs::write(project.join("Cargo.toml"), manifest).expect("a manifest");
    fs::write(project.join("src/lib.rs"), "").expect("a source");
    let mut cargo = site.command(env!("CARGO"));
    cargo
        .env("CARGO_HOME", site.directory("cargo"))
        .env("RUSTUP_HOME", rustup_home())
        .arg("fetch")
        .current_dir(&project);
    ran(cargo).success();
    assert_eq!(site.issued(), 1);
}

#[test]
fn kubectl_reads_the_user_of_its_settings() {
    use crate::tls::Authority;
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1"]);
    let cluster = Server::start_tls(&identity, |request| match request.header("authorization") {
        Some("Bearer token-1") => Reply::json(200, r#"{"major":"1"}"#),
        _ => Reply::json(401, r#"{"kind":"Status","status":"Failure","code":401}"#),
    });
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    site.machine
        .run(&["bind", "prod", &cluster.url("")])
        .success();
    let ca = site
        .machine
        .private_file("ca.pem", authority.pem().as_bytes());
    let settings = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
        contexts: [{{ name: c, context: {{ cluster: k, user: prod }} }}]\n\
        clusters: [{{ name: k, cluster: {{ server: \"{}\", certificate-authority: \"{}\" }} }}]\n{}",
        cluster.url(""),
        ca.display(),
        // Clients of that age know it under this name only.
        site.setup(AWKWARD, &["kubectl"])
            .replace("k8s.io/v1\n", "k8s.io/v1beta1\n"),
    );
    let file = site.machine.private_file("kubeconfig", settings.as_bytes());
    let file = file.to_str().expect("UTF-8");
    let get = ["--kubeconfig", file, "get", "--raw", "/version"];
    assert!(site.run("kubectl", &get).success().stdout.contains("major"));
}

#[test]
fn go_keeps_and_runs_its_setting() {
    use crate::tls::Authority;
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1"]);
    let proxy = Server::start_tls(&identity, |request| {
        if shown(request, Demands::Bearer).is_none() {
            return Reply::new(401).header("WWW-Authenticate", "Bearer");
        }
        match request.target.as_str() {
            "/private.example/mod/@v/v1.0.0.info" => {
                Reply::json(200, r#"{"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"}"#)
            }
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
    symlink(&go, site.directory("bin").join("go")).expect("a link");
    // Go splits at semicolons, also between quotes.
    let directory = AWKWARD.replace(';', "");
    let value = || site.run("go", &["env", "GOAUTH"]).success().stdout;
    let list = |cache: &str| {
        let mut command = site.command("go");
        command
            .env("GOPROXY", proxy.url(""))
            .env("GONOSUMDB", "*")
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=mod")
            .env("GOPATH", site.directory(cache))
            .env("SSL_CERT_FILE", &ca)
            .args(["list", "-m", "private.example/mod@v1.0.0"])
            .current_dir(site.directory("project"));
        ran(command).success();
    };
    site.shell("sh", &site.setup(&directory, &["go"])).success();
    let printed = value();
    list("first");
    site.run("go", &["env", "-u", "GOAUTH"]).success();
    let default = value();
    // Once more by hallpass, with the other quotes, and with a setting that is only Go's default.
    for before in ["-u GOAUTH", "-w GOAUTH=netrc"] {
        site.run(
            "go",
            &[&["env"][..], &before.split(' ').collect::<Vec<_>>()].concat(),
        )
        .success();
        let settings = site.machine.home().join(".config/go/env");
        let kept = fs::read(&settings).expect("Go's settings");
        site.setup(QUOTES, &["go", "--write"]);
        list(before);
        site.setup(&directory, &["go", "--write"]);
        assert_eq!(value(), printed);
        site.setup(&directory, &["go", "--undo"]);
        assert_eq!(value(), default);
        assert_eq!(fs::read(&settings).expect("Go's settings"), kept);
    }
    let mut both = site.command(site.hallpass_in(AWKWARD).to_str().expect("UTF-8"));
    both.args(["setup", "go"]);
    assert!(ran(both).failure(2).stderr.contains("semicolon"));
}

#[test]
fn pip_and_uv_find_the_keyring_program() {
    let site = Site::start(Demands::Basic, index);
    site.bind_only("/simple/");
    site.setup(AWKWARD, &["links"]);
    for program in ["pip", "uv"] {
        symlink(python_program(program), site.directory("bin").join(program)).expect("a link");
    }
    let mut script = String::new();
    for line in commands(&site.setup(AWKWARD, &["pip"])).lines() {
        let name = line.split(' ').next().expect("a word");
        let to = format!("--no-deps --target by-{name} private");
        script += &line.replace("PACKAGE", &to);
        script.push('\n');
    }
    site.shell("sh", &script).success();
    for name in ["pip", "uv"] {
        let installed = site
            .directory("project")
            .join(format!("by-{name}/private.py"));
        assert!(installed.exists(), "{script}");
    }
    assert_eq!(site.issued(), 1);
}

/// A project that depends on a package of a private registry below a path.
fn npm_project() -> Site {
    let site = npm_registry("/npm/");
    site.bind_only("/npm/");
    site
}

fn private_package_is_there(site: &Site) {
    let installed = "node_modules/private/package.json";
    assert!(site.directory("project").join(installed).exists());
    assert_eq!(site.issued(), 1);
}

#[test]
fn npm_takes_the_token_from_a_variable() {
    let site = npm_project();
    let text = site.setup(AWKWARD, &["npm"]);
    let (settings, command) = text.split_once("\n# then\n").expect("a command");
    let settings = format!("registry={}\n{settings}", site.server.url("/npm/"));
    fs::write(site.directory("project").join(".npmrc"), settings).expect("npm's settings");
    let (node, npm) = (node_program(), npm_program());
    let start = format!("exec '{}' '{}'", node.display(), npm.display());
    site.script("npm", &format!("#!/bin/sh\n{start} \"$@\"\n"));
    site.shell("sh", command).success();
    private_package_is_there(&site);
}

#[test]
fn pnpm_runs_the_link_that_was_made() {
    let site = npm_project();
    let settings = site.machine.home().join(".npmrc");
    let registry = format!("registry={}\n", site.server.url("/npm/"));
    fs::write(&settings, &registry).expect("pnpm's settings");
    site.setup(AWKWARD, &["pnpm", "--write"]);
    let mut pnpm = site.command(node_program().to_str().expect("UTF-8"));
    pnpm.arg(pnpm_program())
        .args(["install", "--store-dir"])
        .arg(site.directory("store"))
        .current_dir(site.directory("project"));
    ran(pnpm).success();
    private_package_is_there(&site);
    site.setup(AWKWARD, &["pnpm", "--undo"]);
    assert_eq!(fs::read_to_string(&settings).expect("a file"), registry);
    assert!(!site.machine.home().join(".local/bin").exists());
}

#[test]
fn curl_takes_the_token_from_the_pipe() {
    let site = Site::start(Demands::Bearer, |_| Reply::new(200).body("hello"));
    site.bind_only("/it's;here/");
    for directory in [AWKWARD, QUOTES] {
        let line = site
            .setup(directory, &["curl"])
            .replace("curl -K", "curl -sSf -K");
        assert_eq!(site.shell("sh", &line).success().stdout, "hello");
    }
}

#[test]
fn googles_library_runs_the_command() {
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    let text = site.setup(AWKWARD, &["google"]);
    let source = text
        .lines()
        .find(|line| line.starts_with('"'))
        .expect("a member");
    let exports = text
        .lines()
        .find(|line| line.starts_with("export"))
        .expect("a variable");
    let settings = format!("{{{source}}}");
    let settings = site
        .machine
        .private_file("google.json", settings.as_bytes());
    let script = "import json, sys
from google.auth import pluggable
credentials = pluggable.Credentials(
    audience='//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x',
    subject_token_type='urn:ietf:params:oauth:token-type:jwt',
    token_url='https://sts.googleapis.com/v1/token',
    **json.load(open(sys.argv[1])))
print(credentials.retrieve_subject_token(None))
";
    let program = site.machine.private_file("script.py", script.as_bytes());
    let python = python_program("python");
    let line = format!(
        "{exports}\n'{}' '{}' '{}'",
        python.display(),
        program.display(),
        settings.display()
    );
    assert_eq!(site.shell("sh", &line).success().stdout, "token-1\n");
}

/// Those that read a variable, started by what was printed. In their place is a script.
#[test]
fn programs_that_read_a_variable_are_started_with_it() {
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    for (tool, variable, programs) in [
        ("bruno", "HALLPASS_TOKEN", &["bru", "bruno"][..]),
        ("hurl", "HURL_SECRET_token", &["hurl"]),
        ("jetbrains", "HALLPASS_TOKEN", &["idea"]),
        ("vscode", "HALLPASS_TOKEN", &["code"]),
        ("yarn", "HALLPASS_TOKEN", &["yarn"]),
    ] {
        for program in programs {
            site.script(program, &format!("#!/bin/sh\nprintenv {variable}\n"));
        }
        let text = site.setup(AWKWARD, &[tool]);
        let (_, commands) = text.split_once("# then").expect("a command");
        let (_, commands) = commands.split_once('\n').expect("a line");
        let printed = site.shell("sh", commands).success().stdout;
        assert_eq!(printed, "token-1\n".repeat(programs.len()), "{tool}");
    }
}

/// AWS and Azure read a file, Insomnia as well.
#[test]
fn token_files_are_where_the_settings_say() {
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    for (tool, name) in [
        ("aws", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        ("azure", "AZURE_FEDERATED_TOKEN_FILE"),
    ] {
        let text = site.setup(AWKWARD, &[tool]);
        let read = format!("{text}\ncat \"${name}\"");
        assert_eq!(
            site.shell("sh", &read).success().stdout,
            "token-1",
            "{tool}"
        );
    }
    let text = site.setup(AWKWARD, &["insomnia"]);
    let (script, rest) = text.split_once("\n\n").expect("commands");
    site.shell("sh", script).success();
    let file = rest.split('"').nth(1).expect("a path");
    assert_eq!(fs::read_to_string(file).expect("a token"), "token-1");
}

/// Claude Code, msmtp and git's older relatives give a line to the platform's shell.
#[test]
fn a_command_in_the_settings_is_one_that_a_shell_runs() {
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    for directory in [AWKWARD, QUOTES] {
        let text = commands(&site.setup(directory, &["claude-code"]));
        let objects: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let run = |command: &Value| site.shell("sh", command.as_str().expect("a text"));
        assert_eq!(run(&objects[0]["apiKeyHelper"]).token(), "token-1");
        let headers = run(&objects[1]["headersHelper"]).token();
        assert_eq!(headers, r#"{"Authorization":"Bearer token-1"}"#);
        site.setup(directory, &["claude-code", "--write"]);
        let file = site.machine.home().join(".claude/settings.json");
        let written: Value =
            serde_json::from_slice(&fs::read(&file).expect("a file")).expect("JSON");
        assert_eq!(written, objects[0]);
        site.setup(directory, &["claude-code", "--undo"]);
        assert!(!file.exists());
        let text = site.setup(directory, &["msmtp"]);
        let (_, command) = text.split_once("passwordeval ").expect("a command");
        assert_eq!(site.shell("sh", command).token(), "token-1");
    }
}

/// Prints the words of a command that another program keeps in its own syntax, a line each.
fn words_by_python(site: &Site, script: &str, text: &str) -> Vec<String> {
    let mut python = site.command("python3");
    python
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = python.spawn().expect("python3 starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, text.as_bytes()).expect("a reader");
    drop(stdin);
    let message = Ran::from(child.wait_with_output().expect("its end"))
        .success()
        .stdout;
    message.lines().map(str::to_owned).collect()
}

#[test]
fn codex_and_rclone_read_the_command_in_their_settings() {
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    site.machine
        .run(&["bind", "prod", "https://other.example/v1/"])
        .success();
    for directory in [AWKWARD, QUOTES] {
        let codex = "import sys, tomllib
settings = tomllib.load(sys.stdin.buffer)
assert len(settings['model_providers']) == 2
provider = settings['model_providers'][settings['model_provider']]
print(provider['auth']['command'], *provider['auth']['args'], sep='\\n')
";
        // rclone reads it as a line of CSV with spaces between.
        let rclone = "import csv, sys
lines = [line for line in sys.stdin if line.startswith('bearer_token_command = ')]
command = lines[0].strip().split(' = ', 1)[1]
print(*next(csv.reader([command], delimiter=' ')), sep='\\n')
";
        for (tool, script) in [("codex", codex), ("rclone", rclone)] {
            let words = words_by_python(&site, script, &site.setup(directory, &[tool]));
            let hallpass = site.hallpass_in(directory);
            let expected = [hallpass.to_str().expect("UTF-8"), "token", "prod"];
            assert_eq!(words, expected, "{tool}");
        }
    }
}

/// Bazel's words: a backslash takes the meaning from what follows, quotes hold spaces.
#[test]
fn bazel_finds_the_link() {
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    site.machine
        .run(&["bind", "prod", "https://[::1]:8443/"])
        .success();
    for directory in [AWKWARD, QUOTES] {
        site.setup(directory, &["links"]);
        let text = commands(&site.setup(directory, &["bazel"]));
        let mut names = Vec::new();
        for line in text.lines() {
            let words = bazel_words(line);
            let [common, option] = words.as_slice() else {
                panic!("{words:?}");
            };
            assert_eq!(common, "common");
            let value = option
                .strip_prefix("--credential_helper=")
                .expect("the option");
            let (host, link) = value.split_once('=').expect("a host");
            names.push(host.to_owned());
            assert_eq!(
                fs::canonicalize(link).expect("a link"),
                fs::canonicalize(&*HALLPASS).expect("hallpass")
            );
        }
        assert_eq!(names, ["127.0.0.1", "[::1]"]);
        site.setup(directory, &["links", "--undo"]);
        let left = fs::read_dir(
            Path::new(&site.hallpass_in(directory))
                .parent()
                .expect("a directory"),
        );
        assert_eq!(left.expect("a directory").count(), 1, "only hallpass");
        assert!(!site.machine.home().join(".terraform.d").exists());
    }
}

fn bazel_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\\', _) => word.extend(characters.next()),
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => quote = Some(c),
            ('#', None) => break,
            (' ' | '\t', None) => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words
}
