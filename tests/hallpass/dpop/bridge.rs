//! `hallpass mcp` sends a proof with each message.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::proof::DpopProof;
use super::{strict, url_of};
use crate::machine::Machine;
use crate::server::{Reply, Server};

#[test]
fn each_message_to_an_mcp_server_has_a_proof_with_its_nonce() {
    let server = Server::start(|request| {
        let proof = DpopProof::of(request).expect("a proof");
        proof.verify_with(&request.method, &url_of(request), "bound-1");
        if proof.claims["nonce"] != "n1" {
            let challenge = r#"DPoP error="use_dpop_nonce""#;
            let reply = Reply::json(401, "{}").header("WWW-Authenticate", challenge);
            return reply.header("DPoP-Nonce", "n1");
        }
        let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match message.get("id") {
            Some(id) => {
                let result = json!({"jsonrpc": "2.0", "id": id, "result": {}});
                Reply::json(200, result.to_string())
            }
            None => Reply::new(202),
        }
    });
    let url = server.url("/mcp");
    let machine = Machine::new().with_server(strict());
    machine.login("p", machine.server(), &["--dpop", "--for", &url]);
    let messages = (1..=4).map(|id| json!({"jsonrpc": "2.0", "id": id, "method": "ping"}));
    let lines: Vec<_> = messages.map(|message| message.to_string()).collect();
    let input = lines.join("\n") + "\n";
    let ran = machine.run_with_input(&["mcp", &url], input).success();
    assert_eq!(ran.stdout.lines().count(), 4, "{ran:?}");
    assert!(!ran.stdout.contains("error"), "{ran:?}");
    let requests = server.requests();
    let proofs = requests.iter().filter_map(DpopProof::of);
    let ids: HashSet<_> = proofs.map(|proof| proof.id()).collect();
    assert_eq!(ids.len(), requests.len());
    assert!(requests.len() > 4, "the nonce was not known at first");
    assert_eq!(machine.server().requests().len(), 1, "no token was refused");
}

#[test]
fn a_client_that_starts_the_bridge_is_set_up() {
    let machine = super::logged_in(strict());
    let with = |client: &str| machine.run(&["setup", "mcp", "p", "--client", client]);
    let shown = with("opencode").success().stdout;
    assert!(shown.contains("\"mcp\""), "{shown}");
    // This one sends a header that hallpass prints.
    let ran = with("claude-code").failure(2);
    assert!(ran.stderr.contains("bound to a key (DPoP)"), "{ran:?}");
    assert!(ran.stderr.contains("hallpass mcp"), "{ran:?}");
}
