//! HTTP for one server: no state is kept between requests, and a response is read completely.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use reqwest::{Client, ClientBuilder, RequestBuilder, Response, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::content_encoding::{CodingFault, decode, is_json_object, starts_object};
use super::proxy::Proxy;
use super::response::HttpResponse;
use super::transport_error::{RAISE_LIMIT, Route, TransportError};
use super::trust::{Extent, Trust};
use crate::error::{Error, Result};
use crate::message;
use crate::platform;
use crate::policy;
use crate::profile::{Profile, ProfileName, TlsVersion, TokenEndpoint};

/// The largest body that is read, compressed or not.
const BODY_LIMIT: usize = 1024 * 1024;

/// A client for one server: the CAs it trusts, its client certificate, its proxy.
pub(super) struct Http {
    setup: Setup,
    client: Client,
    extent: Extent,
}

/// The settings of a client.
pub(super) struct Setup {
    /// None for plain http, which is allowed only on this machine.
    pub(super) trust: Option<Trust>,
    /// The client certificate (RFC 8705 §2).
    pub(super) identity: Option<Arc<SingleCertAndKey>>,
    pub(super) tls_versions: TlsVersions,
    pub(super) proxy: Option<Proxy>,
}

pub(super) type TlsVersions = &'static [&'static SupportedProtocolVersion];

const ONLY_TLS_1_2: TlsVersions = &[&rustls::version::TLS12];

impl Http {
    /// For an endpoint of a profile, with the key of its client certificate.
    pub(super) fn to(
        endpoint: &TokenEndpoint,
        profile: &Profile,
        name: Option<&ProfileName>,
        tls_key: Option<Arc<dyn SigningKey>>,
    ) -> Result<Self> {
        policy::current()?.check_endpoint(endpoint)?;
        let identity = tls_key.map(|key| identity(profile, key)).transpose()?;
        let trust = || Trust::new(profile.ca_file.as_deref(), profile.trust.clone(), name);
        Self::new(endpoint, trust, identity, tls_versions(profile))
    }

    /// For an issuer, before there is a profile.
    pub(super) fn to_issuer(url: &TokenEndpoint, ca_file: Option<&Path>) -> Result<Self> {
        let trust = || Trust::new(ca_file, super::trust_in_effect(None)?, None);
        Self::new(url, trust, None, rustls::DEFAULT_VERSIONS)
    }

    fn new(
        endpoint: &TokenEndpoint,
        trust: impl FnOnce() -> Result<Trust>,
        identity: Option<Arc<SingleCertAndKey>>,
        tls_versions: TlsVersions,
    ) -> Result<Self> {
        let setup = Setup {
            trust: endpoint.is_https().then(trust).transpose()?,
            identity,
            tls_versions,
            proxy: Proxy::to(endpoint)?,
        };
        for extent in [Extent::Usual, Extent::Everything] {
            if let Some(client) = setup.client(extent)? {
                return Ok(Self {
                    setup,
                    client,
                    extent,
                });
            }
        }
        Err(no_authorities())
    }

    /// Sends a request, and reads the response.
    pub(super) async fn exchange(
        &self,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> std::result::Result<HttpResponse, TransportError> {
        self.exchange_up_to(BODY_LIMIT, request).await
    }

    /// The same with another limit of the body in bytes. With 0, only the head of the response is read.
    pub(super) async fn exchange_up_to(
        &self,
        limit: usize,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> std::result::Result<HttpResponse, TransportError> {
        match self.attempt(request(&self.client), limit).await {
            // The request has not been sent: the handshake comes first.
            Err(fault) if self.extent == Extent::Usual && fault.is_unknown_issuer() => {
                match self.setup.client(Extent::Everything) {
                    Ok(Some(client)) => self.attempt(request(&client), limit).await,
                    _ => Err(fault),
                }
            }
            outcome => outcome,
        }
    }

    async fn attempt(
        &self,
        request: RequestBuilder,
        limit: usize,
    ) -> std::result::Result<HttpResponse, TransportError> {
        let fault = |error| {
            let proxy = self.setup.proxy.as_ref();
            let trust = self.setup.trust.as_ref();
            let route = Route {
                proxy: proxy.map(|proxy| (proxy.variable, proxy.url.origin().to_owned())),
                distrusted: trust.and_then(Trust::changed),
            };
            TransportError::Network { error, route }
        };
        let (client, request) = request.build_split();
        let request = request.map_err(fault)?;
        // A query can have a secret.
        let url = request.url().as_str().split('?').next().unwrap_or_default();
        message::step(|| self.setup.route());
        message::step(|| format!("request: {} {url}", request.method()));
        let started = Instant::now();
        let sent = client.execute(request).await;
        let received = match sent {
            Ok(response) => receive(response, limit, fault).await,
            Err(error) => Err(fault(error)),
        };
        message::step(|| {
            let milliseconds = started.elapsed().as_millis();
            match &received {
                Ok(HttpResponse { status, body, .. }) => {
                    let size = body.len();
                    format!("response: {status}, {size} bytes, after {milliseconds} ms")
                }
                Err(_) => format!("response: none, after {milliseconds} ms"),
            }
        });
        received
    }
}

/// The versions of TLS that a profile allows.
pub(super) fn tls_versions(profile: &Profile) -> TlsVersions {
    match profile.tls_max {
        Some(TlsVersion::V1_2) => ONLY_TLS_1_2,
        Some(TlsVersion::V1_3) | None => rustls::DEFAULT_VERSIONS,
    }
}

/// The error if there is nothing to trust.
pub(super) fn no_authorities() -> Error {
    if platform::is_short_of_descriptors() {
        let error = Error::broken("cannot read the CA certificates: too many open files");
        return error.hint(RAISE_LIMIT);
    }
    Error::locked("this machine trusts no certificate authority").hint(
        "install the system's CA certificates (Debian: ca-certificates), or set SSL_CERT_FILE at the login",
    )
}

impl Setup {
    /// The proxy and the authorities, for a step.
    fn route(&self) -> String {
        let proxy = match &self.proxy {
            Some(proxy) => format!("{} ({})", proxy.url.origin(), proxy.variable),
            None => "none".to_owned(),
        };
        match &self.trust {
            Some(trust) => format!("route: proxy {proxy}, CA certificates {}", trust.source()),
            None => "route: no proxy and no TLS".to_owned(),
        }
    }

    /// None if there is nothing to trust in this extent.
    fn client(&self, extent: Extent) -> Result<Option<Client>> {
        let Some(builder) = self.builder(extent)? else {
            return Ok(None);
        };
        let builder = builder
            .user_agent(concat!("hallpass/", env!("CARGO_PKG_VERSION")))
            // RFC 9112 §5.1 and §5.2 allow these.
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            // One unreadable header must not hide the token.
            .http1_ignore_invalid_headers_in_responses(true);
        builder.build().map(Some).map_err(|_| broken())
    }

    /// A client that follows no redirect and does not retry. None if there is nothing to trust.
    pub(super) fn builder(&self, extent: Extent) -> Result<Option<ClientBuilder>> {
        let Some(tls) = self.tls(extent)? else {
            return Ok(None);
        };
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tls_backend_preconfigured(tls)
            // Only the proxy that was chosen here.
            .no_proxy();
        if let Some(proxy) = &self.proxy {
            let mut server = reqwest::Proxy::all(proxy.url.as_str()).map_err(|_| broken())?;
            if let Some((user, password)) = &proxy.credentials {
                server = server.basic_auth(user, password);
            }
            builder = builder.proxy(server);
        }
        Ok(Some(builder))
    }

    pub(super) fn tls(&self, extent: Extent) -> Result<Option<ClientConfig>> {
        let unusable = |_| Error::broken("cannot set up TLS");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.tls_versions)
            .map_err(unusable)?;
        let Some(trust) = &self.trust else {
            let none = RootCertStore::empty();
            return Ok(Some(
                builder.with_root_certificates(none).with_no_client_auth(),
            ));
        };
        let Some(verifier) = trust.verifier(extent, &provider)? else {
            return Ok(None);
        };
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::clone(identity) as _),
            None => builder.with_no_client_auth(),
        };
        // A server with only HTTP/2 can then report that.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(config))
    }
}

