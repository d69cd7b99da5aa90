//! Where in the URLs of the server a folder is.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use percent_encoding::percent_decode_str;
use rikki_files::Files;
use rikki_files::internal::{Place, Refused};
use rikki_limits::{Budget, Count};
use tower_service::Service;

use super::memory::Memory;
use super::routes::added;
use super::{Server, StartError};

impl Server {
    /// Serves the files below `folder` where no route matches: [`mount`](Self::mount) at `/`, with nothing but
    /// defaults.
    pub fn files(mut self, folder: impl AsRef<Path>) -> Self {
        match Files::new(&folder) {
            Ok(files) => self.mount("/", files),
            Err(source) => {
                self.note(StartError::Files { path: folder.as_ref().to_owned(), source });
                self
            }
        }
    }

    /// Serves files below `path`, such as `/docs`, or where nothing else matches, which is `/`. The longest path
    /// counts, when `.` and `..` have been resolved; routes are compared with the path as it was sent.
    ///
    /// The file of the certificate's key is denied in each folder. On Linux, what is not kept in memory is sent by the
    /// system over plain HTTP/1, unless a [`layer`](Self::layer) is around it: it is not read, and takes nothing of the
    /// memory for that.
    ///
    /// A path that another folder has, that cannot be one of a URL, or where a route has a parameter or wildcard for
    /// the next name, is an error of [`start`](Self::start), and so is a limit of `files` that cannot be.
    pub fn mount(mut self, path: &str, files: Files) -> Self {
        if let Err(error) = files.check_limits() {
            self.note(error.into());
        }
        let taken = |path: &str| self.mounts.0.iter().any(|mount| mount.path == path);
        match Mount::new(path, files) {
            Ok(mount) if taken(&mount.path) => {
                self.note(StartError::Mount { path: mount.path, why: "two folders cannot have the same path" });
            }
            Ok(mount) => self.mounts.0.push(mount),
            Err(why) => self.note(StartError::Mount { path: path.to_owned(), why }),
        }
        self
    }
}

/// The folders of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Mounts(Vec<Mount>);

impl Mounts {
    /// Gives each its part of the memory, where it has no budgets of its own, and counts for all of them.
    pub(super) fn share(&mut self, memory: &Memory, gave_up: &Arc<Count>) {
        let folders = self.0.len().max(1);
        let compressions = (memory.compressions / folders).max(1);
        for Mount { files, .. } in &mut self.0 {
            files.share(memory.reading / folders, memory.cache / folders, compressions);
            files.count_in(gave_up);
        }
    }

    /// The budgets of each, with its path.
    pub(super) fn budgets(&self) -> Vec<(String, Arc<Budget>)> {
        let of = |Mount { path, files }: &Mount| files.budgets().map(|budget| (path.clone(), Arc::clone(budget)));
        self.0.iter().flat_map(of).collect()
    }

    /// How often something was found in the cache of each, and how often not.
    #[cfg(feature = "admin")]
    pub(super) fn caches(&self) -> Vec<(String, Arc<[Count; 2]>)> {
        self.0.iter().map(|Mount { path, files }| (path.clone(), Arc::clone(files.cache_looks()))).collect()
    }

    /// Takes the place of others: one at the same path counts what that one still sends, and what was secret stays so.
    pub(super) fn succeed(&mut self, before: &Self) {
        for Mount { path, files } in &mut self.0 {
            before.0.iter().for_each(|before| files.keep_denied(&before.files));
            if let Some(before) = before.0.iter().find(|before| before.path == *path) {
                files.succeed(&before.files);
            }
        }
    }

    /// Serves nothing that is secret.
    pub(super) fn deny(&mut self, secrets: &[PathBuf]) -> Result<(), StartError> {
        self.0.iter_mut().try_for_each(|mount| mount.deny(secrets))
    }

    /// Adds the files where no route matches. What is `bare` has no layers around it.
    pub(super) fn add_to(mut self, router: Router, bare: bool) -> Result<Router, StartError> {
        let mounts = &mut self.0;
        if mounts.iter().any(|mount| mount.path == "/") && has_fallback(&router) {
            let why = "the application that was merged has a fallback, which answers the same requests: leave out \
                       either, or mount the files at a path of their own";
            return Err(StartError::Mount { path: "/".to_owned(), why });
        }
        let paths: Vec<_> = mounts.iter().map(|mount| mount.path.clone()).collect();
        for mount in mounts.iter_mut() {
            for path in &paths {
                mount.list(path);
            }
        }
        // The longest first.
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.path.len()));
        Folders { mounts: self.0.into(), bare }.add_to(router)
    }
}

/// A folder and its path.
#[derive(Clone, Debug)]
struct Mount {
    /// With a slash in front and none behind; `/` is what no other matches.
    path: String,
    files: Files,
}

