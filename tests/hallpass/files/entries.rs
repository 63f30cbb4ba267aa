//! Entries of the cache: what a cached token costs, and what a damaged, planted or huge file costs.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::fs::{CWD, FileType, Mode};

use super::{
    directories, log_in_as_ordinary_user, log_in_with_keychain, logged_in, picture, sealed,
    set_mode, warnings, within_a_minute, write, write_300_mb,
};
use crate::machine::{Machine, Ran, numbered_tokens};
use crate::secret_service::SecretService;
use crate::server::{Gate, Server};
use crate::support::{
    as_ordinary_user, give_to_ordinary_user, is_root, machine_of_ordinary_user, ran, run_by,
};

// A hit.

#[test]
fn a_cached_token_costs_two_reads_and_one_write() {
    let (machine, _server) = logged_in();
    assert_only_reads(&machine);
}

#[test]
fn a_cached_token_needs_no_keychain_and_no_server() {
    let mut keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    let server = Server::start(numbered_tokens());
    log_in_with_keychain(&machine, &server, &[]);
    keychain.stop_provider();
    server.stop();
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-1");
    assert_only_reads(&machine);
}

#[test]
fn a_cached_token_needs_no_home_that_can_be_written() {
    let machine = machine_of_ordinary_user();
    let server = Server::start(numbered_tokens());
    log_in_as_ordinary_user(&machine, &server).success();
    server.stop();
    for file in machine.files() {
        set_mode(&file, 0o400);
    }
    for directory in directories(&machine.home()) {
        set_mode(&directory, 0o500);
    }
    let before = picture(&machine.home());
    let token = || ran(as_ordinary_user(&machine.hallpass(&["token", "prod"])));
    assert_eq!(token().token(), "token-1");
    assert_eq!(token().token(), "token-1");
    assert_eq!(picture(&machine.home()), before);
    for directory in directories(&machine.home()) {
        set_mode(&directory, 0o700);
    }
}

// Damaged and planted entries.

