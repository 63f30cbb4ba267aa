//! What a cached token costs, in counts that do not depend on the machine's mood: system calls and
//! instructions. Who raises a bound here says why.

use std::fs;
use std::process::Command;

use crate::server::Server;
use crate::support::{Machine, numbered_tokens, ran, run_by};

/// The release for Linux, any other optimised build, and the one that tests usually run: a loader
/// and a lack of optimisation cost more than all that hallpass does.
const MOST: Counts = if cfg!(debug_assertions) {
    Counts {
        system_calls: 90,
        instructions: 2_500_000,
    }
} else if cfg!(target_env = "musl") {
    Counts {
        system_calls: 40,
        instructions: 100_000,
    }
} else {
    Counts {
        system_calls: 80,
        instructions: 500_000,
    }
};

/// How many times as much git's helper may cost: it reads the request, and the list of URLs.
const HELPER: u64 = 2;

#[derive(Debug)]
struct Counts {
    system_calls: u64,
    instructions: u64,
}

#[test]
fn a_cached_token_costs_no_more_than_recorded() {
    let machine = machine_with_a_cached_token();
    for arguments in [
        &["token", "p"][..],
        &["token", "p", "--min-ttl", "5m"],
        &["token", "--min-ttl=5m", "p"],
    ] {
        let counts = counts(&machine, &machine.hallpass(arguments));
        assert!(counts.system_calls <= MOST.system_calls, "{counts:?}");
        assert!(counts.instructions <= MOST.instructions, "{counts:?}");
    }
}

#[test]
fn a_cached_token_for_git_costs_at_most_twice_as_much() {
    let machine = machine_with_a_cached_token();
    machine
        .run(&["bind", "p", "https://git.example/"])
        .success();
    let request = "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=git.example\n\n";
    let input = machine.private_file("request", request.as_bytes());
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" <\"$INPUT\""]);
    let helper = machine.hallpass(&["git-credential", "get"]);
    let counts = counts_by(&machine, |tool| {
        let mut whole = run_by(copy(&shell), &run_by(tool, &helper));
        whole.env("INPUT", &input);
        whole
    });
    assert!(
        counts.system_calls <= HELPER * MOST.system_calls,
        "{counts:?}"
    );
    assert!(
        counts.instructions <= HELPER * MOST.instructions,
        "{counts:?}"
    );
}

fn copy(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args());
    copy
}

fn machine_with_a_cached_token() -> Machine {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("p", &server, &[]);
    machine.run(&["token", "p"]).success();
    machine
}

fn counts(machine: &Machine, command: &Command) -> Counts {
    counts_by(machine, |tool| run_by(tool, command))
}

/// Runs a command under each tool; `under` makes the whole command of the tool's own.
fn counts_by(machine: &Machine, under: impl Fn(Command) -> Command) -> Counts {
    let report = machine.root().join("report");
    let into = report.to_str().expect("a path in UTF-8");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", into]);
    ran(under(strace)).success();
    let told = fs::read_to_string(&report).expect("strace's report");
    // One line a call; a call of one thread that another interrupts takes two.
    let is_call = |line: &&str| {
        let others = [" resumed>", "+++ ", "--- "];
        !others.iter().any(|other| line.contains(other))
    };
    let system_calls = told.lines().filter(is_call).count() as u64;

    let mut callgrind = Command::new("valgrind");
    callgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    callgrind.arg(format!("--log-file={into}"));
    ran(under(callgrind)).success();
    let told = fs::read_to_string(&report).expect("callgrind's report");
    let (_, collected) = told.split_once("Collected : ").expect("a sum");
    let instructions = collected.split_whitespace().next();
    Counts {
        system_calls,
        instructions: instructions
            .and_then(|sum| sum.parse().ok())
            .expect("a number"),
    }
}
