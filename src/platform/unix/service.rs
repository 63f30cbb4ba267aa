//! For a process that runs until a signal ends it: those signals, and a program that
//! runs meanwhile.

use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};

use rustix::process::{Pid, Signal, getpgrp, kill_process, umask};
use rustix::termios::tcgetpgrp;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Inherited;
use crate::platform::signals;

/// The signals that end a process, which no longer end this one when this was created.
pub(crate) struct StopSignals(Signals);

impl StopSignals {
    pub(crate) fn catch() -> io::Result<Self> {
        Signals::new([SIGHUP, SIGINT, SIGTERM]).map(Self)
    }

    /// Waits for the next one, and returns its number.
    pub(crate) fn next(&mut self) -> i32 {
        self.0.forever().next().unwrap_or(SIGTERM)
    }
}

/// Whether a signal asks a service to look at its settings again.
pub(crate) fn is_reload(number: i32) -> bool {
    number == SIGHUP
}

/// Sends a signal that this process got to a program that it runs. A terminal sends SIGINT and SIGHUP
/// to both.
pub(crate) fn pass_signal_on(id: u32, number: i32) {
    let signal = match number {
        SIGTERM => Signal::TERM,
        _ if is_in_foreground() => return,
        SIGINT => Signal::INT,
        _ => Signal::HUP,
    };
    if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have ended.
        let _ = kill_process(id, signal);
    }
}

/// Whether this process gets the signals of a terminal.
fn is_in_foreground() -> bool {
    let terminal = File::open("/dev/tty");
    terminal.is_ok_and(|terminal| tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp()))
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
