//! Decides how to get a token: reuse a cached one, wait for another caller's request, or request one.
//!
//! Callers share tokens, and failures that the server reported. A failure of this process alone is
//! not shared: the next caller sends a request of its own.

use std::time::Duration;

use crate::cache::{CacheEntry, EntryLock, LockOutcome, Snapshot};
use crate::error::{Error, Result};
use crate::types::cached_failure::CachedFailure;
use crate::types::token::{CachedToken, Timestamp};

/// When a cached token may be reused, and how long to wait for another caller's request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReusePolicy {
    /// How long the token must still be valid.
    pub(crate) min_ttl: Duration,
    /// Request a new token, even if a cached one is valid.
    pub(crate) force_refresh: bool,
    /// How long another caller may take to request a token, before we stop waiting for it.
    pub(crate) wait_limit: Duration,
}

/// Where new tokens come from. Only a miss uses anything but the clock.
pub(crate) trait TokenSource {
    /// The client credentials and the connection, ready for a request.
    type Client;

    fn now(&self) -> Timestamp;

    /// Reads the client secret and prepares the request.
    fn client(&self) -> Result<Self::Client>;

    /// Requests a token from the token endpoint.
    fn request(&self, client: &Self::Client) -> std::result::Result<CachedToken, CachedFailure>;

    /// Whether the profile still has the login that this token is for.
    ///
    /// # Errors
    /// The profile cannot be read. That does not mean that it changed.
    fn is_current(&self) -> Result<bool>;
}

/// What became of the call.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A token from the cache, possibly stored by another caller while we waited.
    Reused(CachedToken),
    /// A new token, and the error if it could not be cached.
    Fresh {
        token: CachedToken,
        not_cached: Option<Error>,
    },
    /// The cached token still works, but could not be renewed when it should have been.
    Stale {
        token: CachedToken,
        failure: CachedFailure,
    },
    /// The profile was logged in again, or logged out, while we waited or requested.
    LoginChanged,
}

/// Gets the token of one cache entry.
pub(crate) struct Broker<'a, S> {
    pub(crate) entry: &'a CacheEntry,
    pub(crate) policy: ReusePolicy,
    pub(crate) source: &'a S,
}

