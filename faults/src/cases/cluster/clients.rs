//! Subscribers that come back by themselves, to whichever node, by three protocols; and publishers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::checker::{Seen, Told};
use crate::Result;
use crate::client::{Client, Frame, TEXT};
use crate::network::Side;

/// Where nodes listen.
pub(super) const PORT: u16 = 8000;

/// After so much silence a client takes its connection for dead: its topic is never silent for so long.
const SILENCE: Duration = Duration::from_secs(4);

/// How long connecting may take.
const CONNECTING: Duration = Duration::from_secs(2);

/// How long a publisher waits for an answer.
const ANSWER: Duration = Duration::from_secs(8);

#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    WebSocket,
    Events,
    Centrifugo,
}

/// Where a subscriber is.
#[derive(Clone, Debug, Default)]
struct Place {
    epoch: String,
    offset: u64,
}

/// A subscriber, and what it has seen.
pub(super) struct Subscriber {
    pub(super) topic: String,
    pub(super) protocol: Protocol,
    pub(super) nodes: Vec<u8>,
    pub(super) seen: Vec<Seen>,
    place: Option<Place>,
    /// The number of the last message, when there is one.
    last: Option<u64>,
}

impl Subscriber {
    pub(super) fn new(topic: String, protocol: Protocol, nodes: &[u8]) -> Self {
        Self { topic, protocol, nodes: nodes.to_vec(), seen: Vec::new(), place: None, last: None }
    }

    /// Follows its topic until it has the message of the number that is its last.
    pub(super) async fn follow(mut self, mut last: watch::Receiver<BTreeMap<String, u64>>) -> Self {
        loop {
            let wanted = last.borrow_and_update().get(&self.topic).copied();
            if wanted.is_some() && self.had() == wanted {
                return self;
            }
            self.last = wanted;
            let node = pick(&self.nodes);
            tokio::select! {
                // Whatever ends it, it comes back.
                _ = self.connected(node) => sleep(Duration::from_millis(50 + u64::from(rand::random::<u8>()))).await,
                _ = last.changed() => {}
            }
        }
    }

    /// The number of the latest message.
    fn had(&self) -> Option<u64> {
        self.seen.iter().rev().find_map(|seen| match seen {
            Seen::Message { number, .. } => Some(*number),
            _ => None,
        })
    }

    async fn connected(&mut self, node: u8) -> Result<()> {
        match self.protocol {
            Protocol::WebSocket => self.websocket(node).await,
            Protocol::Events => self.events(node).await,
            Protocol::Centrifugo => self.centrifugo(node).await,
        }
    }

    async fn websocket(&mut self, node: u8) -> Result<()> {
        let since = self.place.as_ref().map(|Place { epoch, offset }| format!("&since={epoch}:{offset}"));
        let path = format!("/{}?envelope=json{}", self.topic, since.unwrap_or_default());
        let mut client = open(node, &path).await?;
        loop {
            let frame = timeout(SILENCE, client.next()).await.map_err(|_| "silence")??;
            let Some(Frame { opcode: TEXT, payload, .. }) = frame else { return Err("the end".to_owned()) };
            self.envelope(&parse(&payload)?)?;
        }
    }

