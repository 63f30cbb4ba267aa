//! Where the functions of a cached token are in the release: next to one another (`src/hit.ld`).

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::ops::Range;
use std::process::Command;

use crate::counts::{
    CALLS, PLAIN, instructions_run, instructions_run_quickly, machine_with_a_cached_token,
    machine_with_a_shared_token,
};
use crate::fleet::{self, Redis};
use crate::machine::{released, skip};
use crate::support::ran;

const PAGE: u64 = 4096;

/// How many pages of code a cached token may touch elsewhere, after small changes to the program.
/// A page costs as much as two thousand instructions.
const PAGES_ELSEWHERE: usize = 2;

#[test]
fn a_cached_token_runs_only_what_the_linker_script_lists() {
    let Some(release) = released() else {
        return skip("it examines a release, which tests/release builds");
    };
    let listed = section(&release, ".text.hit");
    let pages = listed.start / PAGE..=(listed.end - 1) / PAGE;
    let machine = machine_with_a_cached_token();
    for call in CALLS {
        let run = instructions_run(&machine, call);
        assert!(run.len() > 20_000);
        let touched: BTreeSet<_> = run.iter().map(|address| address / PAGE).collect();
        let elsewhere: Vec<_> = touched
            .iter()
            .filter(|page| !pages.contains(page))
            .collect();
        assert!(
            elsewhere.len() <= PAGES_ELSEWHERE,
            "src/hit.ld is out of date (tests/speed/hit writes it again): {:?} runs code in {} other pages, {elsewhere:x?}",
            call.arguments,
            elsewhere.len()
        );
    }
}

/// The addresses of the instructions of a machine that takes the token of another one.
fn instructions_of_a_shared_token() -> Vec<u64> {
    let redis = Redis::start(&[]);
    let server = fleet::numbered();
    let machine = machine_with_a_shared_token(&redis, &server);
    let run = instructions_run_quickly(&machine, &PLAIN);
    assert_eq!(server.requests().len(), 1, "valgrind was too slow");
    run
}

/// Not a test: `tests/speed/hit` runs it, with the linker's map of the release.
#[test]
#[ignore = "it writes src/hit.ld"]
fn write_the_linker_script() {
    let map = env::var("LINKER_MAP").expect("the path of the linker's map");
    let map = fs::read_to_string(map).expect("the linker's map");
    let sections = sections(&map);
    let machine = machine_with_a_cached_token();
    let runs = CALLS.iter().map(|call| instructions_run(&machine, call));
    let runs = runs.chain([instructions_of_a_shared_token()]);
    let mut patterns = Vec::new();
    for run in runs {
        for address in run {
            let before = sections.range(..=address).next_back();
            let Some((start, section)) = before else {
                continue;
            };
            // What comes first is run first: the plain call has the first pages to itself.
            if address < start + section.size && !patterns.contains(&section.pattern) {
                patterns.push(section.pattern.clone());
            }
        }
    }
    let lines = patterns.iter().map(|pattern| format!("    {pattern}\n"));
    let script = [BEFORE, &lines.collect::<String>(), AFTER].concat();
    fs::write("src/hit.ld", script).expect("write the linker script");
}

const BEFORE: &str = "\
/* Written by tests/speed/hit: do not change it by hand.
 *
 * The functions that a cached token runs, and then those of a token from the shared cache, for the linker of the Linux
 * release, which puts them next to one another. The kernel reads a program by the page, and a page fault costs as much
 * as two thousand instructions. Without this script the functions are spread over five megabytes. tests/speed/compare
 * measures the release with and without it, and tests/hallpass/layout.rs fails when a cached token runs too much that is
 * not listed here.
 *
 * The linker adds this to its own script. A pattern that matches nothing does no harm. A star stands for a hash, which
 * depends on the version of the compiler.
 */
SECTIONS {
  .text.hit : {
    /* The start and the end of every program, and the constants of the C library. */
    *crt*.o(.text*) KEEP(*crti.o(.fini)) KEEP(*crtn.o(.fini))
    *libc.a:*(.rodata .rodata.*)
    /* In the order in which they first run. */
";

const AFTER: &str = "  }
}
INSERT BEFORE .text;
";

/// A piece of code as the compiler made it, mostly one function.
struct Section {
    size: u64,
    /// How a linker script names it.
    pattern: String,
}

/// The sections of code that a linker's map lists, by their addresses.
fn sections(map: &str) -> BTreeMap<u64, Section> {
    let mut sections = BTreeMap::new();
    let (_, map) = map
        .split_once("Linker script and memory map")
        .expect("a map");
    // A long name has the rest on the next line: ` .text.NAME`, then `  ADDRESS SIZE FILE`.
    let mut name = "";
    for line in map.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let words = match words.as_slice() {
            [one] if line.starts_with(" .text") => {
                name = one;
                continue;
            }
            [one, rest @ ..] if line.starts_with(" .text") => {
                name = one;
                rest
            }
            words => words,
        };
        if let [address, size, file, ..] = words
            && let (Some(address), Some(size)) = (hexadecimal(address), hexadecimal(size))
            && name.starts_with(".text")
            && size > 0
        {
            let pattern = pattern(name, file);
            sections.extend(pattern.map(|pattern| (address, Section { size, pattern })));
        }
        name = "";
    }
    sections
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// None for the files that start and end every program: the script lists them first.
fn pattern(name: &str, file: &str) -> Option<String> {
    if name != ".text" {
        return Some(format!("*({})", without_hashes(name)));
    }
    // Written in assembly: only the file says what it is.
    let (_, member) = file.split_once('(')?;
    Some(format!("*:{}(.text)", member.trim_end_matches(')')))
}

/// A mangled name with `*` for each hash: `17h0123456789abcdefE`, `Cs4fqI2P2rA04_` and what refers to it.
fn without_hashes(name: &str) -> String {
    let mut short = String::new();
    let mut rest = name;
    while let Some(next) = rest.chars().next() {
        let hash = rest
            .strip_prefix("17h")
            .filter(|rest| rest.get(16..17) == Some("E"));
        let end = rest.find('_').unwrap_or(0);
        let is_base_62 = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if let Some(hash) = hash {
            short.push_str("17h*");
            rest = &hash[16..];
        } else if rest.starts_with("Cs") && (9..16).contains(&end) && is_base_62(&rest[2..end]) {
            short.push_str("Cs*");
            rest = &rest[end..];
        } else {
            short.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    short
}

/// The addresses of a section of a program.
fn section(program: &str, name: &str) -> Range<u64> {
    let mut objdump = Command::new("objdump");
    objdump.args(["-h", program]);
    let headers = ran(objdump).success().stdout;
    let words = headers
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut found = words.filter(|words| words.get(1) == Some(&name));
    let words = found.next().expect("the section is in the release");
    let number = |text: &str| u64::from_str_radix(text, 16).expect("a number");
    let (size, start) = (number(words[2]), number(words[3]));
    start..start + size
}
