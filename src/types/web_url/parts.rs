//! The parts of a URL, each in its one canonical spelling.

use std::net::{Ipv4Addr, Ipv6Addr};

// These search byte by byte. The searchers of `str` take five times as many instructions for texts
// as short as URLs, and a cached token for a URL reads five of them.

/// What comes before and after the first colon, if two slashes follow it.
pub(super) fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = split_before(text, |b| b == b':');
    Some((scheme, rest.strip_prefix("://")?))
}

/// An ASCII text in two, the second of which begins with this byte, or is empty.
pub(super) fn split_before(text: &str, is_end: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(is_end);
    text.split_at(end.unwrap_or(text.len()))
}

/// The host, and the port in its one spelling.
pub(super) fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    let (host, port) = match authority.bytes().rposition(|b| b == b']') {
        Some(bracket) => authority.split_at(bracket + 1),
        None => split_before(authority, |b| b == b':'),
    };
    let Some(digits) = port.strip_prefix(':') else {
        return if port.is_empty() {
            Ok((host, None))
        } else {
            Err("has no valid host")
        };
    };
    // The parser takes a sign and leading zeros too.
    let plain = digits.starts_with(|c| matches!(c, '1'..='9'));
    match digits.parse::<u16>() {
        Ok(_) if plain => Ok((host, Some(digits))),
        _ => Err("has no valid port"),
    }
}

/// The host in its canonical spelling, and whether it is this machine itself.
pub(super) fn parse_host(host: &str) -> Result<(String, bool), &'static str> {
    const INVALID: &str = "has no valid host";
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').ok_or(INVALID)?;
        let address: Ipv6Addr = address.parse().map_err(|_| INVALID)?;
        return Ok((format!("[{address}]"), address.is_loopback()));
    }
    let host = host.to_ascii_lowercase();
    let labels = || host.as_bytes().split(|b| *b == b'.');
    let labels_fit = labels().all(|label| {
        let is_fit = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_';
        !label.is_empty() && label.len() <= 63 && label.iter().all(is_fit)
    });
    if !labels_fit || host.len() > 253 {
        return Err(INVALID);
    }
    // Some parsers read `0x7f.1` or `127.1` as an IPv4 address: only the plain spelling is left.
    let last_label = labels().next_back().unwrap_or_default();
    if last_label.first().is_some_and(u8::is_ascii_digit) {
        let address: Ipv4Addr = host.parse().map_err(|_| INVALID)?;
        return Ok((host, address.is_loopback()));
    }
    // The HTTP library decodes these labels, and refuses what it cannot decode.
    if host.as_bytes().windows(4).any(|four| four == b"xn--") {
        let decodes = url::Host::parse(&host).is_ok_and(|parsed| parsed.to_string() == host);
        return if decodes {
            Ok((host, false))
        } else {
            Err(INVALID)
        };
    }
    let loopback = host == "localhost";
    Ok((host, loopback))
}

pub(super) fn check_path(path: &str) -> Result<(), &'static str> {
    if path.bytes().any(|b| b == b'#') {
        return Err("must not have a fragment (#)");
    }
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let is_hex = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_hexdigit());
        if byte == b'%' && !(is_hex(bytes.next()) && is_hex(bytes.next())) {
            return Err("has a % that is not followed by two hexadecimal digits");
        }
    }
    let (path, _) = split_before(path, |b| b == b'?');
    let is_dots = |segment: &[u8]| {
        // The longest is `%2e%2e`; most are words.
        segment.len() <= 6
            && matches!(segment.first(), Some(b'.' | b'%'))
            && matches!(
                &*String::from_utf8_lossy(segment)
                    .to_ascii_lowercase()
                    .replace("%2e", "."),
                "." | ".."
            )
    };
    if path.as_bytes().split(|b| *b == b'/').any(is_dots) {
        return Err("has a dot segment in its path");
    }
    Ok(())
}

/// The bytes that a URL may contain (RFC 3986 section 2).
const IN_URLS: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        allowed[byte as usize] = !matches!(
            byte,
            b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}'
        );
        byte += 1;
    }
    allowed
};

/// Whether each character may be in a URL at all.
///
/// # Errors
/// What is wrong with the URL, as the end of a sentence that begins with "the URL ".
pub(super) fn check_characters(text: &str) -> Result<(), &'static str> {
    if text.bytes().all(|b| IN_URLS[usize::from(b)]) {
        Ok(())
    } else if text.is_ascii() {
        Err("has a character that no URL may have")
    } else {
        Err("has a character outside ASCII (write the host in its xn-- form, the path in %XX)")
    }
}
