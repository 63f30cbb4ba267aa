//! Windows: files and the console.

mod owner;

use std::fs::{File, Metadata};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};

use zeroize::Zeroizing;

use super::{Access, FileKind, Screen, Sharing, Trust, USUAL_WIDTH};

/// Nothing to do: no core dumps, no umask.
pub(crate) fn harden(_: bool) -> Inherited {
    Inherited(())
}

pub(crate) struct Inherited(());

impl Inherited {
    /// Windows cannot replace a process: runs the program, and ends with its exit code.
    #[expect(clippy::unused_self, reason = "other platforms restore attributes")]
    pub(crate) fn replace_process(self, command: &mut Command) -> io::Error {
        match command.status() {
            Ok(status) => std::process::exit(status.code().unwrap_or(1)),
            Err(error) => error,
        }
    }

    /// Starts another program beside this process.
    #[expect(clippy::unused_self, reason = "other platforms restore attributes")]
    pub(crate) fn spawn(self, command: &mut Command) -> io::Result<Child> {
        command.spawn()
    }
}

/// Sockets with a path are for Unix.
pub(crate) fn ask_socket(_: &Path, _: &[u8], _: std::time::Duration) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// There are no signals.
/// There is no limit.
pub(crate) fn descriptor_limit(_: Option<usize>) -> usize {
    usize::MAX
}

pub(crate) fn pass_signal_on(_: u32, _: i32) {}

pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or(1)
}

/// Creates a link to a program: a copy, because links need a privilege.
pub(crate) fn link(program: &Path, name: &Path) -> io::Result<()> {
    std::fs::copy(program, name).map(drop)
}

/// Nothing to do: removing the variable is enough.
pub(super) fn wipe_variable(_: &str) {}

pub(crate) fn open_private(path: &Path, _: Trust, access: Access) -> io::Result<File> {
    let create = access == Access::Create;
    File::options()
        .read(true)
        .write(create)
        .create(create)
        .open(path)
}

pub(crate) fn standard_input() -> impl io::Read {
    io::stdin()
}

pub(crate) fn write_to_stdout(output: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(output)?;
    stdout.flush()
}

/// The console that standard output goes to; none if it goes elsewhere.
pub(crate) fn screen() -> Option<Screen> {
    io::stdout().is_terminal().then_some(Screen {
        width: USUAL_WIDTH,
        has_color: false,
    })
}

/// The limit is too high to reach.
pub(crate) fn is_lack_of_descriptors(_: &io::Error) -> bool {
    false
}

pub(crate) fn duplicate(_: u32) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn open_stream(path: &Path) -> io::Result<File> {
    File::options().write(true).open(path)
}

pub(crate) fn file_kind(metadata: &Metadata) -> FileKind {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        FileKind::Link
    } else if kind.is_dir() {
        FileKind::Directory
    } else {
        FileKind::Regular
    }
}

pub(crate) fn is_planted(_: &Path, _: &Metadata) -> bool {
    false
}

pub(crate) fn is_link_refusal(_: &io::Error) -> bool {
    false
}

/// The directories below `AppData` are private by their inherited access control list.
pub(crate) fn distrust(metadata: &Metadata, _: Trust) -> Option<&'static str> {
    (!metadata.is_file()).then_some("is not a regular file")
}

/// As above.
pub(crate) fn distrust_directory(_: &Metadata) -> Option<&'static str> {
    None
}

/// Why a file or directory of the administrator must not be trusted, as text that follows its name.
///
/// Its owner can change its access control list, so the owner must be the administrators or the system.
/// The list itself is theirs.
pub(crate) fn distrust_managed(path: &Path, metadata: &Metadata) -> Option<&'static str> {
    if metadata.file_type().is_symlink() {
        return Some("is a symbolic link");
    }
    // The root of a drive and the directory of all programs are the system's own.
    if path.parent().is_none() || path == program_data() {
        return None;
    }
    (!owner::is_administrator(path)).then_some("does not belong to the administrators")
}

/// Where the policy and the managed profiles are. No variable or option of a user moves it.
pub(crate) fn managed_directory() -> std::path::PathBuf {
    program_data().join("hallpass")
}

/// The directory for all users' data, on the system's drive.
fn program_data() -> std::path::PathBuf {
    let mut drive = owner::windows_directory();
    drive.pop();
    drive.join("ProgramData")
}

pub(crate) fn is_foreign(_: &Metadata) -> bool {
    false
}

/// std has no way to ask without creating a file.
#[allow(clippy::unnecessary_wraps, reason = "it may fail on other platforms")]
pub(crate) fn check_writable(_: &Path) -> io::Result<()> {
    Ok(())
}

/// std has no stable way to compare files.
pub(crate) fn is_same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Whether a variable is set, and not to 0.
pub(super) fn is_switched_on(name: &std::ffi::CStr) -> bool {
    let name = name.to_str().unwrap_or_default();
    std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0")
}

/// Windows does not say which process locks a file.
pub(crate) fn lock_holder(_: &Metadata) -> Option<u32> {
    None
}

pub(crate) fn is_open_to_all(_: &Metadata) -> bool {
    false
}

/// Files have access control lists here, which are inherited from the directory.
pub(crate) fn share(_: &File, sharing: &Sharing) -> io::Result<()> {
    if *sharing == Sharing::default() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "Windows has no file modes and groups",
    ))
}

/// A new file gets the access list of its directory.
pub(crate) fn is_like(_: &File, _: &Path, _: &Metadata) -> bool {
    true
}

pub(crate) fn is_shared_as(_: &Metadata, _: &Sharing) -> bool {
    true
}

/// Groups have no numbers here.
pub(crate) fn group_number(_: &str) -> Option<u32> {
    None
}

/// There are no signals here. Ctrl-C ends the process at once, and what it runs.
pub(crate) struct StopSignals(());

#[expect(
    clippy::unused_self,
    clippy::unnecessary_wraps,
    reason = "other platforms have signals"
)]
impl StopSignals {
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self(()))
    }

    pub(crate) fn next(&mut self) -> i32 {
        loop {
            std::thread::park();
        }
    }
}

pub(crate) fn is_reload(_: i32) -> bool {
    false
}

/// Services of Windows report in another way.
#[expect(clippy::unnecessary_wraps, reason = "other platforms report")]
pub(crate) fn notify(_: &str) -> io::Result<()> {
    Ok(())
}

pub(crate) fn private_directory(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// The console. rpassword turns its echo off.
pub(crate) struct QuietTerminal(File);

impl QuietTerminal {
    pub(crate) fn open() -> io::Result<Self> {
        let console = File::options().read(true).write(true).open("CONIN$");
        console.map(Self)
    }

    pub(crate) fn terminal(&self) -> io::Result<File> {
        self.0.try_clone()
    }

    #[expect(clippy::unused_self, reason = "other platforms read from the terminal")]
    pub(crate) fn rest(&mut self) -> Zeroizing<Vec<u8>> {
        // The console returns one line at a time.
        Zeroizing::default()
    }
}

/// Nothing to do: there are no pipes in directories, and links need a privilege.
pub(crate) fn open_safely(_: &mut std::fs::OpenOptions) {}

/// Windows has neither syslog nor the journal.
pub(crate) fn datagrams_to(_: &Path) -> io::Result<super::record::Write> {
    Err(io::ErrorKind::Unsupported.into())
}

/// std does not know the process that started this one.
pub(crate) fn caller() -> super::Caller {
    super::Caller {
        user: std::env::var("USERNAME").unwrap_or_default(),
        process: None,
        program: None,
    }
}
