//! Cached tokens and failures on disk, and the lock of each entry.
//!
//! A profile has a directory, and each token request has an entry in it, named by the request's key:
//! `KEY.json` holds the token, `KEY.lock` is locked by the caller that requests a new one, and
//! `KEY.note` records that the last request brought no token that others can share, and why.

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

/// The most bytes that are read of an entry: a token of 64 KiB fits.
const ENTRY_LIMIT: u64 = 256 * 1024;
const FAILURE_LIMIT: u64 = 64 * 1024;

/// How often a waiting caller checks for a token. A suspended process keeps its lock, and another
/// one may have requested a token meanwhile.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The first word of an entry. Other formats begin with another word.
const ENTRY_FORMAT: &str = "hallpass-token-1";

/// One profile's tokens.
#[derive(Debug)]
pub(crate) struct Cache {
    /// Contains every profile's directory.
    root: PathBuf,
    directory: PathBuf,
}

impl Cache {
    pub(crate) fn of(directories: &Directories, name: &ProfileName) -> Self {
        Self {
            root: directories.cache.clone(),
            directory: directories.cache.join(name.as_str()),
        }
    }

    /// The caches of all profiles, also of those that no longer exist.
    ///
    /// # Errors
    /// `Broken` if the directory cannot be read.
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

    /// The entry for this request.
    pub(crate) fn entry(&self, request: &TokenRequest) -> CacheEntry {
        CacheEntry {
            root: self.root.clone(),
            path: self.directory.join([request.key(), ".json"].concat()),
            key: request.key().to_owned(),
            login: request.login().to_owned(),
            overrides: request.overrides.clone(),
        }
    }

    /// Every token of this login (see [`login_of`]), with the key of its request and how the request
    /// differs from the profile's own. Entries that cannot be read are left out.
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

    /// Removes all entries.
    ///
    /// Lock files can be removed, too: every login has its own keys, so a caller that still uses an old
    /// lock file does not meet callers of the new login.
    ///
    /// # Errors
    /// `Broken` if a file cannot be removed.
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
            // Windows cannot remove a lock file that is open. It is empty.
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

/// The cached token of one request.
#[derive(Debug)]
pub(crate) struct CacheEntry {
    root: PathBuf,
    path: PathBuf,
    key: String,
    login: String,
    overrides: Overrides,
}

/// What an entry contained when it was read.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) token: Option<CachedToken>,
    failure: Option<FailureRecord>,
}

impl Snapshot {
    /// The recorded failure, if it still applies to a new caller.
    pub(crate) fn failure(&self, now: Timestamp, force_refresh: bool) -> Option<CachedFailure> {
        let failure = self.failure.as_ref()?.failure.as_ref()?;
        failure.holds(now, force_refresh).then(|| failure.clone())
    }
}

/// How an attempt to lock an entry ended.
#[derive(Debug)]
pub(crate) enum LockOutcome<'a> {
    /// This caller requests a token. No other caller stored one while it waited.
    Acquired(EntryLock<'a>),
    /// Another caller stored a token.
    Token(CachedToken),
    /// Another caller's request failed, and the failure applies to this caller, too.
    Failed(CachedFailure),
}

impl CacheEntry {
    fn lock_path(&self) -> PathBuf {
        self.path.with_extension("lock")
    }

    fn failure_path(&self) -> PathBuf {
        self.path.with_extension("note")
    }

    /// The token, if the entry can be read and trusted. A damaged entry counts as missing.
    pub(crate) fn token(&self) -> Option<CachedToken> {
        read_entry(&self.path, &self.key, &self.login, |entry| {
            entry.into_token()
        })
    }

    /// The state before a request, to recognise later changes: see [`CacheEntry::lock`].
    pub(crate) fn snapshot(&self, token: Option<CachedToken>) -> Snapshot {
        Snapshot {
            token,
            failure: self.read_failure(),
        }
    }

    /// Stores a token without the lock, if the token has a lifetime. Only for a login, whose keys are
    /// new.
    ///
    /// # Errors
    /// `Broken` if it cannot be written.
    pub(crate) fn store(&self, token: &CachedToken) -> Result<()> {
        self.write(token).map_err(|error| self.cannot_write(error))
    }

    fn write(&self, token: &CachedToken) -> io::Result<()> {
        if !token.lasts() {
            return Ok(());
        }
        disk::private_directory(&self.root)?;
        let content = serialize(token, &self.key, &self.login, &self.overrides)?;
        disk::replace(&self.path, &content, Durability::Cache)
    }

    fn cannot_write(&self, error: io::Error) -> Error {
        Error::broken(format!("cannot write the cache in {}", self.root.display())).because(error)
    }

    /// Removes the token, because a server rejected it.
    pub(crate) fn discard_token(&self) {
        // If it cannot be removed, the server will reject it again.
        let _ = disk::remove(&self.path);
    }

