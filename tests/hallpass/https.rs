//! TLS: a secret is sent to nobody whose certificate does not hold.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::machine::{CLIENT_ID, Machine, Ran, SECRET, finish, numbered_tokens};
use crate::server::{Reply, Server};
use crate::support::{as_ordinary_user, give_to_ordinary_user, ran, run_by, shell_with_own_mounts};
use crate::tls::{Authority, Identity};

const NO_FILES: [PathBuf; 0] = [];

#[test]
fn a_private_authority_is_trusted_by_its_file() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    let machine = Machine::new();
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    login(
        &machine,
        &server.url("/oauth/token"),
        &["--ca-file", text(&ca)],
    )
    .success();
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_ca_file_is_found_from_every_directory_and_may_hold_several_certificates() {
    let [mine, other] = [(); 2].map(|()| Authority::new());
    let server = Server::start_tls(&mine.identity(&["localhost"]), numbered_tokens());
    let machine = Machine::new();
    let bundle = format!("# two of them\n{}\n{}", other.pem(), mine.pem());
    machine.private_file("ca.pem", bundle.as_bytes());
    let url = format!("https://localhost:{}/", server.port());
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let mut command = machine.hallpass(&[
        "login",
        "--token-url",
        &url,
        "--client-id",
        "id",
        "--ca-file",
        "ca.pem",
        "--secret-file",
        text(&secret),
    ]);
    Ran::from(
        command
            .current_dir(machine.root())
            .output()
            .expect("hallpass starts"),
    )
    .success();
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
}

#[test]
fn the_systems_trust_may_be_named_by_the_environment() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    let mut machine = Machine::new();
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    machine.set("SSL_CERT_FILE", text(&ca));
    login(&machine, &server.url("/"), &[]).success();
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
}

#[test]
fn a_ca_file_adds_to_the_systems_trust() {
    let [the_systems, mine, nobodys] = [(); 3].map(|()| Authority::new());
    let mut machine = Machine::new();
    let system = machine.private_file("system.pem", the_systems.pem().as_bytes());
    machine.set("SSL_CERT_FILE", text(&system));
    let ca = machine.private_file("ca.pem", mine.pem().as_bytes());
    for authority in [&the_systems, &mine] {
        let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
        login(&machine, &server.url("/"), &["--ca-file", text(&ca)]).success();
        assert_eq!(server.requests().len(), 1);
    }
    let server = Server::start_tls(&nobodys.identity(&["127.0.0.1"]), numbered_tokens());
    login(&machine, &server.url("/"), &["--ca-file", text(&ca)]).failure(5);
    assert_eq!(server.bytes_received(), 0);
}

#[test]
fn the_authorities_are_read_while_a_command_finds_the_secret() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    let mut machine = Machine::new();
    machine.private_file("ca.pem", authority.pem().as_bytes());
    machine.private_file("secret", SECRET.as_bytes());
    // It has no end until the command has written it, and the command waits for a reader.
    let pipe = machine.pipe("authorities");
    machine.set("SSL_CERT_FILE", text(&pipe));
    let root = text(machine.root());
    let script = format!("cd '{root}' && cat ca.pem >authorities && cat secret");
    let command = shlex::try_join(["sh", "-c", &script]).expect("a command line");
    let url = server.url("/oauth/token");
    let client = ["--token-url", &url, "--client-id", CLIENT_ID];
    let secret = ["--secret-command", &command, "--no-verify"];
    machine
        .run(&[&["login"], &client[..], &secret[..]].concat())
        .success();
    assert_eq!(machine.run(&["token"]).token(), "token-1");
}

/// Runs in a world of its own, where the system trusts only these: those in its bundle, and
/// others in its directory, among many files.
fn where_the_system_believes(bundle: &str, directory: &str, machine: &Machine) -> Command {
    const WORLD: &str = "mount -t tmpfs none /etc/ssl/certs && cp \"$1\" /etc/ssl/certs/ca-certificates.crt \
        && for i in $(seq 50); do cp \"$1\" /etc/ssl/certs/$i.pem; done \
        && cp \"$2\" /etc/ssl/certs/local.pem && shift 2 && exec \"$@\"";
    let file = |name, pem: &str| machine.private_file(name, pem.as_bytes());
    let mut world = shell_with_own_mounts(WORLD);
    world.args([file("bundle.pem", bundle), file("local.pem", directory)]);
    world
}

