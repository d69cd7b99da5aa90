//! A conversation on the test page, and what it says when something goes wrong.

use crate::browser::{Screen, browse};
use crate::page::{ENTER, TestPage};
use crate::server::Server;

#[tokio::test]
async fn conversation_over_ws() {
    let server = Server::http().await;
    converse(&server, "ws://").await;
}

#[tokio::test]
async fn conversation_over_wss() {
    let server = Server::https().await;
    converse(&server, "wss://").await;
}

async fn converse(server: &Server, scheme: &str) {
    browse(Screen::Light, async |client| {
        let page = TestPage::open(client, server).await;
        let url = page.field("url").await.prop("value").await.expect("#url has a value").expect("it is filled in");
        assert!(url.starts_with(scheme) && url.ends_with("/websocket"), "{url}");
        page.click("connect").await;
        page.wait_for_state("Connected").await;

        page.fill("message", &format!("hello{ENTER}")).await;
        page.row("sent", "text", "hello").await;
        let row = page.row("received", "text", "hello").await;
        assert!(row.contains("5 B"), "{row}");

        page.choose("format", "utf8").await;
        page.click("send").await;
        page.row("sent", "binary", "68 65 6c 6c 6f").await;
        let row = page.row("received", "binary", "68 65 6c 6c 6f").await;
        assert!(row.contains("5 B"), "{row}");

        page.click("connect").await;
        page.closed("1000 (Normal Closure), no reason, clean").await;
    })
    .await;
}

#[tokio::test]
async fn negotiated_subprotocol_is_shown() {
    let server = Server::start("http", &["--subprotocol", "chat"]).await;
    browse(Screen::Light, async |client| {
        let page = TestPage::open(client, &server).await;
        page.options().await;
        page.fill("subprotocol", "superchat, chat").await;
        page.click("connect").await;
        page.wait_for_state("Connected").await;
        let shown = page.field("state").await.text().await.expect("it has a text");
        assert_eq!(shown, "Connected, subprotocol: chat");
    })
    .await;
}

#[tokio::test]
async fn messages_are_shown_as_they_are() {
    let server = Server::http().await;
    browse(Screen::Light, async |client| {
        let page = TestPage::connected(client, &server).await;
        for message in ["<b>x</b>", "<img src=x onerror=alert(1)>", "&lt;", "grüße →"] {
            page.fill("message", message).await;
            page.click("send").await;
            let row = page.row("received", "text", message).await;
            assert!(row.contains(&format!("{} B", message.len())), "{row}");
        }
        page.fill("message", "").await;
        page.click("send").await;
        page.row("received", "text", "").await;
        // The page's own policy refuses markup from a string, whoever writes it.
        let script = "try { document.body.innerHTML = ''; return 'done' } catch (error) { return error.name }";
        assert_eq!(page.run(script).await, "TypeError");
    })
    .await;
}

#[tokio::test]
async fn log_is_bounded_and_says_so() {
    let server = Server::http().await;
    browse(Screen::Light, async |client| {
        let page = TestPage::connected(client, &server).await;
        page.fill("times", "600").await;
        page.click("send").await;
        page.fact("counters", "received 600").await;
        page.run("document.getElementById('message').value = 'x'.repeat(5000)").await;
        page.fill("times", "1").await;
        page.click("send").await;
        let row = page.row("received", "text", "904 more characters").await;
        assert!(row.contains("5000 B"), "{row}");
        page.fact("kept", "1,000 kept, 204 dropped").await;
        // They are filled in when there is time.
        page.wait_for("//*[@id='log'][count(*)=1000]").await;
    })
    .await;
}

