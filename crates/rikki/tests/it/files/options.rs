//! The settings of [`Files`]: what of a folder is served, and what is said where there is nothing.

use http::HeaderValue;

use super::fixture::Answer;
use super::*;

const PAGE: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// Like [`get`], as a browser that is about to show the answer.
async fn navigate(files: &Files, target: &str) -> Answer {
    let mut request = request("GET", target);
    request.headers_mut().insert("accept", HeaderValue::from_static(PAGE));
    send(files, request).await
}

#[tokio::test]
async fn files_that_stay_open_are_counted() {
    let fixture = Fixture::empty();
    fixture.write("large.txt", vec![b'x'; 4 * BLOCK]);
    fixture.write("small.txt", "ok");
    let files = fixture.files().max_open(2);
    let ask = |name: &'static str, value: &'static str| {
        let mut request = request("GET", "/large.txt");
        request.headers_mut().insert(name, HeaderValue::from_static(value));
        request
    };
    let several = ask("range", "bytes=0-200000,300000-500000");
    let mut unread =
        vec![start(files.clone(), several).await, start(files.clone(), ask("accept-encoding", "gzip")).await];
    assert_eq!(unread[0].status(), 206);
    assert_eq!(unread[1].headers()["content-encoding"], "gzip");
    for refused in
        [ask("range", "bytes=0-"), ask("range", "bytes=0-200000,300000-500000"), request("GET", "/large.txt")]
    {
        let answer = send(&files, refused).await;
        assert_eq!((answer.status.as_u16(), answer.headers["retry-after"].as_bytes()), (503, b"1".as_slice()));
    }
    // These do not stay open.
    assert_eq!(status(&files, "/small.txt").await, 200);
    assert_eq!(send(&files, ask("range", "bytes=0-99")).await.status, 206);
    assert_eq!(send(&files, request("HEAD", "/large.txt")).await.status, 200);
    // All parts of a document are one file.
    let parts = unread.swap_remove(0).into_body().collect().await.unwrap().to_bytes();
    assert!(parts.len() > 400_000);
    assert_eq!(get(&files, "/large.txt").await.body.len(), 4 * BLOCK);
}

/// Whether caches are told that the answer depends on `Accept`.
fn varies(answer: &Answer) -> bool {
    answer.headers.get_all("vary").iter().any(|name| name == "accept")
}

#[tokio::test]
async fn folders_need_not_be_listed() {
    let fixture = Fixture::full();
    let files = fixture.files().listing(false);
    for (target, expected) in [("/", 404), ("/sub/", 404), ("/indexed/", 200), ("/sub/inner.txt", 200)] {
        assert_eq!(status(&files, target).await, expected, "{target}");
    }
    let json = async |files: &Files| {
        let mut request = request("GET", "/sub/");
        request.headers_mut().insert("accept", HeaderValue::from_static("application/json"));
        send(files, request).await.status.as_u16()
    };
    assert_eq!((json(&files).await, json(&files.listing(true)).await), (404, 200));
}

