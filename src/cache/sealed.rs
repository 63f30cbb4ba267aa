//! An entry that is encrypted, for machines where the system keeps the key: see
//! [`crate::platform::sealing_key`].
//!
//! Sessions of one user may have different keys: a container has its own, or one is lost when the machine
//! restarts. So a file has a token for each of the last few keys: the key's ID, when the token expires, and
//! the JSON of the entry, encrypted with ChaCha20-Poly1305.

use std::io;
use std::path::Path;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::format::{ENTRY_LIMIT, too_large};
use crate::platform::sealing_key::{self, Content, Unavailable};
use crate::types::token::Timestamp;

/// The first line. Other formats begin with another word.
const MARK: &[u8] = b"hallpass-sealed-1\n";

/// The most keys of a file.
const MOST_TOKENS: usize = 4;

const ID: usize = 16;
const HEAD: usize = ID + 8 + NONCE_LEN + 4;

/// The key, and its ID: files say which one they are encrypted with.
pub(super) struct SealingKey(Content);

impl SealingKey {
    fn find(directory: &Path) -> Option<Self> {
        sealing_key::find(directory).map(Self)
    }

    /// The key of this session. A new one, if there is none or it was lost.
    pub(super) fn find_or_create(directory: &Path) -> Result<Self, Unavailable> {
        if let Some(key) = Self::find(directory) {
            return Ok(key);
        }
        let mut new = sealing_key::empty();
        let random = SystemRandom::new().fill(&mut new[..]);
        random.map_err(|_| Unavailable("the system has no random numbers"))?;
        sealing_key::keep(directory, &new).map(Self)
    }

    fn id(&self) -> &[u8] {
        &self.0[..ID]
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.0[ID..]);
        key.ok().map(LessSafeKey::new)
    }
}

/// A token that is encrypted with one key.
#[derive(Clone, Copy)]
struct SealedToken<'a> {
    /// The ID of the key, the time, the nonce and the length.
    head: &'a [u8],
    sealed: &'a [u8],
}

impl SealedToken<'_> {
    fn id(&self) -> &[u8] {
        &self.head[..ID]
    }

    fn expires_at(&self) -> Timestamp {
        let time = self.head[ID..ID + 8].first_chunk();
        Timestamp(u64::from_be_bytes(*time.unwrap_or(&[0; 8])))
    }

    fn len(&self) -> usize {
        self.head.len() + self.sealed.len()
    }
}

pub(super) fn is_sealed(content: &[u8]) -> bool {
    content.starts_with(MARK)
}

/// The first token, and what follows it.
fn split(content: &[u8]) -> Option<(SealedToken<'_>, &[u8])> {
    let (head, rest) = content.split_at_checked(HEAD)?;
    let length = u32::from_be_bytes(*head.last_chunk()?);
    let (sealed, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((SealedToken { head, sealed }, rest))
}

/// The tokens of a file, none if it is damaged.
fn tokens(content: &[u8]) -> impl Iterator<Item = SealedToken<'_>> {
    let all = content.strip_prefix(MARK).unwrap_or_default();
    let mut rest = all;
    for _ in 0..MOST_TOKENS {
        rest = split(rest).map_or(rest, |(_, rest)| rest);
    }
    let mut rest = if rest.is_empty() { all } else { &[] };
    std::iter::from_fn(move || {
        let (token, after) = split(rest)?;
        rest = after;
        Some(token)
    })
}

/// Whether every token in this file has expired.
pub(super) fn is_expired(content: &[u8], now: Timestamp) -> bool {
    tokens(content).all(|token| token.expires_at() <= now)
}

/// What else is authenticated: an entry is of no use under another name, or with another time.
fn bound_to(key: &str, id_and_time: &[u8]) -> Aad<Vec<u8>> {
    Aad::from([MARK, key.as_bytes(), id_and_time].concat())
}

/// The JSON of the entry with this key, if this session can decrypt it.
pub(super) fn open(content: &[u8], directory: &Path, key: &str) -> Option<Vec<u8>> {
    open_with(&SealingKey::find(directory)?, content, key)
}

fn open_with(sealing_key: &SealingKey, content: &[u8], key: &str) -> Option<Vec<u8>> {
    let token = tokens(content).find(|token| token.id() == sealing_key.id())?;
    let (id_and_time, rest) = token.head.split_at(ID + 8);
    let nonce = Nonce::try_assume_unique_for_key(&rest[..NONCE_LEN]).ok()?;
    let mut text = token.sealed.to_vec();
    let cipher = sealing_key.cipher()?;
    let opened = cipher.open_in_place(nonce, bound_to(key, id_and_time), &mut text);
    let length = opened.ok()?.len();
    text.truncate(length);
    Some(text)
}

