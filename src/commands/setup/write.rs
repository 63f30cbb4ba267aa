//! Writes a tool's settings for the user, between two marks, and takes exactly that back.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Facts;
use super::links;
use super::tools::{File, GOAUTH, Tool, Way};
use crate::disk;
use crate::error::{Error, Result};
use crate::message;

pub(super) fn run(tool: &Tool, facts: &Facts, undo: bool) -> Result<String> {
    match &tool.way {
        Way::Print => Err(Error::usage(format!(
            "{} has no setting that hallpass can change safely",
            tool.name
        ))
        .hint(format!(
            "`hallpass setup {}` says what to put where",
            tool.name
        ))),
        Way::Lines(file) => lines(tool, file, facts, undo),
        Way::Go => go(facts, undo),
    }?;
    Ok(String::new())
}

/// The block of lines of ours in a file: all else in it stays as it is, byte for byte.
fn lines(tool: &Tool, file: &File, facts: &Facts, undo: bool) -> Result<()> {
    let path = std::env::var_os(file.variable).filter(|path| !path.is_empty());
    let path = path.map_or_else(|| facts.home.join(file.in_home), PathBuf::from);
    let cannot = |what: &str, error| {
        Error::broken(format!("cannot {what} {}", path.display())).because(error)
    };
    // A link of a dotfile manager stays one.
    let path = path.canonicalize().unwrap_or_else(|_| path.clone());
    let before = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(cannot("read", error)),
    };
    let marks = Marks::of(facts);
    let rest = marks.take_out(&before)?;
    let after = if undo {
        rest
    } else {
        marks.put_in(&rest, &tool.lines(facts)?)
    };
    if tool.name == "pnpm" {
        let name = format!("pnpm-tokenhelper-hallpass-{}", facts.profile);
        links::one(&facts.program, &facts.links.join(name), undo)?;
    }
    if after == before {
        message::note(&format!("{} is as it should be", path.display()));
        return Ok(());
    }
    if after.is_empty() {
        // It was not there before us.
        disk::remove(&path).map_err(|error| cannot("remove", error))?;
    } else {
        disk::rewrite(&path, after.as_bytes()).map_err(|error| cannot("write", error))?;
    }
    message::note(&format!("changed {}", path.display()));
    Ok(())
}

/// Where the lines of one profile begin and end.
struct Marks {
    begin: String,
    /// The same, where the line before it had no end: it gets that back.
    begin_after_bare_line: String,
    end: String,
}

impl Marks {
    fn of(facts: &Facts) -> Self {
        let profile = &facts.profile;
        Self {
            begin: format!("# hallpass setup ({profile}) begins\n"),
            begin_after_bare_line: format!("\n# hallpass setup ({profile}) begins here\n"),
            end: format!("# hallpass setup ({profile}) ends\n"),
        }
    }

    /// The text without the block.
    fn take_out(&self, text: &str) -> Result<String> {
        let begins = [&self.begin_after_bare_line, &self.begin];
        let begin = begins
            .into_iter()
            .find_map(|begin| text.find(begin.as_str()));
        let Some(begin) = begin else {
            return Ok(text.to_owned());
        };
        let Some(length) = text[begin..].find(&self.end) else {
            return Err(
                Error::usage("the end of what hallpass wrote there is missing")
                    .hint("remove the lines after `# hallpass setup` by hand"),
            );
        };
        let after = begin + length + self.end.len();
        Ok(text[..begin].to_owned() + &text[after..])
    }

    fn put_in(&self, text: &str, lines: &str) -> String {
        let begin = if text.is_empty() || text.ends_with('\n') {
            &self.begin
        } else {
            &self.begin_after_bare_line
        };
        format!("{text}{begin}{lines}{}", self.end)
    }
}

/// Go keeps its settings itself. Another GOAUTH is the user's own.
fn go(facts: &Facts, undo: bool) -> Result<()> {
    let ours = facts.fill(GOAUTH);
    let (_, value) = ours.split_once('=').unwrap_or_default();
    let current = go_env(&["GOAUTH"])?;
    let is_ours = current.trim() == value;
    if !is_ours && !["", "netrc"].contains(&current.trim()) {
        return Err(Error::usage("GOAUTH has another value already")
            .hint(format!("add it by hand: `hallpass setup go` says {ours}")));
    }
    match (is_ours, undo) {
        (true, true) => go_env(&["-u", "GOAUTH"])?,
        (false, false) => go_env(&["-w", &ours])?,
        _ => String::new(),
    };
    Ok(())
}

fn go_env(arguments: &[&str]) -> Result<String> {
    let output = Command::new("go").arg("env").args(arguments).output();
    let output = output.map_err(|error| Error::usage("go cannot be run").because(error))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::usage(format!(
            "`go env` failed: {}",
            message::clean(&said, message::FOREIGN_TEXT_LIMIT)
        )))
    }
}
