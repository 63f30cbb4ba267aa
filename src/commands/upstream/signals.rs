//! The signals that end a command.

use std::future::pending;

use tokio::sync::watch;

use crate::error::{Error, Result};
use crate::platform;

/// The signals that end the process, as they come.
pub(in crate::commands) fn stop_signals() -> Result<watch::Receiver<i32>> {
    let (sender, signals) = watch::channel(0);
    let set = platform::on_stop_signal(move |number| {
        sender.send_replace(number);
    });
    set.map_err(|error| Error::broken("cannot start a thread").because(error))?;
    Ok(signals)
}

/// Waits for the next signal, and returns its number. Some systems have none.
pub(in crate::commands) async fn signal(signals: &mut watch::Receiver<i32>) -> i32 {
    match signals.changed().await {
        Ok(()) => *signals.borrow(),
        Err(_) => pending().await,
    }
}
