//! Files: where they lie, how they are read with suspicion, replaced whole, and locked.

mod output;

use std::fs::{File, Metadata, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
pub(crate) use crate::platform::private_directory;
use crate::platform::{self, Access, Trust, secret_file};
pub(crate) use output::Output;

/// What a half-written file is called, until it takes its real name.
const TEMPORARY_PREFIX: &str = ".tmp-";

/// How often, and after which pause, Windows is asked again to replace a file: for about a second.
const REPLACE_ATTEMPTS: u32 = 300;
const REPLACE_PAUSE: Duration = Duration::from_millis(3);

/// How often a lock file that was removed is opened again. Nobody removes so many in a row; but a
/// file system may give its files new numbers each time, and its locks are as good as others.
const MOST_REOPENINGS: u32 = 16;

/// How often a directory that was removed before it held anything is made again. It takes another
/// process each time.
const MOST_REMAKINGS: u32 = 100;

/// Where hallpass keeps its files, as each platform's users expect.
#[derive(Clone, Debug)]
pub(crate) struct Directories {
    /// Settings: one file a profile.
    pub(crate) config: PathBuf,
    /// Tokens and locks: can be deleted at any time.
    pub(crate) cache: PathBuf,
}

impl Directories {
    /// # Errors
    /// `Broken` when the home directory is unknown, or the environment names a relative one.
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

    /// No directories: there is nothing to read, and nothing can be written.
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

/// A file, so that nothing can be below it.
const NOWHERE: &str = if cfg!(windows) { "NUL" } else { "/dev/null" };

/// The directory that a variable names, if it is absolute (the XDG specification wants others
/// ignored), else one below the home directory.
fn base(variable: &str, below_home: &str) -> Result<PathBuf> {
    match std::env::var_os(variable).map(PathBuf::from) {
        Some(directory) if directory.is_absolute() => Ok(directory),
        _ => Ok(home()?.join(below_home)),
    }
}

/// The user's own directory.
pub(crate) fn home() -> Result<PathBuf> {
    std::env::home_dir()
        .filter(|home| home.is_absolute())
        .ok_or_else(unknown_home)
}

pub(crate) fn unknown_home() -> Error {
    Error::broken("the home directory is unknown").hint("set HOME to an absolute path")
}

/// What was found where a file was looked for.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    Content(Vec<u8>),
    /// A file that cannot be believed, and why: fit to follow its name.
    Distrusted(&'static str),
}

/// Reads a whole file of at most `limit` bytes, if it is what `trust` demands. Never waits.
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
    if let Some(reason) = platform::distrust(&metadata, trust)
        && !(trust == Trust::Secret && secret_file::is_protected_by_its_place(&file, &metadata))
    {
        return Ok(Found::Distrusted(reason));
    }
    if metadata.len() > limit {
        return Ok(Found::Distrusted("is too large"));
    }
    let mut content = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    // A file of ours is replaced, never added to: to ask for more than its length is a call too many.
    let most = match trust {
        Trust::Private | Trust::Settings => metadata.len(),
        Trust::Secret => limit + 1,
    };
    file.take(most).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Ok(Found::Distrusted("is too large"));
    }
    Ok(Found::Content(content))
}

/// Why a directory of settings is not to be believed, fit to follow its name; one that is not there
/// is fine.
pub(crate) fn directory_fault(path: &Path) -> io::Result<Option<&'static str>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        metadata => Ok(platform::distrust_directory(&metadata?)),
    }
}

/// Whether a replaced file must outlive a power failure, or only a crash of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Durability {
    Settings,
    /// A lost cache entry costs one request.
    Cache,
}

/// Puts a new file in the place of an old one: whoever reads sees the one or the other, whole.
pub(crate) fn replace(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    if durability == Durability::Settings {
        settings_directory(directory)?;
    }
    let file = in_private_directory(directory, || written_beside(directory, content))?;
    if durability == Durability::Settings {
        file.as_file().sync_all()?;
    }
    persist(file, path)?;
    if durability == Durability::Settings {
        sync_directory(directory)?;
    }
    Ok(())
}

/// Makes a file in a directory of hallpass. Whoever finds the directory empty may remove it
/// (a logout, a caller of a login that is over), also just before the file is there.
fn in_private_directory<T>(directory: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let attempt = || private_directory(directory).and_then(|()| make());
    for _ in 0..MOST_REMAKINGS {
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

/// Puts a new file of the user's own into a directory of theirs: whoever reads sees the old one or
/// the new one, whole, and only they can.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    write_for_user(path, content, None)
}

/// The same with a file that others may read, if they could read the old one.
pub(crate) fn rewrite(path: &Path, content: &[u8]) -> io::Result<()> {
    let old = std::fs::metadata(path).ok();
    write_for_user(path, content, old.map(|old| old.permissions()))
}

fn write_for_user(
    path: &Path,
    content: &[u8],
    permissions: Option<std::fs::Permissions>,
) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let file = written_beside(directory.unwrap_or(Path::new(".")), content)?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions)?;
    }
    persist(file, path)
}

