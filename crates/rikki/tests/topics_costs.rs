//! What topics cost under a server, counted for the whole process: hence a test binary of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rikki::topics::{Subscribe as _, Topics, TopicsConfig};
use rikki::ws::{Handler, Message, Opening, Socket};
use rikki::{Handle, Server};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const REQUEST: &[u8] = b"GET /room HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Texts masked with the key 0.
const ECHO: &[u8] = b"\x81\x84\0\0\0\0echo";
const JOIN: &[u8] = b"\x81\x84\0\0\0\0join";

/// One test is counted at a time.
fn count() -> (dhat::Profiler, MutexGuard<'static, ()>) {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    (dhat::Profiler::builder().testing().build(), one)
}

/// Every message is answered with itself; `join` subscribes as well.
struct Room(Topics);

impl Handler for Room {
    type State = ();

    fn open(&self, _: &mut Socket<'_>, _: &Opening) {}

    fn message(&self, (): &mut (), socket: &mut Socket<'_>, message: Message<'_>) {
        if message.as_text() == Some("join") {
            socket.subscribe(&self.0, "room").unwrap();
        }
        socket.send(message).unwrap();
    }
}

/// A server of one worker, and connections to it.
struct Fixture {
    runtime: Runtime,
    handle: Handle,
    topics: Topics,
    streams: Vec<TcpStream>,
}

impl Fixture {
    fn start(connections: usize) -> Self {
        let topics = Topics::new(TopicsConfig::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = Server::new().topics(&topics).websocket("/room", Room(topics.clone()));
        let handle = runtime.block_on(server.listen("http://127.0.0.1:0").workers(1).start()).unwrap();
        let streams = (0..connections).map(|_| connect(&handle)).collect();
        let mut fixture = Self { runtime, handle, topics, streams };
        fixture.tell(ECHO, 0..connections);
        fixture
    }

    /// One message on each of these, and its answer.
    fn tell(&mut self, message: &[u8], which: std::ops::Range<usize>) {
        for stream in &mut self.streams[which] {
            stream.write_all(message).unwrap();
            let mut answer = [0; 6];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer[2..], message[6..]);
        }
    }

    /// So many messages at a time, to all.
    fn publish(&mut self, times: usize, at_a_time: usize) {
        let mut received = [0; 22 * 16];
        let received = &mut received[..22 * at_a_time];
        for _ in 0..times {
            for _ in 0..at_a_time {
                self.topics.publish("room", "twenty bytes of text").wait().unwrap();
            }
            for stream in &mut self.streams {
                stream.read_exact(received).unwrap();
                assert!(received.chunks(22).all(|frame| frame == b"\x81\x14twenty bytes of text"));
            }
        }
    }

    fn end(self) {
        drop(self.streams);
        self.runtime.block_on(self.handle.shutdown());
    }
}

fn connect(handle: &Handle) -> TcpStream {
    let mut stream = TcpStream::connect(handle.local_addrs()[0]).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(REQUEST).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream
}

/// One more than a power of two: what grows by doubling has just grown.
#[test]
fn a_subscription_takes_little() {
    const SUBSCRIBERS: usize = 257;
    let _counting = count();
    let mut fixture = Fixture::start(SUBSCRIBERS + 1);
    // What the topic takes is there with its first subscriber.
    fixture.tell(JOIN, 0..1);
    fixture.tell(ECHO, 0..SUBSCRIBERS + 1);
    let before = dhat::HeapStats::get().curr_bytes;
    fixture.tell(ECHO, 0..SUBSCRIBERS + 1);
    let idle = dhat::HeapStats::get().curr_bytes.abs_diff(before);
    assert!(idle < 1000, "{idle} bytes more or less for echoes");
    fixture.tell(JOIN, 1..SUBSCRIBERS + 1);
    let bytes = (dhat::HeapStats::get().curr_bytes - before) / SUBSCRIBERS;
    assert!(bytes <= 100, "{bytes} bytes for each subscription");
    assert_eq!(fixture.topics.counters()[0].subscribers, SUBSCRIBERS as u64 + 1);
    fixture.end();
}

#[test]
fn a_message_allocates_nothing_for_each_subscriber() {
    const SUBSCRIBERS: usize = 200;
    const MESSAGES: usize = 160;
    let _counting = count();
    let mut fixture = Fixture::start(SUBSCRIBERS);
    fixture.tell(JOIN, 0..SUBSCRIBERS);
    for at_a_time in [1, 16] {
        // The first messages size what is kept, the ring among it.
        fixture.publish(1100 / at_a_time, at_a_time);
        let before = dhat::HeapStats::get().total_blocks;
        fixture.publish(MESSAGES / at_a_time, at_a_time);
        let blocks = dhat::HeapStats::get().total_blocks - before;
        assert!(blocks <= 4 * MESSAGES as u64, "{blocks} allocations for {MESSAGES} messages, {at_a_time} at a time");
    }
    fixture.end();
}
