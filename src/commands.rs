//! The commands: each file has a command's arguments, then its steps. The only floor that opens
//! the real doors: the clock, the keychain, the network.

pub(crate) mod bind;
pub(crate) mod exec;
pub(crate) mod helper;
pub(crate) mod login;
pub(crate) mod logout;
mod obtain;
pub(crate) mod setup;
pub(crate) mod status;
pub(crate) mod token;

use std::time::Duration;

/// A span of time as people write it: `90`, `90s`, `5m`, `2h`, `1d`.
fn duration(text: &str) -> std::result::Result<Duration, String> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit: u64 = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err("write a number of seconds, or 90s, 5m, 2h, 1d".to_owned()),
    };
    let seconds = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "write a number of seconds, or 90s, 5m, 2h, 1d".to_owned())
}

/// A repeatable option's values as one text, as RFC 6749 §3.3 writes scopes; empty ones stand for nothing.
fn words(values: &[String]) -> String {
    let given: Vec<_> = values
        .iter()
        .filter(|value| !value.is_empty())
        .map(String::as_str)
        .collect();
    given.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_people_do() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("5m", 300),
            ("2h", 7200),
            ("1d", 86_400),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "s",
            "-1",
            "1.5h",
            "5 m",
            "1w",
            "5mm",
            "99999999999999999999",
            "9999999999999999999d",
            "٣",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
