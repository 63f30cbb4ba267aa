//! Files: a hit only reads, no damaged or planted file costs more than a request, and where a file
//! cannot be written there is a token all the same.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::fs::{CWD, FileType, Mode};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::secret_service::SecretService;
use crate::server::{Gate, Reply, Server};
use crate::support::{
    CLIENT_ID, Machine, Ran, SECRET, after_shell, as_ordinary_user, give_to_ordinary_user, is_root,
    machine_of_ordinary_user, numbered_tokens, ran, run_by,
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
    let (machine, server) = logged_in();
    let damages: [Damage; 16] = [
        ("empty", |path, _| write(path, b"")),
        ("zeros", |path, whole| write(path, &vec![0; whole.len()])),
        ("every byte", |path, _| {
            write(path, &(0..=255).cycle().take(9999).collect::<Vec<u8>>());
        }),
        ("a line end", |path, _| write(path, b"\n")),
        ("a first line alone", |path, whole| {
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
    for (what, damage) in damages {
        let entry = the_entry(&machine);
        damage(&entry, &fs::read(&entry).expect("the entry"));
        assert_costs_one_request(&machine, &server, what);
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

/// What can lie under a name that ought to be a file of ours. Each makes it from the path, and
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
    ("a file of somebody else", |path, _| {
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
fn a_strange_file_in_place_of_a_lock_or_a_note_keeps_nobody_from_a_token() {
    for extension in ["lock", "note"] {
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
fn a_directory_in_place_of_a_file_keeps_nobody_from_a_token() {
    for extension in ["json", "lock", "note"] {
        let (machine, _server) = logged_in();
        let path = the_entry(&machine).with_extension(extension);
        let _ = fs::remove_file(&path);
        fs::create_dir(&path).expect("a directory");
        fs::write(path.join("file"), "somebody's").expect("a file in it");
        for number in 2..4 {
            let printed = machine.run(&["token", "prod", "--refresh"]).success();
            assert_eq!(printed.stdout, format!("token-{number}\n"), "{extension}");
            assert!(warnings(&printed) <= 1, "{extension}: {printed:?}");
        }
        assert_eq!(
            fs::read(path.join("file")).expect("the file"),
            b"somebody's"
        );
        // It is not ours to delete: a logout that leaves it must say so.
        machine.run(&["logout", "prod"]).failure(1);
        fs::remove_dir_all(&path).expect("it goes");
        machine.run(&["logout", "prod"]).success();
        assert_eq!(machine.files(), [machine.config().join("lock")]);
    }
}

#[test]
fn garbage_in_a_lock_or_a_note_changes_nothing() {
    let (machine, _server) = logged_in();
    let note = the_entry(&machine).with_extension("note");
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
fn a_file_that_nobody_may_read_is_as_good_as_none() {
    let machine = machine_of_ordinary_user();
    let server = Server::start(numbered_tokens());
    log_in_as_ordinary_user(&machine, &server).success();
    let token = |arguments: &[&str]| ran(as_ordinary_user(&machine.hallpass(arguments))).token();
    set_mode(&the_entry(&machine), 0);
    assert_eq!(token(&["token", "prod"]), "token-2");
    assert_eq!(token(&["token", "prod"]), "token-2");
    for (number, extension) in [(3, "lock"), (4, "note")] {
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
fn an_entry_under_another_name_is_not_believed() {
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
    for extension in ["json", "lock", "note"] {
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

// Directories that cannot be written.

type Obstacle = (&'static str, fn(&Machine));

#[test]
fn a_cache_that_cannot_be_written_costs_a_warning() {
    let rows: [Obstacle; 6] = [
        ("the profile's directory is read-only", |machine| {
            set_mode(&machine.cache().join("prod"), 0o500);
        }),
        ("the cache directory is read-only", |machine| {
            fs::remove_dir_all(machine.cache().join("prod")).expect("no directory");
            set_mode(&machine.cache(), 0o500);
        }),
        ("the directory above is read-only", |machine| {
            fs::remove_dir_all(machine.cache()).expect("no directory");
            set_mode(&machine.home().join(".cache"), 0o500);
        }),
        (
            "a file is in the place of the profile's directory",
            |machine| {
                fs::remove_dir_all(machine.cache().join("prod")).expect("no directory");
                fs::write(machine.cache().join("prod"), "").expect("a file");
            },
        ),
        ("a file is in the place of the cache directory", |machine| {
            fs::remove_dir_all(machine.cache()).expect("no directory");
            fs::write(machine.cache(), "").expect("a file");
        }),
        ("the cache directory leads nowhere", |machine| {
            fs::remove_dir_all(machine.cache()).expect("no directory");
            symlink(machine.root().join("nowhere"), machine.cache()).expect("a link");
        }),
    ];
    for (what, damage) in rows {
        let machine = machine_of_ordinary_user();
        let server = Server::start(numbered_tokens());
        log_in_as_ordinary_user(&machine, &server).success();
        damage(&machine);
        let before = picture(&machine.home());
        for number in 2..4 {
            let command = machine.hallpass(&["token", "prod", "--refresh"]);
            let printed = ran(as_ordinary_user(&command)).success();
            assert_eq!(printed.stdout, format!("token-{number}\n"), "{what}");
            assert_one_warning(&printed);
        }
        assert_eq!(picture(&machine.home()), before, "{what}");
        for directory in directories(&machine.home()) {
            set_mode(&directory, 0o700);
        }
    }
}

#[test]
fn nothing_is_written_into_a_directory_of_somebody_else() {
    // Only the superuser can give a directory away. For others, `/` stands for one.
    let foreign = |machine: &Machine, path: &Path| {
        let _ = fs::remove_dir_all(path);
        if is_root() {
            fs::create_dir(path).expect("a directory");
            give_to_ordinary_user(path);
            set_mode(path, 0o777);
        } else {
            symlink("/", path).expect("a link");
        }
        assert!(path.starts_with(machine.home()));
    };
    let places: [fn(&Machine) -> PathBuf; 2] =
        [Machine::cache, |machine| machine.cache().join("prod")];
    for place in places {
        let (machine, _server) = logged_in();
        foreign(&machine, &place(&machine));
        let before = picture(&machine.home());
        for number in 2..4 {
            let printed = machine.run(&["token", "prod"]).success();
            assert_eq!(printed.stdout, format!("token-{number}\n"));
            assert_one_warning(&printed);
        }
        assert_eq!(picture(&machine.home()), before);
    }
    let (machine, server) = logged_in();
    foreign(&machine, &machine.config());
    let before = picture(&machine.home());
    login_attempt(&machine, &server).failure(1);
    assert_eq!(picture(&machine.home()), before);
}

#[test]
fn a_cache_directory_may_be_a_link_to_another_one_of_ours() {
    let (machine, server) = logged_in();
    for directory in [machine.cache(), machine.config()] {
        let moved = machine
            .root()
            .join(directory.parent().expect("one").file_name().expect("one"));
        fs::rename(&directory, &moved).expect("moved");
        symlink(&moved, &directory).expect("a link");
    }
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-1");
    assert_eq!(
        machine.run(&["token", "prod", "--refresh"]).token(),
        "token-2"
    );
    machine.login("prod", &server, &[]);
    machine.run(&["logout", "prod"]).success();
}

#[test]
fn our_own_cache_that_others_may_write_is_closed() {
    let (machine, server) = logged_in();
    let directories = [machine.cache(), machine.cache().join("prod")];
    for mode in [0o777, 0o1777, 0o770, 0o720] {
        for directory in &directories {
            set_mode(directory, mode);
        }
        machine.login("prod", &server, &[]);
        for directory in &directories {
            assert_eq!(mode_of(directory), 0o700, "{}", directory.display());
        }
    }
    for directory in &directories {
        set_mode(directory, 0o777);
    }
    machine.run(&["token", "prod", "--refresh"]).success();
    for directory in &directories {
        assert_eq!(mode_of(directory), 0o700, "{}", directory.display());
    }
}

#[test]
fn settings_that_others_may_change_are_refused_with_the_command_that_closes_them() {
    let (machine, server) = logged_in();
    let requests = server.requests().len();
    let secret = machine.root().join("secret");
    let secret = secret.to_str().expect("a path in UTF-8");
    let url = server.url("/oauth/token");
    let config = machine.config();
    for mode in [0o777, 0o1777, 0o770, 0o720, 0o702] {
        set_mode(&config, mode);
        for arguments in [
            &["token", "prod", "--refresh"][..],
            &["token", "prod", "--scope", "x"],
            &["bind", "prod", "https://a.example"],
            &["logout", "prod"],
            &[
                "login",
                "prod",
                "--token-url",
                &url,
                "--client-id",
                "c",
                "--secret-file",
                secret,
                "--no-verify",
                "--replace",
            ],
        ] {
            let ran = machine.run(arguments).failure(2);
            let hint = format!("hallpass: hint: run: chmod go-w {}\n", config.display());
            assert!(ran.stderr.contains(&hint), "{ran:?}");
        }
        assert_eq!(mode_of(&config), mode, "nothing is changed without asking");
    }
    assert_eq!(server.requests().len(), requests);
    // As the hint says.
    set_mode(&config, 0o755);
    machine.run(&["token", "prod", "--refresh"]).success();
}

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

#[test]
fn files_are_private_whatever_the_umask() {
    for umask in ["000", "022", "077", "777"] {
        let machine = Machine::new();
        let server = Server::start(numbered_tokens());
        let secret = machine.private_file("secret", SECRET.as_bytes());
        let url = server.url("/oauth/token");
        let login = [
            "login",
            "prod",
            "--token-url",
            &url,
            "--client-id",
            CLIENT_ID,
            "--secret-file",
            secret.to_str().expect("a path"),
        ];
        let run = |arguments: &[&str]| {
            let command = machine.hallpass(arguments);
            ran(after_shell(&format!("umask {umask}"), &command)).success()
        };
        run(&login);
        run(&["token", "prod", "--refresh"]);
        run(&["token", "prod", "--scope", "USER"]);
        let files = machine.files();
        assert!(files.len() >= 6, "{files:?}");
        for file in files {
            assert_eq!(mode_of(&file), 0o600, "umask {umask}: {}", file.display());
        }
        for directory in directories(&machine.home()).iter().skip(1) {
            assert_eq!(
                mode_of(directory),
                0o700,
                "umask {umask}: {}",
                directory.display()
            );
        }
    }
}

// The profile's file.

/// How a profile's file is damaged, by its path.
type ProfileDamage = (&'static str, fn(&Path, &Machine));

#[test]
fn a_profile_file_that_cannot_be_believed_is_refused_by_name() {
    let rows: [ProfileDamage; 18] = [
        ("0666", |path, _| set_mode(path, 0o666)),
        ("0620", |path, _| set_mode(path, 0o620)),
        ("a link", |path, machine| {
            fs::rename(path, machine.root().join("target")).expect("a target");
            symlink(machine.root().join("target"), path).expect("a link");
        }),
        ("a link to nothing", |path, machine| {
            fs::remove_file(path).expect("a free name");
            symlink(machine.root().join("nothing"), path).expect("a link");
        }),
        ("a pipe", |path, _| {
            fs::remove_file(path).expect("a free name");
            rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
        }),
        ("a directory", |path, _| {
            fs::remove_file(path).expect("a free name");
            fs::create_dir(path).expect("a directory");
        }),
        ("of somebody else", |path, _| {
            // Only the superuser can give a file away.
            if is_root() {
                give_to_ordinary_user(path);
            } else {
                set_mode(path, 0o602);
            }
        }),
        ("300 MB", |path, _| write_300_mb(path)),
        ("20 GB of nothing", |path, _| {
            let file = File::options().write(true).open(path).expect("the file");
            file.set_len(20_000_000_000).expect("a sparse file");
        }),
        ("empty", |path, _| write(path, b"")),
        ("binary", |path, _| {
            write(path, &(0..=255).collect::<Vec<u8>>());
        }),
        ("cut", |path, _| {
            let whole = fs::read(path).expect("the profile");
            write(path, &whole[..whole.len() / 2]);
        }),
        ("UTF-16", |path, _| {
            let text = fs::read_to_string(path).expect("the profile");
            write(
                path,
                &text
                    .encode_utf16()
                    .flat_map(u16::to_le_bytes)
                    .collect::<Vec<_>>(),
            );
        }),
        ("200,000 deep", |path, _| {
            write(path, "[".repeat(200_000).as_bytes());
        }),
        ("no format", |path, _| edit(path, "\"format\": 1,", "")),
        ("an unknown member", |path, _| {
            edit(
                path,
                "\"format\": 1,",
                "\"format\": 1, \"proxy\": \"http://evil/\",",
            );
        }),
        ("a member twice", |path, _| {
            edit(
                path,
                "\"format\": 1,",
                "\"format\": 1, \"client_id\": \"x\",",
            );
        }),
        ("an endpoint without TLS", |path, _| {
            edit(path, "http://127.0.0.1:", "http://192.0.2.1:");
        }),
    ];
    for (what, damage) in rows {
        let (machine, server) = logged_in();
        let path = machine.config().join("prod.json");
        damage(&path, &machine);
        // So little that the file would not fit.
        let token = within_a_minute(&machine.hallpass(&["token", "prod"]));
        let token = after_shell("ulimit -v 262144", &token);
        let refused = ran(token).failure(2);
        assert!(refused.stderr.contains("prod.json"), "{what}: {refused:?}");
        let is_open = refused.stderr.contains("can be written by other users");
        let mended_by = if is_open {
            "hint: run: chmod go-w "
        } else {
            "hallpass login prod"
        };
        assert!(refused.stderr.contains(mended_by), "{what}: {refused:?}");
        assert_eq!(server.connections(), 1, "{what}");
        let shown = machine.run(&["status"]).success().stdout;
        assert!(shown.contains("unusable"), "{what}: {shown}");
        assert_eq!(machine.run(&["status", "prod"]).code, 2, "{what}");
        assert_eq!(server.connections(), 1, "{what}");
    }
}

#[test]
fn only_a_profile_with_a_higher_format_number_is_said_to_need_an_update() {
    let newer = &[
        "was written by a newer version of hallpass",
        "hint: update hallpass\n",
    ];
    let foreign = &[
        "is not a profile of hallpass",
        "hint: run `hallpass login prod",
    ];
    let (machine, _server) = logged_in();
    let path = machine.config().join("prod.json");
    let profile = fs::read_to_string(&path).expect("the profile");
    for (format, expected) in [
        ("2", newer),
        ("4294967296", newer),
        ("0", foreign),
        ("-1", foreign),
        ("1.5", foreign),
        ("\"2\"", foreign),
        ("null", foreign),
    ] {
        let edited = profile.replace("\"format\": 1", &format!("\"format\": {format}"));
        for content in [edited, format!("{{\"format\": {format}, \"clients\": []}}")] {
            write(&path, content.as_bytes());
            let refused = machine.run(&["token", "prod"]).failure(2);
            for part in expected {
                assert!(refused.stderr.contains(part), "{format}: {refused:?}");
            }
        }
    }
}

#[test]
fn a_damaged_profile_can_be_forgotten_or_replaced() {
    for repair in ["login", "logout"] {
        let keychain = SecretService::start();
        let machine = Machine::new().with_environment(keychain.environment());
        let server = Server::start(numbered_tokens());
        log_in_with_keychain(&machine, &server, &[]);
        write(&machine.config().join("prod.json"), b"{");
        if repair == "login" {
            log_in_with_keychain(&machine, &server, &["--replace"]);
            assert_eq!(machine.run(&["token", "prod"]).token(), "token-2");
            let items = keychain.search(&[("service", "hallpass")]);
            assert_eq!(items.matches("label = ").count(), 1, "{items}");
        }
        machine.run(&["logout", "prod"]).success();
        assert!(keychain.is_empty(), "{repair}");
        assert_eq!(machine.files(), [machine.config().join("lock")], "{repair}");
    }
}

#[test]
fn a_changed_profile_does_not_get_the_secret_from_the_keychain() {
    let keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    let server = Server::start(numbered_tokens());
    let evil = Server::start(numbered_tokens());
    log_in_with_keychain(
        &machine,
        &server,
        &["--revocation-url", &server.url("/revoke")],
    );
    let path = machine.config().join("prod.json");
    let good = fs::read(&path).expect("the profile");
    let (here, there) = (server.port().to_string(), evil.port().to_string());
    let edits = [
        (format!("{here}/oauth"), format!("{there}/oauth")),
        ("/oauth/token".to_owned(), "/oauth/other".to_owned()),
        (format!("{here}/revoke"), format!("{there}/revoke")),
        (CLIENT_ID.to_owned(), "client:two".to_owned()),
        (
            "client_secret_basic".to_owned(),
            "client_secret_post".to_owned(),
        ),
        ("\"form\"".to_owned(), "\"json\"".to_owned()),
        (
            "\"secret\":".to_owned(),
            "\"ca_file\": \"/tmp/ca.pem\", \"secret\":".to_owned(),
        ),
        (
            "\"generation\": \"".to_owned(),
            "\"generation\": \"0".to_owned(),
        ),
    ];
    for (from, to) in &edits {
        write(&path, &good);
        edit(&path, from, to);
        let refused = machine.run(&["token", "prod", "--refresh"]).failure(4);
        assert!(
            refused.stderr.contains("hallpass login prod"),
            "{refused:?}"
        );
        assert_eq!(
            (server.connections(), evil.connections()),
            (1, 0),
            "{from} -> {to}"
        );
    }
    // With the account of the changed profile, there is no such item: nobody but a login makes one.
    write(&path, &good);
    edit(&path, "prod:", "prod:0");
    machine.run(&["token", "prod", "--refresh"]).failure(4);
    write(&path, &good);
    let entrusted = account_of(&path);
    edit(&path, CLIENT_ID, "client:two");
    let account = account_of(&path);
    edit(&path, &entrusted, &account);
    machine.run(&["token", "prod", "--refresh"]).failure(3);
    assert_eq!((server.connections(), evil.connections()), (1, 0));
    // What says nothing about where the secret goes may be changed.
    write(&path, &good);
    edit(
        &path,
        "\"secret\":",
        "\"audience\": \"https://api.example/\", \"secret\":",
    );
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-2");
}

#[test]
fn a_changed_profile_does_not_get_the_old_profiles_token() {
    let (machine, server) = logged_in();
    let path = machine.config().join("prod.json");
    let good = fs::read(&path).expect("the profile");
    let other = Server::start(|_| Reply::token("token-of-the-other", 3600));
    let (here, there) = (server.port().to_string(), other.port().to_string());
    let mut number = 1;
    for (from, to) in [
        (CLIENT_ID, "client:two"),
        ("client_secret_basic", "client_secret_post"),
        ("\"form\"", "\"json\""),
        ("/oauth/token", "/oauth/other"),
        ("\"secret\":", "\"scope\": \"USER\", \"secret\":"),
        ("\"secret\":", "\"audience\": \"a\", \"secret\":"),
        ("\"secret\":", "\"resource\": [\"urn:a\"], \"secret\":"),
        ("\"secret\":", "\"parameters\": {\"a\": \"b\"}, \"secret\":"),
    ] {
        write(&path, &good);
        edit(&path, from, to);
        number += 1;
        assert_eq!(
            machine.run(&["token", "prod"]).token(),
            format!("token-{number}"),
            "{to}"
        );
    }
    write(&path, &good);
    edit(&path, &here, &there);
    assert_eq!(
        machine.run(&["token", "prod"]).token(),
        "token-of-the-other"
    );
    write(&path, &good);
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-1");
}

// The home directory.

#[test]
fn without_a_home_directory_there_is_a_clean_message_and_nothing_is_made() {
    let (machine, server) = logged_in();
    let here = machine.root().join("here");
    fs::create_dir(&here).expect("a directory");
    fs::write(machine.root().join("file"), "").expect("a file");
    let file = machine.root().join("file").display().to_string();
    let missing = machine.root().join("missing").display().to_string();
    let before = picture(machine.root());
    // A name that nobody has: without HOME, the user's real home directory may be looked into.
    let name = "no-such-profile-of-hallpass-tests";
    let variables: [&[(&str, &str)]; 9] = [
        &[],
        &[("HOME", "")],
        &[("HOME", "home")],
        &[("HOME", ".")],
        &[("HOME", &file)],
        &[("HOME", &missing)],
        &[("HOME", "/dev/null")],
        &[
            ("HOME", "home"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_CACHE_HOME", "cache"),
        ],
        &[
            ("HOME", ""),
            ("XDG_CONFIG_HOME", ""),
            ("XDG_CACHE_HOME", "."),
        ],
    ];
    for variables in variables {
        for verb in ["token", "status"] {
            let mut command = machine.hallpass(&[verb, name]);
            command.current_dir(&here).env_remove("HOME");
            command.envs(variables.iter().copied());
            let said = ran(command);
            assert!([1, 3].contains(&said.code), "{variables:?}: {said:?}");
            let code = said.code;
            said.failure(code);
            assert_eq!(picture(machine.root()), before, "{variables:?}");
        }
    }
    let secret = machine.root().join("secret").display().to_string();
    let url = server.url("/oauth/token");
    for home in ["home", ".", &file, "/dev/null"] {
        let mut command = machine.hallpass(&["login", name, "--token-url", &url]);
        command.args(["--client-id", "x", "--secret-file", &secret]);
        command.current_dir(&here).env("HOME", home);
        ran(command).failure(1);
        assert_eq!(picture(machine.root()), before, "{home}");
    }
}

#[test]
fn relative_xdg_directories_are_ignored_and_absolute_ones_obeyed() {
    let (mut machine, _server) = logged_in();
    let here = machine.root().join("here");
    fs::create_dir(&here).expect("a directory");
    for directory in ["config", "", ".", "../home"] {
        let mut command = machine.hallpass(&["token", "prod", "--refresh"]);
        command
            .current_dir(&here)
            .env("XDG_CONFIG_HOME", directory)
            .env("XDG_CACHE_HOME", directory);
        ran(command).success();
        assert_eq!(picture(&here).len(), 1, "{directory:?}");
    }
    let elsewhere = machine.root().join("elsewhere");
    fs::rename(machine.home().join(".config"), &elsewhere).expect("moved");
    machine.set("XDG_CONFIG_HOME", elsewhere.to_str().expect("a path"));
    let cached = machine.root().join("cached");
    machine.set("XDG_CACHE_HOME", cached.to_str().expect("a path"));
    machine.run(&["token", "prod"]).success();
    assert!(cached.join("hallpass/prod").is_dir());
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
        let content = fs::read_to_string(&file).expect("text");
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
            let said = few(arguments);
            if said.code == 0 {
                worked[way] += 1;
                assert!(said.stdout.starts_with("token-"), "{limit}: {said:?}");
                assert_eq!(said.stdout.lines().count(), 1, "{limit}: {said:?}");
            } else {
                assert_clean_failure(&said, &format!("{limit} descriptors"));
            }
        }
        machine.run(&["token", "prod"]).success();
    }
    assert_eq!(worked[0], 16, "a hit needs one descriptor");
    assert!(worked[1] >= 6, "{worked:?}");
}

// Names.

#[test]
fn a_name_that_is_no_profile_name_touches_no_file() {
    let (machine, server) = logged_in();
    fs::create_dir(machine.root().join("here")).expect("a directory");
    let secret = machine.root().join("secret").display().to_string();
    let url = server.url("/oauth/token");
    let before = picture(machine.root());
    let long = "x".repeat(300);
    let names: [&[u8]; 26] = [
        b"",
        b".",
        b"..",
        b"../p",
        b"../../p",
        b"a/../../p",
        b"/etc/passwd",
        b"/",
        b"~",
        b"-rf",
        b"--",
        b".hidden",
        b"a/b",
        b"a\\b",
        b"CON:",
        b"con",
        b"NUL",
        b"lpt1.txt",
        b"Prod",
        b"prod.",
        b"prod ",
        b"prod\n",
        b"pr\x1b[31mod",
        "pröd".as_bytes(),
        b"\xff\xfe",
        long.as_bytes(),
    ];
    let options: [&str; 6] = [
        "--token-url",
        &url,
        "--client-id",
        "x",
        "--secret-file",
        &secret,
    ];
    for name in names {
        let name = OsStr::from_bytes(name);
        for verb in ["token", "login", "logout", "status"] {
            let run = |arguments: &[&OsStr], profile: Option<&OsStr>| {
                let mut command = machine.hallpass(&[verb]);
                if verb == "login" {
                    command.args(options);
                }
                command
                    .args(arguments)
                    .current_dir(machine.root().join("here"));
                if let Some(profile) = profile {
                    command.env("HALLPASS_PROFILE", profile);
                }
                ran(command)
            };
            let said = run(&[OsStr::new("--"), name], None).failure(2);
            if name.len() > 5 {
                let shown = name.to_str().is_some_and(|name| said.stderr.contains(name));
                assert!(!shown, "an argument is not repeated: {said:?}");
            }
            if name != "--" {
                run(&[name], None).failure(2);
            }
            if !name.is_empty() {
                run(&[], Some(name)).failure(2);
            }
            assert_eq!(picture(machine.root()), before, "{verb} {name:?}");
        }
    }
    assert_eq!(server.connections(), 1);
}

// What the tests are made of.

/// A machine with one profile, `prod`, whose cached token is `token-1`.
fn logged_in() -> (Machine, Server) {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    (machine, server)
}

fn log_in_with_keychain(machine: &Machine, server: &Server, more: &[&str]) {
    let url = server.url("/oauth/token");
    let mut arguments = vec!["login", "prod", "--token-url", &url];
    arguments.extend(["--client-id", CLIENT_ID, "--secret-stdin"]);
    arguments.extend(more);
    machine
        .run_with_input(&arguments, SECRET.as_bytes())
        .success();
}

fn log_in_as_ordinary_user(machine: &Machine, server: &Server) -> Ran {
    give_to_ordinary_user(&machine.private_file("secret", SECRET.as_bytes()));
    ran(as_ordinary_user(&login_command(machine, server)))
}

fn login_attempt(machine: &Machine, server: &Server) -> Ran {
    machine.private_file("secret", SECRET.as_bytes());
    ran(login_command(machine, server))
}

fn login_command(machine: &Machine, server: &Server) -> Command {
    let mut command = machine.hallpass(&["login", "prod", "--client-id", CLIENT_ID]);
    command.args(["--token-url", &server.url("/oauth/token"), "--secret-file"]);
    command.arg(machine.root().join("secret"));
    command
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
        "keyctl",
        "add_key",
        "request_key",
    ];
    for (name, line) in &calls {
        assert!(!forbidden.contains(name), "{line}");
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
    assert_eq!(opened.len(), 2, "{opened:?}");
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
    let said = ran(within_a_minute(&machine.hallpass(&["token", "prod"])));
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (0, ""),
        "{what}: {said:?}"
    );
    assert_eq!(said.stdout, format!("token-{}\n", before + 1), "{what}");
    let again = machine.run(&["token", "prod"]);
    assert_eq!(again.token(), format!("token-{}", before + 1), "{what}");
    assert_eq!(server.requests().len(), before + 1, "{what}");
}

/// Ended after a minute: some of these files never end, or never begin.
fn within_a_minute(command: &Command) -> Command {
    let mut timeout = Command::new("timeout");
    timeout.arg("60");
    run_by(timeout, command)
}

#[track_caller]
fn assert_one_warning(said: &Ran) {
    assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
    assert_eq!(warnings(said), 1, "{said:?}");
}

fn warnings(said: &Ran) -> usize {
    said.stderr.matches("hallpass: warning: ").count()
}

#[track_caller]
fn assert_clean_failure(said: &Ran, what: &str) {
    assert!((1..=6).contains(&said.code), "{what}: {said:?}");
    assert_eq!(said.stdout, "", "{what}: {said:?}");
    assert!(
        said.stderr.contains("hallpass: error: "),
        "{what}: {said:?}"
    );
    assert!(!said.stderr.contains("has a bug"), "{what}: {said:?}");
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

fn temporary_files(machine: &Machine) -> usize {
    let name = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|n| n.as_bytes().starts_with(b".tmp"))
    };
    machine.files().iter().filter(|path| name(path)).count()
}

/// Every directory from this one down, from the top.
fn directories(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    let mut at = 0;
    while let Some(directory) = found.get(at) {
        let inside: Vec<_> = fs::read_dir(directory)
            .expect("a readable directory")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.is_dir() && !path.is_symlink())
            .collect();
        found.extend(inside);
        at += 1;
    }
    found
}

/// All that can be seen of what lies below a path: names, kinds, modes, owners, content.
pub(crate) fn picture(path: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for directory in directories(path) {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("something");
            let content = if metadata.is_file() && metadata.len() < 1_000_000 {
                String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned()
            } else {
                format!(
                    "{} bytes",
                    if metadata.is_dir() { 0 } else { metadata.len() }
                )
            };
            lines.push(format!(
                "{} {:o} {} {content}",
                path.display(),
                metadata.mode(),
                metadata.uid()
            ));
        }
    }
    lines.sort();
    lines.insert(
        0,
        format!("{:o}", fs::metadata(path).expect("a directory").mode()),
    );
    lines
}

pub(crate) fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("a file");
    set_mode(path, 0o600);
}

fn write_300_mb(path: &Path) {
    let mut file = File::create(path).expect("a file");
    let megabyte = vec![b'x'; 1_000_000];
    for _ in 0..300 {
        file.write_all(&megabyte).expect("space for it");
    }
    set_mode(path, 0o600);
}

#[track_caller]
fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("text");
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(path, text.replacen(from, to, 1)).expect("the file");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("its mode");
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").mode() & 0o7777
}

/// An entry with this content and the checksum that belongs to it.
pub(crate) fn sealed(json: &str) -> Vec<u8> {
    let sum = json.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("hallpass-token-1 {sum:016x}\n{json}").into_bytes()
}

/// The account that a login would give to the profile in this file.
fn account_of(path: &Path) -> String {
    let profile: Value = serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON");
    let member = |name: &str| profile[name].as_str().map(str::to_owned);
    let mut digest = Sha256::new();
    let mut field = |field: &[u8]| {
        digest.update((field.len() as u64).to_be_bytes());
        digest.update(field);
    };
    field(b"hallpass keychain account 1");
    field(b"prod");
    for name in [
        "generation",
        "token_endpoint",
        "client_id",
        "client_auth",
        "body",
    ] {
        field(member(name).expect("a member").as_bytes());
    }
    for name in ["revocation_endpoint", "ca_file"] {
        let value = member(name);
        field(&u64::from(value.is_some()).to_be_bytes());
        if let Some(value) = value {
            field(value.as_bytes());
        }
    }
    let digest = digest.finalize();
    let hex: Vec<_> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.concat();
    format!("prod:{}", &hex[..32])
}
