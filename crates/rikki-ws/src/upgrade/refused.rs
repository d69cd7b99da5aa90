//! What is answered and logged where no WebSocket is opened.

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use rikki_limits::{Excerpt, Seldom};
use rikki_proto::handshake::Refusal;
use tracing::field::display;

use super::handover::Context;
use super::peer_addr;
use crate::endpoint::Endpoint;
use crate::id::ConnectionId;
use crate::origins::{Asked, ListenerKind, Origins, Public};
use crate::refusal::closing;
use crate::terms::Terms;

/// The answer to a request from a page that may not open WebSockets here, or at `endpoint`: for what is there beside
/// them, and could do as much. `None` if it may.
pub fn foreign<H>(request: &Parts, endpoint: Option<&Endpoint<H>>) -> Option<Response> {
    let context = request.extensions.get::<Context>().cloned().unwrap_or_default();
    let Context { terms, listener, public, id, .. } = context;
    let terms = endpoint.map(|endpoint| endpoint.terms(&terms)).unwrap_or(terms);
    refuse_origin(Asked::Request, &terms.origins, &terms, (listener, public.as_deref()), request, id)
}

/// Judges the origin of a request, and counts and logs a refusal.
pub(super) fn refuse_origin(
    asked: Asked,
    origins: &Origins,
    terms: &Terms,
    (listener, public): (ListenerKind, Option<&Public>),
    request: &Parts,
    id: Option<ConnectionId>,
) -> Option<Response> {
    let refused = origins.check(listener, public, request).err()?;
    terms.counts().refused_origins.up();
    if let Some(left_out) = refused.turn_to_log() {
        let (peer, path) = (peer_addr(request).map(display), Excerpt::of(request.uri.path()));
        let (told, what) = (refused.told(asked, terms.hints), asked.name());
        let id = id.map(ConnectionId::get);
        tracing::warn!(target: "rikki::ws", id, peer, %path, left_out, "{what} refused: {told}");
    }
    Some(refused.response(asked, terms.hints).map(Body::from))
}

/// The answer where nobody is let in for now.
pub(super) fn endpoint_closed() -> Response {
    let mut response: Response = closing(StatusCode::SERVICE_UNAVAILABLE, "nobody is let in here for now\n");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
    response
}

pub(super) fn log_refusal(refusal: Refusal, request: &Parts, id: Option<ConnectionId>) {
    static LINES: Seldom<Refusal> = Seldom::new();
    if let Some(left_out) = LINES.turn(refusal) {
        let (peer, path) = (peer_addr(request).map(display), Excerpt::of(request.uri.path()));
        let id = id.map(ConnectionId::get);
        tracing::info!(target: "rikki::ws", id, peer, %path, left_out, "handshake refused: {refusal}");
    }
}

/// What an application or the server in front has done wrong.
#[derive(PartialEq)]
pub(super) enum Trouble {
    Unsupported,
    Answered,
    Unsent,
}

pub(super) fn log_trouble(trouble: Trouble, id: ConnectionId) {
    static LINES: Seldom<Trouble> = Seldom::new();
    let what = match trouble {
        Trouble::Unsupported => "the HTTP server in front does not support upgrades",
        Trouble::Answered => "no WebSocket: its request has been answered before",
        Trouble::Unsent => "no WebSocket: its answer was not sent, or a layer's body does not pass `is_end_stream` on",
    };
    if let Some(left_out) = LINES.turn(trouble) {
        tracing::warn!(target: "rikki::ws", id = id.get(), left_out, "{what}");
    }
}

pub(super) fn unsupported(id: ConnectionId) -> Response {
    log_trouble(Trouble::Unsupported, id);
    let mut response = Response::new(Body::from("this server does not support upgrades\n"));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
