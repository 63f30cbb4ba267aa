//! The benchmark, `cargo bench --bench speed`: what a caller waits for, beside the least that could be.
//!
//! It measures and prints, and never judges. Compare the rows of one run only: machines differ,
//! and so does one machine from hour to hour. Arguments go after `--`:
//!
//! - `--rounds N`: how often a single process is timed (300)
//! - `--callers N`: how many processes start at once (500)
//! - `--binary PATH`: measure this build of hallpass, by its absolute path, instead of the default one
//! - `--beside NAME=PATH`: another build, whose cached token is measured in the same run (repeatable)
//! - `--cached`: only a cached token
//! - `--serve`: only requests through `hallpass serve`
//! - `--share`: only the shared cache, with Debian's redis-server; `--runs N` cold starts of a fleet (20), of
//!   `--machines N` with five callers each (100)
//! - `--counts`: count instructions too, if valgrind is installed
//!
//! Here is the plan of a run. `stage` has what it runs, `tools` what counts, `table` what it prints.

#![allow(clippy::print_stdout, reason = "the tables are for a person to read")]

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use stage::{Program, REFRESH, Stage};
use table::Row;
use tools::Counters;

#[path = "../hallpass/bare.rs"]
mod bare;
#[path = "../hallpass/fleet.rs"]
mod fleet;
#[path = "../hallpass/machine.rs"]
mod machine;
#[path = "../hallpass/secret_service.rs"]
mod secret_service;
mod serve;
#[path = "../hallpass/server.rs"]
mod server;
mod share;
mod stage;
#[path = "../hallpass/support.rs"]
mod support;
mod table;
#[path = "../hallpass/tls.rs"]
mod tls;
mod tools;

/// How much of everything.
struct Size {
    rounds: usize,
    callers: usize,
    repetitions: usize,
    /// How often a crowd meets a slow server, and how slow it is.
    slow_repetitions: usize,
    slow: Duration,
    /// How many more profiles there are in other homes.
    neighbours: [usize; 2],
    /// How many profiles are listed.
    listed: usize,
    serve: serve::Size,
    share: share::Size,
}

const WHOLE: Size = Size {
    rounds: 300,
    callers: 500,
    repetitions: 9,
    slow_repetitions: 3,
    slow: Duration::from_secs(2),
    neighbours: [100, 10_000],
    listed: 1000,
    serve: serve::Size {
        single: 9000,
        each: 1000,
        repetitions: 9,
        long: 1024,
        idle: 1000,
    },
    share: share::Size {
        machines: 100,
        callers: 5,
        runs: 20,
        kills: 10,
        problems: 9,
        hits: 100,
    },
};

/// Only shows that it still works.
const SMALL: Size = Size {
    rounds: 1,
    callers: 2,
    repetitions: 1,
    slow_repetitions: 1,
    slow: Duration::from_millis(500),
    neighbours: [10, 100],
    listed: 3,
    serve: serve::Size {
        single: 1,
        each: 1,
        repetitions: 1,
        long: 1,
        idle: 3,
    },
    share: share::Size {
        machines: 2,
        callers: 2,
        runs: 1,
        kills: 1,
        problems: 1,
        hits: 1,
    },
};

fn main() {
    let has = |wanted: &str| env::args().any(|argument| argument == wanted);
    // `cargo test --all-targets` comes without --bench.
    let mut size = if has("--bench") { WHOLE } else { SMALL };
    size.rounds = number_after("--rounds").unwrap_or(size.rounds);
    size.callers = number_after("--callers").unwrap_or(size.callers);

    let binary = after("--binary").unwrap_or_else(|| env!("CARGO_BIN_EXE_hallpass").to_owned());
    println!("measuring {binary}");
    if has("--serve") {
        return serve::measure(&PathBuf::from(binary), &size.serve);
    }
    size.share.runs = number_after("--runs").unwrap_or(size.share.runs);
    size.share.machines = number_after("--machines").unwrap_or(size.share.machines);
    if has("--share") || !has("--bench") {
        share::measure(&PathBuf::from(&binary), &size.share);
    }
    if has("--share") {
        return;
    }
    tools::tell_what_is_missing(has("--counts"));
    let stage = Stage::set_up(
        &PathBuf::from(binary),
        &others(),
        &size.neighbours,
        size.listed,
    );
    if !has("--cached") {
        many_callers(&stage, &size);
        misses(&stage, size.rounds);
        serve::measure(stage.binary(), &size.serve);
    }
    // From here on this thread and what it starts keep to one processor: to move is work as well.
    let processor = tools::keep_to_one_processor();
    cached_token(&stage, size.rounds, processor.as_deref().unwrap_or("any"));
    listings(&stage, &size);
    counts(&stage, has("--counts"));
}

fn after(option: &str) -> Option<String> {
    env::args().skip_while(|argument| argument != option).nth(1)
}

/// The other builds: their names and their paths.
fn others() -> Vec<(String, PathBuf)> {
    let arguments: Vec<_> = env::args().collect();
    let given = arguments.windows(2).filter(|two| two[0] == "--beside");
    let split = |two: &[String]| {
        let (name, path) = two[1].split_once('=').expect("NAME=PATH after --beside");
        (name.to_owned(), path.into())
    };
    given.map(split).collect()
}

fn number_after(option: &str) -> Option<usize> {
    let text = after(option)?;
    Some(
        text.parse::<usize>()
            .expect("a number after the option")
            .max(1),
    )
}

