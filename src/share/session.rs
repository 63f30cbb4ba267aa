//! One call at the server: looks for a token, takes the lease, and stores what was received.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use redis::{Cmd, Value, cmd};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::connection::Connection;
use super::content::{LEASE, Lease, SharedFailure, SharedToken, fingerprint};
use super::problem::Problem;
use super::seal::{self, Keys};
use super::{Need, Response, scripts};
use crate::message::step;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::token_failure::TokenFailure;

type Result<T> = std::result::Result<T, Problem>;

/// How often the holder of a lease renews it: three renewals in a row may come too late.
const RENEWAL: Duration = Duration::from_millis(500);

/// How long to wait between two looks, at least and at most.
const PAUSE: (u64, u64) = (50, 200);

/// What a look found.
pub(super) enum Found {
    Token(CachedToken),
    Failure(TokenFailure),
    /// This machine requests a token for all.
    Lease(Vec<u8>),
    /// The wait was too long: this caller requests a token without a lease.
    Nothing,
}

/// The state of an entry at the server.
struct State {
    entry: Option<Vec<u8>>,
    entry_pttl: i64,
    refusal: Option<Vec<u8>>,
    refusal_pttl: i64,
    lease: Option<Vec<u8>>,
    /// The server's clock, in milliseconds.
    now: u64,
}

pub(super) struct Session {
    connection: Connection,
    keys: Keys,
    name: String,
    refusal: String,
    lease: String,
    /// The server's clock when this machine last read it.
    clock: (u64, Instant),
}

impl Session {
    pub(super) fn of(connection: Connection, keys: Keys, name: String) -> Self {
        Self {
            connection,
            keys,
            refusal: format!("{name}:refusal"),
            lease: format!("{name}:lease"),
            name,
            clock: (0, Instant::now()),
        }
    }

    /// Looks for what the caller needs, and waits while another machine requests it.
    pub(super) fn look(&mut self, need: Need<'_>) -> Result<Found> {
        let deadline = Instant::now() + need.wait_limit;
        let mut state = self.read(false)?;
        let began = state.now;
        let mut is_waiting = false;
        loop {
            let usable = self.usable_token(&state, need, began)?;
            let usable = match usable {
                Some(token) if !token.is_in_early_refresh(Timestamp::now()) => {
                    step(|| found(&token));
                    return Ok(Found::Token(token));
                }
                usable => usable,
            };
            if let Some(failure) = self.failure(&state, need) {
                step(|| "share: the server refused the request of another machine".to_owned());
                return Ok(usable.map_or(Found::Failure(failure), Found::Token));
            }
            let left = self.open::<Lease>(&self.lease, state.lease.as_deref());
            let left = left.and_then(|lease| lease.left(state.now));
            let Some(left) = left else {
                // Nobody has it, or what is there is not from this fleet.
                if let Some(lease) = self.take(&state)? {
                    let reason = if need.force_refresh {
                        "a new token is required"
                    } else {
                        "has no token"
                    };
                    step(|| format!("share: {reason}; this machine requests one"));
                    return Ok(Found::Lease(lease));
                }
                state = self.read(true)?;
                if Instant::now() >= deadline {
                    return Ok(Found::Nothing);
                }
                continue;
            };
            if let Some(token) = usable {
                step(|| found(&token));
                return Ok(Found::Token(token));
            }
            if !is_waiting {
                is_waiting = true;
                step(|| "share: another machine is requesting this token".to_owned());
            }
            if Instant::now() >= deadline {
                step(|| "share: another machine takes too long".to_owned());
                return Ok(Found::Nothing);
            }
            thread::sleep(pause().min(left + Duration::from_millis(5)));
            state = self.read(true)?;
        }
    }

