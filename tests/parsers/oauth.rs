//! What servers send, and key files.

use zeroize::Zeroizing;

use super::challenge::Challenge;
use super::discovery::metadata;
use super::key::Key;
use super::proof::asks_for_nonce;
use super::protected_resource;
use super::public_key;
use super::redact::Redactor;
use super::response::{self, HttpResponse, ResponseContext};
use crate::error::Error;
use crate::fuzz::{assert_clean, split_line};
use crate::profile::token_request::TokenRequest;
use crate::profile::{self, ProfileName, TokenEndpoint};
use crate::types::secret::{ClientSecret, Credential, PrivateKey};
use crate::types::token::Timestamp;

const SECRET: &[u8] = b"s3cret-s3cret";
const NOW: Timestamp = Timestamp(1_795_000_000_000);

fn secret() -> ClientSecret {
    ClientSecret::parse(&Zeroizing::new(SECRET.to_vec())).expect("a secret")
}

/// An error that a user may see.
fn check_error(error: &Error) {
    let text = error.to_string();
    assert_clean(&text);
    assert!(!text.contains("s3cret-s3cret"), "{text:?}");
}

/// The status and the headers, one in each line, then the body.
fn http_response(bytes: &[u8]) -> HttpResponse {
    let mut rest = bytes;
    let mut line = || {
        let (line, after) = split_line(rest);
        rest = after;
        // The lines of a header cannot contain anything else.
        let is_header = |byte: &u8| *byte == b'\t' || (b' '..=b'~').contains(byte) || *byte > 127;
        let line: Vec<_> = line.iter().copied().filter(is_header).collect();
        let line = String::from_utf8_lossy(&line).into_owned();
        Some(line).filter(|line| !line.is_empty())
    };
    let status = line().and_then(|line| line.parse().ok()).unwrap_or(200);
    HttpResponse {
        status,
        www_authenticate: line(),
        content_type: line(),
        retry_after: line(),
        date: line(),
        dpop_nonce: line(),
        location: line(),
        body: rest.to_vec(),
    }
}

pub(crate) fn response(bytes: &[u8]) {
    let response = http_response(bytes);
    let credential = Credential::Secret(secret());
    let profile = profile::example();
    let name = ProfileName::parse("p").expect("a name");
    let request = TokenRequest::new(&name, &profile, None, None, None);
    let context = ResponseContext {
        profile: &profile,
        request: &request,
        name: Some(&name),
        identity: None,
        redactor: Redactor::of("id", &credential),
    };
    match response::read(&response, &context, NOW) {
        Ok(token) => {
            let text = token.access_token.expose();
            let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
            assert!(!text.is_empty() && is_plain);
            assert!(token.expires_at >= token.requested_at);
            assert!(token.expires_at.since(NOW).as_secs() <= 400 * 86400);
            assert_clean(&token.token_type);
            token.scope.iter().for_each(|scope| assert_clean(scope));
            token.members.values().for_each(|value| assert_clean(value));
        }
        Err(failed) => check_error(&failed.refusal.into_error()),
    }
}

/// Metadata of an authorization server, and of a protected resource.
pub(crate) fn metadata(bytes: &[u8]) {
    let response = HttpResponse {
        status: 200,
        body: bytes.to_vec(),
        ..HttpResponse::default()
    };
    let location = "https://a.example/.well-known/x";
    let url = TokenEndpoint::parse("https://a.example/mcp").expect("a URL");
    match metadata::read(&response, location, "https://a.example/mcp", &url) {
        Ok(metadata) => {
            assert!(metadata.token_endpoint.is_https());
            for endpoint in [&metadata.revocation_endpoint, &metadata.mtls_token_endpoint] {
                assert!(endpoint.as_ref().is_none_or(TokenEndpoint::is_https));
            }
        }
        Err((_, error)) => check_error(&error),
    }
    if let Err(error) = protected_resource::read(&response, location, &url, None) {
        check_error(&error);
    }
}

/// The `WWW-Authenticate` header of an API.
pub(crate) fn challenge(bytes: &[u8]) {
    let header = String::from_utf8_lossy(bytes);
    for challenge in Challenge::all(&header) {
        assert!(!(challenge.is_bearer() && challenge.is_dpop()));
        for name in ["scope", "error", "realm", "resource_metadata"] {
            let value = challenge.parameter(name);
            assert!(value.is_none_or(|value| value.len() <= header.len()));
        }
    }
    let _ = asks_for_nonce(&header);
}

/// Private keys (PEM, JWK) and public keys in files.
pub(crate) fn key(bytes: &[u8]) {
    let _ = public_key::in_file(bytes);
    let _ = public_key::of_spki(bytes);
    if let Ok(key) = PrivateKey::parse(Zeroizing::new(bytes.to_vec())) {
        for passphrase in [None, Some(&secret())] {
            if let Err(error) = Key::read(&key, passphrase) {
                check_error(&error);
            }
        }
    }
}
