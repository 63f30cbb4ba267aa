//! The benchmark, `cargo bench --bench speed`: what a caller waits for, beside the least that could be.
//!
//! It measures and prints, and never judges. Compare the rows of one run only: machines differ,
//! and so does one machine from hour to hour. Arguments go after `--`:
//!
//! - `--rounds N`: how often a single process is timed (300)
//! - `--callers N`: how many processes start at once (200)
//! - `--binary PATH`: measure this build of hallpass, by its absolute path, instead of the default one
//! - `--counts`: count instructions too, if valgrind is installed

#![allow(clippy::print_stdout, reason = "the tables are for a person to read")]

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::{NamedTempFile, TempDir};

use server::{Reply, Server};

#[path = "hallpass/bare.rs"]
mod bare;
#[path = "hallpass/server.rs"]
mod server;

const CLIENT_SECRET: &str = "not-a-secret";

/// About as long as a signed token with a few claims.
const TOKEN_LENGTH: usize = 1000;

fn main() {
    let has = |wanted: &str| env::args().any(|argument| argument == wanted);
    // `cargo test --all-targets` comes without --bench: then this only shows that it still works.
    let (rounds, callers, repetitions) = if has("--bench") {
        (300, 200, 9)
    } else {
        (1, 2, 1)
    };
    let rounds = number_after("--rounds").unwrap_or(rounds);
    let callers = number_after("--callers").unwrap_or(callers);

    let binary = after("--binary").unwrap_or_else(|| env!("CARGO_BIN_EXE_hallpass").to_owned());
    println!("measuring {binary}");
    let stage = Stage::set_up(binary.into());
    many_callers(&stage, callers, repetitions);
    miss(&stage, rounds);
    // From here on this thread and what it starts keep to one processor: to move is work as well.
    let processor = keep_to_one_processor();
    cached_token(&stage, rounds, processor.as_deref().unwrap_or("any"));
    counts(&stage, has("--counts"));
}

fn after(option: &str) -> Option<String> {
    env::args().skip_while(|argument| argument != option).nth(1)
}

fn number_after(option: &str) -> Option<usize> {
    let text = after(option)?;
    Some(
        text.parse::<usize>()
            .expect("a number after --rounds and --callers")
            .max(1),
    )
}

/// Many processes that want the same token at the same moment.
fn many_callers(stage: &Stage, callers: usize, repetitions: usize) {
    let token = |name| Row::new(name, stage.hallpass(&["token", "bench"]));
    let (mut valid, mut expired, mut slow) = (
        token("valid"),
        token("expired"),
        token("expired, server takes 500 ms"),
    );
    let mut rows = stage.bare_rows();
    warm_up(&mut rows);
    for _ in 0..repetitions {
        stage.let_the_token_expire();
        for row in &mut rows {
            row.measure(stage, callers);
        }
        expired.measure(stage, callers);
        // What `expired` left behind is valid.
        valid.measure(stage, callers);
        stage.let_the_token_expire();
        stage.answer.delay.store(500, Ordering::Relaxed);
        slow.measure(stage, callers);
        stage.answer.delay.store(0, Ordering::Relaxed);
    }
    rows.extend([valid, expired, slow]);
    let title = format!("{callers} callers at once, {repetitions} repetitions");
    print_table(&title, &rows, &["floor", "cat", "valid"]);
}

/// One process that asks the server over http, with the client secret from a file.
fn miss(stage: &Stage, rounds: usize) {
    let curl = find_program("curl").map(|curl| {
        let mut command = stage.command(&curl);
        let client = format!("bench:{CLIENT_SECRET}");
        command.args([
            "--silent",
            "--fail",
            "--user",
            &client,
            "--data",
            "grant_type=client_credentials",
        ]);
        command.arg(stage.server.url("/oauth/token"));
        Row::new("curl", command)
    });
    let refresh = Row::new(
        "hallpass token --refresh",
        stage.hallpass(&["token", "--refresh", "bench"]),
    );
    let mut rows: Vec<Row> = curl.into_iter().chain([refresh]).collect();
    take_turns(stage, &mut rows, rounds);
    print_table(&format!("a miss, {rounds} rounds"), &rows, &["curl"]);
}

/// One process that finds a valid token.
fn cached_token(stage: &Stage, rounds: usize, processor: &str) {
    let mut rows = stage.rows_of_a_hit();
    take_turns(stage, &mut rows, rounds);
    print_table(
        &format!("a cached token, {rounds} rounds, processor {processor}"),
        &rows,
        &["floor", "cat"],
    );
}

