//! How cached tokens are kept on disk.

use crate::types::choice::choice;

choice! {
    /// How cached tokens are kept on disk.
    #[derive(Default)]
    pub(crate) enum CacheMode {
        /// Encrypted if the system keeps the key without asking anybody, else in files that only the user
        /// can read.
        #[default]
        Auto = "auto",
        /// Encrypted, else not at all.
        Sealed = "sealed",
        /// In files that only the user can read.
        Plain = "plain",
        /// Not at all.
        None = "none",
    }
}

impl CacheMode {
    /// Whether tokens that are not encrypted may be used, and written.
    pub(crate) fn allows_plain(self) -> bool {
        matches!(self, Self::Auto | Self::Plain)
    }
}
