//! How a program might write a secret or a token: the list of encodings that every search for a leak uses.

use std::collections::BTreeSet;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

/// A spelling that is shorter is in every longer file by chance.
const SHORTEST: usize = 4;

/// What a compressed stream is unpacked to, at most, in bytes.
const UNPACKED_LIMIT: u64 = 1024 * 1024;

/// The names of encodings, and what is looked for.
pub(crate) type Spellings = Vec<(&'static str, Vec<u8>)>;

/// The encodings of these bytes, by name. One encoding may have several spellings.
pub(crate) fn spellings(bytes: &[u8]) -> Spellings {
    let mut all = of_bytes(bytes);
    if let Ok(text) = str::from_utf8(bytes) {
        all.extend(of_text(text));
    }
    all.extend(in_groups(bytes));
    all.retain(|(name, spelling)| *name == "as it is" || spelling.len() >= SHORTEST);
    let mut seen = BTreeSet::new();
    all.retain(|(_, spelling)| seen.insert(spelling.clone()));
    all
}

/// The names of the encodings, compression included.
pub(crate) fn names(bytes: &[u8]) -> BTreeSet<&'static str> {
    let names = spellings(bytes).into_iter().map(|(name, _)| name);
    let packed = packed(bytes).into_iter().map(|(name, _)| name);
    names.chain(packed).collect()
}

/// Byte by byte.
fn of_bytes(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let each = |write: &dyn Fn(u8) -> String| -> Vec<u8> {
        let written = bytes.iter().map(|byte| write(*byte));
        written.collect::<String>().into_bytes()
    };
    let map = |change: &dyn Fn(u8) -> u8| bytes.iter().map(|byte| change(*byte)).collect();
    let other_case = |byte: u8| byte ^ (0x20 * u8::from(byte.is_ascii_alphabetic()));
    let rotated = |byte: u8| match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        b'A'..=b'Z' => (byte - b'A' + 13) % 26 + b'A',
        _ => byte,
    };
    let octal = |byte: u8| format!("\\{byte:03o}");
    let joined = |separator: &str| {
        let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
        numbers.join(separator).into_bytes()
    };
    let hexadecimal = |separator: &str| each(&|byte| format!("{byte:02x}{separator}"));
    vec![
        ("as it is", bytes.to_vec()),
        ("backwards", bytes.iter().rev().copied().collect()),
        ("other case", map(&other_case)),
        ("rot13", map(&rotated)),
        ("inverted", map(&|byte| !byte)),
        ("hexadecimal", hexadecimal("")),
        ("upper hexadecimal", each(&|byte| format!("{byte:02X}"))),
        ("hexadecimal with spaces", hexadecimal(" ")),
        ("hexadecimal with colons", hexadecimal(":")),
        ("binary", each(&|byte| format!("{byte:08b}"))),
        ("percent", each(&|byte| format!("%{byte:02X}"))),
        ("lower percent", each(&|byte| format!("%{byte:02x}"))),
        ("\\x", each(&|byte| format!("\\x{byte:02x}"))),
        ("octal", each(&octal)),
        ("decimal", joined(",")),
        ("decimal with spaces", joined(", ")),
        ("Latin-1 as UTF-8", each(&|byte| char::from(byte).into())),
    ]
}

/// Character by character.
fn of_text(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let each = |write: &dyn Fn(char) -> String| -> Vec<u8> {
        text.chars().map(write).collect::<String>().into_bytes()
    };
    let wide = |write: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(write).collect();
    let long = |write: fn(u32) -> [u8; 4]| -> Vec<u8> {
        text.chars().flat_map(|c| write(u32::from(c))).collect()
    };
    let reference = |c: char| format!("&#{};", u32::from(c));
    let quoted = |c: char| match c {
        '\'' => "'\\''".to_owned(),
        c => c.to_string(),
    };
    let escaped = |c: char| match c {
        c if c.is_ascii_punctuation() || c == ' ' => format!("\\{c}"),
        c => c.to_string(),
    };
    let mut all = vec![
        ("UTF-16 LE", wide(u16::to_le_bytes)),
        ("UTF-16 BE", wide(u16::to_be_bytes)),
        ("UTF-32 LE", long(u32::to_le_bytes)),
        ("UTF-32 BE", long(u32::to_be_bytes)),
        ("\\u", each(&|c| format!("\\u{:04x}", u32::from(c)))),
        ("quoted-printable", quoted_printable(text).into_bytes()),
        ("HTML", html(text).into_bytes()),
        ("HTML numbers", each(&reference)),
        ("quotes of a shell", each(&quoted)),
        ("backslashes of a shell", each(&escaped)),
    ];
    all.extend(json(text).into_iter().map(|it| ("JSON", it.into_bytes())));
    let of_urls = of_urls(text).into_iter();
    all.extend(of_urls.map(|it| ("percent as in URLs", it.into_bytes())));
    // HTTP Basic has the first, and the parts of a JWT are the second.
    for it in [self::of_urls(text), json(text)].concat() {
        let both = base64(it.as_bytes()).chain(base64_for_urls(it.as_bytes()));
        all.extend(both.map(|it| ("Base64 of percent or JSON", it)));
    }
    // PowerShell's base64.
    let wide: Vec<u8> = wide(u16::to_le_bytes);
    all.extend(base64(&wide).map(|it| ("Base64 of UTF-16", it)));
    all
}

