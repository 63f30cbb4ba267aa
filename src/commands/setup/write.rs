//! Writes a tool's settings for the user, between two marks, and takes exactly that back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Facts;
use super::tools::{File, GOAUTH, Tool, Way};
use super::{json, links};
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
        Way::Json {
            file,
            object,
            key,
            value,
        } => {
            let keys = if key.contains('{') {
                tool.for_each(key, facts)?
            } else {
                vec![(*key).to_owned()]
            };
            members(file, *object, &keys, &facts.fill(value), facts, undo)
        }
        Way::Go => go(facts, undo),
    }?;
    Ok(String::new())
}

/// The block of lines of ours in a file: all else in it stays as it is, byte for byte.
fn lines(tool: &Tool, file: &File, facts: &Facts, undo: bool) -> Result<()> {
    let path = place(file, facts);
    let before = read(&path)?.unwrap_or_default();
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
    change(&path, &before, &after, "")
}

/// Members of a tool's JSON: all else in it stays as it is.
fn members(
    file: &File,
    object: Option<&str>,
    keys: &[String],
    value: &str,
    facts: &Facts,
    undo: bool,
) -> Result<()> {
    let path = place(file, facts);
    let before = read(&path)?.unwrap_or_else(|| json::EMPTY.to_owned());
    let step = if undo { json::take_out } else { json::put_in };
    let after = keys
        .iter()
        .try_fold(before.clone(), |text, key| step(&text, object, key, value));
    let after = after.map_err(|fault| {
        Error::usage(format!("{} {fault}", path.display()))
            .hint("`hallpass setup` with the tool's name says what to put there by hand")
    })?;
    change(&path, &before, &after, json::EMPTY)
}

/// The tool's file. A link of a dotfile manager stays one.
fn place(file: &File, facts: &Facts) -> PathBuf {
    let told = std::env::var_os(file.variable).filter(|path| !path.is_empty());
    let path = match told.map(PathBuf::from) {
        Some(path) if file.below.is_empty() => path,
        Some(directory) => directory.join(file.below),
        None => facts.home.join(file.in_home),
    };
    path.canonicalize().unwrap_or(path)
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::broken(format!("cannot read {}", path.display())).because(error)),
    }
}

/// Writes a file anew; one that holds nothing any more was not there before us.
fn change(path: &Path, before: &str, after: &str, nothing: &str) -> Result<()> {
    if after == before {
        message::note(&format!("{} is as it should be", path.display()));
        return Ok(());
    }
    let changed = if after == nothing {
        disk::remove(path)
    } else {
        let directory = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory).and_then(|()| disk::rewrite(path, after.as_bytes()))
    };
    changed.map_err(|error| {
        Error::broken(format!("cannot change {}", path.display())).because(error)
    })?;
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
