//! What of a folder is served, and what is said where there is nothing: the settings of [`Files`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;

use super::Files;
use super::attempt::INDEX;
use super::media::Types;
use super::open::{Failure, Look, Opened};
use super::path::{Dotted, RequestPath};
use super::wait::Wait;

/// May be kept, and has to be asked for each time, which takes a 304 where nothing has changed.
pub(super) const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// What is served, and how.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) listing: bool,
    pub(super) spa: bool,
    /// Relative to the root; `None` for `404.html`.
    pub(super) error_page: Option<PathBuf>,
    /// `None` to say nothing.
    pub(super) cache_control: Option<HeaderValue>,
    pub(super) types: Types,
    pub(super) html_errors: bool,
    /// Relative to the root: where other folders are mounted.
    pub(super) mounted: Vec<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listing: true,
            spa: false,
            error_page: None,
            cache_control: Some(NO_CACHE),
            types: Types::default(),
            html_errors: false,
            mounted: Vec::new(),
        }
    }
}

impl Files {
    /// Lists folders that have no `index.html`; the default. If not, they are not found: 404.
    pub fn listing(mut self, enabled: bool) -> Self {
        self.options().listing = enabled;
        self
    }

    /// Answers for an application of a single page, whose routes are no files; default not.
    ///
    /// Where nothing is found, the answer is the `index.html` of the root, with status 200, and folders are not listed.
    /// That goes for clients that name `text/html` in `Accept`, as a browser does when it opens a page and not when it
    /// loads a part of one: then a missing `/app.js` is 404. Whatever a path looks like, it may be a route of the
    /// application, as `/time/10:30` or `/search/100%`; only what leads out of the folder is still refused. A line of
    /// the log warns if there is no `index.html` now.
    pub fn spa(mut self, enabled: bool) -> Self {
        if enabled && !matches!(self.find_now(Path::new(INDEX)), Ok(Opened::File(_))) {
            let folder = self.shared.root.path().display();
            tracing::warn!(%folder, "there is no {INDEX} to answer with for what is not found");
        }
        self.options().spa = enabled;
        self
    }

    /// Answers errors with a page, which has a link back, for clients that name `text/html` in `Accept`; default not:
    /// each is a line of text. [`Files::error_page`] goes before it.
    pub fn html_errors(mut self, enabled: bool) -> Self {
        self.options().html_errors = enabled;
        self
    }

    /// Lists another folder at `path`, which is relative to the root.
    #[doc(hidden)]
    pub fn mounted(&mut self, path: &str) {
        self.options().mounted.push(path.into());
    }

    /// Sends the content of `page`, a path below the root with slashes, with each status 404; without this that of
    /// `404.html`, if there is such a file.
    ///
    /// The file is opened for each answer; without it the answer is a line of text. [`Files::follow_symlinks`] goes
    /// before this, if a link out of the folder leads to it.
    ///
    /// # Errors
    ///
    /// When there is no such file now, or it may not be served. The error names the path.
    pub fn error_page(mut self, page: impl AsRef<str>) -> io::Result<Self> {
        let page = page.as_ref();
        let refused = |status: http::StatusCode| {
            let why = status.canonical_reason().unwrap_or_default();
            io::Error::new(io::ErrorKind::InvalidInput, format!("{page}: no file below the root ({why})"))
        };
        let relative = names(page).ok_or_else(|| refused(http::StatusCode::BAD_REQUEST))?;
        match self.find_now(&relative).map_err(Failure::status) {
            Ok(Opened::File(_)) => self.options().error_page = Some(relative),
            Ok(Opened::Folder(_)) => return Err(refused(http::StatusCode::NOT_FOUND)),
            Err(status) => return Err(refused(status)),
        }
        Ok(self)
    }

