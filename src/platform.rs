//! The operating system: what differs between platforms, and what std does not offer. Only files in this
//! directory contain code for one platform.

mod alarm;
pub(crate) mod disk;
mod memory;
pub(crate) mod program;
pub(crate) mod prompt;
pub(crate) mod record;
pub(crate) mod sealing_key;
pub(crate) mod secret_file;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod unix;
pub(crate) mod variables;
mod waited;
#[cfg(windows)]
mod windows;

pub(crate) use alarm::{Alarm, Woken};
pub(crate) use memory::wipe_on_free;

#[cfg(unix)]
use unix as os;
#[cfg(windows)]
use windows as os;

#[cfg(all(unix, not(test)))]
pub(crate) use os::start;
pub(crate) use os::{
    Inherited, QuietTerminal, StopSignals, ask_socket, caller, check_writable, descriptor_limit,
    distrust, distrust_directory, distrust_managed, duplicate, exit_code, file_kind, group_number,
    harden, is_foreign, is_lack_of_descriptors, is_like, is_link_refusal, is_open_to_all,
    is_planted, is_reload, is_same_file, is_shared_as, link, lock_holder, managed_directory,
    notify, open_private, open_stream, pass_signal_on, private_directory, screen, share,
    standard_input, write_to_stdout,
};
#[cfg(unix)]
pub(crate) use os::{SocketFile, listen_on_socket, may_connect};

/// Defines `main`, which calls a function from arguments to an exit code.
///
/// On Unix the C library calls it directly, without std's startup code, which would first install a
/// handler for stack overflows: 10 more system calls than the 24 of a cached token, 7 page faults, and a
/// fifth more time. `tests/speed/compare` measures that again. [`unix::start`] does the part of the
/// startup code that hallpass needs.
macro_rules! entry_point {
    ($run:path) => {
        #[cfg(any(not(unix), test))]
        fn main() -> std::process::ExitCode {
            let arguments: Vec<_> = std::env::args_os().collect();
            $run(&arguments).into()
        }

        #[cfg(all(unix, not(test)))]
        #[allow(unsafe_code, reason = "the C library calls it by this name")]
        #[unsafe(no_mangle)]
        extern "C" fn main(count: i32, arguments: *const *const std::ffi::c_char) -> i32 {
            // SAFETY: this is how the C library calls it.
            let arguments = unsafe { $crate::platform::start(count, arguments) };
            $run(&arguments).into()
        }
    };
}
pub(crate) use entry_point;

/// Removes a variable from the environment, and returns its value. Child processes do not get it, and
/// other processes can no longer read it.
pub(crate) fn take_variable(name: &str) -> Option<Vec<u8>> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    os::wipe_variable(name);
    // SAFETY: std's functions for the environment use a lock. Variables are taken before a server or
    // another store is used, so any other thread of this process waits for a file lock, and does not
    // read the environment.
    #[allow(unsafe_code, reason = "std has no safe way to remove a variable")]
    unsafe {
        std::env::remove_var(name);
    }
    Some(value.into_encoded_bytes())
}

pub(crate) use waited::waited_for_processor;

/// Whether there are hardly any file descriptors left. For a call that failed without giving a reason.
pub(crate) fn is_short_of_descriptors() -> bool {
    let pipes = [std::io::pipe(), std::io::pipe()];
    pipes
        .iter()
        .any(|pipe| pipe.as_ref().err().is_some_and(is_lack_of_descriptors))
}

/// Who asks for a token.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) user: String,
    /// The number of the process that started this one.
    pub(crate) process: Option<u32>,
    /// Its program, by the name that the system has for it.
    pub(crate) program: Option<String>,
}

/// Who may read a file besides its owner.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Sharing {
    /// The permissions, such as 0o640. Without them, nobody.
    pub(crate) mode: Option<u32>,
    /// The number of a group. Without it, the user's own.
    pub(crate) group: Option<u32>,
}

/// The terminal that standard output goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// In characters.
    pub(crate) width: usize,
    pub(crate) has_color: bool,
}

/// The width of a terminal that does not know it.
const USUAL_WIDTH: usize = 80;

/// The conditions under which a file is trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trust {
    /// The cache: only the user may read and write the file, and it is no link and has no second name.
    Private,
    /// The settings: the file belongs to the user, and nobody else may write it.
    Settings,
    /// What the administrator wrote: the file belongs to root, and nobody else may write it.
    Managed,
    /// A secret: the file belongs to the user or root, and nobody else may read it. It may be a link, as
    /// in containers.
    Secret,
    /// An identity token: nobody but its owner may write the file. It may be a link, as Kubernetes
    /// makes it.
    Identity,
}

/// The reason for distrust that `chmod` removes.
pub(crate) const WRITABLE_BY_OTHERS: &str = "can be written by other users";

/// What a file is opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Access {
    Read,
    /// Read and write. The file is created if it is missing.
    Create,
}

/// What is at a path, for a program that writes to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(
    windows,
    allow(dead_code, reason = "it has no pipes or devices in directories")
)]
pub(crate) enum FileKind {
    Link,
    Regular,
    Directory,
    /// A pipe or a character device.
    Stream,
    /// A block device or a socket.
    Other,
}
