//! What somebody who tests does with the test page, by keyboard alone.

use std::fs;

use fantoccini::Client;
use serde_json::{Value, json};

use crate::browser::{Screen, browse};
use crate::page::{CONTROL, DOWN, ENTER, RELEASE, SHIFT, SPACE, TAB, TestPage, UP};
use crate::scratch::Scratch;
use crate::server::Server;

#[tokio::test]
async fn keyboard_alone_is_enough() {
    let server = Server::http().await;
    browse(Screen::Light, async |client| {
        let page = TestPage::open(client, &server).await;
        page.tab_to("url").await;
        page.press(&ENTER.to_string()).await;
        page.wait_for_state("Connected").await;
        // From the first field on, in the order in which they are seen.
        page.field("url").await.send_keys(&TAB.to_string()).await.expect("#url takes keys");
        for id in [
            "more", "connect", "filter", "pretty", "pause", "copy", "save", "clear", "log", "message", "format",
            "times", "send",
        ] {
            assert_eq!(page.run("return document.activeElement.id").await, id);
            page.press(&TAB.to_string()).await;
        }
        page.fill("message", &format!("one{SHIFT}{ENTER}{RELEASE}two{ENTER}")).await;
        let row = page.row("received", "text", "two").await;
        assert!(row.contains("7 B") && row.contains("one"), "{row}");
    })
    .await;
}

/// A link fills in, and neither connects nor sends; nobody may frame the page and have it clicked.
#[tokio::test]
async fn a_link_fills_in_and_does_nothing_else() {
    let server = Server::http().await;
    browse(Screen::Light, async |client| {
        let url = format!("ws://{}/websocket?from=link", server.authority());
        let link = server.url("/test.html?url=")
            + &url.replace('?', "%3F")
            + "&send=%3Cb%3Ehello&subprotocols=a,b&format=utf8";
        let page = TestPage::at(client, &link).await;
        page.options().await;
        for (id, value) in [("url", &*url), ("message", "<b>hello"), ("subprotocol", "a,b"), ("format", "utf8")] {
            let shown = page.field(id).await.prop("value").await.expect("the field has a value");
            assert_eq!(shown.as_deref(), Some(value), "#{id}");
        }
        page.wait_for_state("Closed").await;
        assert_eq!(page.run("return socket").await, Value::Null);
        page.fill("subprotocol", "").await;
        page.tab_to("connect").await;
        page.press(&ENTER.to_string()).await;
        page.wait_for_state("Connected").await;
        assert_eq!(page.run("return counters.sent").await, 0);
        page.tab_to("send").await;
        page.press(&ENTER.to_string()).await;
        page.row("received", "binary", "3c 62 3e 68 65 6c 6c 6f").await;
        // The same link can be made, and is what the next one has.
        let made = page.run("return link()").await;
        let again = TestPage::at(client, made.as_str().expect("a URL")).await;
        let [url, message] = ["url", "message"].map(|id| format!("return document.getElementById('{id}').value"));
        assert_eq!(
            (again.run(&url).await, again.run(&message).await),
            (json!(format!("ws://{}/websocket?from=link", server.authority())), json!("<b>hello"))
        );
        // What was connected to last is there without a link too.
        let plain = TestPage::open(client, &server).await;
        assert_eq!(plain.run(&url).await, json!(format!("ws://{}/websocket?from=link", server.authority())));
    })
    .await;
}

#[tokio::test]
async fn no_page_may_frame_it() {
    let root = Scratch::new();
    fs::write(root.path().join("frame.html"), "<!doctype html><iframe src=\"/test.html\"></iframe>")
        .expect("it is writable");
    let server = Server::start_in(root, "http", &[]).await;
    browse(Screen::Light, async |client| {
        client.goto(&server.url("/frame.html")).await.expect("the page loads");
        client.enter_frame(0).await.expect("there is a frame");
        let shown =
            client.execute("return [location.protocol, document.querySelectorAll('#url').length]", vec![]).await;
        assert_eq!(shown.expect("a page that says what was refused"), json!(["chrome-error:", 0]));
    })
    .await;
}

