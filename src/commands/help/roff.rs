//! Formats manual pages as text: the macros of man(7) that the pages of hallpass use, and no others.

mod fill;

use fill::{Style, Styled, fill};

/// The indentation of paragraphs, of what is below a tag, and of each `.RS`.
const INDENT: usize = 4;

/// A section, with its subsections.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) source: String,
    /// Whether it is no subsection.
    pub(super) is_top: bool,
}

impl Section {
    /// The title, as a topic: `exit-status`.
    pub(super) fn name(&self) -> String {
        let title = self.source.lines().next().unwrap_or_default();
        let (_, title) = title.split_once(' ').unwrap_or_default();
        let words = plain(title).to_lowercase();
        words.split_whitespace().collect::<Vec<_>>().join("-")
    }
}

/// The sections and the subsections of a page.
pub(super) fn sections(page: &str) -> Vec<Section> {
    let lines: Vec<_> = page.lines().collect();
    let is_section = |line: &&str| line.starts_with(".SH ");
    let is_part = |line: &&str| is_section(line) || line.starts_with(".SS ");
    let starts = (0..lines.len()).filter(|at| is_part(&lines[*at]));
    let section = |start: usize| {
        let is_top = is_section(&lines[start]);
        let rest = &lines[start + 1..];
        let end = if is_top {
            rest.iter().position(is_section)
        } else {
            rest.iter().position(is_part)
        };
        let end = end.map_or(lines.len(), |end| start + 1 + end);
        Section {
            source: lines[start..end].join("\n"),
            is_top,
        }
    };
    starts.map(section).collect()
}

/// A text in roff without its escapes.
fn plain(text: &str) -> String {
    let styled = inline(text, Style::Plain);
    styled.into_iter().map(|(character, _)| character).collect()
}

/// A page, or a part of one, that is being formatted.
#[derive(Default)]
pub(super) struct Page {
    blocks: Vec<Block>,
    /// The words of the current paragraph.
    text: Styled,
    /// The columns before sections, for `.RS`.
    levels: Vec<usize>,
    margin: usize,
    /// The columns of a paragraph below its margin.
    hanging: usize,
    tag: Option<Styled>,
    expects_tag: bool,
    is_filled: bool,
    /// Whether an empty line comes before the next paragraph.
    is_apart: bool,
}

/// Lines that belong together.
struct Block {
    text: Styled,
    indent: usize,
    is_filled: bool,
    /// Whether an empty line comes before it.
    is_apart: bool,
    /// What stands to the left of the first line.
    tag: Option<Styled>,
    /// The columns of the tag.
    tag_indent: usize,
}

impl Page {
    pub(super) fn of(source: &str) -> Self {
        let mut page = Self {
            is_filled: true,
            margin: INDENT,
            ..Self::default()
        };
        for line in source.lines() {
            page.line(line);
        }
        page.end_paragraph(true);
        page
    }

    pub(super) fn text(&self, width: usize, has_color: bool) -> String {
        let mut text = String::new();
        for block in &self.blocks {
            if block.is_apart && !text.is_empty() {
                text.push('\n');
            }
            block.write(&mut text, width, has_color);
        }
        text
    }

    fn line(&mut self, line: &str) {
        let Some(request) = line.strip_prefix('.') else {
            return self.add(inline(line, Style::Plain));
        };
        let (name, rest) = request.split_once(' ').unwrap_or((request, ""));
        match name {
            "B" | "I" | "BR" | "RB" | "IR" | "RI" | "BI" | "IB" => {
                self.add(alternating(name, rest));
            }
            "SH" | "SS" => self.heading(name == "SH", rest),
            "PP" => {
                self.end_paragraph(true);
                self.hanging = 0;
            }
            "TP" => {
                self.end_paragraph(true);
                self.hanging = INDENT;
                self.expects_tag = true;
            }
            "IP" => {
                self.end_paragraph(true);
                self.hanging = INDENT;
                let tag = arguments(rest).into_iter().next();
                self.tag = tag.map(|tag| inline(&tag, Style::Plain));
                if self.tag.is_some() {
                    self.hanging = 2;
                }
            }
            "RS" => {
                self.end_paragraph(false);
                self.levels.push(self.margin);
                self.margin += INDENT;
                self.hanging = 0;
            }
            "RE" => {
                self.end_paragraph(false);
                self.margin = self.levels.pop().unwrap_or(INDENT);
            }
            "nf" | "EX" => {
                self.end_paragraph(false);
                self.is_filled = false;
            }
            "fi" | "EE" => {
                self.end_paragraph(false);
                self.is_filled = true;
            }
            "br" => self.end_paragraph(false),
            // The title, and comments.
            _ => {}
        }
    }