    /// Requests a token, renews the lease meanwhile, and stores the result. The problem is that of the
    /// storing.
    pub(super) fn request(
        mut self,
        lease: Option<Vec<u8>>,
        request: impl FnOnce() -> Response,
    ) -> (Response, Result<()>) {
        let Some(lease) = lease else {
            let response = request();
            let stored = self.store(&response, b"-");
            return (response, stored);
        };
        let (stop, stopped) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let mut current = lease;
            // The thread owns the connection until the response is there.
            let renew = move || {
                let mut problem = None;
                while stopped.recv_timeout(RENEWAL) == Err(RecvTimeoutError::Timeout) {
                    if problem.is_none() {
                        problem = self.renew(&mut current).err();
                    }
                }
                (self, current, problem)
            };
            let Ok(renewing) = thread::Builder::new().spawn_scoped(scope, renew) else {
                return (request(), Err(Problem::new("no thread could be started")));
            };
            let response = request();
            drop(stop);
            let Ok((mut session, current, problem)) = renewing.join() else {
                return (response, Err(Problem::new("a thread failed")));
            };
            let stored = match problem {
                Some(problem) => Err(problem),
                None => session.store(&response, &current),
            };
            (response, stored)
        })
    }

    /// Stores a token or a refusal, and gives the lease back.
    fn store(&mut self, response: &Response, lease: &[u8]) -> Result<()> {
        let at = self.now();
        let (name, refusal) = (self.name.clone(), self.refusal.clone());
        let (kind, command, left) = match response {
            Ok(token) => match SharedToken::of(token, at) {
                Some((shared, left)) => {
                    let sealed = self.seal(&name, &shared)?;
                    let keys = [name, refusal, self.lease.clone()];
                    ("token", eval(scripts::STORE, &keys, &[&sealed]), left)
                }
                None => return self.drop_key(&self.lease.clone(), lease),
            },
            Err(failure) => match SharedFailure::of(failure, at) {
                Some((shared, left)) => {
                    let sealed = self.seal(&refusal, &shared)?;
                    let keys = [refusal, self.lease.clone()];
                    ("refusal", eval(scripts::REFUSE, &keys, &[&sealed]), left)
                }
                None => return self.drop_key(&self.lease.clone(), lease),
            },
        };
        let mut command = command;
        command.arg(millis(left)).arg(lease);
        self.connection.run(&command)?;
        step(|| format!("share: stored the {kind} for other machines"));
        Ok(())
    }

    /// Removes the entry, and nothing else: a lease is another machine's.
    pub(super) fn remove(mut self) -> Result<()> {
        let command = cmd("DEL").arg(&self.name).clone();
        self.connection.run(&command).map(drop)
    }

    /// Writes, reads and removes the entry with each command that a call needs.
    pub(super) fn check(mut self) -> Result<()> {
        self.connection.run(&cmd("PING"))?;
        let state = self.read(false)?;
        let lease = self.take(&state)?;
        let mut lease = lease.ok_or_else(|| Problem::new("the server does not keep a lease"))?;
        self.renew(&mut lease)?;
        let (name, refusal) = (self.name.clone(), self.refusal.clone());
        let content = self.seal(&name, &"check")?;
        let keys = [name.clone(), refusal, self.lease.clone()];
        let mut store = eval(scripts::STORE, &keys, &[&content]);
        store.arg(millis(LEASE)).arg(&lease);
        self.connection.run(&store)?;
        let state = self.read(false)?;
        if state.entry.as_deref() != Some(&content[..]) || state.lease.is_some() {
            return Err(Problem::new("the server does not return what was stored"));
        }
        self.drop_key(&name, &content)?;
        let removed = cmd("DEL").arg(&name).clone();
        self.connection.run(&removed).map(drop)
    }

    fn usable_token(
        &mut self,
        state: &State,
        need: Need<'_>,
        began: u64,
    ) -> Result<Option<CachedToken>> {
        let shared = self.open::<SharedToken>(&self.name, state.entry.as_deref());
        let Some(shared) = shared else {
            return Ok(None);
        };
        let is_new = shared.at() >= began;
        let Some(mut token) = shared.token(state.now, state.entry_pttl) else {
            return Ok(None);
        };
        let longest = token.requested_at.plus(need.max_ttl);
        token.expires_at = token.expires_at.min(longest);
        if let Some(rejected) = need.rejected {
            if fingerprint(&token.access_token) == rejected {
                step(|| "share: has the token that was rejected; it is removed".to_owned());
                let entry = state.entry.clone().unwrap_or_default();
                self.drop_key(&self.name.clone(), &entry)?;
                return Ok(None);
            }
        } else if need.force_refresh && !is_new {
            return Ok(None);
        }
        let is_valid = token.is_valid_for(Timestamp::now(), need.min_ttl);
        Ok(is_valid.then_some(token))
    }

    fn failure(&self, state: &State, need: Need<'_>) -> Option<TokenFailure> {
        let shared = self.open::<SharedFailure>(&self.refusal, state.refusal.as_deref())?;
        let failure = shared.failure(state.now, state.refusal_pttl)?;
        let force = need.force_refresh && need.rejected.is_none();
        failure.applies(Timestamp::now(), force).then_some(failure)
    }

    fn read(&mut self, is_waiting: bool) -> Result<State> {
        let keys = [&self.name, &self.refusal, &self.lease];
        let command = eval(scripts::READ, &keys, &[]);
        let answer = if is_waiting {
            self.connection.poll(&command)?
        } else {
            self.connection.run(&command)?
        };
        let state = State::of(answer).ok_or_else(unexpected)?;
        // Rather too early than too late: then nothing lasts longer than it should.
        self.clock = (state.now, Instant::now());
        Ok(state)
    }

    /// The lease, if nobody else took it and the entry is still what it was.
    fn take(&mut self, state: &State) -> Result<Option<Vec<u8>>> {
        let lease = self.new_lease()?;
        let expected = state.entry.as_deref().unwrap_or_default();
        let before = state.lease.as_deref().unwrap_or_default();
        let keys = [&self.name, &self.lease];
        let mut command = eval(scripts::TAKE, &keys, &[expected, before, &lease]);
        command.arg(millis(LEASE));
        let taken = self.connection.run(&command)?;
        Ok((taken == Value::Int(1)).then_some(lease))
    }

    /// Without an effect if the lease was lost.
    fn renew(&mut self, lease: &mut Vec<u8>) -> Result<()> {
        let new = self.new_lease()?;
        let mut command = eval(scripts::RENEW, &[&self.lease], &[lease, &new]);
        command.arg(millis(LEASE));
        if self.connection.poll(&command)? == Value::Int(1) {
            *lease = new;
        }
        Ok(())
    }

    fn new_lease(&self) -> Result<Vec<u8>> {
        let owner = seal::random().ok_or_else(no_randomness)?;
        self.seal(&self.lease, &Lease::of(owner, self.now()))
    }

    fn drop_key(&mut self, key: &str, value: &[u8]) -> Result<()> {
        self.connection
            .run(&eval(scripts::DROP, &[key], &[value]))
            .map(drop)
    }

    fn seal(&self, key: &str, content: &impl Serialize) -> Result<Vec<u8>> {
        let content = serde_json::to_vec(content).map_err(|_| unexpected())?;
        let sealed = self.keys.seal(key, &Zeroizing::new(content));
        sealed.ok_or_else(no_randomness)
    }

    /// None for anything that this fleet did not store under this key.
    fn open<T: DeserializeOwned>(&self, key: &str, sealed: Option<&[u8]>) -> Option<T> {
        let content = self.keys.open(key, sealed?)?;
        serde_json::from_slice(&content).ok()
    }

    /// The server's clock now.
    fn now(&self) -> u64 {
        let (read, since) = self.clock;
        read.saturating_add(millis(since.elapsed()))
    }
}