#[tokio::test]
async fn what_was_sent_comes_back_by_up() {
    let server = Server::http().await;
    browse(Screen::Light, async |client| {
        let page = TestPage::connected(client, &server).await;
        for text in ["first", "second", "third"] {
            page.press(&format!("{text}{ENTER}")).await;
            page.row("received", "text", text).await;
        }
        let value = "return document.getElementById('message').value";
        for (keys, expected) in [(UP, "second"), (UP, "first"), (UP, "first"), (DOWN, "second"), (DOWN, "third")] {
            page.press(&keys.to_string()).await;
            assert_eq!(page.run(value).await, expected);
        }
        // What is being typed is not lost.
        page.fill("message", "draft").await;
        page.press(&UP.to_string()).await;
        assert_eq!(page.run(value).await, "third");
        page.press(&DOWN.to_string()).await;
        assert_eq!(page.run(value).await, "draft");
    })
    .await;
}

#[tokio::test]
async fn bytes_from_hex_and_from_a_file() {
    let server = Server::http().await;
    let files = Scratch::new();
    let path = files.path().join("bytes.bin");
    fs::write(&path, [0, 255, 10, 13, 128]).expect("the scratch directory is writable");
    browse(Screen::Light, async |client| {
        let page = TestPage::connected(client, &server).await;
        page.tab_to("format").await;
        page.press("Binary, from h").await;
        for (hex, bytes) in
            [("00 ff", "00 ff"), ("0x01, 0x02", "01 02"), ("de:ad:be:ef", "de ad be ef"), ("cafe", "ca fe")]
        {
            page.fill("message", &format!("{hex}{ENTER}")).await;
            page.row("received", "binary", bytes).await;
        }
        page.fill("message", &format!("0g{ENTER}")).await;
        page.row("error", "", "\"g\" is no hex digit").await;
        page.fill("message", &format!("abc{ENTER}")).await;
        page.row("error", "", "\"abc\" has an odd number of hex digits").await;

        page.tab_to("format").await;
        page.press("Binary, from a").await;
        page.tab_to("send").await;
        page.press(&ENTER.to_string()).await;
        page.row("error", "", "no file is chosen").await;
        page.field("file").await.send_keys(&path.display().to_string()).await.expect("it takes a path");
        page.tab_to("send").await;
        page.press(&ENTER.to_string()).await;
        let row = page.row("received", "binary", "00 ff 0a 0d 80").await;
        assert!(row.contains("5 B"), "{row}");
    })
    .await;
}

#[tokio::test]
async fn json_is_laid_out_and_the_log_filtered_paused_copied_and_saved() {
    let server = Server::http().await;
    browse(Screen::Light, async |client| {
        let page = TestPage::connected(client, &server).await;
        // A parser would make another number of it.
        let json = r#"{"id":12345678901234567890,"list":[1,{"a":"x{,}\"y"}],"none":{}}"#;
        page.fill("message", &format!("{json}{ENTER}")).await;
        page.row("received", "text", json).await;
        page.tab_to("pretty").await;
        page.press(&SPACE.to_string()).await;
        let laid_out = "return document.querySelector('[data-direction=received] .payload').textContent";
        let expected = "{\n  \"id\": 12345678901234567890,\n  \"list\": [\n    1,\n    {\n      \"a\": \"x{,}\\\"y\"\n    }\n  ],\n  \"none\": {}\n}";
        assert_eq!(page.run(laid_out).await, expected);

        page.fill("message", &format!("needle{ENTER}")).await;
        page.row("received", "text", "needle").await;
        page.tab_to("filter").await;
        page.press("NEEDLE").await;
        page.fact("kept", "2 found").await;
        assert_eq!(page.rows().await, 2);

        page.tab_to("copy").await;
        page.press(&ENTER.to_string()).await;
        page.run("document.getElementById('filter').value = ''; redraw()").await;
        page.row("info", "", "Log copied").await;
        page.fill("message", &format!("{CONTROL}v{RELEASE}")).await;
        let pasted = page.run("return document.getElementById('message').value").await;
        let pasted = pasted.as_str().expect("a text");
        let lines: Vec<_> = pasted.lines().collect();
        assert!(lines.len() == 2 && lines[0].contains("\tsent\ttext\t6 B\tneedle") && lines[1].contains("\treceived\ttext\t6 B\t"), "{pasted}");

        page.tab_to("pause").await;
        page.press(&ENTER.to_string()).await;
        let before = page.rows().await;
        page.fill("message", &format!("while paused{ENTER}")).await;
        page.fact("kept", "paused, 2 new").await;
        assert_eq!(page.rows().await, before);
        page.tab_to("pause").await;
        page.press(&ENTER.to_string()).await;
        page.row("received", "text", "while paused").await;

        saves(client, &page).await;
    })
    .await;
}