/// A whole new file that has no name of its own yet.
fn written_beside(directory: &Path, content: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .tempfile_in(directory)?;
    file.write_all(content)?;
    Ok(file)
}

/// Windows refuses to replace a file while somebody reads it, which takes microseconds, though many
/// may do it in turn.
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

fn sync_directory(directory: &Path) -> io::Result<()> {
    // Windows has no such call: its directories are journalled.
    if cfg!(unix) {
        File::open(directory)?.sync_all()
    } else {
        Ok(())
    }
}

/// Whether there is something of this name.
pub(crate) fn exists(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        metadata => metadata.map(|_| true),
    }
}

/// Makes a directory for settings, or makes sure of one that is there. A new one outlives a power
/// failure, as do the files that are then put into it.
pub(crate) fn settings_directory(path: &Path) -> io::Result<()> {
    let is_missing = |directory: &&Path| exists(directory).is_ok_and(|exists| !exists);
    let new: Vec<_> = path.ancestors().take_while(is_missing).collect();
    private_directory(path)?;
    for parent in new.into_iter().filter_map(Path::parent) {
        match sync_directory(parent) {
            // One that may be written to and not be read.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// Removes a file of settings, and does not return before the disk knows; one that is not there is
/// fine.
pub(crate) fn remove_settings(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => {
            removed?;
            path.parent().map_or(Ok(()), sync_directory)
        }
    }
}

/// Removes a file; one that is not there is fine.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    absent_is_fine(std::fs::remove_file(path))
}

/// Removes a directory that has become empty; one that is not there, or not empty, is fine.
pub(crate) fn remove_empty_directory(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        result => absent_is_fine(result),
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The names in a directory; none if there is no such directory. Names that are not UTF-8 are not ours.
pub(crate) fn names(directory: &Path) -> io::Result<Vec<String>> {
    some_names(directory, usize::MAX)
}

/// The same for the first so many.
pub(crate) fn some_names(directory: &Path, most: usize) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(_) if directory.starts_with(NOWHERE) => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries.take(most) {
        names.extend(entry?.file_name().into_string().ok());
    }
    Ok(names)
}

/// Removes what a killed process left half written.
pub(crate) fn sweep(directory: &Path) -> io::Result<()> {
    for name in names(directory)? {
        if is_temporary(&name) {
            remove(&directory.join(name))?;
        }
    }
    Ok(())
}

/// Whether a file of this name is only half written.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY_PREFIX)
}

/// How long ago a file was written; none if there is no such file.
pub(crate) fn age(path: &Path) -> io::Result<Option<Duration>> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        metadata => Ok(Some(metadata?.modified()?.elapsed().unwrap_or_default())),
    }
}

/// Removes a file that was written longer ago than this.
pub(crate) fn remove_if_older(path: &Path, limit: Duration) -> io::Result<()> {
    match age(path)? {
        Some(age) if age > limit => remove(path),
        _ => Ok(()),
    }
}

/// A file that is empty for ever and exists to be locked. The kernel releases a lock with its holder.
///
/// The file may be removed by whoever holds the lock, by whoever clears all that a login left, and by
/// whoever has waited for longer than a holder may take ([`LockFile::replace`]). Others may have it
/// open then, and would lock what nobody else can see: so who takes a lock looks whether the file
/// still has its name.
#[derive(Debug)]
pub(crate) struct LockFile {
    file: File,
    path: PathBuf,
    opened: Metadata,
    is_held: bool,
    waiting: Option<Waiting>,
}

/// A thread that waits for a lock: no system has a lock call with a limit. A thread that waits in
/// vain ends with the process.
#[derive(Debug)]
struct Waiting {
    is_exclusive: bool,
    ended: mpsc::Receiver<io::Result<()>>,
}

impl LockFile {
    /// Not on Windows, where a file that follows under its name could not be told from it.
    pub(crate) const CAN_BE_REMOVED: bool = cfg!(unix);

