//! What `hallpass setup mcp` prints, used by the client itself where npm has it, else compared with the
//! documented format.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::Site;
use crate::machine::skip;
use crate::machine::{HALLPASS, finish, spawn};
use crate::real_servers::{node_program, npm_packages};
use crate::server::{Reply, Request};

/// Shells and settings would read a part of this path as something else.
const AWKWARD: &str = "a b\\c'd$e#f;é%";

/// An MCP server that accepts `token-1`, and a profile that is bound to it.
fn logged_in() -> Site {
    let site = Site::new();
    let issuer = site.issuer();
    site.login(&["--issuer", &issuer]).success();
    site.mcp.set(respond);
    let directory = site.machine.root().join(AWKWARD);
    fs::create_dir(&directory).expect("a directory");
    symlink(&*HALLPASS, directory.join("hallpass")).expect("a link");
    site
}

/// As a server without sessions and streams does (MCP 2025-11-25, Streamable HTTP).
fn respond(request: &Request) -> Reply {
    if request.target != "/public/mcp" {
        return Reply::json(404, "{}");
    }
    if request.method != "POST" {
        return Reply::json(405, "{}");
    }
    if request.header("authorization") != Some("Bearer token-1") {
        return Reply::json(401, "{}");
    }
    let message: Value = serde_json::from_slice(&request.body).expect("JSON");
    let Some(id) = message.get("id") else {
        return Reply::new(202);
    };
    let result = match message["method"].as_str() {
        Some("initialize") => json!({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "test", "version": "1"},
        }),
        Some("tools/list") => json!({"tools": []}),
        _ => json!({}),
    };
    let response = json!({"jsonrpc": "2.0", "id": id, "result": result});
    Reply::json(200, response.to_string())
}

impl Site {
    fn setup(&self, client: &str) -> String {
        let hallpass = self.machine.root().join(AWKWARD).join("hallpass");
        let mut setup = self.machine.command(hallpass);
        setup.args(["setup", "mcp", "linear", "--client", client]);
        finish(spawn(&mut setup)).success().stdout
    }

    fn write(&self, file: &str, settings: &str) {
        let file = self.machine.home().join(file);
        fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        fs::write(file, settings).expect("a file");
    }

    /// A shell with this client on its PATH.
    fn shell(&self, client: &Path, line: &str) -> Command {
        let directory = self.machine.home();
        symlink(client, directory.join(client.file_stem().expect("a name"))).expect("a link");
        let node = node_program();
        let path = std::env::var("PATH").expect("a PATH");
        let path = [&directory, node.parent().expect("a directory")]
            .map(|path| path.display().to_string())
            .join(":")
            + ":"
            + &path;
        let mut shell = self.machine.command("sh");
        shell.args(["-ec", line]).env("PATH", path);
        shell.current_dir(&directory);
        shell
    }

    /// Runs a client, which has to connect with the token.
    #[track_caller]
    fn connects(&self, client: &str, command: &mut Command) {
        let seen = self.mcp.server.requests().len();
        let ran = finish(spawn(command));
        let requests = self.mcp.server.requests().split_off(seen);
        let accepted: Vec<_> = requests
            .iter()
            .filter(|request| request.header("authorization") == Some("Bearer token-1"))
            .map(Request::text)
            .collect();
        for method in ["\"initialize\"", "\"notifications/initialized\""] {
            let is_sent = accepted.iter().any(|text| text.contains(method));
            assert!(is_sent, "{client}, {method}: {ran:?}");
        }
    }
}

/// JSON after the comment that names the file.
fn parse(settings: &str) -> Value {
    let (comment, json) = settings.split_once('\n').expect("two lines");
    assert!(comment.starts_with("# "), "{comment}");
    serde_json::from_str(json).expect("JSON")
}

fn without_comment(settings: &str) -> &str {
    settings.split_once('\n').expect("two lines").1
}

fn package(file: &str) -> PathBuf {
    npm_packages("mcp-clients", &[])
        .join("node_modules")
        .join(file)
}

#[test]
fn gemini_connects_to_the_mcp_server() {
    let site = logged_in();
    let settings = site.setup("gemini");
    site.write(".gemini/settings.json", without_comment(&settings));
    let mut shell = site.shell(&package(".bin/gemini"), "gemini mcp list");
    site.connects("gemini", shell.env("GEMINI_CLI_TRUST_WORKSPACE", "true"));
}

