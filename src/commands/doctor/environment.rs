//! The variables of hallpass, and the keychain.

use std::time::{Duration, Instant};

use super::Machine;
use super::report::Finding;
use crate::error::Result;
use crate::platform::variables;
use crate::profile::Store;
use crate::secrets::{self, WaitLimit, keychain};

/// The variables that are set, those that hallpass does not know, and the profile that they describe.
pub(super) fn check(machine: &Machine) -> Vec<Finding> {
    let (known, unknown) = variables::set();
    let unknown = unknown.iter().map(|name| {
        Finding::failed(variables::describe_unknown(name)).fix(format!("unset {name}"))
    });
    let waiting = WaitLimit::Program.limit().err();
    let waiting = waiting.as_ref().map(Finding::of);
    let described = machine.described.as_ref().err().map(Finding::of);
    let mut findings: Vec<_> = unknown.chain(waiting).chain(described).collect();
    if findings.is_empty() {
        findings.push(Finding::ok(if known.is_empty() {
            "no HALLPASS_ variable is set".to_owned()
        } else {
            known.join(", ")
        }));
    }
    findings
}

/// The keychain responds and is not locked, if a profile needs it.
pub(super) fn keychain(machine: &Machine) -> Vec<Finding> {
    let name = keychain::NAME;
    vec![match machine.keychain() {
        None => Finding::skipped(format!("no profile keeps its secret in it ({name})")),
        Some(Ok(took)) => Finding::ok(format!(
            "{name}, not locked, answered in {} ms",
            took.as_millis()
        )),
        Some(Err(error)) => Finding::of(error),
    }]
}

impl Machine {
    /// How long the keychain takes for an answer. It is asked once, as it may not respond.
    pub(super) fn keychain(&self) -> Option<&Result<Duration>> {
        let checked = self.keychain.get_or_init(|| {
            let mut items = self.readable().flat_map(|(name, profile)| {
                let items = profile.items().into_iter();
                items.map(move |item| (name, item))
            });
            let (name, item) = items.find(|(_, item)| item.store == Store::Keychain)?;
            let start = Instant::now();
            let checked = secrets::check_keychain(name, &item.account, WaitLimit::Program);
            Some(checked.map(|()| start.elapsed()))
        });
        checked.as_ref()
    }
}
