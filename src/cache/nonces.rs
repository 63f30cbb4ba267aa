//! The newest nonce that each authorization server gave for proofs of possession (RFC 9449 §8): with it, the
//! next token request is not repeated. Losing one costs one more request.

use super::Cache;
use crate::platform::Trust;
use crate::platform::disk::{self, Durability, Found};
use crate::types::dpop::Nonce;

/// In the directory of the profile: each line has an origin and its nonce, the newest first.
const FILE: &str = "dpop-nonces";

/// The most origins. A stored profile has one; profiles from the environment share a directory.
const MOST: usize = 8;

const LIMIT: u64 = 16 * 1024;

impl Cache {
    /// The newest nonce of this server. Anything else in the file counts as missing.
    pub(crate) fn nonce(&self, origin: &str) -> Option<Nonce> {
        let nonces = self.nonces().into_iter();
        let mut found = nonces.filter(|(of, _)| of == origin);
        found.next().map(|(_, nonce)| nonce)
    }

    /// Keeps a nonce for the next request, if it can be written.
    pub(crate) fn store_nonce(&self, origin: &str, nonce: &Nonce) {
        let mut nonces = self.nonces();
        nonces.retain(|(of, _)| of != origin);
        nonces.insert(0, (origin.to_owned(), nonce.clone()));
        nonces.truncate(MOST);
        let lines = nonces
            .iter()
            .map(|(origin, nonce)| format!("{origin} {nonce}\n"));
        let content: String = lines.collect();
        let written = disk::private_directory(&self.root).and_then(|()| {
            let path = self.directory.join(FILE);
            disk::replace(&path, content.as_bytes(), Durability::Cache)
        });
        // Without it, the next request is sent twice.
        let _ = written;
    }

    fn nonces(&self) -> Vec<(String, Nonce)> {
        let path = self.directory.join(FILE);
        let Ok(Found::Content(content)) = disk::read(&path, LIMIT, Trust::Private) else {
            return Vec::new();
        };
        let Ok(text) = String::from_utf8(content) else {
            return Vec::new();
        };
        let lines = text.lines().take(MOST);
        let parse = |line: &str| {
            let (origin, nonce) = line.split_once(' ')?;
            Some((origin.to_owned(), Nonce::parse(nonce).ok()?))
        };
        lines.filter_map(parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cache, directory};
    use super::*;

    #[test]
    fn the_newest_nonces_of_a_few_servers_are_kept_and_damage_is_a_miss() {
        let directory = directory();
        let cache = cache(&directory);
        assert_eq!(cache.nonce("https://0"), None);
        for number in 0..20 {
            let nonce = Nonce::parse(&format!("n{number}")).expect("a nonce");
            cache.store_nonce(&format!("https://{}", number % 10), &nonce);
        }
        let nonce = |origin: &str| cache.nonce(origin).map(String::from);
        assert_eq!(nonce("https://9").as_deref(), Some("n19"));
        assert_eq!(nonce("https://2").as_deref(), Some("n12"));
        assert_eq!(nonce("https://1"), None);
        let longest = Nonce::parse(&"x".repeat(1024)).expect("a nonce");
        for number in 0..MOST {
            cache.store_nonce(&format!("https://{number}"), &longest);
        }
        assert!(nonce("https://0").is_some(), "all that is written is read");
        let path = directory.path().join("cache/p").join(FILE);
        for damaged in [
            &b"\xff\xfe"[..],
            b"",
            b"https://9",
            b"https://9 a b\n",
            &vec![b'x'; 20_000],
        ] {
            std::fs::write(&path, damaged).expect("written");
            assert_eq!(nonce("https://9"), None);
        }
        cache.store_nonce("https://9", &Nonce::parse("new").expect("a nonce"));
        assert_eq!(nonce("https://9").as_deref(), Some("new"));
    }
}
