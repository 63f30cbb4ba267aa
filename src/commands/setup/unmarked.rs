//! hallpass's lines in a file that has lost their marks: npm drops every comment, a formatter or an
//! editor may change the rest. The record still has the lines.

use super::lines::{in_blocks, lines};

/// A line and the section that it is in, without what a formatter changes: white space, quotes and
/// backslashes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line {
    section: String,
    text: String,
}

/// What is left of a text without the lines.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Rest {
    pub(super) text: Vec<u8>,
    /// How many lines were removed.
    pub(super) taken: usize,
    /// None of the lines is missing.
    pub(super) is_complete: bool,
    /// A line of hallpass that was changed, and is still there.
    pub(super) changed: Option<String>,
}

impl Line {
    fn is_header(&self) -> bool {
        self.text.starts_with('[')
    }

    fn key(&self) -> &str {
        self.text.split('=').next().unwrap_or_default()
    }

    fn names_hallpass(&self) -> bool {
        self.text.contains("hallpass")
    }

    fn is_changed_from(&self, own: &Self) -> bool {
        let both_name_it = self.names_hallpass() && own.names_hallpass();
        both_name_it && self.section == own.section && self.key() == own.key()
    }

    /// An empty line, or a comment.
    fn says_nothing(&self) -> bool {
        self.text.is_empty() || self.text.starts_with(['#', ';'])
    }
}

/// The lines of a text, each in its section.
pub(super) fn in_sections<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Vec<Line> {
    let mut section = String::new();
    let plain = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        let is_kept = |char: &char| !char.is_whitespace() && !['"', '\'', '\\'].contains(char);
        line.chars().filter(is_kept).collect::<String>()
    };
    let lines = lines.into_iter().map(|line| {
        let text = plain(line);
        if text.starts_with('[') {
            section.clone_from(&text);
        }
        Line {
            section: section.clone(),
            text,
        }
    });
    lines.collect()
}

/// Removes a profile's lines from outside of every block, except those that were `taken` from its own
/// block. The lines of `others` are no changed ones.
pub(super) fn remove(text: &[u8], own: &[String], taken: &[Line], others: &[String]) -> Rest {
    let all = lines(text);
    let found = in_sections(all.iter().copied());
    let is_free: Vec<_> = in_blocks(text).iter().map(|inside| !inside).collect();
    let mut is_taken = vec![false; all.len()];
    let mut missing = Vec::new();
    // The last one: hallpass adds its lines at the end.
    for own in still_wanted(own, taken).iter().rev() {
        let is_it = |at: &usize| is_free[*at] && !is_taken[*at] && found[*at] == *own;
        match (0..all.len()).rev().find(is_it) {
            Some(at) => is_taken[at] = true,
            None => missing.push(own.clone()),
        }
    }
    take_empty_sections(&found, &is_free, &mut is_taken);
    let others = in_sections(others.iter().map(String::as_bytes));
    let is_changed = |at: &usize| {
        let is_there = is_free[*at] && !is_taken[*at] && !others.contains(&found[*at]);
        is_there && missing.iter().any(|own| found[*at].is_changed_from(own))
    };
    let changed = (0..all.len()).find(is_changed);
    let kept = (0..all.len()).filter(|at| !is_taken[*at]);
    Rest {
        text: kept.flat_map(|at| all[at]).copied().collect(),
        taken: is_taken.iter().filter(|taken| **taken).count(),
        is_complete: missing.is_empty(),
        changed: changed.map(|at| String::from_utf8_lossy(all[at]).trim().to_owned()),
    }
}

/// The lines, without headers, that were not taken yet.
fn still_wanted(own: &[String], taken: &[Line]) -> Vec<Line> {
    let mut wanted = in_sections(own.iter().map(String::as_bytes));
    for line in taken {
        if let Some(at) = wanted.iter().position(|wanted| wanted == line) {
            wanted.remove(at);
        }
    }
    wanted.retain(|line| !line.is_header());
    wanted
}

/// Takes the header of each section that has lost a line and has no other one.
fn take_empty_sections(found: &[Line], is_free: &[bool], is_taken: &mut [bool]) {
    let is_header = |at: &usize| found[*at].is_header();
    for header in (0..found.len()).filter(is_header) {
        let end = (header + 1..found.len()).find(is_header);
        let mut inside = header + 1..end.unwrap_or(found.len());
        let has_lost = inside.clone().any(|at| is_taken[at]);
        let is_empty = inside.all(|at| is_taken[at] || (is_free[at] && found[at].says_nothing()));
        if is_free[header] && has_lost && is_empty {
            is_taken[header] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Rest, remove};

    fn rest(text: &str, own: &[&str]) -> Rest {
        let own: Vec<_> = own.iter().map(|line| (*line).to_owned()).collect();
        remove(text.as_bytes(), &own, &[], &[])
    }

    #[test]
    fn lines_are_found_in_their_section_however_they_are_written() {
        let own = ["[c \"u\"]", "\thelper =", "\thelper = !hallpass a"];
        let text =
            "[c \"v\"]\nhelper=\n[c \"u\"]\n  helper=\n  helper = \"!hallpass a\"\n\n[d]\nx=1\n";
        let expected = "[c \"v\"]\nhelper=\n\n[d]\nx=1\n";
        let found = rest(text, &own);
        assert_eq!(String::from_utf8_lossy(&found.text), expected);
        assert_eq!((found.taken, found.is_complete), (3, true));
        // A section with another line stays.
        let text = "[c \"u\"]\nhelper =\nname = me\nhelper = !hallpass a\n";
        assert_eq!(rest(text, &own).text, b"[c \"u\"]\nname = me\n");
    }

    #[test]
    fn a_changed_line_differs_from_one_that_is_gone() {
        let own = ["//a/:tokenHelper=/x/hallpass-a"];
        let changed = rest("//a/:tokenHelper=/x/hallpass-a ; mine\n", &own).changed;
        assert_eq!(
            changed.as_deref(),
            Some("//a/:tokenHelper=/x/hallpass-a ; mine")
        );
        for text in [
            "",
            "//a/:tokenHelper=/other\n",
            "//b/:tokenHelper=/x/hallpass-a\n",
        ] {
            let rest = rest(text, &own);
            assert_eq!(rest.changed, None);
            assert!(!rest.is_complete);
        }
    }
}