impl Mount {
    /// Takes a path with or without a slash behind it, or says what is wrong with it.
    fn new(path: &str, files: Files) -> Result<Self, &'static str> {
        let names = path.strip_prefix('/').ok_or("it must begin with a slash")?;
        let names = names.strip_suffix('/').unwrap_or(names);
        if path != "/" {
            for name in names.split('/') {
                check(name)?;
            }
        }
        Ok(Self { path: format!("/{names}"), files })
    }

    fn deny(&mut self, secrets: &[PathBuf]) -> Result<(), StartError> {
        for secret in secrets {
            self.files =
                self.files.clone().deny(secret).map_err(|source| StartError::Files { path: secret.clone(), source })?;
        }
        Ok(())
    }

    /// Lists what is mounted at `path`, if that is below this one.
    fn list(&mut self, path: &str) {
        let below = path.strip_prefix(self.path.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
        if let Some(names) = below.filter(|names| !names.is_empty()) {
            self.files.mounted(names);
        }
    }

    /// The length of what stands in `path` for the folder, if it is one below it, in whatever spelling: any letter may
    /// be percent-encoded.
    fn length_in(&self, path: &str) -> Option<usize> {
        if self.path == "/" {
            // What is no path is for the folder to refuse.
            return Some(0);
        }
        let mut segments = path.strip_prefix('/')?.split('/');
        let mut length = 0;
        for name in self.path.split('/').filter(|name| !name.is_empty()) {
            let segment = segments.next().filter(|segment| percent_decode_str(segment).eq(name.bytes()))?;
            length += 1 + segment.len();
        }
        Some(length)
    }
}

/// All folders, the longest path first. Which of them is meant is told by the path without its dot segments, by
/// whatever route the request has come.
#[derive(Clone)]
struct Folders {
    mounts: Arc<[Mount]>,
    /// Whether nobody but the server sees what they answer with: then the system may send the content of files.
    bare: bool,
}

impl Folders {
    fn add_to(self, mut router: Router) -> Result<Router, StartError> {
        let paths: Vec<_> = self.mounts.iter().map(|mount| mount.path.clone()).collect();
        for path in paths {
            router = match path.as_str() {
                "/" => router.fallback_service(self.clone()),
                path => added(router, path, |router| router.nest_service(path, self.clone()))?,
            };
        }
        Ok(router)
    }

    /// The folder that a place is in, and where below it. What is in none, or nowhere, is for the one at `/` to refuse,
    /// or else for any.
    fn find(&self, place: Result<Place, Refused>) -> Option<(Files, Result<Place, Refused>)> {
        let below = |place: &Place| self.mounts.iter().find_map(|mount| Some((mount, mount.length_in(place.path())?)));
        let (mount, place) = match place.map(|place| (below(&place), place)) {
            Ok((Some((mount, length)), place)) => (mount, Ok(place.below(length))),
            Ok((None, _)) => (self.mounts.last()?, Err(Refused::Unfindable)),
            Err(refused) => (self.mounts.last()?, Err(refused)),
        };
        Some((mount.files.clone(), place))
    }
}

impl Service<Request> for Folders {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        match self.find(Place::of_server(&mut request)) {
            Some((files, place)) => {
                let answer = files.respond_at(request, place, self.bare);
                Box::pin(async move { Ok(answer.await) })
            }
            None => Box::pin(std::future::ready(Ok(StatusCode::NOT_FOUND.into_response()))),
        }
    }
}

/// Whether what no route matches has an answer of its own already, which another one would replace in silence. axum
/// tells that by `Debug` alone, and by a panic of `merge`.
fn has_fallback(router: &Router) -> bool {
    format!("{router:?}").contains("default_fallback: false")
}

/// Routes are compared as they stand in a request, so nothing is let in that would have to stand there encoded.
fn check(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("it has two slashes in a row"),
        "." | ".." => Err("browsers resolve . and .. before they ask"),
        // https://www.rfc-editor.org/rfc/rfc3986#section-2.3
        _ if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) => Ok(()),
        _ => Err("its names may have letters, digits, -, ., _ and ~"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let check = |path: &str, expected: Result<&str, &str>| {
            let mount = Mount::new(path, Files::new(".").unwrap());
            assert_eq!(mount.as_ref().map(|mount| mount.path.as_str()).map_err(|why| *why), expected, "{path:?}");
        };
        check("/", Ok("/"));
        check("/docs", Ok("/docs"));
        check("/docs/", Ok("/docs"));
        check("/a/b-c_d~e.f", Ok("/a/b-c_d~e.f"));
        check("/.well-known", Ok("/.well-known"));
        check("", Err("it must begin with a slash"));
        check("docs", Err("it must begin with a slash"));
        check("//", Err("it has two slashes in a row"));
        check("/a//b", Err("it has two slashes in a row"));
        check("/a/../b", Err("browsers resolve . and .. before they ask"));
        for path in ["/{id}", "/a%20b", "/a b", "/ü", "/a?b", "/*"] {
            check(path, Err("its names may have letters, digits, -, ., _ and ~"));
        }
    }
}