    /// Says in `Cache-Control` how long files may be kept, such as `max-age=3600`; default `no-cache`, with which
    /// clients ask each time and have a 304 if nothing has changed. Listings, redirects and errors are `no-cache` all
    /// the same.
    ///
    /// With `None` nothing is said of anything. Then clients guess, by how long ago a file was changed
    /// ([RFC 9111 section 4.2.2]): what has not changed for a year may be kept for weeks.
    ///
    /// [RFC 9111 section 4.2.2]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.2
    pub fn cache_control(mut self, value: impl Into<Option<HeaderValue>>) -> Self {
        self.options().cache_control = value.into();
        self
    }

    /// Sends files of an extension, such as `foo`, as `media_type`, whatever they are known as otherwise. Text gets the
    /// [`charset`](Files::charset) if the type has no parameter.
    pub fn media_type(mut self, extension: impl AsRef<str>, media_type: HeaderValue) -> Self {
        self.options().types.set(extension.as_ref(), media_type);
        self
    }

    /// Says that text is in this charset; `utf-8` by default, with `None` nothing is said.
    ///
    /// XML says it itself, and JSON is always in UTF-8 ([RFC 7303], [RFC 8259]).
    ///
    /// [RFC 7303]: https://www.rfc-editor.org/rfc/rfc7303#section-3
    /// [RFC 8259]: https://www.rfc-editor.org/rfc/rfc8259#section-8.1
    pub fn charset(mut self, name: impl Into<Option<HeaderValue>>) -> Self {
        self.options().types.set_charset(name.into());
        self
    }

    /// Serves and lists names that begin with a dot; default not, since such files are settings and secrets more often
    /// than not. Only what is in `/.well-known/` is served all the same ([RFC 8615]), at the root of a server alone.
    /// `.` and `..` are refused all the same.
    ///
    /// [RFC 8615]: https://www.rfc-editor.org/rfc/rfc8615#section-3
    pub fn hidden(mut self, enabled: bool) -> Self {
        Arc::make_mut(&mut self.shared).root.set_hidden(enabled);
        self
    }

    /// Follows symbolic links out of the folder; default not, only those that stay inside. Unix only: elsewhere it
    /// changes nothing.
    ///
    /// Then whoever can make a link below the folder decides what is served: anything that this process can read, also
    /// by way of `/proc`, and a link that is exchanged between two requests leads elsewhere at once. What
    /// [`Files::deny`] names is still refused, whatever leads to it; names with a dot that only the link's target has
    /// are not looked at.
    pub fn follow_symlinks(mut self, enabled: bool) -> Self {
        Arc::make_mut(&mut self.shared).root.follow_symlinks(enabled);
        self
    }

    /// Blocks.
    fn find_now(&self, relative: &Path) -> Result<Opened, Failure> {
        let root = &self.shared.root;
        root.open(&*root.folder(Wait::Yes, Look::Now)?, relative, Wait::Yes)
    }

    fn options(&mut self) -> &mut Options {
        &mut Arc::make_mut(&mut self.shared).options
    }
}

/// A path of plain names, as it would have to stand in a request, but for dots in front and percent-encoding.
fn names(page: &str) -> Option<PathBuf> {
    let encoded = page.split('/').map(|name| super::path::encode(name.as_bytes()).to_string()).collect::<Vec<_>>();
    let path = RequestPath::parse(&format!("/{}", encoded.join("/")), Dotted::All).ok()?;
    (!path.folder && path.relative != Path::new(".")).then_some(path.relative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_pages_are_paths_of_plain_names() {
        let check =
            |page: &str, expected: Option<&str>| assert_eq!(names(page), expected.map(PathBuf::from), "{page:?}");
        check("404.html", Some("404.html"));
        check("errors/not found.html", Some("errors/not found.html"));
        check(".errors/404%20.html", Some(".errors/404%20.html"));
        for refused in ["", "/", "/404.html", "errors/", "../404.html", "a/../b", "a//b", "./404.html", "a\u{1}b"] {
            check(refused, None);
        }
    }
}
