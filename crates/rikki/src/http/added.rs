//! What is added to answers, whoever gave them: header fields of the operator's, and leave for other origins to read
//! them.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// Says how a message is sent or what of a file it holds, which only its sender knows
/// ([RFC 9110 section 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)).
const REFUSED: [HeaderName; 11] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What the answers of a server have besides their own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Added {
    headers: HeaderMap,
    /// Whether pages of any origin may read answers.
    pub(crate) cors: bool,
}

impl Added {
    /// Adds a header field, or says why it cannot be.
    pub(crate) fn header(&mut self, name: &HeaderName, value: HeaderValue) -> Result<(), &'static str> {
        if REFUSED.contains(name) {
            return Err("it says how an answer is sent, which the server alone knows");
        }
        // Far below what the map has room for, and panics beyond.
        if self.headers.len() >= MAX_ADDED {
            return Err("there are 100 already");
        }
        self.headers.append(name, value);
        Ok(())
    }

    /// The answer to a request by which a browser asks whether a page may send another one
    /// (<https://fetch.spec.whatwg.org/#cors-preflight-fetch>), if this is one.
    pub(super) fn preflight(&self, request: &Parts) -> Option<Response> {
        let asked = request.method == Method::OPTIONS
            && request.headers.contains_key(ORIGIN)
            && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        (self.cors && asked).then(|| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ANY);
            response
        })
    }

    /// Adds to the answer to a request of this kind. What the answer says itself is left alone.
    pub(super) fn add_to(&self, response: &mut Response, may_be_read: bool) {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let headers = response.headers_mut();
        if self.cors && may_be_read {
            headers.entry(ACCESS_CONTROL_ALLOW_ORIGIN).or_insert(ANY);
            headers.entry(ACCESS_CONTROL_EXPOSE_HEADERS).or_insert(EXPOSED);
        }
        for name in self.headers.keys() {
            if !headers.contains_key(name) {
                for value in self.headers.get_all(name) {
                    headers.append(name, value.clone());
                }
            }
        }
    }
}

/// What a page needs to load a file in parts or to compare it, as viewers of documents and maps do. Without leave it
/// sees none of it (<https://fetch.spec.whatwg.org/#http-access-control-expose-headers>).
const EXPOSED: HeaderValue = HeaderValue::from_static("content-range, accept-ranges, etag, content-length");

const MAX_ADDED: usize = 100;

const ANY: HeaderValue = HeaderValue::from_static("*");
