//! Tokens on disk, and whose turn it is to ask for one.
//!
//! A profile has a directory. In it, a token request has a place, named by the request's key:
//! `KEY.json` holds the token, `KEY.lock` is locked by whoever asks for a new one, and `KEY.note`
//! says how the last turn ended when it brought no token that others could share.

mod sweep;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::platform::Trust;
use crate::platform::disk::{self, Directories, Durability, Found, LockFile};
use crate::profile::ProfileName;
use crate::profile::token_request::{Overrides, TokenRequest};
use crate::types::cached_failure::CachedFailure;
use crate::types::digest::hex;
use crate::types::secret::AccessToken;
use crate::types::token::{CachedToken, Timestamp};

/// A token of 64 KiB fits, a file that somebody else put there does not cost us our memory.
const ENTRY_LIMIT: u64 = 256 * 1024;
const NOTE_LIMIT: u64 = 64 * 1024;

/// How often those who wait look whether there is a token by now: a process that is stopped keeps
/// its lock, and another one may have asked in its place.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The first word of an entry: another format, such as a sealed one, begins with another.
const ENTRY_FORMAT: &str = "hallpass-token-1";

/// One profile's tokens.
#[derive(Debug)]
pub(crate) struct Cache {
    /// Every profile's directory lies in this one.
    top: PathBuf,
    directory: PathBuf,
}

impl Cache {
    pub(crate) fn of(directories: &Directories, name: &ProfileName) -> Self {
        Self {
            top: directories.cache.clone(),
            directory: directories.cache.join(name.as_str()),
        }
    }

    /// Everybody's, also those of profiles that are gone.
    ///
    /// # Errors
    /// `Broken` where the directory cannot be read.
    pub(crate) fn all(directories: &Directories) -> Result<Vec<Self>> {
        let cache = &directories.cache;
        let names = disk::names(cache).map_err(|error| {
            Error::broken(format!("cannot read the cache in {}", cache.display())).because(error)
        })?;
        let names = names.into_iter();
        let names = names.filter_map(|name| ProfileName::parse(&name).ok());
        let names = names.chain([ProfileName::of_environment()]);
        Ok(names.map(|name| Self::of(directories, &name)).collect())
    }

    /// Where the token for this request lies.
    pub(crate) fn place(&self, request: &TokenRequest) -> CacheEntry {
        CacheEntry {
            top: self.top.clone(),
            entry: self.directory.join([request.key(), ".json"].concat()),
            key: request.key().to_owned(),
            login: request.login().to_owned(),
            overrides: request.overrides.clone(),
        }
    }

    /// Every token of this login (see [`login_of`]), whatever it was requested for, with the key of
    /// its request and how that differs from the profile's own. What cannot be read is left out.
    ///
    /// [`login_of`]: crate::types::token::login_of
    pub(crate) fn tokens(&self, login: &str) -> Vec<(String, Overrides, CachedToken)> {
        let names = disk::names(&self.directory).unwrap_or_default();
        let keys = names.iter().filter_map(|name| name.strip_suffix(".json"));
        let read = |key: &str| {
            let path = self.directory.join([key, ".json"].concat());
            read_entry(&path, key, login, |entry| {
                let overrides = entry.overrides.clone().into_owned();
                Some((key.to_owned(), overrides, entry.into_token()?))
            })
        };
        keys.filter_map(read).collect()
    }

    /// Removes everything.
    ///
    /// A lock file may go too: every login has keys of its own, so nobody who still holds or opens
    /// an old one meets a new login's callers.
    ///
    /// # Errors
    /// `Broken` where something cannot be removed.
    pub(crate) fn clear(&self) -> Result<()> {
        self.remove_all().map_err(|error| {
            let directory = self.directory.display();
            Error::broken(format!("cannot remove the cached tokens in {directory}")).because(error)
        })
    }

    fn remove_all(&self) -> io::Result<()> {
        for name in disk::names(&self.directory)? {
            let path = self.directory.join(name);
            let removed = disk::remove(&path);
            // Windows keeps a lock file that somebody has open; it is empty.
            let is_lock = path
                .extension()
                .is_some_and(|extension| extension == "lock");
            if !(cfg!(windows) && is_lock) {
                removed?;
            }
        }
        disk::remove_empty_directory(&self.directory)
    }
}

/// Where one request's token lies.
#[derive(Debug)]
pub(crate) struct CacheEntry {
    top: PathBuf,
    entry: PathBuf,
    key: String,
    login: String,
    overrides: Overrides,
}

/// What lay in a place when a caller came.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) token: Option<CachedToken>,
    note: Option<FailureRecord>,
}

