//! Reads from the terminal without echo.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, getpid};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use zeroize::Zeroizing;

/// The terminal without echo, until this is dropped or a signal ends the process.
pub(crate) struct QuietTerminal {
    terminal: File,
    before: Termios,
    is_quiet: Arc<Mutex<bool>>,
}

impl QuietTerminal {
    pub(crate) fn open() -> io::Result<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut signals = Signals::new([SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
        let mut quiet = before.clone();
        // Canonical mode cuts a line at 4,096 bytes. Ctrl-C still raises a signal.
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        let is_quiet = Arc::new(Mutex::new(true));
        let (at_signal, restored) = (terminal.try_clone()?, before.clone());
        let quiet_at_signal = Arc::clone(&is_quiet);
        tcsetattr(&terminal, OptionalActions::Now, &quiet)?;
        // The thread runs as long as the process, because signal-hook does not restore default actions.
        let watching = std::thread::Builder::new().spawn(move || {
            for signal in signals.forever() {
                let is_quiet = quiet_at_signal
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                // The shell changed the terminal's settings while this process was suspended.
                let settings = if signal == SIGCONT { &quiet } else { &restored };
                if *is_quiet {
                    let _ = tcsetattr(&at_signal, OptionalActions::Now, settings);
                }
                end_by(signal);
            }
        });
        let quiet = Self {
            terminal,
            before,
            is_quiet,
        };
        // Without the thread, the settings are restored at once.
        watching.map(|_| quiet)
    }

    pub(crate) fn terminal(&self) -> io::Result<File> {
        self.terminal.try_clone()
    }

    /// The input that was not read yet. Otherwise the shell would read it and run it as a command.
    pub(crate) fn rest(&mut self) -> Zeroizing<Vec<u8>> {
        let waiting = rustix::io::ioctl_fionread(&self.terminal).unwrap_or(0);
        let mut rest = Zeroizing::new(vec![0; usize::try_from(waiting).unwrap_or(0)]);
        let count = self.terminal.read(&mut rest).unwrap_or(0);
        rest.truncate(count);
        rest
    }
}

/// Performs the signal's default action.
fn end_by(signal: i32) {
    // A signal's default action does not end the first process of a container.
    if getpid() == Pid::INIT && signal != SIGCONT {
        std::process::exit(128 + signal);
    }
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}

impl Drop for QuietTerminal {
    fn drop(&mut self) {
        let mut is_quiet = self.is_quiet.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
        *is_quiet = false;
    }
}
