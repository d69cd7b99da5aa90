//! The page of the library's example of a chat, served by the example: two tabs that talk, and what it looks like. The
//! pictures stay in `target/screenshots`.

use std::time::Duration;

use axum::response::Html;
use axum::routing::{any, get};
use fantoccini::elements::Element;
use fantoccini::{Client, Locator};
use rikki::ws::{CloseCode, Upgrade};
use rikki::{Handle, Server};
use serde_json::{Value, json};

use crate::browser::{Screen, browse};
use crate::page::ENTER;
use crate::screenshots::save;

#[path = "../../../crates/rikki/examples/chat.rs"]
#[allow(dead_code, reason = "it has a `main` of its own")]
mod example;

/// How long a change of a page may take.
const DEADLINE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

async fn start() -> (Handle, String) {
    let server = example::server().expect("its topics have names").listen("http://127.0.0.1:0");
    let handle = server.start().await.expect("it starts");
    let url = format!("http://{}/", handle.local_addrs()[0]);
    (handle, url)
}

async fn field(client: &Client, id: &str) -> Element {
    client.find(Locator::Id(id)).await.unwrap_or_else(|error| panic!("#{id}: {error}"))
}

async fn fill(client: &Client, id: &str, keys: &str) {
    let field = field(client, id).await;
    field.clear().await.unwrap_or_else(|error| panic!("clear #{id}: {error}"));
    field.send_keys(keys).await.unwrap_or_else(|error| panic!("type into #{id}: {error}"));
}

/// Waits for what an XPath finds in the page, and fails with what is there instead.
async fn wait_for(client: &Client, xpath: &str) {
    if let Err(error) = client.wait().at_most(DEADLINE).every(POLL).for_element(Locator::XPath(xpath)).await {
        panic!("{xpath}: {error}; there is {:?}", field(client, "log").await.text().await);
    }
}

/// Enters the room, and waits until the page says who is there.
async fn enter(client: &Client, token: &str, here: &str) {
    fill(client, "token", &format!("{token}{ENTER}")).await;
    wait_for(client, &format!("//*[@id='state'][starts-with(., '{here}')]")).await;
}

async fn say(client: &Client, words: &str) {
    fill(client, "text", &format!("{words}{ENTER}")).await;
}

/// Waits for a line of the log.
async fn line(client: &Client, kind: &str, text: &str) {
    wait_for(client, &format!("//*[@id='log']/li[@class='{kind}'][contains(., '{text}')]")).await;
}

#[tokio::test]
async fn two_tabs_talk_and_look_well() {
    let (handle, url) = start().await;
    let screens = [(Screen::Light, "light"), (Screen::Dark, "dark"), (Screen::Phone(360), "phone-360")];
    for (screen, name) in screens {
        browse(screen, async |client| {
            client.goto(&url).await.expect("the page loads");
            fill(client, "room", name).await;
            enter(client, "nobody", "Not let in").await;
            enter(client, "ada-7c1f", "1 here: Ada").await;
            say(client, "Hello, is anybody here?").await;
            line(client, "own", "Hello, is anybody here?").await;
            let ada = client.window().await.expect("there is a window");

            let grace = client.new_window(true).await.expect("there can be another tab").handle;
            client.switch_to_window(grace.clone()).await.expect("it is there");
            client.goto(&url).await.expect("the page loads");
            fill(client, "room", name).await;
            enter(client, "grace-90b2", "2 here: Ada, Grace").await;
            // From before she came.
            line(client, "said", "Hello, is anybody here?").await;
            say(client, "I am, <b>since</b> just now. ").await;
            say(client, &"unbroken".repeat(20)).await;
            line(client, "own", "unbroken").await;

            client.switch_to_window(ada.clone()).await.expect("it is there");
            line(client, "told", "Grace has come in").await;
            line(client, "said", "I am, <b>since</b> just now.").await;
            line(client, "said", "unbroken").await;
            client.switch_to_window(grace).await.expect("it is there");
            client.close_window().await.expect("it is open");
            client.switch_to_window(ada).await.expect("it is there");
            line(client, "told", "Grace has left").await;
            save(client, &format!("chat-{name}")).await;
            let measure = "const log = document.getElementById('log');
                return [document.documentElement, log].map(element => element.scrollWidth - element.clientWidth)";
            let too_wide: Value = client.execute(measure, vec![]).await.expect("the page can be measured");
            assert_eq!(too_wide, json!([0, 0]), "{name}");
        })
        .await;
    }
    handle.shutdown().await;
}

/// A server that lets nobody stay is not asked again and again: the time between attempts grows until somebody is in the
/// room.
#[tokio::test]
async fn who_is_sent_away_comes_back_ever_later() {
    let page = get(async || Html(include_str!("../../../crates/rikki/examples/chat.html")));
    let room = any(async |upgrade: Upgrade| {
        upgrade.on_upgrade(async |mut socket| {
            socket.send(r#"{"you":"Ada"}"#).await?;
            socket.close_with(CloseCode::TRY_AGAIN_LATER, "full").await
        })
    });
    let server = Server::new().route("/", page).route("/rooms/{room}", room).listen("http://127.0.0.1:0");
    let handle = server.start().await.expect("it starts");
    let url = format!("http://{}/", handle.local_addrs()[0]);
    browse(Screen::Light, async |client| {
        client.goto(&url).await.expect("the page loads");
        // Time is noted and not waited for.
        let clock = "window.waits = [];
            Math.random = () => 1;
            window.setTimeout = (then, wait) => { if (waits.push(wait) < 4) queueMicrotask(then) };";
        client.execute(clock, vec![]).await.expect("the page takes another clock");
        fill(client, "token", &format!("ada-7c1f{ENTER}")).await;
        wait_for(client, "//*[@id='state'][starts-with(., 'Closed with 1013 full')]").await;
        let waits = async || client.execute("return waits", vec![]).await.expect("they are noted");
        let mut noted = waits().await;
        while noted.as_array().is_some_and(|noted| noted.len() < 4) {
            noted = waits().await;
        }
        assert_eq!(noted, json!([1000, 2000, 4000, 8000]));
    })
    .await;
    handle.shutdown().await;
}
