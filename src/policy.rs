//! What the administrator of this machine requires: `policy.json` in a directory that only the
//! administrator can write to. It wins over every file, variable and option of a user.
//!
//! A policy that cannot be read or believed is an error of every command that could break it. It binds
//! hallpass, not the user, who may run another program.

mod file;
mod origin_pattern;
mod share;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::error::{Error, Result};
use crate::profile::external_key::KeyReference;
use crate::profile::share::{Share, ShareSecret, ShareUrl};
use crate::profile::{CacheMode, Profile, SecretSource, SourceKind, TokenEndpoint};
use crate::types::audit_target::AuditTarget;
use crate::types::seconds::Lifetime;
use origin_pattern::OriginPattern;

pub(crate) use file::path;
pub(crate) use share::SharePolicy;

/// What a policy may require. A member that is left out requires nothing.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// The servers that a client secret may be sent to.
    #[serde(default, deserialize_with = "given")]
    allowed_token_endpoints: Option<Vec<OriginPattern>>,
    /// Where secrets and private keys may be.
    #[serde(default, deserialize_with = "given")]
    allowed_secret_stores: Option<Vec<SourceKind>>,
    /// The longest time that a token is kept.
    #[serde(default, deserialize_with = "given")]
    max_ttl_seconds: Option<Lifetime>,
    /// How cached tokens are kept at least.
    #[serde(default, deserialize_with = "given")]
    cache: Option<CacheMode>,
    /// Whether `hallpass serve` may run, and its sockets may be used.
    #[serde(default, deserialize_with = "given")]
    serve: Option<bool>,
    /// Whether a user's own profiles may be used, the one in the environment included.
    #[serde(default, deserialize_with = "given")]
    user_profiles: Option<bool>,
    /// Where token requests must be recorded.
    #[serde(default, deserialize_with = "given")]
    audit: Option<AuditTarget>,
    /// The shared cache of all profiles, or that there is none.
    #[serde(default, deserialize_with = "given")]
    share: Option<SharePolicy>,
}

/// As serde reads an optional member, but null is a mistake: it would lift a requirement.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The policy of this process, once it was read.
static CURRENT: RwLock<Option<Arc<Policy>>> = RwLock::new(None);

/// The policy, read when it is first needed. Without a file, it requires nothing: that costs one system
/// call.
///
/// # Errors
/// `Usage` if there is one that cannot be read or believed.
pub(crate) fn current() -> Result<Arc<Policy>> {
    let read = CURRENT.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(policy) = &*read {
        return Ok(Arc::clone(policy));
    }
    drop(read);
    refresh()
}

/// Reads the policy again, for a process that runs for a long time.
///
/// # Errors
/// As [`current`]. Then the policy of before counts no more.
pub(crate) fn refresh() -> Result<Arc<Policy>> {
    let policy = file::read().map(Arc::new);
    let mut current = CURRENT.write().unwrap_or_else(PoisonError::into_inner);
    *current = policy.as_ref().ok().map(Arc::clone);
    policy
}

/// The longest time that a token of this profile is kept.
pub(crate) fn longest_ttl(profile: &Profile) -> Duration {
    let own = profile.max_ttl();
    let most = current().ok().and_then(|policy| policy.max_ttl());
    most.map_or(own, |most| most.min(own))
}

