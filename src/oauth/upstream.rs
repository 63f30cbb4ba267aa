//! Requests that carry a token to the server that a profile is bound to, with bodies that are streamed.

use std::error::Error as StdError;
use std::time::Duration;

use hyper::body::{Body, Bytes};
use hyper::http::{HeaderMap, Method, Response};
use reqwest::{Client, Request, Url};

use super::http::{Setup, broken, no_authorities, tls_versions};
use super::proxy::Proxy;
use super::transport_error::{Route, TransportError};
use super::trust::{Extent, Trust};
use crate::error::{Error, Result};
use crate::profile::selected::SelectedProfile;
use crate::profile::{ProfileName, TokenEndpoint};
use crate::types::web_url::WebUrl;

/// The body of a response.
pub(crate) type UpstreamBody = reqwest::Body;

/// How long a connection that is not used is kept.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// A client of one server, which keeps connections.
pub(crate) struct Upstream {
    client: Client,
    name: ProfileName,
    origin: String,
    route: Route,
    connect_limit: Duration,
}

impl Upstream {
    /// With the certificate authorities of the profile, and the proxy of the environment. All
    /// authorities that the system trusts are read: a request cannot be repeated with more of them.
    ///
    /// # Errors
    /// The certificates or the proxy cannot be used.
    pub(crate) fn to(url: &WebUrl, selected: &SelectedProfile) -> Result<Self> {
        let SelectedProfile { name, profile, .. } = selected;
        let endpoint = TokenEndpoint::parse(url.as_str());
        let endpoint = endpoint.map_err(|fault| Error::usage(format!("the bound URL {fault}")))?;
        let trust = || {
            let recorded = profile.trust.clone();
            Trust::new(profile.ca_file.as_deref(), recorded, Some(name))
        };
        let setup = Setup {
            trust: endpoint.is_https().then(trust).transpose()?,
            identity: None,
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
    ) -> Result<Response<UpstreamBody>>
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let url = Url::parse(url).map_err(|_| broken())?;
        let mut request = Request::new(method, url);
        *request.headers_mut() = headers;
        *request.body_mut() = body.map(UpstreamBody::wrap);
        match self.client.execute(request).await {
            Ok(response) => Ok(response.into()),
            Err(error) => {
                let route = self.route.clone();
                let error = TransportError::Network { error, route };
                Err(error.error(&self.origin, self.connect_limit, Some(&self.name)))
            }
        }
    }
}

/// The absolute URL of a `Location` in the response to a request for `base` (RFC 9110 §10.2.2).
pub(crate) fn resolve_location(base: &str, location: &str) -> Option<String> {
    let resolved = Url::parse(base).ok()?.join(location).ok()?;
    Some(resolved.into())
}
