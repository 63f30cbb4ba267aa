//! Tries each mutant of cargo-mutants, from one build that has them all. `run` says how it is used.

mod build;
mod mutant;
mod switches;
mod trial;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use build::{Built, Tree};
use mutant::Mutant;
use trial::{Outcome, Tests};

/// Which modules of the black-box tests are about which files: `tests.txt`.
struct Table(Vec<(String, Vec<String>)>);

impl Table {
    fn read(text: &str) -> Self {
        let rows = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let rows = rows.filter_map(|line| line.split_once(':'));
        let words = |modules: &str| {
            modules
                .split_whitespace()
                .map(|module| format!("{module}::"))
                .collect()
        };
        Self(
            rows.map(|(file, modules)| (file.to_owned(), words(modules)))
                .collect(),
        )
    }

    fn of_all(&self, mutants: &[&Mutant]) -> Vec<String> {
        let mut modules: Vec<String> = mutants
            .iter()
            .flat_map(|mutant| self.of(&mutant.file))
            .collect();
        modules.sort();
        modules.dedup();
        modules
    }

    fn of(&self, file: &str) -> Vec<String> {
        let rows = self.0.iter().filter(|(prefix, _)| file.starts_with(prefix));
        rows.flat_map(|(_, modules)| modules.clone()).collect()
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [list, black_box, directory, files @ ..] = &arguments[..] else {
        panic!("the arguments that `run` gives");
    };
    let directory = Path::new(directory);
    let mutants = mutant::read(&fs::read_to_string(list).expect("the list"));
    let chosen = |mutant: &&Mutant| {
        files.is_empty() || files.iter().any(|file| mutant.file.starts_with(file))
    };
    let chosen: Vec<&Mutant> = mutants.iter().filter(chosen).collect();
    let tree = Tree {
        source: directory.join("tree"),
        target: directory.join("target"),
    };
    // Files with switches are written by the build, and only if they differ.
    copy_sources(&tree, |file| {
        file == "src/main.rs" || mutants.iter().any(|mutant| mutant.file == file)
    });
    let mut built = build::build(&tree, &mutants);
    for (program, name) in [
        (&mut built.program, "hallpass.all"),
        (&mut built.units, "units.all"),
    ] {
        fs::copy(&program, directory.join(name)).expect("a copy");
        *program = directory.join(name);
    }
    strip(&[&built.program, &built.units]);
    let table = fs::read_to_string("tests/mutants/tests.txt").expect("the table");
    let mut session = Session {
        program: directory.join("hallpass"),
        units: directory.join("units"),
        single: Tree {
            source: directory.join("single"),
            target: tree.target,
        },
        built,
        table: Table::read(&table),
        outcomes: Outcomes::open(&directory.join("outcomes.txt")),
    };
    session.switch(0);
    let unit_modules = session.table.of("units");
    let units = Tests::measure(
        &session.units,
        None,
        &unit_modules,
        &directory.join("units.txt"),
    );
    let modules = session.table.of_all(&chosen);
    let program = session.program.clone();
    let black_box = || {
        let known = directory.join("black-box.txt");
        Tests::measure(Path::new(black_box), Some(&program), &modules, &known)
    };
    session.run(&chosen, "a unit test", units, false);
    session.switch(0);
    session.run(&chosen, "a black-box test", black_box(), false);
    if std::env::var_os("SLOW").is_some() {
        session.run(&chosen, "a black-box test", black_box(), true);
    }
    session.outcomes.print(&chosen);
}

/// What is the same for all mutants.
struct Session {
    /// For a mutant without a switch.
    single: Tree,
    built: Built,
    /// Copies of what was built, in which a mutant is switched on.
    program: PathBuf,
    units: PathBuf,
    table: Table,
    outcomes: Outcomes,
}

impl Session {
    /// Runs these tests for the mutants that no other has caught.
    fn run(&mut self, mutants: &[&Mutant], kind: &str, mut tests: Tests, slow: bool) {
        // Those that need a build of their own come last.
        let mut mutants = mutants.to_vec();
        mutants.sort_by_key(|mutant| self.built.without_switch.contains(&mutant.number));
        if std::env::var_os("QUICK").is_some() {
            mutants.retain(|mutant| !self.built.without_switch.contains(&mutant.number));
        }
        for (index, mutant) in mutants.iter().enumerate() {
            if !self.outcomes.is_open(mutant) {
                continue;
            }
            let modules = if tests.tested.is_some() {
                self.table.of(&mutant.file)
            } else {
                Vec::new()
            };
            let outcome = if self.prepare(mutant) {
                match tests.run(&modules, slow) {
                    Outcome::Caught(test) => format!("caught by {kind}, {test}"),
                    Outcome::TimedOut => "timed out".to_owned(),
                    Outcome::Survived => "survived".to_owned(),
                }
            } else {
                "does not compile".to_owned()
            };
            println!("{}/{} {outcome}: {}", index + 1, mutants.len(), mutant.name);
            self.outcomes.add(mutant, &outcome);
        }
    }

