//! Requests through `hallpass serve`, beside the same requests to the server itself.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::machine::Machine;
use crate::server::{Reply, Server};
use crate::table::{self, Row};
use crate::tools;

/// How much of everything.
pub(crate) struct Size {
    /// Requests one after the other on one connection.
    pub(crate) single: usize,
    /// Requests on each of several connections.
    pub(crate) each: usize,
    pub(crate) repetitions: usize,
    /// The length of a long body, in MiB.
    pub(crate) long: usize,
    pub(crate) idle: usize,
}

const CONNECTIONS: usize = 32;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";

/// A server that keeps its connections, which the one of the tests does not. `/long` has a long body.
fn upstream(long: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            stream.set_nodelay(true).expect("an option");
            thread::spawn(move || answer(&stream, long));
        }
    });
    url
}

fn answer(stream: &TcpStream, long: usize) {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(head) = head(&mut reader) {
        if !head.starts_with("GET /long") {
            if writer.write_all(ANSWER).is_err() {
                return;
            }
            continue;
        }
        let block = vec![b'a'; 1 << 20];
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", long << 20);
        let _ = writer.write_all(head.as_bytes());
        for _ in 0..long {
            if writer.write_all(&block).is_err() {
                return;
            }
        }
    }
}

/// The head of a message; none at the end of the connection.
fn head(reader: &mut impl std::io::BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// Where requests go.
struct Target {
    host: String,
    path: String,
}

impl Target {
    fn of(url: &str) -> Self {
        let rest = url.trim_end().strip_prefix("http://").expect("http");
        let (host, path) = rest.split_once('/').expect("a path");
        Self {
            host: host.to_owned(),
            path: format!("/{path}"),
        }
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(&self.host).expect("a connection");
        stream.set_nodelay(true).expect("an option");
        BufReader::new(stream)
    }

    /// A request, and the length of its response's body.
    fn get(&self, connection: &mut BufReader<TcpStream>, path: &str) -> u64 {
        let request = format!(
            "GET {}{path} HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.path, self.host
        );
        connection
            .get_mut()
            .write_all(request.as_bytes())
            .expect("a request");
        let head = head(connection).expect("a response");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let lengths = head.lines().filter_map(|line| line.split_once(": "));
        let mut lengths = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = lengths
            .next()
            .expect("a length")
            .1
            .parse()
            .expect("a number");
        let copied = std::io::copy(&mut connection.take(length), &mut std::io::sink());
        copied.expect("a body")
    }

    fn one_after_the_other(&self, count: usize, row: &mut Row) {
        let mut connection = self.connect();
        self.get(&mut connection, "");
        for _ in 0..count {
            let started = Instant::now();
            self.get(&mut connection, "");
            row.add(started.elapsed(), None);
        }
    }

    fn at_once(&self, each: usize) -> Duration {
        let barrier = Barrier::new(CONNECTIONS + 1);
        thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let mut connection = self.connect();
                    self.get(&mut connection, "");
                    barrier.wait();
                    for _ in 0..each {
                        self.get(&mut connection, "");
                    }
                    barrier.wait();
                });
            }
            barrier.wait();
            let started = Instant::now();
            barrier.wait();
            started.elapsed()
        })
    }
}

/// A value of a process, in KiB.
fn memory(child: &Child, name: &str) -> u64 {
    let path = format!("/proc/{}/status", child.id());
    let status = fs::read_to_string(path).expect("a process");
    let line = status
        .lines()
        .find(|line| line.starts_with(name))
        .expect("a value");
    let number = line.split_whitespace().nth(1).expect("a number");
    number.parse().expect("a number")
}

/// The time that a process has spent on a processor, which depends less on what else runs.
fn processor_time(child: &Child) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("a process");
    let (_, values) = stat.rsplit_once(')').expect("a name");
    let values = values.split_whitespace().skip(11).take(2);
    let ticks: u64 = values.map(|it| it.parse::<u64>().expect("a number")).sum();
    // Each is a hundredth of a second (`USER_HZ`).
    Duration::from_millis(10 * ticks)
}

