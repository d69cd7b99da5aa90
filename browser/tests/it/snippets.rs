//! The snippets of docs/topics.md that are for pages, as they stand there but for the port.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fantoccini::{Client, Locator};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::browser::{Screen, browse, run, until};
use crate::page::ENTER;
use crate::scratch::Scratch;
use crate::server::Server;
use crate::topics::publish;

const PAGE: &str = include_str!("../../../docs/topics.md");

/// How long anything here may take.
const DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Where the lines of code end that a chat may take.
const LINES: usize = 30;

/// Those of the languages of pages, with what each says: at once, and when the server was killed, `late` was published,
/// and then `later`. Centrifugo's client gets nothing of what there was when it came back, where something is missing.
const FOR_PAGES: [(&str, &str, &[&str]); 5] = [
    ("websocket", "hello from a WebSocket", &[]),
    ("resuming", "early", &["some are missing here", "late", "later"]),
    ("eventsource", "hello by POST", &["some are missing here", "late", "later"]),
    (
        "module",
        "message hello from a page",
        &["close 1006 false", "open false", "gap null", "message late", "message later"],
    ),
    ("centrifuge-js", "hello from centrifuge-js", &["some are missing here", "later"]),
];

/// Those that others run: curl and Python.
const FOR_OTHERS: [&str; 2] = ["curl", "centrifuge-python"];

fn snippet(name: &str) -> &'static str {
    let snippets = testkit::snippets(PAGE);
    snippets.iter().find(|snippet| snippet.name == name).unwrap_or_else(|| panic!("no snippet {name}")).text
}

/// A file of a package that is installed for these tests.
fn installed(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools").join(path);
    assert!(path.exists(), "{} is not there: `cargo xtask browser` installs it", path.display());
    path
}

/// Waits until the page has said something, and fails with what it has.
async fn until_said(client: &Client, words: &str) {
    let script = format!("return said.includes({})", Value::from(words));
    until(client, &script, "return said").await;
}

#[test]
fn all_are_run() {
    let snippets = testkit::snippets(PAGE);
    let mut names: Vec<_> = snippets.iter().map(|snippet| snippet.name).collect();
    let mut known: Vec<_> = FOR_PAGES.iter().map(|(name, ..)| *name).chain(FOR_OTHERS).chain(["chat"]).collect();
    names.sort_unstable();
    known.sort_unstable();
    assert_eq!(names, known);
    assert!(snippet("chat").lines().count() <= LINES);
}

/// Each in a tab of its own, and all of them come back from a server that was killed.
#[tokio::test]
async fn scripts_say_what_they_should() {
    let root = Scratch::new();
    let mut server = Server::start_in(root, "http", &["--topic=/chat,publish"]).await;
    let centrifuge = installed("centrifuge/node_modules/centrifuge/build/index.mjs");
    fs::copy(centrifuge, server.root().join("centrifuge.mjs")).expect("it can be copied");
    for (name, ..) in FOR_PAGES {
        let script = snippet(name).replace("localhost:8000", server.authority());
        let page = format!(
            "<!doctype html><meta charset=\"utf-8\"><title>{name}</title>\
             <script>const said = []; console.log = (...words) => said.push(words.map(String).join(\" \"))</script>\
             <script type=\"importmap\">{{\"imports\": {{\"centrifuge\": \"/centrifuge.mjs\"}}}}</script>\
             <script type=\"module\">{script}</script>"
        );
        fs::write(server.root().join(format!("{name}.html")), page).expect("the folder is writable");
    }
    browse(Screen::Light, async |client| {
        let mut windows = Vec::new();
        for (name, at_once, _) in FOR_PAGES {
            windows.push(client.window().await.expect("there is a window"));
            client.goto(&server.url(&format!("/{name}.html"))).await.expect("the page loads");
            if at_once == "early" {
                // Until it is there, it cannot hear it.
                while run(client, "return said.length").await == 0 {
                    publish(server.authority(), "text/plain", b"early").await;
                }
            }
            until_said(client, at_once).await;
            let next = client.new_window(true).await.expect("there can be another").handle;
            client.switch_to_window(next).await.expect("it is there");
        }
        server.crash().await;
        publish(server.authority(), "text/plain", b"late").await;
        for (window, (_, _, behind)) in windows.into_iter().zip(FOR_PAGES) {
            client.switch_to_window(window).await.expect("it is there");
            for words in behind {
                // Who has said that something is missing is there again.
                if words.ends_with("later") {
                    publish(server.authority(), "text/plain", b"later").await;
                }
                until_said(client, words).await;
            }
        }
    })
    .await;
}

