//! What an access token says about itself, if it is a JWT (RFC 9068). It is read, not verified.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::types::secret::AccessToken;

/// The parts of a token that its holder can read.
#[derive(Debug, PartialEq)]
pub(crate) enum Jwt {
    /// A signed one (RFC 7515), without its signature.
    Signed {
        header: Map<String, Value>,
        claims: Map<String, Value>,
    },
    /// An encrypted one (RFC 7516): only its header can be read.
    Encrypted { header: Map<String, Value> },
}

impl Jwt {
    /// None for any other token.
    pub(crate) fn read(token: &AccessToken) -> Option<Self> {
        let parts: Vec<_> = token.expose().split('.').collect();
        match parts.as_slice() {
            [header, claims, _signature] => Some(Self::Signed {
                header: object(header).filter(|header| header.contains_key("alg"))?,
                claims: object(claims)?,
            }),
            [header, _, _, _, _] => Some(Self::Encrypted {
                header: object(header).filter(|header| header.contains_key("enc"))?,
            }),
            _ => None,
        }
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let json = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&str]) -> Option<Jwt> {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| URL_SAFE_NO_PAD.encode(part))
            .collect();
        Jwt::read(&AccessToken::parse(&parts.join(".")).expect("a token"))
    }

    #[test]
    fn only_tokens_with_a_header_and_claims_are_read() {
        let object = |json: &str| serde_json::from_str(json).expect("an object");
        let signed = Jwt::Signed {
            header: object(r#"{"alg":"RS256"}"#),
            claims: object(r#"{"sub":"x"}"#),
        };
        assert_eq!(
            read(&[r#"{"alg":"RS256"}"#, r#"{"sub":"x"}"#, "s"]),
            Some(signed)
        );
        let encrypted = Jwt::Encrypted {
            header: object(r#"{"alg":"dir","enc":"A128GCM"}"#),
        };
        let header = r#"{"alg":"dir","enc":"A128GCM"}"#;
        assert_eq!(read(&[header, "", "i", "c", "t"]), Some(encrypted));
        for opaque in [
            &["x"][..],
            &["{}", "{}", "s"],
            &[r#"{"alg":"x"}"#, "[]", "s"],
            &[r#"{"alg":"x"}"#, "{}"],
            &[r#"{"alg":"x"}"#, "{}", "s", "x"],
            &[r#"{"alg":"x"}"#, "", "i", "c", "t"],
        ] {
            assert_eq!(read(opaque), None, "{opaque:?}");
        }
        for opaque in ["a.b.c", "...", "....", "x"] {
            assert_eq!(
                Jwt::read(&AccessToken::parse(opaque).expect("a token")),
                None
            );
        }
    }
}
