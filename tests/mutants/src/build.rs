//! A copy of the program with switches, without those that do not compile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::mutant::{Genre, Mutant};
use crate::switches::{self, Switched};

/// Where the copy is, and where cargo puts what it builds from it.
pub struct Tree {
    pub source: PathBuf,
    pub target: PathBuf,
}

/// What the build made of the mutants.
#[derive(Default)]
pub struct Built {
    pub program: PathBuf,
    pub units: PathBuf,
    /// They have no switch, so each needs a build of its own.
    pub without_switch: BTreeSet<usize>,
    pub do_not_compile: BTreeSet<usize>,
}

/// # Panics
/// If the program does not build for a reason that is no mutant's.
pub fn build(tree: &Tree, mutants: &[Mutant]) -> Built {
    let mut built = Built::default();
    // What an earlier run found out.
    let path = tree.source.with_extension("unswitched");
    let known = fs::read_to_string(&path).unwrap_or_default();
    for mutant in mutants
        .iter()
        .filter(|mutant| known.lines().any(|name| name == mutant.name))
    {
        built.leave_out(mutant);
    }
    loop {
        let switched = write_switches(tree, mutants, &mut built);
        let (programs, errors) = cargo(tree);
        if let [program, units] = &programs[..] {
            built.program.clone_from(program);
            built.units.clone_from(units);
            return built;
        }
        let failed: BTreeSet<usize> = errors
            .iter()
            .flat_map(|error| of_error(&switched, error))
            .collect();
        assert!(
            !failed.is_empty(),
            "the program does not build: {errors:#?}"
        );
        let failed: Vec<&Mutant> = mutants
            .iter()
            .filter(|mutant| failed.contains(&mutant.number))
            .collect();
        let names: String = failed
            .iter()
            .map(|mutant| mutant.name.clone() + "\n")
            .collect();
        fs::write(
            &path,
            fs::read_to_string(&path).unwrap_or_default() + &names,
        )
        .expect("the list");
        failed.iter().for_each(|mutant| built.leave_out(mutant));
        eprintln!(
            "{} mutants do not compile, {} have no switch",
            built.do_not_compile.len(),
            built.without_switch.len()
        );
    }
}

impl Built {
    fn leave_out(&mut self, mutant: &Mutant) {
        // Another one may compile without a switch, such as an operator in a constant function.
        let list = if mutant.genre == Genre::Value {
            &mut self.do_not_compile
        } else {
            &mut self.without_switch
        };
        list.insert(mutant.number);
    }
}

fn write_switches(
    tree: &Tree,
    mutants: &[Mutant],
    built: &mut Built,
) -> BTreeMap<String, Switched> {
    let mut files: BTreeMap<&str, Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        let of_file = files.entry(&mutant.file).or_default();
        if !built.do_not_compile.contains(&mutant.number)
            && !built.without_switch.contains(&mutant.number)
        {
            of_file.push(mutant);
        }
    }
    let mut switched = BTreeMap::new();
    for (file, of_file) in files {
        let original = fs::read_to_string(file).expect("a file of the program");
        let with_switches = switches::write(&original, &of_file);
        built.without_switch.extend(&with_switches.without_switch);
        update(&tree.source.join(file), with_switches.text.as_bytes());
        switched.insert(file.to_owned(), with_switches);
    }
    let main = fs::read_to_string("src/main.rs").expect("the program");
    update(
        &tree.source.join("src/main.rs"),
        (main + switches::SWITCH).as_bytes(),
    );
    switched
}

/// Cargo compares times: a file that stays as it is must not be written.
pub fn update(path: &Path, content: &[u8]) {
    if fs::read(path).is_ok_and(|before| before == content) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    fs::write(path, content).expect("a file of the copy");
}

/// The mutants whose text the error or its help is about.
fn of_error(switched: &BTreeMap<String, Switched>, error: &Value) -> Vec<usize> {
    let about = |span: &Value| {
        let file = switched.get(span["file_name"].as_str()?)?;
        let at = |name: &str| usize::try_from(span[name].as_u64()?).ok();
        let (start, end) = (at("byte_start")?, at("byte_end")?);
        let inserted = file
            .inserted
            .iter()
            .filter(|(range, _)| range.start <= end && start <= range.end);
        inserted
            .min_by_key(|(range, _)| range.start.abs_diff(start))
            .map(|(_, numbers)| numbers.clone())
    };
    let empty = Vec::new();
    let list = |value: &Value, name: &str| value[name].as_array().unwrap_or(&empty).clone();
    let mut spans = list(error, "spans");
    spans.sort_by_key(|span| span["is_primary"] != true);
    spans.extend(
        list(error, "children")
            .iter()
            .flat_map(|child| list(child, "spans")),
    );
    spans.iter().find_map(about).unwrap_or_default()
}

/// Builds the program and its unit tests: their paths, or the compiler's errors.
pub fn cargo(tree: &Tree) -> (Vec<PathBuf>, Vec<Value>) {
    let (mut programs, mut errors) = (Vec::new(), Vec::new());
    for what in [
        &["build", "--bin", "hallpass"][..],
        &["test", "--no-run", "--bin", "hallpass"],
    ] {
        let output = Command::new("cargo")
            .args(what)
            .args([
                "--locked",
                "--quiet",
                "--message-format=json",
                "--target-dir",
            ])
            .arg(&tree.target)
            .current_dir(&tree.source)
            .env("CARGO_INCREMENTAL", "1")
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let message: Value = serde_json::from_str(line).unwrap_or_default();
            if message["message"]["level"] == "error" {
                errors.push(message["message"].clone());
            }
            if message["target"]["name"] == "hallpass" && output.status.success() {
                programs.extend(message["executable"].as_str().map(PathBuf::from));
            }
        }
        if !output.status.success() {
            break;
        }
    }
    (programs, errors)
}
