//! The command that runs after a file was changed.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::message::clean;
use crate::platform::program::{self, NoProgram};
use crate::profile::external_key::CommandLine;

/// How long the command may take.
const LIMIT: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(10);

/// The command, and how messages call it.
#[derive(Clone, Debug)]
pub(super) struct AfterChange(CommandLine);

impl AfterChange {
    pub(super) fn parse(text: &str) -> std::result::Result<Self, &'static str> {
        CommandLine::parse(text).map(Self)
    }

    /// # Errors
    /// `Usage` if there is no such program.
    pub(super) fn check(&self) -> Result<()> {
        self.command().map(drop)
    }

    /// Runs it in the user's home directory, without input. What it prints goes to standard error, and
    /// it does not get the client secret.
    ///
    /// # Errors
    /// `Locked` if it cannot be run, fails or takes too long.
    pub(super) fn run(&self) -> Result<()> {
        let (name, mut command) = self.command()?;
        let failed = |what: &str| {
            Error::locked(format!("the command `{name}` {what}"))
                .hint("run it by hand to see what it needs")
        };
        program::in_own_group(&mut command);
        command
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(program::messages());
        let mut child = program::spawn(&mut command)
            .map_err(|error| failed("cannot be started").because(error))?;
        match wait(&mut child) {
            Ok(Some(true)) => Ok(()),
            Ok(Some(false)) => Err(failed("failed")),
            Ok(None) => {
                program::end_group(&mut child);
                Err(failed("did not finish within 30 s"))
            }
            Err(error) => Err(failed("cannot be waited for").because(error)),
        }
    }

    fn command(&self) -> Result<(String, Command)> {
        let words = match &self.0 {
            CommandLine::Shell(line) => return Ok(("sh".to_owned(), program::shell(line))),
            CommandLine::Words(words) => words,
        };
        let (name, arguments) = words
            .split_first()
            .map_or(("", &[][..]), |(name, rest)| (name, rest));
        let shown = clean(name, 100);
        let mut command = program::command(name.as_ref()).map_err(|reason| match reason {
            NoProgram::Relative => {
                Error::usage(format!("the command `{shown}` has a relative path"))
                    .hint("name it by its absolute path")
            }
            NoProgram::NotFound => Error::usage(format!("the command `{shown}` is not in PATH"))
                .hint("install it, or name it by its absolute path"),
        })?;
        command.args(arguments);
        Ok((shown, command))
    }
}

/// Whether the command succeeded. None after the time limit.
fn wait(child: &mut Child) -> std::io::Result<Option<bool>> {
    let deadline = Instant::now() + LIMIT;
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status.success())),
            None if Instant::now() >= deadline => return Ok(None),
            None => thread::sleep(POLL),
        }
    }
}
