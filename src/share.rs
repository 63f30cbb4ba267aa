//! The shared cache of a fleet: machines share tokens, and refusals, through a Redis or Valkey server.
//!
//! It is used only after a local miss. Entries are sealed, and their names are HMACs: who reads the server
//! learns nothing, and who writes to it can at worst cause one more request. One machine requests a token
//! while it holds a lease, which it renews; the others wait for the result. Times are durations by the
//! server's clock, so the clocks of the machines may differ.
//!
//! A problem of the server never fails a call: the caller requests the token by itself, and leaves the
//! server unused for a while.

mod connection;
mod content;
mod problem;
mod rest;
mod scripts;
mod seal;
mod session;

use std::path::Path;
use std::time::Duration;

use crate::error::Result;
use crate::message::step;
use crate::profile::share::Share;
use crate::profile::trust::RecordedTrust;
use crate::types::secret::ClientSecret;
use crate::types::token::CachedToken;
use crate::types::token_failure::TokenFailure;

use connection::Connection;
pub(crate) use problem::Problem;
pub(crate) use rest::Rest;
pub(crate) use seal::Keys;
use session::{Found, Session};

/// How long a call may spend on the server in all, except to wait for another machine's request.
const LIMIT: Duration = Duration::from_millis(250);

/// What a caller needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need<'a> {
    /// How long the token must still be valid.
    pub(crate) min_ttl: Duration,
    /// A token that was issued before this call is not enough.
    pub(crate) force_refresh: bool,
    /// The token that an API refused, by [`fingerprint`]: any other one is enough.
    ///
    /// [`fingerprint`]: content::fingerprint
    pub(crate) rejected: Option<&'a str>,
    /// A token that was requested longer ago is not enough.
    pub(crate) max_ttl: Duration,
    /// How long to wait for another machine's request.
    pub(crate) wait_limit: Duration,
}

pub(crate) use content::fingerprint;

/// The shared entry of one token request.
pub(crate) struct SharedEntry<'a> {
    pub(crate) share: &'a Share,
    /// What was trusted at the login, besides the CA file of the share.
    pub(crate) trust: &'a RecordedTrust,
    /// Everything that decides what token is issued.
    pub(crate) request: Vec<u8>,
    /// The directory of all caches.
    pub(crate) directory: &'a Path,
    /// Reads the secrets, once the server is needed.
    pub(crate) open: Box<dyn Fn() -> Result<Access> + 'a>,
}

/// The secrets of a shared cache.
pub(crate) struct Access {
    pub(crate) keys: Keys,
    pub(crate) password: Option<ClientSecret>,
}

/// The line for the server's ACL: a user with the commands that are used, and no others. `PASSWORD` is to be
/// replaced.
pub(crate) fn acl(user: &str, database: u32) -> String {
    let select = if database == 0 { "" } else { " +select" };
    format!(
        "ACL SETUSER {user} on >PASSWORD resetkeys ~{}* resetchannels -@all {}{select}",
        seal::PREFIX,
        "+eval +get +set +del +pttl +time +ping"
    )
}

type Response = std::result::Result<CachedToken, TokenFailure>;

/// What a caller gets.
pub(crate) enum Answer {
    /// The token of another machine.
    Received(CachedToken),
    /// The server refused the request of another machine.
    Refused(TokenFailure),
    /// What this machine's own request brought.
    Requested(Response),
}

impl SharedEntry<'_> {
    /// Takes the token of the fleet, or a refusal of the server, or requests a token for all.
    pub(crate) fn obtain(&self, need: Need<'_>, request: impl FnOnce() -> Response) -> Answer {
        let mut rest = Rest::of(self.directory, &self.share.url);
        if let Some((left, reason)) = rest.remaining() {
            step(|| {
                format!(
                    "share: {} is not used for {} s, because {reason}",
                    self.share.url.as_str(),
                    left.as_secs() + 1
                )
            });
            return Answer::Requested(request());
        }
        rest.begin();
        let found = self.session(LIMIT, None).and_then(|mut session| {
            let found = session.look(need)?;
            Ok((session, found))
        });
        let (session, found) = match found {
            Ok(found) => found,
            Err(problem) => {
                self.note(Err(problem), &mut rest);
                return Answer::Requested(request());
            }
        };
        rest.end();
        let lease = match found {
            Found::Token(token) => return Answer::Received(token),
            Found::Failure(failure) => return Answer::Refused(failure),
            Found::Lease(lease) => Some(lease),
            Found::Nothing => None,
        };
        let (response, stored) = session.request(lease, request);
        self.note(stored, &mut rest);
        Answer::Requested(response)
    }

    fn note(&self, stored: std::result::Result<(), Problem>, rest: &mut Rest) {
        if let Err(problem) = stored {
            step(|| format!("share: {}: {problem}", self.share.url.as_str()));
            rest.record(&problem);
        }
    }

    /// Connects for this entry, or for another name.
    fn session(
        &self,
        limit: Duration,
        name: Option<String>,
    ) -> std::result::Result<Session, Problem> {
        // First: the server accepts the connection while the keys are derived.
        let mut connection = Connection::open(self.share, self.trust, limit)?;
        let access = (self.open)();
        let Access { keys, password } = access.map_err(|error| Problem::new(error.to_string()))?;
        connection.log_in(password)?;
        let name = name.unwrap_or_else(|| keys.name(&self.request));
        Ok(Session::of(connection, keys, name))
    }

    /// Removes the entry from the server.
    ///
    /// # Errors
    /// Why the server could not be used.
    pub(crate) fn remove(&self) -> std::result::Result<(), Problem> {
        self.session(LIMIT * 10, None)?.remove()
    }

    /// Does with a random entry what a call does: writes, reads and removes it.
    ///
    /// # Errors
    /// What does not work.
    pub(crate) fn check(&self) -> std::result::Result<(), Problem> {
        let name = seal::random_name();
        let name = name.ok_or_else(|| Problem::new("the system has no randomness"))?;
        self.session(LIMIT * 10, Some(name))?.check()
    }
}
