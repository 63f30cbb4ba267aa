//! The official SDKs as clients and servers, with `hallpass mcp` or `hallpass serve` between them.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::machine::{HALLPASS, Machine};
use crate::mcp::conformance;
use crate::real_servers::{mcp_python, node_program};
use crate::serve::Serving;
use crate::support::ran;

/// A program with one of the SDKs: the interpreter and the script.
struct Sdk {
    interpreter: PathBuf,
    script: PathBuf,
}

impl Sdk {
    fn typescript() -> Self {
        Self {
            interpreter: node_program(),
            script: conformance::script(),
        }
    }

    fn python() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self {
            interpreter: mcp_python(),
            script: here.join("tests/mcp-python/sdk.py"),
        }
    }

    fn command(&self, machine: &Machine, arguments: &[&str]) -> Command {
        let mut command = machine.command(&self.interpreter);
        command.arg(&self.script).args(arguments);
        command
    }

    /// A server that accepts only this token, and its URL.
    fn serve(&self, machine: &Machine, token: &str) -> (Running, String) {
        let mut command = self.command(machine, &["server", token]);
        let mut server = command.stdout(Stdio::piped()).spawn().expect("a server");
        let mut port = String::new();
        let mut stdout = BufReader::new(server.stdout.take().expect("a pipe"));
        stdout.read_line(&mut port).expect("a port");
        (
            Running(server),
            format!("http://127.0.0.1:{}/mcp", port.trim()),
        )
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a client prints that called the tool. The client of the TypeScript SDK drops the progress of a call
/// that arrives together with its result.
#[track_caller]
fn counts(client: Command, may_drop_progress: bool) -> Value {
    let printed = ran(client).success().stdout;
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(printed["text"], "counted");
    if may_drop_progress {
        return printed;
    }
    let seen: Vec<_> = printed["seen"]
        .as_array()
        .expect("a list")
        .iter()
        .map(Value::as_f64)
        .collect();
    assert_eq!(seen, [Some(1.0), Some(2.0), Some(3.0)]);
    printed
}

#[test]
fn the_official_sdks_work_together_over_hallpass() {
    let (typescript, python) = (Sdk::typescript(), Sdk::python());
    let clients: [(&Sdk, &[&str]); 3] = [
        (&typescript, &["stdio"]),
        (&python, &["stdio", "legacy"]),
        (&python, &["stdio", "auto"]),
    ];
    for server in [&typescript, &python] {
        // The first token is that of the login, which the server does not accept.
        let machine = Machine::new();
        let (_running, url) = server.serve(&machine, "token-2");
        machine.login("p", machine.server(), &["--for", &url]);
        for (client, role) in clients {
            let arguments = [role, &[HALLPASS.as_str(), "mcp", &url]].concat();
            let printed = counts(client.command(&machine, &arguments), role.len() == 1);
            let is_modern = role.contains(&"auto") && server.script == python.script;
            let version = if is_modern {
                "2026-07-28"
            } else {
                "2025-11-25"
            };
            let known = Some(&printed["version"]).filter(|version| !version.is_null());
            assert_eq!(known.unwrap_or(&json!(version)), version);
        }
        assert_eq!(
            machine.server().requests().len(),
            2,
            "the refused token was replaced once"
        );
        let serving = Serving::start(&machine, &["p"]);
        counts(
            python.command(&machine, &["url", "auto", &serving.url]),
            false,
        );
    }
}
