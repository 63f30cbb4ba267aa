//! Where token requests are recorded.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `syslog`, `journald`, or a file by its absolute path.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum AuditTarget {
    Syslog,
    Journald,
    File(PathBuf),
}

impl TryFrom<String> for AuditTarget {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "syslog" => Ok(Self::Syslog),
            "journald" => Ok(Self::Journald),
            path if PathBuf::from(path).is_absolute() => Ok(Self::File(path.into())),
            _ => Err("must be syslog, journald or the absolute path of a file".to_owned()),
        }
    }
}

impl From<AuditTarget> for String {
    fn from(target: AuditTarget) -> Self {
        target.to_string()
    }
}

impl fmt::Display for AuditTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syslog => f.write_str("syslog"),
            Self::Journald => f.write_str("journald"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AuditTarget;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let path = if cfg!(windows) {
            "C:\\log"
        } else {
            "/var/log/hallpass"
        };
        for text in ["syslog", "journald", path] {
            let target = AuditTarget::try_from(text.to_owned()).expect("a place");
            assert_eq!(target.to_string(), text);
        }
        for text in ["", "log", "Syslog", "./log", "~/log"] {
            assert!(AuditTarget::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
