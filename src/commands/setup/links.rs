//! Links to hallpass with the names that tools look for.

use std::path::{Path, PathBuf};

use super::record::{Content, Record};
use super::{Facts, tilde};
use crate::error::{Error, Result};
use crate::message;
use crate::platform;
use crate::platform::disk;
use crate::protocols::PROTOCOLS;

/// The record's name for the links of `hallpass setup links`.
const EVERY_LINK: &str = "links";

/// The directory of the link named `keyring`: another program of that name may be on the PATH, and must
/// be found there.
pub(super) const KEYRING_DIRECTORY: &str = "hallpass-keyring";

/// The files of a package that are not programs, seen from the directory of the programs.
const PACKAGED: &str = "lib/hallpass";

/// Creates the links that do not exist yet.
pub(super) fn make_all(facts: &Facts, record: &mut Record) -> Result<()> {
    for link in PROTOCOLS.iter().filter_map(|protocol| protocol.link) {
        let path = match link {
            "keyring" => keyring_directory(facts).join(file_name(link)),
            // The only directory that Terraform searches.
            "terraform-credentials-hallpass" => facts
                .home()?
                .join(".terraform.d/plugins")
                .join(file_name(link)),
            _ => path(link, facts),
        };
        let is_there = leads_to(&path, Path::new(&facts.program));
        make(&path, EVERY_LINK, facts, record)?;
        if is_there && !record.content().links.contains_key(&path) {
            message::note(&format!("already there: {}", tilde(&path)));
        }
    }
    Ok(())
}

/// Where links are created if the user does not choose: next to the program, or where the user's own
/// programs are if that is the system's directory.
pub(super) fn default_directory(program: &Path, home: Option<&Path>) -> PathBuf {
    match home {
        Some(home) if disk::check_writable(program).is_err() => home.join(".local/bin"),
        _ => program.to_owned(),
    }
}

/// The link with this name: the one that a package installed next to the program, or else the one that
/// hallpass creates.
pub(super) fn path(link: &str, facts: &Facts) -> PathBuf {
    let name = file_name(link);
    let program = Path::new(&facts.program);
    let packaged = program.with_file_name(&name);
    if !facts.links_chosen && leads_to(&packaged, program) {
        return packaged;
    }
    facts.links.join(name)
}

/// The directory of the link named `keyring`, for the PATH.
pub(super) fn keyring_directory(facts: &Facts) -> PathBuf {
    let program = Path::new(&facts.program);
    let prefix = program.parent().and_then(Path::parent);
    let packaged = prefix.map(|prefix| prefix.join(PACKAGED).join(KEYRING_DIRECTORY));
    packaged
        .filter(|packaged| !facts.links_chosen && leads_to(&packaged.join("keyring"), program))
        .unwrap_or_else(|| facts.links.join(KEYRING_DIRECTORY))
}

/// A link's file: a program's name ends in `.exe` on Windows.
pub(in crate::commands) fn file_name(link: &str) -> String {
    format!("{link}{}", std::env::consts::EXE_SUFFIX)
}

/// Creates a link unless it exists. Another file of that name is an error.
pub(super) fn make(path: &Path, wanted_by: &str, facts: &Facts, record: &mut Record) -> Result<()> {
    let program = Path::new(&facts.program);
    let is_recorded = record.content().links.contains_key(path);
    if path.symlink_metadata().is_ok() {
        if leads_to(path, program) {
            // A link that the user created is not recorded, so it is never removed.
            if is_recorded {
                want(path, wanted_by, record)?;
            }
            return Ok(());
        }
        let is_old = is_recorded && (path.is_symlink() || cfg!(windows));
        if !is_old {
            let fault = format!("{} exists and is not hallpass", path.display());
            return Err(
                Error::usage(fault).hint("move it away, or choose another directory with --dir")
            );
        }
        disk::remove(path).map_err(|error| cannot("remove", path, error))?;
    }
    if let Some(directory) = path.parent() {
        record.make_directory(directory)?;
    }
    want(path, wanted_by, record)?;
    platform::link(program, path).map_err(|error| {
        cannot("create", path, error).hint("choose a directory of your own with --dir")
    })?;
    message::note(&format!("created {}", tilde(path)));
    Ok(())
}

