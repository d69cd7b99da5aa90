//! Where in the URLs of the server a folder is.

use std::path::{Path, PathBuf};

use axum::Router;

use super::{Server, StartError};
use crate::files::Files;
#[cfg(feature = "tls")]
use crate::tls::Tls;

impl Server {
    /// Serves the files below `folder` where no route matches: [`mount`](Self::mount) at `/`, with nothing but defaults.
    pub fn files(mut self, folder: impl AsRef<Path>) -> Self {
        match Files::new(&folder) {
            Ok(files) => self.mount("/", files),
            Err(source) => {
                self.note(StartError::Files { path: folder.as_ref().to_owned(), source });
                self
            }
        }
    }

    /// Serves files below `path`, such as `/docs`, or where nothing else matches, which is `/`. The longest path counts.
    ///
    /// The files of the certificate and its key are denied in each folder.
    ///
    /// # Panics
    ///
    /// [`start`](Self::start) does, as axum's `Router::nest_service`: if a route has the path, or a parameter or wildcard
    /// where the next name would stand.
    pub fn mount(mut self, path: &str, files: Files) -> Self {
        let taken = |path: &str| self.mounts.iter().any(|mount| mount.path == path);
        match Mount::new(path, files) {
            Ok(mount) if taken(&mount.path) => {
                self.note(StartError::Mount { path: mount.path, why: "two folders cannot have the same path" });
            }
            Ok(mount) => self.mounts.push(mount),
            Err(why) => self.note(StartError::Mount { path: path.to_owned(), why }),
        }
        self
    }

    /// All routes, with the files where no route matches.
    pub(super) fn routes_and_files(&mut self) -> Result<Router, StartError> {
        let mut router = std::mem::take(&mut self.router);
        let mounts = std::mem::take(&mut self.mounts);
        let paths: Vec<_> = mounts.iter().map(|mount| mount.path.clone()).collect();
        for mut mount in mounts {
            for path in &paths {
                mount.leave(path);
            }
            router = mount.add_to(router, self.secrets())?;
        }
        Ok(router)
    }

    /// The files that are never served: those of the certificate and its key.
    #[cfg(feature = "tls")]
    fn secrets(&self) -> &[PathBuf] {
        self.tls.as_ref().map_or(&[], Tls::files)
    }

    #[cfg(not(feature = "tls"))]
    fn secrets(&self) -> &[PathBuf] {
        &[]
    }
}

/// A folder and its path.
#[derive(Debug)]
pub(super) struct Mount {
    /// With a slash in front and none behind; `/` is what no other matches.
    pub(super) path: String,
    files: Files,
}

impl Mount {
    /// Takes a path with or without a slash behind it, or says what is wrong with it.
    pub(super) fn new(path: &str, files: Files) -> Result<Self, &'static str> {
        let names = path.strip_prefix('/').ok_or("it must begin with a slash")?;
        let names = names.strip_suffix('/').unwrap_or(names);
        if path != "/" {
            for name in names.split('/') {
                check(name)?;
            }
        }
        Ok(Self { path: format!("/{names}"), files })
    }

    /// Leaves what is below `path` to the folder that is mounted there, however a request spells it: routes are compared
    /// as they stand in it, where any letter may be percent-encoded.
    fn leave(&mut self, path: &str) {
        let below = path.strip_prefix(self.path.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
        if let Some(names) = below.filter(|names| !names.is_empty()) {
            self.files.leave(names);
        }
    }

    /// Adds the folder to the routes, without the files that are `secret`.
    pub(super) fn add_to(self, router: Router, secret: &[PathBuf]) -> Result<Router, StartError> {
        let Self { path, mut files } = self;
        for secret in secret {
            files = files.deny(secret).map_err(|source| StartError::Files { path: secret.clone(), source })?;
        }
        Ok(match path.as_str() {
            "/" => router.fallback_service(files),
            path => router.nest_service(path, files),
        })
    }
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
