//! Topics by `/rikki.js`: the server is killed, the network goes away, pages are hidden, and nobody misses a message
//! without being told.

use std::env;
use std::fs;
use std::time::Duration;

use fantoccini::Client;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use crate::browser::{self, Screen, browse, devtools};
use crate::proxy::Proxy;
use crate::scratch::Scratch;
use crate::server::Server;
use crate::topics::publish;

/// How long anything here may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// How often the server is killed, unless `RIKKI_JS_KILLS` says so.
const KILLS: usize = 50;

/// A folder with the page, at `/`.
fn folder() -> Scratch {
    let root = Scratch::new();
    fs::write(root.path().join("index.html"), include_str!("rikki_js.html"))
        .expect("the scratch directory is writable");
    root
}

async fn start(flags: &[&str]) -> Server {
    Server::start_in(folder(), "http", flags).await
}

/// The page.
struct Page<'a>(&'a Client);

impl<'a> Page<'a> {
    async fn open(client: &'a Client, url: &str) -> Self {
        client.goto(url).await.expect("the page loads");
        let page = Self(client);
        page.until("window.topics").await;
        page
    }

    async fn run(&self, script: &str) -> Value {
        browser::run(self.0, script).await
    }

    /// Waits until something is true in the page.
    async fn until(&self, condition: &str) {
        let logs = "return Object.entries(window.topics ?? {}).map(([name, { log }]) => [name, log.slice(-20)])";
        browser::until(self.0, &format!("return Boolean({condition})"), logs).await;
    }

    /// What a topic has told of these types, once that is so much.
    async fn told(&self, name: &str, types: &[&str], count: usize) -> Vec<Value> {
        let told = format!("told('{name}', ...{})", json!(types));
        self.until(&format!("{told}.length >= {count}")).await;
        self.run(&format!("return {told}")).await.as_array().expect("a list").clone()
    }
}

async fn say(server: &Server, text: &str) -> Value {
    publish(server.authority(), "text/plain", text.as_bytes()).await
}

/// The numbers that a topic has got, of which `None` stands for a gap.
fn numbers(told: &[Value]) -> Vec<Option<usize>> {
    let number = |told: &Value| told[1].as_str().map(|text| text.trim().parse().expect("a number"));
    told.iter().map(|told| number(told).filter(|_| told[0] == "message")).collect()
}

/// Numbers come in order and once, and what is left out of those that were published is told of by a gap.
#[track_caller]
fn check_all_or_told(name: &str, told: &[Value], published: usize) {
    let (mut next, mut is_told) = (0, false);
    for number in numbers(told) {
        let Some(number) = number else {
            is_told = true;
            continue;
        };
        assert!(number >= next, "{name}: {number} came where {next} was next");
        assert!(number == next || is_told, "{name}: {next} to {number} are missing, and nobody said so");
        (next, is_told) = (number + 1, false);
    }
    assert!(next == published || is_told, "{name}: {next} to {published} are missing at the end");
}

/// The server is killed again and again, with its history, and connections are cut in between: those lose nothing.
#[tokio::test]
async fn kills_and_cuts_are_survived() {
    let kills = env::var("RIKKI_JS_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number"));
    let mut server = start(&["--topic=/chat,publish,history=1000"]).await;
    let proxy = Proxy::start(&server).await;
    browse(Screen::Light, async |client| {
        let page = Page::open(client, &format!("http://{}/", proxy.authority)).await;
        page.run("open('chat', '/chat')").await;
        page.told("chat", &["open"], 1).await;
        let (mut published, mut opened) = (0, 1);
        let mut publish_some = async |server: &Server, count: usize| {
            for _ in 0..count {
                say(server, &published.to_string()).await;
                published += 1;
            }
            published
        };
        for kill in 0..kills {
            publish_some(&server, 2).await;
            // While it is away some are published, which it gets.
            proxy.cut();
            publish_some(&server, 2).await;
            opened += 1;
            let told = page.told("chat", &["open"], opened).await;
            assert_eq!(told.last(), Some(&json!(["open", true])), "{kill}");
            // Some of these it may not get: they go with the server.
            publish_some(&server, 2).await;
            server.crash().await;
            publish_some(&server, 1).await;
            opened += 1;
            let told = page.told("chat", &["open"], opened).await;
            assert_eq!(told.last(), Some(&json!(["open", false])), "{kill}");
        }
        let published = publish_some(&server, 1).await;
        page.until(&format!("topics.chat.log.at(-1)[1] === '{}'", published - 1)).await;
        let told = page.told("chat", &["message", "gap"], 0).await;
        assert_eq!(told.iter().filter(|told| told[0] == "gap").count(), kills, "{told:?}");
        check_all_or_told("chat", &told, published);
        assert_eq!(page.told("chat", &["open"], 0).await.len(), opened);
    })
    .await;
}

