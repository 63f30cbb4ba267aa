//! The token endpoint: one POST over HTTP, within one deadline. Only this module uses HTTP.

mod advice;
mod client_auth;
mod content_encoding;
mod discovery;
mod error_texts;
mod http;
mod json;
mod key;
mod lifetime;
mod pinned;
mod proxy;
mod redact;
mod request;
mod response;
mod transport_error;
mod trust;
mod verdict;

use std::future::Future;
use std::pin::pin;
use std::thread;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::error::{Error, Result};
use crate::message;
use crate::profile::token_request::TokenRequest;
use crate::profile::{Profile, ProfileName, TokenEndpoint};
use crate::types::cached_failure::CachedFailure;
use crate::types::secret::{AccessToken, Credential, PrivateKey};
use crate::types::token::{CachedToken, Timestamp};

use http::Http;
use redact::Redactor;
use request::Message;
use response::{HttpResponse, ResponseContext};
use transport_error::TransportError;

pub(crate) use discovery::{Metadata, discover};
pub(crate) use key::{Key, choose_among};
pub(crate) use trust::trust_in_effect;

/// How long a revocation may take. It is best effort: a failure is only a warning.
const REVOCATION_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a request may take before a person is told what hallpass waits for.
const NOTE_AFTER: Duration = Duration::from_millis(1500);

/// Why there is no token yet, and whether one more try is worth it.
struct FailedAttempt {
    refusal: CachedFailure,
    /// Try once more, after this pause.
    retry_in: Option<Duration>,
}

/// What a request is made with: what the client proves itself with, and the way to the server.
pub(crate) struct TokenClient {
    credential: Credential,
    http: Http,
}

impl TokenClient {
    /// With a credential that is at hand.
    ///
    /// # Errors
    /// Why no server can be called.
    pub(crate) fn of(
        name: &ProfileName,
        profile: &Profile,
        credential: Credential,
        certificate_key: Option<&PrivateKey>,
    ) -> Result<Self> {
        let tls_key = tls_key(profile, Some(&credential), certificate_key)?;
        let http = Http::to(
            &profile.token_endpoint,
            profile,
            Some(name),
            tls_key.as_ref(),
        )?;
        Ok(Self { credential, http })
    }

    /// Finds the credential, and where that takes a while, gets ready for the server meanwhile.
    ///
    /// Nobody is called yet: a keychain may wait for a person, a connection does not.
    ///
    /// # Errors
    /// Why there is no credential, or why no server can be called.
    pub(crate) fn prepare(
        name: &ProfileName,
        profile: &Profile,
        credential: impl FnOnce() -> Result<Credential>,
        certificate_key: Option<&PrivateKey>,
    ) -> Result<Self> {
        // What is shown in the handshake has to be found first.
        if !profile.secret.may_block() || profile.client_auth.is_tls() {
            return Self::of(name, profile, credential()?, certificate_key);
        }
        let tls_key = tls_key(profile, None, certificate_key)?;
        let to_server = || {
            Http::to(
                &profile.token_endpoint,
                profile,
                Some(name),
                tls_key.as_ref(),
            )
        };
        thread::scope(|scope| {
            let http = thread::Builder::new().spawn_scoped(scope, to_server);
            let credential = credential()?;
            // Where no thread can be had, it is done now.
            let http = http.ok().and_then(|thread| thread.join().ok());
            let http = http.unwrap_or_else(to_server)?;
            Ok(Self { credential, http })
        })
    }
}

/// The private key of the certificate that the client shows in the TLS handshake.
fn tls_key(
    profile: &Profile,
    credential: Option<&Credential>,
    certificate_key: Option<&PrivateKey>,
) -> Result<Option<Key>> {
    match (credential, certificate_key) {
        (Some(Credential::Key { key, passphrase }), _) if profile.client_auth.is_tls() => {
            Key::read(key, passphrase.as_ref()).map(Some)
        }
        (_, Some(key)) => Key::read(key, None).map(Some),
        _ => Ok(None),
    }
}

