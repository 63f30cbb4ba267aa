//! A server with a problem never fails a call, and is not used for a while.

use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::printed;
use crate::fleet::{Redis, machine, numbered};
use crate::machine::Machine;

type Answer = dyn Fn(TcpStream) + Send + Sync;

/// Something else than a Redis server. Returns its URL and the number of connections.
fn server(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let answer = Arc::clone(&answer);
            thread::spawn(move || answer(stream));
        }
    });
    (format!("redis://127.0.0.1:{port}"), count)
}

/// Sends this after the first command, and then nothing.
fn says(bytes: &'static [u8]) -> impl Fn(TcpStream) + Send + Sync + 'static {
    move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(bytes);
        let _ = stream.read(&mut [0; 4096]);
        thread::sleep(Duration::from_secs(60));
    }
}

/// A token at once, and a second one without another connection.
#[track_caller]
fn assert_avoided(machine: &Machine, reason: &str) {
    let first = machine.run(&["-v", "token", "--refresh"]);
    assert!(first.stderr.contains(reason), "{reason}: {first:?}");
    printed(&first);
    let status = machine.run(&["status"]).success();
    assert!(status.stdout.contains(reason), "{reason}: {status:?}");
    let second = machine.run(&["-v", "token", "--refresh"]);
    let text = format!("because {reason}");
    assert!(second.stderr.contains("is not used for"), "{second:?}");
    assert!(second.stderr.contains(&text), "{second:?}");
    printed(&second);
}

#[test]
fn a_server_that_misbehaves_is_tried_once() {
    let tokens = numbered();
    let silent = "the server did not answer in time";
    let closed = "the server closed the connection";
    let foreign = "the server's answer is not";
    let cases: Vec<(Box<Answer>, &str)> = vec![
        (Box::new(says(b"")), silent),
        (Box::new(says(b"*7\r\n$-1\r\n:-2\r\n")), silent),
        (Box::new(says(b"$100000000000\r\nx")), silent),
        (Box::new(says(b"*2000000000\r\n")), silent),
        (Box::new(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")), foreign),
        (Box::new(says(b"+OK\r\n")), foreign),
        (
            Box::new(says(b"*7\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n")),
            foreign,
        ),
        (Box::new(says(b"\x00\xff\xfe\r\n")), foreign),
        (
            Box::new(says(b"-\x1b[31mERR\x07 red\r\n")),
            "the server reported",
        ),
        (
            Box::new(says(b"-MOVED 1 127.0.0.1:1\r\n")),
            "the server refused the connection",
        ),
        (
            Box::new(says(b"-LOADING Redis is loading\r\n")),
            "the server is loading",
        ),
        (
            Box::new(says(b"-CLUSTERDOWN The cluster is down\r\n")),
            "the node of the cluster",
        ),
        (Box::new(drop), closed),
        (
            Box::new(|mut stream: TcpStream| {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"*7\r\n$-1");
            }),
            closed,
        ),
        (
            // Each byte in time, but never all.
            Box::new(|mut stream: TcpStream| {
                let _ = stream.read(&mut [0; 4096]);
                for byte in b"*7\r\n$-1\r\n:-2\r\n$-1\r\n:-2\r\n$-1\r\n".iter().cycle() {
                    if stream.write_all(&[*byte]).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_millis(20));
                }
            }),
            silent,
        ),
        (
            Box::new(|mut stream: TcpStream| {
                let _ = stream.read(&mut [0; 4096]);
                let much = [b'x'; 4096];
                let _ = stream.write_all(b"$900000000\r\n");
                while stream.write_all(&much).is_ok() {}
            }),
            "the connection to the server failed",
        ),
    ];
    for (answer, reason) in cases {
        let (url, connections) = server(answer);
        let machine = machine(&tokens, &url);
        assert_avoided(&machine, reason);
        assert_eq!(connections.load(Ordering::SeqCst), 1, "{reason}");
    }
    let (url, _) = server(says(b""));
    let machine = machine(&tokens, &url.replace("redis:", "rediss:"));
    assert_avoided(&machine, silent);
}

