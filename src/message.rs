//! Messages on standard error. Only this module and `prompt` print there.
//!
//! `hallpass: error: ...`, then a line `hallpass: hint: ...` for each hint. A success
//! prints at most notes.
//! Foreign text must pass through [`clean`] first.

mod steps;
mod waiting;

use std::io::{IsTerminal, Write as _};
use std::sync::OnceLock;

use crate::error::Error;

pub(crate) use steps::{show_steps, step};
pub(crate) use waiting::{Waiting, WaitingFor, only_note_dialogs, receive};

/// The maximum length of foreign text in a message, in characters.
pub(crate) const FOREIGN_TEXT_LIMIT: usize = 400;

/// Escape sequences (ECMA-48, 8.3.117).
const BOLD: &str = "\u{1b}[1m";
const BOLD_RED: &str = "\u{1b}[1;31m";
const PLAIN: &str = "\u{1b}[0m";

/// See [`print_if_it_panics`].
static ANSWER_TO_A_PANIC: OnceLock<&str> = OnceLock::new();

/// What to print on standard output if a library panics.
pub(crate) fn print_if_it_panics(answer: &'static str) {
    let _ = ANSWER_TO_A_PANIC.set(answer);
}

pub(crate) fn answer_to_a_panic() -> Option<&'static str> {
    ANSWER_TO_A_PANIC.get().copied()
}

pub(crate) fn error(error: &Error) {
    let (start, end) = if has_color(&std::io::stderr()) {
        (BOLD_RED, PLAIN)
    } else {
        ("", "")
    };
    write(&lines(error, start, end));
}

/// An error of a helper, without color: its client may show it, or parse it.
pub(crate) fn plain_error(error: &Error) {
    write(&lines(error, "", ""));
}

fn lines(error: &Error, start: &str, end: &str) -> String {
    let what = one_line(&error.to_string());
    let mut lines = format!("{start}hallpass: error:{end} {what}\n");
    for hint in &error.hints {
        lines.extend(["hallpass: hint: ", &one_line(hint), "\n"]);
    }
    lines
}

pub(crate) fn warning(text: &str) {
    write(&format!("hallpass: warning: {}\n", one_line(text)));
}

pub(crate) fn note(text: &str) {
    write(&format!("hallpass: {}\n", one_line(text)));
}

/// A text of several lines, such as the help.
pub(crate) fn text(text: &str) {
    write(text);
}

pub(crate) fn hint(text: &str) {
    write(&format!("hallpass: hint: {}\n", one_line(text)));
}

/// Whether standard error is a terminal. A program could take notes for a part of the result.
pub(crate) fn reaches_a_person() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether a stream is a terminal that shows colors, and the user has not disabled them
/// (<https://no-color.org>). A console of Windows would have to be set up first.
pub(crate) fn has_color(stream: &impl IsTerminal) -> bool {
    let disabled = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let terminal = std::env::var_os("TERM");
    let is_capable = terminal.is_some_and(|name| !name.is_empty() && name != "dumb");
    !cfg!(windows) && !disabled && is_capable && stream.is_terminal()
}

/// For a terminal that shows colors.
pub(crate) fn bold(text: &str) -> String {
    format!("{BOLD}{text}{PLAIN}")
}

/// Makes foreign text safe for a terminal and a log: without control, bidirectional or invisible
/// characters or line breaks, and at most `limit` characters long.
pub(crate) fn clean(text: &str, limit: usize) -> String {
    let mut characters = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| is_visible(*c));
    let mut cleaned: String = characters.by_ref().take(limit).collect();
    if characters.next().is_some() {
        cleaned.push('…');
    }
    cleaned.trim().to_owned()
}

/// Makes JSON safe for a terminal: what [`clean`] removes becomes an escape sequence of JSON. Not for JSON
/// with line breaks between its values.
pub(crate) fn visible_json(json: String) -> String {
    if json.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return json;
    }
    let mut visible = String::with_capacity(json.len());
    for c in json.chars() {
        if is_visible(c) {
            visible.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                visible.extend(["\\u", &format!("{unit:04x}")]);
            }
        }
    }
    visible
}

fn is_visible(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

fn one_line(text: &str) -> String {
    clean(text, 4 * FOREIGN_TEXT_LIMIT)
}

/// A single write, so that lines of several processes on one terminal do not mix.
fn write(lines: &str) {
    // If standard error is closed, there is no way to report that.
    let _ = std::io::stderr().write_all(lines.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn control_characters_are_removed_from_foreign_text() {
        assert_eq!(clean("a\u{1b}[31mb\r\nc\td", 400), "a[31mb  c d");
        assert_eq!(clean("x\u{202e}y\u{200b}z\u{9b}w", 400), "xyzw");
    }

    #[test]
    fn foreign_text_is_cut() {
        assert_eq!(clean("äöü", 2), "äö…");
        assert_eq!(clean("äö", 2), "äö");
    }
}
