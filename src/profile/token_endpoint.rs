//! A URL to which a client secret may be sent.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::types::web_url::WebUrl;

/// A URL that may be sent a client secret: https, or http on this machine itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TokenEndpoint(WebUrl);

impl TokenEndpoint {
    /// # Errors
    /// What is wrong with it, fit to follow "the URL ".
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, &'static str> {
        WebUrl::parse(text)?.for_secrets().map(Self)
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn url(&self) -> &WebUrl {
        &self.0
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.is_https()
    }

    pub(crate) fn origin(&self) -> &str {
        self.0.origin()
    }

    /// The host as the URL has it (IPv6 in brackets), and the port, given or not.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        self.0.host_and_port()
    }
}

impl Serialize for TokenEndpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TokenEndpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|fault| serde::de::Error::custom(format_args!("a URL {fault}")))
    }
}

#[cfg(test)]
mod tests {
    use super::TokenEndpoint;

    #[test]
    fn plain_http_is_only_for_this_machine() {
        assert!(TokenEndpoint::parse("http://127.0.0.1:8080/token").is_ok());
        assert!(TokenEndpoint::parse("http://login.blooma.ai/oauth/token").is_err());
        assert!(TokenEndpoint::parse("http://127.0.0.1.evil.example/token").is_err());
    }
}
