//! Topics as pages have them: an `EventSource` and a `WebSocket` each, which come back when the connection or the
//! server is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, io};

use fantoccini::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::browser::{self, Screen, browse};
use crate::proxy::Proxy;
use crate::scratch::Scratch;
use crate::server::Server;

/// How long anything here may take.
const DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// How often a connection is cut, at least.
const CUTS: usize = 20;

/// A folder with a page that reads topics, at `/`.
fn readers() -> Scratch {
    let root = Scratch::new();
    fs::write(root.path().join("index.html"), include_str!("topics.html")).expect("the scratch directory is writable");
    root
}

/// The command in front of that.
async fn start(flags: &[&str]) -> Server {
    Server::start_in(readers(), "http", flags).await
}

/// A page that reads topics.
struct Readers<'a>(&'a Client);

impl<'a> Readers<'a> {
    async fn open(client: &'a Client, url: &str) -> Self {
        client.goto(url).await.expect("the page loads");
        Self(client)
    }

    /// Runs a script, and returns what it returns.
    async fn run(&self, script: &str) -> Value {
        browser::run(self.0, script).await
    }

    /// What a promise resolves to.
    async fn settle(&self, promise: &str) -> Value {
        let script = format!("const done = arguments[0]; {promise}.then(done, error => done(error.name))");
        self.0.execute_async(&script, vec![]).await.unwrap_or_else(|error| panic!("{promise}: {error}"))
    }

    /// Waits until something is true in the page.
    async fn until(&self, condition: &str) {
        let lengths =
            "return Object.entries(readers).map(([name, { got, told, ends }]) => [name, got.length, told, ends])";
        browser::until(self.0, &format!("return Boolean({condition})"), lengths).await;
    }

    /// What a reader has got once there are so many.
    async fn got(&self, name: &str, count: usize) -> Value {
        self.until(&format!("readers.{name}.got.length >= {count}")).await;
        self.run(&format!("return readers.{name}.got")).await
    }

    /// What a reader was told each time that it began.
    async fn told(&self, name: &str, count: usize) -> Value {
        self.until(&format!("readers.{name}.told.length >= {count}")).await;
        self.run(&format!("return readers.{name}.told")).await
    }
}

/// Publishes by POST; returns where the message is.
pub(crate) async fn publish(authority: &str, media: &str, body: &[u8]) -> Value {
    serde_json::from_str(&post(authority, media, body).await).expect("a position")
}

/// Publishes by POST; returns the answer.
async fn post(authority: &str, media: &str, body: &[u8]) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(authority).await?;
        let head = format!(
            "POST /chat HTTP/1.1\r\nHost: {authority}\r\nContent-Type: {media}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = timeout(DEADLINE, exchange).await.expect("the answer comes in time").expect("the server answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    body.to_owned()
}

/// Whoever publishes, by whatever face, and whoever reads: all get everything, in order.
#[tokio::test]
async fn all_get_everything_in_order() {
    let server = start(&["--topic=/chat,publish"]).await;
    browse(Screen::Light, async |client| {
        let page = Readers::open(client, &server.url("/")).await;
        page.run("events('events', '/chat'); events('enveloped', '/chat?envelope=json'); socket('socket', '/chat')")
            .await;
        for name in ["events", "enveloped", "socket"] {
            page.told(name, 1).await;
        }
        let lines = "one\n\ntwo\r\nthree\rid: 7\n\nevent: binary\ndata: x\n";
        let all: Vec<u8> = (0..=255).collect();
        publish(server.authority(), "text/plain", "gr\u{fc}\u{df}e".as_bytes()).await;
        publish(server.authority(), "text/plain", lines.as_bytes()).await;
        publish(server.authority(), "application/octet-stream", &all).await;
        publish(server.authority(), "text/plain", b"").await;
        assert_eq!(page.settle("publish('/chat', 'by fetch')").await, 200);
        assert_eq!(page.settle("publish('/chat', new Uint8Array([0, 13, 10, 255]))").await, 200);
        page.run("readers.socket.socket.send('by WebSocket\\nin two lines')").await;
        page.run("readers.socket.socket.send(new Uint8Array([1, 2, 3]))").await;

        let all = page.run("return base64(Uint8Array.from({ length: 256 }, (_, index) => index))").await;
        let expected = json!([
            ["text", "gr\u{fc}\u{df}e"],
            ["text", lines],
            ["binary", all],
            ["text", ""],
            ["text", "by fetch"],
            ["binary", "AA0K/w=="],
            ["text", "by WebSocket\nin two lines"],
            ["binary", "AQID"],
        ]);
        assert_eq!(page.got("socket", 8).await, expected);
        let mut by_events = expected.clone();
        // The format has one end of a line.
        by_events[1][1] = json!(lines.replace("\r\n", "\n").replace('\r', "\n"));
        assert_eq!(page.got("events", 8).await, by_events);
        // An envelope has all three.
        page.got("enveloped", 8).await;
        let opened = "return readers.enveloped.got.map(([, text]) => JSON.parse(text)) \
                      .map(said => 'data' in said ? ['text', said.data] : ['binary', said.base64])";
        assert_eq!(page.run(opened).await, expected);
    })
    .await;
}

