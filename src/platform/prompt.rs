//! Prompts. The rules:
//!
//! - Prompt only at a terminal, and on standard error, so that standard output contains only results.
//! - Never show a secret, and never drop a part of one silently.
//! - Restore the terminal's settings, also after a signal.

use std::cell::RefCell;
use std::io::{self, BufRead as _, IsTerminal as _, Read, Write as _};
use std::rc::Rc;

use rpassword::ConfigBuilder;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::message::{self, note};
use crate::platform::{self, QuietTerminal};
use crate::types::secret::{self, ClientSecret, PrivateKey};

/// The initial capacity for a typed line, in bytes: a buffer that grows leaves copies in memory.
const LONG_LINE: usize = 4096;

/// Whether the user can be prompted.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// How often to repeat one prompt. Input that is no user's must not cause an endless loop.
const REPETITION_LIMIT: usize = 10;

/// How often the secret can be typed in one login.
const ATTEMPT_LIMIT: usize = 3;

/// The remaining attempts to type the secret.
#[derive(Debug)]
pub(crate) struct Attempts(usize);

impl Attempts {
    pub(crate) fn new() -> Self {
        Self(ATTEMPT_LIMIT)
    }

    pub(crate) fn are_left(&self) -> bool {
        self.0 > 0
    }
}

/// Prints text that belongs to a prompt.
pub(crate) fn show(text: &str) {
    // If this fails, the following prompt fails, too.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Prompts for a line, and trims it.
///
/// # Errors
/// `Usage` at the end of the input.
pub(crate) fn ask(question: &str) -> Result<String> {
    let cancelled = || Error::usage(format!("cancelled at the prompt: {question}"));
    let mut stderr = io::stderr();
    let asked = write!(stderr, "{question}: ").and_then(|()| stderr.flush());
    asked.map_err(|error| cancelled().because(error))?;
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(0) => {
            let _ = writeln!(stderr);
            Err(cancelled())
        }
        Ok(_) => Ok(line.trim().to_owned()),
        Err(error) => Err(cancelled().because(error)),
    }
}

/// Prompts for a line until it is valid. `parse` returns the value, or the reason to prompt again.
///
/// # Errors
/// `Usage` if there is no valid answer.
pub(crate) fn ask_until<T>(
    question: &str,
    parse: impl Fn(&str) -> std::result::Result<T, String>,
) -> Result<T> {
    for _ in 0..REPETITION_LIMIT {
        match parse(&ask(question)?) {
            Ok(value) => return Ok(value),
            Err(fault) => note(&fault),
        }
    }
    Err(Error::usage(format!(
        "no valid answer to the prompt: {question}"
    )))
}

/// Prompts for yes or no. An empty answer is the default.
pub(crate) fn confirm(question: &str, default: bool) -> Result<bool> {
    let choice = if default { "[Y/n]" } else { "[y/N]" };
    ask_until(&format!("{question} {choice}"), |answer| {
        match answer.to_ascii_lowercase().as_str() {
            "" => Ok(default),
            "y" | "yes" => Ok(true),
            "n" | "no" => Ok(false),
            _ => Err("please answer yes or no".to_owned()),
        }
    })
}

/// Prompts for the client secret, without echo. Prompts again for an invalid one while attempts are
/// left.
pub(crate) fn ask_secret(question: &str, attempts: &mut Attempts) -> Result<ClientSecret> {
    loop {
        if let Some(secret) = ask_for_secret(question, false, attempts)? {
            return Ok(secret);
        }
    }
}

/// The same, but an empty answer is none: the secret that there is stays.
pub(crate) fn ask_new_secret(
    question: &str,
    attempts: &mut Attempts,
) -> Result<Option<ClientSecret>> {
    ask_for_secret(question, true, attempts)
}

