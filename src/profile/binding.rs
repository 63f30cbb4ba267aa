//! Bindings: which URLs a profile's tokens are for, and how they are written there.
//!
//! A token goes to no other URL. A request is compared by scheme, host and port exactly, and by
//! whole segments of the path; nothing is guessed from a first use, a suffix or a pattern.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::headers::TokenHeader;
use crate::types::checked_text::Username;
use crate::types::choice::choice;
use crate::types::web_url::{WebUrl, reencoded_path};

/// A URL that a profile's tokens are meant for: scheme, host, port, and a path by whole segments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct BoundUrl(WebUrl);

impl BoundUrl {
    /// # Errors
    /// What is wrong with it, fit to follow "the URL ".
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let url = WebUrl::parse_service(text)?;
        let url = if url.is_web() {
            url.for_secrets()?
        } else {
            url
        };
        if url.has_query() {
            return Err("must not have a query (?)");
        }
        if url.hides_a_slash() {
            return Err("has an encoded slash in its path");
        }
        Ok(Self(url))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Not a mail server.
    pub(crate) fn is_web(&self) -> bool {
        self.0.is_web()
    }

    pub(crate) fn as_url(&self) -> &WebUrl {
        &self.0
    }

    pub(crate) fn origin(&self) -> &str {
        self.0.origin()
    }

    /// Whether a request for `url` may carry the profile's token.
    pub(crate) fn covers(&self, url: &WebUrl) -> bool {
        if self.0.origin() != url.origin() || url.hides_a_slash() {
            return false;
        }
        // As it was bound, or as a path is encoded that git has decoded.
        let is_below = |bound: &str| {
            let rest = url.path().strip_prefix(bound);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let bound = self.prefix();
        is_below(bound) || (bound.contains('%') && is_below(&reencoded_path(bound)))
    }

    /// The path without its last slash: of two bindings that cover a URL, the longer one counts.
    pub(crate) fn prefix(&self) -> &str {
        self.0.path().trim_end_matches('/')
    }
}

impl Serialize for BoundUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for BoundUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|fault| serde::de::Error::custom(format_args!("a URL {fault}")))
    }
}

choice! {
    /// How a token is presented where the client leaves that to its helper.
    pub(crate) enum Scheme {
        /// `Authorization: Bearer TOKEN` (RFC 6750 §2.1).
        Bearer = "bearer",
        /// As the password of a user (RFC 7617).
        Basic = "basic",
        /// Only the token as the header's value.
        Raw = "raw",
        /// Docker: as an identity token, which the registry's token service exchanges for another one.
        IdentityToken = "identity-token",
    }
}

/// A URL that a profile is bound to, and how tokens are presented to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Binding {
    pub(crate) url: BoundUrl,
    /// The user in whose name the token is a password.
    pub(crate) username: Option<Username>,
    /// Where the client does not choose.
    pub(crate) scheme: Option<Scheme>,
    /// Instead of `Authorization`.
    pub(crate) header: Option<TokenHeader>,
}

/// The user name if none is set. Servers ignore it, as the token identifies the client.
const DEFAULT_USERNAME: &str = "oauth2";

impl Binding {
    pub(crate) fn of(url: BoundUrl) -> Self {
        Self {
            url,
            username: None,
            scheme: None,
            header: None,
        }
    }

    /// Whether tokens are written in the same way for the URL of the other binding.
    pub(crate) fn presents_alike(&self, other: &Self) -> bool {
        let name = |binding: &Self| binding.header.as_deref().map(str::to_ascii_lowercase);
        let is_basic = self.scheme == Some(Scheme::Basic);
        name(self) == name(other)
            && self.scheme == other.scheme
            && (!is_basic || self.username() == other.username())
    }

    pub(crate) fn username(&self) -> &str {
        let username = self.username.as_ref();
        username.map_or(DEFAULT_USERNAME, Username::as_str)
    }
}

/// How a profile file holds a binding: a URL, or an object with more.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Written {
    Url(BoundUrl),
    More(More),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct More {
    url: BoundUrl,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<Username>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scheme: Option<Scheme>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<TokenHeader>,
}

impl Serialize for Binding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            url,
            username,
            scheme,
            header,
        } = self.clone();
        let written = if username.is_none() && scheme.is_none() && header.is_none() {
            Written::Url(url)
        } else {
            Written::More(More {
                url,
                username,
                scheme,
                header,
            })
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Binding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Url(url) => Self::of(url),
            Written::More(More {
                url,
                username,
                scheme,
                header,
            }) => Self {
                url,
                username,
                scheme,
                header,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Binding, BoundUrl};
    use crate::types::web_url::WebUrl;

    fn covers(bound: &str, url: &str) -> bool {
        let bound = BoundUrl::parse(bound).expect("a URL to bind");
        WebUrl::parse(url).is_ok_and(|url| bound.covers(&url))
    }

    #[test]
    fn a_path_is_covered_by_whole_segments() {
        for url in ["/api", "/api/", "/api/v1", "/api//v1", "/api?x=/../"] {
            assert!(
                covers("https://a.example/api/", &format!("https://a.example{url}")),
                "{url}"
            );
        }
        for url in [
            "",
            "/",
            "/apis",
            "/API",
            "/v1/api",
            "//api/",
            "/api%2fv1",
            "/api/%5C..",
        ] {
            assert!(
                !covers("https://a.example/api", &format!("https://a.example{url}")),
                "{url}"
            );
        }
        assert!(covers(
            "https://a.example",
            "https://A.example:443/any/thing?x"
        ));
    }

    #[test]
    fn another_origin_is_never_covered() {
        for url in [
            "http://a.example/",
            "https://a.example:8443/",
            "https://b.a.example/",
            "https://a.example.evil/",
            "https://xa.example/",
            "https://a.example./",
            "https://u@a.example/",
        ] {
            assert!(!covers("https://a.example/", url), "{url}");
        }
    }

    #[test]
    fn the_username_matters_only_where_a_token_is_a_password() {
        let binding = |rest: &str| -> Binding {
            let text = format!(r#"{{"url":"https://a.example/"{rest}}}"#);
            serde_json::from_str(&text).expect("a binding")
        };
        let alike = |one: &str, other: &str| binding(one).presents_alike(&binding(other));
        assert!(alike(r#","username":"x""#, r#","username":"y""#));
        assert!(alike(
            r#","scheme":"basic""#,
            r#","scheme":"basic","username":"oauth2""#
        ));
        assert!(!alike(
            r#","scheme":"basic","username":"x""#,
            r#","scheme":"basic","username":"y""#
        ));
        assert!(!alike(r#","scheme":"basic""#, r#","scheme":"raw""#));
    }

    #[test]
    fn a_binding_with_only_a_url_is_written_as_a_url() {
        for text in [
            r#""https://a.example/""#,
            r#"{"url":"https://a.example/","username":"x","scheme":"identity-token"}"#,
            r#"{"url":"https://a.example/","header":"X-Access-Token"}"#,
        ] {
            let binding: Binding = serde_json::from_str(text).expect("a binding");
            assert_eq!(serde_json::to_string(&binding).expect("JSON"), text);
        }
        for text in [
            r#""http://a.example/""#,
            r#"{"url":"https://a.example/","more":1}"#,
            r#"{"url":"https://a.example/","header":"Host"}"#,
            "{}",
        ] {
            assert!(serde_json::from_str::<Binding>(text).is_err(), "{text}");
        }
    }
}
