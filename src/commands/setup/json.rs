//! Adds a member to a JSON file, and removes it again: every other byte stays.
//!
//! The text itself is edited. A syntax tree that can be edited (`jsonc-parser`) also changes the line
//! breaks around a member, and its strict mode accepts JSON that Docker and Claude Code refuse.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::escape::json as quoted;

/// Why a file is not changed, as what follows its name.
type Reason = &'static str;

/// The content of a new file.
pub(super) const EMPTY: &str = "{\n}\n";

/// A text with the member.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Added {
    pub(super) text: String,
    /// The member is new.
    pub(super) is_new: bool,
    /// The object that it is in is new, too.
    pub(super) made_object: bool,
}

/// Adds `"key": "value"` to the object, or to the object of this name in it.
///
/// # Errors
/// The text is not plain JSON, or the member has another value.
pub(super) fn add(
    text: &str,
    object: Option<&str>,
    key: &str,
    value: &str,
) -> Result<Added, Reason> {
    let members = members(text)?;
    let Some(name) = object else {
        let added = add_member(text, &members, key, value)?;
        return Ok(Added {
            is_new: added.is_some(),
            text: added.unwrap_or_else(|| text.to_owned()),
            made_object: false,
        });
    };
    match find(&members, name)? {
        None => {
            let inner = format!("{{{}: {}}}", quoted(key), quoted(value));
            Ok(Added {
                text: insert(text, &members, name, &inner),
                is_new: true,
                made_object: true,
            })
        }
        Some(at) => {
            let range = members[at].value.clone();
            let added = add(&text[range.clone()], None, key, value)?;
            Ok(Added {
                text: replace(text, range, &added.text),
                ..added
            })
        }
    }
}

/// Removes what [`add`] added, unless the value was changed since then. With `with_object`, the object
/// is removed with its last member.
///
/// # Errors
/// The text is not plain JSON.
pub(super) fn remove(
    text: &str,
    object: Option<&str>,
    key: &str,
    value: &str,
    with_object: bool,
) -> Result<String, Reason> {
    let all = members(text)?;
    let Some(name) = object else {
        let found = find(&all, key)?.filter(|at| all[*at].is(text, value));
        return Ok(found.map_or_else(|| text.to_owned(), |at| cut(text, &all, at)));
    };
    let Some(at) = find(&all, name)? else {
        return Ok(text.to_owned());
    };
    let range = all[at].value.clone();
    let inner = remove(&text[range.clone()], None, key, value, false)?;
    if with_object && members(&inner)?.is_empty() && inner.len() < range.len() {
        return Ok(cut(text, &all, at));
    }
    Ok(replace(text, range, &inner))
}

/// Whether the object has no members.
pub(super) fn is_empty(text: &str) -> bool {
    members(text).is_ok_and(|members| members.is_empty())
}

/// The index of the member with this name. Programs differ in which of two they use.
fn find(members: &[Member], key: &str) -> Result<Option<usize>, Reason> {
    let mut found = members
        .iter()
        .enumerate()
        .filter(|(_, member)| member.key == key);
    let first = found.next().map(|(at, _)| at);
    match found.next() {
        None => Ok(first),
        Some(_) => Err("has two members with the same name"),
    }
}

impl Member {
    fn is(&self, text: &str, value: &str) -> bool {
        let there = serde_json::from_str::<String>(&text[self.value.clone()]);
        there.is_ok_and(|there| there == value)
    }
}

struct Member {
    key: String,
    /// The bytes of the value in the text.
    value: Range<usize>,
}

/// The members of an object, in their order.
fn members(text: &str) -> Result<Vec<Member>, Reason> {
    let members: Members<'_> = serde_json::from_str(text).map_err(
        |_| "is not plain JSON (an object, without comments), so hallpass cannot change it",
    )?;
    let place = |raw: &RawValue| {
        let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
        start..start + raw.get().len()
    };
    let members = members.0.into_iter();
    let members = members.map(|(key, raw)| Member {
        key,
        value: place(raw),
    });
    Ok(members.collect())
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// None if the object already has the member.
fn add_member(
    text: &str,
    members: &[Member],
    key: &str,
    value: &str,
) -> Result<Option<String>, Reason> {
    match find(members, key)? {
        None => Ok(Some(insert(text, members, key, &quoted(value)))),
        Some(at) if members[at].is(text, value) => Ok(None),
        Some(_) => Err("has another value there already"),
    }
}

