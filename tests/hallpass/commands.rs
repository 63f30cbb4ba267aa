//! The command line: which profile is meant, what is kept and printed, and how hallpass says no.

mod arguments;
mod login;
mod logout;
mod token;

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::machine::{Machine, Ran};

const COMMANDS: [&str; 4] = ["login", "token", "logout", "status"];

/// Failed with this code, in the style of all messages: a line each, lower case, no full stop.
#[track_caller]
pub(crate) fn fails(ran: Ran, code: i32) -> Ran {
    let ran = ran.failure(code);
    let mut errors = 0;
    for line in ran.stderr.lines() {
        let message = line
            .strip_prefix("hallpass: ")
            .unwrap_or_else(|| panic!("{ran:?}"));
        let kinds = ["error: ", "hint: ", "warning: "];
        let text = kinds
            .iter()
            .find_map(|kind| message.strip_prefix(kind))
            .unwrap_or(message);
        errors += usize::from(message.starts_with("error: "));
        // The name of a variable stands as it is.
        let first = text.split(' ').next().unwrap_or_default();
        let is_variable = first.starts_with("HALLPASS_");
        assert!(
            is_variable || !first.starts_with(char::is_uppercase),
            "{ran:?}"
        );
        assert!(
            !text.ends_with('.') && text.trim() == text && !text.is_empty(),
            "{ran:?}"
        );
    }
    assert_eq!(errors, 1, "{ran:?}");
    assert!(ran.stderr.ends_with('\n'), "{ran:?}");
    ran
}

fn path(path: &std::path::Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The names of the profiles, by their files.
fn names(machine: &Machine) -> Vec<String> {
    let entries = fs::read_dir(machine.config()).expect("the settings");
    let names: BTreeSet<String> = entries
        .filter_map(|entry| entry.expect("an entry").file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.into_iter().collect()
}

/// A profile's file.
fn settings(machine: &Machine, profile: &str) -> Value {
    let file = machine.config().join(format!("{profile}.json"));
    serde_json::from_slice(&fs::read(file).expect("the profile")).expect("JSON")
}

pub(crate) fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

/// `2026-11-23T22:12:59Z` (RFC 3339).
pub(crate) fn is_moment(value: &Value) -> bool {
    let shape: String = value
        .as_str()
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "0000-00-00T00:00:00Z"
}
