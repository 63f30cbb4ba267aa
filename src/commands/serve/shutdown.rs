//! When `hallpass serve` ends.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;

use super::activity::Activity;
use crate::commands::upstream::race::{First, first};
use crate::commands::upstream::signals::signal;
use crate::message;

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