#[tokio::test]
async fn an_application_of_one_page() {
    let fixture = Fixture::full();
    fixture.write("index.html", "the application");
    fixture.write("app.css", "style");
    let files = fixture.files().spa(true);
    for target in [
        "/users/7",
        "/users/john.doe",
        "/users/john@example.com",
        "/org/acme.org",
        "/time/10:30",
        "/profile/did:plc:x",
        "/search/100%",
        "/search/%zz",
        "/a%00b",
        "/sub/",
        "/missing.html",
        "/app.js",
        "/img/logo.png",
        "/a%2Fb",
        "/a//b",
        "/a//../b",
        "/x/../users/7",
        "/.env",
        "/link_out",
        "/fifo",
        "/users/",
    ] {
        let answer = navigate(&files, target).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "the application"), "{target}");
        assert!(varies(&answer), "{target}");
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8", "{target}");
        // What loads a part of a page takes anything.
        let answer = get(&files, target).await;
        assert!(
            [404, 400].contains(&answer.status.as_u16()) && answer.text().len() < 20,
            "{target}: {}",
            answer.text()
        );
        assert!(varies(&answer), "{target}");
    }
    for (target, expected) in [("/../secret", 400), ("/x/%2e%2e/../y", 400), ("/sub", 301)] {
        assert_eq!(navigate(&files, target).await.status, expected, "{target}");
    }
    let answer = navigate(&files, "/app.css").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "style"));
    assert!(!varies(&answer), "a file is the same for everybody");
    let mut head = request("HEAD", "/users/7");
    head.headers_mut().insert("accept", HeaderValue::from_static(PAGE));
    let head = send(&files, head).await;
    assert_eq!((head.status.as_u16(), head.text()), (200, ""));
    let mut post = request("POST", "/users/7");
    post.headers_mut().insert("accept", HeaderValue::from_static(PAGE));
    assert_eq!(send(&files, post).await.status, 405);
    fs::remove_file(fixture.root().join("index.html")).unwrap();
    assert_eq!(navigate(&files, "/users/7").await.status, 404);
    assert_eq!(navigate(&files, "/").await.status, 404, "and no listing");
}

#[tokio::test]
async fn a_page_for_what_is_not_found() {
    let fixture = Fixture::full();
    let page = fixture.write("errors/404.html", "<h1>nothing here</h1>");
    let files = fixture.files().error_page("errors/404.html").unwrap();
    for target in ["/missing", "/missing/", "/.env", "/a//b", "/link_out", "/ok.txt/", "/fifo"] {
        assert_eq!(status(&files, target).await, 404, "{target}");
        let answer = get(&files, target).await;
        assert_eq!(answer.text(), "<h1>nothing here</h1>", "{target}");
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
        assert!(!answer.headers.contains_key("etag"));
    }
    // A condition or a range is about what is there.
    let page_itself = get(&files, "/errors/404.html").await;
    assert_eq!(page_itself.status, 200);
    for (name, value) in
        [("if-none-match", page_itself.headers["etag"].clone()), ("range", "bytes=0-1".parse().unwrap())]
    {
        let mut request = request("GET", "/missing");
        request.headers_mut().insert(name, value);
        let answer = send(&files, request).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (404, 21), "{name}");
    }
    assert_eq!(get(&files, "/../secret").await.text(), "400 Bad Request\n");
    // With an application of one page, it is for what is no page.
    fixture.write("index.html", "the application");
    let files = files.spa(true);
    assert_eq!(navigate(&files, "/users/7").await.text(), "the application");
    assert_eq!(get(&files, "/app.js").await.text(), "<h1>nothing here</h1>");
    fs::remove_file(page).unwrap();
    assert_eq!(get(&files, "/missing").await.text(), "404 Not Found\n");
}

#[tokio::test]
async fn a_page_of_its_own_name_is_found() {
    let fixture = Fixture::full();
    let files = fixture.files();
    assert_eq!(get(&files, "/missing").await.text(), "404 Not Found\n");
    let page = fixture.write("404.html", "<h1>not here</h1>");
    fixture.write("other.html", "<h1>other</h1>");
    for target in ["/missing", "/missing/", "/.env", "/sub/missing"] {
        assert_eq!(status(&files, target).await, 404, "{target}");
        assert_eq!(get(&files, target).await.text(), "<h1>not here</h1>", "{target}");
    }
    assert_eq!(get(&files, "/404.html").await.status, 200);
    assert_eq!(get(&files, "/../x").await.text(), "400 Bad Request\n");
    assert_eq!(get(&files.clone().error_page("other.html").unwrap(), "/missing").await.text(), "<h1>other</h1>");
    // One that leads out is none.
    fs::remove_file(&page).unwrap();
    symlink("../secret", &page).unwrap();
    assert_eq!(status(&files, "/missing").await, 404);
    assert_eq!(get(&files, "/missing").await.text(), "404 Not Found\n");
}

