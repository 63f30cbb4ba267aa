//! A secret in an environment variable. It is removed from the environment when it is read, so child
//! processes do not see it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use super::version_of;
use crate::platform;

type Secret = Zeroizing<Vec<u8>>;

/// The variables read so far: `exec` may need one secret for several tokens.
static READ: Mutex<BTreeMap<String, Secret>> = Mutex::new(BTreeMap::new());

/// The value of a variable; none if it is not set, or empty.
pub(super) fn read(name: &str) -> Option<Secret> {
    let mut read = so_far();
    if !read.contains_key(name) {
        let value = Zeroizing::new(platform::take_variable(name)?);
        read.insert(name.to_owned(), value);
    }
    read.get(name).cloned()
}

/// Changes with the value.
pub(super) fn version(name: &str) -> String {
    if let Some(value) = so_far().get(name) {
        return version_of(value);
    }
    let value = std::env::var_os(name).map(std::ffi::OsString::into_encoded_bytes);
    value.map_or_else(
        || "missing".to_owned(),
        |value| version_of(&Zeroizing::new(value)),
    )
}

fn so_far() -> MutexGuard<'static, BTreeMap<String, Secret>> {
    READ.lock().unwrap_or_else(PoisonError::into_inner)
}
