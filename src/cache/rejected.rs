//! The token of an entry that an API refused, for the shared cache: another machine may still have it there.

use super::CacheEntry;
use crate::platform::Trust;
use crate::platform::disk::{self, Durability, Found};

const LIMIT: u64 = 64;

impl CacheEntry {
    /// Records the fingerprint of a refused token.
    pub(crate) fn record_rejected(&self, fingerprint: &str) {
        let written = disk::private_directory(&self.root).and_then(|()| {
            let path = self.path.with_extension("rejected");
            disk::replace(&path, fingerprint.as_bytes(), Durability::Cache)
        });
        // Without it, the API refuses the token once more.
        let _ = written;
    }

    /// The fingerprint of the token that was refused last.
    pub(crate) fn rejected(&self) -> Option<String> {
        let path = self.path.with_extension("rejected");
        match disk::read(&path, LIMIT, Trust::Private) {
            Ok(Found::Content(content)) => String::from_utf8(content).ok(),
            _ => None,
        }
    }
}
