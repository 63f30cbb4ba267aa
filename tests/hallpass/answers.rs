//! What hallpass makes of an authorization server's responses, good, bad and hostile.

mod bodies;
mod changed;
mod messages;
mod products;
mod retries;
mod tokens;
mod verdicts;

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::machine::{Machine, Ran, SECRET};
use crate::server::{Reply, Request, Server};

/// More than any test may take that must not hang.
const GENEROUS: Duration = Duration::from_secs(50);

/// The hours that a token lasts whose lifetime does not matter.
const GOOD: &str = r#"{"access_token":"good","token_type":"Bearer","expires_in":3600}"#;

/// A machine that is logged in at a server that always answers like this, and has asked for nothing yet.
fn answered(reply: Reply) -> (Machine, Server) {
    let server = Server::start(move |_| reply.clone());
    let machine = Machine::new().with_plain_cache();
    machine.login("default", &server, &["--no-verify"]);
    (machine, server)
}

/// The same with one answer for the first request, and another for all that follow.
fn first_then(first: Reply, then: Reply) -> (Machine, Server) {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_: &Request| match count.fetch_add(1, SeqCst) {
        0 => first.clone(),
        _ => then.clone(),
    });
    let machine = Machine::new().with_plain_cache();
    machine.login("default", &server, &["--no-verify"]);
    (machine, server)
}

/// Asks for a token where none is to be had: this exit code, so many requests, no token anywhere, no secret shown.
#[track_caller]
fn refused(reply: Reply, code: i32, requests: usize) -> Ran {
    let (machine, server) = answered(reply);
    let begun = Instant::now();
    let ran = machine.run(&["token"]).failure(code);
    assert!(begun.elapsed() < GENEROUS);
    assert_eq!(server.requests().len(), requests, "{ran:?}");
    assert!(
        ran.stderr.is_ascii() || !ran.stderr.contains(SECRET),
        "{ran:?}"
    );
    assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
    assert_eq!(machine.entries("default"), [] as [std::path::PathBuf; 0]);
    ran
}

/// As if the profile's one cached token had come so much later, or earlier.
fn shift_entry(machine: &Machine, milliseconds: i64) {
    let [entry] = &machine.entries("default")[..] else {
        panic!("one entry is expected")
    };
    let text = std::fs::read_to_string(entry).expect("an entry");
    let (head, json) = text.split_once('\n').expect("two lines");
    let mut members: serde_json::Value = serde_json::from_str(json).expect("JSON");
    for name in ["requested_at_ms", "expires_at_ms"] {
        members[name] = (members[name].as_i64().expect("a time") + milliseconds).into();
    }
    let json = members.to_string();
    let sum = json.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let (format, _) = head.split_once(' ').expect("the format's name");
    std::fs::write(entry, format!("{format} {sum:016x}\n{json}")).expect("an entry");
}

/// A connection on which the answer is followed by more and more, until the other side has had enough.
struct Endless<S> {
    tcp: S,
    more: String,
    count: Arc<AtomicUsize>,
}

impl<S: Read> Read for Endless<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buffer)
    }
}

impl<S: Write> Write for Endless<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        loop {
            self.tcp.write_all(self.more.as_bytes())?;
            self.count.fetch_add(self.more.len(), SeqCst);
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

fn seconds_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_secs()
}

/// RFC 9110 §5.6.7.
fn http_date(seconds: u64) -> String {
    use time::format_description::well_known::Rfc2822;
    let moment =
        time::OffsetDateTime::from_unix_timestamp(seconds.cast_signed()).expect("a moment");
    moment
        .format(&Rfc2822)
        .expect("a date")
        .replace("+0000", "GMT")
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn base64url(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}
