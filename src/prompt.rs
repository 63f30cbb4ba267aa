//! Talking to a person: the only file that asks anything, and the one that knows rpassword.
//!
//! The rules: ask only where a person can answer, that is, at a terminal; write questions to
//! standard error, so that standard output stays clean; never show a secret, and never drop a part
//! of one in silence; leave the terminal as it was, whatever ends the question.

use std::cell::RefCell;
use std::io::{self, BufRead as _, IsTerminal as _, Read, Write as _};
use std::rc::Rc;

use rpassword::ConfigBuilder;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::message::note;
use crate::secret::{self, ClientSecret, PrivateKey};
use crate::system::{self, QuietTerminal};

/// More bytes than people type into a line: growing would leave copies behind that nobody wipes.
const LONG_LINE: usize = 4096;

/// Whether somebody is there to answer.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for one line.
pub(crate) fn ask(question: &str) -> Result<String> {
    let no_answer = || Error::usage(format!("no answer to: {question}"));
    let mut stderr = io::stderr();
    let asked = write!(stderr, "{question}: ").and_then(|()| stderr.flush());
    asked.map_err(|error| no_answer().because(error))?;
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(0) => Err(no_answer()),
        Ok(_) => Ok(line.trim().to_owned()),
        Err(error) => Err(no_answer().because(error)),
    }
}

/// Asks for the client secret, without showing it.
pub(crate) fn ask_secret(question: &str) -> Result<ClientSecret> {
    let no_answer = |error| {
        Error::usage("the client secret could not be read from the terminal").because(error)
    };
    system::wipe_what_is_freed();
    let typed = Zeroizing::new(Vec::with_capacity(LONG_LINE));
    let typed = Rc::new(RefCell::new(typed));
    let mut quiet = QuietTerminal::open().map_err(no_answer)?;
    let mut stderr = io::stderr();
    let _ = write!(stderr, "{question}: ").and_then(|()| stderr.flush());
    let answer = if cfg!(unix) {
        // rpassword edits the line; the terminal is ours, as rpassword leaves it without echo when
        // a signal ends the process.
        let keys = Keys {
            terminal: quiet.terminal().map_err(no_answer)?,
            typed: Rc::clone(&typed),
        };
        rpassword::read_password_with_config(
            ConfigBuilder::new()
                .input_reader(keys)
                .output_discard()
                .build(),
        )
    } else {
        rpassword::read_password()
    };
    let rest = quiet.rest();
    drop(quiet);
    let _ = writeln!(stderr);
    let answer = Zeroizing::new(answer.map_err(no_answer)?);
    if is_more_than_a_line_end(&rest) {
        return Err(Error::usage("the client secret has more than one line")
            .hint("copy it again; something before or after it may have come along"));
    }
    if has_lost_a_control_character(&typed.borrow()) {
        return Err(Error::usage("the client secret holds a control character")
            .hint("copy it again; a tab or an escape sequence may have come along"));
    }
    let secret = ClientSecret::parse(&Zeroizing::new(answer.as_bytes().to_vec()))
        .map_err(|fault| Error::usage(format!("the client secret {fault}")))?;
    note(&format!(
        "read a secret of {} characters",
        secret.expose().chars().count()
    ));
    Ok(secret)
}

/// Reads the client secret from standard input, up to its end.
pub(crate) fn read_secret_from_stdin() -> Result<ClientSecret> {
    let content = read_stdin("--secret-stdin", "secret")?;
    ClientSecret::parse(&content)
        .map_err(|fault| Error::usage(format!("the client secret on standard input {fault}")))
}

/// Reads a private key from standard input, up to its end.
pub(crate) fn read_key_from_stdin() -> Result<PrivateKey> {
    PrivateKey::parse(read_stdin("--key-stdin", "private key")?).map_err(|fault| {
        fault.hint(Error::usage(format!(
            "the private key on standard input {}",
            fault.text
        )))
    })
}

fn read_stdin(option: &str, what: &str) -> Result<Zeroizing<Vec<u8>>> {
    system::wipe_what_is_freed();
    if io::stdin().is_terminal() {
        return Err(Error::usage(format!(
            "{option} needs a {what} on standard input, not a terminal"
        ))
        .hint(format!(
            "pipe it in: some-command | hallpass login {option}"
        )));
    }
    secret::read_to_end(io::stdin()).map_err(|error| {
        Error::usage(format!("cannot read the {what} from standard input")).because(error)
    })
}

/// The keys as they come, kept beside what rpassword makes of them: it drops what it does not know.
struct Keys {
    terminal: std::fs::File,
    typed: Rc<RefCell<Zeroizing<Vec<u8>>>>,
}

impl Read for Keys {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.terminal.read(buffer)?;
        self.typed.borrow_mut().extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

/// Whether something came with the end of the line but another one, and the mark after a paste.
fn is_more_than_a_line_end(rest: &[u8]) -> bool {
    let rest = Zeroizing::new(String::from_utf8_lossy(rest).replace("\u{1b}[201~", ""));
    rest.contains(|c| c != '\n' && c != '\r')
}

/// Whether more was typed than text, line editing, and the marks that a terminal puts around a paste.
fn has_lost_a_control_character(typed: &[u8]) -> bool {
    let text = Zeroizing::new(
        String::from_utf8_lossy(typed)
            .replace("\u{1b}[200~", "")
            .replace("\u{1b}[201~", ""),
    );
    // Backspace, delete, Ctrl-C, Ctrl-D, Ctrl-U, Ctrl-W, and the end of the line.
    let edits = [
        '\u{8}', '\u{7f}', '\u{3}', '\u{4}', '\u{15}', '\u{17}', '\n', '\r',
    ];
    text.contains(|c: char| {
        (c.is_control() && !edits.contains(&c)) || c == char::REPLACEMENT_CHARACTER
    })
}

#[cfg(test)]
mod tests {
    use super::has_lost_a_control_character;

    #[test]
    fn a_paste_and_line_editing_are_fine_but_a_tab_is_not() {
        assert!(!has_lost_a_control_character(
            "\u{1b}[200~s3cret ä\u{1b}[201~\r".as_bytes()
        ));
        assert!(!has_lost_a_control_character(b"s3x\x7f\x08cret\x15new\n"));
        for typed in [
            &b"s3\tcret\n"[..],
            b"s3\x1b[Acret\n",
            b"s3\x00\n",
            b"\xff\n",
        ] {
            assert!(has_lost_a_control_character(typed), "{typed:?}");
        }
    }
}
