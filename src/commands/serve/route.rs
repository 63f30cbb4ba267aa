//! Which URL a path of this address stands for, and the way back.

use std::hint::black_box;

use super::rejection::Rejection;
use crate::oauth;
use crate::profile::binding::BoundUrl;
use crate::types::web_url::{WebUrl, decode_lossy, encode_all_reserved};

/// The address of a listener.
pub(super) struct Address {
    /// `k-` and 128 random bits. Who does not know it gets nothing.
    key: String,
    /// `http://127.0.0.1:PORT`
    origin: String,
}

impl Address {
    pub(super) fn new(key: &str, origin: String) -> Self {
        Self {
            key: format!("k-{key}"),
            origin,
        }
    }

    /// The URL of a path below the key.
    pub(super) fn url(&self, path: &str) -> String {
        [&self.origin, "/", &self.key, path].concat()
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
    pub(super) fn url(&self) -> String {
        let ends_with_slash = self.base.as_str().ends_with('/');
        self.address.url(if ends_with_slash { "/" } else { "" })
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
            path,
            &encoded(query),
        ]
        .concat();
        let url = WebUrl::parse(&url).map_err(|_| Rejection::Path)?;
        if self.base.covers(&url) {
            Ok(url)
        } else {
            Err(Rejection::Path)
        }
    }

    /// What a client gets as `Location` in the response to a request for `url`: a URL of this address
    /// where the base URL covers it, else the absolute URL, which the client requests without a token.
    pub(super) fn location(&self, url: &WebUrl, location: &str) -> Option<String> {
        let resolved = oauth::resolve_location(url.as_str(), location)?;
        let (resolved, fragment) = match resolved.split_once('#') {
            Some((resolved, fragment)) => (resolved.to_owned(), format!("#{fragment}")),
            None => (resolved, String::new()),
        };
        let target = WebUrl::parse(&resolved).ok();
        let covered = target.filter(|target| self.base.covers(target));
        let rest = covered.as_ref().and_then(|target| {
            let path = target.as_str().strip_prefix(self.base.origin())?;
            path.strip_prefix(self.base.prefix())
        });
        Some(match rest {
            Some(rest) => self.address.url(rest) + &fragment,
            None => resolved + &fragment,
        })
    }
}

/// Whether two texts are equal, in a time that does not depend on where they differ.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let differences = one
        .iter()
        .zip(other)
        .fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    one.len() == other.len() && differences == 0
}

/// Whether every server reads this path alike: no segment is empty, leads upwards, or becomes another
/// when it is decoded, or decoded twice.
fn is_safe(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else {
        return path.is_empty();
    };
    let count = path.split('/').count();
    path.split('/').enumerate().all(|(number, segment)| {
        let is_last = number + 1 == count;
        (is_last || !segment.is_empty()) && is_safe_segment(segment)
    })
}

fn is_safe_segment(segment: &str) -> bool {
    let mut text = segment.to_owned();
    for _ in 0..3 {
        // Some servers cut a segment off at its first parameter.
        let name = text.split(';').next().unwrap_or_default();
        let is_bad = |c: char| matches!(c, '/' | '\\' | '\u{fffd}') || c.is_control();
        if matches!(name, "." | "..") || text.contains(is_bad) {
            return false;
        }
        let decoded = decode_lossy(&text);
        if decoded == text {
            return true;
        }
        text = decoded;
    }
    false
}

/// A query whose characters are all valid in a URL: many clients send others.
fn encoded(query: &str) -> String {
    let mut encoded = String::with_capacity(query.len());
    for c in query.chars() {
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
    use super::{Address, BoundUrl, Rejection, Route};

    fn route(base: &str) -> Route {
        let base = BoundUrl::parse(base).expect("a URL to bind");
        let address = Address::new("0a", "http://127.0.0.1:1".to_owned());
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
                "/k-0a/b%20c;d/..e",
                "https://a.example/v1/b%20c;d/..e",
            ),
            (
                "https://a.example/",
                "/k-0a/b?{\"c\"}",
                "https://a.example/b?%7B%22c%22%7D",
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
            "/b%2fc",
            "/b%5Cc",
            "/b\\c",
            "/..;/b",
            "/..;x=y/b",
            "/%252e%252e/b",
            "/b%252fc",
            "/%25252e%25252e/",
            "/b%00",
            "/b%0d%0a",
            "/%c0%ae%c0%ae/",
            "/b%",
            "/b%zz",
            "/%2e%2e;x",
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
    fn a_redirect_within_the_bound_url_is_one_of_this_address() {
        let route = route("https://a.example/v1");
        let url = route.upstream_url("/b/c").expect("a URL");
        for (location, rewritten) in [
            (
                "https://a.example/v1/d?e#f",
                "http://127.0.0.1:1/k-0a/d?e#f",
            ),
            ("/v1", "http://127.0.0.1:1/k-0a"),
            ("d", "http://127.0.0.1:1/k-0a/b/d"),
            ("../d", "http://127.0.0.1:1/k-0a/d"),
            ("/v2/", "https://a.example/v2/"),
            ("../../d", "https://a.example/d"),
            ("//b.example/v1/", "https://b.example/v1/"),
            ("http://a.example/v1/", "http://a.example/v1/"),
        ] {
            let found = route.location(&url, location);
            assert_eq!(found.as_deref(), Some(rewritten), "{location}");
        }
    }
}
