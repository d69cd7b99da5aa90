//! Static files: [`Files`] answers GET, HEAD and OPTIONS from a folder.
//!
//! `answer` turns a request into a response, in an `attempt` or two; `path` judges the path, `open` opens what it leads
//! to, with one of `checks` for many requests, `source` is the file that was opened, `facts` tells its states apart,
//! `body` sends the content, as `pieces` where a server has the system do that, and `listing` shows a folder, as
//! `accept` would have it; `missing` answers where there is nothing. `options` says what of all that is wanted. `stores`
//! is what the files of a folder share: `cache` keeps contents, `digest` tells one from another, `blocks` bounds the
//! memory of those being sent, `waits` has done what may wait for a disk. `read` reads, and `wait` says whether that may
//! take its time. Nothing here knows of WebSockets, routes or connections.
//!
//! `representation` decides what of a file is sent: `encoding` chooses a coding, `siblings` looks whether a file is
//! another one in a coding, `absences` knows which are not there, `compress` compresses, `conditional` judges
//! preconditions, `range` and `multipart` are about parts, `media` knows the types.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod absences;
mod accept;
mod answer;
mod attempt;
mod blocks;
mod body;
mod cache;
mod checks;
mod compress;
mod conditional;
mod digest;
mod encoding;
mod facts;
mod limits;
mod listing;
mod media;
mod missing;
mod multipart;
mod open;
mod options;
mod path;
mod pieces;
mod range;
mod read;
mod representation;
mod siblings;
mod source;
mod stores;
mod wait;
mod waits;

/// What the server of `rikki` needs of this crate: no part of its interface, and it changes without notice.
#[doc(hidden)]
pub mod internal {
    pub use crate::answer::Place;
    pub use crate::checks::share_checks;
    pub use crate::limits::Limits;
    pub use crate::path::Refused;
    pub use crate::pieces::{Pieces, Sendable, out_of_step};
}

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use http::{Request, Response};
use rikki_limits::{Budget, Count, Limit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

use self::limits::{Limits, NEVER};
use self::listing::Listings;
use self::open::Root;
use self::options::Options;
use self::siblings::Siblings;

/// A service that answers GET and HEAD with the files below a folder.
///
/// - A folder is answered with its `index.html`, or else with a listing: a page, or JSON for clients that would rather
///   have `application/json`. `?sort=size` sorts it, by `name`, `size` or `modified`, and the other way round with a
///   minus in front; `?filter=log` shows the names that contain a text; and `?page=2` has the next 10,000 entries, of
///   100,000 at most. Of a folder with more than 1,000,000 entries so many are read.
/// - `/about` is answered with `about.html`, if there is neither a file `about` nor a folder of that name with an
///   `index.html`. Where nothing is found, `404.html` is sent with the status. Redirects and links are relative, so
///   that they hold behind a proxy that serves the folder at another path.
/// - Files have an `ETag` and a `Last-Modified` date, for every precondition of RFC 9110, section 13. The tag of a file
///   up to 256 KiB is a hash of its content, and the same on every machine; that of a larger one tells one state of the
///   file from another.
/// - A GET may ask for ranges: one, or up to 16 as `multipart/byteranges`. More than that, ranges that overlap and what
///   is malformed are answered with the whole file.
/// - In the place of `app.js`, `app.js.br`, `app.js.zst` or `app.js.gz` is sent to clients that accept the coding,
///   unless it is older than `app.js` or of another content, as far as that can be told (see [`Files::precompressed`]).
///   Each coding has an `ETag` of its own, and ranges are those of the coded bytes; several at once are answered with
///   the whole file. What has no such sibling is compressed on the way, see [`Files::compress_above`]. A client that
///   refuses everything there is, `identity` included, gets the plain file.
/// - Not served, and not listed: names that begin with a dot, unless [`Files::hidden`] lets them, but for
///   what is in `/.well-known/`, which is served and not listed; names with a control
///   character, and on Windows those that mean something else there, such as `a:b` or `nul.txt`; what a symbolic link
///   leads to outside the folder, unless [`Files::follow_symlinks`] lets it; anything but regular files and folders;
///   and what [`Files::deny`] names.
/// - A symbolic link that stays inside is followed, relative or absolute, if no name on its way is one that is not
///   served.
/// - In a path, `.` and `..` are resolved once, also as `%2e`: what would leave the folder is refused with 400. Beyond
///   that a path is decoded once and taken as it is: `/a//b` and `/a%2Fb` are not found.
///
/// The JSON of a listing is an array of objects with the members `name`, `type` (`file` or `directory`), `size` (in
/// bytes, `null` for a folder) and `modified` (such as `1994-11-06T08:49:37Z`, or `null`). In a name that is not UTF-8,
/// what is broken is replaced by U+FFFD, and a member `path` has the name as it stands in a URL. A listing without all
/// entries has the header `listing-truncated`, with the number of those that it has, and `Link` says where the next
/// ones are.
///
/// The folder is the one that is at its path at the time: a build may remove and make it again, and a link to the
/// current release may be switched. That is seen at once where something is missing or listed, and within 50 ms
/// otherwise. While there is no folder that can be opened, the answer is 503, and a line of the log says why. A request
/// is answered from one folder from its beginning to its end. (Where files have no identity, as on Windows, only a
/// missing one is noticed.)
///
/// On Linux, what the system has in memory is opened and read on the calling thread. Everything else waits for the disk
/// on the blocking pool of the tokio runtime, so the service must be called inside one, with its time enabled.
///
/// # Memory
///
/// Files up to 256 KiB are kept in a cache, see [`Files::cache`]. Others are read in blocks of 128 KiB, as their bodies
/// are polled, within the bound of [`Files::read_memory`], which holds for listings too.
///
/// Cloning is cheap: clones share the folder and its memory.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let files = rikki_files::Files::new(".")?;
/// let app: axum::Router = axum::Router::new().fallback_service(files);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Files {
    shared: Arc<Shared>,
}

