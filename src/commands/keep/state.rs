//! What the service manager knows about all files.

use std::sync::{Mutex, PoisonError};

use crate::platform::notify;

/// For each file whether its last renewal failed; none before the first one.
pub(super) struct States(Mutex<Vec<Option<bool>>>);

impl States {
    pub(super) fn of(count: usize) -> Self {
        Self(Mutex::new(vec![None; count]))
    }

    /// Reports a renewal (`sd_notify(3)`). The service is ready after the first attempt for each file: it
    /// would be stopped otherwise because of one profile that fails.
    pub(super) fn set(&self, number: usize, failed: bool) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let was_ready = states.iter().all(Option::is_some);
        states[number] = Some(failed);
        let is_ready = states.iter().all(Option::is_some);
        let failing = states.iter().filter(|state| **state == Some(true)).count();
        let mut state = match failing {
            0 => "STATUS=all files have valid tokens\n".to_owned(),
            _ => format!(
                "STATUS={failing} of {} files cannot be renewed\n",
                states.len()
            ),
        };
        if is_ready && !was_ready {
            state += "READY=1\n";
        }
        // A service manager that cannot be reached does not stop the tokens.
        let _ = notify(&state);
    }
}