/// The content of a file: the entry with this key, encrypted, and the tokens of other keys in the file so
/// far that have not expired, the newest first.
///
/// # Errors
/// It would be too large to be read again.
pub(super) fn seal(
    sealing_key: &SealingKey,
    key: &str,
    json: String,
    expires_at: Timestamp,
    before: &[u8],
) -> io::Result<Vec<u8>> {
    let failed = || io::Error::other("it could not be encrypted");
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).map_err(|_| failed())?;
    let id_and_time = [sealing_key.id(), &expires_at.0.to_be_bytes()].concat();
    let mut sealed = json.into_bytes();
    let cipher = sealing_key.cipher().ok_or_else(failed)?;
    cipher
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            bound_to(key, &id_and_time),
            &mut sealed,
        )
        .map_err(|_| failed())?;
    let length = u32::try_from(sealed.len()).map_err(|_| too_large())?;
    let head = [&id_and_time[..], &nonce, &length.to_be_bytes()].concat();
    let own = SealedToken {
        head: &head,
        sealed: &sealed,
    };
    let now = Timestamp::now();
    let others = tokens(before).filter(|token| token.id() != own.id() && token.expires_at() > now);
    let mut content = MARK.to_vec();
    for token in [own].into_iter().chain(others).take(MOST_TOKENS) {
        if (content.len() + token.len()) as u64 <= ENTRY_LIMIT {
            content.extend_from_slice(token.head);
            content.extend_from_slice(token.sealed);
        } else if content.len() == MARK.len() {
            return Err(too_large());
        }
    }
    Ok(content)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A key whose bytes are all this one.
    fn key_of(byte: u8) -> SealingKey {
        let mut content = sealing_key::empty();
        content.fill(byte);
        SealingKey(content)
    }

    /// A file with a token of the key whose bytes are all this one.
    pub(in crate::cache) fn sealed(byte: u8, expires_at: u64, before: &[u8]) -> Vec<u8> {
        let json = format!("{{\"token\":{byte}}}");
        let content = seal(&key_of(byte), "key", json, Timestamp(expires_at), before);
        content.expect("a file")
    }

    fn ids(content: &[u8]) -> Vec<u8> {
        tokens(content).map(|token| token.id()[0]).collect()
    }

    #[test]
    fn a_file_has_the_tokens_of_the_last_few_keys_that_have_not_expired() {
        let later = Timestamp::now().0 + 1_000_000;
        let mut content = sealed(1, later, b"damaged");
        assert_eq!(ids(&content), [1]);
        for byte in 2..=6 {
            content = sealed(byte, later, &content);
        }
        assert_eq!(ids(&content), [6, 5, 4, 3]);
        content = sealed(4, later, &content);
        assert_eq!(ids(&content), [4, 6, 5, 3]);
        assert!(!is_expired(&content, Timestamp::now()));
        assert!(is_expired(&content, Timestamp(later)));
        let expired = sealed(1, 1000, b"");
        assert_eq!(ids(&sealed(2, later, &expired)), [2]);
        assert!(is_expired(&expired, Timestamp::now()));
    }

    #[test]
    fn a_file_that_was_changed_cannot_be_opened() {
        let content = sealed(1, 1000, b"");
        let open = |content: &[u8], key: &str| open_with(&key_of(1), content, key);
        assert_eq!(
            open(&content, "key").as_deref(),
            Some(&b"{\"token\":1}"[..])
        );
        assert_eq!(open(&content, "another"), None);
        assert_eq!(open(&[&content[..], b"\n"].concat(), "key"), None);
        for at in 0..content.len() {
            assert_eq!(open(&content[..at], "key"), None, "cut at {at}");
            for bit in 0..8 {
                let mut changed = content.clone();
                changed[at] ^= 1 << bit;
                assert_eq!(open(&changed, "key"), None, "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_file_is_never_larger_than_what_is_read_again() {
        let later = Timestamp::now().plus(std::time::Duration::from_secs(1000));
        let limit = usize::try_from(ENTRY_LIMIT).expect("a length");
        let most = limit - MARK.len() - HEAD - CHACHA20_POLY1305.tag_len();
        let with = |byte: u8, length: usize, before: &[u8]| {
            seal(&key_of(byte), "key", "x".repeat(length), later, before)
        };
        let full = with(1, most, b"").expect("a file");
        assert_eq!(full.len(), limit);
        assert!(with(1, most + 1, b"").is_err());
        // What does not fit beside the newest token is left out.
        assert_eq!(ids(&with(2, 1, &full).expect("a file")), [2]);
        let half = with(1, most / 2, b"").expect("a file");
        let both = with(
            2,
            limit - half.len() - HEAD - CHACHA20_POLY1305.tag_len(),
            &half,
        );
        let both = both.expect("a file");
        assert_eq!((both.len(), ids(&both)), (limit, vec![2, 1]));
    }
}
