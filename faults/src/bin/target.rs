//! A server on the library with what the command lacks: handlers that panic, push, or wait; and its counters.

use std::io::{Write as _, stdout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::routing::{get, post};
use clap::Parser;
use futures_util::StreamExt as _;
use rikki::topics::{Policy, Subscribe as _, TopicConfig, Topics, TopicsConfig};
use rikki::ws::{self, Handler, Message, Opening, Overflow, PreparedMessage, SendError, Sender, Socket, Upgrade};
use rikki::{Handle, Server, ServerTls};
use tokio::signal::unix::{SignalKind, signal};

/// The size of a pushed message, in bytes: its number first, big-endian.
const PUSHED: usize = 1024;

/// What may wait for one client, in bytes: the default.
const MARK: usize = 1 << 20;

/// How long a client may say and take nothing: longer than any case takes.
const SILENCE: Duration = Duration::from_secs(600);

/// What may wait for all clients together: so much that the mark of each counts, and not that of all.
const QUEUE_MEMORY: usize = 1 << 30;

/// How often it is pushed: what is due by then is pushed at once.
const TICK: Duration = Duration::from_millis(2);

static HANDLE: OnceLock<Handle> = OnceLock::new();

static TOPICS: OnceLock<Topics> = OnceLock::new();

/// Requests for `/wait` that were begun, and those that were given up before their time.
static WAITS: AtomicUsize = AtomicUsize::new(0);
static CANCELLED: AtomicUsize = AtomicUsize::new(0);

/// Messages that a client had no room for.
static FULL: AtomicUsize = AtomicUsize::new(0);

/// Clients that the policy has acted on, and the longest time in milliseconds from the mark until it did.
static ACTED: AtomicUsize = AtomicUsize::new(0);
static LATEST: AtomicUsize = AtomicUsize::new(0);

/// That of the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let clients = Clients::default();
    // Whoever is pushed to says nothing, knows no ping, and may take nothing for as long as a case takes.
    let settings = ws::Config::default().write_queue(MARK).overflow(options.overflow);
    let settings = settings.ping_interval(SILENCE).write_timeout(SILENCE);
    let mut server = Server::new()
        .websocket_config(settings)
        .queue_memory(QUEUE_MEMORY)
        .websocket("/websocket", |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message))
        .websocket("/push", clients.clone())
        .websocket("/panic/callback", PanicOn("message"))
        .websocket("/panic/open", PanicOn("open"))
        .websocket("/panic/close", PanicOn("close"))
        .route("/panic/stream", get(panic_in_stream))
        .route("/panic", get(panic_in_http))
        .route("/wait", get(wait))
        .route("/upload", post(async |body: Bytes| body.len().to_string()))
        .min_body_rate(500, Duration::from_secs(options.body_window))
        .route("/counters", get(counters));
    if let Some(policy) = options.topic {
        server = server.topics(TOPICS.get_or_init(|| topics(policy))).websocket("/topic", Subscribed);
    }
    if let Some(folder) = &options.files {
        server = server.files(folder);
    }
    server = if options.tls {
        server.tls(ServerTls::self_signed(["127.0.0.1"])?).listen("https://127.0.0.1:0")
    } else {
        server.listen("http://127.0.0.1:0")
    };
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let handle = HANDLE.get_or_init({
            let handle = server.start().await?;
            || handle
        });
        if let Some(rate) = options.push {
            thread::spawn(move || push(rate, &clients));
        }
        let bound = handle.bound().iter().map(|bound| format!("Starting WS listener on ws://{bound}/websocket\n"));
        stdout().write_all(bound.collect::<String>().as_bytes())?;
        terminate.recv().await;
        handle.shutdown().await;
        Ok(())
    })
}

/// A server on the library, with what the command lacks.
#[derive(Parser)]
struct Options {
    /// A certificate of its own
    #[arg(long)]
    tls: bool,
    /// Messages a second to everybody at /push, or at /topic if there is one
    #[arg(long, value_name = "PER_SECOND")]
    push: Option<u32>,
    /// What becomes of messages that a client does not take
    #[arg(long, value_name = "POLICY", default_value = "pause", value_parser = overflow)]
    overflow: Overflow,
    /// The topic /topic, and what becomes of subscribers that it has gone on without
    #[arg(long, value_name = "POLICY", value_parser = policy)]
    topic: Option<Policy>,
    /// The folder that is served
    #[arg(long, value_name = "FOLDER")]
    files: Option<String>,
    /// For how long a body may stay below its pace
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    body_window: u64,
}

fn overflow(policy: &str) -> Result<Overflow, String> {
    match policy {
        "pause" => Ok(Overflow::Pause),
        "close" => Ok(Overflow::Close),
        "drop-newest" => Ok(Overflow::DropNewest),
        "drop-oldest" => Ok(Overflow::DropOldest),
        _ => Err("there is no such policy".to_owned()),
    }
}

fn policy(policy: &str) -> Result<Policy, String> {
    match policy {
        "gap" => Ok(Policy::Gap),
        "latest" => Ok(Policy::Latest),
        "close" => Ok(Policy::Close),
        _ => Err("there is no such policy".to_owned()),
    }
}

