//! Static files: [`Files`] answers GET and HEAD from a folder.
//!
//! This module turns a request into a response; `path` judges the path, `open` opens what it leads to, `conditional`
//! answers from validators, `body` sends the content and `listing` shows a folder. It knows nothing of WebSockets,
//! routes or connections.

mod body;
mod conditional;
mod listing;
mod open;
mod path;

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::OriginalUri;
use cap_std::fs::Metadata;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use tower_service::Service;

use self::body::FileBody;
use self::conditional::Validators;
use self::open::{Opened, Root};
use self::path::RequestPath;

/// The file that stands for its folder.
const INDEX: &str = "index.html";

/// A service that answers GET and HEAD with the files below a folder.
///
/// - A folder is answered with its `index.html`, or else with a listing of at most 10,000 entries.
/// - Files have an `ETag` and a `Last-Modified` date; `If-None-Match` and `If-Modified-Since` are honoured.
/// - Not served, and not listed: names that begin with a dot, end with a dot or a space, or contain `:`, `\` or a
///   control character; what a symbolic link leads to outside the folder; anything but regular files and folders; and
///   what [`Files::deny`] names.
/// - A path is decoded once and never normalised: `/a//b` and `/a%2Fb` are not found, `/a/../b` is refused.
///
/// The folder is opened once: if it is renamed later, the same folder is still served.
///
/// Files are read on the blocking pool of the tokio runtime, so the service must be called inside one. A response that
/// is being sent holds at most two blocks of 128 KiB; files up to that size are read whole.
///
/// Cloning is cheap: clones share the folder.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let files = rikki::Files::new(".")?;
/// let app: axum::Router = axum::Router::new().fallback_service(files);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Files {
    root: Arc<Root>,
}

impl Files {
    /// Serves the folder `root`.
    ///
    /// # Errors
    ///
    /// When the folder cannot be opened. The error names the path and the reason, such as `not a directory`.
    pub fn new(root: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self { root: Arc::new(Root::new(root.as_ref())?) })
    }

    /// Never serves or lists `file`, whatever name or link leads to it: for a TLS key that may lie below the root.
    ///
    /// Both the file that is there now and the one that takes its place later are meant, as when a certificate is
    /// renewed. The present one is kept open, which costs one file descriptor. A path to anything but a regular file
    /// (a pipe, say) has no effect, since only regular files are served.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or is a folder. The error names the path.
    pub fn deny(mut self, file: impl AsRef<Path>) -> io::Result<Self> {
        Arc::make_mut(&mut self.root).deny(file.as_ref())?;
        Ok(self)
    }
}

impl<B: Send + 'static> Service<Request<B>> for Files {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let root = Arc::clone(&self.root);
        Box::pin(async move { Ok(respond(root, request).await) })
    }
}

async fn respond<B>(root: Arc<Root>, request: Request<B>) -> Response<Body> {
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
        // Everything that touches the disk, up to the first block of the content, in one hop.
        Ok(ask) => tokio::task::spawn_blocking(move || ask.answer(&root))
            .await
            .unwrap_or(Err(StatusCode::INTERNAL_SERVER_ERROR)),
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
    fn answer(&self, root: &Root) -> Result<Response<Body>, StatusCode> {
        let relative = &self.path.relative;
        if self.path.folder {
            let index = relative.join(INDEX);
            match root.open(&index) {
                Ok(Opened::File(file, metadata)) => return self.file(file, &metadata, &index),
                Ok(Opened::Folder(_)) | Err(StatusCode::NOT_FOUND) => {}
                Err(status) => return Err(status),
            }
        }
        match root.open(relative)? {
            Opened::File(file, metadata) if !self.path.folder => self.file(file, &metadata, relative),
            Opened::File(..) => Err(StatusCode::NOT_FOUND),
            Opened::Folder(_) if !self.path.folder => self.redirect(),
            Opened::Folder(folder) => listing::listing(root, &folder, relative, self.uri.path())
                .map_err(|error| open::status_of(&error, relative)),
        }
    }

    fn file(&self, file: File, metadata: &Metadata, relative: &Path) -> Result<Response<Body>, StatusCode> {
        let validators = Validators::new(metadata, SystemTime::now());
        let mut response = Response::new(Body::empty());
        validators.insert_into(response.headers_mut());
        if validators.match_request(&self.headers) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        let length = metadata.len();
        response.headers_mut().insert(CONTENT_TYPE, content_type(relative));
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
        if !self.head_only {
            let first = body::read_block(&file, length).map_err(|error| open::status_of(&error, relative))?;
            let whole = first.len() as u64 == length;
            let content = if whole { first.into() } else { Body::new(FileBody::new(file, first, length)) };
            *response.body_mut() = content;
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
