//! Errors, their kinds and the exit codes.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// The kind of an error. Only the kind decides the exit code, which is its number.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A bug in hallpass, or the system: a file cannot be read or written.
    Broken = 1,
    /// The command line, a setting or the permissions of a settings file must be corrected.
    Usage = 2,
    /// The profile does not exist, or none is bound to the URL. Another helper may have a token.
    NotFound = 3,
    /// The authorization server refused the request, or hallpass refuses to send to it: the client or its
    /// settings must be corrected.
    Refused = 4,
    /// The network or the authorization server failed. A later attempt may succeed.
    Unavailable = 5,
    /// The secret, key or certificate cannot be used on this machine: for example, the keychain is locked,
    /// a command fails, or a CA file changed.
    Locked = 6,
    /// `exec`: the program exists but cannot be run. The number is that of shells.
    CannotRun = 126,
    /// `exec`: the program does not exist. The number is that of shells.
    NoSuchProgram = 127,
}

impl Kind {
    /// The process's exit code for an error of this kind.
    pub(crate) fn exit_code(self) -> u8 {
        self as u8
    }
}

/// What happened, and what to do about it.
///
/// `message` and each of `hints` are one line in lower case, without a full stop.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) hints: Vec<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of everything that can fail.
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

    /// Adds a hint: one command or setting that fixes the problem.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Sets the underlying error. Its text follows the message.
    pub(crate) fn because(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut next = self.source();
        while let Some(source) = next {
            match source.downcast_ref() {
                Some(error) => write!(f, ": {}", reason(error))?,
                None => write!(f, ": {}", without_number(&source.to_string()))?,
            }
            next = source.source();
        }
        Ok(())
    }
}

/// The system's error text in the style of our messages: without the number of the error, and without
/// the name of a temporary file, which `tempfile` adds.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = without_number(&text);
    // Windows writes full sentences.
    let text = text.trim_end_matches('.');
    let mut letters = text.chars();
    // An abbreviation such as "IO" stays in upper case.
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first
            .to_lowercase()
            .chain([second])
            .chain(letters)
            .collect(),
        _ => text.to_owned(),
    }
}

/// The text before the number of an error.
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
