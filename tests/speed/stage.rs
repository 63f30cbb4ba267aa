//! Where it is measured: the homes, the authorization server, and the programs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{WaitOptions, wait};

use crate::bare;
use crate::machine::{Machine, Ran};
use crate::secret_service::SecretService;
use crate::server::{Reply, Server};
use crate::support::{ran, run_by};
use crate::tls::Authority;
use crate::tools;

const CLIENT_ID: &str = "bench";
const CLIENT_SECRET: &str = "not-a-secret";

/// About as long as a signed token with a few claims.
const TOKEN_LENGTH: usize = 1000;

/// How long every token lives, in seconds.
const LIFE: u64 = 3600;

const GIT: &[&str] = &["git-credential", "get"];
const GIT_URL: &str = "https://git.example/";
const GIT_REQUEST: &str =
    "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=git.example\n\n";

/// What the row of a miss is called.
pub(crate) const REFRESH: &str = "hallpass token --refresh";

/// Where Debian keeps the certificates of the authorities that it trusts.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

pub(crate) struct Stage {
    /// The hallpass that is measured.
    binary: PathBuf,
    /// Other builds of it, by their names.
    others: Vec<(String, PathBuf)>,
    /// A home with one profile, `p`, and its cached token.
    single: Machine,
    /// The same, with so many more profiles and tokens.
    crowded: Vec<(usize, Machine)>,
    /// A home with many logins, each with its cached token.
    listed: Machine,
    /// The home of the programs that send requests: a profile for each way to it.
    asking: Machine,
    http: Server,
    tls: Server,
    answer: Arc<Answer>,
    baseline: Option<PathBuf>,
}

/// How the servers answer, and how often they were asked.
#[derive(Default)]
struct Answer {
    /// In milliseconds.
    delay: AtomicU64,
    /// Counted here: to copy the server's log between two measurements would cool the processor's caches.
    requests: AtomicUsize,
}

/// A way to the authorization server.
pub(crate) struct Way {
    pub(crate) name: String,
    profile: &'static str,
    url: String,
    /// The file of the authorities that all callers trust.
    trusted: Option<PathBuf>,
}