/// What does not depend on the machine's mood; a blank where the tool is not installed.
fn counts(stage: &Stage, instructions: bool) {
    println!(
        "\n{:<42}{:>14}{:>14}{:>14}{:>14}",
        "counts", "system calls", "page faults", "peak KiB", "instructions"
    );
    for Row { name, command, .. } in stage.rows_of_a_hit() {
        let command = &command;
        let [faults, peak] = stage.faults_and_peak(command).unwrap_or_default();
        let calls = stage.system_calls(command).unwrap_or_default();
        let instructions = instructions
            .then(|| stage.instructions(command))
            .flatten()
            .unwrap_or_default();
        println!("{name:<42}{calls:>14}{faults:>14}{peak:>14}{instructions:>14}");
    }
    println!("page faults include those of time(1) before it became the program: see the floor");
}

/// A home with one profile, and the authorization server that it knows.
struct Stage {
    /// The hallpass that is measured.
    binary: PathBuf,
    home: TempDir,
    server: Server,
    answer: Arc<Answer>,
    floor: Option<PathBuf>,
}

/// What the server tells next, and how often it was asked.
struct Answer {
    seconds_to_live: AtomicU64,
    /// In milliseconds.
    delay: AtomicU64,
    /// Counted here: to copy the server's log between two measurements would cool the processor's caches.
    requests: AtomicUsize,
}

impl Stage {
    fn set_up(binary: PathBuf) -> Self {
        let answer = Arc::new(Answer {
            seconds_to_live: AtomicU64::new(3600),
            delay: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
        });
        let server = Server::start({
            let answer = Arc::clone(&answer);
            move |_| {
                answer.requests.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(answer.delay.load(Ordering::Relaxed)));
                Reply::token(
                    &"t".repeat(TOKEN_LENGTH),
                    answer.seconds_to_live.load(Ordering::Relaxed),
                )
            }
        });
        let home = tempfile::tempdir().expect("a temporary directory");
        let floor = bare::build("floor", home.path());
        let stage = Self {
            binary,
            home,
            server,
            answer,
            floor,
        };
        stage.log_in();
        stage
    }

    fn log_in(&self) {
        let secret_file = self.home.path().join("secret");
        // A temporary file is for its owner only, as the file of a secret has to be.
        let mut file = NamedTempFile::new_in(&self.home).expect("a temporary file");
        file.write_all(CLIENT_SECRET.as_bytes())
            .expect("write the secret");
        file.persist(&secret_file).expect("name the secret's file");
        let mut login = self.hallpass(&["login", "bench", "--client-id", "bench"]);
        login
            .args([
                "--token-url",
                &self.server.url("/oauth/token"),
                "--secret-file",
            ])
            .arg(secret_file);
        start_and_reap(&mut login, 1);
        // What cat and the floor program print is what hallpass printed.
        let printed = self
            .hallpass(&["token", "bench"])
            .stdout(Stdio::piped())
            .output()
            .expect("run hallpass")
            .stdout;
        assert_eq!(
            printed.trim_ascii().len(),
            TOKEN_LENGTH,
            "hallpass did not print the token"
        );
        fs::write(self.printed(), printed).expect("write what was printed");
    }

    fn printed(&self) -> PathBuf {
        self.home.path().join("printed")
    }

    /// Leaves a token in the cache that is past its end, then lets the server issue good ones again.
    fn let_the_token_expire(&self) {
        self.answer.seconds_to_live.store(1, Ordering::Relaxed);
        start_and_reap(&mut self.hallpass(&["token", "--refresh", "bench"]), 1);
        self.answer.seconds_to_live.store(3600, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(1100));
    }

    fn rows_of_a_hit(&self) -> Vec<Row> {
        let mut rows = self.bare_rows();
        rows.push(Row::new(
            "hallpass token",
            self.hallpass(&["token", "bench"]),
        ));
        rows
    }

    /// The programs that print the same bytes and do nothing else.
    fn bare_rows(&self) -> Vec<Row> {
        let programs = [("floor", self.floor.clone()), ("cat", find_program("cat"))];
        let rows = programs.into_iter().filter_map(|(name, program)| {
            let mut command = self.command(&program?);
            command.arg(self.printed());
            Some(Row::new(name, command))
        });
        rows.collect()
    }

    fn hallpass(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&self.binary);
        command.args(arguments);
        command
    }

    /// All programs get the same small environment: no proxy, no settings of the person who measures.
    fn command(&self, program: &Path) -> Command {
        let home = self.home.path();
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_CACHE_HOME", home.join("cache"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn system_calls(&self, command: &Command) -> Option<String> {
        let report = self.report("strace", &["-f"], "-o", command)?;
        // One line a call; a call of one thread that another interrupts takes two.
        let is_call = |line: &&str| {
            ![" resumed>", "+++ ", "--- "]
                .iter()
                .any(|other| line.contains(other))
        };
        Some(report.lines().filter(is_call).count().to_string())
    }

    fn faults_and_peak(&self, command: &Command) -> Option<[String; 2]> {
        let report = self.report("time", &["-f", "%R %M"], "-o", command)?;
        let (faults, peak) = report.trim().split_once(' ')?;
        Some([faults.to_owned(), peak.to_owned()])
    }

    fn instructions(&self, command: &Command) -> Option<String> {
        let options = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
        let report = self.report("valgrind", &options, "--log-file=", command)?;
        let (_, collected) = report.split_once("Collected : ")?;
        collected.split_whitespace().next().map(str::to_owned)
    }

    /// Runs the command under a tool, and reads the file that the tool writes.
    fn report(
        &self,
        tool: &str,
        options: &[&str],
        into: &str,
        command: &Command,
    ) -> Option<String> {
        let file = self.home.path().join(tool);
        let mut watched = self.command(&find_program(tool)?);
        watched
            .args(options)
            .arg(format!("{into}{}", file.display()));
        watched.arg(command.get_program()).args(command.get_args());
        let succeeded = watched
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        succeeded.then(|| fs::read_to_string(file).ok()).flatten()
    }
}

