//! The helper protocols: how other programs ask for a token.
//!
//! A protocol is one file and one row of [`PROTOCOLS`]: a function reads the request and writes the
//! answer, with failures in the protocol's error format. The rules for all of them:
//!
//! - On success only the answer is printed, and nothing on standard error, because some clients merge
//!   the two. On failure nothing partial is printed, because some clients use it anyway.
//! - A helper never prompts, and reads standard input only where the protocol defines it.
//! - Naming a profile only selects it. Where the client names a URL, the profile must be bound to it.

mod askpass;
mod bazel;
mod cargo;
mod docker;
mod git;
mod go;
mod google;
mod kubectl;
mod pnpm;
mod python_keyring;
mod terraform;

use std::io::{BufRead, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::profile::binding::{Binding, Scheme};
use crate::profile::selected::SelectedProfile;
use crate::types::secret::AccessToken;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::web_url::WebUrl;

/// One way for other programs to ask for a token.
pub(crate) struct Protocol {
    /// The subcommand: `hallpass NAME`.
    pub(crate) name: &'static str,
    /// The name of a link to hallpass, for clients that cannot pass a subcommand.
    pub(crate) link: Option<&'static str>,
    /// One line for the help.
    pub(crate) about: &'static str,
    /// Reads the client's request and returns the answer.
    pub(crate) run: fn(&mut Call<'_>) -> Result<Answer>,
}

/// Every protocol.
pub(crate) const PROTOCOLS: &[Protocol] = &[
    git::PROTOCOL,
    docker::PROTOCOL,
    cargo::PROTOCOL,
    bazel::PROTOCOL,
    kubectl::PROTOCOL,
    go::PROTOCOL,
    terraform::PROTOCOL,
    pnpm::PROTOCOL,
    python_keyring::PROTOCOL,
    google::PROTOCOL,
    askpass::PROTOCOL,
];

/// One call of a helper: the client's request, and where a token comes from.
pub(crate) struct Call<'a> {
    /// The arguments without `--profile`.
    pub(crate) arguments: &'a [String],
    pub(crate) input: &'a mut dyn BufRead,
    /// Prints at once, for a protocol in which the helper writes first.
    pub(crate) print: &'a dyn Fn(&str) -> Result<()>,
    /// Says what to print if a library panics, for a client that must be told of each failure.
    pub(crate) if_it_panics: &'a dyn Fn(&'static str),
    /// Reads an environment variable.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) provider: &'a dyn TokenProvider,
}

/// What a protocol may request.
pub(crate) trait TokenProvider {
    /// The profile that is bound to this URL, if there is one.
    ///
    /// `name` is the profile that the request names: then only that one is considered.
    fn find_bound(&self, url: &WebUrl, name: Option<&str>) -> Result<Option<SelectedProfile>>;

    /// The profile for a call without a URL, by its name or because it is the only one.
    fn selected(&self) -> Result<SelectedProfile>;

    /// Every binding, with its profile.
    fn all_bindings(&self) -> Result<Vec<SelectedProfile>>;

    /// A token of this profile. If the server rejected one, `rejected` is when that was received, and
    /// it is not returned again.
    ///
    /// Afterwards `selected` is the profile that the token was issued for: another login may have
    /// replaced it in the meantime.
    fn token(
        &self,
        selected: &mut SelectedProfile,
        rejected: Option<Timestamp>,
    ) -> Result<CachedToken>;

    /// The cached token of this profile, if it still works.
    fn cached_token(&self, selected: &SelectedProfile) -> Option<CachedToken>;

    /// Removes the cached token of this profile, if it is the rejected one.
    fn discard_token(&self, selected: &SelectedProfile, rejected: &AccessToken);

    /// The profile that is bound to this URL, if there is one.
    fn bound_to(&self, url: &WebUrl) -> Result<Option<SelectedProfile>> {
        self.find_bound(url, None)
    }
}

/// What the client gets.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Standard output.
    pub(crate) text: String,
    /// Standard error.
    pub(crate) error: Option<Error>,
    pub(crate) exit_code: u8,
}

impl Answer {
    /// Success.
    pub(crate) fn of(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// Success: JSON on a line.
    fn line(json: &impl Serialize) -> Self {
        // Not by `format!`, which takes twice as many instructions.
        let mut line = serde_json::to_string(json).unwrap_or_default();
        line.push('\n');
        Self::of(line)
    }

    /// Success without output: the client then tries another helper.
    pub(crate) fn nothing() -> Self {
        Self::default()
    }
}

/// The longest request that is read, in bytes. Real requests have a few hundred.
const REQUEST_LIMIT: u64 = 64 * 1024;

fn unreadable(error: std::io::Error) -> Error {
    Error::broken("cannot read the request").because(error)
}

/// Reads the request up to the end of the input.
fn read_to_end(input: &mut dyn BufRead) -> Result<Vec<u8>> {
    let mut request = Vec::new();
    let read = input.take(REQUEST_LIMIT).read_to_end(&mut request);
    read.map_err(unreadable)?;
    Ok(request)
}

/// Reads one line, for clients that keep the pipe open while they wait for the answer.
fn read_line(input: &mut dyn BufRead) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    let read = input.take(REQUEST_LIMIT).read_until(b'\n', &mut line);
    read.map_err(unreadable)?;
    Ok(line)
}

/// The header that carries the token, with its value: `Authorization`, unless the binding sets another
/// one. In another one, only a scheme that the binding sets comes before the token.
pub(crate) fn header<'a>(binding: Option<&'a Binding>, token: &AccessToken) -> (&'a str, String) {
    let Some(binding) = binding else {
        return ("Authorization", ["Bearer ", token.expose()].concat());
    };
    match (&binding.header, binding.scheme) {
        (None, _) => ("Authorization", authorization(Some(binding), token)),
        (Some(name), None | Some(Scheme::IdentityToken)) => {
            (name.as_str(), token.expose().to_owned())
        }
        (Some(name), Some(_)) => (name.as_str(), authorization(Some(binding), token)),
    }
}

/// The value of an Authorization header: Bearer, unless the binding sets another scheme. For clients
/// that send no other header.
fn authorization(binding: Option<&Binding>, token: &AccessToken) -> String {
    let token = token.expose();
    match binding.and_then(|binding| binding.scheme) {
        None | Some(Scheme::Bearer | Scheme::IdentityToken) => ["Bearer ", token].concat(),
        Some(Scheme::Raw) => token.to_owned(),
        Some(Scheme::Basic) => {
            let username = binding.map(Binding::username).unwrap_or_default();
            format!("Basic {}", STANDARD.encode(format!("{username}:{token}")))
        }
    }
}

/// Takes `--profile NAME` out of a client's arguments. The rest belongs to the protocol.
pub(crate) fn take_profile(given: Vec<String>) -> Result<(Vec<String>, Option<String>)> {
    let (mut words, mut profile) = (Vec::new(), None);
    let mut given = given.into_iter();
    while let Some(word) = given.next() {
        if word == "--profile" {
            let name = given.next();
            profile = Some(name.ok_or_else(|| Error::usage("--profile needs a value"))?);
        } else if let Some(name) = word.strip_prefix("--profile=") {
            profile = Some(name.to_owned());
        } else {
            words.push(word);
        }
    }
    Ok((words, profile))
}

#[cfg(any(test, fuzzing))]
#[path = "../tests/parsers/protocols.rs"]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;
