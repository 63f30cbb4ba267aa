//! Lenient JSON for responses. Only the needed members are interpreted, so an invalid byte or number
//! in another member does no harm.

use std::borrow::Cow;

/// A value that is not interpreted yet: its bytes, without white space around them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json<'a>(&'a [u8]);

/// The members of an object, in order.
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Members<'a> {
    /// The last member of this name, as in most parsers.
    pub(super) fn get(&self, name: &str) -> Option<Json<'a>> {
        let found = self.0.iter().rfind(|(key, _)| key == name)?;
        Some(found.1)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, Json<'a>)> {
        self.0.iter().map(|(key, value)| (&**key, *value))
    }
}

impl<'a> Json<'a> {
    /// A text that is one object or one list and nothing else. None if it is cut off.
    pub(super) fn document(text: &'a [u8]) -> Option<Self> {
        let mut scanner = Scanner(text);
        let value = scanner.value()?;
        let is_whole = scanner.next().is_none() && (value.is_object() || value.is_list());
        is_whole.then_some(value)
    }

    fn is_object(self) -> bool {
        self.0.first() == Some(&b'{')
    }

    pub(super) fn is_list(self) -> bool {
        self.0.first() == Some(&b'[')
    }

    pub(super) fn is_null(self) -> bool {
        self.0 == b"null"
    }

    /// None if this is not a well-formed object.
    pub(super) fn members(self) -> Option<Members<'a>> {
        let mut members = Vec::new();
        self.elements(b'{', b'}', |scanner| {
            scanner.next()?;
            let key = Json(scanner.string()?).text()?;
            scanner.expect(b':')?;
            members.push((key, scanner.value()?));
            Some(())
        })?;
        Some(Members(members))
    }

    /// None if this is not a well-formed list.
    pub(super) fn items(self) -> Option<Vec<Json<'a>>> {
        let mut items = Vec::new();
        self.elements(b'[', b']', |scanner| {
            items.push(scanner.value()?);
            Some(())
        })?;
        Some(items)
    }

    fn elements(
        self,
        open: u8,
        close: u8,
        mut read: impl FnMut(&mut Scanner<'a>) -> Option<()>,
    ) -> Option<()> {
        let mut scanner = Scanner(self.0);
        scanner.expect(open)?;
        if scanner.next() == Some(close) {
            return Some(());
        }
        loop {
            read(&mut scanner)?;
            match scanner.next()? {
                b',' => scanner.expect(b',')?,
                end => return (end == close).then_some(()),
            }
        }
    }

    /// The text of a string. Bytes that are not UTF-8 are read as Latin-1; an
    /// invalid escape becomes U+FFFD.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let text = match std::str::from_utf8(inner) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(utf8_or_latin1(inner)),
        };
        if text.contains('\\') {
            return Some(Cow::Owned(unescape(&text)));
        }
        Some(text)
    }

    /// A number, also one that is written as a string. Infinite if it is too large for the type.
    pub(super) fn number(self) -> Option<f64> {
        let digits = match self.text() {
            Some(text) => text,
            None => Cow::Borrowed(self.scalar()?),
        };
        let digits = digits.trim();
        // Rust also reads "inf" and "NaN".
        let is_digits = digits
            .bytes()
            .all(|byte| b"+-.0123456789eE".contains(&byte));
        is_digits.then(|| digits.parse().ok())?
    }

    /// Anything but a string, object or list, such as a number or `true`.
    pub(super) fn scalar(self) -> Option<&'a str> {
        let is_scalar = !matches!(self.0.first()?, b'"' | b'{' | b'[');
        is_scalar.then(|| std::str::from_utf8(self.0).ok())?
    }
}

/// The rest of the text.
struct Scanner<'a>(&'a [u8]);

