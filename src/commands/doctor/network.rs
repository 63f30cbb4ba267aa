//! The way to the server, its certificate and its clock, and a token request.

use super::report::Finding;
use super::subject::{OFFLINE, Step, Subject};
use crate::commands::obtain::missing_scope;
use crate::oauth::{self, Reached};
use crate::profile::ProfileName;
use crate::types::checked_text::Scope;

/// Only a token request tells more.
const NO_ANSWER: &str = "the server does not answer a request without credentials (HEAD)";

pub(super) fn proxy(subject: &Subject<'_>) -> Vec<Finding> {
    vec![match oauth::proxy_to(&subject.profile.token_endpoint) {
        Ok(None) => Finding::ok("none is set"),
        Ok(Some((proxy, variable))) => Finding::ok(format!("{proxy} (from {variable})")),
        Err(error) => Finding::of(&error),
    }]
}

/// The host of the server has an address, or that of the proxy.
pub(super) fn dns(subject: &Subject<'_>) -> Vec<Finding> {
    vec![match subject.addresses() {
        Step::Skipped(why) => Finding::skipped(why.clone()),
        Step::Failed(error) => Finding::of(error),
        Step::Done(addresses) => {
            let addresses = addresses.iter().map(ToString::to_string);
            Finding::ok(addresses.collect::<Vec<_>>().join(", "))
        }
    }]
}

/// The server responds, and its certificate is trusted.
pub(super) fn connection(subject: &Subject<'_>) -> Vec<Finding> {
    let endpoint = &subject.profile.token_endpoint;
    vec![match subject.reached() {
        Step::Skipped(why) => Finding::skipped(why.clone()),
        Step::Failed(error) => Finding::of(error),
        Step::Done(Reached::Open) => Finding::skipped(NO_ANSWER),
        Step::Done(Reached::Answered { .. } | Reached::Connected) => {
            let tls = if endpoint.is_https() {
                "its certificate is trusted"
            } else {
                "without TLS, on this machine only"
            };
            Finding::ok(format!("{}, {tls}", endpoint.origin()))
        }
    }]
}

/// The server's clock and this machine's differ by less than a minute.
pub(super) fn clock(subject: &Subject<'_>) -> Vec<Finding> {
    let set_clock = if cfg!(windows) {
        "w32tm /resync"
    } else if cfg!(target_os = "macos") {
        "sudo sntp -sS time.apple.com"
    } else {
        "sudo timedatectl set-ntp true"
    };
    vec![match subject.reached() {
        Step::Skipped(why) if why == OFFLINE => Finding::skipped(OFFLINE),
        Step::Skipped(_) | Step::Failed(_) => Finding::skipped("the server cannot be reached"),
        Step::Done(reached) => match reached.wrong_clock() {
            Some(wrong) => Finding::failed(wrong).fix(set_clock),
            None if reached.has_time() => Finding::ok("the same time as the server's"),
            None if !reached.is_answered() => Finding::skipped(NO_ANSWER),
            None => Finding::skipped("the server does not tell the time (Date)"),
        },
    }]
}

/// The server issues a token. It is neither stored nor shown.
pub(super) fn token(subject: &Subject<'_>) -> Vec<Finding> {
    vec![match subject.token() {
        Step::Skipped(why) => Finding::skipped(why.clone()),
        Step::Failed(error) => Finding::of(error),
        Step::Done(issued) => Finding::ok(issued.token.validity(issued.token.requested_at)),
    }]
}

/// While two secrets are kept: which one the server accepts.
pub(super) fn rotation(subject: &Subject<'_>) -> Vec<Finding> {
    let profile = subject.profile;
    let Some(previous) = profile.previous_secret() else {
        return Vec::new();
    };
    let finish = format!("hallpass rotate {} --finish", subject.name);
    let has_expired = previous.expires.is_some_and(|date| date.days_left() < 0);
    vec![match subject.token() {
        _ if has_expired => Finding::ok(format!(
            "the previous secret has expired and is still kept: {finish}"
        )),
        Step::Done(issued) if issued.is_of_previous_secret => {
            Finding::ok("the server does not accept the new secret yet; the previous one was used")
        }
        Step::Done(_) => Finding::ok(format!(
            "the server accepts the new secret; the previous one is kept until: {finish}"
        )),
        Step::Skipped(_) | Step::Failed(_) => {
            Finding::ok(format!("the previous secret is kept until: {finish}"))
        }
    }]
}

/// The token has the scope that was requested.
pub(super) fn scope(subject: &Subject<'_>) -> Vec<Finding> {
    let Step::Done(issued) = subject.token() else {
        return vec![Finding::skipped("no token was issued")];
    };
    let requested = issued.request.scope.as_ref();
    let granted = issued.token.scope.as_deref();
    vec![match missing_scope(&issued.request, &issued.token) {
        Some(missing) => {
            let finding = Finding::failed(missing);
            let name = subject.name;
            if name.is_from_environment() {
                finding
                    .fix("allow this client the scope at the server, or set HALLPASS_SCOPE to less")
            } else {
                let finding = finding.fix("allow this client the scope at the server");
                let less = granted.and_then(|granted| less_scope(name, granted));
                less.into_iter().fold(finding, Finding::fix)
            }
        }
        None => match (granted, requested) {
            (Some(granted), _) => Finding::ok(granted),
            (None, Some(requested)) => Finding::ok(requested.to_string()),
            (None, None) => Finding::ok("none requested"),
        },
    }]
}

/// The command after which a profile requests only this scope. None if no command line can have it.
fn less_scope(name: &ProfileName, granted: &str) -> Option<String> {
    if !granted.is_empty() {
        Scope::try_from(granted.to_owned()).ok()?;
    }
    // The server chose the text, which may look like an option.
    let granted = shlex::try_quote(granted).ok()?;
    Some(format!("hallpass login {name} --scope={granted}"))
}
