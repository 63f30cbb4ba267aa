//! How entries are sealed and named. All keys are derived from a secret that only the fleet has.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac::{self, HMAC_SHA256};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::types::digest::hex;
use crate::types::secret::ClientSecret;

const SEAL: &[u8] = b"hallpass share 1 seal";
const NAME: &[u8] = b"hallpass share 1 name";

/// What all keys at the server begin with. The braces put the keys of an entry into one slot of a cluster.
pub(crate) const PREFIX: &str = "hallpass:";

/// The keys of one client at one token endpoint.
pub(crate) struct Keys {
    seal: LessSafeKey,
    name: hmac::Key,
}

impl Keys {
    /// Derives them from the client secret or the share's key, for this client. None if the
    /// cryptography fails.
    pub(crate) fn of(secret: &ClientSecret, client: &[u8]) -> Option<Self> {
        let salt = Salt::new(HKDF_SHA256, client);
        let key = salt.extract(secret.expose().as_bytes());
        let seal = UnboundKey::from(key.expand(&[SEAL], &CHACHA20_POLY1305).ok()?);
        Some(Self {
            seal: LessSafeKey::new(seal),
            name: hmac::Key::from(key.expand(&[NAME], HMAC_SHA256).ok()?),
        })
    }

    /// The key at the server for the entry of a request.
    pub(super) fn name(&self, request: &[u8]) -> String {
        let tag = hmac::sign(&self.name, request);
        format!("{PREFIX}{{{}}}", hex(tag.as_ref()))
    }

    /// Seals a content for one key at the server. None if the system has no randomness.
    pub(super) fn seal(&self, key: &str, content: &Zeroizing<Vec<u8>>) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = content.to_vec();
        let aad = Aad::from(key.as_bytes());
        let nonce_of = Nonce::assume_unique_for_key(nonce);
        let sealing = self
            .seal
            .seal_in_place_append_tag(nonce_of, aad, &mut sealed);
        sealing.ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    /// The content, if this fleet sealed it for this key.
    pub(super) fn open(&self, key: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut content = Zeroizing::new(sealed.to_vec());
        let aad = Aad::from(key.as_bytes());
        let length = self
            .seal
            .open_in_place(nonce, aad, &mut content)
            .ok()?
            .len();
        content.truncate(length);
        Some(content)
    }
}

/// None if the system has no randomness.
pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

/// The name of an entry that nobody uses.
pub(super) fn random_name() -> Option<String> {
    Some(format!("{PREFIX}{{{}}}", hex(&random::<32>()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &str, client: &[u8]) -> Keys {
        let secret = Zeroizing::new(secret.as_bytes().to_vec());
        Keys::of(&ClientSecret::parse(&secret).expect("a secret"), client).expect("keys")
    }

    #[test]
    fn only_the_same_secret_client_and_name_open_an_entry() {
        let mine = keys("secret", b"client");
        let content = Zeroizing::new(b"content".to_vec());
        let sealed = mine.seal("name", &content).expect("sealed");
        assert_eq!(mine.open("name", &sealed), Some(content.clone()));
        assert_ne!(mine.seal("name", &content), Some(sealed.clone()));
        assert_eq!(mine.open("other", &sealed), None);
        assert_eq!(keys("other", b"client").open("name", &sealed), None);
        assert_eq!(keys("secret", b"other").open("name", &sealed), None);
        for length in 0..sealed.len() {
            assert_eq!(mine.open("name", &sealed[..length]), None, "{length}");
            let mut changed = sealed.clone();
            changed[length] ^= 1;
            assert_eq!(mine.open("name", &changed), None, "{length}");
        }
        assert_ne!(mine.name(b"a"), mine.name(b"b"));
        assert_ne!(mine.name(b"a"), keys("other", b"client").name(b"a"));
    }
}
