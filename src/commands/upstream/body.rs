//! Bodies of requests and responses.

use std::future::poll_fn;
use std::pin::Pin;

use hyper::body::{Body, Frame};

/// The next part of a body. None at its end.
pub(in crate::commands) async fn next_frame<B: Body + Unpin>(
    body: &mut B,
) -> Option<Result<Frame<B::Data>, B::Error>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}
