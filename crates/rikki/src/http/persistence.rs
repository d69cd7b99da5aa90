//! What requests and answers say of how long their connection lasts
//! ([RFC 9112 section 9.3](https://www.rfc-editor.org/rfc/rfc9112#section-9.3)).

use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;

/// Whether an answer goes on until its client leaves: events, and pictures that replace one another
/// (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
pub(super) fn is_endless(response: &Response) -> bool {
    let media = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let media = media.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    media.eq_ignore_ascii_case(b"text/event-stream") || media.eq_ignore_ascii_case(b"multipart/x-mixed-replace")
}

/// Whether the connection ends if nobody reads the body of a request: the client waits for being asked to send it
/// ([RFC 9110 section 10.1.1](https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1)), or it is more than comes with
/// the head, which hyper passes over.
pub(super) fn may_stay_unread(request: &Parts, body: &Incoming) -> bool {
    request.version < Version::HTTP_2
        && !body.is_end_stream()
        && (request.headers.contains_key(header::EXPECT)
            || body.size_hint().upper().is_none_or(|most| most > PASSED_OVER))
}

/// In bytes.
const PASSED_OVER: u64 = 4 * 1024;

/// Whether the client of HTTP/1 wants to send more on its connection:
/// <https://www.rfc-editor.org/rfc/rfc9112#section-9.3>.
pub(super) fn is_kept_alive(request: &Parts) -> bool {
    let has = |option: &str| {
        let lines = request.headers.get_all(header::CONNECTION).iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(',')).any(|given| given.trim().eq_ignore_ascii_case(option))
    };
    if request.version == Version::HTTP_11 { !has("close") } else { has("keep-alive") && !has("close") }
}
