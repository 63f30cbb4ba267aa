//! The token of a listener: reused for a moment, then read from the cache again, so that a logout or an
//! `unbind` has its effect. All requests that need a new one share it, and its failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hyper::header::{HeaderName, HeaderValue};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::commands::expiry;
use crate::commands::obtain::{Obtained, TokenOptions, obtain};
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

/// How long to wait with another new token, if the server refused one that was just issued.
const PAUSE: Duration = Duration::from_secs(30);

/// A token, and the header that carries it.
pub(super) struct Token {
    pub(super) name: HeaderName,
    pub(super) value: HeaderValue,
    pub(super) cached: CachedToken,
    /// The URLs that it is for.
    pub(super) bindings: Vec<Binding>,
    /// The scope of the token, if it is known.
    pub(super) scope: Option<String>,
    /// Whether it was requested because the server refused the one before.
    replaces_refused: bool,
    is_accepted: AtomicBool,
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

    fn is_same(&self, other: &Self) -> bool {
        self.cached == other.cached && self.value == other.value && self.bindings == other.bindings
    }

    /// The server answered a request with it.
    pub(super) fn accepted(&self) {
        self.is_accepted.store(true, Relaxed);
    }
}

/// Why there is no token.
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) text: String,
}

type Outcome = std::result::Result<Arc<Token>, Arc<Failure>>;

/// The token of one profile for one URL.
pub(super) struct Tokens {
    selected: SelectedProfile,
    state: Mutex<State>,
}

struct State {
    outcome: Outcome,
    since: Instant,
    /// When a token that the server refused was replaced.
    replaced: Option<Instant>,
}

impl Tokens {
    /// Gets the first token.
    ///
    /// # Errors
    /// What [`obtain`] says.
    pub(super) fn of(selected: SelectedProfile) -> Result<Self> {
        let token = Arc::new(get(&selected, false)?);
        Ok(Self {
            selected,
            state: Mutex::new(State {
                outcome: Ok(token),
                since: Instant::now(),
                replaced: None,
            }),
        })
    }

    pub(super) fn profile(&self) -> &ProfileName {
        &self.selected.name
    }

    pub(super) async fn current(&self) -> Outcome {
        let mut state = self.state.lock().await;
        let is_usable = match &state.outcome {
            Ok(token) => token.cached.is_valid_for(Timestamp::now(), Duration::ZERO),
            Err(_) => true,
        };
        if !is_usable || state.since.elapsed() >= REUSE {
            self.get(&mut state, false).await;
        }
        state.outcome.clone()
    }

    /// Another token than this one, which the server refused. None if there is none, or if a new one
    /// would be refused as well.
    pub(super) async fn other_than(&self, refused: &Arc<Token>) -> Option<Arc<Token>> {
        let mut state = self.state.lock().await;
        let other = |state: &State| {
            let token = state.outcome.as_ref().ok()?;
            let is_other = token.cached.access_token != refused.cached.access_token;
            is_other.then(|| Arc::clone(token))
        };
        if let Some(token) = other(&state) {
            return Some(token);
        }
        let is_useless = refused.replaces_refused && !refused.is_accepted.load(Relaxed);
        if is_useless && state.replaced.is_some_and(|time| time.elapsed() < PAUSE) {
            return None;
        }
        // Another process may have replaced it.
        self.get(&mut state, false).await;
        if other(&state).is_none() {
            state.replaced = Some(Instant::now());
            self.get(&mut state, true).await;
        }
        other(&state)
    }

    async fn get(&self, state: &mut State, replaces_refused: bool) {
        let selected = self.selected.clone();
        let got = spawn_blocking(move || get(&selected, replaces_refused)).await;
        let got = got.unwrap_or_else(|_| Err(Error::broken("cannot start a thread")));
        let outcome = got.map(Arc::new).map_err(|error| Arc::new(failure(&error)));
        if let Err(new) = &outcome
            && !matches!(&state.outcome, Err(old) if old.text == new.text)
        {
            message::warning(&new.text);
        }
        state.outcome = match (&state.outcome, outcome) {
            // The same one: what is known of it stays.
            (Ok(old), Ok(new)) if old.is_same(&new) => Ok(Arc::clone(old)),
            (_, outcome) => outcome,
        };
        state.since = Instant::now();
    }
}

fn failure(error: &Error) -> Failure {
    Failure {
        kind: error.kind,
        text: error.to_string(),
    }
}

/// Gets a token, and blocks meanwhile.
fn get(selected: &SelectedProfile, replaces_refused: bool) -> Result<Token> {
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
    let options = TokenOptions {
        force_refresh: replaces_refused,
        ..TokenOptions::default()
    };
    let obtained = obtain(&directories, &profiles, &options, &mut selected)?;
    if obtained.is_new {
        expiry::warn(&directories, &selected);
    }
    written(&selected, obtained, replaces_refused)
}

fn written(
    selected: &SelectedProfile,
    obtained: Obtained,
    replaces_refused: bool,
) -> Result<Token> {
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
        replaces_refused,
        is_accepted: AtomicBool::new(false),
    })
}
