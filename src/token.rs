//! Tokens and time: what was asked for, what was issued, and until when it serves.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::digest::Digest;
use crate::profile::{Profile, ProfileName};
use crate::secret::AccessToken;

/// How far a clock may have gone back before a token that it dates into the future is distrusted.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);

/// The longest margin before the end of a token's life in which it is due for renewal.
const LONGEST_MARGIN: Duration = Duration::from_secs(60);

/// A moment of the wall clock, in milliseconds since 1970: the cache outlives the process.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Timestamp(pub(crate) u64);

impl Timestamp {
    pub(crate) fn now() -> Self {
        // A clock before 1970 reads as 1970: then every cached token is from the future, and distrusted.
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn plus(self, duration: Duration) -> Self {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(milliseconds))
    }

    fn minus(self, duration: Duration) -> Self {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(milliseconds))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since 1970.
    pub(crate) fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// RFC 3339, in UTC, to the second.
    pub(crate) fn rfc3339(self) -> String {
        let seconds = i64::try_from(self.0 / 1000).unwrap_or(i64::MAX);
        OffsetDateTime::from_unix_timestamp(seconds)
            .ok()
            .and_then(|moment| moment.format(&Rfc3339).ok())
            .unwrap_or_else(|| "9999-12-31T23:59:59Z".to_owned())
    }
}

/// What a token is for: every input that changes the answer. Equal requests may share a token,
/// nothing else may.
#[derive(Clone, Debug)]
pub(crate) struct TokenRequest {
    /// As sent, apart from how the client proves itself: RFC 6749 §4.4.2, and what the profile adds.
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) scope: Option<String>,
    pub(crate) overrides: Overrides,
    profile: ProfileName,
    key: String,
    login: String,
}

/// What a caller requests instead of what the profile says.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Overrides {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) audience: Option<String>,
}

impl Overrides {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Which login a token comes from, and from which token endpoint: a profile may have been replaced
/// or edited since, and then its tokens are no business of the server that it names now.
pub(crate) fn login_of(profile: &Profile) -> String {
    [&profile.generation, " ", profile.token_endpoint.as_str()].concat()
}

/// Adds what only some profiles have, so that the others cost nothing.
fn add_assertion_and_headers(mut key: Digest, profile: &Profile) -> Digest {
    if let Some(assertion) = &profile.assertion {
        let claims = assertion.claims.iter();
        let claims = claims.flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        key = key
            .field(&assertion.audience)
            .optional(assertion.key_id.as_deref())
            .fields(claims.collect::<Vec<_>>().into_iter());
    }
    if let Some(certificate) = &profile.certificate {
        key = key.field(certificate.to_string_lossy().as_ref());
    }
    if !profile.headers.is_empty() {
        let headers = profile.headers.iter();
        let headers: Vec<_> = headers.flat_map(|(name, value)| [name, value]).collect();
        key = key.field("headers").fields(headers.into_iter());
    }
    key
}

impl TokenRequest {
    /// The profile's own request, or one for another scope or audience.
    ///
    /// `secret_version` is what the place where the secret lies tells of its content without
    /// opening it: another secret is another client, as far as its tokens go.
    pub(crate) fn new(
        name: &ProfileName,
        profile: &Profile,
        scope: Option<&str>,
        audience: Option<&str>,
        secret_version: Option<&str>,
    ) -> Self {
        let overrides = Overrides {
            scope: scope.map(str::to_owned),
            audience: audience.map(str::to_owned),
        };
        // A profile that was edited may hold what a login never writes: nothing is sent empty.
        let given = |text: &&str| !text.is_empty();
        let scope = scope.or(profile.scope.as_deref()).filter(given);
        let audience = audience.or(profile.audience.as_deref()).filter(given);
        let grant_type = profile.grant_type.as_deref().filter(given);
        let mut parameters = vec![("grant_type", grant_type.unwrap_or("client_credentials"))];
        parameters.extend(scope.map(|scope| ("scope", scope)));
        parameters.extend(audience.map(|audience| ("audience", audience)));
        parameters.extend(
            profile
                .resource
                .iter()
                .map(|resource| ("resource", resource.as_str())),
        );
        parameters.extend(
            profile
                .parameters
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        parameters.retain(|(_, value)| !value.is_empty());
        let key = Digest::of("hallpass token request 1")
            .field(name.as_str())
            .field(&profile.generation)
            .field(profile.token_endpoint.as_str())
            .field(&profile.client_id)
            .field(profile.client_auth.as_str())
            .field(profile.body.as_str())
            .optional(
                profile
                    .ca_file
                    .as_ref()
                    .map(|path| path.to_string_lossy().into_owned()),
            )
            .optional(secret_version)
            .fields(
                parameters
                    .iter()
                    .flat_map(|(name, value)| [*name, *value])
                    .collect::<Vec<_>>()
                    .into_iter(),
            );
        let key = add_assertion_and_headers(key, profile).hex();
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            scope: scope.map(str::to_owned),
            overrides,
            parameters: parameters.into_iter().map(owned).collect(),
            profile: name.clone(),
            key,
            login: login_of(profile),
        }
    }

    pub(crate) fn profile(&self) -> &ProfileName {
        &self.profile
    }

    /// Names the cache entry: 64 hexadecimal digits.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// See [`login_of`].
    pub(crate) fn login(&self) -> &str {
        &self.login
    }
}

/// An access token as it was issued.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CachedToken {
    pub(crate) access_token: AccessToken,
    /// RFC 6749 §7.1: `Bearer`, in the server's upper and lower case.
    pub(crate) token_type: String,
    /// What was granted, where the server says so (RFC 6749 §5.1).
    pub(crate) scope: Option<String>,
    /// What else callers need of the answer.
    pub(crate) members: BTreeMap<String, String>,
    /// Just before the request was sent: the server's clock started later.
    pub(crate) received_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// What the user should know when it is issued. It is not cached.
    pub(crate) warning: Option<String>,
}

