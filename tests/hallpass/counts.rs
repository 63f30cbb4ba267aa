//! What a cached token costs, in counts that do not depend on the load of the machine: system calls,
//! instructions, page faults, memory. Give a reason when you raise a bound.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::bare;
use crate::fleet::{self, Redis};
use crate::machine::{Machine, Ran, numbered_tokens, released, skip};
use crate::server::Server;
use crate::support::{ran, run_by};

#[derive(Clone, Copy, Debug)]
struct Counts {
    system_calls: u64,
    instructions: u64,
    page_faults: u64,
    /// The maximum at any time, in KiB.
    memory: u64,
}

/// The release for Linux: what was counted, and a little more where it depends on the compiler or the
/// machine.
const RELEASE: Counts = Counts {
    system_calls: 24,
    instructions: 55_300,
    // Like the memory below, it depends on how the file is in the page cache: 24 to 34 were seen.
    page_faults: 38,
    // With each page of the program that is needed, Linux maps up to 15 others that are in its page
    // cache, and how many are depends on how the file was written or read: the same call of the same
    // program took from 590 to 1,220 KiB. Without the linker script it takes 2,250.
    memory: 1_500,
};

/// The most instructions of any way to a cached token, in the release for Linux: 1.425 x the 58,665 that
/// `hallpass token p` took in version 0.1.0. `exec` takes the most, 1,700 of them to keep the secrets of a shared
/// cache from the program.
const MOST_INSTRUCTIONS: u64 = 83_600;

/// Any other optimised build: most of it is the cost of the dynamic loader.
const OPTIMISED: Counts = Counts {
    system_calls: 60,
    instructions: 400_000,
    page_faults: 120,
    memory: 4500,
};

/// The build that tests usually run. Linux maps the pages of a program in pieces of the size in which
/// they are in its page cache, which depends on how the file was written or read: the same program
/// took from 11,600 to 14,600 KiB.
const DEBUG: Counts = Counts {
    system_calls: 53,
    instructions: 1_550_000,
    page_faults: 600,
    memory: 20_000,
};

fn most() -> Counts {
    match released() {
        Some(_) => RELEASE,
        None if cfg!(debug_assertions) => DEBUG,
        None => OPTIMISED,
    }
}

/// What a token from the shared cache may cost in the release for Linux: what was counted, and a little more.
const SHARED_SYSTEM_CALLS: u64 = 110;
const SHARED_PAGE_FAULTS: u64 = 75;

/// A command line that prints a cached token, and how much more than `hallpass token p` it may cost.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) arguments: &'static [&'static str],
    pub(crate) input: &'static str,
    /// An environment variable of the client that runs it.
    pub(crate) variable: Option<(&'static str, &'static str)>,
    more: f64,
}

const fn call(arguments: &'static [&'static str], more: f64) -> Call {
    Call {
        arguments,
        input: "",
        variable: None,
        more,
    }
}

const fn with_input(arguments: &'static [&'static str], input: &'static str, more: f64) -> Call {
    Call {
        input,
        ..call(arguments, more)
    }
}

pub(crate) const PLAIN: Call = call(&["token", "p"], 1.0);

const GIT: Call = with_input(
    &["git-credential", "get"],
    "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=git.example\n\n",
    1.4,
);

