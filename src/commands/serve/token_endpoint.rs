//! The token endpoint of `--as-token-endpoint`: answers as an authorization server does (RFC 6749
//! §4.4), for clients that know no other way to a token.
//!
//! That of `--socket` is for hallpass in a container, which also says which URL a token is for.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::admission::Admission;
use super::body::{RequestBody, ResponseBody};
use super::progress::Progress;
use super::rejection::Rejection;
use super::responses::{json, refused};
use super::route::Address;
use crate::commands::upstream::tokens::{Failure, Token, Tokens};
use crate::error::Kind;
use crate::profile::binding::Binding;
use crate::types::token::Timestamp;
use crate::types::web_url::{WebUrl, decode_lossy};

/// Where tokens are, below the key.
pub(super) const PATH: &str = "/token";

/// A token endpoint for one profile.
pub(super) struct TokenEndpoint {
    pub(super) admission: Admission,
    /// None at a socket, which only this user can connect to.
    pub(super) address: Option<Address>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    binding: Option<&'a Binding>,
}

/// A response without one (RFC 6749 §5.2).
#[derive(Serialize)]
struct Refused<'a> {
    error: &'a str,
    error_description: &'a str,
}

impl TokenEndpoint {
    /// Answers a request. `rejection` says whether the connection has refused it.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        rejection: Option<Rejection>,
    ) -> Response<ResponseBody> {
        if let Err(rejection) = self.admit(&request, rejection) {
            return refused(rejection);
        }
        if *request.method() != Method::POST {
            let mut response = refused(Rejection::Method);
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let (parts, body) = request.into_parts();
        let body = match RequestBody::read(body, self.limit, &Progress::new()).await {
            Ok(body) => body,
            Err(rejection) => return refused(rejection),
        };
        let bytes = body.into_bytes().await;
        let form = bytes.as_ref().filter(|_| is_form(&parts.headers));
        let Some(form) = form.and_then(|bytes| str::from_utf8(bytes).ok()) else {
            return error("invalid_request", "send the parameters as a form");
        };
        // The credentials of the client and its scope do not matter: the profile has its own.
        match parameter(form, "grant_type").as_deref() {
            Some("client_credentials") => {}
            Some(_) => return error("unsupported_grant_type", "use client_credentials"),
            None => return error("invalid_request", "send a grant_type"),
        }
        let token = match self.tokens.lasting().await {
            Ok(token) => token,
            Err(failure) => return no_token(&failure),
        };
        if self.address.is_some() {
            return issued(&token, None);
        }
        let is_other = |name: String| name != self.tokens.profile().as_str();
        if parameter(form, "profile").is_some_and(is_other) {
            return refused(Rejection::NotFound);
        }
        let Some(url) = parameter(form, "url") else {
            return issued(&token, None);
        };
        match WebUrl::parse_service(&url)
            .ok()
            .and_then(|url| token.binding(&url))
        {
            Some(binding) => issued(&token, Some(binding)),
            None => refused(Rejection::NotFound),
        }
    }

    fn admit(
        &self,
        request: &Request<Incoming>,
        rejection: Option<Rejection>,
    ) -> Result<(), Rejection> {
        rejection.map_or(Ok(()), Err)?;
        self.admission.check(request)?;
        let path = request.uri().path();
        let rest = match &self.address {
            Some(address) => address.without_key(path)?,
            None => path,
        };
        if rest == PATH {
            Ok(())
        } else {
            Err(Rejection::NotFound)
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
pub(super) fn parameter(form: &str, name: &str) -> Option<String> {
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(found, _)| decode_lossy(found) == name);
    let (_, value) = values.next()?;
    values.next().is_none().then(|| decode_lossy(value))
}

fn issued(token: &Token, binding: Option<&Binding>) -> Response<ResponseBody> {
    let cached = &token.cached;
    json(
        StatusCode::OK,
        &Issued {
            access_token: cached.access_token.expose(),
            token_type: &cached.token_type,
            expires_in: cached.expires_at.since(Timestamp::now()).as_secs(),
            scope: token.scope.as_deref(),
            binding,
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