/// The module without a browser or a server, where time and chance are a test's.
#[tokio::test]
async fn alone_in_node() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/rikki-topics/src/browser/rikki.js");
    let mut node = Command::new("node");
    node.args(["--test", "rikki_js.test.mjs"]).current_dir(folder).env("RIKKI_JS", module).kill_on_drop(true);
    let output = timeout(DEADLINE, node.output()).await.expect("it ends").expect("Node.js is installed (Debian: npm)");
    let said = String::from_utf8_lossy(&output.stdout);
    // What is left out does not pass.
    let count = include_str!("rikki_js.test.mjs").matches("\ntest(").count();
    assert!(output.status.success() && said.contains(&format!("# pass {count}\n")), "{said}");
}

/// Whether the network is there, as the browser has it.
async fn offline(client: &Client, offline: bool) {
    let conditions = json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
    devtools(client, "Network.enable", json!({})).await;
    devtools(client, "Network.emulateNetworkConditions", conditions).await;
}

/// Waits that are longer than the test: who comes back has not waited.
const PATIENT: &str = "{ minDelay: 600_000, maxDelay: 600_000, queue: 10 }";

/// When the network is back, and when the page is shown again, nobody waits.
#[tokio::test]
async fn it_is_back_at_once() {
    let server = start(&["--topic=/chat,publish,bytes=4KiB"]).await;
    let proxy = Proxy::start(&server).await;
    browse(Screen::Light, async |client| {
        let page = Page::open(client, &format!("http://{}/", proxy.authority)).await;
        page.run(&format!("open('chat', '/chat', {PATIENT})")).await;
        page.told("chat", &["open"], 1).await;
        say(&server, "0").await;
        page.told("chat", &["message"], 1).await;

        offline(client, true).await;
        let closes = page.told("chat", &["close"], 1).await;
        assert_eq!(closes[0], json!(["close", 1006, "offline", 600_000]));
        for number in 1..=4 {
            say(&server, &number.to_string()).await;
        }
        page.run("topics.chat.send('5')").await;
        offline(client, false).await;
        assert_eq!(page.told("chat", &["open"], 2).await[1], json!(["open", true]));
        let told = page.told("chat", &["message", "gap"], 6).await;
        assert_eq!(numbers(&told), (0..6).map(Some).collect::<Vec<_>>());

        // Beyond what there is.
        offline(client, true).await;
        page.told("chat", &["close"], 2).await;
        for number in 6..=12 {
            say(&server, &format!("{number:1000}")).await;
        }
        offline(client, false).await;
        assert_eq!(page.told("chat", &["open"], 3).await[2], json!(["open", false]));
        page.until("topics.chat.log.at(-1)[1]?.trim?.() === '12'").await;
        let told = page.told("chat", &["message", "gap"], 0).await;
        let first = numbers(&told)[7].expect("a message behind the gap");
        assert!(first > 6, "{first}");
        let expected: Vec<_> = (0..6).map(Some).chain([None]).chain((first..=12).map(Some)).collect();
        assert_eq!(numbers(&told), expected);
    })
    .await;
}

