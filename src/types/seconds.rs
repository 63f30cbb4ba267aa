//! Time limits of a profile.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;

/// A time limit in whole seconds, at least one. What is longer than `MOST` seconds is read as `MOST`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "u64", into = "u64")]
pub(crate) struct Seconds<const MOST: u64>(u64);

/// How long a token request may take: at most a day, as it is added to a clock.
pub(crate) type Timeout = Seconds<{ 24 * 60 * 60 }>;

/// How long a token is cached.
pub(crate) type Lifetime = Seconds<{ u64::MAX }>;

impl<const MOST: u64> Seconds<MOST> {
    /// A span of time as people write it, see [`duration::parse`].
    ///
    /// # Errors
    /// What is wrong with it, as a sentence without the text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let seconds = duration::parse(text)?.as_secs();
        Self::try_from(seconds).map_err(str::to_owned)
    }

    pub(crate) fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl<const MOST: u64> TryFrom<u64> for Seconds<MOST> {
    type Error = &'static str;

    fn try_from(seconds: u64) -> Result<Self, &'static str> {
        if seconds == 0 {
            return Err("use at least 1s");
        }
        Ok(Self(seconds.min(MOST)))
    }
}

impl<const MOST: u64> From<Seconds<MOST>> for u64 {
    fn from(seconds: Seconds<MOST>) -> Self {
        seconds.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Lifetime, Timeout};

    #[test]
    fn a_time_limit_is_never_zero_and_never_more_than_the_most() {
        let read = |text| serde_json::from_str::<Timeout>(text).map(u64::from).ok();
        for (text, seconds) in [
            ("0", None),
            ("-1", None),
            ("1.5", None),
            ("1", Some(1)),
            ("86400", Some(86_400)),
            ("86401", Some(86_400)),
            ("18446744073709551615", Some(86_400)),
            ("18446744073709551616", None),
        ] {
            assert_eq!(read(text), seconds, "{text}");
        }
        assert_eq!(Timeout::parse("2d").map(u64::from), Ok(86_400));
        assert_eq!(Lifetime::parse("2d").map(u64::from), Ok(172_800));
        assert!(Lifetime::parse("0m").is_err());
    }
}