/// What would be downloaded, and under which name.
async fn saves(client: &Client, page: &TestPage<'_>) {
    page.run(
        "const make = URL.createObjectURL;
         URL.createObjectURL = blob => { window.blob = blob; return make(blob) };
         HTMLAnchorElement.prototype.click = function () { window.saved = this.download }",
    )
    .await;
    page.tab_to("save").await;
    page.press(&ENTER.to_string()).await;
    let read = "const done = arguments[0]; window.blob.text().then(text => done([window.saved, text]))";
    let saved = client.execute_async(read, vec![]).await.expect("something is saved");
    let (name, text) = (saved[0].as_str().expect("a name"), saved[1].as_str().expect("a text"));
    assert!(name.starts_with("websocket-") && name.ends_with(".log"), "{name}");
    assert!(text.contains("\treceived\ttext\t12 B\t") && text.ends_with("\twhile paused\n"), "{text}");
}

#[tokio::test]
async fn closes_with_a_code_and_a_reason_and_tells_latency() {
    let server = Server::http().await;
    browse(Screen::Light, async |client| {
        let page = TestPage::connected(client, &server).await;
        page.press(&format!("ping{ENTER}")).await;
        let row = page.row("received", "text", "ping").await;
        assert!(row.contains(" ms"), "{row}");
        page.fact("latency", "mean").await;
        page.fact("counters", "Sent 1 (4 B), received 1 (4 B)").await;

        page.options().await;
        page.fill("close-code", "999").await;
        page.tab_to("connect").await;
        page.press(&ENTER.to_string()).await;
        page.row("error", "", "999").await;
        page.wait_for_state("Connected").await;
        page.fill("close-code", "4321").await;
        page.fill("close-reason", &"x".repeat(124)).await;
        page.tab_to("connect").await;
        page.press(&ENTER.to_string()).await;
        page.row("error", "", "123").await;
        page.fill("close-reason", "seen enough").await;
        page.tab_to("connect").await;
        page.press(&ENTER.to_string()).await;
        // The answer repeats the code alone.
        page.closed("4321, no reason, clean").await;
    })
    .await;
}

/// To what was lost, which is not what is half typed.
#[tokio::test]
async fn comes_back_after_a_crash_and_not_when_told_to_stop() {
    let mut server = Server::http().await;
    browse(Screen::Light, async |client| {
        let page = TestPage::open(client, &server).await;
        page.options().await;
        page.tab_to("reconnect").await;
        page.press(&SPACE.to_string()).await;
        page.tab_to("connect").await;
        page.press(&ENTER.to_string()).await;
        page.wait_for_state("Connected").await;
        page.fill("url", "").await;
        server.crash().await;
        page.row("info", "", "attempt 1").await;
        page.wait_for_state("Connected").await;
        page.fill("message", &format!("there again{ENTER}")).await;
        page.row("received", "text", "there again").await;
        // Closed by whoever reads this: that was all.
        page.tab_to("connect").await;
        page.press(&ENTER.to_string()).await;
        page.wait_for_state("Closed").await;
        let announced = "return kept.filter(entry => entry.payload.startsWith('Connecting again')).length";
        assert_eq!(page.run(announced).await, 1);
    })
    .await;
}

