//! One member of a JSON file, put in and taken out as text: all else in the file stays as it is.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::tools::json as quoted;

/// Why a file is left alone, fit to follow its name.
type Refusal = &'static str;

/// A file that holds nothing: what is made where there is none.
pub(super) const EMPTY: &str = "{\n}\n";

/// Puts `"key": "value"` into the object, or into the object of this name in it.
pub(super) fn put_in(
    text: &str,
    object: Option<&str>,
    key: &str,
    value: &str,
) -> Result<String, Refusal> {
    let members = members(text)?;
    let Some(name) = object else {
        return put_member(text, &members, key, &quoted(value));
    };
    match members.iter().find(|member| member.key == name) {
        None => {
            let inner = format!("{{{}: {}}}", quoted(key), quoted(value));
            put_member(text, &members, name, &inner)
        }
        Some(inner) => {
            let range = inner.value.clone();
            let changed = put_in(&text[range.clone()], None, key, value)?;
            Ok(replace(text, range, &changed))
        }
    }
}

/// Takes out what [`put_in`] put there; what was changed since stays.
pub(super) fn take_out(
    text: &str,
    object: Option<&str>,
    key: &str,
    value: &str,
) -> Result<String, Refusal> {
    let members = members(text)?;
    let Some(name) = object else {
        let ours =
            |member: &&Member| member.key == key && text[member.value.clone()] == quoted(value);
        let found = members.iter().position(|member| ours(&member));
        return Ok(found.map_or_else(|| text.to_owned(), |at| remove(text, &members, at)));
    };
    let Some(at) = members.iter().position(|member| member.key == name) else {
        return Ok(text.to_owned());
    };
    let range = members[at].value.clone();
    let inner = take_out(&text[range.clone()], None, key, value)?;
    if inner == "{}" {
        return Ok(remove(text, &members, at));
    }
    Ok(replace(text, range, &inner))
}

struct Member {
    key: String,
    /// Where the value stands in the text.
    value: Range<usize>,
}

/// The members of an object, in their order.
fn members(text: &str) -> Result<Vec<Member>, Refusal> {
    let members: Members<'_> =
        serde_json::from_str(text).map_err(|_| "is no JSON object that hallpass can change")?;
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

fn put_member(text: &str, members: &[Member], key: &str, value: &str) -> Result<String, Refusal> {
    if let Some(there) = members.iter().find(|member| member.key == key) {
        return if text[there.value.clone()] == *value {
            Ok(text.to_owned())
        } else {
            Err("has another value there already")
        };
    }
    let inside = text.find('{').map_or(0, |brace| brace + 1);
    let gap = text[inside..].len() - text[inside..].trim_start().len();
    // As the first member, before the same space as the one that was first.
    let space = &text[inside..inside + gap];
    let comma = if members.is_empty() { "" } else { "," };
    let indented = if members.is_empty() && space == "\n" {
        "\n  "
    } else {
        space
    };
    let member = format!("{indented}{}: {value}{comma}", quoted(key));
    Ok(replace(text, inside..inside, &member))
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
    use super::{EMPTY, put_in, take_out};

    #[test]
    fn what_is_put_in_is_taken_out_byte_for_byte() {
        for text in [
            EMPTY,
            "{}",
            "{\n\t\"auths\": {},\n\t\"b\": [1, {\"x\": 2}]\n}",
            "{\"credHelpers\": {\"other\": \"pass\"}, \"z\": null, \"a\": 1.50}\n",
            "  { \"a\" : \"\\u00e9,}\" }",
        ] {
            for object in [None, Some("credHelpers")] {
                let put = put_in(text, object, "host:1", "hallpass").expect("a change");
                let read: serde_json::Value = serde_json::from_str(&put).expect("JSON");
                let place = object.map_or(&read, |object| &read[object]);
                assert_eq!(place["host:1"], "hallpass", "{put}");
                assert_eq!(
                    put_in(&put, object, "host:1", "hallpass").as_deref(),
                    Ok(&*put)
                );
                assert_eq!(
                    take_out(&put, object, "host:1", "hallpass").as_deref(),
                    Ok(text)
                );
                assert_eq!(
                    take_out(text, object, "host:1", "hallpass").as_deref(),
                    Ok(text)
                );
                assert!(put_in(&put, object, "host:1", "another").is_err());
            }
        }
        for text in ["", "[]", "{", "{\"a\": 1} x", "{\"credHelpers\": 1}"] {
            assert!(
                put_in(text, Some("credHelpers"), "a", "b").is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_member_that_was_moved_is_taken_out_all_the_same() {
        let text = r#"{"a": 1, "host": "hallpass", "b": 2}"#;
        assert_eq!(
            take_out(text, None, "host", "hallpass").as_deref(),
            Ok(r#"{"a": 1, "b": 2}"#)
        );
    }
}
