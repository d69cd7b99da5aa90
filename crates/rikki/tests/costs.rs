//! What a connection costs, counted for the whole process: hence a test binary of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rikki::ws::{Message, Socket};
use rikki::{Handle, Server};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const REQUEST: &[u8] = b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Twenty bytes of text, masked with the key 0.
const MESSAGE: &[u8] = b"\x81\x94\0\0\0\0twenty bytes of text";
const ANSWER: &[u8] = b"\x81\x14twenty bytes of text";

fn start() -> (Runtime, Handle) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = Server::new()
        .websocket("/echo", |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message))
        .listen("http://127.0.0.1:0")
        .workers(1);
    let handle = runtime.block_on(server.start()).unwrap();
    (runtime, handle)
}

fn connect(handle: &Handle) -> TcpStream {
    let stream = TcpStream::connect(handle.local_addrs()[0]).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn an_echo_allocates_nothing() {
    fn echo(stream: &mut TcpStream, times: usize) {
        let mut answer = [0; ANSWER.len()];
        for _ in 0..times {
            stream.write_all(MESSAGE).unwrap();
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer, ANSWER);
        }
    }

    let _profiler = dhat::Profiler::builder().testing().build();
    let (runtime, handle) = start();
    let mut stream = connect(&handle);
    stream.write_all(REQUEST).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));

    // The first messages size the thread's buffers.
    echo(&mut stream, 100);
    let before = dhat::HeapStats::get();
    echo(&mut stream, 1000);
    let after = dhat::HeapStats::get();
    assert_eq!(after.total_blocks - before.total_blocks, 0, "allocations in 1000 echoes");

    drop(stream);
    runtime.block_on(handle.shutdown());
}
