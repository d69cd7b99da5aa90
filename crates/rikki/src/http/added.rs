//! What is added to answers, whoever gave them: header fields of the operator's, and leave for other origins to read
//! them.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::ws::internal::{Field, only};

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
    /// Of which origins pages may read and ask for everything.
    pub(crate) readers: Option<Readers>,
}

/// A function that says whether pages of an origin may read answers.
#[derive(Clone)]
pub(crate) struct Readers(pub(crate) Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readers")
    }
}

/// Whose page may read the answer to a request.
pub(super) enum Reader {
    Nobody,
    Anybody,
    /// This origin's: on its own side, since few requests have one.
    Origin(Box<HeaderValue>),
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
        let method = request.headers.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| asked)?;
        let (origin, methods) = match self.named(request) {
            Some(origin) => (origin.clone(), method.clone()),
            None if self.cors => (ANY, HeaderValue::from_static("GET, HEAD")),
            None => return None,
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALL_HEADERS);
        Some(response)
    }

    /// Whose page may read the answer to a request.
    pub(super) fn reader(&self, request: &Parts) -> Reader {
        match self.named(request) {
            _ if self.cors && matches!(request.method, Method::GET | Method::HEAD) => Reader::Anybody,
            Some(origin) => Reader::Origin(Box::new(origin.clone())),
            None => Reader::Nobody,
        }
    }

    /// Whose page may read the answer to what is no request.
    pub(super) fn reader_of_nothing(&self) -> Reader {
        if self.cors { Reader::Anybody } else { Reader::Nobody }
    }

    /// The origin of a request, if it is one of those that may read everything.
    fn named<'r>(&self, request: &'r Parts) -> Option<&'r HeaderValue> {
        let Readers(judge) = self.readers.as_ref()?;
        let Field::Once(origin) = only(&request.headers, &ORIGIN) else { return None };
        origin.to_str().is_ok_and(|origin| judge(origin)).then_some(origin)
    }

    /// Adds to the answer to a request of such a page. What the answer says itself is left alone.
    pub(super) fn add_to(&self, response: &mut Response, reader: Reader) {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let headers = response.headers_mut();
        let origin = match reader {
            Reader::Nobody => None,
            Reader::Anybody => Some(ANY),
            Reader::Origin(origin) => Some(*origin),
        };
        if let Some(origin) = origin {
            headers.entry(ACCESS_CONTROL_ALLOW_ORIGIN).or_insert(origin);
            headers.entry(ACCESS_CONTROL_EXPOSE_HEADERS).or_insert(EXPOSED);
        }
        // Also where there was none: what is kept of an answer is not for a page of another origin.
        if self.readers.is_some() {
            headers.append(VARY, HeaderValue::from_static("origin"));
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

/// Every field: the star leaves out one (<https://fetch.spec.whatwg.org/#cors-non-wildcard-request-header-name>), with
/// which a page sends what it knows itself, such as a token.
const ALL_HEADERS: HeaderValue = HeaderValue::from_static("*, authorization");
