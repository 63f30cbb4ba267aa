//! Names of headers that are set: other headers of the token request, as some gateways require a key
//! or an identifier in one, and the header that carries the token to an API.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::secret_source::Item;
use crate::types::checked_text::checked_text;

/// The longest value, in bytes: servers take about this much for all headers.
const LONGEST_VALUE: usize = 8 * 1024;

/// Stands for a UUID in a value, a new one for each request.
pub(crate) const UUID: &str = "{uuid}";

/// Headers that hallpass, the client or the connection sets (RFC 9110 §7.6.1), or that hold credentials
/// of another kind. So do all that begin with one of [`RESERVED_PREFIXES`].
const RESERVED: [&str; 13] = [
    "accept-encoding",
    "authorization",
    "connection",
    "cookie",
    "dpop",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const RESERVED_PREFIXES: [&str; 2] = ["content-", "proxy-"];

checked_text! {
    /// The header that carries the token to an API that does not read `Authorization`.
    TokenHeader(String): |name| match header_name(name) {
        Err(_) if name.eq_ignore_ascii_case("authorization") => Err(
            "Authorization is used if you set no header; to return to it, give an empty value"
                .to_owned(),
        ),
        checked => checked.map(drop),
    };
}

/// Header names, in lower case, and their values. A value may be a secret: nothing shows it.
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(
    try_from = "BTreeMap<String, String>",
    into = "BTreeMap<String, String>"
)]
pub(crate) struct Headers(BTreeMap<String, String>);

impl Headers {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.0.iter();
        headers.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.0.keys().cloned().collect()
    }

    /// These headers and others; the values of the others win.
    pub(crate) fn with(mut self, others: &Self) -> Self {
        self.0.extend(others.0.clone());
        self
    }

    /// Sets a header; an empty value removes it.
    ///
    /// # Errors
    /// What is wrong with it, without the value.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let name = header_name(name)?;
        if value.is_empty() {
            self.0.remove(&name);
            return Ok(());
        }
        if !is_value(value) {
            return Err(format!(
                "the value of the header {name} is not printable ASCII text of up to 8 KiB"
            ));
        }
        self.0.insert(name, value.to_owned());
        Ok(())
    }
}

/// Headers whose values are secrets: one item of a store has them all, as a JSON object.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretHeaders {
    /// In lower case.
    pub(crate) names: BTreeSet<String>,
    pub(crate) item: Item,
}

/// A header's name in lower case, if a profile may set it.
///
/// # Errors
/// Why it may not.
pub(crate) fn header_name(text: &str) -> Result<String, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || text.len() > 256 || !text.bytes().all(is_token) {
        return Err("that is not the name of a header".to_owned());
    }
    let name = text.to_ascii_lowercase();
    let mut prefixes = RESERVED_PREFIXES.iter();
    if RESERVED.contains(&name.as_str()) || prefixes.any(|prefix| name.starts_with(prefix)) {
        return Err(format!("the header {name} cannot be set"));
    }
    Ok(name)
}

/// RFC 9110 §5.5, without what is obsolete.
fn is_value(text: &str) -> bool {
    text.len() <= LONGEST_VALUE
        && text.trim() == text
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

impl TryFrom<BTreeMap<String, String>> for Headers {
    type Error = String;

    fn try_from(headers: BTreeMap<String, String>) -> Result<Self, String> {
        let mut checked = Self::default();
        for (name, value) in headers {
            checked.set(&name, &value)?;
        }
        Ok(checked)
    }
}

impl From<Headers> for BTreeMap<String, String> {
    fn from(headers: Headers) -> Self {
        headers.0
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Headers;

    #[test]
    fn a_header_that_hallpass_or_the_connection_sets_cannot_be_set() {
        let mut headers = Headers::default();
        for name in [
            "Authorization",
            "HOST",
            "Content-Type",
            "content-length",
            "Content-Foo",
            "Cookie",
            "Transfer-Encoding",
            "Connection",
            "Accept-Encoding",
            "Proxy-Authorization",
            "TE",
            "",
            "a b",
            "a:b",
            "ä",
            "a\r\nb",
        ] {
            assert!(headers.set(name, "x").is_err(), "{name:?}");
        }
        let long = "hidden".repeat(2000);
        for value in [
            "hidden\nx",
            "hidden\r",
            "hidden\u{7f}",
            "hidden\u{e4}",
            " hidden",
            "hidden ",
            "hidden\tx",
            &long,
        ] {
            let fault = headers.set("x-a", value).expect_err("a bad value");
            assert!(!fault.contains("hidden"), "{fault}");
        }
        assert!(headers.is_empty());
    }

    #[test]
    fn names_of_headers_do_not_differ_by_case() {
        let mut headers = Headers::default();
        headers.set("X-Api-Key", "one").expect("a header");
        headers.set("x-api-KEY", "two words").expect("a header");
        assert_eq!(
            headers.iter().collect::<Vec<_>>(),
            [("x-api-key", "two words")]
        );
        assert!(!format!("{headers:?}").contains("two"));
        headers.set("x-api-key", "").expect("a removal");
        assert!(headers.is_empty());
    }
}