    fn switch(&self, number: usize) {
        trial::switch(&self.built.program, &self.program, number);
        trial::switch(&self.built.units, &self.units, number);
    }

    /// Makes the programs of this mutant, if it compiles.
    fn prepare(&self, mutant: &Mutant) -> bool {
        if self.built.do_not_compile.contains(&mutant.number) {
            return false;
        }
        if !self.built.without_switch.contains(&mutant.number) {
            self.switch(mutant.number);
            return true;
        }
        copy_sources(&self.single, |file| file == mutant.file);
        let text = switches::replace(&fs::read_to_string(&mutant.file).expect("a file"), mutant);
        build::update(&self.single.source.join(&mutant.file), text.as_bytes());
        let (programs, _) = build::cargo(&self.single);
        for (from, to) in programs.iter().zip([&self.program, &self.units]) {
            let _ = fs::remove_file(to);
            fs::copy(from, to).expect("the copy");
        }
        programs.len() == 2
    }
}

/// The program's files, where their mutants are not in the way.
fn copy_sources(tree: &Tree, is_left_out: impl Fn(&str) -> bool) {
    let output = Command::new("git").arg("ls-files").output().expect("git");
    for file in String::from_utf8_lossy(&output.stdout).lines() {
        let is_needed = ["src/", "tests/parsers", "man/", "schema/", "packaging/"];
        let is_needed = is_needed.iter().any(|prefix| file.starts_with(prefix))
            || !file.contains('/')
            || file.ends_with("main.rs");
        if is_needed
            && !is_left_out(file)
            && let Ok(content) = fs::read(file)
        {
            build::update(&tree.source.join(file), &content);
        }
    }
}

/// They are copied for each mutant.
fn strip(programs: &[&PathBuf]) {
    let status = Command::new("strip").args(programs).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "cannot remove the debug information"
    );
}

/// What became of each mutant: a file, so that a run can be continued.
struct Outcomes {
    of: BTreeMap<String, String>,
    file: fs::File,
}

impl Outcomes {
    fn open(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = |line: &str| {
            line.split_once('\t')
                .map(|(name, outcome)| (name.to_owned(), outcome.to_owned()))
        };
        Self {
            of: text.lines().filter_map(line).collect(),
            file: OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .expect("the outcomes"),
        }
    }

    /// Whether no test has caught it yet.
    fn is_open(&self, mutant: &Mutant) -> bool {
        self.of
            .get(&mutant.name)
            .is_none_or(|outcome| outcome == "survived")
    }

    fn add(&mut self, mutant: &Mutant, outcome: &str) {
        writeln!(self.file, "{}\t{outcome}", mutant.name).expect("the outcomes");
        self.of.insert(mutant.name.clone(), outcome.to_owned());
    }

    /// A table of the files, then the mutants that no test caught.
    fn print(&self, mutants: &[&Mutant]) {
        let kinds = [
            "caught by a unit test",
            "caught by a black-box test",
            "timed out",
            "does not compile",
            "survived",
            "not tried",
        ];
        println!(
            "\n{:34} {:>6} {:>6} {:>6} {:>6} {:>7} {:>7}",
            "file", "units", "black", "time", "build", "alive", "untried"
        );
        let mut counts: BTreeMap<&str, [usize; 6]> = BTreeMap::new();
        for mutant in mutants {
            let outcome = self
                .of
                .get(&mutant.name)
                .map_or("not tried", String::as_str);
            let kind = kinds
                .iter()
                .position(|kind| outcome.starts_with(kind))
                .expect("an outcome");
            for row in [mutant.file.as_str(), "in total"] {
                counts.entry(row).or_default()[kind] += 1;
            }
        }
        for (file, [units, black, time, build, alive, untried]) in counts {
            println!("{file:34} {units:6} {black:6} {time:6} {build:6} {alive:7} {untried:7}");
        }
        for mutant in mutants.iter().filter(|mutant| {
            self.of
                .get(&mutant.name)
                .is_some_and(|outcome| outcome == "survived")
        }) {
            println!("{}", mutant.name);
        }
    }
}
