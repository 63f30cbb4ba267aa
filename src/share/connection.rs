//! A connection to the server: a stream with one time limit for everything, and the commands on it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use redis::{Cmd, Parser, RedisError, Value, cmd};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection, StreamOwned};

use super::problem::Problem;
use crate::oauth;
use crate::platform::waited_for_processor;
use crate::profile::share::{Share, ShareUrl};
use crate::profile::trust::RecordedTrust;
use crate::types::secret::ClientSecret;

type Result<T> = std::result::Result<T, Problem>;

/// The largest answer in bytes: an entry with a token of 64 KiB fits.
const ANSWER_LIMIT: usize = 512 * 1024;

pub(super) struct Connection {
    stream: Stream,
    parser: Parser,
    login: Login,
    /// What is left of the time for this server.
    left: Duration,
    is_redirected: bool,
}

/// What a new connection begins with.
struct Login {
    url: ShareUrl,
    user: Option<String>,
    password: Option<ClientSecret>,
    tls: Option<Arc<ClientConfig>>,
}

impl Connection {
    /// Connects. `limit` is for everything that is done with the connection.
    pub(super) fn open(share: &Share, trust: &RecordedTrust, limit: Duration) -> Result<Self> {
        let tls = share
            .url
            .is_tls()
            .then(|| oauth::tls_for_share(share, trust));
        let tls = tls.transpose();
        let login = Login {
            url: share.url.clone(),
            user: share.user.clone(),
            password: None,
            tls: tls.map_err(|error| Problem::new(error.to_string()))?,
        };
        let mut clock = Clock::of(limit);
        let mut stream = login.connect(&mut clock)?;
        Ok(Self {
            left: stream.timed().clock.left(),
            stream,
            parser: Parser::new(),
            login,
            is_redirected: false,
        })
    }

    /// What the first command has to come after.
    pub(super) fn log_in(&mut self, password: Option<ClientSecret>) -> Result<()> {
        self.login.password = password;
        self.within_limit(Self::begin)
    }

    fn begin(&mut self) -> Result<()> {
        let database = self.login.url.database();
        if let Some(password) = &self.login.password {
            let mut auth = cmd("AUTH");
            if let Some(user) = &self.login.user {
                auth.arg(user);
            }
            auth.arg(password.expose());
            self.checked(&auth)?;
        }
        if database != 0 {
            self.checked(cmd("SELECT").arg(database))?;
        }
        Ok(())
    }

    /// Sends a command and reads its answer. The time counts.
    pub(super) fn run(&mut self, command: &Cmd) -> Result<Value> {
        self.within_limit(|connection| connection.answer(command))
    }

    /// The same during a wait for another machine: the time counts only if there is no answer.
    pub(super) fn poll(&mut self, command: &Cmd) -> Result<Value> {
        let left = self.left;
        let answer = self.run(command)?;
        self.left = left;
        Ok(answer)
    }

    fn within_limit<T>(&mut self, exchange: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.stream.timed().clock.restart(self.left);
        let answer = exchange(self);
        self.left = self.stream.timed().clock.left();
        answer
    }

    /// The same within the time that is set.
    fn checked(&mut self, command: &Cmd) -> Result<Value> {
        match self.exchange(command)? {
            Value::ServerError(error) => Err(Problem::of_server(&error)),
            value => Ok(value),
        }
    }

    fn answer(&mut self, command: &Cmd) -> Result<Value> {
        match self.exchange(command)? {
            Value::ServerError(error) => match moved(&error) {
                Some((host, port)) if !self.is_redirected => {
                    self.is_redirected = true;
                    self.follow(host, port)?;
                    self.checked(command)
                }
                _ => Err(Problem::of_server(&error)),
            },
            value => Ok(value),
        }
    }

    /// Goes on at the node of the cluster that has the key.
    fn follow(&mut self, host: &str, port: u16) -> Result<()> {
        let host = if host.is_empty() {
            self.login.url.host()
        } else {
            host
        };
        let url = self.login.url.at(host, port);
        if self.login.password.is_some() && !url.protects_password() {
            return Err(Problem::new(
                "the cluster would need the password in clear at another node",
            ));
        }
        self.login.url = url;
        let mut clock = self.stream.timed().clock;
        self.stream = self.login.connect(&mut clock)?;
        self.parser = Parser::new();
        self.begin()
    }

