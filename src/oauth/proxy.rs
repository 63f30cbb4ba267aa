//! Proxies from the environment.
//!
//! An invalid value is an error: without its proxy, a request would take a route that the user does not
//! want.

use std::env;
use std::net::IpAddr;

use crate::error::{Error, Result};
use crate::profile::TokenEndpoint;
use crate::types::web_url::{WebUrl, decode_lossy};

/// In curl's order.
const PROXY: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const NO_PROXY: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// A proxy for https requests.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Proxy {
    /// The environment variable that names it.
    pub(super) variable: &'static str,
    /// `http://host:port`, or https.
    pub(super) url: WebUrl,
    /// The user name and the password, decoded.
    pub(super) credentials: Option<(String, String)>,
}

impl Proxy {
    /// The proxy on the way to this server, if there is one.
    ///
    /// # Errors
    /// `Usage` when the variable cannot be read. Its value is not shown, as it may contain a password.
    pub(super) fn to(endpoint: &TokenEndpoint) -> Result<Option<Self>> {
        Self::find(endpoint, |name| match env::var_os(name) {
            // Text that is not UTF-8 cannot be a URL.
            Some(value) => value.into_string().unwrap_or_else(|_| "\0".to_owned()),
            None => String::new(),
        })
    }

    fn find(endpoint: &TokenEndpoint, variable: impl Fn(&str) -> String) -> Result<Option<Self>> {
        // A request over plain http stays on this machine, and a proxy could read it.
        if !endpoint.is_https() {
            return Ok(None);
        }
        let first = |names: &[&'static str]| {
            let values = names.iter().map(|name| (*name, variable(name)));
            values.into_iter().find(|(_, value)| !value.is_empty())
        };
        let Some((name, value)) = first(&PROXY) else {
            return Ok(None);
        };
        if first(&NO_PROXY).is_some_and(|(_, list)| is_excluded(endpoint, &list)) {
            return Ok(None);
        }
        match parse(name, value.trim_ascii()) {
            Ok(proxy) => Ok(Some(proxy)),
            Err(fault) => Err(Error::usage(format!("{name} {fault}")).hint(format!(
                "set {name} to http://HOST:PORT, or unset it; write special characters in a password as %XX"
            ))),
        }
    }
}

