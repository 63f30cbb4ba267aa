//! The bytes of a client's connection: requests are checked before hyper reads them, and a client that
//! does not read its response is given up.

use std::cell::RefCell;
use std::future::{Future as _, pending};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep};

use super::activity::Activity;
use super::framing::Framing;
use super::rejection::Rejection;

/// How much is read at once, in bytes.
const READ_SIZE: usize = 16 * 1024;

thread_local! {
    /// All connections read into the same space, so that those that wait need none.
    static SPACE: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

/// How many reads of what a refused client still sends.
const DISCARDED_READS: usize = 16;

/// What hyper reads in place of a refused request. The handler then finds the rejection.
const REPLACEMENT: &[u8] = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n";

/// What the connection and the handler of its requests tell each other. It lasts as long as the
/// connection, also after that was upgraded.
pub(super) struct ConnectionState {
    rejection: Mutex<Option<Rejection>>,
    is_upgraded: AtomicBool,
    has_request: AtomicBool,
    tunnel: Mutex<Option<JoinHandle<()>>>,
    activity: Arc<Activity>,
}

impl Drop for ConnectionState {
    fn drop(&mut self) {
        self.activity.end();
    }
}

impl ConnectionState {
    pub(super) fn new(activity: &Arc<Activity>) -> Self {
        activity.begin();
        Self {
            rejection: Mutex::default(),
            is_upgraded: AtomicBool::new(false),
            has_request: AtomicBool::new(false),
            tunnel: Mutex::default(),
            activity: Arc::clone(activity),
        }
    }

    /// Why the request that hyper has just read is refused.
    pub(super) fn rejection(&self) -> Option<Rejection> {
        *self
            .rejection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self, rejection: Rejection) {
        *self
            .rejection
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(rejection);
    }

    /// From now on, the bytes are of another protocol, which this task passes on.
    pub(super) fn upgrade(&self, tunnel: JoinHandle<()>) {
        self.is_upgraded.store(true, Relaxed);
        *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
    }

    /// The task of an upgraded connection.
    pub(super) fn take_tunnel(&self) -> Option<JoinHandle<()>> {
        let mut tunnel = self.tunnel.lock().unwrap_or_else(PoisonError::into_inner);
        tunnel.take()
    }

    /// The head of a request arrived.
    pub(super) fn has_request(&self) {
        self.has_request.store(true, Relaxed);
    }

    /// Waits until the head of the first request is too late.
    pub(super) async fn first_request_is_late(&self, limit: Duration) {
        sleep(limit).await;
        if self.has_request.load(Relaxed) {
            pending::<()>().await;
        }
    }
}

/// A connection whose requests are checked.
pub(super) struct Connection<S> {
    stream: S,
    state: Arc<ConnectionState>,
    framing: Framing,
    /// What was received and not passed on yet.
    received: Vec<u8>,
    /// How much of that was checked.
    checked: usize,
    is_refused: bool,
    /// How long a write may take.
    limit: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, state: Arc<ConnectionState>, limit: Duration) -> Self {
        Self {
            stream,
            state,
            framing: Framing::Head,
            received: Vec::new(),
            checked: 0,
            is_refused: false,
            limit,
            stalled: None,
        }
    }

    /// Checks what comes next of what was received.
    fn check(&mut self) -> io::Result<()> {
        if self.state.is_upgraded.load(Relaxed) {
            self.framing = Framing::Upgraded;
        }
        let is_head = self.framing == Framing::Head;
        match self.framing.next(&self.received) {
            Ok(checked) => self.checked = checked,
            Err(rejection) if is_head => {
                self.state.refuse(rejection);
                self.is_refused = true;
                self.received = REPLACEMENT.to_vec();
                self.checked = REPLACEMENT.len();
            }
            Err(_) => return Err(io::ErrorKind::InvalidData.into()),
        }
        Ok(())
    }

    /// Receives more. False at the end of the stream.
    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        SPACE.with_borrow_mut(|space| {
            let mut space = ReadBuf::new(space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space))?;
            self.received.extend_from_slice(space.filled());
            Poll::Ready(Ok(!space.filled().is_empty()))
        })
    }

    /// Reads some of what a refused client still sends: if that were left, the system would reset the
    /// connection, and the client might not see the response.
    fn discard(&mut self, cx: &mut Context<'_>) {
        for _ in 0..DISCARDED_READS {
            self.received.clear();
            if !matches!(self.receive(cx), Poll::Ready(Ok(true))) {
                break;
            }
        }
        self.received.clear();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.checked == 0 && !this.received.is_empty() {
                this.check()?;
            }
            if this.checked > 0 {
                let count = this.checked.min(buffer.remaining());
                buffer.put_slice(&this.received[..count]);
                this.checked -= count;
                if count < this.received.len() {
                    this.received.drain(..count);
                } else {
                    // A connection that waits keeps no memory.
                    this.received = Vec::new();
                }
                return Poll::Ready(Ok(()));
            }
            if this.is_refused {
                this.discard(cx);
                return Poll::Pending;
            }
            if !ready!(this.receive(cx))? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        if written.is_ready() || this.state.is_upgraded.load(Relaxed) {
            this.stalled = None;
            return written;
        }
        let limit = this.limit;
        let stalled = this.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
