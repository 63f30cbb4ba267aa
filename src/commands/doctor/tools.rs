//! Which helper git, docker and cargo call for a URL, by their own settings.

mod cargo;
mod docker;
mod git;

use std::path::Path;

pub(super) use cargo::check as cargo;
pub(super) use docker::check as docker;
pub(super) use git::check as git;

use super::Machine;
use super::links::on_path;
use super::report::Finding;
use crate::commands::proofs::{serve, tokens_of};
use crate::profile::ProfileName;
use crate::profiles::Bound;
use crate::types::shell;
use crate::types::web_url::WebUrl;

/// A URL for which a tool calls hallpass.
struct Call {
    /// How the tool writes it, and what it may mean.
    at: String,
    urls: Vec<WebUrl>,
    /// The profile that the tool's settings name.
    profile: Option<ProfileName>,
    /// The program, as the tool finds it.
    program: String,
}

/// What is wrong with these calls; else that the tool calls hallpass, or why nothing was checked.
fn report(
    machine: &Machine,
    tool: &str,
    calls: &[Call],
    mut findings: Vec<Finding>,
) -> Vec<Finding> {
    for call in calls {
        findings.extend(missing_program(machine, tool, call));
        findings.extend(unbound(machine, tool, call));
    }
    if !findings.is_empty() {
        return findings;
    }
    let called: Vec<_> = calls.iter().map(|call| call.at.as_str()).collect();
    vec![if called.is_empty() {
        not_set_up(tool)
    } else {
        Finding::ok(format!("calls hallpass for {}", called.join(", ")))
    }]
}

fn not_set_up(tool: &str) -> Finding {
    Finding::skipped(format!("it is not set up (hallpass setup {tool})"))
}

/// The command that writes or shows the tool's settings.
fn set_up(machine: &Machine, tool: &str, profile: Option<&ProfileName>) -> String {
    let is_only = machine.profiles.names().is_ok_and(|names| names.len() == 1);
    match profile.filter(|name| !is_only && !name.is_from_environment()) {
        Some(name) => format!("hallpass setup {tool} --profile {name}"),
        None => format!("hallpass setup {tool}"),
    }
}

/// The tool's settings name a program that it does not find.
fn missing_program(machine: &Machine, tool: &str, call: &Call) -> Option<Finding> {
    let program = &call.program;
    let is_path = Path::new(program).is_absolute();
    let is_there = if is_path {
        Path::new(program).is_file()
    } else {
        on_path(program).iter().any(|path| path.is_file())
    };
    let fix = match tool {
        _ if !is_path => "hallpass setup links".to_owned(),
        "git" => {
            let url = call.urls.first();
            let bound = url.and_then(|url| machine.profiles.bound_to(url, None).ok());
            let name = match &bound {
                Some(Bound::By(found)) => Some(&found.name),
                _ => None,
            };
            set_up(machine, "git --write", name)
        }
        tool => format!("correct the path; `hallpass setup {tool}` shows the setting"),
    };
    let what = format!("{tool} calls {program}, which it does not find");
    (!is_there).then(|| Finding::failed(what).fix(fix))
}

/// No profile is bound to the URL.
fn unbound(machine: &Machine, tool: &str, call: &Call) -> Option<Finding> {
    let named = call.profile.as_ref();
    let (mut error, mut bound_to_key) = (None, None);
    for url in &call.urls {
        match machine.profiles.bound_to(url, named) {
            Ok(Bound::By(found)) if found.profile.dpop.is_some() => bound_to_key = Some(found.name),
            Ok(Bound::By(_)) => return None,
            Ok(Bound::Elsewhere | Bound::ByNobody) => {}
            Err(fault) => error = Some(fault),
        }
    }
    let at = &call.at;
    if let Some(name) = bound_to_key {
        let what = format!("{tool} gets no token for {at}: {}", tokens_of(&name));
        let what = format!("{what} are bound to a key (DPoP)");
        return Some(Finding::failed(what).fix(serve(&name)));
    }
    Some(match (error, named, call.urls.first()) {
        // The profile itself reports a conflict.
        (Some(_), None, _) => return None,
        (Some(error), Some(_), _) => Finding::of(&error),
        (None, _, None) => Finding::failed(format!(
            "{tool} calls hallpass for {at}, which is not a URL"
        ))
        .fix(format!(
            "correct the URL; `hallpass setup {tool}` shows the setting"
        )),
        (None, _, Some(url)) => {
            let only = match machine.found.as_slice() {
                [(only, _)] => Some(only),
                _ => None,
            };
            let profile = named.or(only);
            let profile = profile.map_or("PROFILE", ProfileName::as_str);
            Finding::failed(format!(
                "{tool} calls hallpass for {at}, to which no profile is bound"
            ))
            .fix(format!(
                "hallpass bind {profile} {}",
                shell::word(url.as_str())
            ))
        }
    })
}

/// The profile that `--profile=NAME` or `--profile NAME` names.
fn named_profile(words: &[String]) -> Option<ProfileName> {
    let mut words = words.iter();
    let name = words.find_map(|word| {
        let rest = word.strip_prefix("--profile")?;
        Some(rest.strip_prefix('=').map(str::to_owned))
    })?;
    let name = name.or_else(|| words.next().cloned())?;
    ProfileName::parse(&name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_found_in_either_form_of_the_option() {
        for (line, expected) in [
            ("hallpass git-credential --profile=p", Some("p")),
            ("hallpass --profile p git-credential", Some("p")),
            ("hallpass git-credential", None),
            ("hallpass --profile", None),
            ("hallpass --profile=", None),
        ] {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            let found = named_profile(&words);
            assert_eq!(found.as_ref().map(ProfileName::as_str), expected, "{line}");
        }
    }
}
