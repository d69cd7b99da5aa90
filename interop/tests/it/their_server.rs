//! Our client against Python's server, in each mode of compression that either has.

use std::process::Stdio;

use futures_util::{SinkExt, StreamExt};
use rikki::client::{Builder, ClientTls};
use rikki::ws::{CloseCode, Compression, Config, Error, Message, WebSocket};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::python::{Certificate, script, within};

const VARIANTS: usize = 12;
const MAX_MESSAGE: usize = 4 * 1024 * 1024;
const SIZES: [usize; 7] = [0, 1, 125, 126, 65_535, 65_536, 1_000_000];

/// Running servers, one for each variant; they end on drop.
struct Servers {
    /// Name and URL of each.
    variants: Vec<(String, String)>,
    tls: Option<ClientTls>,
    stdout: Lines<BufReader<ChildStdout>>,
    _child: Child,
    _stdin: ChildStdin,
}

impl Servers {
    async fn start(certificate: Option<&Certificate>) -> Self {
        let files = certificate.into_iter().flat_map(Certificate::files).map(|path| path.to_str().unwrap().to_owned());
        let arguments = std::iter::once(MAX_MESSAGE.to_string()).chain(files);
        let mut child = script("echo_server.py", arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut variants = Vec::new();
        while variants.len() < VARIANTS {
            let line = within(30, "the server's start", stdout.next_line()).await.unwrap();
            let line = line.expect("the server names its variants");
            let [what, variant, url] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            assert_eq!(what, "listening");
            variants.push((variant.to_owned(), url.to_owned()));
        }
        let tls = certificate.map(|certificate| ClientTls::ca_pem(&certificate.pem).unwrap());
        let stdin = child.stdin.take().unwrap();
        Self { variants, tls, stdout, _child: child, _stdin: stdin }
    }

    async fn connect(&self, url: &str, settings: Config) -> WebSocket {
        let mut builder = Builder::new(url).config(settings);
        if let Some(tls) = &self.tls {
            builder = builder.tls(tls.clone());
        }
        within(20, "connecting", builder.connect()).await.unwrap().0
    }

    /// What the server says about the connection that has ended.
    async fn report(&mut self) -> Value {
        let line = within(20, "a report", self.stdout.next_line()).await.unwrap();
        serde_json::from_str(&line.expect("a report")).unwrap()
    }
}

async fn next(socket: &mut WebSocket) -> Option<Result<Message<'static>, Error>> {
    within(20, "a message", socket.next()).await
}

async fn echoed(socket: &mut WebSocket, message: impl Into<Message<'static>>) {
    let message = message.into();
    within(20, "sending", socket.send(message.clone())).await.unwrap();
    let echoed = next(socket).await.unwrap().unwrap();
    assert!(echoed == message, "{} bytes came back as {}", message.as_bytes().len(), echoed.as_bytes().len());
}

/// Bytes that do not get shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let step = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(step).take(length).collect()
}

/// One of many similar messages.
fn quote(number: usize) -> String {
    let level = |level| json!({ "level": level, "price": 100 + number - level, "size": 10 * number });
    let bids = [1, 2, 3].map(level);
    json!({ "event": "quote", "symbol": format!("RIKK{}", number % 7), "bids": bids }).to_string()
}