/// The history is lost with the process, and whoever comes back is told so.
#[tokio::test]
async fn a_crash_is_told_to_who_comes_back() {
    let mut server = start(&["--topic=/chat,publish"]).await;
    browse(Screen::Light, async |client| {
        let page = Readers::open(client, &server.url("/")).await;
        page.run("events('events', '/chat'); resuming('socket', '/chat')").await;
        let readers = ["events", "socket"];
        for name in readers {
            page.told(name, 1).await;
        }
        let before = publish(server.authority(), "text/plain", b"before").await;
        for name in readers {
            assert_eq!(page.got(name, 1).await, json!([["text", "before"]]), "{name}");
        }
        server.crash().await;
        // Of a topic that does not know them yet, or already.
        publish(server.authority(), "text/plain", b"early").await;
        let mut told = Vec::new();
        for name in readers {
            told.push(page.told(name, 2).await);
        }
        let after = publish(server.authority(), "text/plain", b"after").await;
        assert_ne!(before["epoch"], after["epoch"]);
        for (name, told) in readers.into_iter().zip(told) {
            assert_eq!(told[0]["epoch"], before["epoch"], "{name}: {told}");
            assert_eq!(told[0].get("recovered"), None, "{name}: {told}");
            assert_eq!((&told[1]["epoch"], &told[1]["recovered"]), (&after["epoch"], &json!(false)), "{name}: {told}");
            let expected = json!([["text", "before"], ["text", "early"], ["text", "after"]]);
            assert_eq!(page.got(name, 3).await, expected, "{name}");
            // Once.
            assert_eq!(page.told(name, 2).await, told, "{name}");
        }
        assert_eq!(page.run("return readers.socket.ends[0]").await, 1006);
        assert_eq!(page.run("return readers.events.ends[0]").await, "lost");
    })
    .await;
}

/// A text with its number in front, now and then one that takes a while.
fn numbered(number: usize) -> String {
    format!("{number} {}", "x".repeat(if number.is_multiple_of(20) { 20_000 } else { number % 50 }))
}

/// A script that returns what a reader has got of these: number and length.
fn numbers(name: &str, text: &str) -> String {
    format!("return readers.{name}.got.map(([, text]) => {text}).map(text => [parseInt(text), text.length])")
}

/// Publishes until it is told to stop; returns how many.
fn publish_on(server: &Server) -> (Arc<AtomicBool>, JoinHandle<usize>) {
    let (authority, stop) = (server.authority().to_owned(), Arc::new(AtomicBool::new(false)));
    let is_over = stop.clone();
    let task = tokio::spawn(async move {
        let mut pace = interval(Duration::from_millis(2));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut count = 0;
        while !is_over.load(Ordering::Relaxed) {
            pace.tick().await;
            publish(&authority, "text/plain", numbered(count).as_bytes()).await;
            count += 1;
        }
        count
    });
    (stop, task)
}