#[test]
fn a_real_server_with_a_problem_is_not_used_for_a_while() {
    let tokens = numbered();
    let nobody = machine(&tokens, "redis://127.0.0.1:1");
    assert_avoided(&nobody, "the server refused the connection");

    let redis = Redis::start(&[]);
    redis.signal(Signal::STOP);
    assert_avoided(
        &machine(&tokens, &redis.url()),
        "the server did not answer in time",
    );
    redis.signal(Signal::CONT);

    redis.text::<()>("REPLICAOF 127.0.0.1 1");
    assert_avoided(
        &machine(&tokens, &redis.url()),
        "the server is a read-only replica",
    );
    redis.text::<()>("REPLICAOF NO ONE");
    redis.text::<()>("CONFIG SET maxmemory 1");
    assert_avoided(
        &machine(&tokens, &redis.url()),
        "the server's memory is full",
    );
    redis.text::<()>("CONFIG SET maxmemory 0");
    let mut wrong = machine(&tokens, &redis.url());
    wrong.set("HALLPASS_SHARE_PASSWORD", "wrong");
    assert_avoided(&wrong, "the server has no password, but one was sent");
    redis.text::<()>("ACL SETUSER u on >right ~* +eval +get +pttl");
    wrong.set("HALLPASS_SHARE_USER", "u");
    wrong.set("HALLPASS_SHARE", &format!("{}/0", redis.url()));
    assert_avoided(&wrong, "the server refused the user or the password");
    wrong.set("HALLPASS_SHARE_PASSWORD", "right");
    wrong.set("HALLPASS_SHARE", &format!("{}/", redis.url()));
    assert_avoided(&wrong, "the server's ACL does not permit what is needed");
    let doctor = wrong.run(&["doctor"]);
    assert!(doctor.stdout.contains("hallpass setup share"), "{doctor:?}");
    redis.text::<()>("CONFIG SET requirepass right");
    assert_avoided(
        &machine(&tokens, &redis.url()),
        "the server requires a password",
    );
}

/// A password that cannot be read is a problem like the others.
#[test]
fn a_missing_password_fails_no_call() {
    let redis = Redis::start(&[]);
    let tokens = numbered();
    let mut machine = machine(&tokens, &redis.url());
    machine.set("HALLPASS_SHARE_PASSWORD_FILE", "/nonexistent");
    assert_avoided(&machine, "the secret file /nonexistent does not exist");
}

#[test]
fn a_node_of_a_cluster_sends_the_caller_to_another_one() {
    let redis = Redis::start(&[]);
    let tokens = numbered();
    let moved = format!(
        "-MOVED 1 {}\r\n",
        redis.url().trim_start_matches("redis://")
    );
    let (url, connections) = server(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(moved.as_bytes());
        let _ = stream.read(&mut [0; 4096]);
    });
    for _ in 0..2 {
        assert_eq!(machine(&tokens, &url).run(&["token"]).token(), "token-1");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

/// After the pause, the server is used again, and the problem is forgotten.
#[test]
fn a_server_that_works_again_is_used_again() {
    let redis = Redis::start(&[]);
    let tokens = numbered();
    let machine = machine(&tokens, &redis.url());
    redis.text::<()>("CONFIG SET maxmemory 1");
    machine.run(&["token"]).success();
    redis.text::<()>("CONFIG SET maxmemory 0");
    let files = machine.files();
    let is_record = |path: &&std::path::PathBuf| path.to_string_lossy().contains("/.share-");
    let record = files.iter().find(is_record).expect("a record");
    let text = std::fs::read_to_string(record).expect("the record");
    let (_, reason) = text.split_once('\n').expect("two lines");
    std::fs::write(record, format!("1000\n{reason}")).expect("an old record");
    let ran = machine.run(&["-v", "token", "--refresh"]);
    assert!(ran.stderr.contains("share: stored the token"), "{ran:?}");
    assert!(!record.exists());
}