    /// Removes the entry and its lock file, for a login that was replaced: see [`Cache::clear`].
    pub(crate) fn remove(&self) {
        // Best effort: nobody reads the entries of a replaced login.
        for file in [&self.path, &self.failure_path(), &self.lock_path()] {
            let _ = disk::remove(file);
        }
        if let Some(directory) = self.path.parent() {
            let _ = disk::remove_empty_directory(directory);
        }
    }

    /// Waits for the lock, or for another caller's token or failure. A failure that does not come from
    /// the server is not shared: the next caller that waits gets the lock.
    ///
    /// `snapshot` is the state before the wait, so any difference came from another caller. If the file
    /// cannot be locked, every caller may request. `limit` is how long the holder may take before its lock
    /// is replaced. After twice the limit this caller may request without the lock.
    pub(crate) fn lock(&self, snapshot: &Snapshot, limit: Duration) -> LockOutcome<'_> {
        let Ok(mut lock) = self.open_lock() else {
            return LockOutcome::Acquired(self.entry_lock(None));
        };
        match self.wait_for_lock(&mut lock, snapshot, limit) {
            Ok(Some(outcome)) => outcome,
            Ok(None) => LockOutcome::Acquired(self.entry_lock(Some(lock))),
            Err(_) => LockOutcome::Acquired(self.entry_lock(None)),
        }
    }

    /// Returns what another caller stored, or nothing once we hold the lock.
    ///
    /// # Errors
    /// The lock cannot be had.
    fn wait_for_lock(
        &self,
        lock: &mut LockFile,
        snapshot: &Snapshot,
        limit: Duration,
    ) -> io::Result<Option<LockOutcome<'_>>> {
        let mut wait = Wait::of(limit);
        // After the first wait all callers wake at once, because usually there is a token for all.
        let mut in_line = false;
        loop {
            if lock.try_exclusive()? {
                return Ok(self.change_since(snapshot));
            }
            let left = wait.left();
            if left.is_zero() {
                wait.extend()?;
                *lock = lock.replace()?;
                continue;
            }
            let step = left.min(POLL_INTERVAL);
            let is_free = if in_line {
                lock.wait_in_line(step)?
            } else {
                lock.wait_until_free(step)?
            };
            if let Some(outcome) = self.change_since(snapshot) {
                return Ok(Some(outcome));
            }
            if is_free {
                // The holder failed or was killed, and one of those who wait replaces it.
                in_line = true;
                let _ = wait.extend();
            } else if lock.is_removed() {
                *lock = self.open_lock()?;
                let _ = wait.extend();
            }
        }
    }

    /// Locks without waiting. None if another caller holds the lock, or the file cannot be locked.
    pub(crate) fn try_lock(&self, snapshot: &Snapshot) -> Option<LockOutcome<'_>> {
        let mut lock = self.open_lock().ok()?;
        if !lock.try_exclusive().ok()? {
            return None;
        }
        let outcome = self.change_since(snapshot);
        Some(outcome.unwrap_or_else(|| LockOutcome::Acquired(self.entry_lock(Some(lock)))))
    }

    fn open_lock(&self) -> io::Result<LockFile> {
        disk::private_directory(&self.root)?;
        LockFile::open(&self.lock_path())
    }

    /// What another caller stored since the snapshot.
    fn change_since(&self, snapshot: &Snapshot) -> Option<LockOutcome<'_>> {
        if let Some(token) = self
            .token()
            .filter(|token| snapshot.token.as_ref() != Some(token))
        {
            return Some(LockOutcome::Token(token));
        }
        let record = self
            .read_failure()
            .filter(|record| snapshot.failure.as_ref() != Some(record))?;
        Some(match record.failure {
            Some(failure) => LockOutcome::Failed(failure),
            // The server's tokens have no lifetime, so every caller needs its own.
            None => LockOutcome::Acquired(self.entry_lock(None)),
        })
    }

    fn entry_lock(&self, lock: Option<LockFile>) -> EntryLock<'_> {
        EntryLock { entry: self, lock }
    }

    fn read_failure(&self) -> Option<FailureRecord> {
        match disk::read(&self.failure_path(), FAILURE_LIMIT, Trust::Private) {
            Ok(Found::Content(content)) => serde_json::from_slice(&content).ok(),
            _ => None,
        }
    }

    fn write_failure(&self, failure: Option<CachedFailure>) -> io::Result<()> {
        disk::private_directory(&self.root)?;
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let id = format!("{}-{}", process::id(), since_epoch.as_nanos());
        let record = serde_json::to_vec(&FailureRecord { id, failure })?;
        disk::replace(&self.failure_path(), &record, Durability::Cache)
    }
}

/// How long to wait for the lock's holder, and once more for the one that replaces it.
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

    /// Starts the wait again, but only once: many holders that fail one after another must not keep us
    /// waiting for ever.
    fn extend(&mut self) -> io::Result<()> {
        if self.is_extended {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.is_extended = true;
        self.deadline = Instant::now() + self.limit;
        Ok(())
    }
}

