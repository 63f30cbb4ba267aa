//! Members of a tool's JSON file: every other byte stays.

use std::collections::BTreeMap;

use super::file::{UserFile, locate};
use super::recipes::{SettingsFile, Tool};
use super::record::{Record, Written};
use super::write::{Change, put_back};
use super::{Facts, json, tilde};
use crate::error::{Error, Result};
use crate::message;
use crate::profile::ProfileName;

/// # Errors
/// `Usage` when the file is not plain JSON, or has other values for the members.
pub(super) fn prepare(
    tool: &Tool,
    file: &SettingsFile,
    object: Option<&'static str>,
    profile: &ProfileName,
    members: BTreeMap<String, String>,
    facts: &Facts,
    record: &mut Record,
) -> Result<Change> {
    let file = UserFile::read(&locate(file, facts.home()?)?)?;
    let mut text = object_of(&file)?;
    let written = record.file(tool.name, &file.path);
    written.made |= file.content.is_none();
    // Members that the profile no longer needs, such as for a URL that was unbound.
    let old = written.members.remove(profile.as_str()).unwrap_or_default();
    for (key, value) in old
        .iter()
        .filter(|(key, value)| members.get(*key) != Some(value))
    {
        if !is_shared(&written.members, key) {
            text = json::remove(&text, object, key, value, false)
                .map_err(|fault| unfit(&file, fault))?;
        }
    }
    let mut count = 0;
    let mut own = BTreeMap::new();
    for (key, value) in members {
        let added = json::add(&text, object, &key, &value).map_err(|fault| unfit(&file, fault))?;
        count += usize::from(added.is_new);
        written.made_object |= added.made_object;
        text = added.text;
        // A member that the user added is not recorded, so it is never removed.
        if added.is_new || old.contains_key(&key) || is_shared(&written.members, &key) {
            own.insert(key, value);
        }
    }
    if !own.is_empty() {
        written.members.insert(profile.as_str().to_owned(), own);
    }
    Ok(Change {
        tool: tool.name,
        content: text.into_bytes(),
        file,
        count,
        noun: "setting",
    })
}

/// Whether another profile's settings need a member as well.
fn is_shared(members: &BTreeMap<String, BTreeMap<String, String>>, key: &str) -> bool {
    members.values().any(|members| members.contains_key(key))
}

/// Whether all of a profile's members are there.
pub(super) fn are_written(
    object: Option<&str>,
    profile: &str,
    text: &[u8],
    written: &Written,
) -> bool {
    let (Some(members), Ok(text)) = (written.members.get(profile), std::str::from_utf8(text))
    else {
        return false;
    };
    let is_there = |(key, value): (&String, &String)| {
        json::remove(text, object, key, value, false).is_ok_and(|rest| rest != text)
    };
    members.iter().all(is_there)
}

fn object_of(file: &UserFile) -> Result<String> {
    match &file.content {
        None => Ok(json::EMPTY.to_owned()),
        Some(content) => {
            String::from_utf8(content.clone()).map_err(|_| unfit(file, "is not UTF-8 text"))
        }
    }
}

fn unfit(file: &UserFile, fault: &str) -> Error {
    Error::usage(format!("{} {fault}", file.path.display()))
        .hint("without --write, hallpass prints what to put there")
}

pub(super) fn undo(
    tool: &Tool,
    object: Option<&'static str>,
    is_meant: impl Fn(&str) -> bool,
    record: &mut Record,
) -> Result<bool> {
    let recorded = record.content().files.iter();
    let recorded = recorded.filter(|file| file.tool == tool.name);
    let paths: Vec<_> = recorded.map(|file| file.path.clone()).collect();
    let mut undone = false;
    for path in paths {
        let file = UserFile::read(&path)?;
        let written = record.file(tool.name, &path);
        let names: Vec<_> = written
            .members
            .keys()
            .filter(|name| is_meant(name))
            .cloned()
            .collect();
        let mut text = object_of(&file)?;
        let (before, mut notes) = (text.clone(), Vec::new());
        for name in names {
            for (key, value) in written.members.remove(&name).unwrap_or_default() {
                undone = true;
                if is_shared(&written.members, &key) {
                    continue;
                }
                let rest = json::remove(&text, object, &key, &value, written.made_object)
                    .map_err(|fault| unfit(&file, fault))?;
                let of = tilde(&file.path);
                notes.push(if rest == text {
                    format!("{of} no longer has {key} as hallpass wrote it")
                } else {
                    format!("removed {key} from {of}")
                });
                text = rest;
            }
        }
        let made = written.made;
        put_back(
            &file,
            before.as_bytes(),
            text.as_bytes(),
            made,
            json::is_empty(&text),
            record,
        )?;
        for note in &notes {
            message::note(note);
        }
    }
    Ok(undone)
}