impl Stage {
    /// The hallpass that is measured, as it is installed.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    pub(crate) fn set_up(
        binary: &Path,
        others: &[(String, PathBuf)],
        neighbours: &[usize],
        listed: usize,
    ) -> Self {
        let answer = Arc::new(Answer::default());
        let reply = {
            let answer = Arc::clone(&answer);
            move |_: &_| {
                answer.requests.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(answer.delay.load(Ordering::Relaxed)));
                Reply::token(&"t".repeat(TOKEN_LENGTH), LIFE)
            }
        };
        let authority = Authority::new();
        let single = Machine::new();
        let mut asking = Machine::new();
        let one = asking.private_file("one-authority", authority.pem().as_bytes());
        asking.set("SSL_CERT_FILE", one.to_str().expect("a path in UTF-8"));
        let system = fs::read_to_string(AUTHORITIES).unwrap_or_default();
        let all = [system, authority.pem()].concat();
        asking.private_file("all-authorities", all.as_bytes());
        // As an installation does: a program as the linker left it lies scattered in the page cache,
        // and is slower by a third.
        let install = |binary: &Path, name: &str| {
            let installed = single.root().join(name);
            fs::copy(binary, &installed).expect("copy the program");
            installed
        };
        let others = others.iter().enumerate().map(|(index, (name, binary))| {
            let installed = install(binary, &format!("hallpass-{index}"));
            (name.clone(), installed)
        });
        let stage = Self {
            others: others.collect(),
            binary: install(binary, "hallpass"),
            baseline: bare::build("baseline", single.root()),
            single,
            listed: Machine::new(),
            crowded: neighbours.iter().map(|n| (*n, Machine::new())).collect(),
            asking,
            http: Server::start(reply.clone()),
            tls: Server::start_tls(&authority.identity(&["127.0.0.1"]), reply),
            answer,
        };
        stage.log_in_everywhere();
        for number in 1..=listed {
            stage.log_in(&stage.listed, &format!("p{number}"), &stage.http, &[]);
        }
        stage
    }

    fn log_in_everywhere(&self) {
        for home in self.homes() {
            self.log_in(home, "p", &self.http, &["--for", GIT_URL]);
            home.private_file("request", GIT_REQUEST.as_bytes());
        }
        self.log_in(&self.asking, "http", &self.http, &[]);
        self.log_in(&self.asking, "tls", &self.tls, &[]);
        for (count, home) in &self.crowded {
            home.add_neighbours(*count);
        }
        // A helper that finds nothing says so by silence.
        let token = "t".repeat(TOKEN_LENGTH);
        for home in self.homes() {
            for (arguments, request) in [(&["token", "p"][..], None), (GIT, Some("request"))] {
                let printed = self.program("", home, arguments, request).ran().stdout;
                assert!(printed.contains(&token), "{arguments:?} printed {printed}");
            }
        }
        // What cat and the baseline program print is what hallpass printed.
        let printed = self.program("", &self.single, &["token", "p"], None).ran();
        fs::write(self.printed(), printed.stdout).expect("write what was printed");
    }

    fn homes(&self) -> impl Iterator<Item = &Machine> {
        [&self.single]
            .into_iter()
            .chain(self.crowded.iter().map(|(_, home)| home))
    }

    fn log_in(&self, home: &Machine, profile: &str, server: &Server, more: &[&str]) {
        let secret = home.private_file("secret", CLIENT_SECRET.as_bytes());
        let secret = secret.to_str().expect("a path in UTF-8");
        let arguments = [&["--secret-file", secret], more].concat();
        self.login_from(home, profile, server, &arguments).ran();
    }

    /// The secret is on standard input, for options that read it there.
    fn login_from(&self, home: &Machine, profile: &str, server: &Server, more: &[&str]) -> Program {
        let url = server.url("/oauth/token");
        let arguments = ["login", profile, "--token-url", &url];
        let client = ["--client-id", CLIENT_ID];
        let arguments = [&arguments[..], &client, more].concat();
        self.program("", home, &arguments, Some("secret"))
    }

    fn printed(&self) -> PathBuf {
        self.single.root().join("printed")
    }

    /// A directory for others' files.
    pub(crate) fn directory(&self) -> &Path {
        self.single.root()
    }

    pub(crate) fn requests(&self) -> usize {
        self.answer.requests.load(Ordering::Relaxed)
    }

    /// Each answer comes after so long.
    pub(crate) fn delay_answers(&self, delay: Duration) {
        let milliseconds = u64::try_from(delay.as_millis()).expect("a short time");
        self.answer.delay.store(milliseconds, Ordering::Relaxed);
    }

    /// Leaves a token in the cache that is past its end.
    pub(crate) fn let_the_token_expire(&self) {
        self.move_the_end_of_the_token(-1);
    }

    /// Leaves a token in the cache in whose last 90 seconds, but not yet 60, we are: it works, and
    /// one caller should renew it.
    pub(crate) fn let_the_token_be_due_soon(&self) {
        self.move_the_end_of_the_token(75);
    }

    /// Writes the token as if it had been issued earlier: nobody wants to wait for an hour.
    fn move_the_end_of_the_token(&self, seconds_from_now: i64) {
        let mut refresh = self.single.hallpass(&["token", "p", "--refresh"]);
        refresh.env("HALLPASS_CACHE", "plain");
        assert!(refresh.output().is_ok_and(|ran| ran.status.success()));
        let [entry] = &self.single.entries("p")[..] else {
            panic!("there should be one token");
        };
        let content = fs::read_to_string(entry).expect("a cached token");
        let (head, json) = content.split_once('\n').expect("two lines");
        let mut token: serde_json::Value = serde_json::from_str(json).expect("JSON");
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("a clock that is set").as_secs();
        let end = now.saturating_add_signed(seconds_from_now);
        token["expires_at_ms"] = (end * 1000).into();
        token["requested_at_ms"] = ((end - LIFE) * 1000).into();
        let json = token.to_string();
        // The checksum: FNV-1a, 64 bits.
        let sum = json.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let (format, _) = head.split_once(' ').expect("a format and a checksum");
        fs::write(entry, format!("{format} {sum:016x}\n{json}")).expect("write the token");
    }

    /// The programs that print the same bytes and do nothing else.
    pub(crate) fn bare_programs(&self) -> Vec<Program> {
        let programs = [
            ("baseline", self.baseline.clone()),
            ("cat", tools::find("cat")),
        ];
        let found = programs.into_iter().filter_map(|(name, program)| {
            let mut command = self.single.command(program?);
            command.arg(self.printed());
            Some(Program::new(name, command, None))
        });
        found.collect()
    }

    pub(crate) fn token(&self) -> Program {
        self.program("hallpass token", &self.single, &["token", "p"], None)
    }

    /// All that finds a cached token.
    pub(crate) fn hits(&self) -> Vec<Program> {
        let min_ttl = self.program(
            "hallpass token --min-ttl 5m",
            &self.single,
            &["token", "p", "--min-ttl", "5m"],
            None,
        );
        let header = self.program(
            "hallpass token --format header",
            &self.single,
            &["token", "p", "--format", "header"],
            None,
        );
        let git = |name: &str, home| self.program(name, home, GIT, Some("request"));
        let name = "hallpass git-credential get";
        let mut programs = vec![self.token(), min_ttl, header, git(name, &self.single)];
        programs.extend(self.others.iter().map(|(name, binary)| {
            let mut command = self.single.command(binary);
            command.args(["token", "p"]);
            Program::new(&format!("hallpass token, {name}"), command, None)
        }));
        for (count, home) in &self.crowded {
            let token = format!("hallpass token, {count} profiles more");
            programs.push(self.program(&token, home, &["token", "p"], None));
            programs.push(git(&format!("{name}, {count} profiles more"), home));
        }
        programs
    }

    /// What shows or completes profiles: one, or so many.
    pub(crate) fn listings(&self, count: usize) -> Vec<Program> {
        let complete = ["complete", "=p", "token"];
        let many = |what: &str| format!("{what}, {count} profiles");
        let program =
            |name: &str, home, arguments: &[&str]| self.program(name, home, arguments, None);
        vec![
            self.token(),
            program("completing a profile", &self.single, &complete),
            program(&many("completing a profile"), &self.listed, &complete),
            program("hallpass status p", &self.single, &["status", "p"]),
            program(&many("hallpass status"), &self.listed, &["status"]),
            program(
                &many("hallpass status --json"),
                &self.listed,
                &["status", "--json"],
            ),
        ]
    }

    /// http, and TLS with what a system trusts and with only one authority.
    pub(crate) fn ways(&self) -> [Way; 3] {
        let tls = |file: &str| {
            let trusted = self.asking.root().join(file);
            let content = fs::read_to_string(&trusted).expect("the authorities");
            let count = content.matches("BEGIN CERTIFICATE").count();
            Way {
                name: format!("TLS, authorities: {count}"),
                profile: "tls",
                url: self.tls.url("/oauth/token"),
                trusted: Some(trusted),
            }
        };
        let http = Way {
            name: "http".to_owned(),
            profile: "http",
            url: self.http.url("/oauth/token"),
            trusted: None,
        };
        [http, tls("all-authorities"), tls("one-authority")]
    }

    /// The same request by another program.
    pub(crate) fn curl(&self, way: &Way) -> Option<Program> {
        let mut command = self.asking.command(tools::find("curl")?);
        let client = format!("{CLIENT_ID}:{CLIENT_SECRET}");
        command.args(["--silent", "--fail", "--user", &client]);
        command.args(["--data", "grant_type=client_credentials"]);
        if let Some(trusted) = &way.trusted {
            command.arg("--cacert").arg(trusted);
        }
        command.arg(&way.url);
        Some(Program::new("curl", command, None))
    }

    /// With the secret in a file.
    pub(crate) fn refresh(&self, way: &Way) -> Program {
        self.refresh_of(REFRESH, way, way.profile)
    }

    /// With the secret in the keychain.
    pub(crate) fn refresh_by_keychain(&self, way: &Way, keychain: &SecretService) -> Program {
        let name = format!("{REFRESH}, secret in a keychain");
        let mut program = self.refresh_of(&name, way, &kept(way.profile));
        program.command.envs(keychain.environment());
        program
    }

    fn refresh_of(&self, name: &str, way: &Way, profile: &str) -> Program {
        let arguments = ["token", "--refresh", profile];
        let mut program = self.program(name, &self.asking, &arguments, None);
        if let Some(trusted) = &way.trusted {
            program.command.env("SSL_CERT_FILE", trusted);
        }
        program
    }

    /// A keychain of our own, which keeps the secrets of two profiles.
    pub(crate) fn keychain(&self) -> Option<SecretService> {
        for tool in tools::OF_THE_KEYCHAIN {
            tools::find(tool)?;
        }
        let keychain = SecretService::start();
        for (profile, server) in [("http", &self.http), ("tls", &self.tls)] {
            let mut login =
                self.login_from(&self.asking, &kept(profile), server, &["--secret-stdin"]);
            login.command.envs(keychain.environment());
            login.ran();
        }
        Some(keychain)
    }

    /// What it takes to read any secret from the keychain.
    pub(crate) fn secret_tool(&self, keychain: &SecretService) -> Option<Program> {
        let mut command = self.asking.command(tools::find("secret-tool")?);
        command.args(["lookup", "service", "hallpass"]);
        command.envs(keychain.environment());
        Some(Program::new("secret-tool lookup", command, None))
    }

    /// hallpass in this home, with this file of the home on standard input.
    fn program(
        &self,
        name: &str,
        home: &Machine,
        arguments: &[&str],
        input: Option<&str>,
    ) -> Program {
        let mut command = home.command(&self.binary);
        command.args(arguments);
        Program::new(name, command, input.map(|file| home.root().join(file)))
    }
}