impl<'a> Scanner<'a> {
    /// The next byte after white space. It is not consumed.
    fn next(&mut self) -> Option<u8> {
        let blanks = self.0.iter().take_while(|byte| is_blank(**byte)).count();
        self.0 = &self.0[blanks..];
        self.0.first().copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.take(1))?;
        Some(())
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn value(&mut self) -> Option<Json<'a>> {
        let value = match self.next()? {
            b'"' => self.string()?,
            b'{' | b'[' => self.nested()?,
            _ => {
                let is_inside = |byte: &&u8| !is_blank(**byte) && !b",:\"{}[]".contains(*byte);
                let length = self.0.iter().take_while(is_inside).count();
                self.take(length)
            }
        };
        (!value.is_empty()).then_some(Json(value))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = string_length(self.0)?;
        Some(self.take(length))
    }

    /// An object or a list with all that is in it. Only brackets and strings are looked at.
    fn nested(&mut self) -> Option<&'a [u8]> {
        let mut open = Vec::new();
        let mut at = 0;
        loop {
            match self.0.get(at)? {
                b'"' => at += string_length(&self.0[at..])? - 1,
                b'{' => open.push(b'}'),
                b'[' => open.push(b']'),
                byte @ (b'}' | b']') if open.pop() != Some(*byte) => return None,
                _ => {}
            }
            at += 1;
            if open.is_empty() {
                return Some(self.take(at));
            }
        }
    }
}

/// The length of the string that begins here, with its quotation marks.
fn string_length(bytes: &[u8]) -> Option<usize> {
    let mut is_escaped = true;
    let end = bytes.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    })?;
    bytes.starts_with(b"\"").then_some(end + 1)
}

/// RFC 8259 §2.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn utf8_or_latin1(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| char::from(*byte)));
    }
    text
}

/// RFC 8259 §7.
fn unescape(text: &str) -> String {
    let mut units = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    let mut buffer = [0; 2];
    while let Some(c) = characters.next() {
        let c = match c {
            '\\' => match characters.next().unwrap_or('\\') {
                c @ ('"' | '\\' | '/') => c,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let digits = characters.as_str().get(..4);
                    let digits = digits.filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
                    match digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()) {
                        Some(unit) => {
                            units.push(unit);
                            characters.nth(3);
                            continue;
                        }
                        None => char::REPLACEMENT_CHARACTER,
                    }
                }
                _ => char::REPLACEMENT_CHARACTER,
            },
            c => c,
        };
        units.extend_from_slice(c.encode_utf16(&mut buffer));
    }
    String::from_utf16_lossy(&units)
}

