//! [`rikki::Files`] as its user calls it: a tower service over a folder full of traps.

#![cfg(unix)]

mod compressed;
mod content;
mod denied;
pub(crate) mod fixture;
mod held;
mod hostile;
mod listings;
mod options;
mod race;
mod ranges;
mod replaced;
#[cfg(target_os = "linux")]
mod sent;
mod siblings;
mod table;
mod tags;
#[cfg(target_os = "linux")]
mod waiting;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use axum::Router;
use http::StatusCode;
use http_body_util::BodyExt;
use rikki::Files;

use self::fixture::{BLOCK, CANARY, Fixture, get, request, send, start, status};

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
        ("/.well-known/security.txt", "contact"),
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
        ("/..%5csecret", 404),
        ("/C:/x", 404),
        ("/foo/c:/windows/x", 404),
        ("/%5c%5chost/share", 404),
        ("/ok.txt::$DATA", 404),
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
        ("/link_beside", 404),
        ("/link_chroot", 404),
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
        ("/.well-known/", 404),
        ("/.well-known/.hidden", 404),
        ("/sub/.well-known/x", 404),
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
async fn links_are_followed_by_the_rules_for_names() {
    let fixture = Fixture::full();
    let links = ["/link_env", "/link_env_real", "/link_twice", "/link_git/config", "/link_by_hidden"];
    for target in links {
        for _ in 0..2 {
            assert_eq!(status(&fixture.files(), target).await, 404, "{target}");
        }
        // Who lets such names be served lets links to them be.
        assert_eq!(get(&fixture.files().hidden(true), target).await.status, 200, "{target}");
    }
    let hidden = get(&fixture.files().hidden(true), "/").await;
    for link in ["link_env", "link_env_real", "link_twice", "link_by_hidden", "link_git/"] {
        assert!(hidden.links().contains(&link), "{link}");
    }
    assert!(!get(&fixture.files(), "/").await.text().contains("link_env"));
}

/// The root by another name than its real one.
#[tokio::test]
async fn links_may_name_the_root_as_it_was_given() {
    let fixture = Fixture::full();
    let current = fixture.0.join("current");
    symlink("root", &current).unwrap();
    for link in ["link_given", "sub/link_given"] {
        symlink(current.join("ok.txt"), fixture.root().join(link)).unwrap();
    }
    let files = Files::new(&current).unwrap();
    for target in ["/link_given", "/sub/link_given", "/link_real", "/dirlink_real/link_given"] {
        assert_eq!(status(&files, target).await, 200, "{target}");
    }
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
    for method in ["POST", "PUT", "DELETE", "TRACE", "PATCH", "get", "PROPFIND"] {
        for target in ["/ok.txt", "/missing", "/../secret", "/sub"] {
            let answer = send(&fixture.files(), request(method, target)).await;
            assert_eq!(answer.status, 405, "{method} {target}");
            assert_eq!(answer.headers["allow"], "GET, HEAD, OPTIONS");
            assert_eq!(answer.text(), "405 Method Not Allowed\n");
        }
    }
    for target in ["/ok.txt", "/missing", "*"] {
        let answer = send(&fixture.files(), request("OPTIONS", target)).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (204, ""), "{target}");
        assert_eq!(answer.headers["allow"], "GET, HEAD, OPTIONS");
    }
}

#[tokio::test]
async fn folders_get_their_slash() {
    let fixture = Fixture::full();
    fixture.write("a b ü/x", "");
    let files = fixture.files();
    for (target, expected) in [
        ("/sub", "./sub/"),
        ("/sub?a=1&b=%2F", "./sub/?a=1&b=%2F"),
        ("/dirlink_in", "./dirlink_in/"),
        ("/a%20b%20%c3%bc", "./a%20b%20%C3%BC/"),
        ("http://evil.test/sub", "./sub/"),
        ("/odd/12:45", "./12%3A45/"),
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
    let response = start(router.clone(), request("GET", "/static/.well-known/security.txt")).await;
    assert_eq!(response.status(), 404, "that is at the root of a server alone");
    let response = start(router.clone(), request("GET", "/static/sub?q")).await;
    assert_eq!(response.headers()["location"], "./sub/?q");
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