/// Many processes that want the same token at the same moment.
fn many_callers(stage: &Stage, size: &Size) {
    let slowly = format!("server takes {} ms", size.slow.as_millis());
    let mut token = stage.token();
    let mut bare = stage.bare_programs();
    let mut bare_rows: Vec<Row> = bare.iter().map(|program| Row::new(&program.name)).collect();
    let mut valid = Row::new("valid");
    let mut expired = Row::new("expired");
    let mut expired_slow = Row::new(format!("expired, {slowly}"));
    let mut due_soon = Row::new("due soon");
    let mut due_soon_slow = Row::new(format!("due soon, {slowly}"));
    // Nobody waits for the one who renews.
    let mut others = Row::new(format!("due soon, {slowly}: all but the last"));

    // Gives the time until all but one have ended.
    let measure = |program: &mut Program, row: &mut Row| {
        let before = stage.requests();
        let [all_but_one, all] = program.run_at_once(size.callers);
        row.add(all, Some(stage.requests() - before));
        all_but_one
    };
    warm_up(bare.iter_mut().chain([&mut token]));
    for repetition in 0..size.repetitions {
        for (program, row) in bare.iter_mut().zip(&mut bare_rows) {
            measure(program, row);
        }
        measure(&mut token, &mut valid);
        stage.let_the_token_expire();
        measure(&mut token, &mut expired);
        stage.let_the_token_be_due_soon();
        measure(&mut token, &mut due_soon);
        if repetition < size.slow_repetitions {
            stage.delay_answers(size.slow);
            stage.let_the_token_expire();
            measure(&mut token, &mut expired_slow);
            stage.let_the_token_be_due_soon();
            others.add(measure(&mut token, &mut due_soon_slow), None);
            stage.delay_answers(Duration::ZERO);
        }
    }
    let title = format!(
        "{} callers at once, {} repetitions, {} of the slow",
        size.callers, size.repetitions, size.slow_repetitions
    );
    let rows = [
        valid,
        expired,
        expired_slow,
        due_soon,
        due_soon_slow,
        others,
    ];
    bare_rows.extend(rows);
    table::print(&title, &bare_rows, &["baseline", "cat", "valid"]);
}

/// One process that asks the server, by each way to it.
fn misses(stage: &Stage, rounds: usize) {
    let keychain = stage.keychain();
    for way in stage.ways() {
        let mut programs: Vec<Program> = stage.curl(&way).into_iter().collect();
        programs.push(stage.refresh(&way));
        if let Some(keychain) = &keychain {
            programs.push(stage.refresh_by_keychain(&way, keychain));
            programs.extend(stage.secret_tool(keychain));
        }
        let rows = take_turns(stage, &mut programs, rounds);
        let title = format!("a miss over {}, {rounds} rounds", way.name);
        table::print(&title, &rows, &["curl", REFRESH]);
    }
}

/// One process that finds a valid token.
fn cached_token(stage: &Stage, rounds: usize, processor: &str) {
    let mut programs = stage.bare_programs();
    programs.extend(stage.hits());
    let rows = take_turns(stage, &mut programs, rounds);
    let title = format!("a cached token, {rounds} rounds, processor {processor}");
    table::print(&title, &rows, &["baseline", "cat", "hallpass token"]);
}

/// What a person waits for at the prompt.
fn listings(stage: &Stage, size: &Size) {
    let rows = take_turns(stage, &mut stage.listings(size.listed), size.rounds);
    let title = format!("profiles shown and completed, {} rounds", size.rounds);
    table::print(&title, &rows, &["hallpass token"]);
}

/// What does not depend on the machine's mood; a blank where the tool is not installed.
fn counts(stage: &Stage, instructions: bool) {
    let counters = Counters::new(stage.directory());
    let mut programs = stage.bare_programs();
    programs.extend(stage.hits());
    let [http, tls, _] = stage.ways();
    for way in [http, tls] {
        let mut miss = stage.refresh(&way);
        miss.name = format!("{}, {}", miss.name, way.name);
        programs.push(miss);
    }
    println!(
        "\n{:<56}{:>14}{:>14}{:>14}{:>14}",
        "counts", "system calls", "page faults", "peak KiB", "instructions"
    );
    for program in &programs {
        let [faults, peak] = counters.faults_and_peak(program).unwrap_or_default();
        let calls = counters.system_calls(program).unwrap_or_default();
        let instructions = instructions
            .then(|| counters.instructions(program))
            .flatten()
            .unwrap_or_default();
        println!(
            "{:<56}{calls:>14}{faults:>14}{peak:>14}{instructions:>14}",
            program.name
        );
    }
}

/// A B C A B C: what slows the machine down for a while slows every row.
fn take_turns(stage: &Stage, programs: &mut [Program], rounds: usize) -> Vec<Row> {
    warm_up(&mut *programs);
    let mut rows: Vec<Row> = programs
        .iter()
        .map(|program| Row::new(&program.name))
        .collect();
    for _ in 0..rounds {
        for (program, row) in programs.iter_mut().zip(&mut rows) {
            let before = stage.requests();
            let time = program.run();
            row.add(time, Some(stage.requests() - before));
        }
    }
    rows
}

/// Brings what the programs read into memory.
fn warm_up<'a>(programs: impl IntoIterator<Item = &'a mut Program>) {
    for program in programs {
        program.run();
    }
}
