//! The links to hallpass by which programs find its helpers, and the program itself.

use std::path::{Path, PathBuf};

use super::Machine;
use super::files::quoted;
use super::report::Finding;
use crate::commands::setup;
use crate::protocols::PROTOCOLS;

/// Links that lead nowhere, and other programs that come first on the PATH.
pub(super) fn check(machine: &Machine) -> Vec<Finding> {
    let Ok(program) = std::env::current_exe().and_then(|path| path.canonicalize()) else {
        return vec![Finding::skipped("the hallpass program has no path")];
    };
    let recorded = match setup::recorded_links(&machine.directories) {
        Ok(recorded) => recorded,
        Err(error) => return vec![Finding::of(&error)],
    };
    let links = PROTOCOLS.iter().filter_map(|protocol| protocol.link);
    let names: Vec<_> = ["hallpass"].into_iter().chain(links).collect();
    let mut findings: Vec<_> = recorded
        .iter()
        .filter(|path| leads(path) == Leads::Nowhere)
        .map(|path| dead(path, true))
        .collect();
    let mut good = Vec::new();
    for name in names {
        let on_path = on_path(name);
        let is_new = |path: &&PathBuf| leads(path) == Leads::Nowhere && !recorded.contains(path);
        findings.extend(on_path.iter().filter(is_new).map(|path| dead(path, false)));
        let mut usable = on_path.iter().filter(|path| leads(path) == Leads::ToFile);
        let Some(first) = usable.next() else { continue };
        if is_same(first, &program) {
            good.push(name);
        } else if let Some(own) = usable.find(|path| is_same(path, &program)) {
            findings.push(shadowed(first, own));
        } else if name == "hallpass" && is_found_by_name(&program) {
            findings.push(shadowed(first, &program));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(if good.is_empty() {
            "none on the PATH".to_owned()
        } else {
            format!("on the PATH: {}", good.join(", "))
        }));
    }
    findings
}

#[derive(PartialEq)]
enum Leads {
    ToFile,
    /// A link without a target; a link that was recorded and is missing.
    Nowhere,
}

fn leads(path: &Path) -> Leads {
    if path.is_file() {
        Leads::ToFile
    } else {
        Leads::Nowhere
    }
}

/// Each file or link of this name on the PATH.
pub(super) fn on_path(name: &str) -> Vec<PathBuf> {
    let file = setup::link_file_name(name);
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&directories).filter(|path| path.is_absolute());
    let mut paths: Vec<_> = directories.map(|directory| directory.join(&file)).collect();
    paths.retain(|path| path.is_symlink() || path.is_file());
    paths.dedup();
    paths
}

fn is_same(path: &Path, program: &Path) -> bool {
    path.canonicalize().is_ok_and(|path| path == program)
}

/// Whether other programs can find this file by the name `hallpass`.
fn is_found_by_name(program: &Path) -> bool {
    program.file_stem().is_some_and(|name| name == "hallpass")
}

fn dead(path: &Path, is_recorded: bool) -> Finding {
    let what = if path.is_symlink() {
        "leads to a file that does not exist"
    } else {
        "does not exist any more"
    };
    let finding = Finding::failed(format!("the link {} {what}", path.display()));
    let directory = path.parent().unwrap_or(path);
    if is_recorded {
        finding.fix(format!("hallpass setup links --dir {}", quoted(directory)))
    } else {
        finding.fix(format!("rm {}", quoted(path)))
    }
}

fn shadowed(first: &Path, own: &Path) -> Finding {
    let what = format!(
        "{} comes first on the PATH, so programs do not find {}",
        first.display(),
        own.display()
    );
    let directory = quoted(own.parent().unwrap_or(own));
    Finding::failed(what).fix(format!("export PATH={directory}:\"$PATH\""))
}