/// Of groups of bytes: where a group begins depends on the text around it.
fn in_groups(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    all.extend(base64(bytes).map(|it| ("Base64", it)));
    all.extend(base64_for_urls(bytes).map(|it| ("Base64 for URLs", it)));
    let twice = base64(bytes).flat_map(|it| base64(&it));
    all.extend(twice.map(|it| ("Base64 twice", it)));
    all.extend(aligned(bytes, 5, base32).map(|it| ("Base32", it)));
    let lower = |part: &[u8]| base32(part).to_lowercase();
    all.extend(aligned(bytes, 5, lower).map(|it| ("lower Base32", it)));
    all.extend(aligned(bytes, 4, |part| base85(part, ASCII85)).map(|it| ("Ascii85", it)));
    all.extend(aligned(bytes, 4, |part| base85(part, RFC1924)).map(|it| ("Base85", it)));
    all
}

fn base64(bytes: &[u8]) -> std::vec::IntoIter<Vec<u8>> {
    aligned(bytes, 3, |part| STANDARD_NO_PAD.encode(part))
}

fn base64_for_urls(bytes: &[u8]) -> std::vec::IntoIter<Vec<u8>> {
    aligned(bytes, 3, |part| URL_SAFE_NO_PAD.encode(part))
}

/// The whole groups of the bytes, at each place where the first group may begin.
fn aligned(
    bytes: &[u8],
    group: usize,
    encode: impl Fn(&[u8]) -> String,
) -> std::vec::IntoIter<Vec<u8>> {
    let parts = (0..group).filter_map(|skipped| {
        let rest = bytes.get(skipped..)?;
        let whole = rest.len() / group * group;
        Some(encode(&rest[..whole]).into_bytes())
    });
    parts.collect::<Vec<_>>().into_iter()
}

/// RFC 4648.
fn base32(groups: &[u8]) -> String {
    let encode = |group: &[u8]| {
        let number = group
            .iter()
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let digit = move |index: u64| number >> (35 - 5 * index) & 31;
        let letter = |digit| {
            char::from(
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::try_from(digit).expect("five bits")],
            )
        };
        (0..8).map(move |index| letter(digit(index)))
    };
    groups.chunks_exact(5).flat_map(encode).collect()
}

const ASCII85: fn(u8) -> char = |digit| char::from(b'!' + digit);
const RFC1924: fn(u8) -> char = |digit| {
    let digits =
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    char::from(digits[usize::from(digit)])
};

fn base85(groups: &[u8], letter: fn(u8) -> char) -> String {
    let encode = |group: &[u8]| {
        let number = u32::from_be_bytes(*group.first_chunk().expect("four bytes"));
        let digit = move |index: u32| u8::try_from(number / 85_u32.pow(4 - index) % 85);
        (0..5).map(move |index| letter(digit(index).expect("a digit")))
    };
    groups.chunks_exact(4).flat_map(encode).collect()
}

/// RFC 2045.
fn quoted_printable(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b' '..=b'~' if byte != b'=' => char::from(byte).to_string(),
        _ => format!("={byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// Between quotes, with and without escapes that JSON allows.
pub(crate) fn json(text: &str) -> Vec<String> {
    let quoted = serde_json::to_string(text).expect("JSON");
    let json = &quoted[1..quoted.len() - 1];
    let ascii = |text: &str| -> String {
        let escape = |c: char| match c {
            ' '..='~' => c.to_string(),
            c => format!("\\u{:04x}", u32::from(c)),
        };
        text.chars().map(escape).collect()
    };
    let slashes = json.replace('/', "\\/");
    vec![ascii(json), ascii(&slashes), json.to_owned(), slashes]
}

/// Percent-encoded: RFC 3986, and the forms of the Web.
pub(crate) fn of_urls(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for upper in [true, false] {
        for plain in ["-._~", "-._*", "-._~!*'()"] {
            let encoded = percent(text, plain, upper);
            all.push(encoded.replace("%20", "+"));
            all.push(encoded);
        }
    }
    all
}

/// Percent-encoded but for letters, digits and these.
fn percent(text: &str, plain: &str, upper: bool) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ if plain.as_bytes().contains(&byte) => char::from(byte).to_string(),
        _ if upper => format!("%{byte:02X}"),
        _ => format!("%{byte:02x}"),
    };
    text.bytes().map(encode).collect()
}

