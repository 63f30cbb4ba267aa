//! A real HTTP/1.1 server on loopback that remembers every request: for the tests, the demonstration and the bench.
//!
//! It uses only `std`. A thread serves each connection, and each connection serves one request.
#![allow(dead_code, reason = "each of its users needs another part of it")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a test waits for something that should happen at once, before it fails.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// A server that listens until it is stopped or dropped.
pub(crate) struct Server {
    scheme: &'static str,
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

/// What carries the HTTP messages: TCP itself, or TLS over it.
pub(crate) trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

impl Server {
    /// Listens on any free port of 127.0.0.1.
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        Server::start_on(0, answer)
    }

    /// Listens on this port of 127.0.0.1.
    pub(crate) fn start_on(
        port: u16,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Server {
        Server::start_over("http", port, |tcp| Ok(Box::new(tcp)), answer)
    }

    /// Resets the first connections (RST) as soon as a byte of a request arrived; answers the later ones.
    pub(crate) fn start_resetting(
        first_connections: usize,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let left = AtomicUsize::new(first_connections);
        let reset_or_carry = move |tcp: TcpStream| -> io::Result<Box<dyn ReadWrite>> {
            if left
                .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
                .is_err()
            {
                return Ok(Box::new(tcp));
            }
            // A socket that is closed while it holds unread bytes sends RST instead of FIN.
            tcp.peek(&mut [0])?;
            Err(io::ErrorKind::ConnectionReset.into())
        };
        Server::start_over("http", 0, reset_or_carry, answer)
    }

    /// Listens on this port (0: any), with something between TCP and HTTP. It runs on the connection's own thread.
    pub(crate) fn start_over(
        scheme: &'static str,
        port: u16,
        carry: impl Fn(TcpStream) -> io::Result<Box<dyn ReadWrite>> + Send + Sync + 'static,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .expect("a port of 127.0.0.1 to listen on");
        let address = listener.local_addr().expect("the address that was bound");
        let shared = Arc::new(Shared {
            carry: Box::new(carry),
            answer: Box::new(answer),
            log: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Server {
            scheme,
            address,
            shared,
            accepting: Mutex::new(Some(accepting)),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests that were received whole, in the order in which they were complete.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.log().requests.clone()
    }

    /// Blocks until `count` requests were received whole.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        let waiting = |log: &mut Log| log.requests.len() < count;
        let waited = self
            .shared
            .changed
            .wait_timeout_while(self.shared.log(), WAIT_LIMIT, waiting);
        let received = waited
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .requests
            .len();
        assert!(
            received >= count,
            "{count} requests were expected within {WAIT_LIMIT:?}, {received} came"
        );
    }

    /// Blocks until a request for this target was received whole, and returns it.
    pub(crate) fn wait_for_request(&self, target: &str) -> Request {
        let find = |log: &Log| {
            let mut requests = log.requests.iter();
            requests.find(|request| request.target == target).cloned()
        };
        let waited = self.shared.changed.wait_timeout_while(
            self.shared.log(),
            WAIT_LIMIT,
            |log: &mut Log| find(log).is_none(),
        );
        let log = waited.unwrap_or_else(PoisonError::into_inner).0;
        let found = find(&log);
        found.unwrap_or_else(|| panic!("no request for {target} within {WAIT_LIMIT:?}"))
    }

    /// The connections accepted, whatever became of them.
    pub(crate) fn connections(&self) -> usize {
        self.shared.log().connections
    }

    /// The bytes of HTTP received, whole requests or not: under TLS, the bytes that were decrypted.
    pub(crate) fn bytes_received(&self) -> usize {
        self.shared.log().bytes_received
    }

    /// Stops listening and opens every gate that holds an answer. When it returns, a new connection is refused.
    pub(crate) fn stop(&self) {
        let held = {
            let mut log = self.shared.log();
            log.stopped = true;
            std::mem::take(&mut log.held)
        };
        held.iter().for_each(Gate::open);
        let accepting = self
            .accepting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(accepting) = accepting {
            // `accept` cannot be interrupted: one last connection lets it look at `stopped`.
            if TcpStream::connect(self.address).is_ok() {
                let _ = accepting.join();
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The first header of this name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The client and the secret of HTTP Basic as RFC 6749 §2.3.1 has it: both are form-encoded before
    /// they are joined.
    pub(crate) fn basic_credentials(&self) -> Option<(String, String)> {
        use base64::Engine as _;
        let encoded = self.header("authorization")?.strip_prefix("Basic ")?;
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded);
        let decoded = String::from_utf8(decoded.ok()?).ok()?;
        let (client, secret) = decoded.split_once(':')?;
        Some((form_decode(client), form_decode(secret)))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The parameters of an application/x-www-form-urlencoded body, decoded, in their order.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (form_decode(name), form_decode(value))
        };
        self.text()
            .split('&')
            .filter(|text| !text.is_empty())
            .map(pair)
            .collect()
    }
}

/// One name or value of application/x-www-form-urlencoded.
pub(crate) fn form_decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok());
        let (byte, after) = match (first, escaped) {
            (b'%', Some(byte)) => (byte, &after[2..]),
            (b'+', _) => (b' ', after),
            (plain, _) => (plain, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// Without a status only the body goes over the wire.
    status: Option<u16>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    gate: Option<Gate>,
    drip: Option<(usize, Duration)>,
    stream: Option<Vec<Part>>,
}

/// A part of a body that is streamed.
#[derive(Clone, Debug)]
enum Part {
    Bytes(Vec<u8>),
    Gate(Gate),
    /// The connection is closed here, in the middle of the body.
    Cut,
}

/// Issues tokens, but holds the response to a request that contains "wait".
pub(crate) fn holding(gate: &Gate) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let gate = gate.clone();
    move |request| {
        let reply = Reply::token("token", 3600);
        if request.text().contains("wait") {
            reply.held_by(&gate)
        } else {
            reply
        }
    }
}

impl Reply {
    pub(crate) fn new(status: u16) -> Reply {
        Reply {
            status: Some(status),
            headers: Vec::new(),
            body: Vec::new(),
            gate: None,
            drip: None,
            stream: None,
        }
    }

    /// A stream of events (HTML, section 9.2) which begins with this text.
    pub(crate) fn events(text: &str) -> Reply {
        let reply = Reply::new(200).header("Content-Type", "text/event-stream");
        let mut reply = reply.header("Transfer-Encoding", "chunked");
        reply.stream = Some(Vec::new());
        reply.then(text)
    }

    /// The stream goes on with this text.
    pub(crate) fn then(self, text: &str) -> Reply {
        self.part(Part::Bytes(text.as_bytes().to_vec()))
    }

    /// The stream goes on when the gate is opened.
    pub(crate) fn after(self, gate: &Gate) -> Reply {
        self.part(Part::Gate(gate.clone()))
    }

    /// The stream is cut off.
    pub(crate) fn cut(self) -> Reply {
        self.part(Part::Cut)
    }

    fn part(mut self, part: Part) -> Reply {
        self.stream.get_or_insert_default().push(part);
        self
    }

    pub(crate) fn json(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply::new(status)
            .header("Content-Type", "application/json")
            .header("Cache-Control", "no-store")
            .body(body)
    }

    /// The answer of the Blooma API. The token goes between the quotes as it is, JSON or not.
    pub(crate) fn token(access_token: &str, expires_in: u64) -> Reply {
        let rest =
            format!(r#""token_type": "Bearer", "scope": "USER", "expires_in": {expires_in}"#);
        Reply::json(
            200,
            format!(r#"{{"access_token": "{access_token}", {rest}}}"#),
        )
    }

    /// Exactly these bytes, then the end of the connection.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Reply {
        Reply {
            status: None,
            ..Reply::new(0).body(bytes)
        }
    }

    /// The end of the connection, without a byte.
    pub(crate) fn hang_up() -> Reply {
        Reply::raw([])
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, bytes: impl Into<Vec<u8>>) -> Reply {
        self.body = bytes.into();
        self
    }

    /// Nothing is written until the gate is opened, or the server stopped.
    pub(crate) fn held_by(mut self, gate: &Gate) -> Reply {
        self.gate = Some(gate.clone());
        self
    }

    /// The body is written in pieces of this size, with a pause before each.
    pub(crate) fn drip(mut self, chunk_size: usize, pause: Duration) -> Reply {
        self.drip = Some((chunk_size, pause));
        self
    }

    fn write(&self, stream: &mut impl Write, hold: impl Fn(&Gate)) -> io::Result<()> {
        let mut bytes = self.head();
        if let Some(parts) = &self.stream {
            stream.write_all(&bytes)?;
            for part in parts {
                stream.flush()?;
                match part {
                    Part::Gate(gate) => hold(gate),
                    Part::Cut => return Ok(()),
                    Part::Bytes(bytes) if bytes.is_empty() => {}
                    Part::Bytes(bytes) => {
                        let size = format!("{:x}\r\n", bytes.len());
                        let chunk = [size.as_bytes(), bytes, b"\r\n"];
                        stream.write_all(&chunk.concat())?;
                    }
                }
            }
            stream.write_all(b"0\r\n\r\n")?;
        } else if let Some((chunk_size, pause)) = self.drip {
            stream.write_all(&bytes)?;
            for chunk in self.body.chunks(chunk_size) {
                stream.flush()?;
                thread::sleep(pause);
                stream.write_all(chunk)?;
            }
        } else {
            bytes.extend_from_slice(&self.body);
            stream.write_all(&bytes)?;
        }
        stream.flush()
    }

    fn head(&self) -> Vec<u8> {
        let Some(status) = self.status else {
            return Vec::new();
        };
        let framing = ["Content-Length", "Transfer-Encoding"];
        let framed = self
            .headers
            .iter()
            .any(|(name, _)| framing.iter().any(|known| name.eq_ignore_ascii_case(known)));
        let length = if framed {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", self.body.len())
        };
        let headers: String = self
            .headers
            .iter()
            .map(|(name, value)| [name, ": ", value, "\r\n"].concat())
            .collect();
        format!("HTTP/1.1 {status} \r\n{headers}{length}Connection: close\r\n\r\n").into_bytes()
    }
}

/// Holds answers back until it is opened, once and for all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate::default()
    }

    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.0.1.wait_while(open, |open| !*open));
    }
}

