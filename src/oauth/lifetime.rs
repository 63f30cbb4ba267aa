//! How long a token can be used, from all members of the response about it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::format_description::well_known::{Iso8601, Rfc2822};
use time::{OffsetDateTime, PrimitiveDateTime};

use super::json::{Json, Members};
use crate::types::duration;
use crate::types::secret::AccessToken;
use crate::types::token::Timestamp;

/// The time at which a token expires, by the names that servers use.
const EXPIRY_TIMES: [&str; 4] = ["expires_on", "expires_at", "expiresAt", ".expires"];

/// The same, or a lifetime if the number is too small for a time.
const EXPIRY_TIMES_OR_LIFETIMES: [&str; 3] = ["expires", "expiration", "expiry"];

/// The first number that is a time rather than a lifetime: 2001-09-09, in seconds since 1970.
const FIRST_TIME: f64 = 1e9;

/// A smaller difference between two clocks, in seconds, is ignored.
pub(super) const CLOCK_TOLERANCE: f64 = 60.0;

/// The limits that the profile sets.
pub(super) struct Limits {
    /// The lifetime of a token without `expires_in`.
    pub(super) default_ttl: Duration,
    /// The longest lifetime, even if the server's is longer.
    pub(super) max_ttl: Duration,
}

/// The time of the response, in seconds since 1970.
#[derive(Clone, Copy)]
pub(super) struct Clocks {
    /// By this machine, before the request was sent.
    pub(super) local: f64,
    /// By the server, if it has a Date header (RFC 9110 §6.6.1).
    pub(super) server: Option<f64>,
}

impl Clocks {
    pub(super) fn new(sent_at: Timestamp, date: Option<&str>) -> Self {
        Self {
            local: Duration::from_millis(sent_at.0).as_secs_f64(),
            server: date.and_then(date_header),
        }
    }

    /// The server's clock, or this machine's if they agree. Without a Date header, a new token that
    /// has already expired or is issued in the future shows the difference.
    fn server_now(self, claims: &Claims) -> f64 {
        let differs = |time: &f64| (time - self.local).abs() > CLOCK_TOLERANCE;
        if claims.issued.is_some_and(|issued| !differs(&issued)) {
            // The token has the issuer's clock. The Date header may be a proxy's.
            return self.local;
        }
        if self.server.is_some() {
            return self.server.filter(differs).unwrap_or(self.local);
        }
        let shows_difference = |issued: &f64| {
            let expiry = claims.expiry.filter(|expiry| expiry > issued);
            *issued > self.local || expiry.is_some_and(|expiry| self.is_past(expiry))
        };
        claims.issued.filter(shows_difference).unwrap_or(self.local)
    }

    fn is_past(self, time: f64) -> bool {
        time < self.local - CLOCK_TOLERANCE
    }
}

/// The times in an access token that is a JWT (RFC 9068). They are read, not verified.
#[derive(Default)]
struct Claims {
    expiry: Option<f64>,
    issued: Option<f64>,
}

impl Claims {
    fn of(token: &AccessToken) -> Self {
        let Some(claims) = payload(token.expose()) else {
            return Self::default();
        };
        let Some(claims) = Json::document(&claims).and_then(Json::members) else {
            return Self::default();
        };
        let claim = |name| claims.get(name).and_then(Json::number);
        Self {
            expiry: claim("exp"),
            issued: claim("iat").or_else(|| claim("nbf")),
        }
    }
}

fn payload(token: &str) -> Option<Vec<u8>> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()
}

/// `expires_in`, otherwise the time at which the token expires, its own `exp`, or the profile's
/// default. It never exceeds `exp` or the limit of the profile.
///
/// The second value is a warning about this machine's clock.
pub(super) fn lifetime(
    members: &Members<'_>,
    token: &AccessToken,
    clocks: Clocks,
    limits: &Limits,
) -> (Duration, Option<String>) {
    let claims = Claims::of(token);
    let server_now = clocks.server_now(&claims);
    let left = |time: f64| time - server_now;
    let lifetime = stated_lifetime(members, server_now);
    let until_expiry = || Some(left(expiry_time(members)?));
    let stated = lifetime.or_else(until_expiry);
    let own = claims.expiry.map(left);
    let seconds = match (stated, own) {
        (Some(stated), Some(own)) => stated.min(own),
        (Some(seconds), None) | (None, Some(seconds)) => seconds,
        (None, None) => limits.default_ttl.as_secs_f64(),
    };
    let most = limits.max_ttl;
    let duration = Duration::try_from_secs_f64(seconds.clamp(0.0, most.as_secs_f64()));
    let depends_on_clock = own.is_some() || lifetime.is_none() && stated.is_some();
    let contradicts = claims.expiry.is_some_and(|expiry| clocks.is_past(expiry))
        && lifetime.is_some_and(|lifetime| lifetime > 0.0);
    let difference = server_now - clocks.local;
    let warning = if depends_on_clock && difference != 0.0 {
        Some(wrong_clock(difference))
    } else if contradicts && server_now <= clocks.local {
        Some(
            "the token has expired by this machine's clock, so every call requests a new one; check the clock"
                .to_owned(),
        )
    } else {
        None
    };
    // A lifetime that is too long for the type is also too long for the profile.
    (duration.unwrap_or(most).min(most), warning)
}