#[tokio::test]
async fn error_pages_that_cannot_be() {
    let fixture = Fixture::full();
    for page in ["missing.html", "../secret", "/ok.txt", "sub", "sub/", "link_out", "fifo", "", "dirlink/secret"] {
        let error = fixture.files().error_page(page).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{page}: no file below the root (")), "{error}");
    }
    assert!(fixture.files().error_page("link_in").is_ok());
}

#[tokio::test]
async fn files_say_how_long_they_may_be_kept() {
    let fixture = Fixture::full();
    let files = fixture.files().cache_control(HeaderValue::from_static("max-age=60"));
    let check = async |target: &str, status: u16, kept: bool| {
        let answer = get(&files, target).await;
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(answer.headers.get("cache-control").is_some_and(|value| value == "max-age=60"), kept, "{target}");
    };
    check("/ok.txt", 200, true).await;
    check("/indexed/", 200, true).await;
    check("/sub/", 200, false).await;
    check("/sub", 301, false).await;
    check("/missing", 404, false).await;
    let mut request = request("GET", "/ok.txt");
    request.headers_mut().insert("if-none-match", HeaderValue::from_static("*"));
    let answer = send(&files, request).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["cache-control"]),
        (304, &HeaderValue::from_static("max-age=60"))
    );
}

/// A browser would guess, and keep what is old even when it is told to load the page again.
#[tokio::test]
async fn clients_ask_each_time_unless_told_otherwise() {
    let fixture = Fixture::full();
    fixture.write("a.txt", "a".repeat(5000));
    let files = fixture.files();
    let ask = async |files: &Files, target: &str, name: &'static str, value: &'static str| {
        let mut request = request("GET", target);
        request.headers_mut().insert(name, HeaderValue::from_static(value));
        let answer = send(files, request).await;
        (answer.status.as_u16(), answer.headers.get("cache-control").cloned())
    };
    for (target, name, value, expected) in [
        ("/ok.txt", "accept", "*/*", 200),
        ("/ok.txt", "if-none-match", "*", 304),
        ("/ok.txt", "range", "bytes=0-0", 206),
        ("/ok.txt", "range", "bytes=9-", 416),
        ("/a.txt", "accept-encoding", "br", 200),
        ("/indexed/", "accept", "*/*", 200),
        ("/sub/", "accept", "*/*", 200),
        ("/sub/", "accept", "application/json", 200),
        ("/sub", "accept", "*/*", 301),
        ("/missing", "accept", "*/*", 404),
        ("/../x", "accept", "*/*", 400),
    ] {
        let (status, cache_control) = ask(&files, target, name, value).await;
        assert_eq!(
            (status, cache_control.unwrap()),
            (expected, HeaderValue::from_static("no-cache")),
            "{target} {value}"
        );
        let silent = fixture.files().cache_control(None);
        assert_eq!(ask(&silent, target, name, value).await, (expected, None), "{target} {value}");
    }
    let files = files.cache_control(HeaderValue::from_static("max-age=60"));
    assert_eq!(ask(&files, "/sub", "accept", "*/*").await, (301, Some(HeaderValue::from_static("no-cache"))));
}

#[tokio::test]
async fn types_may_be_told() {
    let fixture = Fixture::empty();
    for name in ["a.foo", "a.html", "a.xml", "a.ts", "index.html", "404.html"] {
        fixture.write(name, "a".repeat(2000));
    }
    let check = async |files: &Files, target: &str, expected: &str| {
        assert_eq!(get(files, target).await.headers["content-type"], expected, "{target}");
    };
    let value = HeaderValue::from_static;
    let files = fixture.files().media_type("foo", value("text/x-foo")).media_type("ts", value("video/mp2t"));
    check(&files, "/a.foo", "text/x-foo; charset=utf-8").await;
    check(&files, "/a.ts", "video/mp2t").await;
    check(&fixture.files(), "/a.ts", "text/plain; charset=utf-8").await;
    let files = files.charset(value("iso-8859-1")).error_page("404.html").unwrap();
    for (target, expected) in [
        ("/a.foo", "text/x-foo; charset=iso-8859-1"),
        ("/a.html", "text/html; charset=iso-8859-1"),
        ("/", "text/html; charset=iso-8859-1"),
        ("/missing", "text/html; charset=iso-8859-1"),
        ("/a.xml", "text/xml"),
    ] {
        check(&files, target, expected).await;
    }
    check(&files.charset(None), "/a.html", "text/html").await;
}

