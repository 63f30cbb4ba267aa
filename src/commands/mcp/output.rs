//! Standard output: one message on each line. A thread writes it, because a client may be slow to read.

use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};
use crate::platform;

/// How many messages wait until the client reads. Then the server has to wait.
const QUEUE_LENGTH: usize = 8;

/// Where messages to the client go.
pub(super) struct Output(mpsc::Sender<Item>);

enum Item {
    Line(Vec<u8>),
    End,
}

/// Resolves when all was written up to the end, or when the client reads no more.
pub(super) type Written = oneshot::Receiver<()>;

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

    /// Writes a message, which has no line break, or waits until that is possible.
    pub(super) async fn send(&self, message: Vec<u8>) {
        // If the client is gone, the bridge ends.
        let _ = self.0.send(Item::Line(message)).await;
    }

    /// Nothing is written after this.
    pub(super) async fn end(&self) {
        let _ = self.0.send(Item::End).await;
    }
}

fn write_all(mut queue: mpsc::Receiver<Item>) {
    while let Some(Item::Line(mut line)) = queue.blocking_recv() {
        line.push(b'\n');
        if platform::write_to_stdout(&line).is_err() {
            return;
        }
    }
}
