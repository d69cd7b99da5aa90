//! Answers that the server itself gives to requests that it does not let through.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use crate::ws::internal::closing;

/// A sentence as plain text, after which the connection closes, on what may be asked again in a second.
pub(crate) fn later(status: StatusCode, text: &'static str) -> Response {
    let mut response = closing(status, text);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
