//! Answers to requests that are not let through.

use http::{HeaderValue, Response, StatusCode, header};

/// A sentence as plain text, after which the connection closes.
pub fn closing<B>(status: StatusCode, text: impl Into<B>) -> Response<B> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
