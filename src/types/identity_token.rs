//! An identity token: a JWT that another party issued. hallpass reads its claims for messages only;
//! the authorization server verifies it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use zeroize::Zeroizing;

/// A JWT (RFC 7519), wiped when dropped; no log, message or file may have it.
#[derive(Clone)]
pub(crate) struct IdentityToken(Zeroizing<String>);

/// The claims that a server compares with what it trusts.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Claims {
    #[serde(default)]
    pub(crate) iss: Option<String>,
    #[serde(default)]
    pub(crate) sub: Option<String>,
    #[serde(default)]
    pub(crate) aud: Option<Audience>,
    /// Seconds since 1970.
    #[serde(default)]
    pub(crate) exp: Option<f64>,
}

/// One audience, or several (RFC 7519 §4.1.3).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(audience) => f.write_str(audience),
            Self::Several(audiences) => f.write_str(&audiences.join(", ")),
        }
    }
}

impl IdentityToken {
    /// The token in a text, without the line end that files and commands add.
    ///
    /// None if the text is not a JWS in compact form (RFC 7515 §7.1).
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let is_jwt = Self::has_parts(text);
        let text = std::str::from_utf8(text).ok()?.trim_ascii();
        let token = Self(Zeroizing::new(text.to_owned()));
        (is_jwt && token.claims().is_some()).then_some(token)
    }

    /// Whether the text has the three parts of a JWT, whatever they contain.
    pub(crate) fn has_parts(text: &[u8]) -> bool {
        let parts: Vec<_> = text.trim_ascii().split(|byte| *byte == b'.').collect();
        let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
        parts.len() == 3
            && parts
                .iter()
                .all(|part| !part.is_empty() && part.iter().all(is_base64url))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// None if the payload is not a JSON object with these types.
    pub(crate) fn claims(&self) -> Option<Claims> {
        let payload = self.0.split('.').nth(1)?;
        let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
        // An array would be read as well, as the values in order.
        payload.trim_ascii_start().starts_with(b"{").then_some(())?;
        serde_json::from_slice(&payload).ok()
    }
}

impl fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!(
            "eyJhbGciOiJSUzI1NiJ9.{}.c2ln",
            URL_SAFE_NO_PAD.encode(claims)
        )
    }

    #[test]
    fn a_token_is_read_with_its_line_end_and_its_claims() {
        let text = jwt(r#"{"iss":"https://i","sub":"s","aud":["a","b"],"exp":1.5e9,"x":{}}"#);
        let token = IdentityToken::parse(format!("{text}\r\n").as_bytes()).expect("a token");
        assert_eq!(token.expose(), text);
        let claims = token.claims().expect("claims");
        assert_eq!(claims.iss.as_deref(), Some("https://i"));
        assert_eq!(
            claims.aud.map(|aud| aud.to_string()).as_deref(),
            Some("a, b")
        );
        assert_eq!(claims.exp, Some(1.5e9));
        assert_eq!(format!("{token:?}"), "IdentityToken(..)");
    }

    #[test]
    fn what_is_not_a_jwt_is_not_an_identity_token() {
        let object = jwt("{}");
        for text in [
            "",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            "{\"value\":\"x\"}",
            &jwt("[]"),
            &format!("{object} {object}"),
            &format!("{object}\n{object}"),
            &object.replace("c2ln", ""),
        ] {
            assert!(IdentityToken::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(IdentityToken::parse(object.as_bytes()).is_some());
    }
}