/// What the threads of one server have in common.
struct Shared {
    carry: Box<Carry>,
    answer: Box<Answer>,
    log: Mutex<Log>,
    changed: Condvar,
}

type Carry = dyn Fn(TcpStream) -> io::Result<Box<dyn ReadWrite>> + Send + Sync;
type Answer = dyn Fn(&Request) -> Reply + Send + Sync;

#[derive(Default)]
struct Log {
    requests: Vec<Request>,
    connections: usize,
    bytes_received: usize,
    held: Vec<Gate>,
    stopped: bool,
}

impl Shared {
    // A thread that panicked must not take the others' view away.
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for tcp in listener.incoming() {
        if shared.log().stopped {
            return;
        }
        // A client that is gone before it was accepted is its own affair.
        let Ok(tcp) = tcp else { continue };
        shared.log().connections += 1;
        let shared = Arc::clone(shared);
        // So is one that leaves in the middle: killed and refusing clients are what the tests are about.
        thread::spawn(move || serve(tcp, &shared).ok());
    }
}

fn serve(tcp: TcpStream, shared: &Shared) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut stream = BufReader::new(Counted {
        stream: (shared.carry)(tcp)?,
        shared,
    });
    let request = read_request(&mut stream)?;
    shared.log().requests.push(request.clone());
    shared.changed.notify_all();
    let reply = (shared.answer)(&request);
    if let Some(gate) = &reply.gate {
        hold(gate, shared);
    }
    reply.write(&mut stream.get_mut().stream, |gate| hold(gate, shared))
}