/// A URL, or one without `http://`. What is wrong with it follows the variable's name.
fn parse(variable: &'static str, text: &str) -> std::result::Result<Proxy, &'static str> {
    const NOT_A_URL: &str = "is not a URL of a proxy";
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => "http",
        "https" => "https",
        socks if socks.starts_with("socks") => {
            return Err("is a SOCKS proxy, which hallpass does not support");
        }
        _ => return Err(NOT_A_URL),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // Otherwise a password with one of these characters would look like a host.
    if !matches!(path, "" | "/") {
        return Err(NOT_A_URL);
    }
    let (credentials, host) = match authority.rsplit_once('@') {
        Some((credentials, host)) => (Some(credentials), host),
        None => (None, authority),
    };
    let url = WebUrl::parse(&format!("{scheme}://{host}")).map_err(|_| NOT_A_URL)?;
    let credentials = credentials.filter(|text| !text.is_empty()).map(|text| {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        (decode_lossy(user), decode_lossy(password))
    });
    if let Some((user, password)) = &credentials
        && [user, password]
            .iter()
            .any(|text| text.contains(char::is_control))
    {
        return Err("has a control character in its user name or password");
    }
    Ok(Proxy {
        variable,
        url,
        credentials,
    })
}

/// Whether a list in `NO_PROXY` contains this server: hosts, domains and addresses, between commas or spaces.
fn is_excluded(endpoint: &TokenEndpoint, list: &str) -> bool {
    let (host, port) = endpoint.host_and_port();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut entries = list.split(|c: char| c == ',' || c.is_ascii_whitespace());
    entries.any(|entry| {
        // An IPv6 address has several colons, and one with a port has brackets.
        let (entry, entry_port) = match entry.rsplit_once(':') {
            Some((entry, port)) if !entry.contains(':') || entry.ends_with(']') => {
                (entry, Some(port))
            }
            _ => (entry, None),
        };
        entry_port.is_none_or(|entry_port| entry_port.parse() == Ok(port)) && covers(entry, host)
    })
}

/// Whether an entry of the list is this host, or its domain or network.
fn covers(entry: &str, host: &str) -> bool {
    let entry = entry.trim_start_matches('[').trim_end_matches(']');
    if entry == "*" {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return match entry.split_once('/') {
            Some((network, bits)) => is_in_network(address, network, bits),
            None => entry.parse() == Ok(address),
        };
    }
    let entry = entry.strip_prefix('*').unwrap_or(entry);
    let domain = entry.strip_prefix('.').unwrap_or(entry);
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let Some(at) = host.len().checked_sub(domain.len()) else {
        return false;
    };
    !domain.is_empty()
        && host.is_char_boundary(at)
        && host[at..].eq_ignore_ascii_case(domain)
        && (at == 0 || host[..at].ends_with('.'))
}

/// CIDR notation (RFC 4632).
fn is_in_network(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse(), bits.parse::<u32>()) else {
        return false;
    };
    // The bits behind the network's are shifted away.
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let differing = address.to_bits() ^ network.to_bits();
            differing.checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let differing = address.to_bits() ^ network.to_bits();
            differing.checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(variables: &[(&str, &str)]) -> Result<Option<Proxy>> {
        let endpoint = TokenEndpoint::parse("https://login.a.example/token").expect("a URL");
        Proxy::find(&endpoint, |name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found
                .map(|(_, value)| (*value).to_owned())
                .unwrap_or_default()
        })
    }

    #[test]
    fn a_proxy_is_read_with_or_without_its_parts() {
        for (value, url, credentials) in [
            ("http://proxy:3128", "http://proxy:3128/", None),
            ("http://proxy:3128/", "http://proxy:3128/", None),
            ("HTTPS://Proxy.Example", "https://proxy.example/", None),
            ("proxy:3128", "http://proxy:3128/", None),
            ("squid_1", "http://squid_1/", None),
            ("[::1]:3128", "http://[::1]:3128/", None),
            ("http://u:p@h:1", "http://h:1/", Some(("u", "p"))),
            ("http://u:p@ss@h:1", "http://h:1/", Some(("u", "p@ss"))),
            ("u:p:q@h:1", "http://h:1/", Some(("u", "p:q"))),
            (
                "http://u:%40%23%C3%A9@h:1",
                "http://h:1/",
                Some(("u", "@#é")),
            ),
            ("http://u:50%@h:1", "http://h:1/", Some(("u", "50%"))),
            ("http://u@h:1", "http://h:1/", Some(("u", ""))),
            ("http://@h:1", "http://h:1/", None),
        ] {
            let proxy = find(&[("HTTPS_PROXY", value)]).expect(value).expect(value);
            assert_eq!(proxy.url.as_str(), url, "{value}");
            let read = proxy.credentials.as_ref();
            let read = read.map(|(user, password)| (user.as_str(), password.as_str()));
            assert_eq!(read, credentials, "{value}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_read_is_refused_and_not_shown() {
        for value in [
            "foo://h:1",
            "http:/h:1",
            "http:h:1",
            "user:p#ss@h:1",
            "http://user:p#ss@h:1",
            "http://user:1#x@h:1",
            "http://user:1/x@h:1",
            "http://user:1?x@h:1",
            "http://h:1/path",
            "http://",
            "http://:1",
            "http://h:",
            "http://h:0",
            "http://h:65536",
            "http://h:port",
            "http://h:1:2",
            "http://u:p@",
            "http://u:%0a@h:1",
            "http://h h:1",
            "://h:1",
            "socks5://h:1",
            "socks5h://user:s3cr3t@h:1",
            "\0",
        ] {
            for name in PROXY {
                let error = find(&[(name, value)]).expect_err(value);
                let text = format!("{error} {}", error.hints.concat());
                assert!(text.starts_with(name), "{text}");
                for part in ["p#ss", "user:", "s3cr3t", "h:1", "%0a"] {
                    assert!(!text.contains(part), "{value}: {text}");
                }
            }
        }
    }

    #[test]
    fn the_first_variable_that_is_not_empty_counts() {
        let variables = [
            ("https_proxy", ""),
            ("HTTPS_PROXY", "http://b:1"),
            ("all_proxy", "http://c:1"),
        ];
        for (count, variable) in [(3, Some("HTTPS_PROXY")), (1, None)] {
            let proxy = find(&variables[..count]).expect("readable variables");
            assert_eq!(proxy.map(|proxy| proxy.variable), variable);
        }
        let endpoint = TokenEndpoint::parse("http://localhost/").expect("a URL");
        let found = Proxy::find(&endpoint, |_| "foo://h:1".to_owned());
        assert_eq!(found.expect("no variable is read"), None);
    }

    #[test]
    fn a_list_of_exceptions_is_read_as_curl_does_or_more_leniently() {
        let excludes =
            |list: &str, url: &str| is_excluded(&TokenEndpoint::parse(url).expect("a URL"), list);
        for (list, url) in [
            ("*", "https://a.example/"),
            ("a.example", "https://a.example/"),
            ("A.EXAMPLE", "https://a.example/"),
            ("a.example", "https://x.a.example/"),
            (".a.example", "https://a.example/"),
            (".a.example", "https://x.a.example/"),
            ("a.example.", "https://x.a.example/"),
            ("*.a.example", "https://x.a.example/"),
            ("b a.example", "https://a.example/"),
            ("  b.example ,\ta.example  ,", "https://a.example/"),
            ("a.example:443", "https://a.example/"),
            ("a.example:8443", "https://a.example:8443/"),
            ("127.0.0.1", "https://127.0.0.1:9/"),
            ("127.0.0.1:9", "https://127.0.0.1:9/"),
            ("127.0.0.0/8", "https://127.0.0.1:9/"),
            ("0.0.0.0/0", "https://128.0.0.1/"),
            ("127.0.0.1/32", "https://127.0.0.1/"),
            ("::1", "https://[::1]:9/"),
            ("[::1]", "https://[::1]:9/"),
            ("[::1]:9", "https://[::1]:9/"),
            ("fe80::/10", "https://[fe80::1]/"),
            ("::/0", "https://[fe80::1]/"),
        ] {
            assert!(excludes(list, url), "{list} {url}");
        }
        for (list, url) in [
            ("", "https://a.example/"),
            (",", "https://a.example/"),
            (".", "https://a.example/"),
            ("b.a.example", "https://a.example/"),
            ("example.a", "https://a.example/"),
            ("a.example", "https://nota.example/"),
            ("a.example:8443", "https://a.example/"),
            ("a.example:x", "https://a.example/"),
            ("https://a.example", "https://a.example/"),
            ("b;a.example", "https://a.example/"),
            ("a.example/8", "https://a.example/"),
            ("127.0.0", "https://127.0.0.1/"),
            ("0.0.1", "https://127.0.0.1/"),
            ("127.0.0.1/33", "https://127.0.0.1/"),
            ("126.0.0.0/8", "https://127.0.0.1/"),
            ("::1", "https://[::2]/"),
            ("::ffff:0:0/96", "https://127.0.0.1/"),
        ] {
            assert!(!excludes(list, url), "{list} {url}");
        }
    }
}
