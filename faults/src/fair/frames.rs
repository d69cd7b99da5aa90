//! Floods of bytes that are sent without reading anything, until the server ends the connection.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{Addresses, Done};
use crate::Result;
use crate::client::{BINARY, Client, ECHO, PING, frame, raw_frame};
use crate::http2::{CANCEL, END_HEADERS, END_STREAM, Http2, Kind, fields, frame as http2_frame};

/// The first byte of a fragment in the middle of a message.
const CONTINUATION: u8 = 0;

/// Sends `first` and then `chunk` again and again; counts chunks.
async fn send(mut stream: TcpStream, first: &[u8], chunk: &[u8], done: Done) -> Result<()> {
    stream.write_all(first).await.map_err(|error| format!("write: {error}"))?;
    loop {
        stream.write_all(chunk).await.map_err(|error| format!("write: {error}"))?;
        done.add(1);
    }
}

/// Messages to be echoed.
pub(crate) async fn messages(Addresses { http, .. }: Addresses, done: Done) -> Result<()> {
    let client = Client::connect(http, ECHO).await?;
    send(client.stream, &[], &frame(BINARY, &[b'x'; 1 << 16]), done).await
}

/// Pings to be answered, 500 at a time.
pub(crate) async fn pings(Addresses { http, .. }: Addresses, done: Done) -> Result<()> {
    let client = Client::connect(http, ECHO).await?;
    send(client.stream, &[], &frame(PING, &[b'x'; 125]).repeat(500), done).await
}

/// Fragments of a byte, 10,000 at a time.
pub(crate) async fn fragments(Addresses { http, .. }: Addresses, done: Done) -> Result<()> {
    let client = Client::connect(http, ECHO).await?;
    send(client.stream, &raw_frame(BINARY, b""), &raw_frame(CONTINUATION, b"x").repeat(10_000), done).await
}

/// A message without an end.
pub(crate) async fn endless_message(Addresses { http, .. }: Addresses, done: Done) -> Result<()> {
    let client = Client::connect(http, ECHO).await?;
    send(client.stream, &raw_frame(BINARY, b""), &raw_frame(CONTINUATION, [b'x'; 1 << 16]), done).await
}

/// The head of a request without an end.
pub(crate) async fn endless_head(Addresses { http, .. }: Addresses, done: Done) -> Result<()> {
    let stream = TcpStream::connect(http).await.map_err(|error| format!("connect: {error}"))?;
    send(stream, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", &[b'x'; 1 << 16], done).await
}

/// Requests over HTTP/2 that are taken back at once, a thousand.
pub(crate) async fn rapid_resets(Addresses { https, .. }: Addresses, done: Done) -> Result<()> {
    let mut connection = Http2::connect(https).await?;
    let mut resets = Vec::new();
    for stream in (0..1000).map(|index| 2 * index + 1) {
        http2_frame(&mut resets, Kind::Headers, END_STREAM | END_HEADERS, stream, &fields("GET", "/large"));
        http2_frame(&mut resets, Kind::Reset, 0, stream, &CANCEL.to_be_bytes());
    }
    loop {
        connection.send(&resets).await?;
        done.add(1);
    }
}