/// A page that is shown again does not wait, whether it was behind another one or was left and gone back to; and two are
/// two.
#[tokio::test]
async fn a_page_that_is_shown_is_back_at_once() {
    let server = start(&["--topic=/chat,publish,presence"]).await;
    let proxy = Proxy::start(&server).await;
    let url = format!("http://{}/", proxy.authority);
    browse(Screen::Light, async |client| {
        let page = Page::open(client, &url).await;
        page.run(&format!("open('chat', '/chat?presence=true', {PATIENT})")).await;
        page.told("chat", &["open"], 1).await;
        let first = client.window().await.expect("there is a window");
        let second = client.new_window(true).await.expect("there can be another").handle;
        client.switch_to_window(second).await.expect("it is there");
        let other = Page::open(client, &url).await;
        other.run("open('chat', '/chat')").await;
        other.told("chat", &["open"], 1).await;
        proxy.cut();
        other.told("chat", &["open"], 2).await;
        // That the hidden page knows that it has lost its connection is to be seen here.
        other.until("localStorage.lostWhileHidden").await;
        say(&server, "0").await;
        assert_eq!(numbers(&other.told("chat", &["message"], 1).await), [Some(0)]);
        client.switch_to_window(first).await.expect("it is there");
        assert_eq!(page.told("chat", &["open"], 2).await[1], json!(["open", true]));
        assert_eq!(numbers(&page.told("chat", &["message", "gap"], 1).await), [Some(0)]);
        page.until("told('chat', 'presence').at(-1)?.[1] === 2").await;

        // It is kept as it is while another page is there.
        page.run("addEventListener('pageshow', ({ persisted }) => window.wasKept = persisted)").await;
        client.goto(&server.url("/test.html")).await.expect("there is another page");
        say(&server, "1").await;
        client.back().await.expect("it goes back");
        page.until("window.wasKept").await;
        assert_eq!(page.told("chat", &["open"], 3).await[2], json!(["open", true]));
        assert_eq!(numbers(&page.told("chat", &["message", "gap"], 2).await), [Some(0), Some(1)]);
        let closes = page.told("chat", &["close"], 2).await;
        assert_eq!(closes[1], json!(["close", 1006, "pagehide", 600_000]));
    })
    .await;
}

/// What a page sends comes as it is and in order, also what it has sent while it was away; and what the server does not
/// take ends it.
#[tokio::test]
async fn what_a_page_sends() {
    let server = start(&["--topic=/chat,publish,bytes=64KiB", "--topic=/news"]).await;
    let proxy = Proxy::start(&server).await;
    browse(Screen::Light, async |client| {
        let page = Page::open(client, &format!("http://{}/", proxy.authority)).await;
        // Before there is a connection, and when there is one.
        page.run(
            "open('chat', '/chat', { queue: 20 }); const { chat } = topics;
             chat.send('gr\u{fc}\u{df}e'); chat.send(new Uint8Array([0, 255])); chat.send('');
             chat.addEventListener('open', () => { chat.send(new Blob(['b'])); chat.send('last') }, { once: true })",
        )
        .await;
        let told = page.told("chat", &["message"], 5).await;
        let data: Vec<_> = told.iter().map(|told| told[1].clone()).collect();
        assert_eq!(json!(data), json!(["gr\u{fc}\u{df}e", [0, 255], "", [98], "last"]));
        proxy.cut();
        page.told("chat", &["open"], 2).await;
        assert_eq!(page.told("chat", &["message"], 0).await.len(), 5);

        // More than the topic takes, and where nobody may: either is final.
        for (name, url, sent, code) in [("chat", "/chat", "'x'.repeat(100_000)", 1009), ("news", "/news", "'x'", 1008)]
        {
            page.run(&format!("topics.{name}?.close(); open('{name}', '{url}')")).await;
            page.told(name, &["open"], 1).await;
            page.run(&format!("topics.{name}.send({sent})")).await;
            let closes = page.told(name, &["close"], 1).await;
            assert_eq!((&closes[0][1], &closes[0][3]), (&json!(code), &Value::Null), "{closes:?}");
            assert_eq!(page.run(&format!("return topics.{name}.readyState")).await, 3);
        }

        // A page that closes while it connects has no connection, and another one may follow.
        page.run("open('brief', '/chat'); topics.brief.close(); topics.brief.connect(); topics.brief.connect()").await;
        page.told("brief", &["open"], 1).await;
        page.run("topics.brief.close(4000)").await;
        page.until("topics.brief.readyState === 3").await;
        let told = page.told("brief", &["open", "close"], 0).await;
        let close = |code: u16, reason, retry: Option<u8>| json!(["close", code, reason, retry]);
        assert_eq!(told, [close(1000, "", Some(0)), json!(["open", null]), close(4000, "", None)]);
    })
    .await;
}
