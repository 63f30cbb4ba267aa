//! A file with a token: where it may be, and how it is replaced.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::platform::disk::{self, read_foreign};
use crate::platform::{self, Access, FileKind, Sharing, Trust};
use crate::profile::ProfileName;
use crate::types::shell;

/// A larger file was not written by hallpass, and is replaced.
const CONTENT_LIMIT: u64 = 1024 * 1024;

/// A file to keep, as the user named it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Target {
    pub(super) profile: Option<String>,
    file: PathBuf,
}

impl Target {
    /// `PROFILE=FILE` or `FILE`. A profile's name has no slash, so `./a=b` is a file.
    pub(super) fn parse(text: &str) -> std::result::Result<Self, String> {
        let named = text
            .split_once('=')
            .filter(|(name, _)| ProfileName::parse(name).is_ok());
        let (profile, file) = match named {
            Some((profile, file)) => (Some(profile.to_owned()), file),
            None => (None, text),
        };
        if file.is_empty() || file == "-" {
            return Err("write FILE or PROFILE=FILE".to_owned());
        }
        Ok(Self {
            profile,
            file: file.into(),
        })
    }

    /// # Errors
    /// `Usage` if it is no path.
    pub(super) fn path(&self) -> Result<PathBuf> {
        std::path::absolute(&self.file).map_err(|error| {
            let shown = self.file.display();
            Error::usage(format!("cannot keep {shown}: it is not a valid path")).because(error)
        })
    }
}

/// A file's permissions in octal digits. Nobody but the owner may write it, and nobody runs it.
pub(super) fn mode(text: &str) -> std::result::Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|mode| mode & !0o644 == 0 && mode & 0o400 != 0)
        .ok_or_else(|| {
            "use three octal digits such as 640; only the owner may write the file".to_owned()
        })
}

/// A file that this process keeps, and no other one.
#[derive(Debug)]
pub(super) struct SharedFile {
    path: PathBuf,
    sharing: Sharing,
    /// Locked as long as this process runs. It has a byte in it while the command after a change has not
    /// succeeded yet.
    lock: File,
}

impl SharedFile {
    /// # Errors
    /// `Usage` if a file cannot be kept there, or if another process keeps it.
    pub(super) fn at(path: PathBuf, sharing: Sharing) -> Result<Self> {
        let shown = path.display();
        let unusable = |why: &str| Error::usage(format!("cannot keep {shown}: {why}"));
        match fs::symlink_metadata(&path).map(|found| platform::file_kind(&found)) {
            Ok(FileKind::Regular) => {}
            Ok(FileKind::Link) => {
                return Err(unusable("it is a symbolic link").hint("name the file itself"));
            }
            Ok(_) => return Err(unusable("it is not a regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable("it cannot be examined").because(error)),
        }
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(unusable("it is the name of a directory"));
        };
        let found = fs::metadata(directory).map_err(|error| {
            unusable("its directory cannot be used")
                .because(error)
                .hint(format!("create it: mkdir -p {}", shell::path(directory)))
        })?;
        if platform::is_open_to_all(&found) {
            return Err(unusable("everybody may replace files in its directory")
                .hint(format!("chmod o-w {}", shell::path(directory))));
        }
        let lock = directory.join(format!(".{}.lock", name.to_string_lossy()));
        Ok(Self {
            lock: lock_file(&lock, &path)?,
            path,
            sharing,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the content as a whole, unless it is there already. Returns whether the file changed.
    ///
    /// # Errors
    /// `Broken` if the file could not be replaced, or may not survive a power failure.
    pub(super) fn write(&self, content: &[u8]) -> Result<bool> {
        let found = fs::symlink_metadata(&self.path);
        let is_shared = found.is_ok_and(|found| platform::is_shared_as(&found, &self.sharing));
        let before = || read_foreign(&self.path, CONTENT_LIMIT);
        if is_shared && before().is_ok_and(|before| before == content) {
            return Ok(false);
        }
        disk::write_shared(&self.path, content, &self.sharing)
            .map(|()| true)
            .map_err(|error| {
                Error::broken(format!("cannot write {}", self.path.display())).because(error)
            })
    }

    /// Whether the command after a change is still to be run, also if another process changed the file.
    pub(super) fn has_pending_command(&self) -> bool {
        self.lock.metadata().is_ok_and(|found| found.len() > 0)
    }

    /// Best effort: if the disk is full, the command is not repeated.
    pub(super) fn set_pending_command(&self, is_pending: bool) {
        let _ = self.lock.set_len(u64::from(is_pending));
    }
}

/// Takes the lock of a file. The lock's own file stays, so that all processes use the same one.
fn lock_file(lock: &Path, path: &Path) -> Result<File> {
    let shown = lock.display();
    let open = || platform::open_private(lock, Trust::Private, Access::Create);
    let broken = |error| Error::broken(format!("cannot open {shown}")).because(error);
    let file = open().map_err(broken)?;
    if let Some(reason) = platform::distrust(&file.metadata().map_err(broken)?, Trust::Private) {
        return Err(Error::usage(format!("{shown} {reason}"))
            .hint("keep the file in a directory of your own"));
    }
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let holder = file.metadata().ok();
            let process = match holder.and_then(|file| platform::lock_holder(&file)) {
                Some(number) => format!("process {number}"),
                None => "another process".to_owned(),
            };
            let path = path.display();
            Err(Error::usage(format!("{process} keeps {path} already")))
        }
        Err(TryLockError::Error(error)) => {
            Err(Error::broken(format!("cannot lock {shown}")).because(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, mode};

    #[test]
    fn a_profile_is_named_before_the_file() {
        for (text, profile, file) in [
            ("prod=/run/token", Some("prod"), "/run/token"),
            ("prod=a=b", Some("prod"), "a=b"),
            ("/run/a=b", None, "/run/a=b"),
            ("token", None, "token"),
        ] {
            let target = Target::parse(text).expect("a target");
            assert_eq!(target.profile.as_deref(), profile, "{text}");
            assert_eq!(target.file.to_str(), Some(file), "{text}");
        }
        for text in ["", "prod=", "prod=-", "-"] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_owner_may_write_a_file() {
        for (text, expected) in [("600", 0o600), ("640", 0o640), ("0444", 0o444)] {
            assert_eq!(mode(text), Ok(expected));
        }
        for text in ["660", "755", "040", "1644", "x", "", "648"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }
}
