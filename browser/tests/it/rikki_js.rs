//! Topics by `/rikki.js`: the server is killed, the network goes away, pages are hidden, and nobody misses a message
//! without being told.

use std::env;
use std::fs;
use std::time::Duration;

use fantoccini::Client;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::browser::{Screen, browse};
use crate::proxy::Proxy;
use crate::scratch::Scratch;
use crate::server::Server;
use crate::topics::publish;

/// How long anything here may take.
const DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

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
        self.0.execute(script, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until something is true in the page.
    async fn until(&self, condition: &str) {
        let script = format!("return Boolean({condition})");
        let wait = async {
            while self.run(&script).await != true {
                sleep(POLL).await;
            }
        };
        if timeout(DEADLINE, wait).await.is_err() {
            let logs = "return Object.entries(window.topics ?? {}).map(([name, { log }]) => [name, log.slice(-20)])";
            panic!("{condition}: {}", self.run(logs).await);
        }
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
    let number = |told: &Value| told[1].as_str().map(|text| text.parse().expect("a number"));
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