    fn exchange(&mut self, command: &Cmd) -> Result<Value> {
        let sent = self.stream.write_all(&command.get_packed_command());
        let sent = sent.and_then(|()| self.stream.flush());
        sent.map_err(|error| tls_fault(&error))?;
        let mut limited = Limited {
            stream: &mut self.stream,
            left: ANSWER_LIMIT,
            problem: None,
        };
        let answer = self.parser.parse_value(&mut limited);
        answer.map_err(|error| limited.problem.unwrap_or_else(|| unreadable(&error)))
    }
}

/// The node that has the key (`MOVED 3999 127.0.0.1:6381`).
fn moved(error: &redis::ServerError) -> Option<(&str, u16)> {
    if error.code() != "MOVED" {
        return None;
    }
    let (_, address) = error.details()?.split_once(' ')?;
    let (host, port) = address.rsplit_once(':')?;
    let is_host = host.len() < 256 && host.chars().all(|c| c.is_ascii_graphic());
    Some((host, port.parse().ok()?)).filter(|_| is_host)
}

impl Login {
    fn connect(&self, clock: &mut Clock) -> Result<Stream> {
        let mut last = Problem::new("the server's name has no address");
        for address in resolve(self.url.host(), self.url.port(), clock)? {
            let left = clock.left();
            if left.is_zero() {
                return Err(too_late());
            }
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => {
                    let stream = self.secure(stream, *clock)?;
                    return Ok(stream);
                }
                Err(error) => last = fault(&error),
            }
        }
        Err(last)
    }

    fn secure(&self, stream: TcpStream, clock: Clock) -> Result<Stream> {
        let _ = stream.set_nodelay(true);
        let mut timed = Timed { stream, clock };
        let Some(tls) = &self.tls else {
            return Ok(Stream::Plain(timed));
        };
        let name = ServerName::try_from(self.url.host().to_owned());
        let name =
            name.map_err(|_| Problem::new("the server's name cannot be in a certificate"))?;
        let connection = ClientConnection::new(Arc::clone(tls), name);
        let mut connection = connection.map_err(|_| Problem::new("TLS cannot be set up"))?;
        while connection.is_handshaking() {
            let done = connection.complete_io(&mut timed);
            done.map_err(|error| tls_fault(&error))?;
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(connection, timed))))
    }
}

/// The addresses of a host. A name is looked up in a thread, because a name server may not answer.
fn resolve(host: &str, port: u16, clock: &mut Clock) -> Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let (sender, receiver) = mpsc::channel();
    let host = host.to_owned();
    let look_up = move || {
        let found = (host.as_str(), port).to_socket_addrs();
        // After the time limit, nobody receives it.
        let _ = sender.send(found.map(Iterator::collect::<Vec<_>>));
    };
    let started = thread::Builder::new().spawn(look_up);
    started.map_err(|_| Problem::new("no thread could be started"))?;
    match receiver.recv_timeout(clock.left()) {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(_)) => Err(Problem::new("the server's name has no address")),
        Err(_) => Err(Problem::new("the name server did not answer in time")),
    }
}

