//! Writes a tool's settings, and removes exactly that again.

use std::collections::BTreeSet;
use std::path::Path;

use super::file::{UserFile, locate};
use super::lines::{self, Block};
use super::recipes::{SettingsFile, Tool, Write};
use super::record::{Record, Written};
use super::unmarked::{self, Rest};
use super::{Facts, go, links, members, tilde};
use crate::error::{Error, Result};
use crate::message;
use crate::profile::ProfileName;

pub(super) fn write(tool: &Tool, facts: &Facts, record: &mut Record) -> Result<()> {
    let Write::Never = &tool.write else {
        let Some(profile) = &facts.profile else {
            return Err(Error::usage(
                "the profile of the environment is not stored, so nothing is written for it",
            )
            .hint(format!(
                "`hallpass setup {}` prints what to put where",
                tool.name
            )));
        };
        let before = record.content().clone();
        let written = write_for(tool, profile, facts, record);
        if written.is_err() {
            // The error is what matters: nothing more is said if this fails as well.
            let _ = links::take_back(before, record);
        }
        return written;
    };
    Err(
        Error::usage(format!("hallpass cannot configure {} for you", tool.name)).hint(format!(
            "`hallpass setup {}` prints what to put where",
            tool.name
        )),
    )
}

fn write_for(tool: &Tool, profile: &ProfileName, facts: &Facts, record: &mut Record) -> Result<()> {
    let wanted_by = wanted_by(tool, profile.as_str());
    match &tool.write {
        Write::Never => Ok(()),
        Write::Lines { file, known } => {
            let lines = tool.lines(facts)?.concat();
            if tool.name == "pnpm" {
                links::make(&facts.pnpm_link()?, &wanted_by, facts, record)?;
            }
            write_lines(tool, (file, known), profile, &lines, facts, record)
        }
        Write::Json {
            file,
            object,
            key,
            value,
        } => {
            let keys = if tool.each.is_empty() {
                vec![facts.fill(key, None)?]
            } else {
                tool.for_each(key, facts)?
            };
            let value = facts.fill(value, None)?;
            let members = keys.into_iter().map(|key| (key, value.clone())).collect();
            // Prepared first: an error must not leave a link behind.
            let change = members::prepare(tool, file, *object, profile, members, facts, record)?;
            if let Some(link) = tool.link {
                links::make_on_path(link, &wanted_by, facts, record)?;
            }
            change.make(record)
        }
        Write::Go(setting) => go::write(&facts.fill(setting, None)?, facts.home()?, record),
    }
}

/// The record's name for what needs a link: a tool's settings for a profile.
fn wanted_by(tool: &Tool, profile: &str) -> String {
    format!("{} {profile}", tool.name)
}

/// Removes what was written for a tool, for one profile or for all.
pub(super) fn undo(
    tool: &Tool,
    profile: Option<&str>,
    home: &Path,
    record: &mut Record,
) -> Result<()> {
    if !tool.can_write() {
        return Err(Error::usage(format!(
            "hallpass writes nothing for {}",
            tool.name
        )));
    }
    let undone = undo_tool(tool, profile, home, record)?;
    record.remove_directories();
    record.save()?;
    if !undone {
        message::note(&format!(
            "nothing to undo: hallpass has written nothing for {}",
            tool.name
        ));
    }
    Ok(())
}

/// The same, before the record is saved. Returns whether there was anything to remove. After an error
/// the record still has everything.
pub(super) fn undo_tool(
    tool: &Tool,
    profile: Option<&str>,
    home: &Path,
    record: &mut Record,
) -> Result<bool> {
    let before = record.content().clone();
    let undone = undo_or_fail(tool, profile, home, record);
    if undone.is_err() {
        *record.content() = before;
    }
    undone
}

fn undo_or_fail(
    tool: &Tool,
    profile: Option<&str>,
    home: &Path,
    record: &mut Record,
) -> Result<bool> {
    let is_meant = |name: &str| profile.is_none_or(|profile| profile == name);
    let undone = match &tool.write {
        Write::Never => false,
        Write::Lines { file, known } => undo_lines(tool, (file, known), is_meant, home, record)?,
        Write::Json { object, .. } => members::undo(tool, *object, is_meant, record)?,
        Write::Go(_) => go::undo(home, record)?,
    };
    let of_tool = format!("{} ", tool.name);
    let needs = |setting: &str| setting.strip_prefix(&of_tool).is_some_and(is_meant);
    Ok(links::undo(needs, record)? || undone)
}

/// A file with its new content.
pub(super) struct Change {
    pub(super) tool: &'static str,
    pub(super) file: UserFile,
    pub(super) content: Vec<u8>,
    /// How many lines or members are new.
    pub(super) count: usize,
    pub(super) noun: &'static str,
}

impl Change {
    fn make(self, record: &mut Record) -> Result<()> {
        let shown = tilde(&self.file.path);
        if self.file.content.as_ref() == Some(&self.content) {
            message::note(&format!(
                "nothing to do: {shown} already has these {}s",
                self.noun
            ));
            return record.save();
        }
        record.save()?;
        self.file.write(&self.content, record)?;
        let what = match self.count {
            0 => format!("updated {shown}"),
            count => format!("added {} to {shown}", counted(count, self.noun)),
        };
        message::note(&format!(
            "{what} (undo: hallpass setup {} --undo)",
            self.tool
        ));
        Ok(())
    }
}

pub(super) fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

