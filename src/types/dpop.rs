//! What proofs of possession need besides the request (RFC 9449): the key of a token, and a nonce.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::types::checked_text::checked_text;

/// The type of a token that is bound to a key (RFC 9449 §5).
pub(crate) const DPOP: &str = "DPoP";

/// The longest nonce that is kept, in bytes. Those of servers have fewer than 200.
const LONGEST_NONCE: usize = 1024;

checked_text! {
    /// What a server wants to see in the next proof (RFC 9449 §8.1).
    Nonce(&'static str): |text| {
        let fits = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if (1..=LONGEST_NONCE).contains(&text.len()) && text.bytes().all(fits) {
            Ok(())
        } else {
            Err("that is not the value of a DPoP-Nonce header")
        }
    };
}

/// The key that an access token is bound to. It is kept with the token, and goes with it.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "KeyText", into = "KeyText")]
pub(crate) enum ProofKey {
    /// A P-256 key that hallpass made for this token: PKCS #8, in base64.
    Private(Zeroizing<String>),
    /// A key that another program keeps, by its thumbprint (RFC 7638).
    External(String),
}

/// How an entry of the cache has it.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum KeyText {
    Private(String),
    Thumbprint(String),
}

impl From<KeyText> for ProofKey {
    fn from(text: KeyText) -> Self {
        match text {
            KeyText::Private(text) => Self::Private(Zeroizing::new(text)),
            KeyText::Thumbprint(text) => Self::External(text),
        }
    }
}

impl From<ProofKey> for KeyText {
    fn from(key: ProofKey) -> Self {
        match key {
            ProofKey::Private(text) => Self::Private(text.to_string()),
            ProofKey::External(text) => Self::Thumbprint(text),
        }
    }
}

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_one_word_without_quotes() {
        for text in ["eyJ7S_zG.eyJH0-Z.HX4w-7v", "!", "a,b=~", &"x".repeat(1024)] {
            assert!(Nonce::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "a b",
            "a\"b",
            "a\\b",
            "a\r\nb",
            "\u{e9}",
            &"x".repeat(1025),
        ] {
            assert!(Nonce::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_key_is_written_and_read_and_not_shown() {
        let private = ProofKey::Private(Zeroizing::new("c2VjcmV0".to_owned()));
        for (key, expected) in [
            (private, r#"{"private":"c2VjcmV0"}"#),
            (
                ProofKey::External("abc".to_owned()),
                r#"{"thumbprint":"abc"}"#,
            ),
        ] {
            let json = serde_json::to_string(&key).expect("JSON");
            assert_eq!(json, expected);
            assert_eq!(serde_json::from_str::<ProofKey>(&json).expect("a key"), key);
            assert_eq!(format!("{key:?}"), "ProofKey(..)");
        }
    }
}
