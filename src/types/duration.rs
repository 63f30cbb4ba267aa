//! Durations as people write them, in options and in environment variables.

use std::time::Duration;

const INVALID: &str = "use seconds, or a duration such as 90s, 5m, 2h or 1d";

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
        _ => return Err(INVALID.to_owned()),
    };
    let seconds = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| INVALID.to_owned())
}

/// For tables, in the largest unit only: `23 h`.
pub(crate) fn in_short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (2.., ..) => format!("{days} d"),
        (_, 1.., _) => format!("{hours} h"),
        (.., 1..) => format!("{minutes} min"),
        _ => format!("{seconds} s"),
    }
}

/// For people, in the two largest units: `23 h 59 min`.
pub(crate) fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let (large, small) = if hours >= 48 {
        ((days, "d"), (hours % 24, "h"))
    } else if hours > 0 {
        ((hours, "h"), (minutes % 60, "min"))
    } else if minutes > 0 {
        ((minutes, "min"), (seconds % 60, "s"))
    } else {
        ((seconds, "s"), (0, ""))
    };
    match (large, small) {
        ((large, unit), (0, _)) => format!("{large} {unit}"),
        ((large, unit), (small, part)) => format!("{large} {unit} {small} {part}"),
    }
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

    #[test]
    fn durations_are_shown_in_their_two_largest_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (90, "1 min 30 s"),
            (3600, "1 h"),
            (86_399, "23 h 59 min"),
            (86_400, "24 h"),
            (183_600, "2 d 3 h"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn durations_in_tables_have_one_unit() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (119, "1 min"),
            (7199, "1 h"),
            (86_399, "23 h"),
            (172_799, "47 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(in_short(Duration::from_secs(seconds)), text);
        }
    }
}