/// A connection that fails is explained as far as the server, or the browser, tells.
#[tokio::test]
async fn a_failure_says_what_went_wrong() {
    let files = Scratch::new();
    let key = files.path().join("jwt.key");
    fs::write(&key, "a key that is thirty-two bytes long").expect("the scratch directory is writable");
    let key = format!("--topic-jwt-key={}", key.display());
    let secure = ["--topic=/members", &key, "--listen=https://127.0.0.1:0", "--tls-self-signed"];
    let mut server = Server::start("http", &secure).await;
    let (plain, secure) = (server.authority().to_owned(), server.next_authority().await);
    browse(Screen::Strict, async |client| {
        let page = TestPage::open(client, &server).await;
        let fails = async |url: &str, why: &str| {
            page.tab_to("url").await;
            page.fill("url", &format!("{url}{ENTER}")).await;
            page.row("error", "", why).await;
            page.wait_for_state("Closed").await;
            page.tab_to("clear").await;
            page.press(&ENTER.to_string()).await;
        };
        // The server's own words, of the page's own origin.
        fails(&format!("ws://{plain}/members"), "Connection failed: the server answers 401: ").await;
        fails(
            &format!("ws://{plain}/nowhere?a=1"),
            "wrong path, the server has nothing at /nowhere (404); try /websocket, /members",
        )
        .await;
        fails(&format!("ws://{plain}/"), "wrong path, / answers HTTP (200) and has no WebSocket").await;
        // Elsewhere on this host.
        fails(&format!("wss://{plain}/websocket"), "this port speaks no TLS: write ws:// in place of wss://").await;
        fails(&format!("wss://{secure}/websocket"), "its certificate is not trusted yet. Open this link").await;
        let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let closed = closed.expect("there is a free port");
        fails(&format!("ws://{closed}/"), &format!("nothing answers at {closed}")).await;
        // Of others the page asks nothing.
        fails("ws://localhost.invalid/", "browsers hide the reason from pages").await;
    })
    .await;
}

/// Where a page has come by TLS, that ws:// is refused is said before it is tried.
#[tokio::test]
async fn a_page_of_https_warns_of_ws() {
    let server = Server::https().await;
    browse(Screen::Light, async |client| {
        let page = TestPage::open(client, &server).await;
        let advice = "A page from https:// may not open ws://";
        page.tab_to("url").await;
        page.fill("url", "ws://example.org/").await;
        page.fact("advice", advice).await;
        page.press(&ENTER.to_string()).await;
        page.row("error", "", advice).await;
        page.wait_for_state("Closed").await;
        page.fill("url", &format!("wss://{}/websocket", server.authority())).await;
        assert_eq!(page.field("advice").await.text().await.expect("it has a text"), "");
        page.press(&ENTER.to_string()).await;
        page.wait_for_state("Connected").await;
    })
    .await;
}

/// A topic is subscribed to, in both ways, with the keyboard alone.
#[tokio::test]
async fn topics_by_keyboard() {
    let server = Server::start("http", &["--topic=/chat,publish"]).await;
    browse(Screen::Light, async |client| {
        let page = TestPage::open(client, &server).await;
        for (transport, said) in [("w", "by WebSocket"), ("s", "by POST")] {
            page.options().await;
            page.tab_to("transport").await;
            page.press(transport).await;
            page.fill("url", &format!("ws://{}/chat{ENTER}", server.authority())).await;
            page.wait_for_state("Connected").await;
            page.tab_to("message").await;
            page.press(&format!("{said}{ENTER}")).await;
            page.row("received", "text", said).await;
        }
    })
    .await;
}
