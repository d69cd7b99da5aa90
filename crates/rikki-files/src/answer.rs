//! From a request to a response.
//!
//! An answer is tried twice at most: first on the thread of the request, where nothing may wait for a disk, and then,
//! if that did not do, on the blocking pool. A listing is made there once more, when it is known to be one.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::OriginalUri;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};

use super::Shared;
use super::attempt::{Attempt, Found};
use super::checks::Arrived;
use super::missing::ErrorPage;
use super::open::Failure;
use super::options::NO_CACHE;
use super::path::{self, Dotted, Refused, RequestPath};
use super::wait::Wait;
use super::{Files, listing, open};

/// Where a request leads: the path that the client sees, and how much of it is above the folder.
pub struct Place {
    /// The target as the client sent it.
    uri: Uri,
    /// Its path without dot segments, if it had any.
    resolved: Option<String>,
    /// The length of what stands in front of the folder's own path, in bytes.
    above: usize,
}

impl Place {
    /// Takes the place of a request as this server got it, whatever router it has come through: out of the request.
    pub fn of_server<B>(request: &mut Request<B>) -> Result<Self, Refused> {
        let original = request.extensions_mut().remove().map(|OriginalUri(uri)| uri);
        let uri = original.unwrap_or_else(|| std::mem::take(request.uri_mut()));
        let resolved = resolved(uri.path()).inspect_err(|_| *request.uri_mut() = uri.clone())?;
        Ok(Self { uri, resolved, above: 0 })
    }

    /// Takes the place of a request below a router that may be nested in another one: the path is what that left of it.
    fn of_service<B>(request: &Request<B>) -> Result<Self, Refused> {
        let (uri, path) = (original_uri(request).clone(), request.uri().path());
        let Some(above) = uri.path().strip_suffix(path) else {
            // A nested router takes `/docs` for `/` below it: this is a folder without its slash.
            return Ok(Self { resolved: None, above: uri.path().len(), uri });
        };
        // It takes `/docs//a` for `/a` below it; an empty name is one here as anywhere.
        if above.ends_with('/') {
            return Err(Refused::Unfindable);
        }
        let resolved = resolved(path)?.map(|path| [above, &path].concat());
        Ok(Self { resolved, above: above.len(), uri })
    }

    /// Without dot segments.
    pub fn path(&self) -> &str {
        self.resolved.as_deref().unwrap_or_else(|| self.uri.path())
    }

    pub(super) fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// Makes it a place below a folder that is mounted at the first so many bytes of the path.
    pub fn below(self, above: usize) -> Self {
        Self { above, ..self }
    }
}

fn original_uri<B>(request: &Request<B>) -> &Uri {
    request.extensions().get().map_or_else(|| request.uri(), |OriginalUri(uri)| uri)
}

fn resolved(path: &str) -> Result<Option<String>, Refused> {
    Ok(match path::resolve(path)? {
        Cow::Borrowed(_) => None,
        Cow::Owned(path) => Some(path),
    })
}

impl Files {
    /// Answers a request for the path below this folder that it leads to, as a service of the path that it has.
    pub(super) fn respond<B>(self, request: Request<B>) -> impl Future<Output = Response<Body>> + Send + use<B> {
        let place = Place::of_service(&request);
        self.respond_at(request, place, false)
    }

    /// Answers a request for `place`. Where it is `by_system`, a body may become one that stands for pieces of files: by
    /// [`Sendable`](super::pieces::Sendable), which goes with the answer then.
    ///
    /// Not an `async fn`, whose future would have room for the request, and be moved with it.
    #[doc(hidden)]
    pub fn respond_at<B>(
        self,
        request: Request<B>,
        place: Result<Place, Refused>,
        by_system: bool,
    ) -> impl Future<Output = Response<Body>> + Send + use<B> {
        let Self { shared } = self;
        let head = request.into_parts().0;
        let page = shared.options.html_errors.then(|| ErrorPage::new(&place, &head.headers));
        let head_only = head.method == Method::HEAD;
        let says_how_long = shared.options.cache_control.is_some();
        let ask = if head_only || head.method == Method::GET {
            Ok(Ask { by_system, ..Ask::new(place, head.uri, head.headers, head_only, &shared) })
        } else {
            Err(if head.method == Method::OPTIONS { options() } else { plain(StatusCode::METHOD_NOT_ALLOWED) })
        };
        async move {
            let mut response = match ask {
                Ok(ask) => ask.answer(shared).await.unwrap_or_else(plain),
                Err(response) => response,
            };
            if let Some(page) = page {
                page.take_the_place_of(&mut response);
            }
            response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            if says_how_long {
                // A redirect would be kept for ever, and what is not found may be there later.
                response.headers_mut().entry(CACHE_CONTROL).or_insert(NO_CACHE);
            }
            if head_only {
                // The headers of a GET, without its content: https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2
                *response.body_mut() = Body::empty();
            }
            response
        }
    }
}

