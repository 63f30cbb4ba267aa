//! One member of a JSON file, put in and taken out as text: all else in the file stays as it is.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::escape::json as quoted;

/// Why a file is not changed, as what follows its name.
type Reason = &'static str;

/// An object without members, as it is written where there is no file.
pub(super) const EMPTY: &str = "{\n}\n";

/// A text with a member in it.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Put {
    pub(super) text: String,
    /// The member was not there before.
    pub(super) added: bool,
    /// Nor was the object that it is in.
    pub(super) made_object: bool,
}

/// Puts `"key": "value"` into the object, or into the object of this name in it.
pub(super) fn put_in(
    text: &str,
    object: Option<&str>,
    key: &str,
    value: &str,
) -> Result<Put, Reason> {
    let members = members(text)?;
    let Some(name) = object else {
        let put = put_member(text, &members, key, value)?;
        return Ok(Put {
            added: put.is_some(),
            text: put.unwrap_or_else(|| text.to_owned()),
            made_object: false,
        });
    };
    match find(&members, name)? {
        None => {
            let inner = format!("{{{}: {}}}", quoted(key), quoted(value));
            Ok(Put {
                text: insert(text, &members, name, &inner),
                added: true,
                made_object: true,
            })
        }
        Some(at) => {
            let range = members[at].value.clone();
            let put = put_in(&text[range.clone()], None, key, value)?;
            Ok(Put {
                text: replace(text, range, &put.text),
                ..put
            })
        }
    }
}

/// Takes out what [`put_in`] put there; a member whose value was changed since stays. With
/// `with_object`, the object that it was in goes with its last member.
pub(super) fn take_out(
    text: &str,
    object: Option<&str>,
    key: &str,
    value: &str,
    with_object: bool,
) -> Result<String, Reason> {
    let all = members(text)?;
    let Some(name) = object else {
        let found = find(&all, key)?.filter(|at| all[*at].is(text, value));
        return Ok(found.map_or_else(|| text.to_owned(), |at| remove(text, &all, at)));
    };
    let Some(at) = find(&all, name)? else {
        return Ok(text.to_owned());
    };
    let range = all[at].value.clone();
    let inner = take_out(&text[range.clone()], None, key, value, false)?;
    if with_object && members(&inner)?.is_empty() && inner.len() < range.len() {
        return Ok(remove(text, &all, at));
    }
    Ok(replace(text, range, &inner))
}

/// Whether nothing is in the object.
pub(super) fn is_empty(text: &str) -> bool {
    members(text).is_ok_and(|members| members.is_empty())
}

/// Where the member of this name is. Of two with one name, every program uses another one.
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
    /// Where the value stands in the text.
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

/// Nothing if the member is there already.
fn put_member(
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

/// Puts a member first, before the same space as the one that was first.
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

/// Removes a member with its comma, and the space before it.
fn remove(text: &str, members: &[Member], at: usize) -> String {
    let inside = text.find('{').map_or(0, |brace| brace + 1);
    let end = members[at].value.end;
    match (at.checked_sub(1), members.get(at + 1)) {
        // The space before it is that before the next one, too.
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
    use super::{EMPTY, Put, put_in, take_out};

    #[test]
    fn what_is_put_in_is_taken_out_byte_for_byte() {
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
                let put = put_in(text, object, "host:1", "hallpass").expect("a change");
                let read: serde_json::Value = serde_json::from_str(&put.text).expect("JSON");
                let place = object.map_or(&read, |object| &read[object]);
                assert_eq!(place["host:1"], "hallpass", "{put:?}");
                assert!(put.added);
                let again = put_in(&put.text, object, "host:1", "hallpass").expect("no change");
                let unchanged = Put {
                    text: put.text.clone(),
                    added: false,
                    made_object: false,
                };
                assert_eq!(again, unchanged);
                let out =
                    |text: &str| take_out(text, object, "host:1", "hallpass", put.made_object);
                assert_eq!(out(&put.text).as_deref(), Ok(text));
                assert_eq!(out(text).as_deref(), Ok(text));
                assert!(put_in(&put.text, object, "host:1", "another").is_err());
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
            "\u{feff}{}",
            "{\"credHelpers\": 1}",
            "{\"credHelpers\": {}, \"credHelpers\": {}}",
            "{\"credHelpers\": {\"a\": \"b\", \"a\": \"b\"}}",
        ] {
            assert!(
                put_in(text, Some("credHelpers"), "a", "b").is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_member_that_was_moved_or_spelt_anew_is_taken_out_all_the_same() {
        let text = r#"{"a": 1, "host": "\u0068allpass", "b": 2}"#;
        assert_eq!(
            take_out(text, None, "host", "hallpass", false).as_deref(),
            Ok(r#"{"a": 1, "b": 2}"#)
        );
    }
}
