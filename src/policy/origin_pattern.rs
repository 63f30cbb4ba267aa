//! Which servers a policy allows: `https://login.example`, or `https://*.example` for every host below a
//! domain.

use serde::{Deserialize, Serialize};

use crate::profile::TokenEndpoint;

/// One server, or all below a domain, at one port.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct OriginPattern {
    /// As it was written.
    text: String,
    scheme: String,
    /// In lower case. With a dot in front, every host that ends with it.
    host: String,
    port: u16,
}

impl OriginPattern {
    /// # Errors
    /// What is wrong with it.
    fn parse(text: &str) -> Result<Self, String> {
        let fault = |fault: &str| format!("the server {text} {fault}");
        // Read as every token endpoint is, so both have one spelling.
        let (url, is_wildcard) = match text.split_once("://*.") {
            Some((scheme, rest)) => (format!("{scheme}://x.{rest}"), true),
            None => (text.to_owned(), false),
        };
        let endpoint = TokenEndpoint::parse(&url).map_err(&fault)?;
        if endpoint.url().path() != "/" || endpoint.url().has_query() {
            return Err(fault("must end after its host and port"));
        }
        let (host, port) = endpoint.host_and_port();
        let host = if is_wildcard { &host[1..] } else { host };
        Ok(Self {
            text: text.to_owned(),
            scheme: scheme(&endpoint).to_owned(),
            host: host.to_owned(),
            port,
        })
    }

    pub(super) fn covers(&self, endpoint: &TokenEndpoint) -> bool {
        let (host, port) = endpoint.host_and_port();
        let is_host = if self.host.starts_with('.') {
            host.len() > self.host.len() && host.ends_with(&self.host)
        } else {
            host == self.host
        };
        is_host && port == self.port && scheme(endpoint) == self.scheme
    }
}

fn scheme(endpoint: &TokenEndpoint) -> &'static str {
    if endpoint.is_https() { "https" } else { "http" }
}

impl TryFrom<String> for OriginPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<OriginPattern> for String {
    fn from(pattern: OriginPattern) -> Self {
        pattern.text
    }
}

#[cfg(test)]
mod tests {
    use super::OriginPattern;
    use crate::profile::TokenEndpoint;

    fn covers(pattern: &str, url: &str) -> bool {
        let pattern = OriginPattern::parse(pattern).expect("a pattern");
        TokenEndpoint::parse(url).is_ok_and(|endpoint| pattern.covers(&endpoint))
    }

    #[test]
    fn a_server_is_covered_in_every_spelling_and_no_other_server() {
        let pattern = "https://Login.Example";
        for same in [
            "https://login.example/token",
            "https://login.example:443/a/b?c",
            "HTTPS://LOGIN.EXAMPLE",
        ] {
            assert!(covers(pattern, same), "{same}");
        }
        for other in [
            "https://login.example:8443/",
            "https://login.example./",
            "https://a.login.example/",
            "https://login.example.evil.example/",
            "https://evillogin.example/",
            "https://login.example@evil.example/",
            "https://evil.example/login.example",
            "https://evil.example#login.example",
            "http://localhost/",
        ] {
            assert!(!covers(pattern, other), "{other}");
        }
        assert!(!covers("http://127.0.0.1:8080", "http://127.0.0.1:8081/"));
        assert!(covers(
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8080/token"
        ));
        assert!(covers("https://[::1]:8443/", "https://[0:0::1]:8443/token"));
    }

    #[test]
    fn a_wildcard_covers_what_is_below_a_domain_at_its_port() {
        for below in ["https://a.example.com/x", "https://A.B.EXAMPLE.com:443/"] {
            assert!(covers("https://*.example.com", below), "{below}");
        }
        for other in [
            "https://example.com/",
            "https://.example.com/",
            "https://evilexample.com/",
            "https://a.example.com./",
            "https://a.example.com:8443/",
            "https://a.example.com.evil.example/",
        ] {
            assert!(!covers("https://*.example.com", other), "{other}");
        }
        assert!(covers(
            "https://*.example.com:8443",
            "https://a.example.com:8443/"
        ));
    }

    #[test]
    fn what_is_no_server_is_no_pattern() {
        for text in [
            "",
            "*",
            "https://*",
            "https://*.",
            "https://*example.com",
            "https://a.*.example.com",
            "https://*.*.example.com",
            "https://*.0.0.1",
            "https://login.example/token",
            "https://login.example/?",
            "https://user@login.example",
            "http://login.example",
            "login.example",
            "ftp://login.example",
            "https://login.example:",
            "https://login.example:99999",
        ] {
            assert!(OriginPattern::parse(text).is_err(), "{text}");
        }
    }
}