/// The body of a response in UTF-8, without a byte order mark. JSON may also come in UTF-16
/// (RFC 4627 §3), which the zeros of its first characters give away.
pub(super) fn in_utf8(body: &[u8]) -> Cow<'_, [u8]> {
    let from_utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks(2).map(|pair| match pair {
            [first, second] => unit([*first, *second]),
            _ => 0xfffd,
        });
        let text: String = char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        Cow::Owned(text.into_bytes())
    };
    match body {
        [0xef, 0xbb, 0xbf, rest @ ..] => Cow::Borrowed(rest),
        [0xff, 0xfe, rest @ ..] => from_utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => from_utf16(rest, u16::from_be_bytes),
        [first, 0, ..] if *first != 0 => from_utf16(body, u16::from_le_bytes),
        [0, second, ..] if *second != 0 => from_utf16(body, u16::from_be_bytes),
        _ => Cow::Borrowed(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_at_the_beginning_are_no_utf_16() {
        for body in [&b"\0\0{}"[..], b"\0\0"] {
            assert_eq!(in_utf8(body), body);
        }
        assert_eq!(in_utf8(b"{\0}\0"), &b"{}"[..]);
        assert_eq!(in_utf8(b"\0{\0}"), &b"{}"[..]);
    }

    fn member(text: &[u8], name: &str) -> Option<String> {
        let text = in_utf8(text);
        let members = Json::document(&text)?.members()?;
        Some(members.get(name)?.text()?.into_owned())
    }

    #[test]
    fn invalid_values_of_other_members_do_no_harm() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let digits = "9".repeat(400);
        for odd in [
            &b"\"\xff\xe9\""[..],
            br#""\ud800""#,
            br#""\x""#,
            b"\"\0\n\t\x1b\"",
            b"1e999",
            b"-1e-999",
            digits.as_bytes(),
            b"NaN",
            b"-Infinity",
            b"True",
            b"0x1F",
            b"'single'",
            b".5",
            br#"{"a":{"b":[1,"}"]},"c":"\""}"#,
            b"[1 2,,]",
            deep.as_bytes(),
        ] {
            for text in [
                [br#"{"odd":"#, odd, br#","token":"t"}"#].concat(),
                [br#" {"token" : "t" , "odd" : "#, odd, b" }\r\n"].concat(),
            ] {
                assert_eq!(member(&text, "token").as_deref(), Some("t"), "{odd:?}");
            }
        }
    }

    #[test]
    fn anything_but_one_complete_object_is_none() {
        let whole = r#"{"token":"t","list":[1,{"a":"}"}],"n":1}"#;
        for end in 0..whole.len() {
            assert_eq!(member(&whole.as_bytes()[..end], "token"), None, "{end}");
        }
        for text in [
            "",
            " ",
            "null",
            r#""token""#,
            "{",
            "{}{}",
            r#"{"token":"t"} x"#,
            r#"{"token":"t",}"#,
            r#"{"token":"t" "a":1}"#,
            r#"{"token" "t"}"#,
            r#"{token:"t"}"#,
            r#"{"a":[}],"token":"t"}"#,
            r#"{"a":,"token":"t"}"#,
            "{\"token\":\"t\"}\0",
            "\u{feff}\u{feff}{\"token\":\"t\"}",
        ] {
            assert_eq!(member(text.as_bytes(), "token"), None, "{text}");
        }
    }

    #[test]
    fn a_text_is_read_with_any_escapes_and_encoding() {
        for (json, text) in [
            (&br#""a\"\\\/\b\f\n\r\tz""#[..], "a\"\\/\u{8}\u{c}\n\r\tz"),
            (br#""\u0041\u00e4\ud83d\ude00""#, "A\u{e4}\u{1f600}"),
            (br#""\ud83d\u0041\ude00""#, "\u{fffd}A\u{fffd}"),
            (br#""\x\u12g4\u1""#, "\u{fffd}\u{fffd}12g4\u{fffd}1"),
            (b"\"f\xfcr \xc3\xa4\"", "f\u{fc}r \u{e4}"),
        ] {
            assert_eq!(Json(json).text().as_deref(), Some(text));
        }
        for not_a_text in [&b"1"[..], b"null", b"[]"] {
            assert_eq!(Json(not_a_text).text(), None);
        }
    }

    #[test]
    fn the_last_of_several_members_with_one_name_counts() {
        let text = br#"{"token":"first","t\u006fken":"last"}"#;
        assert_eq!(member(text, "token").as_deref(), Some("last"));
    }

    #[test]
    fn utf_16_is_read_with_and_without_a_byte_order_mark() {
        let units: Vec<u16> = "{\"token\":\"\u{e4}\u{1f600}\"}".encode_utf16().collect();
        for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            for mark in [&[][..], &[0xfeff]] {
                let units = mark.iter().chain(&units);
                let bytes: Vec<u8> = units.flat_map(|unit| to_bytes(*unit)).collect();
                let text = member(&bytes, "token");
                assert_eq!(text.as_deref(), Some("\u{e4}\u{1f600}"));
            }
        }
    }

    #[test]
    fn numbers_may_be_strings_and_may_be_too_large() {
        for (json, number) in [
            ("3600", Some(3600.0)),
            ("\" 3.6e3 \"", Some(3600.0)),
            ("-5", Some(-5.0)),
            ("1e999", Some(f64::INFINITY)),
            ("NaN", None),
            ("\"inf\"", None),
            ("Infinity", None),
            ("true", None),
            ("\"\"", None),
            ("[1]", None),
        ] {
            assert_eq!(Json(json.as_bytes()).number(), number, "{json}");
        }
    }
}