    fn add(&mut self, text: Styled) {
        if self.expects_tag {
            self.expects_tag = false;
            self.tag = Some(text);
            return;
        }
        let separator = if self.is_filled { ' ' } else { '\n' };
        if !self.text.is_empty() {
            self.text.push((separator, Style::Plain));
        }
        self.text.extend(text);
    }

    fn heading(&mut self, is_top: bool, title: &str) {
        self.end_paragraph(true);
        self.levels.clear();
        (self.margin, self.hanging) = (INDENT, 0);
        let title = arguments(title).join(" ");
        self.blocks.push(Block {
            text: inline(&title, Style::Bold),
            indent: if is_top { 0 } else { 2 },
            is_filled: true,
            is_apart: true,
            tag: None,
            tag_indent: 0,
        });
        self.is_apart = false;
    }

    /// Ends the current paragraph, and says whether an empty line follows.
    fn end_paragraph(&mut self, is_apart: bool) {
        let (text, tag) = (std::mem::take(&mut self.text), self.tag.take());
        if text.is_empty() && tag.is_none() {
            let follows_heading = self.blocks.last().is_none_or(Block::is_heading);
            self.is_apart |= is_apart && !follows_heading;
            return;
        }
        self.blocks.push(Block {
            text,
            indent: self.margin + self.hanging,
            is_filled: self.is_filled,
            is_apart: self.is_apart,
            tag,
            tag_indent: self.margin,
        });
        self.is_apart = is_apart;
    }
}

impl Block {
    fn is_heading(&self) -> bool {
        self.indent < INDENT
    }

    fn write(&self, text: &mut String, width: usize, has_color: bool) {
        let mut lines = if self.is_filled {
            fill(&self.text, width.saturating_sub(self.indent))
        } else {
            let lines = self.text.split(|(character, _)| *character == '\n');
            lines.map(<[_]>::to_vec).collect()
        };
        if self.text.is_empty() {
            lines.clear();
        }
        let spaces = |count: usize| " ".repeat(count);
        let mut lines = lines.into_iter();
        if let Some(tag) = &self.tag {
            text.extend([&*spaces(self.tag_indent), &fill::shown(tag, has_color)]);
            let space = self.indent - self.tag_indent;
            if tag.len() < space
                && let Some(first) = lines.next()
            {
                text.extend([&*spaces(space - tag.len()), &fill::shown(&first, has_color)]);
            }
            text.push('\n');
        }
        for line in lines {
            text.extend([&*spaces(self.indent), &fill::shown(&line, has_color), "\n"]);
        }
    }
}

/// The arguments of a macro: words, or texts in quotation marks.
fn arguments(text: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mut argument = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted;
            loop {
                let (part, after) = rest.split_once('"').unwrap_or((rest, ""));
                argument.push_str(part);
                rest = after;
                // Two are one in the text.
                match rest.strip_prefix('"') {
                    Some(after) => {
                        argument.push('"');
                        rest = after;
                    }
                    None => break,
                }
            }
        } else {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            argument.push_str(word);
            rest = after;
        }
        arguments.push(argument);
        rest = rest.trim_start();
    }
    arguments
}

/// The text of a macro for fonts: `.B` and `.I` in one of them, `.BR` and others in both by turns.
fn alternating(name: &str, rest: &str) -> Styled {
    let styles: Vec<_> = name.chars().map(Style::of).collect();
    let arguments = arguments(rest);
    if let [style] = styles[..] {
        return inline(&arguments.join(" "), style);
    }
    let parts = arguments.iter().zip(styles.iter().cycle());
    let parts = parts.map(|(argument, style)| inline(argument, *style));
    parts.flatten().collect()
}

/// Replaces the escapes of a text.
fn inline(text: &str, start: Style) -> Styled {
    let mut styled = Vec::new();
    let mut style = start;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            styled.push((character, style));
            continue;
        }
        let shown = match rest.next() {
            Some('e') => '\\',
            Some('f') => {
                style = match rest.next() {
                    Some('P') => start,
                    font => Style::of(font.unwrap_or('R')),
                };
                continue;
            }
            Some('(') => match (rest.next(), rest.next()) {
                (Some('d'), Some('q')) => '"',
                (Some('a'), Some('q')) => '\'',
                (Some('b'), Some('u')) => '•',
                _ => continue,
            },
            // No character, or a narrow space.
            Some('&' | '|') | None => continue,
            Some(other) => other,
        };
        styled.push((shown, style));
    }
    styled
}

#[cfg(test)]
mod tests;