/// RFC 3986.
pub(crate) fn encoded(text: &str) -> String {
    percent(text, "-._~", true)
}

/// The bytes in a compressed stream, which is found by [`Content::unpacked`].
pub(crate) fn packed(bytes: &[u8]) -> [(&'static str, Vec<u8>); 3] {
    const OPEN: &str = "a buffer that grows";
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::best());
    for stream in [
        &mut gzip as &mut dyn std::io::Write,
        &mut zlib,
        &mut deflate,
    ] {
        stream.write_all(bytes).expect(OPEN);
    }
    [
        ("gzip", gzip.finish().expect(OPEN)),
        ("zlib", zlib.finish().expect(OPEN)),
        ("deflate", deflate.finish().expect(OPEN)),
    ]
}

/// What is searched. Each byte is a character, so that the search of `str` can be used, which is fast.
pub(crate) struct Content(Vec<String>);

impl Content {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let text = characters(bytes);
        // Base64 and hexadecimal digits may be on several lines.
        let on_one_line = text.replace(['\r', '\n'], "");
        let is_on_lines = on_one_line.len() < text.len();
        let mut parts = vec![text];
        parts.extend(is_on_lines.then_some(on_one_line));
        Self(parts)
    }

    /// The same, and what every compressed stream in it contains.
    pub(crate) fn unpacked(bytes: &[u8]) -> Self {
        let mut all = Self::of(bytes);
        for from in 0..bytes.len() {
            let rest = &bytes[from..];
            let is_gzip = rest.starts_with(b"\x1f\x8b");
            all.add(is_gzip.then(|| GzDecoder::new(rest)));
            let is_zlib = rest.len() > 1 && rest[0] & 0xf == 8;
            all.add(is_zlib.then(|| ZlibDecoder::new(rest)));
            all.add(Some(DeflateDecoder::new(rest)));
        }
        all
    }

    /// Adds as much of a stream as can be unpacked.
    fn add(&mut self, stream: Option<impl Read>) {
        let mut unpacked = Vec::new();
        if let Some(stream) = stream {
            // Most places are the beginning of no stream.
            let _ = stream.take(UNPACKED_LIMIT).read_to_end(&mut unpacked);
        }
        if unpacked.len() >= SHORTEST {
            self.0.extend(Self::of(&unpacked).0);
        }
    }

    /// The encoding in which the bytes are there.
    pub(crate) fn find(&self, spellings: &[(&'static str, Vec<u8>)]) -> Option<&'static str> {
        let is_there = |spelling: &[u8]| {
            let spelling = characters(spelling);
            self.0.iter().any(|part| part.contains(&spelling))
        };
        let mut spellings = spellings.iter();
        spellings
            .find(|(_, spelling)| is_there(spelling))
            .map(|(name, _)| *name)
    }
}

/// A character for each byte (Latin-1).
fn characters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

#[test]
fn each_spelling_is_found_wherever_it_begins() {
    let text = crate::machine::SECRET.as_bytes();
    let wanted = spellings(text);
    let names = names(text);
    assert!(names.len() >= 20, "{names:?}");
    for before in ["", "a", "ab", "abc", "abcd", "abcde\u{fc}"] {
        let around = |middle: &[u8]| [before.as_bytes(), middle, b"\0after"].concat();
        assert_eq!(Content::unpacked(&around(b"nothing")).find(&wanted), None);
        for (name, spelling) in &wanted {
            let found = Content::of(&around(spelling)).find(&wanted);
            assert!(found.is_some(), "{name} after {before:?}");
        }
        // A text that does not repeat itself stays as it is.
        for (name, packed) in packed(&around(text).repeat(3)) {
            let content = around(&packed);
            assert_eq!(Content::of(&content).find(&wanted), None, "{name}");
            let found = Content::unpacked(&content).find(&wanted);
            assert_eq!(found, Some("as it is"), "{name} after {before:?}");
        }
        // A longer text is encoded as a whole.
        let longer = around(text);
        for encoded in [
            STANDARD_NO_PAD.encode(&longer),
            URL_SAFE_NO_PAD.encode(&longer),
            STANDARD_NO_PAD.encode(STANDARD_NO_PAD.encode(&longer)),
        ] {
            let found = Content::of(encoded.as_bytes()).find(&wanted);
            assert!(found.is_some(), "{encoded} after {before:?}");
        }
    }
}
