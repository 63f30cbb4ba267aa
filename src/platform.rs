//! The operating system: what differs from one to the next, and what Rust's library does not offer.
//! Only `unix`, `windows` and the files beside them have code that compiles on one system only.

pub(crate) mod disk;
mod memory;
pub(crate) mod program;
pub(crate) mod prompt;
pub(crate) mod secret_file;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod unix;
pub(crate) mod variables;
#[cfg(windows)]
mod windows;

pub(crate) use memory::wipe_what_is_freed;

#[cfg(unix)]
use unix as os;
#[cfg(windows)]
use windows as os;

#[cfg(all(unix, not(test)))]
pub(crate) use os::start;
pub(crate) use os::{
    Inherited, QuietTerminal, distrust, distrust_directory, duplicate, file_kind, harden,
    is_lack_of_descriptors, is_link_refusal, is_planted, is_same_file, link, open_private,
    open_stream, private_directory, standard_input, write_to_stdout,
};

/// Makes a function from arguments to an exit code the program.
///
/// On Unix the C library calls it, not Rust's standard library. That would first prepare to report an
/// overflow of the stack: 10 system calls more than the 24 of a cached token, 7 page faults, and a
/// fifth more time. `tests/speed/compare` measures that again. [`unix::start`] does what we need
/// of the rest.
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

/// Takes a variable out of our environment: neither a program that we start nor one that looks at
/// us gets it any more.
pub(crate) fn take_variable(name: &str) -> Option<Vec<u8>> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    os::wipe_variable(name);
    // SAFETY: Rust's own readers and writers of the environment take turns by a lock of std. A
    // variable is taken before a server or another store is turned to, so what else runs in this
    // process by now waits for a file lock, and reads no environment.
    #[allow(unsafe_code, reason = "std has no safe way to remove a variable")]
    unsafe {
        std::env::remove_var(name);
    }
    Some(value.into_encoded_bytes())
}

/// Whether there are hardly any descriptors left, after a call that needed some and did not say why
/// it failed.
pub(crate) fn is_short_of_descriptors() -> bool {
    let some = [std::io::pipe(), std::io::pipe()];
    some.iter()
        .any(|pipe| pipe.as_ref().err().is_some_and(is_lack_of_descriptors))
}

/// What a file must be like before it is believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trust {
    /// Ours alone to read and write, one name, no link on the way: the cache.
    Private,
    /// Ours, and nobody else may write: the settings.
    Settings,
    /// Ours or the superuser's, and nobody else may read; may be reached by a link, as in a container.
    Secret,
}

/// Why a file or a directory is not believed that `chmod` makes believable.
pub(crate) const WRITABLE_BY_OTHERS: &str = "can be written by other users";

/// What a file is opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Access {
    Read,
    /// To read and write; made where it is missing.
    Create,
}

/// What a name stands for, as far as writing to it goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(
    windows,
    allow(dead_code, reason = "it has no pipes and devices in directories")
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
