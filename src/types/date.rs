//! Days of the calendar, in UTC: when a secret expires.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::{Month, OffsetDateTime};

use super::duration;
use super::token::Timestamp;

const INVALID: &str = "use a date (YYYY-MM-DD) or a number of days such as 90d";

/// The last year that is accepted. A later one is a mistake.
const LAST_YEAR: i32 = 9999;

/// A day, written `2027-02-01`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Date(time::Date);

impl Date {
    pub(crate) fn today() -> Self {
        Self::of(Timestamp::now())
    }

    fn of(moment: Timestamp) -> Self {
        let seconds = i64::try_from(moment.seconds()).unwrap_or(i64::MAX);
        let moment = OffsetDateTime::from_unix_timestamp(seconds);
        Self(moment.map_or(time::Date::MAX, OffsetDateTime::date))
    }

    /// A day from today on: `2027-02-01`, or `90d` for the day in 90 days.
    ///
    /// # Errors
    /// What is wrong with the text, as a sentence without it.
    pub(crate) fn parse_future(text: &str) -> Result<Self, &'static str> {
        Self::parse_from(text, Self::today())
    }

    fn parse_from(text: &str, today: Self) -> Result<Self, &'static str> {
        if text.ends_with('d') {
            let span = duration::parse(text).map_err(|_| INVALID)?;
            let seconds = i64::try_from(span.as_secs()).map_err(|_| INVALID)?;
            let date = today.0.checked_add(time::Duration::seconds(seconds));
            let date = date.filter(|date| date.year() <= LAST_YEAR);
            return date.map(Self).ok_or(INVALID);
        }
        let date = Self::try_from(text.to_owned())?;
        if date < today {
            return Err("the date is in the past");
        }
        Ok(date)
    }

    /// The number of days until this day: 0 on it, negative after it.
    pub(crate) fn days_left(self) -> i64 {
        self.days_after(Self::today())
    }

    fn days_after(self, other: Self) -> i64 {
        (self.0 - other.0).whole_days()
    }

    /// Whether it is this day, or later.
    pub(crate) fn has_come(self) -> bool {
        self.days_left() <= 0
    }

    /// For people: `2027-02-01 (in 66 days)`.
    pub(crate) fn with_days_left(self) -> String {
        let when = match self.days_left() {
            0 => "today".to_owned(),
            1 => "tomorrow".to_owned(),
            -1 => "yesterday".to_owned(),
            days @ 2.. => format!("in {days} days"),
            days => format!("{} days ago", days.unsigned_abs()),
        };
        format!("{self} ({when})")
    }
}

impl TryFrom<String> for Date {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let parts: Vec<_> = text.split('-').collect();
        let [year, month, day] = parts[..] else {
            return Err(INVALID);
        };
        let is_number = |(part, length): (&str, usize)| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if ![(year, 4), (month, 2), (day, 2)].into_iter().all(is_number) {
            return Err(INVALID);
        }
        let month = month
            .parse::<u8>()
            .ok()
            .and_then(|it| Month::try_from(it).ok());
        let date = match (year.parse(), month, day.parse()) {
            (Ok(year), Some(month), Ok(day)) => {
                time::Date::from_calendar_date(year, month, day).ok()
            }
            _ => None,
        };
        date.map(Self).ok_or("the calendar does not have this day")
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.0.to_calendar_date();
        write!(f, "{year:04}-{:02}-{day:02}", u8::from(month))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        Date::try_from(text.to_owned()).expect("a date")
    }

    #[test]
    fn the_days_until_a_date_are_counted_from_today() {
        let of_today = |today: Date| {
            let day = |days| Date(today.0 + time::Duration::days(days));
            [-2, -1, 0, 1, 2].map(|days| {
                let date = day(days);
                let when = date.with_days_left().replace(&date.to_string(), "");
                (date.days_left(), date.has_come(), when)
            })
        };
        // Once more, if midnight has come meanwhile.
        let counted = std::iter::repeat_with(|| {
            let today = Date::today();
            (today, of_today(today), Date::today())
        });
        let (_, counted, _) = counted
            .take(3)
            .find(|(before, _, after)| before == after)
            .expect("a day that lasts");
        let expected = [
            (-2, true, " (2 days ago)"),
            (-1, true, " (yesterday)"),
            (0, true, " (today)"),
            (1, false, " (tomorrow)"),
            (2, false, " (in 2 days)"),
        ];
        let expected = expected.map(|(days, has_come, when)| (days, has_come, when.to_owned()));
        assert_eq!(counted, expected);
        assert_eq!(String::from(date("2027-02-01")), "2027-02-01");
    }

    #[test]
    fn a_date_is_a_day_of_the_calendar_or_a_number_of_days() {
        let today = date("2026-11-27");
        for (text, expected) in [
            ("2027-02-01", "2027-02-01"),
            ("2026-11-27", "2026-11-27"),
            ("2028-02-29", "2028-02-29"),
            ("90d", "2027-02-25"),
            ("0d", "2026-11-27"),
        ] {
            let parsed = Date::parse_from(text, today).map(|date| date.to_string());
            assert_eq!(parsed.as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "",
            "d",
            "90",
            "90h",
            "-1d",
            "2027-2-1",
            "27-02-01",
            "2027-02-30",
            "2027-13-01",
            "2027-02-01T00:00:00Z",
            "+027-02-01",
            "2026-11-26",
            "99999999d",
            "18446744073709551615d",
        ] {
            assert!(Date::parse_from(text, today).is_err(), "{text}");
        }
    }

    #[test]
    fn days_are_counted_by_the_calendar() {
        let today = Date::of(Timestamp(1_795_823_999_999));
        assert_eq!(today.to_string(), "2026-11-27");
        assert_eq!(date("2026-12-27").days_after(today), 30);
        assert_eq!(date("2026-11-27").days_after(today), 0);
        assert_eq!(date("2025-11-27").days_after(today), -365);
        assert_eq!(
            Date::of(Timestamp(1_795_824_000_000)).to_string(),
            "2026-11-28"
        );
    }
}
