//! `.hallpass.toml` in the current directory or one above it: it selects a profile by its name.
//!
//! The file may come from anybody, with a repository. It can hold nothing else, so the worst that it can do
//! is to select another profile of the user; only commands that get a token read it.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::platform::disk::{self, Found};
use crate::platform::{Trust, WRITABLE_BY_OTHERS};
use crate::profile::ProfileName;
use crate::types::shell;

const NAME: &str = ".hallpass.toml";

/// The most bytes that are read of a file.
const LIMIT: u64 = 4096;

/// How many directories are searched.
const DEPTH: usize = 64;

/// A profile that a file selects.
pub(super) struct Selected {
    pub(super) name: ProfileName,
    pub(super) file: PathBuf,
}

/// The profile that the nearest file selects. The search ends at the home directory.
///
/// # Errors
/// `Usage` if the file has anything but a profile's name, or another user could have written it.
pub(super) fn selected() -> Result<Option<Selected>> {
    let Ok(directory) = std::env::current_dir() else {
        return Ok(None);
    };
    let home = disk::home().ok();
    for directory in directory.ancestors().take(DEPTH) {
        let file = directory.join(NAME);
        if let Some(name) = read(&file)? {
            return Ok(Some(Selected { name, file }));
        }
        if home.as_deref() == Some(directory) {
            break;
        }
    }
    Ok(None)
}

fn read(file: &Path) -> Result<Option<ProfileName>> {
    let shown = file.display();
    let unusable = |reason: &str| {
        Error::usage(format!("the file {shown} {reason}"))
            .hint("to do without it, name the profile as the argument, or set HALLPASS_PROFILE")
    };
    match disk::read(file, LIMIT, Trust::Settings) {
        Ok(Found::Nothing) => Ok(None),
        Ok(Found::Content(content)) => match parse(&content) {
            Ok(name) => Ok(Some(name)),
            Err(fault) => Err(unusable(&fault)),
        },
        Ok(Found::Distrusted(WRITABLE_BY_OTHERS)) => {
            Err(unusable(WRITABLE_BY_OTHERS)
                .hint(format!("or run: chmod go-w {}", shell::path(file))))
        }
        Ok(Found::Distrusted(reason)) => Err(unusable(reason)),
        // A directory that this user may not enter has no file for them.
        Err(error)
            if error.kind() == io::ErrorKind::PermissionDenied && disk::exists(file).is_err() =>
        {
            Ok(None)
        }
        Err(error) => Err(unusable("cannot be read").because(error)),
    }
}

/// The name in `profile = "NAME"`. The file may also have comments.
///
/// # Errors
/// What is wrong with the file, and in which line, as text that follows the file's name.
pub(super) fn parse(content: &[u8]) -> std::result::Result<ProfileName, String> {
    let content = std::str::from_utf8(content).map_err(|_| "is not UTF-8 text".to_owned())?;
    let mut found = None;
    for (number, line) in content.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = number + 1;
        let other = || format!("may have only profile = \"NAME\": see line {number}");
        let name = value(line).filter(|_| found.is_none()).ok_or_else(other)?;
        let name = ProfileName::parse(name);
        found = Some(name.map_err(|_| format!("has an invalid profile name in line {number}"))?);
    }
    found.ok_or_else(|| "selects no profile: it has no line profile = \"NAME\"".to_owned())
}

/// The text in quotes after `profile =`, if nothing but a comment follows.
fn value(line: &str) -> Option<&str> {
    let value = line.strip_prefix("profile")?.trim_start();
    let value = value.strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let (name, rest) = value[1..].split_once(quote)?;
    let rest = rest.trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_file_has_a_profile_name_and_comments_and_nothing_else() {
        for content in [
            "profile = \"prod\"",
            "# x\n\nprofile='prod' # y\r\n",
            "  profile\t=\t\"prod\"  \n# z",
        ] {
            let name = parse(content.as_bytes()).map(|name| name.to_string());
            assert_eq!(name.as_deref(), Ok("prod"), "{content}");
        }
        for content in [
            "",
            "# profile = \"prod\"",
            "profile = prod",
            "profile = \"prod",
            "profile = \"prod\" \"x\"",
            "profile = \"prod\"\nprofile = \"prod\"",
            "profile = \"prod\"\ntoken_url = \"https://a.example\"",
            "[a]\nprofile = \"prod\"",
            "profile.name = \"prod\"",
            "profiles = \"prod\"",
            "profile = [\"prod\"]",
            "profile = \"\"\"prod\"\"\"",
            "profile = \"_environment\"",
            "profile = \"../prod\"",
            "profile = \"pr\\u006fd\"",
            "profile = \"\"",
            "\u{feff}profile = \"prod\"",
            "profile = \"prod\u{1b}[2J\"",
        ] {
            assert!(parse(content.as_bytes()).is_err(), "{content}");
        }
        assert!(parse(b"\xff").is_err());
    }
}
