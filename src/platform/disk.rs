//! Files: how they are read and checked, replaced atomically, and locked.

mod directories;
mod lock_file;
mod managed;
mod output;
mod replace;

use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use crate::error::Error;
pub(crate) use crate::platform::private_directory;
use crate::platform::{self, Access, Trust, secret_file};
use crate::types::shell;
use directories::NOWHERE;
pub(crate) use directories::{Directories, home, unknown_home};
pub(crate) use lock_file::LockFile;
pub(crate) use managed::managed_fault;
pub(crate) use output::Output;
use replace::sync_directory;
pub(crate) use replace::{
    Durability, is_temporary, replace, rewrite, settings_directory, write_shared,
};

/// What is at a file's path.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    Content(Vec<u8>),
    /// A file that must not be trusted, and why. The text follows the file's name.
    Distrusted(&'static str),
}

/// Reads a file of at most `limit` bytes, if it meets the conditions of `trust`. Never blocks.
pub(crate) fn read(path: &Path, limit: u64, trust: Trust) -> io::Result<Found> {
    let file = match platform::open_private(path, trust, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) if platform::is_link_refusal(&error) => {
            return Ok(Found::Distrusted("is a symbolic link"));
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if trust == Trust::Managed
        && let Some(reason) = platform::distrust_managed(path, &metadata)
    {
        return Ok(Found::Distrusted(reason));
    }
    if let Some(reason) = platform::distrust(&metadata, trust)
        && !(trust == Trust::Secret && secret_file::is_mounted_for_us(&file, &metadata))
    {
        return Ok(Found::Distrusted(reason));
    }
    if metadata.len() > limit {
        return Ok(Found::Distrusted("is too large"));
    }
    let mut content = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    // Files of hallpass are only replaced, never appended to. Reading past the end would be one more
    // system call.
    let most = match trust {
        Trust::Private | Trust::Settings | Trust::Managed => metadata.len(),
        Trust::Secret | Trust::Identity => limit + 1,
    };
    file.take(most).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Ok(Found::Distrusted("is too large"));
    }
    Ok(Found::Content(content))
}

/// The error for a file of hallpass that cannot be read, with the command that makes it readable.
pub(crate) fn unreadable(path: &Path, error: io::Error) -> Error {
    let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
    let unreadable = Error::broken(format!("cannot read {}", path.display())).because(error);
    // A file that is not found, although it is there, is in a directory that is closed.
    let seen = path.ancestors().find_map(|path| {
        let metadata = std::fs::symlink_metadata(path).ok()?;
        Some((shell::path(path), metadata))
    });
    match seen {
        Some((path, metadata)) if is_denied && cfg!(unix) => {
            unreadable.hint(if platform::is_foreign(&metadata) {
                format!("run: sudo chown \"$(id -u):$(id -g)\" {path}")
            } else if metadata.is_dir() {
                format!("run: chmod u+rwx {path}")
            } else {
                format!("run: chmod u+rw {path}")
            })
        }
        _ => unreadable,
    }
}

/// Why a file must not be trusted, as text that follows its name. None if it is missing.
pub(crate) fn fault(path: &Path, trust: Trust) -> io::Result<Option<&'static str>> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        metadata => Ok(platform::distrust(&metadata?, trust)),
    }
}

/// Whether a file can be created in this directory, which may not exist yet. Nothing is written, so a
/// quota is not noticed.
///
/// # Errors
/// Why not: no permission, a read-only file system, no space.
pub(crate) fn check_writable(directory: &Path) -> io::Result<()> {
    let existing = directory.ancestors().find(|path| path.exists());
    platform::check_writable(existing.unwrap_or(directory))
}

/// Whether the directory of the cache belongs to another user, who could read the tokens. False if it is
/// missing.
pub(crate) fn is_foreign(directory: &Path) -> io::Result<bool> {
    match std::fs::metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        metadata => Ok(platform::is_foreign(&metadata?)),
    }
}

/// Reads a regular file of at most `limit` bytes, of any owner. Never blocks.
pub(crate) fn read_foreign(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    let mut content = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is too large",
        ));
    }
    Ok(content)
}

/// Why a settings directory must not be trusted, as text that follows its name. None if it is missing.
pub(crate) fn directory_fault(path: &Path) -> io::Result<Option<&'static str>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        metadata => Ok(platform::distrust_directory(&metadata?)),
    }
}

/// Whether anything is at this path, including a broken link.
pub(crate) fn exists(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        metadata => metadata.map(|_| true),
    }
}

/// Removes a file of settings, if it exists, so that it stays removed after a power failure.
pub(crate) fn remove_settings(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => {
            removed?;
            path.parent().map_or(Ok(()), sync_directory)
        }
    }
}

/// Removes a file, if it exists.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    ignore_missing(std::fs::remove_file(path))
}

/// Removes a directory, if it exists and is empty.
pub(crate) fn remove_empty_directory(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        result => ignore_missing(result),
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The names in a directory, none if it does not exist. Leaves out names that are not UTF-8, because
/// hallpass has none.
pub(crate) fn names(directory: &Path) -> io::Result<Vec<String>> {
    some_names(directory, usize::MAX)
}

/// At most `limit` of the names in a directory.
pub(crate) fn some_names(directory: &Path, limit: usize) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(_) if directory.starts_with(NOWHERE) => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries.take(limit) {
        names.extend(entry?.file_name().into_string().ok());
    }
    Ok(names)
}

/// Removes the temporary files of killed processes.
pub(crate) fn sweep(directory: &Path) -> io::Result<()> {
    for name in names(directory)? {
        if is_temporary(&name) {
            remove(&directory.join(name))?;
        }
    }
    Ok(())
}

/// The time since a file was written, none if it does not exist.
pub(crate) fn age(path: &Path) -> io::Result<Option<Duration>> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        metadata => Ok(Some(metadata?.modified()?.elapsed().unwrap_or_default())),
    }
}

/// Removes a file that is older than `limit`.
pub(crate) fn remove_if_older(path: &Path, limit: Duration) -> io::Result<()> {
    match age(path)? {
        Some(age) if age > limit => remove(path),
        _ => Ok(()),
    }
}
