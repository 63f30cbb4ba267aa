//! `hallpass setup all`: the tools that this machine has, and the command for each.

use std::path::Path;

use super::file::locate;
use super::recipes::{self, GROUPS, Tool};
use super::record::{Content, Record};
use super::{Facts, links, tilde, write};
use crate::error::{Error, Result};
use crate::message;
use crate::platform::program;

/// The name in place of a tool.
pub(super) const NAME: &str = "all";

/// What there is to do for a tool.
struct Row {
    tool: &'static Tool,
    /// A command, or why there is none.
    next: String,
    note: String,
}

pub(super) fn show(facts: &Facts, record: &Content) -> String {
    let tools = GROUPS.iter().flat_map(|group| group.tools);
    let found = tools.filter(|tool| is_found(tool, facts));
    let rows: Vec<_> = found.map(|tool| row(tool, facts, record)).collect();
    let width = rows.iter().map(|row| row.next.chars().count()).max();
    let width = width.unwrap_or_default();
    let lines = rows.iter().map(|row| {
        let line = format!("{:<14}{:<width$}  {}", row.tool.name, row.next, row.note);
        format!("{}\n", line.trim_end())
    });
    lines.collect::<String>() + "No other tool was found here; `hallpass setup` lists all.\n"
}

/// Whether a tool is on the PATH, or has settings.
fn is_found(tool: &Tool, facts: &Facts) -> bool {
    tool.found_by
        .iter()
        .any(|sign| match sign.strip_prefix("~/") {
            Some(path) => facts.home().is_ok_and(|home| home.join(path).exists()),
            None => program::command(sign.as_ref()).is_ok(),
        })
}

fn row(tool: &'static Tool, facts: &Facts, record: &Content) -> Row {
    let profile = facts.profile.as_ref().filter(|_| facts.named);
    let profile = profile.map(|name| format!(" --profile {name}"));
    let command = format!(
        "hallpass setup {}{}",
        tool.name,
        profile.unwrap_or_default()
    );
    let (next, note) = if let Err(error) = tool.text(facts) {
        ("-".to_owned(), error.to_string())
    } else if is_set_up(tool, facts, record) {
        (
            "already set up".to_owned(),
            format!("undo: {command} --undo"),
        )
    } else {
        match changed_by_write(tool, facts) {
            Some(note) => (format!("{command} --write"), note),
            None => (command, String::new()),
        }
    };
    Row { tool, next, note }
}

fn is_set_up(tool: &Tool, facts: &Facts, record: &Content) -> bool {
    let Some(profile) = &facts.profile else {
        return false;
    };
    let of_tool = record.files.iter().filter(|file| file.tool == tool.name);
    let mut of_tool = of_tool.filter(|file| write::is_written(tool, profile.as_str(), file));
    let has_profile = of_tool.next().is_some();
    has_profile || (tool.is_go() && record.go.is_some())
}

/// What `--write` changes, if it can be used.
fn changed_by_write(tool: &Tool, facts: &Facts) -> Option<String> {
    facts.profile.as_ref()?;
    let Some(file) = tool.file() else {
        return tool
            .is_go()
            .then(|| "changes the settings of Go".to_owned());
    };
    let path = locate(file, facts.home().ok()?).ok()?;
    let what = if path.exists() { "changes" } else { "creates" };
    Some(format!("{what} {}", tilde(&path)))
}

/// Undoes everything that `--write` and `links` did, for one profile or for all. What cannot be undone is
/// no reason to leave the rest.
pub(super) fn undo(profile: Option<&str>, home: &Path, record: &mut Record) -> Result<()> {
    let mut undone = false;
    let mut failed: Option<Error> = None;
    let mut note = |result| match result {
        Ok(has_undone) => undone |= has_undone,
        Err(error) => {
            if let Some(earlier) = failed.replace(error) {
                message::error(&earlier);
            }
        }
    };
    for tool in recipes::tools().filter(|tool| tool.can_write()) {
        note(write::undo_tool(tool, profile, home, record));
    }
    if profile.is_none() {
        note(links::undo_all(record));
    }
    record.remove_directories();
    record.save()?;
    if let Some(error) = failed {
        return Err(error);
    }
    if !undone {
        message::note("nothing to undo: hallpass has written nothing");
    }
    Ok(())
}
