//! hallpass's lines in a file that allows comments, between two marks. Every other byte stays, even if
//! the tool puts lines of its own between them.

use std::path::Path;

use super::unmarked::{self, Line};
use crate::error::{Error, Result};

/// The lines of one profile in a file.
pub(super) struct Block<'a> {
    pub(super) profile: &'a str,
    /// The file, for messages.
    pub(super) path: &'a Path,
}

/// The lines of a text, each with its end.
pub(super) fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// A line without its end, which an editor may have changed.
fn bare(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The line end that a file uses.
fn line_end(text: &[u8]) -> &'static str {
    let first = lines(text).into_iter().next().unwrap_or_default();
    if first.ends_with(b"\r\n") {
        "\r\n"
    } else {
        "\n"
    }
}

const MARK: &str = "# hallpass setup (";

/// The profiles that have lines in a file.
pub(super) fn profiles(text: &[u8]) -> Vec<String> {
    lines(text).into_iter().filter_map(begun).collect()
}

/// The profile whose lines begin after this one.
fn begun(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(bare(line)).ok()?;
    let (name, what) = line.strip_prefix(MARK)?.split_once(") ")?;
    what.starts_with("begins").then(|| name.to_owned())
}

/// Whether each line of a text is in a block that has both of its marks.
pub(super) fn in_blocks(text: &[u8]) -> Vec<bool> {
    let all = lines(text);
    let mut inside = vec![false; all.len()];
    for begin in 0..all.len() {
        let Some(name) = begun(all[begin]) else {
            continue;
        };
        let ends = format!("{MARK}{name}) ends");
        let is_end = |line: &&[u8]| bare(line) == ends.as_bytes();
        if let Some(length) = all[begin..].iter().position(is_end) {
            inside[begin..=begin + length].fill(true);
        }
    }
    inside
}

impl Block<'_> {
    fn begins(&self) -> String {
        format!("{MARK}{}) begins", self.profile)
    }

    /// The mark after a last line that had no line end, which is removed again.
    fn begins_after_bare_line(&self) -> String {
        format!("{MARK}{}) begins here", self.profile)
    }

    fn ends(&self) -> String {
        format!("{MARK}{}) ends", self.profile)
    }

    /// The text without this profile's marks.
    pub(super) fn remove_marks(&self, text: &[u8]) -> Vec<u8> {
        let marks = [self.begins(), self.begins_after_bare_line(), self.ends()];
        let is_mark = |line: &&[u8]| marks.iter().any(|mark| mark.as_bytes() == bare(line));
        let kept = lines(text).into_iter().filter(|line| !is_mark(line));
        kept.flatten().copied().collect()
    }

    /// The text without hallpass's lines in each block of the profile, and these.
    ///
    /// # Errors
    /// As [`Block::remove`].
    pub(super) fn remove_all(
        &self,
        text: &[u8],
        is_own: impl Fn(&str) -> bool,
    ) -> Result<(Vec<u8>, Vec<Line>)> {
        let (mut text, mut all_taken) = (text.to_owned(), Vec::new());
        loop {
            let (rest, taken) = self.remove(&text, &is_own)?;
            all_taken.extend(taken);
            if rest == text {
                return Ok((rest, all_taken));
            }
            text = rest;
        }
    }

    /// The text without hallpass's lines, and these.
    ///
    /// # Errors
    /// `Usage` when the mark at the end is missing.
    fn remove(&self, text: &[u8], is_own: impl Fn(&str) -> bool) -> Result<(Vec<u8>, Vec<Line>)> {
        let all = lines(text);
        let (begins, bare_begins) = (self.begins(), self.begins_after_bare_line());
        let is_begin = |line: &&[u8]| {
            let line = bare(line);
            line == begins.as_bytes() || line == bare_begins.as_bytes()
        };
        let Some(begin) = all.iter().position(is_begin) else {
            return Ok((text.to_owned(), Vec::new()));
        };
        let ends = self.ends();
        let length = all[begin..]
            .iter()
            .position(|line| bare(line) == ends.as_bytes());
        let Some(length) = length else {
            return Err(Error::usage(format!(
                "the line `{ends}` is missing in {}",
                self.path.display()
            ))
            .hint(format!("remove the lines after `{begins}` by hand")));
        };
        let end = begin + length;
        let (kept, taken) = without_own(&all[begin + 1..end], is_own);
        let mut before = all[..begin].concat();
        if kept.is_empty() && bare(all[begin]) == bare_begins.as_bytes() {
            before.truncate(bare(&before).len());
        }
        Ok(([before, kept, all[end + 1..].concat()].concat(), taken))
    }

    /// The text with these lines at its end.
    pub(super) fn add(&self, text: &[u8], block: &[String]) -> Vec<u8> {
        let end = line_end(text);
        let mut all = text.to_owned();
        let begins = if text.is_empty() || text.ends_with(b"\n") {
            self.begins()
        } else {
            all.extend(end.as_bytes());
            self.begins_after_bare_line()
        };
        for line in [&[begins], block, &[self.ends()]].concat() {
            all.extend(line.as_bytes());
            all.extend(end.as_bytes());
        }
        all
    }
}

