//! At the limits of a machine (files that may not grow, descriptors that are used up, a cache that
//! cannot be written), hallpass ends with a message of its own, and never by a signal.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::machine::{Machine, Ran, numbered_tokens};
use crate::server::Server;
use crate::support::{
    after_shell, as_ordinary_user, give_to_ordinary_user, machine_of_ordinary_user, ran,
};
use crate::tls::Authority;

const GIT_REQUEST: &str = "protocol=https\nhost=git.example\n\n";

fn logged_in(server: &Server) -> Machine {
    let machine = Machine::new();
    machine.login("p", server, &["--for", "https://git.example/"]);
    machine
}

/// SIGPIPE and SIGXFSZ in a mask, which counts from 1.
const SIGNALS: u64 = 1 << 12 | 1 << 24;

/// An error or a warning that nobody has to look up: no number and no text of a library.
#[track_caller]
fn assert_in_words(ran: &Ran) {
    for text in ["os error", "Os {", "Error {", "custom error", "panicked"] {
        assert!(!ran.stderr.contains(text), "{text}: {ran:?}");
    }
}

#[test]
fn output_to_a_file_that_may_not_grow_is_an_error_and_no_signal() {
    let server = Server::start(numbered_tokens());
    let machine = logged_in(&server);
    let request = machine.private_file("request", GIT_REQUEST.as_bytes());
    let file = machine.root().join("output");
    for arguments in [
        &["token", "p"][..],
        &["token", "--json"],
        &["token", "--refresh"],
        &["token", "--output", "/dev/stdout"],
        &["token", "--output", "/dev/fd/3"],
        &["status"],
        &["--help"],
        &["login", "--help"],
        &["setup", "git"],
        &["git-credential", "get"],
    ] {
        let mut command = machine.command("sh");
        let line = format!(
            "exec <'{}' >'{}' 3>&1; ulimit -f 0; exec \"$0\" \"$@\"",
            text(&request),
            text(&file)
        );
        command.args(["-c", &line]);
        let failed = ran(crate::support::run_by(
            command,
            &machine.hallpass(arguments),
        ));
        let failed = failed.failure(1);
        assert_in_words(&failed);
        assert!(failed.stderr.contains("file too large"), "{failed:?}");
        assert_eq!(fs::read(&file).expect("a file"), b"", "{arguments:?}");
    }
    let to_file = machine.hallpass(&["token", "--output", text(&file)]);
    let failed = ran(after_shell("ulimit -f 0", &to_file)).failure(1);
    assert_in_words(&failed);
    assert!(failed.stderr.contains("file too large"), "{failed:?}");
}

#[test]
fn messages_to_a_file_that_may_not_grow_change_no_exit_code() {
    let server = Server::start(numbered_tokens());
    let machine = logged_in(&server);
    let file = machine.root().join("messages");
    for (arguments, code, printed) in [
        (&["token", "nobody"][..], 3, ""),
        (&["token", "--nope"], 2, ""),
        // It warns that the token is not saved.
        (&["token", "p", "--refresh"], 0, "token-2\n"),
    ] {
        let line = format!("exec 2>'{}'; ulimit -f 0", text(&file));
        let ended = ran(after_shell(&line, &machine.hallpass(arguments)));
        assert_eq!((ended.code, &*ended.stdout), (code, printed), "{ended:?}");
    }
}

#[test]
fn another_program_gets_the_signals_that_hallpass_was_started_with() {
    let server = Server::start(numbered_tokens());
    let machine = logged_in(&server);
    let look = "grep -E '^Sig(Blk|Ign)' /proc/self/status";
    let signals = |text: &str| -> Vec<u64> {
        let masks = text.lines().filter_map(|line| line.rsplit_once('\t'));
        masks
            .map(|(_, mask)| u64::from_str_radix(mask, 16).expect("a mask") & SIGNALS)
            .collect()
    };
    for before in ["true", "trap '' PIPE XFSZ"] {
        let mut direct = machine.command("sh");
        direct.args(["-c", &format!("{before}; {look}")]);
        let expected = signals(&ran(direct).success().stdout);
        // Also after a warning that nobody could read, and after a cache that could not be written.
        for setup in ["true", "exec 2>/dev/full", "ulimit -f 0"] {
            for name in fs::read_dir(machine.cache().join("p"))
                .into_iter()
                .flatten()
            {
                fs::remove_file(name.expect("an entry").path()).expect("a removed file");
            }
            let exec = machine.hallpass(&["exec", "--", "sh", "-c", look]);
            let ended = ran(after_shell(&format!("{before}; {setup}"), &exec)).success();
            assert_eq!(signals(&ended.stdout), expected, "{before}; {setup}");
        }
    }
    // A secret command dies of a broken pipe as it would anywhere.
    let url = server.url("/token");
    let command = format!(
        "!{look} >'{}'; echo secret",
        text(&machine.root().join("seen"))
    );
    let login = ["login", "q", "--client-id", "c", "--token-url", &url];
    let login = [&login[..], &["--secret-command", &command]].concat();
    machine.run(&login).success();
    let seen = fs::read_to_string(machine.root().join("seen")).expect("what it saw");
    let mut direct = machine.command("sh");
    direct.args(["-c", look]);
    let expected = signals(&ran(direct).success().stdout);
    assert_eq!(signals(&seen), expected, "{seen}");
}

