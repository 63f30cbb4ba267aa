//! The token endpoint: one POST over HTTP, within one deadline. Only this module sends requests.

mod advice;
mod assertion;
mod challenge;
mod claims;
mod client_auth;
mod content_encoding;
mod discovery;
mod error_texts;
mod exchange;
mod expiry;
mod external_signer;
pub(crate) mod github_actions;
mod http;
mod introspection;
mod json;
mod key;
mod lifetime;
mod pinned;
mod private_address;
mod probe;
mod proof;
mod protected_resource;
mod proxy;
mod public_key;
mod redact;
mod request;
mod response;
mod revocation;
mod share_tls;
mod signer;
mod tls_key;
mod token_client;
mod transport_error;
mod trust;
mod upstream;
mod verdict;

use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use crate::audit::Audit;
use crate::error::{Error, Result};
use crate::message;
use crate::profile::token_request::TokenRequest;
use crate::profile::{Profile, ProfileName};
use crate::types::identity_token::IdentityToken;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::token_failure::TokenFailure;

use client_auth::authenticate;
use exchange::{noting, post, wait, within};
use http::Http;
use redact::Redactor;
use request::Message;
use response::ResponseContext;
use transport_error::TransportError;

pub(crate) use client_auth::check_tls_key;
pub(crate) use discovery::{Metadata, discover};
pub(crate) use expiry::{authorities_expiry, certificate_expiry, key_expiry};
pub(crate) use external_signer::public_key_of;
pub(crate) use introspection::introspect;
pub(crate) use private_address::is_private;
pub(crate) use probe::{Reached, proxy_to, reach, resolve};
pub(crate) use proof::{ProvenRequest, Prover, asks_for_nonce};
pub(crate) use protected_resource::{OfferedScopes, ProtectedResource, discover_resource};
pub(crate) use revocation::revoke;
pub(crate) use share_tls::tls_for_share;
pub(crate) use signer::{choose_among, signer};
pub(crate) use token_client::{OtherCredentials, TokenClient};
pub(crate) use trust::trust_in_effect;
pub(crate) use upstream::{Unanswered, Upstream, UpstreamBody, bearer_error, resolve_location};

/// Why there is no token yet, and whether one more try is worth it.
struct FailedAttempt {
    refusal: TokenFailure,
    /// Try once more, after this pause.
    retry_in: Option<Duration>,
    /// Try once more at once: the server named a nonce for the proof (RFC 9449 §8).
    needs_nonce: bool,
}

/// Requests a token (RFC 6749 §4.4).
///
/// One request, and one more if the response to the first was cut off or a server error, or named a
/// time to wait that is within the deadline. Another one follows if the server wants a nonce in the proof
/// of possession, which is part of each request if the tokens are bound to a key (RFC 9449). Redirects are not followed: the secret goes to this
/// origin only.
///
/// Each request presents an identity token of its own, as many servers accept one only once: the
/// client's first, then what `new_identity` reads. A refusal is final: it reads none, as the next one
/// would be refused for the same reason.
///
/// The request is recorded, if the policy or the user wants that.
///
/// # Errors
/// The refusal of the token endpoint, or the failure on the way to it; or the record that the policy
/// requires cannot be written.
pub(crate) fn request_token(
    profile: &Profile,
    request: &TokenRequest,
    client: &TokenClient,
    new_identity: &(impl Fn() -> Result<Option<IdentityToken>> + Sync),
) -> std::result::Result<CachedToken, TokenFailure> {
    let http = client.http(profile).map_err(|error| not_sent(&error))?;
    let audit = Audit::open().map_err(|error| not_sent(&error))?;
    let outcome = request_and_retry(profile, request, (client, http), new_identity);
    let recorded = audit.record(client.name.as_ref(), profile, request, &outcome);
    // A request that failed is reported as such.
    outcome.and_then(|token| match recorded {
        Ok(()) => Ok(token),
        Err(error) => Err(not_sent(&error)),
    })
}

