//! The administrator's files: what is in them holds for every user of the machine.

use std::path::{Path, PathBuf};

use crate::platform;

/// The first directory of those above a file of the administrator that another user could change, and
/// why it must not be trusted, as text that follows its name.
pub(crate) fn managed_fault(file: &Path) -> std::io::Result<Option<(PathBuf, &'static str)>> {
    for directory in file.ancestors().skip(1) {
        let metadata = std::fs::symlink_metadata(directory)?;
        if let Some(reason) = platform::distrust_managed(directory, &metadata) {
            return Ok(Some((directory.to_owned(), reason)));
        }
    }
    Ok(None)
}