/// Looked up once, here: a search of the PATH at each start would be timed too.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

/// The processor, if `taskset` is installed and may choose one.
fn keep_to_one_processor() -> Option<String> {
    let taskset = find_program("taskset")?;
    let own_id = process::id().to_string();
    let told = Command::new(&taskset)
        .args(["-cp", &own_id])
        .output()
        .ok()?
        .stdout;
    // "pid 123's current affinity list: 0,2-5"
    let told = String::from_utf8(told).ok()?;
    let last = told.trim().rsplit([' ', ',', '-']).next()?.to_owned();
    let kept = Command::new(taskset)
        .args(["-cp", &last, &own_id])
        .output()
        .ok()?;
    kept.status.success().then_some(last)
}

/// One line of a table: what is started, how long it took each time, how often the server was asked.
struct Row {
    name: &'static str,
    command: Command,
    times: Vec<Duration>,
    requests: Vec<usize>,
}

impl Row {
    fn new(name: &'static str, command: Command) -> Self {
        Self {
            name,
            command,
            times: Vec::new(),
            requests: Vec::new(),
        }
    }

    fn measure(&mut self, stage: &Stage, callers: usize) {
        let before = stage.answer.requests.load(Ordering::Relaxed);
        self.times.push(start_and_reap(&mut self.command, callers));
        self.requests
            .push(stage.answer.requests.load(Ordering::Relaxed) - before);
    }
}

/// A B C A B C: what slows the machine down for a while slows every row.
fn take_turns(stage: &Stage, rows: &mut [Row], rounds: usize) {
    warm_up(rows);
    for _ in 0..rounds {
        for row in &mut *rows {
            row.measure(stage, 1);
        }
    }
}

/// Brings what the programs read into memory.
fn warm_up(rows: &mut [Row]) {
    for row in rows {
        start_and_reap(&mut row.command, 1);
    }
}

/// From before the first start until all have ended.
fn start_and_reap(command: &mut Command, callers: usize) -> Duration {
    let start = Instant::now();
    let children: Vec<Child> = (0..callers)
        .map(|_| command.spawn().expect("start a program"))
        .collect();
    let ends = children
        .into_iter()
        .map(|mut child| child.wait().expect("wait for a program"));
    let failed = ends.filter(|end| !end.success()).count();
    let time = start.elapsed();
    assert_eq!(failed, 0, "so many of {callers} failed: {command:?}");
    time
}

/// Medians, and how they compare with the rows above that the others are held against.
fn print_table(title: &str, rows: &[Row], baselines: &[&str]) {
    print!("\n{title:<42}{:>10}{:>10}", "median", "requests");
    for name in baselines {
        print!("{:>24}", format!("x {name} (min, max)"));
    }
    println!();
    for (index, row) in rows.iter().enumerate() {
        print!(
            "{:<42}{:>10}{:>10}",
            row.name,
            in_words(median(&row.times)),
            range(&row.requests)
        );
        for baseline in baselines {
            let above = rows[..index].iter().find(|above| above.name == *baseline);
            print!(
                "{:>24}",
                above.map(|above| ratios(row, above)).unwrap_or_default()
            );
        }
        println!();
    }
}

/// Of the pairs that ran in the same round.
fn ratios(row: &Row, baseline: &Row) -> String {
    let pairs = row.times.iter().zip(&baseline.times);
    let mut ratios: Vec<f64> = pairs
        .map(|(a, b)| a.as_secs_f64() / b.as_secs_f64())
        .collect();
    ratios.sort_by(f64::total_cmp);
    format!(
        "{:.2} ({:.2}, {:.2})",
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1]
    )
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

fn in_words(time: Duration) -> String {
    if time < Duration::from_millis(10) {
        format!("{} µs", time.as_micros())
    } else {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
    }
}

fn range(numbers: &[usize]) -> String {
    let (least, most) = (numbers.iter().min(), numbers.iter().max());
    match (least, most) {
        (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
        _ => most.map(usize::to_string).unwrap_or_default(),
    }
}