impl Policy {
    /// # Errors
    /// What is wrong with the text.
    fn parse(text: &[u8]) -> std::result::Result<Self, String> {
        // serde also reads a list of the members' values.
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err("it is not a JSON object".to_owned());
        }
        serde_json::from_slice(text).map_err(|error| {
            let text = error.to_string();
            let fault = text.split(" at line ").next().unwrap_or_default();
            format!("line {}: {fault}", error.line())
        })
    }

    /// The longest time that a token is kept, if the policy says so.
    pub(crate) fn max_ttl(&self) -> Option<Duration> {
        self.max_ttl_seconds.map(Lifetime::duration)
    }

    /// # Errors
    /// `Refused` if a client secret must not be sent there.
    pub(crate) fn check_endpoint(&self, endpoint: &TokenEndpoint) -> Result<()> {
        let Some(allowed) = &self.allowed_token_endpoints else {
            return Ok(());
        };
        if allowed.iter().any(|pattern| pattern.covers(endpoint)) {
            return Ok(());
        }
        let origin = endpoint.origin();
        Err(refusal(&format!("requests to {origin}")))
    }

    /// # Errors
    /// `Refused` if a secret or a private key must not be there.
    pub(crate) fn check_store(&self, store: SourceKind) -> Result<()> {
        match &self.allowed_secret_stores {
            Some(allowed) if !allowed.contains(&store) => {
                let what = match store {
                    SourceKind::Stdin => "secrets from standard input".to_owned(),
                    store => format!("secrets and keys of the kind {}", store.as_str()),
                };
                Err(refusal(&what))
            }
            _ => Ok(()),
        }
    }

    /// Everything that the policy says about a profile.
    ///
    /// # Errors
    /// `Refused` if no token of it may be requested or given.
    pub(crate) fn check(&self, profile: &Profile) -> Result<()> {
        if self.allowed_token_endpoints.is_some() {
            self.check_endpoint(&profile.token_endpoint)?;
        }
        if self.allowed_secret_stores.is_some() {
            let own = profile.share.as_deref().filter(|_| self.share.is_none());
            let of_share = own.map(stores_of_share).unwrap_or_default();
            stores(profile)
                .into_iter()
                .chain(of_share)
                .try_for_each(|store| self.check_store(store))?;
        }
        Ok(())
    }

    pub(crate) fn required_cache_mode(&self) -> Option<CacheMode> {
        self.cache
    }

    /// What a user wants, or what the policy requires if that protects the tokens better.
    pub(crate) fn cache_mode(&self, wanted: CacheMode) -> CacheMode {
        let protection = |mode| match mode {
            CacheMode::Plain => 0,
            CacheMode::Auto => 1,
            CacheMode::Sealed => 2,
            CacheMode::None => 3,
        };
        match self.cache {
            Some(required) if protection(required) > protection(wanted) => required,
            _ => wanted,
        }
    }

    /// Where token requests must be recorded, if the policy says so.
    pub(crate) fn audit(&self) -> Option<&AuditTarget> {
        self.audit.as_ref()
    }

    /// Gives the profile the shared cache that the policy requires instead of its own, or none.
    pub(crate) fn apply_share(&self, profile: &mut Profile) {
        match self.share() {
            None => {}
            Some(SharePolicy::NotAllowed) => profile.share = None,
            Some(SharePolicy::Required(share)) => profile.share = Some(share),
        }
    }

    /// What replaces the shared caches of profiles. Without a cache, tokens are kept nowhere else either,
    /// unless the policy says where.
    pub(crate) fn share(&self) -> Option<SharePolicy> {
        let without_cache = self.cache == Some(CacheMode::None);
        let share = self.share.clone();
        share.or_else(|| without_cache.then_some(SharePolicy::NotAllowed))
    }

    /// # Errors
    /// `Refused` if no profile may use this shared cache.
    pub(crate) fn check_share(&self, url: &ShareUrl) -> Result<()> {
        match self.share() {
            Some(share) if !share.allows(url) => {
                Err(refusal(&format!("the shared cache {}", url.as_str())))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn allows_user_profiles(&self) -> bool {
        self.user_profiles.unwrap_or(true)
    }

    /// # Errors
    /// `Refused` if only the administrator's profiles may be used. `what` is what would be another one.
    pub(crate) fn check_user_profiles(&self, what: &str) -> Result<()> {
        if self.allows_user_profiles() {
            return Ok(());
        }
        Err(refusal(what))
    }

    /// # Errors
    /// `Refused` if `hallpass serve` is switched off.
    pub(crate) fn check_serve(&self, what: &str) -> Result<()> {
        if self.serve.unwrap_or(true) {
            return Ok(());
        }
        Err(refusal(what))
    }

    /// Each requirement by its name in the file, as people read it.
    pub(crate) fn requirements(&self) -> Vec<(&'static str, serde_json::Value)> {
        let Self {
            allowed_token_endpoints,
            allowed_secret_stores,
            max_ttl_seconds,
            cache,
            serve,
            user_profiles,
            audit,
            share,
        } = self;
        let members = [
            (
                "allowed_token_endpoints",
                serde_json::json!(allowed_token_endpoints),
            ),
            (
                "allowed_secret_stores",
                serde_json::json!(allowed_secret_stores),
            ),
            ("max_ttl_seconds", serde_json::json!(max_ttl_seconds)),
            ("cache", serde_json::json!(cache)),
            ("serve", serde_json::json!(serve)),
            ("user_profiles", serde_json::json!(user_profiles)),
            ("audit", serde_json::json!(audit)),
            ("share", serde_json::json!(share)),
        ];
        let members = members.into_iter();
        members.filter(|(_, value)| !value.is_null()).collect()
    }
}

/// Where the secrets and private keys of a profile are.
fn stores(profile: &Profile) -> Vec<SourceKind> {
    let previous = profile.previous_secret().map(|previous| &previous.secret);
    let secrets = profile
        .secret
        .iter()
        .chain(previous)
        .map(SecretSource::kind);
    let headers = profile.secret_headers.as_ref();
    let headers = headers.map(|headers| SecretSource::kept(headers.item.clone()).kind());
    let key = profile.certificate_key.as_ref().map(|key| match key {
        KeyReference::File(_) => SourceKind::File,
        KeyReference::Agent(_) => SourceKind::Agent,
    });
    secrets.chain(headers).chain(key).collect()
}

/// Where the secrets and the private key of a shared cache are.
fn stores_of_share(share: &Share) -> Vec<SourceKind> {
    let secrets = [&share.password, &share.key].into_iter().flatten();
    let secrets = secrets.map(|secret| match secret {
        ShareSecret::File(_) => SourceKind::File,
        ShareSecret::Env(_) => SourceKind::Env,
        ShareSecret::Command(_) => SourceKind::Command,
    });
    let key = share.certificate_key.iter().map(|_| SourceKind::File);
    secrets.chain(key).collect()
}

/// The policy does not allow something.
fn refusal(what: &str) -> Error {
    let file: PathBuf = path();
    Error::refused(format!("the policy of this machine does not allow {what}")).hint(format!(
        "only the administrator can change it: {}",
        file.display()
    ))
}

#[cfg(any(test, fuzzing))]
#[path = "../tests/parsers/policy.rs"]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests {
    use super::{Policy, SourceKind};
    use crate::profile;
    use crate::profile::{SecretSource, TokenEndpoint};

    fn policy(text: &str) -> Policy {
        Policy::parse(text.as_bytes()).expect("a policy")
    }

    #[test]
    fn an_empty_policy_requires_nothing() {
        let policy = policy("{}");
        assert_eq!(policy, Policy::default());
        assert!(policy.check(&profile::example()).is_ok());
        assert!(policy.check_user_profiles("it").is_ok() && policy.check_serve("it").is_ok());
        assert!(policy.requirements().is_empty());
    }

    #[test]
    fn what_is_not_listed_is_not_allowed() {
        let none = policy("{\"allowed_token_endpoints\": [], \"allowed_secret_stores\": []}");
        let endpoint = TokenEndpoint::parse("https://login.example/token").expect("a URL");
        assert!(none.check_endpoint(&endpoint).is_err());
        assert!(none.check_store(SourceKind::Stdin).is_err());
        let mut profile = profile::example();
        profile.secret = Some(SecretSource::Env("SECRET".to_owned()));
        let env = policy("{\"allowed_secret_stores\": [\"env\"]}");
        assert!(env.check(&profile).is_ok());
        profile.certificate_key = Some(std::ffi::OsString::from("/key.pem").into());
        assert!(env.check(&profile).is_err());
    }

    #[test]
    fn a_user_may_protect_cached_tokens_better_than_the_policy_requires() {
        use crate::profile::CacheMode::{Auto, None, Plain, Sealed};
        let sealed = policy("{\"cache\": \"sealed\"}");
        for (wanted, used) in [
            (Plain, Sealed),
            (Auto, Sealed),
            (Sealed, Sealed),
            (None, None),
        ] {
            assert_eq!(sealed.cache_mode(wanted), used);
            assert_eq!(policy("{}").cache_mode(wanted), wanted);
        }
        assert_eq!(policy("{\"cache\": \"auto\"}").cache_mode(Plain), Auto);
    }

    #[test]
    fn a_mistake_is_not_a_policy() {
        for text in [
            "",
            "[]",
            "null",
            "{\"serve\": null}",
            "{\"serve\": 0}",
            "{\"serve\": false, \"serve\": true}",
            "{\"Serve\": false}",
            "{\"serve\": false} x",
            "{\"max_ttl_seconds\": 0}",
            "{\"max_ttl_seconds\": -1}",
            "{\"max_ttl_seconds\": \"1h\"}",
            "{\"allowed_token_endpoints\": \"https://login.example\"}",
            "{\"allowed_secret_stores\": [\"keyring\"]}",
            "{\"audit\": \"here\"}",
            "{\"share\": true}",
            "{\"share\": \"rediss://cache\"}",
            "{\"share\": {}}",
            "{\"share\": {\"url\": \"rediss://u:p@cache\"}}",
            "{\"share\": {\"url\": \"redis://cache\", \"password\": {\"env\": \"P\"}}}",
            "{\"share\": {\"url\": \"rediss://cache\", \"ca_file\": \"ca.pem\"}}",
            "{\"share\": {\"url\": \"rediss://cache\", \"key\": {\"file\": \"key\"}}}",
        ] {
            assert!(Policy::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
