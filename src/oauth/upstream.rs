//! Requests that carry a token to the server that a profile is bound to, with bodies that are streamed.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use hyper::body::{Body, Bytes};
use hyper::header::WWW_AUTHENTICATE;
use hyper::http::{HeaderMap, Method, Response};
use reqwest::{Client, Request, Url};

use super::challenge::Challenge;
use super::client_auth::tls_key;
use super::http::{Setup, broken, identity, no_authorities, tls_versions};
use super::proxy::Proxy;
use super::transport_error::{Route, TransportError};
use super::trust::{Extent, Trust};
use crate::error::{Error, Result};
use crate::profile::selected::SelectedProfile;
use crate::profile::{ProfileName, TokenEndpoint};
use crate::types::secret::Credential;
use crate::types::web_url::WebUrl;

/// The body of a response.
pub(crate) type UpstreamBody = reqwest::Body;

/// How long a connection that is not used is kept.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// Why there is no response.
pub(crate) struct Unanswered {
    pub(crate) error: Error,
    /// The server closed the connection, perhaps before the request, which is safe and has no body.
    pub(crate) may_repeat: bool,
}

/// A client of one server, which keeps connections.
pub(crate) struct Upstream {
    client: Client,
    name: ProfileName,
    origin: String,
    route: Route,
    connect_limit: Duration,
}

impl Upstream {
    /// With the certificate authorities of the profile, the proxy of the environment, and the profile's
    /// client certificate, whose key is one of these: a token can be bound to it (RFC 8705 §3). All
    /// authorities that the system trusts are read: a request cannot be repeated with more of them.
    ///
    /// # Errors
    /// The certificates, the key or the proxy cannot be used.
    pub(crate) fn to(
        url: &WebUrl,
        selected: &SelectedProfile,
        credential: Option<&Credential>,
        certificate_key: Option<&Credential>,
    ) -> Result<Self> {
        let SelectedProfile { name, profile, .. } = selected;
        let endpoint = TokenEndpoint::parse(url.as_str());
        let endpoint = endpoint.map_err(|fault| Error::usage(format!("the bound URL {fault}")))?;
        let trust = || {
            let recorded = profile.trust.clone();
            Trust::new(profile.ca_file.as_deref(), recorded, Some(name))
        };
        let tls_key = tls_key(profile, Some(name), credential, certificate_key)?;
        let setup = Setup {
            trust: endpoint.is_https().then(trust).transpose()?,
            identity: tls_key.map(|key| identity(profile, key)).transpose()?,
            tls_versions: tls_versions(profile),
            proxy: Proxy::to(&endpoint)?,
        };
        let connect_limit = profile.timeout();
        let builder = setup.builder(Extent::Everything)?;
        let client = builder
            .ok_or_else(no_authorities)?
            .connect_timeout(connect_limit)
            .pool_idle_timeout(IDLE_LIMIT)
            .build()
            .map_err(|_| broken())?;
        let proxy = setup.proxy.as_ref();
        Ok(Self {
            client,
            name: name.clone(),
            origin: url.origin().to_owned(),
            route: Route {
                proxy: proxy.map(|proxy| (proxy.variable, proxy.url.origin().to_owned())),
                distrusted: setup.trust.as_ref().and_then(Trust::changed),
            },
            connect_limit,
        })
    }

    /// Sends a request, and returns as soon as the head of the response is there.
    ///
    /// # Errors
    /// `Unavailable` if there is no response.
    pub(crate) async fn send<B>(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Option<B>,
    ) -> std::result::Result<Response<UpstreamBody>, Unanswered>
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let url = Url::parse(url).map_err(|_| Unanswered {
            error: broken(),
            may_repeat: false,
        })?;
        let is_repeatable = body.is_none() && method.is_safe();
        let mut request = Request::new(method, url);
        *request.headers_mut() = headers;
        *request.body_mut() = body.map(UpstreamBody::wrap);
        match self.client.execute(request).await {
            Ok(response) => Ok(response.into()),
            Err(error) => {
                let may_repeat = is_repeatable && is_of_closed_connection(&error);
                let route = self.route.clone();
                let error = TransportError::Network { error, route };
                Err(Unanswered {
                    error: error.error(&self.origin, self.connect_limit, Some(&self.name)),
                    may_repeat,
                })
            }
        }
    }
}

/// Why a server refused a token, in its own words (RFC 6750 §3).
pub(crate) fn bearer_error(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    let mut challenges =
        values.flat_map(|value| Challenge::all(value.to_str().unwrap_or_default()));
    let challenge = challenges.find(Challenge::is_bearer)?;
    let error = challenge.parameter("error")?;
    let scope = challenge
        .parameter("scope")
        .filter(|_| error == "insufficient_scope");
    let needed = scope.map(|scope| format!("it needs the scope {scope}"));
    let description = challenge.parameter("error_description").map(str::to_owned);
    let more: Vec<_> = [description, needed].into_iter().flatten().collect();
    Some(if more.is_empty() {
        error.to_owned()
    } else {
        format!("{error} ({})", more.join("; "))
    })
}

/// Whether the server closed the connection instead of a response: it may have done so just as a
/// connection that it kept was used again (RFC 9112 §9.3.1).
fn is_of_closed_connection(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let of_hyper = error.downcast_ref::<hyper::Error>();
        if of_hyper.is_some_and(hyper::Error::is_incomplete_message) {
            return true;
        }
        let of_system = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if let Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) = of_system {
            return true;
        }
        source = error.source();
    }
    false
}

/// The absolute URL of a `Location` in the response to a request for `base` (RFC 9110 §10.2.2).
pub(crate) fn resolve_location(base: &str, location: &str) -> Option<String> {
    let resolved = Url::parse(base).ok()?.join(location).ok()?;
    Some(resolved.into())
}
