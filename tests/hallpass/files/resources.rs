//! A full disk, a closed output, and few file descriptors.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use super::{assert_one_warning, logged_in};
use crate::machine::{Machine, Ran};
use crate::support::{after_shell, ran};

#[test]
fn a_full_disk_costs_a_warning_and_the_old_entry_survives() {
    let (machine, server) = logged_in();
    // No file may grow: what can be created is then the same as on a full disk.
    let full = |arguments: &[&str]| ran(after_shell("ulimit -f 0", &machine.hallpass(arguments)));
    let printed = full(&["token", "prod", "--refresh"]).success();
    assert_eq!(printed.stdout, "token-2\n");
    assert_one_warning(&printed);
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-1");
    assert_eq!(temporary_files(&machine), 0);

    let before = fs::read(machine.config().join("prod.json")).expect("the profile");
    let secret = machine.root().join("secret");
    let url = server.url("/oauth/token");
    let other = ["login", "prod", "--token-url", &url, "--client-id", "other"];
    let secret = [
        "--replace",
        "--secret-file",
        secret.to_str().expect("a path"),
    ];
    full(&[&other[..], &secret[..]].concat()).failure(1);
    assert_eq!(
        fs::read(machine.config().join("prod.json")).expect("the profile"),
        before
    );
    assert_eq!(temporary_files(&machine), 0);
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-1");
    assert_eq!(
        machine.run(&["token", "prod", "--refresh"]).token(),
        "token-4"
    );
}

// Standard streams and descriptors.

#[test]
fn a_token_that_cannot_be_printed_is_an_error_and_still_cached() {
    let (machine, server) = logged_in();
    let refresh = ["token", "prod", "--refresh"];
    let to_full = ran(after_shell("exec >/dev/full", &machine.hallpass(&refresh))).failure(1);
    assert!(to_full.stderr.contains("standard output"), "{to_full:?}");
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-2");

    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = machine.hallpass(&refresh);
    command.stdout(writer).stderr(Stdio::piped());
    let to_nobody = Ran::from(command.output().expect("hallpass starts"));
    assert_eq!((to_nobody.code, to_nobody.stderr.as_str()), (0, ""));
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-3");

    for closed in [">&-", "2>&-", "<&-", "<&- >&-", "<&- 2>&-", "<&- >&- 2>&-"] {
        let before = server.requests().len();
        let closed_at = format!("exec {closed}");
        ran(after_shell(&closed_at, &machine.hallpass(&refresh))).success();
        let token = machine.run(&["token", "prod"]).token();
        assert_eq!(token, format!("token-{}", before + 1), "{closed}");
        assert_eq!(server.requests().len(), before + 1, "{closed}");
    }
    for file in machine.files() {
        let content = fs::read(&file).expect("a file");
        let content = String::from_utf8_lossy(&content);
        assert!(!content.contains("hallpass:"), "{}", file.display());
    }
    let nobody_listens = machine.hallpass(&["token", "nobody"]);
    assert_eq!(ran(after_shell("exec 2>&-", &nobody_listens)).code, 3);
    let nobody_listens = machine.hallpass(&["token", "nobody"]);
    assert_eq!(
        ran(after_shell("exec 2>/dev/full", &nobody_listens)).code,
        3
    );
}

#[test]
fn with_few_descriptors_there_is_a_token_or_a_clean_message() {
    let (machine, _server) = logged_in();
    let mut worked = [0, 0];
    for limit in 4..20 {
        let few = |arguments: &[&str]| {
            ran(after_shell(
                &format!("ulimit -n {limit}"),
                &machine.hallpass(arguments),
            ))
        };
        for (way, arguments) in [&["token", "prod"][..], &["token", "prod", "--refresh"]]
            .into_iter()
            .enumerate()
        {
            let result = few(arguments);
            if result.code == 0 {
                worked[way] += 1;
                assert!(result.stdout.starts_with("token-"), "{limit}: {result:?}");
                assert_eq!(result.stdout.lines().count(), 1, "{limit}: {result:?}");
            } else {
                assert_clean_failure(&result, &format!("{limit} descriptors"));
            }
        }
        machine.run(&["token", "prod"]).success();
    }
    assert_eq!(worked[0], 16, "a hit needs one descriptor");
    assert!(worked[1] >= 6, "{worked:?}");
}

#[track_caller]
fn assert_clean_failure(result: &Ran, what: &str) {
    assert!((1..=6).contains(&result.code), "{what}: {result:?}");
    assert_eq!(result.stdout, "", "{what}: {result:?}");
    assert!(
        result.stderr.contains("hallpass: error: "),
        "{what}: {result:?}"
    );
    assert!(!result.stderr.contains("has a bug"), "{what}: {result:?}");
}

fn temporary_files(machine: &Machine) -> usize {
    let name = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|n| n.as_bytes().starts_with(b".tmp"))
    };
    machine.files().iter().filter(|path| name(path)).count()
}
