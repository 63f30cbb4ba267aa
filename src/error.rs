//! What can go wrong, sorted by who must act next; only this file knows the exit codes.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// Who must act next. The kind alone decides the exit code.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Us, or the disk.
    Broken = 1,
    /// Who wrote the command line.
    Usage = 2,
    /// Nobody here: another helper may know.
    NotFound = 3,
    /// A person must mend the client or its settings.
    Refused = 4,
    /// Time: the network, the authorization server.
    Unavailable = 5,
    /// A person at this machine: the keychain, the secret's file or command.
    Locked = 6,
    /// Who wrote the command line of `exec`: its program is there and cannot be run, as shells say it.
    CannotRun = 126,
    /// The same: there is no such program.
    NoSuchProgram = 127,
}

impl Kind {
    /// The process's exit code for an error of this kind.
    pub(crate) fn exit_code(self) -> u8 {
        self as u8
    }
}

/// An error as a person reads it: what happened, and what to do about it.
///
/// `message` and each of `hints` are lower case, one line, without a full stop.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) hints: Vec<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What everything here that can fail returns.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hints: Vec::new(),
            source: None,
        }
    }

    pub(crate) fn broken(message: impl Into<String>) -> Self {
        Self::new(Kind::Broken, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, message)
    }

    pub(crate) fn locked(message: impl Into<String>) -> Self {
        Self::new(Kind::Locked, message)
    }

    /// Adds a command or a setting that fixes the problem, after the hints that are there.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Names what lies below; its text follows the message.
    pub(crate) fn because(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut below = self.source();
        while let Some(source) = below {
            match source.downcast_ref() {
                Some(error) => write!(f, ": {}", reason(error))?,
                None => write!(f, ": {}", without_number(&source.to_string()))?,
            }
            below = source.source();
        }
        Ok(())
    }
}

/// What the system says, in the style of our messages: without the number of the error, and without
/// the name of a temporary file, which `tempfile` adds.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = without_number(&text);
    // Windows writes whole sentences.
    let text = text.trim_end_matches('.');
    let mut letters = text.chars();
    // Not an abbreviation, such as "IO".
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first
            .to_lowercase()
            .chain([second])
            .chain(letters)
            .collect(),
        _ => text.to_owned(),
    }
}

/// Without the number of an error, and what follows it.
fn without_number(text: &str) -> &str {
    text.split(" (os error ").next().unwrap_or_default()
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_no_error_number_and_begins_in_lower_case() {
        for (error, expected) in [
            (io::Error::from_raw_os_error(2), "no such file or directory"),
            (io::ErrorKind::PermissionDenied.into(), "permission denied"),
            (io::Error::other("DNS is down"), "DNS is down"),
            (io::Error::other("x"), "x"),
            (
                io::Error::other(r#"No such file or directory (os error 2) at path "/a/.tmp-b""#),
                "no such file or directory",
            ),
        ] {
            assert_eq!(reason(&error), expected);
        }
        let error = Error::broken("cannot write F").because(io::Error::from_raw_os_error(2));
        assert_eq!(
            error.to_string(),
            "cannot write F: no such file or directory"
        );
    }
}