impl<S: TokenSource> Broker<'_, S> {
    /// Gets a token.
    ///
    /// A hit reads one file: no lock, no secret, no request, no write. On a miss, one caller requests
    /// a token, and all who wait share it, or the server's failure. When a token is due for early
    /// refresh, one caller renews it and the others use it without waiting.
    ///
    /// # Errors
    /// There is no token: the secret cannot be read, the request failed, or the profile cannot be read
    /// again.
    pub(crate) fn obtain(&self) -> Result<Outcome> {
        let now = self.source.now();
        let cached = match self.entry.token() {
            Some(token)
                if !self.policy.force_refresh && token.usable_for(now, self.policy.min_ttl) =>
            {
                return if token.is_in_early_refresh(now) {
                    self.renew_early(token)
                } else {
                    Ok(Outcome::Reused(token))
                };
            }
            cached => cached,
        };
        let snapshot = self.entry.snapshot(cached);
        if let Some(failure) = snapshot.failure(self.source.now(), self.policy.force_refresh) {
            return self.fall_back(snapshot, failure);
        }
        let lock = self.entry.lock(&snapshot, self.policy.wait_limit);
        self.proceed(lock, snapshot)
    }

    /// Renews a token early, unless another caller is doing so, or a request has just failed. A
    /// failure is not reported, because the cached token is still good.
    fn renew_early(&self, token: CachedToken) -> Result<Outcome> {
        let snapshot = self.entry.snapshot(Some(token.clone()));
        if snapshot.failure(self.source.now(), false).is_some() {
            return Ok(Outcome::Reused(token));
        }
        let Some(lock) = self.entry.try_lock(&snapshot) else {
            return Ok(Outcome::Reused(token));
        };
        match self.proceed(lock, snapshot) {
            Ok(Outcome::Stale { token, .. }) => Ok(Outcome::Reused(token)),
            outcome => outcome,
        }
    }

    /// Requests a token if we hold the lock, else uses what another caller stored.
    fn proceed(&self, lock: LockOutcome<'_>, snapshot: Snapshot) -> Result<Outcome> {
        // After a login or logout while we waited, what other callers stored no longer counts.
        match self.source.is_current() {
            Ok(true) => {}
            Ok(false) => {
                self.entry.remove();
                return Ok(Outcome::LoginChanged);
            }
            Err(error) => return self.fall_back_on_error(snapshot, &error),
        }
        match lock {
            LockOutcome::Token(token) if token.still_works(self.source.now()) => {
                Ok(Outcome::Reused(token))
            }
            LockOutcome::Token(_) => Err(expired()),
            LockOutcome::Failed(failure) => self.fall_back(snapshot, failure),
            LockOutcome::Acquired(lock) => self.request(lock, snapshot),
        }
    }

    fn request(&self, lock: EntryLock<'_>, snapshot: Snapshot) -> Result<Outcome> {
        let response = self
            .source
            .client()
            .map_err(|error| CachedFailure::local(&error, self.source.now()))
            .and_then(|client| self.source.request(&client));
        // Store first, then check the login: a login or logout changes the profile first and clears
        // the cache afterwards, so one of the two removes a token that came too late.
        let outcome = match response {
            Ok(token) => self.store(lock, token),
            Err(failure) => {
                share(lock, &failure);
                Err(failure)
            }
        };
        match self.source.is_current() {
            Ok(true) => outcome.or_else(|failure| self.fall_back(snapshot, failure)),
            Ok(false) => {
                self.entry.remove();
                Ok(Outcome::LoginChanged)
            }
            // What was stored stays for callers who can read the profile. If the request failed, that
            // is the error to report.
            Err(unreadable) => match outcome {
                Ok(_) => self.fall_back_on_error(snapshot, &unreadable),
                Err(failure) => self.fall_back(snapshot, failure),
            },
        }
    }

    /// Caches a new token, unless the cache has a newer one: this process may have been suspended for
    /// hours, while another caller took over.
    fn store(
        &self,
        lock: EntryLock<'_>,
        token: CachedToken,
    ) -> std::result::Result<Outcome, CachedFailure> {
        let now = self.source.now();
        let is_newer = |cached: &CachedToken| {
            cached.still_works(now) && cached.received_at > token.received_at
        };
        let newer = self.entry.token().filter(is_newer);
        if token.lasts() && !token.still_works(now) {
            let expired = || CachedFailure::local(&expired(), now);
            return newer.map(Outcome::Reused).ok_or_else(expired);
        }
        let not_cached = match newer {
            Some(_) => None,
            None => lock.store(&token).err(),
        };
        Ok(Outcome::Fresh { token, not_cached })
    }

    /// Falls back on the cached token because of an error of this process.
    fn fall_back_on_error(&self, snapshot: Snapshot, error: &Error) -> Result<Outcome> {
        self.fall_back(snapshot, CachedFailure::local(error, self.source.now()))
    }

    /// Falls back on the cached token, if it still works and the caller did not require a new one.
    fn fall_back(&self, snapshot: Snapshot, failure: CachedFailure) -> Result<Outcome> {
        match snapshot.token {
            Some(token) if !self.policy.force_refresh && token.still_works(self.source.now()) => {
                Ok(Outcome::Stale { token, failure })
            }
            _ => Err(failure.into_error()),
        }
    }
}

fn expired() -> Error {
    Error::unavailable("the token had expired before it could be used").hint("try again")
}

