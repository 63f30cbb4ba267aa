//! For a process that goes on until a signal stops it: those signals, and a program that
//! runs meanwhile.

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};
use std::thread;

use rustix::process::{Pid, Signal, kill_process, umask};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Inherited;
use crate::platform::signals;

/// From now on, calls this for each signal that tells the process to stop, with its number, instead of
/// ending.
pub(crate) fn on_stop_signal(call: impl Fn(i32) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let watch = move || signals.forever().for_each(call);
    thread::Builder::new().spawn(watch).map(drop)
}

/// Sends a signal that this process got to a program that it runs. A terminal sends SIGINT and SIGHUP
/// to both.
pub(crate) fn pass_signal_on(id: u32, number: i32) {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    if let Some(id) = id.filter(|_| number == SIGTERM) {
        // It may have ended.
        let _ = kill_process(id, Signal::TERM);
    }
}

/// The exit code that shells show.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    let signal = status.signal().map(|signal| 128 + signal);
    status.code().or(signal).unwrap_or(1)
}

impl Inherited {
    /// Starts another program with the inherited attributes, beside this process.
    pub(crate) fn spawn(self, command: &mut Command) -> io::Result<Child> {
        let was_ignored = signals::unblock();
        let restore = move || {
            umask(self.umask);
            if was_ignored {
                signals::ignore_sigpipe();
            }
            Ok(())
        };
        // SAFETY: both calls are async-signal-safe (signal-safety(7)).
        #[allow(
            unsafe_code,
            reason = "it must run in the new process, after std's own steps"
        )]
        unsafe {
            command.pre_exec(restore);
        }
        command.spawn()
    }
}
