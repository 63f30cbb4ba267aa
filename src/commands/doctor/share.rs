//! The server of a shared cache does what a call needs.

use super::report::Finding;
use super::subject::{OFFLINE, Step, Subject};
use crate::commands::obtain::sharing::shared_entry;
use crate::commands::obtain::{TokenOptions, request};
use crate::profile::selected::SelectedProfile;
use crate::secrets::WaitLimit;

/// For a profile from the environment, the options are variables: `HALLPASS_SHARE_USER`.
fn named_as_given(subject: &Subject<'_>, advice: &str) -> String {
    if !subject.name.is_from_environment() {
        return advice.to_owned();
    }
    let word = |word: &str| match word.strip_prefix("--share-") {
        Some(option) => format!("HALLPASS_SHARE_{}", option.replace('-', "_").to_uppercase()),
        None => word.to_owned(),
    };
    advice.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Nothing without a shared cache.
pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(share) = &subject.profile.share else {
        return Vec::new();
    };
    if let Some(reason) = subject.profile.is_not_shared_because() {
        return vec![Finding::ok(format!("not used: {reason}"))];
    }
    if subject.machine.offline {
        return vec![Finding::skipped(OFFLINE)];
    }
    let credentials = match subject.credentials() {
        Step::Done(credentials) => credentials,
        Step::Failed(_) => return vec![Finding::skipped("the secret cannot be read")],
        Step::Skipped(why) => return vec![Finding::skipped(why.clone())],
    };
    let selected = SelectedProfile {
        name: subject.name.clone(),
        profile: subject.profile.clone(),
        binding: None,
        url: None,
    };
    let request = request(&selected, &TokenOptions::default());
    let entry = shared_entry(
        &subject.machine.directories,
        (subject.name, subject.profile, &request),
        (&credentials.credential, &credentials.secret_headers),
        WaitLimit::Program,
    );
    vec![match entry.map(|entry| entry.check()) {
        None => Finding::failed("it needs a key, because this client has no secret").fix(
            named_as_given(subject, "set --share-key to a key that all machines have"),
        ),
        Some(Ok(())) => Finding::ok(format!(
            "{}, an entry can be written, read and removed",
            share.url.as_str()
        )),
        Some(Err(problem)) => {
            let finding = Finding::failed(format!("{}: {problem}", share.url.as_str()));
            let advice = problem
                .advice()
                .map(|advice| named_as_given(subject, advice));
            advice.into_iter().fold(finding, Finding::fix)
        }
    }]
}
