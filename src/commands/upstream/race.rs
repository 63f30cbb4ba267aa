//! Waits for the first of two futures.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Which of two futures was ready first.
pub(in crate::commands) enum First<A, B> {
    Left(A),
    Right(B),
}

pub(in crate::commands) async fn first<A, B>(
    left: impl Future<Output = A>,
    right: impl Future<Output = B>,
) -> First<A, B> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(|cx| {
        if let Poll::Ready(left) = left.as_mut().poll(cx) {
            return Poll::Ready(First::Left(left));
        }
        right.as_mut().poll(cx).map(First::Right)
    })
    .await
}
