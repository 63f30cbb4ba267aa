//! Unix: executable files and the shell.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::Access;
use rustix::process::{Pid, Signal, kill_process_group};

/// The path, if it is an executable file.
pub(super) fn executable(path: &Path) -> Option<PathBuf> {
    let may_run = rustix::fs::access(path, Access::EXEC_OK).is_ok();
    (may_run && path.is_file()).then(|| path.to_owned())
}

pub(super) fn root() -> PathBuf {
    PathBuf::from("/")
}

/// Kills all processes of a program's group.
pub(super) fn kill_group(id: u32) {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    if let Some(id) = id {
        let _ = kill_process_group(id, Signal::KILL);
    }
}

/// Runs a line in the shell.
pub(super) fn shell(line: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", line]).current_dir(super::directory());
    shell
}

/// The processes that a program starts.
#[cfg(not(target_os = "linux"))]
pub(crate) struct Descendants(());

#[cfg(not(target_os = "linux"))]
impl Descendants {
    pub(crate) fn watch() -> Self {
        Self(())
    }

    /// Ends the program, but not the processes that it started: only Linux has a way to find them.
    #[expect(clippy::unused_self, reason = "Linux has a list of other children")]
    pub(crate) fn end(&self, child: &mut std::process::Child) {
        let _ = child.kill();
        let _ = child.wait();
    }
}