/// The right to request this entry's token. If it is dropped without a result, or the process is
/// killed, another caller gets it.
#[derive(Debug)]
pub(crate) struct EntryLock<'a> {
    entry: &'a CacheEntry,
    /// None if the file could not be locked, or the wait was too long.
    lock: Option<LockFile>,
}

impl EntryLock<'_> {
    /// Stores a new token for all callers.
    ///
    /// Also removes some stale entries. After a request that takes little extra time; a hit, a failure
    /// or a caller that waits does not do it.
    ///
    /// # Errors
    /// `Broken` if it cannot be written.
    pub(crate) fn store(self, token: &CachedToken) -> Result<()> {
        let Self { entry, lock } = self;
        let written = if token.lasts() {
            let written = entry.write(token);
            written.and_then(|()| disk::remove(&entry.failure_path()))
        } else {
            disk::remove(&entry.path).and_then(|()| entry.write_failure(None))
        };
        written.map_err(|error| entry.cannot_write(error))?;
        // Without a lock nothing is removed, because another caller may be about to write it.
        if let (Some(lock), Some(directory)) = (lock, entry.path.parent()) {
            // Callers that wait get the token first.
            drop(lock);
            // The time differs in each call; in a container the process number may not.
            sweep::sweep(directory, &entry.key, Timestamp::now().0);
        }
        Ok(())
    }

    /// Stores a failure for the callers that wait, and for later ones as long as it applies.
    pub(crate) fn store_failure(self, failure: CachedFailure) -> io::Result<()> {
        self.entry.write_failure(Some(failure))
    }
}

/// The last request, if it brought no token to share.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
struct FailureRecord {
    /// Unique, so that two equal failures differ.
    #[serde(rename = "turn")]
    id: String,
    /// None if the token has no lifetime.
    #[serde(rename = "refusal")]
    failure: Option<CachedFailure>,
}

/// The JSON of an entry, after its first line.
#[derive(Deserialize, Serialize)]
struct EntryContent<'a> {
    /// The request's key, so that a file under another name is not accepted.
    request: &'a str,
    #[serde(borrow)]
    login: Cow<'a, str>,
    /// Borrowed, unless the JSON contains an escape.
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    token_type: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// For `hallpass status`.
    #[serde(default, skip_serializing_if = "Overrides::is_empty")]
    overrides: Cow<'a, Overrides>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    members: BTreeMap<String, String>,
    /// Milliseconds since 1970, as `expires_at_ms`.
    received_at_ms: u64,
    expires_at_ms: u64,
}

impl EntryContent<'_> {
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
fn serialize(
    token: &CachedToken,
    key: &str,
    login: &str,
    overrides: &Overrides,
) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(&EntryContent {
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
        // It could not be read again.
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is too large",
        ));
    }
    Ok(entry.into_bytes())
}

/// Reads an entry of this login.
fn read_entry<T>(
    path: &Path,
    key: &str,
    login: &str,
    convert: impl FnOnce(EntryContent<'_>) -> Option<T>,
) -> Option<T> {
    match disk::read(path, ENTRY_LIMIT, Trust::Private) {
        Ok(Found::Content(content)) => convert(parse_entry(&content, key, login)?),
        _ => None,
    }
}

fn parse_entry<'a>(content: &'a [u8], key: &str, login: &str) -> Option<EntryContent<'a>> {
    parse_any_login(content, key).filter(|entry| entry.login == login)
}

/// Parses an entry of this key, of any login, if its checksum is right.
fn parse_any_login<'a>(content: &'a [u8], key: &str) -> Option<EntryContent<'a>> {
    let (head, json) = std::str::from_utf8(content).ok()?.split_once('\n')?;
    let (format, sum) = head.split_once(' ')?;
    if format != ENTRY_FORMAT || sum != checksum(json.as_bytes()) {
        return None;
    }
    let entry: EntryContent<'_> = serde_json::from_str(json).ok()?;
    (entry.request == key).then_some(entry)
}

/// Whether the first word shows that another version of hallpass wrote this. Only that version can
/// read when the token expires.
fn is_of_another_version(content: &[u8]) -> bool {
    let word = content.split(|byte| *byte == b' ').next();
    word.is_some_and(|word| word.starts_with(b"hallpass-") && word != ENTRY_FORMAT.as_bytes())
}

/// FNV-1a with 64 bits. It detects accidental damage, not tampering.
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
    fn an_entry_can_be_written_and_read() {
        let content = serialize(&token(), "key", "login", &Overrides::default()).expect("an entry");
        assert_eq!(parse_entry(&content, "key", "login"), Some(token()));
    }

    #[test]
    fn an_entry_of_another_request_or_login_is_not_accepted() {
        let content = serialize(&token(), "key", "login", &Overrides::default()).expect("an entry");
        assert_eq!(parse_entry(&content, "another", "login"), None);
        assert_eq!(parse_entry(&content, "key", "another"), None);
    }

    #[test]
    fn every_changed_bit_and_missing_byte_is_detected() {
        let content = serialize(&token(), "key", "login", &Overrides::default()).expect("an entry");
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
