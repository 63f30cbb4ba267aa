//! AI clients, and tools that run a command like them.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use super::{AWKWARD, QUOTES, commands};
use crate::clients::{Demands, Site};
use crate::machine::Ran;
use crate::server::Reply;

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