/// The ways to a cached token that programs use often.
pub(crate) const CALLS: &[Call] = &[
    PLAIN,
    call(&["token", "p", "--min-ttl", "5m"], 1.04),
    call(&["token", "--min-ttl=5m", "p"], 1.04),
    // Looks for a .hallpass.toml in each directory up to the root, then for the only profile.
    call(&["token"], 1.75),
    call(&["token", "p", "--format", "raw"], 1.2),
    call(&["token", "p", "--format", "header"], 1.2),
    call(&["token", "p", "--format", "bearer"], 1.2),
    call(&["token", "p", "--format", "headers-json"], 1.2),
    call(&["token", "p", "--format", "curl"], 1.2),
    call(&["token", "p", "--format", "json"], 1.2),
    call(&["token", "p", "--json"], 1.2),
    call(&["token", "p", "--format", "env"], 1.2),
    call(&["token", "p", "--template", "Bearer {token}"], 1.2),
    call(&["token", "p", "--scope", "USER"], 1.2),
    call(&["token", "--url", "https://git.example/"], 1.3),
    // Up to the call that would start the program, and the message that it does not exist. A started
    // program costs 7,000 instructions less.
    call(&["exec", "-e", "TOKEN=p", "--", "/no/such/program"], 1.52),
    // A helper that is given a URL also reads a request and a list of URLs.
    GIT,
    with_input(&["docker-credential", "get"], "git.example\n", 1.4),
    with_input(
        &["--cargo-plugin"],
        "{\"v\":1,\"registry\":{\"index-url\":\"sparse+https://git.example/index/\",\"name\":\"x\"},\
        \"kind\":\"get\",\"operation\":\"read\",\"args\":[]}\n",
        1.4,
    ),
    with_input(
        &["bazel-credential", "get"],
        "{\"uri\":\"https://git.example/x\"}",
        1.4,
    ),
    Call {
        variable: Some((
            "KUBERNETES_EXEC_INFO",
            "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"spec\":\
            {\"cluster\":{\"server\":\"https://git.example\"},\"interactive\":false}}",
        )),
        ..call(&["kubectl-credential"], 1.4)
    },
    // Lists every binding of every profile.
    call(&["goauth"], 1.9),
    call(&["terraform-credentials", "get", "git.example"], 1.3),
    call(&["pnpm-tokenhelper", "--profile", "p"], 1.2),
    call(
        &["keyring", "get", "https://git.example/simple", "oauth2"],
        1.31,
    ),
    call(&["google-executable", "--profile", "p"], 1.2),
    call(
        &["askpass", "Password for 'https://oauth2@git.example': "],
        1.3,
    ),
];

/// What the completions of every shell run.
const COMPLETE: Call = call(&["complete", "=p", "token"], 1.0);

const ONE_URL: &str = "https://git.example/";

#[test]
#[expect(clippy::print_stdout, reason = "prints the counts")]
fn a_cached_token_costs_no_more_than_recorded() {
    let machine = machine_with_a_cached_token();
    let most = most();
    let mut too_much = Vec::new();
    for call in CALLS {
        let counts = counts(&machine, call);
        // Printed by: cargo test --test hallpass -- counts:: --nocapture
        let Counts {
            system_calls,
            instructions,
            page_faults,
            memory,
        } = counts;
        println!(
            "{instructions:>9} instructions {system_calls:>3} system calls {page_faults:>4} page faults {memory:>6} KiB: {}",
            call.arguments.join(" ")
        );
        for (what, count, most) in [
            ("system calls", counts.system_calls, most.system_calls),
            ("instructions", counts.instructions, most.instructions),
            ("page faults", counts.page_faults, most.page_faults),
            ("KiB", counts.memory, most.memory),
        ] {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small numbers"
            )]
            let mut bound = (call.more * most as f64) as u64;
            if what == "instructions" && released().is_some() {
                bound = bound.min(MOST_INSTRUCTIONS);
            }
            if count > bound {
                let arguments = call.arguments;
                too_much.push(format!("{arguments:?}: {count} {what}, more than {bound}"));
            }
        }
    }
    assert!(too_much.is_empty(), "{}", too_much.join("\n"));
}

#[test]
#[expect(clippy::print_stdout, reason = "prints the counts")]
fn an_encrypted_token_costs_two_more_system_calls_and_a_twentieth_more_instructions() {
    let plain = machine_with_a_cached_token();
    let mut sealed = Machine::new();
    let server = Server::start(numbered_tokens());
    sealed.set("HALLPASS_CACHE", "auto");
    sealed.login("p", &server, &["--for", ONE_URL]);
    let entry = fs::read(sealed.entries("p").remove(0)).expect("an entry");
    if !entry.starts_with(b"hallpass-sealed-1") {
        return skip("the cache is not encrypted here");
    }
    let [plain, sealed] = [plain, sealed].map(|machine| counts(&machine, &PLAIN));
    println!("plain {plain:?}, encrypted {sealed:?}");
    assert!(sealed.system_calls <= plain.system_calls + 2);
    // Without optimisation, it is the code around the cipher that counts.
    let percent = if released().is_some() { 105 } else { 150 };
    assert!(sealed.instructions * 100 <= plain.instructions * percent);
}

