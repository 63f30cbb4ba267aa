//! Files in the cache.

use super::entry::FailureRecord;
use super::format::{EntryContent, is_of_another_version, parse_plain, plain, to_json};
use super::sealed;
use crate::fuzz::assert_clean;
use crate::profile::token_request::Overrides;
use crate::types::token::Timestamp;

/// An entry as it is, and as JSON after a right first line.
pub(crate) fn entry(bytes: &[u8]) {
    read(bytes);
    if let Ok(json) = std::str::from_utf8(bytes) {
        read(&plain(json).unwrap_or_default());
    }
    if let Ok(FailureRecord {
        failure: Some(failure),
        ..
    }) = serde_json::from_slice(bytes)
    {
        assert_clean(&failure.into_error().to_string());
    }
}

fn read(content: &[u8]) {
    let _ = is_of_another_version(content);
    // The tokens in an encrypted file, which has a length before each of them.
    if sealed::is_sealed(content) {
        let _ = sealed::is_expired(content, Timestamp(1_795_000_000_000));
    }
    let token = parse_plain(content, "key").and_then(EntryContent::into_token);
    let Some(token) = token else {
        return;
    };
    let text = token.access_token.expose();
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
    let json = to_json(&token, "key", "login", &Overrides::default()).expect("JSON");
    let Ok(written) = plain(&json) else {
        return;
    };
    let again = parse_plain(&written, "key").and_then(EntryContent::into_token);
    assert_eq!(again, Some(token));
}
