//! Linux: the keyring that the kernel has for each user (`user-keyring(7)`). All sessions of the user see
//! it, and it is emptied when the machine restarts. Programs in a container or in another user namespace
//! have another one, or none.

use std::ffi::{CStr, c_long};
use std::io;
use std::path::Path;

use super::{Content, LENGTH, Unavailable, empty};

pub(super) const PLACE: &str = "the key is in the kernel keyring";

const TYPE: &CStr = c"user";
const NAME: &CStr = c"hallpass:cache";
/// Of the key that is added, and goes with this process, to find out whether one can be.
const TRIAL: &CStr = c"hallpass:trial";

// <linux/keyctl.h>
const THREAD_KEYRING: c_long = -1;
const USER_KEYRING: c_long = -4;
const SET_PERMISSIONS: c_long = 5;
const LINK: c_long = 8;
const SEARCH: c_long = 10;
const READ: c_long = 11;
const MOVE: c_long = 30;
/// Does not replace a key of the same name.
const MOVE_EXCLUSIVELY: c_long = 1;

/// All rights for the possessor, and for the same user in another session, which does not possess it.
const RIGHTS: c_long = 0x3f3f_0000;

pub(super) fn find(_: &Path) -> Option<Content> {
    let key = search(NAME).ok()?;
    read(key)
}

pub(super) fn keep(directory: &Path, new: &Content) -> Result<Content, Unavailable> {
    // With its rights before others can find it.
    let key = add(NAME, new).map_err(|error| explain(&error))?;
    match keyctl(MOVE, [key, THREAD_KEYRING, USER_KEYRING, MOVE_EXCLUSIVELY]) {
        Ok(_) => {}
        // Another process was faster. If what is there cannot be used, it is replaced.
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => match find(directory) {
            Some(other) => return Ok(other),
            None => link(key)?,
        },
        // Before Linux 5.3.
        Err(_) => link(key)?,
    }
    // It may have been replaced meanwhile.
    find(directory).ok_or(Unavailable("the kernel keyring did not keep its key"))
}

pub(super) fn check() -> Result<(), Unavailable> {
    if search(NAME).ok().and_then(read).is_some() {
        return Ok(());
    }
    add(TRIAL, &empty()).map_err(|error| explain(&error))?;
    Ok(())
}

/// Replaces a key of the same name.
fn link(key: c_long) -> Result<(), Unavailable> {
    let linked = keyctl(LINK, [key, USER_KEYRING, 0, 0]);
    linked.map(drop).map_err(|error| explain(&error))
}

fn explain(error: &io::Error) -> Unavailable {
    Unavailable(match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "the kernel keyring is not allowed here",
        Some(libc::ENOSYS | libc::EOPNOTSUPP) => "there is no kernel keyring here",
        Some(libc::EDQUOT) => "the kernel keyring is full for this user",
        _ => "the kernel keyring cannot be used here",
    })
}

/// A new key in the keyring of this thread, which nothing else can see.
fn add(name: &CStr, content: &Content) -> io::Result<c_long> {
    // SAFETY: the pointers are those of two texts and of a content that live long enough.
    #[allow(unsafe_code, reason = "the C library has no function for it")]
    let key = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            TYPE.as_ptr(),
            name.as_ptr(),
            content.as_ptr(),
            LENGTH,
            THREAD_KEYRING,
        )
    };
    let key = checked(key)?;
    keyctl(SET_PERMISSIONS, [key, RIGHTS, 0, 0])?;
    Ok(key)
}

fn search(name: &CStr) -> io::Result<c_long> {
    let (kind, name) = (TYPE.as_ptr() as c_long, name.as_ptr() as c_long);
    keyctl(SEARCH, [USER_KEYRING, kind, name, 0])
}

/// None if it cannot be read, or has another length.
fn read(key: c_long) -> Option<Content> {
    let mut content = empty();
    let at = content.as_mut_ptr() as c_long;
    // It returns the length of the key, however much it has copied.
    let most = c_long::try_from(LENGTH).ok()?;
    let length = keyctl(READ, [key, at, most, 0]).ok()?;
    (length == most).then_some(content)
}

fn keyctl(operation: c_long, [a, b, c, d]: [c_long; 4]) -> io::Result<c_long> {
    // SAFETY: pointers among the arguments are those of the callers above, with their lengths.
    #[allow(unsafe_code, reason = "the C library has no function for it")]
    let result = unsafe { libc::syscall(libc::SYS_keyctl, operation, a, b, c, d) };
    checked(result)
}

fn checked(result: c_long) -> io::Result<c_long> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