fn hold(gate: &Gate, shared: &Shared) {
    let mut log = shared.log();
    if !log.stopped {
        log.held.push(gate.clone());
        drop(log);
        gate.wait();
    }
}

/// A stream whose received bytes are counted.
struct Counted<'a> {
    stream: Box<dyn ReadWrite>,
    shared: &'a Shared,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.shared.log().bytes_received += count;
        Ok(count)
    }
}

fn read_request(stream: &mut impl BufRead) -> io::Result<Request> {
    let first = read_line(stream)?;
    let mut words = first.split(' ').map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(malformed());
    };
    let mut request = Request {
        method,
        target,
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(malformed)?;
        request
            .headers
            .push((name.to_owned(), value.trim().to_owned()));
    }
    if request
        .header("Transfer-Encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    {
        request.body = read_chunks(stream)?;
    } else if let Some(length) = request.header("Content-Length") {
        request.body = read_bytes(stream, length.parse().map_err(|_| malformed())?)?;
    }
    Ok(request)
}

fn read_chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| malformed())?;
        if size == 0 {
            // The trailer, if there is one, ends with an empty line.
            while !read_line(stream)?.is_empty() {}
            return Ok(body);
        }
        body.append(&mut read_bytes(stream, size)?);
        read_line(stream)?;
    }
}

fn read_bytes(stream: &mut impl BufRead, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line
        .strip_suffix('\n')
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not an HTTP/1.1 request")
}
