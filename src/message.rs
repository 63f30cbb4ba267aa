//! Messages on standard error. Only this module and `prompt` print there.
//!
//! `hallpass: error: ...`, then a line `hallpass: hint: ...` for each hint. A success
//! prints at most notes.
//! Foreign text must pass through [`clean`] first.

use std::io::{IsTerminal as _, Write as _};

use crate::error::Error;

/// The maximum length of foreign text in a message, in characters.
pub(crate) const FOREIGN_TEXT_LIMIT: usize = 400;

pub(crate) fn error(error: &Error) {
    let mut lines = format!("hallpass: error: {}\n", one_line(&error.to_string()));
    for hint in &error.hints {
        lines.extend(["hallpass: hint: ", &one_line(hint), "\n"]);
    }
    write(&lines);
}

pub(crate) fn warning(text: &str) {
    write(&format!("hallpass: warning: {}\n", one_line(text)));
}

pub(crate) fn note(text: &str) {
    write(&format!("hallpass: {}\n", one_line(text)));
}

pub(crate) fn hint(text: &str) {
    write(&format!("hallpass: hint: {}\n", one_line(text)));
}

/// Whether standard error is a terminal. A program could take notes for a part of the result.
pub(crate) fn reaches_a_person() -> bool {
    std::io::stderr().is_terminal()
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
