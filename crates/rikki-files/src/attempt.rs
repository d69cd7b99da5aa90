//! One attempt to answer a request: what the path leads to, and what is said of it.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderValue, Response, StatusCode};

use super::Shared;
use super::answer::{Ask, plain};
use super::open::{Failure, Folder, Look, Opened};
use super::path::{self, Refused, RequestPath, WELL_KNOWN};
use super::source::Source;
use super::wait::Wait;

/// The file that stands for its folder.
pub(super) const INDEX: &str = "index.html";

/// A request that is being answered, without waiting for a disk or as long as that takes.
pub(super) struct Attempt<'a> {
    pub(super) ask: &'a Ask,
    pub(super) shared: &'a Shared,
    pub(super) wait: Wait,
    /// The one that this is answered from, from beginning to end.
    folder: Arc<Folder>,
}

/// What a path has led to.
pub(super) enum Found {
    Answer(Response<Body>),
    /// A folder below this one, which has to be listed. It is opened again when that is begun: many may wait, and none
    /// holds a descriptor.
    Listing(Arc<Folder>),
}

impl<'a> Attempt<'a> {
    /// Answers `ask` as far as `wait` lets it, from one folder.
    pub(super) fn answer(ask: &'a Ask, shared: &'a Shared, wait: Wait) -> Result<Found, Failure> {
        let attempt = Self::begin(ask, shared, wait)?;
        let answered = attempt.answer_from_folder();
        match &answered {
            Ok(Found::Answer(response)) if response.status() == StatusCode::NOT_FOUND => {}
            Ok(_) => return answered,
            Err(_) => {}
        }
        match shared.root.is_current(&attempt.folder, wait)? {
            true => answered,
            false => Self::begin(ask, shared, wait)?.answer_from_folder(),
        }
    }

    fn begin(ask: &'a Ask, shared: &'a Shared, wait: Wait) -> Result<Self, Failure> {
        Ok(Self { ask, shared, wait, folder: shared.root.folder(wait, Look::Lately)? })
    }

    fn answer_from_folder(&self) -> Result<Found, Failure> {
        match self.find() {
            // What leads out is nobody's route.
            refused if self.ask.path == Err(Refused::Outside) => refused,
            Err(Failure::Status(status @ (StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST))) => {
                self.missing(status).map(Found::Answer)
            }
            answered => answered,
        }
    }

    /// Opens a file or a folder.
    pub(super) fn open(&self, relative: &Path) -> Result<Opened, Failure> {
        let root = &self.shared.root;
        match self.ask.arrived.filter(|_| self.wait == Wait::No) {
            Some(arrived) => root.open_arrived(&self.folder, relative, arrived),
            None => root.open(&self.folder, relative, self.wait),
        }
    }

    /// What the path leads to: a file, the index of a folder, or its listing.
    fn find(&self) -> Result<Found, Failure> {
        let RequestPath { relative, folder } = self.ask.path()?;
        let folder = *folder;
        if folder {
            // Under one name, by which it is kept: not as `./index.html` too.
            let index = if relative == Path::new(".") { INDEX.into() } else { relative.join(INDEX) };
            match self.open(&index) {
                Ok(Opened::File(source)) => return self.content(source, &index).map(Found::Answer),
                Ok(Opened::Folder(_)) | Err(Failure::Status(StatusCode::NOT_FOUND)) => {}
                Err(failure) => return Err(failure),
            }
        }
        if !folder {
            return self.find_file(relative).map(Found::Answer);
        }
        match self.open(relative)? {
            Opened::File(_) => Err(StatusCode::NOT_FOUND.into()),
            Opened::Folder(_) if !self.shared.options.listing || self.shared.options.spa => {
                Err(StatusCode::NOT_FOUND.into())
            }
            // What is in it is for those who know its name.
            Opened::Folder(_) if relative.starts_with(WELL_KNOWN) && !self.shared.root.hidden() => {
                Err(StatusCode::NOT_FOUND.into())
            }
            Opened::Folder(_) => Ok(Found::Listing(Arc::clone(&self.folder))),
        }
    }

    /// What a path without a slash at its end leads to: a file, `about.html` for `about`, or a folder by its right
    /// name.
    fn find_file(&self, relative: &Path) -> Result<Response<Body>, Failure> {
        let is_folder = match self.open(relative) {
            Ok(Opened::File(source)) => return self.content(source, relative),
            Ok(Opened::Folder(_)) => true,
            Err(Failure::Status(StatusCode::NOT_FOUND)) => false,
            Err(failure) => return Err(failure),
        };
        // A folder goes before a page of its name if it has one of its own.
        let has_page = is_folder && self.find_page(&relative.join(INDEX))?.is_some();
        if !has_page && relative != Path::new(".") && relative.extension().is_none_or(|extension| extension != "html") {
            let mut page = relative.as_os_str().to_owned();
            page.push(".html");
            if let Some(source) = self.find_page(page.as_ref())? {
                return self.content(source, page.as_ref());
            }
        }
        if is_folder { Ok(self.redirect()?) } else { Err(StatusCode::NOT_FOUND.into()) }
    }

    /// A file that was asked for, or stands for what was.
    pub(super) fn content(&self, source: Source, relative: &Path) -> Result<Response<Body>, Failure> {
        let mut response = self.file(source, relative)?;
        let status = response.status();
        if let Some(value) = &self.shared.options.cache_control
            && (status.is_success() || status == StatusCode::NOT_MODIFIED)
        {
            response.headers_mut().insert(CACHE_CONTROL, value.clone());
        }
        Ok(response)
    }

    /// To the same folder, with a slash behind its name: what the links in it are relative to.
    fn redirect(&self) -> Result<Response<Body>, StatusCode> {
        let location = path::location(self.ask.place.path(), self.ask.place.query());
        let location = HeaderValue::try_from(location).map_err(|_| StatusCode::BAD_REQUEST)?;
        let mut response = plain(StatusCode::MOVED_PERMANENTLY);
        response.headers_mut().insert(LOCATION, location);
        Ok(response)
    }
}
