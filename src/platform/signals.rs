//! The two signals that a write can raise: SIGPIPE, if the reader is gone, and SIGXFSZ, if a file would
//! grow beyond `ulimit -f`. While they are blocked, the write returns an error instead.
//!
//! Blocking takes one system call for both; ignoring takes one for each. But child processes inherit
//! the mask, so it is restored before one is started.
#![allow(unsafe_code, reason = "std and rustix cannot change the signal mask")]

use std::ffi::c_int;
use std::mem;
use std::ptr::null_mut;
use std::sync::OnceLock;

use libc::{
    SIG_BLOCK, SIG_IGN, SIG_SETMASK, SIGPIPE, SIGXFSZ, pthread_sigmask, sigaddset, sigemptyset,
    signal, sigset_t,
};

/// The signal mask that hallpass was started with.
static MASK_AT_START: OnceLock<sigset_t> = OnceLock::new();

/// Whether SIGPIPE was ignored when hallpass was started.
static SIGPIPE_WAS_IGNORED: OnceLock<bool> = OnceLock::new();

/// Blocks both signals, in this thread and in those that it starts.
pub(super) fn block() {
    // SAFETY: a set is plain data, and the calls get valid pointers and signal numbers.
    let before = unsafe {
        let mut both: sigset_t = mem::zeroed();
        let mut before: sigset_t = mem::zeroed();
        sigemptyset(&raw mut both);
        sigaddset(&raw mut both, SIGPIPE);
        sigaddset(&raw mut both, SIGXFSZ);
        pthread_sigmask(SIG_BLOCK, &raw const both, &raw mut before);
        before
    };
    let _ = MASK_AT_START.set(before);
}

/// Restores the signal mask of the start, before this thread starts another program or becomes one.
/// From then on, this process ignores both signals.
///
/// Returns whether SIGPIPE was ignored at the start.
pub(super) fn unblock() -> bool {
    extern "C" fn nothing(_: c_int) {}
    let nothing: extern "C" fn(c_int) = nothing;
    // This also discards a pending signal (POSIX, 2.4.3).
    let was_ignored = *SIGPIPE_WAS_IGNORED.get_or_init(ignore_sigpipe);
    // SAFETY: the handler does nothing, and other programs do not inherit a handler.
    unsafe {
        if signal(SIGXFSZ, SIG_IGN) != SIG_IGN {
            signal(SIGXFSZ, nothing as usize);
        }
        if let Some(at_start) = MASK_AT_START.get() {
            pthread_sigmask(SIG_SETMASK, at_start, null_mut());
        }
    }
    was_ignored
}

/// Returns whether it was ignored before. std gives child processes the default action again.
pub(super) fn ignore_sigpipe() -> bool {
    // SAFETY: this sets no handler.
    unsafe { signal(SIGPIPE, SIG_IGN) == SIG_IGN }
}