#[test]
#[expect(clippy::print_stdout, reason = "prints the counts")]
fn a_token_of_the_shared_cache_costs_no_more_than_recorded() {
    if released().is_none() {
        return skip("it examines a release, which tests/release builds");
    }
    let redis = Redis::start(&[]);
    let server = fleet::numbered();
    let machine = machine_with_a_shared_token(&redis, &server);
    let system_calls = system_calls(&machine, &PLAIN);
    let machine = machine_with_a_shared_token(&redis, &server);
    let (page_faults, _) = page_faults_and_memory(&machine, &PLAIN);
    println!("{system_calls} system calls, {page_faults} page faults");
    assert_eq!(server.requests().len(), 1, "the token is shared");
    assert!(system_calls <= SHARED_SYSTEM_CALLS && page_faults <= SHARED_PAGE_FAULTS);
}

/// In a virtual machine, CPUID is handled by the hypervisor, and takes as long as ten thousand
/// instructions. A shared C library runs it dozens of times at every start.
#[test]
fn the_release_does_not_run_cpuid_for_a_cached_token() {
    let Some(release) = released() else {
        return skip("it examines a release, which tests/release builds");
    };
    let mut objdump = Command::new("objdump");
    objdump.args(["-d", &release]);
    let assembly = ran(objdump).success().stdout;
    let lines = assembly.lines().filter(|line| line.contains("cpuid"));
    let addresses = lines.filter_map(|line| line.split(':').next());
    let cpuid: BTreeSet<_> = addresses
        .map(|address| u64::from_str_radix(address.trim(), 16).expect("an address"))
        .collect();
    assert!(!cpuid.is_empty(), "TLS runs it");
    let machine = machine_with_a_cached_token();
    for call in CALLS {
        let run = instructions_run(&machine, call);
        assert!(run.len() > 20_000);
        let found = run.iter().find(|address| cpuid.contains(address));
        assert_eq!(found, None, "{:?}", call.arguments);
    }
}

/// The addresses of the instructions that a call runs, one after the other.
pub(crate) fn instructions_run(machine: &Machine, call: &Call) -> Vec<u64> {
    let lackey = [
        "valgrind",
        "--tool=lackey",
        "--trace-mem=yes",
        "--log-file=REPORT",
    ];
    let (trace, _) = under(&lackey, machine, call);
    // An instruction is `I  00401000,3`.
    addresses(&trace, "I  ", ',')
}

/// The hexadecimal numbers between the beginning of a line and this character.
fn addresses(report: &str, before: &str, after: char) -> Vec<u64> {
    let addresses = report.lines().filter_map(|line| {
        let (address, _) = line.strip_prefix(before)?.split_once(after)?;
        u64::from_str_radix(address, 16).ok()
    });
    addresses.collect()
}

/// The addresses of the instructions that a call runs, each once and in no order. This takes a tenth of the
/// time.
pub(crate) fn instructions_run_quickly(machine: &Machine, call: &Call) -> Vec<u64> {
    let callgrind = [
        "valgrind",
        "--tool=callgrind",
        "--dump-instr=yes",
        "--compress-pos=no",
        "--callgrind-out-file=REPORT",
    ];
    let (report, _) = under(&callgrind, machine, call);
    // A cost is `0x401000 12 3`: the instruction, its line, how often it ran.
    addresses(&report, "0x", ' ')
}

#[test]
fn it_costs_the_same_with_ten_thousand_profiles_and_cached_tokens() {
    let machine = machine_with_a_cached_token();
    let calls = [PLAIN, GIT];
    let before = calls.map(|call| counts(&machine, &call));
    machine.add_neighbours(10_000);
    for (call, before) in calls.into_iter().zip(before) {
        let now = counts(&machine, &call);
        let arguments = call.arguments;
        assert_eq!(now.system_calls, before.system_calls, "{arguments:?}");
        let changed = now.instructions.abs_diff(before.instructions);
        assert!(
            changed * 100 <= before.instructions * 3,
            "{arguments:?}: {before:?} {now:?}"
        );
    }
    // A completion lists the directory, and opens no file.
    let completing = system_calls(&machine, &COMPLETE);
    assert!(completing < 1_000, "{completing}");
}

