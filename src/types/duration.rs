//! Durations as people write them, in options and in environment variables.

use std::time::Duration;

/// A span of time as people write it: `90`, `90s`, `5m`, `2h`, `1d`.
pub(crate) fn parse(text: &str) -> std::result::Result<Duration, String> {
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
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
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
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