fn ask_for_secret(
    question: &str,
    may_be_empty: bool,
    attempts: &mut Attempts,
) -> Result<Option<ClientSecret>> {
    loop {
        attempts.0 = attempts.0.saturating_sub(1);
        match type_secret(question, may_be_empty)? {
            Ok(None) => return Ok(None),
            Ok(Some(secret)) => {
                let characters = secret.expose().chars().count();
                let noun = if characters == 1 {
                    "character"
                } else {
                    "characters"
                };
                note(&format!("secret received ({characters} {noun})"));
                return Ok(Some(secret));
            }
            Err(error) if attempts.are_left() => message::error(&error),
            Err(error) => return Err(error),
        }
    }
}

/// One attempt. The inner result is the secret, or why the input is not a valid one; none if nothing was
/// typed and that is an answer.
///
/// # Errors
/// `Usage` if the terminal cannot be read.
fn type_secret(question: &str, may_be_empty: bool) -> Result<Result<Option<ClientSecret>>> {
    let no_answer =
        |error| Error::usage("cannot read the client secret from the terminal").because(error);
    platform::wipe_on_free();
    let typed = Zeroizing::new(Vec::with_capacity(LONG_LINE));
    let typed = Rc::new(RefCell::new(typed));
    let mut quiet = QuietTerminal::open().map_err(no_answer)?;
    let mut stderr = io::stderr();
    let _ = write!(stderr, "{question}: ").and_then(|()| stderr.flush());
    let answer = if cfg!(unix) {
        // rpassword only edits the line. It would leave the terminal without echo if a signal ended the
        // process.
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
        return Ok(Err(Error::usage(
            "the client secret has more than one line",
        )
        .hint("copy it again without the text around it")));
    }
    if has_lost_a_control_character(&typed.borrow()) {
        return Ok(Err(Error::usage(
            "the client secret contains a control character",
        )
        .hint("copy it again without tabs and escape sequences")));
    }
    if may_be_empty && answer.is_empty() {
        return Ok(Ok(None));
    }
    let secret = ClientSecret::parse(&Zeroizing::new(answer.as_bytes().to_vec())).map(Some);
    Ok(secret.map_err(|fault| Error::usage(format!("the client secret {fault}"))))
}

/// Reads the client secret from standard input, up to the end of the input.
pub(crate) fn read_secret_from_stdin() -> Result<ClientSecret> {
    let content = read_stdin("--secret-stdin", "secret")?;
    ClientSecret::parse(&content)
        .map_err(|fault| Error::usage(format!("the client secret on standard input {fault}")))
}

/// Reads a private key from standard input, up to the end of the input.
pub(crate) fn read_key_from_stdin() -> Result<PrivateKey> {
    PrivateKey::parse(read_stdin("--key-stdin", "private key")?).map_err(|fault| {
        fault.hint(Error::usage(format!(
            "the private key on standard input {}",
            fault.text
        )))
    })
}

fn read_stdin(option: &str, what: &str) -> Result<Zeroizing<Vec<u8>>> {
    platform::wipe_on_free();
    if io::stdin().is_terminal() {
        return Err(Error::usage(format!(
            "{option} needs a {what} on standard input, not a terminal"
        ))
        .hint(format!(
            "pipe it in: some-command | hallpass login {option}"
        )));
    }
    secret::read_to_end(platform::standard_input()).map_err(|error| {
        Error::usage(format!("cannot read the {what} from standard input")).because(error)
    })
}

/// Records the keys that rpassword reads, because it drops control characters silently.
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

/// Whether the rest contains more than line ends and the marker at the end of a paste.
fn is_more_than_a_line_end(rest: &[u8]) -> bool {
    let rest = Zeroizing::new(String::from_utf8_lossy(rest).replace("\u{1b}[201~", ""));
    rest.contains(|c| c != '\n' && c != '\r')
}

/// Whether the input contains control characters other than those of line editing and the terminal's
/// markers around a paste.
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
    fn a_paste_and_line_editing_are_allowed_but_a_tab_is_not() {
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
