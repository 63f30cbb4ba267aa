//! The steps of a call, for a person who asked for them with `-v` or `HALLPASS_LOG`.
//!
//! A step is a line that says what hallpass does and why. It cannot have a secret or a token by accident:
//! neither type can be formatted.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static SHOWN: AtomicBool = AtomicBool::new(false);

/// Shows every later step.
pub(crate) fn show_steps() {
    SHOWN.store(true, Relaxed);
}

/// Prints a step, if steps are shown. Otherwise this costs a comparison.
pub(crate) fn step(what: impl FnOnce() -> String) {
    if SHOWN.load(Relaxed) {
        print(&what());
    }
}

#[cold]
fn print(what: &str) {
    super::write(&format!("hallpass: step: {}\n", super::one_line(what)));
}
