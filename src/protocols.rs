//! The helper protocols: how other programs ask for a token, each in its own tongue.
//!
//! A protocol is one file and one row of [`PROTOCOLS`]: its whole conversation is a function, and
//! so is how it says no. The rules that hold for all:
//!
//! - On success the answer alone is printed, and nothing on standard error: some clients merge the
//!   two. On failure nothing partial: some clients use what was printed all the same.
//! - Nobody is ever asked anything, and standard input is read only where the protocol defines it.
//! - A profile that is named selects; where the client names a URL, only a binding authorises.

mod git;

use std::io::BufRead;

use crate::error::{Error, Result};
use crate::profiles::Answering;
use crate::token::CachedToken;
use crate::web_url::WebUrl;

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
pub(crate) const PROTOCOLS: &[Protocol] = &[git::PROTOCOL];

/// What a client said, and what its helper can turn to.
pub(crate) struct Call<'a> {
    /// The arguments without `--profile`.
    pub(crate) arguments: &'a [String],
    pub(crate) input: &'a mut dyn BufRead,
    /// Prints at once: for clients that wait for a word before they speak.
    pub(crate) say: &'a dyn Fn(&str) -> Result<()>,
    /// An environment variable.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) desk: Desk<'a>,
}

/// The doors that a conversation may open.
pub(crate) struct Desk<'a> {
    /// Who answers for a URL: nobody, if no profile is bound to it.
    pub(crate) bound: &'a dyn Fn(&WebUrl) -> Result<Option<Answering>>,
    /// The profile of a call that names no URL: it has to be selected.
    pub(crate) named: &'a dyn Fn() -> Result<Answering>,
    /// Every binding there is.
    pub(crate) everyone: &'a dyn Fn() -> Result<Vec<Answering>>,
    /// A token of this profile. One with this fingerprint was rejected, and will not do.
    pub(crate) token: &'a dyn Fn(&Answering, Option<&str>) -> Result<CachedToken>,
    /// The token that lies in the cache and still works.
    pub(crate) cached: &'a dyn Fn(&Answering) -> Option<CachedToken>,
    /// Drops the cached token, if it is the one with this fingerprint.
    pub(crate) forget: &'a dyn Fn(&Answering, &str),
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

    /// The protocol's way to say that another helper may know.
    pub(crate) fn nothing() -> Self {
        Self::default()
    }
}
