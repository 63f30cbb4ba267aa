//! One request: checked, sent on with a token, and once more with another one after a 401.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONTENT_LOCATION, HOST, HeaderMap, LINK, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::admission::Admission;
use super::body::{Paced, RequestBody, ResponseBody};
use super::connection::ConnectionState;
use super::headers::{asks_for_websocket, change, of_request, of_response};
use super::progress::Progress;
use super::rejection::Rejection;
use super::responses::{later, no_token, refused, text};
use super::route::{References, Route};
use crate::commands::upstream::proofs::{ApiRequest, refuses_token, wanted_nonce};
use crate::commands::upstream::race::{First, first};
use crate::commands::upstream::tokens::{Token, Tokens};
use crate::error::Kind;
use crate::message;
use crate::oauth::{Upstream, UpstreamBody};
use crate::types::dpop::Nonce;
use crate::types::duration;
use crate::types::web_url::WebUrl;

/// What all connections of a listener use.
pub(super) struct Proxy {
    pub(super) admission: Admission,
    pub(super) route: Route,
    pub(super) tokens: Tokens,
    pub(super) upstream: Upstream,
    /// How long either side may pause within a request.
    pub(super) limit: Duration,
    /// About requests, to say it once.
    pub(super) last_warning: Mutex<String>,
}

const WANTS_NONCE: &str = "the API wants a new nonce in the proof (DPoP), and the body of the request is too long to be sent again; send the request again";

/// A request that may be sent on.
struct Admitted {
    method: Method,
    url: WebUrl,
    headers: HeaderMap,
    is_websocket: bool,
}