/// How an entry is damaged, by its path and its content.
type Damage = (&'static str, fn(&Path, &[u8]));

#[test]
fn a_damaged_entry_costs_one_request() {
    let (mut machine, server) = logged_in();
    let damages: [Damage; 16] = [
        ("empty", |path, _| write(path, b"")),
        ("zeros", |path, whole| write(path, &vec![0; whole.len()])),
        ("every byte", |path, _| {
            write(path, &(0..=255).cycle().take(9999).collect::<Vec<u8>>());
        }),
        ("a line end", |path, _| write(path, b"\n")),
        ("only a first line", |path, whole| {
            let end = whole.iter().position(|byte| *byte == b'\n').expect("one");
            write(path, &whole[..=end]);
        }),
        ("one byte too many", |path, whole| {
            write(path, &[whole, b"\n"].concat());
        }),
        ("twice", |path, whole| write(path, &[whole, whole].concat())),
        ("a byte order mark", |path, whole| {
            write(path, &["\u{feff}".as_bytes(), whole].concat());
        }),
        ("UTF-16", |path, whole| {
            let text = String::from_utf8_lossy(whole);
            let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
            write(path, &units.flat_map(u16::to_le_bytes).collect::<Vec<_>>());
        }),
        ("Windows line ends", |path, whole| {
            let text = String::from_utf8_lossy(whole).replace('\n', "\r\n");
            write(path, text.as_bytes());
        }),
        ("200,000 deep", |path, _| {
            write(path, &sealed(&"[".repeat(200_000)));
        }),
        ("200,000 deep in objects", |path, _| {
            write(path, &sealed(&r#"{"":"#.repeat(50_000)));
        }),
        ("JSON of another kind", |path, _| write(path, &sealed("[]"))),
        ("another format", |path, whole| {
            let text = String::from_utf8_lossy(whole).replace("token-1 ", "token-2 ");
            write(path, text.as_bytes());
        }),
        ("the token of another day", |path, whole| {
            let text = String::from_utf8_lossy(whole).replace("\"token-", "\"tokem-");
            write(path, text.as_bytes());
        }),
        ("a token with a line end", |path, whole| {
            let text = String::from_utf8_lossy(whole).into_owned();
            let (_, json) = text.split_once('\n').expect("two lines");
            write(path, &sealed(&json.replace("\"token-", r#""evil\ntoken-"#)));
        }),
    ];
    for mode in ["plain", "auto"] {
        machine.set("HALLPASS_CACHE", mode);
        machine.run(&["token", "prod", "--refresh"]).token();
        for (what, damage) in damages {
            let entry = the_entry(&machine);
            damage(&entry, &fs::read(&entry).expect("the entry"));
            assert_costs_one_request(&machine, &server, what);
        }
    }
}

#[test]
fn a_cut_or_flipped_entry_costs_one_request() {
    let (machine, server) = logged_in();
    for step in 0..60 {
        let entry = the_entry(&machine);
        let whole = fs::read(&entry).expect("the entry");
        write(&entry, &whole[..step * whole.len() / 60]);
        assert_costs_one_request(&machine, &server, &format!("cut at {step}/60"));
    }
    for step in 0..60 {
        let entry = the_entry(&machine);
        let mut whole = fs::read(&entry).expect("the entry");
        let at = step * whole.len() / 60;
        whole[at] ^= 1 << (step % 8);
        write(&entry, &whole);
        assert_costs_one_request(&machine, &server, &format!("a bit of byte {at}"));
    }
}

/// What can lie under a name that should be a file of hallpass. Each makes it from the path, and
/// from a directory for what it needs beside.
type Plant = (&'static str, fn(&Path, &Path));

const PLANTS: [Plant; 12] = [
    ("a file for all", |path, _| set_mode(path, 0o666)),
    ("a file that all may read", |path, _| set_mode(path, 0o644)),
    ("a file that the group may read", |path, _| {
        set_mode(path, 0o640);
    }),
    ("a hard link", |path, beside| {
        fs::hard_link(path, beside.join("second name")).expect("a link");
    }),
    ("a link to a file", |path, beside| {
        fs::rename(path, beside.join("target")).expect("a target");
        symlink(beside.join("target"), path).expect("a link");
    }),
    ("a link to nothing", |path, beside| {
        fs::remove_file(path).expect("a free name");
        symlink(beside.join("nothing"), path).expect("a link");
    }),
    ("a link to a directory", |path, beside| {
        fs::remove_file(path).expect("a free name");
        symlink(beside, path).expect("a link");
    }),
    ("a link to itself", |path, _| {
        fs::remove_file(path).expect("a free name");
        symlink(path, path).expect("a link");
    }),
    ("a pipe", |path, _| {
        fs::remove_file(path).expect("a free name");
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    }),
    ("a socket", |path, _| {
        fs::remove_file(path).expect("a free name");
        // A socket's path must be short.
        let short = tempfile::TempDir::new().expect("a directory");
        drop(UnixListener::bind(short.path().join("s")).expect("a socket"));
        fs::rename(short.path().join("s"), path).expect("the socket in its place");
    }),
    ("20 GB of nothing", |path, _| {
        let file = File::options().write(true).open(path).expect("the file");
        file.set_len(20_000_000_000).expect("a sparse file");
    }),
    ("a file of another user", |path, _| {
        // Only the superuser can make one; for others it is one more hard link.
        if is_root() {
            give_to_ordinary_user(path);
        } else {
            fs::hard_link(path, path.with_extension("third")).expect("a link");
        }
    }),
];

#[test]
fn a_strange_file_in_place_of_an_entry_is_replaced_and_never_followed() {
    for (what, plant) in PLANTS {
        let (machine, server) = logged_in();
        let entry = the_entry(&machine);
        let beside = beside(&machine);
        plant(&entry, &beside);
        let before = picture(&beside);
        assert_costs_one_request(&machine, &server, what);
        assert_eq!(
            picture(&beside),
            before,
            "{what}: nothing beside was touched"
        );
        let metadata = fs::symlink_metadata(&entry).expect("an entry");
        assert!(metadata.is_file() && metadata.nlink() == 1, "{what}");
        assert_eq!(metadata.mode() & 0o7777, 0o600, "{what}");
        machine.run(&["logout", "prod"]).success();
        assert_eq!(machine.files(), [machine.config().join("lock")], "{what}");
        assert_eq!(
            picture(&beside),
            before,
            "{what}: nothing beside was touched"
        );
    }
}

#[test]
fn a_strange_file_in_place_of_a_lock_or_a_failure_record_does_not_prevent_a_token() {
    for extension in ["lock", "failure"] {
        for (what, plant) in PLANTS {
            let (machine, _server) = logged_in();
            let path = the_entry(&machine).with_extension(extension);
            fs::write(&path, "").expect("a file");
            set_mode(&path, 0o600);
            let beside = beside(&machine);
            plant(&path, &beside);
            let before = picture(&beside);
            let refresh = machine.hallpass(&["token", "prod", "--refresh"]);
            let refreshed = ran(within_a_minute(&refresh));
            assert_eq!(refreshed.token(), "token-2", "{what} as {extension}");
            assert_eq!(machine.run(&["token", "prod"]).token(), "token-2", "{what}");
            assert_eq!(picture(&beside), before, "{what} as {extension}");
            machine.run(&["logout", "prod"]).success();
            assert_eq!(machine.files(), [machine.config().join("lock")], "{what}");
        }
    }
}

#[test]
fn a_directory_in_place_of_a_file_does_not_prevent_a_token() {
    for extension in ["json", "lock", "failure"] {
        let (machine, _server) = logged_in();
        let path = the_entry(&machine).with_extension(extension);
        let _ = fs::remove_file(&path);
        fs::create_dir(&path).expect("a directory");
        fs::write(path.join("file"), "another user's").expect("a file in it");
        for number in 2..4 {
            let printed = machine.run(&["token", "prod", "--refresh"]).success();
            assert_eq!(printed.stdout, format!("token-{number}\n"), "{extension}");
            assert!(warnings(&printed) <= 1, "{extension}: {printed:?}");
        }
        assert_eq!(
            fs::read(path.join("file")).expect("the file"),
            b"another user's"
        );
        // It is not ours to delete: a logout that leaves it must say so.
        machine.run(&["logout", "prod"]).failure(1);
        fs::remove_dir_all(&path).expect("it goes");
        machine.run(&["logout", "prod"]).success();
        assert_eq!(machine.files(), [machine.config().join("lock")]);
    }
}

#[test]
fn garbage_in_a_lock_or_a_failure_record_changes_nothing() {
    let (machine, _server) = logged_in();
    let note = the_entry(&machine).with_extension("failure");
    let lock = the_entry(&machine).with_extension("lock");
    let mut number = 1;
    for content in [
        &b""[..],
        b"\0\0\0\0",
        b"{\"turn\":",
        b"{}",
        b"null",
        b"{\"turn\":\"x\",\"refusal\":{}}",
        b"{\"turn\":\"x\",\"refusal\":{\"kind\":\"nonsense\"}}",
        "[".repeat(60_000).as_bytes(),
        "x".repeat(100_000).as_bytes(),
    ] {
        for path in [&note, &lock] {
            write(path, content);
            number += 1;
            let token = machine.run(&["token", "prod", "--refresh"]).token();
            assert_eq!(token, format!("token-{number}"));
        }
    }
}

#[test]
fn a_file_without_read_permission_is_treated_as_missing() {
    let machine = machine_of_ordinary_user();
    let server = Server::start(numbered_tokens());
    log_in_as_ordinary_user(&machine, &server).success();
    let token = |arguments: &[&str]| ran(as_ordinary_user(&machine.hallpass(arguments))).token();
    set_mode(&the_entry(&machine), 0);
    assert_eq!(token(&["token", "prod"]), "token-2");
    assert_eq!(token(&["token", "prod"]), "token-2");
    for (number, extension) in [(3, "lock"), (4, "failure")] {
        let path = the_entry(&machine).with_extension(extension);
        fs::write(&path, "").expect("a file");
        give_to_ordinary_user(&path);
        set_mode(&path, 0);
        let refreshed = token(&["token", "prod", "--refresh"]);
        assert_eq!(refreshed, format!("token-{number}"), "{extension}");
    }
    set_mode(&machine.config().join("prod.json"), 0);
    let refused = ran(as_ordinary_user(&machine.hallpass(&["token", "prod"]))).failure(1);
    assert!(refused.stderr.contains("prod.json"), "{refused:?}");
}

#[test]
fn an_entry_under_another_name_is_not_used() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("other", &server, &[]);
    machine.login("prod", &server, &[]);
    let for_scope = ["token", "prod", "--scope", "USER"];
    assert_eq!(machine.run(&for_scope).token(), "token-3");
    let [first, second] = machine.entries("prod").try_into().expect("two entries");
    let other = machine.entries("other").remove(0);
    let prods = [first, second].map(|path| (fs::read(&path).expect("an entry"), path));
    // The entry of another request, and of another profile.
    for (content, path) in [
        (&prods[0].0, &prods[1].1),
        (&prods[1].0, &prods[0].1),
        (&fs::read(&other).expect("an entry"), &prods[0].1),
    ] {
        let before = server.requests().len();
        write(path, content);
        let tokens = [
            machine.run(&["token", "prod"]).token(),
            machine.run(&for_scope).token(),
        ];
        assert_eq!(server.requests().len(), before + 1);
        assert_ne!(tokens[0], tokens[1]);
        assert!(!tokens.contains(&"token-1".to_owned()), "{tokens:?}");
        for (content, path) in &prods {
            write(path, content);
        }
    }
    // The entry of an earlier login.
    let stale = fs::read(&prods[0].1).expect("an entry");
    machine.login("prod", &server, &[]);
    write(&prods[0].1, &stale);
    write(&prods[1].1, &stale);
    let current = machine.run(&["token", "prod"]).token();
    assert_eq!(current, format!("token-{}", server.requests().len()));
    write(
        &the_last_entry_but(&machine, &prods.map(|(_, path)| path)),
        &stale,
    );
    let fresh = machine.run(&["token", "prod"]).token();
    assert_eq!(fresh, format!("token-{}", server.requests().len()));
}

#[test]
fn a_huge_file_costs_no_memory() {
    let (gate, first, answer) = (Gate::new(), AtomicBool::new(true), numbered_tokens());
    let held = gate.clone();
    let server = Server::start(move |request| {
        if first.swap(false, Relaxed) {
            return answer(request);
        }
        answer(request).held_by(&held)
    });
    let machine = Machine::new();
    machine.login("prod", &server, &[]);
    let entry = the_entry(&machine);
    for extension in ["json", "lock", "failure"] {
        write_300_mb(&entry.with_extension(extension));
    }
    let child = machine
        .hallpass(&["token", "prod"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hallpass starts");
    server.wait_for_requests(2);
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("its status");
    gate.open();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(Ran::from(output).token(), "token-2");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse::<u64>().ok())
        .expect("the peak of its memory");
    assert!(peak < 64 * 1024, "{peak} kB");
}

/// Watches all that a cached token asks of the system.
#[track_caller]
fn assert_only_reads(machine: &Machine) {
    let log = machine.root().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(&log);
    let printed = ran(run_by(strace, &machine.hallpass(&["token", "prod"])));
    assert_eq!(printed.token(), "token-1");
    let log = fs::read_to_string(log).expect("the trace");
    let calls: Vec<_> = log.lines().filter_map(call).collect();
    let forbidden = [
        "socket",
        "connect",
        "clone",
        "clone3",
        "fork",
        "vfork",
        "flock",
        "mkdir",
        "mkdirat",
        "rename",
        "renameat",
        "renameat2",
        "unlink",
        "unlinkat",
        "rmdir",
        "link",
        "linkat",
        "symlink",
        "symlinkat",
        "chmod",
        "fchmod",
        "fchmodat",
        "chown",
        "fchown",
        "truncate",
        "ftruncate",
        "fsync",
        "fdatasync",
        "utimensat",
        "sendto",
        "sendmsg",
        "writev",
        "pwrite64",
        "add_key",
        "request_key",
    ];
    for (name, line) in &calls {
        assert!(!forbidden.contains(name), "{line}");
        // The key that the token is encrypted with.
        let reads_key = ["KEYCTL_SEARCH", "KEYCTL_READ"]
            .iter()
            .any(|it| line.contains(it));
        assert!(*name != "keyctl" || reads_key, "{line}");
        assert!(
            !line.contains("F_SETLK") && !line.contains("F_OFD_SETLK"),
            "{line}"
        );
        assert!(!line.contains("O_CREAT"), "{line}");
        assert!(
            !line.contains("O_WRONLY") && !line.contains("O_RDWR"),
            "{line}"
        );
    }
    let writes: Vec<_> = calls.iter().filter(|(name, _)| *name == "write").collect();
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert!(writes[0].1.contains("write(1, "), "{writes:?}");
    // Before this call it is the loader that opens files.
    let begin = calls
        .iter()
        .position(|(_, line)| line.contains("PR_SET_DUMPABLE"));
    let ours = &calls[begin.expect("the beginning of hallpass")..];
    let opened: Vec<_> = ours.iter().filter(|(name, _)| *name == "openat").collect();
    assert_eq!(opened.len(), 3, "{opened:?}");
    // There is no policy.
    let found = opened.iter().filter(|(_, line)| !line.contains("ENOENT"));
    assert_eq!(found.count(), 2, "{opened:?}");
}

/// The name of the call in a line of strace's, and the line.
fn call(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(' ')?;
    let (name, _) = rest.trim_start().split_once('(')?;
    Some((name, line))
}

/// The next token is a new one, and is cached in its turn.
#[track_caller]
fn assert_costs_one_request(machine: &Machine, server: &Server, what: &str) {
    let before = server.requests().len();
    let result = ran(within_a_minute(&machine.hallpass(&["token", "prod"])));
    assert_eq!(
        (result.code, result.stderr.as_str()),
        (0, ""),
        "{what}: {result:?}"
    );
    assert_eq!(result.stdout, format!("token-{}\n", before + 1), "{what}");
    let again = machine.run(&["token", "prod"]);
    assert_eq!(again.token(), format!("token-{}", before + 1), "{what}");
    assert_eq!(server.requests().len(), before + 1, "{what}");
}

fn the_entry(machine: &Machine) -> PathBuf {
    let [entry] = machine.entries("prod").try_into().expect("one entry");
    entry
}

fn the_last_entry_but(machine: &Machine, known: &[PathBuf]) -> PathBuf {
    let mut entries = machine.entries("prod");
    entries.retain(|entry| !known.contains(entry));
    entries.pop().expect("another entry")
}

/// A directory for what a test puts beside hallpass's files.
fn beside(machine: &Machine) -> PathBuf {
    let path = machine.root().join("beside");
    fs::create_dir(&path).expect("a directory");
    path
}