impl State {
    fn of(answer: Value) -> Option<Self> {
        let Value::Array(values) = answer else {
            return None;
        };
        let values: [Value; 7] = values.try_into().ok()?;
        let [
            entry,
            entry_pttl,
            refusal,
            refusal_pttl,
            lease,
            seconds,
            micros,
        ] = values;
        let number = |value: Value| match value {
            Value::Int(number) => Some(number),
            Value::BulkString(text) => std::str::from_utf8(&text).ok()?.parse().ok(),
            _ => None,
        };
        let text = |value: Value| match value {
            Value::BulkString(text) => Some(Some(text)),
            Value::Nil | Value::Boolean(false) => Some(None),
            _ => None,
        };
        let seconds = u64::try_from(number(seconds)?).ok()?;
        let micros = u64::try_from(number(micros)?).ok()?;
        Some(Self {
            entry: text(entry)?,
            entry_pttl: number(entry_pttl)?,
            refusal: text(refusal)?,
            refusal_pttl: number(refusal_pttl)?,
            lease: text(lease)?,
            now: seconds.checked_mul(1000)?.checked_add(micros / 1000)?,
        })
    }
}

fn eval<K: AsRef<str>>(script: &str, keys: &[K], arguments: &[&[u8]]) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(script).arg(keys.len());
    for key in keys {
        command.arg(key.as_ref());
    }
    for argument in arguments {
        command.arg(*argument);
    }
    command
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}

fn pause() -> Duration {
    let random = seal::random::<2>().map_or(0, u16::from_le_bytes);
    let (least, most) = PAUSE;
    Duration::from_millis(least + u64::from(random) % (most - least))
}

fn found(token: &CachedToken) -> String {
    format!(
        "share: has a token that is {}",
        token.validity(Timestamp::now())
    )
}

fn unexpected() -> Problem {
    Problem::new("the server's answer is not the expected one")
}

fn no_randomness() -> Problem {
    Problem::new("the system has no randomness")
}
