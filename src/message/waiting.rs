//! Says what hallpass is waiting for, if a wait takes long: every wait uses this.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// A longer wait has a note.
const NOTE_AFTER: Duration = Duration::from_millis(1500);

static ONLY_DIALOGS: AtomicBool = AtomicBool::new(false);

/// Who must know about a wait.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum WaitingFor {
    /// Somewhere a dialog may be open: the note is also for a log.
    Dialog,
    /// A server, a program or another process: the note is only for a terminal.
    Other,
}

/// Shows notes only about dialogs: a helper's standard error may be part of its answer.
pub(crate) fn only_note_dialogs() {
    ONLY_DIALOGS.store(true, Relaxed);
}

/// One wait, with at most one note.
pub(crate) struct Waiting {
    /// None if there is no note, or not any more.
    note_at: Option<Instant>,
}

impl Waiting {
    pub(crate) fn begin(what: WaitingFor) -> Self {
        Self {
            note_at: has_note(what).then(|| Instant::now() + NOTE_AFTER),
        }
    }

    /// How long to wait until [`Waiting::note_if_due`] has a note to print; at most `limit`.
    pub(crate) fn quiet(&self, limit: Duration) -> Duration {
        let left = |at: Instant| at.saturating_duration_since(Instant::now());
        self.note_at.map_or(limit, |at| left(at).min(limit))
    }

    /// Prints what the wait is for, once it has taken long.
    pub(crate) fn note_if_due(&mut self, note: impl FnOnce() -> String) {
        if self.note_at.is_some_and(|at| at <= Instant::now()) {
            self.note_at = None;
            super::note(&note());
        }
    }

    /// Whether a wait of a known length has a note.
    pub(crate) fn is_noted(length: Duration) -> bool {
        length >= NOTE_AFTER && has_note(WaitingFor::Other)
    }
}

fn has_note(what: WaitingFor) -> bool {
    what == WaitingFor::Dialog || (!ONLY_DIALOGS.load(Relaxed) && super::reaches_a_person())
}

/// Waits for what a thread sends.
pub(crate) fn receive<T>(
    receiver: &Receiver<T>,
    limit: Duration,
    what: WaitingFor,
    note: &str,
) -> Result<T, RecvTimeoutError> {
    let mut waiting = Waiting::begin(what);
    let quiet = waiting.quiet(limit);
    match receiver.recv_timeout(quiet) {
        Err(RecvTimeoutError::Timeout) if quiet < limit => {
            waiting.note_if_due(|| note.to_owned());
            receiver.recv_timeout(limit.saturating_sub(quiet))
        }
        outcome => outcome,
    }
}
