//! Web addresses, read strictly: what a lenient parser would repair is refused here.
//!
//! A secret or a token goes to these addresses, so there must be one reading of each.

mod encoding;
mod parts;

use std::fmt;

use percent_encoding::{percent_decode, percent_encode};

use encoding::NOT_IN_PATH;
pub(crate) use encoding::{
    decode_lossy, encode_all_reserved, encode_non_ascii, has_overlong_sequence, reencoded_path,
};
use parts::{check_characters, check_path, parse_host, split_before, split_port, split_scheme};

/// An absolute `http` or `https` URL in its one canonical spelling (RFC 3986): scheme and host in
/// lower case, no default port, no userinfo, no fragment, no dot segments.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct WebUrl {
    text: String,
    /// The end of `scheme://host[:port]` in `text`.
    origin_end: usize,
    loopback: bool,
}

impl WebUrl {
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with "the URL ".
    /// The text is not repeated, as it may hold a secret.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        Self::parse_with(WEB, text)
            .map_err(|fault| fault.unwrap_or("must start with https:// (or http:// for localhost)"))
    }

    /// The same for what tokens are used with besides the web: git sends mail, too.
    ///
    /// # Errors
    /// As [`WebUrl::parse`].
    pub(crate) fn parse_service(text: &str) -> Result<Self, &'static str> {
        Self::parse_with(WEB_AND_MAIL, text).map_err(|fault| {
            fault.unwrap_or(
                "must start with https:// (or smtp://, smtps://, imap://, imaps:// for mail)",
            )
        })
    }

    /// The service that a program describes in parts, with the bytes of a path that it has decoded.
    ///
    /// # Errors
    /// As [`WebUrl::parse`].
    pub(crate) fn of_service(
        scheme: &str,
        authority: &str,
        path: &[u8],
    ) -> Result<Self, &'static str> {
        if scheme.contains(['/', ':']) || authority.contains(['/', '?', '#', '@']) {
            return Err("has no valid host");
        }
        // Some clients decode the path again, so it must not change its directory then, either.
        let decoded_twice: Vec<_> = percent_decode(path).collect();
        let slashes = |path: &[u8]| path.iter().filter(|byte| b"/\\".contains(byte)).count();
        if slashes(&decoded_twice) != slashes(path) {
            return Err("has an encoded slash in its path");
        }
        let mut segments = decoded_twice.split(|byte| *byte == b'/');
        if segments.any(|segment| [b".".as_slice(), b".."].contains(&segment)) {
            return Err("has a dot segment in its path");
        }
        let path = percent_encode(path, NOT_IN_PATH).to_string();
        Self::parse_service(&[scheme, "://", authority, "/", &path].concat())
    }

    /// # Errors
    /// What is wrong; None for an unknown scheme.
    fn parse_with(schemes: &[&'static str], text: &str) -> Result<Self, Option<&'static str>> {
        check_characters(text)?;
        let (head, rest) = split_scheme(text).ok_or(None)?;
        let scheme = schemes
            .iter()
            .find(|scheme| head.eq_ignore_ascii_case(scheme))
            .ok_or(None)?;
        let (authority, path) = split_before(rest, |b| matches!(b, b'/' | b'?' | b'#'));
        if authority.bytes().any(|b| b == b'@') {
            return Err(Some("must not contain a user name or password"));
        }
        let (host, port) = split_port(authority)?;
        let (host, loopback) = parse_host(host)?;
        check_path(path)?;
        let default_port = match *scheme {
            "https" => "443",
            "http" => "80",
            // Mail programs name the port that they mean.
            _ => "",
        };
        let port = port.filter(|port| *port != default_port);
        let mut canonical = String::with_capacity(text.len() + 1);
        canonical.extend([scheme, "://", &host]);
        if let Some(port) = port {
            canonical.push(':');
            canonical.push_str(port);
        }
        let origin_end = canonical.len();
        if !path.starts_with('/') {
            canonical.push('/');
        }
        canonical.push_str(path);
        Ok(Self {
            text: canonical,
            origin_end,
            loopback,
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// `scheme://host[:port]` (RFC 6454): the server that a request goes to.
    pub(crate) fn origin(&self) -> &str {
        &self.text[..self.origin_end]
    }

    /// The host as the URL has it (IPv6 in brackets), and the port, given or not.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        let (_, authority) = self.origin().split_once("://").unwrap_or_default();
        let default = if self.is_https() { 443 } else { 80 };
        match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(default)),
            _ => (authority, default),
        }
    }

    /// The host is this machine itself.
    pub(crate) fn is_loopback(&self) -> bool {
        self.loopback
    }

    pub(crate) fn is_https(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// Not a mail server.
    pub(crate) fn is_web(&self) -> bool {
        self.text.starts_with("http")
    }

    /// The path, without the query: at least `/`.
    pub(crate) fn path(&self) -> &str {
        split_before(&self.text[self.origin_end..], |b| b == b'?').0
    }

    /// Whether the path has an encoded slash or backslash, which some servers take for a plain one.
    pub(crate) fn hides_a_slash(&self) -> bool {
        let path = self.path();
        // Most have no encoded character at all.
        let is_encoded = path.bytes().any(|b| b == b'%');
        let encoded = is_encoded.then(|| path.to_ascii_lowercase());
        encoded.is_some_and(|path| path.contains("%2f") || path.contains("%5c"))
    }

    /// This URL, if a secret or a token may be sent to it: https, or http on this machine itself.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with "the URL ".
    pub(crate) fn for_secrets(self) -> Result<Self, &'static str> {
        if self.is_https() || self.is_loopback() {
            Ok(self)
        } else {
            Err("must use https; plain http is allowed only for localhost")
        }
    }

    /// The URL without its query, as HTTP libraries and servers write it (the URL standard of WHATWG): the
    /// `htu` of a proof of possession (RFC 9449 §4.2).
    pub(crate) fn without_query(&self) -> String {
        let text = split_before(&self.text, |b| b == b'?').0;
        // Only an IPv6 address with an IPv4 address in it is written in another way.
        url::Url::parse(text).map_or_else(|_| text.to_owned(), String::from)
    }

    pub(crate) fn has_query(&self) -> bool {
        self.text.bytes().any(|b| b == b'?')
    }
}

impl fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

const WEB: &[&str] = &["https", "http"];
const WEB_AND_MAIL: &[&str] = &["https", "http", "smtps", "smtp", "imaps", "imap"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::WebUrl;

    #[test]
    fn a_url_has_one_spelling() {
        for (given, canonical) in [
            (
                "https://login.blooma.ai/oauth/token",
                "https://login.blooma.ai/oauth/token",
            ),
            (
                "HTTPS://Login.Blooma.AI:443/oauth/token",
                "https://login.blooma.ai/oauth/token",
            ),
            ("http://localhost:80", "http://localhost/"),
            ("https://a.example?x=1", "https://a.example/?x=1"),
            ("https://[::1]:8443/t", "https://[::1]:8443/t"),
            ("https://[0:0::1]/t", "https://[::1]/t"),
            (
                "https://xn--bcher-kva.example/%c3%bc",
                "https://xn--bcher-kva.example/%c3%bc",
            ),
            ("https://127.0.0.1:8443/", "https://127.0.0.1:8443/"),
        ] {
            assert_eq!(
                WebUrl::parse(given).as_ref().map(WebUrl::as_str),
                Ok(canonical),
                "{given}"
            );
        }
    }

    #[test]
    fn a_host_has_at_most_253_characters() {
        let longest = [&"a.".repeat(126)[..], "b"].concat();
        assert!(WebUrl::parse(&format!("https://{longest}/")).is_ok());
        assert!(WebUrl::parse(&format!("https://{longest}b/")).is_err());
    }

    #[test]
    fn the_parts_of_a_service_cannot_change_its_server_or_directory() {
        let of = |scheme, authority, path: &str| {
            let url = WebUrl::of_service(scheme, authority, path.as_bytes());
            url.map(|url| url.as_str().to_owned())
        };
        assert_eq!(
            of("https", "a.example:8443", "x y/%41").as_deref(),
            Ok("https://a.example:8443/x%20y/%2541")
        );
        for (scheme, authority, path) in [
            ("https:", "a.example", ""),
            ("https", "a.example/x", ""),
            ("https", "a.example?x", ""),
            ("https", "u@a.example", ""),
            ("https", "a.example", "x/../y"),
            ("https", "a.example", "x/%2e%2e/y"),
            ("https", "a.example", "x%2fy"),
        ] {
            assert!(of(scheme, authority, path).is_err(), "{authority} {path}");
        }
    }

    #[test]
    fn a_mail_server_is_not_on_the_web() {
        let is_web = |url| WebUrl::parse_service(url).map(|url| url.is_web());
        assert_eq!(is_web("https://a.example"), Ok(true));
        assert_eq!(is_web("smtps://a.example"), Ok(false));
    }

    #[test]
    fn a_url_without_its_query_is_written_as_servers_write_it() {
        for (given, expected) in [
            ("https://Api.example:443", "https://api.example/"),
            (
                "https://api.example/a%7Eb/%c3%a9?c=/d?",
                "https://api.example/a%7Eb/%c3%a9",
            ),
            (
                "https://api.example:8443//a/",
                "https://api.example:8443//a/",
            ),
            (
                "https://xn--bcher-kva.example/",
                "https://xn--bcher-kva.example/",
            ),
            ("https://[::ffff:192.0.2.1]/", "https://[::ffff:c000:201]/"),
            (
                "https://api.example/a;b,c:d@e'(f)!$&*+=~",
                "https://api.example/a;b,c:d@e'(f)!$&*+=~",
            ),
        ] {
            let url = WebUrl::parse(given).expect("a URL");
            assert_eq!(url.without_query(), expected);
        }
    }

    #[test]
    fn what_another_parser_would_repair_is_refused() {
        for given in [
            "",
            "https",
            "https:a.example",
            "https:/a.example",
            "https:///a/t",
            "https://",
            "https://?x",
            "https://#x",
            "https://:443/",
            "https://@a/",
            "https://user@a.example/",
            "https://u:p@a.example/",
            "https://a.example\\@b.example/",
            "https://a.example\t/",
            " https://a.example/",
            "https://a.example/ ",
            "https://a.example/a\nb",
            "ftp://a.example/",
            "//a.example/",
            "a.example",
            "https://a.example:0/",
            "https://a.example:65536/",
            "https://a.example:/",
            "https://a.example:+1/",
            "https://a.example:0443/",
            "https://a.example:1:2/",
            "https://a..example/",
            "https://.a.example/",
            "https://a.example./",
            "https://a%2eexample/",
            "https://bücher.example/",
            "https://0x7f.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://127.0.0.01/",
            "https://1.2.3.4.5/",
            "https://[::1/",
            "https://::1/",
            "https://[::1]x/",
            "https://[fe80::1%25eth0]/",
            "https://a.example/#frag",
            "https://a.example/%",
            "https://a.example/%4",
            "https://a.example/%zz",
            "https://a.example/a/../b",
            "https://a.example/./b",
            "https://a.example/%2e%2E/b",
            "https://a.example/a/..",
            "https://*.example/",
            "https://xn--zz--/",
            "https://xn--/",
            "https://xn--a.example/",
            "https://a.xn--zz--.example/",
        ] {
            assert!(WebUrl::parse(given).is_err(), "{given}");
        }
    }

    /// The parts of URLs that parsers disagree about.
    fn url_like() -> impl Strategy<Value = String> {
        let scheme = prop::sample::select(vec!["https://", "http://", "HTTPS://"]);
        let label = prop_oneof![
            "[a-zA-Z0-9_-]{1,5}",
            "xn--[a-z0-9-]{0,8}",
            Just("xn--bcher-kva".to_owned()),
            "0x[0-9a-f]{1,2}",
        ];
        let host = prop_oneof![
            4 => prop::collection::vec(label, 1..4).prop_map(|labels| labels.join(".")),
            1 => any::<std::net::Ipv6Addr>().prop_map(|address| format!("[{address}]")),
            1 => any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
        ];
        let port = prop_oneof![2 => Just(String::new()), 1 => ":[0-9]{1,5}"];
        let tail = "(/[!-~]{0,6}){0,4}([?][!-~]{0,8})?";
        (scheme, host, port, tail)
            .prop_map(|(scheme, host, port, tail)| scheme.to_owned() + &host + &port + &tail)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn the_http_library_reads_each_url_as_we_do(text in url_like()) {
            if let Ok(ours) = WebUrl::parse(&text) {
                let theirs = url::Url::parse(ours.as_str()).expect(&text);
                let (host, port) = ours.host_and_port();
                let host = host.trim_matches(['[', ']']);
                let their_host = theirs.host_str().expect(&text).trim_matches(['[', ']']).to_owned();
                // An IPv6 address has several spellings.
                let address = |host: &str| host.parse::<std::net::IpAddr>().ok();
                let is_same = address(host).map_or(their_host == host, |ours| {
                    address(&their_host) == Some(ours)
                });
                prop_assert!(is_same, "{}", their_host);
                prop_assert_eq!(theirs.scheme() == "https", ours.is_https());
                prop_assert_eq!(theirs.port_or_known_default(), Some(port));
                prop_assert_eq!(theirs.path(), ours.path());
                // This one is the same inside a query.
                let query = ours.as_str().split_once('?').map(|(_, query)| query.replace('\'', "%27"));
                prop_assert_eq!(theirs.query(), query.as_deref());
                prop_assert!(theirs.username().is_empty() && theirs.fragment().is_none());
            }
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let loopback = |url| WebUrl::parse(url).map(|url| url.is_loopback());
        for url in [
            "http://localhost/",
            "http://LOCALHOST:1/",
            "http://127.0.0.1/",
            "http://127.9.8.7/",
            "http://[::1]/",
        ] {
            assert_eq!(loopback(url), Ok(true), "{url}");
        }
        for url in [
            "http://127.0.0.1.evil.example/",
            "http://localhost.evil.example/",
            "http://[::ffff:127.0.0.1]/",
            "http://128.0.0.1/",
            "http://localhosts/",
            "http://0.0.0.0/",
        ] {
            assert_eq!(loopback(url), Ok(false), "{url}");
        }
    }
}
