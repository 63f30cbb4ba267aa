//! Which URL a path of this address stands for, and the way back.

use std::hint::black_box;

use super::rejection::Rejection;
use crate::oauth;
use crate::profile::binding::BoundUrl;
use crate::types::web_url::{WebUrl, decode_lossy, encode_all_reserved, has_overlong_sequence};

/// The address of a listener.
pub(super) struct Address {
    /// `k-` and 128 random bits. Without it, every path is 404.
    key: String,
    /// `http://127.0.0.1:PORT`, and those with the names of `--allow-host`.
    origins: Vec<String>,
}

impl Address {
    pub(super) fn new(key: &str, origins: Vec<String>) -> Self {
        Self {
            key: format!("k-{key}"),
            origins,
        }
    }

    /// The URLs of a path below the key.
    pub(super) fn urls(&self, path: &str) -> Vec<String> {
        let origins = self.origins.iter();
        origins.map(|origin| self.url(origin, path)).collect()
    }

    fn url(&self, origin: &str, path: &str) -> String {
        [origin, "/", &self.key, path].concat()
    }

    /// The part of a target after the key.
    pub(super) fn without_key<'a>(&self, target: &'a str) -> Result<&'a str, Rejection> {
        let path = target.strip_prefix('/').ok_or(Rejection::NotFound)?;
        let end = path.find(['/', '?']).unwrap_or(path.len());
        let (key, rest) = path.split_at(end);
        if is_equal(key.as_bytes(), self.key.as_bytes()) {
            Ok(rest)
        } else {
            Err(Rejection::NotFound)
        }
    }
}

/// An address, and the URL that it stands for.
pub(super) struct Route {
    pub(super) address: Address,
    /// No request leaves it.
    pub(super) base: BoundUrl,
}

impl Route {
    /// What a client puts in place of the base URL. It ends with a slash if that one does.
    pub(super) fn urls(&self) -> Vec<String> {
        let ends_with_slash = self.base.as_str().ends_with('/');
        self.address.urls(if ends_with_slash { "/" } else { "" })
    }

    /// The URL that the rest of a target stands for.
    pub(super) fn upstream_url(&self, rest: &str) -> Result<WebUrl, Rejection> {
        let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        if !is_safe(path) {
            return Err(Rejection::Path);
        }
        let url = [
            self.base.origin(),
            self.base.prefix(),
            &encoded(path),
            &encoded(query),
        ]
        .concat();
        let url = WebUrl::parse(&url).map_err(|_| Rejection::Path)?;
        if self.rest(&url).is_some() {
            Ok(url)
        } else {
            Err(Rejection::Path)
        }
    }

    /// What a URL has after the base URL, if it is that one or below it.
    fn rest<'a>(&self, url: &'a WebUrl) -> Option<&'a str> {
        let path = url.as_str().strip_prefix(self.base.origin())?;
        let rest = path.strip_prefix(self.base.prefix())?;
        let is_below = rest.is_empty() || rest.starts_with(['/', '?']);
        is_below.then_some(rest)
    }
}

/// A request, whose response has references to other URLs.
pub(super) struct References<'a> {
    pub(super) route: &'a Route,
    pub(super) url: &'a WebUrl,
    /// The name that the client has for this address: its `Host`.
    pub(super) host: &'a str,
}

impl References<'_> {
    /// What a client gets in place of a reference in a header: a URL of this address where the base URL
    /// covers it, else the absolute URL, which the client requests without a token.
    pub(super) fn location(&self, reference: &str) -> Option<String> {
        let resolved = oauth::resolve_location(self.url.as_str(), reference)?;
        let (resolved, fragment) = match resolved.split_once('#') {
            Some((resolved, fragment)) => (resolved.to_owned(), format!("#{fragment}")),
            None => (resolved, String::new()),
        };
        let target = WebUrl::parse(&resolved).ok();
        let rest = target.as_ref().and_then(|target| self.route.rest(target));
        Some(match rest {
            Some(rest) => {
                let origin = ["http://", self.host].concat();
                self.route.address.url(&origin, rest) + &fragment
            }
            None => resolved + &fragment,
        })
    }

    /// The same for each target in a `Link` header (RFC 8288 §3).
    pub(super) fn links(&self, header: &str) -> String {
        let (mut links, mut rest) = (String::with_capacity(header.len()), header);
        while let Some((before, target, after)) = split_at_target(rest) {
            let location = self.location(target);
            links.extend([before, location.as_deref().unwrap_or(target)]);
            rest = after;
        }
        links + rest
    }
}

