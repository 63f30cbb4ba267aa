//! A profile's settings, bindings, secret and identity token.

use super::report::Finding;
use super::subject::{Step, Subject};
use crate::cache::{Form, Protection};
use crate::error::Kind;
use crate::policy;
use crate::profile::ProfileName;
use crate::profile::binding::BoundUrl;
use crate::profiles::{Bound, cache_mode, variable_of};
use crate::secrets;
use crate::types::shell;

/// It can be read, and has the settings of its login.
pub(super) fn profile(subject: &Subject<'_>) -> Vec<Finding> {
    let (name, profile) = (subject.name, subject.profile);
    let client = format!("client {}", profile.client());
    if let Err(error) = policy::current().and_then(|policy| policy.check(profile)) {
        return vec![Finding::of(&error)];
    }
    vec![match secrets::check_unchanged(name, profile) {
        Err(error) => Finding::of(&error),
        Ok(()) if name.is_from_environment() => Finding::ok(client),
        Ok(()) if profile.item().is_some() => {
            Finding::ok(format!("{client}, unchanged since its login"))
        }
        // Only an item of hallpass is bound to the settings.
        Ok(()) => Finding::ok(format!("{client}, readable")),
    }]
}

/// Whether cached tokens are encrypted, and why not.
pub(super) fn protection(subject: &Subject<'_>) -> Vec<Finding> {
    let protection = match cache_mode(subject.profile) {
        Ok(mode) => Protection::of(mode),
        Err(error) => return vec![Finding::of(&error)],
    };
    if protection.form != Form::None || !protection.is_fallback {
        return vec![Finding::ok(protection.to_string())];
    }
    let name = subject.name;
    let what = format!("each call requests a token: {}", protection.reason);
    vec![
        Finding::failed(what).fix(if variable_of("cache").is_some() {
            "set HALLPASS_CACHE to auto".to_owned()
        } else {
            format!("hallpass profile edit {name} --cache auto")
        }),
    ]
}

/// Each URL leads to this profile and to no other.
pub(super) fn bindings(subject: &Subject<'_>) -> Vec<Finding> {
    let bindings = &subject.profile.bindings;
    if bindings.is_empty() {
        return vec![Finding::ok("not bound to any URL")];
    }
    // A copy of another profile's file has its URLs, too.
    if secrets::check_unchanged(subject.name, subject.profile).is_err() {
        return vec![Finding::skipped("the profile was edited after login")];
    }
    let mut findings: Vec<_> = bindings
        .iter()
        .filter_map(|binding| unusable(subject, &binding.url))
        .collect();
    if findings.is_empty() {
        let urls = bindings.iter().map(|binding| binding.url.as_str());
        findings.push(Finding::ok(urls.collect::<Vec<_>>().join(", ")));
    }
    findings
}

fn unusable(subject: &Subject<'_>, url: &BoundUrl) -> Option<Finding> {
    if subject.name.is_from_environment() {
        return None;
    }
    let (name, at) = (subject.name, url.as_str());
    let word = shell::word(at);
    let profiles = &subject.machine.profiles;
    let bound = profiles.bound_to(url.as_url(), None);
    Some(match bound {
        Ok(Bound::By(found)) if found.name == *name || found.name.is_from_environment() => {
            return None;
        }
        Ok(Bound::By(found)) => {
            let other = &found.name;
            Finding::failed(format!("{at} leads to profile {other}"))
                .fix(format!("hallpass unbind {other} {word}"))
        }
        Ok(Bound::Elsewhere | Bound::ByNobody) => {
            Finding::failed(format!("the index does not have {at}, so no tool finds it"))
                .fix(format!("hallpass bind {name} {word}"))
        }
        Err(error) if error.kind == Kind::Usage => {
            let others = others_bound_to(subject, url);
            if others.is_empty() && error.hints.iter().any(|hint| hint.starts_with("run: ")) {
                Finding::of(&error)
            } else if others.is_empty() {
                Finding::failed(error.to_string()).fix(format!("hallpass bind {name} {word}"))
            } else {
                let finding = Finding::failed(format!("{at}: {error}"));
                let unbind = |other: &ProfileName| format!("hallpass unbind {other} {word}");
                others.iter().map(unbind).fold(finding, Finding::fix)
            }
        }
        Err(error) => Finding::of(&error),
    })
}

fn others_bound_to(subject: &Subject<'_>, url: &BoundUrl) -> Vec<ProfileName> {
    let profiles = &subject.machine.profiles;
    let mut names = profiles.names().unwrap_or_default();
    names.retain(|name| {
        let is_alike =
            |other: &BoundUrl| other.origin() == url.origin() && other.prefix() == url.prefix();
        let profile = profiles.load(name);
        name != subject.name
            && profile.is_ok_and(|it| it.bindings.iter().any(|other| is_alike(&other.url)))
    });
    names
}

/// It can be read, with the keys that the client needs.
pub(super) fn secret(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(source) = &subject.profile.secret else {
        return vec![match subject.credentials() {
            Step::Failed(error) => Finding::of(error),
            _ => Finding::ok("this client has none"),
        }];
    };
    vec![match subject.credentials() {
        Step::Skipped(why) => Finding::skipped(why.clone()),
        Step::Failed(error) => Finding::of(error),
        Step::Done(read) => {
            let place = secrets::source_name(source);
            let took = read.took.as_millis();
            Finding::ok(if source.may_block() {
                format!("{place}, read in {took} ms")
            } else {
                place
            })
        }
    }]
}

/// It can be read, or the CI system issues it.
pub(super) fn identity(subject: &Subject<'_>) -> Vec<Finding> {
    match subject.identity() {
        Step::Skipped(why) => vec![Finding::skipped(why.clone())],
        Step::Failed(error) => vec![Finding::of(error)],
        Step::Done(Some(_)) => vec![Finding::ok("there is an identity token")],
        Step::Done(None) => Vec::new(),
    }
}
