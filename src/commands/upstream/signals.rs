//! The signals that end a command.

use std::future::pending;
use std::thread;

use tokio::sync::watch;

use crate::error::{Error, Result};
use crate::platform::StopSignals;

/// The signals that end the process, as they come.
pub(in crate::commands) fn stop_signals() -> Result<watch::Receiver<i32>> {
    let (sender, signals) = watch::channel(0);
    let cannot_watch = |error| Error::broken("cannot wait for signals").because(error);
    let mut caught = StopSignals::catch().map_err(cannot_watch)?;
    let watch = move || {
        loop {
            sender.send_replace(caught.next());
        }
    };
    let watching = thread::Builder::new().spawn(watch);
    watching.map_err(cannot_watch)?;
    Ok(signals)
}

/// Waits for the next signal, and returns its number. Some systems have none.
pub(in crate::commands) async fn signal(signals: &mut watch::Receiver<i32>) -> i32 {
    match signals.changed().await {
        Ok(()) => *signals.borrow(),
        Err(_) => pending().await,
    }
}
