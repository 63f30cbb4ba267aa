//! Who owns a file, and where Windows is: std has neither.
#![allow(unsafe_code, reason = "functions of Windows")]

use std::ffi::{OsString, c_void};
use std::os::windows::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::ptr;

/// `SE_FILE_OBJECT` and `OWNER_SECURITY_INFORMATION`.
const FILE_OBJECT: i32 = 1;
const OWNER: u32 = 1;

/// `WinLocalSystemSid` and `WinBuiltinAdministratorsSid`.
const ADMINISTRATORS: [i32; 2] = [22, 26];

#[link(name = "advapi32")]
unsafe extern "system" {
    fn GetNamedSecurityInfoW(
        name: *const u16,
        kind: i32,
        information: u32,
        owner: *mut *mut c_void,
        group: *mut *mut c_void,
        access: *mut *mut c_void,
        audit: *mut *mut c_void,
        descriptor: *mut *mut c_void,
    ) -> u32;
    fn IsWellKnownSid(sid: *mut c_void, kind: i32) -> i32;
}

#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetSystemWindowsDirectoryW(buffer: *mut u16, length: u32) -> u32;
    fn LocalFree(memory: *mut c_void) -> *mut c_void;
}

/// Whether a file or directory belongs to the group of administrators or to the system.
pub(super) fn is_administrator(path: &Path) -> bool {
    let name: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let (mut owner, mut descriptor) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the name ends with a NUL, and the parts that are not asked for may be null. The owner is
    // part of the descriptor, which is freed once.
    unsafe {
        let error = GetNamedSecurityInfoW(
            name.as_ptr(),
            FILE_OBJECT,
            OWNER,
            &raw mut owner,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            &raw mut descriptor,
        );
        let is_it = error == 0
            && !owner.is_null()
            && ADMINISTRATORS
                .iter()
                .any(|kind| IsWellKnownSid(owner, *kind) != 0);
        LocalFree(descriptor);
        is_it
    }
}

/// Such as `C:\Windows`, also for a user of a terminal server.
pub(super) fn windows_directory() -> PathBuf {
    let mut buffer = [0; 260];
    let length = u32::try_from(buffer.len()).unwrap_or(0);
    // SAFETY: it writes at most as many characters as the buffer has.
    let length = unsafe { GetSystemWindowsDirectoryW(buffer.as_mut_ptr(), length) };
    let length = usize::try_from(length).unwrap_or(0);
    match buffer.get(..length) {
        Some(path) if length > 0 => PathBuf::from(OsString::from_wide(path)),
        _ => PathBuf::from("C:\\Windows"),
    }
}
