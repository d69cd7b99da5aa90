//! A folder full of traps, and GETs as a tower service takes them.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use rikki::Files;
use tower_service::Service;

/// Stands in every file outside the root: no response may contain it.
pub(crate) const CANARY: &str = "CANARY-7f3a";

pub(crate) const BLOCK: usize = 128 * 1024;

/// A temporary folder that holds the root and its surroundings.
pub(crate) struct Fixture(pub(crate) PathBuf);

impl Fixture {
    pub(crate) fn empty() -> Self {
        Self::below(&std::env::temp_dir())
    }

    pub(crate) fn below(folder: &Path) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let fixture = Self(folder.join(format!("rikki-files-{}-{count}", std::process::id())));
        fs::create_dir_all(fixture.root()).unwrap();
        fixture
    }

    /// With every kind of entry that a root may hold, and secrets beside it.
    pub(crate) fn full() -> Self {
        let fixture = Self::empty();
        let root = fixture.root();
        fixture.write("../secret", CANARY);
        fixture.write("../root-evil/x", CANARY);
        for hidden in [".git/config", ".env", "sub/.hidden", ".well-known/.hidden", "sub/.well-known/x"] {
            fixture.write(hidden, CANARY);
        }
        fixture.write("ok.txt", "ok");
        fixture.write(".well-known/security.txt", "contact");
        fixture.write(".well-known/pki/index.html", "pki");
        symlink("../ok.txt", root.join(".well-known/link")).unwrap();
        symlink("../.env", root.join(".well-known/link_env")).unwrap();
        symlink(".well-known/security.txt", root.join("link_well_known")).unwrap();
        fixture.write("sub/inner.txt", "inner");
        for name in ["10:30", "did:plc:x", "C:/x", "back\\slash", "dot.", "blank ", " ", "foo_1%3a2.deb", "nul.txt"] {
            fixture.write(format!("odd/{name}"), name);
        }
        fixture.write("odd/12:45/x", "x");
        fixture.write("indexed/index.html", "<h1>index</h1>");
        fs::create_dir(root.join("index-is-folder")).unwrap();
        fixture.write("index-is-folder/index.html/x.txt", "x");
        symlink("ok.txt", root.join("link_in")).unwrap();
        symlink("../ok.txt", root.join("sub/link_up")).unwrap();
        symlink("sub", root.join("dirlink_in")).unwrap();
        symlink("../secret", root.join("link_out")).unwrap();
        symlink(fixture.0.join("secret"), root.join("link_absolute")).unwrap();
        symlink(root.join("ok.txt"), root.join("link_real")).unwrap();
        symlink(root.join("sub"), root.join("dirlink_real")).unwrap();
        symlink("../root/ok.txt", root.join("link_around")).unwrap();
        symlink("../../root/link_real", root.join("sub/link_chain")).unwrap();
        for (hidden, link) in [(".env", "env"), (".git", "git"), (".git/../ok.txt", "by_hidden"), ("link_env", "twice")]
        {
            symlink(hidden, root.join(format!("link_{link}"))).unwrap();
        }
        symlink(root.join(".env"), root.join("link_env_real")).unwrap();
        symlink("/ok.txt", root.join("link_chroot")).unwrap();
        symlink(fixture.0.join("root-evil/x"), root.join("link_beside")).unwrap();
        symlink("..", root.join("dirlink")).unwrap();
        symlink("../root-evil", root.join("evil")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("missing", root.join("dangling")).unwrap();
        assert!(Command::new("mkfifo").arg(root.join("fifo")).status().unwrap().success());
        UnixListener::bind(root.join("socket")).unwrap();
        fixture
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    pub(crate) fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        // Long enough ago for a strong entity tag.
        let settled = SystemTime::now() - Duration::from_secs(60);
        File::options().write(true).open(&path).unwrap().set_modified(settled).unwrap();
        path
    }

    pub(crate) fn files(&self) -> Files {
        Files::new(self.root()).unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A response that has arrived to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Where the links of a listing's entries lead, the one to the parent included. All others begin with `./`, without
    /// which a name could be taken for something else.
    pub(crate) fn links(&self) -> Vec<&str> {
        let body = self.text().split("<tbody>").nth(1).unwrap_or_default().split("</tbody>").next().unwrap();
        let links = body.split("<a href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        links.map(|link| if link == "../" { link } else { link.strip_prefix("./").unwrap() }).collect()
    }
}

pub(crate) fn request(method: &str, target: &str) -> Request<Body> {
    Request::builder().method(method).uri(target).body(Body::empty()).unwrap()
}

/// No request waits for anything, least of all for the other end of a FIFO.
pub(crate) async fn start<S>(mut service: S, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = std::convert::Infallible>,
{
    tokio::time::timeout(Duration::from_secs(10), service.call(request)).await.expect("an answer").unwrap()
}

pub(crate) async fn send(files: &Files, request: Request<Body>) -> Answer {
    let (head, body) = start(files.clone(), request).await.into_parts();
    Answer { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

pub(crate) async fn get(files: &Files, target: &str) -> Answer {
    send(files, request("GET", target)).await
}

/// The status of a GET, after the checks that every response must pass: nothing leaks, nothing is sniffed, and HEAD
/// says the same.
pub(crate) async fn status(files: &Files, target: &str) -> u16 {
    let answer = get(files, target).await;
    let leaked = String::from_utf8_lossy(&answer.body).contains(CANARY);
    assert!(!leaked, "{target} leads to what is not served");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{target}");
    if answer.headers.contains_key("content-length") {
        assert_eq!(answer.headers["content-length"], answer.body.len().to_string(), "{target}");
    }
    let head = send(files, request("HEAD", target)).await;
    assert_eq!((head.status, &head.headers), (answer.status, &answer.headers), "{target}");
    assert!(head.body.is_empty(), "{target}");
    answer.status.as_u16()
}
