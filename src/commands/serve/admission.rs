//! Whom the listener serves: programs that know the key, and no web page.

use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use hyper::{Method, Request};

use super::refusal::Refusal;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Whom a listener serves.
pub(super) struct Admission {
    /// The values of `Host` that name it. A name that an attacker points here is none of them.
    hosts: Vec<String>,
}

impl Admission {
    pub(super) fn new(hosts: Vec<String>) -> Self {
        Self { hosts }
    }

    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let headers = request.headers();
        let mut hosts = headers.get_all(HOST).iter();
        let is_this =
            |host: &HeaderValue| self.hosts.iter().any(|it| host.as_bytes() == it.as_bytes());
        if !hosts.next().is_some_and(is_this) || hosts.next().is_some() {
            return Err(Refusal::WrongHost);
        }
        if is_of_web_page(headers) {
            return Err(Refusal::Browser);
        }
        // These return the request, and with it the token.
        if *request.method() == Method::TRACE || request.method().as_str() == "TRACK" {
            return Err(Refusal::Method);
        }
        Ok(())
    }
}

/// Browsers send one of these with each request of a page, and with each page that they load. Other
/// programs that use a browser's network library send the site `none`.
fn is_of_web_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN)
        || headers
            .get_all(SEC_FETCH_SITE)
            .iter()
            .any(|site| site != "none")
        || headers
            .get_all(SEC_FETCH_MODE)
            .iter()
            .any(|mode| mode == "navigate")
}
