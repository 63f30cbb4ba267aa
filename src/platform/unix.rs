//! Unix: the process, its standard streams, and the files and the terminal in submodules.

mod files;
mod manager;
mod record;
mod service;
mod socket;
mod terminal;

use std::ffi::{CStr, CString, OsString, c_char};
use std::io;
use std::os::fd::{BorrowedFd, IntoRawFd as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, fcntl_getfd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{isatty, tcgetwinsize};

use super::{Screen, USUAL_WIDTH, signals};
use crate::message;
pub(crate) use files::{
    check_writable, distrust, distrust_directory, distrust_managed, duplicate, file_kind,
    group_number, is_foreign, is_like, is_link_refusal, is_open_to_all, is_planted, is_same_file,
    is_shared_as, lock_holder, managed_directory, open_private, open_stream, private_directory,
    share,
};
pub(crate) use manager::notify;
pub(crate) use record::{caller, datagrams_to, open_safely};
pub(crate) use service::{StopSignals, exit_code, is_reload, pass_signal_on};
pub(crate) use socket::{SocketFile, ask_socket, listen_on_socket, may_connect};
pub(crate) use terminal::QuietTerminal;

// Links the unwinder statically, although a panic aborts: the shared library that rustc links otherwise
// runs CPUID a dozen times at every start, which is slow in a virtual machine.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[link(name = "gcc_eh", kind = "static", modifiers = "-bundle")]
#[allow(unsafe_code, reason = "it declares nothing")]
unsafe extern "C" {}

/// Does the part of std's startup that is needed before a file is opened, and returns the arguments.
///
/// # Safety
/// `arguments` must contain `count` strings that end with a NUL.
#[cfg_attr(test, allow(dead_code, reason = "Rust starts the unit tests"))]
#[allow(unsafe_code, reason = "the C library's way to give arguments")]
pub(crate) unsafe fn start(count: i32, arguments: *const *const c_char) -> Vec<OsString> {
    // If the caller closed a standard stream, the next file that is opened would take its descriptor,
    // and output would go to that file.
    for stream in [stdin(), stdout(), stderr()] {
        if fcntl_getfd(stream) == Err(Errno::BADF) {
            // `open` returns the lowest free descriptor, which is this one. It stays open, also for a
            // program that `exec` runs.
            match openat(CWD, "/dev/null", OFlags::RDWR, Mode::empty()) {
                Ok(null) => drop(null.into_raw_fd()),
                Err(_) => std::process::abort(),
            }
        }
    }
    let count = usize::try_from(count).unwrap_or(0);
    (0..count)
        .map(|index| {
            // SAFETY: see above.
            let argument = unsafe { CStr::from_ptr(*arguments.add(index)) };
            OsString::from_vec(argument.to_bytes().to_vec())
        })
        .collect()
}

/// Keeps the secret out of core dumps and other processes' debuggers, and makes new files private.
/// Best effort: an error here is no reason to refuse a token.
///
/// Also blocks the signals of failed writes: see [`signals`].
///
/// With `becomes_another` (`exec`), the limit of core dumps stays, because it could not be restored for
/// the program that is run.
pub(crate) fn harden(becomes_another: bool) -> Inherited {
    signals::block();
    let umask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    if !becomes_another {
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        let _ = setrlimit(Resource::Core, none);
    }
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    Inherited { umask }
}

/// How many files this process may have open; before, the limit is raised to this number if that is
/// possible.
pub(crate) fn descriptor_limit(wanted: Option<usize>) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = wanted.map(|wanted| maximum.unwrap_or(u64::MAX).min(wanted as u64));
    let limit = current.unwrap_or(u64::MAX);
    let raised = wanted.filter(|wanted| {
        let raised = Rlimit {
            current: Some(*wanted),
            maximum,
        };
        *wanted > limit && setrlimit(Resource::Nofile, raised).is_ok()
    });
    usize::try_from(raised.unwrap_or(limit)).unwrap_or(usize::MAX)
}

