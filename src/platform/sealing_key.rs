//! The key that cached tokens are encrypted with: where the system keeps one for the user without asking
//! anybody. It is never in a file as it is.

#[cfg_attr(target_os = "linux", path = "sealing_key/kernel.rs")]
#[cfg_attr(windows, path = "sealing_key/windows.rs")]
#[cfg_attr(
    not(any(target_os = "linux", windows)),
    path = "sealing_key/nowhere.rs"
)]
mod system;

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

/// The length of what is kept, in bytes.
pub(crate) const LENGTH: usize = 48;

/// What is kept. It is wiped when it is dropped.
pub(crate) type Content = Zeroizing<[u8; LENGTH]>;

pub(crate) fn empty() -> Content {
    Zeroizing::new([0; LENGTH])
}

/// Where this system keeps it, as a text for people.
pub(crate) const PLACE: &str = system::PLACE;

/// Why the system keeps no key, for people.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Unavailable(pub(crate) &'static str);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unavailable {}

/// The key, if there is one that can be used. On Linux that takes two system calls, and one if there is
/// none. `directory` is that of the cache.
pub(crate) fn find(directory: &Path) -> Option<Content> {
    system::find(directory)
}

/// The key that is kept from now on: `new`, or that of another process that was faster.
pub(crate) fn keep(directory: &Path, new: &Content) -> Result<Content, Unavailable> {
    system::keep(directory, new)
}

/// Whether a key could be kept. This changes nothing.
pub(crate) fn check() -> Result<(), Unavailable> {
    system::check()
}
