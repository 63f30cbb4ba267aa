//! The helper protocols: how other programs ask for a token, each in its own tongue.
//!
//! A protocol is one file and one row of [`PROTOCOLS`]: its whole conversation is a function, and
//! so is how it says no. The rules that hold for all:
//!
//! - On success the answer alone is printed, and nothing on standard error: some clients merge the
//!   two. On failure nothing partial: some clients use what was printed all the same.
//! - Nobody is ever asked anything, and standard input is read only where the protocol defines it.
//! - A profile that is named selects; where the client names a URL, only a binding authorises.

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
    /// What a link to hallpass is called whose clients can pass no subcommand.
    pub(crate) link: Option<&'static str>,
    /// One line for the help.
    pub(crate) about: &'static str,
    pub(crate) converse: fn(&mut Call<'_>) -> Result<Answer>,
}

/// Every protocol there is.
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

/// What a client said, and what its helper can turn to.
pub(crate) struct Call<'a> {
    /// The arguments without `--profile`.
    pub(crate) arguments: &'a [String],
    pub(crate) input: &'a mut dyn BufRead,
    /// Prints at once: for clients that wait for a word before they speak.
    pub(crate) say: &'a dyn Fn(&str) -> Result<()>,
    /// An environment variable.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) desk: TokenProvider<'a>,
}

type BoundBy<'a> = dyn Fn(&WebUrl, Option<&str>) -> Result<Option<SelectedProfile>> + 'a;

/// The doors that a conversation may open.
pub(crate) struct TokenProvider<'a> {
    /// Who answers for a URL: nobody, if no profile is bound to it. Of one profile alone, if its
    /// name came with the request.
    pub(crate) bound_by: &'a BoundBy<'a>,
    /// The profile of a call that names no URL: it has to be selected.
    pub(crate) named: &'a dyn Fn() -> Result<SelectedProfile>,
    /// Every binding there is.
    pub(crate) all_bindings: &'a dyn Fn() -> Result<Vec<SelectedProfile>>,
    /// A token of this profile, which is then as it was when the token was checked against it: another
    /// login may have taken its name. The token that was received at this moment was rejected, and
    /// will not do.
    pub(crate) token: &'a dyn Fn(&mut SelectedProfile, Option<Timestamp>) -> Result<CachedToken>,
    /// The token that lies in the cache and still works.
    pub(crate) cached: &'a dyn Fn(&SelectedProfile) -> Option<CachedToken>,
    /// Drops the cached token, if it is this one.
    pub(crate) forget: &'a dyn Fn(&SelectedProfile, &AccessToken),
}

impl TokenProvider<'_> {
    /// Who answers for a URL: nobody, if no profile is bound to it.
    fn bound(&self, url: &WebUrl) -> Result<Option<SelectedProfile>> {
        (self.bound_by)(url, None)
    }
}

/// What the client is told.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Standard output.
    pub(crate) text: String,
    /// Standard error.
    pub(crate) complaint: Option<Error>,
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

    /// The protocol's way to say that another helper may know.
    pub(crate) fn nothing() -> Self {
        Self::default()
    }
}

/// The longest request that is read, in bytes: those of the clients have a few hundred.
const REQUEST_LIMIT: u64 = 64 * 1024;

fn unreadable(error: std::io::Error) -> Error {
    Error::broken("cannot read the request").because(error)
}

/// Reads what a client says up to its end.
fn read_to_end(input: &mut dyn BufRead) -> Result<Vec<u8>> {
    let mut request = Vec::new();
    let read = input.take(REQUEST_LIMIT).read_to_end(&mut request);
    read.map_err(unreadable)?;
    Ok(request)
}

/// Reads one line: the client waits for an answer, and keeps its end open.
fn read_line(input: &mut dyn BufRead) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    let read = input.take(REQUEST_LIMIT).read_until(b'\n', &mut line);
    read.map_err(unreadable)?;
    Ok(line)
}

/// The value of an Authorization header: Bearer, unless the binding says otherwise.
fn header(who: &SelectedProfile, token: &CachedToken) -> String {
    let token = token.access_token.expose();
    match who.binding.as_ref().and_then(|binding| binding.scheme) {
        None | Some(Scheme::Bearer | Scheme::IdentityToken) => format!("Bearer {token}"),
        Some(Scheme::Raw) => token.to_owned(),
        Some(Scheme::Basic) => {
            let username = who
                .binding
                .as_ref()
                .map(Binding::username)
                .unwrap_or_default();
            format!("Basic {}", STANDARD.encode(format!("{username}:{token}")))
        }
    }
}

/// Takes `--profile NAME` out of a client's arguments: the rest is the protocol's own.
pub(crate) fn take_profile(given: Vec<String>) -> Result<(Vec<String>, Option<String>)> {
    let (mut words, mut profile) = (Vec::new(), None);
    let mut given = given.into_iter();
    while let Some(word) = given.next() {
        if word == "--profile" {
            let name = given.next();
            profile = Some(name.ok_or_else(|| Error::usage("a value is missing: --profile"))?);
        } else if let Some(name) = word.strip_prefix("--profile=") {
            profile = Some(name.to_owned());
        } else {
            words.push(word);
        }
    }
    Ok((words, profile))
}

#[cfg(test)]
mod tests;
