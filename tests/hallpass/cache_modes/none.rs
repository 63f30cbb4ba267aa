//! No cache: each call has its own request, and a server of tokens keeps its token in memory.

use std::fs;

use super::count;
use crate::crowd::Crowd;
use crate::machine::Machine;
use crate::serve::{Serving, machine_bound_to, status};
use crate::server::{Reply, Server};

#[test]
fn callers_at_the_same_time_have_a_request_each_and_leave_no_token() {
    const CALLERS: usize = 20;
    let machine = Machine::new();
    machine.login("p", machine.server(), &["--cache", "none"]);
    let before = count(&machine);
    let tokens = Crowd::start(&machine, CALLERS, &["token", "p"]).tokens();
    // There is nowhere to share one.
    assert_eq!(tokens.len(), CALLERS);
    assert_eq!(count(&machine), before + CALLERS);
    for file in machine.files() {
        let content = fs::read(&file).expect("a file");
        let has_token = content.windows(6).any(|part| part == b"token-");
        assert!(!has_token, "{}", file.display());
    }
}

#[test]
fn serve_keeps_the_token_in_memory() {
    let api =
        Server::start(|request| Reply::json(200, request.header("authorization").unwrap_or("")));
    let url = api.url("/");
    let machine = machine_bound_to(&url);
    machine
        .run(&["profile", "edit", "p", "--cache", "none"])
        .success();
    let before = count(&machine);
    let serving = Serving::start(&machine, &["p"]);
    let token = format!("Bearer token-{}", before + 1);
    for _ in 0..20 {
        assert!(serving.get("/").ends_with(&token));
    }
    // A change of the profile shows that serve looked for another token meanwhile.
    for (scheme, value) in [("raw", &token[7..]), ("bearer", &token)] {
        machine
            .run(&["bind", "p", &url, "--scheme", scheme])
            .success();
        let value = format!("\r\n{value}");
        while !serving.get("/").ends_with(&value) {
            assert_eq!(count(&machine), before + 1);
        }
    }
    assert_eq!(count(&machine), before + 1);
    assert!(machine.entries("p").is_empty());
    machine.run(&["unbind", "p", &url]).success();
    while status(&serving.get("/")) == 200 {}
    let ran = serving.stop();
    assert!(!ran.stderr.contains("saved"), "{ran:?}");
}
