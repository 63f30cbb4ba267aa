//! The shared cache: many machines, one request, through Debian's Redis server (package redis-server).

mod entries;
mod problems;
mod settings;

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::crowd::wait_until;
use crate::machine::{CLIENT_ID, Machine, Ran, SECRET, finish, spawn};
use crate::server::{Gate, Reply, Request, Server};
use crate::support::ran;
use crate::time::command_at;
use crate::tls::Authority;

pub(crate) const PASSWORD: &str = "p4ssw%rd of=redis";

/// A Redis server of the test.
pub(crate) struct Redis {
    process: Child,
    port: u16,
    directory: TempDir,
}

impl Redis {
    pub(crate) fn start(options: &[&str]) -> Redis {
        let directory = TempDir::with_prefix("hallpass-redis-").expect("a temporary directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("its address").port();
        drop(free);
        let port_option = if options.contains(&"--tls-cert-file") {
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
        };
        wait_until("Redis listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        redis
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
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

    fn text<T: redis::FromRedisValue>(&self, line: &str) -> T {
        let words: Vec<_> = line.split(' ').map(str::as_bytes).collect();
        self.run(&words)
    }

    /// The names of all entries, refusals and leases, sorted.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.text("KEYS *");
        names.sort();
        names
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it runs");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
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

/// The token, with or without steps on standard error.
#[track_caller]
pub(crate) fn printed(ran: &Ran) -> &str {
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout.trim_end()
}

/// A figure for those who measure.
fn report(figures: &str) {
    let line = format!("{figures}\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("standard error");
}

/// Each machine of a fleet runs `hallpass token` several times at once. Returns the time that each took.
fn run_at_once(machines: &[Machine], callers: usize, expected: &str) -> Vec<Duration> {
    let started = Instant::now();
    let callers = machines
        .iter()
        .flat_map(|it| std::iter::repeat_n(it, callers));
    let running: Vec<_> = callers
        .map(|machine| {
            let mut command = machine.hallpass(&["token"]);
            let child = spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
            thread::spawn(move || (finish(child), started.elapsed()))
        })
        .collect();
    let mut times: Vec<_> = running
        .into_iter()
        .map(|it| {
            let (ran, time) = it.join().expect("no panic");
            assert_eq!(ran.token(), expected);
            time
        })
        .collect();
    times.sort();
    times
}

/// The options of a server with TLS, and the CA file.
fn tls(directory: &TempDir) -> (Vec<String>, String) {
    let authority = Authority::new();
    let (certificate, key) = authority.server_pem(&["127.0.0.1", "localhost"]);
    let write = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let ca = write("ca.pem", &authority.pem());
    let options = [
        "--tls-cert-file",
        &write("server.pem", &certificate),
        "--tls-key-file",
        &write("server.key", &key),
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
    ];
    (options.map(str::to_owned).to_vec(), ca)
}

/// The user of the line that `hallpass setup share` prints, as an option of the server.
fn acl_user() -> Vec<String> {
    let printed = Machine::new().run(&["setup", "share"]).success().stdout;
    let line = printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("ACL SETUSER "))
        .expect("a line");
    let password = PASSWORD.replace(' ', "-");
    let line = line.replace("PASSWORD", &password);
    let mut options = vec!["--user".to_owned()];
    options.extend(line.split(' ').map(str::to_owned));
    options
}

/// `SHARE_FLEET` sets the machines, the callers of each and the runs, as in 100x5x20.
#[test]
fn a_fleet_sends_one_request() {
    let size = std::env::var("SHARE_FLEET").unwrap_or_else(|_| "20x3x1".to_owned());
    let size: Vec<usize> = size
        .split('x')
        .map(|it| it.parse().expect("a number"))
        .collect();
    let material = TempDir::with_prefix("hallpass-tls-").expect("a directory");
    let (tls, ca) = tls(&material);
    let borrowed = |options: &[String]| -> Redis {
        Redis::start(&options.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (plain, encrypted, limited) = (Redis::start(&[]), borrowed(&tls), borrowed(&acl_user()));
    for (kind, redis) in [("plain", &plain), ("TLS", &encrypted), ("ACL", &limited)] {
        for _ in 0..size[2] {
            let issued = AtomicUsize::new(0);
            let server = Server::start(move |_: &Request| {
                thread::sleep(Duration::from_millis(150));
                let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
                Reply::token(&format!("token-{number}"), 3600)
            });
            let url = match kind {
                "TLS" => redis.url().replace("redis:", "rediss:"),
                _ => redis.url(),
            };
            let machine = |_| {
                let mut machine = machine(&server, &url);
                match kind {
                    "TLS" => machine.set("HALLPASS_SHARE_CA_FILE", &ca),
                    "ACL" => machine
                        .set("HALLPASS_SHARE_USER", "hallpass")
                        .set("HALLPASS_SHARE_PASSWORD", &PASSWORD.replace(' ', "-")),
                    _ => &mut machine,
                };
                machine
            };
            let fleet: Vec<_> = (0..size[0]).map(machine).collect();
            let times = run_at_once(&fleet, size[1], "token-1");
            assert_eq!(server.requests().len(), 1, "{kind}");
            if std::env::var_os("SHARE_FLEET").is_some() {
                let one = [Machine::new()].map(|_| self::machine(&server, "redis://127.0.0.1:1"));
                let crowd = run_at_once(&one, size[0] * size[1], "token-2");
                let ms = |time: Duration| time.as_millis();
                report(&format!(
                    "{kind}: 1 request; fleet p50 {} ms, maximum {} ms; crowd of one machine p50 {} ms, maximum {} ms",
                    ms(times[times.len() / 2]),
                    ms(times[times.len() - 1]),
                    ms(crowd[crowd.len() / 2]),
                    ms(crowd[crowd.len() - 1])
                ));
            }
        }
    }
}

#[test]
fn after_the_machine_that_requests_is_killed_another_one_does() {
    let redis = Redis::start(&[]);
    let gate = Gate::new();
    let (held, issued) = (gate.clone(), AtomicUsize::new(0));
    let server = Server::start(move |_: &Request| {
        let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
        let reply = Reply::token(&format!("token-{number}"), 3600);
        if number == 1 {
            reply.held_by(&held)
        } else {
            reply
        }
    });
    let first = machine(&server, &redis.url());
    let mut killed = first.hallpass(&["token"]);
    let mut killed = spawn(killed.stdout(Stdio::piped()).stderr(Stdio::piped()));
    server.wait_for_requests(1);
    let others: Vec<_> = (0..4).map(|_| machine(&server, &redis.url())).collect();
    killed.kill().expect("it runs");
    killed.wait().expect("it ended");
    let times = run_at_once(&others, 2, "token-2");
    assert_eq!(server.requests().len(), 2);
    if std::env::var_os("SHARE_FLEET").is_some() {
        report(&format!(
            "all served {} ms after the kill",
            times[times.len() - 1].as_millis()
        ));
    }
    gate.open();
}

#[test]
fn a_lease_is_renewed_during_a_long_request() {
    let redis = Redis::start(&[]);
    let gate = Gate::new();
    let held = gate.clone();
    let server = Server::start(move |_: &Request| Reply::token("token-1", 3600).held_by(&held));
    let (first, second) = (
        machine(&server, &redis.url()),
        machine(&server, &redis.url()),
    );
    let start = |machine: &Machine| {
        let mut command = machine.hallpass(&["-v", "token"]);
        spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    };
    let requesting = start(&first);
    server.wait_for_requests(1);
    let lease = |redis: &Redis| -> Option<Vec<u8>> {
        let name = redis
            .names()
            .into_iter()
            .find(|name| name.ends_with(":lease"))?;
        redis.run(&[b"GET", name.as_bytes()])
    };
    let before = lease(&redis).expect("a lease");
    let waiting = start(&second);
    // A lease lasts for three seconds.
    for _ in 0..4 {
        let last = lease(&redis);
        assert!(last.is_some());
        wait_until("the lease is renewed", || lease(&redis) != last);
    }
    assert_ne!(lease(&redis), Some(before));
    gate.open();
    assert_eq!(printed(&finish(requesting)), "token-1");
    let waited = finish(waiting);
    assert!(
        waited.stderr.contains("another machine is requesting"),
        "{waited:?}"
    );
    assert_eq!(printed(&waited), "token-1");
    assert_eq!(server.requests().len(), 1);
    assert_eq!(redis.names().len(), 1, "the lease was given back");
}

#[test]
fn a_refusal_is_shared() {
    let redis = Redis::start(&[]);
    let server = Server::start(|_: &Request| Reply::json(401, r#"{"error": "invalid_client"}"#));
    for _ in 0..3 {
        let refused = machine(&server, &redis.url()).run(&["token"]).failure(4);
        assert!(refused.stderr.contains("invalid_client"), "{refused:?}");
    }
    assert_eq!(server.requests().len(), 1);
    // It does not last.
    let name = redis.names().remove(0);
    let left: u64 = redis.run(&[b"PTTL", name.as_bytes()]);
    assert!(left <= 5000, "{left}");
    redis.text::<()>("FLUSHALL");
    machine(&server, &redis.url()).run(&["token"]).failure(4);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_token_that_an_api_refuses_is_replaced_for_the_fleet() {
    let redis = Redis::start(&[]);
    let server = numbered();
    let fleet: Vec<_> = (0..3)
        .map(|_| {
            let mut machine = machine(&server, &redis.url());
            machine.set("HALLPASS_FOR", "https://git.example/");
            machine
        })
        .collect();
    let url = "protocol=https\nhost=git.example\n";
    let get = |machine: &Machine| -> String {
        let answer = machine
            .run_with_input(&["git-credential", "get"], url)
            .success();
        let line = answer
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix("password="));
        line.expect("a token").to_owned()
    };
    for machine in &fleet {
        assert_eq!(get(machine), "token-1");
    }
    let reject = |machine: &Machine| {
        let answer = format!("{url}username=oauth2\npassword=token-1\n");
        machine
            .run_with_input(&["git-credential", "erase"], answer)
            .success();
    };
    reject(&fleet[0]);
    assert_eq!(get(&fleet[0]), "token-2");
    // It is rejected there as well: what the fleet has now is another one.
    reject(&fleet[1]);
    assert_eq!(get(&fleet[1]), "token-2");
    // A machine that only refreshes requests one, for all.
    assert_eq!(fleet[2].run(&["token", "--refresh"]).token(), "token-3");
    assert_eq!(
        machine(&server, &redis.url()).run(&["token"]).token(),
        "token-3"
    );
    assert_eq!(server.requests().len(), 3);
}

/// One machine's clock is ten minutes behind, another one's ahead.
#[test]
fn the_clocks_of_machines_may_differ() {
    let redis = Redis::start(&[]);
    let server = Server::start(|_: &Request| Reply::token("token-1", 900));
    let at = |moment: &str, machine: &Machine, arguments: &[&str]| -> Ran {
        ran(command_at(moment, &machine.hallpass(arguments)))
    };
    for moment in [
        "2030-01-01 12:00:00",
        "2030-01-01 12:10:00",
        "2030-01-01 11:50:00",
    ] {
        let machine = machine(&server, &redis.url());
        assert_eq!(at(moment, &machine, &["token"]).token(), "token-1");
        let status = at(moment, &machine, &["status", "--json"]).json();
        let left = status["profiles"][0]["tokens"][0]["expires_in"].as_u64();
        assert!(
            left.is_some_and(|left| (800..=900).contains(&left)),
            "{status}"
        );
    }
    assert_eq!(server.requests().len(), 1);
}