/// Nothing is lost by that, and nothing comes twice: not to an `EventSource` that comes back by itself, nor to one that
/// takes the place of another, nor to a WebSocket.
#[tokio::test]
async fn connections_may_be_cut() {
    let server = start(&["--topic=/chat,publish,history=100000,bytes=64MiB"]).await;
    let proxy = Proxy::start(&server).await;
    browse(Screen::Light, async |client| {
        let page = Readers::open(client, &format!("http://{}/", proxy.authority)).await;
        page.run("events('patient', '/chat'); events('eager', '/chat', true); resuming('socket', '/chat')").await;
        for name in ["patient", "eager", "socket"] {
            page.told(name, 1).await;
        }
        let (stop, published) = publish_on(&server);
        let mut cuts = 0;
        // A browser waits for two seconds before it comes back.
        while cuts < CUTS || page.run("return readers.patient.told.length").await.as_u64() < Some(3) {
            for name in ["eager", "socket"] {
                // In the middle of what comes.
                page.until(&format!("readers.{name}.told.length === {} && readers.{name}.isGoingOn", cuts + 1)).await;
            }
            proxy.cut();
            cuts += 1;
        }
        for name in ["eager", "socket"] {
            page.told(name, cuts + 1).await;
        }
        stop.store(true, Ordering::Relaxed);
        let count = timeout(DEADLINE, published).await.expect("it stops").expect("all of it was published");
        let expected: Vec<_> = (0..count).map(|number| (number, numbered(number).len())).collect();
        for name in ["patient", "eager", "socket"] {
            page.got(name, count).await;
            let got = page.run(&numbers(name, "text")).await;
            assert!(got == json!(expected), "{name}: {got}");
            let told = page.told(name, 1).await;
            let resumed = told.as_array().expect("it was told").iter().skip(1);
            assert!(resumed.clone().all(|told| told["recovered"] == true), "{name}: {told}");
            assert!(resumed.len() == cuts || name == "patient" && resumed.len() >= 2, "{name}: {told}, {cuts} cuts");
        }
    })
    .await;
}

/// Whether the page has come by this version of HTTP.
async fn check_version(page: &Readers<'_>, expected: &str) {
    assert_eq!(page.run("return performance.getEntriesByType('navigation')[0].nextHopProtocol").await, expected);
}

/// Waits until a server takes no connections any more.
async fn until_refused(authority: &str) {
    let wait = async {
        while TcpStream::connect(authority).await.is_ok() {
            sleep(POLL).await;
        }
    };
    timeout(DEADLINE, wait).await.expect("a drain closes the listeners");
}

/// What was published before a server ends still comes, however much it is: more here than the system holds.
#[tokio::test]
async fn a_drain_loses_nothing() {
    const COUNT: usize = 10_000;
    let texts: Vec<_> = (0..COUNT).map(|number| json!(numbered(number)).to_string()).collect();
    let expected: Vec<_> = (0..COUNT).map(|number| (number, numbered(number).len())).collect();
    for (version, scheme, tls) in [("http/1.1", "http", None), ("h2", "https", Some("--tls-self-signed"))] {
        let flags = ["--topic=/chat,publish,history=10000,bytes=64MiB", "--listen=http://127.0.0.1:0"];
        let mut server = Server::start_in(readers(), scheme, &flags.into_iter().chain(tls).collect::<Vec<_>>()).await;
        let (beside, proxy) = (server.next_authority().await, Proxy::start(&server).await);
        browse(Screen::Light, async |client| {
            let page = Readers::open(client, &format!("{scheme}://{}/", proxy.authority)).await;
            check_version(&page, version).await;
            page.run("events('events', '/chat'); socket('socket', '/chat')").await;
            for name in ["events", "socket"] {
                page.told(name, 1).await;
            }
            proxy.hold(true);
            let answers = post(&beside, "application/x-ndjson", texts.join("\n").as_bytes()).await;
            assert_eq!(answers.matches("\"offset\"").count(), COUNT, "{answers}");
            server.terminate().await;
            until_refused(&beside).await;
            for name in ["events", "socket"] {
                let got = page.run(&format!("return readers.{name}.got.length")).await;
                assert!(got.as_u64() < Some(COUNT as u64 / 2), "{version}, {name}: {got} messages were not held");
            }
            proxy.hold(false);
            for name in ["events", "socket"] {
                page.until(&format!("readers.{name}.ends.length > 0")).await;
                let got = page.run(&numbers(name, "JSON.parse(text)")).await;
                assert!(got == json!(expected), "{version}, {name}: {:?} messages", got.as_array().map(Vec::len));
            }
            assert_eq!(page.run("return readers.socket.ends").await, json!([1001]), "{version}");
            assert_eq!(page.run("return readers.events.ends[0]").await, "lost", "{version}");
        })
        .await;
        assert!(server.exit_status().await.success());
    }
}

