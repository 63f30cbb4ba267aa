//! Unix: signals, modes and owners of files, and the terminal.

use std::ffi::{CStr, CString, OsString, c_char};
use std::fs::{DirBuilder, File, Metadata, Permissions};
use std::io::{self, Read as _};
use std::os::fd::IntoRawFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, fcntl_getfd};
use rustix::process::{Pid, Resource, Rlimit, geteuid, getpid, setrlimit};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use zeroize::Zeroizing;

use super::{Access, FileKind, Trust, WRITABLE_BY_OTHERS, signals};

// The unwinder, which nobody here needs, comes with the program: the shared library that the
// compiler names asks the processor a dozen questions at every start.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[link(name = "gcc_eh", kind = "static", modifiers = "-bundle")]
#[allow(unsafe_code, reason = "it declares nothing")]
unsafe extern "C" {}

/// Does what Rust's own start does that we need before a file is opened, and reads the arguments.
///
/// # Safety
/// `arguments` must have `count` texts, each with a NUL at its end.
#[cfg_attr(test, allow(dead_code, reason = "Rust starts the unit tests"))]
#[allow(unsafe_code, reason = "the C library's way to give arguments")]
pub(crate) unsafe fn start(count: i32, arguments: *const *const c_char) -> Vec<OsString> {
    // A file that we open must not become a standard stream that our caller closed: what is
    // printed would go there.
    for stream in [stdin(), stdout(), stderr()] {
        if fcntl_getfd(stream) == Err(Errno::BADF) {
            // The lowest free descriptor, which is this one. It stays open, also for a program
            // that we become.
            match openat(CWD, "/dev/null", OFlags::RDWR, Mode::empty()) {
                Ok(null) => drop(null.into_raw_fd()),
                Err(_) => std::process::abort(),
            }
        }
    }
    let count = usize::try_from(count).unwrap_or(0);
    (0..count)
        .map(|index| {
            // SAFETY: as the caller promises.
            let argument = unsafe { CStr::from_ptr(*arguments.add(index)) };
            OsString::from_vec(argument.to_bytes().to_vec())
        })
        .collect()
}

/// Keeps the secret out of core dumps and other processes' debuggers, and new files private
/// whatever the caller's umask. Best effort: no token is refused over it.
///
/// A write that fails is an error, and no reason to die: nobody reads any more, or a file would
/// grow beyond `ulimit -f`.
///
/// A process that is to become another program keeps its limit of core dumps, which nobody
/// could give back.
pub(crate) fn harden(becomes_another: bool) -> Inherited {
    signals::block();
    let umask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    if !becomes_another {
        let nothing = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        let _ = setrlimit(Resource::Core, nothing);
    }
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    Inherited { umask }
}

/// What the caller had, before [`harden`] changed it for us.
pub(crate) struct Inherited {
    umask: Mode,
}

impl Inherited {
    /// Replaces this process by another program, which gets what we were given. Returns only
    /// where it cannot be run. The kernel itself makes the process dumpable again.
    pub(crate) fn replace_process(self, command: &mut Command) -> io::Error {
        rustix::process::umask(self.umask);
        if signals::unblock() {
            // Services of systemd do. By then std has gone back to the default.
            let again = || {
                signals::ignore_broken_pipes();
                Ok(())
            };
            // SAFETY: even a signal handler may do this (signal-safety(7)).
            #[allow(unsafe_code, reason = "std has no other way to do something last")]
            unsafe {
                command.pre_exec(again);
            }
        }
        command.exec()
    }
}

/// Makes another name for a program: a symbolic link.
pub(crate) fn link(program: &Path, name: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(program, name)
}

/// Overwrites the value where the kernel put it at our start, and shows it (`/proc/PID/environ`).
pub(super) fn wipe_variable(name: &str) {
    #[allow(unsafe_code, reason = "the C library alone knows where the value lies")]
    unsafe extern "C" {
        fn getenv(name: *const c_char) -> *mut c_char;
    }
    let Ok(name) = CString::new(name) else {
        return;
    };
    // SAFETY: the name ends with a NUL. The value does too, it is ours to write to (environ(7)),
    // and nobody else reads the environment now: see `take_variable`.
    #[allow(unsafe_code, reason = "see there")]
    unsafe {
        let value = getenv(name.as_ptr());
        if !value.is_null() {
            std::ptr::write_bytes(value, b'*', CStr::from_ptr(value).count_bytes());
        }
    }
}

/// Opens without waiting for the other end of a pipe, and without following a link to the file itself.
///
/// Not by way of the C library, which makes two system calls of it.
pub(crate) fn open_private(path: &Path, trust: Trust, access: Access) -> io::Result<File> {
    let mut flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    flags |= match access {
        Access::Read => OFlags::RDONLY,
        Access::Create => OFlags::RDWR | OFlags::CREATE,
    };
    if trust != Trust::Secret {
        flags |= OFlags::NOFOLLOW;
    }
    let open = || openat(CWD, path, flags, Mode::RUSR | Mode::WUSR);
    Ok(File::from(rustix::io::retry_on_intr(open)?))
}

/// As it is: Rust's own comes with a buffer, and a lock for all who might share it.
pub(crate) fn standard_input() -> impl io::Read {
    struct StandardInput;
    impl io::Read for StandardInput {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = || rustix::io::read(stdin(), &mut *buffer);
            Ok(rustix::io::retry_on_intr(read)?)
        }
    }
    StandardInput
}

