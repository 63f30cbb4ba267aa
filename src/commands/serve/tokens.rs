//! The token of a listener: reused for a moment, then read from the cache again, so that a logout or an
//! `unbind` has its effect. All requests that need a new one share it, and its failure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::{HeaderName, HeaderValue};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::pause::Pause;
use crate::commands::expiry;
use crate::commands::obtain::{Obtained, TokenOptions, cached, obtain};
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::profile::ProfileName;
use crate::profile::binding::Binding;
use crate::profile::selected::SelectedProfile;
use crate::profiles::{self, Profiles};
use crate::protocols::header;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::web_url::WebUrl;

/// How long a token or a failure is reused without a look at the cache and the profile.
const REUSE: Duration = Duration::from_secs(1);

/// How long to wait after a token could not be renewed, while it is still valid.
const RETRY: Duration = Duration::from_secs(15);

/// A token, and the header that carries it.
pub(super) struct Token {
    pub(super) name: HeaderName,
    pub(super) value: HeaderValue,
    pub(super) cached: CachedToken,
    /// The URLs that it is for.
    pub(super) bindings: Vec<Binding>,
    /// The scope of the token, if it is known.
    pub(super) scope: Option<String>,
}

impl Token {
    /// Of the bindings that cover a URL, the one with the longest path.
    pub(super) fn binding(&self, url: &WebUrl) -> Option<&Binding> {
        let covering = self
            .bindings
            .iter()
            .filter(|binding| binding.url.covers(url));
        covering.max_by_key(|binding| binding.url.prefix().len())
    }

    fn is_same_token(&self, other: &Self) -> bool {
        self.cached.access_token == other.cached.access_token
    }

    fn is_same(&self, other: &Self) -> bool {
        self.cached == other.cached && self.value == other.value && self.bindings == other.bindings
    }

    fn is_due(&self) -> bool {
        let now = Timestamp::now();
        self.is_in_margin() || self.cached.is_in_early_refresh(now)
    }

    /// Whether it is too short to be given to a client that keeps it.
    fn is_in_margin(&self) -> bool {
        !self.cached.is_valid_for(Timestamp::now(), Duration::ZERO)
    }
}

/// Why there is no token.
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) text: String,
}

type Outcome = std::result::Result<Arc<Token>, Arc<Failure>>;

/// The token of one profile for one URL.
#[derive(Clone)]
pub(super) struct Tokens(Arc<Shared>);

struct Shared {
    selected: SelectedProfile,
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
    /// Gets the first token.
    ///
    /// # Errors
    /// What [`obtain`] says.
    pub(super) fn of(selected: SelectedProfile) -> Result<Self> {
        let token = match get(&selected, Way::Cache) {
            Err(error) if error.kind == Kind::Unavailable => get(&selected, Way::Obtain),
            found => found,
        };
        let token = Arc::new(token?);
        Ok(Self(Arc::new(Shared {
            selected,
            state: Mutex::new(State {
                outcome: Ok(token),
                since: Instant::now(),
            }),
            renewal: Mutex::new(None),
            pause: Pause::default(),
        })))
    }

    pub(super) fn profile(&self) -> &ProfileName {
        &self.0.selected.name
    }

    /// The token for a request. While there is one, nobody waits for its renewal.
    pub(super) async fn current(&self) -> Outcome {
        let shared = &self.0;
        let mut state = shared.state.lock().await;
        let is_usable = match &state.outcome {
            Ok(token) => token.cached.is_unexpired(Timestamp::now()),
            Err(_) => true,
        };
        if !is_usable || state.since.elapsed() >= REUSE {
            match shared.run(Way::Cache).await {
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
    pub(super) async fn lasting(&self) -> Outcome {
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
    pub(super) async fn other_than(&self, refused: &Token) -> Option<Arc<Token>> {
        let shared = &self.0;
        // Those who wait here find what the first one got.
        let _renewal = shared.renewal.lock().await;
        if let Some(token) = shared.other(refused).await {
            return Some(token);
        }
        // Another process may have replaced it.
        match shared.run(Way::Cache).await {
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
        match shared.run(Way::Replace).await {
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
    pub(super) fn replacement_was_accepted(&self) {
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
        let selected = self.selected.clone();
        let got = spawn_blocking(move || get(&selected, way)).await;
        got.unwrap_or_else(|_| Err(Error::broken("cannot start a thread")))
    }
}

impl State {
    fn settle(&mut self, got: Result<Token>) {
        let outcome = got.map(Arc::new).map_err(|error| Arc::new(failure(&error)));
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

fn failure(error: &Error) -> Failure {
    Failure {
        kind: error.kind,
        text: error.to_string(),
    }
}

/// Where a token comes from.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Way {
    /// From the cache. `Unavailable` if it has none.
    Cache,
    /// As `hallpass token` gets one.
    Obtain,
    /// From the server, because it refused the last one.
    Replace,
}

/// Gets a token, and blocks meanwhile.
fn get(selected: &SelectedProfile, way: Way) -> Result<Token> {
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
    let obtained = if way == Way::Cache {
        let none = || Error::unavailable("no token in the cache");
        cached(&directories, &selected).ok_or_else(none)?
    } else {
        let options = TokenOptions {
            force_refresh: way == Way::Replace,
            ..TokenOptions::default()
        };
        obtain(&directories, &profiles, &options, &mut selected)?
    };
    if obtained.is_new {
        expiry::warn(&directories, &selected);
    }
    in_header(&selected, obtained)
}

fn in_header(selected: &SelectedProfile, obtained: Obtained) -> Result<Token> {
    let unusable = || Error::broken("the token cannot be sent in a header");
    let (name, value) = header(selected.binding.as_ref(), &obtained.token.access_token);
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
    let mut value = HeaderValue::from_str(&value).map_err(|_| unusable())?;
    value.set_sensitive(true);
    Ok(Token {
        name,
        value,
        bindings: selected.profile.bindings.clone(),
        scope: obtained.scope().map(str::to_owned),
        cached: obtained.token,
    })
}