/// The settings of each mode, and how they are called.
fn modes() -> [(&'static str, Option<Compression>); 3] {
    let compression = |compression: Compression| Some(compression.threshold(1));
    [
        ("off", None),
        ("shared", compression(Compression::shared())),
        ("dedicated", compression(Compression::dedicated())),
    ]
}

/// What Python is to say was agreed on. Remote is the client.
fn expected(mode: &str, variant: &str) -> String {
    if mode == "off" || variant == "none" {
        return "none".to_owned();
    }
    let word = |value: bool| if value { "True" } else { "False" };
    let forgets = |side: &str| word(mode == "shared" || variant == side || variant == "both-forget");
    let bits = variant.strip_prefix("window-").unwrap_or("15");
    format!(
        "PerMessageDeflate(remote_no_context_takeover={}, local_no_context_takeover={}, remote_max_window_bits={bits}, \
         local_max_window_bits={bits})",
        forgets("client-forgets"),
        forgets("server-forgets")
    )
}

async fn check(certificate: Option<&Certificate>) {
    let mut servers = Servers::start(certificate).await;
    for (mode, compression) in modes() {
        let settings = || Config::default().compression(compression);
        for (variant, url) in servers.variants.clone() {
            let mut socket = servers.connect(&url, settings()).await;
            for size in SIZES {
                echoed(&mut socket, noise(size)).await;
                echoed(&mut socket, "né ".repeat(size / 4) + &".".repeat(size % 4)).await;
            }
            within(20, "closing", socket.close()).await.unwrap();
            assert!(next(&mut socket).await.is_none());
            let report = servers.report().await;
            assert_eq!(report["agreed"], expected(mode, &variant), "{mode}, {variant}");
            assert_eq!(report["received"], json!([1000, ""]));

            let ratio = ratio_of_quotes(&mut servers, &url, settings()).await;
            let is_right = match &expected(mode, &variant) {
                none if none == "none" => ratio > 1.0,
                forgets if forgets.contains("remote_no_context_takeover=True") => ratio > 0.5 && ratio < 0.9,
                _ => ratio < 0.35,
            };
            assert!(is_right, "{mode}, {variant}: {ratio} bytes for each of JSON");
        }
        for variant in ["none", "default"] {
            let url = servers.variants.iter().find(|(name, _)| name == variant).unwrap().1.clone();
            too_large_for_them(&mut servers, &url, settings()).await;
            too_large_for_us(&mut servers, &url, settings()).await;
            closed_by_them(&mut servers, &url, settings()).await;
        }
    }
}

/// Sends many similar messages and says how many bytes of ours Python receives for each of theirs, the handshake's
/// included.
async fn ratio_of_quotes(servers: &mut Servers, url: &str, settings: Config) -> f64 {
    let mut socket = servers.connect(url, settings).await;
    for block in 0..10 {
        let quotes = || (block * 100..block * 100 + 100).map(quote);
        for quote in quotes() {
            within(20, "sending", socket.feed(quote.into())).await.unwrap();
        }
        within(20, "sending", socket.flush()).await.unwrap();
        for quote in quotes() {
            assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::from(quote));
        }
    }
    socket.start_close(CloseCode(4001), "bye").unwrap();
    assert!(next(&mut socket).await.is_none());
    assert_eq!(socket.closed().unwrap().code, CloseCode(4001));
    let report = servers.report().await;
    assert_eq!(report["received"], json!([4001, "bye"]));
    report["bytes"].as_f64().unwrap() / report["payload"].as_f64().unwrap()
}

async fn too_large_for_them(servers: &mut Servers, url: &str, settings: Config) {
    let mut socket = servers.connect(url, settings).await;
    // Python holds its limit against compressed frames too, and what does not compress may grow.
    echoed(&mut socket, vec![0; MAX_MESSAGE]).await;
    // Python refuses it before it has all come.
    let _ = within(20, "sending", socket.send(noise(MAX_MESSAGE + 1))).await;
    while next(&mut socket).await.is_some() {}
    // Python then drops what it has not read, which resets the connection: our next write may fail before its Close has
    // been read.
    assert_eq!(socket.closed().map(|closed| closed.code), Some(CloseCode::MESSAGE_TOO_BIG));
    assert_eq!(servers.report().await["sent"][0], 1009);
}

async fn too_large_for_us(servers: &mut Servers, url: &str, settings: Config) {
    let mut socket = servers.connect(url, settings.max_message_size(1000)).await;
    echoed(&mut socket, noise(1000)).await;
    socket.send(noise(1001)).await.unwrap();
    let error = next(&mut socket).await;
    assert!(matches!(error, Some(Err(Error::Limit(_)))), "{error:?}");
    assert!(next(&mut socket).await.is_none());
    assert_eq!(servers.report().await["received"][0], 1009);
}

async fn closed_by_them(servers: &mut Servers, url: &str, settings: Config) {
    let mut socket = servers.connect(url, settings).await;
    socket.send("close 4003 as you wish").await.unwrap();
    assert!(next(&mut socket).await.is_none());
    let closed = socket.closed().unwrap();
    assert_eq!((closed.code, &*closed.reason), (CloseCode(4003), "as you wish"));
    assert_eq!(servers.report().await["received"][0], 4003, "our answer");
}

#[tokio::test]
async fn over_tcp() {
    check(None).await;
}

#[tokio::test]
async fn over_tls() {
    check(Some(&Certificate::new("their-server"))).await;
}