#[tokio::test]
async fn hidden_files_may_be_served() {
    let fixture = Fixture::empty();
    for name in [".well-known/x", ".env", "..a", "a"] {
        fixture.write(name, "content");
    }
    let files = fixture.files().hidden(true);
    for (target, expected) in [
        ("/.well-known/x", 200),
        ("/.well-known", 301),
        ("/.env", 200),
        ("/%2eenv", 200),
        ("/..a", 200),
        ("/.", 200),
        ("/..", 400),
        ("/.well-known/../a", 200),
        ("/%2e%2e/secret", 400),
        ("/...", 404),
    ] {
        assert_eq!(status(&files, target).await, expected, "{target}");
    }
    assert_eq!(get(&files, "/").await.links(), [".well-known/", "..a", ".env", "a"]);
    assert_eq!(get(&fixture.files(), "/").await.links(), ["a"]);
}

#[tokio::test]
async fn symbolic_links_may_lead_out() {
    let fixture = Fixture::empty();
    fixture.write("../outside/file.txt", "outside");
    fixture.write("../outside/index/index.html", "index");
    fixture.write("../key.pem", CANARY);
    fixture.write("sub/x", "x");
    for (target, link) in [
        ("../outside", "folder"),
        ("../outside/file.txt", "file"),
        ("../../outside/file.txt", "sub/up"),
        ("../key.pem", "key"),
        ("missing", "dangling"),
        ("loop", "loop"),
        ("/dev/null", "null"),
    ] {
        symlink(target, fixture.root().join(link)).unwrap();
    }
    symlink(fixture.0.join("outside/file.txt"), fixture.root().join("absolute")).unwrap();
    let inside = fixture.files().deny(fixture.0.join("key.pem")).unwrap();
    let files = inside.clone().follow_symlinks(true);
    for (target, expected) in [
        ("/file", 200),
        ("/absolute", 200),
        ("/sub/up", 200),
        ("/folder", 301),
        ("/folder/", 200),
        ("/folder/file.txt", 200),
        ("/folder/index/", 200),
    ] {
        // Cold and warm.
        for _ in 0..2 {
            assert_eq!(status(&files, target).await, expected, "{target}");
            assert_eq!(status(&inside, target).await, 404, "{target}");
        }
    }
    for (target, expected) in [
        ("/key", 404),
        ("/dangling", 404),
        ("/loop", 404),
        ("/null", 404),
        ("/../outside/file.txt", 400),
        ("/sub/x", 200),
    ] {
        assert_eq!(status(&files, target).await, expected, "{target}");
    }
    assert_eq!(get(&files, "/").await.links(), ["folder/", "sub/", "absolute", "file"]);
    assert_eq!(get(&files, "/folder/").await.links(), ["../", "index/", "file.txt"]);
    assert_eq!(get(&inside, "/").await.links(), ["sub/"]);
}

#[tokio::test]
async fn a_nested_folder_gets_its_slash() {
    let fixture = Fixture::full();
    let router = Router::new().nest_service("/docs", fixture.files());
    let check = async |target: &str, status: u16, location: Option<&str>| {
        let response = start(router.clone(), request("GET", target)).await;
        assert_eq!(response.status(), status, "{target}");
        assert_eq!(response.headers().get("location").map(|value| value.to_str().unwrap()), location, "{target}");
    };
    check("/docs", 301, Some("./docs/")).await;
    check("/docs?q", 301, Some("./docs/?q")).await;
    check("/docs/", 200, None).await;
    check("/docs/sub", 301, Some("./sub/")).await;
    check("/docs/./sub", 301, Some("./sub/")).await;
    check("/docs/sub/../ok.txt", 200, None).await;
    // This router has found out by the path as it was sent.
    check("/docs/../ok.txt", 400, None).await;
}
