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
const MOMENTS: [&str; 4] = ["expires_on", "expires_at", "expiresAt", ".expires"];

/// The same, or a lifetime if the number is too small for a time.
const MOMENTS_OR_LENGTHS: [&str; 3] = ["expires", "expiration", "expiry"];

/// The first number that is a time rather than a lifetime: 2001-09-09, in seconds since 1970.
const FIRST_MOMENT: f64 = 1e9;

/// A smaller difference between two clocks, in seconds, is ignored.
const CLOCK_TOLERANCE: f64 = 60.0;

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
        let differs = |moment: &f64| (moment - self.local).abs() > CLOCK_TOLERANCE;
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

    fn is_past(self, moment: f64) -> bool {
        moment < self.local - CLOCK_TOLERANCE
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
    let left = |moment: f64| moment - server_now;
    let length = length(members, server_now);
    let until_end = || Some(left(end(members)?));
    let stated = length.or_else(until_end);
    let own = claims.expiry.map(left);
    let seconds = match (stated, own) {
        (Some(stated), Some(own)) => stated.min(own),
        (Some(seconds), None) | (None, Some(seconds)) => seconds,
        (None, None) => limits.default_ttl.as_secs_f64(),
    };
    let most = limits.max_ttl;
    let duration = Duration::try_from_secs_f64(seconds.clamp(0.0, most.as_secs_f64()));
    let depends_on_clock = own.is_some() || length.is_none() && stated.is_some();
    let contradicts = claims.expiry.is_some_and(|expiry| clocks.is_past(expiry))
        && length.is_some_and(|length| length > 0.0);
    let difference = server_now - clocks.local;
    let warning = if depends_on_clock && difference != 0.0 {
        let which = if difference < 0.0 {
            "ahead of"
        } else {
            "behind"
        };
        let off = Duration::try_from_secs_f64(difference.abs()).unwrap_or(Duration::MAX);
        Some(format!(
            "this machine's clock is {} {which} the server's; correct it",
            duration::in_words(off)
        ))
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

/// The lifetime in the response, in seconds.
fn length(members: &Members<'_>, server_now: f64) -> Option<f64> {
    let number = |name: &str| members.get(name)?.number();
    let ten_years = 10.0 * 365.25 * 86_400.0;
    if let Some(length) = number("expires_in") {
        // Some servers write the time at which the token expires.
        let end = in_seconds(length);
        let is_moment = length >= FIRST_MOMENT && end > server_now && end < server_now + ten_years;
        return Some(if is_moment { end - server_now } else { length });
    }
    if end_of(members, &MOMENTS).is_some() {
        return None;
    }
    let mut lengths = MOMENTS_OR_LENGTHS.into_iter().filter_map(number);
    lengths.find(|length| *length < FIRST_MOMENT)
}

/// The time in the response at which the token expires, in seconds since 1970.
fn end(members: &Members<'_>) -> Option<f64> {
    end_of(members, &MOMENTS).or_else(|| end_of(members, &MOMENTS_OR_LENGTHS))
}

fn end_of(members: &Members<'_>, names: &[&str]) -> Option<f64> {
    names.iter().find_map(|name| moment(members.get(name)?))
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, or a date in words.
fn moment(value: Json<'_>) -> Option<f64> {
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
    let moment = match iso {
        Ok(moment) => moment,
        Err(_) => match without_zone() {
            Ok(moment) => moment.assume_utc(),
            Err(_) => OffsetDateTime::parse(text, &Rfc2822).ok()?,
        },
    };
    let milliseconds = moment.unix_timestamp_nanos() / 1_000_000;
    let milliseconds = u64::try_from(milliseconds).unwrap_or(0);
    Some(Duration::from_millis(milliseconds).as_secs_f64())
}

/// A date as HTTP writes it, in seconds since 1970 (RFC 9110 §5.6.7).
pub(super) fn date_header(text: &str) -> Option<f64> {
    let moment = OffsetDateTime::parse(text.trim(), &Rfc2822).ok()?;
    let seconds = u64::try_from(moment.unix_timestamp()).ok()?;
    Some(Duration::from_secs(seconds).as_secs_f64())
}
