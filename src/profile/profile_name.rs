//! The name of a profile.

use std::cmp::Ordering;
use std::fmt;

use crate::error::{Error, Result};

/// `hallpass token inspect` shows what is known of a token.
pub(crate) const INSPECT: &str = "inspect";

/// A profile's name: safe as a file name on every platform and as part of a keychain account.
///
/// Lower case, as two names that differ only by case would share a file on macOS and Windows.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ProfileName(String);

impl ProfileName {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if is_name(text) {
            return Ok(Self(text.to_owned()));
        }
        // The argument may be a secret in the wrong place, so it is not repeated.
        Err(Error::usage("invalid profile name").hint(
            "use up to 64 characters from a-z, 0-9, \".\", \"_\" and \"-\", starting with a letter or digit",
        ))
    }

    /// The same, without a copy; none if it is no name.
    pub(crate) fn from_string(text: String) -> Option<Self> {
        is_name(&text).then_some(Self(text))
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }

    /// Checks the name of a profile that is new.
    ///
    /// # Errors
    /// `Usage` if it means something else on a command line.
    pub(crate) fn check_new(&self) -> Result<()> {
        if self.0 != INSPECT {
            return Ok(());
        }
        let what = "a profile cannot be named inspect, because `hallpass token inspect` shows what is known of a token";
        Err(Error::usage(what).hint("choose another name"))
    }

    /// The profile that the environment describes: no name that [`ProfileName::parse`] takes.
    pub(crate) fn of_environment() -> Self {
        Self("_environment".to_owned())
    }

    pub(crate) fn is_from_environment(&self) -> bool {
        *self == Self::of_environment()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The order for people: `p2` comes before `p10`.
    pub(crate) fn natural_order(&self, other: &Self) -> Ordering {
        let (mut left, mut right) = different_ends(self.as_str(), other.as_str());
        while let (Some(one), Some(two)) = (left.first(), right.first()) {
            let order = match (number(&mut left), number(&mut right)) {
                (Some(one), Some(two)) => one.len().cmp(&two.len()).then(one.cmp(two)),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => {
                    (left, right) = (&left[1..], &right[1..]);
                    one.cmp(two)
                }
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        // Names that differ only by zeros, such as `p1` and `p01`, are not equal.
        left.len().cmp(&right.len()).then(self.cmp(other))
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The names without what they have in common at the beginning. A number stays whole.
fn different_ends<'a>(one: &'a str, two: &'a str) -> (&'a [u8], &'a [u8]) {
    let (one, two) = (one.as_bytes(), two.as_bytes());
    let common = one.iter().zip(two).take_while(|(one, two)| one == two);
    let mut start = common.count();
    while start > 0 && one[start - 1].is_ascii_digit() {
        start -= 1;
    }
    (&one[start..], &two[start..])
}

/// Removes the number at the beginning, and returns it without its leading zeros.
fn number<'a>(text: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = text.iter().position(|b| !b.is_ascii_digit());
    let (number, rest) = text.split_at(end.unwrap_or(text.len()));
    if number.is_empty() {
        return None;
    }
    *text = rest;
    let zeros = number.iter().take_while(|b| **b == b'0').count();
    Some(&number[zeros..])
}

fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        && text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
        && !text.ends_with('.')
        && !is_device_name(text)
}

/// Windows opens a device for these, whatever their extension.
fn is_device_name(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or_default();
    if !matches!(stem.len(), 3 | 4) {
        return false;
    }
    let numbered = |prefix| {
        stem.strip_prefix(prefix).is_some_and(|rest: &str| {
            rest.len() == 1 && rest.starts_with(|c: char| c.is_ascii_digit())
        })
    };
    matches!(stem, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use super::ProfileName;

    #[test]
    fn a_profile_name_is_a_safe_file_name() {
        for name in ["default", "blooma-prod", "a", "0", "x.y_z-1"] {
            assert!(ProfileName::parse(name).is_ok(), "{name}");
        }
        let long = "x".repeat(65);
        for name in [
            "",
            ".",
            "..",
            "../p",
            "/etc/passwd",
            "-rf",
            ".hidden",
            "a/b",
            "a\\b",
            "a\0",
            "con",
            "nul.txt",
            "com1",
            "lpt9.x",
            "con:",
            "Prod",
            "a b",
            "ä",
            "a.",
            "a\n",
            &long,
        ] {
            assert!(ProfileName::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn names_with_numbers_are_in_the_order_of_the_numbers() {
        let sorted = [
            "1",
            "2",
            "10",
            "a",
            "a-2",
            "a-10",
            "a-b",
            "p",
            "p01",
            "p1",
            "p1a",
            "p2",
            "p10",
            "p10.2",
            "p10.10",
            "q18446744073709551616",
            "q18446744073709551617",
        ];
        let mut names: Vec<_> = sorted
            .iter()
            .rev()
            .map(|name| ProfileName::parse(name).expect("a good name"))
            .collect();
        names.sort_by(ProfileName::natural_order);
        let names: Vec<_> = names.iter().map(ProfileName::as_str).collect();
        assert_eq!(names, sorted);
    }
}