impl Snapshot {
    /// The refusal that still holds for a caller who comes now.
    pub(crate) fn refusal(&self, now: Timestamp, force_refresh: bool) -> Option<CachedFailure> {
        let refusal = self.note.as_ref()?.refusal.as_ref()?;
        refusal.holds(now, force_refresh).then(|| refusal.clone())
    }
}

/// What a caller finds when it is its turn.
#[derive(Debug)]
pub(crate) enum LockOutcome<'place> {
    /// Nobody brought a token while we waited: it is up to us.
    Mine(EntryLock<'place>),
    /// Somebody brought one.
    Token(CachedToken),
    /// Somebody was told no, and so are we.
    Refused(CachedFailure),
}

impl CacheEntry {
    fn lock(&self) -> PathBuf {
        self.entry.with_extension("lock")
    }

    fn note(&self) -> PathBuf {
        self.entry.with_extension("note")
    }

    /// The token here, if it can be read and trusted. Whatever is wrong with it, it is just not there.
    pub(crate) fn token(&self) -> Option<CachedToken> {
        read_entry(&self.entry, &self.key, &self.login, |entry| {
            entry.into_token()
        })
    }

    /// Everything here, for a caller who needs more than the token: see [`CacheEntry::turn`].
    pub(crate) fn seen(&self, token: Option<CachedToken>) -> Snapshot {
        Snapshot {
            token,
            note: self.read_note(),
        }
    }

    /// Keeps a token that nobody competes for, if it has a life at all.
    ///
    /// # Errors
    /// `Broken` where it cannot be written.
    pub(crate) fn keep(&self, token: &CachedToken) -> Result<()> {
        self.write(token).map_err(|error| self.cannot_write(error))
    }

    fn write(&self, token: &CachedToken) -> io::Result<()> {
        if !token.lasts() {
            return Ok(());
        }
        disk::private_directory(&self.top)?;
        let entry = entry(token, &self.key, &self.login, &self.overrides)?;
        disk::replace(&self.entry, &entry, Durability::Cache)
    }

    fn cannot_write(&self, error: io::Error) -> Error {
        Error::broken(format!("cannot write the cache in {}", self.top.display())).because(error)
    }

    /// Removes the token, which some server did not take.
    pub(crate) fn discard_token(&self) {
        // What cannot be removed is no worse than before: it will be rejected again.
        let _ = disk::remove(&self.entry);
    }

    /// Removes all that is here, for a login that no longer counts: see [`Cache::clear`].
    pub(crate) fn remove(&self) {
        // What cannot be removed could not have been written either, and serves nobody.
        for file in [&self.entry, &self.note(), &self.lock()] {
            let _ = disk::remove(file);
        }
        if let Some(directory) = self.entry.parent() {
            let _ = disk::remove_empty_directory(directory);
        }
    }

    /// Waits for this caller's turn. Whoever brings a token or the server's refusal meanwhile has done
    /// it for all who wait; whoever failed for another reason has not, and the next one tries.
    ///
    /// `seen` must have been read before: what differs from it came about while we waited. Where
    /// locks cannot be had, it is everybody's turn. `limit` is how long the holder of a turn may
    /// take. After that it is this caller's turn, whatever the others do: no wait is longer than
    /// twice the limit.
    pub(crate) fn turn(&self, seen: &Snapshot, limit: Duration) -> LockOutcome<'_> {
        let Ok(mut lock) = self.open_lock() else {
            return LockOutcome::Mine(self.slot(None));
        };
        match self.wait_for_turn(&mut lock, seen, limit) {
            Ok(Some(outcome)) => outcome,
            Ok(None) => LockOutcome::Mine(self.slot(Some(lock))),
            Err(_) => LockOutcome::Mine(self.slot(None)),
        }
    }

    /// Returns how another turn ended, or nothing once the lock is held; an error where it is not
    /// to be had.
    fn wait_for_turn(
        &self,
        lock: &mut LockFile,
        seen: &Snapshot,
        limit: Duration,
    ) -> io::Result<Option<LockOutcome<'_>>> {
        let mut wait = Wait::of(limit);
        // The first time, all wake together, as there mostly is a token for all of them.
        let mut in_line = false;
        loop {
            if lock.try_exclusive()? {
                return Ok(self.outcome(seen));
            }
            let left = wait.left();
            if left.is_zero() {
                wait.extend()?;
                *lock = lock.replace()?;
                continue;
            }
            let step = left.min(LOOK_AGAIN);
            let is_free = if in_line {
                lock.wait_in_line(step)?
            } else {
                lock.wait_until_free(step)?
            };
            if let Some(outcome) = self.outcome(seen) {
                return Ok(Some(outcome));
            }
            if is_free {
                // The holder failed or was killed, and one of us takes its place.
                in_line = true;
                let _ = wait.extend();
            } else if lock.is_removed() {
                *lock = self.open_lock()?;
                let _ = wait.extend();
            }
        }
    }

    /// The same for a caller who can do without: none while somebody else has the turn, or where
    /// locks cannot be had.
    pub(crate) fn try_lock(&self, seen: &Snapshot) -> Option<LockOutcome<'_>> {
        let mut lock = self.open_lock().ok()?;
        if !lock.try_exclusive().ok()? {
            return None;
        }
        let outcome = self.outcome(seen);
        Some(outcome.unwrap_or_else(|| LockOutcome::Mine(self.slot(Some(lock)))))
    }

    fn open_lock(&self) -> io::Result<LockFile> {
        disk::private_directory(&self.top)?;
        LockFile::open(&self.lock())
    }

    /// What came about since `seen`.
    fn outcome(&self, seen: &Snapshot) -> Option<LockOutcome<'_>> {
        if let Some(token) = self
            .token()
            .filter(|token| seen.token.as_ref() != Some(token))
        {
            return Some(LockOutcome::Token(token));
        }
        let note = self
            .read_note()
            .filter(|note| seen.note.as_ref() != Some(note))?;
        Some(match note.refusal {
            Some(refusal) => LockOutcome::Refused(refusal),
            // A token that lasts for one use: everybody needs one of their own.
            None => LockOutcome::Mine(self.slot(None)),
        })
    }

    fn slot(&self, lock: Option<LockFile>) -> EntryLock<'_> {
        EntryLock { place: self, lock }
    }

    fn read_note(&self) -> Option<FailureRecord> {
        match disk::read(&self.note(), NOTE_LIMIT, Trust::Private) {
            Ok(Found::Content(content)) => serde_json::from_slice(&content).ok(),
            _ => None,
        }
    }

    fn write_note(&self, refusal: Option<CachedFailure>) -> io::Result<()> {
        disk::private_directory(&self.top)?;
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let turn = format!("{}-{}", process::id(), since_epoch.as_nanos());
        let note = serde_json::to_vec(&FailureRecord { turn, refusal })?;
        disk::replace(&self.note(), &note, Durability::Cache)
    }
}

