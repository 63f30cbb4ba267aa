//! The token of an entry that an API refused, for the shared cache: another machine may still have it there.

use std::path::PathBuf;

use super::CacheEntry;
use crate::platform::Trust;
use crate::platform::disk::{self, Durability, Found};

const LIMIT: u64 = 64;

impl CacheEntry {
    pub(super) fn rejected_path(&self) -> PathBuf {
        self.path.with_extension("rejected")
    }

    /// Records the fingerprint of a refused token.
    pub(crate) fn record_rejected(&self, fingerprint: &str) {
        let written = disk::private_directory(&self.root).and_then(|()| {
            disk::replace(
                &self.rejected_path(),
                fingerprint.as_bytes(),
                Durability::Cache,
            )
        });
        // Without it, the API refuses the token once more.
        let _ = written;
    }

    /// The fingerprint of the token that was refused last.
    pub(crate) fn rejected(&self) -> Option<String> {
        match disk::read(&self.rejected_path(), LIMIT, Trust::Private) {
            Ok(Found::Content(content)) => String::from_utf8(content).ok(),
            _ => None,
        }
    }
}
