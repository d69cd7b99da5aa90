//! The answer where nothing was found: the page of an application, a page that says so, or a line of text.

use std::path::Path;

use axum::body::Body;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::accept::Preference;
use super::answer::{Place, Plain, plain};
use super::attempt::{Attempt, INDEX};
use super::encoding::Coding;
use super::listing::page;
use super::media::Media;
use super::open::{Failure, Opened, failure};
use super::path::Refused;
use super::source::Source;

/// What is sent where nothing is found, unless another page is set.
const NOT_FOUND_PAGE: &str = "404.html";

/// The page for an error, where it would be a line of text: for people, with a way back.
pub(super) struct ErrorPage {
    is_wanted: bool,
    /// To the folder that the path is in; none from the root.
    back: Option<&'static str>,
}

impl ErrorPage {
    pub(super) fn new(place: &Result<Place, Refused>, headers: &HeaderMap) -> Self {
        let back = match place.as_ref().map_or("", Place::path) {
            "" | "/" => None,
            path if path.ends_with('/') => Some("../"),
            _ => Some("./"),
        };
        Self { is_wanted: Preference::of(headers, "text", "html").is_named(), back }
    }

    pub(super) fn take_the_place_of(&self, response: &mut Response<Body>) {
        let status = response.status();
        let is_error = status.is_client_error() || status.is_server_error();
        if !is_error || response.extensions().get::<Plain>().is_none() {
            return;
        }
        // https://www.rfc-editor.org/rfc/rfc9110#section-12.5.5
        response.headers_mut().append(VARY, ACCEPT.into());
        if self.is_wanted {
            let page = page::error(status, self.back);
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY));
            headers.insert(CONTENT_LENGTH, page.len().into());
            *response.body_mut() = page.into();
        }
    }
}

impl Attempt<'_> {
    /// The answer instead of `status`, or with it.
    pub(super) fn missing(&self, status: StatusCode) -> Result<Response<Body>, Failure> {
        let options = &self.shared.options;
        let mut response = None;
        let index = Path::new(INDEX);
        // As a browser does that is about to show the answer; a script takes anything.
        if options.spa
            && Preference::of(&self.ask.headers, "text", "html").is_named()
            && let Some(source) = self.find_page(index)?
        {
            response = Some(self.content(source, index)?);
        }
        let page = options.error_page.as_deref().unwrap_or(Path::new(NOT_FOUND_PAGE));
        if response.is_none()
            && status == StatusCode::NOT_FOUND
            && let Some(mut source) = self.find_page(page)?
        {
            source.read_small().map_err(|unmet| failure(unmet, page))?;
            let media = options.types.of(page, &source, self.wait).map_err(|unmet| failure(unmet, page))?;
            response = Some(self.error_page(&source, page, media)?);
        }
        let mut response = response.unwrap_or_else(|| plain(status));
        if options.spa {
            // https://www.rfc-editor.org/rfc/rfc9110#section-12.5.5
            response.headers_mut().append(VARY, ACCEPT.into());
        }
        Ok(response)
    }

    /// Without validators, since an error is not what they are about.
    fn error_page(&self, source: &Source, page: &Path, media: Media) -> Result<Response<Body>, Failure> {
        let length = source.facts().length;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_FOUND;
        response.headers_mut().insert(CONTENT_TYPE, media.content_type);
        if media.is_gzipped {
            response.headers_mut().insert(CONTENT_ENCODING, Coding::Gzip.header());
        }
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
        if !self.ask.head_only {
            *response.body_mut() = source.body(0..length).map_err(|unmet| failure(unmet, page))?;
        }
        Ok(response)
    }

    /// A file that may have gone, or become unreadable, since it was set: what was asked for is not there all the same.
    pub(super) fn find_page(&self, relative: &Path) -> Result<Option<Source>, Failure> {
        match self.open(relative) {
            Ok(Opened::File(source)) => Ok(Some(source)),
            Ok(Opened::Folder(_)) | Err(Failure::Status(_)) => Ok(None),
            Err(Failure::WouldBlock) => Err(Failure::WouldBlock),
        }
    }
}
