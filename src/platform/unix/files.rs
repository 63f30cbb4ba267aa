//! Modes and owners of files, and how they are opened.

use std::ffi::CString;
use std::fs::{DirBuilder, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, accessat, openat, statvfs};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::platform::{Access, FileKind, Sharing, Trust, WRITABLE_BY_OTHERS};

/// Opens a file without waiting for the other end of a pipe, and without following a link at its path
/// (except [`Trust::Secret`] and [`Trust::Identity`]).
///
/// By a direct system call, because the C library makes two.
pub(crate) fn open_private(path: &Path, trust: Trust, access: Access) -> io::Result<File> {
    let mut flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    flags |= match access {
        Access::Read => OFlags::RDONLY,
        Access::Create => OFlags::RDWR | OFlags::CREATE,
    };
    if matches!(trust, Trust::Private | Trust::Settings | Trust::Managed) {
        flags |= OFlags::NOFOLLOW;
    }
    let open = || openat(CWD, path, flags, Mode::RUSR | Mode::WUSR);
    Ok(File::from(rustix::io::retry_on_intr(open)?))
}

/// Duplicates a file descriptor. Both share the file's position and flags.
pub(crate) fn duplicate(descriptor: u32) -> io::Result<File> {
    let descriptor = i32::try_from(descriptor).map_err(|_| Errno::BADF)?;
    // SAFETY: it is used for this call only, which fails if the descriptor is not open.
    #[allow(unsafe_code, reason = "std has no safe conversion from a number")]
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(descriptor) };
    Ok(File::from(rustix::io::fcntl_dupfd_cloexec(borrowed, 3)?))
}

/// Opens a pipe or a terminal for writing. Waits for a pipe's reader, as a shell does.
pub(crate) fn open_stream(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
    let open = || openat(CWD, path, flags, Mode::empty());
    Ok(File::from(rustix::io::retry_on_intr(open)?))
}

pub(crate) fn file_kind(metadata: &Metadata) -> FileKind {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        FileKind::Link
    } else if kind.is_file() {
        FileKind::Regular
    } else if kind.is_dir() {
        FileKind::Directory
    } else if kind.is_fifo() || kind.is_char_device() {
        FileKind::Stream
    } else {
        FileKind::Other
    }
}

/// Whether another user put a pipe into a shared directory such as `/tmp`, perhaps to intercept what is
/// written to that path (`protected_fifos` in `proc_sys_fs(5)`).
pub(crate) fn is_planted(path: &Path, metadata: &Metadata) -> bool {
    const SHARED: u32 = 0o1002;
    let directory = path.parent().and_then(|parent| parent.metadata().ok());
    directory.is_some_and(|directory| {
        let owners = [user(), directory.uid()];
        directory.mode() & SHARED == SHARED && !owners.contains(&metadata.uid())
    })
}

pub(crate) fn is_link_refusal(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// Why this file must not be trusted, as text that follows its name.
pub(crate) fn distrust(metadata: &Metadata, trust: Trust) -> Option<&'static str> {
    let owner = metadata.uid();
    let is_own = match trust {
        Trust::Private | Trust::Settings => owner == user(),
        Trust::Managed => owner == 0,
        Trust::Secret => owner == user() || owner == 0,
        Trust::Identity => true,
    };
    let others_may = metadata.mode()
        & match trust {
            Trust::Settings | Trust::Managed | Trust::Identity => 0o022,
            Trust::Private | Trust::Secret => 0o077,
        };
    if !metadata.is_file() {
        Some("is not a regular file")
    } else if !is_own {
        Some("belongs to another user")
    } else if others_may & 0o022 != 0 {
        Some(WRITABLE_BY_OTHERS)
    } else if others_may != 0 {
        Some("can be read by other users")
    } else if trust == Trust::Private && metadata.nlink() > 1 {
        Some("has a second name")
    } else {
        None
    }
}

/// Why this directory must not be trusted, as text that follows its name.
pub(crate) fn distrust_directory(metadata: &Metadata) -> Option<&'static str> {
    if ![user(), 0].contains(&metadata.uid()) {
        Some("belongs to another user")
    } else if metadata.mode() & 0o022 != 0 {
        Some(WRITABLE_BY_OTHERS)
    } else {
        None
    }
}

/// Where the policy and the managed profiles are. No variable or option of a user moves it.
pub(crate) fn managed_directory() -> PathBuf {
    PathBuf::from(if cfg!(target_os = "macos") {
        "/Library/Application Support/hallpass"
    } else {
        "/etc/hallpass"
    })
}

/// Why a file or directory of the administrator must not be trusted, as text that follows its name.
pub(crate) fn distrust_managed(_: &Path, metadata: &Metadata) -> Option<&'static str> {
    if metadata.file_type().is_symlink() {
        Some("is a symbolic link")
    } else if metadata.uid() != 0 {
        Some("does not belong to root")
    } else if metadata.mode() & 0o022 != 0 {
        Some(WRITABLE_BY_OTHERS)
    } else {
        None
    }
}

/// The user that this process runs as, who does not change. A list of profiles checks thousands of files.
pub(super) fn user() -> u32 {
    static USER: OnceLock<u32> = OnceLock::new();
    *USER.get_or_init(|| geteuid().as_raw())
}

/// Whether both are the same file. The number of links would not show that a file was removed: NFS
/// renames a removed file that is still open.
pub(crate) fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

