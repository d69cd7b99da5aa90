//! What the test page does between its states: connections that are given up, lost or replaced, what it asks to explain
//! them, and what is looked at while more comes.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::browser::{Screen, browse, browse_with};
use crate::page::{ENTER, TestPage};
use crate::server::Server;

/// Whoever gives a connection up knows why it has failed; and whoever is filling in options keeps them.
#[tokio::test]
async fn what_is_given_up_is_not_explained() {
    let server = Server::http().await;
    let (silent, _listener) = listen().await;
    browse(Screen::Light, async |client| {
        let page = TestPage::open(client, &server).await;
        page.run(
            "window.asked = 0; const ask = window.fetch; window.fetch = (...all) => { asked += 1; return ask(...all) }",
        )
        .await;
        let url = page.run("return document.getElementById('url').value").await;
        page.fill("url", &format!("ws://{silent}/{ENTER}")).await;
        page.wait_for_state("Connecting").await;
        page.tab_to("connect").await;
        page.press(&ENTER.to_string()).await;
        page.closed("1006").await;
        // By another connection, too.
        page.fill("url", &format!("ws://{silent}/again{ENTER}")).await;
        page.wait_for_state("Connecting").await;
        page.fill("url", &format!("{}{ENTER}", url.as_str().expect("a URL"))).await;
        page.wait_for_state("Connected").await;
        page.wait_for("//*[@id='log'][count(*[contains(., 'Closed with code 1006')])=2]").await;
        assert_eq!(page.run("return asked").await, 0);

        page.options().await;
        page.tab_to("close-reason").await;
        page.run("show('Connecting'); show('Connected')").await;
        assert_eq!(page.run("return document.activeElement.id").await, "close-reason");
    })
    .await;
}

/// Other ports of this host are asked whether they answer, and for nothing else: a token of a URL for TLS must not go
/// without.
#[tokio::test]
async fn other_ports_are_asked_without_what_the_url_says() {
    let server = Server::http().await;
    let other = Server::http().await;
    let secure = Server::https().await;
    let (plain, listener) = listen().await;
    let asked = tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.expect("it listens");
            let mut request = vec![0; 4096];
            let length = client.read(&mut request).await.unwrap_or(0);
            // Whatever is no HTTP begins TLS.
            if let Some(line) = String::from_utf8_lossy(&request[..length]).lines().find(|line| line.starts_with("GET"))
            {
                let _ = client.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
                return line.to_owned();
            }
        }
    });
    browse(Screen::Light, async |client| {
        let page = TestPage::open(client, &server).await;
        for (url, why) in [
            (
                format!("ws://{}/none", other.authority()),
                "the server there speaks HTTP: the path may be wrong, or pages of http://127.0.0.1",
            ),
            (
                format!("wss://{}/websocket", other.authority()),
                "this port speaks no TLS: write ws:// in place of wss://",
            ),
            (format!("ws://{}/websocket", secure.authority()), "this port speaks TLS: write wss:// in place of ws://"),
            (format!("wss://user:pass@{plain}/chat?token=secret"), "this port speaks no TLS"),
        ] {
            page.fill("url", &format!("{url}{ENTER}")).await;
            page.row("error", "", why).await;
            page.wait_for_state("Closed").await;
            page.click("clear").await;
        }
    })
    .await;
    assert_eq!(asked.await.expect("it is asked"), "GET / HTTP/1.1");
}

/// What is no URL of a WebSocket is an error, or is made one by the browser; nothing of it is ever run.
#[tokio::test]
async fn urls_in_every_form() {
    let server = Server::https().await;
    let plain = Server::start("http", &[&format!("--allow-origin={}", server.url(""))]).await;
    browse(Screen::Light, async |client| {
        let hostile = "url=javascript:alert(1)&send=%3Cimg%20src=x%20onerror=alert(2)%3E&subprotocols=%22%3E%3Cb%3E&transport=events&format=file";
        let page = TestPage::at(client, &server.url(&format!("/test.html?{hostile}"))).await;
        page.options().await;
        page.fill("subprotocol", "").await;
        let here = server.authority();
        for (url, error) in [
            ("javascript:alert(1)", "scheme"),
            ("data:text/event-stream,data:x", "scheme"),
            ("wss://[", "invalid"),
            (&*format!("wss://{here}/websocket#part"), "fragment"),
        ] {
            page.fill("url", &format!("{url}{ENTER}")).await;
            page.row("error", "", error).await;
            page.wait_for_state("Closed").await;
            page.click("clear").await;
        }
        // From this computer to itself, TLS may be left away.
        let elsewhere = format!("ws://{}/websocket", plain.authority());
        for url in ["/websocket", &server.url("/websocket"), &format!("wss://me:word@{here}/websocket"), &elsewhere] {
            page.fill("url", url).await;
            assert_eq!(page.field("advice").await.text().await.expect("it has a text"), "", "{url}");
            page.press(&ENTER.to_string()).await;
            page.row("info", "", "Connected").await;
            page.wait_for_state("Connected").await;
            page.click("connect").await;
            page.wait_for_state("Closed").await;
            page.click("clear").await;
        }
    })
    .await;
}

