//! Answers that the server itself gives to requests that it does not let through.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

/// A sentence as plain text, after which the connection closes.
pub(crate) fn closing(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The same for what may be asked again in a second.
pub(crate) fn later(status: StatusCode, text: &'static str) -> Response {
    let mut response = closing(status, text);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
