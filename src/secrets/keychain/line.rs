//! The form of a secret in a Secret Service.
//!
//! A gnome-keyring without a password is a text file with one line per item. The daemon does not
//! escape line breaks when it writes, which makes the whole file unreadable at its next start, and
//! it changes backslashes and the spaces around a secret when it reads. `KWallet` stores text.
//! A line of printable ASCII without a backslash passes through all of them unchanged, so a secret
//! is stored as it is where it is such a line, and in base64 after a marker where it is not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// What begins a secret that is stored in base64 (RFC 4648 section 4, with padding).
const MARKER: &str = "hallpass-base64:";

/// The text to store for a secret.
pub(super) fn encode(secret: &[u8]) -> Zeroizing<Vec<u8>> {
    if is_plain_line(secret) {
        return Zeroizing::new(secret.to_vec());
    }
    let mut stored = Zeroizing::new(vec![0; MARKER.len() + secret.len().div_ceil(3) * 4]);
    let (marker, encoded) = stored.split_at_mut(MARKER.len());
    marker.copy_from_slice(MARKER.as_bytes());
    let written = STANDARD.encode_slice(secret, encoded);
    debug_assert_eq!(written, Ok(encoded.len()));
    stored
}

/// The secret that a stored text stands for. Text that [`encode`] did not write is the secret itself:
/// version 0.1.0 stored every secret as it was, and a person may store one with another program.
pub(super) fn decode(stored: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    let Some(encoded) = stored.strip_prefix(MARKER.as_bytes()) else {
        return stored;
    };
    // `decode_vec` would grow the memory and leave copies behind.
    let mut secret = Zeroizing::new(vec![0; encoded.len().div_ceil(4) * 3]);
    match STANDARD.decode_slice(encoded, &mut secret) {
        Ok(length) => {
            secret.truncate(length);
            secret
        }
        Err(_) => stored,
    }
}

/// Whether every keychain gives it back unchanged, and it cannot be taken for encoded text.
fn is_plain_line(secret: &[u8]) -> bool {
    let is_plain = |byte: &u8| (byte.is_ascii_graphic() && *byte != b'\\') || *byte == b' ';
    !secret.is_empty()
        && secret.iter().all(is_plain)
        && secret.trim_ascii().len() == secret.len()
        && !secret.starts_with(MARKER.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(secret: &[u8]) -> String {
        String::from_utf8(encode(secret).to_vec()).expect("ASCII")
    }

    #[test]
    fn an_ordinary_secret_is_stored_unchanged() {
        for secret in [
            "s3cret",
            "a b",
            "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~",
            "c2VjcmV0==",
        ] {
            assert_eq!(stored(secret.as_bytes()), secret);
        }
    }

    #[test]
    fn every_other_secret_is_stored_as_one_line_of_plain_text_and_comes_back() {
        for secret in [
            &b"-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n"[..],
            b"back\\slash",
            b" before",
            b"after ",
            b"a\tb",
            "schl\u{fc}ssel".as_bytes(),
            b"\xff\x00\xfe",
            b"",
            b"hallpass-base64:",
            b"hallpass-base64:c2VjcmV0",
        ] {
            let text = stored(secret);
            assert!(
                is_plain_line(text.strip_prefix(MARKER).map_or(b"", str::as_bytes))
                    || secret.is_empty(),
                "{text}"
            );
            assert_eq!(*decode(encode(secret)), secret);
        }
    }

    #[test]
    fn a_secret_from_an_earlier_version_is_read_unchanged() {
        for text in [
            &b"-----BEGIN PRIVATE KEY-----\nMC4=\n"[..],
            b" a\\b ",
            b"\xff\xfe",
            b"hallpass-base64:no base64",
            b"hallpass-base64:c2VjcmV0=",
        ] {
            assert_eq!(*decode(Zeroizing::new(text.to_vec())), text);
        }
    }
}