/// How long to wait for the holder of a turn, and once more for the one who takes its place.
struct Wait {
    limit: Duration,
    deadline: Instant,
    is_extended: bool,
}

impl Wait {
    fn of(limit: Duration) -> Self {
        Self {
            limit,
            deadline: Instant::now() + limit,
            is_extended: false,
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Begins again: once, as otherwise many who fail one after the other would keep us for ever.
    fn extend(&mut self) -> io::Result<()> {
        if self.is_extended {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.is_extended = true;
        self.deadline = Instant::now() + self.limit;
        Ok(())
    }
}

/// The exclusive right to fill a place. Dropped without a word (or killed), it leaves the turn to another.
#[derive(Debug)]
pub(crate) struct EntryLock<'place> {
    place: &'place CacheEntry,
    lock: Option<LockFile>,
}

impl EntryLock<'_> {
    /// Puts a fresh token there, for all who wait and all who come while it lasts.
    ///
    /// Whoever had the turn also removes some of what is stale: a request costs more than that, and
    /// a hit, a failure or a crowd is no time for it.
    ///
    /// # Errors
    /// `Broken` where it cannot be written.
    pub(crate) fn fill(self, token: &CachedToken) -> Result<()> {
        let Self { place, lock } = self;
        let written = if token.lasts() {
            let written = place.write(token);
            written.and_then(|()| disk::remove(&place.note()))
        } else {
            disk::remove(&place.entry).and_then(|()| place.write_note(None))
        };
        written.map_err(|error| place.cannot_write(error))?;
        // Where locks cannot be had, nothing is removed that another may just be about to write.
        if let (Some(lock), Some(directory)) = (lock, place.entry.parent()) {
            // Those who wait get the token first.
            drop(lock);
            // The time is another each time; the process's number is not, in a container.
            sweep::sweep(directory, &place.key, Timestamp::now().0);
        }
        Ok(())
    }

    /// Tells all who wait that there is none, and those who come later as long as the refusal holds.
    pub(crate) fn refuse(self, refusal: CachedFailure) -> io::Result<()> {
        self.place.write_note(Some(refusal))
    }
}

/// How the last turn ended, if it brought no token to share. No two turns write the same.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
struct FailureRecord {
    turn: String,
    refusal: Option<CachedFailure>,
}

/// What an entry holds after its first line.
#[derive(Deserialize, Serialize)]
struct Entry<'a> {
    /// The request's key once more: a file under another's name is not believed.
    request: &'a str,
    #[serde(borrow)]
    login: Cow<'a, str>,
    /// Borrowed unless JSON has to escape a character of it.
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    token_type: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// What `hallpass status` shows of a token beside its life.
    #[serde(default, skip_serializing_if = "Overrides::is_empty")]
    overrides: Cow<'a, Overrides>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    members: BTreeMap<String, String>,
    /// Milliseconds since 1970, as `expires_at_ms`.
    received_at_ms: u64,
    expires_at_ms: u64,
}