/// Events come back by themselves where nothing answers, and why they do not is said once.
#[tokio::test]
async fn events_that_do_not_come_are_explained() {
    let server = Server::start("http", &["--topic=/chat,publish"]).await;
    let (closed, listener) = listen().await;
    drop(listener);
    browse(Screen::Light, async |client| {
        let page = TestPage::open(client, &server).await;
        page.choose("transport", "events").await;
        page.fill("url", &format!("ws://{closed}/chat{ENTER}")).await;
        page.row("error", "", &format!("Not connected yet: nothing answers at {closed}")).await;
        page.wait_for_state("Connecting").await;
        page.run("socket.dispatchEvent(new MessageEvent('binary', { data: 'no base64!' }))").await;
        page.row("error", "", "no base64").await;
    })
    .await;
}

#[tokio::test]
async fn sending_ends_with_its_connection() {
    let server = Server::http().await;
    browse(Screen::Light, async |client| {
        let page = TestPage::connected(client, &server).await;
        // Nothing is taken from the first, ever; the second is there when it has ended.
        let script = "const full = { readyState: 1, bufferedAmount: 2 ** 21, sent: 0, send() { this.sent += 1 } };
             const [before, done] = [socket, arguments[0]];
             document.getElementById('message').value = 'x';
             socket = full;
             const sending = send();
             setTimeout(() => { socket = before; full.readyState = 3 }, 50);
             setTimeout(done, 5000, 'goes on');
             sending.then(() => done(full.sent));";
        assert_eq!(client.execute_async(script, vec![]).await.expect("it runs"), 0);
        // Latency is told by the echoes that come, whatever has had none.
        let script = "awaitEcho('none'); awaitEcho('one'); logMessage('received', 'something else'); logMessage('received', 'one'); return counters.echoes";
        assert_eq!(page.run(script).await, 1);
    })
    .await;
}

/// What is looked at while paused stays, and can be searched, copied and saved, whatever comes.
#[tokio::test]
async fn a_pause_keeps_what_was_there() {
    let server = Server::http().await;
    browse(Screen::Light, async |client| {
        let page = TestPage::connected(client, &server).await;
        page.fill("times", "300").await;
        page.fill("message", &format!("early{ENTER}")).await;
        page.fact("counters", "received 300").await;
        page.tab_to("pause").await;
        page.press(&ENTER.to_string()).await;
        page.fill("times", "2000").await;
        page.fill("message", &format!("late{ENTER}")).await;
        page.fact("counters", "received 2,300").await;
        page.tab_to("filter").await;
        page.press("early").await;
        page.fact("kept", "600 found").await;
        page.wait_for("//*[@id='log'][count(*)=600]").await;
        assert_eq!(page.run("return asText().split('early').length - 1").await, 600);
        page.tab_to("pause").await;
        page.press(&ENTER.to_string()).await;
        page.fact("kept", "0 found").await;
        assert_eq!(page.rows().await, 0);
        // Laid out, it is not much longer than it came.
        let laid_out = "return indented('['.repeat(2048) + ']'.repeat(2048)).length";
        assert!(page.run(laid_out).await.as_u64() < Some(300_000));
    })
    .await;
}

/// Of a long message what is shown is kept, and no more.
#[tokio::test]
async fn long_messages_are_not_kept_whole() {
    let server = Server::http().await;
    let flags = ["--js-flags=--expose-gc", "--enable-precise-memory-info"].map(str::to_owned);
    browse_with(Screen::Light, &flags, async |client| {
        let page = TestPage::open(client, &server).await;
        page.click("pause").await;
        // What is freed is counted a little later: it is looked again, a hundred times at most.
        let script = "const done = arguments[0];
             for (let index = 0; index < 200; index++) logMessage('received', 'x'.repeat(1e6) + index);
             let looks = 0;
             const look = () => {
               gc();
               const used = performance.memory.usedJSHeapSize;
               looks += 1;
               if (used < 20e6 || looks === 100) done(used);
               else setTimeout(look, 50);
             };
             look();";
        let used = client.execute_async(script, vec![]).await.expect("it runs").as_u64().expect("a number");
        assert!(used < 20_000_000, "{used} bytes");
    })
    .await;
}

/// Without TLS there is no clipboard for scripts, but there is one for whoever presses a key.
#[tokio::test]
async fn copies_where_there_is_no_clipboard_api() {
    let server = Server::start("http", &["--allow-host=tester.example"]).await;
    let host = format!("--host-resolver-rules=MAP tester.example:80 {}", server.authority());
    browse_with(Screen::Light, &[host], async |client| {
        let page = TestPage::at(client, "http://tester.example/test.html?url=ws://a.example/&send=hello").await;
        assert_eq!(page.run("return isSecureContext").await, false);
        page.options().await;
        page.tab_to("link").await;
        page.press(&ENTER.to_string()).await;
        page.row("info", "", "Link copied").await;
        assert_eq!(page.run("return document.activeElement.id").await, "link");
        page.fill("filter", "\u{E009}v\u{E000}").await;
        let pasted = page.run("return document.getElementById('filter').value").await;
        assert_eq!(pasted, json!("http://tester.example/test.html?url=ws%3A%2F%2Fa.example%2F&send=hello"));
    })
    .await;
}

/// A port of this host on which nobody speaks.
async fn listen() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    (listener.local_addr().expect("it has an address"), listener)
}