/// What all clones of a [`Files`] share.
#[derive(Clone, Debug)]
struct Shared {
    root: Root,
    limits: Limits,
    /// How many answers are compressed at a time.
    compressing: usize,
    compressions: Arc<Semaphore>,
    /// What is known of files in a coding; `None` if those are not looked for.
    siblings: Option<Arc<Siblings>>,
    listings: Listings,
    options: Options,
    gave_up: Arc<Count>,
}

impl Shared {
    fn set_compressions(&mut self, responses: usize) {
        self.compressing = responses.min(Semaphore::MAX_PERMITS);
        self.compressions = Arc::new(Semaphore::new(self.compressing));
    }

    /// Lets one more answer be compressed, if that may be.
    fn compression(&self) -> Option<OwnedSemaphorePermit> {
        let may_be = self.limits.compress_above != NEVER;
        may_be.then(|| Arc::clone(&self.compressions).try_acquire_owned().ok()).flatten()
    }
}

impl Files {
    /// Serves the folder `root`.
    ///
    /// # Errors
    ///
    /// When the folder cannot be opened. The error names the path and the reason, such as `not a directory`.
    pub fn new(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = Root::new(root.as_ref())?;
        let compressing = const { Limit::default_of(Limits::LIMITS, "max-compressions") };
        Ok(Self {
            shared: Arc::new(Shared {
                root,
                limits: Limits::default(),
                compressing,
                compressions: Arc::new(Semaphore::new(compressing)),
                siblings: Some(Arc::default()),
                listings: Listings::default(),
                options: Options::default(),
                gave_up: Arc::default(),
            }),
        })
    }

    /// Sends the file beside another one, such as `app.js.br`, as its coding; the default.
    ///
    /// It has to be no older than the plain file, and to be in its coding: gzip and zstd by their magic and by the
    /// length that they record; brotli, and zstd where it records none, by the first MiB of what comes out. It is
    /// looked at once in each state of both files, one at a time and on the blocking pool. What zstd needs more than 8
    /// MiB for, which browsers do not have ([RFC 9659]), is not sent either. One that appears is seen within half a
    /// second; each that is sent is opened for the request, as the plain file is.
    ///
    /// [RFC 9659]: https://www.rfc-editor.org/rfc/rfc9659
    pub fn precompressed(mut self, enabled: bool) -> Self {
        Arc::make_mut(&mut self.shared).siblings = enabled.then(Arc::default);
        self
    }

    /// The two budgets of the folder, in bytes: `read-memory`, for what is read and not sent yet, and `file-cache`.
    ///
    /// They tell what is held at the moment they are asked. [`Files::read_memory`] and [`Files::cache`] make new ones, so
    /// they are to be had after those. In a server, one that is not set is a part of the server's memory, known when it
    /// has started and told by its `Monitor`.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let files = rikki_files::Files::new(".")?.cache(1 << 20);
    /// let [reading, cache] = files.budgets();
    /// assert_eq!((reading.name(), reading.used()), ("read-memory", 0));
    /// assert_eq!((cache.name(), cache.most()), ("file-cache", 1 << 20));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn budgets(&self) -> [&Arc<Budget>; 2] {
        self.shared.root.budgets()
    }

    /// How often something was found in the cache of small files, and how often not.
    #[doc(hidden)]
    #[must_use]
    pub fn cache_looks(&self) -> &Arc<[Count; 2]> {
        self.shared.root.cache().looks()
    }

    /// Counts clients that are given up where a server does.
    #[doc(hidden)]
    pub fn count_in(&mut self, gave_up: &Arc<Count>) {
        Arc::make_mut(&mut self.shared).gave_up = Arc::clone(gave_up);
    }

    /// Never serves or lists `file`, whatever name or link leads to it: for a TLS key that may lie below the root. Of a
    /// folder neither that nor any file is served that is directly in it, now or later.
    ///
    /// Both the file that is there now and those that take its place later are meant, as when a key is renewed, also
    /// while a request is answered. The last 16 of them that were seen there stay denied under any other name: they are
    /// kept open, which costs one file descriptor each. A path to anything but a regular file (a pipe, say) has no
    /// effect, since only regular files are served.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened. The error names the path.
    pub fn deny(mut self, file: impl AsRef<Path>) -> io::Result<Self> {
        Arc::make_mut(&mut self.shared).root.deny(file.as_ref())?;
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
        let answer = self.clone().respond(request);
        Box::pin(async move { Ok(answer.await) })
    }
}
