//! The token of a command's requests: reused for a moment, then read from the cache again, so that a logout or an
//! `unbind` has its effect. All requests that need a new one share it, and its failure.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::pause::Pause;
pub(in crate::commands) use super::token::{Failure, Token};
use super::token::{Way, get};
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::profile::ProfileName;
use crate::profile::selected::SelectedProfile;
use crate::types::dpop::Nonce;
use crate::types::token::Timestamp;

/// How long a token or a failure is reused without a look at the cache and the profile.
const REUSE: Duration = Duration::from_secs(1);

/// How long to wait after a token could not be renewed, while it is still valid.
const RETRY: Duration = Duration::from_secs(15);

type Outcome = std::result::Result<Arc<Token>, Arc<Failure>>;

/// The token of one profile for one URL.
#[derive(Clone)]
pub(in crate::commands) struct Tokens(Arc<Shared>);

struct Shared {
    selected: SelectedProfile,
    /// Whether proofs of possession are sent with the tokens.
    sends_proofs: bool,
    /// The newest nonce of the API, for these proofs. All tokens are for one origin.
    nonce: std::sync::Mutex<Option<Nonce>>,
    state: Mutex<State>,
    /// Held during a request for a token while there is one. When the next such request may be sent.
    renewal: Mutex<Option<Instant>>,
    /// For tokens that the server refused.
    pause: Pause,
}

struct State {
    outcome: Outcome,
    since: Instant,
}

impl Tokens {
    /// Gets the first token. They are sent with [`Tokens::send`].
    ///
    /// # Errors
    /// What [`obtain`] says.
    pub(in crate::commands) fn of(selected: SelectedProfile) -> Result<Self> {
        Self::begin(selected, true)
    }

    /// The same for clients that can only send bearer tokens.
    ///
    /// # Errors
    /// As [`Tokens::of`]; `Usage` if the tokens are bound to a key.
    pub(in crate::commands) fn for_clients(selected: SelectedProfile) -> Result<Self> {
        Self::begin(selected, false)
    }

    fn begin(selected: SelectedProfile, sends_proofs: bool) -> Result<Self> {
        let get = |way| get(&selected, way, sends_proofs);
        let token = match get(Way::Cache(None)) {
            Err(error) if error.kind == Kind::Unavailable => get(Way::Obtain),
            found => found,
        };
        let token = Arc::new(token?);
        Ok(Self(Arc::new(Shared {
            selected,
            sends_proofs,
            nonce: std::sync::Mutex::default(),
            state: Mutex::new(State {
                outcome: Ok(token),
                since: Instant::now(),
            }),
            renewal: Mutex::new(None),
            pause: Pause::default(),
        })))
    }

