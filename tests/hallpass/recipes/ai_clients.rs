//! AI clients, and tools that run a command like them.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use super::{AWKWARD, QUOTES, Recipe, commands, settings_and_commands};
use crate::clients::{Demands, Site};
use crate::machine::{Ran, skip};
use crate::real_servers::npm_packages;
use crate::server::{Reply, Request};

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
            let mut expected = vec![hallpass.to_str().expect("UTF-8"), "token", "prod"];
            if tool == "codex" {
                expected.extend(["--min-ttl", "6m"]);
            }
            assert_eq!(words, expected, "{tool}");
        }
    }
}

/// A model that takes no request, so that a client ends.
fn each(tool: &str) -> [Recipe; 2] {
    let refuse = |_: &Request| {
        let error = r#"{"type":"error","error":{"type":"invalid_request_error","message":"no","code":400}}"#;
        Reply::json(400, error)
    };
    Recipe::each(tool, AWKWARD, "/v1/", Demands::Either, refuse)
}

/// A file of the npm packages of tests/mcp-clients.
fn package(file: &str) -> PathBuf {
    npm_packages("mcp-clients", &[])
        .join("node_modules")
        .join(file)
}

impl Recipe {
    fn home_file(&self, name: &str, content: &str) {
        let file = self.machine.home().join(name);
        fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        fs::write(file, content).expect("settings");
    }

    /// Runs the client until it ends, or was refused for long enough, and looks for this request.
    #[track_caller]
    fn asks_a_model(&self, line: &str, variables: &str, path: &str) {
        let line = format!("{variables}\ntimeout -k 1 120 sh -c '{line}'");
        let ran = self.shell("sh", &line);
        let requests = self.accepted();
        let found = requests
            .iter()
            .find(|request| request.target.contains(path));
        let header = found.and_then(|request| request.header("authorization"));
        assert_eq!(header, Some(&*self.header()), "{ran:?}");
        self.used_one_token();
    }
}

#[test]
fn claude_code_runs_the_command_for_its_api_key() {
    let program = package("@anthropic-ai/claude-code-linux-x64/claude");
    if !program.exists() {
        return skip("npm's Claude Code for x86-64 cannot run on this machine");
    }
    for recipe in each("claude-code") {
        let settings = commands(&recipe.text);
        let settings = settings.lines().next().expect("the settings");
        recipe.home_file(".claude/settings.json", settings);
        recipe.script(
            "claude",
            &format!("#!/bin/sh\nexec '{}' \"$@\"\n", program.display()),
        );
        let variables = format!(
            "export ANTHROPIC_BASE_URL={} CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_AUTOUPDATER=1",
            recipe.server.url("")
        );
        recipe.asks_a_model("claude -p hello", &variables, "/v1/messages");
    }
}

#[test]
fn codex_runs_the_command_for_its_model_provider() {
    for recipe in each("codex") {
        let (first, rest) = recipe.text.split_once("\n\n").expect("tables");
        recipe.home_file(
            ".codex/config.toml",
            &format!("{first}\nmodel = \"m\"\n\n{rest}"),
        );
        recipe.node_client("codex", &package("@openai/codex/bin/codex.js"), "");
        recipe.asks_a_model(
            "codex exec --skip-git-repo-check hello",
            "",
            "/v1/responses",
        );
    }
}

#[test]
fn gemini_gets_the_token_in_a_variable() {
    for recipe in each("gemini") {
        let (settings, command) = settings_and_commands(&recipe.text);
        recipe.home_file(".gemini/settings.json", &commands(settings));
        recipe.node_client(
            "gemini",
            &package("@google/gemini-cli/bundle/gemini.js"),
            "-p hello",
        );
        let variables = format!(
            "export GEMINI_CLI_TRUST_WORKSPACE=true GOOGLE_GEMINI_BASE_URL={}",
            recipe.server.url("")
        );
        recipe.project_file("command", command);
        recipe.asks_a_model("sh ./command", &variables, ":generateContent");
    }
}

#[test]
fn opencode_reads_the_variable_for_its_provider() {
    let program = package("opencode-linux-x64/bin/opencode");
    if !program.exists() {
        return skip("npm's opencode for x86-64 cannot run on this machine");
    }
    let content = |_: &Request| {
        let chunk = r#"{"id":"1","object":"chat.completion.chunk","created":1,"model":"MODEL","choices":[{"index":0,"delta":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#;
        Reply::new(200)
            .header("Content-Type", "text/event-stream")
            .body(format!("data: {chunk}\n\ndata: [DONE]\n\n"))
    };
    for recipe in Recipe::each("opencode", AWKWARD, "/v1/", Demands::Bearer, content) {
        let (settings, command) = settings_and_commands(&recipe.text);
        recipe.home_file(".config/opencode/opencode.json", &commands(settings));
        let model = if recipe.variables.is_empty() {
            "prod/MODEL"
        } else {
            "hallpass/MODEL"
        };
        recipe.script(
            "opencode",
            &format!(
                "#!/bin/sh\nexec '{}' run -m {model} hello\n",
                program.display()
            ),
        );
        recipe.project_file("command", command);
        recipe.asks_a_model("sh ./command", "", "/v1/chat/completions");
    }
}

/// What they read.
#[test]
fn nono_and_fnox_get_the_json_of_their_contracts() {
    for recipe in each("nono") {
        let settings: Value = serde_json::from_str(&commands(&recipe.text)).expect("JSON");
        let capture = &settings["credential_capture"]["hallpass"];
        let credentials = settings["network"]["credentials"]
            .as_array()
            .expect("names");
        assert_eq!(credentials.len(), recipe.urls("/").len());
        for name in credentials {
            let custom = &settings["network"]["custom_credentials"][name.as_str().expect("text")];
            assert_eq!(custom["credential_key"], "cmd://hallpass");
        }
        let words: Vec<String> = serde_json::from_value(capture["command"].clone()).expect("words");
        let mut program = recipe.command(&words[0]);
        program.args(&words[1..]);
        let headers = crate::support::ran(program).success().json();
        assert_eq!(headers["headers"]["Authorization"], recipe.header());
    }
    for recipe in each("fnox") {
        let (settings, _) = settings_and_commands(&recipe.text);
        let read = "import sys, tomllib\n\
            for lease in tomllib.load(open(sys.argv[1], 'rb'))['leases'].values():\n\
            \x20   print(lease['type'], lease['create_command'])\n";
        let file = recipe.project_file("fnox.toml", settings);
        let mut python = recipe.command("python3");
        python.args(["-c", read]).arg(file);
        let command = crate::support::ran(python).success().stdout;
        let command = command.strip_prefix("command ").expect("a command");
        let lease = recipe.shell("sh", command).success().json();
        assert_eq!(lease["credentials"]["HALLPASS_TOKEN"], recipe.token());
        assert!(
            lease["expires_at"]
                .as_str()
                .is_some_and(|moment| moment.ends_with('Z'))
        );
    }
}
