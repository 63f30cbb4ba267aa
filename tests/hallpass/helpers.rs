//! The helper protocols: the exact answers and errors of each, and that none returns a token for a URL
//! that the profile is not bound to.

mod every_protocol;
mod git;
mod tools;
mod unbound;

use crate::machine::Machine;

/// A machine with a profile that is bound to these URLs.
fn bound_to(urls: &[&str]) -> Machine {
    let machine = Machine::new();
    let bindings = urls.iter().flat_map(|url| ["--for", *url]);
    let more: Vec<_> = ["--scope", "USER"].into_iter().chain(bindings).collect();
    machine.login("prod", machine.server(), &more);
    machine
}

pub(crate) const GIT: &[&str] = &["git-credential", "get"];