/// The process attributes that [`harden`] changed, to restore them for another program.
pub(crate) struct Inherited {
    umask: Mode,
}

impl Inherited {
    /// Replaces this process by another program, with the inherited attributes. Returns only if that
    /// fails. The kernel makes the process dumpable again.
    pub(crate) fn replace_process(self, command: &mut Command) -> io::Error {
        rustix::process::umask(self.umask);
        if signals::unblock() {
            // systemd starts services like that. std has restored the default action by then.
            let again = || {
                signals::ignore_sigpipe();
                Ok(())
            };
            // SAFETY: `signal` is async-signal-safe (signal-safety(7)).
            #[allow(unsafe_code, reason = "it must run after std's own steps")]
            unsafe {
                command.pre_exec(again);
            }
        }
        command.exec()
    }
}

/// Creates a link to a program: a symbolic link.
pub(crate) fn link(program: &Path, name: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(program, name)
}

/// Whether a variable is set, and not to 0. Every call asks this, and std's lock and copies would take
/// more instructions than the search itself.
///
/// Only before another thread is started, which could change the environment.
pub(super) fn is_switched_on(name: &CStr) -> bool {
    // SAFETY: the name ends with a NUL, and so does the value, which stays as it is: see above.
    #[allow(unsafe_code, reason = "std takes a lock and copies the value")]
    let value = unsafe {
        let value = libc::getenv(name.as_ptr());
        if value.is_null() {
            return false;
        }
        CStr::from_ptr(value)
    };
    !value.is_empty() && value != c"0"
}

/// Overwrites the value in the memory where the kernel put it, which `/proc/PID/environ` shows.
pub(super) fn wipe_variable(name: &str) {
    let Ok(name) = CString::new(name) else {
        return;
    };
    // SAFETY: the name and the value end with a NUL, the value is writable (environ(7)), and no other
    // thread reads the environment now: see `take_variable`.
    #[allow(unsafe_code, reason = "only the C library knows where the value is")]
    unsafe {
        let value = libc::getenv(name.as_ptr());
        if !value.is_null() {
            std::ptr::write_bytes(value, b'*', CStr::from_ptr(value).count_bytes());
        }
    }
}

/// Standard input, without std's buffer and lock.
pub(crate) fn standard_input() -> impl io::Read {
    struct StandardInput;
    impl io::Read for StandardInput {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            loop {
                match rustix::io::read(stdin(), &mut *buffer) {
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => wait_for(stdin(), PollFlags::IN)?,
                    read => return Ok(read?),
                }
            }
        }
    }
    StandardInput
}

/// Waits for a descriptor that does not block: the caller's event loop has it, too.
#[cold]
fn wait_for(descriptor: BorrowedFd<'_>, event: PollFlags) -> io::Result<()> {
    let wait = || poll(&mut [PollFd::from_borrowed_fd(descriptor, event)], None);
    rustix::io::retry_on_intr(wait)?;
    Ok(())
}

/// Writes without std's buffer, which costs more than it saves for one line.
pub(crate) fn write_to_stdout(mut output: &[u8]) -> io::Result<()> {
    while !output.is_empty() {
        match rustix::io::write(stdout(), output) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => output = &output[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for(stdout(), PollFlags::OUT)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The terminal that standard output goes to; none if it goes elsewhere.
pub(crate) fn screen() -> Option<Screen> {
    let stream = stdout();
    if !isatty(stream) {
        return None;
    }
    let width = tcgetwinsize(stream).map_or(0, |size| size.ws_col.into());
    Some(Screen {
        width: if width == 0 { USUAL_WIDTH } else { width },
        has_color: message::has_color(&stream),
    })
}

/// Whether this process or the system has too many open files.
pub(crate) fn is_lack_of_descriptors(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE]
        .map(|errno| Some(errno.raw_os_error()))
        .contains(&number)
}