/// Asks for a token (RFC 6749 §4.4).
///
/// One request; one more where the first was cut off, met a server in trouble, or was told to come
/// back within the deadline. Redirects are not followed: the secret goes to this origin only.
///
/// # Errors
/// What the token endpoint, or the network on the way to it, had to say.
pub(crate) fn ask(
    profile: &Profile,
    request: &TokenRequest,
    TokenClient { credential, http }: &TokenClient,
    notes: Notes,
) -> std::result::Result<CachedToken, CachedFailure> {
    let not_sent = |error: Error| CachedFailure::local(&error, Timestamp::now());
    let endpoint = &profile.token_endpoint;
    let context = ResponseContext {
        profile,
        request,
        redactor: Redactor::of(&profile.client_id, credential).with_headers(&profile.headers),
    };
    within(profile.timeout(), async |deadline| {
        let attempt = async || {
            let message = client_auth::prove(profile, Some(request.profile()), credential)
                .and_then(|proof| Message::token_request(profile, request, &proof));
            let message = message.map_err(|error| FailedAttempt {
                refusal: not_sent(error),
                retry_in: None,
            })?;
            let asked_at = Timestamp::now();
            let sent = timeout_at(deadline, post(http, endpoint, &message)).await;
            match sent.unwrap_or(Err(TransportError::TooLate)) {
                Ok(response) => response::read(&response, &context, asked_at),
                Err(fault) => Err(failed_attempt(fault, profile, request.profile())),
            }
        };
        let first = noting(notes, endpoint.origin(), attempt()).await;
        match first {
            Err(FailedAttempt {
                retry_in: Some(pause),
                ..
            }) if pause < deadline.saturating_duration_since(Instant::now()) => {
                if notes == Notes::Shown && pause >= NOTE_AFTER && message::reaches_a_person() {
                    let seconds = pause.as_secs_f64().ceil();
                    message::note(&format!(
                        "waiting {seconds} s, as requested by {}",
                        endpoint.origin()
                    ));
                }
                sleep(pause).await;
                noting(notes, endpoint.origin(), attempt()).await
            }
            first => first,
        }
    })
    .map_err(not_sent)?
    .map_err(|failed| failed.refusal)
}

/// Tells the authorization server that a token is no longer needed (RFC 7009 §2.1).
///
/// # Errors
/// What went wrong: a caller tells and goes on.
pub(crate) fn revoke(
    endpoint: &TokenEndpoint,
    profile: &Profile,
    tokens: &[AccessToken],
    credential: &Credential,
    certificate_key: Option<&PrivateKey>,
) -> Result<()> {
    let tls_key = tls_key(profile, Some(credential), certificate_key)?;
    let http = Http::to(endpoint, profile, None, tls_key.as_ref())?;
    within(REVOCATION_TIMEOUT, async |deadline| {
        let mut result = Ok(());
        for token in tokens {
            let proof = client_auth::prove(profile, None, credential)?;
            let message = Message::revocation(profile, token, &proof)?;
            let sent = timeout_at(deadline, post(&http, endpoint, &message)).await;
            let revoked = match sent.unwrap_or(Err(TransportError::TooLate)) {
                Ok(response) if (200..300).contains(&response.status) => Ok(()),
                Ok(response) => Err(Error::unavailable(format!(
                    "{} answered {} to the revocation request",
                    endpoint.origin(),
                    response.status
                ))),
                Err(fault) => Err(fault.error(endpoint.origin(), REVOCATION_TIMEOUT, None)),
            };
            // One that is not revoked keeps no other.
            result = result.and(revoked);
        }
        result
    })?
}

/// Whether a person reads what hallpass says while it waits.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Notes {
    Shown,
    /// A helper's standard error may be part of its answer.
    Hidden,
}

/// Says what hallpass waits for, if that takes long.
async fn noting<T>(notes: Notes, url: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if notes == Notes::Shown && message::reaches_a_person() {
        if let Ok(done) = timeout(NOTE_AFTER, &mut work).await {
            return done;
        }
        message::note(&format!("waiting for {url}"));
    }
    work.await
}

/// Runs one conversation on this thread, and leaves behind what does not end in time (a name
/// server that does not respond keeps a thread busy).
fn within<T, F: Future<Output = T>>(
    limit: Duration,
    conversation: impl FnOnce(Instant) -> F,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::broken("cannot start the network").because(error))?;
    let result = runtime.block_on(async { conversation(Instant::now() + limit).await });
    runtime.shutdown_background();
    Ok(result)
}

async fn post(
    http: &Http,
    endpoint: &TokenEndpoint,
    message: &Message,
) -> std::result::Result<HttpResponse, TransportError> {
    http.exchange(|client| {
        let mut post = client
            .post(endpoint.as_str())
            .header("accept", "application/json")
            .header("accept-encoding", "identity")
            .header("content-type", message.content_type);
        if let Some(authorization) = &message.authorization {
            post = post.header("authorization", authorization.as_str());
        }
        // These replace what hallpass sets of the same name.
        let mut headers = HeaderMap::new();
        for (name, value) in &message.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_str(value);
            // A profile has no others.
            if let (Ok(name), Ok(mut value)) = (name, value) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        post = post.headers(headers);
        post.body(message.body.to_string())
    })
    .await
}

/// What a transport error means for the caller.
fn failed_attempt(fault: TransportError, profile: &Profile, name: &ProfileName) -> FailedAttempt {
    // Only what came in a response is the server's word: the rest may be this machine's network, or
    // this process's own trouble.
    let is_by_server = matches!(fault, TransportError::TooLarge);
    let retry_in = fault.is_cut_off().then(response::jitter);
    let origin = profile.token_endpoint.origin();
    let error = fault.error(origin, profile.timeout(), Some(name));
    let refusal = if is_by_server {
        CachedFailure::brief(&error, Timestamp::now())
    } else {
        CachedFailure::local(&error, Timestamp::now())
    };
    FailedAttempt { refusal, retry_in }
}
