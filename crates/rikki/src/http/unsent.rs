//! A server whose files, if it has any, are read and written.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::response::Response;
use tokio::io::AsyncWrite;

use super::watch::Socket;

#[derive(Clone, Debug, Default)]
pub(super) struct Sending(());

#[allow(clippy::unused_self, reason = "with files, and on Linux, there is something to send")]
impl Sending {
    pub(super) fn on<S: Socket>(socket: S) -> (S, Self) {
        (socket, Self(()))
    }

    pub(super) fn take_on(&self, _: &mut Response) {}

    pub(super) fn poll_write<I: AsyncWrite + Unpin>(
        &self,
        io: &mut I,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(io).poll_write(cx, bytes)
    }

    pub(super) fn poll_write_vectored<I: AsyncWrite + Unpin>(
        &self,
        io: &mut I,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(io).poll_write_vectored(cx, slices)
    }
}
