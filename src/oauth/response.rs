//! Reads a response: a token, or why there is none. Nothing here trusts a server.

mod token;

use std::time::Duration;

use super::FailedAttempt;
use super::advice;
use super::json::{Json, in_utf8};
use super::lifetime::{Clocks, date_header};
use super::redact::Redactor;
use super::verdict::{about_proofs, refusal_in_success, refuses_client, verdict};
use crate::error::Error;
use crate::profile::token_request::TokenRequest;
use crate::profile::{CredentialKind, Profile, ProfileName};
use crate::types::dpop::Nonce;
use crate::types::duration;
use crate::types::identity_token::IdentityToken;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::token_failure::{AboutProofs, TokenFailure};
use crate::types::web_url::WebUrl;

/// An HTTP response, read whole.
#[derive(Default)]
pub(super) struct HttpResponse {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    pub(super) location: Option<String>,
    /// All of its challenges.
    pub(super) www_authenticate: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) date: Option<String>,
    /// For the next proof (RFC 9449 §8).
    pub(super) dpop_nonce: Option<String>,
    pub(super) body: Vec<u8>,
}

impl HttpResponse {
    /// The nonce for the next proof, if the server gave a usable one (RFC 9449 §8.2).
    pub(super) fn nonce(&self) -> Option<Nonce> {
        Nonce::parse(self.dpop_nonce.as_deref()?).ok()
    }
}

/// The request that a response is read against.
pub(super) struct ResponseContext<'a> {
    pub(super) profile: &'a Profile,
    pub(super) request: &'a TokenRequest,
    /// None during a login.
    pub(super) name: Option<&'a ProfileName>,
    pub(super) identity: Option<&'a IdentityToken>,
    pub(super) redactor: Redactor<'a>,
}

impl ResponseContext<'_> {
    /// The token endpoint without its query, which may have a key in it.
    pub(super) fn url(&self) -> &str {
        let url = self.profile.token_endpoint.as_str();
        url.split('?').next().unwrap_or(url)
    }

    pub(super) fn path(&self) -> &str {
        &self.url()[self.origin().len()..]
    }

    fn origin(&self) -> &str {
        self.profile.token_endpoint.origin()
    }

    /// What sets this: an option of the login, or a variable if the environment describes the profile.
    pub(super) fn setting<'b>(&self, option: &'b str, variable: &'b str) -> &'b str {
        if self.name.is_some_and(ProfileName::is_from_environment) {
            variable
        } else {
            option
        }
    }

    /// How to change a setting of a profile that stays as it is otherwise.
    pub(super) fn edit(&self, option: &str, variable: &str) -> String {
        match self.name {
            Some(name) if name.is_from_environment() => format!("set {variable}"),
            Some(name) => format!("hallpass profile edit {name} {option}"),
            None => format!("add {option}"),
        }
    }

    /// The hint for a server that requires proofs of possession.
    pub(super) fn turn_on_proofs(&self) -> String {
        let edit = self.edit("--dpop", "HALLPASS_DPOP=1");
        format!("the server requires proofs of possession (DPoP); to send them: {edit}")
    }

    /// The hint for a client that was refused.
    pub(super) fn check_client(&self) -> String {
        let what = match self.profile.client_auth.credential() {
            CredentialKind::Key => "private key",
            CredentialKind::Secret => "secret",
            CredentialKind::None => "identity token",
        };
        match self.name {
            Some(name) if name.is_from_environment() => {
                format!("check HALLPASS_CLIENT_ID, HALLPASS_AUTH and the {what}")
            }
            Some(name) => format!(
                "check the client ID, {what} and authentication method (--auth), then run `hallpass login {name}`"
            ),
            None => format!("check the client ID, {what} and authentication method (--auth)"),
        }
    }
}

