use std::cell::Cell;
use std::collections::BTreeMap;

use tempfile::TempDir;
use zeroize::Zeroizing;

use super::*;
use crate::cache::Cache;
use crate::error::Kind;
use crate::platform::disk::{self, Directories};
use crate::profile::token_request::TokenRequest;
use crate::profile::{self, CacheMode, ProfileName};
use crate::types::secret::AccessToken;
use crate::types::secret::ClientSecret;

const NOW: Timestamp = Timestamp(1_795_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

const POLICY: ReusePolicy = ReusePolicy {
    min_ttl: Duration::ZERO,
    force_refresh: false,
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
    let fresh =
        matches!(&first, Outcome::Fresh { token, cache_error: None } if printed(token) == "fresh");
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
    let forced = obtain(
        &test.entry,
        force_refresh,
        &responding(&|_| Ok(token("t", NOW, HOUR))),
    );
    assert!(matches!(forced, Ok(Outcome::Fresh { .. })), "{forced:?}");
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
    for (elapsed, force_refresh, is_used) in [
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
        let was_used =
            matches!(&outcome, Ok(Outcome::Stale { token, .. }) if printed(token) == "cached");
        assert_eq!(was_used, is_used, "{elapsed:?} {force_refresh} {outcome:?}");
        assert_eq!(outcome.is_err(), !is_used);
    }
}

#[test]
#[cfg_attr(windows, ignore = "lock files are never removed")]
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
fn a_token_that_another_process_saved_is_used_only_while_it_is_valid() {
    for (age, is_used) in [(60_000, true), (3_600_000, false)] {
        let test = TestEntry::new();
        let asked = Cell::new(0);
        let saves_meanwhile = || {
            asked.set(asked.get() + 1);
            // After this process has looked for a token, and before it has the lock.
            if asked.get() == 2 {
                let saved = token("other", Timestamp(NOW.0 - age), HOUR);
                test.entry.store(&saved).expect("stored");
            }
            NOW
        };
        let source = TestSource {
            now: &saves_meanwhile,
            ..responding(&|_| unreachable!("another process has sent the request"))
        };
        match obtain(&test.entry, POLICY, &source) {
            Ok(Outcome::Reused(token)) => assert!(is_used && printed(&token) == "other"),
            Err(error) => assert!(!is_used && error.kind == Kind::Unavailable),
            Ok(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_failure_of_this_process_is_not_shared() {
    let test = TestEntry::new();
    let cut_off = |_: &ClientSecret| {
        let error = Error::unavailable("no network");
        Err(TokenFailure::local(&error, NOW))
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
    let is_returned = matches!(&outcome, Ok(Outcome::Fresh { token, cache_error: Some(_) }) if printed(token) == "t");
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

    fn wait_limit(&self) -> Result<Duration> {
        Ok(Duration::ZERO)
    }

    fn client(&self) -> Result<ClientSecret> {
        (self.client)()
    }

    fn request(&self, secret: &ClientSecret) -> std::result::Result<CachedToken, TokenFailure> {
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

type Response<'a> = dyn Fn(&ClientSecret) -> std::result::Result<CachedToken, TokenFailure> + 'a;

/// It is `NOW`, the secret can be read, and the login is current.
fn responding<'a>(request: &'a Response<'a>) -> TestSource<'a> {
    TestSource {
        now: &|| NOW,
        client: &secret,
        request,
        is_current: &|| Ok(true),
    }
}

fn refuse(_: &ClientSecret) -> std::result::Result<CachedToken, TokenFailure> {
    Err(TokenFailure::from_response(&Error::refused("no"), NOW))
}

fn secret() -> Result<ClientSecret> {
    ClientSecret::parse(&Zeroizing::new(b"s3cret".to_vec())).map_err(Error::usage)
}

fn token(text: &str, requested_at: Timestamp, life: Duration) -> CachedToken {
    CachedToken {
        access_token: AccessToken::parse(text).expect("a token"),
        token_type: "Bearer".to_owned(),
        scope: None,
        members: BTreeMap::new(),
        requested_at,
        expires_at: requested_at.plus(life),
        proof_key: None,
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
        let directories = Directories::below(&directory);
        let name = ProfileName::parse("p").expect("a good name");
        let request = TokenRequest::new(&name, &profile::example(), None, None, None);
        let entry = Cache::of(&directories, &name).entry(&request, CacheMode::Plain);
        Self { directory, entry }
    }

    /// The names of the files in the cache.
    fn files(&self) -> Vec<String> {
        disk::names(&self.directory.path().join("cache/p")).expect("readable")
    }
}
