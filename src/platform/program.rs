//! Starts other programs, and ends them together with the processes that they started.
//!
//! The caller's directory can be untrusted, such as a cloned repository. Programs are neither searched
//! for nor run there, except for the one that a call is for.
//!
//! Every program is started from here, so that none gets a secret that is in the environment.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::ffi::OsStr;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

#[cfg(unix)]
use unix as os;
#[cfg(windows)]
use windows as os;

#[cfg(target_os = "linux")]
pub(crate) use linux::Descendants;
#[cfg(not(target_os = "linux"))]
pub(crate) use os::Descendants;

use super::variables;

/// How much of a program's output is read, in bytes.
const OUTPUT_LIMIT: u64 = 1024 * 1024;

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
    let mut command = without_secrets(Command::new(find(program)?));
    command.current_dir(directory());
    Ok(command)
}

/// The command for the program that a call is for: searched for and run as the caller would do it.
pub(crate) fn as_called(program: &OsStr) -> Command {
    without_secrets(Command::new(program))
}

/// A line for the shell, which runs in the user's home directory.
pub(crate) fn shell(line: &str) -> Command {
    without_secrets(os::shell(line))
}

/// The same, for a tool that runs hallpass, which may need a secret from the environment.
pub(crate) fn shell_around_hallpass(line: &str) -> Command {
    os::shell(line)
}

fn without_secrets(mut command: Command) -> Command {
    for name in variables::SECRET {
        command.env_remove(name);
    }
    command
}

/// Starts a program with the signal mask that hallpass was started with.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    #[cfg(unix)]
    super::signals::unblock();
    command.spawn()
}

/// Standard error, for what a program prints on standard output: that of hallpass has only results.
pub(crate) fn messages() -> Stdio {
    io::stderr().into()
}

/// How much input a program can be given, in bytes: as much as a pipe holds everywhere.
const INPUT_LIMIT: usize = 4096;

/// Has a program start in a process group of its own, for [`end_group`].
pub(crate) fn in_own_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(windows)]
    let _ = command;
}

/// Kills a program, and the processes that it started in its group.
pub(crate) fn end_group(child: &mut Child) {
    #[cfg(unix)]
    os::kill_group(child.id());
    let _ = child.kill();
    let _ = child.wait();
}

/// What a program prints, without its messages. None if it fails or takes longer than this.
pub(crate) fn output_within(
    command: &mut Command,
    input: &[u8],
    limit: Duration,
) -> io::Result<Option<Vec<u8>>> {
    if input.len() > INPUT_LIMIT {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // Written before the program starts: if it ends early, no signal says that nobody reads.
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(input)?;
    drop(writer);
    let streams = command.stdin(reader).stdout(Stdio::piped());
    let mut child = spawn(streams.stderr(Stdio::null()))?;
    let (sender, receiver) = mpsc::channel();
    let output = child.stdout.take();
    thread::Builder::new().spawn(move || {
        let mut printed = Vec::new();
        let read = output.map(|output| output.take(OUTPUT_LIMIT).read_to_end(&mut printed));
        let _ = sender.send(matches!(read, Some(Ok(_))).then_some(printed));
    })?;
    let deadline = Instant::now() + limit;
    let printed = receiver.recv_timeout(limit).ok().flatten();
    // It may go on after it closed its output.
    while printed.is_some() && Instant::now() < deadline {
        match child.try_wait()? {
            Some(status) => return Ok(printed.filter(|_| status.success())),
            None => thread::sleep(Duration::from_millis(1)),
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    Ok(None)
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