    /// The newest nonce of the API.
    pub(in crate::commands) fn nonce(&self) -> Option<Nonce> {
        let nonce = self.0.nonce.lock();
        nonce.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_nonce(&self, newest: Nonce) {
        let nonce = self.0.nonce.lock();
        *nonce.unwrap_or_else(PoisonError::into_inner) = Some(newest);
    }

    pub(in crate::commands) fn profile(&self) -> &ProfileName {
        &self.0.selected.name
    }

    /// The token for a request. While there is one, nobody waits for its renewal.
    pub(in crate::commands) async fn current(&self) -> Outcome {
        let shared = &self.0;
        let mut state = shared.state.lock().await;
        let is_usable = match &state.outcome {
            Ok(token) => token.cached.is_unexpired(Timestamp::now()),
            Err(_) => true,
        };
        if !is_usable || state.since.elapsed() >= REUSE {
            match shared.run(Way::Cache(state.token())).await {
                Err(error) if error.kind == Kind::Unavailable => {
                    let obtained = shared.run(Way::Obtain).await;
                    state.settle(obtained);
                }
                found => state.settle(found),
            }
        }
        let outcome = state.outcome.clone();
        drop(state);
        if outcome.as_ref().is_ok_and(|token| token.is_due()) {
            let tokens = self.clone();
            tokio::spawn(async move {
                if let Ok(mut next) = tokens.0.renewal.try_lock() {
                    tokens.0.renew(&mut next).await;
                }
            });
        }
        outcome
    }

    /// A token that a client can keep: renewed first if it is about to expire, unless that has just
    /// failed.
    pub(in crate::commands) async fn lasting(&self) -> Outcome {
        let outcome = self.current().await;
        if !outcome.as_ref().is_ok_and(|token| token.is_in_margin()) {
            return outcome;
        }
        let mut next = self.0.renewal.lock().await;
        self.0.renew(&mut next).await;
        self.0.state.lock().await.outcome.clone()
    }

    /// Another token than this one, which the server refused. None if there is none, or if another
    /// was requested for the same reason a short time ago.
    pub(in crate::commands) async fn other_than(&self, refused: &Token) -> Option<Arc<Token>> {
        let shared = &self.0;
        // Those who wait here find what the first one got.
        let _renewal = shared.renewal.lock().await;
        if let Some(token) = shared.other(refused).await {
            return Some(token);
        }
        // Another process may have replaced it.
        let held = shared.state.lock().await.token();
        match shared.run(Way::Cache(held)).await {
            Err(error) if error.kind != Kind::Unavailable => {
                shared.state.lock().await.settle(Err(error));
                return None;
            }
            Ok(found) if !found.is_same_token(refused) => {
                shared.state.lock().await.settle(Ok(found));
                return shared.other(refused).await;
            }
            _ => {}
        }
        if !shared.pause.is_over() {
            return None;
        }
        let rejected = refused.cached.access_token.clone();
        match shared.run(Way::Replace(rejected)).await {
            // The one of before, as no other could be got.
            Ok(new) if new.is_same_token(refused) => shared.pause.failed(),
            Ok(new) => {
                shared.pause.replaced();
                shared.state.lock().await.settle(Ok(new));
            }
            Err(error) => {
                shared.pause.failed();
                // Other requests can still use the token that they have.
                message::warning(&error.to_string());
            }
        }
        shared.other(refused).await
    }

    /// The server accepted the same request with the token that replaced a refused one.
    pub(in crate::commands) fn replacement_was_accepted(&self) {
        self.0.pause.end();
    }
}

impl Shared {
    async fn other(&self, refused: &Token) -> Option<Arc<Token>> {
        let state = self.state.lock().await;
        let token = state.outcome.as_ref().ok()?;
        (!token.is_same_token(refused)).then(|| Arc::clone(token))
    }

    /// Renews a token that is still valid, unless that was tried a short time ago.
    async fn renew(&self, next: &mut Option<Instant>) {
        if next.is_some_and(|next| Instant::now() < next) {
            return;
        }
        let obtained = self.run(Way::Obtain).await;
        let is_renewed = obtained.as_ref().is_ok_and(|token| !token.is_due());
        *next = (!is_renewed).then(|| Instant::now() + RETRY);
        // A failure is the next look's to report, if there is no token by then.
        if is_renewed {
            self.state.lock().await.settle(obtained);
        }
    }

    async fn run(&self, way: Way) -> Result<Token> {
        let (selected, sends_proofs) = (self.selected.clone(), self.sends_proofs);
        let got = spawn_blocking(move || get(&selected, way, sends_proofs)).await;
        got.unwrap_or_else(|_| Err(Error::broken("cannot start a thread")))
    }
}

impl State {
    fn token(&self) -> Option<Arc<Token>> {
        self.outcome.as_ref().ok().cloned()
    }

    fn settle(&mut self, got: Result<Token>) {
        let outcome = got
            .map(Arc::new)
            .map_err(|error| Arc::new(Failure::of(&error)));
        if let Err(new) = &outcome
            && !matches!(&self.outcome, Err(old) if old.text == new.text)
        {
            message::warning(&new.text);
        }
        self.outcome = match (&self.outcome, outcome) {
            (Ok(old), Ok(new)) if old.is_same(&new) => Ok(Arc::clone(old)),
            (_, outcome) => outcome,
        };
        self.since = Instant::now();
    }
}
