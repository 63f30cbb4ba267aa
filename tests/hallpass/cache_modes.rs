//! How cached tokens are kept on disk: encrypted, plain or not at all.

use std::fs;

use crate::machine::{Machine, SECRET};

#[test]
fn the_mode_is_a_setting_and_the_environment_decides_before_it() {
    let mut machine = Machine::new();
    let count = |machine: &Machine| machine.server().requests().len();
    machine.login("p", machine.server(), &["--cache", "none"]);
    assert_eq!(machine.entries("p"), Vec::<std::path::PathBuf>::new());
    assert_eq!(machine.run(&["token", "p"]).token(), "token-2");
    assert_eq!(machine.run(&["token", "p"]).token(), "token-3");
    assert_eq!(machine.entries("p"), Vec::<std::path::PathBuf>::new());
    // A login of the same client keeps it, and so do a copy, an export and an import.
    machine.run(&["login", "p"]).success();
    let shown = machine.run(&["status", "p", "--json"]).json();
    assert_eq!(shown["profiles"][0]["cache"], "none");
    let exported = machine.run(&["profile", "export", "p"]).success().stdout;
    assert!(exported.contains(r#""cache": "none""#), "{exported}");
    let file = machine.private_file("exported.json", exported.as_bytes());
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let (file, secret) = (
        file.to_str().expect("UTF-8"),
        secret.to_str().expect("UTF-8"),
    );
    let url = machine.server().url("/oauth/token");
    let import = [
        "profile",
        "import",
        file,
        "imported",
        "--secret-file",
        secret,
    ];
    machine
        .run(&[&import[..], &["--token-url", &url]].concat())
        .success();
    assert_eq!(
        machine.entries("imported"),
        Vec::<std::path::PathBuf>::new()
    );
    machine.run(&["profile", "copy", "p", "copied"]).success();
    let settings = fs::read_to_string(machine.config().join("copied.json")).expect("a profile");
    assert!(settings.contains(r#""cache": "none""#), "{settings}");
    // With the variable, the setting does not count.
    let before = count(&machine);
    machine.set("HALLPASS_CACHE", "plain");
    machine.run(&["token", "p"]).token();
    machine.run(&["token", "p"]).token();
    assert_eq!(count(&machine), before + 1);
    assert_eq!(machine.entries("p").len(), 1);
    // What others cached is not used, and goes with the next token.
    machine.set("HALLPASS_CACHE", "none");
    machine.run(&["token", "p"]).token();
    assert_eq!(count(&machine), before + 2);
    assert_eq!(machine.entries("p"), Vec::<std::path::PathBuf>::new());
    machine.set("HALLPASS_CACHE", "file");
    let ran = machine.run(&["token", "p"]).failure(2);
    assert!(
        ran.stderr.contains("HALLPASS_CACHE is not one of auto"),
        "{ran:?}"
    );
}

#[test]
fn a_changed_mode_removes_what_was_kept_in_the_old_one() {
    let machine = Machine::new();
    machine.login("p", machine.server(), &["--cache", "plain"]);
    assert_eq!(machine.entries("p").len(), 1);
    machine
        .run(&["profile", "edit", "p", "--cache", "none"])
        .success();
    assert_eq!(machine.entries("p").len(), 0);
    assert_eq!(
        machine.server().requests().len(),
        1,
        "an edit requests none"
    );
}
