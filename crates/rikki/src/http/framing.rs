//! Requests that hyper lets through and that others may read differently: which is how one request is smuggled past a
//! proxy inside of another ([RFC 9112 section 11.2](https://www.rfc-editor.org/rfc/rfc9112#section-11.2)).

use axum::response::Response;
use http::request::Parts;
use http::{StatusCode, header};

use crate::ws::internal::closing;

/// The answer to a request that has too many header fields, or cannot be understood.
pub(super) fn refuse(request: &Parts, max_headers: usize) -> Option<Response> {
    // hyper counts those of HTTP/1.1 itself. https://www.rfc-editor.org/rfc/rfc6585#section-5
    if request.headers.len() > max_headers {
        return Some(closing(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request has too many header fields\n"));
    }
    if !is_of_the_web(request) {
        return Some(closing(StatusCode::BAD_REQUEST, "the request's target is not of the scheme http or https\n"));
    }
    let mut codings = request.headers.get_all(header::TRANSFER_ENCODING).iter();
    let (first, second) = (codings.next()?, codings.next());
    // "A server that receives a request message with a transfer coding it does not understand" refuses it, and "a
    // sender MUST NOT apply the chunked transfer coding more than once":
    // https://www.rfc-editor.org/rfc/rfc9112#section-6.1
    if second.is_none() && first.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return None;
    }
    Some(closing(StatusCode::BAD_REQUEST, "the only transfer coding that is understood is chunked, once\n"))
}

/// Whether the connection ends after a request. One with both lengths must be the last: hyper has taken out the
/// Content-Length of those that have a Transfer-Encoding, so it may be any of them
/// ([RFC 9112 section 6.1](https://www.rfc-editor.org/rfc/rfc9112#section-6.1)).
pub(super) fn is_last(request: &Parts) -> bool {
    request.headers.contains_key(header::TRANSFER_ENCODING)
}

/// Whether the target is a path, a host and port, `*`, or of a scheme that is served here
/// ([RFC 9112 section 3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)). That of the other scheme may come by
/// way of a proxy that has ended TLS.
fn is_of_the_web(request: &Parts) -> bool {
    request.uri.scheme().is_none_or(|scheme| *scheme == http::uri::Scheme::HTTP || *scheme == http::uri::Scheme::HTTPS)
}