#[test]
fn what_the_system_believes_in_is_read_as_far_as_it_is_needed() {
    let [usual, rare, nobodys] = [(); 3].map(|()| Authority::new());
    let changed = Authority::of_another_kind();
    let in_directory = rare.pem() + &changed.pem();
    let machine = Machine::new();
    let opened = machine.root().join("opened");
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let here = ["127.0.0.1"];
    // Who the server is, the exit code, and whether one file of authorities is enough.
    for (identity, code, one_file) in [
        (usual.identity(&here), 0, true),
        (rare.identity(&here), 0, false),
        (changed.identity(&here), 0, false),
        (rare.identity_once_by(&usual, &here), 0, false),
        (nobodys.identity(&here), 5, false),
        (usual.identity(&["login.example"]), 5, true),
    ] {
        let server = Server::start_tls(&identity, numbered_tokens());
        let mut world = where_the_system_believes(&usual.pem(), &in_directory, &machine);
        world.args(["strace", "-f", "-e", "openat,open", "-o", text(&opened)]);
        let url = server.url("/");
        let mut login = vec!["login", "prod", "--replace", "--token-url", &url];
        login.extend(["--client-id", "id"]);
        login.extend(["--secret-file", text(&secret)]);
        let ran = ran(run_by(world, &machine.hallpass(&login)));
        assert_eq!(ran.code, code, "{ran:?}");
        assert_eq!(server.requests().len(), usize::from(code == 0));
        let opened = fs::read_to_string(&opened).expect("strace's report");
        let certificates = opened.matches("\"/etc/ssl/certs").count();
        assert_eq!(certificates == 1, one_file, "{opened}");
    }
}

#[test]
fn a_certificate_that_does_not_hold_is_refused_before_a_byte_is_sent() {
    let [mine, other] = [(); 2].map(|()| Authority::new());
    let here = ["127.0.0.1", "localhost"];
    let rows: Vec<(&str, Identity, &[&str])> = vec![
        ("another authority", other.identity(&here), &["--ca-file"]),
        (
            "only itself",
            Identity::self_signed(&here),
            &["unknown issuer", "--ca-file"],
        ),
        (
            "expired",
            mine.expired_identity(&here),
            &["has expired", "clock is wrong"],
        ),
        (
            "not yet valid",
            mine.future_identity(&here),
            &["is not valid yet", "clock"],
        ),
        (
            "another host",
            mine.identity(&["login.example"]),
            &["not valid for this host, only for login.example"],
        ),
        (
            "another address",
            mine.identity(&["127.0.0.2"]),
            &["not valid for this host, only for 127.0.0.2"],
        ),
        (
            "the address as a name",
            mine.identity(&["localhost"]),
            &["not valid for this host, only for localhost"],
        ),
        (
            "a common name",
            mine.identity_by_common_name("127.0.0.1"),
            &["not valid for this host"],
        ),
        (
            "no name",
            mine.identity(&[]),
            &["not valid for this host: it names none"],
        ),
    ];
    for (name, identity, says) in rows {
        let server = Server::start_tls(&identity, numbered_tokens());
        let machine = Machine::new();
        let ca = machine.private_file("ca.pem", mine.pem().as_bytes());
        let url = server.url("/oauth/token");
        let ran = login(&machine, &url, &["--ca-file", text(&ca)]).failure(5);
        assert!(ran.stderr.contains(": its certificate "), "{name}: {ran:?}");
        assert!(
            says.iter().all(|message| ran.stderr.contains(message)),
            "{name}: {ran:?}"
        );
        assert_eq!(machine.files(), NO_FILES, "{name}");

        // Also later, when the server changes behind a login's back.
        login(&machine, &url, &["--ca-file", text(&ca), "--no-verify"]).success();
        machine.run(&["token"]).failure(5);
        assert_eq!(server.bytes_received(), 0, "{name}");
        // A certificate does not get better by a retry. An authority may get known by a look at
        // all that the system believes in, and a name does not.
        let looks = if ran.stderr.contains("not valid for this host") {
            1
        } else {
            2
        };
        assert!((2..=2 * looks).contains(&server.connections()), "{name}");
    }
}

