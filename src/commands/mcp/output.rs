//! Standard output: one message on each line. A thread writes it, because a client may be slow to read.

use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::line::Line;
use crate::error::{Error, Result};
use crate::platform;

/// How many messages wait until the client reads. Then the server has to wait.
const QUEUE_LENGTH: usize = 8;

/// Where messages to the client go.
pub(super) struct Output(mpsc::Sender<Item>);

enum Item {
    Line(Line),
    End,
}

/// Resolves when all was written up to the end, or when the client reads no more.
pub(super) type Written = oneshot::Receiver<()>;

/// To write one message. None if the client is gone; then the bridge ends.
pub(super) struct Permit<'a>(Option<mpsc::Permit<'a, Item>>);

impl Permit<'_> {
    pub(super) fn fill(self, line: Line) {
        if let Some(permit) = self.0 {
            permit.send(Item::Line(line));
        }
    }
}

impl Output {
    /// # Errors
    /// There can be no more threads.
    pub(super) fn start() -> Result<(Self, Written)> {
        let (sender, queue) = mpsc::channel(QUEUE_LENGTH);
        let (done, written) = oneshot::channel();
        let write = move || {
            write_all(queue);
            let _ = done.send(());
        };
        let thread = thread::Builder::new().spawn(write);
        thread.map_err(|error| Error::broken("cannot start a thread").because(error))?;
        Ok((Self(sender), written))
    }

    /// Waits until a message can be written. A request is taken from those that wait for their response
    /// only after this: then nothing that ends the exchange comes between.
    pub(super) async fn permit(&self) -> Permit<'_> {
        Permit(self.0.reserve().await.ok())
    }

    /// Writes a message, or waits until that is possible.
    pub(super) async fn send(&self, line: Line) {
        self.permit().await.fill(line);
    }

    /// Nothing is written after this.
    pub(super) async fn end(&self) {
        let _ = self.0.send(Item::End).await;
    }
}

fn write_all(mut queue: mpsc::Receiver<Item>) {
    while let Some(Item::Line(line)) = queue.blocking_recv() {
        if platform::write_to_stdout(&line.into_bytes()).is_err() {
            return;
        }
    }
}
