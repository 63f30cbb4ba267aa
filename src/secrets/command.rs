//! What another program prints: a secret (a password manager, a vault), or a signature.

use std::io::{self, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::message::{self, FOREIGN_TEXT_LIMIT, WaitingFor, clean};
use crate::platform::program::{self, Descendants, NoProgram};
use crate::profile::external_key::CommandLine;
use crate::types::duration;
use crate::types::secret::{self, CLIENT_SECRET_LIMIT};

/// How long to read the error output of a command after its end: a process that it started (a
/// connection that ssh shares, an agent) may keep the stream open.
const STDERR_TIMEOUT: Duration = Duration::from_secs(1);

/// What a command is run for.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    /// What messages call it: `secret command`.
    pub(super) kind: &'static str,
    /// The option that sets it.
    pub(super) option: &'static str,
    /// Its standard input.
    pub(super) input: Option<&'a [u8]>,
    pub(super) limit: Duration,
}

impl Run<'_> {
    /// Runs a command line: a program, or a line for the shell.
    pub(super) fn command_line(self, command: &CommandLine) -> Result<Zeroizing<Vec<u8>>> {
        match command {
            CommandLine::Words(words) => self.program(words),
            CommandLine::Shell(line) => self.shell(line),
        }
    }

    /// Runs a program with its arguments, without a shell.
    pub(super) fn program(self, words: &[String]) -> Result<Zeroizing<Vec<u8>>> {
        let Self { kind, option, .. } = self;
        let Some((name, arguments)) = words.split_first() else {
            return Err(Error::usage(format!("the {kind} is empty"))
                .hint(format!("log in again with {option} COMMAND")));
        };
        let mut command = program::command(name.as_ref()).map_err(|reason| {
            let name = clean(name, 100);
            match reason {
                NoProgram::Relative => {
                    Error::locked(format!("the {kind} `{name}` has a relative path"))
                        .hint(format!("log in again with an absolute path in {option}"))
                }
                NoProgram::NotFound => Error::locked(format!("the {kind} `{name}` is not in PATH"))
                    .hint(format!(
                        "install it, or log in again with its absolute path in {option}"
                    )),
            }
        })?;
        command.args(arguments);
        self.output(name, command)
    }

    /// Gives a line to the shell, if the user wrote one.
    pub(super) fn shell(self, line: &str) -> Result<Zeroizing<Vec<u8>>> {
        self.output("sh", program::shell(line))
    }

    fn output(self, name: &str, mut command: Command) -> Result<Zeroizing<Vec<u8>>> {
        let Self { kind, limit, .. } = self;
        let name = clean(name, 100);
        let failed = |what: String| {
            Error::locked(format!("the {kind} `{name}` {what}"))
                .hint("run it by hand to see what it needs")
        };
        let descendants = Descendants::watch();
        command
            .stdin(match self.input {
                Some(_) => Stdio::piped(),
                None => Stdio::null(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = program::spawn(&mut command)
            .map_err(|error| failed("cannot be started".to_owned()).because(error))?;
        feed(&mut child, self.input);
        let outcome = listen(
            &mut child,
            limit,
            &format!("waiting for the {kind} `{name}`"),
        );
        if !matches!(outcome, Ok(Some(_))) {
            descendants.end(&mut child);
        }
        match outcome {
            Err(error) => Err(failed("cannot be read".to_owned()).because(error)),
            Ok(None) => Err(failed(format!(
                "did not finish within {}",
                duration::in_words(limit)
            ))
            .hint("or set HALLPASS_KEYCHAIN_TIMEOUT to a longer time, such as 5m")),
            Ok(Some(Ended { printed, .. })) if printed.len() > CLIENT_SECRET_LIMIT => {
                descendants.end(&mut child);
                Err(failed("printed more than 64 KiB".to_owned()))
            }
            Ok(Some(Ended { status, errors, .. })) if !status.success() => {
                let errors = clean(&String::from_utf8_lossy(&errors), FOREIGN_TEXT_LIMIT);
                let separator = if errors.is_empty() { "" } else { ": " };
                let end = match status.code() {
                    Some(code) => format!("failed (exit code {code})"),
                    // "signal: 9 (SIGKILL)"
                    None => format!("was ended by {}", status.to_string().replacen(": ", " ", 1)),
                };
                Err(failed(format!("{end}{separator}{errors}")))
            }
            Ok(Some(Ended { printed, .. })) => Ok(printed),
        }
    }
}

/// Writes a command's standard input in its own thread: the command may read nothing of it.
fn feed(child: &mut Child, input: Option<&[u8]>) {
    let (Some(mut stream), Some(input)) = (child.stdin.take(), input) else {
        return;
    };
    let input = input.to_owned();
    // Without a thread, the command reads nothing, and its output is no signature.
    let _ = thread::Builder::new().spawn(move || stream.write_all(&input));
}

/// A command that ended, or that printed more than a secret can be.
struct Ended {
    status: ExitStatus,
    printed: Zeroizing<Vec<u8>>,
    errors: Zeroizing<Vec<u8>>,
}

/// Reads what a command prints, and waits for its end. None after the time limit.
fn listen(child: &mut Child, limit: Duration, note: &str) -> io::Result<Option<Ended>> {
    let deadline = Instant::now() + limit;
    let left = || deadline.saturating_duration_since(Instant::now());
    let printed = drain(child.stdout.take())?;
    let errors = drain(child.stderr.take())?;
    let printed = message::receive(&printed, left(), WaitingFor::Other, note);
    let Ok(printed) = printed else {
        return Ok(None);
    };
    let printed = printed?;
    if printed.len() > CLIENT_SECRET_LIMIT {
        let _ = child.kill();
    }
    // Its output is complete, so it ends soon, or never.
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
            None => return Ok(None),
        }
    };
    let errors = if status.success() {
        Zeroizing::default()
    } else {
        let errors = errors.recv_timeout(left().min(STDERR_TIMEOUT));
        errors.ok().and_then(io::Result::ok).unwrap_or_default()
    };
    Ok(Some(Ended {
        status,
        printed,
        errors,
    }))
}

type Drained = io::Result<Zeroizing<Vec<u8>>>;

/// Reads a stream in a thread, so that no pipe fills up, up to the size limit of a secret.
fn drain(stream: Option<impl Read + Send + 'static>) -> io::Result<mpsc::Receiver<Drained>> {
    let stream = stream.ok_or(io::ErrorKind::BrokenPipe)?;
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let content = secret::read_to_end(stream);
        // The receiver is gone after the time limit.
        let _ = sender.send(content);
    })?;
    Ok(receiver)
}
