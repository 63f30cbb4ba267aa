//! The situation in which a secret is read: hints depend on it.

use super::WaitLimit;
use crate::profile::ProfileName;

#[derive(Clone, Copy, Debug)]
pub(super) enum Situation<'a> {
    /// The profile comes from environment variables.
    Environment,
    /// During a login, which may be the first one.
    LoggingIn,
    /// The profile of an earlier login.
    Stored(&'a ProfileName),
}

impl<'a> Situation<'a> {
    pub(super) fn of(name: &'a ProfileName, wait: WaitLimit) -> Self {
        match wait {
            _ if name.is_from_environment() => Self::Environment,
            WaitLimit::Person => Self::LoggingIn,
            WaitLimit::Program => Self::Stored(name),
        }
    }

    /// The hint for a wrong secret or source of it.
    pub(super) fn advice(self, what: &str) -> String {
        match self {
            Self::Environment => {
                format!("{what}, or correct the environment variable that names it")
            }
            Self::LoggingIn => what.to_owned(),
            Self::Stored(name) => format!("{what}, or log in again: hallpass login {name}"),
        }
    }
}
