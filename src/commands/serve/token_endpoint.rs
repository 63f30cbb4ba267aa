//! The token endpoint of `--as-token-endpoint`: answers as an authorization server does (RFC 6749
//! §4.4), for clients that know no other way to a token.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::admission::Admission;
use super::answer::{json, refused};
use super::body::{RequestBody, ResponseBody};
use super::refusal::Refusal;
use super::route::Address;
use super::tokens::{Failure, Token, Tokens};
use crate::error::Kind;
use crate::types::token::Timestamp;
use crate::types::web_url::decode_lossy;

/// Where tokens are, below the key.
pub(super) const PATH: &str = "/token";

/// A token endpoint for one profile.
pub(super) struct TokenEndpoint {
    pub(super) admission: Admission,
    pub(super) address: Address,
    pub(super) tokens: Tokens,
    /// How long the client may take for its request.
    pub(super) limit: Duration,
}

/// A response with a token (RFC 6749 §5.1).
#[derive(Serialize)]
struct Issued<'a> {
    access_token: &'a str,
    token_type: &'a str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

/// A response without one (RFC 6749 §5.2).
#[derive(Serialize)]
struct Refused<'a> {
    error: &'a str,
    error_description: &'a str,
}

impl TokenEndpoint {
    /// Answers a request. `refusal` says whether the connection has refused it.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        refusal: Option<Refusal>,
    ) -> Response<ResponseBody> {
        if let Err(refusal) = self.admit(&request, refusal) {
            return refused(refusal);
        }
        if *request.method() != Method::POST {
            let mut response = refused(Refusal::Method);
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let (parts, body) = request.into_parts();
        let body = match RequestBody::read(body, self.limit).await {
            Ok(body) => body,
            Err(refusal) => return refused(refusal),
        };
        let form = match &body {
            RequestBody::Kept(bytes) if is_form(&parts.headers) => str::from_utf8(bytes).ok(),
            _ => None,
        };
        let Some(form) = form else {
            return error("invalid_request", "send the parameters as a form");
        };
        // The credentials of the client and its scope do not matter: the profile has its own.
        match parameter(form, "grant_type").as_deref() {
            Some("client_credentials") => {}
            Some(_) => return error("unsupported_grant_type", "use client_credentials"),
            None => return error("invalid_request", "send a grant_type"),
        }
        match self.tokens.current().await {
            Ok(token) => issued(&token),
            Err(failure) => no_token(&failure),
        }
    }

    fn admit(&self, request: &Request<Incoming>, refusal: Option<Refusal>) -> Result<(), Refusal> {
        refusal.map_or(Ok(()), Err)?;
        self.admission.check(request)?;
        let rest = self.address.without_key(request.uri().path())?;
        if rest == PATH {
            Ok(())
        } else {
            Err(Refusal::NotFound)
        }
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let content_type = content_type.and_then(|text| text.split(';').next());
    content_type.is_some_and(|text| {
        text.trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

/// The value of a parameter that is given once.
fn parameter(form: &str, name: &str) -> Option<String> {
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(found, _)| decode_lossy(found) == name);
    let (_, value) = values.next()?;
    values.next().is_none().then(|| decode_lossy(value))
}

fn issued(token: &Token) -> Response<ResponseBody> {
    let cached = &token.cached;
    json(
        StatusCode::OK,
        &Issued {
            access_token: cached.access_token.expose(),
            token_type: &cached.token_type,
            expires_in: cached.expires_at.since(Timestamp::now()).as_secs(),
            scope: token.scope.as_deref(),
        },
    )
}

fn error(error: &str, error_description: &str) -> Response<ResponseBody> {
    json(
        StatusCode::BAD_REQUEST,
        &Refused {
            error,
            error_description,
        },
    )
}

fn no_token(failure: &Failure) -> Response<ResponseBody> {
    let (status, error) = match failure.kind {
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        Kind::Refused => (StatusCode::BAD_REQUEST, "unauthorized_client"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
    };
    let error_description = &failure.text;
    json(
        status,
        &Refused {
            error,
            error_description,
        },
    )
}
