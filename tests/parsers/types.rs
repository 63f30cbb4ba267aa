//! Values that every layer uses.

use super::{assert_clean, split_line};
use crate::profile::binding::BoundUrl;
use crate::profile::{ProfileName, TokenEndpoint};
use crate::types::date::Date;
use crate::types::identity_token::IdentityToken;
use crate::types::jwt::Jwt;
use crate::types::secret::AccessToken;
use crate::types::ssh_key::SshPublicKey;
use crate::types::web_url::WebUrl;
use crate::types::{duration, shell};

/// A URL, as text and as the parts that git sends in lines.
pub(super) fn url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for url in [WebUrl::parse(&text), WebUrl::parse_service(&text)] {
        url.iter().for_each(check_url);
    }
    if let Ok(url) = TokenEndpoint::parse(&text) {
        assert!(url.is_https() || url.url().is_loopback(), "{text:?}");
    }
    if let Ok(bound) = BoundUrl::parse(&text) {
        check_url(bound.as_url());
        let again = BoundUrl::parse(bound.as_str()).expect("the same URL");
        assert_eq!(again.as_str(), bound.as_str());
    }
    let (scheme, rest) = split_line(bytes);
    let (host, path) = split_line(rest);
    let (scheme, host) = (
        String::from_utf8_lossy(scheme),
        String::from_utf8_lossy(host),
    );
    if let Ok(url) = WebUrl::of_service(&scheme, &host, path) {
        check_url(&url);
    }
}

fn check_url(url: &WebUrl) {
    let text = url.as_str();
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
    let again = WebUrl::parse_service(text).expect("the same URL");
    assert_eq!(again.as_str(), text);
    assert_eq!(again.origin(), url.origin());
    assert!(text.starts_with(url.origin()), "{text:?}");
    // Requests are sent by another parser, which must see the same server.
    if url.is_web() {
        let other = url::Url::parse(text).expect("a URL for the other parser, too");
        assert_eq!(
            other.origin().ascii_serialization(),
            url.origin(),
            "{text:?}"
        );
        let (host, port) = url.host_and_port();
        assert_eq!(other.host_str(), Some(host));
        assert_eq!(other.port_or_known_default(), Some(port));
        assert_eq!((other.username(), other.password()), ("", None));
        assert_eq!(other.fragment(), None);
    }
}

pub(super) fn profile_name(bytes: &[u8]) {
    let (first, second) = split_line(bytes);
    let parse = |bytes: &[u8]| ProfileName::parse(&String::from_utf8_lossy(bytes));
    let names: Vec<_> = [first, second]
        .into_iter()
        .filter_map(|it| parse(it).ok())
        .collect();
    for name in &names {
        let name = name.as_str();
        assert!(
            !name.starts_with(['.', '-']) && name.len() <= 64,
            "{name:?}"
        );
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        assert!(!name.is_empty() && name.chars().all(is_plain), "{name:?}");
    }
    if let [one, other] = &names[..] {
        let order = one.natural_order(other);
        assert_eq!(other.natural_order(one), order.reverse());
        assert_eq!(order.is_eq(), one.as_str() == other.as_str());
    }
}

pub(super) fn jwt(bytes: &[u8]) {
    let token = IdentityToken::parse(bytes);
    assert!(token.is_none() || IdentityToken::has_parts(bytes));
    if let Some(token) = AccessToken::parse(&String::from_utf8_lossy(bytes)) {
        assert!(token.expose().bytes().all(|byte| byte.is_ascii_graphic()));
        let _ = Jwt::read(&token);
    }
}

/// Small texts in settings, and the public keys of agents.
pub(super) fn values(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(fault) = duration::parse(&text) {
        assert_clean(&fault);
    }
    if let Ok(parsed) = duration::parse(&text) {
        let _ = (duration::in_words(parsed), duration::in_short(parsed));
    }
    if let Ok(date) = Date::parse_future(&text) {
        let _ = (date.days_left(), date.with_days_left());
    }
    // What the shell reads from a quoted word is the word.
    let quoted = shell::word(&text);
    if !text.contains('\0') {
        assert_eq!(
            shlex::split(&quoted),
            Some(vec![text.to_string()]),
            "{quoted}"
        );
    }
    let key = SshPublicKey::new(bytes.to_vec());
    let _ = (key.kind(), key.fault(), key.fingerprint());
    if key.content().is_some() {
        assert_eq!(key.blob(), bytes);
    }
}
