//! Every block of code in the documents is run by a test, or the document says next to it why not:
//! `<!-- not run by a test: REASON -->` before the block, or in a manual `.\" not run by a test: REASON`.
//!
//! A block that no row of [`ROWS`] is for is run here, by a shell, as it is written; only hosts and the
//! files of the reader are replaced.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rcgen::KeyPair;
use serde_json::json;

use crate::agents::programs::Agent;
use crate::identity::jwt;
use crate::machine::{HALLPASS, Machine, SECRET, numbered_tokens};
use crate::material::openssl;
use crate::secret_service::SecretService;
use crate::server::{Reply, Request, Server};
use crate::support::ran;

const DOCUMENTS: &[&str] = &[
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "packaging/README.md",
    "tests/vectors/README.md",
    "man/hallpass.1",
    "man/hallpass-helpers.1",
    "man/hallpass-contract.5",
];

/// What a block's first line begins with, and what runs the block.
const ROWS: &[(&str, RunBy)] = &[
    (
        "bash tests/demo",
        RunBy::Script("tests/fresh-machine", "bash tests/demo"),
    ),
    (
        "sh tests/run",
        RunBy::Script("tests/fresh-machine", "sh tests/run"),
    ),
    (
        "cargo install --locked --path .",
        RunBy::Script("tests/fresh-machine", "cargo install --locked --path ."),
    ),
    (
        "rustup target add x86_64-unknown-linux-musl",
        RunBy::Script(
            "packaging/build",
            "cargo build --locked --release --target \"$target\"",
        ),
    ),
    (
        "hallpass serve blooma --allow-host",
        RunBy::Test("serve.rs", "--allow-host"),
    ),
    (
        "hallpass token blooma --request",
        RunBy::Test("dpop/requests.rs", r#""--format", "curl""#),
    ),
    (
        "tests/vectors/run",
        RunBy::Test("vectors.rs", "tests/vectors/adapter-hallpass"),
    ),
    (
        "cargo fmt --check",
        RunBy::Script(
            "tests/run",
            "cargo clippy --locked --all-targets -- --deny warnings",
        ),
    ),
    (
        "$ hallpass login blooma",
        RunBy::Test("readme.rs", "the_demonstration_shows_what_the_readme_shows"),
    ),
    (
        "$ hallpass login",
        RunBy::Test(
            "dialogues.rs",
            "the_first_login_in_the_readme_is_what_the_terminal_shows",
        ),
    ),
    (
        "eval \"$(hallpass completions bash)\"",
        RunBy::Test("completions.rs", "eval \"$(hallpass completions bash)\""),
    ),
    (
        "openssl dgst -sha256 -sign",
        RunBy::Test("agents/commands.rs", "tpm2_sign -Q -c"),
    ),
    ("CARGO_REGISTRIES_X_TOKEN=", RunBy::Exec),
    (
        "{ \"allowed_token_endpoints\"",
        RunBy::Test("policy.rs", "the_policy_in_the_manual_can_be_used"),
    ),
    // The real tools read what `hallpass setup` prints: tests/hallpass/recipes.rs, clients.rs.
    ("[credential ", RunBy::Setup("git", "https://git.example/")),
    (
        "{ \"credHelpers\"",
        RunBy::Setup("docker", "https://registry.example/"),
    ),
    (
        "[registries.",
        RunBy::Setup("cargo", "https://cargo.example/index/"),
    ),
    (
        "common --credential_helper",
        RunBy::Setup("bazel", "https://build.example/"),
    ),
    (
        "exec:",
        RunBy::Setup("kubectl", "https://kubernetes.example/"),
    ),
    ("go env -w", RunBy::Setup("go", "https://go.example/")),
    (
        "credentials_helper",
        RunBy::Setup("terraform", "https://terraform.example/"),
    ),
    (
        "//npm.example/",
        RunBy::Setup("pnpm", "https://npm.example/"),
    ),
];

enum RunBy {
    /// This script has this command.
    Script(&'static str, &'static str),
    /// This file of tests has this text.
    Test(&'static str, &'static str),
    /// The block is a part of what `hallpass setup TOOL` prints for a profile with this binding.
    Setup(&'static str, &'static str),
    /// Each line is an argument of `hallpass exec -e`.
    Exec,
}

#[derive(Debug)]
struct Block {
    text: String,
    /// Why no test runs it.
    reason: Option<String>,
}

impl Block {
    fn first_line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }
}

