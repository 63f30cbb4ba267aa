//! Lock files: only one process at a time holds the lock, and the others can wait for it.

use std::fs::{File, Metadata, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::remove;
use super::replace::{REPLACE_ATTEMPTS, REPLACE_PAUSE, in_private_directory};
use crate::platform::{self, Access, Trust};

/// How often to open a lock file again that seems to have been removed. Some file systems report a
/// new inode number each time; their locks work nevertheless.
const REOPEN_LIMIT: u32 = 16;

/// An empty file to lock. The kernel releases the lock when its holder ends.
///
/// The file can be removed by the lock's holder, by a logout, and by a caller that has waited for too
/// long ([`LockFile::replace`]). Another process may still have the removed file open. So after
/// locking, it checks that the path still leads to the file that it locked.
#[derive(Debug)]
pub(crate) struct LockFile {
    file: File,
    path: PathBuf,
    opened: Metadata,
    is_held: bool,
    waiter: Option<Waiter>,
}

/// A thread that waits for a lock, because no system has a lock call with a timeout. The thread may
/// wait until the process ends.
#[derive(Debug)]
struct Waiter {
    is_exclusive: bool,
    result: mpsc::Receiver<io::Result<()>>,
}

impl LockFile {
    /// False on Windows, where std cannot tell a new file from the removed one.
    pub(crate) const CAN_BE_REMOVED: bool = cfg!(unix);

    /// Opens or creates the file, in a directory of hallpass.
    ///
    /// # Errors
    /// A read-only disk, another user's directory, or something else at this path.
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
                waiter: None,
            }),
            Some(reason) => Err(io::Error::new(io::ErrorKind::InvalidInput, reason)),
        }
    }

    /// Takes the lock if it is free, until this value is dropped. If the file was removed since it was
    /// opened, this opens and locks the file that is now at its path.
    ///
    /// During a wait that is to be continued this returns false: only the wait can get the lock. The
    /// waiting thread uses the same open file, so the shared lock that it gets would replace an
    /// exclusive one that was taken here, and be released.
    ///
    /// # Errors
    /// Some file systems do not support locks.
    pub(crate) fn try_exclusive(&mut self) -> io::Result<bool> {
        if self.waiter.is_some() {
            return Ok(false);
        }
        let mut reopenings = REOPEN_LIMIT;
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

    /// The process that holds the lock, if the system tells. For messages only.
    pub(crate) fn holder(&self) -> Option<u32> {
        platform::lock_holder(&self.opened)
    }

    /// Whether the path leads to no file or to another file.
    pub(crate) fn is_removed(&self) -> bool {
        match std::fs::symlink_metadata(&self.path) {
            Ok(found) => !platform::is_same_file(&self.opened, &found),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Removes the file of a lock that is held, if the platform allows it.
    pub(crate) fn remove(self) -> io::Result<()> {
        if Self::CAN_BE_REMOVED && !self.is_removed() {
            remove(&self.path)?;
        }
        Ok(())
    }

    /// Replaces the lock file, because its holder keeps it: a suspended process does not release its
    /// locks. The old holder does no harm if it continues, because it replaces files atomically.
    ///
    /// # Errors
    /// Windows, a file system without locks, a full disk.
    pub(crate) fn replace(&self) -> io::Result<Self> {
        let directory = self.path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        if !Self::CAN_BE_REMOVED {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // Lock the directory: otherwise another caller could replace the file between the check and the
        // removal.
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

    /// Waits until the lock is free, for at most `limit`. Call it again to continue waiting. All callers
    /// wake together, because they wait for a shared lock, which they release at once.
    ///
    /// Returns whether it was free in time.
    pub(crate) fn wait_until_free(&mut self, limit: Duration) -> io::Result<bool> {
        self.wait(false, limit)
    }

    /// The same, but the callers wake one at a time, and each has the lock when it wakes.
    pub(crate) fn wait_in_line(&mut self, limit: Duration) -> io::Result<bool> {
        self.wait(true, limit)
    }

    /// Continues the wait that has begun, or begins one.
    fn wait(&mut self, is_exclusive: bool, limit: Duration) -> io::Result<bool> {
        let waiter = match self.waiter.take() {
            Some(waiter) => waiter,
            None => Waiter {
                is_exclusive,
                result: start_waiting(self.file.try_clone()?, is_exclusive)?,
            },
        };
        if let Ok(locked) = waiter.result.recv_timeout(limit) {
            self.is_held |= waiter.is_exclusive && locked.is_ok();
            return locked.map(|()| true);
        }
        self.waiter = Some(waiter);
        Ok(false)
    }
}

/// Returns where the result of the lock call will arrive.
fn start_waiting(file: File, is_exclusive: bool) -> io::Result<mpsc::Receiver<io::Result<()>>> {
    let (sender, result) = mpsc::channel();
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
            // Some systems report an error although they released the lock.
            let _ = file.unlock();
        }
        // Before the result arrives: a lock is released when its file is closed everywhere.
        drop(file);
        let _ = sender.send(locked);
    })?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// Whether a wait ends or is continued depends on the moment at which the lock becomes free.
    #[test]
    fn a_lock_that_is_acquired_during_a_wait_is_kept() {
        let directory = TempDir::with_prefix("hallpass-test-").expect("a directory");
        for in_line in [false, true] {
            for round in 0..100 {
                // A process that another test is starting may still have the lock of a round before.
                let path = directory.path().join(format!("{in_line}-{round}.lock"));
                let open = || LockFile::open(&path).expect("a lock file");
                let mut holder = open();
                assert!(holder.try_exclusive().expect("locks"));
                let mut caller = open();
                let wait = |caller: &mut LockFile, limit| {
                    if in_line {
                        caller.wait_in_line(limit).expect("waits")
                    } else {
                        caller.wait_until_free(limit).expect("waits")
                    }
                };
                assert!(!wait(&mut caller, Duration::ZERO), "it is held");
                drop(holder);
                while !caller.try_exclusive().expect("locks") {
                    wait(&mut caller, Duration::from_micros(1));
                }
                // Whatever thread of the caller still waits gets the time to end.
                for _ in 0..20 {
                    thread::yield_now();
                    assert!(!open().try_exclusive().expect("locks"), "two hold the lock");
                }
            }
        }
    }
}
