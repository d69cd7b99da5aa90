//! From a request to a response: what the path leads to, and what is said of it.
//!
//! An answer is tried twice at most: first on the thread of the request, where nothing may wait for a disk, and then, if
//! that did not do, on the blocking pool.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::OriginalUri;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};

use super::Shared;
use super::open::{Failure, Opened, Wait};
use super::path::{self, RequestPath};
use super::source::Source;
use super::{listing, open};

/// The file that stands for its folder.
pub(super) const INDEX: &str = "index.html";

pub(super) async fn respond<B>(shared: Arc<Shared>, request: Request<B>) -> Response<Body> {
    let (mut head, _) = request.into_parts();
    let head_only = head.method == Method::HEAD;
    let answered = if head_only || head.method == Method::GET {
        let path = RequestPath::parse(head.uri.path(), shared.options.hidden);
        // Below a nested router, the client's path is longer than ours.
        let uri = head.extensions.remove().map_or_else(|| head.uri.clone(), |OriginalUri(uri)| uri);
        // The router takes `/docs//a` for `/a` below it; an empty name is one here as anywhere.
        let outer = uri.path().strip_suffix(head.uri.path()).unwrap_or_default();
        let path = if outer.ends_with('/') { Err(StatusCode::NOT_FOUND) } else { path };
        Ask { path, uri, headers: head.headers, head_only }.answer_soon(shared).await
    } else {
        Err(StatusCode::METHOD_NOT_ALLOWED)
    };
    let mut response = answered.unwrap_or_else(plain);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if head_only {
        // The headers of a GET, without its content: https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2
        *response.body_mut() = Body::empty();
    }
    response
}

/// A GET or HEAD request.
pub(super) struct Ask {
    /// Or with which status it is refused.
    path: Result<RequestPath, StatusCode>,
    /// As the client sent it.
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) head_only: bool,
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
        match self.find(shared, wait) {
            Err(Failure::Status(StatusCode::NOT_FOUND)) => self.missing(shared, wait),
            answered => answered,
        }
    }

    /// What the path leads to: a file, the index of a folder, or its listing.
    fn find(&self, shared: &Shared, wait: Wait) -> Result<Response<Body>, Failure> {
        let RequestPath { relative, folder } = self.path.as_ref().map_err(|status| *status)?;
        if shared.options.left.iter().any(|path| relative.starts_with(path)) {
            return Err(StatusCode::NOT_FOUND.into());
        }
        // A nested router takes `/docs` for `/` below it: this is a folder without its slash.
        let folder = *folder && self.uri.path().ends_with('/');
        if folder {
            // Under one name, by which it is kept: not as `./index.html` too.
            let index = if relative == Path::new(".") { INDEX.into() } else { relative.join(INDEX) };
            match shared.root.open(&index, wait) {
                Ok(Opened::File(source)) => return self.content(shared, source, &index, wait),
                Ok(Opened::Folder(_)) | Err(Failure::Status(StatusCode::NOT_FOUND)) => {}
                Err(failure) => return Err(failure),
            }
        }
        match shared.root.open(relative, wait)? {
            Opened::File(source) if !folder => self.content(shared, source, relative, wait),
            Opened::File(..) => Err(StatusCode::NOT_FOUND.into()),
            Opened::Folder(_) if !folder => Ok(self.redirect()?),
            Opened::Folder(_) if !shared.options.listing || shared.options.spa => Err(StatusCode::NOT_FOUND.into()),
            // A folder of any size takes any time.
            Opened::Folder(_) if wait == Wait::No => Err(Failure::WouldBlock),
            Opened::Folder(folder) => listing::listing(shared, &folder, relative, &self.uri, &self.headers)
                .map_err(|error| open::status_of(&error, relative).into()),
        }
    }

    /// A file that was asked for, or stands for what was.
    pub(super) fn content(
        &self,
        shared: &Shared,
        source: Source,
        relative: &Path,
        wait: Wait,
    ) -> Result<Response<Body>, Failure> {
        let mut response = self.file(shared, source, relative, wait)?;
        let status = response.status();
        if let Some(value) = &shared.options.cache_control
            && (status.is_success() || status == StatusCode::NOT_MODIFIED)
        {
            response.headers_mut().insert(CACHE_CONTROL, value.clone());
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
pub(super) fn plain(status: StatusCode) -> Response<Body> {
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