#[test]
fn an_unknown_authority_is_refused_and_the_hint_names_the_way_out() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    let machine = Machine::new();
    let ran = login(&machine, &server.url("/"), &[]).failure(5);
    for message in ["unknown issuer", "add --ca-file FILE", "SSL_CERT_FILE"] {
        assert!(ran.stderr.contains(message), "{ran:?}");
    }
    assert_eq!(server.bytes_received(), 0);
    assert_eq!(machine.files(), NO_FILES);

    // Where it is not known what the profile will be called, and where nobody logs in.
    let secret = machine.private_file("secret", b"secret");
    let issuer = ["login", "--client-id", "c", "--issuer", &server.url("")];
    let issuer = [&issuer[..], &["--secret-file", text(&secret)]].concat();
    let ran = machine.run(&issuer).failure(5);
    let hint =
        "hallpass: hint: for a private CA, add --ca-file FILE, or set SSL_CERT_FILE at the login\n";
    assert!(ran.stderr.contains(hint), "{ran:?}");
    let mut machine = Machine::new();
    machine.set("HALLPASS_TOKEN_URL", &server.url("/"));
    machine.set("HALLPASS_CLIENT_ID", "c");
    machine.set("HALLPASS_CLIENT_SECRET", "s");
    let ran = machine.run(&["token"]).failure(5);
    let hint = "hallpass: hint: for a private CA, set HALLPASS_CA_FILE, or SSL_CERT_FILE\n";
    assert!(ran.stderr.contains(hint), "{ran:?}");
}

#[test]
fn a_server_without_tls_1_2_gets_nothing() {
    let plain = Server::start(numbered_tokens());
    let machine = Machine::new();
    let url = plain.url("/").replace("http:", "https:");
    login(&machine, &url, &[]).failure(5);
    assert_eq!(plain.requests().len(), 0);

    // A server's hello of TLS 1.1, with a cipher suite of its time; and the alert of a server that knows no other.
    let hello = [
        &b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02"[..],
        &[7; 32],
        b"\x00\xc0\x14\x00",
    ]
    .concat();
    let alert = b"\x15\x03\x02\x00\x02\x02\x46".to_vec();
    for answer in [hello, alert, b"garbage".to_vec(), Vec::new()] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let url = format!("https://{}/", listener.local_addr().expect("an address"));
        let serving = thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("a connection");
            let mut received = vec![0; 4096];
            let count = client.read(&mut received).expect("a hello");
            client.write_all(&answer).expect("a client");
            client
                .shutdown(std::net::Shutdown::Write)
                .expect("a client");
            received.truncate(count);
            // Reset connections are fine, too.
            let _ = client.read_to_end(&mut received);
            received
        });
        login(
            &machine,
            &url,
            &["--timeout", "20s", "--auth", "client_secret_post"],
        )
        .failure(5);
        let received = serving.join().expect("what was received");
        assert!(
            !received.windows(6).any(|bytes| bytes == b"client"),
            "the request was sent"
        );
    }
    assert_eq!(machine.files(), NO_FILES);
}