/// The URLs of topics can be picked, and are spoken with as WebSockets or by events and POST.
#[tokio::test]
async fn topics_by_websocket_and_by_events() {
    let server = Server::start("http", &["--topic=/chat,publish", "--topic=/news"]).await;
    browse(Screen::Light, async |client| {
        let page = TestPage::open(client, &server).await;
        let url = page.field("url").await.prop("value").await.expect("#url has a value").expect("it is filled in");
        let offered = page.run("return Array.from(document.getElementById('url').list.options, topic => topic.value)");
        let [chat, news] = ["chat", "news"].map(|name| url.replace("websocket", name));
        assert_eq!(offered.await, serde_json::json!([chat, news]));

        page.fill("url", &format!("{chat}{ENTER}")).await;
        page.wait_for_state("Connected").await;
        page.fill("message", &format!("by WebSocket{ENTER}")).await;
        page.row("received", "text", "by WebSocket").await;

        page.choose("transport", "events").await;
        page.fill("url", &format!("{chat}?last=1{ENTER}")).await;
        page.row("info", "", "server-sent events").await;
        page.wait_for_state("Connected").await;
        page.fill("message", &format!("by POST{ENTER}")).await;
        page.row("sent", "text", "by POST").await;
        let row = page.row("received", "text", "by POST").await;
        // Behind the epoch, of 16 letters.
        assert!(row.contains("7 B") && row.contains(":2"), "the id is shown: {row}");
        // The event may come before the answer.
        let order = "return Array.from(document.querySelectorAll('#log > *'), row => row.dataset.direction).slice(-2)";
        assert_eq!(page.run(order).await, serde_json::json!(["sent", "received"]));
        page.choose("format", "utf8").await;
        page.fill("message", &format!("\u{e9}{ENTER}")).await;
        page.row("received", "binary", "c3 a9").await;
        page.click("connect").await;
        page.wait_for_state("Closed").await;

        page.fill("url", &format!("{news}{ENTER}")).await;
        page.wait_for_state("Connected").await;
        page.click("send").await;
        page.row("error", "", "Not published, 403: publishing is not allowed here").await;
        page.fill("url", &format!("{}{ENTER}", url.replace("websocket", "none"))).await;
        page.row(
            "error",
            "",
            "Refused: wrong path, the server has nothing at /none (404); try /websocket, /chat, /news",
        )
        .await;
        page.wait_for_state("Closed").await;
        page.choose("transport", "websocket").await;
        page.fill("url", &format!("{url}{ENTER}")).await;
        page.wait_for_state("Connected").await;
    })
    .await;
}

/// Enter goes on with what comes next, and disconnects nobody who did not ask for that.
#[tokio::test]
async fn enter_never_disconnects_by_the_way() {
    let server = Server::start("http", &["--subprotocol", "chat"]).await;
    browse(Screen::Light, async |client| {
        let page = TestPage::connected(client, &server).await;
        // Connect was clicked: a message can be typed and sent.
        page.press(&format!("typed at once{ENTER}")).await;
        page.row("received", "text", "typed at once").await;

        // Another URL is connected to, the same one not again.
        let rows = page.rows().await;
        page.field("url").await.send_keys(&ENTER.to_string()).await.expect("#url takes keys");
        assert_eq!((page.rows().await, page.run("return socket.readyState").await), (rows, 1.into()));
        page.field("url").await.send_keys(&format!("?again{ENTER}")).await.expect("#url takes keys");
        page.row("info", "", "/websocket?again").await;
        page.row("info", "", "Closed with code 1000").await;
        page.wait_for_state("Connected").await;
        page.options().await;
        page.field("subprotocol").await.send_keys(&format!("chat{ENTER}")).await.expect("#subprotocol takes keys");
        page.row("info", "", "subprotocol: chat").await;
        page.wait_for_state("Connected").await;
        page.press(&format!("over the third{ENTER}")).await;
        page.row("received", "text", "over the third").await;

        // One that cannot be is an error, and the connection stays.
        page.fill("url", &format!(" {ENTER}")).await;
        page.row("error", "", "URL is empty").await;
        page.wait_for_state("Connected").await;
        page.click("connect").await;
        page.wait_for_state("Closed").await;
    })
    .await;
}

#[tokio::test]
async fn stopping_the_server_closes_with_1001() {
    let mut server = Server::http().await;
    browse(Screen::Light, async |client| {
        let page = TestPage::connected(client, &server).await;
        server.terminate().await;
        page.closed("1001 (Going Away)").await;
    })
    .await;
    assert!(server.exit_status().await.success());
}

#[tokio::test]
async fn mistakes_become_error_rows() {
    let server = Server::http().await;
    browse(Screen::Light, async |client| {
        let page = TestPage::open(client, &server).await;
        page.click("send").await;
        page.row("error", "", "Not connected").await;

        for (id, wrong, part) in [
            ("url", "ws://[", "invalid"),
            ("url", " ", "URL is empty"),
            ("subprotocol", "bad protocol", "bad protocol"),
        ] {
            let right = page.field(id).await.prop("value").await.expect("the field has a value").unwrap_or_default();
            page.options().await;
            page.fill(id, wrong).await;
            page.click("connect").await;
            page.row("error", "", part).await;
            page.wait_for_state("Closed").await;
            page.fill(id, &right).await;
        }

        // A path without an endpoint: the handshake fails, and the page says so instead of waiting.
        page.fill("url", &server.url("/rest").replacen("http", "ws", 1)).await;
        page.click("connect").await;
        page.closed("1006 (Abnormal Closure)").await;
        page.row("error", "", "Connection failed: wrong path, /rest answers HTTP (200) and has no WebSocket").await;

        page.click("clear").await;
        assert_eq!(page.rows().await, 0);
    })
    .await;
}
