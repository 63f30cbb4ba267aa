//! The way to a token endpoint, one step after the other, without a credential in any request.

use std::net::IpAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{timeout, timeout_at};

use super::client_auth::tls_key;
use super::exchange::within;
use super::http::Http;
use super::lifetime::{CLOCK_TOLERANCE, date_header, wrong_clock};
use super::proxy::Proxy;
use super::transport_error::TransportError;
use super::transport_error::connection::{CHECK_NETWORK, UNRESOLVED};
use crate::error::{Error, Result};
use crate::profile::{Profile, ProfileName, TokenEndpoint};
use crate::types::secret::Credential;
use crate::types::token::Timestamp;
use crate::types::web_url::WebUrl;

/// The longest wait for a response that a server need not give.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How far a request without credentials came.
pub(crate) enum Reached {
    /// There is a response.
    Answered {
        /// The difference of the server's clock from this machine's, in seconds. None without a Date
        /// header.
        difference: Option<f64>,
    },
    /// The server accepted the connection, with TLS if it has any, and gave no response that can be read.
    /// Some servers do not answer HEAD.
    Connected,
    /// The server's port is open, and no response came in time, perhaps not even that of TLS.
    Open,
}

impl Reached {
    /// Whether there is a response.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self, Self::Answered { .. })
    }

    /// Whether the response has the server's time.
    pub(crate) fn has_time(&self) -> bool {
        self.difference().is_some()
    }

    /// The message about a clock that is wrong.
    pub(crate) fn wrong_clock(&self) -> Option<String> {
        let difference = self.difference()?;
        (difference.abs() > CLOCK_TOLERANCE).then(|| wrong_clock(difference))
    }

    fn difference(&self) -> Option<f64> {
        match self {
            Self::Answered { difference } => *difference,
            Self::Connected | Self::Open => None,
        }
    }
}

/// The proxy on the way to the token endpoint, and the variable that names it.
///
/// # Errors
/// `Usage` when the variable cannot be read.
pub(crate) fn proxy_to(endpoint: &TokenEndpoint) -> Result<Option<(String, &'static str)>> {
    let proxy = Proxy::to(endpoint)?;
    Ok(proxy.map(|proxy| (proxy.url.origin().to_owned(), proxy.variable)))
}

/// The addresses of the first host on the way to the token endpoint: the server, or its proxy.
///
/// # Errors
/// `Unavailable` when it has none, or no name server responds in time.
pub(crate) fn resolve(profile: &Profile, name: &ProfileName) -> Result<Vec<IpAddr>> {
    let (host, port) = first_host(&profile.token_endpoint)?;
    let limit = profile.timeout();
    let found = within(limit, async |deadline| {
        let lookup = async {
            let addresses = lookup_host((host.as_str(), port)).await?;
            Ok::<Vec<_>, std::io::Error>(addresses.collect())
        };
        timeout_at(deadline, lookup).await
    })?;
    match found {
        Err(_) => Err(TransportError::TooLate.error(&host, limit, Some(name))),
        Ok(Ok(addresses)) if !addresses.is_empty() => {
            let mut addresses: Vec<_> = addresses.iter().map(std::net::SocketAddr::ip).collect();
            addresses.dedup();
            Ok(addresses)
        }
        Ok(_) => {
            let message = format!("cannot connect to {host}: {UNRESOLVED}");
            Err(Error::unavailable(message).hint(CHECK_NETWORK))
        }
    }
}

/// The first host on the way to the token endpoint, and its port: the server, or its proxy.
fn first_host(endpoint: &TokenEndpoint) -> Result<(String, u16)> {
    let proxy = Proxy::to(endpoint)?;
    let proxy = proxy.as_ref().map(|proxy| &proxy.url);
    let (host, port) = proxy.map_or_else(|| endpoint.host_and_port(), WebUrl::host_and_port);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), port))
}

/// Connects to the token endpoint, and sends it a request without credentials and parameters (HEAD). A
/// server need not answer it: only a token request tells what it says to a client.
///
/// # Errors
/// What keeps hallpass from the server: the proxy, the network, the certificate.
pub(crate) fn reach(
    profile: &Profile,
    name: &ProfileName,
    credential: Option<&Credential>,
    certificate_key: Option<&Credential>,
) -> Result<Reached> {
    let tls_key = tls_key(profile, Some(name), credential, certificate_key)?;
    let endpoint = &profile.token_endpoint;
    let http = Http::to(endpoint, profile, Some(name), tls_key)?;
    // A query may have a key in it.
    let url = endpoint.as_str().split('?').next().unwrap_or_default();
    let limit = profile.timeout();
    let sent_at = Timestamp::now();
    let first_host = first_host(endpoint)?;
    let response = within(limit, async |deadline| {
        let exchange = http.exchange_up_to(0, |client| client.head(url));
        let head_timeout = HEAD_TIMEOUT.min(limit / 2);
        if let Ok(response) = timeout(head_timeout, exchange).await {
            return Some(response);
        }
        let is_open = timeout_at(deadline, TcpStream::connect(first_host)).await;
        match is_open {
            Ok(Ok(_)) => None,
            _ => Some(Err(TransportError::TooLate)),
        }
    })?;
    let received_at = Timestamp::now();
    let response = match response {
        None => return Ok(Reached::Open),
        Some(Err(error)) if !error.is_connect_error() => return Ok(Reached::Connected),
        Some(response) => response,
    };
    let response = response.map_err(|error| error.error(endpoint.origin(), limit, Some(name)))?;
    let date = response.date.as_deref().and_then(date_header);
    Ok(Reached::Answered {
        difference: date.map(|date| difference(date, seconds(sent_at), seconds(received_at))),
    })
}

fn seconds(moment: Timestamp) -> f64 {
    Duration::from_millis(moment.0).as_secs_f64()
}

/// How far a date is from the time between two moments.
fn difference(date: f64, from: f64, until: f64) -> f64 {
    if date < from {
        date - from
    } else {
        (date - until).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_during_the_request_is_no_difference() {
        for (date, expected) in [(90.0, -10.0), (100.0, 0.0), (105.0, 0.0), (170.0, 60.0)] {
            let found = difference(date, 100.0, 110.0);
            assert!((found - expected).abs() < 1e-9, "{date}: {found}");
        }
        let wrong = |difference| Reached::Answered { difference }.wrong_clock();
        assert_eq!(wrong(None), None);
        assert_eq!(wrong(Some(60.0)), None);
        assert!(wrong(Some(-61.0)).is_some_and(|text| text.contains("ahead of")));
    }
}
