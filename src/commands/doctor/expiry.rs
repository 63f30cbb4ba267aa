//! What expires: secrets, certificates and keys.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::report::Finding;
use super::subject::{Step, Subject};
use crate::error;
use crate::oauth;
use crate::profile::ProfileName;
use crate::types::duration;
use crate::types::token::Timestamp;

/// The seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// Something that expires.
struct Expiring {
    what: String,
    /// Or why that is unknown, which keeps the client from a token.
    at: Result<Timestamp, String>,
    /// What replaces it, as the end of a sentence.
    fix: String,
}

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let now = Timestamp::now();
    let expiring = [certificate, assertion_certificate, authorities, key]
        .into_iter()
        .filter_map(|find| find(subject));
    let findings = expiring.map(|it| {
        let at = match it.at {
            Ok(at) => at,
            Err(why) => {
                return Finding::failed(format!("cannot use {}: {why}", it.what)).fix(&it.fix);
            }
        };
        let (what, date) = (&it.what, at.date());
        let message = if at > now {
            let left = duration::in_words(at.since(now));
            format!("{what} expires in {left} ({date})")
        } else {
            let past = duration::in_words(now.since(at));
            format!("{what} expired {past} ago ({date})")
        };
        let finding = if at > now.plus(subject.machine.expiring) {
            Finding::ok(message)
        } else {
            Finding::failed(message).fix(&it.fix)
        };
        finding.expires(at.rfc3339(), days(at, now))
    });
    secret(subject).into_iter().chain(findings).collect()
}

/// The secret, of which only the user knows the date.
fn secret(subject: &Subject<'_>) -> Option<Finding> {
    let (name, profile) = (subject.name, subject.profile);
    let date = profile.secret_expires?;
    let expires = if date.days_left() < 0 {
        "expired"
    } else {
        "expires"
    };
    let what = format!(
        "the {} {expires} on {}",
        profile.credential_name(),
        date.with_days_left()
    );
    let limit = i64::try_from(subject.machine.expiring.as_secs() / DAY).unwrap_or(i64::MAX);
    let finding = if date.days_left() > limit {
        Finding::ok(what)
    } else {
        Finding::failed(what).fix(profile.how_to_renew(name))
    };
    Some(finding.expires(date.to_string(), date.days_left()))
}

/// Whole days until a moment, rounded down.
fn days(until: Timestamp, now: Timestamp) -> i64 {
    let whole = |span: Duration| i64::try_from(span.as_secs() / DAY).unwrap_or(i64::MAX);
    if until >= now {
        whole(until.since(now))
    } else {
        -1 - whole(now.since(until))
    }
}

/// The client certificate (RFC 8705).
fn certificate(subject: &Subject<'_>) -> Option<Expiring> {
    let path = subject.profile.certificate.as_deref()?;
    let setting = setting(subject.name, "--cert FILE --key FILE", "HALLPASS_CERT");
    Some(of_certificate(path, "the client certificate", &setting))
}

/// The certificate that assertions name.
fn assertion_certificate(subject: &Subject<'_>) -> Option<Expiring> {
    let path = subject.profile.assertion.as_ref()?.certificate.as_deref()?;
    let setting = setting(subject.name, "--jwt-cert FILE", "HALLPASS_JWT_CERT");
    Some(of_certificate(
        path,
        "the certificate of assertions",
        &setting,
    ))
}

fn of_certificate(path: &Path, what: &str, setting: &str) -> Expiring {
    let at = path.display();
    Expiring {
        what: format!("{what} {at}"),
        at: known(oauth::certificate_expiry(path)),
        fix: format!("put a new certificate into {at}, or {setting}"),
    }
}

/// The date in a file, or what is wrong with the file.
fn known(found: io::Result<Option<Timestamp>>) -> Result<Timestamp, String> {
    match found {
        Ok(at) => at.ok_or_else(|| "it has no PEM certificate".to_owned()),
        Err(error) => Err(error::reason(&error)),
    }
}

/// The CA file. rustls does not check when an authority expires, and other programs do.
fn authorities(subject: &Subject<'_>) -> Option<Expiring> {
    let path = subject.profile.ca_file.as_deref()?;
    Some(Expiring {
        what: format!("the CA file {}", path.display()),
        at: known(oauth::authorities_expiry(path)),
        fix: format!(
            "get the server's new CA certificate, then {}",
            setting(subject.name, "--ca-file FILE", "HALLPASS_CA_FILE")
        ),
    })
}

/// A private key with a date, as a JWK may have.
fn key(subject: &Subject<'_>) -> Option<Expiring> {
    let Step::Done(credentials) = subject.credentials() else {
        return None;
    };
    Some(Expiring {
        what: "the private key (exp)".to_owned(),
        at: Ok(oauth::key_expiry(&credentials.credential)?),
        fix: format!(
            "register a new key at the server, then {}",
            setting(subject.name, "--jwt-key FILE", "HALLPASS_JWT_KEY")
        ),
    })
}

/// What replaces it: a login, or a variable of the profile from the environment.
fn setting(name: &ProfileName, option: &str, variable: &str) -> String {
    if name.is_from_environment() {
        format!("set {variable}")
    } else {
        format!("run `hallpass login {name} {option}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_rounded_down() {
        let now = Timestamp(1_795_000_000_000);
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        for (until, expected) in [
            (now.plus(hours(49)), 2),
            (now.plus(hours(23)), 0),
            (now, 0),
            (Timestamp(now.0 - 3_600_000), -1),
            (Timestamp(now.0 - 25 * 3_600_000), -2),
        ] {
            assert_eq!(days(until, now), expected);
        }
    }
}