    async fn events(&mut self, node: u8) -> Result<()> {
        let mut stream = connect(node).await?;
        let since = self.place.as_ref().map(|Place { epoch, offset }| format!("Last-Event-ID: {epoch}:{offset}\r\n"));
        let request = format!(
            "GET /{}?envelope=json HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n{}\r\n",
            self.topic,
            Side::Outer.address(node),
            since.unwrap_or_default()
        );
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut buffer = Vec::new();
        loop {
            let read = timeout(SILENCE, stream.read_buf(&mut buffer)).await.map_err(|_| "silence")?;
            if read.map_err(|error| error.to_string())? == 0 {
                return Err("the end".to_owned());
            }
            // Chunks end where events do not: what is no line of data is passed over.
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                if let Some(data) = line.strip_prefix(b"data: ") {
                    self.envelope(&parse(data)?)?;
                } else if line.starts_with(b"HTTP/1.1 ") && !line.starts_with(b"HTTP/1.1 200 ") {
                    return Err("refused".to_owned());
                }
            }
        }
    }

    /// What comes in an envelope. That of events says where they began in the object itself.
    fn envelope(&mut self, said: &Value) -> Result<()> {
        if let Some(position) = said.get("position") {
            let (epoch, offset) = place(position)?;
            self.seen.push(Seen::Reached(offset));
            self.place = Some(Place { epoch: epoch.to_owned(), offset });
            return Ok(());
        }
        let said = said.get("subscribed").unwrap_or(said);
        if said.get("missed").is_some() || said.get("gap").is_some() {
            self.seen.push(Seen::Gap);
            return Ok(());
        }
        let (epoch, offset) = place(said)?;
        match said.get("data").and_then(Value::as_str) {
            Some(data) => self.message(epoch, offset, data)?,
            None => self.began(epoch, offset, said.get("recovered").and_then(Value::as_bool)),
        }
        Ok(())
    }

    fn began(&mut self, epoch: &str, offset: u64, recovered: Option<bool>) {
        self.seen.push(match (self.place.is_some(), recovered) {
            (false, _) => Seen::Began(offset),
            (true, Some(true)) => Seen::Resumed,
            (true, _) => Seen::Gap,
        });
        self.place = Some(Place { epoch: epoch.to_owned(), offset });
    }

    fn message(&mut self, epoch: &str, offset: u64, data: &str) -> Result<()> {
        let number = data.parse().map_err(|_| format!("no number: {data}"))?;
        self.seen.push(Seen::Message { number, offset });
        self.place = Some(Place { epoch: epoch.to_owned(), offset });
        if self.last == Some(number) { Err("all is there".to_owned()) } else { Ok(()) }
    }

    async fn centrifugo(&mut self, node: u8) -> Result<()> {
        let mut client = open(node, "/connection/websocket").await?;
        let mut subscribe = json!({ "channel": self.topic });
        if let Some(Place { epoch, offset }) = &self.place {
            subscribe = json!({ "channel": self.topic, "recover": true, "epoch": epoch, "offset": offset });
        }
        let commands = [json!({ "id": 1, "connect": {} }), json!({ "id": 2, "subscribe": subscribe })];
        let text = commands.map(|command| command.to_string()).join("\n");
        client.send(TEXT, text.as_bytes()).await?;
        loop {
            let frame = timeout(SILENCE, client.next()).await.map_err(|_| "silence")??;
            let Some(Frame { opcode: TEXT, payload, .. }) = frame else { return Err("the end".to_owned()) };
            for line in payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let said = parse(line)?;
                if said.as_object().is_some_and(serde_json::Map::is_empty) {
                    client.send(TEXT, b"{}").await?;
                }
                self.reply(&said)?;
            }
        }
    }

    fn reply(&mut self, said: &Value) -> Result<()> {
        if said.get("error").is_some() || said["push"].get("unsubscribe").is_some() {
            return Err("refused".to_owned());
        }
        let epoch = self.place.as_ref().map(|place| place.epoch.clone());
        if let Some(begun) = said.get("subscribe") {
            let (epoch, offset) =
                (begun["epoch"].as_str().ok_or("an epoch")?, begun["offset"].as_u64().ok_or("an offset")?);
            let recovered = begun.get("recovered").and_then(Value::as_bool).unwrap_or(false);
            let had = self.place.as_ref().map_or(0, |place| place.offset);
            self.began(epoch, offset, Some(recovered));
            let publications = begun["publications"].as_array().cloned().unwrap_or_default();
            // Its place is behind the publications, and these come with it.
            if recovered && !publications.is_empty() {
                self.place = Some(Place { epoch: epoch.to_owned(), offset: had });
            }
            for publication in &publications {
                self.publication(epoch, publication)?;
            }
        }
        if let Some(publication) = said["push"].get("pub") {
            self.publication(&epoch.ok_or("a publication before the reply")?, publication)?;
        }
        Ok(())
    }

    fn publication(&mut self, epoch: &str, publication: &Value) -> Result<()> {
        let offset = publication["offset"].as_u64().ok_or("an offset")?;
        self.message(epoch, offset, &publication["data"].to_string())
    }
}