/// The message about a clock that differs by this number of seconds from the server's.
pub(super) fn wrong_clock(difference: f64) -> String {
    let which = if difference < 0.0 {
        "ahead of"
    } else {
        "behind"
    };
    let off = Duration::try_from_secs_f64(difference.abs()).unwrap_or(Duration::MAX);
    format!(
        "this machine's clock is {} {which} the server's; correct it",
        duration::in_words(off)
    )
}

/// The lifetime in the response, in seconds.
fn stated_lifetime(members: &Members<'_>, server_now: f64) -> Option<f64> {
    let number = |name: &str| members.get(name)?.number();
    let ten_years = 10.0 * 365.25 * 86_400.0;
    if let Some(lifetime) = number("expires_in") {
        // Some servers write the time at which the token expires.
        let expiry = in_seconds(lifetime);
        let is_time =
            lifetime >= FIRST_TIME && expiry > server_now && expiry < server_now + ten_years;
        return Some(if is_time {
            expiry - server_now
        } else {
            lifetime
        });
    }
    if first_time(members, &EXPIRY_TIMES).is_some() {
        return None;
    }
    let mut lifetimes = EXPIRY_TIMES_OR_LIFETIMES.into_iter().filter_map(number);
    lifetimes.find(|lifetime| *lifetime < FIRST_TIME)
}

/// The time in the response at which the token expires, in seconds since 1970.
fn expiry_time(members: &Members<'_>) -> Option<f64> {
    first_time(members, &EXPIRY_TIMES).or_else(|| first_time(members, &EXPIRY_TIMES_OR_LIFETIMES))
}

fn first_time(members: &Members<'_>, names: &[&str]) -> Option<f64> {
    names.iter().find_map(|name| parse_time(members.get(name)?))
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, or a date in words.
fn parse_time(value: Json<'_>) -> Option<f64> {
    match value.number() {
        Some(number) => Some(in_seconds(number)),
        None => date(&value.text()?),
    }
}

/// A number of 13 digits is in a smaller unit: in seconds it would be past the year 30000.
fn in_seconds(number: f64) -> f64 {
    let units = [(1e12, 1.0), (1e15, 1e3), (1e18, 1e6), (1e21, 1e9)];
    let unit = units.iter().find(|(limit, _)| number < *limit);
    unit.map_or(number, |(_, unit)| number / unit)
}

/// RFC 3339, ISO 8601 (UTC if it names no zone), or a date as in HTTP.
fn date(text: &str) -> Option<f64> {
    let text = text
        .trim()
        .replacen(' ', "T", usize::from(!text.contains(',')));
    let text = text.trim_end_matches("TUTC").trim_end_matches(" UTC");
    let iso = OffsetDateTime::parse(text, &Iso8601::PARSING);
    let without_zone = || PrimitiveDateTime::parse(text, &Iso8601::PARSING);
    let time = match iso {
        Ok(time) => time,
        Err(_) => match without_zone() {
            Ok(time) => time.assume_utc(),
            Err(_) => OffsetDateTime::parse(text, &Rfc2822).ok()?,
        },
    };
    let milliseconds = time.unix_timestamp_nanos() / 1_000_000;
    let milliseconds = u64::try_from(milliseconds).unwrap_or(0);
    Some(Duration::from_millis(milliseconds).as_secs_f64())
}

/// A date as HTTP writes it, in seconds since 1970 (RFC 9110 §5.6.7).
pub(super) fn date_header(text: &str) -> Option<f64> {
    let time = OffsetDateTime::parse(text.trim(), &Rfc2822).ok()?;
    let seconds = u64::try_from(time.unix_timestamp()).ok()?;
    Some(Duration::from_secs(seconds).as_secs_f64())
}