/// Over HTTP/1.1 and over HTTP/2, where the answer comes while the body is still being sent.
#[tokio::test]
async fn what_is_too_long_is_told() {
    for (version, scheme, tls) in [("http/1.1", "http", None), ("h2", "https", Some("--tls-self-signed"))] {
        let flags = ["--topic=/chat,publish"].into_iter().chain(tls).collect::<Vec<_>>();
        let server = Server::start_in(readers(), scheme, &flags).await;
        browse(Screen::Light, async |client| {
            let page = Readers::open(client, &server.url("/")).await;
            check_version(&page, version).await;
            for _ in 0..5 {
                assert_eq!(page.settle("publish('/chat', 'x'.repeat(10_000_000))").await, 413, "{version}");
            }
            assert_eq!(page.settle("publish('/chat', 'x'.repeat(1_000_000))").await, 200, "{version}");
        })
        .await;
    }
}

/// A port is another origin.
#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let flags = ["--topic=/chat,publish", "--access-log"];
    let (server, mut log) = Server::logging(readers(), &flags, "rikki::access=info").await;
    let other = start(&[]).await;
    browse(Screen::Light, async |client| {
        let page = Readers::open(client, &other.url("/")).await;
        let [url, socket] = [server.url("/chat"), server.url("/chat").replacen("http", "ws", 1)];
        page.run(&format!("events('events', '{url}'); socket('socket', '{socket}')")).await;
        page.until("readers.events.ends.length && readers.socket.ends.length").await;
        assert_eq!(page.run("return [readers.events.ends, readers.socket.ends]").await, json!([["refused"], [1006]]));
        // As a form would, without leave, and with a header that needs it.
        assert_eq!(page.settle(&format!("publish('{url}', 'x', {{ mode: 'no-cors' }})")).await, 0);
        assert_eq!(page.settle(&format!("publish('{url}', 'x')")).await, "TypeError");
        let json = "{ headers: { 'content-type': 'application/json' } }";
        assert_eq!(page.settle(&format!("publish('{url}', '1', {json})")).await, "TypeError");

        let page = Readers::open(client, &server.url("/")).await;
        page.run("events('events', '/chat?last=10'); socket('socket', '/chat')").await;
        for name in ["events", "socket"] {
            page.told(name, 1).await;
        }
        assert_eq!(page.settle("publish('/chat', 'own')").await, 200);
        for name in ["events", "socket"] {
            assert_eq!(page.got(name, 1).await, json!([["text", "own"]]), "{name}");
        }
    })
    .await;
    let mut answers = Vec::new();
    let is_own = |answer: &[String; 2]| answer == &["POST", "200"].map(str::to_owned);
    while !answers.last().is_some_and(is_own) {
        let line = timeout(DEADLINE, log.next_line()).await.expect("all is logged").expect("it is UTF-8");
        let line = line.expect("the server is running");
        let field =
            |name: &str| line.split(' ').find_map(|field| field.strip_prefix(name)).unwrap_or_default().to_owned();
        if field("target=").starts_with("/chat") {
            answers.push([field("method="), field("status=")]);
        }
    }
    // The order is the browser's.
    answers.sort();
    let expected = [("GET", "101"), ("GET", "200"), ("GET", "403"), ("GET", "403"), ("OPTIONS", "204")];
    let expected = [&expected[..], &[("POST", "200"), ("POST", "403"), ("POST", "403")]].concat();
    assert_eq!(answers, expected.iter().map(|(method, status)| [*method, *status]).collect::<Vec<_>>());
}
