//! The record of what `--write` did, so that `--undo` removes exactly that. It is not part of a
//! profile, as it is needed after a logout.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::message::{Waiting, WaitingFor};
use crate::platform::Trust;
use crate::platform::disk::{self, Directories, Durability, Found, LockFile};

const FORMAT: u32 = 1;

/// A record has some hundred bytes for each tool.
const LIMIT: u64 = 1024 * 1024;

/// How long a setup waits for another one.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// The record, with the lock to change it.
pub(super) struct Record {
    path: PathBuf,
    content: Content,
    lock: Option<LockFile>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    format: u32,
    #[serde(default)]
    pub(super) files: Vec<Written>,
    /// Links, and what needs each: a tool and a profile, or `links`.
    #[serde(default)]
    pub(super) links: BTreeMap<PathBuf, BTreeSet<String>>,
    /// Directories that were created for files and links.
    #[serde(default)]
    pub(super) directories: BTreeSet<PathBuf>,
    /// The setting of Go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) go: Option<Go>,
}

/// What was written into a file for a tool.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) tool: String,
    pub(super) path: PathBuf,
    /// hallpass created the file.
    #[serde(default)]
    pub(super) made: bool,
    /// hallpass created the object in the JSON file.
    #[serde(default)]
    pub(super) made_object: bool,
    /// The lines of each profile.
    #[serde(default)]
    pub(super) lines: BTreeMap<String, Vec<String>>,
    /// The members of each profile, and their values.
    #[serde(default)]
    pub(super) members: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Go {
    pub(super) value: String,
    /// The value before; None if there was none.
    pub(super) before: Option<String>,
}

/// Whether a record has a later format than this version of hallpass knows.
fn is_newer(content: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    serde_json::from_slice::<Version>(content).is_ok_and(|version| version.format > FORMAT)
}

/// Removes the lock and the directory if nothing is recorded.
impl Drop for Record {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take()
            && !self.path.exists()
            && let Some(directory) = self.path.parent()
        {
            let _ = lock.remove();
            let _ = disk::remove_empty_directory(directory);
        }
    }
}

/// What is recorded, without locking the record.
///
/// # Errors
/// As [`Record::open`].
pub(super) fn content(directories: &Directories) -> Result<Content> {
    read(&directories.config.join("setup/record"))
}

fn read(path: &Path) -> Result<Content> {
    let unusable = |reason: &str| {
        Error::usage(format!(
            "the record of hallpass setup {} {reason}",
            path.display()
        ))
        .hint("remove it, and take out by hand what hallpass wrote")
    };
    match disk::read(path, LIMIT, Trust::Settings) {
        Ok(Found::Nothing) => Ok(Content {
            format: FORMAT,
            files: Vec::new(),
            links: BTreeMap::new(),
            directories: BTreeSet::new(),
            go: None,
        }),
        Ok(Found::Content(content)) => match serde_json::from_slice::<Content>(&content) {
            Ok(content) if content.format == FORMAT => Ok(content),
            _ if is_newer(&content) => Err(Error::usage(format!(
                "the record of hallpass setup {} was written by a newer version of hallpass",
                path.display()
            ))
            .hint("update hallpass")),
            _ => Err(unusable("is damaged")),
        },
        Ok(Found::Distrusted(reason)) => Err(unusable(reason)),
        Err(error) => Err(disk::unreadable(path, error)),
    }
}

/// Takes the lock. Scripts set up several tools at the same time.
fn wait_for(lock: &mut LockFile) -> Result<()> {
    let deadline = Instant::now() + LOCK_LIMIT;
    let mut waiting = Waiting::begin(WaitingFor::Other);
    loop {
        match lock.try_exclusive() {
            Ok(false) => {}
            // A file system without locks: two at once are then up to the person.
            Ok(true) | Err(_) => return Ok(()),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::unavailable("another hallpass setup is running")
                .hint("try again when it has ended"));
        }
        waiting.note_if_due(|| "waiting for another hallpass setup".to_owned());
        // If waiting is not possible, the lock itself tells why.
        let _ = lock.wait_until_free(waiting.quiet(left));
    }
}

impl Record {
    /// # Errors
    /// `Usage` when the record cannot be trusted, `Broken` when it cannot be read.
    pub(super) fn open(directories: &Directories) -> Result<Self> {
        let directory = directories.config.join("setup");
        let path = directory.join("record");
        // `save` reports a directory that cannot be written.
        let mut lock = LockFile::open(&directory.join("lock")).ok();
        if let Some(lock) = &mut lock {
            wait_for(lock)?;
        }
        // Temporary files of a killed process.
        let _ = disk::sweep(&directory);
        Ok(Self {
            content: read(&path)?,
            path,
            lock,
        })
    }

    pub(super) fn content(&mut self) -> &mut Content {
        &mut self.content
    }

    /// What is recorded of a tool's file; a new entry if nothing is.
    pub(super) fn file(&mut self, tool: &str, path: &Path) -> &mut Written {
        let files = &mut self.content.files;
        let is_it = |file: &Written| file.tool == tool && file.path == path;
        let at = files.iter().position(is_it).unwrap_or_else(|| {
            files.push(Written {
                tool: tool.to_owned(),
                path: path.to_owned(),
                ..Written::default()
            });
            files.len() - 1
        });
        &mut files[at]
    }

    /// Creates a directory and its missing parents.
    pub(super) fn make_directory(&mut self, path: &Path) -> Result<()> {
        let missing: Vec<_> = path.ancestors().take_while(|path| !path.exists()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.into_iter().map(Path::to_owned);
        self.content.directories.extend(missing);
        self.save()?;
        std::fs::create_dir_all(path).map_err(|error| {
            Error::broken(format!("cannot create the directory {}", path.display())).because(error)
        })
    }

    /// Removes the directories that were created and are empty again, the innermost first.
    pub(super) fn remove_directories(&mut self) {
        let directories = std::mem::take(&mut self.content.directories);
        for path in directories.into_iter().rev() {
            let _ = disk::remove_empty_directory(&path);
            if path.exists() {
                self.content.directories.insert(path);
            }
        }
    }

    /// Saved before the change that it describes, and after the undo.
    pub(super) fn save(&mut self) -> Result<()> {
        let content = &mut self.content;
        content
            .files
            .retain(|file| !file.lines.is_empty() || !file.members.is_empty());
        let is_empty = content.files.is_empty()
            && content.links.is_empty()
            && content.directories.is_empty()
            && content.go.is_none();
        let saved = if is_empty {
            disk::remove(&self.path)
        } else {
            let mut text = serde_json::to_vec_pretty(content).map_err(|error| {
                Error::broken("cannot record what hallpass setup does").because(error)
            })?;
            text.push(b'\n');
            disk::replace(&self.path, &text, Durability::Settings)
        };
        saved.map_err(|error| {
            Error::broken(format!("cannot write {}", self.path.display())).because(error)
        })
    }
}