/// What comes before, in and after the next `<` and `>` outside of quotes.
fn split_at_target(links: &str) -> Option<(&str, &str, &str)> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let start = links.find(|c| {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            _ => return c == '<' && !is_quoted,
        }
        false
    })?;
    let (before, rest) = links.split_at(start + 1);
    let (target, after) = rest.split_at(rest.find('>')?);
    Some((before, target, after))
}

/// Whether two texts are equal, in a time that does not depend on where they differ.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let differences = one
        .iter()
        .zip(other)
        .fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    one.len() == other.len() && differences == 0
}

/// Whether this path stays below the base URL however often a server decodes it: no segment is empty or
/// leads upwards, also if each encoded slash is one.
fn is_safe(path: &str) -> bool {
    if !path.contains('%') {
        return path.is_empty() || has_safe_segments(path);
    }
    let mut text = path.to_owned();
    for _ in 0..3 {
        if !has_safe_segments(&text) {
            return false;
        }
        let decoded = decode_lossy(&text);
        if decoded == text {
            return true;
        }
        // Some servers decode these to ASCII, such as a dot.
        if has_overlong_sequence(&text) {
            return false;
        }
        text = decoded;
    }
    false
}

fn has_safe_segments(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else {
        return false;
    };
    let count = path.split('/').count();
    path.split('/').enumerate().all(|(number, segment)| {
        let is_last = number + 1 == count;
        (is_last || !segment.is_empty()) && is_safe_segment(segment)
    })
}

fn is_safe_segment(segment: &str) -> bool {
    // Some servers cut a segment off at its first parameter, those on Windows strip spaces, and others
    // leave out what is not UTF-8.
    let name = segment.split(is_like_end).next().unwrap_or_default();
    let is_nothing =
        |c: char| c.is_whitespace() || is_like_dot(c) || c == char::REPLACEMENT_CHARACTER;
    let leads_upwards = !name.is_empty() && name.chars().all(is_nothing);
    !leads_upwards && !segment.contains(|c: char| is_like_slash(c) || c.is_control())
}

// Each of these characters, and those that some servers take for it (NFKC, best fit of Windows).

fn is_like_end(c: char) -> bool {
    let similar = ['\u{37e}', '\u{fe54}', '\u{ff03}', '\u{ff1b}', '\u{ff1f}'];
    matches!(c, ';' | '?' | '#') || similar.contains(&c)
}

fn is_like_dot(c: char) -> bool {
    let similar = ['\u{2024}', '\u{2025}', '\u{2026}', '\u{fe52}', '\u{ff0e}'];
    c == '.' || similar.contains(&c)
}

/// Or like a percent sign.
fn is_like_slash(c: char) -> bool {
    let of_slash = ['\u{2044}', '\u{2215}', '\u{29f8}', '\u{ff0f}'];
    let of_backslash = ['\u{2216}', '\u{29f5}', '\u{fe68}', '\u{ff3c}'];
    let with_slash = ['\u{2100}', '\u{2101}', '\u{2105}', '\u{2106}'];
    let of_percent = ['\u{fe6a}', '\u{ff05}'];
    let similar = [of_slash, of_backslash, with_slash].concat();
    matches!(c, '/' | '\\') || similar.contains(&c) || of_percent.contains(&c)
}