impl CachedToken {
    /// Whether to hand this token out, rather than ask for another: the only expiry arithmetic.
    ///
    /// It must last for `min_ttl`, and for the margin in which it is due: 60 s, or a quarter of a
    /// life that is shorter than four minutes.
    pub(crate) fn usable_for(&self, now: Timestamp, min_ttl: Duration) -> bool {
        self.still_works(now) && self.expires_at.since(now) >= self.margin().max(min_ttl)
    }

    /// Whether to renew this token already, if nobody else does: in the half margin before it is due.
    pub(crate) fn is_due_soon(&self, now: Timestamp) -> bool {
        self.expires_at.since(now) < self.margin() * 3 / 2
    }

    /// When to ask again, for clients that keep a token themselves: the end less the margin.
    pub(crate) fn due_at(&self) -> Timestamp {
        self.expires_at.minus(self.margin())
    }

    fn margin(&self) -> Duration {
        LONGEST_MARGIN.min(self.expires_at.since(self.received_at) / 4)
    }

    /// Whether it serves for more than one use.
    pub(crate) fn lasts(&self) -> bool {
        self.expires_at > self.received_at
    }

    /// Whether the server should still take this token. A token from the future is distrusted:
    /// the clock went back, and nobody knows how long ago it was issued.
    pub(crate) fn still_works(&self, now: Timestamp) -> bool {
        self.expires_at > now && self.received_at <= now.plus(CLOCK_TOLERANCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);

    fn token(life: Duration) -> CachedToken {
        CachedToken {
            access_token: AccessToken::parse("token").expect("a token"),
            token_type: "Bearer".to_owned(),
            scope: None,
            members: BTreeMap::new(),
            received_at: NOW,
            expires_at: NOW.plus(life),
            warning: None,
        }
    }

    #[test]
    fn a_token_is_due_a_minute_before_its_end() {
        let token = token(Duration::from_secs(3600));
        assert!(token.usable_for(NOW.plus(Duration::from_secs(3540)), Duration::ZERO));
        assert!(!token.usable_for(NOW.plus(Duration::from_secs(3541)), Duration::ZERO));
        assert!(token.still_works(NOW.plus(Duration::from_secs(3599))));
        assert!(!token.still_works(NOW.plus(Duration::from_secs(3600))));
    }

    #[test]
    fn a_short_token_is_due_in_the_last_quarter_of_its_life() {
        let token = token(Duration::from_secs(2));
        assert!(token.usable_for(NOW.plus(Duration::from_millis(1500)), Duration::ZERO));
        assert!(!token.usable_for(NOW.plus(Duration::from_millis(1501)), Duration::ZERO));
    }

    #[test]
    fn a_token_is_due_soon_in_the_half_margin_before() {
        for (life, last) in [(3600, 3_510_000), (240, 150_000), (2, 1_250)] {
            let token = token(Duration::from_secs(life));
            assert!(!token.is_due_soon(NOW.plus(Duration::from_millis(last))));
            assert!(token.is_due_soon(NOW.plus(Duration::from_millis(last + 1))));
        }
    }

    #[test]
    fn a_caller_may_ask_for_more_than_the_margin() {
        let token = token(Duration::from_secs(3600));
        let five_minutes = Duration::from_secs(300);
        assert!(token.usable_for(NOW.plus(Duration::from_secs(3300)), five_minutes));
        assert!(!token.usable_for(NOW.plus(Duration::from_secs(3301)), five_minutes));
        assert!(!token.usable_for(NOW, Duration::MAX));
    }

    #[test]
    fn a_token_without_a_life_is_never_usable() {
        assert!(!token(Duration::ZERO).usable_for(NOW, Duration::ZERO));
    }

    #[test]
    fn a_token_from_the_future_is_distrusted() {
        let token = token(Duration::from_secs(3600));
        assert!(token.still_works(Timestamp(NOW.0 - 30_000)));
        assert!(!token.still_works(Timestamp(NOW.0 - 30_001)));
        assert!(!token.usable_for(Timestamp(0), Duration::ZERO));
    }

    #[test]
    fn moments_are_written_as_rfc_3339() {
        assert_eq!(
            Timestamp(1_795_445_359_999).rfc3339(),
            "2026-11-23T14:49:19Z"
        );
        assert_eq!(Timestamp(0).rfc3339(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp(u64::MAX).rfc3339(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn every_input_that_changes_the_answer_changes_the_key() {
        let key = |scope, audience, version, change: fn(&mut Profile)| {
            let mut profile = profile::example();
            change(&mut profile);
            let name = ProfileName::parse("p").expect("a good name");
            TokenRequest::new(&name, &profile, scope, audience, version)
                .key()
                .to_owned()
        };
        let keys = [
            key(None, None, None, |_| ()),
            key(Some("a"), None, None, |_| ()),
            key(None, Some("a"), None, |_| ()),
            key(None, None, Some("a"), |_| ()),
            key(None, None, None, |p| p.generation.push('0')),
            key(None, None, None, |p| p.client_id.push('0')),
            key(None, None, None, |p| p.resource.push("urn:a".to_owned())),
            key(None, None, None, |p| {
                p.parameters = [("a".to_owned(), "b".to_owned())].into();
            }),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        let own_audience = profile::example().audience;
        assert_eq!(key(None, own_audience.as_deref(), None, |_| ()), keys[0]);
    }
}