/// A topic whose ring holds about 1,600 of the messages.
fn topics(policy: Policy) -> Topics {
    Topics::new(TopicsConfig::default().others(TopicConfig::default().bytes(2 << 20).history(2000).policy(policy)))
}

/// Subscribes to what is pushed.
struct Subscribed;

impl Handler for Subscribed {
    type State = ();

    fn open(&self, socket: &mut Socket<'_>, _opening: &Opening) {
        if let Some(topics) = TOPICS.get() {
            let _ = socket.subscribe(topics, "pushed");
        }
    }

    fn message(&self, (): &mut (), _socket: &mut Socket<'_>, _message: Message<'_>) {}
}

/// Who is pushed to.
#[derive(Clone, Default)]
struct Clients(Arc<Mutex<Vec<Pushed>>>);

struct Pushed {
    sender: Sender,
    /// Since when as much waits as may.
    marked: Option<Instant>,
    /// Whether the policy has done something about that.
    acted: bool,
}

impl Pushed {
    /// Whether the connection is still there.
    fn push(&mut self, message: &PreparedMessage) -> bool {
        let dropped = if self.marked.is_some() { dropped_messages() } else { u64::MAX };
        let sent = self.sender.send_prepared(message);
        if matches!(sent, Err(SendError::Full)) {
            FULL.fetch_add(1, Relaxed);
        }
        // Of the oldest that are dropped for a new one, only the counter tells.
        if sent.is_err() || dropped_messages() > dropped {
            self.act();
        }
        if self.sender.queued() < MARK {
            self.marked = None;
        } else {
            self.marked.get_or_insert_with(Instant::now);
        }
        !matches!(sent, Err(SendError::Closed))
    }

    fn act(&mut self) {
        if !std::mem::replace(&mut self.acted, true) {
            ACTED.fetch_add(1, Relaxed);
            LATEST.fetch_max(self.marked.map_or(0, |marked| marked.elapsed().as_millis() as usize), Relaxed);
        }
    }
}

fn dropped_messages() -> u64 {
    HANDLE.get().map_or(0, |handle| handle.counters().dropped_messages)
}

impl Clients {
    fn lock(&self) -> MutexGuard<'_, Vec<Pushed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pushes `rate` messages a second to the topic, or else to all clients, whatever becomes of any.
fn push(rate: u32, clients: &Clients) {
    let started = Instant::now();
    let mut number = 0_u64;
    loop {
        let due = started.elapsed().as_millis() as u64 * u64::from(rate) / 1000;
        while number < due {
            let mut payload = vec![b'.'; PUSHED];
            payload[..8].copy_from_slice(&number.to_be_bytes());
            match TOPICS.get() {
                Some(topics) => _ = topics.publish("pushed", payload).detach(),
                None => {
                    let message = PreparedMessage::new(payload);
                    clients.lock().retain_mut(|client| client.push(&message));
                }
            }
            number += 1;
        }
        thread::sleep(TICK);
    }
}

impl Handler for Clients {
    type State = ();

    fn open(&self, socket: &mut Socket<'_>, _opening: &Opening) {
        self.lock().push(Pushed { sender: socket.sender(), marked: None, acted: false });
    }

    fn message(&self, (): &mut (), _socket: &mut Socket<'_>, _message: Message<'_>) {}
}

/// Echoes, but for the callback of that name.
struct PanicOn(&'static str);

impl PanicOn {
    fn enter(&self, callback: &str) {
        assert_ne!(self.0, callback, "asked for");
    }
}

impl Handler for PanicOn {
    type State = ();

    fn open(&self, _socket: &mut Socket<'_>, _opening: &Opening) {
        self.enter("open");
    }

    fn message(&self, (): &mut (), socket: &mut Socket<'_>, message: Message<'_>) {
        self.enter("message");
        let _ = socket.send(message);
    }

    fn close(&self, (): (), _closed: &ws::Closed) {
        self.enter("close");
    }
}

async fn panic_in_stream(upgrade: Upgrade) -> axum::response::Response {
    upgrade.on_upgrade(|mut socket| async move {
        let _message = socket.next().await;
        panic_in_http().await;
    })
}

async fn panic_in_http() {
    panic!("asked for");
}

/// Answers after a minute, and counts those who do not wait for it.
async fn wait() -> &'static str {
    struct Given;
    impl Drop for Given {
        fn drop(&mut self) {
            CANCELLED.fetch_add(1, Relaxed);
        }
    }
    WAITS.fetch_add(1, Relaxed);
    let given = Given;
    tokio::time::sleep(Duration::from_secs(60)).await;
    std::mem::forget(given);
    "that took a minute\n"
}

/// As `name: number`, in one line.
async fn counters() -> String {
    let counters = HANDLE.get().map(Handle::counters);
    let topics = TOPICS.get().map(Topics::counters);
    let [waits, cancelled, full] = [&WAITS, &CANCELLED, &FULL].map(|count| count.load(Relaxed));
    let [acted, latest] = [&ACTED, &LATEST].map(|count| count.load(Relaxed));
    format!(
        "{counters:?} {topics:?} waits: {waits}, cancelled: {cancelled}, full: {full}, acted: {acted}, latest: {latest}\n"
    )
}