#[test]
fn every_block_of_the_documents_is_run_or_says_why_not() {
    let mut used = vec![false; ROWS.len()];
    for document in DOCUMENTS {
        let reader = Reader::of(document);
        for block in blocks(document) {
            if let Some(reason) = &block.reason {
                assert!(reason.len() > 10, "{document}: {block:?}");
                continue;
            }
            let row = ROWS
                .iter()
                .position(|(start, _)| block.first_line().starts_with(start));
            if let Some(row) = row {
                used[row] = true;
                ROWS[row].1.check(document, &block);
            } else {
                reader.follow(document, &block);
            }
        }
    }
    let unused: Vec<_> = ROWS
        .iter()
        .zip(used)
        .filter(|(_, used)| !used)
        .map(|((start, _), _)| start)
        .collect();
    assert!(unused.is_empty(), "no block begins with {unused:?}");
}

impl RunBy {
    fn check(&self, document: &str, block: &Block) {
        match self {
            Self::Script(file, text) => has(Path::new(file), text),
            Self::Test(file, text) => has(&Path::new("tests/hallpass").join(file), text),
            Self::Setup(tool, url) => {
                let printed = plain(&setup(tool, url));
                for line in block.text.lines() {
                    let line = plain(line);
                    assert!(
                        printed.contains(&line),
                        "{document}: {line:?} is not what `hallpass setup {tool}` prints: {printed}"
                    );
                }
            }
            Self::Exec => {
                let machine = Machine::new();
                machine.login("p", machine.server(), &[]);
                for line in block.text.lines() {
                    machine.run(&["exec", "-e", line, "--", "true"]).success();
                }
            }
        }
    }
}

fn has(file: &Path, text: &str) {
    let content = fs::read_to_string(file).expect("a file");
    assert!(
        content.contains(text),
        "{text} is not in {}",
        file.display()
    );
}

/// What `hallpass setup` prints, with the path of the program as in the manual.
fn setup(tool: &str, url: &str) -> String {
    let machine = Machine::new();
    let profile = if tool == "pnpm" { "PROFILE" } else { "acme" };
    let profile = profile.to_lowercase();
    machine.login(&profile, machine.server(), &["--for", url]);
    let printed = machine.run(&["setup", tool]).success().stdout;
    let directory = Path::new(&*HALLPASS).parent().expect("a directory");
    printed.replace(directory.to_str().expect("UTF-8"), "/usr/local/bin")
}

/// Without what does not matter to the tools: spaces, quotes, and the option that names the profile.
fn plain(text: &str) -> String {
    let text = text.replace(|c: char| " \t\"".contains(c), "");
    text.replace(",--profile,acme", "")
        .replace("/usr/local/bin/hallpass", "hallpass")
        .replace("PROFILE", "profile")
}

