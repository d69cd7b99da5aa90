//! HTTP/2 over TLS in raw frames ([RFC 9113](https://www.rfc-editor.org/rfc/rfc9113)): what no library lets a client
//! send. Floods and what a server says to them; whoever calls decides what is in them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ALL_VERSIONS;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Result;
use crate::client::{LIMIT, in_time};

/// <https://www.rfc-editor.org/rfc/rfc9113#section-3.4>
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a server may take to end a connection after the last byte of a flood.
const LAST_WORD: Duration = Duration::from_secs(5);

/// The largest frame that a server takes without having said so (section 4.2).
pub(crate) const MAX_FRAME: usize = 16_384;

/// A kind of frame (section 6).
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Data = 0,
    Headers = 1,
    Reset = 3,
    Settings = 4,
    GoAway = 7,
    WindowUpdate = 8,
    Continuation = 9,
}

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// The error code of a request that is taken back (section 7).
pub(crate) const CANCEL: u32 = 8;

/// `:status: 200` in the table of HPACK ([RFC 7541](https://www.rfc-editor.org/rfc/rfc7541#appendix-A)), the first
/// field of an answer.
const OK: u8 = 0x88;

/// Appends a frame.
pub(crate) fn frame(to: &mut Vec<u8>, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    to.extend_from_slice(&length[1..]);
    to.extend_from_slice(&[kind as u8, flags]);
    to.extend_from_slice(&stream.to_be_bytes());
    to.extend_from_slice(payload);
}

/// The fields of a request as [HPACK](https://www.rfc-editor.org/rfc/rfc7541#section-6) without a dynamic table.
pub(crate) fn fields(method: &str, path: &str) -> Vec<u8> {
    fields_for("localhost", method, path)
}

/// The same for another host.
pub(crate) fn fields_for(host: &str, method: &str, path: &str) -> Vec<u8> {
    // Indexed `:scheme: https`; literals without indexing whose names are `:authority`, `:method` and `:path`.
    let mut block = vec![0x87];
    for (name, value) in [(1, host), (2, method), (4, path)] {
        block.extend_from_slice(&[name, value.len() as u8]);
        block.extend_from_slice(value.as_bytes());
    }
    block
}

/// A connection whose preface is sent.
pub(crate) struct Http2 {
    read: ReadHalf<TlsStream<TcpStream>>,
    write: WriteHalf<TlsStream<TcpStream>>,
}

/// What became of a connection that was flooded.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// The error code of the last GOAWAY (section 7).
    pub(crate) go_away: Option<u32>,
    /// Whether the server has closed the connection.
    pub(crate) closed: bool,
}

