//! The conformance suite for MCP clients, with a client that gets its token from hallpass; and the official
//! SDK's client and server with `hallpass serve` between them.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use crate::machine::{HALLPASS, Machine};
use crate::real_servers::{node_program, npm_packages};
use crate::serve::{Serving, machine_bound_to};
use crate::server::{Reply, Server};
use crate::support::ran;

const FILES: &[&str] = &["client.mjs", "served.mjs"];

/// A client and a server of the official SDK.
pub(super) fn script() -> PathBuf {
    npm_packages("mcp-conformance", FILES).join("served.mjs")
}

#[test]
fn the_conformance_suite_passes_with_every_kind_of_client_credentials() {
    for (scenario, passed) in [
        (
            "auth/client-credentials-basic",
            "Passed: 8/8, 0 failed, 0 warnings",
        ),
        (
            "auth/client-credentials-jwt",
            "Passed: 8/8, 0 failed, 0 warnings",
        ),
        // The client has to give up before it sends a credential.
        ("auth/resource-mismatch", "0 failed, 0 warnings"),
    ] {
        let packages = npm_packages("mcp-conformance", FILES);
        let machine = Machine::new();
        let node = node_program();
        // The suite splits the command at spaces.
        let client = [
            node.as_path(),
            &packages.join("client.mjs"),
            HALLPASS.as_ref(),
            machine.root(),
        ];
        let client: Vec<_> = client
            .iter()
            .map(|path| path.to_str().expect("UTF-8"))
            .collect();
        let suite = "node_modules/@modelcontextprotocol/conformance/dist/index.js";
        let mut command = machine.command(&node);
        command
            .arg(packages.join(suite))
            .args(["client", "--scenario", scenario, "--command"])
            .arg(client.join(" "));
        let ran = ran(command).success();
        assert!(ran.stderr.contains(passed), "{scenario}: {}", ran.stderr);
        assert!(ran.stderr.contains("OVERALL: PASSED"), "{}", ran.stderr);
    }
}

#[test]
fn the_conformance_suite_finds_a_served_server_safe_from_dns_rebinding() {
    let packages = npm_packages("mcp-conformance", FILES);
    let mcp = Server::start(|_| Reply::json(200, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#));
    let machine = machine_bound_to(&mcp.url("/mcp"));
    let serving = Serving::start(&machine, &["p"]);
    let suite = "node_modules/@modelcontextprotocol/conformance/dist/index.js";
    let mut command = machine.command(node_program());
    command
        .arg(packages.join(suite))
        .args(["server", "--url", &serving.url])
        .args(["--scenario", "dns-rebinding-protection"]);
    let ran = ran(command).success();
    let shown = ran.stdout + &ran.stderr;
    assert!(shown.contains("Passed: 2/2, 0 failed"), "{shown}");
    assert_eq!(mcp.requests().len(), 1, "the one from this machine");
}

#[test]
fn the_official_client_uses_the_official_server_through_hallpass_serve() {
    let script = npm_packages("mcp-conformance", FILES).join("served.mjs");
    // The first token is that of the login, which the server does not accept.
    let machine = Machine::new();
    let mut server = machine.command(node_program());
    server.arg(&script).args(["server", "token-2"]);
    let mut server = server.stdout(Stdio::piped()).spawn().expect("node");
    let mut port = String::new();
    let mut stdout = BufReader::new(server.stdout.take().expect("a pipe"));
    stdout.read_line(&mut port).expect("a port");
    let url = format!("http://127.0.0.1:{}/mcp", port.trim());
    machine.login("p", machine.server(), &["--for", &url]);
    let serving = Serving::start(&machine, &["p"]);
    let mut client = machine.command(node_program());
    client.arg(&script).args(["client", &serving.url]);
    let ran = ran(client);
    server.kill().expect("a process");
    server.wait().expect("a process");
    let shown = ran.success().stdout;
    assert_eq!(shown, "{\"seen\":[1,2,3],\"text\":\"counted\"}\n");
    assert_eq!(
        machine.server().requests().len(),
        2,
        "the refused token was replaced"
    );
}
