//! Percent-encoding (RFC 3986 §2.1).

use percent_encoding::{
    AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode,
};

/// All but RFC 3986's unreserved characters.
const ALL_RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a path may not have as it is (RFC 3986 §3.3).
pub(super) const NOT_IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A path in the spelling of [`WebUrl::of_service`].
pub(crate) fn reencoded_path(path: &str) -> String {
    let decoded: Vec<_> = percent_decode_str(path).collect();
    percent_encode(&decoded, NOT_IN_PATH).to_string()
}

/// Encodes everything but RFC 3986's unreserved characters: the one spelling that every server reads
/// alike. A space is `%20`; some servers take `+` for a plus, in Basic credentials above all.
pub(crate) fn encode_all_reserved(text: &str) -> String {
    // It never grows: growing leaves copies behind, and the text may be a secret.
    let mut encoded = String::with_capacity(3 * text.len());
    encoded.extend(utf8_percent_encode(text, ALL_RESERVED));
    encoded
}

/// Decodes each `%XX`. A percent sign without two digits stays as it is, and what is not UTF-8 becomes
/// U+FFFD.
pub(crate) fn decode_lossy(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Encodes what is not a visible ASCII character or a space.
pub(crate) fn encode_non_ascii(bytes: &[u8]) -> String {
    percent_encode(bytes, CONTROLS).to_string()
}

/// Whether each `%XX` decoded gives bytes of a longer encoding than UTF-8 has for the character.
pub(crate) fn has_overlong_sequence(text: &str) -> bool {
    let mut bytes = percent_decode_str(text).peekable();
    while let Some(byte) = bytes.next() {
        let next = bytes.peek().copied().unwrap_or_default();
        let is_overlong = match byte {
            0xc0 | 0xc1 | 0xf8.. => true,
            0xe0 => next < 0xa0,
            0xf0 => next < 0x90,
            _ => false,
        };
        if is_overlong {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_are_left_as_they_are() {
        assert_eq!(encode_all_reserved("aZ09-._~"), "aZ09-._~");
        assert_eq!(
            encode_all_reserved("a b+c:d%e&ä*"),
            "a%20b%2Bc%3Ad%25e%26%C3%A4%2A"
        );
    }

    #[test]
    fn a_path_is_spelled_as_a_client_that_decoded_it_would_spell_it() {
        assert_eq!(reencoded_path("/a%7Eb/%C3%a9?"), "/a~b/%C3%A9%3F");
    }

    #[test]
    fn what_cannot_be_decoded_stays_as_it_is() {
        assert_eq!(decode_lossy("a%20b%zz%2"), "a b%zz%2");
        assert_eq!(decode_lossy("%ff"), "\u{fffd}");
    }

    #[test]
    fn visible_ascii_characters_and_spaces_stay_as_they_are() {
        assert_eq!(encode_non_ascii("a %/é\n".as_bytes()), "a %/%C3%A9%0A");
    }

    #[test]
    fn an_overlong_sequence_is_found() {
        for (text, expected) in [
            ("a%20b", false),
            ("%c3%a9", false),
            ("%e0%a0%80", false),
            ("%f0%90%80%80", false),
            ("%c0%af", true),
            ("x%c1%81", true),
            ("%f8%88%80%80%80", true),
            ("%e0%9f%bf", true),
            ("%e0", true),
            ("%f0%8f%bf%bf", true),
        ] {
            assert_eq!(has_overlong_sequence(text), expected, "{text}");
        }
    }
}
