//! A server for tests: it greets as NATS does, answers pings, notes what is asked of it, and can stop reading.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use bytes::Bytes;
use rikki_topics::{Broker, From, Inlet, InletBounds, Published, Publishing, Topics, TopicsConfig};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::config::NatsConfig;
use crate::link::{Connected, Link};
use crate::publishing::Publisher;
use crate::requests::{Requests, lock};

pub(crate) struct Fake {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
    reads: watch::Sender<bool>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let (heard, reads) = (Arc::<Mutex<_>>::default(), watch::Sender::new(true));
        let (noted, may_read) = (heard.clone(), reads.subscribe());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, noted.clone(), may_read.clone()));
            }
        });
        Self { url, heard, reads }
    }

    /// A link with a connection to it.
    pub(crate) async fn link(&self) -> Arc<Link> {
        link_to(&self.url).await
    }

    /// How much it was asked to publish or to subscribe to where this is part of the subject.
    pub(crate) fn heard(&self, part: &str) -> usize {
        lock(&self.heard).iter().filter(|subject| subject.contains(part)).count()
    }

    /// Waits until that has been so often.
    pub(crate) async fn hear(&self, part: &str, count: usize) {
        let heard = async {
            while self.heard(part) < count {
                yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), heard).await.expect(part);
    }

    /// Stops reading until the client has no room for anything more.
    pub(crate) async fn stop_reading(&self, client: &Client) {
        self.reads.send_replace(false);
        let much = Bytes::from(vec![0; 1 << 20]);
        let mut in_vain = 0;
        // Where the machine is busy, one may be slow though there is room.
        while in_vain < 5 {
            in_vain = match timeout(Duration::from_millis(100), client.publish("much", much.clone())).await {
                Ok(sent) => sent.map(|()| 0).unwrap(),
                Err(_) => in_vain + 1,
            };
        }
    }

    pub(crate) fn go_on(&self) {
        self.reads.send_replace(true);
    }
}

/// The link of a configuration, of the stream of all topics, which has no connection.
pub(crate) fn link_of(config: NatsConfig) -> Arc<Link> {
    let (common, _) = config.streams();
    Arc::new(Link::new(Arc::new(config), common))
}

/// A link with a connection to a server, whose queue is short.
pub(crate) async fn link_to(url: &str) -> Arc<Link> {
    let client = ConnectOptions::new().client_capacity(8).connect(url).await.unwrap();
    let link = link_of(NatsConfig::new(url).bytes(16_usize << 20));
    let requests = Requests::new(&client).await.unwrap();
    let publisher = Publisher::new(&link, &client).await.unwrap();
    link.connected.set(Connected { client, requests, publisher }).unwrap();
    link
}

/// A broker that keeps the topic that it was given last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keeping(Arc<Mutex<Option<Inlet>>>);

impl Keeping {
    pub(crate) fn inlet(&self) -> Inlet {
        lock(&self.0).clone().unwrap()
    }
}

/// The bounds of a topic for which nothing is set.
pub(crate) fn bounds() -> InletBounds {
    let keeping = Keeping::default();
    let topics = Topics::with_broker(TopicsConfig::default(), keeping.clone());
    let _topic = topics.subscribe("t", From::Now).unwrap();
    keeping.inlet().bounds()
}

impl Broker for Keeping {
    fn attach(&self, topic: &Inlet) {
        *lock(&self.0) = Some(topic.clone());
    }

    fn publish(&self, topic: &Inlet, message: Published) -> Publishing {
        Publishing::Done(topic.publish(message))
    }
}

/// <https://docs.nats.io/reference/reference-protocols/nats-protocol>
async fn serve(stream: TcpStream, heard: Arc<Mutex<Vec<String>>>, mut reads: watch::Receiver<bool>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let info = "INFO {\"server_id\":\"fake\",\"version\":\"2.10.0\",\"headers\":true,\"max_payload\":1048576}\r\n";
    stream.write_all(info.as_bytes()).await.ok()?;
    loop {
        reads.wait_for(|reads| *reads).await.ok()?;
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let mut words = line.split_whitespace();
        match words.next() {
            Some("PING") => stream.write_all(b"PONG\r\n").await.ok()?,
            Some("SUB") => lock(&heard).push(words.next()?.to_owned()),
            Some("PUB" | "HPUB") => {
                lock(&heard).push(words.next()?.to_owned());
                let mut payload = vec![0; words.next_back()?.parse::<usize>().ok()? + 2];
                stream.read_exact(&mut payload).await.ok()?;
            }
            _ => {}
        }
    }
}
