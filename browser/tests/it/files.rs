//! Files as a browser takes them: what it keeps, what it makes of their types, and an application of one page.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use fantoccini::Client;
use serde_json::{Value, json};

use crate::browser::{Screen, browse};
use crate::scratch::Scratch;
use crate::server::Server;

/// What `script` hands to its callback, which is its last argument.
async fn run(client: &Client, script: &str, arguments: &[&str]) -> Value {
    let arguments = arguments.iter().map(|argument| json!(argument)).collect();
    client.execute_async(script, arguments).await.unwrap_or_else(|error| panic!("{script}: {error}"))
}

/// A file that has not changed for a year: what browsers would keep for weeks, if they had to guess.
fn write_old(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    fs::write(&path, content).expect("the scratch directory is writable");
    let year_ago = SystemTime::now() - Duration::from_secs(365 * 24 * 60 * 60);
    File::options().write(true).open(path).and_then(|file| file.set_modified(year_ago)).expect("the time can be set");
}

#[tokio::test]
async fn every_route_of_an_application_can_be_loaded_again() {
    let root = Scratch::new();
    write_old(root.path(), "index.html", b"<title>loading</title><script src=\"/app.js\"></script>");
    write_old(root.path(), "app.js", b"document.title = `at ${location.pathname}`");
    let server = Server::start_in(root, "http", &["--spa"]).await;
    browse(Screen::Light, async |client| {
        for route in
            ["/", "/time/10:30", "/profile/did:plc:x", "/users/john@example.com", "/org/acme.org", "/app.v2/x.js"]
        {
            client.goto(&server.url(route)).await.expect("the application loads");
            client.refresh().await.expect("it loads again");
            assert_eq!(client.title().await.expect("it has a title"), format!("at {route}"));
        }
        client.goto(&server.url("/search/100%")).await.expect("the application loads");
        client.refresh().await.expect("it loads again");
        assert_eq!(client.title().await.expect("it has a title"), "at /search/100%");
        // A part of a page is no route.
        let load = "const [url, done] = arguments; const s = document.createElement('script'); s.src = url; \
                    s.onload = () => done('loaded'); s.onerror = () => done('missing'); document.head.append(s)";
        assert_eq!(run(client, load, &["/missing.js"]).await, "missing");
        let status = "const [url, done] = arguments; fetch(url).then(answer => done(answer.status))";
        assert_eq!(run(client, status, &["/missing.json"]).await, 404);
    })
    .await;
}

#[tokio::test]
async fn what_has_changed_is_seen_when_the_page_is_loaded_again() {
    let root = Scratch::new();
    let folder = root.path().to_owned();
    write_old(&folder, "index.html", b"<script src=\"app.js\"></script>");
    write_old(&folder, "app.js", b"document.title = 'old'");
    let server = Server::start_in(root, "http", &[]).await;
    browse(Screen::Light, async |client| {
        let status = "const done = arguments[0]; fetch('app.js').then(answer => answer.text()).then(done)";
        client.goto(&server.url("/")).await.expect("the page loads");
        assert_eq!(client.title().await.expect("it has a title"), "old");
        // Of the same length, and still a year old.
        write_old(&folder, "app.js", b"document.title = 'new'");
        client.refresh().await.expect("it loads again");
        assert_eq!(client.title().await.expect("it has a title"), "new");
        assert_eq!(run(client, status, &[]).await, "document.title = 'new'");
    })
    .await;
}

#[tokio::test]
async fn files_are_what_they_say() {
    let root = Scratch::new();
    let latin1 = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>gr\xfc\xdfe</a>";
    write_old(root.path(), "latin1.xml", latin1);
    write_old(root.path(), "code.ts", b"const answer: number = 42");
    write_old(root.path(), "Makefile", "all: gr\u{fc}\u{df}e".as_bytes());
    // `<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"/>`, by gzip.
    write_old(root.path(), "drawing.svgz", include_bytes!("drawing.svgz"));
    write_old(root.path(), "index.html", b"");
    let server = Server::start_in(root, "http", &[]).await;
    browse(Screen::Light, async |client| {
        for (name, text) in [("code.ts", "const answer: number = 42"), ("Makefile", "all: gr\u{fc}\u{df}e")] {
            client.goto(&server.url(&format!("/{name}"))).await.expect("it is shown rather than saved");
            let shown = run(client, "arguments[0](document.body.innerText)", &[]).await;
            assert_eq!(shown, text, "{name}");
        }
        client.goto(&server.url("/")).await.expect("the page loads");
        let parse = "const [url, done] = arguments; const x = new XMLHttpRequest(); x.open('GET', url); \
                     x.onload = () => done(x.responseXML?.documentElement.textContent ?? x.statusText); x.send()";
        assert_eq!(run(client, parse, &["/latin1.xml"]).await, "gr\u{fc}\u{df}e");
        let draw = "const [url, done] = arguments; const i = new Image(); i.onload = () => done([i.width, i.height]); \
                    i.onerror = () => done('broken'); i.src = url";
        assert_eq!(run(client, draw, &["/drawing.svgz"]).await, json!([30, 20]));
    })
    .await;
}
