//! What the test page and listings look like: on a desktop, in the dark and on phones. The pictures stay in
//! `target/screenshots`.

use std::fs;
use std::path::Path;

use fantoccini::Client;
use serde_json::json;

use crate::browser::{Screen, browse, browse_with};
use crate::listing::{add, fill};
use crate::page::{ENTER, TestPage};
use crate::scratch::Scratch;
use crate::server::Server;

#[tokio::test]
async fn test_page_follows_the_colour_scheme() {
    let server = Server::http().await;
    for (screen, name, expected) in [(Screen::Light, "light", true), (Screen::Dark, "dark", false)] {
        browse(screen, async |client| {
            let page = converse(client, &server).await;
            save(client, name).await;
            let channels = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g)";
            let is_light = page.run(&format!("return {channels}.every(channel => channel > 127)")).await;
            assert_eq!(is_light, expected, "{name}");
        })
        .await;
    }
}

#[tokio::test]
async fn test_page_fits_a_phone() {
    let server = Server::start("http", &["--topic=/chat,publish"]).await;
    for width in [320, 360] {
        browse(Screen::Phone(width), async |client| {
            let page = converse(client, &server).await;
            save(client, &format!("phone-{width}")).await;
            page.fill("message", &format!("{}{ENTER}", "unbroken".repeat(40))).await;
            page.row("received", "binary", "75 6e 62 72 6f 6b 65 6e").await;
            page.click("binary").await;
            page.click("send").await;
            page.row("received", "text", "unbroken").await;
            check_width(&page, width).await;

            page.click("clear").await;
            page.join(&server.url("/chat"), "events").await;
            page.fill("message", &format!("hello{ENTER}")).await;
            page.row("received", "text", "hello").await;
            save(client, &format!("phone-{width}-topic")).await;
            check_width(&page, width).await;
        })
        .await;
    }
}

/// What is too wide for a phone widens the layout beyond the screen, or scrolls sideways.
async fn check_width(page: &TestPage<'_>, width: u32) {
    assert_eq!(page.run("return innerWidth").await, width);
    let scrolls = "[document.documentElement, document.getElementById('log')].map(e => e.scrollWidth - e.clientWidth)";
    assert_eq!(page.run(&format!("return {scrolls}")).await, json!([0, 0]));
}

#[tokio::test]
async fn listings_follow_the_colour_scheme_and_fit_a_phone() {
    let root = Scratch::new();
    let folder = root.path().join("projects/website");
    fill(&folder);
    add(&folder, &format!("{}.tar.zst", ["a", "name", "without", "any", "space"].repeat(4).join("-")), 48_000_000_000);
    add(&folder, "<img src=x onerror=alert(1)>.txt", 42);
    add(&folder, "smörgås & räksallad.pdf", 245_760);
    let server = Server::start_in(root, "http", &[]).await;
    let screens = [
        (Screen::Light, "light", true),
        (Screen::Dark, "dark", false),
        (Screen::Phone(360), "phone-360", true),
        (Screen::Phone(320), "phone-320", true),
    ];
    for (screen, name, is_light) in screens {
        browse(screen, async |client| {
            client.set_window_size(900, 670).await.expect("the window can be resized");
            client.goto(&server.url("/projects/website/?sort=size&order=desc")).await.expect("the listing loads");
            save(client, &format!("listing-{name}")).await;
            let measured = client
                .execute(
                    "const colours = getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g);
                     const page = document.documentElement;
                     return [colours.every(channel => channel > 127), page.scrollWidth - page.clientWidth, innerWidth]",
                    vec![],
                )
                .await
                .expect("the page can be measured");
            let width = if let Screen::Phone(width) = screen { json!(width) } else { measured[2].clone() };
            assert_eq!(measured, json!([is_light, 0, width]), "{name}");
        })
        .await;
    }
}

/// Two pages, and two ways to talk.
#[tokio::test]
async fn pages_talk_through_a_topic() {
    let root = Scratch::new();
    let frames = "<!doctype html><meta charset=\"utf-8\"><title>Two pages</title>\
                  <style>body { margin: 0; display: flex } iframe { flex: 1; height: 100vh; border: 0 }</style>\
                  <iframe src=\"/test.html\"></iframe><iframe src=\"/test.html\"></iframe>";
    fs::write(root.path().join("index.html"), frames).expect("the scratch directory is writable");
    let server = Server::start_in(root, "http", &["--topic=/chat,publish"]).await;
    // The address that the README's command has.
    let address = format!("--host-resolver-rules=MAP localhost:8000 {}", server.authority());
    for (screen, name) in [(Screen::Light, "topic-light"), (Screen::Dark, "topic-dark")] {
        browse_with(screen, std::slice::from_ref(&address), async |client| {
            client.set_window_size(1040, 1130).await.expect("the window can be resized");
            client.goto("http://localhost:8000/").await.expect("the pages load");
            for (frame, transport) in [(0, "websocket"), (1, "events")] {
                TestPage::framed(client, frame).await.join("ws://localhost:8000/chat", transport).await;
            }
            let said = [(0, "hello from a WebSocket"), (1, "and hello by POST")];
            for (frame, text) in said {
                TestPage::framed(client, frame).await.fill("message", &format!("{text}{ENTER}")).await;
                for frame in [0, 1] {
                    TestPage::framed(client, frame).await.row("received", "text", text).await;
                }
            }
            for frame in [0, 1] {
                let page = TestPage::framed(client, frame).await;
                let rows = "document.querySelectorAll('#log [data-direction=received] .payload')";
                let received = page.run(&format!("return Array.from({rows}, row => row.innerText)")).await;
                assert_eq!(received, json!(said.map(|(_, text)| text)), "{name}, frame {frame}");
            }
            client.enter_parent_frame().await.expect("there is always one");
            save(client, name).await;
        })
        .await;
    }
}

/// A short conversation with every kind of row.
async fn converse<'a>(client: &'a Client, server: &Server) -> TestPage<'a> {
    let page = TestPage::connected(client, server).await;
    page.fill("message", &format!("hello{ENTER}")).await;
    page.row("received", "text", "hello").await;
    page.click("binary").await;
    page.fill("message", &format!("the same, as bytes: grüße{ENTER}")).await;
    page.row("received", "binary", "74 68 65 20").await;
    page
}

pub(crate) async fn save(client: &Client, name: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
    fs::create_dir_all(&folder).expect("the target directory is writable");
    let png = client.screenshot().await.expect("the browser takes a picture");
    fs::write(folder.join(format!("{name}.png")), png).expect("the target directory is writable");
}