impl Proxy {
    /// Answers a request. `rejection` says whether the connection has refused it.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        rejection: Option<Rejection>,
        connection: &ConnectionState,
    ) -> Response<ResponseBody> {
        let url = match self.admit(&request, rejection) {
            Ok(url) => url,
            Err(rejection) => return refused(rejection),
        };
        let path = url.path().to_owned();
        let method = request.method().clone();
        let response = self.forward(request, url, connection).await;
        message::step(|| format!("{method} {path}: {}", response.status().as_u16()));
        response
    }

    fn admit(
        &self,
        request: &Request<Incoming>,
        rejection: Option<Rejection>,
    ) -> Result<WebUrl, Rejection> {
        if let Some(rejection) = rejection {
            return Err(rejection);
        }
        self.admission.check(request)?;
        let target = request.uri().path_and_query().ok_or(Rejection::NotFound)?;
        let rest = self.route.address.without_key(target.as_str())?;
        self.route.upstream_url(rest)
    }

    async fn forward(
        &self,
        mut request: Request<Incoming>,
        url: WebUrl,
        connection: &ConnectionState,
    ) -> Response<ResponseBody> {
        let client = hyper::upgrade::on(&mut request);
        let (parts, body) = request.into_parts();
        let admitted = Admitted {
            is_websocket: asks_for_websocket(&parts.method, parts.version, &parts.headers),
            method: parts.method,
            url,
            headers: parts.headers,
        };
        let progress = Progress::new();
        let body = match RequestBody::read(body, self.limit, &progress).await {
            Ok(body) => body,
            Err(rejection) => return refused(rejection),
        };
        let sent = match self.tokens.current().await {
            Ok(token) => self.send_with(&admitted, body, token, &progress).await,
            Err(failure) => return no_token(&failure),
        };
        let mut response = match sent {
            Ok(response) => response,
            Err(response) => return response,
        };
        let is_upgraded =
            admitted.is_websocket && response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if is_upgraded {
            let server = hyper::upgrade::on(&mut response);
            let tunnel = tokio::spawn(async move {
                if let (Ok(client), Ok(server)) = (client.await, server.await) {
                    let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
                    // Either side may close the connection at any time.
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            });
            connection.upgrade(tunnel);
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS && !is_upgraded {
            let origin = admitted.url.origin();
            let unusable = format!("no usable response from {origin}: it changes the protocol");
            return text(StatusCode::BAD_GATEWAY, &unusable);
        }
        self.passed_on(&admitted, response, is_upgraded, progress)
    }

    /// Sends a request, and once more with another token if this one was refused.
    async fn send_with(
        &self,
        admitted: &Admitted,
        body: RequestBody,
        token: Arc<Token>,
        progress: &Progress,
    ) -> Result<Response<UpstreamBody>, Response<ResponseBody>> {
        let replay = body.replay();
        let response = self.send(admitted, body, &token, progress).await?;
        if !refuses_token(&token, &response) {
            return Ok(response);
        }
        // Also for a body that cannot be sent again: the next request needs another token, too.
        let Some(other) = self.tokens.other_than(&token).await else {
            return Ok(response);
        };
        let Some(body) = replay.body() else {
            return Ok(response);
        };
        let response = self.send(admitted, body, &other, progress).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            self.tokens.replacement_was_accepted();
        }
        Ok(response)
    }

    /// Sends a request, and once more if the server wants its nonce in the proof.
    async fn send(
        &self,
        admitted: &Admitted,
        body: RequestBody,
        token: &Token,
        progress: &Progress,
    ) -> Result<Response<UpstreamBody>, Response<ResponseBody>> {
        let replay = body.replay();
        let nonce = self.tokens.nonce();
        let response = self.send_once(admitted, body, token, nonce, progress);
        let response = response.await?;
        let Some(nonce) = wanted_nonce(token, &response) else {
            return Ok(response);
        };
        let Some(body) = replay.body() else {
            // The client knows nothing of nonces. The next request has this one.
            self.warn(WANTS_NONCE);
            return Err(later(WANTS_NONCE));
        };
        message::step(|| {
            let (method, path) = (&admitted.method, admitted.url.path());
            format!("{method} {path}: again, with the server's nonce")
        });
        self.send_once(admitted, body, token, Some(nonce), progress)
            .await
    }

    async fn send_once(
        &self,
        admitted: &Admitted,
        body: RequestBody,
        token: &Token,
        nonce: Option<Nonce>,
        progress: &Progress,
    ) -> Result<Response<UpstreamBody>, Response<ResponseBody>> {
        let request = ApiRequest {
            method: &admitted.method,
            url: &admitted.url,
            headers: of_request(&admitted.headers, &token.name, admitted.is_websocket),
        };
        let (tokens, upstream) = (&self.tokens, &self.upstream);
        let sent = tokens.send(upstream, token, request, body.into_some(), nonce);
        progress.made();
        match first(sent, progress.server_pauses_for(self.limit)).await {
            First::Left(Ok(response)) => Ok(response),
            First::Left(Err(_)) if progress.is_client_late() => {
                Err(refused(Rejection::BodyTooLate))
            }
            First::Left(Err(error)) => {
                let fault = error.to_string();
                // As for a token that cannot be got.
                if error.kind == Kind::Locked {
                    self.warn(&fault);
                }
                Err(text(StatusCode::BAD_GATEWAY, &fault))
            }
            First::Right(()) => {
                let origin = admitted.url.origin();
                let limit = duration::in_words(self.limit);
                let late = format!("{origin} did not answer within {limit}");
                Err(text(StatusCode::GATEWAY_TIMEOUT, &late))
            }
        }
    }

    /// Prints a warning, unless it was the last one.
    fn warn(&self, warning: &str) {
        let last = self.last_warning.lock();
        let mut last = last.unwrap_or_else(PoisonError::into_inner);
        if *last != warning {
            warning.clone_into(&mut last);
            message::warning(warning);
        }
    }

    fn passed_on(
        &self,
        admitted: &Admitted,
        response: Response<UpstreamBody>,
        is_upgraded: bool,
        progress: Progress,
    ) -> Response<ResponseBody> {
        let (parts, body) = response.into_parts();
        let has_no_body =
            admitted.method == Method::HEAD || parts.status == StatusCode::NOT_MODIFIED;
        let mut headers = of_response(&parts.headers, has_no_body, is_upgraded);
        let host = admitted.headers.get(HOST).and_then(|it| it.to_str().ok());
        let references = References {
            route: &self.route,
            url: &admitted.url,
            host: host.unwrap_or_default(),
        };
        change(&mut headers, LOCATION, |it| references.location(it));
        change(&mut headers, CONTENT_LOCATION, |it| references.location(it));
        change(&mut headers, LINK, |it| Some(references.links(it)));
        let body = if is_upgraded {
            ResponseBody::Own(None)
        } else {
            ResponseBody::Upstream(Paced::of_response(body, self.limit, progress))
        };
        let mut passed_on = Response::new(body);
        *passed_on.status_mut() = parts.status;
        *passed_on.headers_mut() = headers;
        passed_on
    }
}
