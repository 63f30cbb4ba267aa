//! The client secret and the access token: two strings that no log, message or file may hold by accident.
//!
//! Neither has `Display` or `Serialize`, `Debug` is redacted, and both are wiped when dropped.
//! `expose` is the only way out; a search for it finds every place where one leaves.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::types::digest::Digest;
use crate::types::external_key::ExternalKey;
pub(crate) use crate::types::private_key::PrivateKey;

/// The longest client secret, in bytes: far above any real one, so that a wrong file or an
/// endless standard input is noticed.
pub(crate) const CLIENT_SECRET_LIMIT: usize = 64 * 1024;

/// Reads a secret to its end, or to where it is too long for one.
///
/// Into memory that is large enough from the start: growing would leave copies behind that nobody
/// wipes.
pub(crate) fn read_to_end(stream: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // With a line's end.
    const MOST: usize = CLIENT_SECRET_LIMIT + 2;
    // `read_to_end` looks for the end with 32 bytes of its own where less than that is left.
    let mut content = Zeroizing::new(Vec::with_capacity(MOST + 32));
    stream.take(MOST as u64).read_to_end(&mut content)?;
    Ok(content)
}

/// The environment variable with the client secret of a profile that the environment describes.
pub(crate) const CLIENT_SECRET_VARIABLE: &str = "HALLPASS_CLIENT_SECRET";

/// A secret that the client shares with the server (RFC 6749 §2.3.1).
#[derive(Clone)]
pub(crate) struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    /// Parses UTF-8 without control characters. One newline at the end is removed.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with "the client
    /// secret "; never the secret itself.
    pub(crate) fn parse(bytes: &Zeroizing<Vec<u8>>) -> Result<Self, &'static str> {
        if bytes.len() > CLIENT_SECRET_LIMIT {
            return Err("is longer than 64 KiB");
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err("is not UTF-8 text");
        };
        let text = text
            .strip_suffix('\n')
            .map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
        if text.is_empty() {
            return Err("is empty");
        }
        if text.starts_with('\u{feff}') {
            return Err("begins with a byte order mark");
        }
        if text.contains(['\n', '\r']) {
            return Err("has more than one line");
        }
        if text.contains(char::is_control) {
            return Err("contains a control character");
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// What a client authenticates with.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    /// The client presents an identity token, or nothing.
    None,
    Secret(ClientSecret),
    Key {
        key: PrivateKey,
        passphrase: Option<ClientSecret>,
    },
    /// A private key that another program keeps and signs with.
    External(Arc<dyn ExternalKey>),
}

/// What the authorization server issued (RFC 6749 §1.4).
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct AccessToken(Zeroizing<String>);

impl AccessToken {
    /// One or more printable ASCII characters without space: what fits into a header and into one
    /// line of any helper protocol (RFC 6749 §A.12 allows the space, no server needs it).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // To look at every byte, whatever the others are, takes fewer instructions than to stop early.
        let graphic = |all, byte: u8| all & byte.is_ascii_graphic();
        let fits = !text.is_empty() && text.bytes().fold(true, graphic);
        fits.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// A few digits by which a person tells one token from another.
    pub(crate) fn fingerprint(&self) -> String {
        let mut digits = Digest::of("hallpass access token")
            .field(self.expose())
            .hex();
        digits.truncate(12);
        digits
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(bytes: &[u8]) -> Result<String, &'static str> {
        ClientSecret::parse(&Zeroizing::new(bytes.to_vec()))
            .map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn a_secret_is_read_into_memory_that_never_grows() {
        let empty = read_to_end(io::empty()).expect("read");
        let endless = read_to_end(io::repeat(b'x')).expect("read");
        assert_eq!((empty.len(), endless.len()), (0, CLIENT_SECRET_LIMIT + 2));
        assert_eq!(empty.capacity(), endless.capacity());
        assert!(ClientSecret::parse(&endless).is_err());
    }

    #[test]
    fn exactly_one_line_end_is_dropped() {
        for (given, kept) in [
            (&b"s3cret"[..], "s3cret"),
            (b"s3cret\n", "s3cret"),
            (b"s3cret\r\n", "s3cret"),
            (b" s3 cret ", " s3 cret "),
            ("gehe\u{ef}m \"&=+%'".as_bytes(), "gehe\u{ef}m \"&=+%'"),
        ] {
            assert_eq!(secret(given).as_deref(), Ok(kept));
        }
    }

    #[test]
    fn a_secret_that_no_server_issued_is_refused() {
        for given in [
            &b""[..],
            b"\n",
            b"\r\n",
            b"a\n\n",
            b"a\nb",
            b"a\0b",
            b"a\x1bb",
            b"a\tb",
            b"\xff\xfea\0",
            b"\xef\xbb\xbfabc",
            b"\xc2\x85",
            &vec![b'x'; 70_000],
        ] {
            assert!(secret(given).is_err(), "{given:?}");
        }
    }

    #[test]
    fn a_token_is_one_word_of_printable_ascii() {
        for text in [
            "",
            " ",
            "a b",
            "a\nb",
            "a\r",
            "\u{1b}",
            "tök",
            "a\u{7f}",
            "a\u{202e}",
        ] {
            assert!(AccessToken::parse(text).is_none(), "{text:?}");
        }
        assert!(AccessToken::parse("eyJ0.eyJ1~+/==").is_some());
    }

    #[test]
    fn debug_output_shows_neither() {
        let token = AccessToken::parse("visible").map(|token| format!("{token:?}"));
        assert_eq!(token.as_deref(), Some("AccessToken(..)"));
        let secret = ClientSecret::parse(&Zeroizing::new(b"visible".to_vec()));
        assert_eq!(format!("{secret:?}"), "Ok(ClientSecret(..))");
    }
}