#[test]
fn a_cache_that_cannot_be_written_costs_a_warning_in_words() {
    let server = Server::start(numbered_tokens());
    // Something else is in its place.
    let machine = logged_in(&server);
    fs::remove_dir_all(machine.cache()).expect("a removed cache");
    fs::write(machine.cache(), "").expect("a file");
    let warned = machine.run(&["token", "p"]).success();
    assert_warns_of_cache(&warned, &machine.cache());
    // It may not grow.
    let machine = logged_in(&server);
    let command = machine.hallpass(&["token", "p", "--refresh"]);
    let warned = ran(after_shell("ulimit -f 0", &command)).success();
    assert_warns_of_cache(&warned, &machine.cache());
    // It may not be written to.
    let machine = machine_of_ordinary_user();
    let secret = machine.private_file("client-secret", b"secret");
    give_to_ordinary_user(&secret);
    let url = server.url("/token");
    let login = ["login", "p", "--client-id", "c", "--token-url", &url];
    let login = [&login[..], &["--secret-file", text(&secret)]].concat();
    ran(as_ordinary_user(&machine.hallpass(&login))).success();
    fs::remove_dir_all(machine.cache()).expect("a removed cache");
    let parent = machine.home().join(".cache");
    set_mode(&parent, 0o555);
    let warned = ran(as_ordinary_user(&machine.hallpass(&["token", "p"]))).success();
    assert_warns_of_cache(&warned, &machine.cache());
    assert!(warned.stderr.contains("permission denied"), "{warned:?}");
}

#[track_caller]
fn assert_warns_of_cache(ran: &Ran, cache: &Path) {
    assert_in_words(ran);
    let start = format!(
        "hallpass: warning: cannot write the cache in {}: ",
        cache.display()
    );
    let line = ran.stderr.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("{ran:?}"));
    assert!(line.ends_with("; the token was not saved"), "{line}");
}

#[test]
fn a_full_standard_output_is_an_error_in_words() {
    let server = Server::start(numbered_tokens());
    let machine = logged_in(&server);
    for arguments in [&["token", "p"][..], &["status"], &["--version"]] {
        let command = machine.hallpass(arguments);
        let failed = ran(after_shell("exec >/dev/full", &command)).failure(1);
        assert_in_words(&failed);
        assert!(
            failed.stderr.contains("no space left on device"),
            "{failed:?}"
        );
    }
}

/// In the words of the C library, of which the release has another one (musl), or in those of hallpass.
fn names_the_limit(ran: &Ran) -> bool {
    let words = ["too many open files", "no file descriptors available"];
    words.iter().any(|words| ran.stderr.contains(words))
}

#[test]
fn a_lack_of_descriptors_is_named_and_not_the_network() {
    let authority = Authority::new();
    let secure = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    let plain = Server::start(numbered_tokens());
    for (server, host) in [
        (&plain, "127.0.0.1"),
        (&secure, "127.0.0.1"),
        (&plain, "localhost"),
    ] {
        let machine = Machine::new();
        let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
        let secret = machine.private_file("secret", b"secret");
        let url = server.url("/token").replace("127.0.0.1", host);
        let login = ["login", "p", "--client-id", "c", "--token-url", &url];
        let more = ["--secret-file", text(&secret), "--ca-file", text(&ca)];
        machine.run(&[&login[..], &more].concat()).success();
        let command = machine.hallpass(&["token", "p", "--refresh"]);
        let mut failures = 0;
        for limit in 4..20 {
            let ended = ran(after_shell(&format!("ulimit -n {limit}"), &command));
            assert_in_words(&ended);
            if ended.code == 0 {
                continue;
            }
            failures += 1;
            assert!(names_the_limit(&ended), "{url} {limit}: {ended:?}");
            // What it says about the network would send people the wrong way.
            for text in [
                "PROXY",
                "check the URL",
                "check the network",
                "SSL_CERT_FILE",
            ] {
                assert!(!ended.stderr.contains(text), "{url} {limit}: {ended:?}");
            }
        }
        assert!(failures > 0, "{url}");
    }
    // The system's authorities are in a file, too.
    let machine = Machine::new();
    let secret = machine.private_file("secret", b"secret");
    let url = secure.url("/token");
    let login = [
        "login",
        "p",
        "--no-verify",
        "--client-id",
        "c",
        "--token-url",
        &url,
    ];
    machine
        .run(&[&login[..], &["--secret-file", text(&secret)]].concat())
        .success();
    for limit in 4..12 {
        let command = machine.hallpass(&["token", "p"]);
        let failed = ran(after_shell(&format!("ulimit -n {limit}"), &command));
        assert_in_words(&failed);
        let says = |text| failed.stderr.contains(text);
        assert!(
            names_the_limit(&failed) || says("unknown issuer"),
            "{failed:?}"
        );
    }
}

#[test]
fn a_connection_that_fails_is_reported_in_words() {
    let machine = Machine::new();
    let secret = machine.private_file("secret", b"secret");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = listener.local_addr().expect("an address");
    drop(listener);
    for url in [
        format!("https://{closed}/token"),
        format!("http://{closed}/token"),
        "https://no-such-host.invalid/token".to_owned(),
        "https://[::1]:1/token".to_owned(),
    ] {
        for option in ["--token-url", "--issuer"] {
            let login = ["login", "p", "--client-id", "c", option, &url];
            let login = [&login[..], &["--secret-file", text(&secret)]].concat();
            let failed = machine.run(&login).failure(5);
            assert_in_words(&failed);
        }
    }
    // No network at all.
    let mut world = Command::new("unshare");
    world.arg("--net");
    if !crate::support::is_root() {
        world.arg("--map-root-user");
    }
    let url = format!("https://{closed}/token");
    let login = ["login", "p", "--client-id", "c", "--token-url", &url];
    let login = [&login[..], &["--secret-file", text(&secret)]].concat();
    let failed = ran(crate::support::run_by(world, &machine.hallpass(&login))).failure(5);
    assert_in_words(&failed);
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
