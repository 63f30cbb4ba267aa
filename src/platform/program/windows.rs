//! Windows: executable files, the shell, and the processes that a program starts.

use std::os::windows::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The path, with an extension from `PATHEXT` if it has none.
pub(super) fn executable(path: &Path) -> Option<PathBuf> {
    if path.extension().is_some() && path.is_file() {
        return Some(path.to_owned());
    }
    let endings = std::env::var("PATHEXT").unwrap_or_default();
    let endings = if endings.is_empty() {
        ".COM;.EXE;.BAT;.CMD"
    } else {
        &endings
    };
    let with = |ending: &str| {
        let mut path = path.as_os_str().to_owned();
        path.push(ending);
        PathBuf::from(path)
    };
    endings.split(';').map(with).find(|path| path.is_file())
}

pub(super) fn root() -> PathBuf {
    std::env::var_os("SystemRoot").map_or_else(|| PathBuf::from(r"C:\"), PathBuf::from)
}

fn system(program: &str) -> Command {
    Command::new(root().join("System32").join(program))
}

/// Runs a line in the shell. `raw_arg`, because std's quoting is not cmd's: `/S` removes only the outer
/// quotes, and `/D` skips `AutoRun` commands.
pub(super) fn shell(line: &str) -> Command {
    let mut shell = system("cmd.exe");
    shell
        .args(["/D", "/S", "/C"])
        .raw_arg(format!("\"{line}\""))
        .current_dir(super::directory())
        // Otherwise it searches the current directory first.
        .env("NoDefaultCurrentDirectoryInExePath", "1");
    shell
}

/// The processes that a program starts.
pub(crate) struct Descendants(());

impl Descendants {
    pub(crate) fn watch() -> Self {
        Self(())
    }

    /// Kills the program and the processes that it started, as far as taskkill finds them.
    #[expect(clippy::unused_self, reason = "Linux has a list of other children")]
    pub(crate) fn end(&self, child: &mut Child) {
        let _ = system("taskkill.exe")
            .args(["/T", "/F", "/PID", &child.id().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let _ = child.kill();
        let _ = child.wait();
    }
}
