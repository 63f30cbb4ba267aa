//! The program that is run beside the proxy.

use std::ffi::OsString;
use std::io;
use std::process::{Child, ExitStatus};
use std::thread;

use tokio::sync::{oneshot, watch};

use crate::commands::upstream::race::{First, first};
use crate::commands::upstream::signals::signal;
use crate::error::{Error, Kind, Result};
use crate::platform::{self, Inherited, program};

/// A program that runs.
pub(super) struct Running {
    id: u32,
    ended: oneshot::Receiver<io::Result<ExitStatus>>,
}

/// Starts a program with a variable in its environment, and without those that are hidden from it.
///
/// # Errors
/// It cannot be run.
pub(super) fn start(
    command: &[OsString],
    (variable, value): (&str, &str),
    hidden: &[String],
    inherited: Inherited,
) -> Result<Running> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| Error::usage("no program given"))?;
    let mut command = program::as_called(program);
    command.args(arguments);
    for variable in hidden {
        command.env_remove(variable);
    }
    command.env(variable, value);
    let child = inherited
        .spawn(&mut command)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::new(Kind::NoSuchProgram, "program not found"),
            _ => Error::new(Kind::CannotRun, "the program cannot be run").because(error),
        })?;
    let (id, ended) = (child.id(), wait_on_thread(child)?);
    Ok(Running { id, ended })
}

fn wait_on_thread(mut child: Child) -> Result<oneshot::Receiver<io::Result<ExitStatus>>> {
    let (sender, ended) = oneshot::channel();
    let wait = move || {
        let _ = sender.send(child.wait());
    };
    let thread = thread::Builder::new().spawn(wait);
    thread.map_err(|error| Error::broken("cannot start a thread").because(error))?;
    Ok(ended)
}

impl Running {
    /// Passes signals on, and returns the exit code; 128 and the signal, if one ended the program.
    pub(super) async fn wait(mut self, mut signals: watch::Receiver<i32>) -> i32 {
        loop {
            match first(&mut self.ended, signal(&mut signals)).await {
                First::Left(Ok(Ok(status))) => return platform::exit_code(status),
                First::Left(_) => return Kind::Broken.exit_code().into(),
                First::Right(number) => platform::pass_signal_on(self.id, number),
            }
        }
    }
}