fn write_lines(
    tool: &Tool,
    (file, known): (&SettingsFile, &[&str]),
    profile: &ProfileName,
    text: &str,
    facts: &Facts,
    record: &mut Record,
) -> Result<()> {
    let file = UserFile::read(&locate(file, facts.home()?)?)?;
    let before = file.content.clone().unwrap_or_default();
    let block = Block {
        profile: profile.as_str(),
        path: &file.path,
    };
    let wanted: Vec<_> = text.lines().map(str::to_owned).collect();
    let written = record.file(tool.name, &file.path);
    let rest = without_lines(tool.name, &block, &before, written, known)?;
    let old = written
        .lines
        .insert(profile.as_str().to_owned(), wanted.clone());
    written.made |= file.content.is_none();
    // Other lines in the block are no reason to write it again.
    let is_there = old.as_ref() == Some(&wanted) && rest.is_complete;
    let content = if is_there {
        before
    } else {
        block.add(&rest.text, &wanted)
    };
    let count = if rest.taken == 0 { wanted.len() } else { 0 };
    let change = Change {
        tool: tool.name,
        file,
        content,
        count,
        noun: "line",
    };
    change.make(record)
}

/// The text without a profile's lines: those between the marks, by the record or, without one, by their
/// beginnings, and those that the record has and that lost their marks.
///
/// # Errors
/// `Usage` when a line was changed: without it, nobody would find it again.
fn without_lines(
    tool: &str,
    block: &Block<'_>,
    text: &[u8],
    written: &Written,
    known: &[&str],
) -> Result<Rest> {
    let Some(own) = written.lines.get(block.profile) else {
        let is_own = |line: &str| known.iter().any(|known| line.starts_with(known));
        let (text, taken) = block.remove_all(text, is_own)?;
        return Ok(Rest {
            text,
            taken: taken.len(),
            is_complete: true,
            changed: None,
        });
    };
    // With only one of its marks, its lines are found as without any.
    let (text, taken) = block
        .remove_all(text, |line| own.iter().any(|own| own == line))
        .unwrap_or_else(|_| (block.remove_marks(text), Vec::new()));
    let text = block.remove_marks(&text);
    let others = written.lines.iter();
    let others = others.filter(|(name, _)| *name != block.profile);
    let others: Vec<_> = others.flat_map(|(_, lines)| lines).cloned().collect();
    let rest = unmarked::remove(&text, own, &taken, &others);
    if let Some(line) = &rest.changed {
        let line = message::clean(line, message::FOREIGN_TEXT_LIMIT);
        let fault = format!(
            "a line of profile {} in {} was changed since hallpass wrote it: {line}",
            block.profile,
            tilde(block.path)
        );
        let hint = format!("remove it by hand, then: hallpass setup {tool} --undo");
        return Err(Error::usage(fault).hint(hint));
    }
    Ok(Rest {
        taken: rest.taken + taken.len(),
        ..rest
    })
}

/// Whether a profile's settings are where the record says.
pub(super) fn is_written(tool: &Tool, profile: &str, written: &Written) -> bool {
    let Ok(file) = UserFile::read(&written.path) else {
        return false;
    };
    let text = file.content.unwrap_or_default();
    let block = Block {
        profile,
        path: &written.path,
    };
    match &tool.write {
        Write::Lines { known, .. } if written.lines.contains_key(profile) => {
            without_lines(tool.name, &block, &text, written, known)
                .is_ok_and(|rest| rest.is_complete)
        }
        Write::Json { object, .. } => members::are_written(*object, profile, &text, written),
        _ => false,
    }
}

fn undo_lines(
    tool: &Tool,
    (file, known): (&SettingsFile, &[&str]),
    is_meant: impl Fn(&str) -> bool,
    home: &Path,
    record: &mut Record,
) -> Result<bool> {
    let recorded = record.content().files.iter();
    let recorded = recorded.filter(|file| file.tool == tool.name);
    let mut paths: Vec<_> = recorded.map(|file| file.path.clone()).collect();
    // If the record was lost, the marks in the file still show the lines.
    if let Ok(path) = locate(file, home)
        && let Ok(file) = UserFile::read(&path)
        && !paths.contains(&file.path)
    {
        paths.push(file.path);
    }
    let mut undone = false;
    for path in paths {
        let file = UserFile::read(&path)?;
        let written = record.file(tool.name, &path);
        let before = file.content.clone().unwrap_or_default();
        let (mut after, mut notes) = (before.clone(), Vec::new());
        let mut profiles: BTreeSet<_> = lines::profiles(&before).into_iter().collect();
        profiles.extend(written.lines.keys().cloned());
        for profile in profiles.iter().filter(|name| is_meant(name)) {
            let block = Block {
                profile,
                path: &file.path,
            };
            let rest = without_lines(tool.name, &block, &after, written, known)?;
            after = rest.text;
            let of = tilde(&file.path);
            notes.push(match rest.taken {
                0 => format!("{of} no longer has the lines of profile {profile}"),
                taken => {
                    let taken = counted(taken, "line");
                    format!("removed {taken} of profile {profile} from {of}")
                }
            });
            undone = true;
        }
        written.lines.retain(|name, _| !is_meant(name));
        let made = written.made;
        put_back(&file, &before, &after, made, after.is_empty(), record)?;
        for note in &notes {
            message::note(note);
        }
    }
    Ok(undone)
}

/// Writes the file without hallpass's changes, or removes one that hallpass created and that is empty.
pub(super) fn put_back(
    file: &UserFile,
    before: &[u8],
    after: &[u8],
    made: bool,
    is_empty: bool,
    record: &mut Record,
) -> Result<()> {
    if before == after {
        Ok(())
    } else if made && is_empty {
        file.remove()
    } else {
        file.write(after, record)
    }
}