pub(super) fn broken() -> Error {
    Error::broken("cannot set up HTTP")
}

/// The certificate of a profile, with its key.
pub(super) fn identity(
    profile: &Profile,
    key: Arc<dyn SigningKey>,
) -> Result<Arc<SingleCertAndKey>> {
    let path = profile.certificate.as_deref().unwrap_or(Path::new(""));
    let unusable = || Error::locked(format!("cannot use the certificate {}", path.display()));
    let pem = std::fs::read(path).map_err(|error| unusable().because(error))?;
    // Later errors would not name the file.
    let misfit = |error: rustls::Error| {
        let message = unusable().message;
        match error {
            rustls::Error::NoCertificatesPresented => {
                Error::locked(format!("{message}: it has no PEM certificate"))
            }
            rustls::Error::InconsistentKeys(_) => {
                Error::locked(format!("{message}: it does not belong to the private key"))
                    .hint("use the certificate that was issued for this key")
            }
            _ => Error::locked(format!(
                "{message}: it is damaged, or its key is not supported"
            )),
        }
    };
    let chain: std::result::Result<_, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|_| misfit(CertificateError::BadEncoding.into()))?;
    let identity = CertifiedKey::new(chain, key);
    identity.keys_match().map_err(misfit)?;
    Ok(Arc::new(identity.into()))
}

/// Reads a response, up to the limit of its size.
async fn receive(
    mut response: Response,
    limit: usize,
    fault: impl Fn(reqwest::Error) -> TransportError,
) -> std::result::Result<HttpResponse, TransportError> {
    // Several lines of one name are one list (RFC 9110 §5.3).
    let header = |name| {
        let values = response.headers().get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    };
    let mut read = HttpResponse {
        status: response.status().as_u16(),
        retry_after: header("retry-after"),
        location: header("location"),
        www_authenticate: header("www-authenticate"),
        content_type: header("content-type"),
        date: header("date"),
        dpop_nonce: header("dpop-nonce"),
        body: Vec::new(),
    };
    if limit == 0 {
        return Ok(read);
    }
    let coding = header("content-encoding").unwrap_or_default();
    let cut_off = loop {
        match response.chunk().await {
            Ok(Some(chunk)) if read.body.len() + chunk.len() > limit => {
                return Err(TransportError::TooLarge);
            }
            Ok(Some(chunk)) => read.body.extend_from_slice(&chunk),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    read.body = match decode(&coding, read.body, limit) {
        Ok(body) => body,
        // The status is enough.
        Err(_) if read.status == 401 => Vec::new(),
        Err(CodingFault::TooLarge) => return Err(TransportError::TooLarge),
        Err(CodingFault::Unreadable(text)) => {
            return Err(cut_off.map_or(TransportError::Unreadable(text), fault));
        }
    };
    match cut_off {
        // Many servers end a TLS connection without close_notify: only a success, or the beginning
        // of an object, needs the rest of the body.
        Some(error) if is_cut_short(&read) => Err(fault(error)),
        _ => Ok(read),
    }
}

fn is_cut_short(read: &HttpResponse) -> bool {
    let has_content = (200..300).contains(&read.status) || starts_object(&read.body);
    has_content && !is_json_object(&read.body)
}