/// The other lines of a block, each below the header of the section that it is in.
fn without_own(block: &[&[u8]], is_own: impl Fn(&str) -> bool) -> (Vec<u8>, Vec<Line>) {
    let (mut kept, mut taken) = (Vec::new(), Vec::new());
    let mut header: Option<&[u8]> = None;
    for (line, in_section) in block
        .iter()
        .zip(unmarked::in_sections(block.iter().copied()))
    {
        let is_header = bare(line).starts_with(b"[");
        if std::str::from_utf8(bare(line)).is_ok_and(&is_own) {
            taken.push(in_section);
            if is_header {
                header = Some(line);
            }
            continue;
        }
        if let Some(header) = header.take().filter(|_| !is_header) {
            kept.extend_from_slice(header);
        }
        kept.extend_from_slice(line);
    }
    (kept, taken)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Block, profiles};

    fn block() -> Block<'static> {
        Block {
            profile: "prod",
            path: Path::new("settings"),
        }
    }

    fn own_lines() -> Vec<String> {
        ["[a]", "\tx =", "\tx = 1", "[b]", "\tx = 2"]
            .map(str::to_owned)
            .to_vec()
    }

    fn remove(text: &[u8]) -> Vec<u8> {
        let own = own_lines();
        let is_own = |line: &str| own.iter().any(|own| own == line);
        block()
            .remove(text, is_own)
            .expect("a block with its end")
            .0
    }

    #[test]
    fn what_is_added_is_removed_byte_for_byte() {
        let texts: [&[u8]; 6] = [
            b"",
            b"[u]\n\tn = \xe9\n",
            b"[u]",
            b"\n",
            b"a\r\n",
            b"a\r\nb",
        ];
        for text in texts {
            let put = block().add(text, &own_lines());
            assert_eq!(remove(&put), text);
            assert_eq!(profiles(&put), ["prod"]);
            let more = [&put[..], b"[c]\n"].concat();
            assert_eq!(profiles(&remove(&more)), [""; 0]);
        }
    }

    #[test]
    fn other_lines_stay_in_their_section() {
        let put = block().add(b"[u]\n", &own_lines());
        let text = String::from_utf8(put).expect("text");
        let text = text
            .replace("\tx = 1\n", "\tx = 1\n\ty = 3\n\ty = 4\n")
            .replace("[b]", "[c]\n\tz = 5\n[b]");
        let rest = String::from_utf8(remove(text.as_bytes())).expect("text");
        assert_eq!(rest, "[u]\n[a]\n\ty = 3\n\ty = 4\n[c]\n\tz = 5\n");
    }

    #[test]
    fn a_block_without_its_end_is_not_changed() {
        let text = b"# hallpass setup (prod) begins\n[a]\n";
        assert!(block().remove(text, |_| true).is_err());
        assert_eq!(
            block().remove(b"x\n", |_| true).expect("no block"),
            (b"x\n".to_vec(), Vec::new())
        );
    }
}
