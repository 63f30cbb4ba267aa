//! Other programs: how one is found, where it runs, and how it ends with everything that it started.
//!
//! A program may be a tool's helper in a directory that somebody else wrote, a cloned repository for
//! example. So neither the program nor what it starts is searched for there, and it does not run there.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

pub(crate) use platform::{Descendants, shell};

/// Why there is no program to run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoProgram {
    /// Its path depends on the caller's directory.
    Relative,
    NotFound,
}

/// A program by its absolute path, or by a name to be searched for in the absolute directories of
/// PATH. It runs in the user's home directory.
///
/// # Errors
/// Where there is no such program, or its path is a relative one.
pub(crate) fn command(program: &OsStr) -> Result<Command, NoProgram> {
    let mut command = Command::new(find(program)?);
    command.current_dir(directory());
    Ok(command)
}

/// Starts a program, with the signals that we were started with.
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
        .find_map(|directory| platform::executable(&directory.join(path)))
        .ok_or(NoProgram::NotFound)
}

/// A directory that is there and that no caller chooses.
fn directory() -> PathBuf {
    std::env::home_dir()
        .filter(|home| home.is_absolute() && home.is_dir())
        .unwrap_or_else(platform::root)
}

#[cfg(unix)]
mod platform {
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command};

    use rustix::fs::Access;

    /// The path itself, if it is a program.
    pub(super) fn executable(path: &Path) -> Option<PathBuf> {
        let may_run = rustix::fs::access(path, Access::EXEC_OK).is_ok();
        (may_run && path.is_file()).then(|| path.to_owned())
    }

    pub(super) fn root() -> PathBuf {
        PathBuf::from("/")
    }

    /// The shell, to run a line as a person wrote it.
    pub(crate) fn shell(line: &str) -> Command {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", line]).current_dir(super::directory());
        shell
    }

    /// What a program of ours starts. It stays in our process group, so that it may ask at the
    /// terminal and a signal for all of us reaches it.
    pub(crate) struct Descendants {
        #[cfg(target_os = "linux")]
        other_children: Vec<i32>,
    }

    #[cfg(not(target_os = "linux"))]
    impl Descendants {
        pub(crate) fn watch() -> Self {
            Self {}
        }

        /// Ends the program. What it started cannot be found here.
        #[expect(clippy::unused_self, reason = "Linux can find them")]
        pub(crate) fn end(&self, child: &mut Child) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    #[cfg(target_os = "linux")]
    mod linux {
        use std::fs;

        use rustix::io::Errno;
        use rustix::process::{
            Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, set_child_subreaper, waitid,
        };

        use super::{Child, Descendants};

        /// How often to look for processes that were started while the others were ended.
        const ROUNDS: usize = 100;

        /// A process that has not ended.
        struct Process {
            id: i32,
            parent: i32,
            session: i32,
        }

        impl Descendants {
            /// From now on, a process whose parent ended becomes our child, so that it can be found.
            pub(crate) fn watch() -> Self {
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
                // A shell that became this program may have started others before.
                let other_children = match waitid(WaitId::All, options) {
                    Err(Errno::CHILD) => Vec::new(),
                    _ => children_of(&processes(), &[own_id()]),
                };
                let _ = set_child_subreaper(Some(getpid()));
                Self { other_children }
            }

            /// Ends the program and all that it started, except a daemon that left our session, such
            /// as an agent.
            pub(crate) fn end(&self, child: &mut Child) {
                let _ = child.kill();
                for _ in 0..ROUNDS {
                    let mut processes = processes();
                    // In a container whose session began outside of it, the session's number is 0, which
                    // `getsid` of rustix does not allow for.
                    let own = processes.iter().find(|process| process.id == own_id());
                    let Some(session) = own.map(|process| process.session) else {
                        break;
                    };
                    processes.retain(|process| process.session == session);
                    let mut found = children_of(&processes, &[own_id()]);
                    found.retain(|id| !self.other_children.contains(id));
                    let mut last = found.clone();
                    while !last.is_empty() {
                        last = children_of(&processes, &last);
                        found.extend(&last);
                    }
                    if found.is_empty() {
                        break;
                    }
                    for id in found.into_iter().filter_map(Pid::from_raw) {
                        let _ = kill_process(id, Signal::KILL);
                    }
                }
                let _ = child.wait();
            }
        }

        impl Drop for Descendants {
            /// A program that we become must not collect other programs' processes.
            fn drop(&mut self) {
                let _ = set_child_subreaper(None);
            }
        }

        fn own_id() -> i32 {
            getpid().as_raw_pid()
        }

        fn children_of(processes: &[Process], parents: &[i32]) -> Vec<i32> {
            let children = processes.iter();
            let children = children.filter(|process| parents.contains(&process.parent));
            children.map(|process| process.id).collect()
        }

        /// No processes where `/proc` has other numbers than ours: that of the machine in a container, for example.
        fn processes() -> Vec<Process> {
            let own = fs::read_link("/proc/self");
            if !own.is_ok_and(|own| own.as_os_str() == own_id().to_string().as_str()) {
                return Vec::new();
            }
            let Ok(entries) = fs::read_dir("/proc") else {
                return Vec::new();
            };
            let entries = entries.flatten();
            entries
                .filter_map(|entry| {
                    let id = entry.file_name().to_str()?.parse().ok()?;
                    process(id, &fs::read_to_string(entry.path().join("stat")).ok()?)
                })
                .collect()
        }

        /// What `/proc/ID/stat` says (`proc_pid_stat(5)`): the name, in parentheses, may have any of
        /// the characters in between.
        fn process(id: i32, stat: &str) -> Option<Process> {
            let (_, after_name) = stat.rsplit_once(')')?;
            let mut fields = after_name.split_ascii_whitespace();
            let state = fields.next()?;
            let mut number = || fields.next()?.parse().ok();
            let (parent, _group, session) = (number()?, number()?, number()?);
            let has_ended = state == "Z" || state == "X";
            (!has_ended).then_some(Process {
                id,
                parent,
                session,
            })
        }

        #[cfg(test)]
        mod tests {
            use super::process;

            #[test]
            fn a_process_is_read_whatever_its_name() {
                let found = process(7, "7 (a) S 1 ) (b) S 3 4 5 0 -1").expect("a process");
                assert_eq!((found.id, found.parent, found.session), (7, 3, 5));
                assert!(process(7, "7 (a) Z 3 4 5 0 -1").is_none());
                assert!(process(7, "").is_none());
            }
        }
    }
}

#[cfg(windows)]
mod platform {
    use std::os::windows::process::CommandExt as _;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};

    /// The path, with one of the endings of programs where it has none.
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

    /// The shell, to run a line as a person wrote it: quoted as arguments are, it would get other
    /// quotes. It takes off the outer ones (`/S`), and starts without a stranger's commands (`/D`).
    pub(crate) fn shell(line: &str) -> Command {
        let mut shell = system("cmd.exe");
        shell
            .args(["/D", "/S", "/C"])
            .raw_arg(format!("\"{line}\""))
            .current_dir(super::directory())
            // Else it looks for programs in the current directory first.
            .env("NoDefaultCurrentDirectoryInExePath", "1");
        shell
    }

    /// What a program of ours starts.
    pub(crate) struct Descendants(());

    impl Descendants {
        pub(crate) fn watch() -> Self {
            Self(())
        }

        /// Ends the program and, as far as Windows can still tell, all that it started.
        #[expect(clippy::unused_self, reason = "Linux has something to remember")]
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
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_depends_on_the_callers_directory_is_refused() {
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