/// `hallpass serve` in front of a server, and the way to both.
struct Setup {
    serve: Child,
    direct: Target,
    through: Target,
    _machine: Machine,
    _tokens: Server,
}

impl Setup {
    fn start(binary: &Path, long: usize) -> Self {
        let url = upstream(long);
        let machine = Machine::new();
        let tokens = Server::start(|_| Reply::token(&"t".repeat(1000), 3600));
        machine.login("p", &tokens, &["--for", &url]);
        let mut command = machine.command(binary);
        let mut serve = command
            .args(["serve", "p"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("hallpass");
        let mut line = String::new();
        let stdout = serve.stdout.take().expect("a pipe");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("an address");
        Self {
            serve,
            direct: Target::of(&url),
            through: Target::of(&line),
            _machine: machine,
            _tokens: tokens,
        }
    }

    /// Direct requests and those through `hallpass serve`, in turns.
    fn one_connection(&self, size: &Size, title: &str) {
        let mut rows = [Row::new("direct"), Row::new("hallpass serve")];
        let part = size.single.div_ceil(size.repetitions);
        for _ in 0..size.repetitions {
            self.direct.one_after_the_other(part, &mut rows[0]);
            self.through.one_after_the_other(part, &mut rows[1]);
        }
        table::print(title, &rows, &["direct"]);
    }

    fn many_connections(&self, size: &Size) {
        let mut rows = [Row::new("direct"), Row::new("hallpass serve")];
        let mut fastest = Duration::MAX;
        let before = processor_time(&self.serve);
        for _ in 0..size.repetitions {
            rows[0].add(self.direct.at_once(size.each), None);
            let time = self.through.at_once(size.each);
            fastest = fastest.min(time);
            rows[1].add(time, None);
        }
        let count = size.each * CONNECTIONS;
        let title = format!("{count} requests on {CONNECTIONS} connections");
        table::print(&title, &rows, &["direct"]);
        let rate = u32::try_from(count).expect("a number");
        let rate = f64::from(rate) / fastest.as_secs_f64();
        println!("hallpass serve, at best: {rate:.0} requests/s");
        let used = processor_time(&self.serve)
            .saturating_sub(before)
            .as_secs_f64();
        let requests = size.repetitions * (size.each + 1) * CONNECTIONS;
        let requests = u32::try_from(requests).expect("a number");
        let each = 1e6 * used / f64::from(requests);
        println!("its time on a processor: {each:.0} \u{b5}s for a request");
    }

    fn memory(&self, size: &Size) {
        let before = memory(&self.serve, "VmRSS");
        let started = Instant::now();
        let received = self.through.get(&mut self.through.connect(), "long");
        let (seconds, mib) = (started.elapsed().as_secs_f64(), received >> 20);
        println!("\nmemory of hallpass serve");
        println!("after the requests: {before} KiB");
        println!(
            "after a body of {mib} MiB ({seconds:.1} s): {} KiB",
            memory(&self.serve, "VmRSS")
        );
        let idle: Vec<_> = (0..size.idle)
            .map(|_| {
                let mut connection = self.through.connect();
                self.through.get(&mut connection, "");
                connection
            })
            .collect();
        println!(
            "with {} idle connections: {} KiB",
            idle.len(),
            memory(&self.serve, "VmRSS")
        );
        println!("the most at any time: {} KiB", memory(&self.serve, "VmHWM"));
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.serve.kill().expect("a process");
        self.serve.wait().expect("a process");
    }
}

/// Afterwards this thread keeps to one processor.
pub(crate) fn measure(binary: &Path, size: &Size) {
    let setup = Setup::start(binary, size.long);
    let title = format!("a request on one connection, {} rounds", size.single);
    setup.one_connection(size, &title);
    setup.many_connections(size);
    setup.memory(size);
    drop(setup);
    // To wake an idle processor can cost a virtual machine more than the request, and a request that goes through
    // `hallpass serve` wakes twice as many.
    let processor = tools::keep_to_one_processor();
    let processor = processor.as_deref().unwrap_or("any");
    let title = format!("{title}, on processor {processor}");
    Setup::start(binary, size.long).one_connection(size, &title);
}
