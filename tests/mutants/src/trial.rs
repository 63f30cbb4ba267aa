//! Runs the tests of a mutant, those first that are quick or have caught its neighbours.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::switches::MARK;

/// What became of a mutant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// By this test.
    Caught(String),
    TimedOut,
    Survived,
}

/// A test that takes longer is tried only with `SLOW=1`, in seconds.
const SLOW: f64 = 3.0;
/// If no test ends for so many seconds, the mutant does not end.
const LIMIT: u64 = 90;
/// So many tests that caught a mutant are tried first on the next one.
const REMEMBERED: usize = 12;

/// A program with tests.
#[derive(Clone)]
pub struct Tests {
    pub binary: PathBuf,
    /// The program that they run, if they run one.
    pub tested: Option<PathBuf>,
    /// By part: a module, with its tests and their seconds.
    pub parts: BTreeMap<String, Vec<(String, f64)>>,
    recent: VecDeque<String>,
}

impl Tests {
    /// Measures the tests of these modules with no mutant, unless `known` says what an earlier run measured.
    pub fn measure(binary: &Path, tested: Option<&Path>, modules: &[String], known: &Path) -> Self {
        let mut tests = Self {
            binary: binary.to_owned(),
            tested: tested.map(Path::to_owned),
            parts: BTreeMap::new(),
            recent: VecDeque::new(),
        };
        let mut lines = fs::read_to_string(known).unwrap_or_default();
        for module in modules {
            let start = format!("{module}\t");
            if !lines.lines().any(|line| line.starts_with(&start)) {
                lines += &tests.durations(module);
            }
        }
        fs::write(known, &lines).expect("the durations");
        for line in lines.lines() {
            let words: Vec<&str> = line.split('\t').collect();
            if let [module, test, seconds] = words[..]
                && modules.iter().any(|wanted| wanted == module)
            {
                let part = tests.parts.entry(module.to_owned()).or_default();
                part.push((test.to_owned(), seconds.parse().unwrap_or(f64::MAX)));
            }
        }
        tests
    }

    /// Lines of a module, a test and its seconds.
    fn durations(&self, module: &str) -> String {
        let mut command = self.command(&[module.to_owned()]);
        // The option that prints durations is not stable.
        command
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["-Zunstable-options", "--report-time"]);
        let output = command.output().expect("the tests");
        let mut lines = format!("{module}\t\n");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["test", test, "...", outcome, seconds] = words[..] {
                if outcome == "ok" {
                    lines += &format!(
                        "{module}\t{test}\t{}\n",
                        seconds.trim_matches(['<', '>', 's'])
                    );
                } else {
                    eprintln!("left out, as it fails without a mutant: {line}");
                }
            }
        }
        lines
    }

    /// Of these modules, or of all if none are given.
    pub fn run(&mut self, modules: &[String], slow: bool) -> Outcome {
        let recent: Vec<String> = self.recent.iter().cloned().collect();
        if !recent.is_empty() {
            let outcome = self.run_exactly(&recent);
            if outcome != Outcome::Survived {
                return outcome;
            }
        }
        let chosen = |module: &String| modules.is_empty() || modules.contains(module);
        let parts = self.parts.iter().filter(|(module, _)| chosen(module));
        let parts: Vec<Vec<String>> = parts
            .map(|(_, tests)| {
                let some = tests
                    .iter()
                    .filter(|(test, seconds)| (*seconds > SLOW) == slow && !recent.contains(test));
                some.map(|(test, _)| test.clone()).collect()
            })
            .collect();
        // Unit tests are quicker than a process.
        let parts = if self.tested.is_none() {
            vec![parts.concat()]
        } else {
            parts
        };
        for part in parts.iter().filter(|part| !part.is_empty()) {
            let outcome = self.run_exactly(part);
            if outcome != Outcome::Survived {
                return outcome;
            }
        }
        Outcome::Survived
    }

    fn run_exactly(&mut self, tests: &[String]) -> Outcome {
        let mut command = self.command(tests);
        command.arg("--exact");
        let outcome = until_failure(&mut command);
        if let Outcome::Caught(test) = &outcome {
            self.recent.retain(|other| other != test);
            if self
                .parts
                .values()
                .flatten()
                .any(|(known, _)| known == test)
            {
                self.recent.push_front(test.clone());
            }
            self.recent.truncate(REMEMBERED);
        }
        outcome
    }

    fn command(&self, filters: &[String]) -> Command {
        // A mutant may take all memory or disk space.
        let mut command = Command::new("prlimit");
        command.args(["--as=8589934592", "--fsize=1073741824", "--core=0", "--"]);
        command
            .arg(&self.binary)
            .args(filters)
            .args(["--test-threads", "6"]);
        if let Some(tested) = &self.tested {
            command.env("TESTED_HALLPASS", tested);
        }
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// Ends the tests with the first one that fails.
fn until_failure(command: &mut Command) -> Outcome {
    let mut child = command
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("the tests");
    let (sender, lines) = mpsc::channel();
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let reader = thread::spawn(move || {
        for line in output.split(b'\n').map_while(Result::ok) {
            let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
    let group = format!("-{}", child.id());
    let mut outcome = Outcome::Survived;
    loop {
        match lines.recv_timeout(Duration::from_secs(LIMIT)) {
            Ok(line) if line.ends_with("... FAILED") => {
                let test = line.split_whitespace().nth(1).unwrap_or_default();
                outcome = Outcome::Caught(test.to_owned());
                break;
            }
            Ok(_) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                outcome = Outcome::TimedOut;
                break;
            }
        }
    }
    if outcome != Outcome::Survived {
        let _ = Command::new("kill")
            .args(["-KILL", "--", &group])
            .stderr(Stdio::null())
            .status();
    }
    let status = child.wait().expect("the tests");
    let _ = reader.join();
    match outcome {
        Outcome::Survived if !status.success() => Outcome::Caught("(the tests aborted)".to_owned()),
        outcome => outcome,
    }
}

/// A copy of the program in which this mutant is switched on.
pub fn switch(program: &Path, copy: &Path, number: usize) {
    let mut bytes = fs::read(program).expect("the program");
    let digits = format!("{number:05}");
    let marks = bytes.windows(MARK.len() + 5).enumerate();
    let marks = marks.filter(|(_, window)| window.starts_with(MARK) && window.ends_with(b"00000"));
    let places: Vec<usize> = marks.map(|(place, _)| place + MARK.len()).collect();
    assert_eq!(places.len(), 1, "the switch of {}", program.display());
    bytes[places[0]..places[0] + 5].copy_from_slice(digits.as_bytes());
    // Not written over: a process of the mutant before may still run it.
    let new = copy.with_extension("new");
    fs::write(&new, bytes).expect("the copy");
    let mode = fs::metadata(program).expect("the program").permissions();
    fs::set_permissions(&new, mode).expect("the copy");
    fs::rename(&new, copy).expect("the copy");
}
