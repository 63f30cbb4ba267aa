//! The two signals that a write may raise: the reader has gone (SIGPIPE), or a file would grow beyond
//! `ulimit -f` (SIGXFSZ). While they are blocked, the write fails instead.
//!
//! Blocking takes one system call for both, where ignoring takes one for each. But other programs
//! inherit what is blocked, so it ends before one is started.
#![allow(unsafe_code, reason = "std has no way to do this")]

use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::OnceLock;

use rustix::process::Signal;

const SIGPIPE: c_int = Signal::PIPE.as_raw();
const SIGXFSZ: c_int = Signal::XFSZ.as_raw();

const SIG_IGN: usize = 1;
// Linux counts from 0, all others from 1 (MIPS is not among our platforms).
const SIG_BLOCK: c_int = if cfg!(target_os = "linux") { 0 } else { 1 };
const SIG_SETMASK: c_int = SIG_BLOCK + 2;

/// A `sigset_t`, which no system has larger.
#[derive(Clone)]
#[repr(C, align(8))]
struct Signals([u8; 128]);

unsafe extern "C" {
    fn signal(number: c_int, action: usize) -> usize;
    fn sigemptyset(set: *mut Signals) -> c_int;
    fn sigaddset(set: *mut Signals, number: c_int) -> c_int;
    fn pthread_sigmask(how: c_int, set: *const Signals, before: *mut Signals) -> c_int;
}

/// What was blocked when we were started.
static AT_START: OnceLock<Signals> = OnceLock::new();

/// Whether a broken pipe was ignored when we were started.
static IGNORED_PIPES: OnceLock<bool> = OnceLock::new();

/// Blocks both, in this thread and in those that it starts.
pub(super) fn block() {
    let mut both = Signals([0; 128]);
    let mut before = both.clone();
    // SAFETY: both are sets of our own, and the numbers are those of signals.
    unsafe {
        sigemptyset(&raw mut both);
        sigaddset(&raw mut both, SIGPIPE);
        sigaddset(&raw mut both, SIGXFSZ);
        pthread_sigmask(SIG_BLOCK, &raw const both, &raw mut before);
    }
    let _ = AT_START.set(before);
}

/// Goes back to what was blocked at the start, before this thread starts another program, or becomes
/// one. In this process, both do nothing from now on.
///
/// Returns whether a broken pipe was ignored at the start.
pub(super) fn unblock() -> bool {
    extern "C" fn nothing(_: c_int) {}
    let nothing: extern "C" fn(c_int) = nothing;
    // What a write has raised so far is dropped by this (POSIX, 2.4.3).
    let ignored_pipes = *IGNORED_PIPES.get_or_init(ignore_broken_pipes);
    // SAFETY: a handler that does nothing is safe, and other programs do not inherit it.
    unsafe {
        if signal(SIGXFSZ, SIG_IGN) != SIG_IGN {
            signal(SIGXFSZ, nothing as usize);
        }
        if let Some(at_start) = AT_START.get() {
            pthread_sigmask(SIG_SETMASK, at_start, null_mut());
        }
    }
    ignored_pipes
}

/// Returns whether they were ignored before. std gives its children the default again.
pub(super) fn ignore_broken_pipes() -> bool {
    // SAFETY: no handler is set, which would have to be one.
    unsafe { signal(SIGPIPE, SIG_IGN) == SIG_IGN }
}
