//! A tool's file of settings, found where the tool looks for it and replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::recipes::SettingsFile;
use super::record::Record;
use crate::error::{Error, Result};
use crate::platform::disk;
use crate::platform::{self, FileKind};

/// As many links as Linux follows (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Bytes. Settings that people write have some kilobytes.
const LIMIT: u64 = 16 * 1024 * 1024;

/// A file, with symbolic links resolved, and its content.
pub(super) struct UserFile {
    pub(super) path: PathBuf,
    /// None if the file does not exist.
    pub(super) content: Option<Vec<u8>>,
}

/// The path where the tool looks for its file.
///
/// # Errors
/// `Usage` when its variable is empty, which means no file.
pub(super) fn locate(file: &SettingsFile, home: &Path) -> Result<PathBuf> {
    for name in file.variables {
        let Some(value) = std::env::var_os(name) else {
            continue;
        };
        if value.is_empty() {
            if file.empty_is_none {
                return Err(Error::usage(format!(
                    "{name} is empty, so there is no file to change"
                ))
                .hint(format!("unset {name}")));
            }
            continue;
        }
        let path = if file.below.is_empty() {
            PathBuf::from(value)
        } else {
            Path::new(&value).join(file.below)
        };
        return std::path::absolute(&path)
            .map_err(|error| Error::usage(format!("{name} is not a path")).because(error));
    }
    let in_home = home.join(file.in_home);
    let only_in_config = file.in_home.is_empty();
    if let Some(below) = file.in_config
        && (only_in_config || in_home.symlink_metadata().is_err())
    {
        let config = std::env::var_os("XDG_CONFIG_HOME").filter(|path| !path.is_empty());
        let config = config.map_or_else(|| home.join(".config"), PathBuf::from);
        let in_config = config.join(below);
        if only_in_config || in_config.symlink_metadata().is_ok() {
            return Ok(in_config);
        }
    }
    Ok(in_home)
}

impl UserFile {
    /// Reads a regular file. Opening a pipe could block.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let cannot_read =
            |error| Error::broken(format!("cannot read {}", path.display())).because(error);
        let not_a_file = || {
            Error::usage(format!("{} is not a regular file", path.display()))
                .hint("without --write, hallpass prints what to put there")
        };
        let mut at = path.to_owned();
        for _ in 0..MOST_LINKS {
            let metadata = match fs::symlink_metadata(&at) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Self {
                        path: at,
                        content: None,
                    });
                }
                metadata => metadata.map_err(cannot_read)?,
            };
            match platform::file_kind(&metadata) {
                // The target of a link is changed, and the link stays.
                FileKind::Link => {
                    let target = fs::read_link(&at).map_err(cannot_read)?;
                    at = at.parent().unwrap_or(Path::new("/")).join(target);
                }
                FileKind::Regular if metadata.len() <= LIMIT => {
                    let mut content = Vec::new();
                    let file = File::open(&at).map_err(cannot_read)?;
                    file.take(LIMIT)
                        .read_to_end(&mut content)
                        .map_err(cannot_read)?;
                    return Ok(Self {
                        path: at,
                        content: Some(content),
                    });
                }
                _ => return Err(not_a_file()),
            }
        }
        Err(Error::usage(format!(
            "{} has too many symbolic links",
            path.display()
        )))
    }

    /// Replaces the content, and keeps the owner, the group and the permissions.
    pub(super) fn write(&self, content: &[u8], record: &mut Record) -> Result<()> {
        record.make_directory(self.path.parent().unwrap_or(Path::new("/")))?;
        disk::rewrite(&self.path, content).map_err(|error| self.cannot_change(error))
    }

    pub(super) fn remove(&self) -> Result<()> {
        disk::remove(&self.path).map_err(|error| self.cannot_change(error))
    }

    fn cannot_change(&self, error: io::Error) -> Error {
        Error::broken(format!("cannot change {}", self.path.display())).because(error)
    }
}
