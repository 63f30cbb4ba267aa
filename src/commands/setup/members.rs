//! Members of a tool's JSON: all else in it stays as it is.

use std::collections::BTreeMap;

use super::file::{UserFile, locate};
use super::recipes::{SettingsFile, Tool};
use super::record::Record;
use super::write::{Change, put_back};
use super::{Facts, json, tilde};
use crate::error::{Error, Result};
use crate::message;
use crate::profile::ProfileName;

/// # Errors
/// `Usage` when the file is not plain JSON, or has other values there: then nothing is changed.
pub(super) fn prepare(
    tool: &Tool,
    file: &SettingsFile,
    object: Option<&'static str>,
    profile: &ProfileName,
    mut members: BTreeMap<String, String>,
    facts: &Facts,
    record: &mut Record,
) -> Result<Change> {
    let file = UserFile::read(&locate(file, facts.home()?)?)?;
    let mut text = object_of(&file)?;
    let written = record.file(tool.name, &file.path);
    written.made |= file.content.is_none();
    // Those that the profile no longer wants, such as for a URL that it was bound to.
    let old = written.members.remove(profile.as_str()).unwrap_or_default();
    for (key, value) in old
        .iter()
        .filter(|(key, value)| members.get(*key) != Some(value))
    {
        if !is_shared(&written.members, key) {
            text = json::take_out(&text, object, key, value, false)
                .map_err(|fault| unfit(&file, fault))?;
        }
    }
    let mut count = 0;
    let mut refused = None;
    members.retain(|key, value| match json::put_in(&text, object, key, value) {
        Ok(put) => {
            // One that the user put there stays when hallpass takes back its own.
            let ours = put.added || old.contains_key(key) || is_shared(&written.members, key);
            count += usize::from(put.added);
            written.made_object |= put.made_object;
            text = put.text;
            ours
        }
        Err(fault) => {
            refused.get_or_insert(fault);
            false
        }
    });
    if let Some(fault) = refused {
        return Err(unfit(&file, fault));
    }
    if !members.is_empty() {
        written.members.insert(profile.as_str().to_owned(), members);
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
        let before = text.clone();
        for name in names {
            for (key, value) in written.members.remove(&name).unwrap_or_default() {
                if file.content.is_some() && !is_shared(&written.members, &key) {
                    text = json::take_out(&text, object, &key, &value, written.made_object)
                        .map_err(|fault| unfit(&file, fault))?;
                    message::note(&format!("removed {key} from {}", tilde(&file.path)));
                }
                undone = true;
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
    }
    Ok(undone)
}