/// A GET or HEAD request.
pub(super) struct Ask {
    /// Below the folder.
    pub(super) path: Result<RequestPath, Refused>,
    pub(super) place: Place,
    pub(super) headers: HeaderMap,
    pub(super) head_only: bool,
    /// Whether files are sent by the system, where that is possible.
    pub(super) by_system: bool,
    /// When it was there.
    pub(super) arrived: Option<Arrived>,
}

impl Ask {
    fn new(place: Result<Place, Refused>, uri: Uri, headers: HeaderMap, head_only: bool, shared: &Shared) -> Self {
        let (place, path) = match place {
            Ok(place) => {
                let below = place.path().get(place.above..).unwrap_or_default();
                let dotted = match place.above {
                    _ if shared.root.hidden() => Dotted::All,
                    0 => Dotted::WellKnown,
                    _ => Dotted::None,
                };
                let path = RequestPath::parse(below, dotted);
                (place, path)
            }
            Err(refused) => (Place { uri, resolved: None, above: 0 }, Err(refused)),
        };
        Self { path, place, headers, head_only, by_system: false, arrived: None }
    }

    async fn answer(mut self, shared: Arc<Shared>) -> Result<Response<Body>, StatusCode> {
        self.arrived = Arrived::now();
        if let Some(arrived) = self.arrived {
            arrived.let_others_come().await;
        }
        match Attempt::answer(&self, &shared, Wait::No) {
            Ok(Found::Answer(response)) => Ok(response),
            Err(Failure::Status(status)) => Err(status),
            // Boxed, since most answers are there, and would be moved with room for this.
            Ok(found) => Box::pin(self.answer_later(shared, Some(found))).await,
            Err(Failure::WouldBlock) => Box::pin(self.answer_later(shared, None)).await,
        }
    }

    /// Goes on with what was found, if anything was, where it takes a disk.
    async fn answer_later(
        mut self,
        shared: Arc<Shared>,
        mut found: Option<Found>,
    ) -> Result<Response<Body>, StatusCode> {
        let _place = shared.root.waits().place().ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
        // Twice, since the folder may be replaced while it is read.
        for _ in 0..2 {
            let next = match found.take() {
                Some(found) => found,
                None => {
                    let (ask, found) = self.answer_waiting(&shared).await?;
                    self = ask;
                    found
                }
            };
            let listed = match next {
                Found::Answer(response) => return Ok(response),
                Found::Listing(folder) => listing::listing(&shared, &self, folder).await,
            };
            if !matches!(listed, Err(StatusCode::NOT_FOUND)) {
                return listed;
            }
        }
        Err(StatusCode::NOT_FOUND)
    }

    /// Everything that touches the disk, up to the first block of the content, in one hop.
    async fn answer_waiting(self, shared: &Arc<Shared>) -> Result<(Self, Found), StatusCode> {
        let (waits, worker) = (shared.root.waits(), Arc::clone(shared));
        let path = self.place.path().to_owned();
        let working = waits.work(move |_| {
            let answered = Attempt::answer(&self, &worker, Wait::Yes);
            Ok(answered.map(|found| (self, found)))
        });
        match waits.in_time(working).await {
            Ok(answered) => answered.map_err(Failure::status),
            Err(error) => Err(open::status_of(&error, Path::new(&path))),
        }
    }

    /// The path below the folder.
    pub(super) fn path(&self) -> Result<&RequestPath, StatusCode> {
        self.path.as_ref().map_err(|refused| refused.status())
    }
}

/// Marks an answer of [`plain`].
#[derive(Clone, Copy)]
pub(super) struct Plain;

/// What can be asked of any file, by which balancers see that a server is there
/// ([RFC 9110 section 9.3.7](https://www.rfc-editor.org/rfc/rfc9110#section-9.3.7)).
fn options() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, METHODS);
    response
}

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

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
        headers.insert(ALLOW, METHODS);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        // In seconds: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response.extensions_mut().insert(Plain);
    *response.body_mut() = text.into();
    response
}
