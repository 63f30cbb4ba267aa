//! Bodies that are streamed, and those of hallpass itself.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::progress::Progress;
use super::rejection::Rejection;
use crate::commands::upstream::body::next_frame;
use crate::oauth::UpstreamBody;

/// The longest body of a request that is buffered, to be sent again with another token.
pub(super) const REPLAY_LIMIT: usize = 64 * 1024;

type BodyError = Box<dyn StdError + Send + Sync>;

/// A body with a limit on the pauses in it.
pub(super) struct Paced<B> {
    body: B,
    limit: Duration,
    /// Of the request as a whole: while that is sent, its response may pause.
    progress: Option<Progress>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<B> Paced<B> {
    pub(super) fn new(body: B, limit: Duration) -> Self {
        Self {
            body,
            limit,
            progress: None,
            pause: None,
        }
    }

    pub(super) fn of_response(body: B, limit: Duration, progress: Progress) -> Self {
        Self {
            progress: Some(progress),
            ..Self::new(body, limit)
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Paced<B>
where
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            if let Some(pause) = &mut this.pause {
                pause.as_mut().reset(Instant::now() + this.limit);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let limit = this.limit;
        let pause = this.pause.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(pause.as_mut().poll(cx));
        let last = this.progress.as_ref().map(Progress::last);
        if let Some(end) = last.map(|last| last + limit)
            && Instant::now() < end
        {
            pause.as_mut().reset(end);
            ready!(pause.as_mut().poll(cx));
        }
        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response to a client.
pub(super) enum ResponseBody {
    Own(Option<Bytes>),
    Upstream(Paced<UpstreamBody>),
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(length as u64)
            }
            Self::Upstream(body) => body.size_hint(),
        }
    }
}

/// The body of a client's request, which may have to be sent twice.
pub(super) enum RequestBody {
    None,
    /// A short one, read whole before it is sent.
    Buffered(Bytes),
    /// One of unknown length: what is sent is copied, up to the limit.
    Copied(Paced<Incoming>, Progress, Arc<SentCopy>),
    Streamed(Paced<Incoming>, Progress),
}

/// What was sent of a body.
#[derive(Default)]
pub(super) struct SentCopy(Mutex<Copied>);

#[derive(Default)]
struct Copied {
    bytes: Vec<u8>,
    is_whole: bool,
    is_too_long: bool,
}

impl SentCopy {
    fn add(&self, frame: Option<&[u8]>) {
        let mut copied = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match frame {
            None => copied.is_whole = !copied.is_too_long,
            Some(bytes) if copied.bytes.len() + bytes.len() > REPLAY_LIMIT => {
                copied.is_too_long = true;
                copied.bytes = Vec::new();
            }
            Some(bytes) if !copied.is_too_long => copied.bytes.extend_from_slice(bytes),
            Some(_) => {}
        }
    }

    fn whole(&self) -> Option<Bytes> {
        let copied = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        copied.is_whole.then(|| copied.bytes.clone().into())
    }
}

/// What is left of a body after it was sent.
pub(super) enum Replay {
    None,
    Buffered(Bytes),
    Copied(Arc<SentCopy>),
    No,
}

impl Replay {
    /// The body for another request, if all of it is still here.
    pub(super) fn body(self) -> Option<RequestBody> {
        match self {
            Self::None => Some(RequestBody::None),
            Self::Buffered(bytes) => Some(RequestBody::Buffered(bytes)),
            Self::Copied(copy) => copy.whole().map(RequestBody::Buffered),
            Self::No => None,
        }
    }
}

impl RequestBody {
    /// # Errors
    /// The client did not send all of a short body.
    pub(super) async fn read(
        body: Incoming,
        limit: Duration,
        progress: &Progress,
    ) -> Result<Self, Rejection> {
        if body.is_end_stream() {
            return Ok(Self::None);
        }
        let size = body.size_hint().exact();
        let mut body = Paced::new(body, limit);
        match size {
            None => Ok(Self::Copied(body, progress.clone(), Arc::default())),
            Some(size) if size > REPLAY_LIMIT as u64 => Ok(Self::Streamed(body, progress.clone())),
            Some(_) => {
                let mut bytes = Vec::new();
                while let Some(frame) = next_frame(&mut body).await {
                    let frame = frame.map_err(|_| Rejection::BodyTooLate)?;
                    bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
                }
                Ok(Self::Buffered(bytes.into()))
            }
        }
    }

    /// Reads one of unknown length to its end. None if it is too long, or does not come.
    pub(super) async fn into_bytes(self) -> Option<Bytes> {
        let (mut body, mut bytes) = match self {
            Self::None => return Some(Bytes::new()),
            Self::Buffered(bytes) => return Some(bytes),
            Self::Streamed(..) => return None,
            Self::Copied(body, ..) => (body, Vec::new()),
        };
        while let Some(frame) = next_frame(&mut body).await {
            let frame = frame.ok()?;
            bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
            if bytes.len() > REPLAY_LIMIT {
                return None;
            }
        }
        Some(bytes.into())
    }

    pub(super) fn replay(&self) -> Replay {
        match self {
            Self::None => Replay::None,
            Self::Buffered(bytes) => Replay::Buffered(bytes.clone()),
            Self::Copied(_, _, copy) => Replay::Copied(Arc::clone(copy)),
            Self::Streamed(..) => Replay::No,
        }
    }

    /// None if the request has no body.
    pub(super) fn into_some(self) -> Option<Self> {
        Some(self).filter(|body| !matches!(body, Self::None))
    }
}

type PolledFrame = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

fn poll_reporting(
    body: &mut Paced<Incoming>,
    progress: &Progress,
    cx: &mut Context<'_>,
) -> PolledFrame {
    let polled = loop {
        match Pin::new(&mut *body).poll_frame(cx) {
            // Headers after the body are not sent on.
            Poll::Ready(Some(Ok(frame))) if !frame.is_data() => {}
            polled => break polled,
        }
    };
    match &polled {
        Poll::Pending => progress.client_is_awaited(),
        Poll::Ready(Some(Err(_))) => progress.client_is_late(),
        Poll::Ready(_) => progress.made(),
    }
    polled
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this {
            Self::None => Poll::Ready(None),
            Self::Buffered(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Streamed(body, progress) => poll_reporting(body, progress, cx),
            Self::Copied(body, progress, copy) => {
                let frame = ready!(poll_reporting(body, progress, cx));
                match &frame {
                    None => copy.add(None),
                    Some(Ok(frame)) => {
                        copy.add(Some(frame.data_ref().map_or(&[], |data| &data[..])));
                    }
                    Some(Err(_)) => {}
                }
                // hyper may not ask again after the last frame.
                if body.is_end_stream() {
                    copy.add(None);
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::None => true,
            Self::Buffered(bytes) => bytes.is_empty(),
            Self::Copied(body, ..) | Self::Streamed(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::None => SizeHint::with_exact(0),
            Self::Buffered(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Copied(body, ..) | Self::Streamed(body, _) => body.size_hint(),
        }
    }
}
