//! The access log: one line for each request, when it has been answered.

use std::time::Instant;

use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, Method, Uri, Version, header};
use http_body::Body as _;

use crate::net::Peer;
use rikki_limits::Excerpt;

/// A request on its way through the application.
pub(super) struct Access {
    peer: Peer,
    method: Method,
    uri: Uri,
    version: Version,
    agent: Option<HeaderValue>,
    /// Whether a WebSocket was asked for.
    wants_websocket: bool,
    since: Instant,
}

impl Access {
    pub(super) fn new(request: &Parts, peer: Peer) -> Self {
        Self {
            peer,
            method: request.method.clone(),
            uri: request.uri.clone(),
            version: request.version,
            agent: request.headers.get(header::USER_AGENT).cloned(),
            wants_websocket: request.headers.get(header::UPGRADE).is_some_and(is_websocket),
            since: Instant::now(),
        }
    }

    /// Logs what became of it. The body may still be on its way: its length is what the response announces.
    pub(super) fn log(self, response: &Response) {
        let Self { peer, method, uri, version, agent, wants_websocket, since } = self;
        // What stands in a query is for the application: it may be a secret, such as a token.
        let query = if uri.query().is_some() { "?..." } else { "" };
        tracing::info!(
            target: "rikki::access",
            %peer,
            method = %Excerpt::of(method.as_str()),
            target = %format_args!("{}{query}", Excerpt::of(uri.path())),
            ?version,
            status = response.status().as_u16(),
            upgrade = wants_websocket.then_some("websocket"),
            bytes = response.body().size_hint().exact(),
            ms = since.elapsed().as_millis() as u64,
            // In quotes, which an excerpt has none of but escaped ones: a client cannot make up fields.
            agent = %format_args!("\"{}\"", Excerpt::of(agent.as_ref().map_or(&b"-"[..], HeaderValue::as_bytes))),
        );
    }
}

fn is_websocket(upgrade: &HeaderValue) -> bool {
    let Ok(protocols) = upgrade.to_str() else { return false };
    protocols.split(',').any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}