#[test]
fn a_ca_file_that_is_none_is_named() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    let machine = Machine::new();
    let directory = machine.root().join("a-directory.pem");
    fs::create_dir(&directory).expect("a directory");
    let broken = authority.pem().replace("MII", "!!!");
    let cut = authority.pem().replace("-----END CERTIFICATE-----", "");
    let files = [
        machine.root().join("missing.pem"),
        directory,
        machine.private_file("empty.pem", b""),
        machine.private_file("garbage.pem", b"\0\xff garbage"),
        machine.private_file("text.pem", b"no certificate here\n"),
        machine.private_file("broken.pem", broken.as_bytes()),
        machine.private_file("cut.pem", cut.as_bytes()),
        machine.private_file(
            "no-certificate.pem",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ),
        machine.private_file(
            "key.pem",
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ),
    ];
    for file in &files {
        let ran = login(&machine, &server.url("/"), &["--ca-file", text(file)]).failure(2);
        assert!(ran.stderr.contains(text(file)), "{ran:?}");
        assert!(ran.stderr.lines().count() <= 2, "{ran:?}");
    }
    assert_eq!(server.connections(), 0);
    assert_eq!(machine.files(), NO_FILES);

    // One that goes away after the login.
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    login(&machine, &server.url("/"), &["--ca-file", text(&ca)]).success();
    fs::remove_file(&ca).expect("a file");
    let ran = machine.run(&["token", "--refresh"]).failure(2);
    assert!(ran.stderr.contains(text(&ca)), "{ran:?}");
    assert_eq!(
        machine.run(&["token"]).token(),
        "token-1",
        "a cached token needs no certificate"
    );
}

#[test]
fn a_ca_file_that_may_not_be_read_is_named() {
    let machine = Machine::new();
    let ca = machine.private_file("ca.pem", Authority::new().pem().as_bytes());
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let arguments = [
        "login",
        "--token-url",
        "https://127.0.0.1:9/",
        "--client-id",
        "id",
        "--ca-file",
        text(&ca),
        "--secret-file",
        text(&secret),
    ];
    fs::set_permissions(&ca, std::os::unix::fs::PermissionsExt::from_mode(0o000)).expect("a mode");
    for path in [machine.root(), &machine.home(), &secret] {
        give_to_ordinary_user(path);
    }
    // Nothing is unreadable for the superuser.
    let mut command = as_ordinary_user(&machine.hallpass(&arguments));
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let ran = finish(child.expect("hallpass starts")).failure(2);
    assert!(
        ran.stderr.contains(text(&ca)) && ran.stderr.contains("permission denied"),
        "{ran:?}"
    );
}

#[test]
fn without_the_systems_trust_a_ca_file_still_serves() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    let mut machine = Machine::new();
    let empty = machine.private_file("empty.pem", b"");
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    let missing = machine.root().join("missing.pem");
    for system in [&empty, &missing] {
        machine.set("SSL_CERT_FILE", text(system));
        machine.set("SSL_CERT_DIR", text(&missing));
        login(&machine, &server.url("/"), &["--ca-file", text(&ca)]).success();
        let bytes = server.bytes_received();
        let ran = login(&machine, &server.url("/"), &["--ca-file", ""]);
        assert!([1, 5].contains(&ran.code), "{ran:?}");
        assert_eq!(ran.stdout, "");
        assert!(ran.stderr.contains("SSL_CERT_FILE"), "{ran:?}");
        assert_eq!(server.bytes_received(), bytes);
    }
}

#[test]
fn the_keys_of_a_session_are_written_nowhere() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    let mut machine = Machine::new();
    let log = machine.root().join("keys.log");
    machine.set("SSLKEYLOGFILE", text(&log));
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    login(&machine, &server.url("/"), &["--ca-file", text(&ca)]).success();
    assert!(!log.exists());
}

#[test]
fn no_redirect_leads_out_of_tls() {
    let authority = Authority::new();
    let plain = Server::start(numbered_tokens());
    let location = plain.url("/oauth/token");
    let answer = move |_: &_| Reply::new(307).header("Location", &location);
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), answer);
    let machine = Machine::new();
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    let ran = login(&machine, &server.url("/"), &["--ca-file", text(&ca)]).failure(5);
    assert!(
        ran.stderr.contains("a redirect to http://127.0.0.1:"),
        "{ran:?}"
    );
    assert_eq!((server.requests().len(), plain.connections()), (1, 0));
}

fn login(machine: &Machine, url: &str, more: &[&str]) -> Ran {
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let arguments = [
        "login",
        "--replace",
        "--token-url",
        url,
        "--client-id",
        CLIENT_ID,
        "--secret-file",
        text(&secret),
    ];
    machine.run(&[&arguments[..], more].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