pub(crate) fn is_foreign(metadata: &Metadata) -> bool {
    metadata.uid() != user()
}

/// Checks that a file can be created in a directory, without creating one.
pub(crate) fn check_writable(directory: &Path) -> io::Result<()> {
    /// A cached token and its lock need less, in bytes.
    const NEEDED: u64 = 16 * 1024;
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    accessat(CWD, directory, access, AtFlags::EACCESS)?;
    let space = statvfs(directory)?;
    // Some blocks are for the superuser only.
    let blocks = if geteuid().is_root() {
        space.f_bfree
    } else {
        space.f_bavail
    };
    // A file system without a limit of its files has none at all.
    let is_out_of_files = space.f_files > 0 && space.f_ffree == 0;
    if blocks.saturating_mul(space.f_frsize) < NEEDED || is_out_of_files {
        return Err(Errno::NOSPC.into());
    }
    Ok(())
}

/// The process that locks a file, if the system says so (`proc_locks(5)`). In a container, it may not.
#[cfg(target_os = "linux")]
pub(crate) fn lock_holder(file: &Metadata) -> Option<u32> {
    let device = file.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let id = format!("{major:02x}:{minor:02x}:{}", file.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // `1: FLOCK  ADVISORY  WRITE 1234 08:02:131 0 EOF`; those who wait have `->` in the second column.
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let is_lock = words.next() == Some("FLOCK") && words.nth(1) == Some("WRITE");
        let process = words
            .next()
            .filter(|_| is_lock && words.next() == Some(&id));
        process.and_then(|process| process.parse().ok())
    })
}

/// Other systems do not say it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn lock_holder(_file: &Metadata) -> Option<u32> {
    None
}

/// Whether every user of the machine may replace the files in a directory. In `/tmp`, for example, only
/// their owners may.
pub(crate) fn is_open_to_all(directory: &Metadata) -> bool {
    const STICKY: u32 = 0o1000;
    directory.mode() & 0o002 != 0 && directory.mode() & STICKY == 0
}

/// Lets others read a file.
///
/// # Errors
/// The user is not in the group.
pub(crate) fn share(file: &File, sharing: &Sharing) -> io::Result<()> {
    if let Some(group) = sharing.group {
        std::os::unix::fs::fchown(file, None, Some(group))?;
    }
    file.set_permissions(Permissions::from_mode(mode_of(sharing)))
}

/// Gives a new file the owner and group of the file that it is to replace. False if that is not possible,
/// or if the old file has something else that would be lost: other names, or attributes.
pub(crate) fn is_like(new: &File, path: &Path, old: &Metadata) -> bool {
    if old.nlink() > 1 || has_attributes(path) {
        return false;
    }
    let Ok(made) = new.metadata() else {
        return false;
    };
    let other = |wanted: u32, made: u32| (wanted != made).then_some(wanted);
    let (owner, group) = (other(old.uid(), made.uid()), other(old.gid(), made.gid()));
    let is_same = owner.is_none() && group.is_none();
    is_same || std::os::unix::fs::fchown(new, owner, group).is_ok()
}

/// Whether a file has an access list or other attributes, but for those that each new file gets.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn has_attributes(path: &Path) -> bool {
    let mut names = [0; 4096];
    let read: Result<usize, _> = rustix::fs::listxattr(path, &mut names);
    match read {
        Ok(length) => names[..length]
            .split(|byte| *byte == 0)
            .any(|name| !name.is_empty() && name != b"security.selinux"),
        // No attributes on this file system, or more than fit.
        Err(error) => error == rustix::io::Errno::RANGE,
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn has_attributes(_: &Path) -> bool {
    false
}

/// Whether a file has these permissions, and this group.
pub(crate) fn is_shared_as(file: &Metadata, sharing: &Sharing) -> bool {
    let is_of_group = sharing.group.is_none_or(|group| group == file.gid());
    file.mode() & 0o7777 == mode_of(sharing) && is_of_group
}

fn mode_of(sharing: &Sharing) -> u32 {
    sharing.mode.unwrap_or(0o600)
}

/// The number of a group that is given by its name or number; none if there is no such group.
///
/// Only before another thread is started, which could ask for a group as well.
pub(crate) fn group_number(group: &str) -> Option<u32> {
    if let Ok(number) = group.parse() {
        return Some(number);
    }
    let name = CString::new(group).ok()?;
    // SAFETY: the name ends with a NUL; for threads, see above.
    #[allow(unsafe_code, reason = "std and rustix have no groups")]
    let found = unsafe { libc::getgrnam(name.as_ptr()).as_ref() };
    found.map(|found| found.gr_gid)
}

/// Creates a directory that only the user can enter, or checks an existing one. If others may write to
/// the user's directory, its mode is corrected.
pub(crate) fn private_directory(path: &Path) -> io::Result<()> {
    let is_private =
        |found: Metadata| found.is_dir() && !is_foreign(&found) && found.mode() & 0o022 == 0;
    // In one system call instead of seven.
    if std::fs::metadata(path).is_ok_and(is_private) {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let directory = File::open(path)?;
    let metadata = directory.metadata()?;
    if is_foreign(&metadata) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the directory belongs to another user",
        ));
    }
    if metadata.mode() & 0o022 != 0 {
        directory.set_permissions(Permissions::from_mode(0o700))?;
    }
    Ok(())
}
