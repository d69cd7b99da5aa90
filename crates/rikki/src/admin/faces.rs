//! What is asked for, and the answers.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{Admin, Told, metrics};
use crate::live::Stage;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// What whoever reaches the listener may see.
pub(super) fn probes(admin: &Admin) -> Router {
    let (metrics, ready) = (admin.clone(), admin.clone());
    Router::new()
        .route("/metrics", get(async move |headers: HeaderMap| scraped(&metrics, &headers)))
        .route("/healthz", get(async || told(StatusCode::OK, "ok\n")))
        .route("/readyz", get(async move || readiness(ready.stage())))
}

/// All of it but the commands.
pub(super) fn all(admin: &Admin) -> Router {
    let (status, details) = (admin.clone(), admin.clone());
    let one = async move |Path(id): Path<String>| connection(&details, &id);
    probes(admin)
        .route("/status", get(async move || answer(StatusCode::OK, JSON, status.text(Told::Status))))
        .route("/status/connections/{id}", get(one))
}

/// What is answered, in one line.
pub(super) fn told(status: StatusCode, text: impl Into<Body>) -> Response {
    answer(status, TEXT, text)
}

pub(super) fn answer(status: StatusCode, media_type: &'static str, body: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))], body.into()).into_response()
}

/// In the format that is asked for: that of OpenMetrics is another one.
fn scraped(admin: &Admin, headers: &HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    match accepted.into_iter().any(|accepted| accepted.contains("application/openmetrics-text")) {
        true => answer(StatusCode::OK, metrics::OPEN_METRICS, admin.text(Told::OpenMetrics)),
        false => answer(StatusCode::OK, metrics::CLASSIC, admin.text(Told::Classic)),
    }
}

/// Whether it may be sent more to do.
fn readiness(stage: Stage) -> Response {
    match stage {
        Stage::Serving => told(StatusCode::OK, "ready\n"),
        Stage::Starting => told(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Stage::Draining => told(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

/// One WebSocket.
fn connection(admin: &Admin, id: &str) -> Response {
    match id.parse().ok().and_then(|id| admin.0.monitor.websocket(id)) {
        Some(details) => answer(StatusCode::OK, JSON, super::snapshot::details(&details)),
        None => told(StatusCode::NOT_FOUND, "no WebSocket that is open has this id\n"),
    }
}
