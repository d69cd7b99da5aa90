//! An answer on its way from the application, which may panic.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use http::StatusCode;
use tower_service::Service as _;

use super::caller::Caller;
use crate::ws::internal::closing;
use rikki_limits::Seldom;

/// An answer that is known, or that the application is to give. If it panics, its request is answered with 500, and
/// others on the connection go on.
pub(super) enum Answering {
    Known(Response),
    Routed(RouteFuture<Infallible>),
}

impl Answering {
    pub(super) fn routed(mut router: Router, request: Request, caller: Caller) -> Self {
        match catch_unwind(AssertUnwindSafe(|| router.call(request))) {
            Ok(answering) => Self::Routed(answering),
            Err(_) => Self::Known(panicked(caller)),
        }
    }

    /// The answer, or none if the application panics.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Response>> {
        match self {
            Self::Known(response) => Poll::Ready(Some(std::mem::take(response))),
            Self::Routed(answering) => match catch_unwind(AssertUnwindSafe(|| Pin::new(answering).poll(cx))) {
                Ok(answer) => answer.map(|Ok(response)| Some(response)),
                Err(_) => Poll::Ready(None),
            },
        }
    }
}

/// What a request is answered with whose handler has panicked, which is logged.
pub(super) fn panicked(Caller { id, request, peer }: Caller) -> Response {
    static LINES: Seldom = Seldom::new();
    if let Some(left_out) = LINES.turn(()) {
        let id = id.get();
        tracing::error!(target: "rikki::http", id, request, %peer, left_out, "the handler of a request panicked");
    }
    // https://www.rfc-editor.org/rfc/rfc9110#section-15.6.1
    closing(StatusCode::INTERNAL_SERVER_ERROR, "the server failed\n")
}
