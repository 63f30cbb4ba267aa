//! The directories of hallpass.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Where hallpass keeps its files, by each platform's convention.
#[derive(Clone, Debug)]
pub(crate) struct Directories {
    /// Settings: one file per profile.
    pub(crate) config: PathBuf,
    /// Tokens and locks. May be deleted at any time.
    pub(crate) cache: PathBuf,
}

#[cfg(test)]
impl Directories {
    /// Both below a test's own directory.
    pub(crate) fn below(directory: &tempfile::TempDir) -> Self {
        Self {
            config: directory.path().join("config"),
            cache: directory.path().join("cache"),
        }
    }
}

impl Directories {
    /// # Errors
    /// `Usage` if the home directory is unknown.
    pub(crate) fn locate() -> Result<Self> {
        let (config, cache) = if cfg!(windows) {
            (
                base("APPDATA", "AppData/Roaming")?,
                base("LOCALAPPDATA", "AppData/Local")?,
            )
        } else if cfg!(target_os = "macos") {
            (
                home()?.join("Library/Application Support"),
                home()?.join("Library/Caches"),
            )
        } else {
            (
                base("XDG_CONFIG_HOME", ".config")?,
                base("XDG_CACHE_HOME", ".cache")?,
            )
        };
        Ok(Self {
            config: config.join("hallpass"),
            cache: cache.join("hallpass"),
        })
    }

    /// Directories in which nothing can be read or written, for a call without a home directory.
    pub(crate) fn nowhere() -> Self {
        let nowhere = Path::new(NOWHERE).join("hallpass");
        Self {
            config: nowhere.clone(),
            cache: nowhere,
        }
    }

    pub(crate) fn is_nowhere(&self) -> bool {
        self.cache.starts_with(NOWHERE)
    }
}

/// A device, so no path below it exists.
pub(super) const NOWHERE: &str = if cfg!(windows) { "NUL" } else { "/dev/null" };

/// The directory in a variable, if it is absolute (the XDG specification says to ignore others), else
/// a directory below the home directory.
fn base(variable: &str, below_home: &str) -> Result<PathBuf> {
    match std::env::var_os(variable).map(PathBuf::from) {
        Some(directory) if directory.is_absolute() => Ok(directory),
        _ => Ok(home()?.join(below_home)),
    }
}

/// The user's home directory.
pub(crate) fn home() -> Result<PathBuf> {
    std::env::home_dir()
        .filter(|home| home.is_absolute())
        .ok_or_else(unknown_home)
}

pub(crate) fn unknown_home() -> Error {
    Error::usage("the home directory is unknown").hint("set HOME to an absolute path")
}
