//! Names of servers: the default build and the static one have resolvers of their own, which must
//! come to the same.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::machine::{Machine, SECRET, numbered_tokens, skip};
use crate::server::Server;
use crate::support::{ran, run_by, shell_with_own_mounts};
use crate::tls::Authority;

/// Logs in to this host, in a world where `/etc/NAME` has the content that is named.
fn log_in(host: &str, files: &[(&str, &str)]) {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&[host]), numbered_tokens());
    let machine = Machine::new();
    let mut world = shell_with_own_mounts(
        "while [ \"$1\" != -- ]; do mount --bind \"$1\" \"/etc/$2\"; shift 2; done; shift; exec \"$@\"",
    );
    for (name, content) in files {
        world.arg(machine.private_file(name, content.as_bytes()));
        world.arg(name);
    }
    world.arg("--");
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let url = format!("https://{host}:{}/token", server.port());
    let mut login = machine.hallpass(&["login", "p", "--token-url", &url, "--client-id", "id"]);
    login.arg("--ca-file").arg(ca);
    login.arg("--secret-file").arg(secret);
    ran(run_by(world, &login)).success();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_name_in_the_hosts_file_is_found() {
    let hosts = "127.0.0.1 localhost\n127.0.0.1 login.intranet.example login\n";
    log_in("login.intranet.example", &[("hosts", hosts)]);
}

/// Where a name server can be had: its port is the superuser's.
#[test]
fn a_short_name_is_completed_and_a_truncated_answer_is_requested_again() {
    const ADDRESS: &str = "127.0.0.77:53";
    let by_datagram = match UdpSocket::bind(ADDRESS) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return skip("only the superuser can be a name server");
        }
        socket => socket.expect("a name server's port"),
    };
    let by_connection = TcpListener::bind(ADDRESS).expect("a name server's port");
    let asked = Arc::new(Mutex::new(Vec::new()));
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, client)) = by_datagram.recv_from(&mut query) {
            let cut = answer(&query[..length], true);
            by_datagram
                .send_to(&cut, client)
                .expect("a client that listens");
        }
    });
    thread::spawn({
        let asked = Arc::clone(&asked);
        move || {
            for connection in by_connection.incoming() {
                let mut connection = connection.expect("a client");
                let mut length = [0; 2];
                while connection.read_exact(&mut length).is_ok() {
                    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
                    connection.read_exact(&mut query).expect("a query");
                    asked.lock().expect("a list").push(name_in(&query));
                    let answer = answer(&query, false);
                    let length = u16::try_from(answer.len()).expect("a short answer");
                    let whole = [&length.to_be_bytes()[..], &answer].concat();
                    connection.write_all(&whole).expect("a client that listens");
                }
            }
        }
    });
    let settings = "nameserver 127.0.0.77\nsearch intranet.example\n";
    let files = [
        ("hosts", "127.0.0.1 localhost\n"),
        ("resolv.conf", settings),
    ];
    log_in("login", &files);
    let asked = asked.lock().expect("a list");
    assert!(
        asked.contains(&"login.intranet.example".to_owned()),
        "{asked:?}"
    );
}

/// The name that a query asks for (RFC 1035 §4.1.2).
fn name_in(query: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut rest = &query[12..];
    while let [length @ 1..=63, more @ ..] = rest {
        let (label, more) = more.split_at(usize::from(*length));
        labels.push(String::from_utf8_lossy(label));
        rest = more;
    }
    labels.join(".")
}

/// 127.0.0.1 for the one name that there is, with one question and no more than its answer (RFC 1035
/// §4.1); or that the answer does not fit.
fn answer(query: &[u8], cut: bool) -> Vec<u8> {
    let name_end = 12 + name_in(query).len() + 2;
    let wants_ipv4 = query[name_end..name_end + 2] == [0, 1];
    let exists = name_in(query) == "login.intranet.example";
    let (cut_off, code) = (if cut { 2 } else { 0 }, if exists || cut { 0 } else { 3 });
    let count = u8::from(!cut && exists && wants_ipv4);
    let mut answer = query[..2].to_vec();
    answer.extend([0x81 | cut_off, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(&query[12..name_end + 4]);
    if count == 1 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    answer
}
