//! One token: where it comes from, and the header that carries it.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};

use crate::commands::expiry;
use crate::commands::obtain::{Obtained, TokenOptions, cached, request};
use crate::commands::proofs::{authorization, bearer_only, obtain_provable, prover_of};
use crate::error::{Error, Kind, Result};
use crate::oauth::Prover;
use crate::policy;
use crate::profile::binding::Binding;
use crate::profile::selected::SelectedProfile;
use crate::profiles::{self, Profiles};
use crate::protocols::header;
use crate::types::secret::AccessToken;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::web_url::WebUrl;

/// The shortest token that is looked for in a text: shorter ones are parts of words.
const SHORTEST: usize = 4;

/// A token, and the header that carries it.
pub(in crate::commands) struct Token {
    pub(in crate::commands) name: HeaderName,
    pub(in crate::commands) value: HeaderValue,
    /// Signs a proof for each request, if the token is bound to a key (RFC 9449).
    pub(super) prover: Option<Arc<Prover>>,
    pub(in crate::commands) cached: CachedToken,
    /// The URLs that it is for.
    pub(in crate::commands) bindings: Vec<Binding>,
    /// The scope of the token, if it is known.
    pub(in crate::commands) scope: Option<String>,
    /// The key of the request for it, if it could not be saved in the cache.
    unsaved: Option<String>,
}

impl Token {
    /// Of the bindings that cover a URL, the one with the longest path.
    pub(in crate::commands) fn binding(&self, url: &WebUrl) -> Option<&Binding> {
        let covering = self
            .bindings
            .iter()
            .filter(|binding| binding.url.covers(url));
        covering.max_by_key(|binding| binding.url.prefix().len())
    }

    /// Whether it is of use only with a proof of its key.
    pub(in crate::commands) fn is_bound(&self) -> bool {
        self.prover.is_some()
    }

    /// Whether a text that a program would read has the token.
    pub(in crate::commands) fn is_in(&self, text: &[u8]) -> bool {
        let token = self.cached.access_token.expose().as_bytes();
        token.len() >= SHORTEST && text.windows(token.len()).any(|part| part == token)
    }

    /// The token again, if only this process has it, and it still is the one of the profile.
    fn if_unsaved(&self, selected: &SelectedProfile) -> Option<Obtained> {
        let is_this = |key_of_token: &String| *key_of_token == key(selected);
        let is_kept = self.cached.is_unexpired(Timestamp::now())
            && self.unsaved.as_ref().is_some_and(is_this);
        is_kept.then(|| Obtained {
            token: self.cached.clone(),
            scope: request(selected, &TokenOptions::default()).scope,
            is_new: false,
            is_unsaved: true,
            failure: None,
        })
    }

    pub(super) fn is_same_token(&self, other: &Self) -> bool {
        self.cached.access_token == other.cached.access_token
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.cached == other.cached && self.value == other.value && self.bindings == other.bindings
    }

    pub(super) fn is_due(&self) -> bool {
        let now = Timestamp::now();
        self.is_in_margin() || self.cached.is_in_early_refresh(now)
    }

    /// Whether it is too short to be given to a client that keeps it.
    pub(super) fn is_in_margin(&self) -> bool {
        !self.cached.is_valid_for(Timestamp::now(), Duration::ZERO)
    }
}

/// Why there is no token.
pub(in crate::commands) struct Failure {
    pub(in crate::commands) kind: Kind,
    pub(in crate::commands) text: String,
}

impl Failure {
    pub(super) fn of(error: &Error) -> Self {
        Self {
            kind: error.kind,
            text: error.to_string(),
        }
    }
}

/// Where a token comes from.
pub(super) enum Way {
    /// From the cache, or this one if it could not be saved there. `Unavailable` if there is none.
    Cache(Option<Arc<Token>>),
    /// As `hallpass token` gets one.
    Obtain,
    /// From the server, because it refused this one.
    Replace(AccessToken),
}

/// Gets a token, and blocks meanwhile. `sends_proofs` says whether proofs are sent with it.
pub(super) fn get(selected: &SelectedProfile, way: Way, sends_proofs: bool) -> Result<Token> {
    // It may have changed since this process was started.
    let policy = policy::refresh()?;
    let directories = profiles::directories()?;
    let profiles = Profiles::of(&directories);
    let mut selected = selected.clone();
    let name = &selected.name;
    let latest = profiles.reload(&selected)?;
    let logged_out = || {
        Error::not_found(format!("profile {name} was logged out"))
            .hint(format!("run `hallpass login {name}`"))
    };
    let latest = latest.ok_or_else(logged_out)?;
    selected.update(latest)?;
    policy.check(&selected.profile)?;
    if selected.profile.dpop.is_some() && !sends_proofs {
        return Err(bearer_only(&selected.name));
    }
    let (obtained, prover) = if let Way::Cache(held) = way {
        let of_held = held.clone();
        let saved = cached(&directories, &selected);
        let unsaved = held.and_then(|held| held.if_unsaved(&selected));
        let none = || Error::unavailable("no token in the cache");
        // A token of before may still be in a cache that cannot be written.
        let found = saved.into_iter().chain(unsaved);
        let newest = found.max_by_key(|obtained| obtained.token.requested_at);
        let obtained = newest.ok_or_else(none)?;
        let prover = match of_held.filter(|held| held.cached == obtained.token) {
            Some(held) => held.prover.clone(),
            None => prover_of(&obtained, &selected)?.map(Arc::new),
        };
        let is_bound = obtained.token.proof_key.is_some() || selected.profile.dpop.is_some();
        if is_bound && prover.is_none() {
            return Err(none());
        }
        (obtained, prover)
    } else {
        let rejected = match way {
            Way::Replace(rejected) => Some(rejected),
            _ => None,
        };
        let mut options = TokenOptions {
            force_refresh: rejected.is_some(),
            rejected,
            sends_proofs,
            ..TokenOptions::default()
        };
        let (obtained, prover) =
            obtain_provable(&directories, &profiles, &mut options, &mut selected)?;
        (obtained, prover.map(Arc::new))
    };
    if obtained.is_new {
        expiry::warn(&directories, &selected);
    }
    in_header(&selected, obtained, prover)
}

fn in_header(
    selected: &SelectedProfile,
    obtained: Obtained,
    prover: Option<Arc<Prover>>,
) -> Result<Token> {
    let unusable = || Error::broken("the token cannot be sent in a header");
    let access_token = &obtained.token.access_token;
    let (name, value) = match prover {
        Some(_) => authorization(access_token),
        None => header(selected.binding.as_ref(), access_token),
    };
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
    let mut value = HeaderValue::from_str(&value).map_err(|_| unusable())?;
    value.set_sensitive(true);
    Ok(Token {
        name,
        value,
        prover,
        bindings: selected.profile.bindings.clone(),
        scope: obtained.scope().map(str::to_owned),
        unsaved: obtained.is_unsaved.then(|| key(selected)),
        cached: obtained.token,
    })
}

/// Names what the token is for: another login or other settings have another key.
fn key(selected: &SelectedProfile) -> String {
    let request = request(selected, &TokenOptions::default());
    request.key().to_owned()
}
