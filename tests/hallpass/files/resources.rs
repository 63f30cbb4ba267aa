//! A full disk, a closed output, and few file descriptors.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::{assert_one_warning, logged_in};
use crate::machine::{Machine, Ran, numbered_tokens};
use crate::server::{Gate, Server};
use crate::stale;
use crate::support::{after_shell, can_mount, ran, run_by, shell_with_own_mounts};

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

/// `$1` is the cache, `$2` the program, `$3` where what it prints goes.
#[test]
fn without_inodes_there_is_a_token_and_the_old_entry_survives() {
    const SCRIPT: &str = r#"
        cp -a "$1" "$3/old"
        mount -t tmpfs -o nr_inodes=20,mode=700 none "$1"
        cp -a "$3/old/." "$1"
        number=0
        while touch "$1/filler-$number" 2>/dev/null; do number=$((number + 1)); done
        "$2" token prod --refresh >"$3/full" 2>"$3/warning"
        "$2" token prod >"$3/kept"
        rm "$1"/filler-*
        "$2" token prod --refresh >"$3/fresh" 2>"$3/silent"
        "$2" token prod >"$3/cached""#;
    if !can_mount() {
        return;
    }
    let (machine, _server) = logged_in();
    let printed = machine.root().join("printed");
    fs::create_dir(&printed).expect("a directory");
    let hallpass = machine.hallpass(&[]);
    let mut world = shell_with_own_mounts(SCRIPT);
    world
        .arg(machine.cache())
        .arg(hallpass.get_program())
        .arg(&printed);
    world.env_clear();
    for (name, value) in hallpass.get_envs() {
        world.env(name, value.expect("a variable that is set"));
    }
    ran(world).success();
    let read = |name: &str| fs::read_to_string(printed.join(name)).expect("a file");
    assert_eq!(read("full"), "token-2\n");
    assert_eq!(read("warning").lines().count(), 1, "{}", read("warning"));
    assert_eq!(read("kept"), "token-1\n");
    assert_eq!([read("fresh"), read("cached")], ["token-3\n", "token-3\n"]);
    assert_eq!(read("silent"), "");
}

#[test]
fn a_cache_that_becomes_read_only_during_a_request_costs_a_warning() {
    const SCRIPT: &str = r#"
        cache=$1
        shift
        "$@" </dev/null &
        read -r line
        mount --bind "$cache" "$cache"
        mount -o remount,bind,ro "$cache"
        echo read-only
        wait $!"#;
    if !can_mount() {
        return;
    }
    let (gate, count) = (Gate::new(), AtomicUsize::new(0));
    let (held, answer) = (gate.clone(), numbered_tokens());
    let server = Server::start(move |request| {
        let reply = answer(request);
        match count.fetch_add(1, SeqCst) {
            0 => reply.held_by(&held),
            _ => reply,
        }
    });
    let machine = Machine::new();
    machine.login("prod", &server, &["--no-verify"]);
    let mut world = shell_with_own_mounts(SCRIPT);
    world.arg(machine.cache());
    fs::create_dir_all(machine.cache()).expect("a directory");
    let mut command = run_by(world, &machine.hallpass(&["token", "prod"]));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut world = command.spawn().expect("a world");
    server.wait_for_requests(1);
    writeln!(world.stdin.take().expect("a pipe")).expect("a line");
    let mut stdout = BufReader::new(world.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    assert_eq!(line, "read-only\n");
    gate.open();
    let mut token = String::new();
    stdout.read_to_string(&mut token).expect("a token");
    let ended = Ran::from(world.wait_with_output().expect("an end"));
    assert_eq!((ended.code, token.as_str()), (0, "token-1\n"), "{ended:?}");
    assert!(ended.stderr.contains("cannot write the cache"), "{ended:?}");
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-2");
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-2");
}

/// `STALE_ENTRIES` says how many.
#[test]
fn thousands_of_stale_entries_cost_a_caller_no_more_than_a_few() {
    let many =
        std::env::var("STALE_ENTRIES").map_or(4_000, |count| count.parse().expect("a number"));
    let calls = |count| {
        let (machine, _server) = logged_in();
        for number in 0..count {
            let entry = stale::plant(&machine, number, "failure", b"{}");
            // A part of them is enough for every sweep to find some.
            if number % 50 == 0 {
                stale::make_old(&entry);
            }
        }
        let log = machine.root().join("calls");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o"]).arg(&log);
        let refresh = machine.hallpass(&["token", "prod", "--refresh"]);
        assert_eq!(ran(run_by(strace, &refresh)).token(), "token-2");
        assert_eq!(machine.run(&["token", "prod"]).token(), "token-2");
        machine.run(&["status", "prod"]).success();
        machine.run(&["logout", "prod"]).success();
        assert_eq!(machine.files(), [machine.config().join("lock")]);
        fs::read_to_string(log).expect("the calls").lines().count()
    };
    let (few, many) = (calls(1_000), calls(many));
    // Names are read in portions, whose size the file system chooses.
    assert!(many <= few + few / 4, "{many} calls instead of {few}");
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
