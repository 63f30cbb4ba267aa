//! Files are replaced atomically: a reader gets the old content or the new content, never a part.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::{exists, names, private_directory, remove};
use crate::platform::{self, Sharing};

/// Prefix of a file that is still being written.
const TEMPORARY_PREFIX: &str = ".tmp-";

/// How often to retry when Windows refuses to replace a file: about a second in total.
pub(super) const REPLACE_ATTEMPTS: u32 = 300;
pub(super) const REPLACE_PAUSE: Duration = Duration::from_millis(3);

/// How often to create a directory again that another process removed before it contained a file.
const DIRECTORY_ATTEMPTS: u32 = 100;

/// What a replaced file must survive: a power failure, or only a crash of hallpass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Durability {
    Settings,
    /// Losing a cache entry costs one token request.
    Cache,
}

/// Replaces a file atomically.
pub(crate) fn replace(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    if durability == Durability::Settings {
        settings_directory(directory)?;
    }
    let file = in_private_directory(directory, || temporary_file(directory, content))?;
    if durability == Durability::Settings {
        file.as_file().sync_all()?;
    }
    persist(file, path)?;
    if durability == Durability::Settings {
        sync_directory(directory)?;
    }
    Ok(())
}

/// Creates a file in a directory of hallpass. Another process may remove the directory while it is
/// empty (a logout, or a caller whose login was replaced), so this tries again.
pub(super) fn in_private_directory<T>(
    directory: &Path,
    make: impl Fn() -> io::Result<T>,
) -> io::Result<T> {
    let attempt = || private_directory(directory).and_then(|()| make());
    for _ in 0..DIRECTORY_ATTEMPTS {
        match attempt() {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
                ) => {}
            result => return result,
        }
    }
    attempt()
}

/// Replaces a file in any directory by one that only the user can read.
pub(super) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_anywhere(path, content, |_| Ok(()))
}

/// Replaces a file in any directory by one with the same owner, group and permissions. A file of which
/// a new one could not keep everything (a second name, an access list) is written in place.
pub(crate) fn rewrite(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = temporary_file(directory_of(path), content)?;
    let Ok(old) = std::fs::metadata(path) else {
        return persist(file, path);
    };
    if !platform::is_like(file.as_file(), path, &old) {
        return write_in_place(path, content);
    }
    file.as_file().set_permissions(old.permissions())?;
    persist(file, path)
}

/// Overwrites a file, or leaves what it had if the disk is full.
fn write_in_place(path: &Path, content: &[u8]) -> io::Result<()> {
    let before = std::fs::read(path)?;
    let mut file = File::options().write(true).open(path)?;
    let mut put = |content: &[u8]| {
        file.rewind()?;
        file.write_all(content)?;
        file.set_len(content.len() as u64)?;
        file.sync_all()
    };
    put(content).inspect_err(|_| {
        let _ = put(&before);
    })
}

/// Replaces a file in any directory by one that others may read, too, and that survives a power failure.
/// Only one process at a time may do so.
pub(crate) fn write_shared(path: &Path, content: &[u8], sharing: &Sharing) -> io::Result<()> {
    let directory = directory_of(path);
    let prefix = prefix_of(path);
    // A process that was killed leaves its file.
    for name in names(directory)?
        .iter()
        .filter(|name| name.starts_with(&prefix))
    {
        // In a shared directory, it may belong to another user.
        let _ = remove(&directory.join(name));
    }
    let file = temporary_file_named(&prefix, directory, content)?;
    platform::share(file.as_file(), sharing)?;
    file.as_file().sync_all()?;
    persist(file, path)?;
    sync_directory(directory)
}

/// The prefix of the temporary files that replace this one only.
fn prefix_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}{TEMPORARY_PREFIX}")
}

/// Replaces a file. `prepare` changes the new file before it gets its name.
fn replace_anywhere(
    path: &Path,
    content: &[u8],
    prepare: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let file = temporary_file(directory_of(path), content)?;
    prepare(file.as_file())?;
    persist(file, path)
}

fn directory_of(path: &Path) -> &Path {
    let parent = path.parent();
    parent
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// A temporary file with this content, in the directory of the file that it will replace.
fn temporary_file(directory: &Path, content: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    temporary_file_named(TEMPORARY_PREFIX, directory, content)
}

fn temporary_file_named(
    prefix: &str,
    directory: &Path,
    content: &[u8],
) -> io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(prefix)
        .tempfile_in(directory)?;
    file.write_all(content)?;
    Ok(file)
}

/// Gives the temporary file its name. Windows refuses while another process reads the old file, which
/// takes microseconds, so this tries again.
fn persist(mut file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    for _ in 0..REPLACE_ATTEMPTS {
        match file.persist(path) {
            Ok(_) => return Ok(()),
            Err(refused)
                if cfg!(windows) && refused.error.kind() == io::ErrorKind::PermissionDenied =>
            {
                thread::sleep(REPLACE_PAUSE);
                file = refused.file;
            }
            Err(refused) => return Err(refused.error),
        }
    }
    file.persist(path)
        .map(drop)
        .map_err(|refused| refused.error)
}

pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    // Windows has no such call; its file system keeps a journal of directories.
    if cfg!(unix) {
        File::open(directory)?.sync_all()
    } else {
        Ok(())
    }
}

/// Creates a directory for settings, or checks an existing one. A new directory survives a power
/// failure.
pub(crate) fn settings_directory(path: &Path) -> io::Result<()> {
    let is_missing = |directory: &&Path| exists(directory).is_ok_and(|exists| !exists);
    let new: Vec<_> = path.ancestors().take_while(is_missing).collect();
    private_directory(path)?;
    for parent in new.into_iter().filter_map(Path::parent) {
        match sync_directory(parent) {
            // A directory that may be written but not read.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// Whether a file of this name is temporary.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY_PREFIX)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tempfile::TempDir;

    use super::super::{remove, remove_empty_directory};
    use super::*;

    #[test]
    fn a_directory_that_is_removed_before_it_contains_a_file_is_created_again() {
        let parent = TempDir::with_prefix("hallpass-test-").expect("a directory");
        let directory = parent.path().join("p");
        for removals in [0, 1, 3] {
            let left = Cell::new(removals);
            let file = in_private_directory(&directory, || {
                if left.get() > 0 {
                    left.set(left.get() - 1);
                    remove_empty_directory(&directory)?;
                }
                File::create(directory.join("file")).map(drop)
            });
            assert!(file.is_ok(), "{removals} {file:?}");
            assert_eq!(left.get(), 0);
            remove(&directory.join("file")).expect("removed");
        }
    }

    #[test]
    fn an_attempt_ends_if_the_directory_cannot_be_created() {
        let parent = TempDir::with_prefix("hallpass-test-").expect("a directory");
        let file = parent.path().join("file");
        std::fs::write(&file, "").expect("a file");
        let made = in_private_directory(&file, || -> io::Result<()> { unreachable!("a file") });
        assert!(made.is_err());
    }
}
