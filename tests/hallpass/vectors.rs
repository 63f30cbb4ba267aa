//! The vectors for any credential helper: `tests/vectors`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::machine::{HALLPASS, Machine, Ran};

/// Runs all vectors, which take longer than one call of hallpass may.
fn run(adapter: &Path) -> Ran {
    let mut command = Command::new("tests/vectors/run");
    command.arg(adapter).env("HALLPASS", HALLPASS.as_str());
    command.output().expect("a script that runs").into()
}

#[test]
fn hallpass_passes_every_vector() {
    let ran = run(Path::new("tests/vectors/adapter-hallpass"));
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert_eq!(ran.stdout, "114 vectors passed, 0 failed\n");
}

#[test]
fn a_helper_that_gives_its_token_to_everybody_fails() {
    let machine = Machine::new();
    let script = b"#!/bin/sh\necho username=oauth2; echo password=token-1\n";
    let adapter = machine.private_file("careless", script);
    fs::set_permissions(&adapter, fs::Permissions::from_mode(0o700)).expect("a file");
    let ran = run(&adapter);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    for failure in [
        "git: another host gets nothing: step 1: 'token-' is in ",
        "docker: a bound server gets a user and a token: step 1: not JSON: ",
        "kubectl: a version that is not known is an error: step 1: exit status 0, ",
    ] {
        assert!(ran.stdout.contains(failure), "{failure}: {}", ran.stdout);
    }
}
