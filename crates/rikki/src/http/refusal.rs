//! Answers that the server itself gives to requests that it does not let through.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::caller::Caller;
use super::guard::Refused;
use super::serving::Serving;
use crate::ws::internal::closing;

/// A sentence as plain text, after which the connection closes, on what may be asked again in a second.
pub(crate) fn later(status: StatusCode, text: &'static str) -> Response {
    let mut response = closing(status, text);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The answer to a request for a host that it may not name.
pub(super) fn refuse_host(serving: &Serving, caller: Caller, refused: &Refused) -> Response {
    let Serving { config, terms, .. } = serving;
    terms.live.counts.refused_hosts.up();
    if let Some(left_out) = refused.turn_to_log() {
        let told = refused.told(config.hints.0);
        let Caller { id, request, peer } = caller;
        tracing::warn!(target: "rikki::http", id = id.get(), request, %peer, left_out, "request refused: {told}");
    }
    refused.response(config.hints.0).map(Body::from)
}
