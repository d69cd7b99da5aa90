//! A client that talks in raw bytes: its own frames, its own reading of the server's answers, nothing of rikki.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

pub(crate) use testkit::{frame, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::wire::{Running, Stream, Via, soon};

/// A connection and what has been read from it but not looked at yet.
pub(crate) struct Talk {
    pub(crate) stream: Stream,
    buffer: Vec<u8>,
}

/// A frame as the server sent it.
#[derive(Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Exact: `text(hello)`, `binary(126 x \\x07)`; a Close by its code, `close(1002)`.
    pub(crate) fn describe(&self) -> String {
        let name = match self.first {
            0x81 => "text",
            0x82 => "binary",
            0x88 => return self.describe_close(),
            0x89 => "ping",
            0x8a => "pong",
            other => return format!("first byte {other:02x}"),
        };
        let content = match self.payload.as_slice() {
            [first, rest @ ..] if rest.len() >= 40 && rest.iter().all(|byte| byte == first) => {
                format!("{} x {}", self.payload.len(), first.escape_ascii())
            }
            other => other.escape_ascii().to_string(),
        };
        format!("{name}({content})")
    }

    /// The code alone: what the reason says is not for programs, but it must be text.
    fn describe_close(&self) -> String {
        match *self.payload {
            [] => "close()".to_owned(),
            [high, low, ref reason @ ..] => {
                std::str::from_utf8(reason).expect("a close reason is UTF-8");
                format!("close({})", u16::from_be_bytes([high, low]))
            }
            [_] => panic!("a Close of one byte"),
        }
    }
}

impl Talk {
    pub(crate) async fn connect(server: &Running, via: Via) -> Self {
        Self { stream: server.connect(via).await, buffer: Vec::new() }
    }

    /// Connects and upgrades at `path`.
    pub(crate) async fn open(server: &Running, via: Via, path: &str) -> Self {
        let mut talk = Self::connect(server, via).await;
        talk.upgrade(path).await;
        talk
    }

    /// Connects over TLS and agrees on another protocol than HTTP/1.1.
    pub(crate) async fn connect_alpn(server: &Running, alpn: &[u8]) -> Self {
        Self { stream: server.connect_with(Via::Tls, alpn).await, buffer: Vec::new() }
    }

    /// Connects and says first from whom the connection is.
    pub(crate) async fn connect_proxied(server: &Running, via: Via, header: &[u8]) -> Self {
        Self { stream: server.connect_proxied(via, b"http/1.1", header).await, buffer: Vec::new() }
    }

    /// Connects over TCP to any server.
    pub(crate) async fn connect_to(address: SocketAddr) -> Self {
        let tcp = soon("connecting", TcpStream::connect(address)).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        Self::from(tcp)
    }

    /// Connects over TCP to any server and upgrades at `path`.
    pub(crate) async fn open_at(address: SocketAddr, path: &str) -> Self {
        let mut talk = Self::connect_to(address).await;
        talk.upgrade(path).await;
        talk
    }

    /// Connects to a Unix socket.
    pub(crate) async fn connect_at(path: &Path) -> Self {
        let unix = soon("connecting", UnixStream::connect(path)).await.unwrap();
        Self { stream: Stream::Unix(unix), buffer: Vec::new() }
    }

    /// A connection that somebody else has made, such as one to a server of a test.
    pub(crate) fn from(tcp: TcpStream) -> Self {
        Self { stream: Stream::Tcp(tcp), buffer: Vec::new() }
    }

    pub(crate) async fn upgrade(&mut self, path: &str) {
        self.send(&upgrade(path, "")).await;
        let head = self.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon("writing", async {
            self.stream.write_all(bytes.as_ref()).await.unwrap();
            self.stream.flush().await.unwrap();
        })
        .await;
    }

    /// Reads more; false at the end. A reset is a failure of the test.
    async fn fill(&mut self) -> bool {
        self.buffer.reserve(64 * 1024);
        soon("reading", self.stream.read_buf(&mut self.buffer)).await.expect("an end without a reset") > 0
    }

    /// The head of a response, or of a request, up to its empty line.
    pub(crate) async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                return String::from_utf8(self.buffer.drain(..end + 4).collect()).unwrap();
            }
            let so_far = String::from_utf8_lossy(&self.buffer).into_owned();
            assert!(self.fill().await, "the end within a response head: {so_far:?}");
        }
    }

    /// So many bytes, such as a body.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.fill().await, "the end before {count} bytes");
        }
        self.buffer.drain(..count).collect()
    }

    /// The next frame, or `None` at the end of the stream.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = parse(&self.buffer) {
                self.buffer.drain(..length);
                return Some(frame);
            }
            if !self.fill().await {
                let start = &self.buffer[..self.buffer.len().min(16)];
                assert!(self.buffer.is_empty(), "the end after {} bytes of a frame: {start:02x?}", self.buffer.len());
                return None;
            }
        }
    }

    /// The next frame, described.
    pub(crate) async fn next(&mut self) -> String {
        self.frame().await.map_or_else(|| "end".to_owned(), |frame| frame.describe())
    }

    /// All frames until the server ends TCP, which it must do first and without a reset.
    pub(crate) async fn rest(&mut self) -> String {
        let mut seen = String::new();
        while let Some(frame) = self.frame().await {
            write!(seen, "{} ", frame.describe()).unwrap();
        }
        self.end_of_tcp().await;
        seen.trim_end().to_owned()
    }

    /// All bytes until the end, as text.
    pub(crate) async fn text(&mut self) -> String {
        while self.fill().await {}
        self.end_of_tcp().await;
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }

    /// TCP ends, in whatever way, and nothing is said before that.
    pub(crate) async fn gone(&mut self) {
        let mut rest = Vec::new();
        let _ = soon("the end of TCP", self.stream.read_to_end(&mut rest)).await;
        assert_eq!(rest, b"");
        let _ = soon("the end of TCP", self.stream.socket().read_to_end(&mut rest)).await;
    }

    /// TLS has an end of its own before that of TCP.
    async fn end_of_tcp(&mut self) {
        let mut piece = [0; 1024];
        while soon("the end of TCP", self.stream.socket().read(&mut piece)).await.expect("an end without a reset") > 0 {
        }
    }

    /// Sends a text and expects it back: the connection works.
    pub(crate) async fn echo(&mut self, text: &str) {
        self.send(frame(0x81, text)).await;
        assert_eq!(self.next().await, format!("text({text})"));
    }
}

/// A server's frame at the front of `bytes`, and how long it is.
fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    assert_eq!(second & 0x80, 0, "a server's frame is not masked");
    let (length, header) = match second {
        126 => (u16::from_be_bytes(*rest.first_chunk()?).into(), 4),
        127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).unwrap(), 10),
        short => (short.into(), 2),
    };
    let payload = bytes.get(header..header + length)?.to_vec();
    Some((Frame { first, payload }, header + length))
}

/// A client's Close.
pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(0x88, [&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// An upgrade request with more header lines, each with its line end.
pub(crate) fn upgrade(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// Bytes written in hexadecimal, with spaces anywhere.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b' ').collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