fn want(path: &Path, wanted_by: &str, record: &mut Record) -> Result<()> {
    let wanted = record.content().links.entry(path.to_owned()).or_default();
    if wanted.insert(wanted_by.to_owned()) {
        record.save()?;
    }
    Ok(())
}

/// Removes the links that only the undone settings need.
pub(super) fn undo(is_undone: impl Fn(&str) -> bool, record: &mut Record) -> Result<bool> {
    let mut links = std::mem::take(&mut record.content().links);
    let mut unwanted: Vec<PathBuf> = Vec::new();
    links.retain(|path, wanted_by| {
        let before = wanted_by.len();
        wanted_by.retain(|setting| !is_undone(setting));
        if wanted_by.is_empty() && before > 0 {
            unwanted.push(path.clone());
        }
        !wanted_by.is_empty()
    });
    record.content().links = links;
    unwanted.iter().try_for_each(|path| remove(path))?;
    Ok(!unwanted.is_empty())
}

/// A file in its place is the user's. hallpass itself may have been moved by now.
fn remove(path: &Path) -> Result<()> {
    if path.is_symlink() || (cfg!(windows) && path.is_file()) {
        disk::remove(path).map_err(|error| cannot("remove", path, error))?;
        message::note(&format!("removed {}", tilde(path)));
    }
    Ok(())
}

/// Sets the record to what it was before a change that failed, and removes the links that were made
/// for it.
pub(super) fn take_back(before: Content, record: &mut Record) -> Result<()> {
    let after = std::mem::replace(record.content(), before);
    for (path, wanted_by) in after.links {
        if !record.content().links.contains_key(&path) && remove(&path).is_err() {
            record.content().links.insert(path, wanted_by);
        }
    }
    record.content().directories.extend(after.directories);
    record.remove_directories();
    record.save()
}

/// Removes the links that `hallpass setup links` created.
pub(super) fn undo_all(record: &mut Record) -> Result<bool> {
    undo(|setting| setting == EVERY_LINK, record)
}

fn cannot(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::broken(format!("cannot {what} {}", path.display())).because(error)
}

/// A link to the program; on Windows, a copy of it.
fn leads_to(path: &Path, program: &Path) -> bool {
    let same_file = path.canonicalize().ok() == program.canonicalize().ok();
    let same_content = || std::fs::read(path).ok() == std::fs::read(program).ok();
    same_file || (cfg!(windows) && same_content())
}

/// Creates a link that its tool looks for on the PATH, and warns if the tool would not find it or
/// would find another program first.
pub(super) fn make_on_path(
    link: &str,
    wanted_by: &str,
    facts: &Facts,
    record: &mut Record,
) -> Result<()> {
    let name = file_name(link);
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let first = std::env::split_paths(&directories)
        .map(|directory| directory.join(&name))
        .find(|file| file.is_file());
    let path = match &first {
        Some(first) if !facts.links_chosen && leads_to(first, Path::new(&facts.program)) => {
            first.clone()
        }
        _ => path(link, facts),
    };
    make(&path, wanted_by, facts, record)?;
    match first {
        None if !is_on_path(&path) => {
            let directory = path.parent().unwrap_or(Path::new("/")).display();
            message::warning(&format!("{directory} is not on the PATH; add it"));
        }
        Some(first) if first.canonicalize().ok() != path.canonicalize().ok() => {
            message::warning(&format!("{} comes first on the PATH", first.display()));
        }
        _ => {}
    }
    Ok(())
}

fn is_on_path(file: &Path) -> bool {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&directories).any(|directory| Some(&*directory) == file.parent())
}