/// A path or query whose characters are all valid in a URL: many clients send others.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => {
                encoded.push_str(&encode_all_reserved(c.encode_utf8(&mut [0; 4])));
            }
            _ => encoded.push(c),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{Address, BoundUrl, References, Rejection, Route};

    fn route(base: &str) -> Route {
        let base = BoundUrl::parse(base).expect("a URL to bind");
        let address = Address::new("0a", vec!["http://127.0.0.1:1".to_owned()]);
        Route { address, base }
    }

    fn upstream(base: &str, target: &str) -> Result<String, Rejection> {
        let route = route(base);
        let rest = route.address.without_key(target)?;
        route.upstream_url(rest).map(|url| url.as_str().to_owned())
    }

    #[test]
    fn a_path_stands_for_a_path_below_the_bound_url() {
        for (base, target, url) in [
            ("https://a.example/", "/k-0a", "https://a.example/"),
            ("https://a.example/", "/k-0a/b/?c", "https://a.example/b/?c"),
            ("https://a.example/v1", "/k-0a", "https://a.example/v1"),
            ("https://a.example/v1", "/k-0a?x", "https://a.example/v1?x"),
            ("https://a.example/v1/", "/k-0a/", "https://a.example/v1/"),
            (
                "https://a.example/v1/",
                "/k-0a/b%20c;d/..e/%E2%80%A6f%3f",
                "https://a.example/v1/b%20c;d/..e/%E2%80%A6f%3f",
            ),
            (
                "https://a.example/",
                "/k-0a/{b}|?{\"c\"}",
                "https://a.example/%7Bb%7D%7C?%7B%22c%22%7D",
            ),
            (
                "https://a.example/v1",
                "/k-0a/group%2Fproject/foo%25bar/caf%E9/@a%2fb/100%25",
                "https://a.example/v1/group%2Fproject/foo%25bar/caf%E9/@a%2fb/100%25",
            ),
        ] {
            assert_eq!(
                upstream(base, target).as_deref(),
                Ok(url),
                "{base} {target}"
            );
        }
    }

    #[test]
    fn a_path_that_a_server_could_read_differently_is_refused() {
        for path in [
            "/..",
            "/../",
            "/./b",
            "/b/..",
            "/%2e%2e/b",
            "/%2E./b",
            "/.%2e",
            "//b",
            "/b//c",
            "/%2fb",
            "/b%2f%2fc",
            "/b%2f..",
            "/b%2f..%2f..%2fc",
            "/b%2f%2e%2e%2fc",
            "/b%252f..%252fc",
            "/b/%2f..",
            "/.%C2./b",
            "/%FF../b",
            "/%e0%80%ae%e0%80%ae/b",
            "/%f0%80%80%ae/b",
            "/b%5Cc",
            "/b\\c",
            "/..;/b",
            "/..;x=y/b",
            "/%252e%252e/b",
            "/%25252e%25252e/",
            "/b%00",
            "/b%0d%0a",
            "/%c0%ae%c0%ae/",
            "/b%",
            "/b%zz",
            "/%2e%2e;x",
            "/..%3f/b",
            "/..%23/b",
            "/..%253fx/b",
            "/..%20/b",
            "/.%20./b",
            "/%20/b",
            "/.../b",
            "/..%c2%a0/b",
            "/%EF%BC%8E%EF%BC%8E/b",
            "/%EF%BC%8F..%EF%BC%8F",
            "/%E2%80%A5/b",
            "/%E2%88%95b",
            "/%EF%BC%852e",
        ] {
            let found = upstream("https://a.example/v1", &format!("/k-0a{path}"));
            assert_eq!(found, Err(Rejection::Path), "{path}");
        }
        for target in [
            "/",
            "/k-0",
            "/k-0ab",
            "/k-0A",
            "/K-0a",
            "//k-0a",
            "/k-0a%2fb",
            "k-0a/",
            "",
        ] {
            assert_eq!(
                upstream("https://a.example/", target),
                Err(Rejection::NotFound),
                "{target}"
            );
        }
    }

    #[test]
    fn a_reference_within_the_bound_url_is_one_of_this_address() {
        let route = route("https://a.example/v1");
        let url = route.upstream_url("/b/c").expect("a URL");
        let references = References {
            route: &route,
            url: &url,
            host: "host.example:1",
        };
        for (location, rewritten) in [
            (
                "https://a.example/v1/d?e#f",
                "http://host.example:1/k-0a/d?e#f",
            ),
            ("/v1", "http://host.example:1/k-0a"),
            ("/v1?a", "http://host.example:1/k-0a?a"),
            ("/v1/é", "http://host.example:1/k-0a/%C3%A9"),
            ("/v1/a%2fb", "http://host.example:1/k-0a/a%2fb"),
            ("d", "http://host.example:1/k-0a/b/d"),
            ("../d", "http://host.example:1/k-0a/d"),
            ("/v2/", "https://a.example/v2/"),
            ("/v1a", "https://a.example/v1a"),
            ("../../d", "https://a.example/d"),
            ("//b.example/v1/", "https://b.example/v1/"),
            ("http://a.example/v1/", "http://a.example/v1/"),
        ] {
            let found = references.location(location);
            assert_eq!(found.as_deref(), Some(rewritten), "{location}");
        }
        for (links, rewritten) in [
            ("", ""),
            ("a", "a"),
            ("<", "<"),
            (
                "<https://a.example/v1/b?page=2>; rel=\"next\", <?page=9>; rel=last",
                "<http://host.example:1/k-0a/b?page=2>; rel=\"next\", \
                 <http://host.example:1/k-0a/b/c?page=9>; rel=last",
            ),
            (
                "</v1>; title=\"a \\\" <b>\", <https://b.example/>",
                "<http://host.example:1/k-0a>; title=\"a \\\" <b>\", <https://b.example/>",
            ),
        ] {
            assert_eq!(references.links(links), rewritten);
        }
    }
}