/// Stores a failure that the server reported, for the callers who wait. After any other failure the
/// next caller sends its own request.
fn share(lock: EntryLock<'_>, failure: &CachedFailure) {
    if failure.is_by_server() {
        // If this cannot be written, the others send their own requests.
        let _ = lock.store_failure(failure.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use tempfile::TempDir;
    use zeroize::Zeroizing;

    use super::*;
    use crate::cache::Cache;
    use crate::error::Kind;
    use crate::platform::disk::{self, Directories};
    use crate::profile::token_request::TokenRequest;
    use crate::profile::{self, ProfileName};
    use crate::types::secret::AccessToken;
    use crate::types::secret::ClientSecret;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    const POLICY: ReusePolicy = ReusePolicy {
        min_ttl: Duration::ZERO,
        force_refresh: false,
        wait_limit: Duration::ZERO,
    };

    #[test]
    fn a_hit_uses_only_the_clock() {
        let test = TestEntry::new();
        test.entry
            .store(&token("cached", NOW, HOUR))
            .expect("stored");
        let before = test.files();
        let source = TestSource {
            now: &|| NOW.plus(MINUTE),
            client: &|| unreachable!("a hit must not open the keychain"),
            request: &|_: &ClientSecret| unreachable!("a hit must not send a request"),
            is_current: &|| unreachable!("a hit must not read the profile again"),
        };
        let outcome = obtain(&test.entry, POLICY, &source).expect("a token");
        assert!(matches!(outcome, Outcome::Reused(token) if printed(&token) == "cached"));
        assert_eq!(test.files(), before, "a hit writes no file");
    }

    #[test]
    fn a_miss_requests_one_token_and_caches_it() {
        let test = TestEntry::new();
        let requests = Cell::new(0);
        let source = TestSource {
            now: &|| NOW,
            client: &secret,
            request: &|_| {
                requests.set(requests.get() + 1);
                Ok(token("fresh", NOW, HOUR))
            },
            is_current: &|| Ok(true),
        };
        let first = obtain(&test.entry, POLICY, &source).expect("a token");
        let fresh = matches!(&first, Outcome::Fresh { token, not_cached: None } if printed(token) == "fresh");
        assert!(fresh, "{first:?}");
        let second = obtain(&test.entry, POLICY, &source).expect("a token");
        assert!(matches!(second, Outcome::Reused(_)), "{second:?}");
        assert_eq!(requests.get(), 1);
    }

    #[test]
    fn force_refresh_requests_a_new_token() {
        let test = TestEntry::new();
        test.entry
            .store(&token("cached", NOW, HOUR))
            .expect("stored");
        let policy = ReusePolicy {
            force_refresh: true,
            ..POLICY
        };
        let outcome = obtain(
            &test.entry,
            policy,
            &responding(&|_| Ok(token("new", NOW, HOUR))),
        );
        assert!(
            matches!(&outcome, Ok(Outcome::Fresh { token, .. }) if printed(token) == "new"),
            "{outcome:?}"
        );
    }

    #[test]
    fn a_token_without_a_lifetime_is_returned_and_not_cached() {
        let test = TestEntry::new();
        test.entry
            .store(&token("due", NOW, MINUTE))
            .expect("stored");
        let policy = ReusePolicy {
            min_ttl: HOUR,
            ..POLICY
        };
        let once = |_: &ClientSecret| Ok(token("once", NOW, Duration::ZERO));
        let outcome = obtain(&test.entry, policy, &responding(&once));
        assert!(matches!(outcome, Ok(Outcome::Fresh { .. })), "{outcome:?}");
        assert_eq!(test.entry.token(), None);
    }

    #[test]
    fn a_failure_is_reported_again_without_a_request() {
        let test = TestEntry::new();
        let refused = obtain(&test.entry, POLICY, &responding(&refuse)).expect_err("a refusal");
        assert_eq!(
            (refused.kind, refused.message.as_str()),
            (Kind::Refused, "no")
        );
        let silent = |_: &ClientSecret| unreachable!("the failure is cached");
        let again = obtain(&test.entry, POLICY, &responding(&silent)).expect_err("a refusal");
        assert_eq!((again.kind, again.message.as_str()), (Kind::Refused, "no"));
        let force_refresh = ReusePolicy {
            force_refresh: true,
            ..POLICY
        };
        let asked = obtain(
            &test.entry,
            force_refresh,
            &responding(&|_| Ok(token("t", NOW, HOUR))),
        );
        assert!(matches!(asked, Ok(Outcome::Fresh { .. })), "{asked:?}");
    }

    #[test]
    fn a_failure_to_read_the_secret_is_not_cached() {
        let test = TestEntry::new();
        let locked = TestSource {
            client: &|| Err(Error::locked("locked")),
            ..responding(&|_| unreachable!("there is no secret to send"))
        };
        for _ in 0..2 {
            let error = obtain(&test.entry, POLICY, &locked).expect_err("no secret");
            assert_eq!(error.kind, Kind::Locked);
        }
        let unlocked = obtain(
            &test.entry,
            POLICY,
            &responding(&|_| Ok(token("t", NOW, HOUR))),
        );
        assert!(
            matches!(unlocked, Ok(Outcome::Fresh { .. })),
            "{unlocked:?}"
        );
    }

    #[test]
    fn a_token_that_still_works_is_used_when_it_cannot_be_renewed() {
        let policy = ReusePolicy {
            min_ttl: 2 * HOUR,
            ..POLICY
        };
        // Time since the token of one hour was received, whether a new token is required, and whether the
        // cached one is used.
        for (elapsed, force_refresh, kept) in [
            (MINUTE, false, true),
            (Duration::from_millis(3_599_999), false, true),
            (HOUR, false, false),
            (MINUTE, true, false),
        ] {
            let test = TestEntry::new();
            test.entry
                .store(&token("cached", NOW, HOUR))
                .expect("stored");
            let now = || NOW.plus(elapsed);
            let source = TestSource {
                now: &now,
                ..responding(&refuse)
            };
            let outcome = obtain(
                &test.entry,
                ReusePolicy {
                    force_refresh,
                    ..policy
                },
                &source,
            );
            let was_kept =
                matches!(&outcome, Ok(Outcome::Stale { token, .. }) if printed(token) == "cached");
            assert_eq!(was_kept, kept, "{elapsed:?} {force_refresh} {outcome:?}");
            assert_eq!(outcome.is_err(), !kept);
        }
    }

    #[test]
    #[cfg_attr(windows, ignore = "a lock file stays there")]
    fn a_caller_that_has_waited_too_long_replaces_the_lock() {
        let test = TestEntry::new();
        let stopped = test.entry.lock(&test.entry.snapshot(None), Duration::ZERO);
        assert!(matches!(stopped, LockOutcome::Acquired(_)), "{stopped:?}");
        let issued = |_: &ClientSecret| Ok(token("t", NOW, HOUR));
        let outcome = obtain(&test.entry, POLICY, &responding(&issued));
        assert!(matches!(outcome, Ok(Outcome::Fresh { .. })), "{outcome:?}");
        // Later callers do not wait for the old lock.
        let snapshot = test.entry.snapshot(test.entry.token());
        let lock = test.entry.try_lock(&snapshot);
        assert!(matches!(lock, Some(LockOutcome::Acquired(_))), "{lock:?}");
    }

    #[test]
    fn a_process_that_was_suspended_neither_replaces_a_newer_token_nor_returns_an_expired_one() {
        let test = TestEntry::new();
        for (age, printed_token) in [(60_000, "late"), (3_600_001, "newer")] {
            let request: &Response<'_> = &|_| {
                let newer = token("newer", NOW, HOUR);
                test.entry.store(&newer).expect("stored");
                Ok(token("late", Timestamp(NOW.0 - age), HOUR))
            };
            let outcome = obtain(&test.entry, POLICY, &responding(request));
            let Ok(Outcome::Fresh { token, .. } | Outcome::Reused(token)) = &outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!(printed(token), printed_token);
            let cached = test.entry.token().expect("a token");
            assert_eq!(printed(&cached), "newer");
            test.entry.discard_token();
        }
        let expired = |_: &ClientSecret| Ok(token("late", Timestamp(NOW.0 - 3_600_001), HOUR));
        let error = obtain(&test.entry, POLICY, &responding(&expired)).expect_err("nothing");
        assert_eq!(error.kind, Kind::Unavailable);
    }

    #[test]
    fn a_failure_of_this_process_is_not_shared() {
        let test = TestEntry::new();
        let cut_off = |_: &ClientSecret| {
            let error = Error::unavailable("no network");
            Err(CachedFailure::local(&error, NOW))
        };
        let error = obtain(&test.entry, POLICY, &responding(&cut_off)).expect_err("nothing");
        assert_eq!(error.message, "no network");
        let files = test.files();
        assert!(files.iter().all(|name| name.contains(".lock")), "{files:?}");
        let issued = |_: &ClientSecret| Ok(token("t", NOW, HOUR));
        let outcome = obtain(&test.entry, POLICY, &responding(&issued));
        assert!(matches!(outcome, Ok(Outcome::Fresh { .. })), "{outcome:?}");
    }

    #[test]
    fn a_profile_that_cannot_be_read_again_has_not_changed() {
        let unreadable = || Err(Error::broken("cannot read the profile"));
        let issued = |_: &ClientSecret| Ok(token("new", NOW, HOUR));
        // After how many reads it becomes unreadable, the lifetime that is required, and the token that is
        // returned.
        for (reads, min_ttl, expected) in [
            (0, 2 * HOUR, Some("cached")),
            (1, 2 * HOUR, Some("cached")),
            (0, Duration::ZERO, None),
            (1, Duration::ZERO, None),
        ] {
            let test = TestEntry::new();
            test.entry
                .store(&token("cached", NOW, HOUR))
                .expect("stored");
            let left = Cell::new(reads);
            let source = TestSource {
                is_current: &|| match left.get() {
                    0 => unreadable(),
                    more => {
                        left.set(more - 1);
                        Ok(true)
                    }
                },
                ..responding(&issued)
            };
            let policy = ReusePolicy {
                min_ttl,
                force_refresh: min_ttl.is_zero(),
                ..POLICY
            };
            let outcome = obtain(&test.entry, policy, &source);
            match (expected, outcome) {
                (Some(expected), Ok(Outcome::Stale { token, failure })) => {
                    assert_eq!(printed(&token), expected);
                    assert_eq!(failure.message(), "cannot read the profile");
                }
                (None, Err(error)) => assert_eq!(error.message, "cannot read the profile"),
                (_, outcome) => panic!("{outcome:?}"),
            }
            assert!(test.entry.token().is_some(), "a cached token stays");
        }
    }

    #[test]
    fn a_request_for_a_replaced_login_leaves_no_files() {
        let issued = |_: &ClientSecret| Ok(token("late", NOW, HOUR));
        let issued_once = |_: &ClientSecret| Ok(token("late", NOW, Duration::ZERO));
        let responses: [&Response<'_>; 3] = [&issued, &issued_once, &refuse];
        for response in responses {
            // The login is current before the request, and no longer after it.
            let reads = Cell::new(0);
            let source = TestSource {
                is_current: &|| Ok(reads.replace(1) == 0),
                ..responding(response)
            };
            let test = TestEntry::new();
            let outcome = obtain(&test.entry, POLICY, &source);
            assert!(matches!(outcome, Ok(Outcome::LoginChanged)), "{outcome:?}");
            assert_eq!(test.files(), [""; 0]);
        }
    }

    #[test]
    fn no_request_is_sent_for_a_replaced_login() {
        let test = TestEntry::new();
        let source = TestSource {
            client: &|| unreachable!("another login's secret"),
            is_current: &|| Ok(false),
            ..responding(&refuse)
        };
        let outcome = obtain(&test.entry, POLICY, &source);
        assert!(matches!(outcome, Ok(Outcome::LoginChanged)), "{outcome:?}");
        assert_eq!(test.files(), [""; 0]);
    }

    #[test]
    fn a_token_that_cannot_be_cached_is_returned() {
        let test = TestEntry::new();
        // A file in place of the profile's directory: nothing can be locked or written.
        std::fs::create_dir(test.directory.path().join("cache")).expect("a directory");
        std::fs::write(test.directory.path().join("cache/p"), "").expect("a file");
        let outcome = obtain(
            &test.entry,
            POLICY,
            &responding(&|_| Ok(token("t", NOW, HOUR))),
        );
        let is_returned = matches!(&outcome, Ok(Outcome::Fresh { token, not_cached: Some(_) }) if printed(token) == "t");
        assert!(is_returned, "{outcome:?}");
    }

    /// A source of the test's own functions.
    struct TestSource<'a> {
        now: &'a dyn Fn() -> Timestamp,
        client: &'a dyn Fn() -> Result<ClientSecret>,
        request: &'a Response<'a>,
        is_current: &'a dyn Fn() -> Result<bool>,
    }

    impl TokenSource for TestSource<'_> {
        type Client = ClientSecret;

        fn now(&self) -> Timestamp {
            (self.now)()
        }

        fn client(&self) -> Result<ClientSecret> {
            (self.client)()
        }

        fn request(
            &self,
            secret: &ClientSecret,
        ) -> std::result::Result<CachedToken, CachedFailure> {
            (self.request)(secret)
        }

        fn is_current(&self) -> Result<bool> {
            (self.is_current)()
        }
    }

    fn obtain(entry: &CacheEntry, policy: ReusePolicy, source: &TestSource<'_>) -> Result<Outcome> {
        let broker = Broker {
            entry,
            policy,
            source,
        };
        broker.obtain()
    }

    type Response<'a> =
        dyn Fn(&ClientSecret) -> std::result::Result<CachedToken, CachedFailure> + 'a;

    /// It is `NOW`, the secret can be read, and the login is current.
    fn responding<'a>(request: &'a Response<'a>) -> TestSource<'a> {
        TestSource {
            now: &|| NOW,
            client: &secret,
            request,
            is_current: &|| Ok(true),
        }
    }

    fn refuse(_: &ClientSecret) -> std::result::Result<CachedToken, CachedFailure> {
        Err(CachedFailure::brief(&Error::refused("no"), NOW))
    }

    fn secret() -> Result<ClientSecret> {
        ClientSecret::parse(&Zeroizing::new(b"s3cret".to_vec())).map_err(Error::usage)
    }

    fn token(text: &str, received_at: Timestamp, life: Duration) -> CachedToken {
        CachedToken {
            access_token: AccessToken::parse(text).expect("a token"),
            token_type: "Bearer".to_owned(),
            scope: None,
            members: BTreeMap::new(),
            received_at,
            expires_at: received_at.plus(life),
            warning: None,
        }
    }

    fn printed(token: &CachedToken) -> &str {
        token.access_token.expose()
    }

    /// The cache entry of one request, in a temporary directory.
    struct TestEntry {
        directory: TempDir,
        entry: CacheEntry,
    }

    impl TestEntry {
        fn new() -> Self {
            let directory = TempDir::with_prefix("hallpass-test-").expect("a directory");
            let directories = Directories {
                config: directory.path().join("config"),
                cache: directory.path().join("cache"),
            };
            let name = ProfileName::parse("p").expect("a good name");
            let request = TokenRequest::new(&name, &profile::example(), None, None, None);
            let entry = Cache::of(&directories, &name).entry(&request);
            Self { directory, entry }
        }

        /// The names of the files in the cache.
        fn files(&self) -> Vec<String> {
            disk::names(&self.directory.path().join("cache/p")).expect("readable")
        }
    }
}
