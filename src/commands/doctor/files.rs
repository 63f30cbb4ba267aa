//! The directories of hallpass: owners, modes, and whether they can be written.

use std::io;
use std::path::{Path, PathBuf};

use super::Machine;
use super::report::Finding;
use crate::error;
use crate::platform::disk::{self, Directories};
use crate::platform::{Trust, WRITABLE_BY_OTHERS};
use crate::policy;

/// The settings' directory and the files in it, except profiles, which are checked when they are read.
pub(super) fn settings(machine: &Machine) -> Vec<Finding> {
    if let Some(error) = &machine.unknown_home {
        return vec![Finding::of(error)];
    }
    if let Err(error) = policy::current() {
        return vec![Finding::of(&error)];
    }
    let directory = &machine.directories.config;
    if let Some(file) = file_in_place_of(directory)
        && !machine.directories.is_nowhere()
    {
        let what = format!(
            "{} is not a directory, so there are no settings",
            file.display()
        );
        return vec![Finding::failed(what).fix("set XDG_CONFIG_HOME to a directory")];
    }
    if let Err(error) = machine.profiles.check_directory() {
        let finding = Finding::of(&error);
        return vec![if error.hints.is_empty() {
            finding.fix(chown(directory))
        } else {
            finding
        }];
    }
    let files = [
        directory.clone(),
        directory.join("urls"),
        directory.join("setup"),
    ]
    .into_iter()
    .flat_map(|directory| files_in(&directory))
    .filter(|path| path.extension().is_none_or(|end| end != "json"));
    let mut findings: Vec<_> = files
        .filter_map(|path| fault(&path, Trust::Settings, "the settings file"))
        .collect();
    if findings.is_empty() {
        // In a container they may be read-only. That keeps nobody from a token.
        let note = match disk::check_writable(directory) {
            Ok(()) => String::new(),
            Err(error) => match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    " (read-only)".to_owned()
                }
                _ => format!(" ({})", error::reason(&error)),
            },
        };
        findings.push(Finding::ok(format!("{}{note}", directory.display())));
    }
    findings
}

/// The cache's directories, and the tokens in them.
pub(super) fn cache(machine: &Machine) -> Vec<Finding> {
    let root = &machine.directories.cache;
    if Directories::locate().is_err() {
        return vec![Finding::skipped(
            "the home directory is unknown (HOME is not set)",
        )];
    }
    let subdirectories = disk::names(root).unwrap_or_default().into_iter();
    let subdirectories = subdirectories.map(|name| root.join(name));
    let subdirectories: Vec<_> = subdirectories.filter(|path| path.is_dir()).collect();
    for directory in [root].into_iter().chain(&subdirectories) {
        if disk::is_foreign(directory).unwrap_or_default() {
            let at = directory.display();
            let what = format!("the cache {at} belongs to another user, so no token is kept");
            return vec![Finding::failed(what).fix(chown(directory))];
        }
    }
    let files = subdirectories.iter().flat_map(|path| files_in(path));
    let mut findings: Vec<_> = files
        .filter_map(|path| fault(&path, Trust::Private, "the cache file"))
        .collect();
    let unwritable = [root].into_iter().chain(&subdirectories);
    let mut unwritable = unwritable.filter_map(|path| unwritable_cache(path));
    findings.extend(unwritable.next());
    if findings.is_empty() {
        findings.push(Finding::ok(root.display().to_string()));
    }
    findings
}

fn unwritable_cache(directory: &Path) -> Option<Finding> {
    unwritable(directory, "no token can be kept")
}

/// What is in the place of this directory or of one above it, and is no directory.
fn file_in_place_of(directory: &Path) -> Option<&Path> {
    let existing = directory.ancestors().find(|path| path.exists());
    existing.filter(|path| !path.is_dir())
}

/// The regular files, and whatever else is not a directory.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let names = disk::names(directory).unwrap_or_default().into_iter();
    let paths = names.map(|name| directory.join(name));
    paths
        .filter(|path| path.is_symlink() || !path.is_dir())
        .collect()
}

/// Why hallpass does not use a file.
fn fault(path: &Path, trust: Trust, kind: &str) -> Option<Finding> {
    let at = path.display();
    let reason = match disk::fault(path, trust) {
        Ok(reason) => reason?,
        Err(error) => {
            let reason = error::reason(&error);
            return Some(Finding::failed(format!("cannot read {at}: {reason}")).fix(chown(path)));
        }
    };
    let finding = Finding::failed(format!("{kind} {at} {reason}"));
    Some(match (reason, trust) {
        (_, Trust::Private) => finding.fix(format!("rm {}", quoted(path))),
        (WRITABLE_BY_OTHERS, _) => finding.fix(format!("chmod go-w {}", quoted(path))),
        _ => finding.fix(chown(path)),
    })
}

/// Why a directory cannot be written.
fn unwritable(directory: &Path, consequence: &str) -> Option<Finding> {
    let error = disk::check_writable(directory).err()?;
    let existing = directory.ancestors().find(|path| path.exists());
    let existing = existing.unwrap_or(directory);
    let at = quoted(existing);
    if !existing.is_dir() {
        let what = format!("{consequence}: {} is not a directory", existing.display());
        return Some(Finding::failed(what).fix("set XDG_CACHE_HOME to a directory"));
    }
    let what = format!(
        "{consequence}: cannot write in {}: {}",
        existing.display(),
        error::reason(&error)
    );
    Some(Finding::failed(what).fix(match error.kind() {
        io::ErrorKind::StorageFull => format!("free some space on this file system: df -h {at}"),
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("make the file system writable, or set XDG_CACHE_HOME and XDG_CONFIG_HOME to another one: findmnt -T {at}")
        }
        // Only a directory of one's own home: the others are the system's.
        _ if disk::is_foreign(existing).unwrap_or_default() => {
            if disk::home().is_ok_and(|home| existing.starts_with(home)) {
                format!("sudo chown \"$(id -u):$(id -g)\" {at}")
            } else {
                "set XDG_CACHE_HOME to a directory of your own".to_owned()
            }
        }
        _ => format!("chmod u+rwx {at}"),
    }))
}

fn chown(path: &Path) -> String {
    format!("sudo chown -R \"$(id -u):$(id -g)\" {}", quoted(path))
}

/// A path for a shell.
pub(super) fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    let quoted = shlex::try_quote(&path);
    quoted.map_or_else(|_| path.clone().into_owned(), std::borrow::Cow::into_owned)
}