/// The profile that has its secret in the keychain.
fn kept(profile: &str) -> String {
    format!("{profile}-kept")
}

/// What is started and timed.
pub(crate) struct Program {
    pub(crate) name: String,
    command: Command,
    input: Option<PathBuf>,
}

impl Program {
    pub(crate) fn new(name: &str, mut command: Command, input: Option<PathBuf>) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self {
            name: name.to_owned(),
            command,
            input,
        }
    }

    /// From before the start until it has ended.
    pub(crate) fn run(&mut self) -> Duration {
        if let Some(input) = &self.input {
            self.command.stdin(File::open(input).expect("its input"));
        }
        let start = Instant::now();
        let mut child = self.command.spawn().expect("start a program");
        let end = child.wait().expect("wait for a program");
        let time = start.elapsed();
        assert!(end.success(), "{end}: {:?}", self.command);
        time
    }

    /// Many at once, without input: from before the first start until all but one have ended, and
    /// until all have.
    pub(crate) fn run_at_once(&mut self, callers: usize) -> [Duration; 2] {
        let start = Instant::now();
        let started: Vec<Child> = (0..callers)
            .map(|_| self.command.spawn().expect("start a program"))
            .collect();
        // Any child: there is no other one while crowds are measured.
        let mut failed = 0;
        let mut ended = [Duration::ZERO; 2];
        for _ in &started {
            let (_, status) = wait(WaitOptions::empty())
                .expect("wait for a program")
                .expect("a program that ended");
            failed += usize::from(status.exit_status() != Some(0));
            ended = [ended[1], start.elapsed()];
        }
        assert_eq!(failed, 0, "so many of {callers} failed: {:?}", self.command);
        ended
    }

    /// How it ends, and what it prints.
    fn ran(mut self) -> Ran {
        if let Some(input) = &self.input {
            self.command.stdin(File::open(input).expect("its input"));
        }
        self.command.stdout(Stdio::piped());
        ran(self.command).success()
    }

    /// The same, run by this tool.
    pub(crate) fn under(&self, tool: Command) -> Command {
        let mut command = run_by(tool, &self.command);
        if let Some(input) = &self.input {
            command.stdin(File::open(input).expect("its input"));
        }
        command
    }
}
