//! [`rikki::Files`] as its user calls it: a tower service over a folder full of traps.

#![cfg(unix)]

mod listings;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use rikki::Files;
use tower_service::Service;

/// Stands in every file outside the root: no response may contain it.
const CANARY: &str = "CANARY-7f3a";

const BLOCK: usize = 128 * 1024;

/// A temporary folder that holds the root and its surroundings.
struct Fixture(PathBuf);

impl Fixture {
    fn empty() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let fixture = Self(std::env::temp_dir().join(format!("rikki-files-{}-{count}", std::process::id())));
        fs::create_dir_all(fixture.root()).unwrap();
        fixture
    }

    /// With every kind of entry that a root may hold, and secrets beside it.
    fn full() -> Self {
        let fixture = Self::empty();
        let root = fixture.root();
        fixture.write("../secret", CANARY);
        fixture.write("../root-evil/x", CANARY);
        for hidden in [".git/config", ".env", "sub/.hidden", ".well-known/x"] {
            fixture.write(hidden, CANARY);
        }
        fixture.write("ok.txt", "ok");
        fixture.write("sub/inner.txt", "inner");
        fixture.write("indexed/index.html", "<h1>index</h1>");
        fs::create_dir(root.join("index-is-folder")).unwrap();
        fixture.write("index-is-folder/index.html/x.txt", "x");
        symlink("ok.txt", root.join("link_in")).unwrap();
        symlink("../ok.txt", root.join("sub/link_up")).unwrap();
        symlink("sub", root.join("dirlink_in")).unwrap();
        symlink("../secret", root.join("link_out")).unwrap();
        symlink(fixture.0.join("secret"), root.join("link_absolute")).unwrap();
        symlink("..", root.join("dirlink")).unwrap();
        symlink("../root-evil", root.join("evil")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("missing", root.join("dangling")).unwrap();
        assert!(Command::new("mkfifo").arg(root.join("fifo")).status().unwrap().success());
        UnixListener::bind(root.join("socket")).unwrap();
        fixture
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        // Long enough ago for a strong entity tag.
        let settled = SystemTime::now() - Duration::from_secs(60);
        File::options().write(true).open(&path).unwrap().set_modified(settled).unwrap();
        path
    }

    fn files(&self) -> Files {
        Files::new(self.root()).unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A response that has arrived to its end.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Where the links of a listing lead, the one to the parent included.
    fn links(&self) -> Vec<&str> {
        self.text().split("<a href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
    }
}

fn request(method: &str, target: &str) -> Request<Body> {
    Request::builder().method(method).uri(target).body(Body::empty()).unwrap()
}

/// No request waits for anything, least of all for the other end of a FIFO.
async fn start<S>(mut service: S, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = std::convert::Infallible>,
{
    tokio::time::timeout(Duration::from_secs(10), service.call(request)).await.expect("an answer").unwrap()
}

async fn send(files: &Files, request: Request<Body>) -> Answer {
    let (head, body) = start(files.clone(), request).await.into_parts();
    Answer { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

async fn get(files: &Files, target: &str) -> Answer {
    send(files, request("GET", target)).await
}

/// The status of a GET, after the checks that every response must pass: nothing leaks, nothing is sniffed, and HEAD
/// says the same.
async fn status(files: &Files, target: &str) -> u16 {
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

#[tokio::test]
async fn what_is_served() {
    let fixture = Fixture::full();
    let files = fixture.files();
    for (target, expected) in [
        ("/ok.txt", "ok"),
        ("/ok.txt?query", "ok"),
        ("http://localhost/ok.txt", "ok"),
        ("/ok%2Etxt", "ok"),
        ("/link_in", "ok"),
        ("/sub/link_up", "ok"),
        ("/sub/inner.txt", "inner"),
        ("/dirlink_in/inner.txt", "inner"),
        ("/indexed/", "<h1>index</h1>"),
        ("/indexed/index.html", "<h1>index</h1>"),
    ] {
        assert_eq!(status(&files, target).await, 200, "{target}");
        assert_eq!(get(&files, target).await.text(), expected, "{target}");
    }
}

/// GETs against the full fixture, each with the status it must have.
async fn check(cases: &[(&str, u16)]) {
    let fixture = Fixture::full();
    let files = fixture.files();
    for (target, expected) in cases {
        assert_eq!(status(&files, target).await, *expected, "{target}");
    }
}

#[tokio::test]
async fn traversal() {
    check(&[
        ("/../secret", 400),
        ("/sub/../../secret", 400),
        ("/..%2fsecret", 404),
        ("/%2e%2e/secret", 400),
        ("/%2e%2e%2fsecret", 404),
        ("/%252e%252e/secret", 404),
        ("/..%c0%afsecret", 404),
        ("/....//secret", 404),
        ("/.%00./", 400),
        ("/sub/%2e%2e/%2e%2e/secret", 400),
        ("//secret", 404),
        ("/./../", 400),
        ("http://h/../secret", 400),
        ("/..;/", 404),
        ("/../root-evil/x", 400),
        (&format!("/{}secret", "../".repeat(200)), 400),
    ])
    .await;
}

#[tokio::test]
async fn names_that_mean_something_elsewhere() {
    check(&[
        ("/sub%2finner.txt", 404),
        ("/%2fetc/passwd", 404),
        ("/..%5csecret", 400),
        ("/C:/x", 400),
        ("/foo/c:/windows/x", 400),
        ("/%5c%5chost/share", 400),
        ("/ok.txt::$DATA", 400),
        ("/CON", 404),
        ("/nul.txt", 404),
        ("/ok.txt.", 404),
        ("/ok.txt%20", 404),
        ("/ok.txt%00.png", 400),
        ("/%0d%0aSet-Cookie:x", 400),
        ("/%zz", 400),
    ])
    .await;
}

#[tokio::test]
async fn links_that_lead_out() {
    check(&[
        ("/link_out", 404),
        ("/link_absolute", 404),
        ("/dirlink", 404),
        ("/dirlink/", 404),
        ("/dirlink/secret", 404),
        ("/evil", 404),
        ("/evil/", 404),
        ("/evil/x", 404),
        ("/magic/etc/passwd", 404),
        ("/loop", 404),
        ("/dangling", 404),
    ])
    .await;
}

#[tokio::test]
async fn what_is_hidden_missing_or_no_file() {
    check(&[
        ("/fifo", 404),
        ("/fifo/", 404),
        ("/socket", 404),
        ("/.git/config", 404),
        ("/.env", 404),
        ("/sub/.hidden", 404),
        ("/.well-known/x", 404),
        ("/ok.txt/", 404),
        ("/ok.txt/x", 404),
        ("/sub//inner.txt", 404),
        ("/indexed//", 404),
        ("//", 404),
        ("/missing", 404),
        ("/missing/", 404),
        (&format!("/{}", "a".repeat(5000)), 404),
        (&"/a".repeat(4000), 404),
    ])
    .await;
}

#[tokio::test]
async fn devices_are_not_served() {
    let files = Files::new("/dev").unwrap();
    for target in ["/null", "/zero", "/tty"] {
        assert_eq!(status(&files, target).await, 404, "{target}");
    }
    assert!(!get(&files, "/").await.links().contains(&"zero"));
}

#[tokio::test]
async fn refusals_are_short_text() {
    let fixture = Fixture::full();
    let answer = get(&fixture.files(), "/missing").await;
    assert_eq!(answer.text(), "404 Not Found\n");
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
}

#[tokio::test]
async fn only_get_and_head() {
    let fixture = Fixture::full();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "PROPFIND"] {
        for target in ["/ok.txt", "/missing", "/../secret", "/sub"] {
            let answer = send(&fixture.files(), request(method, target)).await;
            assert_eq!(answer.status, 405, "{method} {target}");
            assert_eq!(answer.headers["allow"], "GET, HEAD");
            assert_eq!(answer.text(), "405 Method Not Allowed\n");
        }
    }
}

#[tokio::test]
async fn folders_get_their_slash() {
    let fixture = Fixture::full();
    fixture.write("a b ü/x", "");
    let files = fixture.files();
    for (target, expected) in [
        ("/sub", "/sub/"),
        ("/sub?a=1&b=%2F", "/sub/?a=1&b=%2F"),
        ("/dirlink_in", "/dirlink_in/"),
        ("/a%20b%20%c3%bc", "/a%20b%20%C3%BC/"),
        ("http://evil.test/sub", "/sub/"),
    ] {
        assert_eq!(status(&files, target).await, 301, "{target}");
        assert_eq!(get(&files, target).await.headers["location"], expected, "{target}");
    }
    for target in ["//evil.test/%2e%2e", "//sub", "/%5cevil.test/..", "/%2fsub"] {
        assert!(get(&files, target).await.headers.get("location").is_none(), "{target}");
    }
}

#[tokio::test]
async fn below_a_nested_router() {
    let fixture = Fixture::full();
    let router = Router::new().nest_service("/static", fixture.files());
    let response = start(router.clone(), request("GET", "/static/sub?q")).await;
    assert_eq!(response.headers()["location"], "/static/sub/?q");
    let response = start(router, request("GET", "/static/sub/")).await;
    let page = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&page).contains("<title>Index of /static/sub/</title>"));
}

#[tokio::test]
async fn a_file_that_has_just_changed_has_a_weak_tag() {
    let fixture = Fixture::empty();
    fs::write(fixture.root().join("fresh"), "").unwrap();
    // Later than any clock, so that the test cannot be too slow.
    let future = SystemTime::now() + Duration::from_secs(3600);
    File::options().write(true).open(fixture.root().join("fresh")).unwrap().set_modified(future).unwrap();
    let answer = get(&fixture.files(), "/fresh").await;
    assert!(answer.headers["etag"].as_bytes().starts_with(b"W/\""));
    assert_ne!(answer.headers["last-modified"], httpdate::fmt_http_date(future));
}

#[tokio::test]
async fn conditional_requests() {
    let fixture = Fixture::full();
    let path = fixture.root().join("ok.txt");
    let settled = fs::metadata(&path).unwrap().modified().unwrap();
    let files = fixture.files();
    let first = get(&files, "/ok.txt").await;
    let tag = first.headers["etag"].to_str().unwrap();
    assert!(tag.starts_with('"'), "{tag} is strong");
    assert_eq!(first.headers["last-modified"], httpdate::fmt_http_date(settled));
    assert_eq!(get(&files, "/link_in").await.headers["etag"], tag, "the file, not its name, is what counts");

    for method in ["GET", "HEAD"] {
        for (name, value) in [("if-none-match", tag), ("if-modified-since", &httpdate::fmt_http_date(settled))] {
            let mut request = request(method, "/ok.txt");
            request.headers_mut().insert(name, value.parse().unwrap());
            let answer = send(&files, request).await;
            assert_eq!(answer.status, 304, "{method} {name}");
            assert!(answer.body.is_empty());
            assert_eq!(answer.headers["etag"], tag);
            assert_eq!(answer.headers["last-modified"], first.headers["last-modified"]);
            assert!(answer.headers.get("content-length").is_none());
        }
    }

    // The same size, and the same second.
    fs::write(&path, "KO").unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(settled + Duration::from_nanos(1)).unwrap();
    let mut request = request("GET", "/ok.txt");
    request.headers_mut().insert("if-none-match", tag.parse().unwrap());
    let answer = send(&files, request).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "KO"));
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

#[tokio::test]
async fn files_of_every_size() {
    let fixture = Fixture::empty();
    for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5] {
        fixture.write("file", content(length));
        let answer = get(&fixture.files(), "/file").await;
        assert_eq!(answer.headers["content-length"], length.to_string());
        assert!(answer.body == content(length), "{length} bytes");
    }
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_sent() {
    let fixture = Fixture::empty();
    let length = 8 * BLOCK;
    let open = async |name: &str| {
        fixture.write(name, content(length));
        start(fixture.files(), request("GET", &format!("/{name}"))).await.into_body()
    };

    let grown = open("grown").await;
    File::options().append(true).open(fixture.root().join("grown")).unwrap().write_all(b"more").unwrap();
    assert!(grown.collect().await.unwrap().to_bytes() == content(length));

    let replaced = open("replaced").await;
    fixture.write("new", "new");
    fs::rename(fixture.root().join("new"), fixture.root().join("replaced")).unwrap();
    assert!(replaced.collect().await.unwrap().to_bytes() == content(length));

    let deleted = open("deleted").await;
    fs::remove_file(fixture.root().join("deleted")).unwrap();
    assert!(deleted.collect().await.unwrap().to_bytes() == content(length));

    let mut truncated = open("truncated").await;
    File::options().write(true).open(fixture.root().join("truncated")).unwrap().set_len(BLOCK as u64 + 1).unwrap();
    let mut sent = 0;
    while let Ok(frame) = truncated.frame().await.expect("an error: the connection must be cut short") {
        sent += frame.into_data().unwrap().len();
    }
    assert!(sent <= BLOCK + 1);
    assert!(truncated.frame().await.is_none());
}

#[tokio::test]
async fn denied_files() {
    let fixture = Fixture::full();
    let root = fixture.root();
    let key = fixture.write("tls/key.pem", CANARY);
    fixture.write("tls/cert.pem", "public");
    symlink("tls/key.pem", root.join("key-link")).unwrap();
    fs::hard_link(&key, root.join("key-hard")).unwrap();
    let files = fixture.files().deny(&key).unwrap().deny(fixture.0.join("secret")).unwrap();
    let targets = ["/tls/key.pem", "/key-link", "/key-hard"];
    for target in targets {
        assert_eq!(status(&files, target).await, 404, "{target}");
    }
    assert_eq!(get(&files, "/tls/").await.links(), ["../", "cert.pem"]);
    assert!(!get(&files, "/").await.text().contains("key-"));
    assert_eq!(status(&files, "/tls/cert.pem").await, 200);
    assert_eq!(status(&files, "/ok.txt").await, 200);

    // A renewed key, and the old one under a new name.
    fixture.write("tls/new.pem", CANARY);
    fs::rename(&key, root.join("old-key.pem")).unwrap();
    fs::rename(root.join("tls/new.pem"), &key).unwrap();
    for target in ["/tls/key.pem", "/key-link", "/key-hard", "/old-key.pem"] {
        assert_eq!(status(&files, target).await, 404, "{target}");
    }
    assert_eq!(get(&files, "/tls/").await.links(), ["../", "cert.pem"]);
}

#[test]
fn denying_what_cannot_be_denied() {
    let fixture = Fixture::full();
    let error = fixture.files().deny(fixture.root().join("sub")).unwrap_err();
    assert!(error.to_string().contains("sub: is a folder"), "{error}");
    let error = fixture.files().deny("/no/such/key.pem").unwrap_err();
    assert_eq!(error.to_string(), "/no/such/key.pem: no such file or directory");
    let pipe = fixture.files().deny(fixture.root().join("fifo"));
    assert!(pipe.is_ok(), "a pipe is not served anyway");
}

/// `swapped` is by turns a file of the root and a link to the secret. An answer may be one of two; it is never late
/// and never the secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_link_that_is_swapped_under_a_request() {
    let fixture = Fixture::full();
    let files = fixture.files();
    let root = fixture.root();
    let swapped = root.join("swapped");
    fixture.write("swapped", "ok");
    let done = AtomicBool::new(false);
    let (mut served, mut refused) = (0, 0);
    let swap = || {
        let (file, link) = (root.join("swap-file"), root.join("swap-link"));
        while !done.load(Ordering::Relaxed) {
            symlink("../secret", &link).unwrap();
            fs::rename(&link, &swapped).unwrap();
            fs::write(&file, "ok").unwrap();
            fs::rename(&file, &swapped).unwrap();
        }
    };
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let swapping = scope.spawn(swap);
            for _ in 0..20_000 {
                let answer = handle.block_on(get(&files, "/swapped"));
                match (answer.status.as_u16(), answer.text()) {
                    (200, "ok") => served += 1,
                    (404, "404 Not Found\n") => refused += 1,
                    (status, text) => {
                        done.store(true, Ordering::Relaxed);
                        panic!("{status} {text}");
                    }
                }
            }
            done.store(true, Ordering::Relaxed);
            swapping.join().unwrap();
        });
    });
    assert!(served > 0 && refused > 0, "the swap must be seen from both sides: {served} and {refused}");
}

#[tokio::test]
async fn a_renamed_root_is_still_served() {
    let fixture = Fixture::full();
    let files = fixture.files();
    fs::rename(fixture.root(), fixture.0.join("moved")).unwrap();
    fs::create_dir(fixture.root()).unwrap();
    assert_eq!(status(&files, "/ok.txt").await, 200);
}
