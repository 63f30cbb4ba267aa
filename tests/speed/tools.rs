//! Other people's programs, and what they count. Nothing here must be installed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use crate::bare;
use crate::stage::Program;

/// Debian's, and what is missing without them.
const TOOLS: [(&str, &str); 4] = [
    ("cc", "baseline, page faults and peak memory"),
    ("curl", "the rows of curl"),
    ("taskset", "keeping to one processor"),
    ("strace", "the number of system calls"),
];

/// A keychain needs all of them.
pub(crate) const OF_THE_KEYCHAIN: [&str; 4] = [
    "dbus-daemon",
    "dbus-send",
    "gnome-keyring-daemon",
    "secret-tool",
];

pub(crate) fn tell_what_is_missing(instructions: bool) {
    let valgrind = instructions.then_some(("valgrind", "the number of instructions"));
    let keychain = OF_THE_KEYCHAIN.map(|tool| (tool, "the rows with a keychain"));
    for (tool, what) in TOOLS.into_iter().chain(keychain).chain(valgrind) {
        if find(tool).is_none() {
            println!("{tool} is not installed, so this goes without {what}");
        }
    }
}

/// Looked up once, here: a search of the PATH at each start would be timed too.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

/// The processor, if `taskset` is installed and may choose one.
pub(crate) fn keep_to_one_processor() -> Option<String> {
    let taskset = find("taskset")?;
    let own_id = process::id().to_string();
    let report = Command::new(&taskset)
        .args(["-cp", &own_id])
        .output()
        .ok()?
        .stdout;
    // "pid 123's current affinity list: 0,2-5"
    let report = String::from_utf8(report).ok()?;
    let last = report.trim().rsplit([' ', ',', '-']).next()?.to_owned();
    let kept = Command::new(taskset)
        .args(["-cp", &last, &own_id])
        .output()
        .ok()?;
    kept.status.success().then_some(last)
}

/// They count one run each; None where the tool is not installed, or fails.
pub(crate) struct Counters {
    report: PathBuf,
    tally: Option<PathBuf>,
}

impl Counters {
    /// With this directory for what the tools write.
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            report: directory.join("report"),
            tally: bare::build("tally", directory),
        }
    }

    pub(crate) fn system_calls(&self, program: &Program) -> Option<String> {
        let mut strace = Command::new(find("strace")?);
        strace.args(["-f", "-o"]).arg(&self.report);
        let report = self.report_of(program.under(strace))?;
        // One line a call; a call of one thread that another interrupts takes two.
        let is_call = |line: &&str| {
            ![" resumed>", "+++ ", "--- "]
                .iter()
                .any(|other| line.contains(other))
        };
        Some(report.lines().filter(is_call).count().to_string())
    }

    /// Page faults, and the most memory in KiB.
    pub(crate) fn faults_and_peak(&self, program: &Program) -> Option<[String; 2]> {
        let mut tally = program.under(Command::new(self.tally.as_ref()?));
        let ended = tally.stdout(Stdio::null()).output().ok()?;
        let report = String::from_utf8(ended.stderr).ok()?;
        // Its line comes last.
        let (faults, peak) = report.lines().last()?.split_once(' ')?;
        let counted = [faults.to_owned(), peak.to_owned()];
        ended.status.success().then_some(counted)
    }

    pub(crate) fn instructions(&self, program: &Program) -> Option<String> {
        let mut valgrind = Command::new(find("valgrind")?);
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        valgrind.arg(format!("--log-file={}", self.report.display()));
        let report = self.report_of(program.under(valgrind))?;
        let (_, collected) = report.split_once("Collected : ")?;
        collected.split_whitespace().next().map(str::to_owned)
    }

    /// Runs a tool, and reads the file that it writes.
    fn report_of(&self, mut tool: Command) -> Option<String> {
        let quiet = tool.stdout(Stdio::null()).stderr(Stdio::null());
        let succeeded = quiet.status().is_ok_and(|status| status.success());
        succeeded
            .then(|| fs::read_to_string(&self.report).ok())
            .flatten()
    }
}
