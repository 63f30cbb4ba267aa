//! How cached tokens are kept on disk: encrypted, plain or not at all.

mod none;
mod sessions;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::machine::{Machine, Ran, SECRET, skip};
use crate::server::{Reply, Server};
use crate::spellings::{Content, spellings};
use crate::support::{
    as_ordinary_user, give_to_ordinary_user, is_root, machine_of_ordinary_user, ran, run_by,
};

#[test]
fn the_mode_is_a_setting_and_the_environment_decides_before_it() {
    let mut machine = Machine::new();
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

/// A session of the same user that has another user keyring, as in a container.
struct OtherSession(Child);

impl OtherSession {
    /// None if this machine has no user namespaces.
    fn start() -> Option<Self> {
        let mut holder = Command::new("unshare");
        holder.args(["--user", "--map-root-user", "sh", "-c", "echo; exec cat"]);
        holder.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = holder.stderr(Stdio::null()).spawn().expect("unshare");
        let mut begun = [0];
        let output = holder.stdout.as_mut().expect("its output");
        let is_begun = output.read_exact(&mut begun).is_ok();
        let session = Self(holder);
        is_begun.then_some(session)
    }

    fn command(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--user=/proc/{}/ns/user", self.0.id()));
        inside.arg("--preserve-credentials");
        run_by(inside, command)
    }

    fn run(&self, machine: &Machine, arguments: &[&str]) -> Ran {
        ran(self.command(&machine.hallpass(arguments)))
    }

    /// Runs a line with `$KEY`, the key of the cache.
    #[track_caller]
    fn change_key(&self, machine: &Machine, line: &str) {
        let line = format!("KEY=$(keyctl search @u user hallpass:cache) && {line}");
        let mut shell = machine.command("sh");
        shell.args(["-c", &line]);
        ran(self.command(&shell)).success();
    }
}

impl Drop for OtherSession {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn protection(machine: &Machine) -> Value {
    let shown = machine.run(&["status", "p", "--json"]).json();
    shown["profiles"][0]["cache_protection"].clone()
}

/// Whether this machine encrypts the tokens of this profile; else the test is skipped.
pub(crate) fn is_sealed(machine: &Machine) -> bool {
    let protection = protection(machine);
    let is_sealed = protection["form"] == "sealed";
    if !is_sealed {
        skip(&format!("the cache is not encrypted here: {protection}"));
    }
    is_sealed
}

fn other_session() -> Option<OtherSession> {
    let session = OtherSession::start();
    if session.is_none() {
        skip("this machine has no user namespaces");
    }
    session
}

fn count(machine: &Machine) -> usize {
    machine.server().requests().len()
}

/// The token costs one request, and is cached then.
#[track_caller]
fn assert_costs_one_request(machine: &Machine, what: &str, run: impl Fn() -> Ran) {
    let before = count(machine);
    let token = run().token();
    assert_eq!(run().token(), token, "{what}");
    assert_eq!(count(machine), before + 1, "{what}");
}

#[test]
fn no_file_has_a_sealed_token_in_any_encoding() {
    const TOKEN: &str = "Sealed.Token-0123456789_abcXYZ~+/=";
    let machine = Machine::new();
    let server = Server::start(|_| Reply::token(TOKEN, 3600));
    machine.login("p", &server, &["--audience", "confidential-audience"]);
    if !is_sealed(&machine) {
        return;
    }
    assert_eq!(machine.run(&["token", "p"]).token(), TOKEN);
    assert_eq!(machine.run(&["token", "p", "--refresh"]).token(), TOKEN);
    let [entry] = &machine.entries("p")[..] else {
        panic!("one entry");
    };
    let spellings = spellings(TOKEN.as_bytes());
    for file in machine.files() {
        let content = Content::of(&fs::read(&file).expect("a file"));
        assert_eq!(content.find(&spellings), None, "{}", file.display());
    }
    // Nor does it have the rest of the entry, such as the key that a token is bound to.
    let content = fs::read(entry).expect("the entry");
    for word in ["access_token", "confidential", "Bearer", "{\""] {
        assert!(!contains(&content, word.as_bytes()), "{word}");
    }
    let mode = fs::metadata(entry).expect("the entry").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

fn contains(content: &[u8], wanted: &[u8]) -> bool {
    content.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn a_sealed_entry_that_was_changed_costs_one_request() {
    let machine = Machine::new();
    machine.login("p", machine.server(), &[]);
    if !is_sealed(&machine) {
        return;
    }
    machine.run(&["token", "p", "--audience", "other"]).token();
    let own = || machine.run(&["token", "p"]);
    let entries = machine.entries("p");
    let contents: Vec<_> = entries
        .iter()
        .map(|it| fs::read(it).expect("an entry"))
        .collect();
    let first = own().token();
    // The profile's own entry is the one without which it costs a request.
    fs::write(&entries[0], b"").expect("written");
    let is_first = own().token() != first;
    fs::write(&entries[0], &contents[0]).expect("written");
    let [ours, theirs] = if is_first { [0, 1] } else { [1, 0] };
    let good = fs::read(&entries[ours]).expect("an entry");
    let mut damaged = vec![
        ("of another request", contents[theirs].clone()),
        ("empty", Vec::new()),
        ("only the mark", good[..18].to_vec()),
        (
            "a huge length",
            [&good[..54], &[0xff; 4], &good[58..]].concat(),
        ),
    ];
    for at in [19, 30, 40, 45, 57, 58, 80, good.len() - 20, good.len() - 1] {
        damaged.push(("cut", good[..at].to_vec()));
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        damaged.push(("a changed bit", flipped));
    }
    for (what, content) in damaged {
        fs::write(&entries[ours], content).expect("written");
        assert_costs_one_request(&machine, what, own);
    }
}

#[test]
fn sessions_with_different_keys_have_their_own_tokens() {
    let machine = Machine::new();
    machine.login("p", machine.server(), &[]);
    if !is_sealed(&machine) {
        return;
    }
    let Some(other) = other_session() else {
        return;
    };
    let ours = machine.run(&["token", "p"]).token();
    let theirs = other.run(&machine, &["token", "p"]).token();
    assert_ne!(ours, theirs, "a stolen entry is of no use");
    for _ in 0..10 {
        assert_eq!(machine.run(&["token", "p"]).token(), ours);
        assert_eq!(other.run(&machine, &["token", "p"]).token(), theirs);
    }
    assert_eq!(count(&machine), 2);
    assert_eq!(machine.entries("p").len(), 1);
    // A session keyring of its own makes no difference.
    let mut session = Command::new("keyctl");
    session.args(["session", "-"]);
    let session = ran(run_by(session, &machine.hallpass(&["token", "p"])));
    assert_eq!(session.success().stdout.trim_end(), ours);
    machine.run(&["logout", "p"]).success();
    assert!(machine.entries("p").is_empty());
}

#[test]
fn a_lost_key_costs_one_request() {
    let machine = Machine::new();
    machine.login("p", machine.server(), &[]);
    if !is_sealed(&machine) {
        return;
    }
    let Some(session) = other_session() else {
        return;
    };
    let token = || session.run(&machine, &["token", "p"]);
    assert_costs_one_request(&machine, "no key", token);
    for (what, change) in [
        ("unlinked", "keyctl unlink $KEY @u"),
        ("revoked", "keyctl revoke $KEY"),
        ("expired", "keyctl timeout $KEY 1; sleep 1.1"),
        (
            "another key",
            "keyctl update $KEY 012345678901234567890123456789012345678901234567",
        ),
        ("too short", "keyctl update $KEY short"),
        (
            "too long",
            "keyctl update $KEY 0123456789012345678901234567890123456789012345678",
        ),
        ("without rights", "keyctl setperm $KEY 0"),
    ] {
        session.change_key(&machine, change);
        assert_costs_one_request(&machine, what, token);
    }
}

#[test]
fn a_kernel_that_refuses_leaves_plain_files_or_none_and_says_so() {
    let mut machine = Machine::new();
    let by_strace = |machine: &Machine, fault: &str, arguments: &[&str]| {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=keyctl,add_key"]);
        strace.args(["-e", &format!("inject=keyctl,add_key:error={fault}")]);
        ran(run_by(strace, &machine.hallpass(arguments)))
    };
    machine.login("p", machine.server(), &[]);
    for (fault, reason) in [
        ("EPERM", "the kernel keyring is not allowed here"),
        ("ENOSYS", "there is no kernel keyring here"),
        ("EDQUOT", "the kernel keyring is full for this user"),
    ] {
        let run = |arguments: &[&str]| by_strace(&machine, fault, arguments);
        run(&["token", "p", "--refresh"]).token();
        let before = count(&machine);
        run(&["token", "p"]).token();
        assert_eq!(count(&machine), before, "it is cached");
        let entry = fs::read(machine.entries("p").remove(0)).expect("an entry");
        assert!(entry.starts_with(b"hallpass-token-1 "), "{fault}");
        let shown = run(&["status", "p"]).success().stdout;
        assert!(
            shown.contains(&format!("plain: {reason} (default)")),
            "{shown}"
        );
        let shown = run(&["status", "p", "--json"]).json();
        let protection = &shown["profiles"][0]["cache_protection"];
        assert_eq!(
            (&protection["form"], &protection["reason"]),
            (&"plain".into(), &reason.into())
        );
        for arguments in [
            &["doctor", "p", "--offline"][..],
            &["doctor", "p", "--offline", "--json"],
        ] {
            let ran = run(arguments);
            assert!(ran.stdout.contains(&format!("plain: {reason}")), "{ran:?}");
        }
    }
    machine.set("HALLPASS_CACHE", "sealed");
    let strict = |arguments: &[&str]| by_strace(&machine, "EPERM", arguments);
    let before = count(&machine);
    for _ in 0..2 {
        let ran = strict(&["token", "p"]).success();
        let warning = "hallpass: warning: cannot encrypt the cache: the kernel keyring is not allowed here; the token was not saved\n";
        assert_eq!(ran.stderr, warning);
        assert!(machine.entries("p").is_empty());
    }
    assert_eq!(count(&machine), before + 2);
    let shown = strict(&["status", "p"]).success().stdout;
    assert!(
        shown.contains("none: the kernel keyring is not allowed here (HALLPASS_CACHE)"),
        "{shown}"
    );
    let doctor = strict(&["doctor", "p", "--offline"]);
    assert!(
        doctor.code == 1 && doctor.stdout.contains("set HALLPASS_CACHE to auto"),
        "{doctor:?}"
    );
}

#[test]
fn plain_entries_of_earlier_calls_are_used_unless_the_mode_forbids_it() {
    let mut machine = Machine::new();
    machine.set("HALLPASS_CACHE", "plain");
    machine.login("p", machine.server(), &[]);
    machine.set("HALLPASS_CACHE", "");
    assert_eq!(machine.run(&["token", "p"]).token(), "token-1");
    if !is_sealed(&machine) {
        return;
    }
    machine.set("HALLPASS_CACHE", "sealed");
    assert_costs_one_request(&machine, "plain", || machine.run(&["token", "p"]));
    let entry = fs::read(machine.entries("p").remove(0)).expect("an entry");
    assert!(!contains(&entry, b"token-"), "{entry:?}");
    // The mode says how tokens are written. What is encrypted can be read in any mode but `none`.
    machine.set("HALLPASS_CACHE", "plain");
    assert_eq!(machine.run(&["token", "p"]).token(), "token-2");
}

#[test]
fn a_sealed_token_costs_two_more_system_calls_and_a_plain_one_none() {
    let mut machine = Machine::new();
    machine.login("p", machine.server(), &[]);
    if !is_sealed(&machine) {
        return;
    }
    let calls = |machine: &Machine| {
        machine.run(&["token", "p"]).token();
        let log = machine.root().join("trace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o"]).arg(&log);
        ran(run_by(strace, &machine.hallpass(&["token", "p"]))).success();
        fs::read_to_string(log).expect("the trace")
    };
    let sealed = calls(&machine);
    machine.set("HALLPASS_CACHE", "plain");
    machine.run(&["token", "p", "--refresh"]).token();
    let plain = calls(&machine);
    assert!(!plain.contains("keyctl"), "{plain}");
    let of_keys: Vec<_> = sealed
        .lines()
        .filter(|line| line.contains("keyctl("))
        .collect();
    assert_eq!(of_keys.len(), 2, "{of_keys:?}");
    assert!(of_keys[0].contains("KEYCTL_SEARCH") && of_keys[1].contains("KEYCTL_READ"));
    // Memory is mapped in pieces that depend on the build.
    assert!(
        sealed.lines().count() <= plain.lines().count() + 3,
        "{sealed}\n{plain}"
    );
}

#[test]
fn the_superuser_does_not_break_the_cache_of_a_user_whose_home_it_uses() {
    if !is_root() {
        return skip("only the superuser can be in the place of another user");
    }
    let machine = machine_of_ordinary_user();
    let secret = machine.private_file("secret", SECRET.as_bytes());
    give_to_ordinary_user(&secret);
    let url = machine.server().url("/oauth/token");
    let mut login = machine.hallpass(&["login", "p", "--token-url", &url, "--client-id", "x"]);
    login.arg("--secret-file").arg(secret);
    ran(as_ordinary_user(&login)).success();
    let token = || ran(as_ordinary_user(&machine.hallpass(&["token", "p"])));
    assert_eq!(token().token(), "token-1");
    let entry = machine.entries("p").remove(0);
    let before = fs::read(&entry).expect("an entry");
    machine.run(&["token", "p"]);
    assert_eq!(fs::read(&entry).expect("an entry"), before);
    assert_eq!(token().token(), "token-1");
}
