//! Starts other programs, and ends them together with the processes that they started.
//!
//! The caller's directory can be untrusted, such as a cloned repository. Programs are neither searched
//! for nor run there.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

#[cfg(unix)]
use unix as os;
#[cfg(windows)]
use windows as os;

#[cfg(target_os = "linux")]
pub(crate) use linux::Descendants;
#[cfg(not(target_os = "linux"))]
pub(crate) use os::Descendants;
pub(crate) use os::shell;

/// Why a program cannot be run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoProgram {
    /// Its path is relative to the caller's directory.
    Relative,
    NotFound,
}

/// The command for a program: an absolute path, or a name that is searched for in the absolute
/// directories of PATH. It runs in the user's home directory.
///
/// # Errors
/// The program does not exist, or its path is relative.
pub(crate) fn command(program: &OsStr) -> Result<Command, NoProgram> {
    let mut command = Command::new(find(program)?);
    command.current_dir(directory());
    Ok(command)
}

/// Starts a program with the signal mask that hallpass was started with.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    #[cfg(unix)]
    super::signals::unblock();
    command.spawn()
}

fn find(program: &OsStr) -> Result<PathBuf, NoProgram> {
    let path = Path::new(program);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    if path.file_name() != Some(program) {
        return Err(NoProgram::Relative);
    }
    let directories = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&directories)
        .filter(|directory| directory.is_absolute())
        .find_map(|directory| os::executable(&directory.join(path)))
        .ok_or(NoProgram::NotFound)
}

/// An existing directory that does not depend on the caller.
fn directory() -> PathBuf {
    std::env::home_dir()
        .filter(|home| home.is_absolute() && home.is_dir())
        .unwrap_or_else(os::root)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_is_refused() {
        for program in ["./gs", "../gs", "bin/gs", ".", "..", "", "gs/"] {
            assert_eq!(
                find(program.as_ref()),
                Err(NoProgram::Relative),
                "{program}"
            );
        }
        assert_eq!(find("no-such-program".as_ref()), Err(NoProgram::NotFound));
        assert_eq!(find("/no/check".as_ref()), Ok(PathBuf::from("/no/check")));
        assert!(find("sh".as_ref()).is_ok_and(|path| path.is_absolute()));
    }
}