    /// Opens the file, and makes it where it is missing, in a directory of hallpass.
    ///
    /// # Errors
    /// What the system says: a read-only disk, a foreign directory, something else in its place.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let open = || platform::open_private(path, Trust::Private, Access::Create);
        let file = in_private_directory(directory, open)?;
        let opened = file.metadata()?;
        match platform::distrust(&opened, Trust::Private) {
            None => Ok(Self {
                file,
                path: path.to_owned(),
                opened,
                is_held: false,
                waiting: None,
            }),
            Some(reason) => Err(io::Error::new(io::ErrorKind::InvalidInput, reason)),
        }
    }

    /// Takes the lock if it is free: it is held until this value is dropped. A file that was
    /// removed since it was opened is left for the one that has its name now.
    ///
    /// # Errors
    /// Some file systems know no locks.
    pub(crate) fn try_exclusive(&mut self) -> io::Result<bool> {
        let mut reopenings = MOST_REOPENINGS;
        loop {
            if !self.is_held {
                match self.file.try_lock() {
                    Ok(()) => self.is_held = true,
                    Err(TryLockError::WouldBlock) => return Ok(false),
                    Err(TryLockError::Error(error)) => return Err(error),
                }
            }
            if reopenings == 0 || !self.is_removed() {
                return Ok(true);
            }
            reopenings -= 1;
            *self = Self::open(&self.path)?;
        }
    }

    /// Whether the name is free by now, or another file's.
    pub(crate) fn is_removed(&self) -> bool {
        match std::fs::symlink_metadata(&self.path) {
            Ok(found) => !platform::is_same_file(&self.opened, &found),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Removes the file of a lock that is held, where that can be done.
    pub(crate) fn remove(self) -> io::Result<()> {
        if Self::CAN_BE_REMOVED && !self.is_removed() {
            remove(&self.path)?;
        }
        Ok(())
    }

    /// Puts a new lock file in the place of this one, whose holder does not let it go: a process
    /// that is stopped keeps its locks. The holder does no harm when it goes on, as files are
    /// replaced whole.
    ///
    /// # Errors
    /// Where that cannot be done: another system, a file system without locks, a full disk.
    pub(crate) fn replace(&self) -> io::Result<Self> {
        let directory = self.path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        if !Self::CAN_BE_REMOVED {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // One at a time: between a look at the name and its removal, another could have put a new
        // file there. The directory itself is locked, for no longer than that takes.
        let directory = File::open(directory)?;
        for _ in 0..REPLACE_ATTEMPTS {
            match directory.try_lock() {
                Ok(()) => {
                    if !self.is_removed() {
                        remove(&self.path)?;
                    }
                    return Self::open(&self.path);
                }
                Err(TryLockError::WouldBlock) => thread::sleep(REPLACE_PAUSE),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Waits until nobody holds the lock exclusively, at most for `limit`; may be called again to
    /// go on. All who wait wake together, as they wait for a shared lock, which they let go at once.
    ///
    /// Returns whether it was free in time.
    pub(crate) fn wait_until_free(&mut self, limit: Duration) -> io::Result<bool> {
        self.wait(false, limit)
    }

    /// The same, but those who wait wake one after the other, and whoever is woken has the lock.
    pub(crate) fn wait_in_line(&mut self, limit: Duration) -> io::Result<bool> {
        let is_free = self.wait(true, limit)?;
        self.is_held |= is_free;
        Ok(is_free)
    }

    fn wait(&mut self, is_exclusive: bool, limit: Duration) -> io::Result<bool> {
        let waiting = self.waiting.take();
        let waiting = waiting.filter(|waiting| waiting.is_exclusive == is_exclusive);
        let waiting = match waiting {
            Some(waiting) => waiting,
            None => Waiting {
                is_exclusive,
                ended: wait_for_lock(self.file.try_clone()?, is_exclusive)?,
            },
        };
        if let Ok(locked) = waiting.ended.recv_timeout(limit) {
            return locked.map(|()| true);
        }
        self.waiting = Some(waiting);
        Ok(false)
    }
}

fn wait_for_lock(file: File, is_exclusive: bool) -> io::Result<mpsc::Receiver<io::Result<()>>> {
    let (sender, ended) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let locked = loop {
            let locked = if is_exclusive {
                file.lock()
            } else {
                file.lock_shared()
            };
            match locked {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                locked => break locked,
            }
        };
        if !is_exclusive {
            // Its result is not worth a look: some systems report a failure that was none.
            let _ = file.unlock();
        }
        let _ = sender.send(locked);
    })?;
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_directory_that_somebody_removes_before_a_file_is_in_it_is_made_anew() {
        let room = TempDir::with_prefix("hallpass-test-").expect("a directory");
        let directory = room.path().join("p");
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
    fn a_directory_that_cannot_be_is_not_waited_for() {
        let room = TempDir::with_prefix("hallpass-test-").expect("a directory");
        let file = room.path().join("file");
        std::fs::write(&file, "").expect("a file");
        let made = in_private_directory(&file, || -> io::Result<()> { unreachable!("a file") });
        assert!(made.is_err());
    }
}