#[test]
fn opencode_connects_to_the_mcp_server() {
    let site = logged_in();
    let settings = site.setup("opencode");
    let file = ".config/opencode/opencode.json";
    site.write(file, without_comment(&settings));
    let program = package("opencode-linux-x64/bin/opencode");
    if !program.exists() {
        return skip("npm's opencode for x86-64 cannot run on this machine");
    }
    site.connects("opencode", &mut site.shell(&program, "opencode mcp list"));
}

#[test]
fn codex_runs_hallpass_for_its_headers() {
    let site = logged_in();
    let settings = site.setup("codex");
    // A model that is not there: the servers are started before it is needed.
    let model = format!(
        "model = \"none\"\nmodel_provider = \"none\"\n\n[model_providers.none]\nname = \"none\"\n\
         base_url = \"{}\"\nrequest_max_retries = 0\nstream_max_retries = 0\n\n",
        site.mcp.server.url("/v1")
    );
    site.write(".codex/config.toml", &(model + &settings));
    let line = "codex exec --skip-git-repo-check hello";
    site.connects("codex", &mut site.shell(&package(".bin/codex"), line));
}

#[test]
fn copilot_connects_to_the_mcp_server() {
    let site = logged_in();
    let settings = site.setup("copilot");
    site.write(".copilot/mcp-config.json", without_comment(&settings));
    let mut shell = site.shell(&package(".bin/copilot"), "copilot -p hello");
    // A model that is not there: the servers are started before it is needed.
    let model = site.mcp.server.url("/v1");
    for (name, value) in [
        ("COPILOT_OFFLINE", "true"),
        ("COPILOT_PROVIDER_BASE_URL", &model),
        ("COPILOT_MODEL", "none"),
    ] {
        shell.env(name, value);
    }
    site.connects("copilot", &mut shell);
}

#[test]
fn claude_code_gets_a_command_that_prints_headers() {
    let site = logged_in();
    let settings = site.setup("claude-code");
    let settings = parse(&settings);
    let server = &settings["mcpServers"]["linear"];
    assert_eq!(server["type"], "http");
    assert_eq!(server["url"], site.url());
    let helper = server["headersHelper"].as_str().expect("a command");
    let mut shell = site.machine.command("sh");
    let headers = finish(spawn(shell.args(["-c", helper]))).success().stdout;
    let headers: Value = serde_json::from_str(&headers).expect("JSON");
    assert_eq!(headers, json!({"Authorization": "Bearer token-1"}));
}

#[test]
fn editors_start_a_command_that_sets_the_token() {
    for (client, object) in [("vscode", "servers"), ("cursor", "mcpServers")] {
        let site = logged_in();
        let settings = site.setup(client);
        let settings = parse(&settings);
        let server = &settings[object]["linear"];
        let arguments = json!(["mcp", site.url(), "--profile", "linear"]);
        assert_eq!(server["args"], arguments);
        let mut command = site
            .machine
            .command(server["command"].as_str().expect("a program"));
        for argument in arguments.as_array().expect("a list") {
            command.arg(argument.as_str().expect("a text"));
        }
        let mut editor = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("hallpass");
        let mut stdin = editor.stdin.take().expect("a pipe");
        let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}});
        write!(stdin, "{initialize}").expect("a reader");
        drop(stdin);
        let output = editor.wait_with_output().expect("an end");
        let response: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(response["result"]["protocolVersion"], "2025-11-25");
    }
}

#[test]
fn setup_mcp_needs_a_client_and_no_other_tool_takes_one() {
    let site = logged_in();
    for (arguments, says) in [
        (
            &["setup", "mcp"][..],
            "claude-code, codex, copilot, cursor, gemini, opencode, vscode",
        ),
        (&["setup", "mcp", "--client", "emacs"], "--client"),
        (&["setup", "git", "--client", "codex"], "--client needs mcp"),
        (&["setup", "git", "linear"], "unexpected argument"),
        (&["setup", "links", "linear"], "unexpected argument"),
        (
            &["setup", "mcp", "linear", "--client", "codex", "--write"],
            "cannot configure",
        ),
    ] {
        let ran = site.machine.run(arguments).failure(2);
        assert!(ran.stderr.contains(says), "{ran:?}");
    }
    let by_option = ["setup", "mcp", "--profile", "linear", "--client", "vscode"];
    let by_argument = ["setup", "mcp", "linear", "--client", "vscode"];
    let [one, other] = [&by_option[..], &by_argument].map(|line| site.machine.run(line).success());
    assert_eq!(one.stdout, other.stdout);
}
