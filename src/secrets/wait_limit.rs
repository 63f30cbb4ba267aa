//! How long to wait for what may ask a person: a keychain, an agent, a command.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::types::duration;

/// How long to wait for a keychain or a command, which may prompt a person.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WaitLimit {
    /// For `login` and `logout`, which a person runs.
    Person,
    /// For `token`, which a program may run.
    Program,
}

/// The longest time to wait: a day.
const LONGEST_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

const TIMEOUT_VARIABLE: &str = "HALLPASS_KEYCHAIN_TIMEOUT";

impl WaitLimit {
    /// Long enough to type a password, or short if no dialog can be shown.
    /// `HALLPASS_KEYCHAIN_TIMEOUT` overrides both.
    ///
    /// # Errors
    /// `Usage` if that is not a duration.
    pub(crate) fn limit(self) -> Result<Duration> {
        let set = |variable| std::env::var_os(variable).filter(|value| !value.is_empty());
        if let Some(given) = set(TIMEOUT_VARIABLE) {
            let given = given.to_str().and_then(|given| duration::parse(given).ok());
            let given = given.filter(|given| !given.is_zero());
            return given.map(|given| given.min(LONGEST_LIMIT)).ok_or_else(|| {
                Error::usage(format!(
                    "invalid value for {TIMEOUT_VARIABLE}: use seconds, or a duration such as 90s, 5m or 2h"
                ))
                .hint(format!("unset {TIMEOUT_VARIABLE}"))
            });
        }
        let no_desktop = cfg!(target_os = "linux")
            && set("DISPLAY").is_none()
            && set("WAYLAND_DISPLAY").is_none();
        Ok(Duration::from_secs(match self {
            _ if no_desktop || set("SSH_CONNECTION").is_some() => 5,
            Self::Person => 120,
            Self::Program => 30,
        }))
    }
}