/// Inserts a member as the first one, after the same white space as the previous first one.
fn insert(text: &str, members: &[Member], key: &str, value: &str) -> String {
    let inside = text.find('{').map_or(0, |brace| brace + 1);
    let gap = text[inside..].len() - text[inside..].trim_start().len();
    let space = &text[inside..inside + gap];
    let comma = if members.is_empty() { "" } else { "," };
    let indented = if members.is_empty() && text == EMPTY {
        "\n  "
    } else {
        space
    };
    let member = format!("{indented}{}: {value}{comma}", quoted(key));
    replace(text, inside..inside, &member)
}

/// Removes a member with its comma, and the white space before it.
fn cut(text: &str, members: &[Member], at: usize) -> String {
    let inside = text.find('{').map_or(0, |brace| brace + 1);
    let end = members[at].value.end;
    match (at.checked_sub(1), members.get(at + 1)) {
        // The white space before it then belongs to the next member.
        (None, Some(_)) => {
            let comma = end + text[end..].find(',').map_or(0, |comma| comma + 1);
            replace(text, inside..comma, "")
        }
        (None, None) => replace(text, inside..end, ""),
        (Some(before), _) => replace(text, members[before].value.end..end, ""),
    }
}

fn replace(text: &str, range: Range<usize>, with: &str) -> String {
    [&text[..range.start], with, &text[range.end..]].concat()
}

#[cfg(test)]
mod tests {
    use super::{Added, EMPTY, add, remove};

    #[test]
    fn what_is_added_is_removed_byte_for_byte() {
        for text in [
            EMPTY,
            "{}",
            "{ }",
            "{\r\n  \"a\": 1\r\n}\r\n",
            "{\n\t\"auths\": {},\n\t\"b\": [1, {\"x\": 2}]\n}",
            "{\"credHelpers\": {\"other\": \"pass\"}, \"z\": null, \"a\": 1.50}\n",
            "{\"credHelpers\": {}}",
            "{\"credHelpers\": {\n}, \"b\": 1}",
            "  { \"a\" : \"\\u00e9,}\" }",
        ] {
            for object in [None, Some("credHelpers")] {
                let added = add(text, object, "host:1", "hallpass").expect("a change");
                let read: serde_json::Value = serde_json::from_str(&added.text).expect("JSON");
                let place = object.map_or(&read, |object| &read[object]);
                assert_eq!(place["host:1"], "hallpass", "{added:?}");
                assert!(added.is_new);
                let again = add(&added.text, object, "host:1", "hallpass").expect("no change");
                let unchanged = Added {
                    text: added.text.clone(),
                    is_new: false,
                    made_object: false,
                };
                assert_eq!(again, unchanged);
                let out =
                    |text: &str| remove(text, object, "host:1", "hallpass", added.made_object);
                assert_eq!(out(&added.text).as_deref(), Ok(text));
                assert_eq!(out(text).as_deref(), Ok(text));
                assert!(add(&added.text, object, "host:1", "another").is_err());
            }
        }
    }

    #[test]
    fn what_is_not_plain_json_is_refused() {
        for text in [
            "",
            "[]",
            "{",
            "{\"a\": 1} x",
            "{\"a\": 1,}",
            "{} // comment",
            "{ // comment\n}",
            "{\"a\": \"\n\"}",
            "{\"a\":\u{a0}1}",
            "\u{feff}{}",
            "{\"credHelpers\": 1}",
            "{\"credHelpers\": {}, \"credHelpers\": {}}",
            "{\"credHelpers\": {\"a\": \"b\", \"a\": \"b\"}}",
        ] {
            assert!(add(text, Some("credHelpers"), "a", "b").is_err(), "{text}");
        }
    }

    #[test]
    fn a_member_that_was_moved_or_escaped_is_still_removed() {
        let text = r#"{"a": 1, "host": "\u0068allpass", "b": 2}"#;
        assert_eq!(
            remove(text, None, "host", "hallpass", false).as_deref(),
            Ok(r#"{"a": 1, "b": 2}"#)
        );
    }
}