/// A reader of one document, who types what its blocks say.
struct Reader {
    machine: Machine,
    server: Server,
    replaced: Vec<(&'static str, String)>,
    _agent: Agent,
    _keychain: SecretService,
}

impl Reader {
    /// One who has logged in, if the document assumes it.
    fn of(document: &str) -> Self {
        let keychain = SecretService::start();
        let mut machine = Machine::new().with_environment(keychain.environment());
        let server = server();
        let key = KeyPair::generate().expect("a P-256 key").serialize_pem();
        let key = text(&machine.private_file("key.pem", key.as_bytes()));
        let public = text(&machine.root().join("key.pub"));
        openssl(&["pkey", "-in", &key, "-pubout", "-out", &public]);
        let agent = Agent::openssh();
        agent.add(&key);
        machine.set("SSH_AUTH_SOCK", &agent.socket);
        machine.set("CLIENT_SECRET", SECRET);
        machine.set("ID_TOKEN", &jwt("readme"));
        machine.set("ACTIONS_ID_TOKEN_REQUEST_URL", &server.url("/github"));
        machine.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "token-of-the-job");
        let identity = text(&machine.private_file("identity", jwt("readme").as_bytes()));
        let secret = text(&machine.private_file("client", SECRET.as_bytes()));
        programs(&mut machine, &server, &secret, &identity);
        let url = server.url("");
        let replaced = vec![
            ("https://acme.blooma.ai/api/projects", server.url("/api")),
            ("https://login.blooma.ai", url.clone()),
            ("https://login.example", url.clone()),
            ("https://mcp.example", url.clone()),
            ("https://sso.example/realms/r", url),
            ("/run/secrets/key.pem", key.clone()),
            ("/run/secrets/key.pub", public),
            ("--jwt-key key.pem", format!("--jwt-key {key}")),
            ("agent:work", format!("agent:{key}")),
            ("/run/secrets/client", secret.clone()),
            ("/run/app/token", text(&machine.root().join("token"))),
            ("/run/prometheus/token", text(&machine.root().join("other"))),
            ("--group prometheus", "--group $(id -gn)".to_owned()),
            ("/var/run/secrets/tokens/kc", identity),
        ];
        match document {
            "man/hallpass-helpers.1" => {
                machine.login("prod", &server, &["--for", "https://registry.example/"]);
            }
            "man/hallpass-contract.5" => {
                machine.login("p", &server, &[]);
            }
            "man/hallpass.1" => {
                let url = server.url("/oauth/token");
                let client = ["--token-url", &url, "--client-id", "ID"];
                let login = ["login", "blooma", "--secret-file", &secret];
                machine.run(&[&login[..], &client].concat()).success();
            }
            _ => {}
        }
        Self {
            machine,
            server,
            replaced,
            _agent: agent,
            _keychain: keychain,
        }
    }

    fn follow(&self, document: &str, block: &Block) {
        let mut script = String::from("set -e\n");
        for line in block.text.lines() {
            // A console shows the output too.
            match (
                block.first_line().starts_with("$ "),
                line.strip_prefix("$ "),
            ) {
                (true, None) => {}
                (_, command) => writeln!(script, "{}", command.unwrap_or(line)).expect("memory"),
            }
        }
        for (from, to) in &self.replaced {
            script = script.replace(from, to);
        }
        let mut shell = self.machine.command("bash");
        shell.args(["-c", &script]).current_dir(self.machine.root());
        if block.text.contains("HALLPASS_CLIENT_SECRET") {
            shell.env("HALLPASS_CLIENT_SECRET", SECRET);
        }
        let ran = ran(shell);
        assert!(
            ran.code == 0,
            "{document}: {script}\n{ran:?}\n{:?}",
            self.server.requests().last()
        );
    }
}