/// Writes at once: a buffer that lives for one line costs more than it saves.
pub(crate) fn write_to_stdout(mut output: &[u8]) -> io::Result<()> {
    while !output.is_empty() {
        let write = || rustix::io::write(stdout(), output);
        let count = rustix::io::retry_on_intr(write)?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        output = &output[count..];
    }
    Ok(())
}

/// This process, or the whole system, may open no more files.
pub(crate) fn is_lack_of_descriptors(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE]
        .map(|errno| Some(errno.raw_os_error()))
        .contains(&number)
}

/// Another descriptor of an open file, which keeps its position and its flags.
pub(crate) fn duplicate(descriptor: u32) -> io::Result<File> {
    let descriptor = i32::try_from(descriptor).map_err(|_| Errno::BADF)?;
    // SAFETY: it is used for this call only. Where none is open, the call says so.
    #[allow(
        unsafe_code,
        reason = "std has no safe way from a number to a descriptor"
    )]
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(descriptor) };
    Ok(File::from(rustix::io::fcntl_dupfd_cloexec(borrowed, 3)?))
}

/// Opens a pipe or a terminal to write to it, and waits for a reader as a shell does.
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

/// Whether another user put a pipe into a directory that everybody may write to, where it may
/// stand for a file that we were told to write (`protected_fifos` in `proc_sys_fs(5)`).
pub(crate) fn is_planted(path: &Path, metadata: &Metadata) -> bool {
    const SHARED: u32 = 0o1002;
    let directory = path.parent().and_then(|parent| parent.metadata().ok());
    directory.is_some_and(|directory| {
        let owners = [geteuid().as_raw(), directory.uid()];
        directory.mode() & SHARED == SHARED && !owners.contains(&metadata.uid())
    })
}

pub(crate) fn is_link_refusal(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// Why this file is not to be believed, fit to follow its name.
pub(crate) fn distrust(metadata: &Metadata, trust: Trust) -> Option<&'static str> {
    let owner = metadata.uid();
    let ours = owner == geteuid().as_raw() || (trust == Trust::Secret && owner == 0);
    let strangers_may = metadata.mode()
        & if trust == Trust::Settings {
            0o022
        } else {
            0o077
        };
    if !metadata.is_file() {
        Some("is not a regular file")
    } else if !ours {
        Some("belongs to another user")
    } else if strangers_may & 0o022 != 0 {
        Some(WRITABLE_BY_OTHERS)
    } else if strangers_may != 0 {
        Some("can be read by other users")
    } else if trust == Trust::Private && metadata.nlink() > 1 {
        Some("has a second name")
    } else {
        None
    }
}

/// Why the files in this directory are not to be believed, fit to follow its name.
pub(crate) fn distrust_directory(metadata: &Metadata) -> Option<&'static str> {
    if ![geteuid().as_raw(), 0].contains(&metadata.uid()) {
        Some("belongs to another user")
    } else if metadata.mode() & 0o022 != 0 {
        Some(WRITABLE_BY_OTHERS)
    } else {
        None
    }
}

/// Whether one file was looked at twice. To count its names would not do: NFS keeps a removed
/// file that somebody has open, under another name.
pub(crate) fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Makes a directory that only we can enter, or makes sure of one that is there.
///
/// Only a directory of our own that others may write to is repaired, by its descriptor.
pub(crate) fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let directory = File::open(path)?;
    let metadata = directory.metadata()?;
    if metadata.uid() != geteuid().as_raw() {
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

/// A terminal that does not show what is typed, until this is dropped or a signal ends the process.
pub(crate) struct QuietTerminal {
    terminal: File,
    before: Termios,
    is_quiet: Arc<Mutex<bool>>,
}

impl QuietTerminal {
    pub(crate) fn open() -> io::Result<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut signals = Signals::new([SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
        let mut quiet = before.clone();
        // Not canonical: that mode cuts a line at 4,096 bytes. Ctrl-C stays a signal.
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        let is_quiet = Arc::new(Mutex::new(true));
        let (at_signal, restored) = (terminal.try_clone()?, before.clone());
        let quiet_at_signal = Arc::clone(&is_quiet);
        tcsetattr(&terminal, OptionalActions::Now, &quiet)?;
        // It serves as long as the process: a signal that was caught once has no default any more.
        std::thread::spawn(move || {
            for signal in signals.forever() {
                let is_quiet = quiet_at_signal
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                // A shell that continues us has set the terminal for itself meanwhile.
                let settings = if signal == SIGCONT { &quiet } else { &restored };
                if *is_quiet {
                    let _ = tcsetattr(&at_signal, OptionalActions::Now, settings);
                }
                end_by(signal);
            }
        });
        Ok(Self {
            terminal,
            before,
            is_quiet,
        })
    }

    pub(crate) fn terminal(&self) -> io::Result<File> {
        self.terminal.try_clone()
    }

    /// What was typed or pasted and not read yet: otherwise the shell would show it, and run it.
    pub(crate) fn rest(&mut self) -> Zeroizing<Vec<u8>> {
        let waiting = rustix::io::ioctl_fionread(&self.terminal).unwrap_or(0);
        let mut rest = Zeroizing::new(vec![0; usize::try_from(waiting).unwrap_or(0)]);
        let count = self.terminal.read(&mut rest).unwrap_or(0);
        rest.truncate(count);
        rest
    }
}

/// What the signal does where nobody handles it.
fn end_by(signal: i32) {
    // The kernel does not end the first process of a container by a signal.
    if getpid() == Pid::INIT && signal != SIGCONT {
        std::process::exit(128 + signal);
    }
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}

impl Drop for QuietTerminal {
    fn drop(&mut self) {
        let mut is_quiet = self.is_quiet.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
        *is_quiet = false;
    }
}