/// A person waits for a completion at each key.
#[test]
fn completing_a_profile_costs_little_more_than_a_cached_token() {
    let machine = machine_with_a_cached_token();
    let token = counts(&machine, &PLAIN);
    let completing = counts(&machine, &COMPLETE);
    assert!(
        completing.instructions <= 3 * token.instructions
            && completing.system_calls <= 3 * token.system_calls,
        "{completing:?}, a token: {token:?}"
    );
}

pub(crate) fn machine_with_a_cached_token() -> Machine {
    let machine = Machine::new().with_plain_cache();
    let server = Server::start(numbered_tokens());
    machine.login("p", &server, &["--for", ONE_URL]);
    machine.run(PLAIN.arguments).success();
    machine.run(&["token", "p", "--scope", "USER"]).success();
    machine
}

/// A machine that has no token of profile `p`, while another one has shared one.
pub(crate) fn machine_with_a_shared_token(redis: &Redis, server: &Server) -> Machine {
    let machine = Machine::new();
    machine.login("p", server, &["--share", &redis.url(), "--no-verify"]);
    machine.run(PLAIN.arguments).success();
    fs::remove_dir_all(machine.cache().join("p")).expect("a cached token");
    machine
}

/// Runs a command under a tool that writes a report. Returns the report, and the tool's own result.
fn under(tool: &[&str], machine: &Machine, call: &Call) -> (String, Ran) {
    let request = machine.private_file("request", call.input.as_bytes());
    let report = machine.private_file("report", b"");
    let path = report.to_str().expect("a path in UTF-8");
    let mut command = Command::new(tool[0]);
    command.args(tool[1..].iter().map(|word| word.replace("REPORT", path)));
    let mut hallpass = machine.hallpass(call.arguments);
    hallpass.envs(call.variable);
    let mut command = run_by(command, &hallpass);
    command.stdin(fs::File::open(&request).expect("a request"));
    let result = ran(command);
    let has_worked = match call.arguments[0] {
        "exec" => result.stderr.contains("program not found"),
        "complete" => result.stdout.contains("p\tprofile\n"),
        _ => result.code == 0 && result.stdout.contains("token-"),
    };
    assert!(has_worked, "{:?}: {result:?}", call.arguments);
    (fs::read_to_string(&report).expect("a report"), result)
}

fn system_calls(machine: &Machine, call: &Call) -> u64 {
    let (calls, _) = under(&["strace", "-f", "-o", "REPORT"], machine, call);
    // One line a call; a call of one thread that another interrupts takes two.
    let is_call = |line: &&str| {
        let others = [" resumed>", "+++ ", "--- "];
        !others.iter().any(|other| line.contains(other))
    };
    calls.lines().filter(is_call).count() as u64
}

fn counts(machine: &Machine, call: &Call) -> Counts {
    let callgrind = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        "--log-file=REPORT",
    ];
    let (report, _) = under(&callgrind, machine, call);
    let (_, collected) = report.split_once("Collected : ").expect("a sum");
    let instructions = collected.split_whitespace().next().expect("a number");
    let (page_faults, memory) = page_faults_and_memory(machine, call);
    Counts {
        system_calls: system_calls(machine, call),
        instructions: instructions.parse().expect("a number"),
        page_faults,
        memory,
    }
}

fn page_faults_and_memory(machine: &Machine, call: &Call) -> (u64, u64) {
    let tally = bare::build("tally", machine.root()).expect("a compiler");
    let (_, result) = under(&[tally.to_str().expect("UTF-8")], machine, call);
    let last = result.stderr.lines().last().unwrap_or_default();
    let (page_faults, memory) = last.split_once(' ').expect("two numbers");
    let number = |text: &str| text.parse().expect("a number");
    (number(page_faults), number(memory))
}
