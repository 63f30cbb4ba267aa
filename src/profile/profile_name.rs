//! The name of a profile.

use std::fmt;

use crate::error::{Error, Result};

/// A profile's name: safe as a file name on every platform and as part of a keychain account.
///
/// Lower case, as two names that differ only by case would share a file on macOS and Windows.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ProfileName(String);

impl ProfileName {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let fits = text.len() <= 64
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && !text.ends_with('.')
            && !is_device_name(text);
        if fits {
            return Ok(Self(text.to_owned()));
        }
        // The argument may be a secret in the wrong place, so it is not repeated.
        Err(Error::usage("invalid profile name").hint(
            "use up to 64 characters from a-z, 0-9, \".\", \"_\" and \"-\", starting with a letter or digit",
        ))
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
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Windows opens a device for these, whatever their extension.
fn is_device_name(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or_default();
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
}