/// Publishes numbers to a topic until it is told to stop; what became of each. One that `insists` sends what may be
/// published or not again, by its key.
pub(super) async fn publish(
    topic: String,
    nodes: Vec<u8>,
    insists: bool,
    every: Duration,
    stop: watch::Receiver<bool>,
    told: Arc<Mutex<BTreeMap<u64, Told>>>,
) {
    let mut number = 0;
    while !*stop.borrow() {
        number += 1;
        let became = one(&topic, &nodes, number, insists).await;
        told.lock().unwrap_or_else(PoisonError::into_inner).insert(number, became);
        sleep(every).await;
    }
}

/// Publishes one number.
pub(super) async fn one(topic: &str, nodes: &[u8], number: u64, insists: bool) -> Told {
    let mut is_unknown = false;
    loop {
        match timeout(ANSWER, post(topic, pick(nodes), number, insists)).await.unwrap_or(Ok(Told::Unknown)) {
            Ok(Told::Acknowledged(offset)) => return Told::Acknowledged(offset),
            Ok(Told::Unknown) => is_unknown = true,
            // Nobody was there to take it.
            Ok(Told::Refused) | Err(_) if !insists => return if is_unknown { Told::Unknown } else { Told::Refused },
            _ => {}
        }
        if !insists && is_unknown {
            return Told::Unknown;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// An error where it was not sent.
async fn post(topic: &str, node: u8, number: u64, insists: bool) -> Result<Told> {
    let mut stream = connect(node).await?;
    let body = number.to_string();
    let key = if insists { format!("Idempotency-Key: {topic}-{number}\r\n") } else { String::new() };
    let request = format!(
        "POST /{topic} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{key}\r\n{body}",
        Side::Outer.address(node),
        body.len()
    );
    // From here on it may have got there, whatever becomes of the connection.
    let answer = async {
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let Ok(answer) = answer.await else { return Ok(Told::Unknown) };
    let text = String::from_utf8_lossy(&answer);
    match text.split(' ').nth(1) {
        Some("200") => {
            let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
            let offset = serde_json::from_str::<Value>(body).ok().and_then(|position| position["offset"].as_u64());
            Ok(offset.map_or(Told::Unknown, Told::Acknowledged))
        }
        Some("503") => Ok(Told::Refused),
        _ => Ok(Told::Unknown),
    }
}

/// What a position says.
fn place(said: &Value) -> Result<(&str, u64)> {
    Ok((said["epoch"].as_str().ok_or("an epoch")?, said["offset"].as_u64().ok_or("an offset")?))
}

fn parse(text: &[u8]) -> Result<Value> {
    serde_json::from_slice(text).map_err(|error| format!("{error}: {}", String::from_utf8_lossy(text)))
}

fn pick(nodes: &[u8]) -> u8 {
    nodes.get(usize::from(rand::random::<u8>()) % nodes.len().max(1)).copied().unwrap_or_default()
}

async fn connect(node: u8) -> Result<TcpStream> {
    let address: Ipv4Addr = Side::Outer.address(node);
    let connecting = TcpStream::connect((address, PORT));
    let stream = timeout(CONNECTING, connecting).await.map_err(|_| "no connection")?;
    stream.map_err(|error| error.to_string())
}

async fn open(node: u8, path: &str) -> Result<Client> {
    let socket = TcpSocket::new_v4().map_err(|error| error.to_string())?;
    let address = SocketAddr::from((Side::Outer.address(node), PORT));
    timeout(CONNECTING, Client::connect_with(socket, address, path)).await.map_err(|_| "no handshake")?
}
