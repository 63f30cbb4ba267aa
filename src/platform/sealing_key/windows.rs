//! Windows: a file in the directory of the cache, which only this user of this machine can decrypt
//! (the Data Protection API).

use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::{ptr, slice};

use zeroize::Zeroize as _;

use super::{Content, LENGTH, Unavailable};
use crate::platform::Trust;
use crate::platform::disk::{self, Durability, Found};

pub(super) const PLACE: &str = "Windows protects the key";

/// No profile has a name like it.
const FILE: &str = ".sealing-key";

const LIMIT: u64 = 4096;

/// `CRYPTPROTECT_UI_FORBIDDEN`: asks nobody.
const ASK_NOBODY: u32 = 1;

/// `CRYPT_INTEGER_BLOB`.
#[repr(C)]
struct Blob {
    length: u32,
    data: *mut u8,
}

#[allow(unsafe_code, reason = "std has no function for it")]
#[link(name = "crypt32")]
unsafe extern "system" {
    fn CryptProtectData(
        data: *const Blob,
        description: *const u16,
        entropy: *const Blob,
        reserved: *const c_void,
        prompt: *const c_void,
        flags: u32,
        result: *mut Blob,
    ) -> i32;
    fn CryptUnprotectData(
        data: *const Blob,
        description: *mut *mut u16,
        entropy: *const Blob,
        reserved: *const c_void,
        prompt: *const c_void,
        flags: u32,
        result: *mut Blob,
    ) -> i32;
}

#[allow(unsafe_code, reason = "std has no function for it")]
#[link(name = "kernel32")]
unsafe extern "system" {
    fn LocalFree(memory: *mut c_void) -> *mut c_void;
}

pub(super) fn find(directory: &Path) -> Option<Content> {
    match disk::read(&file(directory), LIMIT, Trust::Private) {
        Ok(Found::Content(content)) => {
            let mut plain = convert(&content, false)?;
            let content = <[u8; LENGTH]>::try_from(&plain[..]).ok().map(Content::new);
            plain.zeroize();
            content
        }
        _ => None,
    }
}

pub(super) fn keep(directory: &Path, new: &Content) -> Result<Content, Unavailable> {
    let unavailable = Unavailable("Windows did not encrypt its key");
    let encrypted = convert(&new[..], true).ok_or(unavailable)?;
    let written = disk::replace(&file(directory), &encrypted, Durability::Cache);
    written.map_err(|_| Unavailable("its key cannot be written"))?;
    // It may have been replaced meanwhile.
    find(directory).ok_or(unavailable)
}

pub(super) fn check() -> Result<(), Unavailable> {
    let encrypted = convert(&[0; LENGTH], true);
    let unavailable = Unavailable("Windows did not encrypt its key");
    encrypted.map(drop).ok_or(unavailable)
}

fn file(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

/// Encrypts or decrypts with the user's key.
fn convert(content: &[u8], encrypts: bool) -> Option<Vec<u8>> {
    let given = Blob {
        length: u32::try_from(content.len()).ok()?,
        data: content.as_ptr().cast_mut(),
    };
    let mut result = Blob {
        length: 0,
        data: ptr::null_mut(),
    };
    // SAFETY: the content lives longer than the call, which does not change it. The result is memory that
    // the call allocated, of the length that it says; it is copied, wiped and freed once.
    #[allow(unsafe_code, reason = "std has no function for it")]
    unsafe {
        let nothing = ptr::null();
        let succeeded = if encrypts {
            CryptProtectData(
                &raw const given,
                ptr::null(),
                ptr::null(),
                nothing,
                nothing,
                ASK_NOBODY,
                &raw mut result,
            )
        } else {
            CryptUnprotectData(
                &raw const given,
                ptr::null_mut(),
                ptr::null(),
                nothing,
                nothing,
                ASK_NOBODY,
                &raw mut result,
            )
        };
        if succeeded == 0 || result.data.is_null() {
            return None;
        }
        let memory = slice::from_raw_parts_mut(result.data, usize::try_from(result.length).ok()?);
        let copy = memory.to_vec();
        memory.zeroize();
        LocalFree(result.data.cast());
        Some(copy)
    }
}