enum Stream {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Stream {
    fn timed(&mut self) -> &mut Timed {
        match self {
            Self::Plain(timed) => timed,
            Self::Tls(stream) => &mut stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// What is left of a time limit. The time in which this thread waited for a processor does not count: on a
/// busy machine, every server would seem slow.
#[derive(Clone, Copy)]
struct Clock {
    started: Instant,
    deadline: Instant,
    /// What the thread had waited before this clock, and what was left out since. None until it is first read.
    waited: Option<Duration>,
    /// How much may still be left out.
    grace: Duration,
}

impl Clock {
    fn of(limit: Duration) -> Self {
        let started = Instant::now();
        Self {
            started,
            deadline: started + limit,
            waited: None,
            grace: limit * 20,
        }
    }

    fn restart(&mut self, limit: Duration) {
        self.deadline = Instant::now() + limit;
    }

    /// Reads how long the thread has waited so far: while the server works, because reading it is slow.
    fn note_waited(&mut self) {
        if self.waited.is_none() {
            self.waited = Some(self.waited_before(waited_for_processor()));
        }
    }

    /// What the thread had waited before this clock, or less: since then, it cannot have waited for longer
    /// than the time that has passed.
    fn waited_before(&self, waited: Duration) -> Duration {
        waited.saturating_sub(self.started.elapsed())
    }

    fn left(&mut self) -> Duration {
        self.left_if_waited(waited_for_processor)
    }

    /// The time that the thread waited is read again only if there seems to be none left.
    fn left_if_waited(&mut self, waited: impl FnOnce() -> Duration) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            return left;
        }
        let waited = waited();
        let before = self.waited.replace(waited);
        let before = before.unwrap_or_else(|| self.waited_before(waited));
        let own = waited.saturating_sub(before).min(self.grace);
        self.grace -= own;
        self.deadline += own;
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// A socket whose reads and writes end at one moment, however many there are.
struct Timed {
    stream: TcpStream,
    clock: Clock,
}

impl Timed {
    fn left(&mut self) -> io::Result<Option<Duration>> {
        let left = self.clock.left();
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Some(left))
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.clock.note_waited();
        loop {
            let left = self.left()?;
            self.stream.set_read_timeout(left)?;
            match self.stream.read(buffer) {
                // Once more, if the time was this machine's own.
                Err(error) if is_time_limit(&error) => {}
                read => return read,
            }
        }
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let left = self.left()?;
        self.stream.set_write_timeout(left)?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// An answer up to its size limit.
struct Limited<'a> {
    stream: &'a mut Stream,
    left: usize,
    /// Why the stream could not be read.
    problem: Option<Problem>,
}

impl Read for Limited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let length = buffer.len().min(self.left);
        let read = self.stream.read(&mut buffer[..length]);
        let read = read.inspect_err(|error| self.problem = Some(tls_fault(error)))?;
        self.left -= read;
        Ok(read)
    }
}

fn is_time_limit(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    )
}

fn too_late() -> Problem {
    Problem::new("the server did not answer in time")
}

fn fault(error: &io::Error) -> Problem {
    match error.kind() {
        _ if is_time_limit(error) => too_late(),
        io::ErrorKind::ConnectionRefused => Problem::new("the server refused the connection"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Problem::new("the server cannot be reached")
        }
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Problem::new("the server closed the connection"),
        _ => Problem::new("the connection to the server failed"),
    }
}

fn unreadable(error: &RedisError) -> Problem {
    if error.is_connection_dropped() {
        Problem::new("the server closed the connection")
    } else if error.is_io_error() {
        Problem::new("the connection to the server failed")
    } else {
        Problem::new("the server's answer is not one of Redis")
    }
}

/// A server may refuse the client certificate after the handshake (TLS 1.3).
fn tls_fault(error: &io::Error) -> Problem {
    let inner = error.get_ref();
    let inner = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
    Problem::new(match inner {
        None => return fault(error),
        Some(rustls::Error::InvalidCertificate(fault)) => match fault {
            CertificateError::UnknownIssuer => {
                "the server's certificate is from an unknown issuer; a private CA needs --share-ca-file"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the server's certificate has expired"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the server's certificate is for another name"
            }
            _ => "the server's certificate cannot be used",
        },
        Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)) => {
            return Problem::client_certificate_required();
        }
        Some(rustls::Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
            | AlertDescription::CertificateExpired,
        )) => "the server refused the client certificate",
        Some(rustls::Error::AlertReceived(_)) => "the server refused the TLS handshake",
        Some(rustls::Error::InvalidMessage(_)) => "the server does not use TLS at this port",
        Some(_) => "the TLS handshake failed",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A clock whose time has just passed, and that was started so long ago.
    fn over(started: Duration) -> Clock {
        let now = Instant::now();
        Clock {
            started: now
                .checked_sub(started)
                .expect("the system runs for longer"),
            deadline: now,
            ..Clock::of(SECOND)
        }
    }

    #[test]
    fn a_wait_for_the_processor_does_not_count_and_none_counts_twice() {
        let mut clock = over(60 * SECOND);
        clock.waited = Some(5 * SECOND);
        assert!(clock.left_if_waited(|| 5 * SECOND).is_zero());
        let left = clock.left_if_waited(|| 7 * SECOND);
        assert!(left > SECOND && left <= 2 * SECOND, "{left:?}");
        clock.deadline = Instant::now();
        assert!(clock.left_if_waited(|| 7 * SECOND).is_zero());
        // Never more than twenty times the limit.
        let left = clock.left_if_waited(|| 1000 * SECOND);
        assert!(left > 17 * SECOND && left <= 18 * SECOND, "{left:?}");
    }

    #[test]
    fn what_a_thread_waited_before_the_clock_started_is_not_left_out() {
        let mut clock = over(2 * SECOND);
        let left = clock.left_if_waited(|| 1000 * SECOND);
        assert!(left > SECOND && left <= 3 * SECOND, "{left:?}");
        let mut clock = over(Duration::ZERO);
        assert!(clock.left_if_waited(|| 1000 * SECOND) < SECOND);
    }
}
