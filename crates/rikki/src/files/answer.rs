//! From a request to a response: what the path leads to, and what is said of it.
//!
//! An answer is tried twice at most: first on the thread of the request, where nothing may wait for a disk, and then, if
//! that did not do, on the blocking pool.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::OriginalUri;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};

use super::Shared;
use super::conditional::Validators;
use super::open::{Failure, Opened, Wait};
use super::path::{self, RequestPath};
use super::source::Source;
use super::{listing, open};

/// The file that stands for its folder.
const INDEX: &str = "index.html";

pub(super) async fn respond<B>(shared: Arc<Shared>, request: Request<B>) -> Response<Body> {
    let (mut head, _) = request.into_parts();
    let head_only = head.method == Method::HEAD;
    let ask = match RequestPath::parse(head.uri.path()) {
        _ if !head_only && head.method != Method::GET => Err(StatusCode::METHOD_NOT_ALLOWED),
        Err(status) => Err(status),
        Ok(path) => {
            // Below a nested router, the client's path is longer than ours.
            let uri = head.extensions.remove().map_or(head.uri, |OriginalUri(uri)| uri);
            Ok(Ask { path, uri, headers: head.headers, head_only })
        }
    };
    let answered = match ask {
        Ok(ask) => ask.answer_soon(shared).await,
        Err(status) => Err(status),
    };
    let mut response = answered.unwrap_or_else(plain);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if head_only {
        // The headers of a GET, without its content: https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2
        *response.body_mut() = Body::empty();
    }
    response
}

/// A GET or HEAD request with an acceptable path.
struct Ask {
    path: RequestPath,
    /// As the client sent it.
    uri: Uri,
    headers: HeaderMap,
    head_only: bool,
}

impl Ask {
    async fn answer_soon(self, shared: Arc<Shared>) -> Result<Response<Body>, StatusCode> {
        match self.answer(&shared, Wait::No) {
            Ok(response) => Ok(response),
            Err(Failure::Status(status)) => Err(status),
            // Everything that touches the disk, up to the first block of the content, in one hop.
            Err(Failure::WouldBlock) => tokio::task::spawn_blocking(move || self.answer(&shared, Wait::Yes))
                .await
                .unwrap_or(Err(Failure::Status(StatusCode::INTERNAL_SERVER_ERROR)))
                .map_err(Failure::status),
        }
    }

    fn answer(&self, shared: &Shared, wait: Wait) -> Result<Response<Body>, Failure> {
        let relative = &self.path.relative;
        let root = &shared.root;
        if self.path.folder {
            let index = relative.join(INDEX);
            match root.open(&index, wait) {
                Ok(Opened::File(source)) => return self.file(source, &index),
                Ok(Opened::Folder(_)) | Err(Failure::Status(StatusCode::NOT_FOUND)) => {}
                Err(failure) => return Err(failure),
            }
        }
        match root.open(relative, wait)? {
            Opened::File(source) if !self.path.folder => self.file(source, relative),
            Opened::File(..) => Err(StatusCode::NOT_FOUND.into()),
            Opened::Folder(_) if !self.path.folder => Ok(self.redirect()?),
            // A folder of any size takes any time.
            Opened::Folder(_) if wait == Wait::No => Err(Failure::WouldBlock),
            Opened::Folder(folder) => listing::listing(root, &folder, relative, self.uri.path())
                .map_err(|error| open::status_of(&error, relative).into()),
        }
    }

    fn file(&self, source: Source, relative: &Path) -> Result<Response<Body>, Failure> {
        let facts = *source.facts();
        let validators = Validators::new(&facts, SystemTime::now());
        let mut response = Response::new(Body::empty());
        validators.insert_into(response.headers_mut());
        if validators.match_request(&self.headers) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        response.headers_mut().insert(CONTENT_TYPE, content_type(relative));
        response.headers_mut().insert(CONTENT_LENGTH, facts.length.into());
        if !self.head_only {
            let body = source.body(0..facts.length).map_err(|error| open::failure(&error, relative))?;
            *response.body_mut() = body;
        }
        Ok(response)
    }

    /// To the same folder, with a slash behind its name: what the links in it are relative to.
    fn redirect(&self) -> Result<Response<Body>, StatusCode> {
        let location = path::location(self.uri.path(), self.uri.query());
        let location = HeaderValue::try_from(location).map_err(|_| StatusCode::BAD_REQUEST)?;
        let mut response = plain(StatusCode::MOVED_PERMANENTLY);
        response.headers_mut().insert(LOCATION, location);
        Ok(response)
    }
}

/// A status as short plain text. It never says more: a file-system path is nobody's business.
fn plain(status: StatusCode) -> Response<Body> {
    let text = format!("{status}\n");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, text.len().into());
    if status == StatusCode::METHOD_NOT_ALLOWED {
        // https://www.rfc-editor.org/rfc/rfc9110#section-15.5.6
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    *response.body_mut() = text.into();
    response
}

/// The media type by the extension of a name, with a charset where the format is text.
fn content_type(name: &Path) -> HeaderValue {
    let media_type = match mime_guess::from_path(name).first_raw().unwrap_or("application/octet-stream") {
        // https://www.rfc-editor.org/rfc/rfc9239#section-6
        "application/javascript" => "text/javascript",
        other => other,
    };
    let is_text = media_type.starts_with("text/")
        || media_type.ends_with("+xml")
        || media_type.ends_with("+json")
        || matches!(media_type, "application/json" | "application/xml");
    if !is_text {
        return HeaderValue::from_static(media_type);
    }
    HeaderValue::try_from(format!("{media_type}; charset=utf-8"))
        .unwrap_or_else(|_| HeaderValue::from_static(media_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        let check = |name: &str, expected: &str| assert_eq!(content_type(Path::new(name)), expected, "{name}");
        check("a.html", "text/html; charset=utf-8");
        check("a.HTML", "text/html; charset=utf-8");
        check("a.js", "text/javascript; charset=utf-8");
        check("a.mjs", "text/javascript; charset=utf-8");
        check("a.css", "text/css; charset=utf-8");
        check("a.json", "application/json; charset=utf-8");
        check("a.svg", "image/svg+xml; charset=utf-8");
        check("a.xml", "text/xml; charset=utf-8");
        check("a.webmanifest", "application/manifest+json; charset=utf-8");
        check("a.png", "image/png");
        check("a.wasm", "application/wasm");
        check("a.woff2", "font/woff2");
        check("a.tar.gz", "application/gzip");
        check("README", "application/octet-stream");
        check("a.unheard-of", "application/octet-stream");
    }
}