/// Waits for a line of the chat.
async fn line(client: &Client, text: &str) {
    let xpath = format!("//*[@id='log']/li[.='{text}']");
    let found = client.wait().at_most(DEADLINE).every(POLL).for_element(Locator::XPath(&xpath)).await;
    if let Err(error) = found {
        let page = client.find(Locator::Css("body")).await.expect("it is there").text().await;
        panic!("{xpath}: {error}; there is {page:?}");
    }
}

async fn say(client: &Client, text: &str) {
    let field = client.find(Locator::Id("text")).await.expect("it is there");
    field.send_keys(&format!("{text}{ENTER}")).await.expect("it can be written in");
}

/// Two tabs talk, while the server is there and behind its end.
#[tokio::test]
async fn the_chat_is_one() {
    let root = Scratch::new();
    fs::write(root.path().join("index.html"), snippet("chat")).expect("the folder is writable");
    let mut server = Server::start_in(root, "http", &["--topic=/chat,publish"]).await;
    browse(Screen::Light, async |client| {
        client.goto(&server.url("/")).await.expect("the page loads");
        say(client, "Is <b>anybody</b> here?").await;
        line(client, "Is <b>anybody</b> here?").await;
        let one = client.window().await.expect("there is a window");
        let other = client.new_window(true).await.expect("there can be another").handle;
        client.switch_to_window(other.clone()).await.expect("it is there");
        client.goto(&server.url("/")).await.expect("the page loads");
        line(client, "Is <b>anybody</b> here?").await;
        say(client, "I am.").await;
        client.switch_to_window(one.clone()).await.expect("it is there");
        line(client, "I am.").await;
        let count = client.find_all(Locator::Css("#log li")).await.expect("it is there").len();
        assert_eq!(count, 2);
        server.kill().await;
        client
            .wait()
            .at_most(DEADLINE)
            .every(POLL)
            .for_element(Locator::XPath("//*[@id='state'][.='Away']"))
            .await
            .expect("it says that it is away");
        say(client, "Still there?").await;
        server.start_again().await;
        line(client, "(Some messages are missing here.)").await;
        line(client, "Still there?").await;
        client.switch_to_window(other).await.expect("it is there");
        line(client, "(Some messages are missing here.)").await;
        line(client, "Still there?").await;
    })
    .await;
}

/// The types are those of the module, by TypeScript.
#[tokio::test]
async fn types_are_what_there_is() {
    let folder = Scratch::new();
    for (name, text) in [
        ("rikki.js", include_str!("../../../crates/rikki-topics/src/browser/rikki.js")),
        ("rikki.d.ts", include_str!("../../../crates/rikki-topics/src/browser/rikki.d.ts")),
        ("use.ts", include_str!("rikki_js.types.ts")),
        (
            "tsconfig.json",
            r#"{"compilerOptions": {"noEmit": true, "strict": true, "target": "es2022", "module": "es2022",
                "moduleResolution": "bundler", "lib": ["es2022", "dom"], "types": [],
                "paths": {"/rikki.js": ["./rikki.d.ts"]}}, "files": ["use.ts"]}"#,
        ),
    ] {
        fs::write(folder.path().join(name), text).expect("the folder is writable");
    }
    let mut node = Command::new("node");
    node.arg(installed("typescript/node_modules/typescript/bin/tsc")).current_dir(folder.path()).kill_on_drop(true);
    let output = timeout(DEADLINE, node.output()).await.expect("it ends").expect("Node.js is installed (Debian: npm)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