fn request_and_retry(
    profile: &Profile,
    request: &TokenRequest,
    (client, http): (&TokenClient, &Http),
    new_identity: &(impl Fn() -> Result<Option<IdentityToken>> + Sync),
) -> std::result::Result<CachedToken, TokenFailure> {
    let attempts = Attempts {
        profile,
        request,
        client,
        http,
    };
    let origin = profile.token_endpoint.origin();
    let identity = client.identity.as_ref();
    // Before the time limit begins: a program that signs may wait for a person.
    let first_message = attempts.message(identity)?;
    within(profile.timeout(), async |deadline| {
        let first = attempts.send(first_message, identity, deadline).await;
        let mut outcome = first;
        let (mut may_retry, mut may_repeat) = (true, true);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match &outcome {
                Err(failed) if failed.needs_nonce && may_repeat => {
                    may_repeat = false;
                    message::step(|| "request: again, with the server's nonce".to_owned());
                }
                Err(FailedAttempt {
                    retry_in: Some(pause),
                    ..
                }) if may_retry && *pause < left => {
                    may_retry = false;
                    wait(origin, *pause).await;
                }
                _ => return outcome.map_err(|failed| failed.refusal),
            }
            let identity = match identity {
                Some(_) => on_another_thread(new_identity).map_err(|error| not_sent(&error))?,
                None => None,
            };
            let message = attempts.message(identity.as_ref())?;
            outcome = attempts.send(message, identity.as_ref(), deadline).await;
        }
    })
    .map_err(|error| not_sent(&error))?
}

/// The requests for one token, which differ in what authenticates the client.
struct Attempts<'a> {
    profile: &'a Profile,
    request: &'a TokenRequest,
    client: &'a TokenClient,
    http: &'a Http,
}

impl Attempts<'_> {
    fn message(
        &self,
        identity: Option<&IdentityToken>,
    ) -> std::result::Result<Message, TokenFailure> {
        let (profile, client) = (self.profile, self.client);
        authenticate(profile, client.name.as_ref(), &client.credential, identity)
            .and_then(|authentication| {
                let headers = &client.headers;
                let (request, proof) = (self.request, self.proof()?);
                let message =
                    Message::token_request(profile, request, authentication, identity, headers)?;
                Ok(message.with_proof(proof))
            })
            .map_err(|error| not_sent(&error))
    }

    /// The proof of one attempt, if the token is to be bound to a key (RFC 9449 §5).
    fn proof(&self) -> Result<Option<Zeroizing<String>>> {
        let Some(prover) = &self.client.prover else {
            return Ok(None);
        };
        let nonce = self.client.nonce();
        let request = ProvenRequest {
            method: "POST",
            url: self.profile.token_endpoint.url(),
            token: None,
            nonce: nonce.as_ref(),
        };
        prover.proof_of(&request).map(Some)
    }

    async fn send(
        &self,
        message: Message,
        identity: Option<&IdentityToken>,
        deadline: Instant,
    ) -> std::result::Result<CachedToken, FailedAttempt> {
        let (profile, client) = (self.profile, self.client);
        let (name, endpoint) = (client.name.as_ref(), &profile.token_endpoint);
        let context = ResponseContext {
            profile,
            request: self.request,
            name,
            identity,
            redactor: Redactor::of(profile.client_id(), &client.credential)
                .with_other_secrets(&client.other_secrets)
                .with_identity(identity)
                .with_headers(&client.headers)
                .with_secret_headers(&client.secret_headers),
        };
        let sent_at = Timestamp::now();
        let response = timeout_at(deadline, post(self.http, endpoint, &message));
        let response = noting(endpoint.origin(), response).await;
        match response.unwrap_or(Err(TransportError::TooLate)) {
            Ok(response) => {
                if let Some(nonce) = response.nonce() {
                    client.nonce.replace(Some(nonce));
                }
                let token = response::read(&response, &context, sent_at)?;
                let proof_key = client.prover.as_ref().map(|prover| Box::new(prover.key()));
                Ok(CachedToken { proof_key, ..token })
            }
            Err(error) => Err(failed_attempt(error, profile, name)),
        }
    }
}

/// A failure of this process, before a request.
fn not_sent(error: &Error) -> TokenFailure {
    TokenFailure::local(error, Timestamp::now())
}

/// Runs what may itself send a request, during a request: this thread is busy with that one.
fn on_another_thread<T: Send>(work: &(impl Fn() -> Result<T> + Sync)) -> Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, work);
        let thread =
            thread.map_err(|error| Error::broken("cannot start the network").because(error))?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// What a transport error means for the caller.
fn failed_attempt(
    error: TransportError,
    profile: &Profile,
    name: Option<&ProfileName>,
) -> FailedAttempt {
    // Only a response is the server's doing: anything else may be this machine's network, or a
    // shortage in this process.
    let is_from_server = matches!(error, TransportError::TooLarge);
    let retry_in = error.is_cut_off().then(response::jitter);
    let origin = profile.token_endpoint.origin();
    let error = error.error(origin, profile.timeout(), name);
    let refusal = if is_from_server {
        TokenFailure::from_response(&error, Timestamp::now())
    } else {
        TokenFailure::local(&error, Timestamp::now())
    };
    FailedAttempt {
        refusal,
        retry_in,
        needs_nonce: false,
    }
}

#[cfg(any(test, fuzzing))]
#[path = "../tests/parsers/oauth.rs"]
pub(crate) mod fuzz;