impl Entry<'_> {
    fn into_token(self) -> Option<CachedToken> {
        Some(CachedToken {
            access_token: AccessToken::parse(&self.access_token)?,
            token_type: self.token_type.to_owned(),
            scope: self.scope,
            members: self.members,
            received_at: Timestamp(self.received_at_ms),
            expires_at: Timestamp(self.expires_at_ms),
            warning: None,
        })
    }
}

/// `FORMAT CHECKSUM`, a line end, and the entry as JSON.
fn entry(
    token: &CachedToken,
    key: &str,
    login: &str,
    overrides: &Overrides,
) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(&Entry {
        request: key,
        login: login.into(),
        access_token: token.access_token.expose().into(),
        token_type: &token.token_type,
        scope: token.scope.clone(),
        overrides: Cow::Borrowed(overrides),
        members: token.members.clone(),
        received_at_ms: token.received_at.0,
        expires_at_ms: token.expires_at.0,
    })?;
    let entry = format!("{ENTRY_FORMAT} {}\n{json}", checksum(json.as_bytes()));
    if entry.len() as u64 > ENTRY_LIMIT {
        // Nobody would read it.
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is too large",
        ));
    }
    Ok(entry.into_bytes())
}

/// What is taken from an entry, if it can be read and is of this login.
fn read_entry<T>(
    path: &Path,
    key: &str,
    login: &str,
    take: impl FnOnce(Entry<'_>) -> Option<T>,
) -> Option<T> {
    match disk::read(path, ENTRY_LIMIT, Trust::Private) {
        Ok(Found::Content(content)) => take(parse_entry(&content, key, login)?),
        _ => None,
    }
}

fn parse_entry<'a>(content: &'a [u8], key: &str, login: &str) -> Option<Entry<'a>> {
    checked(content, key).filter(|entry| entry.login == login)
}

/// A whole entry for this key, of whatever login.
fn checked<'a>(content: &'a [u8], key: &str) -> Option<Entry<'a>> {
    let (head, json) = std::str::from_utf8(content).ok()?.split_once('\n')?;
    let (format, sum) = head.split_once(' ')?;
    if format != ENTRY_FORMAT || sum != checksum(json.as_bytes()) {
        return None;
    }
    let entry: Entry<'_> = serde_json::from_str(json).ok()?;
    (entry.request == key).then_some(entry)
}

/// Whether the first word says that another version of hallpass wrote this, which alone knows
/// until when it works.
fn is_of_another_version(content: &[u8]) -> bool {
    let word = content.split(|byte| *byte == b' ').next();
    word.is_some_and(|word| word.starts_with(b"hallpass-") && word != ENTRY_FORMAT.as_bytes())
}

/// FNV-1a, 64 bits: against a disk's accidents, not against a person. Every changed byte changes it.
fn checksum(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hex(&sum.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> CachedToken {
        CachedToken {
            access_token: AccessToken::parse("eyJz93a-k4laUWw").expect("a token"),
            token_type: "Bearer".to_owned(),
            scope: Some("USER".to_owned()),
            members: BTreeMap::from([("instance_url".to_owned(), "https://a.example".to_owned())]),
            received_at: Timestamp(1_795_000_000_123),
            expires_at: Timestamp(1_795_086_400_123),
            warning: None,
        }
    }

    fn parse_entry(content: &[u8], key: &str, login: &str) -> Option<CachedToken> {
        super::parse_entry(content, key, login)?.into_token()
    }

    #[test]
    fn an_entry_survives_its_file() {
        let content = entry(&token(), "key", "login", &Overrides::default()).expect("an entry");
        assert_eq!(parse_entry(&content, "key", "login"), Some(token()));
    }

    #[test]
    fn an_entry_for_another_request_or_login_is_not_believed() {
        let content = entry(&token(), "key", "login", &Overrides::default()).expect("an entry");
        assert_eq!(parse_entry(&content, "another", "login"), None);
        assert_eq!(parse_entry(&content, "key", "another"), None);
    }

    #[test]
    fn no_changed_bit_and_no_missing_byte_goes_unnoticed() {
        let content = entry(&token(), "key", "login", &Overrides::default()).expect("an entry");
        for at in 0..content.len() {
            assert_eq!(
                parse_entry(&content[..at], "key", "login"),
                None,
                "cut at {at}"
            );
            for bit in 0..8 {
                let mut damaged = content.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(
                    parse_entry(&damaged, "key", "login"),
                    None,
                    "bit {bit} of byte {at}"
                );
            }
        }
    }
}
