//! Whom the listener serves: programs that know the key, and no web page.

use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use hyper::{Method, Request};

use super::rejection::Rejection;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Whom a listener serves.
pub(super) struct Admission {
    /// The values of `Host` that name it. A name that an attacker points here is none of them.
    hosts: Vec<String>,
}

impl Admission {
    /// For the listener of these origins. Clients leave out the port 80.
    pub(super) fn of(origins: &[String]) -> Self {
        let hosts = origins.iter().filter_map(|it| it.strip_prefix("http://"));
        let without_port = hosts.clone().filter_map(|host| host.strip_suffix(":80"));
        Self {
            hosts: hosts
                .clone()
                .chain(without_port)
                .map(str::to_owned)
                .collect(),
        }
    }

    /// For a socket, at which every name could be given.
    pub(super) fn of_socket() -> Self {
        Self {
            hosts: vec!["localhost".to_owned()],
        }
    }

    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Rejection> {
        let headers = request.headers();
        let mut hosts = headers.get_all(HOST).iter();
        let is_this =
            |host: &HeaderValue| self.hosts.iter().any(|it| host.as_bytes() == it.as_bytes());
        if !hosts.next().is_some_and(is_this) || hosts.next().is_some() {
            return Err(Rejection::WrongHost);
        }
        if self.is_of_web_page(headers) {
            return Err(Rejection::Browser);
        }
        // These return the request, and with it the token.
        if *request.method() == Method::TRACE || request.method().as_str() == "TRACK" {
            return Err(Rejection::Method);
        }
        Ok(())
    }

    /// Browsers send one of these with each request of a page, and with each page that they load. Other
    /// programs that use a browser's network library send the site `none`, and some clients of MCP
    /// servers the origin of the server. No page has that origin, as no browser is served one.
    fn is_of_web_page(&self, headers: &HeaderMap) -> bool {
        let has_other = |name: HeaderName, is_fine: &dyn Fn(&HeaderValue) -> bool| {
            headers.get_all(name).iter().any(|value| !is_fine(value))
        };
        let is_own = |origin: &HeaderValue| {
            let host = origin.as_bytes().strip_prefix(b"http://");
            host.is_some_and(|host| self.hosts.iter().any(|it| it.as_bytes() == host))
        };
        has_other(ORIGIN, &is_own)
            || has_other(SEC_FETCH_SITE, &|site| site == "none")
            || has_other(SEC_FETCH_MODE, &|mode| mode != "navigate")
    }
}