/// The programs that the blocks run: hallpass, without prompts, and those of the reader.
fn programs(machine: &mut Machine, server: &Server, secret: &str, identity: &str) {
    let bin = machine.root().join("bin");
    let own = machine.root().join("own");
    for directory in [&bin, &own] {
        fs::create_dir(directory).expect("a directory");
    }
    // Links are created next to the program.
    symlink(&*HALLPASS, own.join("hallpass")).expect("a link");
    let wrapper = format!(
        r#"#!/bin/bash
case "$*" in
--*|*--secret-*|*--jwt-*|*--identity*|*--provider\ help*|*--store*) ;;
login\ *) set -- "$@" --secret-file '{secret}' ;;
keep\ *) set -- "$@" --once ;;
esac
case "$*" in
*--mcp*) set -- "$@" --issuer '{url}' ;;
*auth0*) set -- "$@" --no-verify ;;
*anthropic-wif*) set -- "$@" --token-url '{url}/token' ;;
esac
exec '{hallpass}' "$@"
"#,
        url = server.url(""),
        hallpass = own.join("hallpass").display(),
    );
    let program = |path: PathBuf, script: &str| {
        fs::write(&path, script).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    };
    program(bin.join("hallpass"), &wrapper);
    program(bin.join("pass"), &format!("#!/bin/sh\ncat '{secret}'\n"));
    let root = machine.root().to_owned();
    program(root.join("deploy"), "#!/bin/sh\ntest -n \"$API_TOKEN\"\n");
    program(root.join("svid"), &format!("#!/bin/sh\ncat '{identity}'\n"));
    let path = std::env::var("PATH").expect("a PATH");
    machine.set("PATH", &format!("{}:{path}", bin.display()));
}

/// An authorization server that is also an MCP server, an API and GitHub.
fn server() -> Server {
    let token = numbered_tokens();
    Server::start(move |request: &Request| {
        if request.method == "POST" {
            return token(request);
        }
        if request.target.starts_with("/github") {
            return Reply::json(200, json!({ "value": jwt("github") }).to_string());
        }
        let issuer = format!("http://{}", request.header("host").unwrap_or_default());
        let metadata = if request.target.contains("oauth-protected-resource") {
            json!({ "resource": format!("{issuer}/mcp"), "authorization_servers": [issuer] })
        } else {
            json!({ "issuer": issuer, "token_endpoint": format!("{issuer}/token") })
        };
        Reply::json(200, metadata.to_string())
    })
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

fn blocks(document: &str) -> Vec<Block> {
    let content = fs::read_to_string(document).expect("a document");
    if document.starts_with("man/") {
        blocks_of_a_manual(&content)
    } else {
        blocks_of_markdown(&content)
    }
}

/// Fenced blocks, and paragraphs that are indented by four spaces.
fn blocks_of_markdown(content: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut reason = None;
    let mut before = "";
    let mut lines = content.lines().peekable();
    while let Some(line) = lines.next() {
        let fenced = line.starts_with("```");
        if fenced || line.starts_with("    ") && before.is_empty() {
            let mut text = String::new();
            if !fenced {
                text = line.trim_start().to_owned() + "\n";
            }
            while let Some(line) = lines.next_if(|line| {
                if fenced {
                    !line.starts_with("```")
                } else {
                    line.starts_with("    ")
                }
            }) {
                text += if fenced { line } else { &line[4..] };
                text.push('\n');
            }
            if fenced {
                lines.next();
            }
            let reason = reason.take();
            blocks.push(Block { text, reason });
        } else if let Some(given) = line.strip_prefix("<!-- not run by a test: ") {
            reason = Some(given.trim_end_matches(" -->").to_owned());
        } else if !line.is_empty() {
            reason = None;
        }
        before = line;
    }
    blocks
}

/// What is between `.nf` and `.fi`, or `.EX` and `.EE`.
fn blocks_of_a_manual(content: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut reason = None;
    let mut block: Option<Block> = None;
    for line in content.lines() {
        match (line, &mut block) {
            (".nf" | ".EX", _) => {
                let reason = reason.take();
                let text = String::new();
                block = Some(Block { text, reason });
            }
            (".fi" | ".EE", _) => blocks.extend(block.take()),
            (_, Some(block)) if !line.starts_with('.') => {
                let line = line.replace(r"\(aq", "'").replace(r"\-", "-");
                block.text += &line.replace(r"\e", "\\");
                block.text.push('\n');
            }
            _ => {}
        }
        if let Some(given) = line.strip_prefix(r#".\" not run by a test: "#) {
            reason = Some(given.to_owned());
        }
    }
    blocks
}