/// RFC 6749 §5.1 and §5.2, as servers really speak it.
pub(super) fn read(
    response: &HttpResponse,
    context: &ResponseContext<'_>,
    sent_at: Timestamp,
) -> Result<CachedToken, FailedAttempt> {
    if (300..400).contains(&response.status) {
        return Err(refused_for_now(&redirected(response, context)));
    }
    let body = in_utf8(&response.body);
    let document = Json::document(&body);
    if let Some(fault) = verdict(response, document, &body, context) {
        let refuses_client = refuses_client(&fault, response, document);
        let proofs = about_proofs(&fault, response, document, context);
        let mut failed = failed(fault, response, context.name);
        failed.needs_nonce = proofs == Some(AboutProofs::NeedNonce) && response.nonce().is_some();
        failed.refusal = failed.refusal.refusing_client(refuses_client);
        failed.refusal = failed.refusal.about_proofs(proofs);
        return Err(failed);
    }
    let Some((document, members)) = document.and_then(|json| Some((json, json.members()?))) else {
        let fault = Error::unavailable(format!(
            "the server answered {} without a JSON object, at {}",
            response.status,
            context.url()
        ))
        .hint("this may be a login page or a proxy; check the network and the token URL");
        return Err(refused_for_now(&fault));
    };
    let clocks = Clocks::new(sent_at, response.date.as_deref());
    let token = match members.get("access_token").filter(|token| !token.is_null()) {
        None => Err(refusal_in_success(response.status, document, context)
            .unwrap_or_else(|| token::absent("has no access_token", context))),
        Some(access_token) => token::read(access_token, &members, sent_at, clocks, context),
    };
    token.map_err(|fault| {
        let mut failed = refused_for_now(&fault);
        let proofs = token::about_proofs(&members, context);
        failed.refusal = failed.refusal.about_proofs(proofs);
        failed
    })
}

/// A pause before a retry, so that many machines do not retry at the same moment.
pub(super) fn jitter() -> Duration {
    let mut random = [0; 1];
    // Without randomness, a fixed pause is still a pause.
    let _ = getrandom::fill(&mut random);
    Duration::from_millis(100 + u64::from(random[0]))
}

fn redirected(response: &HttpResponse, context: &ResponseContext<'_>) -> Error {
    let target = response.location.as_deref().unwrap_or_default();
    let target = match WebUrl::parse(target) {
        Ok(url) => format!("to {}", context.redactor.clean(url.origin())),
        Err(_) if target.starts_with('/') && !target.starts_with("//") => {
            format!("within {}", context.origin())
        }
        Err(_) => "to an address that is not a web URL".to_owned(),
    };
    Error::unavailable(format!(
        "{} answered {}, a redirect {target}, which is not followed: the secret is only for this endpoint",
        context.url(), response.status
    ))
    .hint(format!(
        "if the token endpoint has moved, {}",
        advice::set(
            context.name,
            "--token-url URL",
            "HALLPASS_TOKEN_URL to its new URL"
        )
    ))
}

fn refused_for_now(fault: &Error) -> FailedAttempt {
    FailedAttempt {
        refusal: TokenFailure::from_response(fault, Timestamp::now()),
        retry_in: None,
        needs_nonce: false,
    }
}

/// A failure that may pass, with the time to wait if the server named one.
fn failed(fault: Error, response: &HttpResponse, name: Option<&ProfileName>) -> FailedAttempt {
    let now = Timestamp::now();
    // A login never waits, and a profile of the environment has none.
    let at_once = match name {
        Some(name) if !name.is_from_environment() => {
            format!("; `hallpass login {name}` sends a request without waiting")
        }
        _ => String::new(),
    };
    let pause = match response.status {
        429 | 503 => response
            .retry_after
            .as_deref()
            .and_then(|value| retry_after(value, now)),
        _ => None,
    };
    match pause {
        Some(pause) => FailedAttempt {
            refusal: TokenFailure::retry_after(
                &fault.hint(format!(
                    "the server asked hallpass to wait {} (until {}){at_once}",
                    duration::in_words(pause),
                    now.plus(pause).date()
                )),
                now,
                pause,
            ),
            retry_in: Some(pause),
            needs_nonce: false,
        },
        None => FailedAttempt {
            retry_in: (response.status >= 500).then(jitter),
            refusal: TokenFailure::from_response(&fault, now),
            needs_nonce: false,
        },
    }
}

/// Seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too large for the type is a long time, too.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = Duration::try_from_secs_f64(date_header(value)?).ok()?;
    Some(Timestamp(0).plus(date).since(now))
}

#[cfg(all(test, unix))]
mod changed;
#[cfg(test)]
mod tests;
