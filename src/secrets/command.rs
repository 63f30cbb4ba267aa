//! A secret that another program prints: a password manager, a vault.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::secret::{self, CLIENT_SECRET_VARIABLE};
use crate::system;

/// How long to listen for why a command failed after its end: what it left behind (a connection
/// that ssh shares, an agent) may keep the stream open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs a program with its arguments, without a shell.
pub(super) fn run(words: &[String], limit: Duration) -> Result<Zeroizing<Vec<u8>>> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Error::usage("the secret command is empty").hint("run `hallpass login` again"));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    output(command, limit)
}

/// Gives a line to the shell: only where a person wrote that they want one.
pub(super) fn run_in_shell(line: &str, limit: Duration) -> Result<Zeroizing<Vec<u8>>> {
    output(system::shell(line), limit)
}

fn output(mut command: Command, limit: Duration) -> Result<Zeroizing<Vec<u8>>> {
    let program = clean(&command.get_program().to_string_lossy(), 100);
    let failed = |what: String| {
        Error::locked(format!("the secret command `{program}` {what}"))
            .hint("run it by hand to see what it needs")
    };
    let too_slow = |child: &mut Child| {
        end(child);
        failed(format!("did not finish within {} s", limit.as_secs()))
    };
    let mut child = command
        // What hallpass itself is told in secret is none of its business.
        .env_remove(CLIENT_SECRET_VARIABLE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed("cannot be started".to_owned()).because(error))?;
    let drained =
        drain(child.stdout.take()).and_then(|printed| Ok((printed, drain(child.stderr.take())?)));
    let (printed, complaint) = match drained {
        Ok(streams) => streams,
        Err(error) => {
            end(&mut child);
            return Err(failed("cannot be read".to_owned()).because(error));
        }
    };
    let deadline = Instant::now() + limit;
    let left = || deadline.saturating_duration_since(Instant::now());
    let Ok(printed) = printed.recv_timeout(left()) else {
        return Err(too_slow(&mut child));
    };
    let printed = printed.map_err(|error| failed("cannot be read".to_owned()).because(error))?;
    // All is printed: what remains is to end, which takes no time, or never happens.
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
            Ok(None) => return Err(too_slow(&mut child)),
            Err(error) => return Err(failed("cannot be waited for".to_owned()).because(error)),
        }
    };
    if !status.success() {
        let complaint = complaint.recv_timeout(left().min(LAST_WORDS));
        let complaint = complaint.ok().and_then(io::Result::ok).unwrap_or_default();
        let complaint = clean(&String::from_utf8_lossy(&complaint), FOREIGN_TEXT_LIMIT);
        let separator = if complaint.is_empty() { "" } else { ": " };
        return Err(failed(format!("failed ({status}){separator}{complaint}")));
    }
    Ok(printed)
}

type Drained = io::Result<Zeroizing<Vec<u8>>>;

/// Reads a stream beside the others, so that none fills up, and no more of it than a secret can have.
fn drain(stream: Option<impl Read + Send + 'static>) -> io::Result<mpsc::Receiver<Drained>> {
    let stream = stream.ok_or(io::ErrorKind::BrokenPipe)?;
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let content = secret::read_to_end(stream);
        // Nobody listens any more once the time is up.
        let _ = sender.send(content);
    })?;
    Ok(receiver)
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