impl Http2 {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        Self::connect_with(address, &[]).await
    }

    /// The same with these settings, each of an identifier and a value (section 6.5.2).
    pub(crate) async fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> Result<Self> {
        let (read, write) = tokio::io::split(in_time("connecting", shake_hands(address)).await?);
        let mut connection = Self { read, write };
        let mut preface = PREFACE.to_vec();
        let pair = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        frame(&mut preface, Kind::Settings, 0, 0, &settings.iter().flat_map(pair).collect::<Vec<u8>>());
        connection.send(&preface).await?;
        Ok(connection)
    }

    /// Writes and expects nothing.
    pub(crate) async fn send(&mut self, frames: &[u8]) -> Result<()> {
        let written = async {
            self.write.write_all(frames).await?;
            self.write.flush().await
        };
        in_time("a write", async { written.await.map_err(|error| format!("write: {error}")) }).await
    }

    /// Asks for `path` on a stream of its own, whose number is `stream`, and gives the body of the answer.
    pub(crate) async fn get(&mut self, path: &str, stream: u32) -> Result<String> {
        let mut request = Vec::new();
        frame(&mut request, Kind::Headers, END_STREAM | END_HEADERS, stream, &fields("GET", path));
        self.send(&request).await?;
        let mut body = Vec::new();
        in_time("an answer", async {
            loop {
                let (header, payload) = next_frame(&mut self.read).await.ok_or("the server ended the connection")?;
                if header.kind == Kind::Data as u8 && header.stream == stream {
                    body.extend(payload);
                    if header.flags & END_STREAM != 0 {
                        break Ok(());
                    }
                }
            }
        })
        .await?;
        self.give_room(body.len()).await?;
        String::from_utf8(body).map_err(|error| error.to_string())
    }

    /// Asks for `path` in rounds of 50 streams, `most` times in all, and acknowledges nothing; gives how many were
    /// answered with 200 until the server ended the connection, and whether it did.
    pub(crate) async fn ask_on(mut self, path: &str, most: usize) -> (usize, bool) {
        const ROUND: u32 = 50;
        let mut answered = 0;
        for round in 0..most as u32 / ROUND {
            let mut requests = Vec::new();
            for stream in (round * ROUND..(round + 1) * ROUND).map(|index| 2 * index + 1) {
                frame(&mut requests, Kind::Headers, END_STREAM | END_HEADERS, stream, &fields("GET", path));
            }
            if self.send(&requests).await.is_err() {
                return (answered, true);
            }
            let mut open = ROUND;
            while open > 0 {
                let Ok(Some((header, payload))) = timeout(LIMIT, next_frame(&mut self.read)).await else {
                    return (answered, true);
                };
                answered += usize::from(header.kind == Kind::Headers as u8 && payload.first() == Some(&OK));
                open -= u32::from(header.stream > 0 && header.flags & END_STREAM != 0);
                if header.kind == Kind::Data as u8 && self.give_room(payload.len()).await.is_err() {
                    return (answered, true);
                }
            }
        }
        (answered, false)
    }

    /// Sends requests, and gives how many of them are answered until there are `most` or the connection ends.
    pub(crate) async fn answers(mut self, requests: &[u8], most: u64) -> Result<u64> {
        self.send(requests).await?;
        let mut answered = 0;
        while answered < most {
            match timeout(LIMIT, next_frame(&mut self.read)).await {
                Ok(Some((header, _))) => answered += u64::from(header.kind == Kind::Headers as u8),
                Ok(None) => break,
                Err(_) => return Err(format!("{answered} answers, then none")),
            }
        }
        Ok(answered)
    }

    /// Lets the server send as much again on the connection: without it, it may send 65,535 bytes in all (section
    /// 6.9.2).
    async fn give_room(&mut self, taken: usize) -> Result<()> {
        // "A receiver MUST treat the receipt of a WINDOW_UPDATE frame with a flow-control window increment of 0 as a
        // stream error", of a connection: https://www.rfc-editor.org/rfc/rfc9113#section-6.9
        let Some(taken) = u32::try_from(taken).ok().filter(|taken| *taken > 0) else { return Ok(()) };
        let mut update = Vec::new();
        frame(&mut update, Kind::WindowUpdate, 0, 0, &taken.to_be_bytes());
        self.send(&update).await
    }

    /// Writes all `chunks`, or as many as the server takes, reads all the while what it says, and waits for it to end
    /// the connection.
    pub(crate) async fn flood(self, chunks: impl Iterator<Item = Vec<u8>>) -> End {
        let Self { read, mut write } = self;
        let mut end = End::default();
        let writing = async {
            for chunk in chunks {
                let taken = async {
                    write.write_all(&chunk).await?;
                    write.flush().await
                };
                // Who reads nothing more has said what there was to say.
                if !matches!(timeout(LIMIT, taken).await, Ok(Ok(()))) {
                    break;
                }
            }
            tokio::time::sleep(LAST_WORD).await;
        };
        tokio::select! {
            () = writing => {}
            () = listen(read, &mut end) => {}
        }
        end
    }
}

/// Reads frames until the server closes the connection.
async fn listen(mut read: ReadHalf<TlsStream<TcpStream>>, end: &mut End) {
    while let Some((header, payload)) = next_frame(&mut read).await {
        if header.kind == Kind::GoAway as u8 {
            end.go_away = payload.get(4..8).and_then(|code| Some(u32::from_be_bytes(code.try_into().ok()?)));
        }
    }
    end.closed = true;
}

/// The start of a frame (section 4.1).
struct Header {
    kind: u8,
    flags: u8,
    stream: u32,
}

/// The next frame; `None` when the connection has ended.
async fn next_frame(read: &mut ReadHalf<TlsStream<TcpStream>>) -> Option<(Header, Vec<u8>)> {
    let mut length = [0; 4];
    read.read_exact(&mut length[1..]).await.ok()?;
    let header = Header {
        kind: read.read_u8().await.ok()?,
        flags: read.read_u8().await.ok()?,
        stream: read.read_u32().await.ok()?,
    };
    let mut payload = vec![0; u32::from_be_bytes(length) as usize];
    read.read_exact(&mut payload).await.ok()?;
    Some((header, payload))
}

async fn shake_hands(address: SocketAddr) -> Result<TlsStream<TcpStream>> {
    // The server has been started just now, and its certificate made then.
    let schemes = default_provider().signature_verification_algorithms.supported_schemes();
    let mut config = testkit::credulous(&schemes, ALL_VERSIONS).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
    stream.set_nodelay(true).map_err(|error| format!("nodelay: {error}"))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::from(address.ip()), stream).await;
    stream.map_err(|error| format!("TLS: {error}"))
}
