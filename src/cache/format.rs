//! What an entry of the cache contains, as JSON, and its file format if it is not encrypted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::{CacheEntry, sealed};
use crate::platform::Trust;
use crate::platform::disk::{self, Found};
use crate::policy;
use crate::profile::CacheMode;
use crate::profile::token_request::Overrides;
use crate::types::digest::hex;
use crate::types::dpop::{DPOP, ProofKey};
use crate::types::secret::AccessToken;
use crate::types::token::{CachedToken, Timestamp};

/// The most bytes that are read of an entry: a token of 64 KiB fits.
pub(super) const ENTRY_LIMIT: u64 = 256 * 1024;

/// The first word of an entry. Other formats begin with another word.
const ENTRY_FORMAT: &str = "hallpass-token-1";

/// The JSON of an entry, after its first line.
#[derive(Deserialize, Serialize)]
pub(super) struct EntryContent<'a> {
    /// The request's key, so that a file under another name is not accepted.
    request: &'a str,
    #[serde(borrow)]
    login: Cow<'a, str>,
    /// Borrowed, unless the JSON contains an escape.
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    token_type: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// For `hallpass status`.
    #[serde(default, skip_serializing_if = "Overrides::is_empty")]
    pub(super) overrides: Cow<'a, Overrides>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    members: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof_key: Option<Box<ProofKey>>,
    /// Milliseconds since 1970, as `expires_at_ms`.
    requested_at_ms: u64,
    expires_at_ms: u64,
}

impl EntryContent<'_> {
    /// None if its type and its key do not fit.
    pub(super) fn into_token(self) -> Option<CachedToken> {
        if self.proof_key.is_some() != (self.token_type == DPOP) {
            return None;
        }
        let requested_at = Timestamp(self.requested_at_ms);
        let mut expires_at = Timestamp(self.expires_at_ms);
        // The policy may be newer than the token.
        if let Some(most) = policy::current().ok().and_then(|policy| policy.max_ttl()) {
            expires_at = expires_at.min(requested_at.plus(most));
        }
        Some(CachedToken {
            access_token: AccessToken::parse(&self.access_token)?,
            token_type: self.token_type.to_owned(),
            scope: self.scope,
            members: self.members,
            requested_at,
            expires_at,
            proof_key: self.proof_key,
            warning: None,
        })
    }
}

/// The JSON of an entry.
pub(super) fn to_json(
    token: &CachedToken,
    key: &str,
    login: &str,
    overrides: &Overrides,
) -> io::Result<String> {
    Ok(serde_json::to_string(&EntryContent {
        request: key,
        login: login.into(),
        access_token: token.access_token.expose().into(),
        token_type: &token.token_type,
        scope: token.scope.clone(),
        overrides: Cow::Borrowed(overrides),
        members: token.members.clone(),
        proof_key: token.proof_key.clone(),
        requested_at_ms: token.requested_at.0,
        expires_at_ms: token.expires_at.0,
    })?)
}

/// An entry that is not encrypted: `FORMAT CHECKSUM`, a line end, and the JSON.
pub(super) fn plain(json: &str) -> io::Result<Vec<u8>> {
    let entry = format!("{ENTRY_FORMAT} {}\n{json}", checksum(json.as_bytes()));
    if entry.len() as u64 > ENTRY_LIMIT {
        return Err(too_large());
    }
    Ok(entry.into_bytes())
}

/// The error for an entry that could not be read again.
pub(super) fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "it is too large")
}

impl CacheEntry {
    /// Reads the entry, if it is of this login, and kept in a way that the mode allows.
    pub(super) fn read<T>(&self, convert: impl FnOnce(EntryContent<'_>) -> Option<T>) -> Option<T> {
        if self.mode == CacheMode::None {
            return None;
        }
        let Ok(Found::Content(content)) = disk::read(&self.path, ENTRY_LIMIT, Trust::Private)
        else {
            return None;
        };
        let decrypted;
        let entry = if sealed::is_sealed(&content) {
            decrypted = sealed::open(&content, &self.root, &self.key)?;
            let text = std::str::from_utf8(&decrypted).ok()?;
            parse_json(text, &self.key)
        } else if self.mode.allows_plain() {
            parse_plain(&content, &self.key)
        } else {
            None
        };
        convert(entry.filter(|entry| entry.login == self.login)?)
    }
}

/// Parses an entry of this key, of any login, if its checksum is right.
pub(super) fn parse_plain<'a>(content: &'a [u8], key: &str) -> Option<EntryContent<'a>> {
    let (head, json) = std::str::from_utf8(content).ok()?.split_once('\n')?;
    let (format, sum) = head.split_once(' ')?;
    if format != ENTRY_FORMAT || sum != checksum(json.as_bytes()) {
        return None;
    }
    parse_json(json, key)
}

fn parse_json<'a>(json: &'a str, key: &str) -> Option<EntryContent<'a>> {
    let entry: EntryContent<'_> = serde_json::from_str(json).ok()?;
    (entry.request == key).then_some(entry)
}

/// Whether the first word shows that another version of hallpass wrote this. Only that version can
/// read when the token expires.
pub(super) fn is_of_another_version(content: &[u8]) -> bool {
    let word = content.split(|byte| *byte == b' ').next();
    word.is_some_and(|word| word.starts_with(b"hallpass-") && word != ENTRY_FORMAT.as_bytes())
}

/// FNV-1a with 64 bits. It detects accidental damage, not tampering.
fn checksum(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hex(&sum.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::tests::token;
    use super::*;

    fn parse(content: &[u8], key: &str) -> Option<CachedToken> {
        parse_plain(content, key)?.into_token()
    }

    fn entry() -> Vec<u8> {
        let json = to_json(&token(), "key", "login", &Overrides::default());
        plain(&json.expect("JSON")).expect("an entry")
    }

    #[test]
    fn an_entry_can_be_written_and_read() {
        let content = entry();
        assert_eq!(parse(&content, "key"), Some(token()));
    }

    #[test]
    fn a_token_of_64_kib_fits() {
        let mut token = token();
        let text = "x".repeat(64 * 1024);
        token.access_token = AccessToken::parse(&text).expect("a token");
        let json = to_json(&token, "key", "login", &Overrides::default());
        let content = plain(&json.expect("JSON")).expect("an entry");
        assert_eq!(parse(&content, "key"), Some(token));
    }

    #[test]
    fn an_entry_that_could_not_be_read_again_is_not_written() {
        let limit = usize::try_from(ENTRY_LIMIT).expect("a small number");
        let header = plain("").expect("an entry").len();
        let json = "1".repeat(limit - header);
        assert_eq!(plain(&json).map(|entry| entry.len()).ok(), Some(limit));
        assert!(plain(&(json + "1")).is_err());
    }

    #[test]
    fn an_entry_of_another_request_is_not_accepted() {
        let content = entry();
        assert_eq!(parse(&content, "another"), None);
    }

    #[test]
    fn every_changed_bit_and_missing_byte_is_detected() {
        let content = entry();
        for at in 0..content.len() {
            assert_eq!(parse(&content[..at], "key"), None, "cut at {at}");
            for bit in 0..8 {
                let mut damaged = content.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(parse(&damaged, "key"), None, "bit {bit} of byte {at}");
            }
        }
    }
}
