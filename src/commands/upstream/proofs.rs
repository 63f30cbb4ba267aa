//! Requests to an API with a token, and with a proof of possession if the token is bound to a key
//! (RFC 9449 §7 to §9).

use std::error::Error as StdError;

use hyper::body::{Body, Bytes};
use hyper::header::{HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Response, StatusCode};
use tokio::task::spawn_blocking;

use super::tokens::{Token, Tokens};
use crate::error::{Error, Result};
use crate::oauth::{ProvenRequest, Unanswered, Upstream, UpstreamBody, asks_for_nonce};
use crate::types::dpop::Nonce;
use crate::types::web_url::WebUrl;

/// The header with the proof. A client's own one is never sent on.
pub(in crate::commands) const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// A request to an API, without what carries the token.
pub(in crate::commands) struct ApiRequest<'a> {
    pub(in crate::commands) method: &'a Method,
    pub(in crate::commands) url: &'a WebUrl,
    pub(in crate::commands) headers: HeaderMap,
}

impl Tokens {
    /// Sends a request with this token, and once more if the server closed the connection instead of a
    /// response to a safe request without a body. The nonce of a repeated request is the one in the response
    /// to the last try, because others may have used newer ones.
    ///
    /// # Errors
    /// `Unavailable` if there is no response, `Locked` when another program does not sign the proof.
    pub(in crate::commands) async fn send<B>(
        &self,
        upstream: &Upstream,
        token: &Token,
        request: ApiRequest<'_>,
        body: Option<B>,
        nonce: Option<Nonce>,
    ) -> Result<Response<UpstreamBody>>
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let response = self.answer(upstream, token, request, body, nonce.as_ref());
        let response = response.await?;
        if token.is_bound()
            && let Some(newest) = nonce_of(&response)
        {
            self.set_nonce(newest);
        }
        Ok(response)
    }

    async fn answer<B>(
        &self,
        upstream: &Upstream,
        token: &Token,
        request: ApiRequest<'_>,
        body: Option<B>,
        nonce: Option<&Nonce>,
    ) -> Result<Response<UpstreamBody>>
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let ApiRequest {
            method,
            url,
            mut headers,
        } = request;
        let mut again = body.is_none().then(|| headers.clone());
        authorize(token, &mut headers, method, url, nonce).await?;
        let sent = upstream.send(method.clone(), url.as_str(), headers, body);
        match sent.await {
            Ok(response) => Ok(response),
            Err(Unanswered { error, may_repeat }) => {
                let Some(mut headers) = again.take().filter(|_| may_repeat) else {
                    return Err(error);
                };
                // With a proof of its own: a server may have seen the first one.
                authorize(token, &mut headers, method, url, nonce).await?;
                let sent = upstream.send(method.clone(), url.as_str(), headers, None::<B>);
                sent.await.map_err(|_| error)
            }
        }
    }
}

/// Whether the server refused the token, and does not only ask for a nonce.
pub(in crate::commands) fn refuses_token<B>(token: &Token, response: &Response<B>) -> bool {
    response.status() == StatusCode::UNAUTHORIZED && wanted_nonce(token, response).is_none()
}

/// The nonce that the server only asks for in the proof: then the token was not refused.
pub(in crate::commands) fn wanted_nonce<B>(token: &Token, response: &Response<B>) -> Option<Nonce> {
    if !token.is_bound() || response.status() != StatusCode::UNAUTHORIZED {
        return None;
    }
    let challenges = response.headers().get_all(WWW_AUTHENTICATE).iter();
    let mut challenges = challenges.filter_map(|challenge| challenge.to_str().ok());
    nonce_of(response).filter(|_| challenges.any(asks_for_nonce))
}

fn nonce_of<B>(response: &Response<B>) -> Option<Nonce> {
    let nonce = response.headers().get(DPOP_NONCE)?;
    Nonce::parse(nonce.to_str().ok()?).ok()
}

/// Sets the header that carries the token, and a proof for this request if the token is bound to a key.
/// A request that is repeated needs another proof.
///
/// # Errors
/// `Locked` when another program does not sign.
async fn authorize(
    token: &Token,
    headers: &mut HeaderMap,
    method: &Method,
    url: &WebUrl,
    nonce: Option<&Nonce>,
) -> Result<()> {
    headers.insert(token.name.clone(), token.value.clone());
    let Some(prover) = token.prover.clone() else {
        return Ok(());
    };
    let nonce = nonce.cloned();
    let access_token = token.cached.access_token.clone();
    let (method, url) = (method.clone(), url.clone());
    let is_external = prover.is_external();
    let sign = move || {
        prover.proof_of(&ProvenRequest {
            method: method.as_str(),
            url: &url,
            token: Some(&access_token),
            nonce: nonce.as_ref(),
        })
    };
    // Another program may wait for a person.
    let proof = if is_external {
        let proof = spawn_blocking(sign).await;
        proof.unwrap_or_else(|_| Err(Error::broken("cannot start a thread")))?
    } else {
        sign()?
    };
    let proof = HeaderValue::from_str(&proof);
    let mut proof = proof.map_err(|_| Error::broken("the proof cannot be sent in a header"))?;
    proof.set_sensitive(true);
    headers.insert(DPOP, proof);
    Ok(())
}
