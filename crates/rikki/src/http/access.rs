//! The access log: one line for each request, when it has been answered.

use std::time::Instant;

use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, Method, Uri, Version, header};
use http_body::Body as _;

use super::caller::Caller;
use crate::ws::internal::TraceParent;
use rikki_limits::Excerpt;

/// A request on its way through the application.
pub(super) struct Access {
    caller: Caller,
    method: Method,
    uri: Uri,
    version: Version,
    agent: Option<HeaderValue>,
    /// Whether a WebSocket was asked for.
    wants_websocket: bool,
    traced: Option<TraceParent>,
    since: Instant,
}

impl Access {
    pub(super) fn new(request: &Parts, caller: Caller) -> Self {
        Self {
            caller,
            method: request.method.clone(),
            uri: request.uri.clone(),
            version: request.version,
            agent: request.headers.get(header::USER_AGENT).cloned(),
            wants_websocket: request.headers.get(header::UPGRADE).is_some_and(is_websocket),
            traced: TraceParent::of(&request.headers),
            since: Instant::now(),
        }
    }

    /// Logs what became of it. The body may still be on its way: its length is what the response announces.
    pub(super) fn log(self, response: &Response) {
        let Self { caller, method, uri, version, agent, wants_websocket, traced, since } = self;
        let Caller { id, request, peer } = caller;
        // What stands in a query is for the application: it may be a secret, such as a token.
        let query = if uri.query().is_some() { "?..." } else { "" };
        tracing::info!(
            target: "rikki::access",
            id = id.get(),
            request,
            %peer,
            method = %Excerpt::of(method.as_str()),
            target = %format_args!("{}{query}", Excerpt::of(uri.path())),
            ?version,
            status = response.status().as_u16(),
            upgrade = wants_websocket.then_some("websocket"),
            bytes = response.body().size_hint().exact(),
            ms = since.elapsed().as_millis() as u64,
            trace_id = traced.map(TraceParent::trace_id).map(display),
            parent_id = traced.map(TraceParent::parent_id).map(display),
            // As a text, which is written in quotes and escaped: a client cannot make up fields.
            agent = agent.as_ref().map(|agent| Excerpt::of(agent.as_bytes()).to_text()),
            "answered",
        );
    }
}

fn is_websocket(upgrade: &HeaderValue) -> bool {
    let Ok(protocols) = upgrade.to_str() else { return false };
    protocols.split(',').any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}
