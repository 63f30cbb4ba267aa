//! The record of token requests, in a file, in syslog and in the journal.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fleet::Redis;
use crate::machine::{CLIENT_ID, HALLPASS, Machine, SECRET, numbered_tokens};
use crate::managed::Managed;
use crate::server::{Reply, Server};
use crate::support::ran;

/// The lines of an audit log, each of which is a whole JSON object.
fn lines(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    let line = |line: &str| serde_json::from_str(line).expect("a line of JSON");
    text.lines().map(line).collect()
}

#[test]
fn each_request_is_a_line_and_a_cached_token_is_none() {
    let mut machine = Machine::new().with_server(Server::start(|request| {
        if request.text().contains("scope=refused") {
            return Reply::json(400, "{\"error\":\"invalid_scope\"}");
        }
        numbered_tokens()(request)
    }));
    machine.login("p", machine.server(), &["--audience", "api"]);
    let log = machine.root().join("audit.log");
    machine.set("HALLPASS_AUDIT", log.to_str().expect("UTF-8"));
    let ran = machine.run(&["token", "p", "--scope", "read"]).success();
    let token = ran.stdout.trim().to_owned();
    machine.run(&["token", "p", "--scope", "read"]).success();
    machine
        .run(&["token", "p", "--scope", "refused"])
        .failure(4);
    let many = "x".repeat(9000);
    machine.run(&["token", "p", "--scope", &many]).success();
    let text = fs::read_to_string(&log).expect("a log");
    let mode = fs::metadata(&log).expect("a log").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for secret in [&token, SECRET, "s3cr%25t"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.lines().all(|line| line.len() < 4096));
    let lines = lines(&text);
    let outcomes: Vec<_> = lines.iter().map(|line| line["outcome"].as_str()).collect();
    assert_eq!(outcomes, [Some("issued"), Some("refused"), Some("issued")]);
    let first = &lines[0];
    let endpoint = machine.server().url("/oauth/token");
    for (name, value) in [
        ("profile", json!("p")),
        ("token_endpoint", json!(endpoint)),
        ("client_id", json!(CLIENT_ID)),
        ("scope", json!("read")),
        ("audience", json!("api")),
        (
            "user",
            json!(rustix::process::getuid().as_raw().to_string()),
        ),
        ("pid", json!(std::process::id())),
    ] {
        assert_eq!(first[name], value, "{name}");
    }
    let fingerprint = first["token"].as_str().expect("a fingerprint");
    assert!(fingerprint.len() == 12 && lines[1]["token"].is_null());
    let status = machine.run(&["status", "p", "--json"]).success().stdout;
    assert!(status.contains(fingerprint), "{status}");
    assert!(
        first["time"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z'))
    );
    assert!(first["program"].is_string());
}

#[test]
fn a_log_that_only_the_user_wants_is_no_reason_to_give_no_token() {
    let mut machine = Machine::new();
    machine.login("p", machine.server(), &[]);
    machine.set("HALLPASS_AUDIT", "/nowhere/audit.log");
    let ran = machine.run(&["token", "p", "--refresh"]).success();
    assert!(
        ran.stderr
            .contains("cannot write the audit log /nowhere/audit.log"),
        "{ran:?}"
    );
    machine.set("HALLPASS_AUDIT", "here");
    let ran = machine.run(&["token", "p", "--refresh"]).failure(2);
    assert!(
        ran.stderr
            .contains("HALLPASS_AUDIT must be syslog, journald or"),
        "{ran:?}"
    );
}

#[test]
fn without_the_record_that_the_policy_requires_there_is_no_token() {
    let Some(mut managed) = Managed::new(Machine::new()) else {
        return;
    };
    managed.machine.login(
        "p",
        managed.machine.server(),
        &["--for", "https://git.example/"],
    );
    managed.machine.run(&["token", "p"]).success();
    managed.machine.run(&["token", "p", "--forget"]).success();
    for (what, target, line) in [
        ("no directory", "/etc/nowhere/log", ""),
        ("a link", "/etc/log", "ln -s /etc/other /etc/log"),
        ("a pipe", "/etc/log", "mkfifo /etc/log"),
        ("a directory", "/etc/log", "mkdir /etc/log"),
        (
            "nobody reads syslog",
            "syslog",
            "mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/urandom c 1 9",
        ),
        (
            "nobody reads the journal",
            "journald",
            "mount -t tmpfs none /run",
        ),
        (
            "a full disk",
            "/etc/full/log",
            "mkdir /etc/full; mount -t tmpfs -o size=4k none /etc/full; yes | head -c 4096 >/etc/full/rest",
        ),
    ] {
        managed.policy(&json!({ "audit": target }).to_string());
        line.clone_into(&mut managed.line);
        // What the user wants does not count.
        let own = [("HALLPASS_AUDIT", "/tmp/hallpass-test-of-the-audit-log")];
        let ran = managed.run_with(&own, &["token", "p"], "");
        assert_eq!(ran.code, 1, "{what}: {ran:?}");
        assert!(ran.stdout.is_empty(), "{what}: {ran:?}");
        assert!(
            ran.stderr.contains("only the administrator can repair it"),
            "{what}: {ran:?}"
        );
        let ran = managed.run_with(
            &own,
            &["git-credential", "get"],
            "protocol=https\nhost=git.example\n\n",
        );
        assert!(!ran.stdout.contains("token-"), "{what}: {ran:?}");
        assert_eq!(managed.machine.entries("p").len(), 0, "{what}");
    }
    // Only the full disk is noticed after the requests.
    let requests = managed.machine.server().requests().len();
    assert!(requests <= 2 + 2, "{requests}");
}

#[test]
fn syslog_and_the_journal_get_a_datagram_for_each_request() {
    let Some(mut managed) = Managed::new(Machine::new()) else {
        return;
    };
    let machine = &managed.machine;
    machine.login("p", machine.server(), &[]);
    let root = machine.root().to_str().expect("UTF-8").to_owned();
    let listen = |name: &str| {
        let socket = UnixDatagram::bind(machine.root().join(name)).expect("a socket");
        let limit = Some(Duration::from_secs(30));
        socket.set_read_timeout(limit).expect("a limit");
        socket
    };
    let (syslog, journal) = (listen("syslog"), listen("journal"));
    let read = |socket: &UnixDatagram| {
        let mut datagram = vec![0; 65536];
        let length = socket.recv(&mut datagram).expect("a datagram");
        String::from_utf8(datagram[..length].to_vec()).expect("UTF-8")
    };
    managed.line = format!(
        "mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/urandom c 1 9; \
         ln -s {root}/syslog /dev/log; mount -t tmpfs none /run; mkdir -p /run/systemd/journal; \
         ln -s {root}/journal /run/systemd/journal/socket"
    );
    managed.policy("{\"audit\": \"syslog\"}");
    managed.run(&["token", "p", "--refresh"]).success();
    let datagram = read(&syslog);
    let (header, line) = datagram.split_once(": ").expect("a header");
    assert!(
        header.starts_with("<86>hallpass[") && header.ends_with(']'),
        "{header}"
    );
    assert_eq!(lines(&format!("{line}\n"))[0]["outcome"], "issued");
    managed.policy("{\"audit\": \"journald\"}");
    managed.run(&["token", "p", "--refresh"]).success();
    let datagram = read(&journal);
    let field = |name: &str| {
        let mut lines = datagram.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.expect("a field").to_owned()
    };
    assert_eq!(field("SYSLOG_IDENTIFIER"), "hallpass");
    assert_eq!(lines(&(field("MESSAGE") + "\n"))[0]["outcome"], "issued");
}

#[test]
fn a_token_of_the_shared_cache_is_recorded_when_a_machine_gets_it() {
    let redis = Redis::start(&[]);
    let server = Server::start(numbered_tokens());
    let fleet: Vec<_> = (0..2)
        .map(|_| {
            let mut machine = crate::fleet::machine(&server, &redis.url());
            let log = machine.root().join("audit.log");
            machine.set("HALLPASS_AUDIT", log.to_str().expect("UTF-8"));
            machine
        })
        .collect();
    let [first, second] = [&fleet[0], &fleet[1]].map(|machine| {
        for _ in 0..2 {
            assert_eq!(machine.run(&["token"]).token(), "token-1");
        }
        let text = fs::read_to_string(machine.root().join("audit.log")).expect("a log");
        let lines = lines(&text);
        assert_eq!(
            lines.len(),
            1,
            "no line for a token in the local cache: {text}"
        );
        lines[0].clone()
    });
    assert_eq!(first["outcome"], "issued");
    assert_eq!(second["outcome"], "received");
    assert_eq!(first["token"], second["token"]);
    assert_eq!(second["client_id"], CLIENT_ID);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn without_a_required_record_no_token_of_the_shared_cache_is_given() {
    let redis = Redis::start(&[]);
    let server = Server::start(numbered_tokens());
    let machine = || crate::fleet::machine(&server, &redis.url());
    assert_eq!(machine().run(&["token"]).token(), "token-1");
    let Some(managed) = Managed::new(machine()) else {
        return;
    };
    managed.policy("{\"audit\": \"/etc/nowhere/log\"}");
    let ran = managed.run(&["token"]).failure(1);
    assert!(ran.stdout.is_empty(), "{ran:?}");
    assert_eq!(server.requests().len(), 1);
}

/// `AUDITED=1000 cargo test --test hallpass -- audit::` runs more.
#[test]
fn parallel_requests_are_whole_lines() {
    let count = std::env::var("AUDITED").map_or(60, |count| count.parse().expect("a number"));
    let Some(managed) = Managed::new(Machine::new()) else {
        return;
    };
    let machine = &managed.machine;
    machine.login("p", machine.server(), &[]);
    let before = machine.server().requests().len();
    let log = machine.private_file("audit.log", b"");
    managed.policy(&json!({ "audit": log }).to_string());
    // One world for all of them, at most twenty at a time.
    let script = format!("seq {count} | xargs -P 20 -I N \"$0\" token p --scope N");
    let mut command = machine.command("sh");
    command.args(["-c", &script, &HALLPASS]);
    let ran = ran(managed.within(&command)).success();
    assert_eq!(ran.stdout.lines().count(), count);
    assert_eq!(machine.server().requests().len() - before, count);
    let lines = lines(&fs::read_to_string(&log).expect("a log"));
    let mut scopes: Vec<u64> = lines
        .iter()
        .map(|line| {
            line["scope"]
                .as_str()
                .expect("a scope")
                .parse()
                .expect("a number")
        })
        .collect();
    scopes.sort_unstable();
    let all: Vec<_> = (1..=count as u64).collect();
    assert_eq!(scopes, all);
    assert!(lines.iter().all(|line| line["outcome"] == "issued"));
}
