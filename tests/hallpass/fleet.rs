//! Machines that share tokens through a real Redis server: Debian's package redis-server.
#![allow(dead_code, reason = "the benchmark needs a part of it")]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::machine::{CLIENT_ID, Machine, SECRET, finish, spawn};
use crate::server::{Reply, Request, Server};
use crate::tls::Authority;

pub(crate) const PASSWORD: &str = "p4ssw%rd-of=redis";

/// How long a server may take to start.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A Redis server of the test.
pub(crate) struct Redis {
    process: Child,
    port: u16,
    directory: TempDir,
    /// The CA file of a server with TLS, or an empty text.
    pub(crate) ca_file: String,
}

impl Redis {
    pub(crate) fn start(options: &[&str]) -> Redis {
        let directory = TempDir::with_prefix("hallpass-redis-").expect("a temporary directory");
        let port = free_port();
        let mut named = options.iter().skip_while(|it| **it != "--tls-ca-cert-file");
        let ca_file = named.nth(1).map(|path| (*path).to_owned());
        // Not if the server has a port without TLS, too.
        let only_tls = options.contains(&"--tls-cert-file") && !options.contains(&"--tls-port");
        let port_option = if only_tls {
            ["--port", "0", "--tls-port"].as_slice()
        } else {
            ["--port"].as_slice()
        };
        // In a fleet, the server does not share its processor with the callers.
        let mut command = Command::new("nice");
        command.args(["-n", "-10", "redis-server"]);
        command
            .args(port_option)
            .arg(port.to_string())
            .args(options);
        command.args(["--save", "", "--bind", "127.0.0.1", "--dir"]);
        command.arg(directory.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("Debian package redis-server");
        let redis = Redis {
            process,
            port,
            directory,
            ca_file: ca_file.unwrap_or_default(),
        };
        redis.wait_until_it_listens();
        redis
    }

    fn wait_until_it_listens(&self) {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "Redis does not listen");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn tls_url(&self) -> String {
        self.url().replace("redis:", "rediss:")
    }

    /// Runs a command as the default user.
    pub(crate) fn run<T: redis::FromRedisValue>(&self, words: &[&[u8]]) -> T {
        let client = redis::Client::open(self.url()).expect("a client");
        let mut connection = client.get_connection().expect("a connection");
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query(&mut connection).expect("an answer")
    }

    pub(crate) fn text<T: redis::FromRedisValue>(&self, line: &str) -> T {
        let words: Vec<_> = line.split(' ').map(str::as_bytes).collect();
        self.run(&words)
    }

    /// The names of all entries, refusals and leases, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.text("KEYS *");
        names.sort();
        names
    }

    /// It is killed.
    pub(crate) fn stop(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ended");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it runs");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that nobody uses now.
pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("its address").port()
}

/// A machine whose client is described by variables, and which shares through this URL.
pub(crate) fn machine(server: &Server, url: &str) -> Machine {
    let mut machine = Machine::new();
    machine.set("HALLPASS_TOKEN_URL", &server.url("/oauth/token"));
    machine.set("HALLPASS_CLIENT_ID", CLIENT_ID);
    machine.set("HALLPASS_CLIENT_SECRET", SECRET);
    machine.set("HALLPASS_SHARE", url);
    machine
}

pub(crate) fn numbered() -> Server {
    Server::start(crate::machine::numbered_tokens())
}

/// Numbers its tokens, and takes so long for each.
pub(crate) fn slow(time: Duration) -> Server {
    let issued = AtomicUsize::new(0);
    Server::start(move |_: &Request| {
        thread::sleep(time);
        let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
        Reply::token(&format!("token-{number}"), 3600)
    })
}

/// Starts all calls at once, each of which prints this token. Returns the time until each ended, sorted.
pub(crate) fn run_at_once(calls: Vec<Command>, expected: &str) -> Vec<Duration> {
    let started = Instant::now();
    let calls = calls.into_iter().map(|mut command| {
        let child = spawn(&mut command);
        thread::spawn(move || (finish(child), started.elapsed()))
    });
    let running: Vec<_> = calls.collect();
    let ended = running.into_iter().map(|call| {
        let (ran, time) = call.join().expect("no panic");
        assert_eq!(ran.token(), expected);
        time
    });
    let mut times: Vec<_> = ended.collect();
    times.sort();
    times
}

/// How machines reach the server.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Kind {
    Plain,
    Tls,
    /// With the user that `hallpass setup share` prints.
    Acl,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Tls, Self::Acl];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "TLS",
            Self::Acl => "ACL",
        }
    }

    /// A server of this kind. The directory gets its certificates.
    pub(crate) fn start(self, material: &Path) -> Redis {
        let options = match self {
            Self::Plain => Vec::new(),
            Self::Tls => Certificates::in_directory(material).options("no"),
            Self::Acl => acl_user(),
        };
        Redis::start(&options.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// A machine that uses this server, which was started with a directory of certificates.
    pub(crate) fn machine(self, redis: &Redis, tokens: &Server) -> Machine {
        let mut machine = machine(tokens, &redis.url());
        match self {
            Self::Plain => {}
            Self::Tls => {
                machine.set("HALLPASS_SHARE", &redis.tls_url());
                machine.set("HALLPASS_SHARE_CA_FILE", &redis.ca_file);
            }
            Self::Acl => {
                machine.set("HALLPASS_SHARE_USER", "hallpass");
                machine.set("HALLPASS_SHARE_PASSWORD", PASSWORD);
            }
        }
        machine
    }
}

/// The certificates of a server and of its clients, in files.
pub(crate) struct Certificates {
    pub(crate) ca: String,
    server: String,
    server_key: String,
    pub(crate) client: String,
    pub(crate) client_key: String,
}

impl Certificates {
    pub(crate) fn in_directory(directory: &Path) -> Self {
        let authority = Authority::new();
        let (server, server_key) = authority.peer_pem(&["127.0.0.1", "localhost"]);
        let (_, client_key) = authority.server_pem(&["client"]);
        let client = authority.client_certificate("machine.example", &client_key);
        let write = |name: &str, content: &str| {
            let path = directory.join(name);
            std::fs::write(&path, content).expect("a file");
            path.to_str().expect("UTF-8").to_owned()
        };
        Self {
            ca: write("ca.pem", &authority.pem()),
            server: write("server.pem", &server),
            server_key: write("server.key", &server_key),
            client: write("client.pem", &client),
            client_key: write("client.key", &client_key),
        }
    }

    /// The options of a server that requires client certificates or not: `yes` or `no`.
    pub(crate) fn options(&self, requires_client: &str) -> Vec<String> {
        let options = [
            "--tls-cert-file",
            &self.server,
            "--tls-key-file",
            &self.server_key,
            "--tls-ca-cert-file",
            &self.ca,
            "--tls-auth-clients",
            requires_client,
        ];
        options.map(str::to_owned).to_vec()
    }
}

/// The user of the line that `hallpass setup share` prints, as options of the server.
fn acl_user() -> Vec<String> {
    let printed = Machine::new().run(&["setup", "share"]).success().stdout;
    let line = printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("ACL SETUSER "))
        .expect("a line");
    let line = line.replace("PASSWORD", PASSWORD);
    let mut options = vec!["--user".to_owned()];
    options.extend(line.split(' ').map(str::to_owned));
    options
}
