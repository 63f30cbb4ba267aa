//! CI, containers and services, and every tool that reads a variable or a file.

use std::fs;

use super::{AWKWARD, settings_and_commands};
use crate::clients::{Demands, Site};
use crate::server::Reply;

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
        let (_, commands) = settings_and_commands(&text);
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
