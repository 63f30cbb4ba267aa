//! When `hallpass serve` ends.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;

use super::activity::Activity;
use super::listener::{First, first};
use crate::error::{Error, Result};
use crate::message;
use crate::platform;

/// The signals that end the process, as they come.
pub(super) fn stop_signals() -> Result<watch::Receiver<i32>> {
    let (sender, signals) = watch::channel(0);
    let set = platform::on_stop_signal(move |number| {
        sender.send_replace(number);
    });
    set.map_err(|error| Error::broken("cannot start a thread").because(error))?;
    Ok(signals)
}

/// Waits for the next signal, and returns its number. Some systems have none.
pub(super) async fn signal(signals: &mut watch::Receiver<i32>) -> i32 {
    match signals.changed().await {
        Ok(()) => *signals.borrow(),
        Err(_) => pending().await,
    }
}

/// Waits for a signal, or the time without connections. Returns the exit code.
pub(super) async fn until_stopped(
    idle: Option<Duration>,
    activity: &Activity,
    mut signals: watch::Receiver<i32>,
) -> i32 {
    let idle = async {
        match idle {
            Some(limit) => activity.idle_for(limit).await,
            None => pending().await,
        }
    };
    if let First::Right(()) = first(signal(&mut signals), idle).await {
        message::note("no connection for the time of --idle");
    }
    0
}
